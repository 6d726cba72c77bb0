/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * A 16550A UART (National Semiconductor PC16550D data sheet) with both ends: eight registers for
 * the guest, two byte queues for the host. It knows nothing of terminals or files.
 *
 *   guest THR ---> transmit ring ---> sk_serial_tx_take()     tx_ready(): it was empty
 *   guest RBR <--- 16-byte FIFO <--- receive ring <--- sk_serial_rx_put()   rx_room(): it was full
 *
 * A character takes no time: what the guest sends is in the ring at once, and a receive FIFO below
 * its trigger level reports the character time-out at once. When the transmit ring has no room for
 * a whole FIFO (16 bytes), LSR.THRE and LSR.TEMT stay clear until the host takes bytes; a driver
 * that respects them loses nothing, what another writes beyond the ring is dropped and counted. The
 * THRE interrupt paces the guest: it comes when the host takes what was sent, so that a driver
 * leaves its interrupt handler. To a host that was slow to come the guest may then send more, as
 * much as at a megabaud would have left meanwhile. The interrupt is edge-triggered (ISA) and, as in
 * QEMU, not gated by OUT2.
 *
 * Threading class: internally locked; the register ops come from any vCPU thread, the host side
 * from any thread. One mutex guards everything: it is held for a few dozen instructions or one
 * copy of bytes, never across a callback or a system call, and a port-I/O exit costs a hundred
 * times more than taking it, so no vCPU waits for a slow host.
 */
#ifndef SKETE_DEV_SERIAL_H
#define SKETE_DEV_SERIAL_H

#include <skete/base.h>
#include <skete/bus.h>

#define SK_SERIAL_PORTS		8
#define SK_SERIAL_FIFO_BYTES	16
#define SK_SERIAL_TX_RING_BYTES (64 * 1024) /* the default */
#define SK_SERIAL_RX_RING_BYTES (4 * 1024)  /* the default */
#define SK_SERIAL_RING_MAX	(16 * 1024 * 1024)

/* Modem lines as in the upper half of MSR. */
#define SK_SERIAL_CTS		0x10
#define SK_SERIAL_DSR		0x20
#define SK_SERIAL_RI		0x40
#define SK_SERIAL_DCD		0x80

struct sk_serial;

/*
 * The callbacks run on the thread whose call caused them (a vCPU's for tx_ready and rx_room),
 * without the lock, and must not block: an eventfd to signal, usually. They may call the host
 * side. Either may be NULL.
 */
struct sk_serial_config {
	int irq_fd;	       /* eventfd signalled per rising edge, borrowed; -1: no interrupt */
	size_t tx_ring_bytes;  /* 0: the default; else 16 to SK_SERIAL_RING_MAX */
	size_t rx_ring_bytes;  /* likewise */
	bool rx_waits_for_rts; /*
				* Input stays in the receive ring while the guest's RTS is off, as
				* with a cable that has hardware flow control. So what was typed or
				* piped in before the driver opened the port is not lost when the
				* driver resets the FIFO. A guest that never sets RTS gets no input.
				*/
	/* CLOCK_MONOTONIC, called with the lock held; NULL: sk_now_ns(). */
	uint64_t (*now_ns)(void *ctx);
	void (*tx_ready)(void *ctx); /* the transmit ring was empty and is not any more */
	void (*rx_room)(void *ctx);  /* rx_put accepted less than asked; now half is free */
	void *ctx;
};

struct sk_serial_counters {
	uint64_t tx_bytes;	   /* from the guest into the ring */
	uint64_t tx_dropped_bytes; /* written by the guest although THRE was clear, no room */
	uint64_t rx_bytes;	   /* from the host into the ring */
	uint64_t rx_overrun_bytes; /* lost by the guest's own loopback */
	uint64_t irq_edges;
};

/* Errors of create: -EINVAL (ring size), -ENOMEM. */
int sk_serial_create(struct sk_serial **out, const struct sk_serial_config *config,
		     struct sk_error *err) SK_MUST_CHECK;
/* No other call may be running; the device is off the bus. */
void sk_serial_destroy(struct sk_serial *serial);

/*
 * The registers, SK_SERIAL_PORTS ports; @dev is the struct sk_serial. An access wider than a byte
 * is as many byte accesses at consecutive ports, as on the ISA bus.
 */
extern const struct sk_bus_ops sk_serial_ops;

/*
 * Moves up to @len_bytes of what the guest sent to @buf and returns how many; 0: the ring is empty
 * and tx_ready will be called for the next byte. Taking bytes may raise the guest's interrupt.
 */
size_t sk_serial_tx_take(struct sk_serial *serial, void *buf, size_t len_bytes);

/*
 * Queues up to @len_bytes for the guest and returns how many were accepted; if fewer, rx_room will
 * be called once, when half of the receive ring is free again.
 */
size_t sk_serial_rx_put(struct sk_serial *serial, const void *buf, size_t len_bytes);

/*
 * The guest's end by whole buffers, for another device that shares this console: put sends
 * @len_bytes as if the guest had written them to THR, all or, for want of room, none (only what is
 * larger than the ring goes in pieces); take gives up to @len_bytes of what waits to be read from
 * RBR, whether RTS is on or not; both return how many. put leaves what THRE promises: room for a
 * whole FIFO. Breaks are passed over.
 */
size_t sk_serial_guest_put(struct sk_serial *serial, const void *buf, size_t len_bytes);
size_t sk_serial_guest_take(struct sk_serial *serial, void *buf, size_t len_bytes);

/* Queues a break condition (Linux: SysRq). -EAGAIN: no room, as for rx_put. */
int sk_serial_rx_break(struct sk_serial *serial) SK_MUST_CHECK;

/*
 * Sets the modem lines that the guest sees (SK_SERIAL_CTS ...). At create they are CTS, DSR and
 * DCD: somebody is there. Other bits are ignored.
 */
void sk_serial_set_modem(struct sk_serial *serial, uint8_t lines);

void sk_serial_counters(struct sk_serial *serial, struct sk_serial_counters *counters);

/*
 * The complete state of the device, queued bytes included, configuration and counters excluded.
 * For a saved state that means something the vCPUs are stopped. restore checks everything first and
 * changes nothing unless it returns 0; it signals irq_fd if the interrupt is pending (the edge may
 * have been lost with the old machine) and calls tx_ready if bytes wait. Errors: -EINVAL
 * (truncated, unknown version, impossible value), -ENOSPC (the saved bytes do not fit this device's
 * rings).
 */
void sk_serial_save(struct sk_serial *serial, struct sk_writer *w);
int sk_serial_restore(struct sk_serial *serial, struct sk_reader *r,
		      struct sk_error *err) SK_MUST_CHECK;

#endif
