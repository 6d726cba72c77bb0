/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The guest side of the UART: the registers and the interrupt (PC16550D data sheet, section 8).
 *
 * The interrupt line is the OR of four conditions; the guest's interrupt controller sees only its
 * rising edges. Where hardware lowers the line for a moment, so does this: each write to THR takes
 * the THRE interrupt back before it raises it again, and a FIFO that ran empty is filled again
 * only after the line had the chance to fall. So a driver that gives up early (Linux after some
 * 512 rounds) still gets a new edge.
 *
 * Without a pace of the line, a driver would find THR empty again each time that it has filled the
 * FIFO, and while another CPU of the guest keeps it supplied it would never leave its interrupt
 * handler: Linux calls that a soft lockup. So the THRE interrupt, though not LSR.THRE, waits until
 * the host has taken what was sent. A host that takes it late should not get 16 bytes for each of
 * its visits: it gives credit for what a line of a megabaud could have sent meanwhile.
 */
#include "serial_internal.h"

unsigned sk_serial_fifo_depth(uint8_t fcr)
{
	return fcr & FCR_ENABLE ? SK_SERIAL_FIFO_BYTES : 1;
}

static unsigned trigger_level(const struct sk_serial *s)
{
	static const uint8_t levels[] = {1, 4, 8, 14};

	return s->regs.fcr & FCR_ENABLE ? levels[s->regs.fcr >> 6] : 1;
}

static bool is_loopback(const struct sk_serial *s)
{
	return s->regs.mcr & MCR_LOOP;
}

/* The interrupt of the highest priority that is pending and enabled, as IIR names it. */
static uint8_t interrupt_id(const struct sk_serial *s)
{
	const struct serial_regs *r = &s->regs;

	if ((r->ier & IER_LSI) && r->errors)
		return IIR_LSI;
	if ((r->ier & IER_RDI) && r->fifo_len)
		return r->fifo_len >= trigger_level(s) ? IIR_RDI : IIR_TIMEOUT;
	if ((r->ier & IER_THRI) && r->is_thre_armed)
		return IIR_THRI;
	if ((r->ier & IER_MSI) && r->deltas)
		return IIR_MSI;
	return IIR_NONE;
}

void sk_serial_update_irq_locked(struct sk_serial *s)
{
	bool is_high = interrupt_id(s) != IIR_NONE;

	if (is_high && !s->is_irq_high) {
		s->tell |= TELL_IRQ;
		s->counters.irq_edges++;
	}
	s->is_irq_high = is_high;
}

void sk_serial_unlock_and_tell(struct sk_serial *s)
{
	unsigned tell = s->tell;

	s->tell = 0;
	pthread_mutex_unlock(&s->lock);
	if ((tell & TELL_IRQ) && s->config.irq_fd >= 0)
		sk_eventfd_signal(s->config.irq_fd);
	if ((tell & TELL_TX_READY) && s->config.tx_ready)
		s->config.tx_ready(s->config.ctx);
	if ((tell & TELL_RX_ROOM) && s->config.rx_room)
		s->config.rx_room(s->config.ctx);
}

/* A driver that sees THRE may write a whole FIFO without looking again: there must be room. */
static bool has_room(const struct sk_serial *s)
{
	return is_loopback(s) || s->tx.cap - s->tx.len >= SK_SERIAL_FIFO_BYTES;
}

void sk_serial_update_thre_locked(struct sk_serial *s)
{
	bool is_empty = has_room(s);

	if (is_empty && !s->regs.is_thr_empty)
		s->regs.is_thre_armed = true;
	if (!is_empty)
		s->regs.is_thre_armed = false;
	s->regs.is_thr_empty = is_empty;
	sk_serial_update_irq_locked(s);
}

void sk_serial_hold_thre_locked(struct sk_serial *s)
{
	if (!s->is_thre_held)
		s->held_since_ns = sk_serial_now_ns(s);
	s->is_thre_held = true;
}

static void fifo_append(struct sk_serial *s, uint16_t c)
{
	s->regs.fifo[s->regs.fifo_len++] = c;
	/* LSR.BI belongs to the character that is read next. */
	if (s->regs.fifo_len == 1 && (c & CHAR_BREAK))
		s->regs.errors |= LSR_BI;
}

void sk_serial_refill_locked(struct sk_serial *s)
{
	unsigned depth = sk_serial_fifo_depth(s->regs.fcr);
	bool is_held = s->config.rx_waits_for_rts && !(s->regs.mcr & MCR_RTS);

	if (s->regs.fifo_len == 0 && !is_loopback(s) && !is_held) {
		while (s->rx.len && s->regs.fifo_len < depth) {
			fifo_append(s, s->rx.buf[s->rx.head]);
			s->rx.head = (s->rx.head + 1) % s->rx.cap;
			s->rx.len--;
		}
	}
	if (s->is_rx_waiting && s->rx.len <= s->rx.cap / 2) {
		s->is_rx_waiting = false;
		s->tell |= TELL_RX_ROOM;
	}
	sk_serial_update_irq_locked(s);
}

/* A character arrives by the guest's own loopback: nobody holds it back if the FIFO is full. */
static void loop_back(struct sk_serial *s, uint16_t c)
{
	if (s->regs.fifo_len < sk_serial_fifo_depth(s->regs.fcr)) {
		fifo_append(s, c);
		return;
	}
	s->regs.errors |= LSR_OE;
	s->counters.rx_overrun_bytes++;
	if (s->regs.fcr & FCR_ENABLE)
		return;
	/* Without a FIFO the new character replaces the old. */
	s->regs.fifo_len = 0;
	fifo_append(s, c);
}

static size_t tx_append(struct sk_serial *s, const uint8_t *data, size_t len)
{
	size_t n = SK_MIN(len, s->tx.cap - s->tx.len);
	size_t tail = (s->tx.head + s->tx.len) % s->tx.cap;
	size_t first = SK_MIN(n, s->tx.cap - tail);

	memcpy(s->tx.buf + tail, data, first);
	memcpy(s->tx.buf, data + first, n - first);
	if (n && s->tx.len == 0)
		s->tell |= TELL_TX_READY;
	s->tx.len += n;
	return n;
}

static void transmit(struct sk_serial *s, const uint8_t *data, size_t len)
{
	size_t n = tx_append(s, data, len);

	s->counters.tx_bytes += n;
	s->counters.tx_dropped_bytes += len - n;
	s->tx_credit -= SK_MIN(n, s->tx_credit);
}

static void write_thr(struct sk_serial *s, const uint8_t *data, size_t len)
{
	if (len == 0)
		return;
	s->regs.is_thre_armed = false;
	sk_serial_update_irq_locked(s);
	if (is_loopback(s))
		for (size_t i = 0; i < len; i++)
			loop_back(s, data[i]);
	else
		transmit(s, data, len);
	s->regs.is_thr_empty = false;
	if (is_loopback(s) || s->tx_credit) {
		/* The characters left at once: THR has just become empty (again). */
		sk_serial_update_thre_locked(s);
	} else {
		s->regs.is_thr_empty = has_room(s);
		sk_serial_hold_thre_locked(s);
	}
}

size_t sk_serial_guest_put(struct sk_serial *s, const void *buf, size_t len_bytes)
{
	size_t room = 0, n;

	pthread_mutex_lock(&s->lock);
	if (s->tx.cap - s->tx.len > SK_SERIAL_FIFO_BYTES)
		room = s->tx.cap - s->tx.len - SK_SERIAL_FIFO_BYTES;
	n = SK_MIN(len_bytes, room);
	if (n < len_bytes && len_bytes + SK_SERIAL_FIFO_BYTES <= s->tx.cap)
		n = 0; /* later, as a whole */
	s->counters.tx_bytes += tx_append(s, buf, n);
	sk_serial_unlock_and_tell(s);
	return n;
}

static uint8_t read_rbr(struct sk_serial *s)
{
	struct serial_regs *r = &s->regs;
	uint8_t c;

	if (r->fifo_len == 0)
		return 0;
	c = (uint8_t)r->fifo[0];
	r->fifo_len--;
	memmove(&r->fifo[0], &r->fifo[1], r->fifo_len * sizeof(r->fifo[0]));
	if (r->fifo_len && (r->fifo[0] & CHAR_BREAK))
		r->errors |= LSR_BI;
	sk_serial_update_irq_locked(s);
	sk_serial_refill_locked(s);
	return c;
}

size_t sk_serial_guest_take(struct sk_serial *s, void *buf, size_t len_bytes)
{
	uint8_t *to = buf;
	size_t n = 0;

	pthread_mutex_lock(&s->lock);
	while (n < len_bytes && (s->regs.fifo_len || s->rx.len)) {
		uint16_t c;

		if (s->regs.fifo_len) {
			c = s->regs.fifo[0];
			read_rbr(s);
		} else {
			c = s->rx.buf[s->rx.head];
			s->rx.head = (s->rx.head + 1) % s->rx.cap;
			s->rx.len--;
		}
		if (!(c & CHAR_BREAK))
			to[n++] = (uint8_t)c;
	}
	sk_serial_refill_locked(s);
	sk_serial_unlock_and_tell(s);
	return n;
}

static void write_ier(struct sk_serial *s, uint8_t value)
{
	uint8_t rising = value & ~s->regs.ier;

	s->regs.ier = value & IER_MASK;
	/* Enabling it while THR is empty raises it, even if IIR has been read: drivers rely on it.
	 */
	if ((rising & IER_THRI) && s->regs.is_thr_empty)
		s->regs.is_thre_armed = true;
	sk_serial_update_irq_locked(s);
}

static uint8_t read_iir(struct sk_serial *s)
{
	uint8_t id = interrupt_id(s);

	if (id == IIR_THRI) {
		s->regs.is_thre_armed = false;
		sk_serial_update_irq_locked(s);
	}
	return id | (s->regs.fcr & FCR_ENABLE ? IIR_FIFO_ON : 0);
}

static void write_fcr(struct sk_serial *s, uint8_t value)
{
	bool is_toggled = (value ^ s->regs.fcr) & FCR_ENABLE;

	/* The other bits can be programmed only together with FCR_ENABLE. */
	s->regs.fcr = value & FCR_ENABLE ? value & FCR_KEPT : 0;
	if (is_toggled || ((value & FCR_ENABLE) && (value & FCR_CLEAR_RX)))
		s->regs.fifo_len = 0;
	sk_serial_update_irq_locked(s);
	sk_serial_refill_locked(s);
}

static void write_lcr(struct sk_serial *s, uint8_t value)
{
	uint8_t rising = value & ~s->regs.lcr;

	s->regs.lcr = value;
	if ((rising & LCR_BREAK) && is_loopback(s)) {
		loop_back(s, CHAR_BREAK);
		sk_serial_update_irq_locked(s);
	}
}

uint8_t sk_serial_lines_locked(const struct sk_serial *s)
{
	uint8_t mcr = s->regs.mcr;

	if (!(mcr & MCR_LOOP))
		return s->regs.lines;
	return (mcr & MCR_RTS ? SK_SERIAL_CTS : 0) | (mcr & MCR_DTR ? SK_SERIAL_DSR : 0) |
	       (mcr & MCR_OUT1 ? SK_SERIAL_RI : 0) | (mcr & MCR_OUT2 ? SK_SERIAL_DCD : 0);
}

void sk_serial_update_modem_locked(struct sk_serial *s, uint8_t old)
{
	uint8_t now = sk_serial_lines_locked(s), changed = now ^ old;

	if (changed & SK_SERIAL_CTS)
		s->regs.deltas |= MSR_DELTA_CTS;
	if (changed & SK_SERIAL_DSR)
		s->regs.deltas |= MSR_DELTA_DSR;
	if (old & ~now & SK_SERIAL_RI)
		s->regs.deltas |= MSR_RI_TRAILING;
	if (changed & SK_SERIAL_DCD)
		s->regs.deltas |= MSR_DELTA_DCD;
	sk_serial_update_irq_locked(s);
}

static void write_mcr(struct sk_serial *s, uint8_t value)
{
	uint8_t old_lines = sk_serial_lines_locked(s);

	s->regs.mcr = value & MCR_MASK;
	sk_serial_update_modem_locked(s, old_lines);
	sk_serial_update_thre_locked(s);
	sk_serial_refill_locked(s);
}

static uint8_t read_lsr(struct sk_serial *s)
{
	struct serial_regs *r = &s->regs;
	uint8_t lsr = r->errors | (r->is_thr_empty ? LSR_THRE | LSR_TEMT : 0);

	if (r->fifo_len)
		lsr |= LSR_DR;
	for (unsigned i = 0; i < r->fifo_len && (r->fcr & FCR_ENABLE); i++)
		if (r->fifo[i] & CHAR_BREAK)
			lsr |= LSR_FIFO_ERR;
	if (r->fifo_len)
		r->fifo[0] &= 0xff; /* reported */
	r->errors = 0;
	sk_serial_update_irq_locked(s);
	return lsr;
}

static uint8_t read_msr(struct sk_serial *s)
{
	uint8_t msr = sk_serial_lines_locked(s) | s->regs.deltas;

	s->regs.deltas = 0;
	sk_serial_update_irq_locked(s);
	return msr;
}

static uint8_t read_reg(struct sk_serial *s, unsigned reg)
{
	bool is_dlab = s->regs.lcr & LCR_DLAB;

	switch (reg) {
	case REG_DATA:
		return is_dlab ? s->regs.dll : read_rbr(s);
	case REG_IER:
		return is_dlab ? s->regs.dlm : s->regs.ier;
	case REG_IIR_FCR:
		return read_iir(s);
	case REG_LCR:
		return s->regs.lcr;
	case REG_MCR:
		return s->regs.mcr;
	case REG_LSR:
		return read_lsr(s);
	case REG_MSR:
		return read_msr(s);
	case REG_SCR:
		return s->regs.scr;
	}
	return 0xff; /* a wide access that goes beyond the last register */
}

static void write_reg(struct sk_serial *s, unsigned reg, uint8_t value)
{
	bool is_dlab = s->regs.lcr & LCR_DLAB;

	switch (reg) {
	case REG_DATA:
		if (is_dlab)
			s->regs.dll = value;
		else
			write_thr(s, &value, 1);
		break;
	case REG_IER:
		if (is_dlab)
			s->regs.dlm = value;
		else
			write_ier(s, value);
		break;
	case REG_IIR_FCR:
		write_fcr(s, value);
		break;
	case REG_LCR:
		write_lcr(s, value);
		break;
	case REG_MCR:
		write_mcr(s, value);
		break;
	case REG_SCR:
		s->regs.scr = value;
		break;
	default: /* LSR and MSR are read-only */
		break;
	}
}

static uint64_t serial_read(void *dev, uint64_t offset, unsigned size_bytes)
{
	struct sk_serial *s = dev;
	uint64_t value = 0;

	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < size_bytes; i++)
		value |= (uint64_t)read_reg(s, (unsigned)offset + i) << (8 * i);
	sk_serial_unlock_and_tell(s);
	return value;
}

static void serial_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
	struct sk_serial *s = dev;

	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < size_bytes; i++)
		write_reg(s, (unsigned)offset + i, (uint8_t)(value >> (8 * i)));
	sk_serial_unlock_and_tell(s);
}

static void serial_read_string(void *dev, uint64_t offset, unsigned size_bytes, void *data,
			       size_t count)
{
	struct sk_serial *s = dev;
	uint8_t *p = data;

	pthread_mutex_lock(&s->lock);
	for (; count; count--)
		for (unsigned i = 0; i < size_bytes; i++)
			*p++ = read_reg(s, (unsigned)offset + i);
	sk_serial_unlock_and_tell(s);
}

static void serial_write_string(void *dev, uint64_t offset, unsigned size_bytes, const void *data,
				size_t count)
{
	struct sk_serial *s = dev;
	const uint8_t *p = data;

	pthread_mutex_lock(&s->lock);
	if (offset == REG_DATA && size_bytes == 1 && !(s->regs.lcr & LCR_DLAB)) {
		write_thr(s, p, count);
		count = 0;
	}
	for (; count; count--)
		for (unsigned i = 0; i < size_bytes; i++)
			write_reg(s, (unsigned)offset + i, *p++);
	sk_serial_unlock_and_tell(s);
}

const struct sk_bus_ops sk_serial_ops = {
	.read = serial_read,
	.write = serial_write,
	.read_string = serial_read_string,
	.write_string = serial_write_string,
};
