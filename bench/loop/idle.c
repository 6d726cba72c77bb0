/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * What a connection costs that waits for its first byte: the process's own resident memory, by
 * the difference, without the buffers. What the kernel keeps for it is not seen here.
 */
#include "loop_bench.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#if HAVE_UV
#include <uv.h>
#endif

#define NR 2000

static char buffer[4096]; /* nobody's bytes ever come */

/* Resident bytes now. */
static double resident(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%*u %lu", &pages) != 1)
		bench_die("cannot read /proc/self/statm");
	fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void report(const char *name, double bytes)
{
	printf("%-14s  %6.0f\n", name, bytes / NR);
	bench_add("idle", name, "bytes/connection", bytes / NR, "connections=%d", NR);
}

static void never(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	(void)loop;
	(void)op;
	(void)result;
}

static void turn(struct sk_loop *loop)
{
	for (unsigned i = 0; i < 8; i++)
		if (sk_loop_turn(loop, 0) < 0)
			bench_die("the loop failed");
}

static void wait_on(struct sk_loop *loop, struct sk_loop_op *ops, const int *fds)
{
	for (unsigned i = 0; i < NR; i++) {
		ops[i] = (struct sk_loop_op){.done = never, .fd = fds[i]};
		sk_loop_recv(loop, &ops[i], buffer, sizeof(buffer));
	}
	turn(loop);
}

static void measure_skete(const char *name, enum sk_loop_driver driver, const int *fds)
{
	struct sk_loop *loop = bench_loop(driver, 0);
	static struct sk_loop_op first[NR];
	struct sk_loop_op *ops;
	double before;

	/* The rings and the pages of the loop itself are touched before. */
	wait_on(loop, first, fds);
	for (unsigned i = 0; i < NR; i++)
		sk_loop_cancel(loop, &first[i]);
	turn(loop);
	before = resident();
	ops = calloc(NR, sizeof(*ops));
	wait_on(loop, ops, fds);
	report(name, resident() - before);
	sk_loop_destroy(loop);
	free(ops);
}

#if HAVE_UV
static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	(void)handle;
	(void)suggested;
	*buf = uv_buf_init(buffer, sizeof(buffer));
}

static void received(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	(void)stream;
	(void)n;
	(void)buf;
}

/* Closes the descriptors. */
static void measure_uv(const int *fds)
{
	uv_pipe_t *pipes;
	uv_loop_t loop;
	double before;

	uv_loop_init(&loop);
	uv_run(&loop, UV_RUN_NOWAIT);
	before = resident();
	pipes = calloc(NR, sizeof(*pipes));
	for (unsigned i = 0; i < NR; i++) {
		uv_pipe_init(&loop, &pipes[i], 0);
		uv_pipe_open(&pipes[i], dup(fds[i]));
		uv_read_start((uv_stream_t *)&pipes[i], give_buffer, received);
	}
	uv_run(&loop, UV_RUN_NOWAIT);
	report("libuv", resident() - before);
	for (unsigned i = 0; i < NR; i++)
		uv_close((uv_handle_t *)&pipes[i], NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	free(pipes);
}
#endif

void bench_idle(void)
{
	struct rlimit limit;
	static int fds[NR], peers[NR];

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (unsigned i = 0; i < NR; i++) {
		int sv[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv))
			bench_die("cannot make %d connections: %s (see ulimit -n)", NR,
				  strerror(errno));
		fds[i] = sv[0];
		peers[i] = sv[1];
	}
	printf("loop            bytes per connection (an operation: %zu)\n",
	       sizeof(struct sk_loop_op));
	/* Big blocks go back to the system, so that the next one is seen again. */
	mallopt(M_MMAP_THRESHOLD, 65536);
	if (bench_has_uring())
		measure_skete("skete io_uring", SK_LOOP_IO_URING, fds);
	measure_skete("skete epoll", SK_LOOP_EPOLL, fds);
#if HAVE_UV
	measure_uv(fds);
#endif
	for (unsigned i = 0; i < NR; i++) {
		sk_close(&fds[i]);
		sk_close(&peers[i]);
	}
}
