/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Page tables as ring 3 sees them: it reads them through the direct map, and asks its platform for
 * changes. Under the lock of memory (mm/mm.h).
 */
#ifndef SKETE_UK_TABLES_H
#define SKETE_UK_TABLES_H

#include "shim.h"

/* How a platform changes them. */
struct table_ops {
	/* The contract of REQ_PAGES: a 2 MiB page, or a table for small ones. */
	long (*directory)(uint64_t va, uint64_t pa, uint64_t flags);
	/* The contract of REQ_ENTRIES. */
	long (*entries)(uint64_t at, uint64_t value, uint64_t count, uint64_t flush);
};

/* The entry of `va` in its page directory (2 MiB), or 0 when there is none. */
uint64_t tables_entry(uint64_t va);

/* What a platform's pages() says (platform.h). */
long tables_change(const struct table_ops *ops, uint64_t va, uint64_t pa, uint64_t count,
		   uint64_t flags);

#endif
