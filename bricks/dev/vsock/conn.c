/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* A connection: a descriptor of the host, what the guest has sent and nobody read, and its end. */
#include "vsock_internal.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static struct conn **bucket(struct sk_vsock *vsock, uint32_t guest_port, uint32_t host_port)
{
	return &vsock->buckets[(guest_port * 31 + host_port) % VSOCK_BUCKETS];
}

struct conn *conn_find(struct sk_vsock *vsock, uint32_t guest_port, uint32_t host_port)
{
	struct conn *c = *bucket(vsock, guest_port, host_port);

	while (c && (c->guest_port != guest_port || c->host_port != host_port))
		c = c->next_hash;
	return c;
}

void conn_insert(struct conn *c, uint32_t guest_port, uint32_t host_port)
{
	struct conn **head = bucket(c->vsock, guest_port, host_port);

	c->guest_port = guest_port;
	c->host_port = host_port;
	c->next_hash = *head;
	*head = c;
}

static void remove_hash(struct conn *c)
{
	struct conn **at = bucket(c->vsock, c->guest_port, c->host_port);

	while (*at && *at != c)
		at = &(*at)->next_hash;
	if (*at)
		*at = c->next_hash;
}

void conn_make_ready(struct conn *c)
{
	struct sk_vsock *v = c->vsock;

	if (c->is_ready || c->state == CONN_CLOSED || c->state == CONN_GREETING)
		return;
	c->is_ready = true;
	c->next_ready = NULL;
	c->prev_ready = v->last_ready;
	*(v->last_ready ? &v->last_ready->next_ready : &v->first_ready) = c;
	v->last_ready = c;
}

void conn_remove_ready(struct conn *c)
{
	struct sk_vsock *v = c->vsock;

	if (!c->is_ready)
		return;
	*(c->prev_ready ? &c->prev_ready->next_ready : &v->first_ready) = c->next_ready;
	*(c->next_ready ? &c->next_ready->prev_ready : &v->last_ready) = c->prev_ready;
	c->is_ready = false;
	c->prev_ready = c->next_ready = NULL;
}

/* Frees what is closed and used by nobody. */
static void release(struct conn *c)
{
	struct sk_vsock *v = c->vsock;

	if (c->state != CONN_CLOSED || sk_loop_op_is_busy(&c->in_op) ||
	    sk_loop_op_is_busy(&c->out_op))
		return;
	sk_close(&c->fd);
	*(c->prev_all ? &c->prev_all->next_all : &v->all) = c->next_all;
	if (c->next_all)
		c->next_all->prev_all = c->prev_all;
	atomic_fetch_sub_explicit(&v->counters.connections, 1, memory_order_relaxed);
	free(c->out);
	free(c);
	/* There is room again for one that had to wait. */
	if (v->is_running)
		host_start(v);
}

void conn_close(struct conn *c)
{
	if (c->state == CONN_CLOSED)
		return;
	conn_remove_ready(c);
	if (c->state != CONN_GREETING)
		remove_hash(c);
	c->state = CONN_CLOSED;
	sk_loop_timer_clear(c->vsock->config.loop, &c->timer);
	sk_loop_cancel(c->vsock->config.loop, &c->in_op);
	sk_loop_cancel(c->vsock->config.loop, &c->out_op);
	/* The peer sees the end now, even if an operation keeps the descriptor a while. */
	(void)shutdown(c->fd, SHUT_RDWR);
	release(c);
}

void conn_reset(struct conn *c)
{
	if (c->state == CONN_GREETING) {
		conn_close(c);
		return;
	}
	c->is_reset_due = true;
	conn_make_ready(c);
}

static void on_late(struct sk_loop *loop, struct sk_loop_timer *timer)
{
	struct conn *c = SK_CONTAINER_OF(timer, struct conn, timer);
	struct sk_vsock *v = c->vsock;

	(void)loop;
	vsock_count(&v->counters.timeouts, 1);
	conn_reset(c);
	vsock_rx_run(v);
}

void conn_set_patience(struct conn *c)
{
	struct sk_loop *loop = c->vsock->config.loop;

	sk_loop_timer_set(loop, &c->timer, sk_loop_now_ns(loop) + VSOCK_PATIENCE_NS);
}

uint32_t conn_credit(const struct conn *c)
{
	uint32_t in_flight = c->sent_cnt - c->peer_fwd_cnt;

	/* A guest that takes credit back, or says that it took more than it got, has none. */
	return in_flight < c->peer_buf_alloc ? c->peer_buf_alloc - in_flight : 0;
}

static void on_in(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	struct conn *c = SK_CONTAINER_OF(op, struct conn, in_op);
	struct sk_vsock *v = c->vsock;

	(void)loop;
	if (c->state == CONN_CLOSED) {
		release(c);
		return;
	}
	if (result < 0)
		return;
	if (c->state == CONN_GREETING) {
		host_greet(c);
	} else {
		c->is_readable = true;
		conn_make_ready(c);
	}
	vsock_rx_run(v);
}

void conn_listen(struct conn *c)
{
	if (c->state != CONN_CLOSED && !sk_loop_op_is_busy(&c->in_op))
		sk_loop_poll(c->vsock->config.loop, &c->in_op, POLLIN);
}

/* Both directions are at their end, and nothing is left: the guest waits for a reset. */
static void finish_if_done(struct conn *c)
{
	const uint32_t both = VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND;

	if (c->guest_shutdown == both && !c->out_bytes)
		conn_reset(c);
}

/* The host took @len_bytes: credit for the guest, told when a quarter has come together. */
static void forwarded(struct conn *c, uint32_t len_bytes)
{
	c->fwd_cnt += len_bytes;
	if (c->fwd_cnt - c->told_fwd_cnt >= SK_VSOCK_BUFFER_BYTES / 4) {
		c->is_credit_due = true;
		conn_make_ready(c);
	}
}

/* Sends what waits; false: the host's end is broken. */
static bool drain(struct conn *c)
{
	while (c->out_bytes) {
		uint32_t part = SK_MIN(c->out_bytes, SK_VSOCK_BUFFER_BYTES - c->out_first);
		ssize_t n = send(c->fd, c->out + c->out_first, part, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return false;
		c->out_first = (c->out_first + (uint32_t)n) % SK_VSOCK_BUFFER_BYTES;
		c->out_bytes -= (uint32_t)n;
		forwarded(c, (uint32_t)n);
	}
	if (!c->out_bytes) {
		free(c->out);
		c->out = NULL;
		c->out_first = 0;
		if (c->guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_SEND)
			(void)shutdown(c->fd, SHUT_WR);
		finish_if_done(c);
	}
	return true;
}

static void wait_for_room(struct conn *c)
{
	if (c->out_bytes && !sk_loop_op_is_busy(&c->out_op))
		sk_loop_poll(c->vsock->config.loop, &c->out_op, POLLOUT);
}

static void on_out(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	struct conn *c = SK_CONTAINER_OF(op, struct conn, out_op);
	struct sk_vsock *v = c->vsock;

	(void)loop;
	if (c->state == CONN_CLOSED) {
		release(c);
		return;
	}
	if (result < 0)
		return;
	if (drain(c))
		wait_for_room(c);
	else
		conn_reset(c);
	vsock_rx_run(v);
}

/* Keeps the bytes of @iov from @skip_bytes on. False: no memory. */
static bool keep(struct conn *c, const struct iovec *iov, unsigned nr_iov, uint32_t skip_bytes,
		 uint32_t len_bytes)
{
	uint32_t at = (c->out_first + c->out_bytes) % SK_VSOCK_BUFFER_BYTES;
	uint32_t first = SK_MIN(len_bytes, SK_VSOCK_BUFFER_BYTES - at);

	if (!c->out)
		c->out = malloc(SK_VSOCK_BUFFER_BYTES);
	if (!c->out)
		return false;
	(void)sk_vring_copy_from(iov, nr_iov, skip_bytes, c->out + at, first);
	(void)sk_vring_copy_from(iov, nr_iov, skip_bytes + first, c->out, len_bytes - first);
	c->out_bytes += len_bytes;
	wait_for_room(c);
	return true;
}

bool conn_take(struct conn *c, struct iovec *iov, unsigned nr_iov, uint32_t len_bytes)
{
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = nr_iov};
	uint32_t done = 0;

	if (len_bytes > SK_VSOCK_BUFFER_BYTES - c->out_bytes ||
	    (c->guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_SEND))
		return false;
	if (!c->out_bytes) {
		ssize_t n = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN) {
			conn_reset(c);
			return true;
		}
		done = n > 0 ? (uint32_t)n : 0;
		forwarded(c, done);
	}
	if (done < len_bytes && !keep(c, iov, nr_iov, done, len_bytes - done))
		conn_reset(c);
	return true;
}

void conn_guest_shutdown(struct conn *c, uint32_t flags)
{
	c->guest_shutdown |= flags & (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND);
	if (c->guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_RCV)
		(void)shutdown(c->fd, SHUT_RD);
	if ((c->guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_SEND) && !c->out_bytes)
		(void)shutdown(c->fd, SHUT_WR);
	finish_if_done(c);
}

void conn_host_end(struct conn *c)
{
	struct pollfd p = {.fd = c->fd};
	uint32_t flags = VIRTIO_VSOCK_SHUTDOWN_SEND;

	/* A Unix socket hangs up when its peer is gone, or at the end both ways. */
	if (poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR)))
		flags |= VIRTIO_VSOCK_SHUTDOWN_RCV;
	if (flags == (c->shutdown_sent & flags))
		return;
	c->shutdown_due |= flags & ~c->shutdown_sent;
	if (flags & VIRTIO_VSOCK_SHUTDOWN_RCV)
		conn_set_patience(c);
	conn_make_ready(c);
}

struct conn *conn_new(struct sk_vsock *vsock, int fd)
{
	struct conn *c = NULL;

	if (atomic_load_explicit(&vsock->counters.connections, memory_order_relaxed) <
	    SK_VSOCK_MAX_CONNECTIONS)
		c = calloc(1, sizeof(*c));
	if (!c) {
		sk_close(&fd);
		return NULL;
	}
	c->vsock = vsock;
	c->fd = fd;
	c->in_op = (struct sk_loop_op){.done = on_in, .fd = fd};
	c->out_op = (struct sk_loop_op){.done = on_out, .fd = fd};
	c->timer.fire = on_late;
	c->next_all = vsock->all;
	if (vsock->all)
		vsock->all->prev_all = c;
	vsock->all = c;
	atomic_fetch_add_explicit(&vsock->counters.connections, 1, memory_order_relaxed);
	return c;
}
