/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Pages of a file by number: see pages.h. */
#include "pages.h"

#include <stddef.h>

#include "../arch/x86_64/cpu.h"
#include "../mm/heap.h"

#define FANOUT 512
#define BITS   9

/* How many pages a tree of this height holds. */
static uint64_t capacity(uint32_t height)
{
	return 1ull << BITS * height;
}

void *pages_find(struct pages *pages, uint64_t index)
{
	uint32_t before = spin_lock(&pages->lock);
	void *node = pages->root;

	if (index >= capacity(pages->height))
		node = NULL;
	for (uint32_t h = pages->height; h > 0 && node; h--)
		node = ((void **)node)[index >> BITS * (h - 1) & (FANOUT - 1)];
	spin_unlock(&pages->lock, before);
	return node;
}

/* Put nodes on top until `index` fits. */
static int rise(struct pages *pages, uint64_t index)
{
	while (index >= capacity(pages->height)) {
		if (pages->root) {
			void **node = kheap_page(1);

			if (!node)
				return 0;
			node[0] = pages->root;
			pages->root = node;
		}
		pages->height++;
	}
	return 1;
}

void *pages_make(struct pages *pages, uint64_t index, int is_zeroed)
{
	uint32_t before = spin_lock(&pages->lock);
	void **at = &pages->root, *page = NULL;

	if (!rise(pages, index))
		goto out;
	for (uint32_t h = pages->height; h > 0; h--) {
		if (!*at)
			*at = kheap_page(1);
		if (!*at)
			goto out;
		at = &((void **)*at)[index >> BITS * (h - 1) & (FANOUT - 1)];
	}
	page = *at;
	if (!page) {
		page = kheap_page_for_data(index & (FANOUT - 1) ? at[-1] : NULL, is_zeroed);
		*at = page;
		pages->count += page != NULL;
	}
out:
	spin_unlock(&pages->lock, before);
	return page;
}

/* The first page in a subtree whose numbers begin at `base`, from `index` on. */
static int64_t next_below(void *node, uint32_t height, uint64_t base, uint64_t index)
{
	if (!node)
		return -1;
	if (!height)
		return base >= index ? (int64_t)base : -1;
	for (uint32_t i = 0; i < FANOUT; i++) {
		uint64_t start = base + i * capacity(height - 1);
		int64_t found;

		if (start + capacity(height - 1) <= index)
			continue;
		found = next_below(((void **)node)[i], height - 1, start, index);
		if (found >= 0)
			return found;
	}
	return -1;
}

int64_t pages_next(struct pages *pages, uint64_t index)
{
	uint32_t before = spin_lock(&pages->lock);
	int64_t found = next_below(pages->root, pages->height, 0, index);

	spin_unlock(&pages->lock, before);
	return found;
}

/* Free [from, to) of a subtree. Returns whether all of it is gone. */
static int drop_below(struct pages *pages, void **at, uint32_t height, uint64_t base, uint64_t from,
		      uint64_t to)
{
	int is_empty = 1;

	if (!*at || base >= to || base + capacity(height) <= from)
		return !*at;
	if (height)
		for (uint32_t i = 0; i < FANOUT; i++)
			is_empty &= drop_below(pages, (void **)*at + i, height - 1,
					       base + i * capacity(height - 1), from, to);
	else
		pages->count--;
	if (is_empty) {
		kheap_page_free(*at);
		*at = NULL;
	}
	return is_empty;
}

void pages_drop(struct pages *pages, uint64_t from, uint64_t to)
{
	uint32_t before = spin_lock(&pages->lock);

	if (drop_below(pages, &pages->root, pages->height, 0, from, to))
		pages->height = 0;
	spin_unlock(&pages->lock, before);
}
