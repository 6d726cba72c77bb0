/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The loop as its owner sees it; run once per driver (SKETE_LOOP in the environment). */
#include <skete/loop.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop_test_jobs.h"

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
		cmocka_unit_test(cancels_one_and_all_of_a_descriptor),
		cmocka_unit_test(no_late_write_into_freed_memory),
		cmocka_unit_test(close_waits_for_the_others),
		cmocka_unit_test(nonblocking_and_pipes_wait),
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
