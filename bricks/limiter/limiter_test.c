/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The rates on a simulated clock, to 1 %, and the limiter on a loop. */
#include <skete/limiter.h>

#include <setjmp.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000000)

static uint64_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 33;
}

struct flow {
	uint64_t bytes, ops;
};

/*
 * A customer that always wants more, for @span_ns: it takes what it gets and then sleeps for as
 * long as it was told, or for @step_ns if that is not 0. Requests have @min_len to @max_len bytes.
 */
static struct flow be_hungry(struct sk_buckets *b, uint64_t *now_ns, uint64_t span_ns,
			     uint64_t step_ns, uint64_t min_len, uint64_t max_len)
{
	uint64_t seed = 42, end_ns = *now_ns + span_ns;
	uint64_t len = min_len;
	struct flow flow = {0};

	while (*now_ns < end_ns) {
		uint64_t ns = sk_buckets_take(b, len, *now_ns);

		if (ns) {
			*now_ns += step_ns ? 1 + next_random(&seed) % (2 * step_ns) : ns;
			continue;
		}
		flow.bytes += len;
		flow.ops++;
		len = min_len + next_random(&seed) % (max_len - min_len + 1);
	}
	return flow;
}

static void assert_rate(uint64_t got, uint64_t rate, uint64_t seconds, uint64_t slack)
{
	uint64_t wanted = rate * seconds;

	if (got > wanted + wanted / 100 + slack || got + wanted / 100 + slack < wanted)
		fail_msg("%llu in %llu s instead of %llu", (unsigned long long)got,
			 (unsigned long long)seconds, (unsigned long long)wanted);
}

static void bytes_within_one_percent(void **state)
{
	static const struct {
		uint64_t rate, min_len, max_len, seconds, step_ns;
	} t[] = {
		{50 * SK_MIB, 512, 65536, 20, 0},
		{50 * SK_MIB, 512, 65536, 20, 300000},
		{50 * SK_MIB, SK_MIB, 8 * SK_MIB, 200, 0}, /* more than a burst each */
		{1000, 1, 100, 5000, 0},
		{1000, 1, 7, 100, 1000},
		{3, 1, 1, 10000, 0},
		{7 * SK_GIB + 13, 4096, 4096, 1, 0},
		{SK_LIMITER_MAX_RATE, SK_GIB, 4 * SK_GIB, 1, 0},
	};

	(void)state;
	for (size_t i = 0; i < SK_ARRAY_SIZE(t); i++) {
		struct sk_limiter_config config = {.bytes_per_s = t[i].rate};
		uint64_t now_ns = 12345;
		struct sk_buckets b;
		struct flow flow;

		sk_buckets_init(&b, &config, now_ns);
		/* The burst that is there at first is not part of the rate. */
		(void)be_hungry(&b, &now_ns, SECOND, 0, t[i].min_len, t[i].max_len);
		flow = be_hungry(&b, &now_ns, t[i].seconds * SECOND, t[i].step_ns, t[i].min_len,
				 t[i].max_len);
		assert_rate(flow.bytes, t[i].rate, t[i].seconds, t[i].max_len);
	}
}

static void ops_within_one_percent(void **state)
{
	static const uint64_t rates[] = {1, 3, 7, 100, 999, 123457};

	(void)state;
	for (size_t i = 0; i < SK_ARRAY_SIZE(rates); i++) {
		struct sk_limiter_config config = {.ops_per_s = rates[i]};
		uint64_t now_ns = 0, seconds = rates[i] < 1000 ? 1000 : 10;
		struct sk_buckets b;
		struct flow flow;

		sk_buckets_init(&b, &config, now_ns);
		(void)be_hungry(&b, &now_ns, SECOND, 0, 4096, 4096);
		flow = be_hungry(&b, &now_ns, seconds * SECOND, 0, 4096, 65536);
		assert_rate(flow.ops, rates[i], seconds, 1);
	}
}

/* Looking often must not lose fractions of a token: 3 a second, looked at every 17 ns. */
static void nothing_is_rounded_away(void **state)
{
	struct sk_limiter_config config = {.ops_per_s = 3, .burst_ops = 2};
	struct sk_buckets b;
	uint64_t now_ns = 0, nr = 0;

	(void)state;
	sk_buckets_init(&b, &config, 0);
	assert_int_equal(sk_buckets_take(&b, 0, 0), 0);
	assert_int_equal(sk_buckets_take(&b, 0, 0), 0);
	while (now_ns < SECOND / 3) {
		assert_int_not_equal(sk_buckets_take(&b, 0, now_ns), 0);
		now_ns += 17;
	}
	assert_int_equal(sk_buckets_take(&b, 0, now_ns), 0);
	for (now_ns = SECOND; now_ns <= 1000 * SECOND; now_ns += 1009 * 997)
		nr += !sk_buckets_take(&b, 0, now_ns);
	/* 3,000 since the beginning, of which one is taken and one may be on its way. */
	assert_in_range(nr, 2998, 2999);
}

static void both_buckets_count(void **state)
{
	struct sk_limiter_config config = {.bytes_per_s = 1000000, .ops_per_s = 100};
	uint64_t now_ns = 0;
	struct sk_buckets b;
	struct flow flow;

	(void)state;
	sk_buckets_init(&b, &config, 0);
	(void)be_hungry(&b, &now_ns, SECOND, 0, 100, 100);
	/* 100 bytes each: the operations are what is short; then 50,000 each: the bytes are. */
	flow = be_hungry(&b, &now_ns, 100 * SECOND, 0, 100, 100);
	assert_rate(flow.ops, 100, 100, 1);
	flow = be_hungry(&b, &now_ns, 100 * SECOND, 0, 50000, 50000);
	assert_rate(flow.bytes, 1000000, 100, 200000);
}

static void a_burst_is_bounded(void **state)
{
	struct sk_limiter_config config = {.bytes_per_s = 1000, .burst_bytes = 5000};
	struct sk_buckets b;
	uint64_t got = 0;

	(void)state;
	sk_buckets_init(&b, &config, 0);
	while (!sk_buckets_take(&b, 10, 3600 * SECOND))
		got += 10;
	assert_int_equal(got, 5000);
	/* The answer is exact: at that time, and not before. */
	assert_int_equal(sk_buckets_take(&b, 10, 3600 * SECOND), SECOND / 100);
	assert_int_equal(sk_buckets_take(&b, 10, 3600 * SECOND + SECOND / 100 - 1), 1);
	assert_int_equal(sk_buckets_take(&b, 10, 3600 * SECOND + SECOND / 100), 0);
	/* A clock that goes back stands still. */
	assert_int_equal(sk_buckets_take(&b, 10, 0), SECOND / 100);
}

static void what_is_larger_than_a_burst_passes(void **state)
{
	struct sk_limiter_config config = {.bytes_per_s = 1000, .burst_bytes = 100};
	struct sk_buckets b;

	(void)state;
	sk_buckets_init(&b, &config, 0);
	assert_int_equal(sk_buckets_take(&b, 10100, 0), 0);
	/* 10,000 bytes of debt, and one more. */
	assert_int_equal(sk_buckets_take(&b, 1, 0), 10 * SECOND + SECOND / 1000);
	/* Costs beyond every sense are bounded, too. */
	assert_int_equal(sk_buckets_take(&b, UINT64_MAX, 20 * SECOND), 0);
	assert_true(sk_buckets_take(&b, UINT64_MAX, 20 * SECOND) <= INT64_MAX);
	assert_true(sk_buckets_take(&b, 1, UINT64_MAX) <= INT64_MAX);
}

static void rates_change_while_running(void **state)
{
	struct sk_limiter_config slow = {.bytes_per_s = 1000}, fast = {.bytes_per_s = 1000000};
	struct sk_limiter_config none = {0};
	uint64_t now_ns = 0;
	struct sk_buckets b;
	struct flow flow;

	(void)state;
	sk_buckets_init(&b, &slow, 0);
	flow = be_hungry(&b, &now_ns, 1000 * SECOND, 0, 10, 10);
	assert_rate(flow.bytes, 1000, 1000, 100);
	sk_buckets_change(&b, &fast, now_ns);
	flow = be_hungry(&b, &now_ns, 100 * SECOND, 0, 1000, 1000);
	assert_rate(flow.bytes, 1000000, 100, 1000);
	sk_buckets_change(&b, &slow, now_ns);
	flow = be_hungry(&b, &now_ns, 1000 * SECOND, 0, 10, 10);
	assert_rate(flow.bytes, 1000, 1000, 100);
	sk_buckets_change(&b, &none, now_ns);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(sk_buckets_take(&b, SK_GIB, now_ns), 0);
	/* From no limit to one: no debt of what was free, and no free burst. */
	sk_buckets_change(&b, &slow, now_ns);
	assert_int_equal(sk_buckets_take(&b, 10, now_ns), SECOND / 100);
}

struct waiter {
	struct sk_limiter limiter;
	unsigned nr_ready;
};

static void count_ready(struct sk_limiter *limiter)
{
	SK_CONTAINER_OF(limiter, struct waiter, limiter)->nr_ready++;
}

static struct sk_loop *make_loop(void)
{
	struct sk_loop_config config = {.driver = SK_LOOP_EPOLL};
	struct sk_loop *loop;

	assert_int_equal(sk_loop_create(&loop, &config, NULL), 0);
	return loop;
}

static void turn_until_ready(struct sk_loop *loop, struct waiter *w, unsigned nr)
{
	while (w->nr_ready < nr)
		assert_true(sk_loop_turn(loop, SK_LOOP_INFINITE) >= 0);
}

static void the_refused_are_called(void **state)
{
	struct sk_limiter_config config = {.ops_per_s = 1000, .burst_ops = 1};
	struct sk_loop *loop = make_loop();
	uint64_t start_ns = sk_now_ns();
	struct waiter w = {.nr_ready = 0};
	unsigned nr = 0;

	(void)state;
	sk_limiter_init(&w.limiter, loop, &config, count_ready);
	while (nr < 50) {
		if (sk_limiter_admit(&w.limiter, 0))
			nr++;
		else
			turn_until_ready(loop, &w, w.nr_ready + 1);
	}
	/* 49 of them had to wait for a millisecond each. */
	assert_true(sk_now_ns() - start_ns >= 48 * SECOND / 1000);
	assert_false(sk_limiter_admit(&w.limiter, 0) && sk_limiter_admit(&w.limiter, 0));
	sk_limiter_fini(&w.limiter);
	nr = w.nr_ready;
	assert_true(sk_loop_turn(loop, (int64_t)(SECOND / 100)) >= 0);
	assert_int_equal(w.nr_ready, nr);
	sk_loop_destroy(loop);
}

static void *let_go(void *arg)
{
	sk_limiter_change(arg, &(struct sk_limiter_config){0});
	return NULL;
}

/* Held back for hours, and then another thread lifts the limit. */
static void another_thread_changes_it(void **state)
{
	struct sk_limiter_config config = {.bytes_per_s = 1};
	struct sk_loop *loop = make_loop();
	struct waiter w = {.nr_ready = 0};
	pthread_t thread;

	(void)state;
	sk_limiter_init(&w.limiter, loop, &config, count_ready);
	assert_true(sk_limiter_admit(&w.limiter, 100000));
	assert_false(sk_limiter_admit(&w.limiter, 1));
	assert_int_equal(pthread_create(&thread, NULL, let_go, &w.limiter), 0);
	while (!sk_limiter_admit(&w.limiter, 100000))
		turn_until_ready(loop, &w, w.nr_ready + 1);
	pthread_join(thread, NULL);
	for (int i = 0; i < 100; i++)
		assert_true(sk_limiter_admit(&w.limiter, SK_GIB));
	sk_limiter_fini(&w.limiter);
	sk_loop_destroy(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_within_one_percent),
		cmocka_unit_test(ops_within_one_percent),
		cmocka_unit_test(nothing_is_rounded_away),
		cmocka_unit_test(both_buckets_count),
		cmocka_unit_test(a_burst_is_bounded),
		cmocka_unit_test(what_is_larger_than_a_burst_passes),
		cmocka_unit_test(rates_change_while_running),
		cmocka_unit_test(the_refused_are_called),
		cmocka_unit_test(another_thread_changes_it),
	};

	return cmocka_run_group_tests_name("limiter", tests, NULL, NULL);
}
