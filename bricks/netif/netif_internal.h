/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * What the files of this brick share:
 *
 *   tap.c         the TAP device: descriptors, offloads, queues
 *   vhost.c       the same rings in the hands of /dev/vhost-net
 *   user.c        user mode as the device sees it
 *   slirp.c       libslirp: its thread, its timers, its descriptors
 *   frame_queue.c bounded queues of frames between that thread and the loop's
 *   mss.c         the size of TCP segments that a guest is offered
 *   forward.c     the text of a port forwarding
 */
#ifndef SKETE_NETIF_INTERNAL_H
#define SKETE_NETIF_INTERNAL_H

#include <pthread.h>
#include <slirp/libslirp.h>
#include <stdatomic.h>

#include <skete/netif.h>

#define NETIF_MIN_BYTES (SK_NETIF_HDR_BYTES + 14)

static inline uint64_t netif_iov_bytes(const struct iovec *iov, unsigned nr_iov)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < nr_iov; i++)
		sum += iov[i].iov_len;
	return sum;
}

/* The bytes of @iov from @skip_bytes on, copied to @to, where there is room for them; how many. */
static inline size_t netif_iov_copy(uint8_t *to, const struct iovec *iov, unsigned nr_iov,
				    size_t skip_bytes)
{
	size_t done = 0;

	for (unsigned i = 0; i < nr_iov; i++) {
		size_t skip = SK_MIN(skip_bytes, iov[i].iov_len);
		size_t part = iov[i].iov_len - skip;

		skip_bytes -= skip;
		memcpy(to + done, (const uint8_t *)iov[i].iov_base + skip, part);
		done += part;
	}
	return done;
}

struct tap_queue {
	struct tap *tap;
	unsigned index;
	int fd;
	int vhost_fd; /* /dev/vhost-net, -1 without */
	bool is_vhost_running;
	struct sk_loop_op readable, writable;
};

struct tap {
	struct sk_netif nif;
	struct sk_loop *loop; /* NULL before start */
	struct sk_netif_client client;
	unsigned nr_attached;
	struct tap_queue queues[SK_NETIF_MAX_PAIRS];
};

/* vhost.c */
int vhost_open(struct tap_queue *q, struct sk_error *err) SK_MUST_CHECK;
void vhost_close(struct tap_queue *q);
int vhost_ring_start(struct sk_netif *nif, unsigned pair, const struct sk_netif_ring rings[2],
		     const struct sk_gmem *gm, uint64_t features) SK_MUST_CHECK;
int vhost_ring_stop(struct sk_netif *nif, unsigned pair, uint16_t next_avail[2]) SK_MUST_CHECK;

/*
 * frame_queue.c: frames in order, their bytes bounded; a frame is copied in and copied out.
 * Internally locked. An eventfd is readable while it holds something.
 */
struct frame {
	struct frame *next;
	uint32_t len_bytes;
	uint8_t bytes[];
};

struct frame_queue {
	pthread_mutex_t lock; /* protects what follows */
	struct frame *first, **end;
	size_t held_bytes, max_bytes;
	bool wants_room; /* a put was refused */
	int fd;		 /* eventfd, signalled when the queue stops being empty */
};

int frame_queue_init(struct frame_queue *q, size_t max_bytes) SK_MUST_CHECK;
void frame_queue_fini(struct frame_queue *q);
/*
 * Adds a copy of the bytes of @iov from @skip_bytes on; one thread only. -EAGAIN: it is full, and
 * the next take says that room was wanted; -ENOMEM.
 */
int frame_queue_put(struct frame_queue *q, const struct iovec *iov, unsigned nr_iov,
		    size_t skip_bytes) SK_MUST_CHECK;
/* Whether a frame of @len_bytes fits; if not, the next take says that room was wanted. */
bool frame_queue_has_room(struct frame_queue *q, size_t len_bytes);
/*
 * Takes everything: a list that the caller frees with frame_list_free(), or frame by frame.
 * *@is_room_wanted: a put or has_room has been refused meanwhile.
 */
struct frame *frame_queue_take(struct frame_queue *q, bool *is_room_wanted);
void frame_list_free(struct frame *list);

/*
 * mss.c: if a frame of @len_bytes begins or accepts a TCP connection and asks for segments of more
 * than @max_bytes, makes it ask for that much, and mends its checksum. Any bytes are good.
 */
void netif_clamp_mss(uint8_t *frame, size_t len_bytes, uint16_t max_bytes);

#define SLIRP_MAX_TIMERS 4 /* libslirp makes one */

struct slirp_timer {
	SlirpTimerCb fire;
	void *ctx;
	int64_t expires_ms; /* -1: not set */
	bool is_used;
};

struct poll_set {
	struct pollfd *fds;
	unsigned nr, max;
};

struct user {
	struct sk_netif nif;
	struct sk_loop *loop; /* NULL before start */
	struct sk_netif_client client;
	struct frame_queue from_guest, to_guest;
	int room_fd;	     /* eventfd: from_guest has room again */
	struct frame *taken; /* from to_guest, the loop's */
	struct sk_loop_op readable, writable;

	struct {
		__typeof__(&slirp_new) create;
		__typeof__(&slirp_cleanup) cleanup;
		__typeof__(&slirp_pollfds_fill) fill;
		__typeof__(&slirp_pollfds_poll) poll;
		__typeof__(&slirp_input) input;
		__typeof__(&slirp_add_hostfwd) add_hostfwd;
	} api;

	pthread_mutex_t lock; /* protects what follows, once the thread runs */
	Slirp *slirp;
	struct slirp_timer timers[SLIRP_MAX_TIMERS];
	struct poll_set waited; /* what the thread waits for; it alone changes it */
	struct poll_set wanted;
	int64_t deadline_ms; /* until when it waits; INT64_MAX: without an end */
	bool is_stalled;     /* it waits for the guest only */
	bool is_stale;	     /* libslirp's sockets do not have the numbers of waited any more */
	uint8_t frame[SK_NETIF_MAX_FRAME_BYTES]; /* of the guest, as it is handled */

	pthread_t thread;
	bool has_thread;
	atomic_bool does_thread_want_lock;
	atomic_bool wants_end; /* set by destroy with a signal of from_guest.fd */
};

/* slirp.c */
extern const SlirpCb slirp_callbacks;
void *slirp_thread(void *user);
/*
 * Hands a frame of the guest, with its virtio header, to libslirp on the thread of the caller,
 * which is the loop's. False: libslirp is busy and the frame still the caller's.
 */
bool slirp_try_input(struct user *u, const struct iovec *iov, unsigned nr_iov) SK_MUST_CHECK;

#endif
