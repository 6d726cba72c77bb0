/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Control messages: virtio 1.2, 5.3.6.2. What is to be said about a port is a set of bits, not a
 * queue: a driver that gives no buffers cannot make it grow.
 */
#include "console_internal.h"

#define HEADER_BYTES 8 /* id, event, value */

static size_t put_header(uint8_t *buf, uint32_t id, uint16_t event, uint16_t value)
{
	sk_store_le32(buf, id);
	sk_store_le16(buf + 4, event);
	sk_store_le16(buf + 6, value);
	return HEADER_BYTES;
}

/* The first message that is pending for @port: its bit, and in @buf its bytes. */
static uint8_t next_message(struct port *port, uint8_t *buf, size_t *len)
{
	uint8_t bit = port->pending & -port->pending;
	uint32_t size;

	switch (bit) {
	case PENDING_ADD:
		*len = put_header(buf, port->index, VIRTIO_CONSOLE_PORT_ADD, 1);
		break;
	case PENDING_CONSOLE:
		*len = put_header(buf, port->index, VIRTIO_CONSOLE_CONSOLE_PORT, 1);
		break;
	case PENDING_NAME:
		*len = put_header(buf, port->index, VIRTIO_CONSOLE_PORT_NAME, 1);
		/* Without its NUL, as it says. */
		memcpy(buf + *len, port->name, strlen(port->name));
		*len += strlen(port->name);
		break;
	case PENDING_RESIZE:
		size = atomic_load_explicit(&port->console->size, memory_order_relaxed);
		*len = put_header(buf, port->index, VIRTIO_CONSOLE_RESIZE, 1);
		sk_store_le32(buf + *len, size); /* columns, rows */
		*len += sizeof(size);
		break;
	default:
		*len = put_header(buf, port->index, VIRTIO_CONSOLE_PORT_OPEN, 1);
		break;
	}
	return bit;
}

static struct port *next_port(struct sk_console *c)
{
	for (uint32_t i = 0; i < c->nr_ports; i++)
		if (c->ports[i].pending)
			return &c->ports[i];
	return NULL;
}

void control_receive(struct sk_console *c)
{
	uint8_t buf[HEADER_BYTES + SK_CONSOLE_NAME_MAX];
	struct sk_vring *ring = sk_virtio_ring(c->virtio, QUEUE_CONTROL_IN);
	struct sk_vring_chain chain;
	struct port *port;
	int ret = 0;

	if (!ring || !c->is_running || !console_is_multiport(c))
		return;
	while ((port = next_port(c)) && (ret = sk_vring_pop(ring, &chain, c->iov, MAX_IOV)) == 1) {
		size_t len;
		uint8_t bit = next_message(port, buf, &len);

		port->pending &= (uint8_t)~bit;
		len = sk_vring_copy_to(chain.iov + chain.nr_readable, chain.nr_writable, 0, buf,
				       len);
		sk_vring_push(ring, &chain, (uint32_t)len);
	}
	if (ret < 0)
		sk_virtio_fail(c->virtio, QUEUE_CONTROL_IN);
	sk_virtio_flush(c->virtio, QUEUE_CONTROL_IN);
}

static void handle_ready(struct port *port)
{
	if (port->is_console)
		port->pending |= PENDING_CONSOLE | PENDING_RESIZE;
	if (port->name[0])
		port->pending |= PENDING_NAME;
	port->pending |= PENDING_OPEN;
}

static void handle_message(struct sk_console *c, const uint8_t *buf)
{
	uint32_t id = sk_load_le32(buf);
	uint16_t event = sk_load_le16(buf + 4), value = sk_load_le16(buf + 6);

	/* A message that makes no sense is for nobody: the driver is told by nothing happening. */
	if (event == VIRTIO_CONSOLE_DEVICE_READY && value) {
		for (uint32_t i = 0; i < c->nr_ports; i++)
			c->ports[i].pending |= PENDING_ADD;
		return;
	}
	if (id >= c->nr_ports)
		return;
	if (event == VIRTIO_CONSOLE_PORT_READY && value) {
		handle_ready(&c->ports[id]);
	} else if (event == VIRTIO_CONSOLE_PORT_OPEN) {
		c->ports[id].is_open = value;
		port_receive(&c->ports[id]);
	}
}

void control_transmit(struct sk_console *c)
{
	struct sk_vring *ring = sk_virtio_ring(c->virtio, QUEUE_CONTROL_OUT);
	uint32_t budget = CHAINS_PER_KICK;
	struct sk_vring_chain chain;
	int ret = 0;

	if (!console_is_multiport(c))
		return;
	while (budget && (ret = sk_vring_pop(ring, &chain, c->iov, MAX_IOV)) == 1) {
		uint8_t buf[HEADER_BYTES];
		bool is_whole = sk_vring_copy_from(chain.iov, chain.nr_readable, 0, buf,
						   HEADER_BYTES) == HEADER_BYTES;

		sk_vring_push(ring, &chain, 0);
		budget--;
		if (is_whole)
			handle_message(c, buf);
	}
	if (ret < 0)
		sk_virtio_fail(c->virtio, QUEUE_CONTROL_OUT);
	if (!budget)
		sk_virtio_ring_doorbell(c->virtio, QUEUE_CONTROL_OUT);
	sk_virtio_flush(c->virtio, QUEUE_CONTROL_OUT);
	control_receive(c);
}
