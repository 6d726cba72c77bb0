/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The host side of the UART: its life, the two byte queues, modem lines, save and restore. */
#include "serial_internal.h"

#define STATE_VERSION 1
#define NS_PER_CHAR   10000 /* at a megabaud */

static int check_ring(size_t *len, size_t dflt, const char *what, struct sk_error *err)
{
	if (*len == 0)
		*len = dflt;
	if (*len < SK_SERIAL_FIFO_BYTES || *len > SK_SERIAL_RING_MAX)
		return sk_error_set(err, -EINVAL,
				    "serial: a %s ring of %zu bytes; it must have %d to %d", what,
				    *len, SK_SERIAL_FIFO_BYTES, SK_SERIAL_RING_MAX);
	return 0;
}

int sk_serial_create(struct sk_serial **out, const struct sk_serial_config *config,
		     struct sk_error *err)
{
	size_t tx_len = config->tx_ring_bytes, rx_len = config->rx_ring_bytes;
	struct sk_serial *s;
	int r = check_ring(&tx_len, SK_SERIAL_TX_RING_BYTES, "transmit", err);

	if (r == 0)
		r = check_ring(&rx_len, SK_SERIAL_RX_RING_BYTES, "receive", err);
	if (r)
		return r;
	s = calloc(1, sizeof(*s));
	if (!s)
		goto err_memory;
	s->config = *config;
	s->tx.cap = tx_len;
	s->tx.buf = malloc(tx_len);
	s->rx.cap = rx_len;
	s->rx.buf = malloc(rx_len * sizeof(*s->rx.buf));
	if (!s->tx.buf || !s->rx.buf)
		goto err_rings;
	s->regs.lines = SK_SERIAL_CTS | SK_SERIAL_DSR | SK_SERIAL_DCD;
	s->tx_credit = tx_len;
	s->regs.is_thr_empty = true;
	s->regs.dll = 12; /* 9600 baud, what a PC's firmware leaves */
	pthread_mutex_init(&s->lock, NULL);
	*out = s;
	return 0;

err_rings:
	free(s->rx.buf);
	free(s->tx.buf);
	free(s);
err_memory:
	return sk_error_set(err, -ENOMEM, "serial: out of memory");
}

void sk_serial_destroy(struct sk_serial *s)
{
	if (!s)
		return;
	pthread_mutex_destroy(&s->lock);
	free(s->rx.buf);
	free(s->tx.buf);
	free(s);
}

static void copy_tx(const struct tx_ring *tx, uint8_t *buf, size_t n)
{
	size_t first = SK_MIN(n, tx->cap - tx->head);

	memcpy(buf, tx->buf + tx->head, first);
	memcpy(buf + first, tx->buf, n - first);
}

uint64_t sk_serial_now_ns(const struct sk_serial *s)
{
	return s->config.now_ns ? s->config.now_ns(s->config.ctx) : sk_now_ns();
}

/* The host took something: the THRE interrupt that waited for it is due, if there is room. */
static void release_thre_locked(struct sk_serial *s)
{
	uint64_t chars;

	s->tx_credit = 0;
	if (!s->is_thre_held)
		return;
	chars = (sk_serial_now_ns(s) - s->held_since_ns) / NS_PER_CHAR;
	s->tx_credit = SK_MIN(chars, s->tx.cap);
	s->is_thre_held = false;
	s->regs.is_thr_empty = false; /* it becomes empty now */
}

size_t sk_serial_tx_take(struct sk_serial *s, void *buf, size_t len_bytes)
{
	size_t n;

	pthread_mutex_lock(&s->lock);
	n = SK_MIN(len_bytes, s->tx.len);
	if (n) {
		copy_tx(&s->tx, buf, n);
		s->tx.head = (s->tx.head + n) % s->tx.cap;
		s->tx.len -= n;
		release_thre_locked(s);
		sk_serial_update_thre_locked(s);
	}
	sk_serial_unlock_and_tell(s);
	return n;
}

static void rx_append(struct sk_serial *s, uint16_t c)
{
	s->rx.buf[(s->rx.head + s->rx.len) % s->rx.cap] = c;
	s->rx.len++;
	s->counters.rx_bytes++;
}

size_t sk_serial_rx_put(struct sk_serial *s, const void *buf, size_t len_bytes)
{
	const uint8_t *p = buf;
	size_t n;

	pthread_mutex_lock(&s->lock);
	n = SK_MIN(len_bytes, s->rx.cap - s->rx.len);
	for (size_t i = 0; i < n; i++)
		rx_append(s, p[i]);
	if (n < len_bytes)
		s->is_rx_waiting = true;
	sk_serial_refill_locked(s);
	sk_serial_unlock_and_tell(s);
	return n;
}

int sk_serial_rx_break(struct sk_serial *s)
{
	bool has_room;

	pthread_mutex_lock(&s->lock);
	has_room = s->rx.len < s->rx.cap;
	if (has_room)
		rx_append(s, CHAR_BREAK);
	else
		s->is_rx_waiting = true;
	sk_serial_refill_locked(s);
	sk_serial_unlock_and_tell(s);
	return has_room ? 0 : -EAGAIN;
}

void sk_serial_set_modem(struct sk_serial *s, uint8_t lines)
{
	uint8_t old;

	pthread_mutex_lock(&s->lock);
	old = sk_serial_lines_locked(s);
	s->regs.lines = lines & MSR_LINES;
	sk_serial_update_modem_locked(s, old);
	sk_serial_unlock_and_tell(s);
}

void sk_serial_counters(struct sk_serial *s, struct sk_serial_counters *counters)
{
	pthread_mutex_lock(&s->lock);
	*counters = s->counters;
	pthread_mutex_unlock(&s->lock);
}

static void put_regs(const struct serial_regs *r, struct sk_writer *w)
{
	sk_put_u8(w, r->ier);
	sk_put_u8(w, r->fcr);
	sk_put_u8(w, r->lcr);
	sk_put_u8(w, r->mcr);
	sk_put_u8(w, r->scr);
	sk_put_u8(w, r->dll);
	sk_put_u8(w, r->dlm);
	sk_put_u8(w, r->errors);
	sk_put_u8(w, r->lines);
	sk_put_u8(w, r->deltas);
	sk_put_u8(w, r->is_thr_empty);
	sk_put_u8(w, r->is_thre_armed);
	sk_put_u8(w, r->fifo_len);
	for (unsigned i = 0; i < r->fifo_len; i++)
		sk_put_u16(w, r->fifo[i]);
}

void sk_serial_save(struct sk_serial *s, struct sk_writer *w)
{
	size_t first;

	pthread_mutex_lock(&s->lock);
	sk_put_u32(w, STATE_VERSION);
	put_regs(&s->regs, w);
	sk_put_u32(w, (uint32_t)s->rx.len);
	for (size_t i = 0; i < s->rx.len; i++)
		sk_put_u16(w, s->rx.buf[(s->rx.head + i) % s->rx.cap]);
	sk_put_u32(w, (uint32_t)s->tx.len);
	first = SK_MIN(s->tx.len, s->tx.cap - s->tx.head);
	sk_put_bytes(w, s->tx.buf + s->tx.head, first);
	sk_put_bytes(w, s->tx.buf, s->tx.len - first);
	pthread_mutex_unlock(&s->lock);
}

static bool is_char(uint16_t c)
{
	return c <= 0xff || c == CHAR_BREAK;
}

static bool get_bool(struct sk_reader *r, bool *is_valid)
{
	uint8_t v = sk_get_u8(r);

	*is_valid = *is_valid && v <= 1;
	return v == 1;
}

/* False if a value is impossible or the bytes end early. */
static bool get_regs(struct serial_regs *regs, struct sk_reader *r)
{
	bool is_valid = true;

	regs->ier = sk_get_u8(r);
	regs->fcr = sk_get_u8(r);
	regs->lcr = sk_get_u8(r);
	regs->mcr = sk_get_u8(r);
	regs->scr = sk_get_u8(r);
	regs->dll = sk_get_u8(r);
	regs->dlm = sk_get_u8(r);
	regs->errors = sk_get_u8(r);
	regs->lines = sk_get_u8(r);
	regs->deltas = sk_get_u8(r);
	regs->is_thr_empty = get_bool(r, &is_valid);
	regs->is_thre_armed = get_bool(r, &is_valid);
	regs->fifo_len = sk_get_u8(r);
	if (!sk_reader_ok(r) || !is_valid || (regs->ier & ~IER_MASK) || (regs->fcr & ~FCR_KEPT) ||
	    (regs->fcr && !(regs->fcr & FCR_ENABLE)) || (regs->mcr & ~MCR_MASK) ||
	    (regs->errors & ~LSR_ERRORS) || (regs->lines & ~MSR_LINES) ||
	    (regs->deltas & ~MSR_DELTAS) || (regs->is_thre_armed && !regs->is_thr_empty) ||
	    regs->fifo_len > sk_serial_fifo_depth(regs->fcr))
		return false;
	for (unsigned i = 0; i < regs->fifo_len; i++) {
		regs->fifo[i] = sk_get_u16(r);
		is_valid = is_valid && is_char(regs->fifo[i]);
	}
	return is_valid && sk_reader_ok(r);
}

/*
 * Reads the two rings. Without @s this only checks them against the capacities; with it, the same
 * bytes go into its rings.
 */
static int get_rings(struct sk_serial *s, size_t rx_cap, size_t tx_cap, struct sk_reader *r)
{
	uint32_t rx_len = sk_get_u32(r), tx_len;

	if (rx_len > rx_cap)
		return -ENOSPC;
	for (uint32_t i = 0; i < rx_len; i++) {
		uint16_t c = sk_get_u16(r);

		if (!is_char(c))
			return -EINVAL;
		if (s)
			s->rx.buf[i] = c;
	}
	tx_len = sk_get_u32(r);
	if (tx_len > tx_cap)
		return -ENOSPC;
	if (!sk_reader_ok(r) || tx_len > r->len_bytes - r->pos_bytes)
		return -EINVAL;
	if (!s)
		return 0;
	sk_get_bytes(r, s->tx.buf, tx_len);
	s->rx.head = 0;
	s->rx.len = rx_len;
	s->tx.head = 0;
	s->tx.len = tx_len;
	return 0;
}

static void commit_locked(struct sk_serial *s, const struct serial_regs *regs, struct sk_reader *r)
{
	int ret;

	s->regs = *regs;
	ret = get_rings(s, s->rx.cap, s->tx.cap, r);
	BUG_ON(ret); /* it was checked */
	s->is_irq_high = false;
	s->tx_credit = s->tx.cap;
	s->is_thre_held = false;
	if (s->tx.len) {
		/* Perhaps it waited when it was saved; one too many does no harm. */
		sk_serial_hold_thre_locked(s);
		s->tell |= TELL_TX_READY;
	}
	sk_serial_update_thre_locked(s);
	sk_serial_refill_locked(s);
}

int sk_serial_restore(struct sk_serial *s, struct sk_reader *r, struct sk_error *err)
{
	struct serial_regs regs = {0};
	uint32_t version = sk_get_u32(r);
	struct sk_reader ahead;
	int ret;

	if (!sk_reader_ok(r) || version != STATE_VERSION)
		return sk_error_set(err, -EINVAL,
				    "serial: the saved state has version %u, this one reads %u",
				    version, STATE_VERSION);
	if (!get_regs(&regs, r))
		return sk_error_set(err, -EINVAL,
				    "serial: the saved registers are truncated or impossible");
	ahead = *r;
	ret = get_rings(NULL, s->rx.cap, s->tx.cap, &ahead);
	if (ret == -ENOSPC)
		return sk_error_set(err, ret,
				    "serial: the saved bytes do not fit rings of %zu and %zu bytes",
				    s->rx.cap, s->tx.cap);
	if (ret)
		return sk_error_set(err, ret,
				    "serial: the saved bytes are truncated or impossible");
	pthread_mutex_lock(&s->lock);
	commit_locked(s, &regs, r);
	sk_serial_unlock_and_tell(s);
	return 0;
}
