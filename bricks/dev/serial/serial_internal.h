/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The state of the UART, shared by its guest side (serial.c) and its host side (serial_host.c). */
#ifndef SKETE_DEV_SERIAL_INTERNAL_H
#define SKETE_DEV_SERIAL_INTERNAL_H

#include <pthread.h>

#include <skete/dev/serial.h>

enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCR };

#define IER_RDI		0x01
#define IER_THRI	0x02
#define IER_LSI		0x04
#define IER_MSI		0x08
#define IER_MASK	0x0f

#define IIR_MSI		0x00
#define IIR_NONE	0x01
#define IIR_THRI	0x02
#define IIR_RDI		0x04
#define IIR_LSI		0x06
#define IIR_TIMEOUT	0x0c
#define IIR_FIFO_ON	0xc0

#define FCR_ENABLE	0x01
#define FCR_CLEAR_RX	0x02
#define FCR_TRIGGER	0xc0
#define FCR_KEPT	(FCR_ENABLE | FCR_TRIGGER)

#define LCR_BREAK	0x40
#define LCR_DLAB	0x80

#define MCR_DTR		0x01
#define MCR_RTS		0x02
#define MCR_OUT1	0x04
#define MCR_OUT2	0x08
#define MCR_LOOP	0x10
#define MCR_MASK	0x1f

#define LSR_DR		0x01
#define LSR_OE		0x02
#define LSR_BI		0x10
#define LSR_THRE	0x20
#define LSR_TEMT	0x40
#define LSR_FIFO_ERR	0x80
#define LSR_ERRORS	(LSR_OE | LSR_BI) /* no line, so no parity and framing errors */

#define MSR_LINES	0xf0
#define MSR_DELTA_CTS	0x01
#define MSR_DELTA_DSR	0x02
#define MSR_RI_TRAILING 0x04
#define MSR_DELTA_DCD	0x08
#define MSR_DELTAS	0x0f

/* A received character with its flag: a break is the character 0 with CHAR_BREAK. */
#define CHAR_BREAK	0x100

/* What is to be told once the lock is released. */
#define TELL_IRQ	0x01
#define TELL_TX_READY	0x02
#define TELL_RX_ROOM	0x04

/* Everything that save writes, but for the two rings. */
struct serial_regs {
	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
	uint8_t errors;	    /* LSR_ERRORS, until LSR is read */
	uint8_t lines;	    /* MSR_LINES as the host sets them */
	uint8_t deltas;	    /* MSR_DELTAS, until MSR is read */
	bool is_thr_empty;  /* LSR.THRE as it was last computed */
	bool is_thre_armed; /* the THRE interrupt is pending, if it is enabled */
	uint8_t fifo_len;
	uint16_t fifo[SK_SERIAL_FIFO_BYTES]; /* [0] is the next to read */
};

struct tx_ring {
	uint8_t *buf;
	size_t cap, head, len;
};

struct rx_ring {
	uint16_t *buf; /* characters with their flag */
	size_t cap, head, len;
};

struct sk_serial {
	struct sk_serial_config config; /* immutable */
	pthread_mutex_t lock;		/* protects everything below */
	struct serial_regs regs;
	struct tx_ring tx;
	struct rx_ring rx;
	size_t tx_credit;	/* bytes to send before the THRE interrupt waits for the host */
	bool is_thre_held;	/* it waits */
	uint64_t held_since_ns; /* since when */
	bool is_irq_high;
	bool is_rx_waiting; /* rx_put accepted less than asked, rx_room is due */
	unsigned tell;
	struct sk_serial_counters counters;
};

/* Releases the lock and then delivers what came up while it was held. */
void sk_serial_unlock_and_tell(struct sk_serial *s);
/* Computes the interrupt condition anew; a rising edge is noted for unlock_and_tell. */
void sk_serial_update_irq_locked(struct sk_serial *s);
/* The room in the transmit ring changed: LSR.THRE and its interrupt follow. */
void sk_serial_update_thre_locked(struct sk_serial *s);
/* The THRE interrupt waits until the host takes what was sent. */
void sk_serial_hold_thre_locked(struct sk_serial *s);
/* The clock by which a host is slow. */
uint64_t sk_serial_now_ns(const struct sk_serial *s);
/* Moves characters from the receive ring to an empty FIFO, if the guest lets them in. */
void sk_serial_refill_locked(struct sk_serial *s);
/* The lines that the guest sees changed from @old: the delta bits and the interrupt follow. */
void sk_serial_update_modem_locked(struct sk_serial *s, uint8_t old);
/* The upper half of MSR. */
uint8_t sk_serial_lines_locked(const struct sk_serial *s);
/* How many characters the FIFO holds as @fcr has it. */
unsigned sk_serial_fifo_depth(uint8_t fcr);

#endif
