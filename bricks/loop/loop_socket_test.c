/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Sockets on the loop; run once per driver (SKETE_LOOP in the environment). */
#include <skete/loop.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/un.h>
#include <unistd.h>

#include "loop_test_jobs.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts_many_and_connects),
		cmocka_unit_test(connect_reports_refusal),
		cmocka_unit_test(connect_waits_for_the_backlog),
		cmocka_unit_test(whole_transfers_and_vectors_restored),
		cmocka_unit_test(broken_peers_are_errors_not_signals),
		cmocka_unit_test(messages_carry_descriptors),
	};
	const char *driver = getenv("SKETE_LOOP");

	if (!has_driver(NULL))
		return 0;
	return cmocka_run_group_tests_name(driver && *driver ? driver : "loop_socket", tests, NULL,
					   NULL);
}
