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

/* The entry for `va` among pages of 1 << last bytes, or NULL: no table, or a huge page above it. */
static inline uint64_t *entry_of(uint64_t here, uint64_t va, int last, int alloc)
{
	uint64_t *table = (uint64_t *)(shim.root + here);

	for (int shift = 39;; shift -= 9) {
		uint64_t *entry = &table[va >> shift & 511], fresh;

		if (shift == last)
			return entry;
		if ((*entry & (PTE_P | PTE_PS)) != PTE_P) {
			fresh = !*entry && alloc ? table_alloc(here) : 0;
			if (!fresh)
				return NULL;
			*entry = fresh | PTE_U | PTE_W | PTE_P;
		}
		table = (uint64_t *)((*entry & PTE_ADDR) + here);
	}
}

static inline int frames_allowed(uint64_t pa, uint64_t end, uint64_t flags)
{
	return end <= LAST_PA && (pa >= IMAGE_BASE || !(flags & PAGES_WRITE)) &&
	       !overlap(pa, end, shim.ro_start, shim.ro_end) &&
	       !overlap(pa, end, shim.own_start, shim.own_end);
}

static inline uint64_t new_entry(uint64_t pa, uint64_t flags)
{
	if (flags & PAGES_UNMAP)
		return 0;
	return pa | PTE_NX | (flags & PAGES_NONE ? PTE_KEPT : PTE_P | PTE_U) |
	       (flags & PAGES_WRITE ? PTE_W : 0) | (flags & PAGES_HUGE ? PTE_PS : 0);
}

/* The common case, small pages mapped or unmapped, in as few instructions as possible. */
static inline void set_entries(uint64_t *entry, uint64_t n, uint64_t value, uint64_t step)
{
	for (; n; n--, value += step)
		*entry++ = value;
}

static inline long change_entries(uint64_t *entry, uint64_t n, uint64_t pa, uint64_t step,
				  uint64_t flags)
{
	for (; n; n--, entry++, pa += step) {
		uint64_t frame = flags & PAGES_PROTECT ? *entry & PTE_ADDR : pa;

		if (!*entry && flags & PAGES_PROTECT)
			continue;
		/* A table, or at the lowest level a bit of the memory type: never a page's entry.
		 */
		if (step > 4096 && *entry && !(*entry & PTE_PS))
			return -EEXIST;
		/* The direct map shows the page tables read-only; it stays so. */
		if (flags & PAGES_PROTECT && flags & PAGES_WRITE &&
		    !frames_allowed(frame, frame + step, flags))
			return -EPERM;
		*entry = new_entry(frame, flags);
	}
	return 0;
}

static inline long pages_edit(uint64_t here, uint64_t va, uint64_t pa, uint64_t count,
			      uint64_t flags)
{
	int shift = flags & PAGES_HUGE ? 21 : 12;
	uint64_t step = 1ull << shift, end = va + (count << shift), n;
	int mapping = !(flags & (PAGES_UNMAP | PAGES_PROTECT));
	long error = 0;

	if (count - 1 >= PAGES_MAX || va < FIRST_VA || end > LAST_VA || (va | pa) & (step - 1))
		return -EINVAL;
	if (overlap(va, end, shim.seal_start, shim.seal_end) ||
	    (mapping && !frames_allowed(pa, pa + (count << shift), flags)))
		return -EPERM;
	for (; count && !error; count -= n, va += n << shift, pa += n << shift) {
		uint64_t *entry = entry_of(here, va, shift, mapping);

		n = 512 - (va >> shift & 511);
		n = n < count ? n : count;
		if (entry && flags & (PAGES_HUGE | PAGES_PROTECT))
			error = change_entries(entry, n, pa, step, flags);
		else if (entry)
			set_entries(entry, n, new_entry(pa, flags), mapping ? step : 0);
		else if (mapping)
			error = -ENOMEM;
	}
	return error;
}

#endif
