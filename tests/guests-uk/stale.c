/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * No stale translation: once munmap, mprotect, madvise, mmap over something or ftruncate has
 * returned, no CPU goes on with what was there before. A thread on every other CPU uses the page
 * all the time meanwhile; or it has used it and sleeps, on a CPU that looks for work or has halted,
 * and looks at the page as soon as it is woken.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MIB    (1ul << 20)
#define CPUS   32
#define ROUNDS 24

enum seen { FAULT = -1, ZERO = 0, SAME = 1 };

/* What is done to a page, what a look at it must find then, and whether the look is a write. */
struct way {
	const char *name;
	volatile int *(*map)(void);
	int (*change)(char *page);
	void (*unmap)(char *page);
	enum seen seen;
	int writes;
};

static int file;
static const struct way *way;
static volatile int *page;
static int sleeps, others;
static _Atomic int current_round, changed, ready, done;
static __thread sigjmp_buf out;

static void fail(const char *what, int value)
{
	printf("FAILED %s, %s: %s %d\n", way->name, sleeps ? "asleep" : "busy", what, value);
	fflush(stdout);
	_exit(1);
}

static void jump_out(int number)
{
	(void)number;
	siglongjmp(out, 1);
}

static void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("cannot run on CPU", cpu);
}

static void wait_until(_Atomic int *word, int value)
{
	for (int is = *word; is != value; is = *word)
		syscall(SYS_futex, word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, is, NULL, NULL, 0);
}

static void set(_Atomic int *word, int value)
{
	*word = value;
	syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX, NULL, NULL, 0);
}

static void use(int round)
{
	if (way->writes)
		*page = round;
	else if (*page != round && !sleeps)
		return; /* gone already */
}

static void look(int round)
{
	if (sigsetjmp(out, 1)) {
		if (way->seen != FAULT)
			fail("a fault in round", round);
		return;
	}
	if (way->writes) {
		*page = -round;
		fail("a write goes on in round", round);
	}
	if (way->seen == FAULT)
		fail("still there:", *page);
	if (*page != (way->seen == SAME ? round : 0))
		fail("still seen:", *page);
}

static void *other(void *argument)
{
	int cpu = (int)(intptr_t)argument;

	stay_on(cpu);
	for (int round = 1;; round++) {
		wait_until(&current_round, round);
		if (!page)
			return NULL;
		use(round);
		ready++;
		if (sleeps)
			wait_until(&changed, round);
		else if (!sigsetjmp(out, 1))
			while (changed != round)
				use(round);
		while (changed != round)
			;
		look(round);
		done++;
	}
}

static volatile int *map_at(int fd, int flags, size_t bytes)
{
	volatile int *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (p == MAP_FAILED)
		fail("cannot map", (int)(bytes >> 10));
	return p;
}

static volatile int *anonymous(void)
{
	return map_at(-1, MAP_PRIVATE | MAP_ANONYMOUS, MIB);
}

static volatile int *large(void)
{
	return map_at(-1, MAP_PRIVATE | MAP_ANONYMOUS, 2 * MIB);
}

static volatile int *shared(void)
{
	if (ftruncate(file, 8192))
		fail("cannot extend", 8192);
	return map_at(file, MAP_SHARED, 8192);
}

static volatile int *copied(void)
{
	if (ftruncate(file, 8192))
		fail("cannot extend", 8192);
	return map_at(file, MAP_PRIVATE, 8192);
}

/* Less may stay accessible for a while. */
static int take_away(char *p)
{
	return munmap(p, 2 * MIB);
}

static int take_away_file(char *p)
{
	return munmap(p, 8192);
}

static int forbid(char *p)
{
	return mprotect(p, 4096, PROT_NONE);
}

static int forbid_write(char *p)
{
	return mprotect(p, 4096, PROT_READ);
}

static int discard(char *p)
{
	return madvise(p, 4096, MADV_DONTNEED);
}

static int replace(char *p)
{
	return mmap(p, 4096, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0) != p;
}

static int cut(char *p)
{
	(void)p;
	return ftruncate(file, 0);
}

static void nothing(char *p)
{
	(void)p;
}

static void unmap(char *p)
{
	munmap(p, MIB);
}

static void unmap_large(char *p)
{
	munmap(p, 2 * MIB);
}

static void unmap_file(char *p)
{
	munmap(p, 8192);
}

static const struct way ways[] = {
	{"munmap", large, take_away, nothing, FAULT, 0},
	{"munmap while it is written", large, take_away, nothing, FAULT, 1},
	{"munmap of a shared file", shared, take_away_file, nothing, FAULT, 1},
	{"munmap of a private file", copied, take_away_file, nothing, FAULT, 1},
	{"mprotect to nothing", anonymous, forbid, unmap, FAULT, 0},
	{"mprotect to reading", anonymous, forbid_write, unmap, FAULT, 1},
	{"mprotect to reading, others read", anonymous, forbid_write, unmap, SAME, 0},
	{"mprotect of a part of 2 MiB", large, forbid_write, unmap_large, FAULT, 1},
	{"madvise", anonymous, discard, unmap, ZERO, 0},
	{"madvise of a part of 2 MiB", large, discard, unmap_large, ZERO, 0},
	{"mmap over it", anonymous, replace, unmap, ZERO, 0},
	{"ftruncate of a shared file", shared, cut, unmap_file, FAULT, 1},
	{"ftruncate of a private file", copied, cut, unmap_file, FAULT, 1},
};

/* For the others to fall asleep, and for their CPUs to look for work in vain for this time. */
static void linger(long ns)
{
	struct timespec begin, now;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - begin.tv_sec) * 1000000000 + now.tv_nsec - begin.tv_nsec < ns);
}

static void run(int round)
{
	page = way->map();
	*page = round;
	ready = done = 0;
	set(&current_round, round);
	while (ready < others)
		;
	if (sleeps)
		linger(round % 8 * 50000);
	if (way->change((char *)(uintptr_t)page))
		fail("the call itself fails in round", round);
	set(&changed, round);
	while (done < others)
		;
	if (way->writes && way->change == forbid_write && *page != round)
		fail("a write has come through:", *page);
	way->unmap((char *)(uintptr_t)page);
}

int main(void)
{
	pthread_t threads[CPUS];
	int round = 1;

	others = (int)sysconf(_SC_NPROCESSORS_ONLN) - 1;
	way = &ways[0];
	file = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	if (file < 0 || others < 1 || others >= CPUS)
		fail("no file, or too few CPUs:", others + 1);
	signal(SIGSEGV, jump_out);
	signal(SIGBUS, jump_out);
	stay_on(0);
	for (int i = 0; i < others; i++)
		pthread_create(&threads[i], NULL, other, (void *)(intptr_t)(i + 1));
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		way = &ways[i];
		for (sleeps = 0; sleeps < 2; sleeps++)
			for (int end = round + ROUNDS; round < end; round++)
				run(round);
		printf("ok %s\n", way->name);
	}
	page = NULL;
	set(&current_round, round);
	for (int i = 0; i < others; i++)
		pthread_join(threads[i], NULL);
	puts("done");
	return 0;
}
