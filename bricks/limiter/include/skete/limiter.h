/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Token buckets: how many bytes and how many operations a second a device may do, with bursts.
 *
 *        rate (tokens a second)
 *          |
 *          v
 *      +--------+  <- burst: more than that does not collect
 *      | tokens |
 *      +--------+  -> an operation takes one, and a byte one of the other bucket
 *
 * An operation is admitted when each bucket holds what it costs, or is full: what costs more than
 * a burst leaves a debt behind, so that it passes, and the rate holds nevertheless. Levels are kept
 * in billionths of a token: whatever the rate and however often one looks, nothing is rounded away.
 *
 * Two layers. struct sk_buckets is arithmetic on a clock that is handed in. struct sk_limiter ties
 * it to a loop: who is not admitted is called when it is time to try again.
 *
 * Threading class: owner-thread only (the loop's), but for sk_limiter_change().
 */
#ifndef SKETE_LIMITER_H
#define SKETE_LIMITER_H

#include <pthread.h>
#include <stdatomic.h>

#include <skete/base.h>
#include <skete/loop.h>

#define SK_LIMITER_MAX_RATE (UINT64_C(1) << 50)
/* A limiter that holds somebody back notices a change within this time. */
#define SK_LIMITER_LOOK_NS  UINT64_C(50000000)

/* At most SK_LIMITER_MAX_RATE each (more is taken as that). */
struct sk_limiter_config {
	uint64_t bytes_per_s; /* 0: no limit */
	uint64_t ops_per_s;   /* 0: no limit */
	uint64_t burst_bytes; /* 0: what comes in 100 ms */
	uint64_t burst_ops;   /* 0: likewise, at least 1 */
};

struct sk_bucket {
	/* private to limiter.c */
	uint64_t rate, burst;
	int64_t tokens; /* negative: a debt */
	uint32_t nano;	/* and so many billionths */
};

struct sk_buckets {
	/* private to limiter.c */
	struct sk_bucket bytes, ops;
	uint64_t then_ns;
};

/* Full buckets at @now_ns, a clock that does not go back (if it does, it stands still). */
void sk_buckets_init(struct sk_buckets *b, const struct sk_limiter_config *config, uint64_t now_ns);

/* Other rates from @now_ns on. What is in the buckets stays there, as far as it fits. */
void sk_buckets_change(struct sk_buckets *b, const struct sk_limiter_config *config,
		       uint64_t now_ns);

/*
 * Takes one operation of @len_bytes. 0: admitted. Otherwise nothing was taken, and the result is
 * in how many nanoseconds it would be (at most INT64_MAX).
 */
uint64_t sk_buckets_take(struct sk_buckets *b, uint64_t len_bytes, uint64_t now_ns) SK_MUST_CHECK;

struct sk_limiter {
	/* Called on the loop's thread when a refused operation may be tried again. */
	void (*ready)(struct sk_limiter *limiter);

	/* private to limiter.c */
	struct sk_loop *loop;
	struct sk_loop_timer timer;
	struct sk_buckets buckets;
	unsigned seen; /* the last generation that was applied */
	bool is_limited;
	_Atomic unsigned generation; /* counted up with a release after each change of next */
	pthread_mutex_t lock;	     /* protects next */
	struct sk_limiter_config next;
};

/* In the caller's storage; @loop is borrowed until fini. */
void sk_limiter_init(struct sk_limiter *limiter, struct sk_loop *loop,
		     const struct sk_limiter_config *config,
		     void (*ready)(struct sk_limiter *limiter));
/* ready() is not called any more. Nobody may change it any more. */
void sk_limiter_fini(struct sk_limiter *limiter);

/* True: go on. False: ready() will be called, once, however often one was refused before. */
bool sk_limiter_admit(struct sk_limiter *limiter, uint64_t len_bytes) SK_MUST_CHECK;

/* Whoever was refused gave up (a reset): ready() is not called for it. */
void sk_limiter_forget(struct sk_limiter *limiter);

/* Any thread: other rates, from the next admission on. Does not block for longer than a copy. */
void sk_limiter_change(struct sk_limiter *limiter, const struct sk_limiter_config *config);

#endif
