/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include <skete/dev/rtc.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <time.h>

#include <cmocka.h>

#define SECOND	 INT64_C(1000000000)
/* Thursday 2024-02-29 23:59:58 UTC. */
#define LEAP_DAY INT64_C(1709251198)

struct rig {
	struct sk_rtc *rtc;
	int irq_fd;
	_Atomic int64_t now_ns;
	_Atomic unsigned nr_timer_changed;
};

static int64_t rig_clock(void *ctx)
{
	return atomic_load(&((struct rig *)ctx)->now_ns);
}

static void count_timer_changed(void *ctx)
{
	atomic_fetch_add(&((struct rig *)ctx)->nr_timer_changed, 1);
}

static struct sk_rtc *make(struct rig *rig)
{
	struct sk_rtc_config config = {
		.irq_fd = rig->irq_fd,
		.now_ns = rig_clock,
		.timer_changed = count_timer_changed,
		.ctx = rig,
		.ram_below_4g_bytes = 512 * SK_MIB,
		.ram_above_4g_bytes = 5 * SK_GIB,
	};
	struct sk_rtc *rtc;

	assert_int_equal(sk_rtc_create(&rtc, &config, NULL), 0);
	return rtc;
}

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	rig->now_ns = LEAP_DAY * SECOND;
	rig->irq_fd = sk_eventfd_create();
	rig->rtc = make(rig);
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	sk_rtc_destroy(rig->rtc);
	sk_rtc_destroy(NULL);
	sk_close(&rig->irq_fd);
	free(rig);
	return 0;
}

static uint8_t get(struct sk_rtc *rtc, uint8_t index)
{
	sk_rtc_ops.write(rtc, 0, 1, index);
	return (uint8_t)sk_rtc_ops.read(rtc, 1, 1);
}

static void put(struct sk_rtc *rtc, uint8_t index, uint8_t value)
{
	sk_rtc_ops.write(rtc, 0, 1, index | 0x80u); /* with the NMI mask, as Linux does */
	sk_rtc_ops.write(rtc, 1, 1, value);
}

static void assert_time(struct sk_rtc *rtc, const char expect[7])
{
	static const uint8_t regs[7] = {0x32, 9, 8, 7, 4, 2, 0};
	uint8_t now[7];

	for (int i = 0; i < 7; i++)
		now[i] = get(rtc, regs[i]);
	assert_memory_equal(now, expect, 7);
}

static void advance(struct rig *rig, int64_t ns)
{
	atomic_fetch_add(&rig->now_ns, ns);
}

static void the_time_in_every_format(void **state)
{
	struct rig *rig = *state;

	assert_time(rig->rtc, "\x20\x24\x02\x29\x23\x59\x58");
	assert_int_equal(get(rig->rtc, 6), 5);
	advance(rig, 2 * SECOND);
	assert_time(rig->rtc, "\x20\x24\x03\x01\x00\x00\x00");
	assert_int_equal(get(rig->rtc, 6), 6);
	put(rig->rtc, 0x0b, 0x06); /* binary */
	assert_time(rig->rtc, "\x14\x18\x03\x01\x00\x00\x00");
	put(rig->rtc, 0x0b, 0x00); /* BCD, 12 hours: midnight is 12 AM */
	assert_int_equal(get(rig->rtc, 4), 0x12);
	advance(rig, 12 * 3600 * SECOND);
	assert_int_equal(get(rig->rtc, 4), 0x92);
	advance(rig, 11 * 3600 * SECOND);
	assert_int_equal(get(rig->rtc, 4), 0x91);
	rig->now_ns = -1; /* before 1970 */
	put(rig->rtc, 0x0b, 0x02);
	assert_time(rig->rtc, "\x19\x69\x12\x31\x23\x59\x59");
}

/* The calendar against the C library's, day by day and at odd seconds. */
static void calendar_agrees_with_libc(void **state)
{
	struct rig *rig = *state;

	put(rig->rtc, 0x0b, 0x06);
	for (int64_t t = 0; t < INT64_C(7258118400); t += 86400 * 3 + 7919) {
		time_t libc_time = (time_t)t;
		struct tm tm;

		rig->now_ns = t * SECOND;
		gmtime_r(&libc_time, &tm);
		assert_int_equal(get(rig->rtc, 0x32) * 100 + get(rig->rtc, 9), tm.tm_year + 1900);
		assert_int_equal(get(rig->rtc, 8), tm.tm_mon + 1);
		assert_int_equal(get(rig->rtc, 7), tm.tm_mday);
		assert_int_equal(get(rig->rtc, 6), tm.tm_wday + 1);
		assert_int_equal(get(rig->rtc, 4), tm.tm_hour);
		assert_int_equal(get(rig->rtc, 2), tm.tm_min);
		assert_int_equal(get(rig->rtc, 0), tm.tm_sec);
	}
}

/* As Linux's mc146818_set_time() does it. */
static void the_guest_sets_the_time(void **state)
{
	struct rig *rig = *state;
	struct sk_rtc *rtc = rig->rtc;

	advance(rig, 123 * 1000000);
	put(rtc, 0x0b, 0x82);
	put(rtc, 0x0a, 0x76);
	put(rtc, 9, 0x99);
	put(rtc, 8, 0x12);
	put(rtc, 7, 0x31);
	put(rtc, 4, 0x23);
	put(rtc, 2, 0x59);
	put(rtc, 0, 0x59);
	put(rtc, 0x32, 0x19);
	advance(rig, 10 * SECOND); /* the clock stands */
	assert_time(rtc, "\x19\x99\x12\x31\x23\x59\x59");
	put(rtc, 0x0b, 0x02);
	put(rtc, 0x0a, 0x26);
	advance(rig, SECOND / 2 - 1);
	assert_time(rtc, "\x19\x99\x12\x31\x23\x59\x59");
	advance(rig, 1); /* half a second after the divider came out of reset */
	assert_time(rtc, "\x20\x00\x01\x01\x00\x00\x00");
	assert_int_equal(get(rtc, 6), 7);
	/* A single register of the running clock. */
	put(rtc, 4, 0x15);
	assert_time(rtc, "\x20\x00\x01\x01\x15\x00\x00");
	advance(rig, SECOND);
	assert_time(rtc, "\x20\x00\x01\x01\x15\x00\x01");
	/* SET alone holds the registers, not the fraction of the second. */
	advance(rig, 700 * 1000000);
	put(rtc, 0x0b, 0x82);
	put(rtc, 0, 0x30);
	put(rtc, 0x0b, 0x02);
	advance(rig, 300 * 1000000 - 1);
	assert_int_equal(get(rtc, 0), 0x30);
	advance(rig, 1);
	assert_int_equal(get(rtc, 0), 0x31);
}

static void registers_that_drivers_look_at(void **state)
{
	struct rig *rig = *state;
	struct sk_rtc *rtc = rig->rtc;

	assert_int_equal(get(rtc, 0x0d), 0x80);
	assert_int_equal(get(rtc, 0x0b), 0x02);
	assert_int_equal(get(rtc, 0x0a), 0x26);
	assert_int_equal(get(rtc, 0x0c), 0);
	put(rtc, 0x0d, 0);
	put(rtc, 0x0c, 0xff);
	assert_int_equal(get(rtc, 0x0d), 0x80);
	assert_int_equal(get(rtc, 0x0c), 0);
	advance(rig, SECOND - 244001);
	assert_int_equal(get(rtc, 0x0a), 0x26);
	advance(rig, 1);
	assert_int_equal(get(rtc, 0x0a), 0xa6);
	put(rtc, 0x0b, 0x82);
	assert_int_equal(get(rtc, 0x0a), 0x26);
	put(rtc, 0x0b, 0x02);
	advance(rig, 244000);
	assert_int_equal(get(rtc, 0x0a), 0x26);
	put(rtc, 0x0a, 0xff);
	assert_int_equal(get(rtc, 0x0a), 0x7f);
	assert_int_equal(sk_rtc_ops.read(rtc, 0, 1) & 0xff, 0xff); /* the index is write-only */
	sk_rtc_ops.write(rtc, 0, 2, 0x5a40);			   /* 16 bits: index and data */
	assert_int_equal(get(rtc, 0x40), 0x5a);
	assert_int_equal(sk_rtc_ops.read(rtc, 0, 2) & 0xffff, 0x5aff);
	put(rtc, 0x0f, 0x05);
	assert_int_equal(get(rtc, 0x8f), 0x05);
}

static void memory_sizes(void **state)
{
	struct rig *rig = *state;
	struct sk_rtc_config config = {.irq_fd = -1, .ram_below_4g_bytes = 512 * SK_KIB};
	struct sk_rtc *rtc = rig->rtc, *tiny;

	assert_int_equal(get(rtc, 0x15) | get(rtc, 0x16) << 8, 640);
	assert_int_equal(get(rtc, 0x17) | get(rtc, 0x18) << 8, 0xffff);
	assert_int_equal(get(rtc, 0x30) | get(rtc, 0x31) << 8, 0xffff);
	assert_int_equal(get(rtc, 0x34) | get(rtc, 0x35) << 8, 496 * 16);
	assert_int_equal(get(rtc, 0x5b) | get(rtc, 0x5c) << 8 | get(rtc, 0x5d) << 16, 5 * 16384);
	assert_int_equal(sk_rtc_create(&tiny, &config, NULL), 0);
	assert_int_equal(get(tiny, 0x15) | get(tiny, 0x16) << 8, 512);
	assert_int_equal(get(tiny, 0x17) | get(tiny, 0x18) << 8, 0);
	assert_int_equal(get(tiny, 0x34) | get(tiny, 0x35) << 8, 0);
	/* The host's clock, in binary: this century. */
	put(tiny, 0x0b, 0x06);
	assert_in_range(get(tiny, 0x32), 20, 21);
	sk_rtc_destroy(tiny);
}

/* Sets the host's clock to the deadline, runs the device and returns what register C says. */
static uint8_t at_deadline(struct rig *rig, int64_t expect_after_ns)
{
	int64_t deadline = sk_rtc_deadline_ns(rig->rtc);

	assert_true(deadline == rig->now_ns + expect_after_ns);
	rig->now_ns = deadline - 1;
	sk_rtc_run(rig->rtc);
	assert_int_equal(sk_eventfd_drain(rig->irq_fd), 0);
	rig->now_ns = deadline;
	sk_rtc_run(rig->rtc);
	assert_int_equal(sk_eventfd_drain(rig->irq_fd), 1);
	/* Until the guest has read C there is no new edge, so nothing to wait for. */
	assert_true(sk_rtc_deadline_ns(rig->rtc) == SK_RTC_NO_DEADLINE);
	sk_rtc_run(rig->rtc);
	assert_int_equal(sk_eventfd_drain(rig->irq_fd), 0);
	return get(rig->rtc, 0x0c);
}

static void interrupts_come_at_their_deadline(void **state)
{
	struct rig *rig = *state;
	struct sk_rtc *rtc = rig->rtc;

	assert_true(sk_rtc_deadline_ns(rtc) == SK_RTC_NO_DEADLINE);
	advance(rig, SECOND / 4);
	assert_int_equal(rig->nr_timer_changed, 0);
	(void)get(rtc, 0x0c); /* flags rise without being enabled, too */
	put(rtc, 0x0b, 0x12);
	assert_true(rig->nr_timer_changed > 0);
	assert_int_equal(at_deadline(rig, SECOND * 3 / 4) & 0xb0, 0x90);
	assert_int_equal(get(rtc, 0x0c), 0);
	/* The alarm registers say midnight, which this is: AF rises, though not enabled. */
	assert_int_equal(at_deadline(rig, SECOND) & 0xb0, 0xb0);
	/* Alarm at 00:02:05. */
	put(rtc, 1, 0x05);
	put(rtc, 3, 0x02);
	put(rtc, 5, 0x00);
	put(rtc, 0x0b, 0x22);
	assert_int_equal(at_deadline(rig, 125 * SECOND) & 0xa0, 0xa0);
	/* The same again is a day later; with wildcards in a minute, and in a second. */
	assert_true(sk_rtc_deadline_ns(rtc) == rig->now_ns + 86400 * SECOND);
	put(rtc, 3, 0xc0);
	put(rtc, 5, 0xff);
	assert_int_equal(at_deadline(rig, 60 * SECOND) & 0xa0, 0xa0);
	put(rtc, 1, 0xc0);
	assert_int_equal(at_deadline(rig, SECOND) & 0xa0, 0xa0);
	put(rtc, 1, 0x7f); /* no such second */
	assert_true(sk_rtc_deadline_ns(rtc) == SK_RTC_NO_DEADLINE);
	/* Periodic, 1,024 Hz and 2 Hz; not while the divider is in reset. */
	put(rtc, 0x0b, 0x42);
	assert_int_equal(at_deadline(rig, 976563) & 0xc0, 0xc0);
	put(rtc, 0x0a, 0x2f);
	(void)get(rtc, 0x0c);
	assert_int_equal(at_deadline(rig, SECOND / 2 - 976563) & 0xc0, 0xc0);
	put(rtc, 0x0a, 0x7f);
	assert_true(sk_rtc_deadline_ns(rtc) == SK_RTC_NO_DEADLINE);
	put(rtc, 0x0a, 0x20);
	assert_true(sk_rtc_deadline_ns(rtc) == SK_RTC_NO_DEADLINE);
}

static void pm_alarm_and_set_clears_uie(void **state)
{
	struct rig *rig = *state;
	struct sk_rtc *rtc = rig->rtc;

	put(rtc, 0x0b, 0x00); /* 12 hours; now 11:59:58 PM */
	put(rtc, 1, 0x00);
	put(rtc, 3, 0x30);
	put(rtc, 5, 0x81); /* 1:30 PM */
	put(rtc, 0x0b, 0x20);
	assert_int_equal(at_deadline(rig, (2 + 13 * 3600 + 1800) * SECOND) & 0xa0, 0xa0);
	put(rtc, 0x0b, 0x90);
	assert_int_equal(get(rtc, 0x0b), 0x80);
	advance(rig, 5 * SECOND);
	assert_int_equal(get(rtc, 0x0c) & 0x30, 0);
	/* A flag that is up already interrupts when it is enabled. */
	put(rtc, 0x0b, 0x02);
	advance(rig, SECOND);
	sk_rtc_run(rtc);
	assert_int_equal(sk_eventfd_drain(rig->irq_fd), 0);
	put(rtc, 0x0b, 0x12);
	assert_int_equal(sk_eventfd_drain(rig->irq_fd), 1);
	/* The host's clock set back: no event, no endless wait. */
	(void)get(rtc, 0x0c);
	advance(rig, -3600 * SECOND);
	sk_rtc_run(rtc);
	assert_int_equal(sk_eventfd_drain(rig->irq_fd), 0);
	assert_int_equal(at_deadline(rig, SECOND) & 0x90, 0x90);
}

static void hostile_programs(void **state)
{
	struct rig *rig = *state;
	uint32_t seed = 7;

	for (int i = 0; i < 100000; i++) {
		seed = seed * 1664525 + 1013904223;
		if (seed >> 28 == 0)
			advance(rig, (int64_t)(seed >> 4) * 1000);
		else if (seed >> 28 == 1)
			(void)sk_rtc_deadline_ns(rig->rtc);
		else if (seed >> 28 == 2)
			sk_rtc_ops.write(rig->rtc, 0, 2, seed >> 4);
		else if (seed >> 28 < 6)
			(void)get(rig->rtc, (uint8_t)(seed >> 8));
		else
			put(rig->rtc, seed >> 20 & 0x0f, (uint8_t)(seed >> 8));
		if (seed >> 24 == 0xff)
			put(rig->rtc, 0x32, (uint8_t)(seed >> 8));
	}
	/* Still a clock. */
	put(rig->rtc, 0x0b, 0x82);
	put(rig->rtc, 0x0a, 0x26);
	for (int i = 0; i <= 9; i++)
		put(rig->rtc, (uint8_t)i, 1);
	put(rig->rtc, 0x32, 0x20);
	put(rig->rtc, 0x0b, 0x02);
	assert_time(rig->rtc, "\x20\x01\x01\x01\x01\x01\x01");
}

static size_t save(struct sk_rtc *rtc, uint8_t *buf, size_t cap)
{
	struct sk_writer w;

	sk_writer_init(&w, buf, cap);
	sk_rtc_save(rtc, &w);
	assert_true(sk_writer_ok(&w));
	return w.len_bytes;
}

static int restore(struct sk_rtc *rtc, const uint8_t *buf, size_t len)
{
	struct sk_reader r;
	struct sk_error err;

	sk_reader_init(&r, buf, len);
	return sk_rtc_restore(rtc, &r, &err);
}

static void state_moves_to_another_device(void **state)
{
	struct rig *rig = *state;
	struct sk_rtc *other = make(rig);
	uint8_t buf[256], again[256];
	size_t len;

	put(rig->rtc, 4, 0x10);
	put(rig->rtc, 1, 0x00);
	put(rig->rtc, 3, 0x10);
	put(rig->rtc, 5, 0x11);
	put(rig->rtc, 0x70, 0xab);
	put(rig->rtc, 0x0b, 0x22);
	len = save(rig->rtc, buf, sizeof(buf));
	advance(rig, 60 * SECOND); /* a restored clock shows the present */
	rig->nr_timer_changed = 0;
	assert_int_equal(restore(other, buf, len), 0);
	assert_int_equal(save(other, again, sizeof(again)), len);
	assert_memory_equal(buf, again, len);
	assert_int_equal(rig->nr_timer_changed, 1);
	assert_time(other, "\x20\x24\x02\x29\x11\x00\x58");
	assert_int_equal(get(other, 0x70), 0xab);
	assert_true(sk_rtc_deadline_ns(other) == rig->now_ns + 542 * SECOND);
	/* An alarm that came due while the machine was a file rings at once. */
	advance(rig, 600 * SECOND);
	assert_int_equal(restore(other, buf, len), 0);
	sk_rtc_run(other);
	assert_int_equal(sk_eventfd_drain(rig->irq_fd), 1);
	/* With the interrupt pending the edge is repeated. */
	len = save(other, buf, sizeof(buf));
	assert_int_equal(restore(rig->rtc, buf, len), 0);
	assert_int_equal(sk_eventfd_drain(rig->irq_fd), 1);
	assert_int_equal(get(rig->rtc, 0x0c) & 0xa0, 0xa0);
	sk_rtc_destroy(other);
}

static void garbage_changes_nothing(void **state)
{
	struct rig *rig = *state;
	uint8_t good[256], bad[256], before[256], after[256];
	struct sk_rtc *other = make(rig);
	size_t len = save(rig->rtc, good, sizeof(good));
	unsigned accepted = 0, refused = 0;

	(void)save(other, before, sizeof(before));
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(restore(other, good, cut), -EINVAL);
	assert_int_equal(save(other, after, sizeof(after)), len);
	assert_memory_equal(before, after, len);
	for (size_t at = 0; at < len; at++) {
		for (unsigned v = 1; v < 256; v++) {
			memcpy(bad, good, len);
			bad[at] ^= (uint8_t)v;
			if (restore(other, bad, len)) {
				refused++;
			} else {
				accepted++;
				for (uint8_t reg = 0; reg < 0x10; reg++)
					(void)get(other, reg);
				(void)sk_rtc_deadline_ns(other);
				put(other, 0x0a, 0x70);
				put(other, 0x0a, 0x26);
			}
			assert_int_equal(restore(other, before, len), 0);
			assert_int_equal(save(other, after, sizeof(after)), len);
			assert_memory_equal(before, after, len);
		}
	}
	assert_true(accepted && refused);
	sk_rtc_destroy(other);
}

static void *hammer(void *arg)
{
	struct rig *rig = arg;

	for (int i = 0; i < 3000; i++) {
		advance(rig, SECOND / 100);
		put(rig->rtc, 0x0b, (uint8_t)(i & 0xf0) | 2);
		(void)get(rig->rtc, 0x0c);
		(void)sk_rtc_deadline_ns(rig->rtc);
		sk_rtc_run(rig->rtc);
	}
	return NULL;
}

static void vcpus_and_host_race(void **state)
{
	pthread_t threads[2];

	for (size_t i = 0; i < SK_ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, *state), 0);
	for (size_t i = 0; i < SK_ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_true(((struct rig *)*state)->nr_timer_changed > 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_time_in_every_format),
		TEST(calendar_agrees_with_libc),
		TEST(the_guest_sets_the_time),
		TEST(registers_that_drivers_look_at),
		TEST(memory_sizes),
		TEST(interrupts_come_at_their_deadline),
		TEST(pm_alarm_and_set_clears_uie),
		TEST(hostile_programs),
		TEST(state_moves_to_another_device),
		TEST(garbage_changes_nothing),
		TEST(vcpus_and_host_race),
	};

	return cmocka_run_group_tests_name("rtc", tests, NULL, NULL);
}
