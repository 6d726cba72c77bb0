/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The Linux 64-bit boot protocol (Documentation/arch/x86/boot.rst, "64-bit Boot Protocol"): the
 * kernel of a bzImage, entered 0x200 beyond its start, or an uncompressed one, entered where its
 * ELF header says; RSI points to the zero page (zero-page.rst).
 */
#include "loader_internal.h"

#include <asm/bootparam.h>
#include <inttypes.h>

#define ENTRY_64	      0x200
#define LOADER_TYPE_UNDEFINED 0xff
#define ELF_BOOT_FLAG	      0xaa55
#define ELF_HEADER_MAGIC      0x53726448
#define ELF_PROTOCOL	      0x020c
#define ELF_ALIGNMENT	      0x01000000

_Static_assert(sizeof(struct boot_params) == SK_GMEM_PAGE_BYTES, "the zero page is a page");

/* What both kinds of kernel need in the zero page besides their setup header; writes it. */
static int put_zero_page(struct loading *l, struct boot_params *bp, gpa_t cmdline_gpa)
{
	const struct sk_loader_entry *entry = &l->entry;
	struct memory_map map;
	size_t i;
	int rc = sk_loader_memory_map(l->gm, l->config, &map, l->err);

	if (rc)
		return rc;
	_Static_assert(LOADER_MAX_MAP_ENTRIES == E820_MAX_ENTRIES_ZEROPAGE, "a map fits");
	for (i = 0; i < map.nr_entries; i++)
		bp->e820_table[i] = (struct boot_e820_entry){
			.addr = map.entries[i].gpa,
			.size = map.entries[i].len_bytes,
			.type = map.entries[i].type,
		};
	bp->e820_entries = (uint8_t)map.nr_entries;
	bp->acpi_rsdp_addr = l->config->rsdp_gpa;
	bp->hdr.type_of_loader = LOADER_TYPE_UNDEFINED;
	bp->hdr.cmd_line_ptr = (uint32_t)cmdline_gpa;
	bp->hdr.ramdisk_image = (uint32_t)entry->initrd_gpa;
	bp->ext_ramdisk_image = (uint32_t)(entry->initrd_gpa >> 32);
	bp->hdr.ramdisk_size = (uint32_t)entry->initrd_bytes;
	bp->ext_ramdisk_size = (uint32_t)(entry->initrd_bytes >> 32);
	sk_loader_put(l, SK_LOADER_INFO_GPA, bp, sizeof(*bp));
	l->entry.rsi = SK_LOADER_INFO_GPA;
	return 0;
}

/*
 * Where its author wants it, else, if it can be moved, at the next place that is free. Below that
 * a kernel would move itself up again before it does anything else. The sums cannot wrap:
 * parse_placement saw to that.
 */
static int place_bzimage(struct loading *l, const struct bzimage *bz, gpa_t *gpa)
{
	int rc;

	*gpa = bz->pref_gpa;
	if (bz->is_relocatable) {
		*gpa = sk_align_down(bz->pref_gpa + bz->alignment - 1, bz->alignment);
		(void)sk_loader_find_lowest(l, bz->init_bytes, bz->alignment, bz->pref_gpa,
					    LOADER_4_GIB, gpa);
	}
	rc = sk_loader_claim(l, *gpa, bz->init_bytes,
			     "the kernel with the memory it needs to start");
	if (rc)
		sk_loader_image_prefix(l->kernel, l->err, "offset 0x%" PRIx64, bz->setup_bytes);
	l->entry.kernel_gpa = *gpa;
	l->entry.kernel_end_gpa = *gpa + bz->init_bytes;
	return rc;
}

/* "The setup header ... should be zeroed, then loaded from 0x01f1 to its end" (boot.rst). */
static void fill_setup_header(struct boot_params *bp, const struct bzimage *bz, gpa_t kernel_gpa)
{
	const size_t start = offsetof(struct boot_params, hdr);

	memcpy((uint8_t *)bp + start, bz->header + start, bz->header_end - start);
	bp->hdr.code32_start = (uint32_t)kernel_gpa;
	bp->hdr.loadflags &= ~(CAN_USE_HEAP | KASLR_FLAG | KEEP_SEGMENTS);
	bp->hdr.ext_loader_type = 0;
	bp->hdr.ext_loader_ver = 0;
	bp->hdr.setup_data = 0;
}

int sk_loader_boot_linux_bzimage(struct loading *l, const struct bzimage *bz)
{
	const gpa_t initrd_limit = (gpa_t)bz->initrd_max_gpa + 1;
	struct boot_params bp = {0};
	gpa_t gpa, cmdline_gpa;
	int rc;

	if (!bz->has_64bit_entry)
		return sk_loader_image_error(
			l->kernel, l->err, -ENOTSUP,
			"bzImage header at offset 0x236: no 64-bit entry (boot protocol %u.%02u; "
			"wanted: an x86-64 kernel, Linux 3.8 or newer)",
			bz->version >> 8, bz->version & 0xff);
	if (bz->protected_bytes <= ENTRY_64)
		return sk_loader_image_error(
			l->kernel, l->err, -ENOEXEC,
			"bzImage header at offset 0x1f4: a kernel of 0x%" PRIx64
			" bytes does not reach to its entry at 0x%x",
			bz->protected_bytes, ENTRY_64);
	rc = sk_loader_put_cpu_state(l, SK_LOADER_LONG64);
	if (!rc)
		rc = sk_loader_put_string(l, "the command line", l->config->cmdline,
					  bz->cmdline_max_bytes, &cmdline_gpa);
	if (!rc)
		rc = place_bzimage(l, bz, &gpa);
	if (!rc)
		rc = sk_loader_image_read_to_guest(l->kernel, bz->setup_bytes, l->gm, gpa,
						   bz->protected_bytes, "kernel proper", l->err);
	if (!rc)
		rc = sk_loader_put_initrd(l, initrd_limit,
					  bz->is_loadable_above_4g ? UINT64_MAX : initrd_limit);
	if (rc)
		return rc;
	fill_setup_header(&bp, bz, gpa);
	l->entry.rip = gpa + ENTRY_64;
	l->entry.protocol = SK_LOADER_LINUX64;
	l->entry.format = "bzImage, 64-bit entry";
	return put_zero_page(l, &bp, cmdline_gpa);
}

/* An uncompressed kernel has no setup header; this is the one that its bzImage would have. */
static void make_setup_header(struct boot_params *bp)
{
	bp->hdr.boot_flag = ELF_BOOT_FLAG;
	bp->hdr.header = ELF_HEADER_MAGIC;
	bp->hdr.version = ELF_PROTOCOL;
	bp->hdr.loadflags = LOADED_HIGH;
	bp->hdr.kernel_alignment = ELF_ALIGNMENT;
	bp->hdr.cmdline_size = LOADER_LINUX_CMDLINE;
	bp->hdr.initrd_addr_max = UINT32_MAX;
}

int sk_loader_boot_linux_elf(struct loading *l, const struct elf_file *elf)
{
	struct boot_params bp = {0};
	gpa_t cmdline_gpa;
	int rc;

	if (!elf->is_64)
		return sk_loader_image_error(l->kernel, l->err, -ENOEXEC,
					     "ELF header at offset 0x4: a 32-bit file has no "
					     "Linux 64-bit entry");
	if (!sk_loader_elf_holds(elf, elf->entry))
		return sk_loader_image_error(
			l->kernel, l->err, -ENOEXEC,
			"ELF header at offset 0x18: entry 0x%" PRIx64
			" is not a physical address within a segment, as Linux has it",
			elf->entry);
	rc = sk_loader_put_cpu_state(l, SK_LOADER_LONG64);
	if (!rc)
		rc = sk_loader_put_string(l, "the command line", l->config->cmdline,
					  LOADER_LINUX_CMDLINE, &cmdline_gpa);
	if (!rc)
		rc = sk_loader_put_elf(l, l->kernel, elf);
	if (!rc)
		rc = sk_loader_put_initrd(l, LOADER_4_GIB, LOADER_4_GIB);
	if (rc)
		return rc;
	make_setup_header(&bp);
	l->entry.rip = elf->entry;
	l->entry.protocol = SK_LOADER_LINUX64;
	l->entry.format = "ELF64, Linux 64-bit entry";
	return put_zero_page(l, &bp, cmdline_gpa);
}
