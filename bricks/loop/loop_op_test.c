/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * What the loop makes of results that a kernel seldom gives, with a driver that says what the test
 * wants: short transfers, EINTR, EAGAIN, ENOBUFS, success after a cancel, a queue without room.
 */
#include "loop_internal.h"

#include <fcntl.h>
#include <setjmp.h>
#include <unistd.h>

#include <cmocka.h>

/* The next results of the scripted driver, each of one start; 0-terminated. */
static int script[32];
static unsigned starts, cancels, refusals;
static struct sk_loop_op *held; /* started with HOLD: no result yet */

#define HOLD INT32_MIN

static bool script_start(struct sk_loop *loop, struct sk_loop_op *op)
{
	if (refusals) {
		refusals--;
		return false;
	}
	BUG_ON(starts == SK_ARRAY_SIZE(script));
	op->is_polling = false;
	if (script[starts++] == HOLD)
		held = op;
	else
		sk_loop_op_result(loop, op, script[starts - 1]);
	return true;
}

static bool script_cancel(struct sk_loop *loop, struct sk_loop_op *op)
{
	(void)loop;
	(void)op;
	if (refusals) {
		refusals--;
		return false;
	}
	cancels++;
	return true;
}

static void script_forget(struct sk_loop *loop, struct sk_loop_op *op)
{
	(void)loop;
	(void)op;
}

static int script_enter(struct sk_loop *loop, int64_t wait_ns)
{
	loop->is_now_valid = false;
	if (wait_ns && wait_ns != SK_LOOP_INFINITE)
		usleep((useconds_t)(wait_ns / 1000 + 1));
	return 0;
}

static const struct driver_ops scripted = {
	.start = script_start,
	.cancel = script_cancel,
	.forget = script_forget,
	.enter = script_enter,
};

static const struct driver_ops *real_ops;
static struct driver_ops mixed;
static int calls, last;

static void note(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	(void)loop;
	(void)op;
	calls++;
	last = result;
}

static struct sk_loop *make(const int *results, size_t nr)
{
	/* io_uring's rules for EAGAIN, whatever the kernel here has. */
	struct sk_loop_config config = {.driver = SK_LOOP_EPOLL};
	struct sk_loop *loop;

	assert_int_equal(sk_loop_create(&loop, &config, NULL), 0);
	loop->kind = SK_LOOP_IO_URING;
	real_ops = loop->ops;
	mixed = *real_ops;
	mixed.start = scripted.start;
	mixed.cancel = scripted.cancel;
	mixed.forget = scripted.forget;
	mixed.enter = scripted.enter;
	loop->ops = &mixed;
	memcpy(script, results, nr * sizeof(*results));
	starts = cancels = refusals = 0;
	calls = 0;
	last = 4711;
	held = NULL;
	return loop;
}

#define MAKE(...) make((const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int))

static void run(struct sk_loop *loop, const struct sk_loop_op *op)
{
	for (int i = 0; i < 200 && sk_loop_op_is_busy(op); i++)
		assert_true(sk_loop_turn(loop, SK_LOOP_INFINITE) >= 0);
	assert_false(sk_loop_op_is_busy(op));
	assert_int_equal(calls, 1);
}

static void eintr_and_eagain_are_not_seen(void **state)
{
	struct sk_loop *loop = MAKE(-EINTR, -EINTR, -EAGAIN, -EINTR, 5);
	struct sk_loop_op op = {.done = note};
	char buf[8];

	(void)state;
	sk_loop_recv(loop, &op, buf, sizeof(buf));
	run(loop, &op);
	assert_int_equal(last, 5);
	assert_int_equal(starts, 5);
	sk_loop_destroy(loop);
}

static void enobufs_is_tried_again_for_a_while(void **state)
{
	struct sk_loop *loop = MAKE(-ENOBUFS, -ENOBUFS, -ENOBUFS, 3);
	struct sk_loop_op op = {.done = note};
	int many[20];

	(void)state;
	sk_loop_send(loop, &op, "abc", 3);
	run(loop, &op);
	assert_int_equal(last, 3);
	sk_loop_destroy(loop);

	for (int i = 0; i < 20; i++)
		many[i] = -ENOBUFS;
	loop = make(many, 20);
	sk_loop_send(loop, &op, "abc", 3);
	run(loop, &op);
	assert_int_equal(last, -ENOBUFS);
	assert_int_equal(starts, 17);
	sk_loop_destroy(loop);

	/* Cancelled while it waits for its next try. */
	loop = make(many, 20);
	sk_loop_send(loop, &op, "abc", 3);
	assert_int_equal(sk_loop_turn(loop, 0), 0);
	assert_int_equal(op.stage, STAGE_RETRY);
	sk_loop_cancel(loop, &op);
	run(loop, &op);
	assert_int_equal(last, -ECANCELED);
	assert_int_equal(starts, 1);
	sk_loop_destroy(loop);
}

static void short_transfers_add_up(void **state)
{
	char a[4], b[4];
	struct iovec iov[2] = {{a, 4}, {b, 4}}, copy[2];
	struct sk_loop_op op = {.done = note, .flags = SK_LOOP_WHOLE};
	struct sk_loop *loop = MAKE(1, 4, -EINTR, 3);

	(void)state;
	memcpy(copy, iov, sizeof(iov));
	sk_loop_readv(loop, &op, iov, 2, 1000);
	run(loop, &op);
	assert_int_equal(last, 8);
	assert_int_equal(op.offset, 1005);
	assert_memory_equal(iov, copy, sizeof(iov));
	sk_loop_destroy(loop);

	/* The end, and an error, after some bytes. */
	loop = MAKE(5, 0);
	sk_loop_readv(loop, &op, iov, 2, 1000);
	run(loop, &op);
	assert_int_equal(last, 5);
	assert_memory_equal(iov, copy, sizeof(iov));
	sk_loop_destroy(loop);
	loop = MAKE(2, -EIO);
	sk_loop_writev(loop, &op, iov, 2, 1000);
	run(loop, &op);
	assert_int_equal(last, 2);
	assert_memory_equal(iov, copy, sizeof(iov));
	sk_loop_destroy(loop);

	/* Who does not ask for all gets what came. */
	op.flags = 0;
	loop = MAKE(5);
	sk_loop_readv(loop, &op, iov, 2, 1000);
	run(loop, &op);
	assert_int_equal(last, 5);
	sk_loop_destroy(loop);
}

static void success_may_follow_a_cancel(void **state)
{
	struct sk_loop *loop = MAKE(HOLD, HOLD, HOLD);
	struct sk_loop_op op = {.done = note};
	char buf[8];
	int fd;

	(void)state;
	sk_loop_recv(loop, &op, buf, sizeof(buf));
	assert_int_equal(sk_loop_turn(loop, 0), 0);
	sk_loop_cancel(loop, &op);
	sk_loop_cancel(loop, &op);
	assert_int_equal(sk_loop_turn(loop, 0), 0);
	assert_int_equal(cancels, 1);
	assert_true(sk_loop_op_is_busy(&op));
	sk_loop_op_result(loop, held, 4);
	assert_int_equal(last, 4);
	/* Submitted anew at the same address: the old cancel is not its. */
	sk_loop_recv(loop, &op, buf, sizeof(buf));
	assert_int_equal(sk_loop_turn(loop, 0), 0);
	assert_int_equal(cancels, 1);
	sk_loop_cancel(loop, &op);
	sk_loop_op_result(loop, held, -EINTR); /* before the cancel was handed over */
	assert_int_equal(last, -ECANCELED);
	assert_int_equal(sk_loop_turn(loop, 0), 0);
	assert_int_equal(cancels, 1);
	/* A descriptor that nobody waits for any more. */
	sk_loop_accept(loop, &op);
	assert_int_equal(sk_loop_turn(loop, 0), 0);
	sk_loop_cancel(loop, &op);
	assert_int_equal(sk_loop_turn(loop, 0), 0);
	fd = dup(0);
	sk_loop_op_result(loop, held, fd);
	assert_int_equal(last, -ECANCELED);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(calls, 3);
	sk_loop_destroy(loop);
}

static void a_driver_without_room_is_asked_again(void **state)
{
	struct sk_loop *loop = MAKE(HOLD, 2, 3);
	struct sk_loop_op first = {.done = note}, second = {.done = note};
	char buf[8];

	(void)state;
	refusals = 1;
	sk_loop_recv(loop, &first, buf, sizeof(buf));
	sk_loop_recv(loop, &second, buf, sizeof(buf));
	assert_int_equal(sk_loop_turn(loop, 0), 0);
	assert_int_equal(starts, 0);
	assert_int_equal(sk_loop_turn(loop, 0), 1);
	assert_ptr_equal(held, &first); /* in order */
	assert_int_equal(last, 2);
	refusals = 1;
	sk_loop_cancel(loop, &first);
	assert_int_equal(sk_loop_turn(loop, 0), 0);
	assert_int_equal(cancels, 0);
	assert_int_equal(sk_loop_turn(loop, 0), 0);
	assert_int_equal(cancels, 1);
	sk_loop_op_result(loop, held, -ECANCELED);
	assert_int_equal(calls, 2);
	sk_loop_destroy(loop);
}

static void aborted_connections_are_skipped(void **state)
{
	struct sk_loop *loop = MAKE(-ECONNABORTED, -EPROTO, -EMFILE);
	struct sk_loop_op op = {.done = note};

	(void)state;
	sk_loop_accept(loop, &op);
	run(loop, &op);
	assert_int_equal(last, -EMFILE);
	sk_loop_destroy(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(eintr_and_eagain_are_not_seen),
		cmocka_unit_test(enobufs_is_tried_again_for_a_while),
		cmocka_unit_test(short_transfers_add_up),
		cmocka_unit_test(success_may_follow_a_cancel),
		cmocka_unit_test(a_driver_without_room_is_asked_again),
		cmocka_unit_test(aborted_connections_are_skipped),
	};

	return cmocka_run_group_tests_name("loop_op", tests, NULL, NULL);
}
