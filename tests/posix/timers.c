/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* alarm setitimer getitimer timer_create timer_settime timer_gettime timer_getoverrun timer_delete
 * clock_gettime clock_getres clock_nanosleep gettimeofday times getrusage. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>
#include <unistd.h>

#include "say.h"

static volatile int rang, code, value, overruns;
static timer_t created_timer;
static volatile int called;

static void handler(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	/* Of the first one: the next may come before main() has asked. */
	if (!rang++ && info->si_code == SI_TIMER)
		overruns = timer_getoverrun(created_timer);
	code = info->si_code;
	value = info->si_value.sival_int;
}

static void in_thread(union sigval v)
{
	called = v.sival_int;
}

static void wait_for(volatile int *what)
{
	for (int i = 0; i < 2000 && !*what; i++)
		usleep(1000);
}

static void intervals(void)
{
	struct itimerval timer = {.it_value.tv_usec = 2000, .it_interval.tv_usec = 2000}, now;

	SAY(alarm(100));
	SAY(alarm(0));
	SAY(setitimer(ITIMER_REAL, &timer, NULL));
	while (rang < 3)
		pause();
	SAY(getitimer(ITIMER_REAL, &now));
	SAY(now.it_interval.tv_usec);
	memset(&timer, 0, sizeof(timer));
	SAY(setitimer(ITIMER_REAL, &timer, &now));
	SAY(now.it_interval.tv_usec);
	SAY(setitimer(99, &timer, NULL));
	timer.it_value.tv_usec = 1000000;
	SAY(setitimer(ITIMER_REAL, &timer, NULL));
}

static void created(void)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 77};
	struct itimerspec set = {.it_value.tv_nsec = 3000000}, now;
	sigset_t block;
	timer_t t;

	SAY(timer_create(CLOCK_MONOTONIC, &event, &t));
	created_timer = t;
	rang = 0;
	SAY(timer_settime(t, 0, &set, NULL));
	wait_for(&rang);
	SAY(rang);
	SAY(code == SI_TIMER);
	SAY(value);
	SAY(timer_gettime(t, &now));
	SAY(now.it_value.tv_sec + now.it_value.tv_nsec);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, NULL);
	set.it_interval.tv_nsec = 1000000;
	SAY(timer_settime(t, 0, &set, NULL));
	usleep(30000);
	rang = 0;
	sigprocmask(SIG_UNBLOCK, &block, NULL);
	SAY(rang >= 1);
	SAY(overruns > 2);
	SAY(timer_delete(t));
	SAY(timer_create(CLOCK_REALTIME, &(struct sigevent){.sigev_notify = 99}, &t));
	event.sigev_notify = SIGEV_THREAD;
	event.sigev_notify_function = in_thread;
	SAY(timer_create(CLOCK_REALTIME, &event, &t));
	memset(&set, 0, sizeof(set));
	clock_gettime(CLOCK_REALTIME, &set.it_value);
	SAY(timer_settime(t, TIMER_ABSTIME, &set, NULL));
	wait_for(&called);
	SAY(called);
	SAY(timer_delete(t));
}

static void clocks(void)
{
	static const clockid_t all[] = {CLOCK_REALTIME,		  CLOCK_MONOTONIC,
					CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID,
					CLOCK_MONOTONIC_RAW,	  CLOCK_REALTIME_COARSE,
					CLOCK_MONOTONIC_COARSE,	  CLOCK_BOOTTIME};
	struct timespec a, b, t = {0, 2000000};
	struct rusage usage;
	struct timeval now;
	struct tms tms;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		SAY(clock_gettime(all[i], &a));
		SAY(clock_getres(all[i], &b));
	}
	SAY(clock_gettime(99, &a));
	clock_gettime(CLOCK_MONOTONIC, &a);
	SAY(clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL));
	clock_gettime(CLOCK_MONOTONIC, &b);
	SAY((b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec >= 2000000);
	SAY(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &a, NULL));
	t.tv_nsec = 1000000000;
	SAY(nanosleep(&t, NULL));
	SAY(gettimeofday(&now, NULL));
	SAY(now.tv_sec > 1500000000);
	SAY(time(NULL) - now.tv_sec <= 1);
	SAY(times(&tms) != -1);
	SAY(getrusage(RUSAGE_SELF, &usage));
	SAY(getrusage(RUSAGE_CHILDREN, &usage));
	SAY(getrusage(99, &usage));
}

int main(void)
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};

	sigaction(SIGALRM, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	intervals();
	created();
	clocks();
	return 0;
}
