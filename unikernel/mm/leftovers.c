/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Pages that a small munmap() left mapped. C libraries unmap and map the same addresses again and
 * again; zeroing a page costs a hundredth of taking it away and asking for another one.
 */
#include <sys/mman.h>

#include "../kernel/kernel.h"
#include "mm_internal.h"

#define RANGES	    64
#define BYTES_EACH  (1ull << 18)
#define BYTES_TOTAL (1ull << 20)
#define GUARD_BYTES (1ull << 16)

static struct {
	uint64_t start, end;
} left[RANGES];
static uint32_t count;
static uint64_t total;

int leftovers_drop(void)
{
	int any = count > 0;

	while (count) {
		count--;
		pages_remove(left[count].start, left[count].end);
	}
	total = 0;
	pages_flush();
	return any;
}

void leftovers_add(uint64_t start, uint64_t end)
{
	if (end - start > BYTES_EACH || frames_free_count < frames_total / 4) {
		pages_remove(start, end);
		pages_flush();
		return;
	}
	if (count + 1 >= RANGES || total + (end - start) > BYTES_TOTAL)
		leftovers_drop();
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
			left[i] = left[--count];
		}
		if (count == RANGES)
			leftovers_drop();
	}
	pages_flush();
}
