/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The loop as its owner sees it; run once per driver (SKETE_LOOP in the environment). */
#include <skete/loop.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

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

static struct job job_on(int fd, unsigned flags)
{
	return (struct job){.op = {.done = job_done, .fd = fd, .flags = flags}, .last = 4711};
}

static void turn(struct sk_loop *loop)
{
	assert_true(sk_loop_turn(loop, SK_LOOP_INFINITE) >= 0);
}

static int finish(struct sk_loop *loop, struct job *job)
{
	while (sk_loop_op_is_busy(&job->op))
		turn(loop);
	return job->last;
}

static struct sk_loop *make(void)
{
	return make_with(NULL);
}

static void make_pair(int sv[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
}

static void close_pair(int sv[2])
{
	sk_close(&sv[0]);
	sk_close(&sv[1]);
}

static int make_file(void)
{
	int fd = memfd_create("loop-test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static int listen_tcp(struct sockaddr_in *addr)
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

static void submits_quietly_and_completes_later(void **state)
{
	struct sk_loop *loop = make();
	struct sk_loop_stats before, after;
	char buf[8] = "";
	struct job recv, send;
	int sv[2];

	(void)state;
	make_pair(sv);
	recv = job_on(sv[0], 0);
	send = job_on(sv[1], 0);
	sk_loop_stats(loop, &before);
	sk_loop_recv(loop, &recv.op, buf, sizeof(buf));
	sk_loop_send(loop, &send.op, "hello", 6);
	assert_true(sk_loop_op_is_busy(&recv.op) && !recv.calls && !send.calls);
	sk_loop_stats(loop, &after);
	assert_int_equal(after.in_flight, 2);
	assert_int_equal(after.enters, before.enters);
	assert_int_equal(finish(loop, &send), 6);
	assert_int_equal(finish(loop, &recv), 6);
	assert_string_equal(buf, "hello");
	assert_int_equal(recv.calls + send.calls, 2);
	sk_loop_stats(loop, &after);
	assert_int_equal(after.in_flight, 0);
	assert_true(after.enters <= after.turns);
	sk_close(&sv[1]);
	sk_loop_recv(loop, &recv.op, buf, sizeof(buf));
	assert_int_equal(finish(loop, &recv), 0);
	sk_loop_destroy(loop);
	close_pair(sv);
}

static void files_read_write_sync_grow(void **state)
{
	struct sk_loop *loop = make();
	char a[3] = "abc", b[5] = "defgh", back[16] = "", path[] = "/tmp/loop-test-XXXXXX";
	struct iovec out[] = {{a, 3}, {b, 5}}, in[] = {{back, 2}, {back + 2, 14}};
	struct job job = job_on(AT_FDCWD, SK_LOOP_WHOLE);
	int fd = mkstemp(path);

	(void)state;
	sk_close(&fd);
	sk_loop_openat(loop, &job.op, path, O_RDWR, 0);
	fd = finish(loop, &job);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	job.op.fd = fd;
	sk_loop_writev(loop, &job.op, out, 2, 100);
	assert_int_equal(finish(loop, &job), 8);
	sk_loop_fsync(loop, &job.op);
	assert_int_equal(finish(loop, &job), 0);
	sk_loop_readv(loop, &job.op, in, 2, 101);
	assert_int_equal(finish(loop, &job), 7);
	assert_memory_equal(back, "bcdefgh", 7);
	sk_loop_read(loop, &job.op, back, 4, 4096);
	assert_int_equal(finish(loop, &job), 0);
	sk_loop_fallocate(loop, &job.op, 0, 0, 8192);
	assert_int_equal(finish(loop, &job), 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), 8192);
	/* In sequence, by the file's own position. */
	assert_int_equal(lseek(fd, 100, SEEK_SET), 100);
	sk_loop_read(loop, &job.op, back, 2, SK_LOOP_STREAM);
	assert_int_equal(finish(loop, &job), 2);
	sk_loop_read(loop, &job.op, back, 2, SK_LOOP_STREAM);
	assert_int_equal(finish(loop, &job), 2);
	assert_memory_equal(back, "cd", 2);
	sk_loop_poll(loop, &job.op, POLLIN | POLLOUT);
	assert_int_equal(finish(loop, &job), POLLIN | POLLOUT);
	sk_loop_close(loop, &job.op);
	assert_int_equal(finish(loop, &job), 0);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	job.op.fd = AT_FDCWD;
	sk_loop_openat(loop, &job.op, "/nonexistent/x", O_RDONLY, 0);
	assert_int_equal(finish(loop, &job), -ENOENT);
	sk_loop_destroy(loop);
	unlink(path);
}

static void bad_descriptors_and_arguments_are_results(void **state)
{
	const int bad[] = {-1, 9999, 0x7fffffff};
	struct sk_loop *loop = make();
	struct job job, bad_accept;
	struct iovec huge[2] = {{NULL, SIZE_MAX}, {NULL, 2}};
	char c = 0;
	int fd = make_file(), sv[1];

	(void)state;
	for (size_t i = 0; i < SK_ARRAY_SIZE(bad); i++) {
		job = job_on(bad[i], 0);
		sk_loop_read(loop, &job.op, &c, 1, 0);
		assert_int_equal(finish(loop, &job), -EBADF);
		sk_loop_poll(loop, &job.op, POLLIN);
		assert_int_equal(finish(loop, &job), -EBADF);
		sk_loop_close(loop, &job.op);
		assert_int_equal(finish(loop, &job), -EBADF);
		sk_loop_cancel_fd(loop, bad[i]);
	}
	job = job_on(fd, SK_LOOP_WHOLE);
	sk_loop_writev(loop, &job.op, huge, 2, 0);
	assert_int_equal(finish(loop, &job), -EINVAL);
	sk_loop_recv(loop, &job.op, &c, 1);
	assert_int_equal(finish(loop, &job), -ENOTSOCK);
	/* A socket that nobody listens on, which must not spoil the next accept. */
	sv[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bad_accept = job_on(sv[0], SK_LOOP_MULTI);
	sk_loop_accept(loop, &bad_accept.op);
	assert_int_equal(finish(loop, &bad_accept), -EINVAL);
	sk_close(&sv[0]);
	job.op.flags = 0;
	sk_loop_signal(loop, &job.op, 4711);
	assert_int_equal(finish(loop, &job), -EINVAL);
	sk_loop_destroy(loop);
	sk_close(&fd);
}

static void accepts_many_and_connects(void **state)
{
	struct sk_loop *loop = make();
	struct sockaddr_in addr;
	int fd = listen_tcp(&addr), client, client2, n;
	struct job taker = job_on(fd, SK_LOOP_MULTI), dials[5];
	char c;

	(void)state;
	sk_loop_accept(loop, &taker.op);
	for (int i = 0; i < 5; i++) {
		dials[i] = job_on(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), 0);
		sk_loop_connect(loop, &dials[i].op, (struct sockaddr *)&addr, sizeof(addr));
	}
	for (int i = 0; i < 5; i++) {
		assert_int_equal(finish(loop, &dials[i]), 0);
		assert_false(fcntl(dials[i].op.fd, F_GETFL) & O_NONBLOCK);
	}
	while (taker.calls < 5)
		turn(loop);
	assert_true(sk_loop_op_is_busy(&taker.op));
	for (int i = 0; i < 5; i++) {
		assert_true(taker.fds[i] >= 0);
		assert_true(fcntl(taker.fds[i], F_GETFD) & FD_CLOEXEC);
		sk_close(&taker.fds[i]);
		sk_close(&dials[i].op.fd);
	}
	sk_loop_cancel(loop, &taker.op);
	/* It comes after the cancel: nobody may be left with a descriptor. */
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(finish(loop, &taker), -ECANCELED);
	assert_int_equal(taker.calls, 6);
	/* Nobody listens: what is accepted is closed. */
	taker.op.flags = 0;
	taker.op.done = NULL;
	client2 = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(client2, (struct sockaddr *)&addr, sizeof(addr)), 0);
	for (n = 0; n < 2; n++) {
		sk_loop_accept(loop, &taker.op);
		while (sk_loop_op_is_busy(&taker.op) && sk_loop_turn(loop, 100000000) > 0)
			;
	}
	sk_loop_destroy(loop);
	/* It was accepted and closed, by the cancel or by the accept without an owner. */
	assert_int_equal(read(client, &c, 1), 0);
	sk_close(&client);
	sk_close(&client2);
	sk_close(&fd);
}

static void connect_reports_refusal(void **state)
{
	struct sk_loop *loop = make();
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/nonexistent/socket"};
	struct sockaddr_in addr;
	struct job job;
	int fd = listen_tcp(&addr);

	(void)state;
	sk_close(&fd);
	job = job_on(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), 0);
	sk_loop_connect(loop, &job.op, (struct sockaddr *)&addr, sizeof(addr));
	assert_int_equal(finish(loop, &job), -ECONNREFUSED);
	assert_true(fcntl(job.op.fd, F_GETFL) & O_NONBLOCK);
	sk_close(&job.op.fd);
	job = job_on(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), 0);
	sk_loop_connect(loop, &job.op, (struct sockaddr *)&un, sizeof(un));
	assert_int_equal(finish(loop, &job), -ENOENT);
	sk_close(&job.op.fd);
	sk_loop_destroy(loop);
}

/* A full backlog cannot be polled: the connect goes on once there is room. */
static void connect_waits_for_the_backlog(void **state)
{
	struct sk_loop *loop = make();
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct job jobs[4];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), nr_done = 0;

	(void)state;
	snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "skete-loop-%d", (int)getpid());
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(fd, 1), 0);
	for (int i = 0; i < 4; i++) {
		jobs[i] = job_on(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), 0);
		sk_loop_connect(loop, &jobs[i].op, (struct sockaddr *)&un, sizeof(un));
	}
	for (int i = 0; i < 20; i++)
		(void)!sk_loop_turn(loop, 1000000);
	for (int i = 0; i < 4; i++)
		nr_done += jobs[i].calls;
	assert_int_equal(nr_done, 2);
	for (int i = 0; i < 2; i++) {
		int peer = accept(fd, NULL, NULL);

		sk_close(&peer);
	}
	for (int i = 0; i < 4; i++) {
		assert_int_equal(finish(loop, &jobs[i]), 0);
		sk_close(&jobs[i].op.fd);
	}
	sk_loop_destroy(loop);
	sk_close(&fd);
}

static void cancels_one_and_all_of_a_descriptor(void **state)
{
	struct sk_loop *loop = make();
	struct job a, b, c;
	char buf[4];
	int sv[2];

	(void)state;
	make_pair(sv);
	a = job_on(sv[0], 0);
	b = job_on(sv[0], 0);
	c = job_on(sv[1], 0);
	sk_loop_cancel(loop, &a.op); /* idle: nothing happens */
	sk_loop_recv(loop, &a.op, buf, 1);
	sk_loop_cancel(loop, &a.op); /* not even begun */
	sk_loop_cancel(loop, &a.op);
	assert_int_equal(finish(loop, &a), -ECANCELED);
	assert_int_equal(a.calls, 1);

	sk_loop_recv(loop, &a.op, buf, 1);
	sk_loop_poll(loop, &b.op, POLLIN | POLLRDHUP);
	sk_loop_recv(loop, &c.op, buf + 1, 1);
	assert_int_equal(sk_loop_turn(loop, 0), 0);
	sk_loop_cancel_fd(loop, sv[0]);
	assert_int_equal(finish(loop, &a), -ECANCELED);
	assert_int_equal(finish(loop, &b), -ECANCELED);
	assert_true(sk_loop_op_is_busy(&c.op));
	/* The descriptor is as good as before. */
	sk_loop_recv(loop, &a.op, buf, 1);
	assert_int_equal(sk_loop_turn(loop, 0), 0);
	assert_int_equal(write(sv[1], "x", 1), 1);
	assert_int_equal(write(sv[0], "y", 1), 1);
	assert_int_equal(finish(loop, &a), 1);
	assert_int_equal(finish(loop, &c), 1);
	/* Cancelled after it succeeded, before the loop looked. */
	sk_loop_recv(loop, &a.op, buf, 1);
	assert_int_equal(sk_loop_turn(loop, 0), 0);
	assert_int_equal(write(sv[1], "z", 1), 1);
	sk_loop_cancel(loop, &a.op);
	finish(loop, &a);
	assert_true(a.last == 1 || a.last == -ECANCELED);
	sk_loop_destroy(loop);
	close_pair(sv);
}

static unsigned char *map_page(void *where)
{
	unsigned char *p = mmap(where, 4096, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | (where ? MAP_FIXED : 0), -1, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

static bool is_zero(const unsigned char *p)
{
	for (int i = 0; i < 4096; i++)
		if (p[i])
			return false;
	return true;
}

/* The guest's memory went away and its address is somebody else's now. */
static void no_late_write_into_freed_memory(void **state)
{
	struct sk_loop *loop = make();
	unsigned char *page = map_page(NULL);
	struct iovec iov = {page, 4096};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct job jobs[4];
	char text[4096];
	int sv[2];

	(void)state;
	memset(text, 'x', sizeof(text));
	make_pair(sv);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 4; i++)
			jobs[i] = job_on(sv[0], i == 2 ? SK_LOOP_WHOLE : 0);
		sk_loop_recv(loop, &jobs[0].op, page, 4096);
		sk_loop_readv(loop, &jobs[1].op, &iov, 1, SK_LOOP_STREAM);
		sk_loop_recv(loop, &jobs[2].op, page, 4096);
		sk_loop_recvmsg(loop, &jobs[3].op, &msg);
		assert_int_equal(sk_loop_turn(loop, 0), 0);
		if (round) {
			sk_loop_destroy(loop);
		} else {
			for (int i = 0; i < 4; i++)
				sk_loop_cancel(loop, &jobs[i].op);
			for (int i = 0; i < 4; i++)
				finish(loop, &jobs[i]);
		}
		for (int i = 0; i < 4; i++)
			assert_int_equal(jobs[i].last, -ECANCELED);
		munmap(page, 4096);
		map_page(page);
		assert_int_equal(write(sv[1], text, sizeof(text)), sizeof(text));
		if (!round)
			assert_int_equal(sk_loop_turn(loop, 20000000), 0);
		assert_true(is_zero(page));
		assert_int_equal(read(sv[0], text, sizeof(text)), sizeof(text));
	}
	munmap(page, 4096);
	close_pair(sv);
}

static void close_waits_for_the_others(void **state)
{
	struct sk_loop *loop = make();
	struct job recv, close, again, late;
	char buf[4];
	int sv[2], fd;

	(void)state;
	make_pair(sv);
	fd = sv[0];
	recv = job_on(fd, 0);
	close = again = late = job_on(fd, 0);
	sk_loop_recv(loop, &recv.op, buf, sizeof(buf));
	assert_int_equal(sk_loop_turn(loop, 0), 0);
	sk_loop_close(loop, &close.op);
	sk_loop_cancel(loop, &close.op); /* in vain */
	sk_loop_close(loop, &again.op);
	sk_loop_recv(loop, &late.op, buf, sizeof(buf));
	assert_int_equal(finish(loop, &close), 0);
	assert_int_equal(recv.last, -ECANCELED);
	assert_true(recv.order < close.order);
	assert_int_equal(again.last, -EBADF);
	assert_int_equal(late.last, -EBADF);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	sk_close(&sv[1]);
	/* The number comes back, also behind the loop's back. */
	for (int i = 0; i < 3; i++) {
		make_pair(sv);
		recv = job_on(sv[0], 0);
		sk_loop_recv(loop, &recv.op, buf, sizeof(buf));
		assert_int_equal(sk_loop_turn(loop, 0), 0);
		assert_int_equal(write(sv[1], "hey", 3), 3);
		assert_int_equal(finish(loop, &recv), 3);
		close_pair(sv);
	}
	sk_loop_destroy(loop);
}

struct reader {
	int fd;
	size_t len;
	unsigned char *buf;
};

static void *read_slowly(void *arg)
{
	struct reader *r = arg;
	size_t got = 0;
	ssize_t n;

	while (got < r->len) {
		n = read(r->fd, r->buf + got, SK_MIN(r->len - got, (size_t)3333));
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	r->len = got;
	return NULL;
}

static void whole_transfers_and_vectors_restored(void **state)
{
	struct sk_loop *loop = make();
	const size_t third = 300000;
	unsigned char *out = malloc(3 * third), *in = malloc(3 * third);
	struct iovec iov[4] = {
		{out, third}, {out, 0}, {out + third, third}, {out + 2 * third, third}};
	struct iovec copy[4];
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 4};
	struct reader reader;
	struct job job, recv;
	pthread_t thread;
	int sv[2];

	(void)state;
	for (size_t i = 0; i < 3 * third; i++)
		out[i] = (unsigned char)(i * 7 + i / 251);
	memcpy(copy, iov, sizeof(copy));
	for (int round = 0; round < 4; round++) {
		make_pair(sv);
		if (round == 3) /* non-blocking descriptors are no different */
			fcntl(sv[0], F_SETFL, O_NONBLOCK);
		job = job_on(sv[0], SK_LOOP_WHOLE);
		reader = (struct reader){sv[1], 3 * third, in};
		memset(in, 0, 3 * third);
		pthread_create(&thread, NULL, read_slowly, &reader);
		if (round == 0)
			sk_loop_send(loop, &job.op, out, 3 * third);
		else if (round == 1)
			sk_loop_sendmsg(loop, &job.op, &msg);
		else
			sk_loop_writev(loop, &job.op, iov, 4, SK_LOOP_STREAM);
		assert_int_equal(finish(loop, &job), 3 * third);
		pthread_join(thread, NULL);
		assert_int_equal(reader.len, 3 * third);
		assert_memory_equal(in, out, 3 * third);
		assert_memory_equal(copy, iov, sizeof(copy));
		assert_ptr_equal(msg.msg_iov, iov);
		assert_int_equal(msg.msg_iovlen, 4);
		close_pair(sv);
	}
	/* In pieces, and an end in the middle. */
	make_pair(sv);
	recv = job_on(sv[0], SK_LOOP_WHOLE);
	sk_loop_recv(loop, &recv.op, in, 10);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(write(sv[1], "abc", 3), 3);
		assert_true(sk_loop_turn(loop, 1000000) >= 0);
		assert_int_equal(recv.calls, 0);
	}
	assert_int_equal(write(sv[1], "de", 2), 2);
	assert_int_equal(finish(loop, &recv), 10);
	assert_memory_equal(in, "abcabcabcd", 10);
	sk_loop_recv(loop, &recv.op, in, 10);
	assert_true(sk_loop_turn(loop, 1000000) >= 0);
	sk_close(&sv[1]);
	assert_int_equal(finish(loop, &recv), 1);
	sk_loop_destroy(loop);
	close_pair(sv);
	free(in);
	free(out);
}

static void broken_peers_are_errors_not_signals(void **state)
{
	struct sk_loop *loop = make();
	struct msghdr msg = {.msg_iov = &(struct iovec){(char[]){"x"}, 1}, .msg_iovlen = 1};
	struct job job;
	int sv[2];

	(void)state;
	make_pair(sv);
	sk_close(&sv[1]);
	job = job_on(sv[0], 0);
	sk_loop_send(loop, &job.op, "x", 1);
	assert_int_equal(finish(loop, &job), -EPIPE);
	sk_loop_sendmsg(loop, &job.op, &msg);
	assert_int_equal(finish(loop, &job), -EPIPE);
	sk_loop_poll(loop, &job.op, POLLIN);
	assert_true(finish(loop, &job) & POLLHUP);
	sk_loop_destroy(loop);
	close_pair(sv);
}

static void nonblocking_and_pipes_wait(void **state)
{
	struct sk_loop *loop = make();
	struct job job;
	uint64_t count;
	char buf[8];
	int p[2], efd;

	(void)state;
	for (int mode = 0; mode <= O_NONBLOCK; mode += O_NONBLOCK) {
		assert_int_equal(pipe2(p, O_CLOEXEC | mode), 0);
		job = job_on(p[0], 0);
		sk_loop_read(loop, &job.op, buf, sizeof(buf), SK_LOOP_STREAM);
		assert_int_equal(sk_loop_turn(loop, 1000000), 0);
		assert_int_equal(write(p[1], "abc", 3), 3);
		assert_int_equal(finish(loop, &job), 3);
		close_pair(p);
		efd = eventfd(0, EFD_CLOEXEC | mode);
		job = job_on(efd, 0);
		sk_loop_read(loop, &job.op, &count, sizeof(count), SK_LOOP_STREAM);
		assert_int_equal(sk_loop_turn(loop, 1000000), 0);
		sk_eventfd_signal(efd);
		assert_int_equal(finish(loop, &job), 8);
		assert_int_equal(count, 1);
		sk_close(&efd);
	}
	sk_loop_destroy(loop);
}

static void messages_carry_descriptors(void **state)
{
	struct sk_loop *loop = make();
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} out = {0}, in = {0};
	char text[4] = "fd!", back[4] = "";
	struct iovec oi = {text, 4}, ii = {back, 4};
	struct msghdr om = {.msg_iov = &oi,
			    .msg_iovlen = 1,
			    .msg_control = &out,
			    .msg_controllen = sizeof(out)};
	struct msghdr im = {
		.msg_iov = &ii, .msg_iovlen = 1, .msg_control = &in, .msg_controllen = sizeof(in)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&om);
	struct job send, recv;
	int sv[2], file = make_file(), got;

	(void)state;
	make_pair(sv);
	*c = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
			      .cmsg_type = SCM_RIGHTS,
			      .cmsg_len = CMSG_LEN(sizeof(int))};
	memcpy(CMSG_DATA(c), &file, sizeof(int));
	recv = job_on(sv[0], 0);
	send = job_on(sv[1], SK_LOOP_WHOLE);
	sk_loop_recvmsg(loop, &recv.op, &im);
	sk_loop_sendmsg(loop, &send.op, &om);
	assert_int_equal(finish(loop, &send), 4);
	assert_int_equal(finish(loop, &recv), 4);
	assert_int_equal(om.msg_controllen, sizeof(out));
	assert_string_equal(back, "fd!");
	c = CMSG_FIRSTHDR(&im);
	assert_non_null(c);
	memcpy(&got, CMSG_DATA(c), sizeof(int));
	assert_true(fcntl(got, F_GETFD) & FD_CLOEXEC);
	sk_close(&got);
	sk_loop_destroy(loop);
	close_pair(sv);
	sk_close(&file);
}

static void signals_arrive(void **state)
{
	struct sk_loop *loop = make();
	struct job usr1 = job_on(-1, 0), usr2 = job_on(-1, 0);
	sigset_t set;

	(void)state;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	sk_loop_signal(loop, &usr1.op, SIGUSR1);
	sk_loop_signal(loop, &usr2.op, SIGUSR2);
	assert_int_equal(sk_loop_turn(loop, 0), 0);
	kill(getpid(), SIGUSR1);
	assert_int_equal(finish(loop, &usr1), SIGUSR1);
	assert_int_equal(usr2.calls, 0);
	/* Pending before anybody asks. */
	kill(getpid(), SIGUSR1);
	sk_loop_signal(loop, &usr1.op, SIGUSR1);
	assert_int_equal(finish(loop, &usr1), SIGUSR1);
	sk_loop_destroy(loop);
	assert_int_equal(usr2.last, -ECANCELED);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

struct resubmit {
	struct job job;
	struct sk_loop_post post;
	bool has_run;
	char buf[4];
};

static void submit_again(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	struct resubmit *r = SK_CONTAINER_OF(op, struct resubmit, job.op);

	job_done(loop, op, result);
	if (r->job.calls < 3)
		sk_loop_recv(loop, op, r->buf, sizeof(r->buf));
}

static void note_run(struct sk_loop *loop, struct sk_loop_post *post)
{
	(void)loop;
	SK_CONTAINER_OF(post, struct resubmit, post)->has_run = true;
}

static void destroy_drains(void **state)
{
	struct sk_loop *loop = make();
	struct resubmit r = {.post.run = note_run};
	struct sk_loop_timer timer = {0};
	struct job close, accept, read, fresh;
	struct sockaddr_in addr;
	char buf[4];
	int sv[2], fd = listen_tcp(&addr), file = make_file();

	(void)state;
	make_pair(sv);
	r.job = job_on(sv[0], 0);
	r.job.op.done = submit_again;
	close = job_on(sv[1], 0);
	accept = job_on(fd, SK_LOOP_MULTI);
	read = job_on(file, 0);
	fresh = job_on(fd, 0);
	sk_loop_recv(loop, &r.job.op, r.buf, sizeof(r.buf));
	sk_loop_accept(loop, &accept.op);
	sk_loop_timer_set(loop, &timer, sk_loop_now_ns(loop) + 1000000000000);
	assert_int_equal(sk_loop_turn(loop, 0), 0);
	sk_loop_read(loop, &read.op, buf, sizeof(buf), 0);
	sk_loop_poll(loop, &fresh.op, POLLIN);
	sk_loop_close(loop, &close.op);
	sk_loop_post(loop, &r.post);
	sk_loop_destroy(loop);
	assert_int_equal(r.job.calls, 3);
	assert_true(r.job.last == -ECANCELED || r.job.last == 0);
	assert_int_equal(accept.last, -ECANCELED);
	assert_int_equal(fresh.last, -ECANCELED);
	assert_int_equal(close.last, 0);
	assert_int_equal(read.calls, 1);
	assert_true(r.has_run);
	sk_loop_destroy(NULL);
	sk_close(&sv[0]);
	sk_close(&fd);
	sk_close(&file);

	/* A loop that never turned. */
	loop = make();
	make_pair(sv);
	read = job_on(sv[0], 0);
	sk_loop_recv(loop, &read.op, buf, sizeof(buf));
	sk_loop_destroy(loop);
	assert_int_equal(read.last, -ECANCELED);
	close_pair(sv);
}

/* Far more than the queues hold, in one turn. */
static void queues_overflow_gracefully(void **state)
{
	struct sk_loop_config config = {.queue_entries = 4, .max_callbacks = 16};
	struct sk_loop *loop = make_with(&config);
	enum { NR = 1000 };
	struct job *jobs = calloc(NR, sizeof(*jobs));
	int sv[2], n, done = 0;

	(void)state;
	make_pair(sv);
	for (int i = 0; i < NR; i++) {
		jobs[i] = job_on(sv[0], 0);
		sk_loop_poll(loop, &jobs[i].op, i % 2 ? POLLIN : POLLOUT);
	}
	for (int i = 0; i < NR && done < NR / 2; i++) {
		n = sk_loop_turn(loop, 1000000);
		assert_in_range(n, 0, 16);
		done += n;
	}
	assert_int_equal(done, NR / 2);
	assert_int_equal(write(sv[1], "x", 1), 1);
	while (done < NR) {
		n = sk_loop_turn(loop, SK_LOOP_INFINITE);
		assert_in_range(n, 0, 16);
		done += n;
	}
	for (int i = 0; i < NR; i++) {
		assert_int_equal(jobs[i].calls, 1);
		assert_int_equal(jobs[i].last, i % 2 ? POLLIN : POLLOUT);
	}
	sk_loop_destroy(loop);
	close_pair(sv);
	free(jobs);
}

static void configuration_is_checked(void **state)
{
	struct sk_loop_config config = {.queue_entries = 1000000};
	char *old = getenv("SKETE_LOOP"), saved[32] = "";
	struct sk_loop *loop;
	struct sk_error err;

	(void)state;
	assert_int_equal(sk_loop_create(&loop, &config, &err), -EINVAL);
	if (old)
		snprintf(saved, sizeof(saved), "%s", old);
	setenv("SKETE_LOOP", "kqueue", 1);
	assert_int_equal(sk_loop_create(&loop, NULL, &err), -EINVAL);
	assert_non_null(strstr(err.message, "SKETE_LOOP=kqueue"));
	/* What the configuration says counts more. */
	config = (struct sk_loop_config){.driver = SK_LOOP_EPOLL};
	assert_int_equal(sk_loop_create(&loop, &config, &err), 0);
	assert_int_equal(sk_loop_driver(loop), SK_LOOP_EPOLL);
	assert_string_equal(sk_loop_driver_reason(loop), "");
	sk_loop_destroy(loop);
	setenv("SKETE_LOOP", "epoll", 1);
	assert_int_equal(sk_loop_create(&loop, NULL, &err), 0);
	assert_int_equal(sk_loop_driver(loop), SK_LOOP_EPOLL);
	sk_loop_destroy(loop);
	if (old)
		setenv("SKETE_LOOP", saved, 1);
	else
		unsetenv("SKETE_LOOP");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(submits_quietly_and_completes_later),
		cmocka_unit_test(files_read_write_sync_grow),
		cmocka_unit_test(bad_descriptors_and_arguments_are_results),
		cmocka_unit_test(accepts_many_and_connects),
		cmocka_unit_test(connect_reports_refusal),
		cmocka_unit_test(connect_waits_for_the_backlog),
		cmocka_unit_test(cancels_one_and_all_of_a_descriptor),
		cmocka_unit_test(no_late_write_into_freed_memory),
		cmocka_unit_test(close_waits_for_the_others),
		cmocka_unit_test(whole_transfers_and_vectors_restored),
		cmocka_unit_test(broken_peers_are_errors_not_signals),
		cmocka_unit_test(nonblocking_and_pipes_wait),
		cmocka_unit_test(messages_carry_descriptors),
		cmocka_unit_test(signals_arrive),
		cmocka_unit_test(destroy_drains),
		cmocka_unit_test(queues_overflow_gracefully),
		cmocka_unit_test(configuration_is_checked),
	};
	const char *driver = getenv("SKETE_LOOP");

	if (!has_driver(NULL))
		return 0;
	return cmocka_run_group_tests_name(driver && *driver ? driver : "loop", tests, NULL, NULL);
}
