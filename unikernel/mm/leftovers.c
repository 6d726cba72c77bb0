/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Pages that a small munmap() left mapped. C libraries unmap and map the same addresses again and
 * again; zeroing a page costs a hundredth of taking it away and asking for another one. When there
 * are too many, the oldest go, several ranges at a time: all CPUs flush their TLBs once for them.
 *
 * A shared mapping of a file is left over only if the same pages of the file have been mapped again
 * and again. The file does not live longer for it: whoever takes pages out of it, or frees it,
 * takes them out of leftovers, too.
 */
#include <sys/mman.h>

#include "../fs/inode.h"
#include "../kernel/kernel.h"
#include "mm_internal.h"

#define RANGES	    64
#define BYTES_MIN   (1ull << 20)
#define BYTES_MAX   (1ull << 24)
#define MEMORY_PART 32 /* of all memory, at most, unless that is less than BYTES_MIN */
#define GUARD_BYTES (1ull << 16)
#define AGAIN	    4 /* so often in a row a file's pages are mapped before they are left over */

static struct area left[RANGES]; /* the oldest first */
static uint32_t count;
static uint64_t total;

static void take_away(const struct area *range)
{
	if (range->inode) {
		pages_forget(range->start, range->end);
		range->inode->leftovers--;
	} else {
		pages_remove(range->start, range->end);
	}
}

/* Forget the numbers [first, first + n). */
static void forget(uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < first + n; i++)
		total -= left[i].end - left[i].start;
	count -= n;
	for (uint32_t i = first; i < count; i++)
		left[i] = left[i + n];
}

static void drop_first(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		take_away(&left[i]);
	forget(0, n);
	pages_flush();
}

int leftovers_drop(void)
{
	int any = count > 0;

	drop_first(count);
	return any;
}

static uint64_t bytes_max(void)
{
	uint64_t part = frames_total * PAGE_SIZE / MEMORY_PART;

	return part < BYTES_MIN ? BYTES_MIN : part < BYTES_MAX ? part : BYTES_MAX;
}

/* So much is in the oldest ranges whose number is a quarter of all, and more for `bytes` more. */
static void make_room(uint64_t bytes)
{
	uint64_t kept = total, most = bytes_max();
	uint32_t n = 0;

	if (count + 1 < RANGES && total + bytes <= most)
		return;
	while (n < count && (n < RANGES / 4 || kept + bytes > most)) {
		kept -= left[n].end - left[n].start;
		n++;
	}
	drop_first(n);
}

void leftovers_add(uint64_t start, uint64_t end)
{
	/* 2 MiB pages come and go by one request each. */
	uint64_t small = end - start < HUGE_SIZE ? start : end & -HUGE_SIZE;

	if (frames_free_count < frames_total / 4 || end - small > bytes_max())
		small = end;
	if (small > start) {
		pages_remove(start, small);
		pages_flush();
		start = small;
	}
	if (start == end)
		return;
	make_room(end - start);
	left[count++] = (struct area){.start = start, .end = end};
	total += end - start;
}

int leftovers_keep(const struct area *area)
{
	struct inode *inode = area->inode;
	uint64_t bytes = area->end - area->start;

	inode->last_index = area->index;
	inode->last_bytes = bytes;
	if (!(area->prot & AREA_SHARED) || inode->again < AGAIN || bytes > BYTES_MIN / 4)
		return 0;
	make_room(bytes);
	left[count++] = *area;
	total += bytes;
	inode->leftovers++;
	return 1;
}

uint64_t leftovers_take(struct inode *inode, uint64_t index, uint64_t bytes, uint64_t prot)
{
	if (inode->last_index != index || inode->last_bytes != bytes)
		inode->again = 0;
	else if (inode->again < AGAIN)
		inode->again++;
	for (uint32_t i = count; inode->leftovers && i-- > 0;) {
		uint64_t start = left[i].start;

		if (left[i].inode != inode || left[i].index != index || left[i].prot != prot ||
		    left[i].end - start != bytes)
			continue;
		inode->leftovers--;
		forget(i, 1);
		return start;
	}
	return 0;
}

void leftovers_evict_file(const struct inode *inode)
{
	for (uint32_t i = count; inode->leftovers && i-- > 0;)
		if (left[i].inode == inode) {
			take_away(&left[i]);
			forget(i, 1);
		}
}

void leftovers_evict_files(uint64_t start, uint64_t end)
{
	for (uint32_t i = count; i-- > 0;)
		if (left[i].inode && left[i].start < end && left[i].end > start) {
			take_away(&left[i]);
			forget(i, 1);
		}
}

/* Whatever of [start, end) is mapped has been the program's: it must not see that again. */
static void renew(uint64_t start, uint64_t end, uint64_t prot)
{
	if ((prot & (PROT_READ | PROT_WRITE)) != (PROT_READ | PROT_WRITE)) {
		pages_remove(start, end);
		return;
	}
	for (uint64_t va = start; va < end; va += PAGE_SIZE) {
		if (mm_writable(va))
			memset((void *)va, 0, PAGE_SIZE);
		else
			pages_remove(va, va + PAGE_SIZE);
	}
}

void leftovers_evict(uint64_t start, uint64_t end)
{
	leftovers_evict_files(start, end);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t from = left[i].start > start ? left[i].start : start;
		uint64_t to = left[i].end < end ? left[i].end : end;

		if (from < to)
			pages_remove(from, to);
	}
	pages_flush();
}

void leftovers_adopt(uint64_t start, uint64_t end, uint64_t prot)
{
	leftovers_evict_files(start, end);
	if (!(prot & (PROT_READ | PROT_WRITE))) {
		/* A guard; or, when it is large, likely a stack that is made accessible next. */
		if (end - start <= GUARD_BYTES)
			leftovers_evict(start, end);
		return;
	}
	for (uint32_t i = count; i-- > 0;) {
		uint64_t from = left[i].start > start ? left[i].start : start;
		uint64_t to = left[i].end < end ? left[i].end : end;

		if (from >= to)
			continue;
		renew(from, to, prot);
		if (left[i].start == from && left[i].end == to) {
			forget(i, 1);
			continue;
		}
		total -= to - from;
		if (left[i].start == from)
			left[i].start = to;
		else if (left[i].end > to) /* two remain: add() left room for one more */
			left[count++] = (struct area){.start = to, .end = left[i].end};
		if (left[i].start < from)
			left[i].end = from;
		if (count == RANGES)
			leftovers_drop();
	}
	pages_flush();
}
