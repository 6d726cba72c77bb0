/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include <skete/dev/pm.h>

#include <pthread.h>
#include <setjmp.h>

#include <cmocka.h>

struct fixture {
	struct sk_pm *pm;
	int irq_fd;
	unsigned int nr_poweroffs, nr_resets;
};

static void count_poweroff(void *ctx)
{
	((struct fixture *)ctx)->nr_poweroffs++;
}

static void count_reset(void *ctx)
{
	((struct fixture *)ctx)->nr_resets++;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	f->irq_fd = sk_eventfd_create();
	*state = f;
	return sk_pm_create(&f->pm,
			    &(struct sk_pm_config){.on_poweroff = count_poweroff,
						   .on_reset = count_reset,
						   .ctx = f,
						   .irq_fd = f->irq_fd},
			    NULL);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	sk_pm_destroy(f->pm);
	sk_pm_destroy(NULL);
	sk_close(&f->irq_fd);
	free(f);
	return 0;
}

static void write_byte(struct fixture *f, uint64_t reg, uint8_t value)
{
	sk_pm_ops.write(f->pm, reg, 1, value);
}

static unsigned int read_byte(struct fixture *f, uint64_t reg)
{
	return (unsigned int)sk_pm_ops.read(f->pm, reg, 1);
}

static void s5_powers_off(void **state)
{
	struct fixture *f = *state;

	write_byte(f, SK_PM_SLEEP_CONTROL, SK_PM_S5_TYPE << 2);
	assert_int_equal(f->nr_poweroffs, 0);
	assert_int_equal(read_byte(f, SK_PM_SLEEP_CONTROL), SK_PM_S5_TYPE << 2);
	write_byte(f, SK_PM_SLEEP_CONTROL, SK_PM_S5_TYPE << 2 | 0x20);
	assert_int_equal(f->nr_poweroffs, 1);
	/* SLP_EN reads as 0, and nothing woke up. */
	assert_int_equal(read_byte(f, SK_PM_SLEEP_CONTROL), SK_PM_S5_TYPE << 2);
	assert_int_equal(read_byte(f, SK_PM_SLEEP_STATUS), 0);
	/* The bits outside SLP_TYP and SLP_EN mean nothing. */
	write_byte(f, SK_PM_SLEEP_CONTROL, SK_PM_S5_TYPE << 2 | 0xe3);
	assert_int_equal(f->nr_poweroffs, 2);
}

static void other_sleep_states_wake_at_once(void **state)
{
	struct fixture *f = *state;

	for (unsigned int type = 0; type < 8; type++) {
		if (type == SK_PM_S5_TYPE)
			continue;
		write_byte(f, SK_PM_SLEEP_CONTROL, (uint8_t)(type << 2 | 0x20));
		assert_int_equal(read_byte(f, SK_PM_SLEEP_STATUS), 0x80);
		write_byte(f, SK_PM_SLEEP_STATUS, 0x7f);
		assert_int_equal(read_byte(f, SK_PM_SLEEP_STATUS), 0x80);
		write_byte(f, SK_PM_SLEEP_STATUS, 0x80);
		assert_int_equal(read_byte(f, SK_PM_SLEEP_STATUS), 0);
	}
	assert_int_equal(f->nr_poweroffs, 0);
}

static void only_the_reset_value_resets(void **state)
{
	struct fixture *f = *state;

	for (unsigned int v = 0; v < 256; v++)
		write_byte(f, SK_PM_RESET, (uint8_t)v);
	assert_int_equal(f->nr_resets, 1);
	assert_int_equal(read_byte(f, SK_PM_RESET), 0);
}

static void the_button_is_an_event_and_an_edge(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(read_byte(f, SK_PM_EVENT), 0);
	sk_pm_press_power_button(f->pm);
	sk_pm_press_power_button(f->pm);
	assert_int_equal(sk_eventfd_drain(f->irq_fd), 2);
	write_byte(f, SK_PM_EVENT, 0xff);
	assert_int_equal(read_byte(f, SK_PM_EVENT), 1);
	assert_int_equal(read_byte(f, SK_PM_EVENT), 0);
}

static void wide_accesses_are_bytes(void **state)
{
	struct fixture *f = *state;

	sk_pm_press_power_button(f->pm);
	write_byte(f, SK_PM_SLEEP_CONTROL, 3 << 2 | 0x20);
	assert_int_equal(sk_pm_ops.read(f->pm, 0, 4), 0x0100800c);
	assert_int_equal(sk_pm_ops.read(f->pm, 0, 4), 0x0000800c);
	sk_pm_ops.write(f->pm, SK_PM_SLEEP_STATUS, 2, SK_PM_RESET_VALUE << 8 | 0x80);
	assert_int_equal(f->nr_resets, 1);
	assert_int_equal(read_byte(f, SK_PM_SLEEP_STATUS), 0);
}

static void create_wants_a_callback(void **state)
{
	struct sk_pm_config config = {.irq_fd = -1};
	struct sk_pm *pm = NULL;
	struct sk_error err;

	assert_int_equal(sk_pm_create(&pm, &config, &err), -EINVAL);
	assert_non_null(strstr(err.message, "power-off"));
	config.on_poweroff = count_poweroff;
	config.ctx = *state;
	assert_int_equal(sk_pm_create(&pm, &config, &err), 0);
	sk_pm_ops.write(pm, SK_PM_RESET, 1, SK_PM_RESET_VALUE);
	sk_pm_press_power_button(pm);
	assert_int_equal(sk_pm_ops.read(pm, SK_PM_EVENT, 1), 1);
	sk_pm_destroy(pm);
}

static void state_survives_and_bad_state_changes_nothing(void **state)
{
	struct fixture *f = *state;
	uint8_t good[8], bad[8];
	struct sk_writer w;
	struct sk_reader r;
	struct sk_error err;

	sk_pm_press_power_button(f->pm);
	write_byte(f, SK_PM_SLEEP_CONTROL, 1 << 2 | 0x20);
	sk_writer_init(&w, good, sizeof(good));
	sk_pm_save(f->pm, &w);
	assert_true(sk_writer_ok(&w));
	assert_int_equal(sk_eventfd_drain(f->irq_fd), 1);
	assert_int_equal(sk_pm_ops.read(f->pm, 0, 4), 0x01008004);
	write_byte(f, SK_PM_SLEEP_STATUS, 0x80);
	write_byte(f, SK_PM_SLEEP_CONTROL, 0);

	for (size_t len = 0; len < w.len_bytes; len++) {
		sk_reader_init(&r, good, len);
		assert_int_equal(sk_pm_restore(f->pm, &r, &err), -EINVAL);
	}
	for (size_t i = 0; i < w.len_bytes; i++) {
		memcpy(bad, good, sizeof(bad));
		bad[i] |= 0x42;
		sk_reader_init(&r, bad, w.len_bytes);
		assert_int_equal(sk_pm_restore(f->pm, &r, &err), -EINVAL);
	}
	assert_int_equal(sk_pm_ops.read(f->pm, 0, 4), 0);
	assert_int_equal(sk_eventfd_drain(f->irq_fd), 0);

	sk_reader_init(&r, good, w.len_bytes);
	assert_int_equal(sk_pm_restore(f->pm, &r, &err), 0);
	assert_int_equal(sk_eventfd_drain(f->irq_fd), 1);
	assert_int_equal(sk_pm_ops.read(f->pm, 0, 4), 0x01008004);
	assert_int_equal(f->nr_poweroffs, 0);
}

static void *press_often(void *pm)
{
	for (int i = 0; i < 1000; i++)
		sk_pm_press_power_button(pm);
	return NULL;
}

/* A reader that sees the event at least once after every edge loses no press. */
static void presses_from_other_threads_are_not_lost(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[2];
	uint64_t nr_edges = 0;
	bool is_pending = false;

	for (size_t i = 0; i < SK_ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, press_often, f->pm), 0);
	while (nr_edges < 2000) {
		nr_edges += sk_eventfd_drain(f->irq_fd);
		is_pending |= read_byte(f, SK_PM_EVENT);
	}
	for (size_t i = 0; i < SK_ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_true(is_pending);
	assert_int_equal(read_byte(f, SK_PM_EVENT), 0);
}

#define PM_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PM_TEST(s5_powers_off),
		PM_TEST(other_sleep_states_wake_at_once),
		PM_TEST(only_the_reset_value_resets),
		PM_TEST(the_button_is_an_event_and_an_edge),
		PM_TEST(wide_accesses_are_bytes),
		PM_TEST(create_wants_a_callback),
		PM_TEST(state_survives_and_bad_state_changes_nothing),
		PM_TEST(presses_from_other_threads_are_not_lost),
	};

	return cmocka_run_group_tests_name("pm", tests, NULL, NULL);
}
