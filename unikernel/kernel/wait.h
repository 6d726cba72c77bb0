/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Wait queues, and a mutex on top of them.
 *
 * Whoever waits for something that an object tells adds a waiter to the object's queue, looks at
 * the object once more, and sleeps. Whoever changes the object then wakes the queue. A waiter is
 * told by a call of its function under the queue's lock: a sleeping thread, an entry of poll(2) and
 * an item of epoll(7) differ in nothing else.
 *
 * Locks: the queue's is a spinlock. Under it come the locks of epoll (fs/epoll.c), of the queue of
 * an epoll instance, and the scheduler's.
 */
#ifndef SKETE_UK_WAIT_H
#define SKETE_UK_WAIT_H

#include <stddef.h>
#include <stdint.h>

struct thread;

struct waiter {
	struct waiter *next, **prev_next; /* under the queue's lock; prev_next NULL: not queued */
	/* Masked, under the queue's lock; `events` are those of poll(2), 0: not said. */
	void (*notify)(struct waiter *waiter, uint32_t events);
	struct thread *thread;	  /* of a sleeper */
	volatile uint32_t fired;  /* of a sleeper: it has been told */
	volatile uint32_t *fires; /* what is set when it is told: its own, or another one's */
	uint32_t is_exclusive;	  /* enough for one wait_wake_one() */
	void *owner;		  /* whose it is, for its function */
};

/* All zero: an empty queue. */
struct wait_queue {
	uint32_t lock;
	struct waiter *first;
};

/* A waiter for the calling thread. */
void wait_init(struct waiter *waiter);
void wait_add(struct wait_queue *queue, struct waiter *waiter);
void wait_remove(struct wait_queue *queue, struct waiter *waiter);

/* Tell all waiters. Any thread, masked or not, in an interrupt too. */
void wait_wake(struct wait_queue *queue, uint32_t events);
/* Tell those that are not exclusive, and one that is. */
void wait_wake_one(struct wait_queue *queue, uint32_t events);

/*
 * Sleep until the waiter has fired, or the time of clock_ns() has come (UINT64_MAX: never), or a
 * signal wants to be handled. 0, -ETIMEDOUT or -EINTR. Resets `fired`.
 */
long wait_sleep(struct waiter *waiter, uint64_t deadline_ns);

/* A mutex for what may take long or sleep. All zero: unlocked. Not in interrupts; not recursive. */
struct mutex {
	uint32_t state; /* 0: free, 1: held, 2: held and somebody waits */
	struct wait_queue queue;
};

void mutex_lock_slowly(struct mutex *mutex);
void mutex_unlock_slowly(struct mutex *mutex);

static inline void mutex_lock(struct mutex *mutex)
{
	uint32_t free = 0;

	if (!__atomic_compare_exchange_n(&mutex->state, &free, 1, 0, __ATOMIC_ACQUIRE,
					 __ATOMIC_RELAXED))
		mutex_lock_slowly(mutex);
}

static inline void mutex_unlock(struct mutex *mutex)
{
	if (__atomic_exchange_n(&mutex->state, 0, __ATOMIC_RELEASE) == 2)
		mutex_unlock_slowly(mutex);
}

/*
 * The usual way to wait: the caller holds the mutex, under which the condition becomes true, and
 * has found it false. Adds itself to the queue, lets go of the mutex, sleeps, and takes the mutex
 * again. As wait_sleep(); a restart code (see kernel/signals.h) for a signal.
 */
long wait_for(struct wait_queue *queue, struct mutex *mutex, uint64_t deadline_ns);

#endif
