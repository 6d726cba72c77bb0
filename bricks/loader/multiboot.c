/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The multiboot protocol (Multiboot 0.6.96, 3.2 and 3.3): 32-bit entry, EAX holds the magic, EBX
 * points to the information. The initrd is the only module; its string is its file's name.
 */
#include "loader_internal.h"

#include <inttypes.h>

/* The boot information page. */
struct multiboot_page {
	struct multiboot_info info;
	struct multiboot_mod_list module;
	struct multiboot_mmap_entry map[LOADER_MAX_MAP_ENTRIES];
};

_Static_assert(sizeof(struct multiboot_page) <= SK_GMEM_PAGE_BYTES, "the tables fit into a page");

/* KiB of RAM from @start on without a gap, in the map as the guest sees it. */
static uint32_t ram_kib_from(const struct memory_map *map, gpa_t start)
{
	uint64_t kib;
	size_t i;

	for (i = 0; i < map->nr_entries; i++) {
		const gpa_t gpa = map->entries[i].gpa;
		const gpa_t end = gpa + map->entries[i].len_bytes;

		if (map->entries[i].type == SK_LOADER_MEMORY_RAM && gpa <= start && end > start) {
			kib = (end - start) / SK_KIB;
			return (uint32_t)SK_MIN(kib, (uint64_t)UINT32_MAX);
		}
	}
	return 0;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int put_module(struct loading *l, struct multiboot_page *page)
{
	gpa_t name_gpa;
	int rc;

	if (!l->initrd)
		return 0;
	rc = sk_loader_put_initrd(l, LOADER_4_GIB, LOADER_4_GIB);
	if (!rc)
		rc = sk_loader_put_string(l, "the module's name", base_name(l->initrd->path),
					  LOADER_MAX_STRING, &name_gpa);
	if (rc)
		return rc;
	page->module = (struct multiboot_mod_list){
		.mod_start = (uint32_t)l->entry.initrd_gpa,
		.mod_end = (uint32_t)(l->entry.initrd_gpa + l->entry.initrd_bytes),
		.cmdline = (uint32_t)name_gpa,
	};
	page->info.flags |= MULTIBOOT_INFO_MODS;
	page->info.mods_count = 1;
	page->info.mods_addr = SK_LOADER_INFO_GPA + offsetof(struct multiboot_page, module);
	return 0;
}

static int put_map(struct loading *l, struct multiboot_page *page)
{
	struct memory_map map;
	size_t i;
	int rc = sk_loader_memory_map(l->gm, l->config, &map, l->err);

	if (rc)
		return rc;
	for (i = 0; i < map.nr_entries; i++)
		page->map[i] = (struct multiboot_mmap_entry){
			.size = sizeof(page->map[i]) - sizeof(page->map[i].size),
			.addr = map.entries[i].gpa,
			.len = map.entries[i].len_bytes,
			.type = map.entries[i].type,
		};
	page->info.flags |= MULTIBOOT_INFO_MEMORY | MULTIBOOT_INFO_MEM_MAP;
	page->info.mem_lower = ram_kib_from(&map, 0);
	page->info.mem_upper = ram_kib_from(&map, SK_LOADER_HIGH_GPA);
	page->info.mmap_addr = SK_LOADER_INFO_GPA + offsetof(struct multiboot_page, map);
	page->info.mmap_length = (uint32_t)(map.nr_entries * sizeof(page->map[0]));
	return 0;
}

static int put_info(struct loading *l)
{
	struct multiboot_page page = {0};
	gpa_t cmdline_gpa, name_gpa;
	int rc;

	rc = sk_loader_put_string(l, "the command line", l->config->cmdline, LOADER_MAX_STRING,
				  &cmdline_gpa);
	if (!rc)
		rc = sk_loader_put_string(l, "the loader's name", LOADER_NAME, LOADER_MAX_STRING,
					  &name_gpa);
	if (!rc)
		rc = put_module(l, &page);
	if (!rc)
		rc = put_map(l, &page);
	if (rc)
		return rc;
	page.info.flags |= MULTIBOOT_INFO_CMDLINE | MULTIBOOT_INFO_BOOT_LOADER_NAME;
	page.info.cmdline = (uint32_t)cmdline_gpa;
	page.info.boot_loader_name = (uint32_t)name_gpa;
	sk_loader_put(l, SK_LOADER_INFO_GPA, &page, sizeof(page));
	return 0;
}

static int put_flat(struct loading *l, const struct multiboot_file *mb)
{
	int rc = sk_loader_claim(l, mb->gpa, mb->mem_bytes, "the kernel");

	if (rc) {
		sk_loader_image_prefix(l->kernel, l->err, "multiboot header at offset 0x%x",
				       mb->header_offset);
		return rc;
	}
	rc = sk_loader_image_read_to_guest(l->kernel, mb->offset, l->gm, mb->gpa, mb->file_bytes,
					   "the kernel", l->err);
	if (rc)
		return rc;
	sk_loader_put_zeroes(l, mb->gpa + mb->file_bytes, mb->mem_bytes - mb->file_bytes);
	l->entry.kernel_gpa = mb->gpa;
	l->entry.kernel_end_gpa = mb->gpa + mb->mem_bytes;
	return 0;
}

/* Boot loaders accept an entry that is a virtual address as well, and go to where it is loaded. */
static bool physical_entry(const struct elf_file *elf, gpa_t *entry)
{
	size_t i;

	*entry = elf->entry;
	if (sk_loader_elf_holds(elf, elf->entry))
		return true;
	for (i = 0; i < elf->nr_segments; i++) {
		const struct elf_segment *seg = &elf->segments[i];

		if (elf->entry >= seg->vaddr && elf->entry - seg->vaddr < seg->mem_bytes) {
			*entry = elf->entry - seg->vaddr + seg->gpa;
			return true;
		}
	}
	return false;
}

static int put_kernel(struct loading *l, const struct multiboot_file *mb,
		      const struct elf_file *elf)
{
	if (!elf) {
		l->entry.rip = mb->entry;
		l->entry.format = "flat binary, multiboot";
		return put_flat(l, mb);
	}
	if (!physical_entry(elf, &l->entry.rip))
		return sk_loader_image_error(l->kernel, l->err, -ENOEXEC,
					     "ELF header at offset 0x18: entry 0x%" PRIx64
					     " is not within a segment",
					     elf->entry);
	l->entry.format = elf->is_64 ? "ELF64, multiboot" : "ELF32, multiboot";
	return sk_loader_put_elf(l, l->kernel, elf);
}

int sk_loader_boot_multiboot(struct loading *l, const struct multiboot_file *mb,
			     const struct elf_file *elf)
{
	int rc = sk_loader_put_cpu_state(l, SK_LOADER_PROTECTED32);

	if (!rc)
		rc = put_kernel(l, mb, elf);
	if (!rc)
		rc = put_info(l);
	if (rc)
		return rc;
	l->entry.protocol = SK_LOADER_MULTIBOOT;
	l->entry.rax = MULTIBOOT_BOOTLOADER_MAGIC;
	l->entry.rbx = SK_LOADER_INFO_GPA;
	return 0;
}
