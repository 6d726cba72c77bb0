/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* eventfd2, timerfd_create, timerfd_settime, timerfd_gettime, signalfd4. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "say.h"

static int ready(int fd, int events)
{
	struct pollfd p = {.fd = fd, .events = (short)events};

	return poll(&p, 1, 0) == 1 ? p.revents : 0;
}

static void *add_later(void *fd)
{
	usleep(20000);
	eventfd_write(*(int *)fd, 5);
	return NULL;
}

static void events(void)
{
	int e = eventfd(3, EFD_NONBLOCK), s = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK), b;
	uint64_t value = 0;
	pthread_t thread;
	uint32_t small;

	SAY(eventfd(0, 1234));
	SAY(ready(e, POLLIN | POLLOUT));
	SAY(read(e, &value, 8));
	SAY(value);
	SAY(read(e, &value, 8));
	SAY(ready(e, POLLIN | POLLOUT));
	SAY(read(e, &small, 4));
	SAY(write(e, &small, 4));
	value = UINT64_MAX;
	SAY(write(e, &value, 8));
	value = UINT64_MAX - 1;
	SAY(write(e, &value, 8));
	SAY(ready(e, POLLIN | POLLOUT));
	value = 1;
	SAY(write(e, &value, 8));
	SAY(read(s, &value, 8));
	SAY(value);
	SAY(read(s, &value, 8));
	SAY(read(s, &value, 8));
	b = eventfd(0, 0);
	pthread_create(&thread, NULL, add_later, &b);
	SAY(read(b, &value, 8));
	SAY(value);
	pthread_join(thread, NULL);
}

static void timers(void)
{
	struct itimerspec set = {.it_value.tv_nsec = 5000000, .it_interval.tv_nsec = 5000000}, now;
	int t = timerfd_create(CLOCK_MONOTONIC, 0);
	uint64_t value = 0;
	struct timespec at;

	SAY(timerfd_create(999, 0));
	SAY(timerfd_create(CLOCK_REALTIME, 1));
	SAY(timerfd_settime(t, 0, &set, NULL));
	SAY(read(t, &value, 8));
	SAY(value >= 1);
	usleep(25000);
	SAY(read(t, &value, 8));
	SAY(value >= 2);
	SAY(timerfd_gettime(t, &now));
	SAY(now.it_interval.tv_nsec);
	SAY(now.it_value.tv_nsec > 0);
	memset(&set, 0, sizeof(set));
	SAY(timerfd_settime(t, 0, &set, &now));
	SAY(now.it_interval.tv_nsec);
	fcntl(t, F_SETFL, O_NONBLOCK);
	SAY(read(t, &value, 8));
	clock_gettime(CLOCK_REALTIME, &at);
	t = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);
	set.it_value = at; /* has been */
	SAY(timerfd_settime(t, TFD_TIMER_ABSTIME, &set, NULL));
	usleep(2000);
	SAY(ready(t, POLLIN));
	SAY(read(t, &value, 8));
	SAY(value);
	set.it_value.tv_nsec = 1000000000;
	SAY(timerfd_settime(t, 0, &set, NULL));
	SAY(timerfd_settime(1, 0, &set, NULL));
	SAY(write(t, &value, 8));
}

static void signals(void)
{
	struct signalfd_siginfo info[3];
	sigset_t set;
	int s;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s = signalfd(-1, &set, SFD_NONBLOCK);
	SAY(read(s, info, sizeof(info)));
	SAY(ready(s, POLLIN));
	kill(getpid(), SIGUSR2);
	sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 42});
	SAY(ready(s, POLLIN));
	SAY(read(s, info, 8));
	SAY(read(s, info, sizeof(info)) / sizeof(info[0]));
	SAY(info[0].ssi_signo == SIGUSR1);
	SAY(info[0].ssi_int);
	SAY(info[0].ssi_code == SI_QUEUE);
	SAY(info[1].ssi_signo == SIGUSR2);
	SAY(info[1].ssi_code == SI_USER);
	SAY(info[1].ssi_pid == (uint32_t)getpid());
	SAY(read(s, info, sizeof(info)));
	SAY(signalfd(s, &set, 0) == s);
	SAY(signalfd(1, &set, 0));
}

int main(void)
{
	events();
	timers();
	signals();
	return 0;
}
