/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * What is mapped: reads the page tables through the direct map (read-only), asks the shim for
 * changes, one request for each stretch within 2 MiB, and fills in missing pages.
 */
#include <errno.h>
#include <sys/mman.h>

#include "../arch/x86_64/cpu.h"
#include "../arch/x86_64/platform.h"
#include "../arch/x86_64/shim.h"
#include "../arch/x86_64/tables.h"
#include "../fs/inode.h"
#include "../kernel/boot.h"
#include "../kernel/kernel.h"
#include "mm_internal.h"

#define BATCH	     512
#define PLENTY_HUGE  8192 /* 2 MiB pages only while this many frames stay free */
#define PLENTY_SMALL 4096 /* and 256 KiB at once */
#define FEW_BYTES    (4 * PAGE_SIZE)

extern char __image_start[], __bss_end[];

static uint64_t batch[BATCH]; /* frames to free after the flush; bit 0: 2 MiB */
static uint32_t batch_count;
static int must_flush; /* what was removed without PAGES_FLUSH is still in this CPU's TLB */

static const uint64_t *table_of(uint64_t entry)
{
	return direct_map(entry & PTE_ADDR);
}

/* By an operation: nobody else changes what it changes while mm.lock is open. */
static void shoot_down(void)
{
	__atomic_store_n(&mm.lock, 0, __ATOMIC_RELEASE);
	platform->flush_others();
	spin_lock(&mm.lock);
}

void pages_flush(void)
{
	if (!batch_count)
		return;
	if (must_flush)
		platform->flush();
	must_flush = 0;
	shoot_down();
	for (uint32_t i = 0; i < batch_count; i++)
		frames_free(batch[i] & PTE_ADDR, batch[i] & 1 ? 512 : 1);
	batch_count = 0;
}

/*
 * Make small pages of a 2 MiB page. For a moment nothing is mapped, also outside the operation's
 * range: who touches it then faults and waits for the lock. Without a page table for the small ones
 * it stays as it was.
 */
static int split(uint64_t va)
{
	uint64_t entry = tables_entry(va), pa = entry & PTE_ADDR & -HUGE_SIZE;
	uint64_t flags = entry & PTE_KEPT ? PAGES_NONE : entry & PTE_W ? PAGES_WRITE : 0;

	va &= -HUGE_SIZE;
	platform->pages(va, 0, 1, PAGES_UNMAP | PAGES_HUGE | PAGES_FLUSH);
	platform->flush_others();
	if (platform->pages(va, pa, 512, flags) >= 0)
		return 0;
	platform->pages(va, pa, 1, flags | PAGES_HUGE);
	return -ENOMEM;
}

/* Remove the small pages of [start, end), which lies within one table. */
static void remove_small(uint64_t start, uint64_t end, const uint64_t *table)
{
	uint64_t first = 0, last = 0;

	if (batch_count + (end - start) / PAGE_SIZE > BATCH)
		pages_flush();
	for (uint64_t va = start; va < end; va += PAGE_SIZE) {
		uint64_t entry = table[va >> 12 & 511];

		if (!entry)
			continue;
		if (!first)
			first = va;
		last = va + PAGE_SIZE;
		batch[batch_count++] = entry & PTE_ADDR;
	}
	if (first)
		platform->pages(first, 0, (last - first) / PAGE_SIZE, PAGES_UNMAP | PAGES_FLUSH);
}

void pages_remove(uint64_t start, uint64_t end)
{
	uint64_t next;

	for (uint64_t va = start; va < end; va = next) {
		uint64_t entry = tables_entry(va);

		next = (va + HUGE_SIZE) & -HUGE_SIZE;
		if (next > end)
			next = end;
		if (!entry)
			continue;
		if (entry & PTE_PS && next - va == HUGE_SIZE) {
			if (batch_count == BATCH)
				pages_flush();
			batch[batch_count++] = (entry & PTE_ADDR & -HUGE_SIZE) | 1;
			platform->pages(va, 0, 1, PAGES_UNMAP | PAGES_HUGE);
			must_flush = 1;
			continue;
		}
		if (entry & PTE_PS) {
			if (split(va))
				continue; /* without a table the frames stay in use */
			entry = tables_entry(va);
		}
		remove_small(va, next, table_of(entry));
	}
}

void pages_discard(uint64_t start, uint64_t end)
{
	uint64_t next;

	for (uint64_t va = start; va < end; va = next) {
		uint64_t entry = tables_entry(va), pa = entry & PTE_ADDR & -HUGE_SIZE;

		next = (va + HUGE_SIZE) & -HUGE_SIZE;
		if (next > end)
			next = end;
		if (entry & PTE_PS && next - va < HUGE_SIZE &&
		    frames_free_count >= frames_total / 4)
			memset(direct_map(pa + va % HUGE_SIZE), 0, next - va);
		else
			pages_remove(va, next);
	}
}

void pages_forget(uint64_t start, uint64_t end)
{
	int any = 0;
	uint64_t next;

	for (uint64_t va = start; va < end; va = next) {
		uint64_t entry = tables_entry(va);

		next = (va + HUGE_SIZE) & -HUGE_SIZE;
		if (next > end)
			next = end;
		if (!entry)
			continue;
		platform->pages(va, 0, (next - va) / PAGE_SIZE, PAGES_UNMAP | PAGES_FLUSH);
		any = 1;
	}
	if (any)
		shoot_down();
}

static uint64_t page_flags(uint64_t prot)
{
	if (!(prot & (PROT_READ | PROT_WRITE | PROT_EXEC)))
		return PAGES_NONE;
	return prot & PROT_WRITE ? PAGES_WRITE : 0;
}

/* Does a present entry say something else than `flags`? */
static int differs(uint64_t entry, uint64_t flags)
{
	uint64_t bits = flags & PAGES_NONE ? PTE_KEPT : flags & PAGES_WRITE ? PTE_P | PTE_W : PTE_P;

	return entry && (entry & (PTE_P | PTE_W | PTE_KEPT)) != bits;
}

/* Within one table: one request from the first to the last page that changes. Returns whether any
 * did. */
static int protect_small(uint64_t start, uint64_t end, uint64_t flags)
{
	const uint64_t *table = table_of(tables_entry(start));
	uint64_t first = 0, last = 0;

	for (uint64_t va = start; va < end; va += PAGE_SIZE) {
		if (!differs(table[va >> 12 & 511], flags))
			continue;
		if (!first)
			first = va;
		last = va + PAGE_SIZE;
	}
	if (first)
		platform->pages(first, 0, (last - first) / PAGE_SIZE, flags);
	return first != 0;
}

long pages_protect(uint64_t start, uint64_t end, uint64_t prot)
{
	uint64_t flags = page_flags(prot) | PAGES_PROTECT | PAGES_FLUSH, next;
	int changed = 0;
	long result = 0;

	for (uint64_t va = start; va < end && !result; va = next) {
		uint64_t entry = tables_entry(va);

		next = (va + HUGE_SIZE) & -HUGE_SIZE;
		if (next > end)
			next = end;
		if (!entry || (entry & PTE_PS && !differs(entry, flags)))
			continue;
		if (entry & PTE_PS && next - va == HUGE_SIZE) {
			platform->pages(va, 0, 1, flags | PAGES_HUGE);
			changed = 1;
			continue;
		}
		if (entry & PTE_PS)
			result = split(va);
		if (!result)
			changed |= protect_small(va, next, flags);
	}
	if (changed)
		shoot_down();
	return result;
}

static int is_missing(uint64_t entry, uint64_t va)
{
	return !entry || (!(entry & PTE_PS) && !table_of(entry)[va >> 12 & 511]);
}

static int all_missing(const struct extent *e)
{
	uint64_t entry = tables_entry(e->start), used = 0;

	if (!entry || entry & PTE_PS)
		return !entry;
	for (uint32_t i = 0; i < e->count; i++)
		used |= table_of(entry)[(e->start >> 12 & 511) + i];
	return !used;
}

/* Do the pages at both distances from `va` exist? Within its table. */
static int is_grown(uint64_t va, uint64_t near, uint64_t far)
{
	uint64_t entry = tables_entry(va);

	return !((va ^ (va + far)) & -HUGE_SIZE) && !is_missing(entry, va + near) &&
	       !is_missing(entry, va + far);
}

/*
 * How many pages to fill at once: fewer when memory is short, and a few where likely few are
 * wanted, until there are some, upwards or downwards.
 */
static uint64_t fill_bytes(const struct area *area, uint64_t va)
{
	uint64_t free = frames_free_count;
	uint64_t pages = free <= frames_total / 4   ? 1
			 : free <= frames_total / 2 ? 4
			 : free <= PLENTY_SMALL	    ? 16
						    : 64;

	if (area->prot & AREA_STACK && pages > 4)
		pages = is_grown(va, -FEW_BYTES, -2 * FEW_BYTES) ||
					is_grown(va, FEW_BYTES, 2 * FEW_BYTES)
				? 16
				: 4;
	return pages * PAGE_SIZE;
}

struct extent pages_window(const struct area *area, uint64_t va, uint64_t end, uint64_t bytes)
{
	int is_whole = area->end - area->start <= bytes;
	uint64_t first = va & (is_whole ? -HUGE_SIZE : -bytes);
	uint64_t last = first + (is_whole ? HUGE_SIZE : bytes);

	first = first > area->start ? first : area->start;
	last = last < end ? last : end;
	return (struct extent){first, (uint32_t)((last - first) / PAGE_SIZE)};
}

struct extent pages_around(const struct area *area, uint64_t va, uint64_t end)
{
	struct extent window = pages_window(area, va, end, fill_bytes(area, va));
	uint64_t entry = tables_entry(va), low = va & -PAGE_SIZE, high = low + PAGE_SIZE;
	uint64_t first = window.start, last = first + window.count * PAGE_SIZE;

	while (low > first && is_missing(entry, low - PAGE_SIZE))
		low -= PAGE_SIZE;
	while (high < last && is_missing(entry, high))
		high += PAGE_SIZE;
	return (struct extent){low, (uint32_t)((high - low) / PAGE_SIZE)};
}

uint64_t pages_frames(struct extent *e, uint64_t va)
{
	uint32_t pages = e->count > 16 ? 64 : e->count > 4 ? 16 : e->count > 1 ? 4 : 1;
	uint64_t pa = frames_alloc(pages);

	if (pa && pages > e->count)
		frames_free(pa + e->count * PAGE_SIZE, pages - e->count);
	if (pa || pages == 1)
		return pa;
	*e = (struct extent){va & -PAGE_SIZE, 1};
	return frames_alloc(1);
}

long pages_map(const struct extent *e, uint64_t pa, uint64_t prot)
{
	return all_missing(e) ? platform->pages(e->start, pa, e->count, page_flags(prot)) : -EAGAIN;
}

static long map_huge(uint64_t va, uint64_t pa, uint64_t prot)
{
	return tables_entry(va) ? -EAGAIN
				: platform->pages(va, pa, 1, page_flags(prot) | PAGES_HUGE);
}

/* A 2 MiB page, when the area has room for it and memory is plentiful. */
static uint64_t huge_frame(const struct area *area, uint64_t address)
{
	uint64_t huge = address & -HUGE_SIZE;

	if (tables_entry(address) || huge < area->start || huge + HUGE_SIZE > area->end ||
	    frames_free_count <= PLENTY_HUGE || area->prot & AREA_STACK)
		return 0;
	return frames_alloc(512);
}

/* Frames for the pages around `address`. Under the lock, but for the time of zeroing. */
static int fill(const struct area *area, uint64_t address)
{
	struct extent e = {address & -HUGE_SIZE, 512};
	uint64_t prot = area->prot, pa = huge_frame(area, address);
	long result;

	if (!pa) {
		e = pages_around(area, address, area->end);
		pa = pages_frames(&e, address);
	}
	if (!pa)
		return leftovers_give() ? 0 : -ENOMEM; /* then the access is tried again */
	__atomic_store_n(&mm.lock, 0, __ATOMIC_RELEASE);
	memset(direct_map(pa), 0, e.count * PAGE_SIZE);
	spin_lock(&mm.lock);
	/* While unlocked, the area may have changed, or another CPU filled it: then start over. */
	area = mm_area_of(address);
	if (!area || is_changing(e.start, e.start + e.count * PAGE_SIZE) || area->start > e.start ||
	    area->end < e.start + e.count * PAGE_SIZE || area->prot != prot || area->inode)
		result = -EAGAIN;
	else if (e.count == 512)
		result = map_huge(e.start, pa, prot);
	else
		result = pages_map(&e, pa, prot);
	if (result)
		frames_free(pa, e.count);
	return !result || result == -EAGAIN ? 0 : -ENOMEM;
}

long pages_insert(uint64_t va, const uint64_t *pa, uint32_t count, uint64_t prot)
{
	uint32_t n;
	long result = 0;

	for (uint32_t i = 0; i < count && !result; i += n) {
		uint64_t entry = tables_entry(va + i * PAGE_SIZE);

		n = 1;
		if (!pa[i] || (entry && (entry & PTE_PS || table_of(entry)[(va >> 12 & 511) + i])))
			continue;
		while (i + n < count && pa[i + n] == pa[i] + n * PAGE_SIZE &&
		       (!entry || !table_of(entry)[(va >> 12 & 511) + i + n]))
			n++;
		result = platform->pages(va + i * PAGE_SIZE, pa[i], n, page_flags(prot));
	}
	return result;
}

/* Does the entry that maps `va` now allow the access? Then only this CPU's TLB was behind. */
static int allowed(uint64_t va, uint64_t error)
{
	uint64_t entry = tables_entry(va);

	if (entry && !(entry & PTE_PS))
		entry = table_of(entry)[va >> 12 & 511];
	return (entry & PTE_P) && (!(error & 2) || entry & PTE_W) && !(error & 16);
}

int mm_is_short(const struct area *area, uint64_t error)
{
	uint64_t needs = error & 2 ? PROT_WRITE : PROT_READ | PROT_WRITE;

	return area && area->prot & needs && !(error & 17);
}

int mm_present(uint64_t va)
{
	if (va >= (uint64_t)__image_start && va < (uint64_t)__bss_end)
		return 1; /* in a process the tables do not say so */
	return va >= 1ull << 39 && va < 1ull << 47 && allowed(va, 0);
}

int mm_writable(uint64_t va)
{
	return allowed(va, 2);
}

int mm_fault(uint64_t address, uint64_t error)
{
	struct inode *held = NULL;
	const struct area *area;
	int result = -EFAULT, is_early = 0;
	uint64_t since = 0;

	if (mm.owner == this_cpu())
		return -EDEADLK;
	spin_lock(&mm.lock);
	area = mm_area_of(address);
	if (is_changing(address, address + 1)) {
		result = 0; /* the access is tried again */
		is_early = 1;
	} else if (!area || error & 16 || !(area->prot & (PROT_READ | PROT_WRITE)) ||
		   (error & 2 && !(area->prot & PROT_WRITE))) {
		result = -EFAULT;
	} else if (allowed(address, error)) {
		if (error & 1)
			platform->flush();
		result = 0;
	} else if (error & 1) {
		result = -EFAULT;
	} else {
		result = area->inode ? files_fill(area, address, &held) : fill(area, address);
	}
	__atomic_store_n(&mm.lock, 0, __ATOMIC_RELEASE);
	while (is_early && is_changing(address, address + 1))
		spin_turn(&since);
	if (held)
		inode_put(held);
	return result;
}

void *mm_map_device(uint64_t pa)
{
	uint32_t before = spin_lock(&mm.lock);
	long result = platform->pages((uint64_t)direct_map(pa), pa, 1, PAGES_WRITE);

	spin_unlock(&mm.lock, before);
	return result ? NULL : direct_map(pa);
}
