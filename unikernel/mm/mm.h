/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Memory: frames (physical pages) in a bitmap, and the program's address space as a sorted array of
 * areas whose pages get frames on first touch. The kernel's own memory comes from frames through
 * the direct map and is always there.
 *
 * One lock for all. Whoever holds it runs masked, on its CPU's own stack, and touches no memory
 * that could be missing: a page fault takes the lock.
 */
#ifndef SKETE_UK_MM_H
#define SKETE_UK_MM_H

#include <stddef.h>
#include <stdint.h>

#define PAGE_SIZE     4096ull
#define HUGE_SIZE     0x200000ull

#define AREA_GUARD    8	 /* in struct area's prot: never accessible, told apart in reports */
#define AREA_STACK    16 /* filled from the top down, a page at a time */
#define AREA_SHARED   32 /* of a file: its own pages, not copies */
#define AREA_NO_WRITE 64 /* of a file that was opened for reading only */

struct inode;

struct area {
	uint64_t start, end;
	uint64_t prot;	     /* PROT_*, AREA_* */
	struct inode *inode; /* the file whose pages they are, or NULL */
	uint64_t index;	     /* the file's page at `start` */
};

/* frames.c: physical addresses; 0 when there is none left. Under the mm lock. */
void frames_init(void);
uint64_t frames_alloc(uint32_t pages); /* 1, 4, 16, 64 (aligned to themselves) or 512 */
/* One for the data of a file: behind that of the page before it, or 0, so that few requests map it.
 */
uint64_t frames_alloc_data(uint64_t before);
void frames_free(uint64_t pa, uint32_t pages);
void frames_add(uint64_t start, uint64_t end); /* were never free before */
extern uint64_t frames_free_count, frames_total;

/* Kernel memory: whole zeroed pages in the direct map, or NULL. Takes the lock. */
void *kernel_pages(uint32_t pages);

/* Give whole pages of RAM, in use since the boot, to the free frames. Takes the lock. */
void mm_give(uint64_t pa, uint64_t bytes);

/*
 * pages.c: a page of a device's registers, in the direct map where no RAM is; NULL when there is no
 * memory for its page table. It stays. Takes the lock.
 */
void *mm_map_device(uint64_t pa);

/* areas.c: the address space. */
void mm_init(void);
int mm_fault(uint64_t address, uint64_t error);	 /* 0: go on; else it is the program's fault */
const struct area *mm_area_of(uint64_t address); /* for reports; racy */
/* Would this access to it be right, and only memory is missing? */
int mm_is_short(const struct area *area, uint64_t error);
int mm_present(uint64_t va); /* can be read without a fault */
int mm_writable(uint64_t va);
long mm_map(uint64_t hint, uint64_t bytes, uint64_t prot, int fixed);
/* The same for a file, from its page `index` on; prot with AREA_SHARED and AREA_NO_WRITE. */
long mm_map_file(uint64_t hint, uint64_t bytes, uint64_t prot, int fixed, struct inode *inode,
		 uint64_t index);
/* Pages [from, to) of the file go away: take them out of all mappings. Not masked. */
void mm_unmap_file(struct inode *inode, uint64_t from, uint64_t to);
/* The first area that ends behind `at`, copied. 0 if there is none. */
struct mm_area {
	uint64_t start, end, prot, index;
	int is_shared, is_file, is_heap;
};
int mm_area_next(uint64_t at, struct mm_area *out);
long mm_unmap(uint64_t start, uint64_t bytes);
long mm_protect(uint64_t start, uint64_t bytes, uint64_t prot);
long mm_discard(uint64_t start, uint64_t bytes); /* MADV_DONTNEED */
long mm_remap(uint64_t old, uint64_t old_bytes, uint64_t bytes, int may_move);
long mm_break(uint64_t end);
/* As mm_unmap, for a caller that already runs masked on its CPU's stack. */
long mm_unmap_masked(uint64_t start, uint64_t bytes);

/* tlb.c: flush the other CPUs' TLBs by interrupts, and wait for them. Masked. */
void tlb_flush_others(void);

#endif
