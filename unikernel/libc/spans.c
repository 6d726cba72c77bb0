/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
#include "spans.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "../arch/x86_64/cpu.h"
#include "../kernel/kernel.h"
#include "../mm/heap.h"
#include "../mm/mm.h"

#define BATCH_BYTES	 8192
#define BATCH_MAX	 64
#define CHUNK_SPANS	 8
#define CHUNK_BYTES	 (CHUNK_SPANS * SPAN_BYTES)
#define RUN_MAX		 4  /* spans; beyond, a block has a mapping of its own */
#define KEPT_SPANS_MAX	 16 /* free ones that keep their memory */
#define KEPT_CHUNKS_MAX	 2
#define KEPT_MEMORY_PART 16 /* of all, at most, is kept */

struct chunk {
	uint64_t start;
	uint32_t free, kept; /* bit per span; kept: free, and with memory */
	struct chunk *next, **prev_next;
};

static struct class
{
	uint32_t lock;
	struct span *partial;
} classes[CLASSES] __attribute__((aligned(64)));

/* All under chunks_lock. */
static uint32_t chunks_lock, kept_spans, empty_chunks;
static struct chunk *chunks;

uint64_t __skete_spans_secret;

/* Under a lock everybody else waits, so the stack is made sure of before. */
static uint32_t lock_touching(uint32_t *lock)
{
	asm volatile("orb $0, -1024(%%rsp)" ::: "memory", "cc");
	return spin_lock(lock);
}

static uint32_t kept_max(void)
{
	uint64_t part = frames_total / KEPT_MEMORY_PART * PAGE_SIZE / SPAN_BYTES;

	return part < KEPT_SPANS_MAX ? (uint32_t)part : KEPT_SPANS_MAX;
}

static struct chunk *new_chunk(void)
{
	struct chunk *chunk = kheap_alloc(sizeof(*chunk));
	/* The first one is filled page by page: a small program needs no 2 MiB at once. */
	uint64_t prot = PROT_READ | PROT_WRITE | (chunks ? 0 : AREA_STACK);
	long start = chunk ? mm_map(0, CHUNK_BYTES, prot, 0) : -1;

	if (start < 0) {
		kheap_free(chunk, sizeof(*chunk));
		return NULL;
	}
	*chunk = (struct chunk){.start = (uint64_t)start, .free = (1u << CHUNK_SPANS) - 1};
	return chunk;
}

static void link_chunk(struct chunk *chunk)
{
	chunk->next = chunks;
	chunk->prev_next = &chunks;
	if (chunk->next)
		chunk->next->prev_next = &chunk->next;
	chunks = chunk;
	empty_chunks++;
}

/* The number of the first of `count` free spans in a row, or -1. */
static int find_run(const struct chunk *chunk, uint32_t count)
{
	uint32_t free = chunk->free;

	for (uint32_t i = 1; i < count; i++)
		free &= free >> 1;
	return free ? __builtin_ctz(free) : -1;
}

static struct span *take_run(struct chunk *chunk, uint32_t first, uint32_t count, int *is_zero)
{
	uint32_t bits = ((1u << count) - 1) << first;
	struct span *span = (struct span *)(chunk->start + first * SPAN_BYTES);

	empty_chunks -= chunk->free == (1u << CHUNK_SPANS) - 1;
	kept_spans -= (uint32_t)__builtin_popcount(chunk->kept & bits);
	*is_zero = !(chunk->kept & bits);
	chunk->free &= ~bits;
	chunk->kept &= ~bits;
	return span;
}

static struct span *take_spans(uint32_t count, int *is_zero)
{
	uint32_t before = lock_touching(&chunks_lock);
	struct chunk *chunk, *fresh;
	struct span *span = NULL;
	int first = -1;

	for (chunk = chunks; chunk && first < 0; chunk = first < 0 ? chunk->next : chunk)
		first = find_run(chunk, count);
	if (first >= 0)
		span = take_run(chunk, (uint32_t)first, count, is_zero);
	spin_unlock(&chunks_lock, before);
	if (!span) {
		fresh = new_chunk();
		if (!fresh)
			return NULL;
		before = lock_touching(&chunks_lock);
		link_chunk(fresh);
		span = take_run(fresh, 0, count, is_zero);
		chunk = fresh;
		spin_unlock(&chunks_lock, before);
	}
	span->chunk = chunk;
	return span;
}

/* Free spans keep their memory while that is little; an address range that is all free goes. */
static void give_spans(struct span *span, uint32_t count)
{
	struct chunk *chunk = span->chunk, *gone = NULL;
	uint32_t first = (uint32_t)(((uint64_t)span - chunk->start) / SPAN_BYTES), before;
	uint32_t bits = ((1u << count) - 1) << first;
	int keep = kept_spans + count <= kept_max();

	span->check = 0;
	if (!keep)
		mm_discard((uint64_t)span, count * SPAN_BYTES);
	before = lock_touching(&chunks_lock);
	chunk->free |= bits;
	if (keep) {
		chunk->kept |= bits;
		kept_spans += count;
	}
	if (chunk->free == (1u << CHUNK_SPANS) - 1 && ++empty_chunks > KEPT_CHUNKS_MAX) {
		empty_chunks--;
		kept_spans -= (uint32_t)__builtin_popcount(chunk->kept);
		*chunk->prev_next = chunk->next;
		if (chunk->next)
			chunk->next->prev_next = chunk->prev_next;
		gone = chunk;
	}
	spin_unlock(&chunks_lock, before);
	if (!gone)
		return;
	mm_unmap(gone->start, CHUNK_BYTES);
	kheap_free(gone, sizeof(*gone));
}

uint32_t __skete_spans_batch(uint32_t class)
{
	uint32_t n = BATCH_BYTES / class_bytes(class);

	return n < 2 ? 2 : n > BATCH_MAX ? BATCH_MAX : n;
}

static struct span *new_span(uint32_t class)
{
	uint32_t bytes = class_bytes(class), first = HEADER_BYTES;
	struct chunk *chunk;
	struct span *span;
	int is_zero;

	while (!__skete_spans_secret) /* nobody allocates before there is one */
		if (random_bytes(&__skete_spans_secret, sizeof(__skete_spans_secret)))
			return NULL;
	span = take_spans(1, &is_zero);
	if (!span)
		return NULL;
	if (!(bytes & (bytes - 1)) && bytes > HEADER_BYTES)
		first = bytes;
	chunk = span->chunk;
	*span = (struct span){
		.check = span_check(span),
		.class = class,
		.block_bytes = bytes,
		.fresh = first,
		.total = (uint32_t)(SPAN_BYTES - first) / bytes,
		.limit = 2 * __skete_spans_batch(class),
		.chunk = chunk,
	};
	return span;
}

static void link_span(struct class *class, struct span *span)
{
	span->next = class->partial;
	span->prev_next = &class->partial;
	if (span->next)
		span->next->prev_next = &span->next;
	class->partial = span;
}

static void unlink_span(struct span *span)
{
	*span->prev_next = span->next;
	if (span->next)
		span->next->prev_next = span->prev_next;
	span->prev_next = NULL;
}

/* Up to `count` blocks of one span: freed ones, then fresh ones. Locked. */
static uint32_t take_blocks(struct span *span, uint32_t count, void **list)
{
	uint32_t n = 0;

	for (; n < count && span->used < span->total; n++) {
		void **block = span->free;

		if (block) {
			span->free = *block;
		} else {
			block = (void **)((char *)span + span->fresh);
			span->fresh += span->block_bytes;
		}
		*block = *list;
		*list = block;
		span->used++;
	}
	return n;
}

uint32_t __skete_spans_take(uint32_t which, uint32_t count, void **list)
{
	struct class *class = &classes[which];
	struct span *fresh = NULL;
	uint32_t before, n = 0;

	*list = NULL;
	for (;;) {
		before = lock_touching(&class->lock);
		if (fresh)
			link_span(class, fresh);
		while (n < count && class->partial) {
			struct span *span = class->partial;

			n += take_blocks(span, count - n, list);
			if (span->used == span->total)
				unlink_span(span);
		}
		spin_unlock(&class->lock, before);
		if (n)
			return n;
		fresh = new_span(which);
		if (!fresh)
			return 0;
	}
}

void __skete_spans_give(void *list)
{
	while (list) {
		struct span *span = span_of(list);
		struct class *class = &classes[span->class];
		uint32_t before = lock_touching(&class->lock);
		void **block = list;
		int is_empty;

		list = *block;
		if (span->used == span->total)
			link_span(class, span);
		*block = span->free;
		span->free = block;
		is_empty = --span->used == 0;
		if (is_empty)
			unlink_span(span);
		spin_unlock(&class->lock, before);
		if (is_empty)
			give_spans(span, 1);
	}
}

/* A mapping of its own, at an address that is a multiple of SPAN_BYTES. */
static struct span *map_aligned(uint64_t bytes)
{
	uint64_t whole = bytes + SPAN_BYTES, start;
	long area = mm_map(0, bytes, PROT_READ | PROT_WRITE, 0);

	if (area < 0 || !((uint64_t)area & (SPAN_BYTES - 1)))
		return area < 0 ? NULL : (struct span *)area;
	mm_unmap((uint64_t)area, bytes);
	area = mm_map(0, whole, PROT_READ | PROT_WRITE, 0);
	if (area < 0)
		return NULL;
	start = ((uint64_t)area + SPAN_BYTES - 1) & -SPAN_BYTES;
	if (start > (uint64_t)area)
		mm_unmap((uint64_t)area, start - (uint64_t)area);
	if ((uint64_t)area + whole > start + bytes)
		mm_unmap(start + bytes, (uint64_t)area + whole - start - bytes);
	return (struct span *)start;
}

void *__skete_spans_take_large(size_t bytes, size_t align, int *is_zero)
{
	uint64_t first = align > HEADER_BYTES ? align : HEADER_BYTES, all = bytes + first;
	uint32_t count = (uint32_t)((all + SPAN_BYTES - 1) / SPAN_BYTES);
	int is_mapped = all > RUN_MAX * SPAN_BYTES;
	struct chunk *chunk = NULL;
	struct span *span;

	if (all < bytes || all > 1ull << 38 ||
	    (!__skete_spans_secret &&
	     random_bytes(&__skete_spans_secret, sizeof(__skete_spans_secret))))
		return NULL;
	all = is_mapped ? (all + PAGE_SIZE - 1) & -PAGE_SIZE : count * SPAN_BYTES;
	*is_zero = 1;
	span = is_mapped ? map_aligned(all) : take_spans(count, is_zero);
	if (!span)
		return NULL;
	if (!is_mapped)
		chunk = span->chunk;
	*span = (struct span){
		.check = span_check(span),
		.class = is_mapped ? CLASS_MAPPED : CLASS_LARGE,
		.bytes = all,
		.chunk = chunk,
	};
	return (char *)span + first;
}

void __skete_spans_give_large(struct span *span)
{
	if (span->class == CLASS_MAPPED)
		mm_unmap((uint64_t)span, span->bytes);
	else
		give_spans(span, (uint32_t)(span->bytes / SPAN_BYTES));
}

int __skete_spans_resize(struct span *span, const void *block, size_t bytes)
{
	uint64_t first = (uint64_t)block - (uint64_t)span, all = bytes + first;

	if (span->class != CLASS_MAPPED || all < bytes || all > 1ull << 38)
		return 0;
	all = (all + PAGE_SIZE - 1) & -PAGE_SIZE;
	if (mm_remap((uint64_t)span, span->bytes, all, 0) < 0)
		return 0;
	span->bytes = all;
	return 1;
}
