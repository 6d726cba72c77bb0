/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include <skete/gmem.h>

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGE 4096u

/* Two adjacent regions, a hole, a third one above 4 GiB. */
static struct sk_gmem *three_regions(bool has_dirty_log)
{
	const struct sk_gmem_region_config regions[] = {
		{.gpa = 4 * SK_GIB, .size_bytes = SK_MIB, .backing = SK_GMEM_MEMFD},
		{.gpa = 0, .size_bytes = SK_MIB},
		{.gpa = SK_MIB, .size_bytes = SK_MIB},
	};
	const struct sk_gmem_config config = {
		.regions = regions, .nr_regions = 3, .has_dirty_log = has_dirty_log};
	struct sk_gmem *gm = NULL;

	assert_int_equal(sk_gmem_create(&gm, &config, NULL), 0);
	return gm;
}

static void regions_are_sorted_and_described(void **state)
{
	struct sk_gmem *gm = three_regions(false);

	(void)state;
	assert_int_equal(sk_gmem_nr_regions(gm), 3);
	assert_int_equal(sk_gmem_region_at(gm, 0)->gpa, 0);
	assert_int_equal(sk_gmem_region_at(gm, 1)->gpa, SK_MIB);
	assert_true(sk_gmem_region_at(gm, 2)->gpa == 4 * SK_GIB);
	assert_int_equal(sk_gmem_region_at(gm, 0)->fd, -1);
	assert_true(sk_gmem_region_at(gm, 2)->fd >= 0);
	assert_int_equal(sk_gmem_size_bytes(gm), 3 * SK_MIB);
	sk_gmem_destroy(gm);
	sk_gmem_destroy(NULL);
}

static void access_is_bounded_and_all_or_nothing(void **state)
{
	struct sk_gmem *gm = three_regions(false);
	char in[] = "across", out[sizeof(in)] = "";

	(void)state;
	assert_int_equal(sk_gmem_write(gm, SK_MIB - 3, in, sizeof(in)), 0);
	assert_int_equal(sk_gmem_read(gm, SK_MIB - 3, out, sizeof(out)), 0);
	assert_string_equal(out, "across");
	/* Regions that are neighbours for the guest are strangers on the host. */
	assert_memory_equal(sk_gmem_slice(gm, SK_MIB - 3, 3), "acr", 3);
	assert_string_equal(sk_gmem_slice(gm, SK_MIB, 4), "oss");
	memcpy(sk_gmem_slice(gm, SK_MIB, 4), "OSS", 4);
	assert_int_equal(sk_gmem_read(gm, SK_MIB - 3, out, sizeof(out)), 0);
	assert_string_equal(out, "acrOSS");

	/* The first byte is RAM, the rest is the hole: nothing may be written. */
	assert_int_equal(sk_gmem_write(gm, 2 * SK_MIB - 1, in, sizeof(in)), -EFAULT);
	assert_int_equal(sk_gmem_read(gm, 2 * SK_MIB - 1, out, 1), 0);
	assert_int_equal(out[0], 0);
	assert_int_equal(sk_gmem_read(gm, 2 * SK_MIB - 1, out, 2), -EFAULT);
	assert_int_equal(sk_gmem_fill(gm, 2 * SK_MIB - 1, 7, 2), -EFAULT);

	assert_int_equal(sk_gmem_fill(gm, SK_MIB - 1, 0x5a, 2), 0);
	assert_int_equal(sk_gmem_read(gm, SK_MIB - 1, out, 2), 0);
	assert_int_equal(*(uint8_t *)sk_gmem_slice(gm, SK_MIB - 1, 1), 0x5a);
	assert_int_equal(*(uint8_t *)sk_gmem_slice(gm, SK_MIB, 1), 0x5a);
	sk_gmem_destroy(gm);
}

static void hostile_ranges_are_refused(void **state)
{
	struct sk_gmem *gm = three_regions(true);
	char c = 0;

	(void)state;
	assert_int_equal(sk_gmem_read(gm, UINT64_MAX, &c, 1), -EFAULT);
	assert_int_equal(sk_gmem_read(gm, UINT64_MAX - 1, &c, 8), -EFAULT);
	assert_false(sk_gmem_is_ram(gm, 1, UINT64_MAX));
	assert_false(sk_gmem_is_ram(gm, 0, 2 * SK_MIB + 1));
	assert_true(sk_gmem_is_ram(gm, 0, 2 * SK_MIB));
	assert_true(sk_gmem_is_ram(gm, UINT64_MAX, 0));
	assert_null(sk_gmem_slice(gm, UINT64_MAX, 1));
	assert_null(sk_gmem_slice(gm, 4 * SK_GIB, SK_MIB + 1));
	assert_null(sk_gmem_slice(gm, 0, UINT64_MAX));
	assert_null(sk_gmem_slice(gm, SK_MIB - 1, 2)); /* two regions */
	assert_non_null(sk_gmem_slice(gm, 4 * SK_GIB, SK_MIB));
	sk_gmem_mark_dirty(gm, UINT64_MAX - 1, 8);
	sk_gmem_mark_dirty(gm, 2 * SK_MIB - 1, UINT64_MAX / 2);
	sk_gmem_destroy(gm);
}

static void scatter_gather_splits_and_bounds(void **state)
{
	struct sk_gmem *gm = three_regions(false);
	const struct sk_gmem_range ranges[] = {{SK_MIB - 16, 32}, {0, 0}, {4 * SK_GIB, 8}};
	const struct sk_gmem_range hole[] = {{0, 8}, {2 * SK_MIB - 1, 2}};
	const struct sk_gmem_range wrap[] = {{UINT64_MAX - 1, 4}};
	struct iovec iov[3];

	(void)state;
	assert_int_equal(sk_gmem_to_iov(gm, ranges, 3, iov, 3), 3);
	assert_ptr_equal(iov[0].iov_base, sk_gmem_slice(gm, SK_MIB - 16, 16));
	assert_int_equal(iov[0].iov_len, 16);
	assert_ptr_equal(iov[1].iov_base, sk_gmem_slice(gm, SK_MIB, 16));
	assert_int_equal(iov[1].iov_len, 16);
	assert_int_equal(iov[2].iov_len, 8);
	assert_int_equal(sk_gmem_to_iov(gm, ranges, 3, iov, 2), -E2BIG);
	assert_int_equal(sk_gmem_to_iov(gm, hole, 2, iov, 3), -EFAULT);
	assert_int_equal(sk_gmem_to_iov(gm, wrap, 1, iov, 3), -EFAULT);
	sk_gmem_destroy(gm);
}

static void ring_fields_are_aligned_and_little_endian(void **state)
{
	struct sk_gmem *gm = three_regions(false);
	const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8};
	uint16_t v16;
	uint32_t v32;
	uint64_t v64;

	(void)state;
	assert_int_equal(sk_gmem_write(gm, 64, bytes, sizeof(bytes)), 0);
	assert_int_equal(sk_gmem_load_u16(gm, 64, &v16), 0);
	assert_int_equal(v16, 0x0201);
	assert_int_equal(sk_gmem_load_u32(gm, 64, &v32), 0);
	assert_int_equal(v32, 0x04030201);
	assert_int_equal(sk_gmem_load_u64(gm, 64, &v64), 0);
	assert_true(v64 == UINT64_C(0x0807060504030201));
	assert_int_equal(sk_gmem_load_u16(gm, 65, &v16), -EINVAL);
	assert_int_equal(sk_gmem_store_u64(gm, 68, 0), -EINVAL);
	assert_int_equal(sk_gmem_load_u64(gm, 2 * SK_MIB, &v64), -EFAULT);
	assert_int_equal(sk_gmem_store_u32(gm, 128, 0xa1b2c3d4), 0);
	assert_int_equal(sk_gmem_load_u16(gm, 130, &v16), 0);
	assert_int_equal(v16, 0xa1b2);
	assert_int_equal(sk_gmem_store_u16(gm, 2 * SK_MIB - 2, 1), 0);
	sk_gmem_destroy(gm);
}

static void dirty_bitmap_is_exact(void **state)
{
	struct sk_gmem *gm = three_regions(true);
	struct sk_gmem *silent = three_regions(false);
	const size_t words = SK_MIB / PAGE / 64;
	uint64_t map[SK_MIB / PAGE / 64] = {0};

	(void)state;
	/* The last two pages of region 0 and the first of region 1. */
	assert_int_equal(sk_gmem_fill(gm, SK_MIB - PAGE - 1, 1, PAGE + 2), 0);
	assert_int_equal(sk_gmem_store_u16(gm, 65 * PAGE, 1), 0);
	assert_int_equal(sk_gmem_harvest_dirty(gm, 0, map, words), 0);
	assert_int_equal(map[0], 0);
	assert_int_equal(map[1], 2);
	assert_int_equal(map[2], 0);
	assert_true(map[3] == UINT64_C(3) << 62);
	memset(map, 0, sizeof(map));
	assert_int_equal(sk_gmem_harvest_dirty(gm, 0, map, words), 0);
	assert_int_equal(map[3], 0);
	map[0] = 2; /* a harvest adds to what is there */
	assert_int_equal(sk_gmem_harvest_dirty(gm, 1, map, words), 0);
	assert_int_equal(map[0], 3);

	assert_int_equal(sk_gmem_harvest_dirty(gm, 0, map, words - 1), -EINVAL);
	assert_int_equal(sk_gmem_harvest_dirty(gm, 3, map, words), -EINVAL);
	assert_int_equal(sk_gmem_harvest_dirty(silent, 0, map, words), -ENOTSUP);
	sk_gmem_destroy(silent);
	sk_gmem_destroy(gm);
}

static void *mark_every_page(void *arg)
{
	for (gpa_t gpa = 0; gpa < SK_MIB; gpa += PAGE)
		sk_gmem_mark_dirty(arg, gpa, 1);
	return NULL;
}

static void marks_from_two_threads_are_not_lost(void **state)
{
	struct sk_gmem *gm = three_regions(true);
	uint64_t map[SK_MIB / PAGE / 64] = {0};
	pthread_t threads[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, mark_every_page, gm), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(sk_gmem_harvest_dirty(gm, 0, map, SK_ARRAY_SIZE(map)), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(sk_gmem_harvest_dirty(gm, 0, map, SK_ARRAY_SIZE(map)), 0);
	for (size_t i = 0; i < SK_ARRAY_SIZE(map); i++)
		assert_true(map[i] == UINT64_MAX);
	sk_gmem_destroy(gm);
}

static void expect_error(const struct sk_gmem_region_config *regions, size_t nr, int code,
			 const char *words)
{
	const struct sk_gmem_config config = {.regions = regions, .nr_regions = nr};
	struct sk_gmem *gm = NULL;
	struct sk_error err = {0};

	assert_int_equal(sk_gmem_create(&gm, &config, &err), code);
	assert_null(gm);
	assert_int_equal(err.code, code);
	if (!strstr(err.message, words))
		fail_msg("'%s' does not say '%s'", err.message, words);
}

static void bad_configurations_are_explained(void **state)
{
	const struct sk_gmem_region_config overlap[] = {{0, 2 * SK_MIB}, {SK_MIB, SK_MIB}};
	const struct sk_gmem_region_config empty = {0, 0}, odd = {0, 100}, askew = {100, PAGE};
	const struct sk_gmem_region_config high = {UINT64_MAX - PAGE + 1, PAGE};
	const struct sk_gmem_region_config huge = {0, UINT64_MAX - PAGE + 1};
	const struct sk_gmem_region_config pathless = {0, PAGE, .backing = SK_GMEM_FILE_SHARED};
	const struct sk_gmem_region_config absent = {0, PAGE, .backing = SK_GMEM_FILE_PRIVATE,
						     .path = "/nonexistent/ram"};
	const struct sk_gmem_region_config odd_huge = {0, SK_MIB, .pages = SK_GMEM_PAGES_2M};
	const struct sk_gmem_region_config file_huge = {0, 2 * SK_MIB,
							.backing = SK_GMEM_FILE_SHARED,
							.pages = SK_GMEM_PAGES_2M, .path = "/x"};

	(void)state;
	expect_error(NULL, 0, -EINVAL, "0 regions");
	expect_error(overlap, 2, -EINVAL, "overlap");
	expect_error(&empty, 1, -EINVAL, "multiples");
	expect_error(&odd, 1, -EINVAL, "multiples");
	expect_error(&askew, 1, -EINVAL, "multiples");
	expect_error(&high, 1, -EINVAL, "beyond");
	expect_error(&huge, 1, -EINVAL, "beyond");
	expect_error(&pathless, 1, -EINVAL, "no path");
	expect_error(&absent, 1, -ENOENT, "/nonexistent/ram");
	expect_error(&odd_huge, 1, -EINVAL, "2048 KiB");
	expect_error(&file_huge, 1, -EINVAL, "anonymous memory and memfd only");
}

static void files_are_private_or_shared(void **state)
{
	char path[] = "/tmp/gmem-test-XXXXXX", text[5] = "";
	int fd = mkstemp(path);
	struct sk_gmem_region_config region = {.gpa = PAGE,
					       .size_bytes = PAGE,
					       .backing = SK_GMEM_FILE_PRIVATE,
					       .path = path,
					       .file_offset_bytes = PAGE};
	const struct sk_gmem_config config = {.regions = &region, .nr_regions = 1};
	struct sk_gmem *gm;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 2 * PAGE - 1), 0);
	expect_error(&region, 1, -ENODATA, path);
	assert_int_equal(ftruncate(fd, 2 * PAGE), 0);
	assert_int_equal(pwrite(fd, "disk", 4, PAGE), 4);

	assert_int_equal(sk_gmem_create(&gm, &config, NULL), 0);
	assert_int_equal(sk_gmem_region_at(gm, 0)->fd, -1);
	assert_int_equal(sk_gmem_read(gm, PAGE, text, 4), 0);
	assert_string_equal(text, "disk");
	assert_int_equal(sk_gmem_write(gm, PAGE, "DISK", 4), 0);
	sk_gmem_destroy(gm);
	assert_int_equal(pread(fd, text, 4, PAGE), 4);
	assert_string_equal(text, "disk");

	region.backing = SK_GMEM_FILE_SHARED;
	assert_int_equal(sk_gmem_create(&gm, &config, NULL), 0);
	assert_int_equal(sk_gmem_region_at(gm, 0)->fd_offset_bytes, PAGE);
	assert_int_equal(sk_gmem_write(gm, PAGE, "DISK", 4), 0);
	sk_gmem_destroy(gm);
	assert_int_equal(pread(fd, text, 4, PAGE), 4);
	assert_string_equal(text, "DISK");
	unlink(path);
	close(fd);
}

static void memfd_can_be_mapped_by_another(void **state)
{
	struct sk_gmem *gm = three_regions(false);
	const struct sk_gmem_region *region = sk_gmem_region_at(gm, 2);
	char *peer = mmap(NULL, region->size_bytes, PROT_READ, MAP_SHARED, region->fd, 0);

	(void)state;
	assert_ptr_not_equal(peer, MAP_FAILED);
	assert_int_equal(sk_gmem_write(gm, 4 * SK_GIB + 5, "hi", 3), 0);
	assert_string_equal(peer + 5, "hi");
	assert_int_equal(ftruncate(region->fd, 0), -1); /* the size is sealed */
	munmap(peer, region->size_bytes);
	sk_gmem_destroy(gm);
}

/* Huge pages: either they work, or the error says that the host has none. */
static void huge_pages_work_or_say_why_not(void **state)
{
	static const enum sk_gmem_pages kinds[] = {SK_GMEM_PAGES_TRANSPARENT, SK_GMEM_PAGES_2M,
						   SK_GMEM_PAGES_1G};
	static const enum sk_gmem_backing backings[] = {SK_GMEM_ANON, SK_GMEM_MEMFD};

	(void)state;
	for (size_t i = 0; i < SK_ARRAY_SIZE(kinds) * SK_ARRAY_SIZE(backings); i++) {
		const struct sk_gmem_region_config region = {
			.size_bytes = kinds[i / 2] == SK_GMEM_PAGES_1G ? SK_GIB : 2 * SK_MIB,
			.backing = backings[i % 2],
			.pages = kinds[i / 2]};
		const struct sk_gmem_config config = {.regions = &region, .nr_regions = 1};
		struct sk_gmem *gm = NULL;
		struct sk_error err = {0};
		int ret = sk_gmem_create(&gm, &config, &err);

		if (ret) {
			assert_int_equal(ret, -ENOTSUP);
			assert_non_null(strstr(err.message, "huge pages"));
			continue;
		}
		assert_int_equal(sk_gmem_fill(gm, SK_MIB, 1, 1), 0);
		sk_gmem_destroy(gm);
	}
}

/* What a huge page needs, wherever the region lies and whatever is behind it. */
static void addresses_agree_modulo_2m(void **state)
{
	static const enum sk_gmem_backing backings[] = {SK_GMEM_ANON, SK_GMEM_MEMFD};
	static const gpa_t gpas[] = {0, SK_MIB, 4 * SK_GIB - 4096};

	(void)state;
	for (size_t i = 0; i < SK_ARRAY_SIZE(backings) * SK_ARRAY_SIZE(gpas); i++) {
		const struct sk_gmem_region_config region = {.gpa = gpas[i / 2],
							     .size_bytes = 2 * SK_MIB + 4096,
							     .backing = backings[i % 2]};
		const struct sk_gmem_config config = {.regions = &region, .nr_regions = 1};
		const struct sk_gmem_region *got;
		struct sk_error err = {0};
		struct sk_gmem *gm;

		assert_int_equal(sk_gmem_create(&gm, &config, &err), 0);
		got = sk_gmem_region_at(gm, 0);
		assert_int_equal((got->gpa - (uintptr_t)got->hva) % (2 * SK_MIB), 0);
		assert_int_equal(sk_gmem_fill(gm, region.gpa, 1, region.size_bytes), 0);
		sk_gmem_destroy(gm);
	}
}

static void x86_layout_leaves_the_hole(void **state)
{
	struct sk_gmem_region_config regions[2];
	const struct sk_gmem_region_config model = {.backing = SK_GMEM_MEMFD};

	(void)state;
	assert_int_equal(sk_gmem_layout_x86(512 * SK_MIB, NULL, regions), 1);
	assert_int_equal(regions[0].size_bytes, 512 * SK_MIB);
	assert_int_equal(sk_gmem_layout_x86(3 * SK_GIB, NULL, regions), 1);
	assert_int_equal(sk_gmem_layout_x86(6 * SK_GIB, &model, regions), 2);
	assert_true(regions[0].gpa == 0 && regions[0].size_bytes == 3 * SK_GIB);
	assert_true(regions[1].gpa == 4 * SK_GIB && regions[1].size_bytes == 3 * SK_GIB);
	assert_int_equal(regions[1].backing, SK_GMEM_MEMFD);
	assert_int_equal(sk_gmem_layout_x86(0, NULL, regions), -EINVAL);
	assert_int_equal(sk_gmem_layout_x86(PAGE + 1, NULL, regions), -EINVAL);
	assert_int_equal(sk_gmem_layout_x86(UINT64_MAX - PAGE + 1, NULL, regions), -EINVAL);
}

static size_t resident_pages(void *hva, size_t nr_pages)
{
	unsigned char map[64];
	size_t nr = 0;

	assert_true(nr_pages <= sizeof(map));
	assert_int_equal(mincore(hva, nr_pages * PAGE, map), 0);
	for (size_t i = 0; i < nr_pages; i++)
		nr += map[i] & 1;
	return nr;
}

/* Two adjacent regions; the second of memory that belongs to a file. */
static void discarded_pages_leave_the_host(void **state)
{
	const struct sk_gmem_region_config regions[] = {
		{.gpa = 0, .size_bytes = 16 * PAGE},
		{.gpa = 16 * PAGE, .size_bytes = 16 * PAGE, .backing = SK_GMEM_MEMFD},
	};
	const struct sk_gmem_config config = {
		.regions = regions, .nr_regions = 2, .has_dirty_log = true};
	struct sk_gmem *gm;
	uint64_t dirty = 0, word;
	void *first, *second;

	(void)state;
	assert_int_equal(sk_gmem_create(&gm, &config, NULL), 0);
	first = sk_gmem_slice(gm, 0, 16 * PAGE);
	second = sk_gmem_slice(gm, 16 * PAGE, 16 * PAGE);
	assert_int_equal(sk_gmem_fill(gm, 0, 0xa5, 32 * PAGE), 0);
	assert_int_equal(resident_pages(first, 16), 16);
	assert_int_equal(resident_pages(second, 16), 16);
	assert_int_equal(sk_gmem_harvest_dirty(gm, 0, &dirty, 1), 0);

	assert_int_equal(sk_gmem_discard(gm, 31 * PAGE, 2 * PAGE), -EFAULT);
	assert_int_equal(sk_gmem_discard(gm, UINT64_MAX - PAGE, 2 * PAGE), -EFAULT);
	assert_int_equal(sk_gmem_discard(gm, 5, PAGE), 0);
	assert_int_equal(sk_gmem_discard(gm, 0, 0), 0);
	assert_int_equal(resident_pages(first, 16), 16);

	/* Half a page at both ends stays. */
	assert_int_equal(sk_gmem_discard(gm, 8 * PAGE + PAGE / 2, 16 * PAGE), 0);
	assert_int_equal(resident_pages(first, 16), 9);
	assert_int_equal(resident_pages(second, 16), 8);
	dirty = 0;
	assert_int_equal(sk_gmem_harvest_dirty(gm, 0, &dirty, 1), 0);
	assert_int_equal(dirty, 0xfe00);
	for (gpa_t gpa = 0; gpa < 32 * PAGE; gpa += 8) {
		uint64_t want = gpa >= 9 * PAGE && gpa < 24 * PAGE ? 0 : 0xa5a5a5a5a5a5a5a5;

		assert_int_equal(sk_gmem_load_u64(gm, gpa, &word), 0);
		assert_int_equal(word, want);
	}
	sk_gmem_destroy(gm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(regions_are_sorted_and_described),
		cmocka_unit_test(access_is_bounded_and_all_or_nothing),
		cmocka_unit_test(hostile_ranges_are_refused),
		cmocka_unit_test(scatter_gather_splits_and_bounds),
		cmocka_unit_test(ring_fields_are_aligned_and_little_endian),
		cmocka_unit_test(dirty_bitmap_is_exact),
		cmocka_unit_test(marks_from_two_threads_are_not_lost),
		cmocka_unit_test(bad_configurations_are_explained),
		cmocka_unit_test(files_are_private_or_shared),
		cmocka_unit_test(memfd_can_be_mapped_by_another),
		cmocka_unit_test(huge_pages_work_or_say_why_not),
		cmocka_unit_test(addresses_agree_modulo_2m),
		cmocka_unit_test(x86_layout_leaves_the_hole),
		cmocka_unit_test(discarded_pages_leave_the_host),
	};

	return cmocka_run_group_tests_name("gmem", tests, NULL, NULL);
}
