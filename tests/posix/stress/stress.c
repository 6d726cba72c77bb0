/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * stress SECONDS: threads, files, mappings, pipes, sockets that carry descriptors, epoll, timers
 * and signals at once. At the end no memory may be missing and every worker has to have come round.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define WORKERS	   10
#define LEAK_BYTES (4ul << 20)

static _Atomic int ends;
static _Atomic long rounds[WORKERS], caught;
static pthread_t threads[WORKERS], main_thread;

#define MUST(condition)                                                       \
	do {                                                                  \
		if (!(condition)) {                                           \
			printf("FAILED line %d: %s\n", __LINE__, #condition); \
			exit(1);                                              \
		}                                                             \
	} while (0)

static void handler(int number)
{
	(void)number;
	caught++;
}

static void files(int self)
{
	char a[64], b[64], data[9000];
	int fd;

	snprintf(a, sizeof(a), "/tmp/f%d", self);
	snprintf(b, sizeof(b), "/tmp/shared%d", rand() % 3);
	memset(data, self, sizeof(data));
	fd = open(a, O_CREAT | O_RDWR | O_TRUNC, 0600);
	MUST(fd >= 0 && write(fd, data, sizeof(data)) == sizeof(data));
	MUST(rename(a, b) == 0);
	MUST(ftruncate(fd, 5000) == 0 && pread(fd, data, 9000, 0) == 5000 && data[4999] == self);
	unlink(b);
	close(fd);
}

static void mappings(int self)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	char *m;

	MUST(fd >= 0 && ftruncate(fd, 8 * 4096) == 0);
	m = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, self & 1 ? MAP_SHARED : MAP_PRIVATE, fd,
		 0);
	MUST(m != MAP_FAILED);
	memset(m, self, 8 * 4096);
	MUST(munmap(m + 4096, 4096) == 0 && m[0] == self && m[3 * 4096] == self);
	MUST(munmap(m, 4096) == 0 && munmap(m + 2 * 4096, 6 * 4096) == 0);
	close(fd);
}

static void sockets(int self)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec v = {&self, sizeof(self)};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};
	int s[2], p[2];

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0 && pipe(p) == 0);
	CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(sizeof(int));
	CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
	CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &p[1], sizeof(int));
	MUST(sendmsg(s[0], &m, 0) == sizeof(self));
	close(p[1]);
	if (self & 1) { /* else it is dropped with the socket */
		MUST(recvmsg(s[1], &m, 0) == sizeof(self));
		memcpy(&p[1], CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
		MUST(write(p[1], "x", 1) == 1);
		close(p[1]);
	}
	close(s[0]);
	close(s[1]);
	close(p[0]);
}

static void events(int self)
{
	struct itimerspec soon = {.it_value.tv_nsec = 200000 + self};
	struct epoll_event event = {.events = EPOLLIN}, got[2];
	int e = epoll_create1(0), t = timerfd_create(CLOCK_MONOTONIC, 0), c = eventfd(1, 0);
	uint64_t value;

	MUST(epoll_ctl(e, EPOLL_CTL_ADD, t, &event) == 0 &&
	     epoll_ctl(e, EPOLL_CTL_ADD, c, &event) == 0);
	MUST(read(c, &value, 8) == 8);
	MUST(timerfd_settime(t, 0, &soon, NULL) == 0);
	while (epoll_wait(e, got, 2, -1) < 1)
		;
	MUST(read(t, &value, 8) == 8 && value == 1);
	close(t);
	close(c);
	close(e);
}

static void *nothing(void *argument)
{
	return argument;
}

static void starts(int self)
{
	pthread_t thread;
	void *result;

	MUST(pthread_create(&thread, NULL, nothing, &threads[self]) == 0);
	MUST(pthread_join(thread, &result) == 0 && result == &threads[self]);
	if (self & 1)
		pthread_kill(main_thread, SIGUSR1);
	else
		kill(getpid(), SIGUSR1);
}

static void *work(void *argument)
{
	static void (*const jobs[])(int) = {files, mappings, sockets, events, starts};
	int self = (int)(long)argument;

	while (!ends) {
		jobs[(self + rounds[self]) % 5](self);
		rounds[self]++;
	}
	return NULL;
}

static unsigned long free_memory(void)
{
	struct sysinfo info;

	sysinfo(&info);
	return info.freeram;
}

static void run(double seconds)
{
	struct timespec now;
	double end;

	ends = 0;
	for (long i = 0; i < WORKERS; i++)
		MUST(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
	clock_gettime(CLOCK_MONOTONIC, &now);
	for (end = (double)now.tv_sec + seconds; (double)now.tv_sec < end;
	     clock_gettime(CLOCK_MONOTONIC, &now))
		usleep(100000); /* signals end it early */
	ends = 1;
	for (int i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
	double seconds = argc > 1 ? atof(argv[1]) : 1;
	unsigned long before, after;
	long total = 0;

	sigaction(SIGUSR1, &action, NULL);
	main_thread = pthread_self();
	run(seconds / 4);
	before = free_memory();
	run(seconds);
	after = free_memory();
	for (int i = 0; i < WORKERS; i++) {
		MUST(rounds[i] > 0);
		total += rounds[i];
	}
	if (after + LEAK_BYTES < before) {
		printf("FAILED: %lu KiB are gone after %ld rounds\n", (before - after) >> 10,
		       total);
		return 1;
	}
	printf("%ld rounds, %ld signals, %ld KiB less\ndone\n", total, (long)caught,
	       ((long)before - (long)after) / 1024);
	return 0;
}
