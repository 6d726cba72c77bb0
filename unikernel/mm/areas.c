/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * The program's address space: areas in a sorted array, first-fit from the top. Pages get their
 * frames when they are first touched, several at a time while memory is plentiful, and 2 MiB at
 * once where an area has room for them. Page tables are read through the direct map and changed by
 * the shim.
 */
#include <errno.h>
#include <sys/mman.h>

#include "../arch/x86_64/cpu.h"
#include "../arch/x86_64/shim.h"
#include "../kernel/boot.h"
#include "../kernel/kernel.h"
#include "../kernel/thread.h"
#include "mm.h"
#include "mm_internal.h"

#define BREAK_ROOM     (1ull << 36)
#define PREFAULT_BYTES (64 * PAGE_SIZE)
#define GROUP_BYTES    (8 * PAGE_SIZE)

struct mm mm;

/* The index of the first area that ends behind `address`. */
static uint32_t find(uint64_t address)
{
	uint32_t low = 0, high = mm.count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (mm.areas[middle].end > address)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static struct area *area_at(uint64_t address)
{
	uint32_t i = find(address);

	return i < mm.count && mm.areas[i].start <= address ? &mm.areas[i] : NULL;
}

const struct area *mm_area_of(uint64_t address)
{
	return area_at(address);
}

static int grow(void)
{
	uint32_t pages = mm.room * sizeof(struct area) > 4 * PAGE_SIZE ? 512 : 16;
	uint64_t pa = frames_alloc(pages);
	struct area *bigger;

	if (!pa || mm.room * sizeof(struct area) > 16 * PAGE_SIZE)
		return -ENOMEM;
	bigger = direct_map(pa);
	memcpy(bigger, mm.areas, mm.count * sizeof(*bigger));
	mm.areas = bigger;
	mm.room = pages * PAGE_SIZE / sizeof(*bigger);
	return 0;
}

static void move_tail(uint32_t from, int by)
{
	struct area *a = mm.areas;

	if (by > 0)
		for (uint32_t i = mm.count; i-- > from;)
			a[i + (uint32_t)by] = a[i];
	else
		for (uint32_t i = from; i < mm.count; i++)
			a[i + (uint32_t)by] = a[i];
	mm.count += (uint32_t)by;
}

/* Are they one area, the second right behind the first? Those of files stay apart. */
static int joins(const struct area *a, const struct area *b)
{
	return a->end == b->start && a->prot == b->prot && !a->inode && !b->inode;
}

/* Insert an area where nothing is, joining it with equal neighbours. */
static void insert_area(const struct area *new)
{
	uint64_t start = new->start, end = new->end;
	uint32_t i = find(start);
	struct area *a = mm.areas;
	int joins_left = i > 0 && joins(&a[i - 1], new);
	int joins_right = i < mm.count && joins(new, &a[i]);

	if (joins_left && joins_right) {
		a[i - 1].end = a[i].end;
		move_tail(i + 1, -1);
	} else if (joins_left) {
		a[i - 1].end = end;
	} else if (joins_right) {
		a[i].start = start;
	} else {
		move_tail(i, 1);
		a[i] = *new;
		if (new->inode)
			files_mapped(new);
	}
}

static void insert(uint64_t start, uint64_t end, uint64_t prot)
{
	insert_area(&(struct area){.start = start, .end = end, .prot = prot});
}

static void split_at(uint64_t address)
{
	struct area *a = area_at(address);

	if (!a || a->start == address)
		return;
	move_tail((uint32_t)(a - mm.areas), 1);
	a[0].end = address;
	a[1].start = address;
	if (a[1].inode) {
		a[1].index += (address - a[0].start) / PAGE_SIZE;
		files_mapped(&a[1]);
	}
}

/* Room for the two areas that any one operation can add. */
static int reserve(void)
{
	return mm.count + 3 > mm.room ? grow() : 0;
}

/*
 * The highest start below `top` for so many bytes. What is small lies within one page table. Where
 * a KVM shadows page tables, one fault there fills in an aligned group of entries, up to the first
 * that is missing: so areas begin with a group.
 */
static uint64_t start_below(uint64_t top, uint64_t bytes)
{
	uint64_t align = bytes >= HUGE_SIZE	? HUGE_SIZE
			 : bytes >= GROUP_BYTES ? GROUP_BYTES
						: PAGE_SIZE;
	uint64_t start = top > bytes ? (top - bytes) & -align : 0;

	if (bytes <= PREFAULT_BYTES && (start ^ (start + bytes - 1)) & -HUGE_SIZE)
		start = (((start + bytes) & -HUGE_SIZE) - bytes) & -align;
	return start;
}

/* The start of the highest gap for so many bytes below `top`, or 0. */
static uint64_t gap_below(uint64_t top, uint64_t bytes)
{
	uint32_t i = find(top);

	if (i < mm.count && mm.areas[i].start < top)
		top = mm.areas[i].start;
	for (;; i--) {
		uint64_t below = i > 0 ? mm.areas[i - 1].end : mm.bottom;
		uint64_t start;

		if (below < mm.bottom)
			below = mm.bottom;
		start = start_below(top, bytes);
		if (start >= below && start >= mm.bottom)
			return start;
		if (i == 0 || mm.areas[i - 1].start <= mm.bottom)
			return 0;
		top = mm.areas[i - 1].start;
	}
}

/*
 * What may get 2 MiB pages stays away from what is small: where a table for small pages is, it
 * remains.
 */
static uint64_t find_gap(uint64_t bytes, uint64_t prot)
{
	uint64_t start = 0;

	if (bytes >= HUGE_SIZE && !(prot & AREA_STACK))
		start = gap_below(mm.bottom + (mm.top - mm.bottom) / 2, bytes);
	return start ? start : gap_below(mm.top, bytes);
}

static int inside(uint64_t start, uint64_t end)
{
	return start < end && start >= mm.break_start && end <= mm.top;
}

static void remove_areas(uint64_t start, uint64_t end)
{
	uint32_t first, last;

	split_at(start);
	split_at(end);
	first = find(start);
	for (last = first; last < mm.count && mm.areas[last].end <= end; last++)
		if (mm.areas[last].inode)
			files_unmapped(&mm.areas[last]);
	if (last > first)
		move_tail(last, (int)first - (int)last);
}

/* The range of the operation: see mm_internal.h. */
static void changes(uint64_t start, uint64_t end)
{
	mm.changing = start;
	mm.changing_end = end;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static long do_map(struct mm_call *c)
{
	uint64_t start = c->start;

	if (reserve())
		return -ENOMEM;
	if (c->fixed) {
		if (!inside(start, start + c->bytes))
			return -ENOMEM;
		remove_areas(start, start + c->bytes);
		pages_remove(start, start + c->bytes);
		pages_flush();
	} else {
		start = find_gap(c->bytes, c->prot);
		if (!start)
			return -ENOMEM;
		changes(start, start + c->bytes);
	}
	if (c->inode) {
		/* What is left over there goes: it must not be taken for the file's. */
		leftovers_adopt(start, start + c->bytes, PROT_READ);
		insert_area(&(struct area){start, start + c->bytes, c->prot, c->inode, c->index});
		return (long)start;
	}
	insert(start, start + c->bytes, c->prot);
	leftovers_adopt(start, start + c->bytes, c->prot);
	return (long)start;
}

static long do_unmap(struct mm_call *c)
{
	uint64_t end = c->start + c->bytes;
	int has_file = 0;

	if (reserve())
		return -ENOMEM;
	for (uint32_t i = find(c->start); i < mm.count && mm.areas[i].start < end; i++)
		has_file |= mm.areas[i].inode != NULL;
	remove_areas(c->start, end);
	if (!has_file) {
		leftovers_add(c->start, end);
		return 0;
	}
	pages_remove(c->start, end);
	pages_flush();
	return 0;
}

/* The pages of shared files stay the files'. */
static void forget_shared(uint64_t start, uint64_t end)
{
	for (uint32_t i = find(start); i < mm.count && mm.areas[i].start < end; i++) {
		const struct area *a = &mm.areas[i];

		if (a->inode && a->prot & AREA_SHARED)
			pages_forget(a->start > start ? a->start : start,
				     a->end < end ? a->end : end);
	}
}

static long do_discard(struct mm_call *c)
{
	forget_shared(c->start, c->start + c->bytes);
	pages_discard(c->start, c->start + c->bytes);
	pages_flush();
	return 0;
}

static long do_protect(struct mm_call *c)
{
	uint64_t end = c->start + c->bytes;
	uint32_t first, last;
	struct area whole = {0, 0, 0};

	if (reserve())
		return -ENOMEM;
	if (area_at(c->start) && !area_at(c->start)->prot)
		whole = *area_at(c->start);
	split_at(c->start);
	split_at(end);
	first = find(c->start);
	for (uint64_t at = c->start; at < end; at = mm.areas[first++].end)
		if (first >= mm.count || mm.areas[first].start != at)
			return -ENOMEM;
	last = first;
	first = find(c->start);
	for (uint32_t i = first; i < last; i++)
		if (mm.areas[i].prot & AREA_NO_WRITE && c->prot & PROT_WRITE)
			return -EACCES;
	for (uint32_t i = first; i < last; i++)
		mm.areas[i].prot =
			c->prot | (mm.areas[i].prot & (AREA_STACK | AREA_SHARED | AREA_NO_WRITE));
	/* Backwards, so that numbers stay true: every area with the one behind it. */
	for (uint32_t i = last < mm.count ? last : mm.count - 1; i >= first && i > 0; i--)
		if (joins(&mm.areas[i - 1], &mm.areas[i])) {
			mm.areas[i - 1].end = mm.areas[i].end;
			move_tail(i + 1, -1);
		}
	leftovers_adopt(c->start, end, c->prot);
	/* Of a reservation a part became accessible; the rest is its guard. */
	leftovers_evict(whole.start, c->start < whole.end ? c->start : whole.end);
	leftovers_evict(end, whole.end);
	return pages_protect(c->start, end, c->prot);
}

static long do_extend(struct mm_call *c)
{
	struct area *a = area_at(c->start);
	uint32_t i;

	if (!a || a->end < c->start + c->bytes)
		return -EFAULT;
	if (a->end > c->start + c->bytes)
		return -ENOMEM;
	i = (uint32_t)(a - mm.areas);
	if (c->start + c->new_bytes > mm.top ||
	    (i + 1 < mm.count && mm.areas[i + 1].start < c->start + c->new_bytes))
		return -ENOMEM;
	a->end = c->start + c->new_bytes;
	leftovers_adopt(c->start + c->bytes, a->end, a->inode ? PROT_READ : a->prot);
	return 0;
}

static long do_break(struct mm_call *c)
{
	uint64_t end = (c->start + PAGE_SIZE - 1) & -PAGE_SIZE;
	uint64_t old = (mm.break_end + PAGE_SIZE - 1) & -PAGE_SIZE;

	if (c->start < mm.break_start || end > mm.break_start + BREAK_ROOM || reserve())
		return (long)mm.break_end;
	if (end > old) {
		if ((end - old) / PAGE_SIZE > frames_total)
			return (long)mm.break_end;
		insert(old, end, PROT_READ | PROT_WRITE);
		leftovers_adopt(old, end, PROT_READ | PROT_WRITE);
	} else if (end < old) {
		changes(end, old);
		remove_areas(end, old);
		pages_remove(end, old);
		pages_flush();
	}
	mm.break_end = c->start;
	return (long)mm.break_end;
}

struct locked {
	long (*function)(struct mm_call *);
	struct mm_call *call;
};

static long locked(void *argument)
{
	struct locked *l = argument;
	uint32_t before = spin_lock(&mm.operation);
	long result;

	spin_lock(&mm.lock);
	mm.owner = this_cpu();
	if (l->call->bytes)
		changes(l->call->start,
			l->call->start + larger(l->call->bytes, l->call->new_bytes));
	result = l->function(l->call);
	mm.owner = NULL;
	changes(0, 0);
	spin_unlock(&mm.lock, 1);
	spin_unlock(&mm.operation, before);
	return result;
}

/* Run a function under the lock, on this CPU's stack, where no page can be missing. */
static long run(long (*function)(struct mm_call *), struct mm_call *call)
{
	struct locked l = {function, call};
	uint32_t before = mask();
	long result = call_on_cpu_stack(locked, &l);

	unmask(before);
	files_release();
	return result;
}

static uint64_t round_up(uint64_t bytes)
{
	return (bytes + PAGE_SIZE - 1) & -PAGE_SIZE;
}

long mm_map(uint64_t hint, uint64_t bytes, uint64_t prot, int fixed)
{
	struct mm_call c = {.start = hint, .bytes = round_up(bytes), .prot = prot, .fixed = fixed};

	if (!bytes || hint % PAGE_SIZE)
		return -EINVAL;
	if (c.bytes < bytes || c.bytes > 1ull << 38)
		return -ENOMEM;
	return run(do_map, &c);
}

/* What little a file's area shows is likely wanted: that costs less at once than by a fault. */
static long prefault(void *start)
{
	return mm_fault((uint64_t)start, 0);
}

long mm_map_file(uint64_t hint, uint64_t bytes, uint64_t prot, int fixed, struct inode *inode,
		 uint64_t index)
{
	struct mm_call c = {.start = hint,
			    .bytes = round_up(bytes),
			    .prot = prot,
			    .fixed = fixed,
			    .inode = inode,
			    .index = index};
	long start;

	if (!bytes || hint % PAGE_SIZE)
		return -EINVAL;
	if (c.bytes < bytes || c.bytes > 1ull << 38)
		return -ENOMEM;
	start = run(do_map, &c);
	if (start > 0 && c.bytes <= PREFAULT_BYTES && prot & (PROT_READ | PROT_WRITE)) {
		uint32_t before = mask();

		(void)call_on_cpu_stack(prefault, (void *)start);
		unmask(before);
	}
	return start;
}

static long do_unmap_file(struct mm_call *c)
{
	for (uint32_t i = 0; i < mm.count; i++) {
		const struct area *a = &mm.areas[i];
		uint64_t pages = (a->end - a->start) / PAGE_SIZE, first, last;

		if (a->inode != c->inode || c->index >= a->index + pages ||
		    c->index_end <= a->index)
			continue;
		first = c->index > a->index ? c->index - a->index : 0;
		last = c->index_end < a->index + pages ? c->index_end - a->index : pages;
		if (a->prot & AREA_SHARED)
			pages_forget(a->start + first * PAGE_SIZE, a->start + last * PAGE_SIZE);
		else
			pages_remove(a->start + first * PAGE_SIZE, a->start + last * PAGE_SIZE);
		pages_flush();
	}
	return 0;
}

void mm_unmap_file(struct inode *inode, uint64_t from, uint64_t to)
{
	struct mm_call c = {.inode = inode, .index = from, .index_end = to};

	(void)run(do_unmap_file, &c);
}

static long do_next(struct mm_call *c)
{
	uint32_t i = find(c->start);

	if (i == mm.count)
		return 0;
	*(struct mm_area *)c->inode = (struct mm_area){
		.start = mm.areas[i].start,
		.end = mm.areas[i].end,
		.prot = mm.areas[i].prot,
		.index = mm.areas[i].index,
		.is_shared = !!(mm.areas[i].prot & AREA_SHARED),
		.is_file = mm.areas[i].inode != NULL,
		.is_heap = mm.areas[i].end <= mm.break_start + BREAK_ROOM,
	};
	return 1;
}

int mm_area_next(uint64_t at, struct mm_area *out)
{
	struct mm_call c = {.start = at, .inode = (struct inode *)out};

	memset(out, 0, sizeof(*out)); /* now it is backed */
	return (int)run(do_next, &c);
}

static int bad_range(uint64_t start, uint64_t bytes)
{
	return start % PAGE_SIZE || !bytes || round_up(bytes) < bytes ||
	       !inside(start, start + round_up(bytes));
}

long mm_unmap(uint64_t start, uint64_t bytes)
{
	struct mm_call c = {.start = start, .bytes = round_up(bytes)};

	return bad_range(start, bytes) ? -EINVAL : run(do_unmap, &c);
}

long mm_unmap_masked(uint64_t start, uint64_t bytes)
{
	struct mm_call c = {.start = start, .bytes = round_up(bytes)};
	struct locked l = {do_unmap, &c};

	return bad_range(start, bytes) ? -EINVAL : locked(&l);
}

long mm_discard(uint64_t start, uint64_t bytes)
{
	struct mm_call c = {.start = start, .bytes = round_up(bytes)};

	return bad_range(start, bytes) ? -EINVAL : run(do_discard, &c);
}

long mm_protect(uint64_t start, uint64_t bytes, uint64_t prot)
{
	struct mm_call c = {.start = start, .bytes = round_up(bytes), .prot = prot};

	if (!bytes)
		return 0;
	if (prot & PROT_EXEC)
		return -EACCES; /* code is sealed, and nothing becomes code */
	return bad_range(start, bytes) ? -ENOMEM : run(do_protect, &c);
}

long mm_break(uint64_t end)
{
	struct mm_call c = {.start = end};

	return run(do_break, &c);
}

long mm_remap(uint64_t old, uint64_t old_bytes, uint64_t bytes, int may_move)
{
	struct mm_call c = {
		.start = old, .bytes = round_up(old_bytes), .new_bytes = round_up(bytes)};
	const struct area *area = area_at(old);
	uint64_t prot = area ? area->prot : 0;
	long moved;

	if (bad_range(old, old_bytes) || !bytes || !area)
		return -EINVAL;
	if (c.new_bytes == c.bytes)
		return (long)old;
	if (c.new_bytes < c.bytes) {
		mm_unmap(old + c.new_bytes, c.bytes - c.new_bytes);
		return (long)old;
	}
	if (run(do_extend, &c) == 0)
		return (long)old;
	if (!may_move)
		return -ENOMEM;
	if (area->inode)
		moved = mm_map_file(0, bytes, prot, 0, area->inode,
				    area->index + (old - area->start) / PAGE_SIZE);
	else
		moved = mm_map(0, bytes, prot, 0);
	if (moved < 0)
		return moved;
	if (!(prot & AREA_SHARED))
		memcpy((void *)moved, (const void *)old, c.bytes);
	mm_unmap(old, old_bytes);
	return moved;
}

void *kernel_pages(uint32_t pages)
{
	uint32_t before = spin_lock(&mm.lock);
	uint64_t pa = frames_alloc(pages);

	spin_unlock(&mm.lock, before);
	return pa ? memset(direct_map(pa), 0, pages * PAGE_SIZE) : NULL;
}

void mm_give(uint64_t pa, uint64_t bytes)
{
	uint64_t start = round_up(pa), end = (pa + bytes) & -PAGE_SIZE;
	uint32_t before = spin_lock(&mm.lock);

	if (start < end)
		frames_add(start, end);
	spin_unlock(&mm.lock, before);
}

void mm_init(void)
{
	uint64_t r = 0, slot = ((uint64_t)boot.direct >> 39) ^ 64;

	frames_init();
	if (slot == boot.bias >> 39)
		slot ^= 32;
	if (boot.arena)
		slot = boot.arena >> 39;
	(void)cpu_random(&r);
	mm.areas = kernel_pages(4);
	mm.room = 4 * PAGE_SIZE / sizeof(struct area);
	mm.break_start = slot << 39 | ((r & 0xffffff) * PAGE_SIZE);
	mm.break_end = mm.break_start;
	mm.bottom = mm.break_start + BREAK_ROOM;
	mm.top = ((slot + 1) << 39) - (r >> 24 & 0xffffff) * PAGE_SIZE - HUGE_SIZE;
}
