/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Features (virtio 1.2, 2.2), status (2.1, 3.1) and the life of the device on its loop. */
#include "virtio_internal.h"

#define S_ACKNOWLEDGE VIRTIO_CONFIG_S_ACKNOWLEDGE
#define S_DRIVER      VIRTIO_CONFIG_S_DRIVER
#define S_DRIVER_OK   VIRTIO_CONFIG_S_DRIVER_OK
#define S_FEATURES_OK VIRTIO_CONFIG_S_FEATURES_OK
#define S_NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET
#define S_FAILED      VIRTIO_CONFIG_S_FAILED
#define S_ALL	      (S_ACKNOWLEDGE | S_DRIVER | S_DRIVER_OK | S_FEATURES_OK | S_FAILED)

uint32_t sk_virtio_device_features(const struct sk_virtio *v, uint32_t word)
{
	return word < 2 ? (uint32_t)(v->offered >> (32 * word)) : 0;
}

uint32_t sk_virtio_driver_features(const struct sk_virtio *virtio, uint32_t word)
{
	struct sk_virtio *v = (struct sk_virtio *)(uintptr_t)virtio;
	uint32_t value = 0;

	pthread_mutex_lock(&v->control);
	if (word < FEATURE_WORDS)
		value = v->driver_features[word];
	pthread_mutex_unlock(&v->control);
	return value;
}

uint8_t sk_virtio_status(const struct sk_virtio *v)
{
	return atomic_load_explicit(&v->status, memory_order_acquire);
}

void sk_virtio_set_driver_features(struct sk_virtio *v, uint32_t word, uint32_t value)
{
	pthread_mutex_lock(&v->control);
	if (word < FEATURE_WORDS && !(sk_virtio_status(v) & S_FEATURES_OK))
		v->driver_features[word] = value;
	else
		virtio_count(&v->bad_accesses);
	pthread_mutex_unlock(&v->control);
}

bool virtio_agree(struct sk_virtio *v)
{
	uint64_t wanted = v->driver_features[0] | (uint64_t)v->driver_features[1] << 32;

	if ((wanted & ~v->offered) || v->driver_features[2] || v->driver_features[3] ||
	    !(wanted & SK_VIRTIO_FEATURE(VIRTIO_F_VERSION_1)))
		return false;
	atomic_store_explicit(&v->features, wanted, memory_order_relaxed);
	return true;
}

static void needs_reset(struct sk_virtio *v)
{
	uint8_t old = atomic_fetch_or_explicit(&v->status, S_NEEDS_RESET, memory_order_acq_rel);

	if (old & S_NEEDS_RESET)
		return;
	virtio_count(&v->broken);
	if (old & S_DRIVER_OK)
		virtio_interrupt_config(v);
}

void sk_virtio_fail(struct sk_virtio *v, uint32_t index)
{
	if (index < v->config.nr_queues)
		v->queues[index].is_stopped = true;
	needs_reset(v);
}

/* The driver has said DRIVER_OK, or a restored device goes on. */
static void start(struct sk_virtio *v)
{
	int ret;

	virtio_listen(v);
	v->phase = PHASE_RUNNING;
	ret = v->config.ops->start(v->config.dev);
	if (ret) {
		v->phase = PHASE_IDLE;
		sk_logf(v->config.log, SK_LOG_WARN, "virtio device %u cannot start: %s",
			v->config.device_id, strerror(-ret));
		needs_reset(v);
		return;
	}
	sk_loop_peek_add(v->config.loop, &v->peek);
	virtio_kick_all(v);
}

static void run_start(struct sk_virtio *v, struct request *request)
{
	start(v);
	virtio_complete(v, request);
}

static void run_quiesce(struct sk_virtio *v, struct request *request)
{
	bool has_something =
		v->phase == PHASE_RUNNING || (request->is_reset && v->phase == PHASE_PAUSED);

	if (!has_something) {
		if (request->is_reset) {
			v->phase = PHASE_IDLE;
			virtio_forget_all(v);
		}
		virtio_complete(v, request);
		return;
	}
	sk_loop_peek_remove(v->config.loop, &v->peek);
	v->quiesce = request;
	v->phase = PHASE_QUIESCING;
	v->config.ops->quiesce(v->config.dev, request->is_reset);
}

void sk_virtio_quiesced(struct sk_virtio *v)
{
	struct request *request = v->quiesce;

	BUG_ON(v->phase != PHASE_QUIESCING || !request);
	v->quiesce = NULL;
	if (request->is_reset) {
		v->phase = PHASE_IDLE;
		virtio_forget_all(v);
	} else {
		v->phase = PHASE_PAUSED;
		virtio_flush_all(v);
	}
	virtio_complete(v, request);
}

static void run_resume(struct sk_virtio *v, struct request *request)
{
	if (v->phase == PHASE_RESTORED) {
		start(v);
		/* What was on its way when the state was saved may be lost; too many do no harm. */
		for (uint32_t i = 0; i < v->config.nr_queues; i++)
			if (v->queues[i].is_enabled)
				sk_virtio_interrupt(v, i);
	} else if (v->phase == PHASE_PAUSED) {
		v->phase = PHASE_RUNNING;
		sk_loop_peek_add(v->config.loop, &v->peek);
		v->config.ops->resume(v->config.dev);
		virtio_kick_all(v);
	}
	virtio_complete(v, request);
}

static void reset_locked(struct sk_virtio *v)
{
	struct request request = {.run = run_quiesce, .is_reset = true};

	virtio_call(v, &request);
	memset(v->driver_features, 0, sizeof(v->driver_features));
	atomic_store_explicit(&v->features, 0, memory_order_relaxed);
	atomic_store_explicit(&v->status, 0, memory_order_release);
}

static void advance_locked(struct sk_virtio *v, uint8_t old, uint8_t value)
{
	struct request request = {.run = run_start};
	uint8_t added = value & ~old & S_ALL;
	bool is_bad = (value & ~(S_ALL | S_NEEDS_RESET)) || (old & S_ALL & ~value);

	if ((added & (S_FEATURES_OK | S_DRIVER_OK)) && ((old | added) & S_FAILED)) {
		added &= (uint8_t) ~(S_FEATURES_OK | S_DRIVER_OK);
		is_bad = true;
	}
	if ((added & S_FEATURES_OK) &&
	    (((old | added) & (S_ACKNOWLEDGE | S_DRIVER)) != (S_ACKNOWLEDGE | S_DRIVER) ||
	     !virtio_agree(v)))
		added &= (uint8_t)~S_FEATURES_OK; /* the driver sees that it stays clear */
	if ((added & S_DRIVER_OK) && !((old | added) & S_FEATURES_OK)) {
		added &= (uint8_t)~S_DRIVER_OK;
		is_bad = true;
	}
	if (is_bad)
		virtio_count(&v->bad_accesses);
	atomic_fetch_or_explicit(&v->status, added, memory_order_acq_rel);
	if (added & S_DRIVER_OK)
		virtio_call(v, &request);
}

void sk_virtio_set_status(struct sk_virtio *v, uint8_t status)
{
	pthread_mutex_lock(&v->control);
	if (status) {
		advance_locked(v, sk_virtio_status(v), status);
	} else {
		virtio_count(&v->resets);
		reset_locked(v);
	}
	pthread_mutex_unlock(&v->control);
}

static void call_simple(struct sk_virtio *v, struct request request)
{
	pthread_mutex_lock(&v->control);
	virtio_call(v, &request);
	pthread_mutex_unlock(&v->control);
}

void sk_virtio_pause(struct sk_virtio *v)
{
	call_simple(v, (struct request){.run = run_quiesce});
}

void sk_virtio_resume(struct sk_virtio *v)
{
	call_simple(v, (struct request){.run = run_resume});
}

void sk_virtio_halt(struct sk_virtio *v)
{
	pthread_mutex_lock(&v->control);
	reset_locked(v);
	pthread_mutex_unlock(&v->control);
}
