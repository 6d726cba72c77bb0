/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Operations that remember what became of them, and what they are tried on. */
#ifndef SKETE_LOOP_TEST_JOBS_H
#define SKETE_LOOP_TEST_JOBS_H

#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "loop_test_util.h"

/* An operation with what became of it. */
struct job {
	struct sk_loop_op op;
	int calls, last;
	int order; /* when it was done, counted over the test */
	int fds[64];
};

static int jobs_done;

static void job_done(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	struct job *job = SK_CONTAINER_OF(op, struct job, op);

	(void)loop;
	if (job->calls < (int)SK_ARRAY_SIZE(job->fds))
		job->fds[job->calls] = result;
	job->calls++;
	job->last = result;
	job->order = ++jobs_done;
}

static inline struct job job_on(int fd, unsigned flags)
{
	return (struct job){.op = {.done = job_done, .fd = fd, .flags = flags}, .last = 4711};
}

static inline void turn(struct sk_loop *loop)
{
	assert_true(sk_loop_turn(loop, SK_LOOP_INFINITE) >= 0);
}

static inline int finish(struct sk_loop *loop, struct job *job)
{
	while (sk_loop_op_is_busy(&job->op))
		turn(loop);
	return job->last;
}

static inline struct sk_loop *make(void)
{
	return make_with(NULL);
}

static inline void make_pair(int sv[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
}

static inline void close_pair(int sv[2])
{
	sk_close(&sv[0]);
	sk_close(&sv[1]);
}

static inline int make_file(void)
{
	int fd = memfd_create("loop-test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* Its address is put into @addr. */
static inline int listen_tcp(struct sockaddr_in *addr)
{
	socklen_t len = sizeof(*addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*addr = (struct sockaddr_in){.sin_family = AF_INET,
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(fd, (struct sockaddr *)addr, sizeof(*addr)), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)addr, &len), 0);
	return fd;
}

#endif
