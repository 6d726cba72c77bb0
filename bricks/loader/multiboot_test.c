/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Multiboot kernels: ELF32, ELF64 and flat ones; modules; the memory map. */
#include "test_world.h"

#define RAM	   (16 * SK_MIB)
#define ADDRESS(i) (FLAT_HEADER_AT + 12 + 4 * (i))
#define FLAGS_AT   (FLAT_HEADER_AT + 4)

static struct multiboot_info info_of(const struct world *w)
{
	struct multiboot_info info;

	assert_int_equal(w->entry.rax, 0x2badb002);
	assert_int_equal(w->entry.rbx, SK_LOADER_INFO_GPA);
	assert_int_equal(w->entry.mode, SK_LOADER_PROTECTED32);
	assert_int_equal(w->entry.protocol, SK_LOADER_MULTIBOOT);
	memcpy(&info, guest(w, w->entry.rbx, sizeof(info)), sizeof(info));
	return info;
}

static void information_is_complete(void **state)
{
	static const uint8_t initrd[0x2345] = {5, [0x2344] = 6};
	struct multiboot_mmap_entry map[4];
	struct multiboot_mod_list module;
	struct multiboot_info info;
	struct blob b;
	struct world w;

	(void)state;
	build_elf(&b, &(struct elf_recipe){.is_32 = true,
					   .has_multiboot = true,
					   .multiboot_flags =
						   MULTIBOOT_PAGE_ALIGN | MULTIBOOT_MEMORY_INFO});
	world_open(&w, RAM, RAM);
	w.config.cmdline = "a b=c";
	world_set_initrd(&w, initrd, sizeof(initrd));
	world_load_ok(&w, &b);
	info = info_of(&w);
	assert_string_equal(w.entry.format, "ELF32, multiboot");
	assert_int_equal(w.entry.rip, ELF_TEXT_GPA + 0x10);
	assert_memory_equal(guest(&w, ELF_TEXT_GPA, ELF_TEXT_BYTES), b.bytes + ELF_TEXT_AT,
			    ELF_TEXT_BYTES);
	assert_guest_zero(&w, ELF_DATA_GPA + ELF_DATA_BYTES, ELF_DATA_MEM - ELF_DATA_BYTES);

	assert_int_equal(info.flags, 1 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9);
	assert_int_equal(info.mem_lower, 639);
	assert_int_equal(info.mem_upper, 15 * 1024);
	assert_string_equal(guest(&w, info.cmdline, 16), "a b=c");
	assert_string_equal(guest(&w, info.boot_loader_name, 16), "Skete");

	assert_int_equal(info.mods_count, 1);
	memcpy(&module, guest(&w, info.mods_addr, sizeof(module)), sizeof(module));
	assert_int_equal(module.mod_start % 4096, 0);
	assert_int_equal(module.mod_end - module.mod_start, sizeof(initrd));
	assert_memory_equal(guest(&w, module.mod_start, sizeof(initrd)), initrd, sizeof(initrd));
	assert_string_equal(guest(&w, module.cmdline, 16), "initrd.img");

	assert_int_equal(info.mmap_length, 4 * 24);
	memcpy(map, guest(&w, info.mmap_addr, sizeof(map)), sizeof(map));
	assert_int_equal(map[0].size, 20);
	assert_int_equal(map[0].len, 0x9fc00);
	assert_int_equal(map[0].type, 1);
	assert_int_equal(map[1].type, 2);
	assert_int_equal(map[3].addr, 0x100000);
	assert_int_equal(map[3].len, RAM - 0x100000);
	assert_int_equal(map[3].type, 1);
	world_close(&w);
}

static void elf64_and_virtual_entry(void **state)
{
	struct multiboot_info info;
	struct blob b;
	struct world w;

	(void)state;
	build_elf(&b, &(struct elf_recipe){.entry = ELF_VADDR_OFFSET + ELF_DATA_GPA + 8,
					   .has_multiboot = true});
	world_open(&w, RAM, RAM);
	world_load_ok(&w, &b);
	info = info_of(&w);
	assert_string_equal(w.entry.format, "ELF64, multiboot");
	assert_int_equal(w.entry.rip, ELF_DATA_GPA + 8);
	assert_int_equal(info.mods_count, 0);
	assert_false(info.flags & MULTIBOOT_INFO_MODS);
	build_elf(&b, &(struct elf_recipe){.entry = 0x1234, .has_multiboot = true});
	world_load_fails(&w, &b, -ENOEXEC, "offset 0x18: entry 0x1234 is not within a segment");
	world_close(&w);
}

static void flat_kernel(void **state)
{
	struct blob b;
	struct world w;

	(void)state;
	build_flat(&b);
	world_open(&w, RAM, RAM);
	world_load_ok(&w, &b);
	(void)info_of(&w);
	assert_string_equal(w.entry.format, "flat binary, multiboot");
	assert_int_equal(w.entry.rip, FLAT_GPA + 0x40);
	assert_memory_equal(guest(&w, FLAT_GPA, FLAT_BYTES), b.bytes, FLAT_BYTES);
	assert_guest_zero(&w, FLAT_GPA + FLAT_BYTES, FLAT_MEM_BYTES - FLAT_BYTES);
	assert_int_equal(*guest(&w, FLAT_GPA + FLAT_MEM_BYTES, 1), STALE);

	/* load_end_addr and bss_end_addr 0: the whole file, no bss */
	sk_store_le32(b.bytes + ADDRESS(2), 0);
	sk_store_le32(b.bytes + ADDRESS(3), 0);
	world_load_ok(&w, &b);
	assert_int_equal(w.entry.kernel_end_gpa, FLAT_GPA + FLAT_BYTES);
	world_close(&w);
}

static void checksum_and_place_decide(void **state)
{
	struct blob b;
	struct world w;

	(void)state;
	world_open(&w, RAM, 0);
	build_flat(&b);
	b.bytes[FLAT_HEADER_AT + 8] ^= 1;
	world_load_fails(&w, &b, -ENOEXEC, "no multiboot header in the first 8 KiB");

	/* The last place is the one that ends at 8 KiB; the next, and odd ones, do not count. */
	blob_reset(&b, 0x3000);
	build_multiboot_header(b.bytes + 8192 - 12, 0);
	world_load_fails(&w, &b, -ENOEXEC, "offset 0x1ff4: no addresses (flag 16)");
	blob_reset(&b, 0x3000);
	build_multiboot_header(b.bytes + 8192 - 8, 0);
	world_load_fails(&w, &b, -ENOEXEC, "it is not a kernel");
	blob_reset(&b, 0x3000);
	build_multiboot_header(b.bytes + 0x102, 0);
	world_load_fails(&w, &b, -ENOEXEC, "it is not a kernel");
	blob_reset(&b, 0x3000);
	build_multiboot_header(b.bytes + 8192 - 12, MULTIBOOT_AOUT_KLUDGE);
	world_load_fails(&w, &b, -ENOEXEC, "do not fit into the first 8 KiB");
	world_close(&w);
}

static void set_flags(struct blob *b, uint32_t flags)
{
	build_multiboot_header(b->bytes + FLAT_HEADER_AT, flags);
}

static void damaged_headers_end_in_a_sentence(void **state)
{
	static const struct damage damages[] = {
		{ADDRESS(0), 4, FLAT_GPA - 1, -ENOEXEC, "offset 0x20: load_addr is not where"},
		{ADDRESS(0), 4, UINT32_MAX, -ENOEXEC, "load_addr is not where"},
		{ADDRESS(1), 4, UINT32_MAX, -ENOEXEC, "load_addr is not where"},
		{ADDRESS(1), 4, 0, -ENOEXEC, "load_addr is not where"},
		{ADDRESS(2), 4, 1, -ENOEXEC, "load_end_addr lies before load_addr: 0x1"},
		{ADDRESS(2), 4, FLAT_GPA + FLAT_BYTES + 1, -ENOEXEC, "the file is too short"},
		{ADDRESS(2), 4, UINT32_MAX, -ENOEXEC, "the file is too short"},
		{ADDRESS(3), 4, FLAT_GPA + 1, -ENOEXEC, "bss_end_addr lies before"},
		{ADDRESS(3), 4, UINT32_MAX, -ENOMEM,
		 "offset 0x20: the kernel ends at 0xffffffff, beyond the guest's RAM (16 MiB)"},
		{ADDRESS(4), 4, FLAT_GPA - 1, -ENOEXEC, "entry_addr is not within"},
		{ADDRESS(4), 4, FLAT_GPA + FLAT_MEM_BYTES, -ENOEXEC, "entry_addr is not within"},
		{FLAT_BYTES - 1, 0, 0, -ENOEXEC, "the file is too short"},
		{FLAT_HEADER_AT + 20, 0, 0, -ENOEXEC, "do not fit into the first 8 KiB"},
	};
	struct blob b;
	struct world w;

	(void)state;
	build_flat(&b);
	world_open(&w, RAM, 0);
	try_damages(&w, &b, damages, SK_ARRAY_SIZE(damages));
	try_truncations(&w, &b);
	set_flags(&b, MULTIBOOT_AOUT_KLUDGE | MULTIBOOT_VIDEO_MODE);
	world_load_fails(&w, &b, -ENOEXEC, "it requires a video mode");
	set_flags(&b, MULTIBOOT_AOUT_KLUDGE | 0x8000);
	world_load_fails(&w, &b, -ENOEXEC, "features that are not known: flags 0x18000");
	set_flags(&b, MULTIBOOT_AOUT_KLUDGE | 0x80000000); /* bits that need not be known */
	world_load_ok(&w, &b);
	w.config.protocol = SK_LOADER_PVH;
	world_load_fails(&w, &b, -ENOEXEC, "it is not a kernel");
	world_close(&w);
}

static void a_guest_of_1_mib(void **state)
{
	static const uint8_t initrd[0x3000] = {1};
	struct blob b;
	struct world w;

	(void)state;
	build_flat(&b);
	world_open(&w, SK_MIB, 0);
	world_load_fails(&w, &b, -ENOMEM, "beyond the guest's RAM (1 MiB)");
	/* A kernel that lives in low memory loads, with its module below the EBDA. */
	sk_store_le32(b.bytes + ADDRESS(0), 0x40000 + FLAT_HEADER_AT);
	sk_store_le32(b.bytes + ADDRESS(1), 0x40000);
	sk_store_le32(b.bytes + ADDRESS(2), 0x40000 + FLAT_BYTES);
	sk_store_le32(b.bytes + ADDRESS(3), 0);
	sk_store_le32(b.bytes + ADDRESS(4), 0x40040);
	world_set_initrd(&w, initrd, sizeof(initrd));
	world_load_ok(&w, &b);
	assert_int_equal(w.entry.initrd_gpa, 0x9c000);
	assert_int_equal(info_of(&w).mem_upper, 0);
	assert_int_equal(w.entry.highest_gpa, 0x9f000);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(information_is_complete),
		cmocka_unit_test(elf64_and_virtual_entry),
		cmocka_unit_test(flat_kernel),
		cmocka_unit_test(checksum_and_place_decide),
		cmocka_unit_test(damaged_headers_end_in_a_sentence),
		cmocka_unit_test(a_guest_of_1_mib),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
