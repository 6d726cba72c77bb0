/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The balloon between a driver and guest memory whose resident pages are counted. */
#include "balloon_internal.h"

#include <setjmp.h>
#include <stdio.h>
#include <sys/mman.h>

#include <cmocka.h>
#include <virtio_driver.h>

#define PAGE	  SK_BALLOON_PAGE_BYTES
#define POOL_GPA  (8 * SK_MIB) /* pages that the tests give and take */
#define POOL	  256
#define REPORTING SK_VIRTIO_FEATURE(VIRTIO_BALLOON_F_REPORTING)
#define STATS	  SK_VIRTIO_FEATURE(VIRTIO_BALLOON_F_STATS_VQ)

struct world {
	struct sk_gmem *gm;
	struct sk_loop *loop;
	struct sk_balloon *balloon;
	struct virtio_driver driver;
	gpa_t list_gpa;
};

static struct world *world_new(uint64_t features)
{
	struct world *w = calloc(1, sizeof(*w));
	struct sk_balloon_config config = {.has_deflate_on_oom = true, .has_reporting = true};

	assert_non_null(w);
	w->gm = virtio_driver_memory(16 * SK_MIB);
	assert_int_equal(sk_loop_create(&w->loop, NULL, NULL), 0);
	config.gm = w->gm;
	config.loop = w->loop;
	assert_int_equal(sk_balloon_create(&w->balloon, &config, NULL), 0);
	virtio_driver_init(&w->driver, sk_balloon_virtio(w->balloon));
	w->list_gpa = virtio_driver_alloc(&w->driver, 128 * 1024);
	assert_true(virtio_driver_start(&w->driver, features, 0));
	assert_int_equal(sk_gmem_fill(w->gm, POOL_GPA, 0xaa, POOL * PAGE), 0);
	return w;
}

static void world_free(struct world *w)
{
	virtio_driver_fini(&w->driver);
	sk_loop_destroy(w->loop);
	sk_balloon_destroy(w->balloon);
	sk_gmem_destroy(w->gm);
	free(w);
}

static struct sk_balloon_stats stats(struct world *w)
{
	struct sk_balloon_stats s;

	sk_balloon_get_stats(w->balloon, false, &s);
	return s;
}

static unsigned resident(struct world *w)
{
	unsigned char map[POOL];
	unsigned nr = 0;

	assert_int_equal(mincore(sk_gmem_slice(w->gm, POOL_GPA, POOL * PAGE), POOL * PAGE, map), 0);
	for (unsigned i = 0; i < POOL; i++)
		nr += map[i] & 1;
	return nr;
}

/* Sends page numbers to a queue and waits for the answer. */
static void send_pages(struct world *w, uint32_t queue, const uint32_t *pfns, uint32_t len_bytes)
{
	virtio_driver_write(&w->driver, w->list_gpa, pfns, len_bytes);
	assert_true(virtio_driver_send(&w->driver, queue,
				       &(struct guest_buf){w->list_gpa, len_bytes, false}, 1, 1));
	assert_true(virtio_driver_wait(&w->driver, queue, NULL, NULL));
}

static void test_inflate(void **state)
{
	struct world *w = world_new(0);
	const uint32_t first = POOL_GPA / PAGE;
	uint32_t up[100], down[50], single[3] = {first + 200, first + 202, first + 204};
	uint64_t word;

	(void)state;
	for (uint32_t i = 0; i < 100; i++)
		up[i] = first + i;
	for (uint32_t i = 0; i < 50; i++)
		down[i] = first + 199 - i;
	assert_int_equal(resident(w), POOL);
	send_pages(w, 0, up, sizeof(up));
	assert_int_equal(resident(w), POOL - 100);
	send_pages(w, 0, down, sizeof(down));
	assert_int_equal(resident(w), POOL - 150);
	send_pages(w, 0, single, sizeof(single));
	assert_int_equal(resident(w), POOL - 153);
	assert_int_equal(stats(w).inflated_bytes, 153 * PAGE);
	/* What is taken back is there, empty. */
	send_pages(w, 1, up, sizeof(up));
	assert_int_equal(stats(w).deflated_bytes, 100 * PAGE);
	assert_int_equal(sk_gmem_load_u64(w->gm, POOL_GPA, &word), 0);
	assert_int_equal(word, 0);
	assert_int_equal(sk_gmem_load_u64(w->gm, POOL_GPA + 100 * PAGE, &word), 0);
	assert_int_equal(word, 0xaaaaaaaaaaaaaaaa);
	assert_int_equal(stats(w).bad_requests, 0);
	world_free(w);
}

static void test_bad_pages(void **state)
{
	struct world *w = world_new(0);
	const uint32_t first = POOL_GPA / PAGE;
	const uint32_t beyond[] = {first, 16 * SK_MIB / PAGE, UINT32_MAX, first + 2};
	static uint32_t many[MAX_LIST_BYTES / 4 + 10];

	(void)state;
	send_pages(w, 0, beyond, sizeof(beyond));
	assert_int_equal(resident(w), POOL - 2);
	assert_int_equal(stats(w).bad_requests, 2);
	/* A list that ends in the middle of a number, and one that is too long. */
	send_pages(w, 0, (uint32_t[]){first + 4, first + 5}, 7);
	assert_int_equal(resident(w), POOL - 3);
	assert_int_equal(stats(w).bad_requests, 3);
	for (size_t i = 0; i < SK_ARRAY_SIZE(many); i++)
		many[i] = first + 10;
	many[SK_ARRAY_SIZE(many) - 1] = first + 20;
	send_pages(w, 0, many, sizeof(many));
	assert_int_equal(resident(w), POOL - 4);
	assert_int_equal(stats(w).bad_requests, 4);
	world_free(w);
}

static void test_size(void **state)
{
	struct world *w = world_new(0);
	struct sk_virtio *v = sk_balloon_virtio(w->balloon);

	(void)state;
	assert_int_equal(sk_virtio_config_read(v, 0, 4), 0);
	sk_balloon_set_size(w->balloon, 5 * SK_MIB + 100);
	virtio_driver_settle(&w->driver);
	assert_int_equal(w->driver.config_interrupts, 1);
	assert_int_equal(sk_virtio_config_read(v, 0, 4), 5 * SK_MIB / PAGE);
	sk_virtio_config_write(v, 4, 4, 1234);
	assert_int_equal(sk_virtio_config_read(v, 4, 4), 1234);
	assert_int_equal(stats(w).actual_bytes, 1234 * PAGE);
	assert_int_equal(stats(w).target_bytes, 5 * SK_MIB);
	/* What it is asked for is not the guest's to say. */
	sk_virtio_config_write(v, 0, 4, 7);
	sk_virtio_config_write(v, 4, 2, 7);
	assert_int_equal(sk_virtio_config_read(v, 0, 4), 5 * SK_MIB / PAGE);
	assert_int_equal(stats(w).bad_requests, 2);
	/* More than there is. */
	sk_balloon_set_size(w->balloon, UINT64_MAX);
	assert_int_equal(stats(w).target_bytes, 16 * SK_MIB);
	world_free(w);
}

static void put_stat(uint8_t *at, uint16_t tag, uint64_t value)
{
	sk_store_le16(at, tag);
	sk_store_le64(at + 2, value);
}

static void test_stats(void **state)
{
	struct world *w = world_new(STATS);
	uint8_t bytes[35] = {0};
	struct sk_balloon_stats s;

	(void)state;
	assert_int_equal(stats(w).free_bytes, UINT64_MAX);
	for (uint64_t round = 1; round <= 3; round++) {
		put_stat(bytes, VIRTIO_BALLOON_S_MEMFREE, 1000 * round);
		put_stat(bytes + 10, VIRTIO_BALLOON_S_MEMTOT, 5000);
		put_stat(bytes + 20, 999, 1);
		virtio_driver_write(&w->driver, w->list_gpa, bytes, sizeof(bytes));
		assert_true(virtio_driver_send(
			&w->driver, 2, &(struct guest_buf){w->list_gpa, sizeof(bytes), false}, 1,
			1));
		virtio_driver_settle(&w->driver);
		/* It keeps the buffer until it wants to know more, over a pause, too. */
		assert_false(virtio_driver_poll(&w->driver, 2, NULL, NULL));
		sk_virtio_pause(sk_balloon_virtio(w->balloon));
		sk_virtio_resume(sk_balloon_virtio(w->balloon));
		virtio_driver_settle(&w->driver);
		sk_balloon_get_stats(w->balloon, true, &s);
		assert_int_equal(s.free_bytes, 1000 * round);
		assert_int_equal(s.total_bytes, 5000);
		assert_int_equal(s.cache_bytes, UINT64_MAX);
		assert_true(virtio_driver_wait(&w->driver, 2, NULL, NULL));
	}
	/* Asked for while the guest has the buffer: done when it comes. */
	sk_balloon_get_stats(w->balloon, true, &s);
	virtio_driver_settle(&w->driver);
	assert_true(virtio_driver_send(
		&w->driver, 2, &(struct guest_buf){w->list_gpa, sizeof(bytes), false}, 1, 1));
	assert_true(virtio_driver_wait(&w->driver, 2, NULL, NULL));
	world_free(w);
}

static void test_reporting(void **state)
{
	/* Its index depends on what else was agreed on. */
	for (unsigned i = 0; i < 2; i++) {
		struct world *w = world_new(REPORTING | (i ? STATS : 0));
		const struct guest_buf bufs[] = {{POOL_GPA, 64 * PAGE, true},
						 {POOL_GPA + 128 * PAGE, 32 * PAGE, true}};

		assert_true(virtio_driver_send(&w->driver, 2 + i, bufs, 2, 1));
		assert_true(virtio_driver_wait(&w->driver, 2 + i, NULL, NULL));
		assert_int_equal(resident(w), POOL - 96);
		assert_int_equal(stats(w).reported_bytes, 96 * PAGE);
		/* Half pages stay. */
		assert_true(virtio_driver_send(
			&w->driver, 2 + i,
			&(struct guest_buf){POOL_GPA + 200 * PAGE + 100, PAGE, true}, 1, 1));
		assert_true(virtio_driver_wait(&w->driver, 2 + i, NULL, NULL));
		assert_int_equal(resident(w), POOL - 96);
		world_free(w);
	}
	(void)state;
}

static void test_save(void **state)
{
	struct world *a = world_new(STATS | REPORTING), *b;
	uint8_t bytes[4096];
	struct sk_writer w;
	struct sk_reader r;
	struct sk_error err;

	(void)state;
	sk_balloon_set_size(a->balloon, SK_MIB);
	sk_virtio_config_write(sk_balloon_virtio(a->balloon), 4, 4, 77);
	assert_true(virtio_driver_send(&a->driver, 2, &(struct guest_buf){a->list_gpa, 30, false},
				       1, 1));
	virtio_driver_settle(&a->driver);
	sk_virtio_pause(sk_balloon_virtio(a->balloon));
	sk_writer_init(&w, bytes, sizeof(bytes));
	sk_virtio_save(sk_balloon_virtio(a->balloon), &w);
	assert_true(sk_writer_ok(&w));
	for (size_t cut = 0; cut <= w.len_bytes; cut++) {
		const struct sk_balloon_config config = {.gm = a->gm,
							 .loop = a->loop,
							 .has_deflate_on_oom = true,
							 .has_reporting = true};
		struct sk_balloon_stats s;
		int ret;

		b = calloc(1, sizeof(*b));
		assert_int_equal(sk_balloon_create(&b->balloon, &config, NULL), 0);
		sk_reader_init(&r, bytes, cut);
		ret = sk_virtio_restore(sk_balloon_virtio(b->balloon), &r, &err);
		assert_int_equal(ret, cut == w.len_bytes ? 0 : -EINVAL);
		sk_balloon_get_stats(b->balloon, false, &s);
		if (!ret) {
			assert_int_equal(s.target_bytes, SK_MIB);
			assert_int_equal(s.actual_bytes, 77 * PAGE);
			sk_virtio_halt(sk_balloon_virtio(b->balloon));
		}
		sk_balloon_destroy(b->balloon);
		free(b);
	}
	world_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inflate),	  cmocka_unit_test(test_bad_pages),
		cmocka_unit_test(test_size),	  cmocka_unit_test(test_stats),
		cmocka_unit_test(test_reporting), cmocka_unit_test(test_save),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
