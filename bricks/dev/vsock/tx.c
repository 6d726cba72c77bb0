/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Packets from the guest (virtio 1.2, 5.10.6.4 to 5.10.6.6). */
#include "vsock_internal.h"

/* The answer to a packet that belongs to nothing. */
static void answer_reset(struct sk_vsock *vsock, const struct vsock_packet *p)
{
	unsigned at = (vsock->first_reset + vsock->nr_resets) % VSOCK_MAX_RESETS;

	BUG_ON(vsock->nr_resets == VSOCK_MAX_RESETS);
	vsock->nr_resets++;
	vsock->resets[at] = (struct vsock_packet){
		.src_cid = SK_VSOCK_HOST_CID,
		.dst_cid = vsock->config.cid,
		.src_port = p->dst_port,
		.dst_port = p->src_port,
		.type = p->type,
		.op = VIRTIO_VSOCK_OP_RST,
	};
}

static void handle_request(struct sk_vsock *vsock, const struct vsock_packet *p)
{
	int fd = host_connect(vsock, p->dst_port);
	struct conn *c = fd < 0 ? NULL : conn_new(vsock, fd);

	if (!c) {
		vsock_count(&vsock->counters.refused, 1);
		answer_reset(vsock, p);
		return;
	}
	c->state = CONN_ESTABLISHED;
	conn_insert(c, p->src_port, p->dst_port);
	c->peer_buf_alloc = p->buf_alloc;
	c->peer_fwd_cnt = p->fwd_cnt;
	c->is_response_due = true;
	vsock_count(&vsock->counters.opened, 1);
	conn_make_ready(c);
	conn_listen(c);
}

/* A packet of a connection whose guest may speak. False: it is against the rules. */
static bool handle_established(struct conn *c, const struct vsock_packet *p, struct iovec *iov,
			       unsigned nr_iov)
{
	switch (p->op) {
	case VIRTIO_VSOCK_OP_RW:
		vsock_count(&c->vsock->counters.tx_bytes, p->len_bytes);
		return !p->len_bytes || conn_take(c, iov, nr_iov, p->len_bytes);
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		conn_guest_shutdown(c, p->flags);
		return true;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		return true;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		c->is_credit_due = true;
		conn_make_ready(c);
		return true;
	default:
		return false;
	}
}

static void handle_conn(struct conn *c, const struct vsock_packet *p, struct iovec *iov,
			unsigned nr_iov)
{
	bool is_good;

	if (p->op == VIRTIO_VSOCK_OP_RST) {
		if (c->state == CONN_REQUESTED)
			vsock_count(&c->vsock->counters.refused, 1);
		conn_close(c);
		return;
	}
	/* Whatever it says now is too late. */
	if (c->is_reset_due)
		return;
	c->peer_buf_alloc = p->buf_alloc;
	c->peer_fwd_cnt = p->fwd_cnt;
	if (c->state == CONN_ESTABLISHED) {
		is_good = handle_established(c, p, iov, nr_iov);
	} else {
		is_good = p->op == VIRTIO_VSOCK_OP_RESPONSE;
		if (is_good)
			host_accepted(c);
	}
	if (!is_good) {
		vsock_count(&c->vsock->counters.bad_packets, 1);
		conn_reset(c);
	} else if (c->is_readable && conn_credit(c)) {
		conn_make_ready(c);
	}
}

static void handle_packet(struct sk_vsock *vsock, const struct sk_vring_chain *chain)
{
	uint8_t bytes[VSOCK_HDR_BYTES] = {0};
	struct iovec iov[VSOCK_MAX_IOV];
	struct vsock_packet p;
	struct conn *c;

	(void)sk_vring_copy_from(chain->iov, chain->nr_readable, 0, bytes, sizeof(bytes));
	if (!vsock_packet_get(&p, bytes, chain->readable_bytes, vsock->config.cid)) {
		vsock_count(&vsock->counters.bad_packets, 1);
		return;
	}
	vsock_count(&vsock->counters.tx_packets, 1);
	c = p.type == VIRTIO_VSOCK_TYPE_STREAM ? conn_find(vsock, p.src_port, p.dst_port) : NULL;
	if (c)
		handle_conn(c, &p, iov,
			    vsock_packet_payload(chain->iov, chain->nr_readable, p.len_bytes, iov));
	else if (p.type == VIRTIO_VSOCK_TYPE_STREAM && p.op == VIRTIO_VSOCK_OP_REQUEST)
		handle_request(vsock, &p);
	else if (p.op != VIRTIO_VSOCK_OP_RST)
		answer_reset(vsock, &p);
}

void vsock_tx_run(struct sk_vsock *vsock)
{
	struct sk_vring *ring = vsock->is_running ? sk_virtio_ring(vsock->virtio, VSOCK_TX) : NULL;
	struct iovec iov[VSOCK_MAX_IOV];
	struct sk_vring_chain chain;
	unsigned budget = VSOCK_BUDGET;
	int ret = 1;

	if (!ring)
		return;
	sk_vring_disable_doorbell(ring);
	vsock->is_tx_waiting = false;
	while (budget && ret > 0) {
		/* Every packet may need an answer. */
		if (vsock->nr_resets == VSOCK_MAX_RESETS) {
			vsock->is_tx_waiting = true;
			break;
		}
		ret = sk_vring_pop(ring, &chain, iov, VSOCK_MAX_IOV);
		if (ret > 0) {
			handle_packet(vsock, &chain);
			sk_vring_push(ring, &chain, 0);
			budget--;
		} else if (!ret && sk_vring_enable_doorbell(ring)) {
			ret = 1;
		}
	}
	sk_virtio_flush(vsock->virtio, VSOCK_TX);
	if (ret < 0)
		sk_virtio_fail(vsock->virtio, VSOCK_TX);
	else if (!budget)
		sk_virtio_ring_doorbell(vsock->virtio, VSOCK_TX);
}
