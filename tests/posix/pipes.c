/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* pipe, read, write, readv, writev, SIGPIPE, FIONREAD, F_GETPIPE_SZ, named pipes (mknod, open). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "say.h"

static int pair[2];
static char big[200000];

static void *feed(void *unused)
{
	long wrote = write(pair[1], big, sizeof(big));

	(void)unused;
	close(pair[1]);
	return (void *)wrote;
}

static void *open_writer(void *name)
{
	int fd = open(name, O_WRONLY);
	long wrote = write(fd, "through", 8);

	close(fd);
	return (void *)wrote;
}

static void blocking(void)
{
	long total = 0, n, sum = 0;
	char part[30000];
	pthread_t thread;
	void *wrote;

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7);
	pipe(pair);
	pthread_create(&thread, NULL, feed, NULL);
	while ((n = read(pair[0], part, sizeof(part))) > 0) {
		for (long i = 0; i < n; i++)
			sum += part[i] == (char)((total + i) * 7);
		total += n;
	}
	pthread_join(thread, &wrote);
	SAY((long)wrote);
	SAY(total);
	SAY(sum);
	close(pair[0]);
}

static void named(void)
{
	pthread_t thread;
	void *wrote;
	char text[20] = "";
	int fd;

	unlink("fifo");
	SAY(mkfifo("fifo", 0600));
	SAY(mkfifo("fifo", 0600));
	SAY(open("fifo", O_WRONLY | O_NONBLOCK));
	pthread_create(&thread, NULL, open_writer, "fifo");
	fd = open("fifo", O_RDONLY);
	SAY(read(fd, text, sizeof(text)));
	SAY_TEXT(text);
	SAY(read(fd, text, sizeof(text)));
	pthread_join(thread, &wrote);
	SAY((long)wrote);
	close(fd);
	fd = open("fifo", O_RDONLY | O_NONBLOCK);
	SAY(fd >= 0);
	SAY(read(fd, text, 1));
	close(fd);
	unlink("fifo");
}

int main(void)
{
	struct iovec two[2] = {{"abc", 3}, {"defg", 4}};
	struct pollfd p;
	char text[10] = "";
	int n = 0;

	pipe(pair);
	SAY(writev(pair[1], two, 2));
	SAY(ioctl(pair[0], FIONREAD, &n));
	SAY(n);
	two[0].iov_base = text;
	two[1].iov_base = text + 3;
	SAY(readv(pair[0], two, 2));
	SAY_TEXT(text);
	SAY(write(pair[1], "", 0));
	SAY(fcntl(pair[0], F_GETPIPE_SZ));
	fcntl(pair[1], F_SETFL, O_NONBLOCK);
	SAY(write(pair[1], big, sizeof(big)));
	SAY(write(pair[1], big, 1));
	p = (struct pollfd){.fd = pair[1], .events = POLLOUT};
	SAY(poll(&p, 1, 0));
	SAY(read(pair[0], big, 4096));
	SAY(poll(&p, 1, 0));
	SAY(write(pair[1], big, 4096));
	SAY(write(pair[1], big, 4096));
	signal(SIGPIPE, SIG_IGN);
	close(pair[0]);
	SAY(write(pair[1], "x", 1));
	SAY(poll(&p, 1, 0));
	SAY(p.revents & POLLERR);
	close(pair[1]);
	SAY(writev(1, two, getpid() > 0 ? -1 : 0));
	SAY(pipe((int *)pair));
	close(pair[1]);
	SAY(read(pair[0], text, 1));
	p = (struct pollfd){.fd = pair[0], .events = POLLIN};
	SAY(poll(&p, 1, 0));
	SAY(p.revents == POLLHUP);
	close(pair[0]);
	blocking();
	named();
	return 0;
}
