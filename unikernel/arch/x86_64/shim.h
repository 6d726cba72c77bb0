/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * What the shim keeps, and what the boot code writes into it before it asks for the seal. Until
 * then ring 3 can write everything; afterwards the shim's memory is read-only in ring 3, and page
 * tables change only through REQ_PAGES and, where there is a table for small pages already,
 * REQ_ENTRIES.
 */
#ifndef SKETE_UK_SHIM_H
#define SKETE_UK_SHIM_H

#include <stddef.h>
#include <stdint.h>

#include "layout.h"

#define PTE_P	 1ull
#define PTE_W	 2ull
#define PTE_U	 4ull
#define PTE_PWT	 8ull
#define PTE_PCD	 16ull
#define PTE_A	 32ull
#define PTE_D	 64ull
#define PTE_PS	 128ull
#define PTE_KEPT 512ull /* not present, but the frame belongs to the page: PROT_NONE */
#define PTE_NX	 (1ull << 63)
#define PTE_ADDR 0x000ffffffffff000ull

struct shim {
	uint64_t root; /* physical address of the final page tables */
	uint64_t upcall;
	uint64_t fault;
	uint64_t unused;
	uint64_t exit; /* the window in which an interrupt restarts the way out of the kernel */
	uint64_t exit_len;
	uint64_t restart;
	uint64_t ap_entry;
	uint64_t xcr0;
	uint32_t x2apic;
	uint32_t next_cpu;
	uint64_t boot_kind;
	uint64_t boot_info;
	uint64_t sealed;
	/* physical: the image's read-only part, and the shim's own memory with the page tables */
	uint64_t ro_start, ro_end;
	uint64_t own_start, own_end;
	/*
	 * Page tables made since the seal: those of small pages lie in [leaf_start, leaf_next), all
	 * others from upper_next to own_end. Between them is free; it holds zeroes below
	 * leaf_zeroed and from upper_zeroed on.
	 */
	uint64_t leaf_start, leaf_next, leaf_zeroed;
	uint64_t upper_next, upper_zeroed;
};

/* The entry of a page, never executable, for the flags of a platform's pages(). */
static inline uint64_t page_entry(uint64_t pa, uint64_t flags)
{
	return pa | PTE_NX | (flags & PAGES_WRITE ? PTE_W : 0) |
	       (flags & PAGES_NONE ? PTE_KEPT : PTE_P | PTE_U | PTE_A | PTE_D);
}

extern struct shim shim;
extern uint64_t shim_syscall; /* ring 3's handler of `syscall` */

_Static_assert(offsetof(struct shim, root) == SHIM_ROOT, "layout");
_Static_assert(offsetof(struct shim, restart) == SHIM_RESTART, "layout");
_Static_assert(offsetof(struct shim, ap_entry) == SHIM_AP_ENTRY, "layout");
_Static_assert(offsetof(struct shim, xcr0) == SHIM_XCR0, "layout");
_Static_assert(offsetof(struct shim, x2apic) == SHIM_X2APIC, "layout");
_Static_assert(offsetof(struct shim, next_cpu) == SHIM_NEXT_CPU, "layout");
_Static_assert(offsetof(struct shim, boot_info) == SHIM_BOOT_INFO, "layout");
_Static_assert(offsetof(struct shim, sealed) == SHIM_SEALED, "layout");
_Static_assert(offsetof(struct shim, own_end) == SHIM_OWN_END, "layout");
_Static_assert(offsetof(struct shim, leaf_start) == SHIM_LEAF_START, "layout");
_Static_assert(offsetof(struct shim, leaf_next) == SHIM_LEAF_NEXT, "layout");

/*
 * The handler of REQ_PAGES. With PAGES_HUGE: map the 2 MiB page `va` to the frames from `pa`, or
 * change or remove it. Without: make a table for small pages, if there is none. 0, or a negative
 * errno: -EINVAL for a bad address, -EPERM for frames that would break W^X, -EEXIST if there are
 * small pages, -ENOMEM without a free table.
 */
long shim_pages(uint64_t va, uint64_t pa, uint64_t flags);

#endif
