/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Random programs of guest and host against the UART's invariants. The input is a list of
 * operations, two bytes each and data behind some; the last bytes are also tried as a saved state.
 */
#include <skete/dev/serial.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DATA, IER, IIR, LCR, MCR, LSR };

struct world {
	struct sk_serial *serial;
	int irq_fd;
	uint64_t taken;
	bool has_restored; /* then the counters do not tell what is in the rings */
	struct sk_reader in;
};

static void check(struct world *w)
{
	struct sk_serial_counters c;
	uint8_t lcr = (uint8_t)sk_serial_ops.read(w->serial, LCR, 1);
	uint8_t mcr = (uint8_t)sk_serial_ops.read(w->serial, MCR, 1);

	BUG_ON(mcr & 0xe0);
	if (!(lcr & 0x80))
		BUG_ON(sk_serial_ops.read(w->serial, IER, 1) & 0xf0);
	sk_serial_counters(w->serial, &c);
	if (!w->has_restored) {
		BUG_ON(w->taken > c.tx_bytes);
		BUG_ON(c.tx_bytes - w->taken > 64);
	}
}

/* THRE promises room for 16 bytes. */
static void check_promise(struct world *w)
{
	struct sk_serial_counters before, after;

	if ((sk_serial_ops.read(w->serial, LCR, 1) & 0x80) ||
	    !(sk_serial_ops.read(w->serial, LSR, 1) & 0x20))
		return;
	sk_serial_counters(w->serial, &before);
	for (int i = 0; i < 16; i++)
		sk_serial_ops.write(w->serial, DATA, 1, (uint64_t)i);
	sk_serial_counters(w->serial, &after);
	BUG_ON(after.tx_dropped_bytes != before.tx_dropped_bytes);
}

/* A guest that serves its interrupt sees the line fall in a bounded number of steps. */
static void serve(struct world *w)
{
	unsigned rounds = 0;

	sk_serial_ops.write(w->serial, LCR, 1, 3);
	while (!(sk_serial_ops.read(w->serial, IIR, 1) & 1)) {
		for (unsigned reg = 0; reg < 8; reg++)
			(void)sk_serial_ops.read(w->serial, reg, 1);
		BUG_ON(++rounds > 200);
	}
}

static void save_and_restore(struct world *w)
{
	uint8_t first[512], second[512];
	struct sk_writer a, b;
	struct sk_reader r;

	sk_writer_init(&a, first, sizeof(first));
	sk_serial_save(w->serial, &a);
	BUG_ON(!sk_writer_ok(&a));
	sk_reader_init(&r, first, a.len_bytes);
	BUG_ON(sk_serial_restore(w->serial, &r, NULL));
	BUG_ON(r.pos_bytes != a.len_bytes);
	sk_writer_init(&b, second, sizeof(second));
	sk_serial_save(w->serial, &b);
	/* A restored receive ring may move on into an empty FIFO, but it was there before. */
	BUG_ON(a.len_bytes != b.len_bytes || memcmp(first, second, a.len_bytes));
}

static void step(struct world *w)
{
	uint8_t op = sk_get_u8(&w->in), arg = sk_get_u8(&w->in), buf[128];
	unsigned reg = op >> 4 & 7, width = 1u << (arg & 3);
	size_t n;
	int r;

	switch (op & 0x0f) {
	case 0:
	case 1:
	case 2:
		sk_serial_ops.write(w->serial, reg, 1, arg);
		break;
	case 3:
		sk_serial_ops.write(w->serial, reg, width, sk_get_u64(&w->in));
		break;
	case 4:
		(void)sk_serial_ops.read(w->serial, reg, width);
		break;
	case 5:
		sk_serial_ops.read_string(w->serial, reg, width, buf, (arg >> 2) % 16);
		break;
	case 6:
		memset(buf, arg, sizeof(buf));
		sk_serial_ops.write_string(w->serial, reg, width, buf, (arg >> 2) % 16);
		break;
	case 7:
		w->taken += sk_serial_tx_take(w->serial, buf, arg % sizeof(buf));
		break;
	case 8:
		n = arg % sizeof(buf);
		memset(buf, arg, n);
		BUG_ON(sk_serial_rx_put(w->serial, buf, n) > n);
		break;
	case 9:
		r = sk_serial_rx_break(w->serial);
		BUG_ON(r && r != -EAGAIN);
		break;
	case 10:
		sk_serial_set_modem(w->serial, arg);
		break;
	case 11:
		check_promise(w);
		break;
	case 12:
		serve(w);
		break;
	case 13:
		save_and_restore(w);
		break;
	case 14:
		(void)sk_eventfd_drain(w->irq_fd);
		break;
	default:
		w->has_restored = true;
		if (sk_serial_restore(w->serial, &w->in, NULL) == 0)
			save_and_restore(w);
	}
	check(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w = {.irq_fd = sk_eventfd_create()};
	struct sk_serial_config config = {
		.irq_fd = w.irq_fd,
		.tx_ring_bytes = 64,
		.rx_ring_bytes = 48,
		.rx_waits_for_rts = size && (data[0] & 1),
	};

	BUG_ON(sk_serial_create(&w.serial, &config, NULL));
	sk_reader_init(&w.in, data, size);
	(void)sk_get_u8(&w.in);
	while (sk_reader_ok(&w.in) && w.in.pos_bytes < size)
		step(&w);
	sk_serial_destroy(w.serial);
	sk_close(&w.irq_fd);
	return 0;
}
