/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The worker threads of the epoll driver: they make the calls that block on a disk. Each thread is
 * started when there is work and none is idle; all end with the loop. Results come back by a post.
 */
#include "loop_internal.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

struct pool {
	struct sk_loop *loop;
	struct sk_loop_post post; /* something is in done */
	/* Disk work dwarfs a lock, and nothing else takes it; it protects all below. */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct sk_loop_op *todo, **todo_end, *done, **done_end;
	unsigned nr_todo, nr_idle, nr_threads, max_threads;
	bool is_stopping;
	pthread_t threads[];
};

static void push(struct sk_loop_op ***end, struct sk_loop_op *op)
{
	op->next_work = NULL;
	**end = op;
	*end = &op->next_work;
}

static ssize_t transfer(const struct sk_loop_op *op)
{
	int n = (int)op->nr_iov;

	if (op->kind == OP_READ)
		return op->offset == SK_LOOP_STREAM ? readv(op->fd, op->iov, n)
						    : preadv(op->fd, op->iov, n, (off_t)op->offset);
	return op->offset == SK_LOOP_STREAM ? writev(op->fd, op->iov, n)
					    : pwritev(op->fd, op->iov, n, (off_t)op->offset);
}

static int work(const struct sk_loop_op *op)
{
	ssize_t n;

	switch ((enum op_kind)op->kind) {
	case OP_READ:
	case OP_WRITE:
		n = transfer(op);
		break;
	case OP_FSYNC:
		n = op->flags & SK_LOOP_DATASYNC ? fdatasync(op->fd) : fsync(op->fd);
		break;
	case OP_FALLOCATE:
		n = fallocate(op->fd, op->value, (off_t)op->offset, (off_t)op->len);
		break;
	case OP_OPENAT:
		n = openat(op->fd, op->arg, op->value, (mode_t)op->len);
		break;
	case OP_CLOSE:
		n = close(op->fd);
		if (n < 0 && errno == EINTR)
			n = 0;
		break;
	default:
		return -EOPNOTSUPP;
	}
	return n < 0 ? -errno : (int)n;
}

static void *worker(void *arg)
{
	struct pool *pool = arg;
	struct sk_loop_op *op;

	pthread_mutex_lock(&pool->lock);
	for (;;) {
		while (!pool->todo && !pool->is_stopping) {
			pool->nr_idle++;
			pthread_cond_wait(&pool->wake, &pool->lock);
			pool->nr_idle--;
		}
		if (!pool->todo)
			break;
		op = pool->todo;
		pool->todo = op->next_work;
		if (!pool->todo)
			pool->todo_end = &pool->todo;
		pool->nr_todo--;
		pthread_mutex_unlock(&pool->lock);
		op->preset = work(op);
		pthread_mutex_lock(&pool->lock);
		push(&pool->done_end, op);
		sk_loop_post(pool->loop, &pool->post);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

static void report_done(struct sk_loop *loop, struct sk_loop_post *post)
{
	struct pool *pool = SK_CONTAINER_OF(post, struct pool, post);
	struct sk_loop_op *op, *next;

	pthread_mutex_lock(&pool->lock);
	op = pool->done;
	pool->done = NULL;
	pool->done_end = &pool->done;
	pthread_mutex_unlock(&pool->lock);
	for (; op; op = next) {
		next = op->next_work;
		sk_loop_op_result(loop, op, op->preset);
	}
}

/* With every signal blocked: they are for the threads of the program. Called with the lock. */
static int add_thread(struct pool *pool)
{
	sigset_t all, old;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(&pool->threads[pool->nr_threads], NULL, worker, pool);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!ret)
		pool->nr_threads++;
	return -ret;
}

int sk_loop_pool_start(struct pool *pool, struct sk_loop_op *op)
{
	int ret = 0;

	pthread_mutex_lock(&pool->lock);
	if (pool->nr_idle <= pool->nr_todo && pool->nr_threads < pool->max_threads)
		ret = add_thread(pool);
	/* With one thread the work gets done, with none it never would. */
	if (pool->nr_threads) {
		push(&pool->todo_end, op);
		pool->nr_todo++;
		pthread_cond_signal(&pool->wake);
		ret = 0;
	}
	pthread_mutex_unlock(&pool->lock);
	return ret;
}

bool sk_loop_pool_cancel(struct pool *pool, struct sk_loop_op *op)
{
	struct sk_loop_op **at;
	bool is_found;

	pthread_mutex_lock(&pool->lock);
	for (at = &pool->todo; *at && *at != op; at = &(*at)->next_work)
		;
	is_found = *at;
	if (is_found) {
		*at = op->next_work;
		if (pool->todo_end == &op->next_work)
			pool->todo_end = at;
		pool->nr_todo--;
	}
	pthread_mutex_unlock(&pool->lock);
	return is_found;
}

int sk_loop_pool_create(struct pool **out, struct sk_loop *loop)
{
	unsigned max = loop->config.max_workers;
	struct pool *pool = calloc(1, sizeof(*pool) + max * sizeof(pthread_t));

	if (!pool)
		return -ENOMEM;
	pool->loop = loop;
	pool->post.run = report_done;
	pool->todo_end = &pool->todo;
	pool->done_end = &pool->done;
	pool->max_threads = max;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->wake, NULL);
	*out = pool;
	return 0;
}

void sk_loop_pool_stop(struct pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->is_stopping = true;
	pthread_cond_broadcast(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->nr_threads; i++)
		pthread_join(pool->threads[i], NULL);
	pool->nr_threads = 0;
}

void sk_loop_pool_destroy(struct pool *pool)
{
	if (!pool)
		return;
	pthread_cond_destroy(&pool->wake);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}
