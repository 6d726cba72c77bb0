/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * What operating-system services cost, in nanoseconds: the same source for the unikernel and for
 * Linux. Each is the best of several batches, so that a busy machine disturbs little.
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BATCHES 7

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void measure(const char *name, void (*batch)(int), int n)
{
	double best = 1e18;

	batch(n / 10 + 1);
	for (int i = 0; i < BATCHES; i++) {
		double start = now(), took;

		batch(n);
		took = (now() - start) / n;
		best = took < best ? took : best;
	}
	printf("%s %.1f\n", name, best);
}

static void get_pid(int n)
{
	while (n--)
		syscall(SYS_getpid);
}

static void get_time(int n)
{
	struct timespec t;

	while (n--)
		clock_gettime(CLOCK_MONOTONIC, &t);
}

static void *next_turn(void *arg)
{
	for (int n = *(int *)arg; n--;)
		sched_yield();
	return NULL;
}

/* Two threads on one CPU that yield to each other: a switch each. */
static void switches(int n)
{
	pthread_t thread;

	n /= 2;
	pthread_create(&thread, NULL, next_turn, &n);
	next_turn(&n);
	pthread_join(thread, NULL);
}

static int word;

static void futex(int op, int value)
{
	syscall(SYS_futex, &word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void *answer(void *arg)
{
	for (int n = *(int *)arg; n--;) {
		while (__atomic_load_n(&word, __ATOMIC_SEQ_CST) != 1)
			futex(FUTEX_WAIT, 0);
		__atomic_store_n(&word, 0, __ATOMIC_SEQ_CST);
		futex(FUTEX_WAKE, 1);
	}
	return NULL;
}

/* A round trip: wake the other thread and wait for it. */
static void futex_pair(int n)
{
	pthread_t thread;

	word = 0;
	pthread_create(&thread, NULL, answer, &n);
	for (int i = n; i--;) {
		__atomic_store_n(&word, 1, __ATOMIC_SEQ_CST);
		futex(FUTEX_WAKE, 1);
		while (__atomic_load_n(&word, __ATOMIC_SEQ_CST) != 0)
			futex(FUTEX_WAIT, 1);
	}
	pthread_join(thread, NULL);
}

static void *nothing(void *arg)
{
	return arg;
}

static void create_join(int n)
{
	pthread_t thread;

	while (n--) {
		pthread_create(&thread, NULL, nothing, NULL);
		pthread_join(thread, NULL);
	}
}

static void malloc_free(int n)
{
	void *p[64];

	for (int i = 0; i < n; i += 64) {
		for (int k = 0; k < 64; k++)
			p[k] = malloc((size_t)(16 + k * 8));
		for (int k = 0; k < 64; k++)
			free(p[k]);
	}
}

static void map_touch(int n)
{
	while (n--) {
		char *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			       0);

		p[0] = 1;
		munmap(p, 65536);
	}
}

int main(void)
{
	cpu_set_t one;

	measure("getpid", get_pid, 1000000);
	measure("clock_gettime", get_time, 200000);
	measure("malloc_free", malloc_free, 200000);
	measure("mmap_touch_munmap", map_touch, 300);
	measure("thread_create_join", create_join, 300);
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
	measure("context_switch", switches, 100000);
	measure("futex_round_trip", futex_pair, 20000);
	return 0;
}
