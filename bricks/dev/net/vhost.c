/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Rings that the kernel serves. It waits for the doorbells itself and signals the transport's
 * eventfds; where the transport has none (MMIO has a register to be set, too) one of the device's
 * stands between.
 */
#include "net_internal.h"

#include <poll.h>

static void listen_to(struct net_call *call)
{
	if (call->net->is_vhost_running && !sk_loop_op_is_busy(&call->op))
		sk_loop_poll(call->net->config.loop, &call->op, POLLIN);
}

static void on_call(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	struct net_call *call = SK_CONTAINER_OF(op, struct net_call, op);

	(void)loop;
	if (result < 0)
		return;
	if (sk_eventfd_drain(call->fd) && call->net->is_vhost_running)
		sk_virtio_interrupt(call->net->virtio, call->queue);
	listen_to(call);
}

/* The eventfd that the kernel signals for interrupts of a queue; -errno. */
static int call_fd(struct net_call *call)
{
	int fd = sk_virtio_interrupt_fd(call->net->virtio, call->queue);

	if (fd >= 0)
		return fd;
	if (call->fd < 0)
		call->fd = sk_eventfd_create();
	if (call->fd < 0)
		return call->fd;
	call->op.done = on_call;
	call->op.fd = call->fd;
	listen_to(call);
	return call->fd;
}

static int start_pair(struct net_pair *pair)
{
	struct sk_net *net = pair->net;
	struct sk_netif_ring rings[2];
	int ret = 0;

	for (unsigned i = 0; i < 2; i++) {
		uint32_t queue = 2 * pair->index + i;
		struct sk_vring *ring = sk_virtio_ring(net->virtio, queue);
		struct sk_vring_config c;
		int fd;

		/* A driver that uses fewer pairs leaves out the rings of the others. */
		if (!ring)
			return 0;
		ret = sk_virtio_ring_config(net->virtio, queue, &c);
		if (ret)
			return ret;
		pair->calls[i].net = net;
		pair->calls[i].queue = queue;
		fd = call_fd(&pair->calls[i]);
		if (fd < 0)
			return fd;
		rings[i] = (struct sk_netif_ring){
			.desc = c.desc_gpa,
			.driver = c.driver_gpa,
			.device = c.device_gpa,
			.size = c.size,
			.next_avail = sk_vring_get_base(ring).avail,
			.kick_fd = sk_virtio_doorbell_fd(net->virtio, queue),
			.call_fd = fd,
		};
	}
	ret = sk_netif_ring_start(net->config.netif, pair->index, rings, net->config.gm,
				  sk_virtio_features(net->virtio));
	if (ret)
		return ret;
	for (unsigned i = 0; i < 2; i++)
		sk_virtio_own_doorbell(net->virtio, 2 * pair->index + i, true);
	pair->is_vhost_running = true;
	return 0;
}

static void stop_pair(struct net_pair *pair)
{
	struct sk_net *net = pair->net;
	uint16_t next_avail[2];
	bool is_known;

	if (!pair->is_vhost_running)
		return;
	pair->is_vhost_running = false;
	is_known = !sk_netif_ring_stop(net->config.netif, pair->index, next_avail);
	for (unsigned i = 0; i < 2; i++) {
		uint32_t queue = 2 * pair->index + i;
		/* Everything that the kernel took it has given back. */
		const struct sk_vring_base base = {next_avail[i], next_avail[i]};
		struct sk_vring *ring = sk_virtio_ring(net->virtio, queue);

		sk_virtio_own_doorbell(net->virtio, queue, false);
		if (ring && (!is_known || sk_vring_set_base(ring, base)))
			sk_vring_break(ring);
		/* What it signalled last, the loop may not have seen yet. */
		if (pair->calls[i].fd >= 0 && sk_eventfd_drain(pair->calls[i].fd))
			sk_virtio_interrupt(net->virtio, queue);
	}
}

int net_vhost_start(struct sk_net *net)
{
	int ret = 0;

	net->is_vhost_running = true;
	for (unsigned i = 0; !ret && i < net->nr_pairs; i++) {
		if (i == 0 || net_has(net, VIRTIO_NET_F_MQ))
			ret = start_pair(&net->pairs[i]);
	}
	if (ret)
		net_vhost_stop(net);
	return ret;
}

void net_vhost_stop(struct sk_net *net)
{
	for (unsigned i = net->nr_pairs; i-- > 0;)
		stop_pair(&net->pairs[i]);
	net->is_vhost_running = false;
}
