/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Queues: set-up by the driver (virtio 1.2, 2.6, 3.1), doorbells (2.3), interrupts. */
#include "virtio_internal.h"

/* ---- Set-up: any thread, under control ---- */

static bool is_open_locked(const struct sk_virtio *v, uint32_t index)
{
	return index < v->config.nr_queues && !virtio_is_started(v) && !v->queues[index].is_enabled;
}

static struct queue *lock_open(struct sk_virtio *v, uint32_t index)
{
	pthread_mutex_lock(&v->control);
	if (is_open_locked(v, index))
		return &v->queues[index];
	virtio_count(&v->bad_accesses);
	pthread_mutex_unlock(&v->control);
	return NULL;
}

/* For a look at queue @index; the caller unlocks. */
static const struct queue *lock_queue(const struct sk_virtio *virtio, uint32_t index)
{
	struct sk_virtio *v = (struct sk_virtio *)(uintptr_t)virtio;

	pthread_mutex_lock(&v->control);
	return index < v->config.nr_queues ? &v->queues[index] : NULL;
}

static void unlock(const struct sk_virtio *v)
{
	pthread_mutex_unlock((pthread_mutex_t *)(uintptr_t)&v->control);
}

uint16_t sk_virtio_queue_max(const struct sk_virtio *v, uint32_t index)
{
	return index < v->config.nr_queues ? v->queues[index].max_size : 0;
}

uint16_t sk_virtio_queue_size(const struct sk_virtio *v, uint32_t index)
{
	const struct queue *q = lock_queue(v, index);
	uint16_t size = q ? q->size : 0;

	unlock(v);
	return size;
}

void sk_virtio_queue_set_size(struct sk_virtio *v, uint32_t index, uint16_t size)
{
	struct queue *q = lock_open(v, index);

	if (!q)
		return;
	q->size = size;
	unlock(v);
}

gpa_t sk_virtio_queue_area(const struct sk_virtio *v, uint32_t index, enum sk_virtio_area area)
{
	const struct queue *q = lock_queue(v, index);
	gpa_t gpa = q ? q->areas[area] : 0;

	unlock(v);
	return gpa;
}

void sk_virtio_queue_set_area(struct sk_virtio *v, uint32_t index, enum sk_virtio_area area,
			      gpa_t value, gpa_t mask)
{
	struct queue *q = lock_open(v, index);

	if (!q)
		return;
	q->areas[area] = (q->areas[area] & ~mask) | (value & mask);
	unlock(v);
}

bool sk_virtio_queue_is_enabled(const struct sk_virtio *v, uint32_t index)
{
	const struct queue *q = lock_queue(v, index);
	bool is_enabled = q && q->is_enabled;

	unlock(v);
	return is_enabled;
}

static struct sk_vring_config ring_config(const struct queue *q)
{
	const struct sk_virtio *v = q->virtio;

	return (struct sk_vring_config){
		.gm = v->config.gm,
		.size = q->size,
		.is_packed = sk_virtio_has(v, VIRTIO_F_RING_PACKED),
		.has_event_idx = sk_virtio_has(v, VIRTIO_RING_F_EVENT_IDX),
		.has_indirect = sk_virtio_has(v, VIRTIO_RING_F_INDIRECT_DESC),
		.is_in_order = sk_virtio_has(v, VIRTIO_F_IN_ORDER),
		.desc_gpa = q->areas[SK_VIRTIO_AREA_DESC],
		.driver_gpa = q->areas[SK_VIRTIO_AREA_DRIVER],
		.device_gpa = q->areas[SK_VIRTIO_AREA_DEVICE],
	};
}

int virtio_queue_make_ring(struct queue *q)
{
	const struct sk_vring_config config = ring_config(q);
	int ret;

	if (q->size > q->max_size)
		return -EINVAL;
	ret = sk_vring_create(&q->ring, &config);
	q->is_enabled = !ret;
	return ret;
}

void virtio_queue_disable(struct queue *q)
{
	sk_vring_destroy(q->ring);
	q->ring = NULL;
	q->is_enabled = false;
}

void virtio_forget_all(struct sk_virtio *v)
{
	for (uint32_t i = 0; i < v->config.nr_queues; i++) {
		struct queue *q = &v->queues[i];

		virtio_queue_disable(q);
		q->is_stopped = q->is_owned = q->is_hot = false;
		q->size = q->max_size;
		memset(q->areas, 0, sizeof(q->areas));
	}
}

void sk_virtio_queue_enable(struct sk_virtio *v, uint32_t index, bool is_enabled)
{
	bool is_good = false;
	struct queue *q;

	pthread_mutex_lock(&v->control);
	if (index < v->config.nr_queues && !virtio_is_started(v)) {
		q = &v->queues[index];
		is_good = is_enabled == q->is_enabled;
		if (!is_enabled) {
			virtio_queue_disable(q);
			is_good = true;
		} else if (!q->is_enabled && (sk_virtio_status(v) & VIRTIO_CONFIG_S_FEATURES_OK)) {
			/* The features say what kind of ring it is. */
			is_good = !virtio_queue_make_ring(q);
		}
	}
	if (!is_good)
		virtio_count(&v->bad_accesses);
	pthread_mutex_unlock(&v->control);
}

/* ---- Doorbells ---- */

int sk_virtio_doorbell_fd(const struct sk_virtio *v, uint32_t index)
{
	return index < v->config.nr_queues ? v->queues[index].doorbell_fd : -1;
}

void sk_virtio_ring_doorbell(struct sk_virtio *v, uint32_t index)
{
	if (index < v->config.nr_queues)
		sk_eventfd_signal(v->queues[index].doorbell_fd);
	else
		virtio_count(&v->bad_accesses);
}

void virtio_kick(struct queue *q)
{
	struct sk_virtio *v = q->virtio;

	if (v->phase == PHASE_RUNNING && q->is_enabled && !q->is_stopped)
		v->config.ops->kick(v->config.dev, (uint32_t)(q - v->queues));
}

static void read_doorbell(struct queue *q)
{
	sk_loop_read(q->virtio->config.loop, &q->op, &q->counter, sizeof(q->counter),
		     SK_LOOP_STREAM);
}

static void doorbell(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	struct queue *q = SK_CONTAINER_OF(op, struct queue, op);

	(void)loop;
	if (result == -ECANCELED) {
		/* A back end has got it, and perhaps given it back already; or it is the end. */
		if (q->wants_op)
			read_doorbell(q);
		q->wants_op = false;
		return;
	}
	BUG_ON(result != (int)sizeof(q->counter));
	if (q->is_owned) {
		/* It rang while the read was being cancelled: that is for the new owner. */
		sk_eventfd_signal(q->doorbell_fd);
		return;
	}
	q->wants_op = false;
	read_doorbell(q);
	virtio_count(&q->virtio->kicks);
	q->is_hot = true;
	q->nr_in_vain = 0;
	virtio_kick(q);
}

void virtio_listen(struct sk_virtio *v)
{
	for (uint32_t i = 0; i < v->config.nr_queues; i++) {
		struct queue *q = &v->queues[i];

		if (!q->is_enabled || q->is_owned || sk_loop_op_is_busy(&q->op))
			continue;
		q->op = (struct sk_loop_op){.done = doorbell, .fd = q->doorbell_fd};
		read_doorbell(q);
	}
}

void sk_virtio_own_doorbell(struct sk_virtio *v, uint32_t index, bool is_owned)
{
	struct queue *q = &v->queues[index];

	BUG_ON(index >= v->config.nr_queues);
	if (is_owned && virtio_stop_looking(q))
		sk_eventfd_signal(q->doorbell_fd); /* for the new owner */
	q->is_owned = is_owned;
	q->wants_op = !is_owned && sk_loop_op_is_busy(&q->op);
	if (is_owned)
		sk_loop_cancel(v->config.loop, &q->op);
	else
		virtio_listen(v);
}

void virtio_kick_all(struct sk_virtio *v)
{
	for (uint32_t i = 0; i < v->config.nr_queues; i++)
		virtio_kick(&v->queues[i]);
}

/* ---- Rings and interrupts: the loop's thread, and no lock ---- */

struct sk_vring *sk_virtio_ring(struct sk_virtio *v, uint32_t index)
{
	return index < v->config.nr_queues ? v->queues[index].ring : NULL;
}

int sk_virtio_ring_config(const struct sk_virtio *v, uint32_t index, struct sk_vring_config *config)
{
	if (index >= v->config.nr_queues || !v->queues[index].is_enabled)
		return -ENOENT;
	*config = ring_config(&v->queues[index]);
	return 0;
}

int sk_virtio_interrupt_fd(struct sk_virtio *v, uint32_t index)
{
	if (!v->transport_ops || !v->transport_ops->interrupt_fd)
		return -1;
	return v->transport_ops->interrupt_fd(v->transport, index);
}

void sk_virtio_interrupt(struct sk_virtio *v, uint32_t index)
{
	if (!v->transport_ops)
		return;
	virtio_count(&v->interrupts);
	v->transport_ops->interrupt_queue(v->transport, index);
}

void virtio_interrupt_config(struct sk_virtio *v)
{
	if (!v->transport_ops)
		return;
	virtio_count(&v->interrupts);
	v->transport_ops->interrupt_config(v->transport);
}

void sk_virtio_flush(struct sk_virtio *v, uint32_t index)
{
	struct sk_vring *ring = sk_virtio_ring(v, index);

	if (ring && sk_vring_flush(ring))
		sk_virtio_interrupt(v, index);
}

void virtio_flush_all(struct sk_virtio *v)
{
	for (uint32_t i = 0; i < v->config.nr_queues; i++)
		sk_virtio_flush(v, i);
}
