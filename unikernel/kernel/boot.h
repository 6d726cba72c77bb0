/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* What the machine was started with, copied before any memory is used, and where things were put.
 */
#ifndef SKETE_UK_BOOT_H
#define SKETE_UK_BOOT_H

#include <stdint.h>

#define BOOT_RANGES  32
#define BOOT_CMDLINE 4096

struct boot_range {
	uint64_t start, end;
};

struct boot {
	struct boot_range ram[BOOT_RANGES]; /* above 1 MiB, whole pages, in no order */
	uint32_t ram_count;
	uint64_t ram_bytes, ram_end;
	uint64_t used_start, used_end; /* the image, the page tables and what follows them */
	uint64_t rsdp;
	uint64_t initrd, initrd_bytes;
	uint32_t has_x2apic;
	uint64_t here;	  /* where physical address 0 is while the tables are built */
	uint64_t watched; /* by gdb: faults are told first, the image is where gdb expects it */
	uint64_t arena;	  /* where the program's addresses shall be; 0: anywhere */
	uint64_t root;	  /* physical address of the page tables */
	uint64_t bias;	  /* ring 3's address of the image minus the address it is linked at */
	uint64_t direct;  /* ring 3's address of physical address 0 */
	uint64_t *frames; /* the bitmap of used frames */
	char cmdline[BOOT_CMDLINE];
};

extern struct boot boot;

/* Ring 3's view of all RAM: read and write, but for the page tables and the sealed image. */
static inline void *direct_map(uint64_t pa)
{
	return (void *)(boot.direct + pa);
}

#endif
