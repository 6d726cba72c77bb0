/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The PVH boot protocol (Xen, docs/misc/pvh.pandoc): 32-bit entry, EBX points to start_info. */
#include "loader_internal.h"

#include <inttypes.h>

#include "start_info.h"

/* The boot information page. */
struct pvh_page {
	struct hvm_start_info info;
	struct hvm_modlist_entry module;
	struct hvm_memmap_table_entry map[LOADER_MAX_MAP_ENTRIES];
};

_Static_assert(sizeof(struct pvh_page) <= SK_GMEM_PAGE_BYTES, "PVH's tables fit into a page");

static int put_start_info(struct loading *l, gpa_t cmdline_gpa)
{
	const gpa_t page_gpa = SK_LOADER_INFO_GPA;
	struct pvh_page page = {
		.info =
			{
				.magic = XEN_HVM_START_MAGIC_VALUE,
				.version = XEN_HVM_START_INFO_VERSION,
				.cmdline_paddr = cmdline_gpa,
				.rsdp_paddr = l->config->rsdp_gpa,
				.memmap_paddr = page_gpa + offsetof(struct pvh_page, map),
			},
		.module = {.paddr = l->entry.initrd_gpa, .size = l->entry.initrd_bytes},
	};
	struct memory_map map;
	size_t i;
	int rc = sk_loader_memory_map(l->gm, l->config, &map, l->err);

	if (rc)
		return rc;
	for (i = 0; i < map.nr_entries; i++)
		page.map[i] = (struct hvm_memmap_table_entry){
			.addr = map.entries[i].gpa,
			.size = map.entries[i].len_bytes,
			.type = map.entries[i].type,
		};
	page.info.memmap_entries = (uint32_t)map.nr_entries;
	if (l->entry.initrd_bytes) {
		page.info.nr_modules = 1;
		page.info.modlist_paddr = page_gpa + offsetof(struct pvh_page, module);
	}
	sk_loader_put(l, page_gpa, &page, sizeof(page));
	l->entry.rbx = page_gpa;
	return 0;
}

int sk_loader_boot_pvh(struct loading *l, const struct image *img, const struct elf_file *elf,
		       uint32_t cmdline_max_bytes)
{
	gpa_t cmdline_gpa;
	int rc;

	if (!elf->has_pvh_entry)
		return sk_loader_image_error(img, l->err, -ENOEXEC,
					     "this ELF file has no PVH note (Linux: CONFIG_PVH)");
	if (!sk_loader_elf_holds(elf, elf->pvh_entry))
		return sk_loader_image_error(img, l->err, -ENOEXEC,
					     "PVH note: entry 0x%x is not within a segment",
					     elf->pvh_entry);
	if (!cmdline_max_bytes)
		cmdline_max_bytes = elf->is_linux ? LOADER_LINUX_CMDLINE : LOADER_MAX_STRING;
	rc = sk_loader_put_cpu_state(l, SK_LOADER_PROTECTED32);
	if (!rc)
		rc = sk_loader_put_string(l, "the command line", l->config->cmdline,
					  cmdline_max_bytes, &cmdline_gpa);
	if (!rc)
		rc = sk_loader_put_elf(l, img, elf);
	/* Linux takes only the lower half of the module's address. */
	if (!rc)
		rc = sk_loader_put_initrd(l, LOADER_4_GIB, LOADER_4_GIB);
	if (rc)
		return rc;
	l->entry.rip = elf->pvh_entry;
	l->entry.protocol = SK_LOADER_PVH;
	l->entry.format = elf->is_64 ? "ELF64, PVH" : "ELF32, PVH";
	return put_start_info(l, cmdline_gpa);
}
