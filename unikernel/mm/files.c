/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Mappings of files. A shared one shows the file's own pages, which the file keeps; a private one
 * gets a copy of a page on first touch. A file keeps one reference to itself while it is mapped.
 *
 * Whoever takes pages out of a file makes `cutting` odd, takes them out of all mappings, frees
 * them, and makes it even. A fault looks at it before it takes a page and once more, locked, before
 * it maps it; so no page is mapped that is being freed.
 */
#include <errno.h>
#include <sys/mman.h>

#include "../arch/x86_64/cpu.h"
#include "../fs/inode.h"
#include "../kernel/boot.h"
#include "../kernel/kernel.h"
#include "mm_internal.h"

#define AROUND 64 /* so many pages of a shared file are mapped by one fault */

void files_mapped(const struct area *area)
{
	if (!area->inode->mappings++)
		inode_get(area->inode);
}

void files_unmapped(const struct area *area)
{
	struct inode *inode = area->inode;

	if (area->prot & AREA_SHARED)
		pages_forget(area->start, area->end);
	if (--inode->mappings)
		return;
	if (inode->unmapped++) /* it is in the list already */
		return;
	inode->next_unmapped = mm.unmapped;
	mm.unmapped = inode;
}

void files_release(void)
{
	while (mm.unmapped) {
		uint32_t before = spin_lock(&mm.lock);
		struct inode *inode = mm.unmapped;
		uint32_t times = 0;

		if (inode) {
			mm.unmapped = inode->next_unmapped;
			times = inode->unmapped;
			inode->unmapped = 0;
		}
		spin_unlock(&mm.lock, before);
		while (times--)
			inode_put(inode);
	}
}

/* Pages that are filled in together. */
struct window {
	struct extent at;
	uint64_t index; /* of the file's page at its start */
	uint64_t pa[AROUND];
};

/* Where in the area the file ends: behind it there are no pages. */
static uint64_t file_end(const struct area *area)
{
	uint64_t pages = (area->inode->bytes + PAGE_SIZE - 1) / PAGE_SIZE;
	uint64_t end = area->start + (pages - area->index) * PAGE_SIZE;

	return pages <= area->index ? area->start : end - 1 < area->end - 1 ? end : area->end;
}

/* The file's own pages, as far as it has them; that of the fault in any case. Not locked. */
static int find_pages(struct window *w, struct inode *inode, uint64_t needed)
{
	int result = -ENOMEM;

	for (uint32_t i = 0; i < w->at.count; i++) {
		const void *page = w->index + i == needed ? pages_make(&inode->pages, needed, 1)
							  : pages_find(&inode->pages, w->index + i);

		w->pa[i] = page ? (uint64_t)page - boot.direct : 0;
		if (w->index + i == needed && page)
			result = 0;
	}
	return result;
}

/* Copies of the file's pages in frames of their own, or zeroes where it has none. Not locked. */
static void copy_pages(const struct window *w, struct inode *inode)
{
	for (uint32_t i = 0; i < w->at.count; i++) {
		const void *page = pages_find(&inode->pages, w->index + i);
		void *copy = direct_map(w->pa[0] + i * PAGE_SIZE);

		if (page)
			memcpy(copy, page, PAGE_SIZE);
		else
			memset(copy, 0, PAGE_SIZE);
	}
}

/* Does the window lie in an area that shows the same as before? */
static int is_still(const struct window *w, const struct area *was)
{
	const struct area *now = mm_area_of(w->at.start);

	return now && now->start <= w->at.start &&
	       now->end >= w->at.start + w->at.count * PAGE_SIZE && now->inode == was->inode &&
	       now->prot == was->prot &&
	       now->index + (w->at.start - now->start) / PAGE_SIZE == w->index;
}

int files_fill(const struct area *area, uint64_t address, struct inode **held)
{
	struct area was = *area;
	struct inode *inode = inode_get(was.inode);
	uint64_t index = was.index + (address - was.start) / PAGE_SIZE, end = file_end(&was);
	uint32_t cutting = __atomic_load_n(&inode->cutting, __ATOMIC_ACQUIRE);
	int is_shared = !!(was.prot & AREA_SHARED);
	long result = 0;
	struct window w;

	*held = inode;
	if (cutting & 1) {
		cpu_relax(); /* the access is tried again */
		return 0;
	}
	if (address >= end)
		return -EFAULT;
	if (is_shared) {
		w.at = pages_window(&was, address, end, AROUND * PAGE_SIZE);
	} else {
		w.at = pages_around(&was, address, end);
		w.pa[0] = pages_frames(&w.at, address);
		if (!w.pa[0])
			return leftovers_give() ? 0 : -ENOMEM;
	}
	w.index = was.index + (w.at.start - was.start) / PAGE_SIZE;
	__atomic_store_n(&mm.lock, 0, __ATOMIC_RELEASE);
	if (is_shared)
		result = find_pages(&w, inode, index);
	else
		copy_pages(&w, inode);
	spin_lock(&mm.lock);
	if (!result &&
	    (!is_still(&w, &was) || is_changing(w.at.start, w.at.start + w.at.count * PAGE_SIZE) ||
	     __atomic_load_n(&inode->cutting, __ATOMIC_ACQUIRE) != cutting))
		result = -EAGAIN;
	else if (!result)
		result = is_shared ? pages_insert(w.at.start, w.pa, w.at.count, was.prot)
				   : pages_map(&w.at, w.pa[0], was.prot);
	if (!is_shared && result)
		frames_free(w.pa[0], w.at.count);
	return !result || result == -EAGAIN ? 0 : -ENOMEM;
}
