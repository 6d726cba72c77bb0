/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * The edit of page tables, for the shim in ring 0 and for the process, whose tables are only a
 * record. `here` is where physical address 0 is: a constant 0 in the shim, where an instruction
 * costs about half a microsecond on a partial KVM; so loops stay short, too.
 *
 * It never maps anything executable, and never makes the image's read-only part, the shim, the page
 * tables or the first MiB (the start-up code of CPUs) accessible; that is the whole W^X argument,
 * because the executable mappings made before the seal cannot be replaced.
 */
#ifndef SKETE_UK_PAGES_EDIT_H
#define SKETE_UK_PAGES_EDIT_H

#include <errno.h>

#include "shim.h"

#define FIRST_VA (1ull << 39) /* the first 512 GiB are the shim's identity mapping */
#define LAST_VA	 (1ull << 47)
#define LAST_PA	 (1ull << 46)

static inline int overlap(uint64_t a, uint64_t a_end, uint64_t b, uint64_t b_end)
{
	return a < b_end && b < a_end;
}

static inline uint64_t table_alloc(uint64_t here)
{
	uint64_t table = shim.table_next;

	if (table >= shim.own_end)
		return 0;
	shim.table_next = table + 4096;
	if (table >= shim.table_zeroed) {
		uint64_t to = table + here, words = 512;

		asm volatile("rep stosq" : "+D"(to), "+c"(words) : "a"(0) : "memory");
	}
	return table;
}

/* The entry for `va` at `level` (0: 4 KiB, 1: 2 MiB), or NULL: no table, or a huge page above it.
 */
static inline uint64_t *entry_of(uint64_t here, uint64_t va, int level, int alloc)
{
	uint64_t *table = (uint64_t *)(shim.root + here);

	for (int l = 3; l > level; l--) {
		uint64_t *entry = &table[va >> (12 + 9 * l) & 511];

		if (!*entry) {
			uint64_t fresh = alloc ? table_alloc(here) : 0;

			if (!fresh)
				return NULL;
			*entry = fresh | PTE_U | PTE_W | PTE_P;
		} else if (*entry & PTE_PS || !(*entry & PTE_P)) {
			return NULL;
		}
		table = (uint64_t *)((*entry & PTE_ADDR) + here);
	}
	return &table[va >> (12 + 9 * level) & 511];
}

static inline int frames_allowed(uint64_t pa, uint64_t end, uint64_t flags)
{
	return end <= LAST_PA && (pa >= IMAGE_BASE || !(flags & PAGES_WRITE)) &&
	       !overlap(pa, end, shim.ro_start, shim.ro_end) &&
	       !overlap(pa, end, shim.own_start, shim.own_end);
}

static inline uint64_t new_entry(uint64_t old, uint64_t pa, uint64_t flags)
{
	uint64_t bits = PTE_NX;

	if (flags & PAGES_UNMAP)
		return 0;
	if (flags & PAGES_PROTECT) {
		if (!old)
			return 0;
		pa = old & PTE_ADDR;
	}
	bits |= flags & PAGES_NONE ? PTE_KEPT : PTE_P | PTE_U;
	if (flags & PAGES_WRITE)
		bits |= PTE_W;
	if (flags & PAGES_HUGE)
		bits |= PTE_PS;
	return pa | bits;
}

static inline __attribute__((always_inline)) long pages_edit(uint64_t here, uint64_t va,
							     uint64_t pa, uint64_t count,
							     uint64_t flags)
{
	int level = flags & PAGES_HUGE ? 1 : 0;
	uint64_t step = level ? 0x200000 : 0x1000;
	int mapping = !(flags & (PAGES_UNMAP | PAGES_PROTECT));
	uint64_t end = va + count * step;
	uint64_t *entry = NULL;
	long present = 0;

	if (count - 1 >= PAGES_MAX || va < FIRST_VA || end > LAST_VA || (va | pa) & (step - 1))
		return -EINVAL;
	if (overlap(va, end, shim.seal_start, shim.seal_end))
		return -EPERM;
	if (mapping && !frames_allowed(pa, pa + count * step, flags))
		return -EPERM;
	for (; va < end; va += step, pa += step) {
		if (entry && (uintptr_t)(entry + 1) & 0xfff)
			entry++;
		else
			entry = entry_of(here, va, level, mapping);
		if (!entry) {
			if (mapping)
				return -ENOMEM;
			continue;
		}
		/* A table, or at the lowest level a bit of the memory type: never a page's entry.
		 */
		if (level && *entry && !(*entry & PTE_PS))
			return -EEXIST;
		/* The direct map shows the page tables read-only; it stays so. */
		if (flags & PAGES_PROTECT && flags & PAGES_WRITE &&
		    !frames_allowed(*entry & PTE_ADDR, (*entry & PTE_ADDR) + step, flags) && *entry)
			return -EPERM;
		present += *entry & PTE_P;
		*entry = new_entry(*entry, pa, flags);
	}
	return present;
}

#endif
