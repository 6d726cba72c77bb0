/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Making, turning and draining a loop; the choice of the driver. */
#include "loop_internal.h"

#define DEFAULT_ENTRIES	  256
#define MAX_ENTRIES	  32768
#define DEFAULT_CALLBACKS 1024
#define DEFAULT_WORKERS	  4
#define MAX_WORKERS	  256
/* How long draining waits before it cancels once more. */
#define DRAIN_NS	  INT64_C(50000000)

static int fill_config(struct sk_loop_config *c, const struct sk_loop_config *from,
		       struct sk_error *err)
{
	const char *env = getenv("SKETE_LOOP");

	if (from)
		*c = *from;
	if (!c->queue_entries)
		c->queue_entries = DEFAULT_ENTRIES;
	if (!c->max_callbacks)
		c->max_callbacks = DEFAULT_CALLBACKS;
	if (!c->max_workers)
		c->max_workers = DEFAULT_WORKERS;
	if (c->queue_entries > MAX_ENTRIES || c->max_workers > MAX_WORKERS ||
	    c->driver > SK_LOOP_EPOLL)
		return sk_error_set(err, -EINVAL,
				    "loop: queue_entries is at most %d, max_workers at most %d",
				    MAX_ENTRIES, MAX_WORKERS);
	if (c->driver != SK_LOOP_AUTO || !env || !*env)
		return 0;
	if (!strcmp(env, "io_uring"))
		c->driver = SK_LOOP_IO_URING;
	else if (!strcmp(env, "epoll"))
		c->driver = SK_LOOP_EPOLL;
	else
		return sk_error_set(err, -EINVAL,
				    "SKETE_LOOP=%s in the environment: io_uring or epoll is meant",
				    env);
	return 0;
}

static int choose_driver(struct sk_loop *loop, struct sk_error *err)
{
	enum sk_loop_driver wanted = loop->config.driver;
	int ret;

	if (wanted != SK_LOOP_EPOLL) {
		ret = sk_loop_ring_create(loop);
		if (!ret)
			return 0;
		if (wanted == SK_LOOP_IO_URING)
			return sk_error_set(err, ret, "the loop cannot use io_uring: %s",
					    loop->reason);
		sk_logf(loop->config.log, SK_LOG_INFO, "%s, using epoll", loop->reason);
	}
	ret = sk_loop_poller_create(loop);
	if (ret)
		return sk_error_set(err, ret, "the loop cannot create an epoll instance: %s",
				    strerror(-ret));
	return 0;
}

int sk_loop_create(struct sk_loop **out, const struct sk_loop_config *config, struct sk_error *err)
{
	struct sk_loop *loop;
	int ret;

	loop = aligned_alloc(_Alignof(struct sk_loop), sizeof(*loop));
	if (!loop)
		return sk_error_set(err, -ENOMEM, "no memory for a loop");
	memset(loop, 0, sizeof(*loop));
	link_init(&loop->pending);
	link_init(&loop->cancels);
	link_init(&loop->retries);
	link_init(&loop->loose);
	link_init(&loop->peeks);
	sk_loop_wheel_init(&loop->wheel, sk_now_ns());
	ret = fill_config(&loop->config, config, err);
	if (ret)
		goto err_free;
	loop->wake_fd = sk_eventfd_create();
	if (loop->wake_fd < 0) {
		ret = sk_error_set(err, loop->wake_fd, "the loop cannot create an eventfd: %s",
				   strerror(-loop->wake_fd));
		goto err_free;
	}
	ret = choose_driver(loop, err);
	if (ret)
		goto err_wake;
	*out = loop;
	return 0;

err_wake:
	sk_close(&loop->wake_fd);
err_free:
	free(loop);
	return ret;
}

/*
 * Nothing may be in flight when the memory goes, so a driver that fails here leaves no safe way
 * out: the kernel might write into what the caller frees next.
 */
static void drain(struct sk_loop *loop)
{
	loop->is_draining = true;
	while (loop->stats.in_flight || sk_loop_has_posts(loop)) {
		int ret;

		sk_loop_cancel_all(loop);
		ret = sk_loop_turn(loop, DRAIN_NS);
		BUG_ON(ret < 0);
	}
}

void sk_loop_destroy(struct sk_loop *loop)
{
	if (!loop)
		return;
	BUG_ON(loop->is_turning);
	drain(loop);
	loop->ops->stop(loop);
	/* The last posts of the worker threads; they have nothing to say any more. */
	while (sk_loop_run_posts(loop))
		;
	loop->ops->destroy(loop);
	sk_loop_fd_fini(&loop->fds);
	sk_close(&loop->wake_fd);
	free(loop);
}

int sk_loop_bind(struct sk_loop *loop)
{
	int ret;

	if (loop->is_bound)
		return 0;
	ret = loop->ops->bind(loop);
	if (ret)
		return ret;
	loop->owner = pthread_self();
	loop->is_bound = true;
	return 0;
}

bool sk_loop_is_owner(const struct sk_loop *loop)
{
	return !loop->is_bound || pthread_equal(loop->owner, pthread_self());
}

/* How long the driver may wait: not at all if there is work. */
static int64_t wait_limit(struct sk_loop *loop, int64_t timeout_ns)
{
	uint64_t next = sk_loop_wheel_next_ns(&loop->wheel), now;

	if (timeout_ns <= 0 || !link_is_empty(&loop->pending) || !link_is_empty(&loop->cancels) ||
	    sk_loop_has_posts(loop) || loop->ops->is_ready(loop))
		return 0;
	if (next == UINT64_MAX)
		return timeout_ns;
	now = sk_loop_now_ns(loop);
	if (next <= now)
		return 0;
	return next - now < (uint64_t)timeout_ns ? (int64_t)(next - now) : timeout_ns;
}

int sk_loop_turn(struct sk_loop *loop, int64_t timeout_ns)
{
	uint64_t before = loop->stats.callbacks;
	int ret = sk_loop_bind(loop);

	if (ret)
		return ret;
	BUG_ON(loop->is_turning || !pthread_equal(loop->owner, pthread_self()));
	loop->is_turning = true;
	loop->is_now_valid = false;
	loop->stats.turns++;
	loop->budget = loop->config.max_callbacks;
	loop->stats.callbacks += sk_loop_peek_work(loop);
	sk_loop_flush(loop);
	if (loop->stats.callbacks != before)
		timeout_ns = 0;
	ret = loop->ops->enter(loop, wait_limit(loop, timeout_ns));
	loop->stats.callbacks += sk_loop_run_posts(loop);
	if (!loop->is_draining)
		loop->stats.callbacks += sk_loop_run_timers(loop);
	loop->is_turning = false;
	return ret ? ret : (int)(loop->stats.callbacks - before);
}

int sk_loop_run(struct sk_loop *loop)
{
	int ret = 0;

	loop->is_stopped = false;
	while (ret >= 0 && !loop->is_stopped)
		ret = sk_loop_turn(loop, SK_LOOP_INFINITE);
	return SK_MIN(ret, 0);
}

void sk_loop_stop(struct sk_loop *loop)
{
	loop->is_stopped = true;
}

enum sk_loop_driver sk_loop_driver(const struct sk_loop *loop)
{
	return loop->kind;
}

const char *sk_loop_driver_reason(const struct sk_loop *loop)
{
	return loop->reason;
}

uint64_t sk_loop_now_ns(struct sk_loop *loop)
{
	if (!loop->is_now_valid)
		loop->now_ns = sk_now_ns();
	loop->is_now_valid = true;
	return loop->now_ns;
}

void sk_loop_stats(const struct sk_loop *loop, struct sk_loop_stats *stats)
{
	*stats = loop->stats;
}
