/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * What the files of this brick share.
 *
 *   console.c   the device: create, start, kick, state
 *   port.c      the bytes of a port, both ways
 *   control.c   control messages (virtio 1.2, 5.3.6.2)
 */
#ifndef SKETE_CONSOLE_INTERNAL_H
#define SKETE_CONSOLE_INTERNAL_H

#include <linux/virtio_console.h>
#include <stdatomic.h>

#include <skete/dev/console.h>

/* 5.3.2: ports 1 and up come behind the control queues. */
#define QUEUE_IN(port)	  ((port) ? 2 * (port) + 2 : 0)
#define QUEUE_OUT(port)	  (QUEUE_IN(port) + 1)
#define QUEUE_CONTROL_IN  2
#define QUEUE_CONTROL_OUT 3

#define CHAINS_PER_KICK	  64
#define MAX_IOV		  SK_VRING_MAX_IOV

/* Control messages that wait for a buffer, in the order in which they are sent. */
enum pending {
	PENDING_ADD = 0x01,
	PENDING_CONSOLE = 0x02,
	PENDING_NAME = 0x04,
	PENDING_RESIZE = 0x08,
	PENDING_OPEN = 0x10,
	PENDING_ALL = 0x1f,
};

struct port {
	struct sk_console *console;
	uint32_t index;
	char name[SK_CONSOLE_NAME_MAX];
	bool is_console;
	int in_fd, out_fd; /* -1 once they have ended */

	/* what the driver said; forgotten at a reset */
	bool is_open; /* the guest takes input */
	uint8_t pending;
	uint64_t skip_bytes; /* of the next chain of its output: taken before */

	struct sk_loop_op in_op, out_op;
	uint8_t in[SK_CONSOLE_IN_BYTES];
	uint32_t in_pos, in_len;
	uint8_t out[SK_CONSOLE_OUT_BYTES]; /* a ring */
	uint32_t out_pos, out_len;
};

struct sk_console {
	struct sk_virtio *virtio;
	struct sk_loop *loop;
	const struct sk_log *log;
	bool is_running;
	bool is_ending;
	_Atomic uint32_t size; /* columns, and rows above them */
	struct sk_loop_post resize;
	atomic_bool is_resize_posted;
	struct iovec iov[MAX_IOV]; /* of the chain in hand */

	_Atomic uint64_t in_bytes, out_bytes, lost_bytes; /* one writer: relaxed */

	uint32_t nr_ports;
	struct port ports[];
};

static inline void console_count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static inline bool console_is_multiport(const struct sk_console *c)
{
	return sk_virtio_has(c->virtio, VIRTIO_CONSOLE_F_MULTIPORT);
}

/* port.c: what there is to do in one direction, as far as it goes now. */
void port_receive(struct port *port);  /* host to guest */
void port_transmit(struct port *port); /* guest to host */
/* Queues one byte; thrown away if there is no room. */
void port_put(struct port *port, uint8_t byte);
/* Reads ahead and writes what is queued, whether or not the guest runs. */
void port_pump(struct port *port);

/* control.c */
void control_receive(struct sk_console *console);  /* sends what is pending */
void control_transmit(struct sk_console *console); /* takes what the driver says */

#endif
