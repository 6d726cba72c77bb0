/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * The free blocks that each thread keeps for malloc(). A thread that ends leaves them to the next
 * one that begins.
 */
#include "../arch/x86_64/cpu.h"
#include "../kernel/kernel.h"
#include "../kernel/thread.h"
#include "../mm/heap.h"
#include "spans.h"

static struct heap_cache *unused;
static uint32_t unused_lock;

void malloc_thread_exit(struct thread *thread)
{
	struct heap_cache *cache = thread->heap_cache;
	uint32_t before;

	if (!cache)
		return;
	thread->heap_cache = NULL;
	before = spin_lock(&unused_lock);
	cache->next = unused;
	unused = cache;
	spin_unlock(&unused_lock, before);
}

struct heap_cache *__skete_heap_cache(void)
{
	struct heap_cache *cache;
	uint32_t before = spin_lock(&unused_lock);

	cache = unused;
	if (cache)
		unused = cache->next;
	spin_unlock(&unused_lock, before);
	if (!cache)
		cache = kheap_alloc(sizeof(*cache));
	this_thread()->heap_cache = cache;
	return cache;
}

void __skete_heap_report(const void *block)
{
	kprintf("\nskete: free() of %lx, which is no allocated block\n", (uint64_t)block);
}
