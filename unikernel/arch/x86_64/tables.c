/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Page tables, read and taken to pieces in ring 3: see tables.h. */
#include "tables.h"

#include <errno.h>

#include "../../kernel/boot.h"

#define DIRECTORY_SPAN 0x200000ull

uint64_t tables_entry(uint64_t va)
{
	const uint64_t *table = direct_map(boot.root);

	for (int l = 3; l > 1; l--) {
		uint64_t entry = table[va >> (12 + 9 * l) & 511];

		if (!(entry & PTE_P))
			return 0;
		table = direct_map(entry & PTE_ADDR);
	}
	return table[va >> 21 & 511];
}

/* Protect what is mapped by `count` entries: each run of consecutive frames by one request. */
static long protect(const struct table_ops *ops, uint64_t at, uint64_t count, uint64_t flags)
{
	const uint64_t *entry = direct_map(at);
	uint64_t first = 0, i;
	long result = 0;

	for (i = 0; i <= count && !result; i++) {
		uint64_t frame = i < count ? entry[i] & PTE_ADDR : 0;

		if (i > first && (entry[first] & PTE_ADDR) &&
		    frame == (entry[first] & PTE_ADDR) + ((i - first) << 12))
			continue;
		if (i > first && (entry[first] & PTE_ADDR))
			result = ops->entries(at + first * 8,
					      page_entry(entry[first] & PTE_ADDR, flags), i - first,
					      flags & PAGES_FLUSH);
		first = i;
	}
	return result;
}

static long change_small(const struct table_ops *ops, uint64_t va, uint64_t pa, uint64_t count,
			 uint64_t flags)
{
	uint64_t entry = tables_entry(va), at;

	if (!entry) {
		long result = flags & (PAGES_UNMAP | PAGES_PROTECT)
				      ? 1
				      : ops->directory(va & -DIRECTORY_SPAN, 0, 0);

		if (result)
			return result < 0 ? result : 0;
		entry = tables_entry(va);
	}
	if (entry & PTE_PS)
		return -EEXIST;
	at = (entry & PTE_ADDR) + (va >> 12 & 511) * 8;
	if (flags & PAGES_PROTECT)
		return protect(ops, at, count, flags);
	return ops->entries(at, flags & PAGES_UNMAP ? 0 : page_entry(pa, flags), count,
			    flags & PAGES_FLUSH);
}

long tables_change(const struct table_ops *ops, uint64_t va, uint64_t pa, uint64_t count,
		   uint64_t flags)
{
	long result = 0;
	uint64_t n;

	if (flags & PAGES_HUGE)
		return ops->directory(va, pa, flags);
	for (; count && !result; count -= n, va += n << 12, pa += n << 12) {
		n = 512 - (va >> 12 & 511);
		n = n < count ? n : count;
		result = change_small(ops, va, pa, n, flags);
	}
	return result;
}
