/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * The edit of page directories, for the shim in ring 0 and for the process, whose tables are only a
 * record. `here` is where physical address 0 is: a constant 0 in the shim, where an instruction
 * costs about half a microsecond on a partial KVM.
 *
 * It makes tables for small pages, and maps and unmaps 2 MiB pages, never executable, to frames
 * behind the shim's memory. So nothing it or REQ_ENTRIES maps is code, the image's read-only part,
 * the shim, a page table or the first MiB (the start-up code of CPUs). What was mapped before the
 * seal by small pages, the image among it, stays: its tables are not replaced, and REQ_ENTRIES
 * changes only those made since. That is the whole W^X argument.
 */
#ifndef SKETE_UK_PAGES_EDIT_H
#define SKETE_UK_PAGES_EDIT_H

#include <errno.h>

#include "shim.h"

#define FIRST_VA  (1ull << 39) /* the first 512 GiB are the shim's identity mapping */
#define LAST_VA	  (1ull << 47)
#define LAST_PA	  (1ull << 45)
#define HUGE_MASK 0x1fffffull

/* The entry for a fresh table, or 0. */
static inline uint64_t table_alloc(uint64_t here, int is_leaf)
{
	uint64_t *next = is_leaf ? &shim.leaf_next : &shim.upper_next;
	uint64_t table = is_leaf ? *next : *next - 4096;

	if (shim.leaf_next >= shim.upper_next)
		return 0;
	*next = is_leaf ? table + 4096 : table;
	if (table >= shim.leaf_zeroed && table < shim.upper_zeroed) {
		uint64_t to = table + here, words = 512;

		asm volatile("rep stosq" : "+D"(to), "+c"(words) : "a"(0) : "memory");
	}
	return table | PTE_U | PTE_W | PTE_P;
}

static inline long pages_edit(uint64_t here, uint64_t va, uint64_t pa, uint64_t flags)
{
	uint64_t *entry = (uint64_t *)(shim.root + here) + (va >> 39 & 511);

	if (va < FIRST_VA || va >= LAST_VA || (va | pa) & HUGE_MASK)
		return -EINVAL;
	for (int shift = 30; shift >= 21; shift -= 9) {
		if (!*entry)
			*entry = table_alloc(here, 0);
		if ((*entry & (PTE_P | PTE_PS)) != PTE_P)
			return -ENOMEM;
		entry = (uint64_t *)((*entry & PTE_ADDR) + here) + (va >> shift & 511);
	}
	if (flags & PAGES_HUGE) {
		if (*entry && !(*entry & PTE_PS))
			return -EEXIST;
		if (flags & PAGES_PROTECT)
			pa = *entry & PTE_ADDR & ~HUGE_MASK;
		if (!(flags & PAGES_UNMAP) && (pa < shim.own_end || pa >= LAST_PA))
			return -EPERM;
		*entry = flags & PAGES_UNMAP ? 0 : page_entry(pa, flags) | PTE_PS;
	} else if (!*entry) {
		*entry = table_alloc(here, 1);
		return *entry ? 0 : -ENOMEM;
	}
	return 0;
}

#endif
