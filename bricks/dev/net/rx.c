/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Frames to the guest (virtio 1.2, 5.1.6.4). The back end writes into the guest's buffers
 * themselves: as many as the last frames needed, and behind them one of the host's for what
 * overflows. With mergeable buffers what overflowed is copied to more of the guest's; if there are
 * not enough the frame waits on the host. A frame that has to wait for the limiter is received
 * there, too.
 */
#include "net_internal.h"

/* Takes more buffers until there is room for @wanted_bytes. False: there are no more. -EPROTO. */
static int take_buffers(struct net_pair *pair, struct sk_vring *ring, size_t wanted_bytes)
{
	bool is_mergeable = net_has(pair->net, VIRTIO_NET_F_MRG_RXBUF);
	struct net_taken *t = &pair->taken;

	while (t->room_bytes < wanted_bytes && (!t->nr || is_mergeable)) {
		struct sk_vring_chain *chain = &t->chains[t->nr];
		int ret;

		if (t->nr == NET_MAX_CHAINS || t->nr_iov + NET_CHAIN_IOV >= NET_MAX_IOV)
			return 0;
		ret = sk_vring_pop(ring, chain, t->iov + t->nr_iov, NET_CHAIN_IOV);
		if (ret <= 0)
			return ret;
		if (chain->nr_readable || chain->writable_bytes < SK_NETIF_HDR_BYTES) {
			sk_vring_unpop(ring, chain);
			sk_vring_break(ring);
			return -EPROTO;
		}
		t->nr++;
		t->nr_iov += chain->nr_writable;
		t->room_bytes += chain->writable_bytes;
	}
	return t->room_bytes >= wanted_bytes;
}

/* Gives back all but the first @nr_keep. */
static void give_back(struct net_pair *pair, struct sk_vring *ring, unsigned nr_keep)
{
	struct net_taken *t = &pair->taken;

	while (t->nr > nr_keep)
		sk_vring_unpop(ring, &t->chains[--t->nr]);
	if (!nr_keep)
		t->nr_iov = 0, t->room_bytes = 0;
}

void net_rx_give_back(struct net_pair *pair)
{
	give_back(pair, sk_virtio_ring(pair->net->virtio, net_rx_queue(pair)), 0);
}

/* Hands a frame that lies in the buffers to the guest, and what is left of them back. */
static void deliver(struct net_pair *pair, struct sk_vring *ring, size_t len_bytes)
{
	struct net_counters *counters = &pair->net->counters;
	struct net_taken *t = &pair->taken;
	unsigned nr_used = 0;
	uint16_t nr_buffers;

	for (size_t done = 0; done < len_bytes; nr_used++)
		done += t->chains[nr_used].writable_bytes;
	give_back(pair, ring, nr_used);
	nr_buffers = SK_LE16((uint16_t)nr_used);
	(void)sk_vring_copy_to(t->iov, t->chains[0].nr_writable,
			       offsetof(struct virtio_net_hdr_v1, num_buffers), &nr_buffers,
			       sizeof(nr_buffers));
	net_count(&counters->rx_frames, 1);
	net_count(&counters->rx_bytes, len_bytes - SK_NETIF_HDR_BYTES);
	for (unsigned i = 0; i < nr_used; i++) {
		uint32_t part = (uint32_t)SK_MIN(t->chains[i].writable_bytes, len_bytes);

		sk_vring_push(ring, &t->chains[i], part);
		len_bytes -= part;
	}
	t->nr = t->nr_iov = 0;
	t->room_bytes = 0;
}

/* Whether the frame of @len_bytes at the beginning of @iov is wanted; counts it if not. */
static bool is_wanted(struct sk_net *net, const struct iovec *iov, unsigned nr_iov,
		      size_t len_bytes)
{
	uint8_t to[6];

	if (len_bytes < SK_NETIF_HDR_BYTES + 14 ||
	    !atomic_load_explicit(&net->is_link_up, memory_order_relaxed)) {
		net_count(&net->counters.rx_dropped, 1);
		return false;
	}
	(void)sk_vring_copy_from(iov, nr_iov, SK_NETIF_HDR_BYTES, to, sizeof(to));
	if (net_filter_admits(&net->filter, net->mac, to))
		return true;
	net_count(&net->counters.rx_filtered, 1);
	return false;
}

/*
 * Whether to go on with the next frame (1), to wait for buffers (0; those that are there are kept,
 * so that the doorbell rings for the next one), or the ring is broken.
 */
static int deliver_held(struct net_pair *pair, struct sk_vring *ring)
{
	struct net_taken *t = &pair->taken;
	int ret = take_buffers(pair, ring, pair->held_bytes);

	if (ret < 0)
		return ret;
	if (ret) {
		(void)sk_vring_copy_to(t->iov, t->nr_iov, 0, pair->held, pair->held_bytes);
		deliver(pair, ring, pair->held_bytes);
	} else if (t->nr && (!net_has(pair->net, VIRTIO_NET_F_MRG_RXBUF) ||
			     t->nr_iov + NET_CHAIN_IOV >= NET_MAX_IOV || t->nr == NET_MAX_CHAINS ||
			     t->nr == sk_vring_size(ring))) {
		/* It will never fit. */
		net_count(&pair->net->counters.rx_dropped, 1);
		give_back(pair, ring, 0);
	} else {
		return 0;
	}
	pair->held_bytes = 0;
	return 1;
}

/* The frame begins in the buffers and ends in pair->held. As deliver_held(). */
static int deliver_overflow(struct net_pair *pair, struct sk_vring *ring, size_t len_bytes)
{
	struct net_taken *t = &pair->taken;
	size_t room_bytes = t->room_bytes, rest_bytes = len_bytes - room_bytes;
	unsigned nr_iov = t->nr_iov;
	int ret = 0;

	if (net_has(pair->net, VIRTIO_NET_F_MRG_RXBUF))
		ret = take_buffers(pair, ring, len_bytes);
	if (ret < 0)
		return ret;
	if (ret) {
		(void)sk_vring_copy_to(t->iov + nr_iov, t->nr_iov - nr_iov, 0, pair->held,
				       rest_bytes);
		deliver(pair, ring, len_bytes);
		return 1;
	}
	memmove(pair->held + room_bytes, pair->held, rest_bytes);
	(void)sk_vring_copy_from(t->iov, nr_iov, 0, pair->held, room_bytes);
	pair->held_bytes = len_bytes;
	return deliver_held(pair, ring);
}

static void expect(struct net_pair *pair, size_t len_bytes)
{
	if (len_bytes >= pair->expected_bytes)
		pair->expected_bytes = len_bytes;
	else
		pair->expected_bytes -= (pair->expected_bytes - len_bytes) / 8;
}

/* Receives one frame into the guest's buffers. -EAGAIN: there is none; else as deliver_held(). */
static int receive(struct net_pair *pair, struct sk_vring *ring)
{
	struct sk_net *net = pair->net;
	struct net_taken *t = &pair->taken;
	ssize_t len;
	int ret = take_buffers(pair, ring, SK_MAX(pair->expected_bytes, 1u));

	if (ret < 0 || !t->nr)
		return ret;
	t->iov[t->nr_iov] = (struct iovec){pair->held, SK_NETIF_MAX_FRAME_BYTES};
	len = sk_netif_recv(net->config.netif, pair->index, t->iov, t->nr_iov + 1);
	if (len < 0 || !is_wanted(net, t->iov, t->nr_iov + 1, (size_t)len)) {
		give_back(pair, ring, 0);
		if (len == -EMSGSIZE)
			net_count(&net->counters.rx_dropped, 1);
		return len >= 0 || len == -EMSGSIZE ? 1 : -EAGAIN;
	}
	expect(pair, (size_t)len);
	if ((size_t)len > t->room_bytes)
		return deliver_overflow(pair, ring, (size_t)len);
	deliver(pair, ring, (size_t)len);
	return 1;
}

/* Receives one frame to be held until the limiter admits it; as receive(). */
static int receive_held(struct net_pair *pair)
{
	struct sk_net *net = pair->net;
	const struct iovec iov = {pair->held, SK_NETIF_MAX_FRAME_BYTES};
	ssize_t len = sk_netif_recv(net->config.netif, pair->index, &iov, 1);

	if (len == -EMSGSIZE)
		net_count(&net->counters.rx_dropped, 1);
	if (len < 0)
		return len == -EMSGSIZE ? 1 : -EAGAIN;
	if (!is_wanted(net, &iov, 1, (size_t)len))
		return 1;
	pair->held_bytes = (size_t)len;
	pair->is_rx_held_back = true;
	return 1;
}

/* True: the frame that is held may go to the guest as far as the limiter is concerned. */
static bool is_admitted(struct net_pair *pair)
{
	struct sk_net *net = pair->net;

	if (pair->is_rx_held_back &&
	    !sk_limiter_admit(&net->rx_limiter, pair->held_bytes - SK_NETIF_HDR_BYTES)) {
		net_count(&net->counters.throttled, 1);
		return false;
	}
	pair->is_rx_held_back = false;
	return true;
}

/* One step; as receive(), and -EBUSY: the limiter calls. */
static int step(struct net_pair *pair, struct sk_vring *ring)
{
	if (pair->held_bytes && !is_admitted(pair))
		return -EBUSY;
	if (pair->held_bytes)
		return deliver_held(pair, ring);
	if (atomic_load_explicit(&pair->net->is_rx_limited, memory_order_relaxed))
		return receive_held(pair);
	return receive(pair, ring);
}

void net_rx_run(struct net_pair *pair)
{
	struct sk_net *net = pair->net;
	uint32_t queue = net_rx_queue(pair);
	struct sk_vring *ring = net->is_running ? sk_virtio_ring(net->virtio, queue) : NULL;
	unsigned budget = NET_BUDGET;
	int ret = 1;

	if (!ring || pair->index >= net->nr_pairs_used)
		return;
	sk_vring_disable_doorbell(ring);
	while (budget && ret > 0) {
		ret = step(pair, ring);
		budget--;
		/* Out of buffers: the doorbell tells of the next, unless it is there already. */
		if (!ret && sk_vring_enable_doorbell(ring))
			ret = 1;
	}
	sk_virtio_flush(net->virtio, queue);
	if (!ret)
		net_count(&net->counters.rx_waits, 1);
	if (ret == -EPROTO) {
		give_back(pair, ring, 0);
		sk_virtio_fail(net->virtio, queue);
	} else if (ret > 0) {
		sk_virtio_ring_doorbell(net->virtio, queue);
	}
}
