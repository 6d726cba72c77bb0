/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* What the measurements of the loop share. They end the program if something fails. */
#ifndef LOOP_BENCH_H
#define LOOP_BENCH_H

#include <stdio.h>

#include <skete/loop.h>

/* One number of a run, as it goes to the table's JSON. */
struct result {
	const char *bench, *what, *unit;
	char parameters[64]; /* "connections=50 bytes=100 threads=1" */
	double value;
};

void bench_add(const char *bench, const char *what, const char *unit, double value,
	       const char *parameters_fmt, ...) SK_PRINTF(5, 6);

/* A sentence on stderr and exit(1). */
_Noreturn void bench_die(const char *fmt, ...) SK_PRINTF(1, 2);

/* The median of @v, which is sorted by it. */
double bench_median(double *v, size_t nr);
/* The @part (0.99) quantile of @v, sorted already. */
double bench_quantile(const double *v, size_t nr, double part);

struct sk_loop *bench_loop(enum sk_loop_driver driver, uint64_t busy_poll_ns);
/* True if the kernel lets us have it. */
bool bench_has_uring(void);

/*
 * An echo server: on the calling thread it sends back what comes on each of the @nr connected
 * sockets, in portions of at most @size_bytes, until the peers have closed all. It owns the
 * sockets.
 */
struct echo_server {
	const char *name;
	void (*serve)(const int *fds, unsigned nr, size_t size_bytes);
	bool needs_uring;
};

#define ECHO_MAX_BYTES 4096

void echo_skete_uring(const int *fds, unsigned nr, size_t size_bytes);
void echo_skete_epoll(const int *fds, unsigned nr, size_t size_bytes);
void echo_uring(const int *fds, unsigned nr, size_t size_bytes);
void echo_uv(const int *fds, unsigned nr, size_t size_bytes);
void echo_event(const int *fds, unsigned nr, size_t size_bytes);

void bench_echo(void);
void bench_file(void);
void bench_post(void);
void bench_timer(void);
void bench_idle(void);

#endif
