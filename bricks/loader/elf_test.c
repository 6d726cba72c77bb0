/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* ELF files: segments, notes, the PVH protocol, the Linux protocol for an uncompressed kernel. */
#include "test_world.h"

#define RAM	    (16 * SK_MIB)
#define PHDR(i, f)  (sizeof(Elf64_Ehdr) + (i) * sizeof(Elf64_Phdr) + offsetof(Elf64_Phdr, f))
#define EHDR(f)	    offsetof(Elf64_Ehdr, f)
#define NOTE_PVH_AT (ELF_NOTES_AT + 24) /* behind the GNU note */

static void assert_elf_loaded(const struct world *w, const struct blob *b)
{
	assert_memory_equal(guest(w, ELF_TEXT_GPA, ELF_TEXT_BYTES), b->bytes + ELF_TEXT_AT,
			    ELF_TEXT_BYTES);
	assert_memory_equal(guest(w, ELF_DATA_GPA, ELF_DATA_BYTES), b->bytes + ELF_DATA_AT,
			    ELF_DATA_BYTES);
	assert_guest_zero(w, ELF_DATA_GPA + ELF_DATA_BYTES, ELF_DATA_MEM - ELF_DATA_BYTES);
	assert_int_equal(*guest(w, ELF_DATA_GPA + ELF_DATA_MEM, 1), STALE);
	assert_int_equal(*guest(w, ELF_TEXT_GPA - 1, 1), STALE);
	assert_int_equal(w->entry.kernel_gpa, ELF_TEXT_GPA);
	assert_int_equal(w->entry.kernel_end_gpa, ELF_DATA_GPA + ELF_DATA_MEM);
	assert_int_equal(w->entry.lowest_gpa, SK_LOADER_GDT_GPA);
}

static void pvh_start_info_is_complete(void **state)
{
	static const uint8_t initrd[5000] = {1, 2, [4999] = 3};
	static const struct sk_loader_reserved acpi = {0xe0000, 0x1000, SK_LOADER_MEMORY_ACPI};
	const struct elf_recipe recipe = {.has_pvh = true, .has_linux_note = true};
	struct hvm_memmap_table_entry map[8];
	struct hvm_modlist_entry module;
	struct hvm_start_info info;
	struct blob b;
	struct world w;

	(void)state;
	build_elf(&b, &recipe);
	world_open(&w, RAM, RAM);
	w.config.cmdline = "console=ttyS0";
	w.config.rsdp_gpa = 0xe0000;
	w.config.reserved = &acpi;
	w.config.nr_reserved = 1;
	world_set_initrd(&w, initrd, sizeof(initrd));
	world_load_ok(&w, &b);
	assert_elf_loaded(&w, &b);
	assert_int_equal(w.entry.mode, SK_LOADER_PROTECTED32);
	assert_int_equal(w.entry.protocol, SK_LOADER_PVH);
	assert_string_equal(w.entry.format, "ELF64, PVH");
	assert_int_equal(w.entry.rip, ELF_TEXT_GPA + 0x20);
	assert_int_equal(w.entry.rsp, SK_LOADER_STACK_GPA);
	assert_int_equal(w.entry.cr3, 0);

	assert_int_equal(w.entry.rbx, SK_LOADER_INFO_GPA);
	memcpy(&info, guest(&w, w.entry.rbx, sizeof(info)), sizeof(info));
	assert_int_equal(info.magic, 0x336ec578);
	assert_int_equal(info.version, 1);
	assert_int_equal(info.flags, 0);
	assert_int_equal(info.rsdp_paddr, 0xe0000);
	assert_string_equal(guest(&w, info.cmdline_paddr, 64), "console=ttyS0");

	assert_int_equal(info.nr_modules, 1);
	memcpy(&module, guest(&w, info.modlist_paddr, sizeof(module)), sizeof(module));
	assert_int_equal(module.size, sizeof(initrd));
	assert_int_equal(module.paddr, RAM - 0x2000);
	assert_int_equal(module.paddr, w.entry.initrd_gpa);
	assert_int_equal(w.entry.highest_gpa, RAM);
	assert_memory_equal(guest(&w, module.paddr, sizeof(initrd)), initrd, sizeof(initrd));
	assert_guest_zero(&w, module.paddr + sizeof(initrd), 0x2000 - sizeof(initrd));

	assert_int_equal(info.memmap_entries, 5);
	memcpy(map, guest(&w, info.memmap_paddr, sizeof(map)), sizeof(map));
	assert_int_equal(map[0].addr, 0);
	assert_int_equal(map[0].size, 0x9fc00);
	assert_int_equal(map[0].type, 1);
	assert_int_equal(map[1].addr, 0x9fc00);
	assert_int_equal(map[1].type, 2);
	assert_int_equal(map[2].addr, 0xe0000);
	assert_int_equal(map[2].size, 0x1000);
	assert_int_equal(map[2].type, 3);
	assert_int_equal(map[3].addr, 0xe1000);
	assert_int_equal(map[3].size, 0x1f000);
	assert_int_equal(map[3].type, 2);
	assert_int_equal(map[4].addr, 0x100000);
	assert_int_equal(map[4].size, RAM - 0x100000);
	assert_int_equal(map[4].type, 1);
	world_close(&w);
}

static void pvh_without_initrd_and_32_bit(void **state)
{
	const struct elf_recipe recipe = {.is_32 = true, .has_pvh = true};
	struct hvm_start_info info;
	struct blob b;
	struct world w;

	(void)state;
	build_elf(&b, &recipe);
	world_open(&w, RAM, RAM);
	world_load_ok(&w, &b);
	assert_elf_loaded(&w, &b);
	assert_string_equal(w.entry.format, "ELF32, PVH");
	memcpy(&info, guest(&w, w.entry.rbx, sizeof(info)), sizeof(info));
	assert_int_equal(info.nr_modules, 0);
	assert_int_equal(info.modlist_paddr, 0);
	assert_string_equal(guest(&w, info.cmdline_paddr, 1), "");
	assert_int_equal(w.entry.initrd_bytes, 0);
	world_close(&w);
}

static void linux_elf_has_a_zero_page(void **state)
{
	const struct elf_recipe recipe = {.has_linux_note = true};
	struct boot_params bp;
	struct blob b;
	struct world w;

	(void)state;
	build_elf(&b, &recipe);
	world_open(&w, RAM, RAM);
	w.config.cmdline = "quiet";
	world_load_ok(&w, &b);
	assert_elf_loaded(&w, &b);
	assert_int_equal(w.entry.mode, SK_LOADER_LONG64);
	assert_int_equal(w.entry.protocol, SK_LOADER_LINUX64);
	assert_int_equal(w.entry.rip, ELF_TEXT_GPA + 0x10);
	memcpy(&bp, guest(&w, w.entry.rsi, sizeof(bp)), sizeof(bp));
	assert_int_equal(bp.hdr.boot_flag, 0xaa55);
	assert_int_equal(bp.hdr.header, 0x53726448);
	assert_int_equal(bp.hdr.type_of_loader, 0xff);
	assert_string_equal(guest(&w, bp.hdr.cmd_line_ptr, 8), "quiet");
	assert_int_equal(bp.hdr.ramdisk_size, 0);
	assert_int_equal(bp.e820_entries, 4);
	world_close(&w);
}

static void auto_takes_only_kernels(void **state)
{
	const struct elf_recipe program = {0};
	struct elf_recipe recipe = {.has_pvh = true, .has_multiboot = true};
	struct blob b;
	struct world w;

	(void)state;
	world_open(&w, RAM, RAM);
	build_elf(&b, &program);
	world_load_fails(&w, &b, -ENOEXEC, "not a kernel that starts here");
	w.config.protocol = SK_LOADER_PVH;
	world_load_fails(&w, &b, -ENOEXEC, "no PVH note");
	w.config.protocol = SK_LOADER_MULTIBOOT;
	world_load_fails(&w, &b, -ENOEXEC, "no multiboot header");
	w.config.protocol = SK_LOADER_LINUX64; /* whoever insists gets it */
	world_load_ok(&w, &b);

	/* PVH goes before multiboot, unless multiboot is asked for. */
	build_elf(&b, &recipe);
	w.config.protocol = SK_LOADER_AUTO;
	world_load_ok(&w, &b);
	assert_int_equal(w.entry.protocol, SK_LOADER_PVH);
	w.config.protocol = SK_LOADER_MULTIBOOT;
	world_load_ok(&w, &b);
	assert_int_equal(w.entry.protocol, SK_LOADER_MULTIBOOT);

	recipe.is_32 = true;
	build_elf(&b, &recipe);
	w.config.protocol = SK_LOADER_LINUX64;
	world_load_fails(&w, &b, -ENOEXEC, "32-bit");
	world_close(&w);
}

static void command_lines_have_limits(void **state)
{
	struct elf_recipe recipe = {.has_pvh = true, .has_linux_note = true};
	struct blob b;
	struct world w;
	char line[20000];

	(void)state;
	memset(line, 'x', sizeof(line));
	line[2048] = '\0';
	build_elf(&b, &recipe);
	world_open(&w, RAM, 0);
	w.config.cmdline = line;
	world_load_fails(&w, &b, -E2BIG, "has 2048 bytes; this kernel takes at most 2047");
	w.config.protocol = SK_LOADER_LINUX64;
	world_load_fails(&w, &b, -E2BIG, "at most 2047");
	line[2047] = '\0';
	world_load_ok(&w, &b);
	w.config.protocol = SK_LOADER_AUTO;
	world_load_ok(&w, &b);

	/* A guest that is not Linux has more room. */
	memset(line, 'x', sizeof(line));
	line[16383] = '\0';
	recipe.has_linux_note = false;
	build_elf(&b, &recipe);
	world_load_ok(&w, &b);
	line[16383] = 'x';
	line[16384] = '\0';
	world_load_fails(&w, &b, -E2BIG, "at most 16383");
	world_close(&w);
}

static void damaged_headers_end_in_a_sentence(void **state)
{
	static const struct damage damages[] = {
		{8, 0, 0, -ENOEXEC, "ELF identification: needs"},
		{40, 0, 0, -ENOEXEC, "ELF header: needs 0x40 bytes at offset 0x0"},
		{100, 0, 0, -ENOEXEC, "ELF program headers: needs"},
		{EI_CLASS, 1, 7, -ENOEXEC, "offset 0x4: unknown class 7"},
		{EI_DATA, 1, ELFDATA2MSB, -ENOEXEC, "offset 0x5: not little-endian"},
		{EHDR(e_type), 2, ET_CORE, -ENOEXEC, "offset 0x10: type 4"},
		{EHDR(e_machine), 2, EM_AARCH64, -ENOEXEC, "machine 183 is not x86"},
		{EHDR(e_machine), 2, EM_386, -ENOEXEC, "64-bit file for i386"},
		{EHDR(e_phnum), 2, 0, -ENOEXEC, "0 program headers"},
		{EHDR(e_phnum), 2, 0xffff, -ENOEXEC, "offset 0x38: 65535 program headers"},
		{EHDR(e_phentsize), 2, 0, -ENOEXEC, "program headers of 0 bytes, not 56"},
		{EHDR(e_phentsize), 2, 0xffff, -ENOEXEC, "of 65535 bytes"},
		{EHDR(e_phoff), 8, UINT64_MAX, -ENOEXEC, "at offset 0xffffffffffffffff"},
		{EHDR(e_phoff), 8, ELF_BYTES - 8, -ENOEXEC, "the file ends at 0x3800"},
		{PHDR(0, p_offset), 8, UINT64_MAX - 4, -ENOEXEC,
		 "program header 0 at offset 0x40: the segment's bytes reach beyond the file"},
		{PHDR(2, p_filesz), 8, UINT64_MAX, -ENOEXEC, "program header 2 at offset 0xb0: "},
		{PHDR(2, p_filesz), 8, 0x801, -ENOEXEC, "which ends at 0x3800"},
		{PHDR(2, p_memsz), 8, 0x7ff, -ENOEXEC, "larger in the file than in memory"},
		{PHDR(2, p_memsz), 8, UINT64_MAX, -ENOEXEC, "wraps around"},
		{PHDR(2, p_memsz), 8, UINT64_MAX / 2, -ENOEXEC, "does not lie below 4 GiB"},
		{PHDR(2, p_paddr), 8, UINT64_MAX, -ENOEXEC, "wraps around"},
		{PHDR(2, p_paddr), 8, 4 * SK_GIB, -ENOEXEC, "does not lie below 4 GiB"},
		{PHDR(2, p_paddr), 8, RAM - 0x1000, -ENOMEM,
		 "program header 2 at offset 0xb0: a kernel segment ends at 0x1002456, beyond the "
		 "guest's RAM (16 MiB)"},
		{PHDR(2, p_paddr), 8, 0xc0000000, -ENOMEM, "beyond the guest's RAM"},
		{PHDR(2, p_paddr), 8, ELF_TEXT_GPA + ELF_TEXT_BYTES - 1, -ENOMEM,
		 "overlaps a kernel segment at 0x200000-0x202000"},
		{PHDR(0, p_paddr), 8, 0, -ENOEXEC, "PVH note: entry 0x200020 is not within"},
		{PHDR(2, p_paddr), 8, 0, -ENOMEM, "overlaps the real-mode vectors"},
		{PHDR(2, p_paddr), 8, 0x3000, -ENOMEM, "overlaps the boot stack"},
		{PHDR(2, p_paddr), 8, 0x9f000, -ENOMEM, "overlaps the BIOS area"},
		{PHDR(2, p_paddr), 8, 0x20000, -ENOMEM, "overlaps the area of the command line"},
		{PHDR(1, p_filesz), 8, SK_GIB, -ENOEXEC, "program header 1 at offset 0x78"},
		{PHDR(1, p_filesz), 8, 14, -ENOEXEC, "ELF note at offset 0x200: it reaches"},
		{ELF_NOTES_AT, 4, UINT32_MAX, -ENOEXEC, "ELF note at offset 0x200: it reaches"},
		{ELF_NOTES_AT + 4, 4, UINT32_MAX, -ENOEXEC, "ELF note at offset 0x200: it reaches"},
		{NOTE_PVH_AT + 4, 4, 2, -ENOEXEC, "an entry of 2 bytes, not 4 or 8"},
		{NOTE_PVH_AT + 16, 8, UINT64_C(1) << 32, -ENOEXEC,
		 "entry 0x100000000 is beyond 4 GiB"},
		{NOTE_PVH_AT + 16, 8, 0x1000, -ENOEXEC, "entry 0x1000 is not within a segment"},
	};
	const struct elf_recipe recipe = {.has_pvh = true};
	struct blob b;
	struct world w;

	(void)state;
	build_elf(&b, &recipe);
	world_open(&w, RAM, 0);
	try_damages(&w, &b, damages, SK_ARRAY_SIZE(damages));
	try_truncations(&w, &b);

	/* Nothing to load at all. */
	b.bytes[PHDR(0, p_type)] = PT_NULL;
	b.bytes[PHDR(2, p_type)] = PT_NULL;
	world_load_fails(&w, &b, -ENOEXEC, "nothing to load");
	world_close(&w);
}

static void notes_have_a_bound(void **state)
{
	const struct elf_recipe recipe = {.has_pvh = true};
	static const size_t at = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr);
	Elf64_Phdr note = {.p_type = PT_NOTE, .p_filesz = 64 * 1024 + 1, .p_align = 4};
	uint8_t *big = calloc(1, 80 * 1024);
	struct blob b;
	struct world w;

	(void)state;
	build_elf(&b, &recipe);
	memcpy(b.bytes + at, &note, sizeof(note));
	memcpy(big, b.bytes, b.len_bytes);
	world_open(&w, RAM, 0);
	w.config.kernel_fd = file_of(big, 80 * 1024);
	assert_int_equal(sk_loader_load(&w.entry, w.gm, &w.config, &w.err), -ENOEXEC);
	assert_non_null(strstr(w.err.message, "more than any kernel has"));
	free(big);
	world_close(&w);
}

static void small_guests_get_a_sentence(void **state)
{
	static const uint64_t sizes[] = {4096, 64 * SK_KIB, 192 * SK_KIB, SK_MIB, 2 * SK_MIB};
	const struct elf_recipe recipe = {.has_pvh = true};
	struct blob b;
	struct world w;
	size_t i;

	(void)state;
	build_elf(&b, &recipe);
	for (i = 0; i < SK_ARRAY_SIZE(sizes); i++) {
		world_open(&w, sizes[i], 0);
		assert_int_equal(world_load(&w, &b), -ENOMEM);
		assert_non_null(strstr(w.err.message, "beyond the guest's RAM"));
		world_close(&w);
	}
	world_open(&w, 3 * SK_MIB, 0);
	world_load_ok(&w, &b);
	world_close(&w);
}

static void fresh_memory_is_not_touched(void **state)
{
	const struct elf_recipe recipe = {.has_pvh = true};
	struct blob b;
	struct world w;

	(void)state;
	build_elf(&b, &recipe);
	world_open(&w, RAM, RAM);
	w.config.is_fresh = true; /* a lie, to see what is left alone */
	world_load_ok(&w, &b);
	assert_int_equal(*guest(&w, ELF_DATA_GPA + ELF_DATA_BYTES, 1), STALE);
	w.config.is_fresh = false; /* a reboot */
	world_load_ok(&w, &b);
	assert_elf_loaded(&w, &b);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pvh_start_info_is_complete),
		cmocka_unit_test(pvh_without_initrd_and_32_bit),
		cmocka_unit_test(linux_elf_has_a_zero_page),
		cmocka_unit_test(auto_takes_only_kernels),
		cmocka_unit_test(command_lines_have_limits),
		cmocka_unit_test(damaged_headers_end_in_a_sentence),
		cmocka_unit_test(notes_have_a_bound),
		cmocka_unit_test(small_guests_get_a_sentence),
		cmocka_unit_test(fresh_memory_is_not_touched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
