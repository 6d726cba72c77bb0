/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* System calls on the three descriptors there are: the console, as a terminal. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "../kernel/kernel.h"
#include "../kernel/thread.h"
#include "sys.h"

static uint32_t closed; /* bit per descriptor */

static int is_open(int fd)
{
	return fd >= 0 && fd < 3 && !(closed >> fd & 1);
}

long sys_write(int fd, const char *data, size_t bytes)
{
	if (!is_open(fd))
		return -EBADF;
	console_write(data, bytes);
	return (long)bytes;
}

long sys_writev(int fd, const struct iovec *vector, int count)
{
	long total = 0;

	if (count < 0 || count > IOV_MAX)
		return -EINVAL;
	for (int i = 0; i < count; i++) {
		long n = sys_write(fd, vector[i].iov_base, vector[i].iov_len);

		if (n < 0)
			return n;
		total += n;
	}
	return total;
}

long sys_read(int fd, char *data, size_t bytes)
{
	if (!is_open(fd))
		return -EBADF;
	return console_read(data, bytes);
}

long sys_readv(int fd, const struct iovec *vector, int count)
{
	long total = 0;

	if (count < 0 || count > IOV_MAX)
		return -EINVAL;
	for (int i = 0; i < count; i++) {
		long n;

		if (!vector[i].iov_len)
			continue;
		n = sys_read(fd, vector[i].iov_base, vector[i].iov_len);
		if (n < 0)
			return total ? total : n;
		total += n;
		if ((size_t)n < vector[i].iov_len ||
		    (n && ((char *)vector[i].iov_base)[n - 1] == '\n'))
			break;
	}
	return total;
}

long sys_close(int fd)
{
	if (!is_open(fd))
		return -EBADF;
	closed |= 1u << fd;
	return 0;
}

long sys_fstat(int fd, struct stat *st)
{
	if (!is_open(fd))
		return -EBADF;
	memset(st, 0, sizeof(*st));
	st->st_mode = S_IFCHR | 0620;
	st->st_nlink = 1;
	st->st_rdev = 0x440; /* ttyS0 */
	st->st_blksize = 1024;
	return 0;
}

long sys_lseek(int fd, long offset, int whence)
{
	(void)offset;
	(void)whence;
	return is_open(fd) ? -ESPIPE : -EBADF;
}

long sys_ioctl(int fd, unsigned long command, void *argument)
{
	if (!is_open(fd))
		return -EBADF;
	if (command != TIOCGWINSZ)
		return -ENOTTY;
	*(struct winsize *)argument = (struct winsize){.ws_row = 24, .ws_col = 80};
	return 0;
}

long sys_fcntl(int fd, int command, long argument)
{
	(void)argument;
	if (!is_open(fd))
		return -EBADF;
	if (command == F_GETFL)
		return O_RDWR;
	return command == F_GETFD || command == F_SETFD ? 0 : -EINVAL;
}
