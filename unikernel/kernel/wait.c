/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Wait queues and mutexes: see wait.h. */
#include "wait.h"

#include <errno.h>

#include "kernel.h"
#include "signals.h"
#include "thread.h"

static void wake_thread(struct waiter *waiter, uint32_t events)
{
	(void)events;
	__atomic_store_n(waiter->fires, 1, __ATOMIC_RELEASE);
	sched_wake(waiter->thread);
}

void wait_init(struct waiter *waiter)
{
	*waiter = (struct waiter){
		.notify = wake_thread, .thread = this_thread(), .fires = &waiter->fired};
}

void wait_add(struct wait_queue *queue, struct waiter *waiter)
{
	uint32_t before = spin_lock(&queue->lock);
	struct waiter **at = &queue->first;

	/* Exclusive ones in the order of their coming, behind all others. */
	if (waiter->is_exclusive)
		while (*at)
			at = &(*at)->next;
	waiter->next = *at;
	waiter->prev_next = at;
	if (waiter->next)
		waiter->next->prev_next = &waiter->next;
	*at = waiter;
	spin_unlock(&queue->lock, before);
}

void wait_remove(struct wait_queue *queue, struct waiter *waiter)
{
	uint32_t before = spin_lock(&queue->lock);

	if (waiter->prev_next) {
		*waiter->prev_next = waiter->next;
		if (waiter->next)
			waiter->next->prev_next = waiter->prev_next;
		waiter->prev_next = NULL;
	}
	spin_unlock(&queue->lock, before);
}

static void wake(struct wait_queue *queue, uint32_t events, int one)
{
	struct waiter *w, *next;
	uint32_t before;

	/* Pairs with wait_add() before the sleeper's last look at its condition. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&queue->first, __ATOMIC_RELAXED))
		return;
	before = spin_lock(&queue->lock);
	for (w = queue->first; w; w = next) {
		int fired = w->fired;

		next = w->next;
		w->notify(w, events);
		if (one && w->is_exclusive && !fired)
			break;
	}
	spin_unlock(&queue->lock, before);
}

void wait_wake(struct wait_queue *queue, uint32_t events)
{
	wake(queue, events, 0);
}

void wait_wake_one(struct wait_queue *queue, uint32_t events)
{
	wake(queue, events, 1);
}

long wait_sleep(struct waiter *waiter, uint64_t deadline_ns)
{
	for (;;) {
		if (__atomic_exchange_n(&waiter->fired, 0, __ATOMIC_ACQUIRE))
			return 0;
		if (signal_waiting(waiter->thread))
			return -EINTR;
		if (deadline_ns != UINT64_MAX && clock_ns() >= deadline_ns)
			return -ETIMEDOUT;
		sched_sleep(deadline_ns);
	}
}

long wait_for(struct wait_queue *queue, struct mutex *mutex, uint64_t deadline_ns)
{
	struct waiter waiter;
	long result;

	wait_init(&waiter);
	waiter.is_exclusive = 1;
	wait_add(queue, &waiter);
	mutex_unlock(mutex);
	result = wait_sleep(&waiter, deadline_ns);
	wait_remove(queue, &waiter);
	mutex_lock(mutex);
	/* A wake-up meant for one, which this one does not use, is for the next. */
	if (result && waiter.fired)
		wait_wake_one(queue, 0);
	return result == -EINTR ? signal_restart(-RESTART_UNLESS_HANDLED) : result;
}

void mutex_lock_slowly(struct mutex *mutex)
{
	struct waiter waiter;

	wait_init(&waiter);
	waiter.is_exclusive = 1;
	for (;;) {
		wait_add(&mutex->queue, &waiter);
		if (!__atomic_exchange_n(&mutex->state, 2, __ATOMIC_ACQUIRE))
			break;
		while (!__atomic_exchange_n(&waiter.fired, 0, __ATOMIC_ACQUIRE))
			sched_sleep(UINT64_MAX);
		wait_remove(&mutex->queue, &waiter);
	}
	wait_remove(&mutex->queue, &waiter);
	/* Somebody who let go meanwhile may have woken this one for nothing: then others wait on.
	 * The state 2 is kept, so the next unlock looks at the queue again. */
}

void mutex_unlock_slowly(struct mutex *mutex)
{
	wait_wake_one(&mutex->queue, 0);
}
