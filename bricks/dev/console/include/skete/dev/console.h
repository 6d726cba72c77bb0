/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The console device (virtio 1.2, 5.3): ports that carry bytes between the guest and descriptors of
 * the host, with resize (F_SIZE), emergency write (F_EMERG_WRITE) and, if there is more than one
 * port or one with a name, F_MULTIPORT.
 *
 *   transmitq -> 64 KiB of output -> out_fd        in_fd -> 4 KiB of input -> receiveq
 *
 * What the guest sends is taken at once as long as there is room, and written when the descriptor
 * is ready for it: a guest whose output nobody reads waits when 64 KiB are queued, and nothing is
 * lost. Only when writing fails (nobody can read it any more, a disk is full) is the rest thrown
 * away, and counted. The descriptors outlive a reset of the device, and what is queued, too.
 *
 * Threading class: owner-thread only (the loop's), but for resize and get_stats.
 */
#ifndef SKETE_DEV_CONSOLE_H
#define SKETE_DEV_CONSOLE_H

#include <skete/base.h>
#include <skete/virtio.h>

#define SK_CONSOLE_MAX_PORTS 16
#define SK_CONSOLE_NAME_MAX  64 /* longer names are refused */
#define SK_CONSOLE_OUT_BYTES 65536
#define SK_CONSOLE_IN_BYTES  4096

struct sk_console;

/* A port: any kind of descriptor, borrowed until destroy; -1: no input, or output to nowhere. */
struct sk_console_port {
	const char *name; /* NULL, or how the guest calls it; copied */
	bool is_console;  /* a terminal (hvc0), else a plain port (vport0p1) */
	int in_fd, out_fd;
};

struct sk_console_config {
	struct sk_gmem *gm;   /* borrowed until destroy */
	struct sk_loop *loop; /* likewise */
	const struct sk_console_port *ports;
	uint32_t nr_ports;	  /* 1 to SK_CONSOLE_MAX_PORTS */
	uint16_t columns, rows;	  /* of the terminal; 0: unknown */
	const struct sk_log *log; /* NULL or borrowed until destroy */
};

struct sk_console_stats {
	uint64_t in_bytes;   /* given to the guest */
	uint64_t out_bytes;  /* taken from it */
	uint64_t lost_bytes; /* of these, thrown away because they could not be written */
};

/*
 * Errors: -EINVAL (no port, too many, a name too long), -ENOMEM, -EMFILE. destroy waits up to a
 * second for output that is still queued; otherwise as sk_virtio_destroy(); NULL is fine.
 */
int sk_console_create(struct sk_console **out, const struct sk_console_config *config,
		      struct sk_error *err) SK_MUST_CHECK;
void sk_console_destroy(struct sk_console *console);

/* The device for a transport, for pause and for save; it belongs to @console. */
struct sk_virtio *sk_console_virtio(const struct sk_console *console);

/* The terminal has another size now. Any thread. */
void sk_console_resize(struct sk_console *console, uint16_t columns, uint16_t rows);

/* Any thread. */
void sk_console_get_stats(const struct sk_console *console, struct sk_console_stats *stats);

#endif
