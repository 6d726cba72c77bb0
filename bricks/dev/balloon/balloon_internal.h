/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * What the files of the balloon share:
 *
 *   balloon.c   its life: create, start, quiesce, save, restore; sizes
 *   queues.c    what comes in its queues
 */
#ifndef SKETE_DEV_BALLOON_INTERNAL_H
#define SKETE_DEV_BALLOON_INTERNAL_H

#include <linux/virtio_balloon.h>
#include <pthread.h>
#include <stdatomic.h>

#include <skete/dev/balloon.h>

/* In the order of their indices; the optional ones have one only if they were agreed on. */
enum balloon_queue { QUEUE_INFLATE, QUEUE_DEFLATE, QUEUE_STATS, QUEUE_REPORTING, NR_QUEUES };

#define QUEUE_ENTRIES  256
#define QUEUE_IOV      256
#define QUEUE_BUDGET   16	    /* chains before others on the loop have their turn */
#define MAX_LIST_BYTES (64u * 1024) /* of page numbers in one chain */
#define NR_STATS       VIRTIO_BALLOON_S_NR
#define STAT_BYTES     10

struct sk_balloon {
	struct sk_balloon_config config;
	struct sk_virtio *virtio;
	bool is_running;
	uint32_t index_of[NR_QUEUES]; /* UINT32_MAX: not agreed on */

	/* the buffer of the statistics, which the device keeps until it wants new ones */
	bool has_stats_chain;
	struct sk_vring_chain stats_chain;
	struct iovec stats_iov[QUEUE_IOV];
	bool wants_stats;
	struct sk_loop_post refresh;

	_Atomic uint32_t target_pages, actual_pages;
	_Atomic uint64_t inflated_bytes, deflated_bytes, reported_bytes, bad_requests;
	_Atomic uint64_t stats[NR_STATS]; /* by tag */
	pthread_mutex_t size_lock; /* orders the changes of target_pages and what the guest sees */
};

/* queues.c: serves one of them as far as it goes now. */
void balloon_serve(struct sk_balloon *balloon, enum balloon_queue queue);
/* Gives the buffer of the statistics to the guest, which fills it again. */
void balloon_ask_stats(struct sk_balloon *balloon);

static inline void balloon_count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

#endif
