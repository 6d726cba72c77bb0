/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Between areas.c (what the program asked for) and pages.c (what is mapped). All under mm.lock.
 *
 * An operation (map, unmap, protect ...) holds mm.operation from its beginning to its end, and
 * mm.lock as well, but for the times in which it waits for other CPUs to flush their TLBs. Then
 * faults elsewhere are served, and frames are given out and taken back. Those in the operation's
 * own range are tried again until it is over: otherwise they would see a part of it, or fill in a
 * page where another CPU still knows the one before. No other operation can take the addresses
 * meanwhile, and the frames are free only when no CPU knows them any more.
 */
#ifndef SKETE_UK_MM_INTERNAL_H
#define SKETE_UK_MM_INTERNAL_H

#include "mm.h"

struct cpu;

extern struct mm {
	uint32_t operation, lock;
	uint64_t changing, changing_end; /* the operation's range */
	struct cpu *volatile owner;	 /* the CPU that runs an operation */
	struct area *areas;
	uint32_t count, room;
	uint64_t bottom, top; /* where mmap looks for room */
	uint64_t break_start, break_end;
	struct inode *unmapped; /* whose last mapping went: references to give back, see files.c */
} mm;

struct mm_call {
	uint64_t start, bytes, new_bytes, prot;
	int fixed;
	struct inode *inode;
	uint64_t index, index_end;
};

/* Does the operation under way, if there is one, change something in the range? */
static inline int is_changing(uint64_t start, uint64_t end)
{
	return start < mm.changing_end && end > mm.changing;
}

/*
 * Unmap whatever is mapped there; pages_flush() then flushes all TLBs and frees the frames. Both,
 * pages_forget() and pages_protect() open mm.lock meanwhile: only for operations.
 */
void pages_remove(uint64_t start, uint64_t end);
/*
 * The same, but a part of a 2 MiB page is zeroed, while memory is plentiful: making 512 pages of it
 * takes ten times as long.
 */
void pages_discard(uint64_t start, uint64_t end);
void pages_flush(void);
/* Unmap pages whose frames belong to somebody else, and flush all TLBs. */
void pages_forget(uint64_t start, uint64_t end);
/*
 * Map `count` pages within one table to these frames, 0: none, where nothing is: consecutive ones
 * by one request. 0, or negative: no table.
 */
long pages_insert(uint64_t va, const uint64_t *pa, uint32_t count, uint64_t prot);
/* Pages within one table. */
struct extent {
	uint64_t start;
	uint32_t count;
};
/* Where `va` lies in the area, below `end`: all of it if it is that small, or aligned `bytes`. */
struct extent pages_window(const struct area *area, uint64_t va, uint64_t end, uint64_t bytes);
/*
 * What to fill at once around `va`: missing pages, at most 64, in the area and below `end`; fewer
 * when memory is short.
 */
struct extent pages_around(const struct area *area, uint64_t va, uint64_t end);
/* Consecutive frames for it, or, if there are none, one for the page of `va`. 0: no memory. */
uint64_t pages_frames(struct extent *extent, uint64_t va);
/* Map it. 0, -EAGAIN if not all of it is missing any more, or -ENOMEM: no table. */
long pages_map(const struct extent *extent, uint64_t pa, uint64_t prot);

/* files.c: an area of a file comes or goes. */
void files_mapped(const struct area *area);
void files_unmapped(const struct area *area);
/* Give back what files_unmapped() has collected; not under the lock. */
void files_release(void);
/* A missing page of a file's area. Under the lock, which is open meanwhile. As mm_fault(); *held is
 * a reference for the caller to put without the lock. */
int files_fill(const struct area *area, uint64_t address, struct inode **held);

/*
 * leftovers.c: what a small munmap() leaves mapped for a while, because the next mmap() likely
 * wants it back, and taking pages away is dear. An access to it meanwhile goes unnoticed.
 */
void leftovers_add(uint64_t start, uint64_t end);
/* An area now has this protection: leftovers in it become its zeroed pages, or go. */
void leftovers_adopt(uint64_t start, uint64_t end, uint64_t prot);
/* What stays inaccessible, a guard, must be: take away leftovers in it. */
void leftovers_evict(uint64_t start, uint64_t end);
/*
 * Take them all away, for somebody who finds no memory, and is no operation. mm.lock is open
 * meanwhile. Returns whether there may be some now.
 */
int leftovers_give(void);

/* Change the protection of whatever is mapped there. 0 or -ENOMEM (no page table for a split). */
long pages_protect(uint64_t start, uint64_t end, uint64_t prot);

#endif
