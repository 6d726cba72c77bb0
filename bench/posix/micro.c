/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * What files, memory, pipes, epoll, sockets and signals cost, in nanoseconds: the same source for
 * the unikernel and for Linux. Each is the best of several batches, so that a busy machine disturbs
 * little. The argument is the folder for files; on Linux one in memory.
 *
 * A unikernel in a machine also measures what no change of page tables there can be cheaper than.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
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

static void touch(volatile char *at, int pages)
{
	for (int i = 0; i < pages; i++)
		at[i * 4096] = 1;
}

static void map_window(long offset)
{
	char *m = mmap(NULL, 16 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);

	if (m == MAP_FAILED)
		abort();
	touch(m, 16);
	munmap(m, 16 * 4096);
}

static void map_file(int n)
{
	while (n--)
		map_window(0);
}

static void map_elsewhere(int n)
{
	while (n--)
		map_window((n & 127) * 16 * 4096);
}

static char *map_memory(size_t bytes)
{
	char *m = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (m == MAP_FAILED)
		abort();
	return m;
}

static void map_again(int n)
{
	while (n--) {
		char *m = map_memory(16 * 4096);

		touch(m, 16);
		munmap(m, 16 * 4096);
	}
}

/* Pages in mappings of 1 MiB that exist at the same time. */
static void map_fresh(int n)
{
	static char *areas[64];

	for (int i = 0; i < n / 256; i++) {
		areas[i] = map_memory(1 << 20);
		touch(areas[i], 256);
	}
	for (int i = 0; i < n / 256; i++)
		munmap(areas[i], 1 << 20);
}

static void protect(int n)
{
	static char *m;

	if (!m)
		touch(m = map_memory(16 * 4096), 16);
	while (n--)
		if (mprotect(m, 16 * 4096, PROT_READ) ||
		    mprotect(m, 16 * 4096, PROT_READ | PROT_WRITE))
			abort();
}

static sigjmp_buf no_shim;

static void privileged(int number)
{
	siglongjmp(no_shim, number);
}

/* No entries of a page table are to be set: the shim refuses that right after it was called. */
static void requests(int n)
{
	while (n--) {
		unsigned long result = 0x736b6500 + 11;

		__asm__ volatile("hlt"
				 : "+a"(result)
				 : "d"(0), "D"(0), "S"(0)
				 : "rcx", "r8", "r9", "r10", "r11", "memory", "cc");
	}
}

/* Where there is no shim this is a privileged instruction. */
static void measure_requests(void)
{
	void (*before)(int) = signal(SIGSEGV, privileged);

	if (!sigsetjmp(no_shim, 1))
		measure("floor: a request to the shim", requests, 1000);
	signal(SIGSEGV, before);
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
	measure("file: map, touch, unmap 16 pages", map_file, 1000);
	measure("file: map, touch, unmap 16 others", map_elsewhere, 200);
	unlink(path);
	measure("memory: map, touch, unmap 16 pages", map_again, 1000);
	measure("memory: a page of 1 MiB, fresh", map_fresh, 8192);
	measure("memory: protect 16 pages and back", protect, 200);
	measure_requests();
	measure("dup and close", dup_close, 100000);
	signal(SIGUSR1, handler);
	measure("signal to oneself", signals, 50000);
	return 0;
}
