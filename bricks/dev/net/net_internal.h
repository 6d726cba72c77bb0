/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * What the files of the network device share:
 *
 *   net.c      its life: create, start, quiesce, save, restore
 *   rx.c       frames to the guest      tx.c   frames from it
 *   header.c   is what a frame asks for agreed and within the frame?
 *   filter.c   is a frame for this guest?
 *   control.c  the commands of the control queue
 *   vhost.c    rings that the kernel serves
 */
#ifndef SKETE_DEV_NET_INTERNAL_H
#define SKETE_DEV_NET_INTERNAL_H

#include <linux/virtio_net.h>
#include <pthread.h>
#include <stdatomic.h>

#include <skete/dev/net.h>

#define NET_MAX_IOV	  SK_NETIF_MAX_IOV
#define NET_CHAIN_IOV	  256 /* of one buffer; a longer one breaks the ring */
#define NET_MAX_CHAINS	  128 /* buffers of one frame */
#define NET_BUDGET	  128 /* frames before others on the loop have their turn */
#define NET_QUEUE_ENTRIES 256
#define NET_FILTER_MACS	  64

#define NET_F(name)	  SK_VIRTIO_FEATURE(VIRTIO_NET_F_##name)

struct net_filter {
	bool is_promisc, is_allmulti, is_alluni, is_nomulti, is_nouni, is_nobcast;
	/* Tables that do not fit let everything of their kind pass. */
	bool is_uni_overflow, is_multi_overflow;
	uint8_t nr_uni, nr_multi;
	uint8_t uni[NET_FILTER_MACS][6], multi[NET_FILTER_MACS][6];
};

struct net_counters {
	_Atomic uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes, rx_dropped, rx_filtered,
		tx_dropped, tx_bad, rx_waits, throttled, bad_commands;
};

/* Buffers of the guest that wait for a frame. */
struct net_taken {
	unsigned nr, nr_iov;
	size_t room_bytes;
	struct sk_vring_chain chains[NET_MAX_CHAINS];
	struct iovec iov[NET_MAX_IOV]; /* theirs, in their order, and one more */
};

struct net_call {
	struct sk_net *net;
	uint32_t queue;
	int fd; /* eventfd, -1: the transport has its own */
	struct sk_loop_op op;
};

struct net_pair {
	struct sk_net *net;
	unsigned index;

	/* receive */
	struct net_taken taken;
	size_t expected_bytes; /* of the next frame, by the last ones */
	uint8_t *held;	       /* room for a frame: what overflows the guest's buffers */
	size_t held_bytes;     /* a whole frame waits there; 0: none */
	bool is_rx_held_back;  /* by the limiter */

	/* transmit */
	bool is_tx_waiting; /* for the back end to have room */
	bool is_tx_held_back;

	/* vhost: the device's own way to interrupt where the transport has none */
	struct net_call calls[2];
	bool is_vhost_running;
};

struct sk_net {
	struct sk_net_config config;
	struct sk_virtio *virtio;
	unsigned nr_pairs; /* offered */
	uint64_t features; /* agreed, while running; without what makes no sense alone */
	bool is_running;
	bool is_restored; /* the next start goes on with what was restored */
	bool is_vhost_running;
	unsigned nr_pairs_used;
	uint64_t guest_offloads; /* bits of VIRTIO_NET_F_GUEST_* in effect */
	uint8_t mac[6];
	struct net_filter filter;
	struct sk_limiter rx_limiter, tx_limiter;
	struct net_counters counters;
	atomic_bool is_link_up, is_rx_limited;

	pthread_mutex_t status_lock; /* protects status, which two threads may change */
	uint16_t status;

	struct iovec iov[NET_MAX_IOV]; /* of the frame that is being sent */
	struct net_pair pairs[];
};

static inline void net_count(_Atomic uint64_t *counter, uint64_t n)
{
	/* One writer: the loop's thread. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

static inline bool net_has(const struct sk_net *net, unsigned bit)
{
	return net->features >> bit & 1;
}

static inline uint32_t net_rx_queue(const struct net_pair *pair)
{
	return 2 * pair->index;
}

static inline uint32_t net_tx_queue(const struct net_pair *pair)
{
	return 2 * pair->index + 1;
}

/* Where the control queue is: behind the pairs, whose number depends on VIRTIO_NET_F_MQ. */
static inline uint32_t net_control_queue(const struct sk_net *net)
{
	return net_has(net, VIRTIO_NET_F_MQ) ? 2 * net->nr_pairs : 2;
}

/* net.c */
/* Sets (or clears) bits of the status that the guest sees. Any thread. */
void net_change_status(struct sk_net *net, uint16_t set, uint16_t clear, bool does_notify);
/* Makes the back end do what guest_offloads says. */
int net_apply_offloads(struct sk_net *net) SK_MUST_CHECK;
/* The parts of @features that hold together (virtio 1.2, 5.1.3.1). */
uint64_t net_useful_features(uint64_t features);
#define NET_GUEST_OFFLOADS \
	(NET_F(GUEST_CSUM) | NET_F(GUEST_TSO4) | NET_F(GUEST_TSO6) | NET_F(GUEST_ECN))

/* rx.c, tx.c: go on as far as it goes now. */
void net_rx_run(struct net_pair *pair);
void net_tx_run(struct net_pair *pair);
/* Gives back the buffers that wait for a frame. */
void net_rx_give_back(struct net_pair *pair);

/*
 * header.c: whether @hdr, of a frame of @frame_bytes from the guest, asks only for what @features
 * say was agreed, within the frame. What has no meaning then is set to 0.
 */
bool net_header_check(struct virtio_net_hdr_v1 *hdr, uint64_t features, size_t frame_bytes);

/* filter.c */
void net_filter_reset(struct net_filter *filter);
bool net_filter_admits(const struct net_filter *filter, const uint8_t mac[6], const uint8_t to[6]);
void net_filter_save(const struct net_filter *filter, struct sk_writer *w);
bool net_filter_restore(struct net_filter *filter, struct sk_reader *r);

/* control.c: serves the control queue. */
void net_control_run(struct sk_net *net);

/* vhost.c */
int net_vhost_start(struct sk_net *net) SK_MUST_CHECK;
void net_vhost_stop(struct sk_net *net);

#endif
