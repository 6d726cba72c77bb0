/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * TCP echo: one client, on a thread of its own, keeps one message under way on every connection;
 * servers take turns in each round, so that a busy machine is busy for all. Two numbers each: the
 * round trips a second, which client and server share the machine for, and the processor time that
 * the server's threads take for one, which is the server's own. The client is our loop
 * on the best driver that there is, the same for all.
 */
#include "loop_bench.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#define ROUNDS	    5
#define ROUND_NS    UINT64_C(250000000)
#define MAX_CONNS   500
#define MAX_THREADS 2

static const struct echo_server servers[] = {
	{"skete io_uring", echo_skete_uring, true},
	{"skete epoll", echo_skete_epoll, false},
	{"liburing", echo_uring, true},
#if HAVE_UV
	{"libuv", echo_uv, false},
#endif
#if HAVE_EVENT
	{"libevent", echo_event, false},
#endif
};

#define NR_SERVERS SK_ARRAY_SIZE(servers)

struct server_thread {
	pthread_t thread;
	const struct echo_server *server;
	int fds[MAX_CONNS];
	unsigned nr;
	size_t size_bytes;
	double cpu_ns;
};

struct client_conn {
	struct sk_loop_op op;
	struct client *client;
	size_t got;
	char out[ECHO_MAX_BYTES], in[ECHO_MAX_BYTES];
};

struct client {
	struct client_conn conns[MAX_CONNS];
	size_t size_bytes;
	uint64_t round_trips, end_ns;
	unsigned nr_open;
};

static void *run_server(void *arg)
{
	struct server_thread *t = arg;
	struct rusage u;

	t->server->serve(t->fds, t->nr, t->size_bytes);
	getrusage(RUSAGE_THREAD, &u);
	t->cpu_ns = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e9 +
		    (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e3;
	return NULL;
}

static void connect_pair(int listener, int pair[2])
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);
	int one = 1;

	getsockname(listener, (struct sockaddr *)&addr, &len);
	pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (pair[0] < 0 || connect(pair[0], (struct sockaddr *)&addr, len))
		bench_die("cannot connect: %s", strerror(errno));
	pair[1] = accept(listener, NULL, NULL);
	if (pair[1] < 0)
		bench_die("cannot accept: %s", strerror(errno));
	for (int i = 0; i < 2; i++)
		setsockopt(pair[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static int listen_local(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 16))
		bench_die("cannot listen: %s", strerror(errno));
	return fd;
}

static void answered(struct sk_loop *loop, struct sk_loop_op *op, int n);

static void asked(struct sk_loop *loop, struct sk_loop_op *op, int n)
{
	struct client_conn *c = SK_CONTAINER_OF(op, struct client_conn, op);

	if (n <= 0)
		bench_die("a client's send failed: %s", strerror(-n));
	op->done = answered;
	sk_loop_recv(loop, op, c->in, c->client->size_bytes);
}

static void answered(struct sk_loop *loop, struct sk_loop_op *op, int n)
{
	struct client_conn *c = SK_CONTAINER_OF(op, struct client_conn, op);
	struct client *client = c->client;

	if (n <= 0)
		bench_die("a server hung up: %s", n ? strerror(-n) : "end of stream");
	c->got += (size_t)n;
	if (c->got < client->size_bytes) {
		sk_loop_recv(loop, op, c->in, client->size_bytes - c->got);
		return;
	}
	c->got = 0;
	client->round_trips++;
	if (sk_loop_now_ns(loop) < client->end_ns) {
		op->done = asked;
		sk_loop_send(loop, op, c->out, client->size_bytes);
		return;
	}
	sk_close(&op->fd);
	if (!--client->nr_open)
		sk_loop_stop(loop);
}

struct sample {
	double per_second, cpu_ns;
};

static struct sample measure(const struct echo_server *server, unsigned nr, size_t size_bytes,
			     unsigned nr_threads)
{
	struct server_thread threads[MAX_THREADS];
	struct client *client = calloc(1, sizeof(*client));
	struct sk_loop *loop = bench_loop(SK_LOOP_AUTO, 0);
	struct sample sample = {0};
	int listener = listen_local(), pair[2];
	uint64_t start;

	memset(threads, 0, sizeof(threads));
	client->size_bytes = size_bytes;
	client->nr_open = nr;
	for (unsigned i = 0; i < nr; i++) {
		struct server_thread *t = &threads[i % nr_threads];

		connect_pair(listener, pair);
		client->conns[i].op = (struct sk_loop_op){.done = asked, .fd = pair[0]};
		client->conns[i].client = client;
		t->fds[t->nr++] = pair[1];
	}
	for (unsigned i = 0; i < nr_threads; i++) {
		threads[i].server = server;
		threads[i].size_bytes = size_bytes;
		pthread_create(&threads[i].thread, NULL, run_server, &threads[i]);
	}
	start = sk_now_ns();
	client->end_ns = start + ROUND_NS;
	for (unsigned i = 0; i < nr; i++)
		sk_loop_send(loop, &client->conns[i].op, client->conns[i].out, size_bytes);
	if (sk_loop_run(loop))
		bench_die("the client's loop failed");
	sample.per_second = (double)client->round_trips * 1e9 / (double)(sk_now_ns() - start);
	for (unsigned i = 0; i < nr_threads; i++) {
		pthread_join(threads[i].thread, NULL);
		sample.cpu_ns += threads[i].cpu_ns / (double)client->round_trips;
	}
	sk_loop_destroy(loop);
	sk_close(&listener);
	free(client);
	return sample;
}

static void compare(unsigned nr, size_t size_bytes, unsigned nr_threads)
{
	double rate[NR_SERVERS][ROUNDS], cpu[NR_SERVERS][ROUNDS], base = 0;
	bool has_uring = bench_has_uring();

	for (unsigned round = 0; round < ROUNDS; round++) {
		for (size_t s = 0; s < NR_SERVERS; s++) {
			struct sample m;

			if (servers[s].needs_uring && !has_uring)
				continue;
			m = measure(&servers[s], nr, size_bytes, nr_threads);
			rate[s][round] = m.per_second;
			cpu[s][round] = m.cpu_ns;
		}
	}
	for (size_t s = 0; s < NR_SERVERS; s++) {
		double r, c;

		if (servers[s].needs_uring && !has_uring)
			continue;
		r = bench_median(rate[s], ROUNDS);
		c = bench_median(cpu[s], ROUNDS);
		base = base ? base : r;
		printf("%5zu  %5u  %7u  %-14s  %9.0f  %10.2f  %13.0f\n", size_bytes, nr, nr_threads,
		       servers[s].name, r, base / r, c);
		bench_add("echo", servers[s].name, "round trips/s", r,
			  "bytes=%zu connections=%u threads=%u", size_bytes, nr, nr_threads);
		bench_add("echo", servers[s].name, "server ns/round trip", c,
			  "bytes=%zu connections=%u threads=%u", size_bytes, nr, nr_threads);
	}
}

void bench_echo(void)
{
	const unsigned conns[] = {1, 50, MAX_CONNS};
	const size_t sizes[] = {100, 1024};

	printf("bytes  conns  threads  server          trips/s    first/this  server ns/trip\n");
	for (unsigned t = 1; t <= MAX_THREADS; t++)
		for (size_t i = 0; i < SK_ARRAY_SIZE(sizes); i++)
			for (size_t k = 0; k < SK_ARRAY_SIZE(conns); k++)
				if (conns[k] >= t)
					compare(conns[k], sizes[i], t);
}
