/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * malloc() and its family, in place of musl's: the kernel is in the same address space and knows
 * the running thread, so each thread keeps free blocks of its own and mostly takes no lock. This
 * is an object beside the kernel's: a program that brings a family of its own is linked without it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../arch/x86_64/cpu.h"
#include "../kernel/thread.h"
#include "../mm/mm.h"
#include "spans.h"

#define EXPORT __attribute__((visibility("default")))

static struct heap_cache *cache_of(struct thread *self)
{
	struct heap_cache *cache = self->heap_cache;

	return __builtin_expect(cache != NULL, 1) ? cache : __skete_heap_cache();
}

static void *no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

static __attribute__((noinline)) void *take_more(struct heap_cache *cache, uint32_t class)
{
	void *list, **block;
	uint32_t n = __skete_spans_take(class, __skete_spans_batch(class), &list);

	if (!n)
		return no_memory();
	block = list;
	cache->list[class] = *block;
	cache->count[class] = (uint16_t)(n - 1);
	return block;
}

static void *small(uint32_t class)
{
	struct heap_cache *cache = cache_of(this_thread());
	void **block;

	if (__builtin_expect(!cache, 0))
		return no_memory();
	block = cache->list[class];
	if (__builtin_expect(!block, 0))
		return take_more(cache, class);
	cache->list[class] = *block;
	cache->count[class]--;
	return block;
}

static void *large(size_t bytes, size_t align)
{
	int is_zero;
	void *block = __skete_spans_take_large(bytes, align, &is_zero);

	return block ? block : no_memory();
}

EXPORT void *malloc(size_t bytes)
{
	return bytes <= SMALL_MAX ? small(class_of(bytes)) : large(bytes, 16);
}

/* Half of what the thread holds of a class goes back. */
static __attribute__((noinline)) void give_some(struct heap_cache *cache, uint32_t class)
{
	uint32_t n = cache->count[class] / 2;
	void *list = cache->list[class], **last = list;

	for (uint32_t i = 1; i < n; i++)
		last = *last;
	cache->list[class] = *last;
	cache->count[class] = (uint16_t)(cache->count[class] - n);
	*last = NULL;
	__skete_spans_give(list);
}

static _Noreturn void bad_free(const void *block)
{
	__skete_heap_report(block);
	abort();
}

EXPORT void free(void *block)
{
	struct span *span = span_of(block);
	struct heap_cache *cache;
	uint32_t class;

	if (!block)
		return;
	if (__builtin_expect(span->check != span_check(span) || (uintptr_t)block & 15, 0))
		bad_free(block);
	class = span->class;
	if (class >= CLASS_LARGE) {
		__skete_spans_give_large(span);
		return;
	}
	cache = cache_of(this_thread());
	if (!cache) {
		*(void **)block = NULL;
		__skete_spans_give(block);
		return;
	}
	if (__builtin_expect(cache->list[class] == block, 0))
		bad_free(block);
	*(void **)block = cache->list[class];
	cache->list[class] = block;
	if (__builtin_expect(++cache->count[class] > span->limit, 0))
		give_some(cache, class);
}

EXPORT void *calloc(size_t count, size_t bytes)
{
	int is_zero = 0;
	void *block;

	if (__builtin_mul_overflow(count, bytes, &bytes))
		return no_memory();
	if (bytes <= SMALL_MAX) {
		block = small(class_of(bytes));
	} else {
		block = __skete_spans_take_large(bytes, 16, &is_zero);
		if (!block)
			return no_memory();
	}
	return block && !is_zero ? memset(block, 0, bytes) : block;
}

EXPORT size_t malloc_usable_size(void *block);
EXPORT size_t malloc_usable_size(void *block)
{
	const struct span *span = span_of(block);

	if (!block)
		return 0;
	return span->class < CLASS_LARGE ? span->block_bytes
					 : span->bytes - ((uint64_t)block - (uint64_t)span);
}

EXPORT void *realloc(void *block, size_t bytes)
{
	size_t room = malloc_usable_size(block);
	void *to;

	if (block && bytes > SMALL_MAX && __skete_spans_resize(span_of(block), block, bytes))
		return block;
	/* Stay when it fits and does not waste more than half. */
	if (block && bytes <= room && (bytes > room / 2 || room <= 64))
		return block;
	to = malloc(bytes);
	if (!to || !block)
		return to;
	memcpy(to, block, bytes < room ? bytes : room);
	free(block);
	return to;
}

static void *aligned(size_t align, size_t bytes)
{
	if (align <= 16)
		return malloc(bytes);
	/* Blocks whose size is a power of two are aligned to it. */
	if (bytes < align)
		bytes = align;
	if (bytes <= SMALL_MAX && align <= SMALL_MAX) {
		size_t power = bytes <= 16 ? 16 : 1ul << (64 - __builtin_clzl(bytes - 1));

		return small(class_of(power));
	}
	return align <= SPAN_BYTES / 2 ? large(bytes, align) : no_memory();
}

EXPORT void *aligned_alloc(size_t align, size_t bytes)
{
	if (!align || align & (align - 1)) {
		errno = EINVAL;
		return NULL;
	}
	return aligned(align, bytes);
}

EXPORT void *memalign(size_t align, size_t bytes);
EXPORT void *memalign(size_t align, size_t bytes)
{
	return aligned_alloc(align, bytes);
}

EXPORT int posix_memalign(void **block, size_t align, size_t bytes)
{
	int saved = errno;
	void *got;

	if (align < sizeof(void *) || align & (align - 1))
		return EINVAL;
	got = aligned(align, bytes);
	errno = saved;
	if (!got)
		return ENOMEM;
	*block = got;
	return 0;
}

EXPORT void *valloc(size_t bytes);
EXPORT void *valloc(size_t bytes)
{
	return aligned(PAGE_SIZE, bytes);
}
