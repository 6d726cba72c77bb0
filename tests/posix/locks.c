/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* fcntl F_SETLK F_SETLKW F_GETLK and their OFD forms, flock. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <unistd.h>

#include "say.h"

static int a, b;

static int lock(int fd, int command, short type, long start, long length)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
	int result = fcntl(fd, command, &l);

	if (!result && (command == F_OFD_GETLK || command == F_GETLK))
		return l.l_type * 1000 + (int)l.l_start * 10 + (int)l.l_len;
	return result;
}

static void *waits(void *unused)
{
	(void)unused;
	return (void *)(long)lock(b, F_OFD_SETLKW, F_WRLCK, 0, 10);
}

static void *waits_flock(void *unused)
{
	(void)unused;
	return (void *)(long)flock(b, LOCK_EX);
}

int main(void)
{
	pthread_t thread;
	void *result;

	a = open("f", O_CREAT | O_RDWR, 0600);
	b = open("f", O_RDWR);
	SAY(lock(a, F_SETLK, F_WRLCK, 0, 10));
	SAY(lock(b, F_SETLK, F_WRLCK, 5, 10));
	SAY(lock(b, F_GETLK, F_WRLCK, 0, 10));
	SAY(lock(a, F_SETLK, F_UNLCK, 0, 0));
	SAY(lock(a, F_OFD_SETLK, F_WRLCK, 0, 10));
	SAY(lock(b, F_OFD_SETLK, F_WRLCK, 5, 10));
	SAY(lock(b, F_OFD_SETLK, F_RDLCK, 9, 1));
	SAY(lock(b, F_OFD_SETLK, F_WRLCK, 10, 5));
	SAY(lock(b, F_OFD_GETLK, F_WRLCK, 3, 2));
	SAY(lock(a, F_OFD_SETLK, F_UNLCK, 4, 2));
	SAY(lock(b, F_OFD_SETLK, F_WRLCK, 4, 2));
	SAY(lock(b, F_OFD_SETLK, F_WRLCK, 3, 1));
	SAY(lock(a, F_OFD_GETLK, F_RDLCK, 0, 0));
	SAY(lock(b, F_OFD_SETLK, F_UNLCK, 0, 0));
	SAY(lock(a, F_OFD_SETLK, F_RDLCK, 0, 10));
	SAY(lock(b, F_OFD_SETLK, F_RDLCK, 0, 10));
	SAY(lock(b, F_OFD_SETLK, F_WRLCK, 0, 10));
	pthread_create(&thread, NULL, waits, NULL);
	usleep(10000);
	SAY(lock(a, F_OFD_SETLK, F_UNLCK, 0, 0));
	pthread_join(thread, &result);
	SAY((long)result);
	SAY(lock(a, F_OFD_SETLK, F_RDLCK, 0, 10));
	SAY(lock(b, F_OFD_SETLK, F_UNLCK, 0, 0));
	SAY(lock(a, F_SETLK, 99, 0, 0));
	SAY(lock(a, F_SETLK, F_RDLCK, -5, 0));
	SAY(lock(99, F_SETLK, F_RDLCK, 0, 0));
	SAY(flock(a, LOCK_SH));
	SAY(flock(b, LOCK_SH | LOCK_NB));
	SAY(flock(b, LOCK_EX | LOCK_NB));
	SAY(flock(b, LOCK_UN));
	SAY(flock(a, LOCK_EX));
	SAY(flock(b, LOCK_SH | LOCK_NB));
	SAY(flock(dup(a), LOCK_SH | LOCK_NB));
	SAY(flock(a, LOCK_EX));
	pthread_create(&thread, NULL, waits_flock, NULL);
	usleep(10000);
	SAY(flock(a, LOCK_UN));
	pthread_join(thread, &result);
	SAY((long)result);
	SAY(flock(a, 16));
	SAY(flock(99, LOCK_EX));
	close(b);
	SAY(flock(a, LOCK_EX | LOCK_NB));
	return 0;
}
