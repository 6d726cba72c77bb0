/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * From a post in another thread to its callback, while the loop sleeps: the poster waits a little
 * after every answer. Beside it libuv's async handle, and our loop when it polls.
 */
#include "loop_bench.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#if HAVE_UV
#include <uv.h>
#endif

#define NR_POSTS 5000
#define PAUSE_NS 30000

struct posts {
	struct sk_loop *loop;
	struct sk_loop_post post;
#if HAVE_UV
	uv_async_t async;
#endif
	void (*send)(struct posts *p);
	uint64_t sent_ns;
	double us[NR_POSTS];
	unsigned answered; /* atomic */
};

static void note(struct posts *p)
{
	p->us[p->answered] = (double)(sk_now_ns() - p->sent_ns) / 1e3;
	__atomic_store_n(&p->answered, p->answered + 1, __ATOMIC_RELEASE);
}

static void *post_all(void *arg)
{
	struct posts *p = arg;

	for (unsigned i = 0; i < NR_POSTS; i++) {
		uint64_t until = sk_now_ns() + PAUSE_NS;

		while (sk_now_ns() < until)
			;
		p->sent_ns = sk_now_ns();
		p->send(p);
		for (unsigned k = 1; __atomic_load_n(&p->answered, __ATOMIC_ACQUIRE) == i; k++)
			if (k % 4096 == 0)
				sched_yield();
	}
	return NULL;
}

static void report(const char *name, struct posts *p)
{
	double p50 = bench_median(p->us, NR_POSTS), p99 = bench_quantile(p->us, NR_POSTS, 0.99);

	printf("%-24s  %6.1f  %6.1f\n", name, p50, p99);
	bench_add("post", name, "us, p50", p50, "posts=%d", NR_POSTS);
	bench_add("post", name, "us, p99", p99, "posts=%d", NR_POSTS);
}

static void run_post(struct sk_loop *loop, struct sk_loop_post *post)
{
	struct posts *p = SK_CONTAINER_OF(post, struct posts, post);

	note(p);
	if (p->answered == NR_POSTS)
		sk_loop_stop(loop);
}

static void send_post(struct posts *p)
{
	sk_loop_post(p->loop, &p->post);
}

static void measure_skete(const char *name, enum sk_loop_driver driver, uint64_t busy_poll_ns)
{
	struct posts *p = calloc(1, sizeof(*p));
	pthread_t thread;

	p->loop = bench_loop(driver, busy_poll_ns);
	p->post.run = run_post;
	p->send = send_post;
	pthread_create(&thread, NULL, post_all, p);
	if (sk_loop_run(p->loop))
		bench_die("the loop failed");
	pthread_join(thread, NULL);
	sk_loop_destroy(p->loop);
	report(name, p);
	free(p);
}

#if HAVE_UV
static void run_async(uv_async_t *async)
{
	struct posts *p = async->data;

	note(p);
	if (p->answered == NR_POSTS)
		uv_close((uv_handle_t *)async, NULL);
}

static void send_async(struct posts *p)
{
	uv_async_send(&p->async);
}

static void measure_uv(void)
{
	struct posts *p = calloc(1, sizeof(*p));
	pthread_t thread;
	uv_loop_t loop;

	uv_loop_init(&loop);
	uv_async_init(&loop, &p->async, run_async);
	p->async.data = p;
	p->send = send_async;
	pthread_create(&thread, NULL, post_all, p);
	uv_run(&loop, UV_RUN_DEFAULT);
	pthread_join(thread, NULL);
	uv_loop_close(&loop);
	report("libuv", p);
	free(p);
}
#endif

void bench_post(void)
{
	printf("loop                      p50 us  p99 us\n");
	if (bench_has_uring()) {
		measure_skete("skete io_uring", SK_LOOP_IO_URING, 0);
		measure_skete("skete io_uring, polling", SK_LOOP_IO_URING, 1000000);
	}
	measure_skete("skete epoll", SK_LOOP_EPOLL, 0);
#if HAVE_UV
	measure_uv();
#endif
}
