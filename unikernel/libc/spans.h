/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Where malloc() gets memory from. A span is 256 KiB, aligned to its size, and begins with its
 * header, so that the header of every block is found from its address. It holds blocks of one size
 * class, or is the first of a run of spans that hold one large block. Eight spans are a chunk,
 * 2 MiB of the address space; pages get memory when they are first touched.
 *
 *	chunk  | span | span | span ...
 *	span   | header | block | block | block ...      first block: aligned to its size if that is
 *							 a power of two
 *
 * Internally locked. What begins with __skete_ is called by malloc.c, an object of its own, and is
 * therefore global in the kernel's (../global-names).
 */
#ifndef SKETE_UK_SPANS_H
#define SKETE_UK_SPANS_H

#include <stddef.h>
#include <stdint.h>

#define SPAN_BYTES   (1ul << 18)
#define HEADER_BYTES 64
#define SMALL_MAX    32768
#define CLASSES	     56
#define CLASS_LARGE  CLASSES	   /* one block, a run of spans */
#define CLASS_MAPPED (CLASSES + 1) /* one block, a mapping of its own */

struct chunk;

/* Free blocks of one thread. */
struct heap_cache {
	struct heap_cache *next; /* among those that nobody uses */
	void *list[CLASSES];
	uint16_t count[CLASSES];
};

struct span {
	uint64_t check; /* span_check() of its address: tells a block from other memory */
	uint32_t class;
	uint32_t block_bytes;
	uint32_t used;	       /* blocks that are not in `free` */
	uint32_t fresh, total; /* blocks never handed out begin at number `fresh` */
	uint32_t limit;	       /* how many a thread keeps for itself */
	union {
		void *free;	/* blocks, each pointing to the next */
		uint64_t bytes; /* of a large block, from the header on */
	};
	struct span *next, **prev_next; /* among those of its class with blocks to give */
	struct chunk *chunk;
};

_Static_assert(sizeof(struct span) == HEADER_BYTES, "the header lies before the first block");

static inline struct span *span_of(const void *block)
{
	return (struct span *)((uintptr_t)block & -SPAN_BYTES);
}

extern uint64_t __skete_spans_secret;

static inline uint64_t span_check(const struct span *span)
{
	return (uint64_t)span ^ __skete_spans_secret;
}

static inline uint32_t class_of(size_t bytes)
{
	uint32_t e;

	if (bytes <= 512)
		return (uint32_t)((bytes + 15) >> 4) - (bytes > 0);
	bytes--;
	e = 63 - (uint32_t)__builtin_clzl(bytes); /* four classes for each doubling */
	return 32 + (e - 9) * 4 + (uint32_t)(bytes >> (e - 2) & 3);
}

static inline uint32_t class_bytes(uint32_t class)
{
	uint32_t e = 9 + (class - 32) / 4;

	return class < 32 ? (class + 1) * 16 : (1u << e) + ((class % 4 + 1) << (e - 2));
}

/*
 * Find a cache for the running thread, which has none, and make it the thread's; NULL: no memory.
 */
struct heap_cache *__skete_heap_cache(void);
/* Say on the console that what was to be freed is no block. */
void __skete_heap_report(const void *block);

/* How many blocks move between a thread and the spans at once. */
uint32_t __skete_spans_batch(uint32_t class);

/*
 * Take up to `count` blocks of a class as a list, each pointing to the next. Returns how many;
 * 0: no memory.
 */
uint32_t __skete_spans_take(uint32_t class, uint32_t count, void **list);
/* Give such a list back; blocks of one class, of any spans. */
void __skete_spans_give(void *list);

/*
 * One block of its own, aligned to `align`, a power of two up to SPAN_BYTES / 2; NULL: no memory.
 * Whether it is known to be zero.
 */
void *__skete_spans_take_large(size_t bytes, size_t align, int *is_zero);
void __skete_spans_give_large(struct span *span);
/* Make a block larger or smaller where it is. Returns whether that was possible. */
int __skete_spans_resize(struct span *span, const void *block, size_t bytes);

#endif
