/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Frames from the guest (virtio 1.2, 5.1.6.2). The header is copied and checked; the rest goes to
 * the back end from where it lies, whose bytes mean nothing to the device.
 */
#include "net_internal.h"

/*
 * Puts @hdr in the place of the header at the beginning of the @nr vectors from net->iov[1] on.
 * Returns the first vector of the frame; *@nr_out of them.
 */
static struct iovec *replace_header(struct sk_net *net, unsigned nr, struct virtio_net_hdr_v1 *hdr,
				    unsigned *nr_out)
{
	size_t skip = sizeof(*hdr);
	unsigned i = 1;

	for (; i <= nr && net->iov[i].iov_len <= skip; i++)
		skip -= net->iov[i].iov_len;
	if (i <= nr) {
		net->iov[i].iov_base = (uint8_t *)net->iov[i].iov_base + skip;
		net->iov[i].iov_len -= skip;
	}
	net->iov[i - 1] = (struct iovec){hdr, sizeof(*hdr)};
	*nr_out = nr - i + 2;
	return &net->iov[i - 1];
}

/* 0: it is sent or lost. -EAGAIN: the back end has no room; -EBUSY: the limiter has none. */
static int send_frame(struct net_pair *pair, const struct sk_vring_chain *chain)
{
	struct sk_net *net = pair->net;
	size_t frame_bytes = chain->readable_bytes - SK_NETIF_HDR_BYTES;
	struct virtio_net_hdr_v1 hdr;
	struct iovec *frame;
	unsigned nr;
	int ret;

	if (chain->readable_bytes < SK_NETIF_HDR_BYTES + 14 ||
	    chain->readable_bytes > SK_NETIF_MAX_FRAME_BYTES) {
		net_count(&net->counters.tx_bad, 1);
		return 0;
	}
	(void)sk_vring_copy_from(chain->iov, chain->nr_readable, 0, &hdr, sizeof(hdr));
	if (!net_header_check(&hdr, net->features, frame_bytes)) {
		net_count(&net->counters.tx_bad, 1);
		return 0;
	}
	if (!atomic_load_explicit(&net->is_link_up, memory_order_relaxed)) {
		net_count(&net->counters.tx_dropped, 1);
		return 0;
	}
	if (!sk_limiter_admit(&net->tx_limiter, frame_bytes)) {
		net_count(&net->counters.throttled, 1);
		return -EBUSY;
	}
	frame = replace_header(net, chain->nr_readable, &hdr, &nr);
	ret = sk_netif_send(net->config.netif, pair->index, frame, nr);
	if (ret == -EAGAIN)
		return ret;
	net_count(ret ? &net->counters.tx_dropped : &net->counters.tx_frames, 1);
	net_count(&net->counters.tx_bytes, ret ? 0 : frame_bytes);
	return 0;
}

/* 1: one frame less; 0: there is none; -EAGAIN, -EBUSY, -EPROTO. */
static int step(struct net_pair *pair, struct sk_vring *ring)
{
	struct sk_net *net = pair->net;
	struct sk_vring_chain chain;
	int ret = sk_vring_pop(ring, &chain, net->iov + 1, NET_MAX_IOV - 1);

	if (ret <= 0)
		return ret;
	ret = send_frame(pair, &chain);
	if (ret) {
		sk_vring_unpop(ring, &chain);
		return ret;
	}
	sk_vring_push(ring, &chain, 0);
	return 1;
}

void net_tx_run(struct net_pair *pair)
{
	struct sk_net *net = pair->net;
	uint32_t queue = net_tx_queue(pair);
	struct sk_vring *ring = net->is_running ? sk_virtio_ring(net->virtio, queue) : NULL;
	unsigned budget = NET_BUDGET;
	int ret = 1;

	/* Whoever holds it back calls. */
	if (!ring || pair->is_tx_waiting || pair->is_tx_held_back)
		return;
	sk_vring_disable_doorbell(ring);
	while (budget && ret > 0) {
		ret = step(pair, ring);
		budget--;
		if (!ret && sk_vring_enable_doorbell(ring))
			ret = 1;
	}
	sk_virtio_flush(net->virtio, queue);
	pair->is_tx_waiting = ret == -EAGAIN;
	pair->is_tx_held_back = ret == -EBUSY;
	if (ret == -EPROTO)
		sk_virtio_fail(net->virtio, queue);
	else if (ret > 0)
		sk_virtio_ring_doorbell(net->virtio, queue);
}
