/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * The data of a file in memory: pages by number, in a tree of 512-fold nodes that is as high as the
 * highest number needs. A page that was never written to is missing and reads as zeroes.
 *
 * The caller's lock keeps pages from being removed while it uses them. Looking up and adding are
 * locked within, since page faults do both.
 */
#ifndef SKETE_UK_PAGES_H
#define SKETE_UK_PAGES_H

#include <stdint.h>

#define PAGES_INDEX_MAX (1ull << 36)

struct pages {
	void *root; /* a page if height is 0, or a node */
	uint32_t height;
	uint32_t lock;
	uint64_t count; /* of pages, nodes not counted */
};

/* The page of that number, or NULL. */
void *pages_find(struct pages *pages, uint64_t index);
/* The same; made if it is missing (zeroed if so asked for). NULL without memory. */
void *pages_make(struct pages *pages, uint64_t index, int is_zeroed);
/* The first page from `index` on, or -1. */
int64_t pages_next(struct pages *pages, uint64_t index);
/* Free the pages [from, to). */
void pages_drop(struct pages *pages, uint64_t from, uint64_t to);

#endif
