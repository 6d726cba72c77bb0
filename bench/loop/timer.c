/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * 100,000 timers: what it costs to set one, to move one, to clear one, and to let one fire, the
 * turns of the loop included. Beside it libuv's and libevent's.
 */
#include "loop_bench.h"

#if HAVE_UV
#include <uv.h>
#endif
#if HAVE_EVENT
#include <event2/event.h>
#endif

#define NR     100000
#define ROUNDS 5

enum { SET, MOVE, CLEAR, FIRE, NR_COSTS };

static const char *const cost_names[NR_COSTS] = {"set", "move", "clear", "fire"};

/* A way to have timers. Deadlines are in milliseconds from now, as libuv counts. */
struct timers {
	const char *name;
	void (*setup)(void);
	void (*set)(unsigned i, unsigned ms);
	void (*clear)(unsigned i);
	void (*run)(void); /* until all have fired */
	void (*teardown)(void);
};

static unsigned fired;

static uint64_t next_random(uint64_t *s)
{
	*s = *s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *s >> 33;
}

static struct sk_loop *loop;
static struct sk_loop_timer *timers;

static void fire(struct sk_loop *l, struct sk_loop_timer *timer)
{
	(void)timer;
	if (++fired == NR)
		sk_loop_stop(l);
}

static void skete_setup(void)
{
	loop = bench_loop(SK_LOOP_AUTO, 0);
	timers = calloc(NR, sizeof(*timers));
	for (unsigned i = 0; i < NR; i++)
		timers[i].fire = fire;
}

static void skete_set(unsigned i, unsigned ms)
{
	sk_loop_timer_set(loop, &timers[i], sk_loop_now_ns(loop) + ms * UINT64_C(1000000));
}

static void skete_clear(unsigned i)
{
	sk_loop_timer_clear(loop, &timers[i]);
}

static void skete_run(void)
{
	if (sk_loop_run(loop))
		bench_die("the loop failed");
}

static void skete_teardown(void)
{
	sk_loop_destroy(loop);
	free(timers);
}

#if HAVE_UV
static uv_loop_t uv_loop;
static uv_timer_t *uv_timers;

static void uv_fire(uv_timer_t *timer)
{
	(void)timer;
	fired++;
}

static void uv_setup(void)
{
	uv_loop_init(&uv_loop);
	uv_timers = calloc(NR, sizeof(*uv_timers));
	for (unsigned i = 0; i < NR; i++)
		uv_timer_init(&uv_loop, &uv_timers[i]);
}

static void uv_set(unsigned i, unsigned ms)
{
	uv_timer_start(&uv_timers[i], uv_fire, ms, 0);
}

static void uv_clear(unsigned i)
{
	uv_timer_stop(&uv_timers[i]);
}

static void uv_run_all(void)
{
	uv_run(&uv_loop, UV_RUN_DEFAULT);
}

static void uv_teardown(void)
{
	for (unsigned i = 0; i < NR; i++)
		uv_close((uv_handle_t *)&uv_timers[i], NULL);
	uv_run(&uv_loop, UV_RUN_DEFAULT);
	uv_loop_close(&uv_loop);
	free(uv_timers);
}
#endif

#if HAVE_EVENT
static struct event_base *base;
static struct event **events;

static void event_fire(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	fired++;
}

static void event_setup(void)
{
	base = event_base_new();
	events = calloc(NR, sizeof(struct event *));
	for (unsigned i = 0; i < NR; i++)
		events[i] = evtimer_new(base, event_fire, NULL);
}

static void event_set(unsigned i, unsigned ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	evtimer_add(events[i], &tv);
}

static void event_clear(unsigned i)
{
	evtimer_del(events[i]);
}

static void event_run(void)
{
	event_base_dispatch(base);
}

static void event_teardown(void)
{
	for (unsigned i = 0; i < NR; i++)
		event_free(events[i]);
	event_base_free(base);
	free(events);
}
#endif

static const struct timers kinds[] = {
	{"skete", skete_setup, skete_set, skete_clear, skete_run, skete_teardown},
#if HAVE_UV
	{"libuv", uv_setup, uv_set, uv_clear, uv_run_all, uv_teardown},
#endif
#if HAVE_EVENT
	{"libevent", event_setup, event_set, event_clear, event_run, event_teardown},
#endif
};

static double lap(uint64_t *start)
{
	uint64_t now = sk_now_ns();
	double ns = (double)(now - *start) / NR;

	*start = now;
	return ns;
}

static void measure(const struct timers *k, double cost[NR_COSTS])
{
	uint64_t s = 1, start;

	k->setup();
	start = sk_now_ns();
	for (unsigned i = 0; i < NR; i++)
		k->set(i, 1000 + (unsigned)next_random(&s) % 60000);
	cost[SET] = lap(&start);
	for (unsigned i = 0; i < NR; i++)
		k->set(i, 1000 + (unsigned)next_random(&s) % 60000);
	cost[MOVE] = lap(&start);
	for (unsigned i = 0; i < NR; i++)
		k->clear(i);
	cost[CLEAR] = lap(&start);
	/* All due when the loop turns first, so that none is waited for. */
	for (unsigned i = 0; i < NR; i++)
		k->set(i, (unsigned)next_random(&s) % 2);
	fired = 0;
	start = sk_now_ns() + 3000000;
	while (sk_now_ns() < start)
		;
	k->run();
	cost[FIRE] = lap(&start);
	if (fired != NR)
		bench_die("%s: %u of %d timers fired", k->name, fired, NR);
	k->teardown();
}

void bench_timer(void)
{
	double v[NR_COSTS][ROUNDS], cost[NR_COSTS], m;

	printf("timers    set ns  move ns  clear ns  fire ns\n");
	for (size_t i = 0; i < SK_ARRAY_SIZE(kinds); i++) {
		for (unsigned round = 0; round < ROUNDS; round++) {
			measure(&kinds[i], cost);
			for (int c = 0; c < NR_COSTS; c++)
				v[c][round] = cost[c];
		}
		printf("%-8s", kinds[i].name);
		for (int c = 0; c < NR_COSTS; c++) {
			m = bench_median(v[c], ROUNDS);
			printf("  %7.1f", m);
			bench_add("timer", kinds[i].name, "ns", m, "cost=%s timers=%d",
				  cost_names[c], NR);
		}
		printf("\n");
	}
}
