/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* What does not depend on the kernel's format: files, the configuration, the memory map. */
#include "test_world.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "loader_internal.h"

#define RAM (16 * SK_MIB)

static void protocols_have_names(void **state)
{
	enum sk_loader_protocol p;

	(void)state;
	assert_int_equal(sk_loader_parse_protocol("pvh", &p), 0);
	assert_int_equal(p, SK_LOADER_PVH);
	assert_string_equal(sk_loader_protocol_name(SK_LOADER_MULTIBOOT), "multiboot");
	assert_int_equal(sk_loader_parse_protocol("PVH", &p), -EINVAL);
	assert_int_equal(sk_loader_parse_protocol("", &p), -EINVAL);
	assert_int_equal(p, SK_LOADER_PVH);
}

static void expect_file_error(const char *path, int code, const char *text)
{
	struct world w;

	world_open(&w, RAM, 0);
	w.config.kernel_path = path;
	w.entry.rip = 0x77;
	assert_int_equal(sk_loader_load(&w.entry, w.gm, &w.config, &w.err), code);
	if (!strstr(w.err.message, path) || !strstr(w.err.message, text))
		fail_msg("wanted \"%s\": %s", text, w.err.message);
	assert_int_equal(w.entry.rip, 0x77);
	assert_int_equal(sk_loader_load(&w.entry, w.gm, &w.config, NULL), code);
	world_close(&w);
}

static void files_that_cannot_be_kernels(void **state)
{
	char dir[] = "/tmp/skete-loader-XXXXXX", path[64];

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/x", dir);
	expect_file_error(path, -ENOENT, "cannot open it: No such file");
	expect_file_error(dir, -EISDIR, "it is a directory, not a regular file");
	expect_file_error("/dev/null", -ENOEXEC, "it is a device, pipe or socket");
	assert_int_equal(mkfifo(path, 0600), 0);
	expect_file_error(path, -ENOEXEC, "it is a device, pipe or socket");
	unlink(path);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	expect_file_error(path, -ENOEXEC, "the file is empty");
	unlink(path);
	rmdir(dir);
	expect_file_error("/etc/passwd", -ENOEXEC, "it is not a kernel: no bzImage header");
}

static void missing_initrd(void **state)
{
	struct blob b;
	struct world w;

	(void)state;
	build_elf(&b, &(struct elf_recipe){.has_pvh = true});
	world_open(&w, RAM, 0);
	w.config.initrd_path = "/nowhere/initrd";
	assert_int_equal(world_load(&w, &b), -ENOENT);
	assert_non_null(strstr(w.err.message, "initrd /nowhere/initrd: cannot open it"));
	world_close(&w);
}

static void configuration_is_checked(void **state)
{
	struct sk_loader_reserved r[SK_LOADER_MAX_RESERVED + 1] = {0};
	struct blob b;
	struct world w;

	(void)state;
	build_elf(&b, &(struct elf_recipe){.has_pvh = true});
	world_open(&w, RAM, 0);
	w.config.reserved = r;
	w.config.nr_reserved = 1;
	r[0] = (struct sk_loader_reserved){0x1000000, 0, SK_LOADER_MEMORY_ACPI};
	assert_int_equal(world_load(&w, &b), -EINVAL);
	r[0] = (struct sk_loader_reserved){UINT64_MAX, 2, SK_LOADER_MEMORY_ACPI};
	assert_int_equal(world_load(&w, &b), -EINVAL);
	r[0] = (struct sk_loader_reserved){0x1000000, 1, SK_LOADER_MEMORY_RAM};
	assert_int_equal(world_load(&w, &b), -EINVAL);
	w.config.nr_reserved = SK_ARRAY_SIZE(r);
	assert_int_equal(world_load(&w, &b), -EINVAL);
	assert_non_null(strstr(w.err.message, "17 reserved ranges"));
	w.config.nr_reserved = 0;
	w.config.protocol = (enum sk_loader_protocol)77;
	assert_int_equal(world_load(&w, &b), -EINVAL);
	w.config.protocol = SK_LOADER_AUTO;
	w.config.kernel_path = NULL;
	assert_int_equal(world_load(&w, &b), -EINVAL);
	w.config.kernel_path = KERNEL_PATH;

	/* A reserved range never gets a kernel or an initrd, nor the loader's own pages. */
	w.config.nr_reserved = 1;
	r[0] = (struct sk_loader_reserved){ELF_DATA_GPA + 5, 1, SK_LOADER_MEMORY_RESERVED};
	world_load_fails(&w, &b, -ENOMEM, "overlaps a range reserved for the platform at 0x203005");
	r[0] = (struct sk_loader_reserved){SK_LOADER_GDT_GPA, 1, SK_LOADER_MEMORY_RESERVED};
	assert_int_equal(world_load(&w, &b), -ENOMEM);
	assert_non_null(strstr(w.err.message, "the boot GDT"));
	world_close(&w);
}

static void expect_entry(const struct memory_map *map, size_t i, gpa_t gpa, gpa_t end, int type)
{
	if (map->entries[i].gpa != gpa || map->entries[i].gpa + map->entries[i].len_bytes != end ||
	    (int)map->entries[i].type != type)
		fail_msg("entry %zu: 0x%zx-0x%zx type %d", i, (size_t)map->entries[i].gpa,
			 (size_t)(map->entries[i].gpa + map->entries[i].len_bytes),
			 map->entries[i].type);
}

static void memory_map_of_6_gib(void **state)
{
	const struct sk_loader_reserved r[] = {
		{0xe0000, 0x2000, SK_LOADER_MEMORY_ACPI},	     /* over the BIOS area */
		{0xbfff0000, 0x20000, SK_LOADER_MEMORY_NVS},	     /* half RAM, half hole */
		{0xc0000000, 0x10000000, SK_LOADER_MEMORY_RESERVED}, /* loses to the one before */
		{0xfec00000, 0x1000, SK_LOADER_MEMORY_RESERVED},     /* in the hole */
		{6 * SK_GIB, 0x1000, SK_LOADER_MEMORY_RESERVED},
	};
	struct memory_map map;
	struct world w;

	(void)state;
	world_open(&w, 6 * SK_GIB, 0);
	w.config.reserved = r;
	w.config.nr_reserved = SK_ARRAY_SIZE(r);
	assert_int_equal(sk_loader_memory_map(w.gm, &w.config, &map, &w.err), 0);
	assert_int_equal(map.nr_entries, 11);
	expect_entry(&map, 0, 0, 0x9fc00, 1);
	expect_entry(&map, 1, 0x9fc00, 0xa0000, 2);
	expect_entry(&map, 2, 0xe0000, 0xe2000, 3);
	expect_entry(&map, 3, 0xe2000, 0x100000, 2);
	expect_entry(&map, 4, 0x100000, 0xbfff0000, 1);
	expect_entry(&map, 5, 0xbfff0000, 0xc0010000, 4);
	expect_entry(&map, 6, 0xc0010000, 0xd0000000, 2);
	expect_entry(&map, 7, 0xfec00000, 0xfec01000, 2);
	expect_entry(&map, 8, 4 * SK_GIB, 6 * SK_GIB, 1);
	expect_entry(&map, 9, 6 * SK_GIB, 6 * SK_GIB + 0x1000, 2);
	expect_entry(&map, 10, 6 * SK_GIB + 0x1000, 7 * SK_GIB, 1);
	world_close(&w);
}

/* Many regions with gaps, each cut by what is reserved: bounded. */
static void memory_map_has_a_bound(void **state)
{
	struct sk_gmem_region_config regions[SK_GMEM_MAX_REGIONS];
	const struct sk_gmem_config config = {.regions = regions,
					      .nr_regions = SK_ARRAY_SIZE(regions)};
	struct memory_map map;
	struct world w;
	size_t i;

	(void)state;
	for (i = 0; i < SK_ARRAY_SIZE(regions); i++)
		regions[i] =
			(struct sk_gmem_region_config){.gpa = 2 * i * SK_MIB, .size_bytes = SK_MIB};
	world_open(&w, RAM, 0);
	sk_gmem_destroy(w.gm);
	assert_int_equal(sk_gmem_create(&w.gm, &config, &w.err), 0);
	assert_int_equal(sk_loader_memory_map(w.gm, &w.config, &map, &w.err), 0);
	assert_int_equal(map.nr_entries, SK_ARRAY_SIZE(regions) + 2);
	world_close(&w);
}

/* Adjacent regions are one stretch of RAM: a segment and an initrd may lie across them. */
static void adjacent_regions_are_one(void **state)
{
	const struct sk_gmem_region_config regions[] = {
		{.gpa = 0, .size_bytes = 2 * SK_MIB + 0x1000},
		{.gpa = 2 * SK_MIB + 0x1000, .size_bytes = 0x3000},
		{.gpa = 2 * SK_MIB + 0x4000, .size_bytes = SK_MIB},
	};
	const struct sk_gmem_config config = {.regions = regions,
					      .nr_regions = SK_ARRAY_SIZE(regions)};
	static const uint8_t initrd[1536 * SK_KIB] = {[1024 * 1024] = 7};
	struct blob b;
	struct world w;

	(void)state;
	build_elf(&b, &(struct elf_recipe){.has_pvh = true});
	world_open(&w, RAM, 0);
	sk_gmem_destroy(w.gm);
	assert_int_equal(sk_gmem_create(&w.gm, &config, &w.err), 0);
	w.config.is_fresh = true;
	world_load_ok(&w, &b);
	assert_memory_equal(guest(&w, ELF_TEXT_GPA, 0x1000), b.bytes + ELF_TEXT_AT, 0x1000);
	assert_memory_equal(guest(&w, ELF_TEXT_GPA + 0x1000, ELF_TEXT_BYTES - 0x1000),
			    b.bytes + ELF_TEXT_AT + 0x1000, ELF_TEXT_BYTES - 0x1000);

	/* Below the kernel there are 1 MiB from 1 MiB on; above it, too little. */
	world_set_initrd(&w, initrd, sizeof(initrd));
	assert_int_equal(world_load(&w, &b), -ENOMEM);
	world_set_initrd(&w, initrd, 0xff800);
	world_load_ok(&w, &b);
	assert_int_equal(w.entry.initrd_gpa, SK_MIB);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(protocols_have_names),
		cmocka_unit_test(files_that_cannot_be_kernels),
		cmocka_unit_test(missing_initrd),
		cmocka_unit_test(configuration_is_checked),
		cmocka_unit_test(memory_map_of_6_gib),
		cmocka_unit_test(memory_map_has_a_bound),
		cmocka_unit_test(adjacent_regions_are_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
