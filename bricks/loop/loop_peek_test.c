/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Memory that the loop looks at while it polls, and for how long it does. */
#include "loop_internal.h"

#include <sched.h>
#include <setjmp.h>
#include <stdatomic.h>

#include <cmocka.h>

#include "loop_test_util.h"

#define FOR_EVER_NS UINT64_C(3600000000000)
#define ROUNDS	    2000

struct watched {
	struct sk_loop_peek peek;
	struct sk_loop *loop;
	struct sk_loop_post post;
	_Atomic unsigned wanted; /* the other thread's */
	atomic_bool is_looked_at;
	unsigned done, nr_begins, nr_ends;
};

static void begin(struct sk_loop_peek *peek)
{
	struct watched *w = SK_CONTAINER_OF(peek, struct watched, peek);

	assert_false(w->is_looked_at);
	w->is_looked_at = true;
	w->nr_begins++;
}

static bool look(struct sk_loop_peek *peek)
{
	struct watched *w = SK_CONTAINER_OF(peek, struct watched, peek);

	return w->wanted != w->done;
}

static void work(struct sk_loop_peek *peek)
{
	struct watched *w = SK_CONTAINER_OF(peek, struct watched, peek);

	w->done = w->wanted;
}

static bool end(struct sk_loop_peek *peek)
{
	struct watched *w = SK_CONTAINER_OF(peek, struct watched, peek);

	assert_true(w->is_looked_at);
	w->is_looked_at = false;
	w->nr_ends++;
	if (!look(peek))
		return false;
	work(peek);
	return true;
}

static const struct sk_loop_peek_ops ops = {begin, look, work, end};

static void run_post(struct sk_loop *loop, struct sk_loop_post *post)
{
	(void)loop;
	work(&SK_CONTAINER_OF(post, struct watched, post)->peek);
}

static void watch(struct watched *w, uint64_t busy_poll_ns, uint64_t max_poll_ns)
{
	const struct sk_loop_config config = {
		.driver = SK_LOOP_IO_URING,
		.busy_poll_ns = busy_poll_ns,
		.max_poll_ns = max_poll_ns,
	};

	*w = (struct watched){.peek.ops = &ops, .post.run = run_post, .loop = make_with(&config)};
	sk_loop_peek_add(w->loop, &w->peek);
	sk_loop_peek_add(w->loop, &w->peek);
}

/* Wants something once the last is done; wakes the loop only if told to, and only if it must. */
struct other {
	struct watched *w;
	_Atomic unsigned *done;
	bool wakes;
};

static void *want(void *arg)
{
	struct other *o = arg;

	for (unsigned i = 1; i <= ROUNDS; i++) {
		while (*o->done != i - 1)
			sched_yield();
		o->w->wanted = i;
		if (o->wakes && !o->w->is_looked_at)
			sk_loop_post(o->w->loop, &o->w->post);
	}
	return NULL;
}

static void run_rounds(struct watched *w, bool wakes)
{
	_Atomic unsigned done = 0;
	struct other other = {w, &done, wakes};
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, want, &other), 0);
	while (w->done != ROUNDS) {
		assert_true(sk_loop_turn(w->loop, SK_LOOP_INFINITE) >= 0);
		done = w->done;
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	sk_loop_destroy(w->loop);
}

static void what_is_seen_needs_no_wake(void **state)
{
	struct watched w;

	(void)state;
	watch(&w, FOR_EVER_NS, 0);
	run_rounds(&w, false);
	assert_int_equal(w.nr_begins, 1);
	assert_int_equal(w.nr_ends, 0);
}

/* It polls now and then, and sleeps now and then: nothing is lost on the way from one to the other.
 */
static void nothing_is_lost_between_polling_and_sleep(void **state)
{
	static const uint64_t busy_ns[] = {1, 5000};
	struct watched w;

	(void)state;
	for (size_t i = 0; i < SK_ARRAY_SIZE(busy_ns); i++) {
		watch(&w, busy_ns[i], 0);
		run_rounds(&w, true);
	}
	watch(&w, 0, 20000);
	run_rounds(&w, true);
}

static void who_comes_and_goes_meanwhile_begins_and_ends(void **state)
{
	struct watched w, late = {.peek.ops = &ops};

	(void)state;
	watch(&w, FOR_EVER_NS, 0);
	w.wanted = 1;
	assert_int_equal(sk_loop_turn(w.loop, SK_LOOP_INFINITE), 0);
	assert_int_equal(sk_loop_turn(w.loop, SK_LOOP_INFINITE), 1);
	assert_int_equal(w.done, 1);
	sk_loop_peek_add(w.loop, &late.peek);
	assert_int_equal(late.nr_begins, 1);
	late.wanted = 7;
	sk_loop_peek_remove(w.loop, &late.peek);
	sk_loop_peek_remove(w.loop, &late.peek);
	assert_int_equal(late.nr_ends, 1);
	assert_int_equal(late.done, 7);
	sk_loop_peek_remove(w.loop, &w.peek);
	assert_int_equal(w.nr_ends, 1);
	sk_loop_destroy(w.loop);
}

static void the_time_follows_the_waits(void **state)
{
	static const struct {
		uint64_t waited_ns, poll_ns;
	} steps[] = {
		{100, 4000},	{3000, 4000},	{4001, 8000}, {20000, 16000}, {20000, 32000},
		{31999, 32000}, {32000, 32000}, {32001, 0},   {50000, 0},     {1, 4000},
	};
	struct watched w;

	(void)state;
	watch(&w, 0, 32000);
	for (size_t i = 0; i < SK_ARRAY_SIZE(steps); i++) {
		sk_loop_poll_learn(w.loop, steps[i].waited_ns);
		assert_int_equal(sk_loop_poll_limit(w.loop, SK_LOOP_INFINITE), steps[i].poll_ns);
	}
	assert_int_equal(sk_loop_poll_limit(w.loop, 7), 7);
	sk_loop_peek_remove(w.loop, &w.peek);
	assert_int_equal(sk_loop_poll_limit(w.loop, SK_LOOP_INFINITE), 0);
	sk_loop_destroy(w.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_seen_needs_no_wake),
		cmocka_unit_test(nothing_is_lost_between_polling_and_sleep),
		cmocka_unit_test(who_comes_and_goes_meanwhile_begins_and_ends),
		cmocka_unit_test(the_time_follows_the_waits),
	};
	const struct sk_loop_config config = {.driver = SK_LOOP_IO_URING};

	if (!has_driver(&config))
		return 0;
	return cmocka_run_group_tests_name("loop_peek", tests, NULL, NULL);
}
