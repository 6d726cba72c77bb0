/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * What files, pipes, epoll, sockets and signals cost, in nanoseconds: the same source for the
 * unikernel and for Linux. Each is the best of several batches, so that a busy machine disturbs
 * little. The argument is the folder for files; on Linux one in memory.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BATCHES 5

static int there[2], back[2], fd, epoll;
static char path[256], block[1 << 16];
static volatile int caught;

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
	fflush(stdout);
}

static void *echo(void *count)
{
	char c;

	for (int n = *(int *)count; n--;)
		if (read(there[0], &c, 1) != 1 || write(back[1], &c, 1) != 1)
			abort();
	return NULL;
}

static void ping_pong(int n)
{
	pthread_t thread;
	char c = 0;

	pthread_create(&thread, NULL, echo, &n);
	for (int i = 0; i < n; i++)
		if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1)
			abort();
	pthread_join(thread, NULL);
}

static void pipe_self(int n)
{
	char c = 0;

	while (n--)
		if (write(there[1], &c, 1) != 1 || read(there[0], &c, 1) != 1)
			abort();
}

static void pipe_64k(int n)
{
	while (n--)
		if (write(there[1], block, sizeof(block)) != sizeof(block) ||
		    read(there[0], block, sizeof(block)) != sizeof(block))
			abort();
}

static void epoll_round(int n)
{
	struct epoll_event event;
	uint64_t value = 1;

	while (n--)
		if (write(fd, &value, 8) != 8 || epoll_wait(epoll, &event, 1, -1) != 1 ||
		    read(fd, &value, 8) != 8)
			abort();
}

static void *epoll_server(void *count)
{
	struct epoll_event event;
	char c;

	for (int n = *(int *)count; n--;)
		if (epoll_wait(epoll, &event, 1, -1) != 1 || read(event.data.fd, &c, 1) != 1 ||
		    write(event.data.fd, &c, 1) != 1)
			abort();
	return NULL;
}

static void epoll_sockets(int n)
{
	pthread_t thread;
	char c = 0;

	pthread_create(&thread, NULL, epoll_server, &n);
	for (int i = 0; i < n; i++)
		if (write(there[0], &c, 1) != 1 || read(there[0], &c, 1) != 1)
			abort();
	pthread_join(thread, NULL);
}

static void create_unlink(int n)
{
	while (n--) {
		int file = open(path, O_CREAT | O_WRONLY | O_EXCL, 0600);

		if (file < 0 || write(file, block, 100) != 100 || close(file) || unlink(path))
			abort();
	}
}

static void open_close(int n)
{
	while (n--)
		if (close(open(path, O_RDONLY)))
			abort();
}

static void stat_path(int n)
{
	struct stat st;

	while (n--)
		if (stat(path, &st))
			abort();
}

static void pread_4k(int n)
{
	while (n--)
		if (pread(fd, block, 4096, (n & 255) * 4096) != 4096)
			abort();
}

static void pwrite_4k(int n)
{
	while (n--)
		if (pwrite(fd, block, 4096, (n & 255) * 4096) != 4096)
			abort();
}

static void write_fresh(int n)
{
	if (ftruncate(fd, 0))
		abort();
	for (int i = 0; i < n; i++)
		if (pwrite(fd, block, 4096, i * 4096l) != 4096)
			abort();
}

static void map_file(int n)
{
	while (n--) {
		volatile char *m = mmap(NULL, 16 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		for (int i = 0; i < 16; i++)
			m[i * 4096] = 1;
		munmap((void *)(uintptr_t)m, 16 * 4096);
	}
}

static void handler(int number)
{
	caught = number;
}

static void signals(int n)
{
	while (n--)
		raise(SIGUSR1);
}

static void dup_close(int n)
{
	while (n--)
		close(dup(1));
}

int main(int argc, char **argv)
{
	struct epoll_event event = {.events = EPOLLIN};

	snprintf(path, sizeof(path), "%s/measured", argc > 1 ? argv[1] : "/tmp");
	if (pipe(there) || pipe(back))
		return 1;
	measure("pipe: ping-pong of two threads", ping_pong, 20000);
	measure("pipe: write and read a byte", pipe_self, 100000);
	measure("pipe: write and read 64 KiB", pipe_64k, 3000);
	epoll = epoll_create1(0);
	fd = eventfd(0, 0);
	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
	measure("epoll: eventfd write, wait, read", epoll_round, 100000);
	epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, there))
		return 1;
	event.data.fd = there[1];
	epoll_ctl(epoll, EPOLL_CTL_ADD, there[1], &event);
	measure("epoll: round trip over a socket pair", epoll_sockets, 20000);
	measure("file: create, write, close, unlink", create_unlink, 20000);
	fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600);
	measure("file: write 4 KiB of fresh memory", write_fresh, 4096);
	measure("file: pwrite 4 KiB", pwrite_4k, 100000);
	measure("file: pread 4 KiB", pread_4k, 100000);
	measure("file: open and close", open_close, 100000);
	measure("file: stat", stat_path, 100000);
	measure("file: map, touch, unmap 16 pages", map_file, 200);
	unlink(path);
	measure("dup and close", dup_close, 100000);
	signal(SIGUSR1, handler);
	measure("signal to oneself", signals, 50000);
	return 0;
}
