/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * What the files of this brick share.
 *
 *   virtio.c   create, destroy, getters; the way from any thread to the loop's
 *   status.c   features, status, start, reset, pause
 *   queue.c    set-up of queues, doorbells, interrupts
 *   peek.c     the rings while the loop polls
 *   space.c    the configuration space
 *   state.c    save and restore
 *
 * Two locks. `control` serialises what transports and the machine's owner ask for, and is held
 * while they wait for the loop: whoever has it may block, so the loop's thread never takes it while
 * the device runs. `space_lock` protects the configuration space and is held for a copy only. The
 * hot path (doorbell, ring, flush, interrupt) takes neither.
 *
 * What the loop's thread reads of features and queues was written under `control` before the
 * request that starts the device, and is left alone until the one that has reset it.
 */
#ifndef SKETE_VIRTIO_INTERNAL_H
#define SKETE_VIRTIO_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include <skete/virtio.h>

#define FEATURE_WORDS 4 /* 2.2: bits 0 to 127; none beyond 63 is offered */
#define NO_QUEUE      UINT32_MAX

/* Where the device stands; the loop's thread only. */
enum phase {
	PHASE_IDLE, /* not started, or it failed to */
	PHASE_RUNNING,
	PHASE_QUIESCING, /* until sk_virtio_quiesced() */
	PHASE_PAUSED,
	PHASE_RESTORED, /* paused, and not started since the restore */
};

struct queue {
	struct sk_virtio *virtio;
	/* protected by control; fixed while the device is started */
	uint16_t max_size, size;
	bool is_enabled;
	gpa_t areas[3];
	struct sk_vring *ring; /* not NULL while enabled */

	int doorbell_fd; /* immutable */

	/* the loop's thread */
	bool is_stopped;    /* its doorbells are ignored until reset */
	bool is_owned;	    /* its doorbells are the back end's */
	bool wants_op;	    /* to be submitted again when it comes back cancelled */
	bool is_hot;	    /* rung for lately: looked at while the loop polls */
	uint8_t nr_in_vain; /* how often in turn that found nothing */
	struct sk_loop_op op;
	uint64_t counter; /* what op reads */
};

/* What another thread wants done on the loop's thread; it waits until is_done. */
struct request {
	void (*run)(struct sk_virtio *virtio, struct request *request);
	bool is_done; /* protected by done_lock */

	bool is_reset;					     /* quiesce */
	const struct sk_virtio_transport_ops *transport_ops; /* attach */
	void *transport;
	uint32_t offset_bytes, len_bytes; /* config_write */
	const void *data;
	struct sk_writer *w; /* save */
	struct sk_reader *r; /* restore */
	struct sk_error *err;
	int ret;
};

struct sk_virtio {
	struct sk_virtio_config
		config;	  /* immutable; its pointers to the caller's arrays are not kept */
	uint64_t offered; /* immutable */

	pthread_mutex_t control;
	uint32_t driver_features[FEATURE_WORDS]; /* protected by control */

	_Atomic uint8_t status;	   /* written under control, but for NEEDS_RESET */
	_Atomic uint64_t features; /* what was agreed; 0 before FEATURES_OK */

	pthread_mutex_t space_lock; /* protects space and generation */
	uint8_t space[SK_VIRTIO_MAX_CONFIG_BYTES];
	uint32_t generation;

	pthread_mutex_t done_lock; /* protects is_done of the request */
	pthread_cond_t done;
	struct sk_loop_post post; /* carries `request` to the loop */
	struct request *request;
	struct sk_loop_post config_post; /* a change that another thread made */
	atomic_bool is_config_posted;

	/* the loop's thread */
	struct sk_loop_peek peek; /* while the device runs */
	enum phase phase;
	struct request *quiesce; /* that waits for sk_virtio_quiesced() */
	const struct sk_virtio_transport_ops *transport_ops;
	void *transport;

	/* one writer, or atomic additions; read by any thread */
	_Atomic uint64_t kicks, interrupts, resets, broken, bad_accesses;

	struct queue queues[]; /* config.nr_queues */
};

/* virtio.c: runs @request on the loop's thread and returns when it is done. control is held. */
void virtio_call(struct sk_virtio *virtio, struct request *request);
void virtio_complete(struct sk_virtio *virtio, struct request *request);

static inline void virtio_count(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static inline bool virtio_is_started(const struct sk_virtio *virtio)
{
	return atomic_load_explicit(&virtio->status, memory_order_relaxed) &
	       VIRTIO_CONFIG_S_DRIVER_OK;
}

/* status.c: true, and the features are agreed on, if the driver's are allowed. control is held. */
bool virtio_agree(struct sk_virtio *virtio);

/* peek.c: the loop's thread. */
extern const struct sk_loop_peek_ops virtio_peek_ops;
bool virtio_stop_looking(struct queue *queue); /* true: chains wait that nobody rang for */

/* queue.c: the loop's thread. */
void virtio_kick(struct queue *queue);		 /* if the device runs */
void virtio_listen(struct sk_virtio *virtio);	 /* to the doorbells of all enabled queues */
void virtio_kick_all(struct sk_virtio *virtio);	 /* if the device runs */
void virtio_flush_all(struct sk_virtio *virtio); /* what the device left unflushed */
void virtio_interrupt_config(struct sk_virtio *virtio);
void virtio_forget_all(struct sk_virtio *virtio); /* queues are as they were at first */
/* queue.c: control is held, the device is not started. */
void virtio_queue_disable(struct queue *queue);
int virtio_queue_make_ring(struct queue *queue);

#endif
