/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Save and restore of the core, field by field: version, identity, what was negotiated, the
 * configuration space, each queue with its ring, then the device's own state.
 */
#include "virtio_internal.h"

#define STATE_VERSION 1
#define STATUS_VALID                                                                        \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK | \
	 VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED)
#define QUEUE_ENABLED 0x01
#define QUEUE_STOPPED 0x02

static void save_queue(const struct queue *q, struct sk_writer *w)
{
	sk_put_u16(w, q->size);
	for (int i = 0; i < 3; i++)
		sk_put_u64(w, q->areas[i]);
	sk_put_u8(w, (q->is_enabled ? QUEUE_ENABLED : 0) | (q->is_stopped ? QUEUE_STOPPED : 0));
	if (q->is_enabled)
		sk_vring_save(q->ring, w);
}

static void run_save(struct sk_virtio *v, struct request *request)
{
	struct sk_writer *w = request->w;

	BUG_ON(v->phase == PHASE_RUNNING || v->phase == PHASE_QUIESCING);
	sk_put_u32(w, STATE_VERSION);
	sk_put_u32(w, v->config.device_id);
	sk_put_u32(w, v->config.nr_queues);
	sk_put_u32(w, v->config.config_bytes);
	sk_put_u8(w, sk_virtio_status(v));
	sk_put_u8(w, v->phase == PHASE_PAUSED || v->phase == PHASE_RESTORED);
	for (int i = 0; i < FEATURE_WORDS; i++)
		sk_put_u32(w, v->driver_features[i]);
	pthread_mutex_lock(&v->space_lock);
	sk_put_u32(w, v->generation);
	sk_put_bytes(w, v->space, v->config.config_bytes);
	pthread_mutex_unlock(&v->space_lock);
	for (uint32_t i = 0; i < v->config.nr_queues; i++)
		save_queue(&v->queues[i], w);
	v->config.ops->save(v->config.dev, w);
	virtio_complete(v, request);
}

void sk_virtio_save(struct sk_virtio *v, struct sk_writer *w)
{
	struct request request = {.run = run_save, .w = w};

	pthread_mutex_lock(&v->control);
	virtio_call(v, &request);
	pthread_mutex_unlock(&v->control);
}

static int restore_queue(struct sk_virtio *v, struct queue *q, struct sk_reader *r)
{
	uint8_t flags, status = sk_virtio_status(v);
	int ret;

	q->size = sk_get_u16(r);
	for (int i = 0; i < 3; i++)
		q->areas[i] = sk_get_u64(r);
	flags = sk_get_u8(r);
	if (!sk_reader_ok(r) || (flags & ~(QUEUE_ENABLED | QUEUE_STOPPED)))
		return -EINVAL;
	q->is_stopped = flags & QUEUE_STOPPED;
	if (!(flags & QUEUE_ENABLED))
		return 0;
	if (!(status & VIRTIO_CONFIG_S_FEATURES_OK))
		return -EINVAL;
	ret = virtio_queue_make_ring(q);
	return ret ? ret : sk_vring_restore(q->ring, r);
}

/* Features and status, which have to go together. */
static bool restore_status(struct sk_virtio *v, uint8_t status, bool is_running)
{
	const uint8_t ok = VIRTIO_CONFIG_S_FEATURES_OK, driver_ok = VIRTIO_CONFIG_S_DRIVER_OK;

	if ((status & ~STATUS_VALID) || ((status & driver_ok) && !(status & ok)) ||
	    (is_running && !(status & driver_ok)))
		return false;
	if ((status & ok) && !virtio_agree(v))
		return false;
	atomic_store_explicit(&v->status, status, memory_order_release);
	return true;
}

static int restore_core(struct sk_virtio *v, struct sk_reader *r, struct sk_error *err)
{
	uint32_t version = sk_get_u32(r), id = sk_get_u32(r), nr_queues = sk_get_u32(r),
		 config_bytes = sk_get_u32(r);
	uint8_t status, is_running;

	if (version != STATE_VERSION)
		return sk_error_set(err, -EINVAL,
				    "virtio: the saved state has version %u, this one reads %u",
				    version, STATE_VERSION);
	if (id != v->config.device_id || nr_queues != v->config.nr_queues ||
	    config_bytes != v->config.config_bytes)
		return sk_error_set(err, -EINVAL,
				    "virtio: the saved state is of device %u with %u queues, not "
				    "of device %u with %u",
				    id, nr_queues, v->config.device_id, v->config.nr_queues);
	status = sk_get_u8(r);
	is_running = sk_get_u8(r);
	for (int i = 0; i < FEATURE_WORDS; i++)
		v->driver_features[i] = sk_get_u32(r);
	v->generation = sk_get_u32(r);
	sk_get_bytes(r, v->space, v->config.config_bytes);
	if (!sk_reader_ok(r) || is_running > 1 || !restore_status(v, status, is_running))
		return sk_error_set(err, -EINVAL,
				    "virtio device %u: the saved state is truncated or "
				    "impossible",
				    id);
	for (uint32_t i = 0; i < nr_queues; i++) {
		int ret = restore_queue(v, &v->queues[i], r);

		if (ret)
			return sk_error_set(err, ret,
					    "virtio device %u: the saved state of queue %u is "
					    "truncated or impossible",
					    id, i);
	}
	v->phase = is_running ? PHASE_RESTORED : PHASE_IDLE;
	return 0;
}

static void run_restore(struct sk_virtio *v, struct request *request)
{
	BUG_ON(v->phase != PHASE_IDLE || sk_virtio_status(v));
	request->ret = restore_core(v, request->r, request->err);
	if (!request->ret)
		request->ret = v->config.ops->restore(v->config.dev, request->r, request->err);
	virtio_complete(v, request);
}

int sk_virtio_restore(struct sk_virtio *v, struct sk_reader *r, struct sk_error *err)
{
	struct request request = {.run = run_restore, .r = r, .err = err};

	pthread_mutex_lock(&v->control);
	virtio_call(v, &request);
	pthread_mutex_unlock(&v->control);
	return request.ret;
}
