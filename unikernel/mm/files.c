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

/* A copy of the file's page in a frame of its own, or zeroes where it has none. Not locked. */
static uint64_t copy_page(struct inode *inode, uint64_t index)
{
	uint32_t before = spin_lock(&mm.lock);
	uint64_t pa = frames_alloc(1);
	const void *page;

	spin_unlock(&mm.lock, before);
	if (!pa)
		return 0;
	page = pages_find(&inode->pages, index);
	if (page)
		memcpy(direct_map(pa), page, PAGE_SIZE);
	else
		memset(direct_map(pa), 0, PAGE_SIZE);
	return pa;
}

static int is_still(uint64_t address, const struct area *was)
{
	const struct area *now = mm_area_of(address);

	return now && now->start <= address && now->inode == was->inode && now->prot == was->prot &&
	       now->index + (address - now->start) / PAGE_SIZE ==
		       was->index + (address - was->start) / PAGE_SIZE;
}

int files_fill(const struct area *area, uint64_t address, struct inode **held)
{
	struct area was = *area;
	struct inode *inode = inode_get(was.inode);
	uint64_t index = was.index + (address - was.start) / PAGE_SIZE;
	uint32_t cutting = __atomic_load_n(&inode->cutting, __ATOMIC_ACQUIRE);
	int is_shared = !!(was.prot & AREA_SHARED), result = 0;
	uint64_t pa = 0;
	const void *page;

	*held = inode;
	__atomic_store_n(&mm.lock, 0, __ATOMIC_RELEASE);
	if (cutting & 1) {
		cpu_relax(); /* the access is tried again */
	} else if (index * PAGE_SIZE >= inode->bytes) {
		result = -EFAULT;
	} else if (is_shared) {
		page = pages_make(&inode->pages, index, 1);
		pa = page ? (uint64_t)page - boot.direct : 0;
	} else {
		pa = copy_page(inode, index);
	}
	if (!result && !pa && !(cutting & 1))
		result = -ENOMEM;
	spin_lock(&mm.lock);
	if (pa && (!is_still(address, &was) ||
		   __atomic_load_n(&inode->cutting, __ATOMIC_ACQUIRE) != cutting ||
		   pages_insert(address & -PAGE_SIZE, pa, was.prot) < 0)) {
		if (!is_shared)
			frames_free(pa, 1);
	}
	return result;
}
