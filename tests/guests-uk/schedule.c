/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Who runs: real-time priorities, nice values, affinity of a thread that runs, and the clocks of
 * CPU time. With an argument it sleeps for that many milliseconds instead.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile int stop, ran, order[8];
static volatile unsigned long work[2];
static volatile int waiting, go;

static void check(int ok, const char *what)
{
	printf("%s %s\n", ok ? "ok" : "FAILED", what);
	if (!ok)
		exit(1);
}

static double now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void stay_on(pthread_t thread, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	pthread_setaffinity_np(thread, sizeof(set), &set);
}

static void priority(int policy, int value)
{
	struct sched_param param = {.sched_priority = value};

	if (pthread_setschedparam(pthread_self(), policy, &param))
		check(0, "setting a priority");
}

static pthread_t start(void *(*function)(void *), long argument)
{
	pthread_t thread;

	pthread_create(&thread, NULL, function, (void *)argument);
	return thread;
}

static void arguments(void)
{
	struct sched_param param = {.sched_priority = 7}, got;
	int policy;

	check(sched_get_priority_max(SCHED_FIFO) == 99 && sched_get_priority_min(SCHED_RR) == 1,
	      "the range of priorities");
	check(sched_setscheduler(0, SCHED_RR, &param) == 0 && sched_getscheduler(0) == SCHED_RR &&
		      sched_getparam(0, &got) == 0 && got.sched_priority == 7,
	      "sched_setscheduler");
	check(pthread_getschedparam(pthread_self(), &policy, &got) == 0 && policy == SCHED_RR &&
		      got.sched_priority == 7,
	      "pthread_getschedparam agrees");
	param.sched_priority = 100;
	check(sched_setparam(0, &param) == -1 && errno == EINVAL, "a priority out of range");
	param.sched_priority = 0;
	check(sched_setscheduler(0, SCHED_OTHER, &param) == 0, "back to the ordinary");
	check(setpriority(PRIO_PROCESS, 0, 5) == 0 && getpriority(PRIO_PROCESS, 0) == 5, "nice 5");
	check(setpriority(PRIO_PROCESS, 0, 100) == 0 && getpriority(PRIO_PROCESS, 0) == 19,
	      "the limit of nice");
	setpriority(PRIO_PROCESS, 0, 0);
	check(setpriority(PRIO_PROCESS, 30000, 0) == -1 && errno == ESRCH, "no such thread");
}

static long futex(int op, int value)
{
	return syscall(SYS_futex, &go, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void *one_in_order(void *value)
{
	priority(SCHED_FIFO, (int)(long)value);
	waiting++;
	while (!go)
		futex(FUTEX_WAIT, 0);
	order[ran++] = (int)(long)value; /* all run on one CPU, each until it stops */
	return NULL;
}

/* Woken together they run in the order of their priorities; one by one they are woken in it. */
static void in_order(int at_once)
{
	static const int values[4] = {20, 40, 10, 30};
	pthread_t threads[4];

	waiting = ran = go = 0;
	for (int i = 0; i < 4; i++)
		threads[i] = start(one_in_order, values[i]);
	while (waiting < 4)
		usleep(1000);
	usleep(1000);
	priority(SCHED_FIFO, at_once ? 50 : 5);
	go = 1;
	if (at_once)
		futex(FUTEX_WAKE, 4);
	else
		for (int i = 0; i < 4; i++)
			if (futex(FUTEX_WAKE, 1) != 1)
				check(0, "nobody to wake");
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	priority(SCHED_OTHER, 0);
	check(ran == 4 && order[0] == 40 && order[1] == 30 && order[2] == 20 && order[3] == 10,
	      "high priorities go first");
}

static void *spin(void *i)
{
	while (!stop)
		work[(long)i]++;
	return NULL;
}

static void *spin_fifo(void *value)
{
	priority(SCHED_FIFO, (int)(long)value);
	return spin(NULL);
}

/* A busy thread of real-time priority: those below do not run, one above does. */
static void starves(void)
{
	pthread_t low, busy;
	unsigned long before;

	priority(SCHED_FIFO, 50);
	stop = 0;
	low = start(spin, 1);
	pthread_setschedparam(low, SCHED_OTHER, &(struct sched_param){0});
	busy = start(spin_fifo, 10);
	usleep(20000);
	before = work[1];
	usleep(50000);
	check(work[1] == before, "a thread below waits");
	check(work[0] > 0, "one above wakes up in between");
	stop = 1;
	pthread_join(busy, NULL);
	pthread_join(low, NULL);
	check(1, "then it goes on");
	priority(SCHED_OTHER, 0);
}

static void *spin_nice(void *i)
{
	if (setpriority(PRIO_PROCESS, 0, i ? 15 : 0))
		check(0, "setting nice");
	return spin(i);
}

/*
 * Does a millisecond's sleep mostly end within two? A machine whose timer is slower cannot cut
 * slices.
 */
static int timer_is_fine(void)
{
	int good = 0;

	for (int i = 0; i < 10; i++) {
		double begin = now(CLOCK_MONOTONIC);

		usleep(1000);
		good += now(CLOCK_MONOTONIC) - begin < 0.002;
	}
	return good >= 7;
}

static void slices(void)
{
	struct timespec slice;
	long last = 1000000000;

	for (int nice = -10; nice <= 10; nice += 5) {
		setpriority(PRIO_PROCESS, 0, nice);
		if (sched_rr_get_interval(0, &slice) || slice.tv_sec || slice.tv_nsec >= last / 2)
			check(0, "higher nice values have shorter slices");
		last = slice.tv_nsec;
	}
	setpriority(PRIO_PROCESS, 0, 0);
	check(1, "higher nice values have shorter slices");
}

static void shares(void)
{
	clockid_t clocks[2];
	pthread_t threads[2];
	double used[2], start_time;
	int fine = timer_is_fine();

	stop = 0;
	threads[0] = start(spin_nice, 0);
	threads[1] = start(spin_nice, 1);
	for (int i = 0; i < 2; i++)
		pthread_getcpuclockid(threads[i], &clocks[i]);
	start_time = now(CLOCK_PROCESS_CPUTIME_ID);
	while (now(CLOCK_PROCESS_CPUTIME_ID) - start_time < 0.3)
		usleep(10000);
	used[0] = now(clocks[0]);
	used[1] = now(clocks[1]);
	stop = 1;
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	printf("nice 0 %.3f s, nice 15 %.3f s\n", used[0], used[1]);
	check(used[0] > 0 && used[1] > 0, "nice threads get something");
	if (fine && timer_is_fine())
		/* By how much depends on the host; slices() looks at that. */
		check(used[0] > used[1], "but less");
	else
		puts("the timer of this machine is too coarse to see how much");
}

static void cpu_time(void)
{
	double thread = now(CLOCK_THREAD_CPUTIME_ID), process = now(CLOCK_PROCESS_CPUTIME_ID);
	double wall = now(CLOCK_MONOTONIC), last = 0;

	usleep(200000);
	check(now(CLOCK_THREAD_CPUTIME_ID) - thread < 0.1 &&
		      now(CLOCK_PROCESS_CPUTIME_ID) - process < 0.1,
	      "sleeping takes no CPU time");
	check(now(CLOCK_MONOTONIC) - wall >= 0.2, "but time");
	wall = now(CLOCK_MONOTONIC); /* before: a pause of the host in between counts */
	thread = now(CLOCK_THREAD_CPUTIME_ID);
	while (now(CLOCK_THREAD_CPUTIME_ID) - thread < 0.05) {
		double t = now(CLOCK_PROCESS_CPUTIME_ID);

		if (t < last)
			check(0, "CPU time goes back");
		last = t;
	}
	check(now(CLOCK_MONOTONIC) - wall >= 0.0499, "no more CPU time than time");
	check(clock() > 0, "clock()");
}

static volatile int where;

static void *tell_where(void *arg)
{
	(void)arg;
	while (!stop)
		where = sched_getcpu();
	return NULL;
}

/* A busy thread that may not stay where it is goes elsewhere. */
static void moves(void)
{
	pthread_t thread;

	stop = 0;
	thread = start(tell_where, 0);
	for (int i = 0; i < 10; i++) {
		stay_on(thread, i & 1);
		while (where != (i & 1))
			usleep(500);
	}
	stop = 1;
	pthread_join(thread, NULL);
	check(1, "a busy thread moves to where it may run");
}

static void *sleep_often(void *arg)
{
	/* Ever earlier, so that each time the timer is set anew, which takes its while. */
	struct timespec until = {.tv_sec = 1000000};

	(void)arg;
	for (int seen = go; !stop; seen = go) {
		where = sched_getcpu();
		for (volatile int delay = seen * 131 % 20000; delay > 0; delay--)
			;
		until.tv_sec--;
		syscall(SYS_futex, &go, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, seen, &until, NULL, 0);
	}
	return NULL;
}

/*
 * A thread that is told to run elsewhere, and woken, just while it falls asleep, runs there,
 * although somebody is always busy there.
 */
static void moves_asleep(void)
{
	pthread_t thread;

	stop = 0;
	where = -1;
	stay_on(pthread_self(), 0);
	thread = start(sleep_often, 0);
	for (int i = 0; i < 1000; i++) {
		int to = !(i & 1);

		stay_on(thread, to);
		for (go++, futex(FUTEX_WAKE, 1); where != to; sched_yield())
			;
	}
	stop = 1;
	go++;
	futex(FUTEX_WAKE, 1);
	pthread_join(thread, NULL);
	check(1, "a thread that falls asleep moves to where it may run");
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1) {
		usleep((useconds_t)atoi(argv[1]) * 1000);
		return 0;
	}
	arguments();
	cpu_time();
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		moves(), moves_asleep();
	stay_on(pthread_self(), 0);
	in_order(1);
	in_order(0);
	starves();
	slices();
	shares();
	puts("done");
	return 0;
}
