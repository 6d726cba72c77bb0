/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * What the io_uring driver promises to a jail: the ring takes the verbs' opcodes only, the data
 * path lives under a filter that admits io_uring_enter alone, and where io_uring is refused epoll
 * takes over and says why, once.
 */
#include "loop_internal.h"

#include <fcntl.h>
#include <liburing.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop_test_util.h"

/* The sanitizers make system calls of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED true
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED false
#endif

static struct sk_loop *make_ring(void)
{
	const struct sk_loop_config config = {.driver = SK_LOOP_IO_URING};

	return make_with(&config);
}

/* From here on this process gets EPERM for every call but @nr, or for @nr alone. */
static void filter(bool is_allowed, unsigned nr)
{
	const unsigned allow = SECCOMP_RET_ALLOW, refuse = SECCOMP_RET_ERRNO | EPERM;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 2, 0),
		/* So that the test can end. */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 2, 0),
		BPF_STMT(BPF_RET | BPF_K, is_allowed ? refuse : allow),
		BPF_STMT(BPF_RET | BPF_K, is_allowed ? allow : refuse),
		BPF_STMT(BPF_RET | BPF_K, allow),
	};
	struct sock_fprog program = {.len = SK_ARRAY_SIZE(code), .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(77);
}

static int last;

static void done(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	(void)loop;
	(void)op;
	last = result;
}

static int finish(struct sk_loop *loop, struct sk_loop_op *op)
{
	while (sk_loop_op_is_busy(op))
		if (sk_loop_turn(loop, SK_LOOP_INFINITE) < 0)
			_exit(2);
	return last;
}

/* The number of the first step that fails; 0 if none. */
static int live_in_jail(struct sk_loop *loop, const int sv[2])
{
	struct sk_loop_op op = {.done = done, .fd = sv[0]}, peer = {.done = done, .fd = sv[1]};
	struct sk_loop_op file = {.done = done, .fd = AT_FDCWD};
	char buf[8] = "";

	if (sk_loop_bind(loop))
		return 10;
	filter(true, SYS_io_uring_enter);
	if (open("/dev/null", O_RDONLY) != -1 || errno != EPERM)
		return 11;
	sk_loop_recv(loop, &op, buf, sizeof(buf));
	if (sk_loop_turn(loop, 0))
		return 12;
	sk_loop_send(loop, &peer, "jailed", 7);
	if (finish(loop, &peer) != 7 || finish(loop, &op) != 7 || strcmp(buf, "jailed"))
		return 13;
	sk_loop_openat(loop, &file, "/dev/zero", O_RDONLY, 0);
	if (finish(loop, &file) < 0)
		return 14;
	file.fd = last;
	sk_loop_read(loop, &file, buf, 4, 0);
	if (finish(loop, &file) != 4 || buf[0])
		return 15;
	sk_loop_close(loop, &file);
	if (finish(loop, &file))
		return 16;
	sk_loop_recv(loop, &op, buf, sizeof(buf));
	sk_loop_close(loop, &peer);
	if (finish(loop, &peer))
		return 17;
	sk_loop_cancel(loop, &op);
	if (finish(loop, &op) != -ECANCELED)
		return 18;
	return 0;
}

/* The exit status of a child that ran @what. */
static int in_child(int (*what)(void *), void *arg)
{
	pid_t child = fork();
	int status;

	if (!child)
		_exit(what(arg));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77) {
		print_message("# no seccomp filters here\n");
		skip();
	}
	return WEXITSTATUS(status);
}

static int jailed(void *arg)
{
	struct sk_loop_config config = {.driver = SK_LOOP_IO_URING};
	struct sk_loop *loop;

	if (sk_loop_create(&loop, &config, NULL))
		return 1;
	return live_in_jail(loop, arg);
}

static void data_path_needs_io_uring_enter_alone(void **state)
{
	int sv[2];

	(void)state;
	sk_loop_destroy(make_ring());
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	assert_int_equal(in_child(jailed, sv), 0);
	sk_close(&sv[0]);
	sk_close(&sv[1]);
}

static void other_opcodes_and_registering_are_refused(void **state)
{
	struct sk_loop *loop = make_ring();
	struct io_uring *ring = loop->driver; /* its first member */
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;

	(void)state;
	assert_int_equal(sk_loop_bind(loop), 0);
	sqe = io_uring_get_sqe(ring);
	io_uring_prep_rw(IORING_OP_UNLINKAT, sqe, AT_FDCWD, "/nonexistent/x", 0, 0);
	assert_true(io_uring_submit_and_wait(ring, 1) >= 0);
	assert_int_equal(io_uring_peek_cqe(ring, &cqe), 0);
	assert_int_equal(cqe->res, -EACCES);
	io_uring_cqe_seen(ring, cqe);
	assert_int_equal(io_uring_register_eventfd(ring, loop->wake_fd), -EACCES);
	sk_loop_destroy(loop);
}

struct heard {
	int count;
	char last[200];
};

static void hear(void *ctx, enum sk_log_level level, const char *message)
{
	struct heard *h = ctx;

	(void)level;
	h->count++;
	snprintf(h->last, sizeof(h->last), "%s", message);
}

static int refused(void *arg)
{
	struct heard heard = {0};
	struct sk_log log = {.emit = hear, .ctx = &heard, .max_level = SK_LOG_DEBUG};
	struct sk_loop_config config = {.driver = SK_LOOP_IO_URING, .log = &log};
	struct sk_loop *loop;
	struct sk_error err;

	(void)arg;
	unsetenv("SKETE_LOOP");
	filter(false, SYS_io_uring_setup);
	if (sk_loop_create(&loop, &config, &err) != -EPERM ||
	    !strstr(err.message, "cannot use io_uring"))
		return 10;
	config.driver = SK_LOOP_AUTO;
	if (sk_loop_create(&loop, &config, &err) || sk_loop_driver(loop) != SK_LOOP_EPOLL)
		return 11;
	if (sk_loop_turn(loop, 0))
		return 12;
	if (heard.count != 1 || !strstr(heard.last, ", using epoll") ||
	    !strstr(heard.last, sk_loop_driver_reason(loop)) || !*sk_loop_driver_reason(loop))
		return 13;
	sk_loop_destroy(loop);
	return 0;
}

static void refusal_falls_back_to_epoll_with_a_reason(void **state)
{
	(void)state;
	assert_int_equal(in_child(refused, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_opcodes_and_registering_are_refused),
		cmocka_unit_test(refusal_falls_back_to_epoll_with_a_reason),
		/* The last: a sanitizer needs more system calls than its filter admits. */
		cmocka_unit_test(data_path_needs_io_uring_enter_alone),
	};
	const struct sk_loop_config config = {.driver = SK_LOOP_IO_URING};

	if (!has_driver(&config))
		return 0;
	return _cmocka_run_group_tests("loop_ring", tests, SK_ARRAY_SIZE(tests) - IS_SANITIZED,
				       NULL, NULL);
}
