/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* close close_range dup dup2 dup3 fcntl open pipe2 getrlimit setrlimit. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "say.h"

int main(void)
{
	int a = open("/dev/null", O_RDWR), pair[2];
	struct rlimit limit;
	char c;

	SAY(a);
	SAY(dup(a));
	SAY(dup2(a, 10));
	SAY(dup2(a, a));
	SAY(dup2(99, 10));
	SAY(dup3(a, a, 0));
	SAY(dup3(a, 11, O_CLOEXEC));
	SAY(syscall(SYS_dup3, a, 11, 1));
	SAY(fcntl(11, F_GETFD));
	SAY(fcntl(10, F_GETFD));
	SAY(fcntl(10, F_SETFD, FD_CLOEXEC));
	SAY(fcntl(10, F_GETFD));
	SAY(fcntl(a, F_DUPFD, 20));
	SAY(fcntl(a, F_DUPFD_CLOEXEC, 20));
	SAY(fcntl(21, F_GETFD));
	SAY(fcntl(a, F_DUPFD, -1));
	SAY(fcntl(a, F_GETFL) & O_ACCMODE);
	SAY(fcntl(a, F_SETFL, O_NONBLOCK | O_APPEND));
	SAY(fcntl(a, F_GETFL) & (O_NONBLOCK | O_APPEND | O_ACCMODE));
	SAY(fcntl(a, 9999));
	SAY(close(a));
	SAY(close(a));
	SAY(fcntl(a, F_GETFD));
	SAY(write(a, "x", 1));
	SAY(syscall(SYS_close_range, 20u, 30u, 0u));
	SAY(fcntl(20, F_GETFD));
	SAY(syscall(SYS_close_range, 3u, 2u, 0u));
	SAY(pipe2(pair, O_CLOEXEC | O_NONBLOCK));
	SAY(fcntl(pair[0], F_GETFD));
	SAY(fcntl(pair[1], F_GETFL) & (O_NONBLOCK | O_ACCMODE));
	SAY(read(pair[0], &c, 1));
	SAY(read(pair[1], &c, 1));
	SAY(write(pair[0], &c, 1));
	SAY(lseek(pair[0], 0, SEEK_SET));
	SAY(pread(pair[0], &c, 1, 0));
	SAY(pipe2(pair, 12345678));
	SAY(getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = 16;
	SAY(setrlimit(RLIMIT_NOFILE, &limit));
	SAY(dup2(1, 16));
	SAY(fcntl(1, F_DUPFD, 16));
	while (dup(1) >= 0)
		;
	SAY(dup(1));
	SAY(open("/dev/null", O_RDONLY));
	SAY(close(15));
	SAY(dup(1));
	limit.rlim_cur = 8;
	limit.rlim_max = 4;
	SAY(setrlimit(RLIMIT_NOFILE, &limit));
	SAY(getrlimit(99, &limit));
	return 0;
}
