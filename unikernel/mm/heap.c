/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* The kernel's heap: see heap.h. A page of small objects begins with a struct slab. */
#include "heap.h"

#include "../arch/x86_64/cpu.h"
#include "../kernel/boot.h"
#include "../kernel/kernel.h"
#include "mm.h"
#include "mm_internal.h"

#define CLASSES	  11
#define SMALL_MAX 2016
#define LARGE_MAX 65536

struct slab {
	struct slab *next, **prev_next; /* in its class's list while it has a free object */
	void *free;
	uint32_t used, count;
};

static const uint16_t class_bytes[CLASSES] = {32, 48, 64, 96, 128, 192, 256, 448, 672, 1008, 2016};
static struct class
{
	uint32_t lock;
	struct slab *partial;
} classes[CLASSES] __attribute__((aligned(64)));

static uint32_t class_of(size_t bytes)
{
	uint32_t i = 0;

	while (class_bytes[i] < bytes)
		i++;
	return i;
}

static uint32_t pages_of(size_t bytes)
{
	return bytes <= PAGE_SIZE ? 1 : bytes <= 4 * PAGE_SIZE ? 4 : 16;
}

/* The caller's stack must not fault under the lock of memory: touch it before. */
static uint32_t lock_memory(void)
{
	asm volatile("orb $0, -2048(%%rsp)" ::: "memory", "cc");
	return spin_lock(&mm.lock);
}

static uint64_t frames_get(uint32_t pages)
{
	uint32_t before = lock_memory();
	uint64_t pa = frames_alloc(pages);

	if (!pa && leftovers_give())
		pa = frames_alloc(pages);
	spin_unlock(&mm.lock, before);
	return pa;
}

static void frames_put(const void *page, uint32_t pages)
{
	uint32_t before = lock_memory();

	frames_free((uint64_t)page - boot.direct, pages);
	spin_unlock(&mm.lock, before);
}

void *kheap_page(int is_zeroed)
{
	uint64_t pa = frames_get(1);

	if (!pa)
		return NULL;
	return is_zeroed ? memset(direct_map(pa), 0, PAGE_SIZE) : direct_map(pa);
}

void *kheap_page_for_data(const void *before, int is_zeroed)
{
	uint64_t reserve = frames_total / 64 + 64, pa = 0;
	uint32_t was_masked = lock_memory();

	if (frames_free_count > reserve || (leftovers_give() && frames_free_count > reserve))
		pa = frames_alloc_data(before ? (uint64_t)before - boot.direct : 0);
	spin_unlock(&mm.lock, was_masked);
	return pa && is_zeroed ? memset(direct_map(pa), 0, PAGE_SIZE) : pa ? direct_map(pa) : NULL;
}

void kheap_page_free(void *page)
{
	if (page)
		frames_put(page, 1);
}

static void link_slab(struct class *class, struct slab *slab)
{
	slab->next = class->partial;
	slab->prev_next = &class->partial;
	if (slab->next)
		slab->next->prev_next = &slab->next;
	class->partial = slab;
}

static void unlink_slab(struct slab *slab)
{
	*slab->prev_next = slab->next;
	if (slab->next)
		slab->next->prev_next = slab->prev_next;
	slab->prev_next = NULL;
}

static struct slab *new_slab(uint32_t bytes)
{
	uint64_t pa = frames_get(1);
	struct slab *slab = pa ? direct_map(pa) : NULL;

	if (!slab)
		return NULL;
	*slab = (struct slab){.count = (uint32_t)(PAGE_SIZE - sizeof(*slab)) / bytes};
	for (uint32_t i = slab->count; i-- > 0;) {
		void **object = (void **)((char *)slab + PAGE_SIZE - (i + 1) * bytes);

		*object = slab->free;
		slab->free = object;
	}
	return slab;
}

static void *alloc_small(uint32_t which)
{
	struct class *class = &classes[which];
	uint32_t before = spin_lock(&class->lock);
	struct slab *slab = class->partial;
	void **object = NULL;

	if (!slab) {
		slab = new_slab(class_bytes[which]);
		if (slab)
			link_slab(class, slab);
	}
	if (slab) {
		object = slab->free;
		slab->free = *object;
		if (++slab->used == slab->count)
			unlink_slab(slab);
	}
	spin_unlock(&class->lock, before);
	return object ? memset(object, 0, class_bytes[which]) : NULL;
}

static void free_small(void *object, uint32_t which)
{
	struct class *class = &classes[which];
	struct slab *slab = (struct slab *)((uintptr_t)object & -PAGE_SIZE), *empty = NULL;
	uint32_t before = spin_lock(&class->lock);

	*(void **)object = slab->free;
	slab->free = object;
	if (slab->used-- == slab->count)
		link_slab(class, slab);
	/* One page without objects stays, for the next to come. */
	if (!slab->used && (slab->next || class->partial != slab)) {
		unlink_slab(slab);
		empty = slab;
	}
	spin_unlock(&class->lock, before);
	if (empty)
		frames_put(empty, 1);
}

void *kheap_alloc(size_t bytes)
{
	uint64_t pa;

	if (bytes <= SMALL_MAX)
		return alloc_small(class_of(bytes));
	if (bytes > LARGE_MAX)
		return NULL;
	pa = frames_get(pages_of(bytes));
	return pa ? memset(direct_map(pa), 0, pages_of(bytes) * PAGE_SIZE) : NULL;
}

void kheap_free(void *object, size_t bytes)
{
	if (!object)
		return;
	if (bytes <= SMALL_MAX)
		free_small(object, class_of(bytes));
	else
		frames_put(object, pages_of(bytes));
}
