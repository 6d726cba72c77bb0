/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* The memory and the numbers of threads: a page each, found by number through a table of pages. */
#include "thread.h"
#include "../mm/mm.h"
#include "kernel.h"

#define PER_PAGE (PAGE_SIZE / sizeof(struct thread *))

static struct thread **table[THREAD_MAX / PER_PAGE];
static struct thread *free_list;
static uint32_t lock, highest;

static struct thread *fresh(void)
{
	struct thread *thread;
	struct thread ***chunk = &table[highest / PER_PAGE];

	if (highest == THREAD_MAX)
		return NULL;
	if (!*chunk)
		*chunk = kernel_pages(1);
	thread = *chunk ? kernel_pages(1) : NULL;
	if (thread)
		thread->tid = ++highest;
	return thread;
}

struct thread *thread_alloc(void)
{
	uint32_t before = spin_lock(&lock), tid;
	struct thread *thread = free_list;
	char *xsave;

	if (thread)
		free_list = thread->next;
	else
		thread = fresh();
	if (thread) {
		tid = thread->tid;
		memset(thread, 0, sizeof(*thread));
		thread->tid = tid;
		xsave = (char *)thread + XSAVE_OFFSET;
		memset(xsave + 512, 0, 64);
		*(uint32_t *)(xsave + 24) = 0x1f80; /* MXCSR: all exceptions masked */
		thread->xsave = xsave;
		thread->cpu = this_cpu();
		thread->slice_ns = SLICE_NS;
		thread->burst_ns = BURST_START_NS;
		thread->timer.thread = thread;
		thread->futex.thread = thread;
		table[(tid - 1) / PER_PAGE][(tid - 1) % PER_PAGE] = thread;
	}
	spin_unlock(&lock, before);
	return thread;
}

void thread_free(struct thread *thread)
{
	uint32_t before = spin_lock(&lock);

	table[(thread->tid - 1) / PER_PAGE][(thread->tid - 1) % PER_PAGE] = NULL;
	thread->next = free_list;
	free_list = thread;
	spin_unlock(&lock, before);
}

uint32_t thread_highest(void)
{
	return highest;
}

struct thread *thread_by_tid(uint32_t tid)
{
	struct thread **chunk;

	if (tid - 1 >= THREAD_MAX)
		return NULL;
	chunk = table[(tid - 1) / PER_PAGE];
	return chunk ? chunk[(tid - 1) % PER_PAGE] : NULL;
}
