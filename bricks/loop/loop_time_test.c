/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Timers, posts and wake-ups; run once per driver (SKETE_LOOP in the environment). */
#include "loop_internal.h"

#include <poll.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop_test_util.h"

struct alarm {
	struct sk_loop_timer timer;
	uint64_t deadline_ns;
	unsigned fired;
};

/* What the timers of one test tell each other. */
static struct {
	uint64_t now_ns, last_ns;
	unsigned fired, early, disordered;
} seen;

static void note_alarm(struct sk_loop *loop, struct sk_loop_timer *timer)
{
	struct alarm *alarm = SK_CONTAINER_OF(timer, struct alarm, timer);
	uint64_t now = seen.now_ns ? seen.now_ns : sk_now_ns();

	(void)loop;
	alarm->fired++;
	seen.fired++;
	seen.early += now < alarm->deadline_ns;
	seen.disordered += alarm->deadline_ns + 1024 < seen.last_ns;
	seen.last_ns = SK_MAX(seen.last_ns, alarm->deadline_ns);
}

/* Runs the timers at a time of our choice, until none is due. */
static void run_at(struct sk_loop *loop, uint64_t now_ns)
{
	loop->now_ns = seen.now_ns = now_ns;
	loop->is_now_valid = true;
	while (sk_loop_run_timers(loop))
		;
}

static uint64_t rng(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static void wheel_fires_each_once_in_order(void **state)
{
	enum { NR = 100000 };
	struct sk_loop *loop = make_with(NULL);
	struct alarm *alarms = calloc(NR, sizeof(*alarms));
	uint64_t s = 88172645463325252u, now = sk_now_ns(), start = now;
	unsigned cleared = 0, due;

	(void)state;
	memset(&seen, 0, sizeof(seen));
	for (unsigned i = 0; i < NR; i++) {
		alarms[i].timer.fire = note_alarm;
		/* Every magnitude from now to centuries, some in the past. */
		alarms[i].deadline_ns = start - 5000 + (rng(&s) >> (4 + rng(&s) % 56));
		sk_loop_timer_set(loop, &alarms[i].timer, alarms[i].deadline_ns);
		assert_true(sk_loop_timer_is_set(&alarms[i].timer));
	}
	for (unsigned i = 0; i < NR; i += 3) {
		if (i % 2) {
			sk_loop_timer_clear(loop, &alarms[i].timer);
			sk_loop_timer_clear(loop, &alarms[i].timer);
			assert_false(sk_loop_timer_is_set(&alarms[i].timer));
			cleared++;
		} else {
			alarms[i].deadline_ns = start + rng(&s) % 1000000000;
			sk_loop_timer_set(loop, &alarms[i].timer, alarms[i].deadline_ns);
		}
	}
	/* Time passes in steps of every size; nobody is forgotten, nobody early. */
	for (int step = 0; step < 50; step++) {
		now += UINT64_C(1) << step;
		run_at(loop, now);
		due = 0;
		for (unsigned i = 0; i < NR; i++)
			due += sk_loop_timer_is_set(&alarms[i].timer) &&
			       alarms[i].deadline_ns + 2048 < now;
		assert_int_equal(due, 0);
		assert_true(sk_loop_wheel_next_ns(&loop->wheel) > now);
	}
	run_at(loop, UINT64_MAX);
	assert_int_equal(seen.fired, NR - cleared);
	assert_int_equal(seen.early, 0);
	assert_int_equal(seen.disordered, 0);
	for (unsigned i = 0; i < NR; i++)
		assert_int_equal(alarms[i].fired, i % 3 || !(i % 2) ? 1 : 0);
	assert_true(sk_loop_wheel_next_ns(&loop->wheel) == UINT64_MAX);
	sk_loop_destroy(loop);
	free(alarms);
}

static void timers_wake_a_sleeping_loop(void **state)
{
	struct sk_loop *loop = make_with(NULL);
	struct alarm a = {.timer.fire = note_alarm}, far = {.timer.fire = note_alarm};

	(void)state;
	memset(&seen, 0, sizeof(seen));
	a.deadline_ns = sk_now_ns() + 3000000;
	far.deadline_ns = UINT64_MAX;
	sk_loop_timer_set(loop, &a.timer, a.deadline_ns);
	sk_loop_timer_set(loop, &far.timer, far.deadline_ns);
	while (!a.fired)
		assert_true(sk_loop_turn(loop, SK_LOOP_INFINITE) >= 0);
	assert_int_equal(seen.early, 0);
	assert_int_equal(far.fired, 0);
	/* A bounded turn ends though the timer is far. */
	assert_int_equal(sk_loop_turn(loop, 1000000), 0);
	sk_loop_destroy(loop);
}

struct cycle {
	struct sk_loop_timer timer, victim;
	unsigned fired;
};

static void never(struct sk_loop *loop, struct sk_loop_timer *timer)
{
	(void)loop;
	(void)timer;
	fail_msg("a timer fired after it was cleared");
}

static void set_again(struct sk_loop *loop, struct sk_loop_timer *timer)
{
	struct cycle *c = SK_CONTAINER_OF(timer, struct cycle, timer);

	/* The other one is due as well; from here on it must not fire. */
	sk_loop_timer_clear(loop, &c->victim);
	if (++c->fired < 10)
		sk_loop_timer_set(loop, timer, 0);
	else
		sk_loop_stop(loop);
}

static void callbacks_set_and_clear_timers(void **state)
{
	struct cycle c = {.timer.fire = set_again, .victim.fire = never};
	struct sk_loop *loop = make_with(NULL);

	(void)state;
	sk_loop_timer_set(loop, &c.timer, 1);
	sk_loop_timer_set(loop, &c.victim, 2);
	assert_int_equal(sk_loop_run(loop), 0);
	assert_int_equal(c.fired, 10);
	sk_loop_destroy(loop);
}

struct note {
	struct sk_loop_post post;
	int number, runs;
};

static int last_number;

static void run_note(struct sk_loop *loop, struct sk_loop_post *post)
{
	struct note *note = SK_CONTAINER_OF(post, struct note, post);

	(void)loop;
	note->runs++;
	assert_true(note->number > last_number);
	last_number = note->number;
}

static void posts_run_in_order_bounded_and_once(void **state)
{
	struct sk_loop_config config = {.max_callbacks = 7};
	struct sk_loop *loop = make_with(&config);
	struct note notes[100];
	int n, total = 0;

	(void)state;
	last_number = -1;
	for (int i = 0; i < 100; i++) {
		notes[i] = (struct note){.post.run = run_note, .number = i};
		sk_loop_post(loop, &notes[i].post);
		sk_loop_post(loop, &notes[i].post);
	}
	while (total < 100) {
		n = sk_loop_turn(loop, SK_LOOP_INFINITE);
		assert_in_range(n, 1, 7);
		total += n;
	}
	for (int i = 0; i < 100; i++)
		assert_int_equal(notes[i].runs, 1);
	assert_int_equal(sk_loop_turn(loop, 0), 0);
	sk_loop_destroy(loop);
}

struct eager {
	struct sk_loop_post post;
	unsigned runs;
};

static void post_itself(struct sk_loop *loop, struct sk_loop_post *post)
{
	struct eager *e = SK_CONTAINER_OF(post, struct eager, post);

	if (++e->runs < 50)
		sk_loop_post(loop, post);
}

/* Neither a post that posts itself nor a flood of completions keeps the others from their turn. */
static void nobody_starves(void **state)
{
	struct sk_loop *loop = make_with(NULL);
	struct eager e = {.post.run = post_itself};
	struct alarm a = {.timer.fire = note_alarm};

	(void)state;
	sk_loop_timer_set(loop, &a.timer, 1);
	sk_loop_post(loop, &e.post);
	assert_int_equal(sk_loop_turn(loop, SK_LOOP_INFINITE), 2);
	assert_int_equal(a.fired, 1);
	assert_int_equal(e.runs, 1);
	while (e.runs < 50)
		assert_true(sk_loop_turn(loop, SK_LOOP_INFINITE) >= 0);
	sk_loop_destroy(loop);
}

/* One thread that posts and waits for the answer; wake-ups are lost exactly where it hurries. */
struct stress {
	struct sk_loop *loop;
	struct sk_loop_post post;
	unsigned count, answered; /* answered is atomic */
	unsigned payload;	  /* written before the post, read by its run() */
	bool is_wrong;
};

static void answer(struct sk_loop *loop, struct sk_loop_post *post)
{
	struct stress *s = SK_CONTAINER_OF(post, struct stress, post);

	(void)loop;
	s->is_wrong |= s->payload != s->answered + 1;
	__atomic_store_n(&s->answered, s->answered + 1, __ATOMIC_RELEASE);
}

static void *post_many(void *arg)
{
	struct stress *s = arg;
	uint64_t seed = 1234567;

	for (unsigned i = 1; i <= s->count; i++) {
		s->payload = i;
		sk_loop_post(s->loop, &s->post);
		/* A machine with other things to do must not spend its time slices on waiting. */
		for (unsigned k = 1; __atomic_load_n(&s->answered, __ATOMIC_ACQUIRE) != i; k++)
			if (k % 4096 == 0)
				sched_yield();
		/* From the moment before it looks for posts to when it sleeps for good. */
		for (uint64_t k = rng(&seed) % (i % 1024 ? 256 : 20000); k; k--)
			__asm__ volatile("" ::: "memory");
	}
	return NULL;
}

/* Far beyond what a busy machine makes of a poster's next step. */
#define LOST_NS INT64_C(20000000000)

static void no_wake_up_is_lost(void **state)
{
	const char *env = getenv("SKETE_LOOP_WAKEUPS");
	struct sk_loop *loop = make_with(NULL);
	struct stress s = {
		.loop = loop, .post.run = answer, .count = env ? (unsigned)atoi(env) : 250000};
	uint64_t start;
	pthread_t thread;
	int n;

	(void)state;
	pthread_create(&thread, NULL, post_many, &s);
	while (s.answered < s.count) {
		start = sk_now_ns();
		n = sk_loop_turn(loop, LOST_NS);
		assert_true(n >= 0);
		/* It slept all the time, then it found the post. */
		if (sk_now_ns() - start >= LOST_NS && s.answered < s.count)
			fail_msg("wake-up %u was lost", s.answered);
	}
	pthread_join(thread, NULL);
	assert_false(s.is_wrong);
	sk_loop_destroy(loop);
}

enum { NR_POSTERS = 4, NR_POSTS = 20000 };

struct crowd {
	struct sk_loop *loop;
	struct sk_loop_post post;
	unsigned *total, acked; /* acked is atomic */
};

static void count_post(struct sk_loop *loop, struct sk_loop_post *post)
{
	struct crowd *c = SK_CONTAINER_OF(post, struct crowd, post);

	if (++*c->total == NR_POSTERS * NR_POSTS)
		sk_loop_stop(loop);
	__atomic_store_n(&c->acked, c->acked + 1, __ATOMIC_RELEASE);
}

static void *post_in_a_crowd(void *arg)
{
	struct crowd *c = arg;

	for (unsigned i = 1; i <= NR_POSTS; i++) {
		sk_loop_post(c->loop, &c->post);
		while (__atomic_load_n(&c->acked, __ATOMIC_ACQUIRE) != i)
			sched_yield();
	}
	return NULL;
}

/* A loop of its own in each of two threads, with several posters each, and busy polling in one. */
static void *run_crowd(void *arg)
{
	struct sk_loop_config config = {.busy_poll_ns = *(uint64_t *)arg};
	struct crowd crowd[NR_POSTERS];
	pthread_t threads[NR_POSTERS];
	unsigned total = 0;
	struct sk_loop *loop;

	if (sk_loop_create(&loop, &config, NULL))
		return NULL;
	for (int i = 0; i < NR_POSTERS; i++) {
		crowd[i] = (struct crowd){.loop = loop, .post.run = count_post, .total = &total};
		pthread_create(&threads[i], NULL, post_in_a_crowd, &crowd[i]);
	}
	if (sk_loop_run(loop))
		total = 0;
	for (int i = 0; i < NR_POSTERS; i++)
		pthread_join(threads[i], NULL);
	sk_loop_destroy(loop);
	return total == NR_POSTERS * NR_POSTS ? arg : NULL;
}

static void loops_do_not_share(void **state)
{
	uint64_t calm = 0, busy = 50000;
	pthread_t a, b;
	void *ret_a, *ret_b;

	(void)state;
	sk_loop_destroy(make_with(NULL));
	pthread_create(&a, NULL, run_crowd, &calm);
	pthread_create(&b, NULL, run_crowd, &busy);
	pthread_join(a, &ret_a);
	pthread_join(b, &ret_b);
	assert_ptr_equal(ret_a, &calm);
	assert_ptr_equal(ret_b, &busy);
}

static void polled(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	(void)op;
	assert_int_equal(result, POLLIN);
	sk_loop_stop(loop);
}

static void *signal_soon(void *arg)
{
	usleep(3000);
	sk_eventfd_signal(*(int *)arg);
	return NULL;
}

/* Busy polling ends: in the loop's time for what is ready, in its bound for what is not. */
static void busy_polling_has_a_bound(void **state)
{
	struct sk_loop_config config = {.busy_poll_ns = 100000};
	struct sk_loop *loop = make_with(&config);
	int fd = eventfd(0, EFD_CLOEXEC);
	struct sk_loop_op op = {.done = polled, .fd = fd};
	struct alarm a = {.timer.fire = note_alarm};
	pthread_t thread;

	(void)state;
	sk_loop_poll(loop, &op, POLLIN);
	pthread_create(&thread, NULL, signal_soon, &fd);
	assert_int_equal(sk_loop_run(loop), 0);
	pthread_join(thread, NULL);
	sk_loop_timer_set(loop, &a.timer, sk_loop_now_ns(loop) + 2000000);
	while (!a.fired)
		assert_true(sk_loop_turn(loop, SK_LOOP_INFINITE) >= 0);
	assert_int_equal(sk_loop_turn(loop, 200000), 0);
	sk_loop_destroy(loop);
	sk_close(&fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wheel_fires_each_once_in_order),
		cmocka_unit_test(timers_wake_a_sleeping_loop),
		cmocka_unit_test(callbacks_set_and_clear_timers),
		cmocka_unit_test(posts_run_in_order_bounded_and_once),
		cmocka_unit_test(nobody_starves),
		cmocka_unit_test(no_wake_up_is_lost),
		cmocka_unit_test(loops_do_not_share),
		cmocka_unit_test(busy_polling_has_a_bound),
	};

	if (!has_driver(NULL))
		return 0;
	return cmocka_run_group_tests_name("loop_time", tests, NULL, NULL);
}
