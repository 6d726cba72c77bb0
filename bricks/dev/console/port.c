/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The bytes of a port. Neither direction touches guest memory outside of its kick. */
#include "console_internal.h"

/* ---- Host to guest ---- */

static void read_done(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	struct port *port = SK_CONTAINER_OF(op, struct port, in_op);

	(void)loop;
	if (result <= 0) {
		/* The end of the input is not the end of the guest. */
		if (result != -ECANCELED)
			port->in_fd = -1;
		return;
	}
	port->in_pos = 0;
	port->in_len = (uint32_t)result;
	port_receive(port);
}

static bool takes_input(const struct port *port)
{
	return port->console->is_running && (!console_is_multiport(port->console) || port->is_open);
}

void port_receive(struct port *port)
{
	struct sk_console *c = port->console;
	uint32_t queue = QUEUE_IN(port->index), budget = CHAINS_PER_KICK;
	struct sk_vring *ring = c->is_running ? sk_virtio_ring(c->virtio, queue) : NULL;
	struct sk_vring_chain chain;
	int ret = 0;

	while (ring && takes_input(port) && port->in_len && budget) {
		uint32_t n;

		ret = sk_vring_pop(ring, &chain, c->iov, MAX_IOV);
		if (ret <= 0)
			break;
		n = (uint32_t)sk_vring_copy_to(chain.iov + chain.nr_readable, chain.nr_writable, 0,
					       port->in + port->in_pos, port->in_len);
		sk_vring_push(ring, &chain, n);
		budget--;
		port->in_pos += n;
		port->in_len -= n;
		console_count(&c->in_bytes, n);
	}
	if (ret < 0)
		sk_virtio_fail(c->virtio, queue);
	if (ring)
		sk_virtio_flush(c->virtio, queue);
	if (!budget)
		sk_virtio_ring_doorbell(c->virtio, queue);
	port_pump(port);
}

/* ---- Guest to host ---- */

static void drop_output(struct port *port, int ret)
{
	struct sk_console *c = port->console;

	sk_logf(c->log, SK_LOG_WARN, "console: port %u cannot be written: %s; its output is lost",
		port->index, strerror(-ret));
	console_count(&c->lost_bytes, port->out_len);
	port->out_len = 0;
	port->out_fd = -1;
}

static void write_done(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	struct port *port = SK_CONTAINER_OF(op, struct port, out_op);

	(void)loop;
	if (result > 0) {
		port->out_pos = (port->out_pos + (uint32_t)result) % SK_CONSOLE_OUT_BYTES;
		port->out_len -= (uint32_t)result;
	} else if (result == -ECANCELED) {
		return;
	} else {
		drop_output(port, result ? result : -EIO);
	}
	port_transmit(port);
}

/* Copies into the ring what fits; returns how much. */
static uint32_t queue_output(struct port *port, const struct sk_vring_chain *chain)
{
	uint32_t total = 0;

	while (port->out_len < SK_CONSOLE_OUT_BYTES) {
		uint32_t at = (port->out_pos + port->out_len) % SK_CONSOLE_OUT_BYTES;
		uint32_t room =
			SK_MIN(SK_CONSOLE_OUT_BYTES - port->out_len, SK_CONSOLE_OUT_BYTES - at);
		uint32_t n = (uint32_t)sk_vring_copy_from(chain->iov, chain->nr_readable,
							  port->skip_bytes + total, port->out + at,
							  room);

		if (!n)
			break;
		port->out_len += n;
		total += n;
	}
	return total;
}

/* Takes a chain, or as much of it as there is room for. False: it has to wait. */
static bool take_chain(struct port *port, struct sk_vring *ring, const struct sk_vring_chain *chain)
{
	struct sk_console *c = port->console;
	uint64_t left;
	uint32_t n;

	if (port->skip_bytes > chain->readable_bytes)
		port->skip_bytes = chain->readable_bytes; /* the guest has changed its mind */
	left = chain->readable_bytes - port->skip_bytes;
	if (port->out_fd < 0) {
		console_count(&c->out_bytes, left);
		console_count(&c->lost_bytes, left);
	} else {
		n = queue_output(port, chain);
		console_count(&c->out_bytes, n);
		if (n < left) {
			/* Given back; the next look at it begins behind what was taken. */
			port->skip_bytes += n;
			sk_vring_unpop(ring, chain);
			return false;
		}
	}
	port->skip_bytes = 0;
	sk_vring_push(ring, chain, 0);
	return true;
}

void port_transmit(struct port *port)
{
	struct sk_console *c = port->console;
	uint32_t queue = QUEUE_OUT(port->index), budget = CHAINS_PER_KICK;
	struct sk_vring *ring = c->is_running ? sk_virtio_ring(c->virtio, queue) : NULL;
	struct sk_vring_chain chain;
	int ret = 0;

	while (ring && budget && (port->out_fd < 0 || port->out_len < SK_CONSOLE_OUT_BYTES)) {
		ret = sk_vring_pop(ring, &chain, c->iov, MAX_IOV);
		if (ret <= 0 || !take_chain(port, ring, &chain))
			break;
		budget--;
	}
	if (ret < 0)
		sk_virtio_fail(c->virtio, queue);
	if (ring)
		sk_virtio_flush(c->virtio, queue);
	if (!budget)
		sk_virtio_ring_doorbell(c->virtio, queue);
	port_pump(port);
}

void port_put(struct port *port, uint8_t byte)
{
	console_count(&port->console->out_bytes, 1);
	if (port->out_fd < 0 || port->out_len == SK_CONSOLE_OUT_BYTES) {
		console_count(&port->console->lost_bytes, 1);
		return;
	}
	port->out[(port->out_pos + port->out_len++) % SK_CONSOLE_OUT_BYTES] = byte;
	port_pump(port);
}

void port_pump(struct port *port)
{
	struct sk_console *c = port->console;
	uint32_t n = SK_MIN(port->out_len, SK_CONSOLE_OUT_BYTES - port->out_pos);

	if (n && port->out_fd >= 0 && !sk_loop_op_is_busy(&port->out_op)) {
		port->out_op = (struct sk_loop_op){.done = write_done, .fd = port->out_fd};
		sk_loop_write(c->loop, &port->out_op, port->out + port->out_pos, n, SK_LOOP_STREAM);
	}
	if (c->is_running && !c->is_ending && port->in_fd >= 0 && !port->in_len &&
	    !sk_loop_op_is_busy(&port->in_op)) {
		port->in_op = (struct sk_loop_op){.done = read_done, .fd = port->in_fd};
		sk_loop_read(c->loop, &port->in_op, port->in, sizeof(port->in), SK_LOOP_STREAM);
	}
}
