/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include <skete/dev/serial.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = IIR };

#define THRE_TEMT 0x60

struct rig {
	struct sk_serial *serial;
	uint64_t now_ns;
	int irq_fd;
	unsigned nr_tx_ready;
	unsigned nr_rx_room;
};

static uint64_t get_now_ns(void *ctx)
{
	return ((struct rig *)ctx)->now_ns;
}

static void count_tx_ready(void *ctx)
{
	((struct rig *)ctx)->nr_tx_ready++;
}

static void count_rx_room(void *ctx)
{
	((struct rig *)ctx)->nr_rx_room++;
}

static struct sk_serial *make(struct rig *rig, size_t tx, size_t rx, bool waits_for_rts)
{
	struct sk_serial_config config = {
		.irq_fd = rig->irq_fd,
		.tx_ring_bytes = tx,
		.rx_ring_bytes = rx,
		.rx_waits_for_rts = waits_for_rts,
		.now_ns = get_now_ns,
		.tx_ready = count_tx_ready,
		.rx_room = count_rx_room,
		.ctx = rig,
	};
	struct sk_serial *s;
	struct sk_error err;

	assert_int_equal(sk_serial_create(&s, &config, &err), 0);
	return s;
}

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	rig->irq_fd = sk_eventfd_create();
	rig->serial = make(rig, 64, 64, false);
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	sk_serial_destroy(rig->serial);
	sk_close(&rig->irq_fd);
	free(rig);
	return 0;
}

static uint8_t in(struct sk_serial *s, unsigned reg)
{
	return (uint8_t)sk_serial_ops.read(s, reg, 1);
}

static void out(struct sk_serial *s, unsigned reg, uint8_t value)
{
	sk_serial_ops.write(s, reg, 1, value);
}

static uint64_t edges(struct rig *rig)
{
	return sk_eventfd_drain(rig->irq_fd);
}

static void bad_configurations_are_refused(void **state)
{
	struct sk_serial_config config = {.irq_fd = -1, .tx_ring_bytes = 15};
	struct sk_serial *s;
	struct sk_error err;

	(void)state;
	assert_int_equal(sk_serial_create(&s, &config, &err), -EINVAL);
	config = (struct sk_serial_config){.rx_ring_bytes = SK_SERIAL_RING_MAX + 1};
	assert_int_equal(sk_serial_create(&s, &config, &err), -EINVAL);
	assert_non_null(strstr(err.message, "receive"));
	sk_serial_destroy(NULL);
}

/* What Linux's 8250 driver does to find out what it has (autoconfig, size_fifo, THRE test). */
static void linux_finds_a_16550a(void **state)
{
	struct rig *rig = *state;
	struct sk_serial *s = rig->serial;
	unsigned n;

	out(s, IER, 0);
	assert_int_equal(in(s, IER) & 0x0f, 0);
	out(s, IER, 0xff);
	assert_int_equal(in(s, IER), 0x0f);
	out(s, IER, 0);
	out(s, MCR, 0x10 | 0x0a);
	assert_int_equal(in(s, MSR) & 0xf0, 0x90);
	out(s, MCR, 0xff);
	assert_int_equal(in(s, MCR), 0x1f);
	out(s, MCR, 0);
	assert_int_equal(in(s, IIR), 0x01);
	out(s, FCR, 0x01);
	assert_int_equal(in(s, IIR) >> 6, 3);
	out(s, LCR, 0xbf);
	assert_int_not_equal(in(s, IIR), 0); /* no EFR: not a 16650 */
	out(s, LCR, 0x80);
	out(s, DATA, 1);
	out(s, IER, 2);
	assert_int_equal(in(s, DATA), 1);
	assert_int_equal(in(s, IER), 2);
	out(s, LCR, 3);
	out(s, SCR, 0xa5);
	assert_int_equal(in(s, SCR), 0xa5);
	assert_int_equal(in(s, IER), 0);

	out(s, FCR, 0x07);
	out(s, MCR, 0x10);
	for (n = 0; n < 256; n++)
		out(s, DATA, (uint8_t)n);
	assert_int_equal(in(s, LSR) & 0x03, 0x03); /* data, and an overrun */
	assert_int_equal(in(s, LSR) & 0x02, 0);
	for (n = 0; in(s, LSR) & 1; n++)
		assert_int_equal(in(s, DATA), n);
	assert_int_equal(n, 16);
	out(s, MCR, 0);

	for (n = 0; n < 2; n++) {
		out(s, IER, 0x02);
		assert_int_equal(in(s, IIR) & 0x0f, 0x02);
		out(s, IER, 0);
	}
	assert_int_equal(in(s, LSR), THRE_TEMT);
	assert_int_equal(rig->nr_tx_ready, 0);
}

static void thre_interrupt_follows_the_hardware(void **state)
{
	struct rig *rig = *state;
	struct sk_serial *s = rig->serial;
	char buf[8];

	out(s, FCR, 0x01);
	assert_int_equal(edges(rig), 0);
	out(s, IER, 0x02);
	assert_int_equal(edges(rig), 1);
	out(s, IER, 0x02);
	assert_int_equal(edges(rig), 0); /* no rising bit, no re-arm */
	assert_int_equal(in(s, IIR), 0xc2);
	assert_int_equal(in(s, IIR), 0xc1); /* reading took it back */
	out(s, IER, 0x02);
	assert_int_equal(in(s, IIR), 0xc1);
	out(s, DATA, 'a');
	assert_int_equal(edges(rig), 1);
	out(s, DATA, 'b'); /* the line falls and rises */
	assert_int_equal(edges(rig), 1);
	assert_int_equal(in(s, IIR), 0xc2);
	out(s, IER, 0);
	out(s, IER, 0x02);
	assert_int_equal(in(s, IIR), 0xc2);
	assert_int_equal(rig->nr_tx_ready, 1);
	assert_int_equal(sk_serial_tx_take(s, buf, sizeof(buf)), 2);
	assert_memory_equal(buf, "ab", 2);
	assert_int_equal(sk_serial_tx_take(s, buf, sizeof(buf)), 0);
	out(s, DATA, 'c');
	assert_int_equal(rig->nr_tx_ready, 2);
}

/* A driver that respects LSR against a host that reads slowly: nothing is lost. */
static void a_slow_host_pushes_back(void **state)
{
	struct rig *rig = *state;
	struct sk_serial *s = rig->serial;
	struct sk_serial_counters c;
	uint8_t next = 0, expect = 0, buf[7];
	size_t n;

	out(s, FCR, 0x01);
	out(s, IER, 0x02);
	for (int round = 0; round < 500; round++) {
		while (in(s, LSR) & 0x20)
			for (int i = 0; i < 16; i++)
				out(s, DATA, next++);
		assert_int_equal(in(s, LSR) & THRE_TEMT, 0);
		assert_int_equal(in(s, IIR), 0xc1);
		edges(rig);
		while (!(in(s, LSR) & 0x20)) {
			n = sk_serial_tx_take(s, buf, sizeof(buf));
			assert_true(n > 0);
			for (size_t i = 0; i < n; i++)
				assert_int_equal(buf[i], expect++);
		}
		assert_int_equal(edges(rig), 1);
		assert_int_equal(in(s, IIR), 0xc2);
	}
	sk_serial_counters(s, &c);
	assert_int_equal(c.tx_dropped_bytes, 0);
	assert_true(c.tx_bytes > 1000);
}

/* What an interrupt handler does that goes on for as long as IIR has something to say. */
static unsigned handle_interrupt(struct sk_serial *s)
{
	unsigned nr_loads = 0;

	for (; in(s, IIR) == 0xc2 && nr_loads < 100; nr_loads++) {
		assert_int_equal(in(s, LSR) & 0x20, 0x20);
		for (int i = 0; i < SK_SERIAL_FIFO_BYTES; i++)
			out(s, DATA, 'x');
	}
	return nr_loads;
}

static void a_prompt_host_paces_the_interrupt(void **state)
{
	struct rig *rig = *state;
	struct sk_serial *s = rig->serial;
	uint8_t buf[64];

	out(s, FCR, 0x01);
	out(s, IER, 0x02);
	/* At first nobody knows the host: the guest may fill the ring. */
	assert_int_equal(handle_interrupt(s), 4);
	assert_int_equal(sk_serial_tx_take(s, buf, sizeof(buf)), 64);
	edges(rig);
	for (int round = 0; round < 10; round++) {
		assert_int_equal(handle_interrupt(s), 1);
		/* Room there is, for those who ask, but no interrupt yet. */
		assert_int_equal(in(s, LSR), THRE_TEMT);
		assert_int_equal(in(s, IIR), 0xc1);
		assert_int_equal(edges(rig), 0);
		rig->now_ns += 9999;
		assert_int_equal(sk_serial_tx_take(s, buf, sizeof(buf)), 16);
		assert_int_equal(edges(rig), 1);
	}
	/* Without an interrupt nothing is waited for. */
	out(s, IER, 0);
	for (int i = 0; i < 32; i++)
		out(s, DATA, 'y');
	assert_int_equal(in(s, LSR), THRE_TEMT);
	assert_int_equal(sk_serial_tx_take(s, buf, sizeof(buf)), 32);
	out(s, IER, 0x02);
	assert_int_equal(edges(rig), 1);
}

static void a_late_host_gets_a_ring_full(void **state)
{
	struct rig *rig = *state;
	struct sk_serial *s = rig->serial;
	uint8_t buf[64];

	out(s, FCR, 0x01);
	out(s, IER, 0x02);
	assert_int_equal(handle_interrupt(s), 4);
	assert_int_equal(sk_serial_tx_take(s, buf, sizeof(buf)), 64);
	assert_int_equal(handle_interrupt(s), 1);
	for (int round = 0; round < 10; round++) {
		size_t n;

		rig->now_ns += 1000000;
		n = sk_serial_tx_take(s, buf, sizeof(buf));
		assert_int_equal(n, round ? 64 : 16);
		assert_int_equal(handle_interrupt(s), 4);
		/* Now the ring is full, and THRE clear, until the host comes. */
		assert_int_equal(in(s, LSR), 0);
	}
}

static void a_flood_is_bounded_and_counted(void **state)
{
	struct rig *rig = *state;
	struct sk_serial *s = rig->serial;
	struct sk_serial_counters c;
	uint8_t flood[1000], back[128];

	for (size_t i = 0; i < sizeof(flood); i++)
		flood[i] = (uint8_t)i;
	out(s, IER, 0x02);
	edges(rig);
	sk_serial_ops.write_string(s, DATA, 1, flood, 40);
	assert_int_equal(edges(rig), 1);
	assert_int_equal(sk_serial_tx_take(s, back, 30), 30);
	sk_serial_ops.write_string(s, DATA, 1, flood + 40, sizeof(flood) - 40);
	sk_serial_ops.write_string(s, DATA, 1, flood, 0);
	out(s, DATA, 'x');
	assert_int_equal(in(s, LSR), 0);
	sk_serial_counters(s, &c);
	assert_int_equal(c.tx_bytes, 30 + 64);
	assert_int_equal(c.tx_dropped_bytes, 1000 + 1 - 94);
	assert_int_equal(sk_serial_tx_take(s, back, sizeof(back)), 64);
	assert_memory_equal(back, flood + 30, 64);
	assert_int_equal(in(s, LSR), THRE_TEMT);
	/* With DLAB the same string goes to the divisor. */
	out(s, LCR, 0x80);
	sk_serial_ops.write_string(s, DATA, 1, flood, 3);
	assert_int_equal(in(s, DATA), 2);
	assert_int_equal(sk_serial_tx_take(s, back, sizeof(back)), 0);
}

static void receive_with_trigger_and_timeout(void **state)
{
	struct rig *rig = *state;
	struct sk_serial *s = rig->serial;
	char text[16];

	out(s, FCR, 0x81); /* trigger at 8 */
	out(s, IER, 0x01);
	assert_int_equal(sk_serial_rx_put(s, "abc", 3), 3);
	assert_int_equal(edges(rig), 1);
	assert_int_equal(in(s, IIR), 0xcc);
	assert_int_equal(in(s, DATA), 'a');
	assert_int_equal(sk_serial_rx_put(s, "defghijklmnopqrs", 16), 16);
	assert_int_equal(edges(rig), 0); /* still high */
	assert_int_equal(in(s, DATA), 'b');
	assert_int_equal(in(s, DATA), 'c'); /* empty: filled again, with a new edge */
	assert_int_equal(edges(rig), 1);
	assert_int_equal(in(s, IIR), 0xc4);
	sk_serial_ops.read_string(s, DATA, 1, text, 16);
	assert_memory_equal(text, "defghijklmnopqrs", 16);
	assert_int_equal(in(s, LSR), THRE_TEMT);
	assert_int_equal(in(s, IIR), 0xc1);
	assert_int_equal(in(s, DATA), 0);
	/* Without the FIFO: one character, no time-out. */
	out(s, FCR, 0);
	assert_int_equal(sk_serial_rx_put(s, "xy", 2), 2);
	assert_int_equal(in(s, IIR), 0x04);
	assert_int_equal(in(s, DATA), 'x');
	assert_int_equal(in(s, DATA), 'y');
	assert_int_equal(in(s, LSR) & 1, 0);
}

static void a_slow_guest_pushes_back(void **state)
{
	struct rig *rig = *state;
	struct sk_serial *s = rig->serial;
	uint8_t data[200], expect = 0;
	size_t put = 0;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)i;
	out(s, FCR, 0x01);
	put = sk_serial_rx_put(s, data, sizeof(data));
	assert_in_range(put, 64, 80);
	assert_int_equal(sk_serial_rx_put(s, data + put, 20), 16); /* 16 moved to the FIFO */
	put += 16;
	assert_int_equal(sk_serial_rx_put(s, data + put, 1), 0);
	assert_int_equal(sk_serial_rx_break(s), -EAGAIN);
	assert_int_equal(rig->nr_rx_room, 0);
	while (!rig->nr_rx_room)
		assert_int_equal(in(s, DATA), expect++);
	put += sk_serial_rx_put(s, data + put, 30);
	while (in(s, LSR) & 1)
		assert_int_equal(in(s, DATA), expect++);
	assert_int_equal(expect, put);
	assert_int_equal(rig->nr_rx_room, 1);
}

static void input_waits_for_rts_if_so_configured(void **state)
{
	struct rig *rig = *state;
	struct sk_serial *s = make(rig, 64, 64, true);

	assert_int_equal(sk_serial_rx_put(s, "ls\n", 3), 3);
	out(s, IER, 0x01);
	out(s, FCR, 0x07); /* a driver that comes up */
	assert_int_equal(in(s, LSR) & 1, 0);
	assert_int_equal(in(s, DATA), 0);
	assert_int_equal(edges(rig), 0);
	out(s, MCR, 0x0b);
	assert_int_equal(edges(rig), 1);
	assert_int_equal(in(s, DATA), 'l');
	out(s, FCR, 0x03); /* a reset of the FIFO loses what is in it, as on hardware */
	assert_int_equal(in(s, LSR) & 1, 0);
	sk_serial_destroy(s);
}

static void breaks_arrive_in_order(void **state)
{
	struct rig *rig = *state;
	struct sk_serial *s = rig->serial;

	out(s, FCR, 0x01);
	out(s, IER, 0x05);
	assert_int_equal(sk_serial_rx_put(s, "a", 1), 1);
	assert_int_equal(sk_serial_rx_break(s), 0);
	assert_int_equal(sk_serial_rx_put(s, "h", 1), 1);
	assert_int_equal(in(s, LSR), THRE_TEMT | 0x01);
	assert_int_equal(in(s, DATA), 'a');
	assert_int_equal(in(s, IIR), 0xc6);
	assert_int_equal(in(s, LSR), THRE_TEMT | 0x91);
	assert_int_equal(in(s, LSR), THRE_TEMT | 0x01);
	assert_int_equal(in(s, IIR), 0xc4);
	assert_int_equal(in(s, DATA), 0);
	assert_int_equal(in(s, DATA), 'h');
	/* The guest's own break, looped back, also into a full receiver without FIFO. */
	out(s, FCR, 0);
	out(s, MCR, 0x10);
	out(s, DATA, 'x');
	out(s, LCR, 0x43);
	assert_int_equal(in(s, LSR), THRE_TEMT | 0x13);
	assert_int_equal(in(s, DATA), 0);
	assert_int_equal(in(s, LSR), THRE_TEMT);
}

static void modem_lines(void **state)
{
	struct rig *rig = *state;
	struct sk_serial *s = rig->serial;

	assert_int_equal(in(s, MSR), 0xb0);
	out(s, IER, 0x08);
	sk_serial_set_modem(s, SK_SERIAL_CTS | SK_SERIAL_RI | 0x0f);
	assert_int_equal(edges(rig), 1);
	assert_int_equal(in(s, IIR), 0x00);
	assert_int_equal(in(s, MSR), 0x50 | 0x0a);
	assert_int_equal(in(s, IIR), 0x01);
	sk_serial_set_modem(s, 0);
	assert_int_equal(in(s, MSR), 0x05); /* CTS changed, RI fell */
	/* In loopback the outputs are the inputs; the outside is cut off. */
	out(s, MCR, 0x1f);
	assert_int_equal(in(s, MSR), 0xf0 | 0x0b);
	sk_serial_set_modem(s, SK_SERIAL_CTS);
	assert_int_equal(in(s, MSR), 0xf0);
	assert_int_equal(sk_serial_rx_put(s, "z", 1), 1);
	assert_int_equal(in(s, LSR) & 1, 0);
	out(s, MCR, 0);
	assert_int_equal(in(s, MSR), 0x10 | 0x0e);
	assert_int_equal(in(s, DATA), 'z');
}

static void priorities(void **state)
{
	struct rig *rig = *state;
	struct sk_serial *s = rig->serial;

	out(s, FCR, 0x01);
	out(s, IER, 0x0f);
	sk_serial_set_modem(s, 0);
	assert_int_equal(sk_serial_rx_put(s, "q", 1), 1);
	out(s, MCR, 0x10);
	out(s, LCR, 0x40);
	assert_int_equal(edges(rig), 1); /* one line */
	assert_int_equal(in(s, IIR), 0xc4);
	assert_int_equal(in(s, DATA), 'q');
	assert_int_equal(in(s, IIR), 0xc6);
	(void)in(s, LSR);
	(void)in(s, DATA);
	assert_int_equal(in(s, IIR), 0xc2);
	assert_int_equal(in(s, IIR), 0xc0);
	(void)in(s, MSR);
	assert_int_equal(in(s, IIR), 0xc1);
}

static void wide_and_hostile_accesses(void **state)
{
	struct rig *rig = *state;
	struct sk_serial *s = rig->serial;
	uint8_t data[64];
	uint32_t seed = 3;

	out(s, SCR, 0x77);
	assert_int_equal(sk_serial_ops.read(s, MSR, 2), 0x77b0);
	assert_true(sk_serial_ops.read(s, SCR, 8) == UINT64_C(0xffffffffffffff77));
	sk_serial_ops.write(s, LCR, 2, 0x0b03);
	assert_int_equal(in(s, LCR), 3);
	assert_int_equal(in(s, MCR), 0x0b);
	for (int i = 0; i < 20000; i++) {
		unsigned size;

		seed = seed * 1664525 + 1013904223;
		size = 1u << (seed >> 30);
		memset(data, (int)(seed >> 8), sizeof(data));
		switch (seed >> 27 & 7) {
		case 0:
			sk_serial_ops.write_string(s, seed >> 20 & 7, size, data, 64 / size);
			break;
		case 1:
			sk_serial_ops.read_string(s, seed >> 20 & 7, size, data, 64 / size);
			break;
		case 2:
			(void)sk_serial_ops.read(s, seed >> 20 & 7, size);
			break;
		case 3:
			(void)sk_serial_tx_take(s, data, seed >> 20 & 31);
			break;
		case 4:
			(void)sk_serial_rx_put(s, data, seed >> 20 & 31);
			break;
		default:
			sk_serial_ops.write(s, seed >> 20 & 7, size, seed);
		}
	}
}

static void busy_state(struct rig *rig, struct sk_serial *s)
{
	out(s, FCR, 0x81);
	out(s, LCR, 0x1b);
	out(s, SCR, 0x5a);
	out(s, MCR, 0x0b);
	out(s, IER, 0x07);
	sk_serial_ops.write_string(s, DATA, 1, "0123456789012345678901234567890123456789", 40);
	(void)sk_serial_rx_put(s, "abcdefghijklmnopqrstuvwxyz", 26);
	assert_int_equal(sk_serial_rx_break(s), 0);
	edges(rig);
}

static size_t save(struct sk_serial *s, uint8_t *buf, size_t cap)
{
	struct sk_writer w;

	sk_writer_init(&w, buf, cap);
	sk_serial_save(s, &w);
	assert_true(sk_writer_ok(&w));
	return w.len_bytes;
}

static int restore(struct sk_serial *s, const uint8_t *buf, size_t len)
{
	struct sk_reader r;
	struct sk_error err;

	sk_reader_init(&r, buf, len);
	return sk_serial_restore(s, &r, &err);
}

/* 330 us are 33 characters: with those of the load that uses them up, 48. */
static void in_between_time_is_credit(void **state)
{
	struct rig *rig = *state;
	struct sk_serial *s = rig->serial;
	uint8_t buf[64];

	out(s, FCR, 0x01);
	out(s, IER, 0x02);
	assert_int_equal(handle_interrupt(s), 4);
	assert_int_equal(sk_serial_tx_take(s, buf, sizeof(buf)), 64);
	assert_int_equal(handle_interrupt(s), 1);
	for (int round = 0; round < 10; round++) {
		rig->now_ns += 330000;
		assert_int_equal(sk_serial_tx_take(s, buf, sizeof(buf)), round ? 48 : 16);
		assert_int_equal(handle_interrupt(s), 3);
	}
}

static void an_interrupt_that_waits_is_saved(void **state)
{
	struct rig *rig = *state;
	struct sk_serial *s = rig->serial, *other = make(rig, 64, 64, false);
	uint8_t bytes[1024], buf[64];

	out(s, FCR, 0x01);
	out(s, IER, 0x02);
	assert_int_equal(handle_interrupt(s), 4);
	assert_int_equal(sk_serial_tx_take(s, buf, sizeof(buf)), 64);
	assert_int_equal(handle_interrupt(s), 1);
	assert_int_equal(restore(other, bytes, save(s, bytes, sizeof(bytes))), 0);
	edges(rig);
	assert_int_equal(sk_serial_tx_take(other, buf, sizeof(buf)), 16);
	assert_int_equal(edges(rig), 1);
	assert_int_equal(in(other, IIR), 0xc2);
	sk_serial_destroy(other);
}

static void state_moves_to_another_device(void **state)
{
	struct rig *rig = *state;
	struct sk_serial *other = make(rig, 64, 64, false), *small = make(rig, 16, 64, false);
	uint8_t buf[512], again[512], back[64];
	size_t len;

	busy_state(rig, rig->serial);
	(void)sk_serial_tx_take(rig->serial, back, 30);
	sk_serial_ops.write_string(rig->serial, DATA, 1, "wrap-around-the-end-of-the-ring", 31);
	len = save(rig->serial, buf, sizeof(buf));
	edges(rig);
	assert_int_equal(restore(small, buf, len), -ENOSPC);
	assert_int_equal(in(small, SCR), 0);
	rig->nr_tx_ready = 0;
	assert_int_equal(restore(other, buf, len), 0);
	assert_int_equal(edges(rig), 1);
	assert_int_equal(rig->nr_tx_ready, 1);
	assert_int_equal(save(other, again, sizeof(again)), len);
	assert_memory_equal(buf, again, len);
	assert_int_equal(sk_serial_tx_take(other, back, 64), 41);
	assert_memory_equal(back, "0123456789wrap-around-the-end-of-the-ring", 41);
	for (char c = 'a'; c <= 'z'; c++)
		assert_int_equal(in(other, DATA), c);
	assert_int_equal(in(other, LSR) & 0x10, 0x10);
	sk_serial_destroy(other);
	sk_serial_destroy(small);
}

static void garbage_changes_nothing(void **state)
{
	struct rig *rig = *state;
	struct sk_serial *s = rig->serial;
	uint8_t good[512], bad[512], before[512], after[512];
	struct sk_serial *fresh = make(rig, 64, 64, false);
	size_t len, len_before = save(fresh, before, sizeof(before));
	unsigned accepted = 0;

	busy_state(rig, s);
	len = save(s, good, sizeof(good));
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(restore(fresh, good, cut), -EINVAL);
	assert_int_equal(save(fresh, after, sizeof(after)), len_before);
	assert_memory_equal(before, after, len_before);
	/* Any byte changed to anything: refused without a trace, or a state that saves the same. */
	for (size_t at = 0; at < len; at++) {
		for (unsigned v = 0; v < 256; v += 5) {
			memcpy(bad, good, len);
			bad[at] ^= (uint8_t)v;
			if (restore(fresh, bad, len) == 0)
				accepted++;
			for (unsigned reg = 0; reg < 8; reg++)
				(void)in(fresh, reg);
			sk_serial_ops.write_string(fresh, DATA, 1, bad, 100);
			assert_int_equal(restore(fresh, before, len_before), 0);
			assert_int_equal(save(fresh, after, sizeof(after)), len_before);
			assert_memory_equal(before, after, len_before);
		}
	}
	assert_true(accepted > 0);
	sk_serial_destroy(fresh);
}

/* Another device's buffers go through the same rings, in order with the UART's own bytes. */
static void whole_buffers_share_the_rings(void **state)
{
	static uint8_t big[SK_SERIAL_TX_RING_BYTES + 1];
	struct rig *rig = *state;
	struct sk_serial *s = rig->serial;
	uint8_t buf[64];
	size_t sent, n;

	out(s, DATA, 'a');
	assert_int_equal(sk_serial_guest_put(s, "bcd", 3), 3);
	out(s, DATA, 'e');
	assert_int_equal(sk_serial_tx_take(s, buf, sizeof(buf)), 5);
	assert_memory_equal(buf, "abcde", 5);
	/* What THRE promises is left: room for a FIFO. */
	for (sent = 0; (n = sk_serial_guest_put(s, big, sizeof(big))); sent += n)
		;
	assert_true(sent > 0);
	if (in(s, LSR) & 0x20) {
		struct sk_serial_counters c;

		for (int i = 0; i < SK_SERIAL_FIFO_BYTES; i++)
			out(s, DATA, 'x');
		sk_serial_counters(s, &c);
		assert_int_equal(c.tx_dropped_bytes, 0);
	}
	/* A buffer that could be whole is not torn. */
	assert_int_equal(sk_serial_tx_take(s, buf, 10), 10);
	assert_int_equal(sk_serial_guest_put(s, big, 40), 0);
	while (sk_serial_tx_take(s, buf, sizeof(buf)))
		;
	assert_int_equal(sk_serial_guest_put(s, big, 40), 40);
	assert_int_equal(sk_serial_tx_take(s, buf, sizeof(buf)), 40);
	/* Input: the FIFO's first, then the ring's; breaks are passed over. */
	out(s, FCR, 0x01);
	assert_int_equal(sk_serial_rx_put(s, "1234567890", 10), 10);
	assert_int_equal(sk_serial_rx_break(s), 0);
	assert_int_equal(sk_serial_rx_put(s, "abcdefghijklm", 13), 13);
	assert_int_equal(in(s, DATA), '1');
	assert_int_equal(sk_serial_guest_take(s, buf, 5), 5);
	assert_memory_equal(buf, "23456", 5);
	assert_int_equal(sk_serial_guest_take(s, buf, sizeof(buf)), 17);
	assert_memory_equal(buf, "7890abcdefghijklm", 17);
	assert_int_equal(sk_serial_guest_take(s, buf, sizeof(buf)), 0);
}

/* Two vCPUs and a host thread at once; TSan looks on, and no byte may be lost. */
struct race {
	struct sk_serial *s;
	_Atomic unsigned writers;
	_Atomic uint64_t sent;
};

static void *race_vcpu(void *arg)
{
	struct race *race = arg;

	for (int i = 0; i < 20000; i++) {
		/* A full ring is not an error here: each vCPU adds at most 1 behind THRE. */
		if (in(race->s, LSR) & 0x20) {
			out(race->s, DATA, (uint8_t)i);
			atomic_fetch_add(&race->sent, 1);
		}
		(void)in(race->s, IIR);
		(void)in(race->s, DATA);
	}
	atomic_fetch_sub(&race->writers, 1);
	return NULL;
}

static void vcpus_and_host_race(void **state)
{
	struct rig *rig = *state;
	struct race race = {.s = rig->serial, .writers = 2};
	struct sk_serial_counters c;
	pthread_t vcpus[2];
	uint64_t taken = 0;
	uint8_t buf[32];
	size_t n;

	/* The callback counters belong to one thread only: use a device without callbacks. */
	sk_serial_destroy(rig->serial);
	assert_int_equal(sk_serial_create(&rig->serial,
					  &(struct sk_serial_config){.irq_fd = rig->irq_fd}, NULL),
			 0);
	race.s = rig->serial;
	out(race.s, FCR, 0x01);
	out(race.s, IER, 0x03);
	for (size_t i = 0; i < SK_ARRAY_SIZE(vcpus); i++)
		assert_int_equal(pthread_create(&vcpus[i], NULL, race_vcpu, &race), 0);
	do {
		n = sk_serial_tx_take(race.s, buf, sizeof(buf));
		taken += n;
		(void)sk_serial_rx_put(race.s, buf, n);
		edges(rig);
	} while (n || atomic_load(&race.writers));
	for (size_t i = 0; i < SK_ARRAY_SIZE(vcpus); i++)
		pthread_join(vcpus[i], NULL);
	while ((n = sk_serial_tx_take(race.s, buf, sizeof(buf))))
		taken += n;
	sk_serial_counters(race.s, &c);
	assert_int_equal(c.tx_dropped_bytes, 0);
	assert_true(taken == atomic_load(&race.sent));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bad_configurations_are_refused),
		TEST(linux_finds_a_16550a),
		TEST(thre_interrupt_follows_the_hardware),
		TEST(a_slow_host_pushes_back),
		TEST(a_prompt_host_paces_the_interrupt),
		TEST(a_late_host_gets_a_ring_full),
		TEST(in_between_time_is_credit),
		TEST(an_interrupt_that_waits_is_saved),
		TEST(a_flood_is_bounded_and_counted),
		TEST(receive_with_trigger_and_timeout),
		TEST(a_slow_guest_pushes_back),
		TEST(input_waits_for_rts_if_so_configured),
		TEST(breaks_arrive_in_order),
		TEST(modem_lines),
		TEST(priorities),
		TEST(wide_and_hostile_accesses),
		TEST(state_moves_to_another_device),
		TEST(garbage_changes_nothing),
		TEST(whole_buffers_share_the_rings),
		TEST(vcpus_and_host_race),
	};

	return cmocka_run_group_tests_name("serial", tests, NULL, NULL);
}
