/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The echo server on our loop. */
#include "loop_bench.h"

struct conn {
	struct sk_loop_op op;
	unsigned *nr_open;
	size_t size_bytes;
	char buf[ECHO_MAX_BYTES];
};

static void sent(struct sk_loop *loop, struct sk_loop_op *op, int n);

static void closed(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	struct conn *c = SK_CONTAINER_OF(op, struct conn, op);

	(void)result;
	if (!--*c->nr_open)
		sk_loop_stop(loop);
}

static void received(struct sk_loop *loop, struct sk_loop_op *op, int n)
{
	struct conn *c = SK_CONTAINER_OF(op, struct conn, op);

	op->done = n > 0 ? sent : closed;
	if (n > 0)
		sk_loop_send(loop, op, c->buf, (size_t)n);
	else
		sk_loop_close(loop, op);
}

static void sent(struct sk_loop *loop, struct sk_loop_op *op, int n)
{
	struct conn *c = SK_CONTAINER_OF(op, struct conn, op);

	op->done = n > 0 ? received : closed;
	if (n > 0)
		sk_loop_recv(loop, op, c->buf, c->size_bytes);
	else
		sk_loop_close(loop, op);
}

static void serve(enum sk_loop_driver driver, const int *fds, unsigned nr, size_t size_bytes)
{
	struct sk_loop *loop = bench_loop(driver, 0);
	struct conn *conns = calloc(nr, sizeof(*conns));
	unsigned nr_open = nr;

	for (unsigned i = 0; i < nr; i++) {
		conns[i].op = (struct sk_loop_op){.done = received, .fd = fds[i]};
		conns[i].nr_open = &nr_open;
		conns[i].size_bytes = size_bytes;
		sk_loop_recv(loop, &conns[i].op, conns[i].buf, size_bytes);
	}
	if (sk_loop_run(loop))
		bench_die("the loop failed");
	sk_loop_destroy(loop);
	free(conns);
}

void echo_skete_uring(const int *fds, unsigned nr, size_t size_bytes)
{
	serve(SK_LOOP_IO_URING, fds, nr, size_bytes);
}

void echo_skete_epoll(const int *fds, unsigned nr, size_t size_bytes)
{
	serve(SK_LOOP_EPOLL, fds, nr, size_bytes);
}
