/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include "fake_kvm.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MASKED	   0x10000
#define LEVEL	   0x8000
#define REMOTE_IRR 0x4000
#define LOGICAL	   0x800

struct rig {
	struct fake_kvm kvm;
	struct sk_log log;
	unsigned int logged;
	struct sk_bus *bus;
	struct sk_ioapic *io;
	int fd, resample_fd;
};

static void count_log(void *ctx, enum sk_log_level level, const char *message)
{
	struct rig *rig = ctx;

	assert_int_equal(level, SK_LOG_ERROR);
	assert_non_null(strstr(message, "pin 4"));
	rig->logged++;
}

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct sk_ioapic_config config = fake_kvm_init(&rig->kvm);

	rig->log = (struct sk_log){.emit = count_log, .ctx = rig, .max_level = SK_LOG_ERROR};
	config.log = &rig->log;
	rig->fd = sk_eventfd_create();
	rig->resample_fd = sk_eventfd_create();
	assert_int_equal(sk_ioapic_create(&rig->io, &config, NULL), 0);
	assert_int_equal(sk_bus_create(&rig->bus, SK_BUS_MMIO_LAST, NULL), 0);
	assert_int_equal(sk_bus_add(rig->bus, SK_IOAPIC_GPA, SK_IOAPIC_BYTES, &sk_ioapic_ops,
				    rig->io, "ioapic", NULL),
			 0);
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	sk_bus_destroy(rig->bus);
	sk_ioapic_destroy(rig->io);
	sk_ioapic_destroy(NULL);
	sk_close(&rig->fd);
	sk_close(&rig->resample_fd);
	free(rig);
	return 0;
}

static void poke(struct rig *rig, uint64_t offset, uint32_t value)
{
	assert_int_equal(sk_bus_write(rig->bus, SK_IOAPIC_GPA + offset, &value, 4, 1), 0);
}

static uint32_t peek(struct rig *rig, uint64_t offset)
{
	uint32_t value = 0x5a5a5a5a;

	assert_int_equal(sk_bus_read(rig->bus, SK_IOAPIC_GPA + offset, &value, 4, 1), 0);
	return value;
}

static void set_reg(struct rig *rig, uint8_t reg, uint32_t value)
{
	poke(rig, 0x00, reg);
	poke(rig, 0x10, value);
}

static uint32_t get_reg(struct rig *rig, uint8_t reg)
{
	poke(rig, 0x00, reg);
	return peek(rig, 0x10);
}

/* As Linux writes an entry: the destination first. */
static void program(struct rig *rig, unsigned int pin, uint32_t low, uint8_t dest)
{
	set_reg(rig, (uint8_t)(0x11 + 2 * pin), (uint32_t)dest << 24);
	set_reg(rig, (uint8_t)(0x10 + 2 * pin), low);
}

static uint32_t low_of(struct rig *rig, unsigned int pin)
{
	return get_reg(rig, (uint8_t)(0x10 + 2 * pin));
}

static void attach(struct rig *rig, unsigned int pin, int resample_fd)
{
	assert_int_equal(sk_ioapic_attach(rig->io, pin, rig->fd, resample_fd, NULL), 0);
}

/* What the device does, and KVM at once if it listens. */
static void signal_pin(struct rig *rig, unsigned int pin)
{
	sk_eventfd_signal(rig->fd);
	fake_poll(&rig->kvm, pin);
}

static void registers_are_those_of_the_data_sheet(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(get_reg(rig, 0), 0);
	assert_int_equal(get_reg(rig, 1), 0x00170020); /* 24 entries, with an EOI register */
	for (unsigned int pin = 0; pin < SK_IOAPIC_NR_PINS; pin++)
		assert_int_equal(low_of(rig, pin), MASKED);
	set_reg(rig, 0, 0xffffffff);
	assert_int_equal(get_reg(rig, 0), 0x0f000000);
	assert_int_equal(get_reg(rig, 2), 0x0f000000); /* arbitration: the ID until it wins */
	set_reg(rig, 1, 0);
	set_reg(rig, 2, 0);
	assert_int_equal(get_reg(rig, 1), 0x00170020);
	assert_int_equal(get_reg(rig, 2), 0x0f000000);
	/* Delivery Status and Remote IRR are read-only, the reserved bits zero. */
	set_reg(rig, 0x10, 0xffffffff);
	assert_int_equal(get_reg(rig, 0x10), 0x1afff);
	set_reg(rig, 0x11, 0xffffffff);
	assert_int_equal(get_reg(rig, 0x11), 0xff000000);
	assert_int_equal(get_reg(rig, 0x10), 0x1afff);
	assert_int_equal(peek(rig, 0x00), 0x10);
	poke(rig, 0x00, 0xabcdef01);
	assert_int_equal(peek(rig, 0x00), 0x01);
}

static void what_is_not_there_reads_zero(void **state)
{
	struct rig *rig = *state;
	uint64_t wide = UINT64_MAX;
	uint8_t narrow = 0xff;

	for (unsigned int reg = 3; reg < 256; reg++) {
		if (reg >= 0x10 && reg < 0x40)
			continue;
		set_reg(rig, (uint8_t)reg, 0xffffffff);
		assert_int_equal(get_reg(rig, (uint8_t)reg), 0);
	}
	poke(rig, 0x00, 0x12);
	for (uint64_t offset = 0; offset < SK_IOAPIC_BYTES; offset++) {
		if (offset == 0x00 || offset == 0x10)
			continue;
		assert_int_equal(sk_bus_write(rig->bus, SK_IOAPIC_GPA + offset, &narrow, 1, 1), 0);
		assert_int_equal(sk_bus_read(rig->bus, SK_IOAPIC_GPA + offset, &narrow, 1, 1), 0);
		assert_int_equal(narrow, 0);
		narrow = 0xff;
	}
	/* The window takes four bytes only. */
	assert_int_equal(sk_bus_write(rig->bus, SK_IOAPIC_GPA + 0x10, &wide, 8, 1), 0);
	assert_int_equal(sk_bus_write(rig->bus, SK_IOAPIC_GPA + 0x10, &wide, 2, 1), 0);
	assert_int_equal(sk_bus_write(rig->bus, SK_IOAPIC_GPA + 0x10, &wide, 1, 1), 0);
	assert_int_equal(sk_bus_read(rig->bus, SK_IOAPIC_GPA + 0x10, &wide, 8, 1), 0);
	assert_true(wide == 0);
	assert_int_equal(low_of(rig, 1), MASKED);
	/* The selector takes any width, as a byte. */
	narrow = 0x01;
	assert_int_equal(sk_bus_write(rig->bus, SK_IOAPIC_GPA, &narrow, 1, 1), 0);
	assert_int_equal(peek(rig, 0x10), 0x00170020);
}

static void an_edge_goes_from_eventfd_to_message(void **state)
{
	struct rig *rig = *state;

	attach(rig, 4, -1);
	assert_int_equal(rig->kvm.route_calls + rig->kvm.connect_calls, 0);
	program(rig, 4, 0x31, 2);
	assert_int_equal(rig->kvm.fds[4], rig->fd);
	signal_pin(rig, 4);
	assert_int_equal(rig->kvm.arrived[4], 1);
	assert_true(rig->kvm.last.address == 0xfee02000);
	assert_int_equal(rig->kvm.last.data, 0x31);
	/* Logical, lowest priority, active low: the last has no meaning for a message. */
	program(rig, 4, 0x32 | LOGICAL | 0x100 | 0x2000, 0x81);
	signal_pin(rig, 4);
	assert_true(rig->kvm.last.address == 0xfee81004);
	assert_int_equal(rig->kvm.last.data, 0x132);
	program(rig, 4, 0x33 | LEVEL, 0xff);
	signal_pin(rig, 4);
	assert_true(rig->kvm.last.address == 0xfeeff000);
	assert_int_equal(rig->kvm.last.data, 0xc033);
	assert_int_equal(rig->kvm.lost, 0);
}

static void masked_edges_wait_and_arrive_once(void **state)
{
	struct rig *rig = *state;

	signal_pin(rig, 4);
	attach(rig, 4, -1);
	signal_pin(rig, 4);
	assert_int_equal(rig->kvm.arrived[4], 0);
	program(rig, 4, 0x31, 0);
	assert_int_equal(rig->kvm.arrived[4], 1);
	for (int i = 0; i < 10; i++) {
		program(rig, 4, 0x31 | MASKED, 0);
		assert_int_equal(rig->kvm.fds[4], -1);
		for (int k = 0; k < i; k++)
			signal_pin(rig, 4);
		assert_int_equal(rig->kvm.arrived[4], 1);
		/* Still masked, another vector: the pending edge takes the new one. */
		program(rig, 4, (0x40 + (uint32_t)i) | MASKED, 0);
		program(rig, 4, 0x40 + (uint32_t)i, 0);
		assert_int_equal(rig->kvm.arrived[4], i ? 2 : 1);
		if (i)
			assert_int_equal(rig->kvm.last.data, 0x40 + i);
		rig->kvm.arrived[4] = 1;
	}
	/* An edge that came before the mask is delivered, not kept. */
	sk_eventfd_signal(rig->fd);
	program(rig, 4, 0x31 | MASKED, 0);
	assert_int_equal(rig->kvm.arrived[4], 2);
	program(rig, 4, 0x31, 0);
	assert_int_equal(rig->kvm.arrived[4], 2);
	assert_int_equal(rig->kvm.lost, 0);
}

static void only_changes_cost_a_call(void **state)
{
	struct rig *rig = *state;

	/* What Linux does at boot to pins without a device. */
	for (unsigned int pin = 0; pin < SK_IOAPIC_NR_PINS; pin++) {
		program(rig, pin, MASKED, 0);
		program(rig, pin, 0x30 + pin, 1);
	}
	assert_int_equal(rig->kvm.route_calls, 0);
	attach(rig, 4, -1); /* to a pin that is open already */
	assert_int_equal(rig->kvm.route_calls, 1);
	assert_int_equal(rig->kvm.connect_calls, 1);
	for (int i = 0; i < 5; i++)
		program(rig, 4, 0x34, 1);
	program(rig, 4, 0x34 | MASKED, 1);
	program(rig, 4, 0x34, 1);
	assert_int_equal(rig->kvm.route_calls, 1);
	assert_int_equal(rig->kvm.connect_calls, 2);
	assert_int_equal(rig->kvm.disconnect_calls, 1);
	/* A level entry is routed even so: KVM has to report its EOI. */
	program(rig, 9, 0x39 | LEVEL, 1);
	assert_int_equal(rig->kvm.route_calls, 2);
	assert_int_equal(rig->kvm.routes[9].data, 0xc039);
}

static void the_end_of_a_level_interrupt_is_told(void **state)
{
	struct rig *rig = *state;

	attach(rig, 4, rig->resample_fd);
	program(rig, 4, 0x31 | LEVEL, 0);
	signal_pin(rig, 4);
	sk_ioapic_eoi(rig->io, 0x30);
	sk_ioapic_eoi(rig->io, 0);
	assert_int_equal(sk_eventfd_drain(rig->resample_fd), 0);
	sk_ioapic_eoi(rig->io, 0x31);
	assert_int_equal(sk_eventfd_drain(rig->resample_fd), 1);
	poke(rig, 0x40, 0x31); /* directed EOI */
	assert_int_equal(sk_eventfd_drain(rig->resample_fd), 1);
	/* Masked in service: the end is told, what the device says then waits. */
	program(rig, 4, 0x31 | LEVEL | MASKED, 0);
	sk_ioapic_eoi(rig->io, 0x31);
	assert_int_equal(sk_eventfd_drain(rig->resample_fd), 1);
	signal_pin(rig, 4);
	assert_int_equal(rig->kvm.arrived[4], 1);
	program(rig, 4, 0x31 | LEVEL, 0);
	assert_int_equal(rig->kvm.arrived[4], 2);
	program(rig, 4, 0x31, 0); /* edges have no end */
	sk_ioapic_eoi(rig->io, 0x31);
	assert_int_equal(sk_eventfd_drain(rig->resample_fd), 0);
}

static void a_line_has_remote_irr(void **state)
{
	struct rig *rig = *state;

	sk_ioapic_set_level(rig->io, 9, true); /* masked: nothing happens yet */
	assert_int_equal(rig->kvm.sent, 0);
	program(rig, 9, 0x39 | LEVEL, 1);
	assert_int_equal(rig->kvm.sent, 1);
	assert_int_equal(rig->kvm.last.data, 0xc039);
	assert_int_equal(low_of(rig, 9), 0x39 | LEVEL | REMOTE_IRR);
	sk_ioapic_set_level(rig->io, 9, true);
	program(rig, 9, 0x39 | LEVEL | MASKED, 1);
	program(rig, 9, 0x39 | LEVEL, 1);
	assert_int_equal(rig->kvm.sent, 1); /* in service */
	sk_ioapic_eoi(rig->io, 0x39);
	assert_int_equal(rig->kvm.sent, 2); /* still high */
	sk_ioapic_set_level(rig->io, 9, false);
	assert_int_equal(low_of(rig, 9), 0x39 | LEVEL | REMOTE_IRR);
	sk_ioapic_eoi(rig->io, 0x39);
	assert_int_equal(rig->kvm.sent, 2);
	assert_int_equal(low_of(rig, 9), 0x39 | LEVEL);
	/* A driver without the EOI register ends it through edge mode. */
	sk_ioapic_set_level(rig->io, 9, true);
	program(rig, 9, 0x39 | MASKED, 1);
	assert_int_equal(low_of(rig, 9), 0x39 | MASKED);
	program(rig, 9, 0x39 | LEVEL, 1);
	assert_int_equal(rig->kvm.sent, 4);
	sk_ioapic_set_level(rig->io, 9, false);
	sk_ioapic_eoi(rig->io, 0x39);
	/* Nobody took it: no Remote IRR, so the next occasion tries again. */
	rig->kvm.send_result = -EAGAIN;
	sk_ioapic_set_level(rig->io, 9, true);
	assert_int_equal(low_of(rig, 9), 0x39 | LEVEL);
	rig->kvm.send_result = 0;
	program(rig, 9, 0x39 | LEVEL, 1);
	assert_int_equal(rig->kvm.sent, 5);
	sk_ioapic_set_level(rig->io, SK_IOAPIC_NR_PINS, true);
	sk_ioapic_set_level(rig->io, UINT32_MAX, true);
}

static void a_line_on_an_edge_pin_sends_its_edges(void **state)
{
	struct rig *rig = *state;

	program(rig, 9, 0x39, 0);
	for (int i = 0; i < 3; i++) {
		sk_ioapic_set_level(rig->io, 9, true);
		sk_ioapic_set_level(rig->io, 9, true);
		sk_ioapic_set_level(rig->io, 9, false);
	}
	assert_int_equal(rig->kvm.sent, 3);
	program(rig, 9, 0x39 | MASKED, 0);
	for (int i = 0; i < 3; i++) {
		sk_ioapic_set_level(rig->io, 9, true);
		sk_ioapic_set_level(rig->io, 9, false);
	}
	assert_int_equal(rig->kvm.sent, 3);
	program(rig, 9, 0x3a, 0);
	program(rig, 9, 0x3a, 0);
	assert_int_equal(rig->kvm.sent, 4);
	assert_int_equal(rig->kvm.last.data, 0x3a);
}

static void a_host_that_refuses_loses_nothing(void **state)
{
	struct rig *rig = *state;
	struct sk_error err;

	attach(rig, 4, -1);
	rig->kvm.route_result = -ENOMEM;
	program(rig, 4, 0x31, 0);
	program(rig, 4, 0x31, 0);
	assert_int_equal(rig->logged, 1);
	assert_int_equal(rig->kvm.fds[4], -1);
	signal_pin(rig, 4);
	rig->kvm.route_result = 0;
	rig->kvm.connect_result = -ENOMEM;
	program(rig, 4, 0x31, 0);
	assert_int_equal(rig->logged, 1);
	rig->kvm.connect_result = 0;
	program(rig, 4, 0x31, 0);
	assert_int_equal(rig->kvm.arrived[4], 1);
	/* No new route: better late than at the old place. */
	rig->kvm.route_result = -ENOMEM;
	program(rig, 4, 0x32, 0);
	assert_int_equal(rig->logged, 2);
	signal_pin(rig, 4);
	assert_int_equal(rig->kvm.arrived[4], 1);
	rig->kvm.route_result = 0;
	program(rig, 4, 0x32, 0);
	assert_int_equal(rig->kvm.arrived[4], 2);
	assert_int_equal(rig->kvm.last.data, 0x32);
	rig->kvm.disconnect_result = -EINVAL;
	program(rig, 4, 0x32 | MASKED, 0);
	assert_int_equal(rig->logged, 3);
	assert_int_equal(sk_ioapic_detach(rig->io, 4), -EINVAL);
	rig->kvm.disconnect_result = 0;
	assert_int_equal(sk_ioapic_detach(rig->io, 4), 0);
	assert_int_equal(rig->kvm.lost, 0);

	program(rig, 4, 0x32, 0);
	rig->kvm.connect_result = -EBUSY;
	assert_int_equal(sk_ioapic_attach(rig->io, 4, rig->fd, -1, &err), -EBUSY);
	assert_non_null(strstr(err.message, "pin 4"));
	rig->kvm.connect_result = 0;
	attach(rig, 4, -1);
}

static void pins_have_one_owner(void **state)
{
	struct sk_ioapic_config config = {0};
	struct sk_ioapic *none = NULL;
	struct rig *rig = *state;

	assert_int_equal(sk_ioapic_create(&none, &config, NULL), -EINVAL);
	assert_int_equal(sk_ioapic_attach(rig->io, SK_IOAPIC_NR_PINS, rig->fd, -1, NULL), -EINVAL);
	assert_int_equal(sk_ioapic_attach(rig->io, 4, -1, -1, NULL), -EINVAL);
	attach(rig, 4, -1);
	assert_int_equal(sk_ioapic_attach(rig->io, 4, rig->resample_fd, -1, NULL), -EBUSY);
	program(rig, 4, 0x31, 0);
	assert_int_equal(sk_ioapic_detach(rig->io, 4), 0);
	assert_int_equal(rig->kvm.fds[4], -1);
	assert_int_equal(sk_ioapic_detach(rig->io, 4), -ENOENT);
	assert_int_equal(sk_ioapic_detach(rig->io, UINT32_MAX), -ENOENT);
	program(rig, 4, 0x31 | MASKED, 0);
	attach(rig, 4, -1);
}

static size_t save(struct sk_ioapic *io, uint8_t *buf, size_t size)
{
	struct sk_writer w;

	sk_writer_init(&w, buf, size);
	sk_ioapic_save(io, &w);
	assert_true(sk_writer_ok(&w));
	return w.len_bytes;
}

static int restore(struct sk_ioapic *io, const uint8_t *buf, size_t len)
{
	struct sk_reader r;

	sk_reader_init(&r, buf, len);
	return sk_ioapic_restore(io, &r, NULL);
}

static void a_restored_machine_goes_on(void **state)
{
	struct rig *rig = *state, *other;
	uint8_t first[512], second[512];
	size_t len;

	attach(rig, 4, -1);
	program(rig, 4, 0x31 | MASKED, 3);
	signal_pin(rig, 4);
	program(rig, 9, 0x39 | LEVEL, 1);
	sk_ioapic_set_level(rig->io, 9, true);
	program(rig, 10, 0x3a | MASKED, 1);
	sk_ioapic_set_level(rig->io, 10, true);
	sk_ioapic_set_level(rig->io, 10, false);
	program(rig, 5, 0x35, 1);
	set_reg(rig, 0, 0x05000000);
	len = save(rig->io, first, sizeof(first));
	assert_int_equal(len, save(rig->io, second, sizeof(second)));
	assert_memory_equal(first, second, len);

	assert_int_equal(set_up((void **)&other), 0);
	assert_int_equal(sk_ioapic_attach(other->io, 4, other->fd, -1, NULL), 0);
	assert_int_equal(sk_ioapic_attach(other->io, 5, other->resample_fd, -1, NULL), 0);
	assert_int_equal(restore(other->io, first, len), 0);
	assert_int_equal(save(other->io, second, sizeof(second)), len);
	assert_memory_equal(first, second, len);
	assert_int_equal(other->kvm.fds[5], other->resample_fd);
	assert_int_equal(other->kvm.sent, 0); /* that of pin 9 is in the saved local APIC */
	program(other, 4, 0x31, 3);
	assert_int_equal(other->kvm.arrived[4], 1);
	program(other, 10, 0x3a, 1);
	assert_int_equal(other->kvm.sent, 1);
	sk_ioapic_eoi(other->io, 0x39);
	assert_int_equal(other->kvm.sent, 2);
	assert_int_equal(get_reg(other, 0), 0x05000000);

	other->kvm.route_result = -ENOMEM;
	first[4 + 2 + 4 * 9] ^= 0x07; /* another vector for pin 4 */
	first[4 + 2 + 4 * 9 + 2] = 0; /* not masked */
	assert_int_equal(restore(other->io, first, len), -ENOMEM);
	tear_down((void **)&other);
}

static void impossible_states_are_refused(void **state)
{
	struct rig *rig = *state;
	uint8_t good[512], bad[512], now[512];
	unsigned int refused = 0;
	size_t len;

	attach(rig, 4, -1);
	program(rig, 4, 0x31, 3);
	program(rig, 9, 0x39 | LEVEL, 1);
	len = save(rig->io, good, sizeof(good));
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(restore(rig->io, good, cut), -EINVAL);
	for (size_t at = 0; at < len; at++) {
		for (unsigned int bit = 0; bit < 8; bit++) {
			memcpy(bad, good, len);
			bad[at] ^= (uint8_t)(1 << bit);
			if (restore(rig->io, bad, len) == 0) {
				assert_int_equal(restore(rig->io, good, len), 0);
				continue;
			}
			refused++;
			assert_int_equal(save(rig->io, now, sizeof(now)), len);
			assert_memory_equal(good, now, len);
		}
	}
	/* The version, the ID's upper half, and per pin: 36 bits of the entry, 6 of the flags. */
	assert_true(refused >= 32 + 4 + 24 * (36 + 6));
}

#define ROUNDS 3000

struct racer {
	struct rig *rig;
	unsigned int pin;
};

static void *race(void *arg)
{
	struct racer *racer = arg;
	struct sk_ioapic *io = racer->rig->io;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		sk_ioapic_ops.write(io, 0x00, 4, 0x10 + 2 * racer->pin);
		sk_ioapic_ops.write(io, 0x10, 4, (i & 1 ? MASKED : 0) | LEVEL | 0x31);
		sk_ioapic_set_level(io, racer->pin, i & 2);
		sk_ioapic_eoi(io, 0x31);
		(void)sk_ioapic_ops.read(io, 0x10, 4);
		sk_eventfd_signal(racer->rig->fd);
	}
	return NULL;
}

static void cpus_and_devices_race(void **state)
{
	struct rig *rig = *state;
	struct racer racers[3] = {{rig, 3}, {rig, 4}, {rig, 5}};
	pthread_t threads[3];

	attach(rig, 4, rig->resample_fd);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
	for (size_t i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	program(rig, 4, 0x31, 0);
	fake_poll(&rig->kvm, 4);
	assert_true(rig->kvm.arrived[4] > 0);
	assert_int_equal(rig->kvm.lost, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(registers_are_those_of_the_data_sheet),
		TEST(what_is_not_there_reads_zero),
		TEST(an_edge_goes_from_eventfd_to_message),
		TEST(masked_edges_wait_and_arrive_once),
		TEST(only_changes_cost_a_call),
		TEST(the_end_of_a_level_interrupt_is_told),
		TEST(a_line_has_remote_irr),
		TEST(a_line_on_an_edge_pin_sends_its_edges),
		TEST(a_host_that_refuses_loses_nothing),
		TEST(pins_have_one_owner),
		TEST(a_restored_machine_goes_on),
		TEST(impossible_states_are_refused),
		TEST(cpus_and_devices_race),
	};

	return cmocka_run_group_tests_name("ioapic", tests, NULL, NULL);
}
