/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Pages that a small munmap() left mapped. C libraries unmap and map the same addresses again and
 * again; zeroing a page costs a hundredth of taking it away and asking for another one. When there
 * are too many, the oldest go, several ranges at a time: all CPUs flush their TLBs once for them.
 */
#include <sys/mman.h>

#include "../arch/x86_64/cpu.h"
#include "../kernel/kernel.h"
#include "mm_internal.h"

#define RANGES	    64
#define BYTES_MIN   (1ull << 20)
#define BYTES_MAX   (1ull << 24)
#define MEMORY_PART 32 /* of all memory, at most, unless that is less than BYTES_MIN */
#define GUARD_BYTES (1ull << 16)

static struct {
	uint64_t start, end;
} left[RANGES]; /* the oldest first */
static uint32_t count;
static uint64_t total;

static void drop_first(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		pages_remove(left[i].start, left[i].end);
		total -= left[i].end - left[i].start;
	}
	count -= n;
	for (uint32_t i = 0; i < count; i++)
		left[i] = left[i + n];
	pages_flush();
}

int leftovers_give(void)
{
	int any;

	__atomic_store_n(&mm.lock, 0, __ATOMIC_RELEASE);
	spin_lock(&mm.operation);
	spin_lock(&mm.lock);
	any = count > 0 || frames_free_count > 0; /* that of the operation before */
	drop_first(count);
	spin_unlock(&mm.operation, 1);
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
	left[count].start = start;
	left[count++].end = end;
	total += end - start;
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
		total -= to - from;
		if (left[i].start < from &&
		    to < left[i].end) { /* two remain: add() left room for one more */
			left[count].start = to;
			left[count++].end = left[i].end;
			left[i].end = from;
		} else if (left[i].start < from) {
			left[i].end = from;
		} else if (to < left[i].end) {
			left[i].start = to;
		} else {
			count--;
			for (uint32_t k = i; k < count; k++)
				left[k] = left[k + 1];
		}
		if (count == RANGES)
			drop_first(count);
	}
	pages_flush();
}
