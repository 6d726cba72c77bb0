/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The virtio network device (virtio 1.2, 5.1) on a back end of bricks/netif.
 *
 *     queue 2p    receive     queue 2p + 1  transmit       p = 0 ... pairs in use - 1
 *     the last    control: receive mode, addresses, announcing, queue pairs, offloads (5.1.6.5)
 *
 * What a guest sends is checked before the back end sees it: a header that asks for what was not
 * agreed, or that points beyond its frame, costs the frame. What comes in is filtered by address as
 * the guest wishes. With vhost the kernel serves the rings, and neither the filter nor limits nor
 * counters of frames exist.
 *
 * Threading class: owner-thread only (the loop of the configuration), but for the functions that
 * say otherwise. create may run on another thread before the loop turns.
 */
#ifndef SKETE_DEV_NET_H
#define SKETE_DEV_NET_H

#include <skete/base.h>
#include <skete/limiter.h>
#include <skete/netif.h>
#include <skete/virtio.h>

struct sk_net;

struct sk_net_config {
	struct sk_gmem *gm;	/* borrowed until destroy, as is what follows */
	struct sk_loop *loop;	/* the device's thread */
	struct sk_netif *netif; /* started by create: one interface, one device */
	const struct sk_log *log;
	uint8_t mac[6]; /* a unicast address, or all zeroes: a random one of the local kind */
	uint32_t mtu;	/* 0: what the back end says; at most that */
	struct sk_limiter_config rx_limit, tx_limit; /* zeroes: none; frames and their bytes */
};

/*
 * Errors, each with its sentence: -EINVAL (MAC or MTU; a limit with vhost), -ENOMEM, -EMFILE.
 * destroy comes after the end of the loop; it leaves the interface alone. NULL is fine.
 */
int sk_net_create(struct sk_net **out, const struct sk_net_config *config,
		  struct sk_error *err) SK_MUST_CHECK;
void sk_net_destroy(struct sk_net *net);

/* For the transport: the device's core, which lives as long as the device. */
struct sk_virtio *sk_net_virtio(struct sk_net *net);

/* Other limits while it runs. Any thread. -ENOTSUP: with vhost. */
int sk_net_set_limits(struct sk_net *net, const struct sk_limiter_config *rx,
		      const struct sk_limiter_config *tx) SK_MUST_CHECK;

/* Plugs the cable in or out: without it frames are dropped both ways. Any thread. */
void sk_net_set_link(struct sk_net *net, bool is_up);

/* Asks the guest to tell its neighbours where it is now (5.1.6.5.4), after a move. Any thread. */
void sk_net_announce(struct sk_net *net);

struct sk_net_stats {
	uint64_t rx_frames, rx_bytes; /* without the virtio header */
	uint64_t tx_frames, tx_bytes;
	uint64_t rx_dropped;   /* too large for the guest's buffers, or the link is down */
	uint64_t rx_filtered;  /* not for the guest */
	uint64_t tx_dropped;   /* the back end or the link would not take it */
	uint64_t tx_bad;       /* frames of the guest that were against the rules */
	uint64_t rx_waits;     /* times that frames waited for the guest's buffers */
	uint64_t throttled;    /* times that a limit held a frame back */
	uint64_t bad_commands; /* of the control queue */
};

/* Any thread. */
void sk_net_get_stats(const struct sk_net *net, struct sk_net_stats *stats);

#endif
