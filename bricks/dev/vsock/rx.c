/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Packets to the guest: answers to strays first, then the connections that have something to say,
 * in turns, one packet each. Bytes go from the host's socket into the guest's buffer.
 */
#include "vsock_internal.h"

#include <poll.h>
#include <sys/socket.h>

static struct vsock_packet packet_of(struct conn *c, uint16_t op)
{
	c->told_fwd_cnt = c->fwd_cnt;
	c->is_credit_due = false;
	return (struct vsock_packet){
		.src_cid = SK_VSOCK_HOST_CID,
		.dst_cid = c->vsock->config.cid,
		.src_port = c->host_port,
		.dst_port = c->guest_port,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.buf_alloc = SK_VSOCK_BUFFER_BYTES,
		.fwd_cnt = c->fwd_cnt,
	};
}

/* Bytes from the host into the buffer; how many, 0: none now. */
static uint32_t read_host(struct conn *c, const struct sk_vring_chain *chain)
{
	uint32_t len_bytes = SK_MIN(conn_credit(c), VSOCK_MAX_PAYLOAD);
	struct iovec iov[VSOCK_MAX_IOV];
	struct msghdr msg = {.msg_iov = iov};
	ssize_t n;

	if (!c->is_readable || !len_bytes || (c->guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_RCV) ||
	    (c->shutdown_sent & VIRTIO_VSOCK_SHUTDOWN_SEND))
		return 0;
	msg.msg_iovlen = vsock_packet_payload(chain->iov, chain->nr_writable, len_bytes, iov);
	if (!msg.msg_iovlen)
		return 0;
	n = recvmsg(c->fd, &msg, MSG_DONTWAIT);
	if (n > 0)
		return (uint32_t)n;
	c->is_readable = false;
	if (n < 0 && errno == EAGAIN)
		conn_listen(c);
	else if (n < 0)
		conn_reset(c);
	else
		conn_host_end(c);
	return 0;
}

/* The next packet of @c, its bytes already in the buffer; false: it has nothing to say. */
static bool next_packet(struct conn *c, const struct sk_vring_chain *chain, struct vsock_packet *p)
{
	uint32_t len_bytes;

	if (c->is_reset_due) {
		*p = packet_of(c, VIRTIO_VSOCK_OP_RST);
	} else if (c->is_request_due) {
		c->is_request_due = false;
		*p = packet_of(c, VIRTIO_VSOCK_OP_REQUEST);
	} else if (c->is_response_due) {
		c->is_response_due = false;
		*p = packet_of(c, VIRTIO_VSOCK_OP_RESPONSE);
	} else if (c->state == CONN_ESTABLISHED && (len_bytes = read_host(c, chain))) {
		c->sent_cnt += len_bytes;
		vsock_count(&c->vsock->counters.rx_bytes, len_bytes);
		*p = packet_of(c, VIRTIO_VSOCK_OP_RW);
		p->len_bytes = len_bytes;
	} else if (c->is_reset_due) {
		*p = packet_of(c, VIRTIO_VSOCK_OP_RST);
	} else if (c->shutdown_due) {
		*p = packet_of(c, VIRTIO_VSOCK_OP_SHUTDOWN);
		c->shutdown_sent |= c->shutdown_due;
		c->shutdown_due = 0;
		p->flags = c->shutdown_sent;
	} else if (c->is_credit_due) {
		*p = packet_of(c, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	} else {
		return false;
	}
	return true;
}

/* Fills a buffer with one packet; its length, 0: there is none. */
static uint32_t fill(struct sk_vsock *vsock, const struct sk_vring_chain *chain)
{
	uint8_t bytes[VSOCK_HDR_BYTES];
	struct vsock_packet p;
	struct conn *c;

	if (vsock->nr_resets) {
		p = vsock->resets[vsock->first_reset];
		vsock->first_reset = (vsock->first_reset + 1) % VSOCK_MAX_RESETS;
		vsock->nr_resets--;
	} else {
		for (;;) {
			c = vsock->first_ready;
			if (!c)
				return 0;
			/* To the end of the list if it has spoken, off it if not. */
			conn_remove_ready(c);
			if (next_packet(c, chain, &p))
				break;
		}
		if (c->is_reset_due)
			conn_close(c);
		else
			conn_make_ready(c);
	}
	vsock_packet_put(&p, bytes);
	(void)sk_vring_copy_to(chain->iov, chain->nr_writable, 0, bytes, sizeof(bytes));
	vsock_count(&vsock->counters.rx_packets, 1);
	return VSOCK_HDR_BYTES + p.len_bytes;
}

/* One packet. 1: gone; 0: nothing to say, or no buffer (*@is_hungry); -EPROTO. */
static int step(struct sk_vsock *vsock, struct sk_vring *ring, bool *is_hungry)
{
	struct iovec iov[VSOCK_MAX_IOV];
	struct sk_vring_chain chain;
	uint32_t len_bytes;
	int ret;

	if (!vsock->nr_resets && !vsock->first_ready)
		return 0;
	ret = sk_vring_pop(ring, &chain, iov, VSOCK_MAX_IOV);
	*is_hungry = !ret;
	if (ret <= 0)
		return ret;
	if (chain.nr_readable || chain.writable_bytes < VSOCK_HDR_BYTES) {
		sk_vring_unpop(ring, &chain);
		sk_vring_break(ring);
		return -EPROTO;
	}
	len_bytes = fill(vsock, &chain);
	if (!len_bytes) {
		sk_vring_unpop(ring, &chain);
		return 0;
	}
	sk_vring_push(ring, &chain, len_bytes);
	return 1;
}

void vsock_rx_run(struct sk_vsock *vsock)
{
	struct sk_vring *ring = vsock->is_running ? sk_virtio_ring(vsock->virtio, VSOCK_RX) : NULL;
	unsigned budget = VSOCK_BUDGET;
	bool is_hungry = false;
	int ret = 1;

	if (!ring)
		return;
	sk_vring_disable_doorbell(ring);
	while (budget && ret > 0) {
		ret = step(vsock, ring, &is_hungry);
		budget--;
		if (!ret && is_hungry && sk_vring_enable_doorbell(ring))
			ret = 1;
	}
	sk_virtio_flush(vsock->virtio, VSOCK_RX);
	if (ret < 0)
		sk_virtio_fail(vsock->virtio, VSOCK_RX);
	else if (ret > 0)
		sk_virtio_ring_doorbell(vsock->virtio, VSOCK_RX);
	if (vsock->is_tx_waiting && vsock->nr_resets < VSOCK_MAX_RESETS)
		sk_virtio_ring_doorbell(vsock->virtio, VSOCK_TX);
}

/* 5.10.6.7 */
void vsock_event_run(struct sk_vsock *vsock)
{
	struct sk_vring *ring =
		vsock->is_running ? sk_virtio_ring(vsock->virtio, VSOCK_EVENT) : NULL;
	struct iovec iov[VSOCK_MAX_IOV];
	struct sk_vring_chain chain;
	uint8_t id[4];
	int ret;

	if (!ring || !vsock->is_event_due)
		return;
	ret = sk_vring_pop(ring, &chain, iov, VSOCK_MAX_IOV);
	if (ret < 0)
		sk_virtio_fail(vsock->virtio, VSOCK_EVENT);
	if (ret <= 0)
		return;
	sk_store_le32(id, VIRTIO_VSOCK_EVENT_TRANSPORT_RESET);
	sk_vring_push(ring, &chain,
		      (uint32_t)sk_vring_copy_to(chain.iov + chain.nr_readable, chain.nr_writable,
						 0, id, sizeof(id)));
	vsock->is_event_due = false;
	sk_virtio_flush(vsock->virtio, VSOCK_EVENT);
}
