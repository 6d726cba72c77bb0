/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The Multiboot Specification 0.6.96 with its names: the header in the kernel (3.1) and the
 * information for it (3.3). Freestanding: the guest side can compile it too.
 */
#ifndef SKETE_LOADER_MULTIBOOT_H
#define SKETE_LOADER_MULTIBOOT_H

#include <stddef.h>
#include <stdint.h>

#define MULTIBOOT_SEARCH		8192 /* the whole header lies within these bytes */
#define MULTIBOOT_HEADER_ALIGN		4
#define MULTIBOOT_HEADER_MAGIC		UINT32_C(0x1badb002)
#define MULTIBOOT_BOOTLOADER_MAGIC	UINT32_C(0x2badb002)

#define MULTIBOOT_PAGE_ALIGN		UINT32_C(0x00000001)
#define MULTIBOOT_MEMORY_INFO		UINT32_C(0x00000002)
#define MULTIBOOT_VIDEO_MODE		UINT32_C(0x00000004)
#define MULTIBOOT_AOUT_KLUDGE		UINT32_C(0x00010000)
#define MULTIBOOT_REQUIREMENTS		UINT32_C(0x0000ffff) /* a loader must know these bits */

#define MULTIBOOT_INFO_MEMORY		UINT32_C(0x00000001)
#define MULTIBOOT_INFO_CMDLINE		UINT32_C(0x00000004)
#define MULTIBOOT_INFO_MODS		UINT32_C(0x00000008)
#define MULTIBOOT_INFO_MEM_MAP		UINT32_C(0x00000040)
#define MULTIBOOT_INFO_BOOT_LOADER_NAME UINT32_C(0x00000200)

struct multiboot_header {
	uint32_t magic;
	uint32_t flags;
	uint32_t checksum;
	/* only with MULTIBOOT_AOUT_KLUDGE */
	uint32_t header_addr;
	uint32_t load_addr;
	uint32_t load_end_addr;
	uint32_t bss_end_addr;
	uint32_t entry_addr;
};

#define MULTIBOOT_HEADER_MIN_BYTES offsetof(struct multiboot_header, header_addr)

struct multiboot_info {
	uint32_t flags;
	uint32_t mem_lower; /* KiB from 0 */
	uint32_t mem_upper; /* KiB from 1 MiB to the first hole */
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t mods_count;
	uint32_t mods_addr;
	uint32_t syms[4];
	uint32_t mmap_length;
	uint32_t mmap_addr;
	uint32_t drives_length;
	uint32_t drives_addr;
	uint32_t config_table;
	uint32_t boot_loader_name;
	uint32_t apm_table;
	uint32_t vbe[4];
	uint8_t framebuffer[28];
};

struct multiboot_mod_list {
	uint32_t mod_start;
	uint32_t mod_end; /* one beyond the last byte */
	uint32_t cmdline;
	uint32_t pad;
};

struct multiboot_mmap_entry {
	uint32_t size; /* of what follows it */
	uint64_t addr;
	uint64_t len;
	uint32_t type; /* as in E820 */
} __attribute__((packed));

_Static_assert(sizeof(struct multiboot_header) == 32, "multiboot_header");
_Static_assert(sizeof(struct multiboot_info) == 116, "multiboot_info");
_Static_assert(offsetof(struct multiboot_info, boot_loader_name) == 64, "boot_loader_name");
_Static_assert(sizeof(struct multiboot_mod_list) == 16, "multiboot_mod_list");
_Static_assert(sizeof(struct multiboot_mmap_entry) == 24, "multiboot_mmap_entry");

#endif
