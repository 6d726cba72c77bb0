/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The object itself, and the way from any thread to the loop's: see virtio_internal.h. */
#include "virtio_internal.h"

void virtio_complete(struct sk_virtio *v, struct request *request)
{
	pthread_mutex_lock(&v->done_lock);
	request->is_done = true;
	pthread_cond_broadcast(&v->done);
	pthread_mutex_unlock(&v->done_lock);
}

static void run_request(struct sk_loop *loop, struct sk_loop_post *post)
{
	struct sk_virtio *v = SK_CONTAINER_OF(post, struct sk_virtio, post);

	(void)loop;
	v->request->run(v, v->request);
}

void virtio_call(struct sk_virtio *v, struct request *request)
{
	if (sk_loop_is_owner(v->config.loop)) {
		request->run(v, request);
		while (!request->is_done)
			BUG_ON(sk_loop_turn(v->config.loop, SK_LOOP_INFINITE) < 0);
		return;
	}
	v->request = request;
	sk_loop_post(v->config.loop, &v->post);
	pthread_mutex_lock(&v->done_lock);
	while (!request->is_done)
		pthread_cond_wait(&v->done, &v->done_lock);
	pthread_mutex_unlock(&v->done_lock);
}

static void run_config_post(struct sk_loop *loop, struct sk_loop_post *post)
{
	struct sk_virtio *v = SK_CONTAINER_OF(post, struct sk_virtio, config_post);

	(void)loop;
	atomic_store(&v->is_config_posted, false);
	virtio_interrupt_config(v);
}

static bool is_config_valid(const struct sk_virtio_config *c)
{
	if (c->nr_queues < 1 || c->nr_queues > SK_VIRTIO_MAX_QUEUES ||
	    c->config_bytes > SK_VIRTIO_MAX_CONFIG_BYTES ||
	    (c->core_features_off &
	     (SK_VIRTIO_FEATURE(VIRTIO_F_VERSION_1) | ~SK_VIRTIO_CORE_FEATURES)))
		return false;
	for (uint32_t i = 0; i < c->nr_queues; i++) {
		uint16_t size = c->queue_sizes[i];

		if (!size || size > SK_VRING_MAX_SIZE || (size & (size - 1)))
			return false;
	}
	return true;
}

static int create_queues(struct sk_virtio *v, const struct sk_virtio_config *config)
{
	for (uint32_t i = 0; i < config->nr_queues; i++) {
		struct queue *q = &v->queues[i];

		q->virtio = v;
		q->max_size = q->size = config->queue_sizes[i];
		q->doorbell_fd = sk_eventfd_create();
		if (q->doorbell_fd < 0)
			return q->doorbell_fd;
	}
	return 0;
}

int sk_virtio_create(struct sk_virtio **out, const struct sk_virtio_config *config,
		     struct sk_error *err)
{
	struct sk_virtio *v;
	int ret;

	if (!is_config_valid(config))
		return sk_error_set(err, -EINVAL,
				    "virtio device %u: impossible queues, features or sizes",
				    config->device_id);
	v = calloc(1, sizeof(*v) + config->nr_queues * sizeof(v->queues[0]));
	if (!v)
		return sk_error_set(err, -ENOMEM, "no memory for a virtio device");
	v->config = *config;
	v->config.queue_sizes = NULL;
	v->config.config_space = NULL;
	v->offered = config->features | (SK_VIRTIO_CORE_FEATURES & ~config->core_features_off);
	if (config->config_space)
		memcpy(v->space, config->config_space, config->config_bytes);
	pthread_mutex_init(&v->control, NULL);
	pthread_mutex_init(&v->space_lock, NULL);
	pthread_mutex_init(&v->done_lock, NULL);
	pthread_cond_init(&v->done, NULL);
	v->post.run = run_request;
	v->config_post.run = run_config_post;
	v->peek.ops = &virtio_peek_ops;
	for (uint32_t i = 0; i < config->nr_queues; i++)
		v->queues[i].doorbell_fd = -1;
	ret = create_queues(v, config);
	if (ret) {
		sk_virtio_destroy(v);
		return sk_error_set(err, ret, "virtio device %u: cannot create an eventfd: %s",
				    config->device_id, strerror(-ret));
	}
	*out = v;
	return 0;
}

void sk_virtio_destroy(struct sk_virtio *v)
{
	if (!v)
		return;
	BUG_ON(v->phase == PHASE_RUNNING || v->phase == PHASE_QUIESCING || v->transport_ops);
	/* After the loop's end nothing is posted or busy. */
	while (atomic_load(&v->is_config_posted))
		BUG_ON(sk_loop_turn(v->config.loop, 0) < 0);
	for (uint32_t i = 0; i < v->config.nr_queues; i++) {
		struct queue *q = &v->queues[i];

		if (sk_loop_op_is_busy(&q->op))
			sk_loop_cancel(v->config.loop, &q->op);
		while (sk_loop_op_is_busy(&q->op))
			BUG_ON(sk_loop_turn(v->config.loop, SK_LOOP_INFINITE) < 0);
		virtio_queue_disable(q);
		sk_close(&q->doorbell_fd);
	}
	pthread_cond_destroy(&v->done);
	pthread_mutex_destroy(&v->done_lock);
	pthread_mutex_destroy(&v->space_lock);
	pthread_mutex_destroy(&v->control);
	free(v);
}

static void run_attach(struct sk_virtio *v, struct request *request)
{
	BUG_ON(request->transport_ops && v->transport_ops);
	v->transport_ops = request->transport_ops;
	v->transport = request->transport;
	virtio_complete(v, request);
}

void sk_virtio_attach(struct sk_virtio *v, const struct sk_virtio_transport_ops *ops,
		      void *transport)
{
	struct request request = {.run = run_attach, .transport_ops = ops, .transport = transport};

	pthread_mutex_lock(&v->control);
	virtio_call(v, &request);
	pthread_mutex_unlock(&v->control);
}

uint64_t sk_virtio_features(const struct sk_virtio *v)
{
	return atomic_load_explicit(&v->features, memory_order_relaxed);
}

struct sk_gmem *sk_virtio_gmem(const struct sk_virtio *v)
{
	return v->config.gm;
}

struct sk_loop *sk_virtio_loop(const struct sk_virtio *v)
{
	return v->config.loop;
}

uint32_t sk_virtio_device_id(const struct sk_virtio *v)
{
	return v->config.device_id;
}

uint32_t sk_virtio_nr_queues(const struct sk_virtio *v)
{
	return v->config.nr_queues;
}

void sk_virtio_get_stats(const struct sk_virtio *v, struct sk_virtio_stats *stats)
{
	*stats = (struct sk_virtio_stats){
		.kicks = atomic_load_explicit(&v->kicks, memory_order_relaxed),
		.interrupts = atomic_load_explicit(&v->interrupts, memory_order_relaxed),
		.resets = atomic_load_explicit(&v->resets, memory_order_relaxed),
		.broken = atomic_load_explicit(&v->broken, memory_order_relaxed),
		.bad_accesses = atomic_load_explicit(&v->bad_accesses, memory_order_relaxed),
	};
}
