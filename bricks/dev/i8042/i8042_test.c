/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include <skete/dev/i8042.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>

struct rig {
	struct sk_bus *bus;
	struct sk_i8042 *kbc;
	_Atomic unsigned resets;
};

static void count_reset(void *ctx)
{
	atomic_fetch_add(&((struct rig *)ctx)->resets, 1);
}

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct sk_i8042_config config = {.on_reset = count_reset, .ctx = rig};

	assert_int_equal(sk_bus_create(&rig->bus, SK_BUS_PIO_LAST, NULL), 0);
	assert_int_equal(sk_i8042_create(&rig->kbc, &config, NULL), 0);
	assert_int_equal(sk_bus_add(rig->bus, SK_I8042_DATA_PORT, 1, &sk_i8042_data_ops, rig->kbc,
				    "i8042", NULL),
			 0);
	assert_int_equal(sk_bus_add(rig->bus, SK_I8042_COMMAND_PORT, 1, &sk_i8042_command_ops,
				    rig->kbc, "i8042", NULL),
			 0);
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	sk_bus_destroy(rig->bus);
	sk_i8042_destroy(rig->kbc);
	sk_i8042_destroy(NULL);
	free(rig);
	return 0;
}

static uint8_t in(struct rig *rig, uint64_t port)
{
	uint8_t value = 0;

	assert_int_equal(sk_bus_read(rig->bus, port, &value, 1, 1), 0);
	return value;
}

static void out(struct rig *rig, uint64_t port, uint8_t value)
{
	assert_int_equal(sk_bus_write(rig->bus, port, &value, 1, 1), 0);
}

/* Sends a command and expects an answer. */
static uint8_t ask(struct rig *rig, uint8_t command)
{
	out(rig, 0x64, command);
	assert_int_equal(in(rig, 0x64) & 0x03, 0x01);
	return in(rig, 0x60);
}

static void reset_by_each_way(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(in(rig, 0x64) & 0x02, 0); /* Linux waits for the input buffer */
	out(rig, 0x64, 0xfe);
	assert_int_equal(rig->resets, 1);
	out(rig, 0x64, 0xff); /* pulses nothing */
	out(rig, 0x64, 0xf1);
	assert_int_equal(rig->resets, 1);
	out(rig, 0x64, 0xf0);
	assert_int_equal(rig->resets, 2);
	out(rig, 0x64, 0xd1);
	out(rig, 0x60, 0x03);
	assert_int_equal(rig->resets, 2);
	assert_int_equal(ask(rig, 0xd0), 0x03);
	out(rig, 0x64, 0xd1);
	out(rig, 0x60, 0x02);
	assert_int_equal(rig->resets, 3);
	out(rig, 0x60, 0x02); /* not a parameter any more */
	out(rig, 0x60, 0xfe);
	assert_int_equal(rig->resets, 3);
	out(rig, 0x64, 0xd1);
	out(rig, 0x64, 0xff); /* another command takes the place of the one that waits */
	out(rig, 0x60, 0x00);
	assert_int_equal(rig->resets, 3);
}

/* What Linux's i8042 driver asks: a controller, no keyboard that answers, no auxiliary port. */
static void a_driver_finds_nothing_plugged_in(void **state)
{
	struct rig *rig = *state;
	uint8_t control;

	assert_int_not_equal(in(rig, 0x64), 0xff);
	assert_int_equal(in(rig, 0x64) & 0x01, 0);
	control = ask(rig, 0x20);
	assert_int_equal(ask(rig, 0x20), control);
	out(rig, 0x64, 0x60);
	out(rig, 0x60, 0x30);
	assert_int_equal(ask(rig, 0x20), 0x30);
	assert_int_equal(in(rig, 0x64) & 0x04, 0);
	assert_int_equal(ask(rig, 0xaa), 0x55);
	assert_int_equal(in(rig, 0x64) & 0x0c, 0x0c);
	assert_int_not_equal(ask(rig, 0xab), 0);
	assert_int_not_equal(ask(rig, 0xa9), 0);
	out(rig, 0x64, 0xd3);
	out(rig, 0x60, 0x5a);
	assert_int_equal(in(rig, 0x64) & 0x21, 0x01); /* not from an auxiliary device */
	assert_int_equal(in(rig, 0x60), 0x5a);
	out(rig, 0x60, 0xf2); /* keyboard, who are you? */
	assert_int_equal(in(rig, 0x64) & 0x09, 0);
	out(rig, 0x64, 0xd4);
	out(rig, 0x60, 0xff);
	assert_int_equal(in(rig, 0x64) & 0x01, 0);
	out(rig, 0x64, 0xae);
	out(rig, 0x64, 0xa8);
	assert_int_equal(ask(rig, 0x20) & 0x30, 0);
	out(rig, 0x64, 0xad);
	out(rig, 0x64, 0xa7);
	assert_int_equal(ask(rig, 0x20) & 0x30, 0x30);
	out(rig, 0x64, 0x7f);
	out(rig, 0x60, 0x99);
	assert_int_equal(ask(rig, 0x3f), 0x99);
	out(rig, 0x64, 0xdd);
	assert_int_equal(ask(rig, 0xd0) & 2, 0);
	out(rig, 0x64, 0xdf);
	assert_int_equal(ask(rig, 0xd0) & 2, 2);
	assert_int_equal(rig->resets, 0);
}

static void every_command_is_survived(void **state)
{
	struct rig *rig = *state;
	uint32_t word = 0;

	for (unsigned command = 0; command < 256; command++) {
		for (unsigned data = 0; data < 256; data++) {
			out(rig, 0x64, (uint8_t)command);
			out(rig, 0x60, (uint8_t)data);
			out(rig, 0x60, (uint8_t)data);
			(void)in(rig, 0x60);
			assert_int_equal(in(rig, 0x64) & 0x03, 0);
		}
	}
	/* 8 even commands from 0xf0 up, each 256 times, and 0xd1 with an even parameter. */
	assert_int_equal(rig->resets, 8 * 256 + 128);
	/* Wider accesses reach beyond the port. */
	assert_int_equal(sk_bus_read(rig->bus, 0x60, &word, 2, 1), -ENXIO);
	assert_int_equal(sk_bus_write(rig->bus, 0x64, &word, 4, 1), -ENXIO);
	/* REP INSB. */
	assert_int_equal(sk_bus_read(rig->bus, 0x60, &word, 1, 4), 0);
}

static void save_restore_and_garbage(void **state)
{
	struct rig *rig = *state;
	struct sk_i8042 *other;
	struct sk_i8042_config config = {0};
	uint8_t good[64], bad[64], again[64];
	struct sk_writer w, w2;
	struct sk_reader r;
	struct sk_error err;
	unsigned refused = 0;

	assert_int_equal(sk_i8042_create(&other, &config, NULL), 0);
	(void)ask(rig, 0xaa);
	out(rig, 0x64, 0x20);
	out(rig, 0x64, 0x65); /* waits for its parameter */
	sk_writer_init(&w, good, sizeof(good));
	sk_i8042_save(rig->kbc, &w);
	assert_true(sk_writer_ok(&w));
	for (size_t cut = 0; cut < w.len_bytes; cut++) {
		sk_reader_init(&r, good, cut);
		assert_int_equal(sk_i8042_restore(other, &r, &err), -EINVAL);
	}
	for (size_t at = 0; at < w.len_bytes; at++) {
		for (unsigned v = 1; v < 256; v++) {
			memcpy(bad, good, sizeof(bad));
			bad[at] ^= (uint8_t)v;
			sk_reader_init(&r, bad, w.len_bytes);
			if (sk_i8042_restore(other, &r, &err)) {
				refused++;
				continue;
			}
			sk_writer_init(&w2, again, sizeof(again));
			sk_i8042_save(other, &w2);
			assert_memory_equal(bad, again, w.len_bytes);
		}
	}
	assert_true(refused > 4 * 255);
	sk_reader_init(&r, good, w.len_bytes);
	assert_int_equal(sk_i8042_restore(other, &r, &err), 0);
	sk_i8042_data_ops.write(other, 0, 1, 0x42);
	sk_i8042_command_ops.write(other, 0, 1, 0x25);
	assert_int_equal(sk_i8042_data_ops.read(other, 0, 1), 0x42);
	sk_i8042_command_ops.write(other, 0, 1, 0xfe); /* without a callback */
	sk_i8042_destroy(other);
}

static void *hammer(void *arg)
{
	struct rig *rig = arg;

	for (int i = 0; i < 2000; i++) {
		sk_i8042_command_ops.write(rig->kbc, 0, 1, (uint64_t)i % 256);
		sk_i8042_data_ops.write(rig->kbc, 0, 1, 1);
		(void)sk_i8042_data_ops.read(rig->kbc, 0, 1);
		(void)sk_i8042_command_ops.read(rig->kbc, 0, 1);
	}
	return NULL;
}

static void vcpus_race(void **state)
{
	pthread_t threads[2];

	for (size_t i = 0; i < SK_ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, *state), 0);
	for (size_t i = 0; i < SK_ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_true(((struct rig *)*state)->resets > 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reset_by_each_way),
		TEST(a_driver_finds_nothing_plugged_in),
		TEST(every_command_is_survived),
		TEST(save_restore_and_garbage),
		TEST(vcpus_race),
	};

	return cmocka_run_group_tests_name("i8042", tests, NULL, NULL);
}
