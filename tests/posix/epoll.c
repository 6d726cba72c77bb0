/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* epoll_create1 epoll_ctl epoll_wait epoll_pwait: level, edge, one-shot, nested. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "say.h"

static struct epoll_event got[8];

static int add(int epoll, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static int modify(int epoll, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};

	return epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
}

static void *later(void *fd)
{
	usleep(20000);
	write(*(int *)fd, "x", 1);
	return NULL;
}

static void levels(void)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC), p[2], other;
	char c[10];

	SAY(fcntl(epoll, F_GETFD));
	pipe2(p, O_NONBLOCK);
	SAY(add(epoll, p[0], EPOLLIN));
	SAY(add(epoll, p[0], EPOLLIN));
	SAY(modify(epoll, p[1], EPOLLOUT));
	SAY(add(epoll, p[1], EPOLLOUT));
	SAY(epoll_wait(epoll, got, 8, 0));
	SAY(got[0].data.fd == p[1] && got[0].events == EPOLLOUT);
	SAY(epoll_ctl(epoll, EPOLL_CTL_DEL, p[1], NULL));
	SAY(epoll_ctl(epoll, EPOLL_CTL_DEL, p[1], NULL));
	SAY(epoll_wait(epoll, got, 8, 0));
	write(p[1], "ab", 2);
	SAY(epoll_wait(epoll, got, 8, 0));
	SAY(epoll_wait(epoll, got, 8, 0));
	read(p[0], c, 1);
	SAY(epoll_wait(epoll, got, 8, 0));
	read(p[0], c, 1);
	SAY(epoll_wait(epoll, got, 8, 0));
	SAY(modify(epoll, p[0], EPOLLIN | EPOLLET));
	write(p[1], "ab", 2);
	SAY(epoll_wait(epoll, got, 8, 0));
	SAY(epoll_wait(epoll, got, 8, 0));
	write(p[1], "c", 1);
	SAY(epoll_wait(epoll, got, 8, 0));
	SAY(modify(epoll, p[0], EPOLLIN | EPOLLONESHOT));
	SAY(epoll_wait(epoll, got, 8, 0));
	write(p[1], "d", 1);
	SAY(epoll_wait(epoll, got, 8, 0));
	SAY(modify(epoll, p[0], EPOLLIN | EPOLLONESHOT));
	SAY(epoll_wait(epoll, got, 8, 0));
	SAY(modify(epoll, p[0], EPOLLIN));
	read(p[0], c, 10);
	close(p[1]);
	SAY(epoll_wait(epoll, got, 8, 0));
	SAY(got[0].events == EPOLLHUP);
	other = dup(p[0]);
	close(p[0]); /* the open file lives on */
	SAY(epoll_wait(epoll, got, 8, 0));
	close(other);
	SAY(epoll_wait(epoll, got, 8, 0));
	close(epoll);
}

static void refusals(int file)
{
	int epoll = epoll_create1(0);

	SAY(epoll_create1(1));
	SAY(syscall(SYS_epoll_create, 0));
	SAY(add(epoll, file, EPOLLIN));
	SAY(add(epoll, epoll, EPOLLIN));
	SAY(add(epoll, 99, EPOLLIN));
	SAY(add(1, file, EPOLLIN));
	SAY(epoll_wait(epoll, got, 0, 0));
	SAY(epoll_wait(file, got, 1, 0));
	SAY(epoll_ctl(epoll, 99, file, got));
	SAY(read(epoll, got, 1));
	close(epoll);
}

static void nested(void)
{
	int chain[8], event = eventfd(0, 0);

	for (int i = 0; i < 8; i++)
		chain[i] = epoll_create1(0);
	SAY(add(chain[0], event, EPOLLIN));
	for (int i = 1; i < 7; i++)
		SAY(add(chain[i], chain[i - 1], EPOLLIN));
	SAY(add(chain[0], chain[3], EPOLLIN));
	SAY(epoll_wait(chain[3], got, 8, 0));
	eventfd_write(event, 1);
	SAY(epoll_wait(chain[3], got, 8, 0));
	SAY(epoll_wait(chain[0], got, 8, 0));
	SAY(got[0].data.fd == event);
	for (int i = 0; i < 8; i++)
		close(chain[i]);
	close(event);
}

int main(void)
{
	int epoll = epoll_create1(0), p[2], file = open("watched", O_CREAT | O_RDWR, 0600);
	pthread_t thread;

	levels();
	refusals(file);
	nested();
	pipe(p);
	add(epoll, p[0], EPOLLIN);
	SAY(epoll_wait(epoll, got, 8, 5));
	pthread_create(&thread, NULL, later, &p[1]);
	SAY(epoll_wait(epoll, got, 8, -1));
	SAY(got[0].events);
	pthread_join(thread, NULL);
	SAY(epoll_pwait(epoll, got, 8, -1, NULL));
	unlink("watched");
	return 0;
}
