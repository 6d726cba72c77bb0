/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Looks at the rings while the loop polls: the driver is asked not to ring meanwhile, which spares
 * it an exit for each doorbell, and us the way through the kernel. Only at queues that were rung
 * for lately, and only as long as the device takes what is there.
 */
#include "virtio_internal.h"

#define MAX_IN_VAIN 16

static bool is_looked_at(const struct queue *q)
{
	return q->is_hot && q->is_enabled && !q->is_stopped && !q->is_owned;
}

bool virtio_stop_looking(struct queue *q)
{
	q->is_hot = false;
	return q->is_enabled && sk_vring_release_doorbell(q->ring);
}

static void begin(struct sk_loop_peek *peek)
{
	struct sk_virtio *v = SK_CONTAINER_OF(peek, struct sk_virtio, peek);

	for (uint32_t i = 0; i < v->config.nr_queues; i++)
		if (is_looked_at(&v->queues[i]))
			sk_vring_hold_doorbell(v->queues[i].ring);
}

static bool look(struct sk_loop_peek *peek)
{
	struct sk_virtio *v = SK_CONTAINER_OF(peek, struct sk_virtio, peek);

	for (uint32_t i = 0; i < v->config.nr_queues; i++)
		if (is_looked_at(&v->queues[i]) && sk_vring_would_ring(v->queues[i].ring))
			return true;
	return false;
}

static void work(struct sk_loop_peek *peek)
{
	struct sk_virtio *v = SK_CONTAINER_OF(peek, struct sk_virtio, peek);

	for (uint32_t i = 0; i < v->config.nr_queues; i++) {
		struct queue *q = &v->queues[i];
		struct sk_vring_base base;

		if (!is_looked_at(q) || !sk_vring_would_ring(q->ring))
			continue;
		base = sk_vring_get_base(q->ring);
		q->nr_in_vain = 0;
		virtio_kick(q);
		/* A device that leaves it there (a limit, no room) comes back of itself. */
		if (base.avail == sk_vring_get_base(q->ring).avail)
			(void)virtio_stop_looking(q);
	}
}

static bool end(struct sk_loop_peek *peek)
{
	struct sk_virtio *v = SK_CONTAINER_OF(peek, struct sk_virtio, peek);
	bool has_worked = false;

	for (uint32_t i = 0; i < v->config.nr_queues; i++) {
		struct queue *q = &v->queues[i];

		if (!is_looked_at(q))
			continue;
		if (sk_vring_release_doorbell(q->ring)) {
			virtio_kick(q);
			has_worked = true;
		} else if (++q->nr_in_vain == MAX_IN_VAIN) {
			q->is_hot = false;
		}
	}
	return has_worked;
}

const struct sk_loop_peek_ops virtio_peek_ops = {begin, look, work, end};
