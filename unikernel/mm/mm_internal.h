/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Between areas.c (what the program asked for) and pages.c (what is mapped). All under mm.lock. */
#ifndef SKETE_UK_MM_INTERNAL_H
#define SKETE_UK_MM_INTERNAL_H

#include "mm.h"

struct cpu;

extern struct mm {
	uint32_t lock;
	struct cpu *volatile owner; /* the CPU that runs an operation */
	struct area *areas;
	uint32_t count, room;
	uint64_t bottom, top; /* where mmap looks for room */
	uint64_t break_start, break_end;
} mm;

struct mm_call {
	uint64_t start, bytes, new_bytes, prot;
	int fixed;
};

/* Unmap whatever is mapped there; pages_flush() then flushes all TLBs and frees the frames. */
void pages_remove(uint64_t start, uint64_t end);
void pages_flush(void);

/*
 * leftovers.c: what a small munmap() leaves mapped for a while, because the next mmap() likely
 * wants it back, and taking pages away is dear. An access to it meanwhile goes unnoticed.
 */
void leftovers_add(uint64_t start, uint64_t end);
/* An area now has this protection: leftovers in it become its zeroed pages, or go. */
void leftovers_adopt(uint64_t start, uint64_t end, uint64_t prot);
/* What stays inaccessible, a guard, must be: take away leftovers in it. */
void leftovers_evict(uint64_t start, uint64_t end);
/* Take them all away. Returns whether there were any. */
int leftovers_drop(void);

/* Change the protection of whatever is mapped there. 0 or -ENOMEM (no page table for a split). */
long pages_protect(uint64_t start, uint64_t end, uint64_t prot);

#endif
