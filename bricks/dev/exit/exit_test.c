/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include <skete/dev/exit.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct rig {
	struct sk_bus *bus;
	struct sk_exit *dev;
	unsigned calls;
	uint32_t status;
};

static void note(void *ctx, uint32_t status)
{
	struct rig *rig = ctx;

	rig->calls++;
	rig->status = status;
}

static struct rig make(void)
{
	struct rig rig = {0};

	assert_int_equal(sk_bus_create(&rig.bus, SK_BUS_PIO_LAST, NULL), 0);
	return rig;
}

static void attach(struct rig *rig, bool has_debug, bool has_status)
{
	struct sk_exit_config config = {
		.has_debug_port = has_debug,
		.has_status_port = has_status,
		.on_exit = note,
		.ctx = rig,
	};

	assert_int_equal(sk_exit_create(&rig->dev, &config, NULL), 0);
	assert_int_equal(sk_exit_attach(rig->dev, rig->bus, NULL), 0);
}

static void drop(struct rig *rig)
{
	sk_bus_destroy(rig->bus);
	sk_exit_destroy(rig->dev);
}

static int out(struct rig *rig, uint64_t port, unsigned size, uint64_t value)
{
	uint8_t data[8];

	sk_store_le64(data, value);
	rig->calls = 0;
	return sk_bus_write(rig->bus, port, data, size, 1);
}

static void debug_port_is_qemus(void **state)
{
	struct rig rig = make();
	uint32_t value = 0x1234;

	(void)state;
	attach(&rig, true, false);
	assert_int_equal(out(&rig, 0xf4, 1, 0), 0);
	assert_int_equal(rig.status, 1);
	assert_int_equal(out(&rig, 0xf4, 1, 0xff), 0);
	assert_int_equal(rig.status, 0x1ff);
	assert_int_equal(out(&rig, 0xf4, 2, 0x8000), 0);
	assert_int_equal(rig.status, 0x10001);
	assert_int_equal(out(&rig, 0xf4, 4, 0x80000010), 0);
	assert_int_equal(rig.status, 0x21);
	assert_int_equal(out(&rig, 0xf7, 1, 3), 0);
	assert_int_equal(rig.status, 7);
	assert_int_equal(rig.calls, 1);
	assert_int_equal(sk_bus_read(rig.bus, 0xf4, &value, 4, 1), 0);
	assert_int_equal(value, 0);
	assert_int_equal(out(&rig, 0xf6, 4, 1), -ENXIO);
	assert_int_equal(out(&rig, SK_EXIT_PORT, 4, 1), -ENXIO);
	assert_int_equal(rig.calls, 0);
	drop(&rig);
}

static void status_port_is_exact(void **state)
{
	struct rig rig = make();
	uint32_t value = 0;

	(void)state;
	attach(&rig, false, true);
	assert_int_equal(out(&rig, SK_EXIT_PORT, 4, 0xdeadbeef), 0);
	assert_int_equal(rig.calls, 1);
	assert_true(rig.status == 0xdeadbeef);
	assert_int_equal(out(&rig, SK_EXIT_PORT, 4, 0), 0);
	assert_int_equal(rig.status, 0);
	assert_int_equal(out(&rig, SK_EXIT_PORT, 1, 1), 0);
	assert_int_equal(rig.calls, 0);
	assert_int_equal(out(&rig, SK_EXIT_PORT, 2, 1), 0);
	assert_int_equal(out(&rig, SK_EXIT_PORT + 2, 2, 1), 0);
	assert_int_equal(out(&rig, SK_EXIT_PORT, 8, 1), -ENXIO);
	assert_int_equal(rig.calls, 0);
	assert_int_equal(sk_exit_ignored(rig.dev), 3);
	assert_int_equal(sk_bus_read(rig.bus, SK_EXIT_PORT, &value, 4, 1), 0);
	assert_int_equal(value, SK_EXIT_ID);
	assert_int_equal(value & 0xff, SK_EXIT_ABI_VERSION);
	assert_int_equal(sk_bus_read(rig.bus, SK_EXIT_PORT, &value, 2, 1), 0);
	assert_int_equal(value & 0xffff, 0xffff);
	assert_int_equal(out(&rig, 0xf4, 1, 1), -ENXIO);
	drop(&rig);
}

static void attach_is_all_or_nothing(void **state)
{
	struct rig rig = make();
	struct sk_exit *second;
	struct sk_exit_config config = {.has_status_port = true};
	struct sk_error err;

	(void)state;
	assert_int_equal(sk_exit_create(&second, &config, &err), -EINVAL);
	config.on_exit = note;
	assert_int_equal(sk_exit_create(&second, &config, &err), 0);
	assert_int_equal(sk_exit_attach(second, rig.bus, &err), 0);
	config.has_debug_port = true;
	assert_int_equal(sk_exit_create(&rig.dev, &config, &err), 0);
	assert_int_equal(sk_exit_attach(rig.dev, rig.bus, &err), -EEXIST);
	assert_int_equal(sk_bus_nr_ranges(rig.bus), 1);
	assert_int_equal(sk_exit_detach(second, rig.bus), 0);
	assert_int_equal(sk_exit_detach(second, rig.bus), -ENOENT);
	assert_int_equal(sk_exit_attach(rig.dev, rig.bus, &err), 0);
	assert_int_equal(sk_bus_nr_ranges(rig.bus), 2);
	assert_int_equal(sk_exit_detach(rig.dev, rig.bus), 0);
	assert_int_equal(sk_bus_nr_ranges(rig.bus), 0);
	drop(&rig);
	sk_exit_destroy(second);
}

static void save_restore_and_garbage(void **state)
{
	struct rig rig = make(), other = make();
	uint8_t buf[32];
	struct sk_writer w;
	struct sk_reader r;
	struct sk_error err;

	(void)state;
	attach(&rig, false, true);
	attach(&other, false, true);
	assert_int_equal(out(&rig, SK_EXIT_PORT, 1, 1), 0);
	sk_writer_init(&w, buf, sizeof(buf));
	sk_exit_save(rig.dev, &w);
	assert_true(sk_writer_ok(&w));
	for (size_t cut = 0; cut < w.len_bytes; cut++) {
		sk_reader_init(&r, buf, cut);
		assert_int_equal(sk_exit_restore(other.dev, &r, &err), -EINVAL);
	}
	buf[0]++;
	sk_reader_init(&r, buf, w.len_bytes);
	assert_int_equal(sk_exit_restore(other.dev, &r, &err), -EINVAL);
	assert_int_equal(sk_exit_ignored(other.dev), 0);
	buf[0]--;
	sk_reader_init(&r, buf, w.len_bytes);
	assert_int_equal(sk_exit_restore(other.dev, &r, &err), 0);
	assert_int_equal(sk_exit_ignored(other.dev), 1);
	assert_int_equal(other.calls, 0);
	drop(&rig);
	drop(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(debug_port_is_qemus),
		cmocka_unit_test(status_port_is_exact),
		cmocka_unit_test(attach_is_all_or_nothing),
		cmocka_unit_test(save_restore_and_garbage),
	};

	return cmocka_run_group_tests_name("exit", tests, NULL, NULL);
}
