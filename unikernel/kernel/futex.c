/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Futexes: waiting threads in hashed buckets, each with its own lock. A waker finishes with a
 * waiter under the bucket's lock, which the waiter takes once more before it goes on: so it cannot
 * vanish.
 */
#include "futex.h"

#include <errno.h>

#include "kernel.h"
#include "signals.h"

#define BUCKETS 256

static struct bucket {
	uint32_t lock;
	struct futex_waiter *head, **tail;
} buckets[BUCKETS] __attribute__((aligned(64)));

static struct bucket *bucket_of(const volatile uint32_t *address)
{
	return &buckets[((uintptr_t)address >> 2) * 0x9e3779b97f4a7c15ull >> 56];
}

/* The first to wait is the first to be woken, within a level; as Linux, higher ones go before. */
static void add(struct bucket *b, struct futex_waiter *w)
{
	struct futex_waiter **at;

	if (!b->head)
		b->tail = &b->head;
	at = b->tail;
	if (w->thread->level > LEVEL_NORMAL)
		for (at = &b->head; *at && (*at)->thread->level >= w->thread->level;)
			at = &(*at)->next;
	w->next = *at;
	w->prev_next = at;
	if (w->next)
		w->next->prev_next = &w->next;
	else
		b->tail = &w->next;
	*at = w;
}

static void remove(struct bucket *b, struct futex_waiter *w)
{
	*w->prev_next = w->next;
	if (w->next)
		w->next->prev_next = w->prev_next;
	else
		b->tail = w->prev_next;
	w->prev_next = NULL;
}

long futex_wait(const volatile uint32_t *address, uint32_t value, uint64_t deadline_ns,
		uint32_t bitset)
{
	struct thread *self = this_thread();
	struct futex_waiter *w = &self->futex;
	struct bucket *b = bucket_of(address);
	uint32_t before;
	long result = 0;

	if (!bitset)
		return -EINVAL;
	(void)*address; /* now it is backed, if it ever is */
	before = spin_lock(&b->lock);
	if (*address != value) {
		spin_unlock(&b->lock, before);
		return -EAGAIN;
	}
	w->address = address;
	w->bitset = bitset;
	w->woken = 0;
	add(b, w);
	spin_unlock(&b->lock, before);
	while (!__atomic_load_n(&w->woken, __ATOMIC_ACQUIRE)) {
		if (signal_waiting(self))
			result = -EINTR;
		else if (deadline_ns != UINT64_MAX && clock_ns() >= deadline_ns)
			result = -ETIMEDOUT;
		if (result)
			break;
		sched_sleep(deadline_ns);
	}
	for (;;) { /* a requeue may have moved it to another bucket */
		b = bucket_of(w->address);
		before = spin_lock(&b->lock);
		if (b == bucket_of(w->address))
			break;
		spin_unlock(&b->lock, before);
	}
	if (w->prev_next)
		remove(b, w);
	else
		result = 0;
	spin_unlock(&b->lock, before);
	return result;
}

static long wake_locked(struct bucket *b, const volatile uint32_t *address, long count,
			uint32_t bitset)
{
	struct futex_waiter *w, *next;
	long woken = 0;

	for (w = b->head; w && woken < count; w = next) {
		next = w->next;
		if (w->address != address || !(w->bitset & bitset))
			continue;
		remove(b, w);
		__atomic_store_n(&w->woken, 1, __ATOMIC_RELEASE);
		sched_wake(w->thread);
		woken++;
	}
	return woken;
}

long futex_wake(const volatile uint32_t *address, long count, uint32_t bitset)
{
	struct bucket *b = bucket_of(address);
	uint32_t before = spin_lock(&b->lock);
	long woken = wake_locked(b, address, count, bitset);

	spin_unlock(&b->lock, before);
	return woken;
}

long futex_requeue(const volatile uint32_t *from, long wake, long move, const volatile uint32_t *to,
		   const uint32_t *expected)
{
	struct bucket *a = bucket_of(from), *b = bucket_of(to);
	struct bucket *first = a < b ? a : b, *second = a < b ? b : a;
	struct futex_waiter *w, *next;
	uint32_t before;
	long done;

	(void)*from;
	before = spin_lock(&first->lock);
	if (second != first)
		spin_lock(&second->lock);
	if (expected && *from != *expected) {
		done = -EAGAIN;
		goto out;
	}
	done = wake_locked(a, from, wake, ~0u);
	for (w = a->head; w && move > 0; w = next) {
		next = w->next;
		if (w->address != from)
			continue;
		remove(a, w);
		w->address = to;
		add(b, w);
		move--;
		done++;
	}
out:
	if (second != first)
		spin_unlock(&second->lock, 1);
	spin_unlock(&first->lock, before);
	return done;
}
