/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* poll ppoll select pselect6. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#include "say.h"

static int a[2], b[2];
static volatile int caught;

static void handler(int number)
{
	caught = number;
}

static void *later(void *unused)
{
	(void)unused;
	usleep(20000);
	write(b[1], "x", 1);
	return NULL;
}

static void *poke(void *main_thread)
{
	usleep(20000);
	pthread_kill(*(pthread_t *)main_thread, SIGUSR1);
	return NULL;
}

static void selecting(void)
{
	struct timeval tv = {0, 1000};
	struct timespec ts = {0, 1000};
	fd_set in, out;

	FD_ZERO(&in);
	FD_SET(a[0], &in);
	FD_SET(b[0], &in);
	FD_ZERO(&out);
	FD_SET(a[1], &out);
	SAY(select(b[1] + 1, &in, &out, NULL, &tv));
	SAY(FD_ISSET(a[0], &in));
	SAY(FD_ISSET(b[0], &in));
	SAY(FD_ISSET(a[1], &out));
	FD_ZERO(&in);
	SAY(select(0, NULL, NULL, NULL, &tv));
	FD_SET(40, &in);
	SAY(select(41, &in, NULL, NULL, &tv));
	FD_ZERO(&in);
	FD_SET(a[0], &in);
	SAY(pselect(a[0] + 1, &in, NULL, NULL, &ts, NULL));
	tv.tv_sec = -1;
	SAY(select(0, NULL, NULL, NULL, &tv));
	SAY(select(-1, NULL, NULL, NULL, NULL));
}

int main(void)
{
	struct sigaction action = {.sa_handler = handler};
	struct pollfd fds[3];
	struct timespec soon = {0, 1000000};
	pthread_t thread, self = pthread_self();
	sigset_t all, none;

	pipe(a);
	pipe(b);
	fds[0] = (struct pollfd){.fd = a[0], .events = POLLIN};
	fds[1] = (struct pollfd){.fd = b[0], .events = POLLIN};
	fds[2] = (struct pollfd){.fd = -1, .events = POLLIN, .revents = 7};
	SAY(poll(fds, 3, 0));
	SAY(fds[2].revents);
	SAY(poll(fds, 3, 5));
	pthread_create(&thread, NULL, later, NULL);
	SAY(poll(fds, 3, -1));
	SAY(fds[0].revents);
	SAY(fds[1].revents);
	pthread_join(thread, NULL);
	fds[2].fd = 77;
	SAY(poll(fds, 3, 0));
	SAY(fds[2].revents == POLLNVAL);
	fds[2] = (struct pollfd){.fd = a[1], .events = POLLOUT | POLLIN};
	SAY(poll(fds, 3, 0));
	SAY(fds[2].revents == POLLOUT);
	SAY(poll(NULL, 0, 1));
	SAY(ppoll(fds, 1, &soon, NULL));
	sigaction(SIGUSR1, &action, NULL);
	pthread_create(&thread, NULL, poke, &self);
	SAY(poll(fds, 1, 2000));
	SAY(caught == SIGUSR1);
	pthread_join(thread, NULL);
	sigfillset(&all);
	sigemptyset(&none);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	caught = 0;
	raise(SIGUSR1);
	SAY(caught);
	SAY(ppoll(fds, 1, NULL, &none));
	SAY(caught == SIGUSR1);
	pthread_sigmask(SIG_BLOCK, NULL, &none);
	SAY(sigismember(&none, SIGUSR1));
	selecting();
	return 0;
}
