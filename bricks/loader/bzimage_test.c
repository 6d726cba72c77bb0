/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* bzImages: the 64-bit entry, the zero page, page tables, initrd placement, the payload. */
#include "test_world.h"

#define RAM	(16 * SK_MIB)
#define PRESENT 1
#define LARGE	0x80

/* Walks the page tables as a CPU does. */
static bool translate(const struct world *w, uint64_t va, uint64_t *pa)
{
	uint64_t table = w->entry.cr3, pte = 0;
	int level;

	for (level = 3; level >= 1; level--) {
		pte = sk_load_le64(guest(w, table + (va >> (12 + 9 * level) & 511) * 8, 8));
		if (!(pte & PRESENT))
			return false;
		table = pte & UINT64_C(0x000ffffffffff000);
	}
	assert_true(pte & LARGE);
	*pa = (table & ~UINT64_C(0x1fffff)) | (va & 0x1fffff);
	return true;
}

static void page_tables_map_4_gib(void **state)
{
	struct blob b;
	struct world w;
	uint64_t va, pa;

	(void)state;
	build_bzimage(&b, PACK_LZ4, NULL);
	world_open(&w, RAM, RAM);
	world_load_ok(&w, &b);
	for (va = 0; va < 4 * SK_GIB; va += SK_MIB + 0x1000) {
		assert_true(translate(&w, va, &pa));
		assert_int_equal(pa, va);
	}
	assert_false(translate(&w, 4 * SK_GIB, &pa));
	assert_false(translate(&w, UINT64_C(0xffffffff81000000), &pa));
	world_close(&w);
}

static void gdt_suits_the_mode(void **state)
{
	struct blob b, elf;
	struct world w;

	(void)state;
	build_elf(&elf, &(struct elf_recipe){.has_pvh = true});
	build_bzimage(&b, PACK_LZ4, &elf);
	world_open(&w, RAM, RAM);
	world_load_ok(&w, &b);
	assert_int_equal(w.entry.gdt_gpa, SK_LOADER_GDT_GPA);
	assert_int_equal(w.entry.gdt_limit, 6 * 8 - 1);
	/* L set, D clear; limit 0xfffff pages; present, code, readable */
	assert_true(sk_load_le64(guest(&w, SK_LOADER_GDT_GPA + SK_LOADER_SELECTOR_CODE, 8)) ==
		    UINT64_C(0x00af9b000000ffff));
	assert_true(sk_load_le64(guest(&w, SK_LOADER_GDT_GPA + SK_LOADER_SELECTOR_DATA, 8)) ==
		    UINT64_C(0x00cf93000000ffff));
	assert_true(sk_load_le64(guest(&w, SK_LOADER_GDT_GPA + SK_LOADER_SELECTOR_TSS, 8)) ==
		    UINT64_C(0x00008b0000000067));
	assert_guest_zero(&w, SK_LOADER_GDT_GPA, 16);
	assert_guest_zero(&w, SK_LOADER_GDT_GPA + SK_LOADER_SELECTOR_TSS + 8, 8);
	w.config.protocol = SK_LOADER_PVH;
	world_load_ok(&w, &b);
	/* L clear, D set */
	assert_true(sk_load_le64(guest(&w, SK_LOADER_GDT_GPA + SK_LOADER_SELECTOR_CODE, 8)) ==
		    UINT64_C(0x00cf9b000000ffff));
	world_close(&w);
}

static void zero_page_is_complete(void **state)
{
	static const uint8_t initrd[0x1234] = {9, 8, [0x1233] = 7};
	struct boot_params bp;
	struct blob b;
	struct world w;
	size_t prot;

	(void)state;
	build_bzimage(&b, PACK_LZ4, NULL);
	sk_store_le64(b.bytes + BZ_HDR(setup_data), 0x1234);
	prot = b.len_bytes - BZ_SETUP_BYTES;
	b.len_bytes += 99; /* a signature behind the kernel */
	memset(b.bytes + b.len_bytes - 99, 0xee, 99);
	world_open(&w, RAM, RAM);
	w.config.cmdline = "root=/dev/vda ro";
	w.config.rsdp_gpa = 0xe0040;
	world_set_initrd(&w, initrd, sizeof(initrd));
	world_load_ok(&w, &b);

	assert_int_equal(w.entry.mode, SK_LOADER_LONG64);
	assert_int_equal(w.entry.protocol, SK_LOADER_LINUX64);
	assert_string_equal(w.entry.format, "bzImage, 64-bit entry");
	assert_int_equal(w.entry.rip, BZ_PREF_GPA + 0x200);
	assert_int_equal(w.entry.rsi, SK_LOADER_INFO_GPA);
	assert_int_equal(w.entry.kernel_gpa, BZ_PREF_GPA);
	assert_int_equal(w.entry.kernel_end_gpa, BZ_PREF_GPA + BZ_INIT_BYTES);
	assert_memory_equal(guest(&w, BZ_PREF_GPA, prot), b.bytes + BZ_SETUP_BYTES, prot);
	assert_int_equal(*guest(&w, BZ_PREF_GPA + prot, 1), STALE); /* the signature stays out */

	memcpy(&bp, guest(&w, w.entry.rsi, sizeof(bp)), sizeof(bp));
	assert_int_equal(bp.hdr.version, 0x020f);
	assert_int_equal(bp.hdr.type_of_loader, 0xff);
	assert_int_equal(bp.hdr.loadflags, LOADED_HIGH);
	assert_int_equal(bp.hdr.code32_start, BZ_PREF_GPA);
	assert_int_equal(bp.hdr.init_size, BZ_INIT_BYTES);
	assert_int_equal(bp.hdr.setup_data, 0);
	assert_int_equal(bp.sentinel, 0);
	assert_int_equal(bp.acpi_rsdp_addr, 0xe0040);
	assert_string_equal(guest(&w, bp.hdr.cmd_line_ptr, 32), "root=/dev/vda ro");
	assert_int_equal(bp.ext_cmd_line_ptr, 0);
	assert_int_equal(bp.hdr.ramdisk_image, RAM - 0x2000);
	assert_int_equal(bp.hdr.ramdisk_size, sizeof(initrd));
	assert_int_equal(bp.ext_ramdisk_image | bp.ext_ramdisk_size, 0);
	assert_memory_equal(guest(&w, bp.hdr.ramdisk_image, sizeof(initrd)), initrd,
			    sizeof(initrd));

	assert_int_equal(bp.e820_entries, 4);
	assert_int_equal(bp.e820_table[0].addr, 0);
	assert_int_equal(bp.e820_table[0].size, 0x9fc00);
	assert_int_equal(bp.e820_table[0].type, 1);
	assert_int_equal(bp.e820_table[1].size, 0x400);
	assert_int_equal(bp.e820_table[1].type, 2);
	assert_int_equal(bp.e820_table[2].addr, 0xe0000);
	assert_int_equal(bp.e820_table[2].type, 2);
	assert_int_equal(bp.e820_table[3].addr, SK_MIB);
	assert_int_equal(bp.e820_table[3].size, RAM - SK_MIB);
	world_close(&w);
}

static void kernel_moves_out_of_the_way(void **state)
{
	const struct sk_loader_reserved r = {BZ_PREF_GPA + 0x5000, 0x1000, SK_LOADER_MEMORY_NVS};
	struct blob b;
	struct world w;

	(void)state;
	build_bzimage(&b, PACK_LZ4, NULL);
	world_open(&w, RAM, 0);
	w.config.reserved = &r;
	w.config.nr_reserved = 1;
	world_load_ok(&w, &b);
	assert_int_equal(w.entry.kernel_gpa, BZ_PREF_GPA + BZ_ALIGNMENT);
	assert_int_equal(w.entry.rip, BZ_PREF_GPA + BZ_ALIGNMENT + 0x200);
	b.bytes[BZ_HDR(relocatable_kernel)] = 0;
	world_load_fails(&w, &b, -ENOMEM, "overlaps a range reserved for the platform");
	world_close(&w);

	world_open(&w, 2 * SK_MIB, 0);
	world_load_fails(&w, &b, -ENOMEM,
			 "offset 0x400: the kernel with the memory it needs to start ends at "
			 "0x254321, beyond the guest's RAM (2 MiB)");
	world_close(&w);
}

static void initrd_stays_below_its_limit(void **state)
{
	static const uint8_t initrd[3 * SK_MIB] = {1, [3 * SK_MIB - 1] = 2};
	const struct sk_loader_reserved r = {6 * SK_MIB, 0x1000, SK_LOADER_MEMORY_ACPI};
	struct boot_params bp;
	struct blob b;
	struct world w;

	(void)state;
	build_bzimage(&b, PACK_LZ4, NULL);
	sk_store_le32(b.bytes + BZ_HDR(initrd_addr_max), 8 * SK_MIB - 1);
	world_open(&w, RAM, 0);
	w.config.reserved = &r;
	w.config.nr_reserved = 1;
	world_set_initrd(&w, initrd, sizeof(initrd));
	world_load_ok(&w, &b);
	assert_int_equal(w.entry.initrd_gpa, 3 * SK_MIB); /* 5..8 MiB holds a reserved page */
	memcpy(&bp, guest(&w, w.entry.rsi, sizeof(bp)), sizeof(bp));
	assert_int_equal(bp.hdr.ramdisk_image, 3 * SK_MIB);

	/* No room below the limit: above it only if the kernel says that it can. */
	sk_store_le32(b.bytes + BZ_HDR(initrd_addr_max), 4 * SK_MIB - 1);
	world_load_ok(&w, &b);
	assert_int_equal(w.entry.initrd_gpa, RAM - 3 * SK_MIB);
	sk_store_le16(b.bytes + BZ_HDR(xloadflags), XLF_KERNEL_64);
	assert_int_equal(world_load(&w, &b), -ENOMEM);
	assert_string_equal(w.err.message,
			    "initrd " INITRD_PATH ": its 0x300000 bytes fit nowhere below 0x400000 "
			    "beside the kernel: the guest's RAM (16 MiB) is too small");
	world_close(&w);
}

static void initrd_goes_above_4_gib(void **state)
{
	static const uint8_t initrd[3 * SK_MIB] = {1, [3 * SK_MIB - 1] = 2};
	const struct sk_gmem_region_config regions[] = {
		{.gpa = 0, .size_bytes = 4 * SK_MIB},
		{.gpa = 5 * SK_GIB, .size_bytes = 4 * SK_MIB},
	};
	const struct sk_gmem_config config = {.regions = regions, .nr_regions = 2};
	struct boot_params bp;
	struct blob b;
	struct world w;

	(void)state;
	build_bzimage(&b, PACK_LZ4, NULL);
	world_open(&w, RAM, 0);
	sk_gmem_destroy(w.gm);
	assert_int_equal(sk_gmem_create(&w.gm, &config, &w.err), 0);
	world_set_initrd(&w, initrd, sizeof(initrd));
	world_load_ok(&w, &b);
	memcpy(&bp, guest(&w, w.entry.rsi, sizeof(bp)), sizeof(bp));
	assert_int_equal(w.entry.initrd_gpa, 5 * SK_GIB + SK_MIB);
	assert_int_equal(bp.ext_ramdisk_image, 1);
	assert_int_equal(bp.hdr.ramdisk_image, SK_GIB + SK_MIB);
	assert_int_equal(w.entry.highest_gpa, 5 * SK_GIB + 4 * SK_MIB);
	assert_memory_equal(guest(&w, w.entry.initrd_gpa, sizeof(initrd)), initrd, sizeof(initrd));
	assert_int_equal(bp.e820_entries, 5);
	assert_true(bp.e820_table[4].addr == 5 * SK_GIB);
	world_close(&w);
}

static void damaged_headers_end_in_a_sentence(void **state)
{
	static const struct damage damages[] = {
		{0x206, 0, 0, -ENOEXEC, "bzImage header: needs"},
		{0x260, 0, 0, -ENOEXEC, "bzImage header: needs"},
		{0x300, 0, 0, -ENOEXEC,
		 "offset 0x1f1: 1 setup sectors, but the file ends at 0x300"},
		{BZ_SETUP_BYTES, 0, 0, -ENOEXEC, "offset 0x1f1: 1 setup sectors"},
		{BZ_SETUP_BYTES + 1, 0, 0, -ENOEXEC, "offset 0x1f4: a kernel of 0x400 bytes"},
		{BZ_HDR(setup_sects), 1, 0, -ENOEXEC, "4 setup sectors"},
		{BZ_HDR(setup_sects), 1, 255, -ENOEXEC, "255 setup sectors"},
		{BZ_HDR(syssize), 4, UINT32_MAX, -ENOEXEC, "a kernel of 0xffffffff0 bytes"},
		{BZ_HDR(syssize), 4, 0x20, -ENOEXEC, "a kernel of 0x200 bytes does not reach to"},
		{BZ_HDR(syssize), 4, 0, -ENOEXEC, "a kernel of 0x0 bytes"},
		{BZ_HDR(version), 2, 0x0205, -ENOTSUP, "boot protocol 2.05 is older"},
		{BZ_HDR(version), 2, 0x020b, -ENOTSUP, "no 64-bit entry (boot protocol 2.11"},
		{BZ_HDR(xloadflags), 2, 0, -ENOTSUP, "offset 0x236: no 64-bit entry"},
		{BZ_HDR(jump) + 1, 1, 0, -ENOEXEC, "offset 0x200: it ends at 0x202"},
		{BZ_HDR(jump) + 1, 1, 0xff, -ENOEXEC, "it ends at 0x301"},
		{BZ_HDR(kernel_alignment), 4, 0, -ENOEXEC, "alignment 0x0 is not a power"},
		{BZ_HDR(kernel_alignment), 4, 0x30000, -ENOEXEC, "alignment 0x30000 is not"},
		{BZ_HDR(kernel_alignment), 4, 0x80000000, -ENOEXEC, "up to 1 GiB"},
		{BZ_HDR(pref_address), 8, UINT64_MAX, -ENOEXEC, "which is not below 4 GiB"},
		{BZ_HDR(pref_address), 8, 4 * SK_GIB - 1, -ENOEXEC, "which is not below 4 GiB"},
		{BZ_HDR(pref_address), 8, 0xe0000000, -ENOMEM, "beyond the guest's RAM"},
		{BZ_HDR(init_size), 4, UINT32_MAX, -ENOEXEC, "it wants 0xffffffff bytes"},
		{BZ_HDR(init_size), 4, 0x10000000, -ENOMEM, "beyond the guest's RAM (16 MiB)"},
		{BZ_HDR(payload_offset), 4, UINT32_MAX, -ENOEXEC, "offset 0x248: a payload of"},
		{BZ_HDR(payload_length), 4, UINT32_MAX, -ENOEXEC, "payload of 0xffffffff bytes"},
		{BZ_HDR(boot_flag), 2, 0, -ENOEXEC, "it is not a kernel"},
		{BZ_HDR(cmdline_size), 4, 5, -E2BIG, "has 6 bytes; this kernel takes at most 5"},
	};
	struct blob b, elf;
	struct world w;

	(void)state;
	build_elf(&elf, &(struct elf_recipe){.has_pvh = true});
	world_open(&w, RAM, 0);
	w.config.cmdline = "single";
	build_bzimage(&b, PACK_LZ4, NULL);
	sk_store_le32(b.bytes + BZ_HDR(payload_offset), 0x100); /* what is there is not looked at */
	sk_store_le32(b.bytes + BZ_HDR(payload_length), 0x80);
	try_damages(&w, &b, damages, SK_ARRAY_SIZE(damages));
	build_bzimage(&b, PACK_LZ4, &elf);
	try_truncations(&w, &b);
	w.config.protocol = SK_LOADER_PVH;
	try_truncations(&w, &b);
	w.config.protocol = SK_LOADER_MULTIBOOT;
	world_load_fails(&w, &b, -ENOEXEC, "does not speak multiboot");
	world_close(&w);
}

static void payload_boots_by_pvh(void **state)
{
	struct blob b, elf;
	struct world w;
	int packing;

	(void)state;
	build_elf(&elf, &(struct elf_recipe){.has_pvh = true});
	world_open(&w, RAM, RAM);
	w.config.protocol = SK_LOADER_PVH;
	for (packing = PACK_LZ4; packing <= PACK_ZSTD; packing++) {
		assert_int_equal(sk_gmem_fill(w.gm, ELF_TEXT_GPA, STALE, SK_MIB), 0);
		build_bzimage(&b, packing, &elf);
		world_load_ok(&w, &b);
		assert_int_equal(w.entry.mode, SK_LOADER_PROTECTED32);
		assert_int_equal(w.entry.rip, ELF_TEXT_GPA + 0x20);
		assert_string_equal(w.entry.format, "bzImage, unpacked, PVH");
		assert_memory_equal(guest(&w, ELF_TEXT_GPA, ELF_TEXT_BYTES),
				    elf.bytes + ELF_TEXT_AT, ELF_TEXT_BYTES);
		assert_guest_zero(&w, ELF_DATA_GPA + ELF_DATA_BYTES, ELF_DATA_MEM - ELF_DATA_BYTES);
	}
	build_elf(&elf, &(struct elf_recipe){0});
	build_bzimage(&b, PACK_LZ4, &elf);
	world_load_fails(&w, &b, -ENOEXEC, "unpacked kernel " KERNEL_PATH ": this ELF file has no");
	build_bzimage(&b, PACK_LZ4, NULL);
	world_load_fails(&w, &b, -ENOTSUP, "it names no payload");
	build_bzimage(&b, PACK_LZ4, &elf);
	b.bytes[BZ_SETUP_BYTES + BZ_PAYLOAD_AT] = 0x77;
	world_load_fails(&w, &b, -ENOTSUP,
			 "offset 0x800: the payload is compressed with something");
	world_close(&w);
}

static void unpack_writes_the_elf_file(void **state)
{
	struct blob b, elf, back;
	struct sk_error err;
	char path[64];
	int fd, out = memfd_create("out", MFD_CLOEXEC);

	(void)state;
	build_elf(&elf, &(struct elf_recipe){.has_pvh = true});
	build_bzimage(&b, PACK_GZIP, &elf);
	fd = file_of(b.bytes, b.len_bytes);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(sk_loader_unpack_bzimage(path, out, &err), 0);
	assert_int_equal(pread(out, back.bytes, sizeof(back.bytes), 0), elf.len_bytes);
	assert_memory_equal(back.bytes, elf.bytes, elf.len_bytes);
	assert_int_equal(sk_loader_unpack_bzimage(path, -1, &err), -EBADF);
	assert_non_null(strstr(err.message, "cannot write it"));
	close(fd);
	fd = file_of(elf.bytes, elf.len_bytes);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(sk_loader_unpack_bzimage(path, out, &err), -ENOEXEC);
	assert_non_null(strstr(err.message, "it is not a bzImage"));
	close(fd);
	close(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(page_tables_map_4_gib),
		cmocka_unit_test(gdt_suits_the_mode),
		cmocka_unit_test(zero_page_is_complete),
		cmocka_unit_test(kernel_moves_out_of_the_way),
		cmocka_unit_test(initrd_stays_below_its_limit),
		cmocka_unit_test(initrd_goes_above_4_gib),
		cmocka_unit_test(damaged_headers_end_in_a_sentence),
		cmocka_unit_test(payload_boots_by_pvh),
		cmocka_unit_test(unpack_writes_the_elf_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
