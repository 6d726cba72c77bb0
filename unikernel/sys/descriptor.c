/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* System calls about descriptors themselves, and those that make files without a name. */
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include "../fs/counters.h"
#include "../fs/epoll.h"
#include "../fs/fd.h"
#include "../fs/locks.h"
#include "../fs/pipe.h"
#include "sys.h"

#define SETTABLE	    (O_APPEND | O_NONBLOCK | O_ASYNC | O_DIRECT | O_NOATIME)
#define CLOSE_RANGE_CLOEXEC 4u

long sys_close(int fd)
{
	return fd_close(fd);
}

long sys_close_range(uint32_t first, uint32_t last, uint32_t flags)
{
	if (first > last || flags & ~(CLOSE_RANGE_CLOEXEC | 2u))
		return -EINVAL;
	for (int fd = first < FD_COUNT_MAX ? fd_next((int)first) : -1;
	     fd >= 0 && (uint32_t)fd <= last; fd = fd_next(fd + 1)) {
		if (flags & CLOSE_RANGE_CLOEXEC)
			(void)fd_set_cloexec(fd, 1);
		else
			(void)fd_close(fd);
	}
	return 0;
}

static long duplicate(int fd, int lowest, uint32_t cloexec)
{
	struct file *file = fd_get(fd);

	return file ? fd_install(file, lowest, cloexec) : -EBADF;
}

long sys_dup(int fd)
{
	return duplicate(fd, 0, 0);
}

long sys_dup3(int fd, int to, int flags)
{
	struct file *file;

	if (flags & ~O_CLOEXEC || fd == to)
		return -EINVAL;
	file = fd_get(fd);
	return file ? fd_install_at(file, to, !!(flags & O_CLOEXEC)) : -EBADF;
}

long sys_dup2(int fd, int to)
{
	if (fd == to)
		return fd_cloexec(fd) < 0 ? -EBADF : fd;
	return sys_dup3(fd, to, 0);
}

static long control(struct file *file, int fd, int command, long argument)
{
	switch (command) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		if ((unsigned long)argument >= fd_limit())
			return -EINVAL;
		return duplicate(fd, (int)argument, command == F_DUPFD_CLOEXEC);
	case F_GETFD:
		return fd_cloexec(fd);
	case F_SETFD:
		return fd_set_cloexec(fd, argument & FD_CLOEXEC);
	case F_GETFL:
		return (long)file->flags;
	case F_SETFL:
		file->flags = (file->flags & ~(uint32_t)SETTABLE) | ((uint32_t)argument & SETTABLE);
		return 0;
	case F_GETLK:
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_GETLK:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		return locks_control(file, command, (struct flock *)argument);
	case F_GETOWN:
		return file->owner;
	case F_SETOWN:
		file->owner = (int)argument;
		return 0;
	default:
		return file->ops->control ? file->ops->control(file, command, argument) : -EINVAL;
	}
}

long sys_fcntl(int fd, int command, long argument)
{
	struct file *file = fd_get(fd);
	long result;

	if (!file)
		return -EBADF;
	result = file->flags & O_PATH && command != F_DUPFD && command != F_DUPFD_CLOEXEC &&
				 command != F_GETFD && command != F_SETFD && command != F_GETFL
			 ? -EBADF
			 : control(file, fd, command, argument);
	file_put(file);
	return result;
}

long sys_flock(int fd, int operation)
{
	struct file *file = fd_get(fd);
	long result;

	if (!file)
		return -EBADF;
	result = locks_flock(file, operation);
	file_put(file);
	return result;
}

/* Two descriptors for two files, or none. */
long install_pair(struct file *a, struct file *b, uint32_t cloexec, int fds[2])
{
	long first = fd_install(a, 0, cloexec), second;

	if (first < 0) {
		file_put(b);
		return first;
	}
	second = fd_install(b, 0, cloexec);
	if (second < 0) {
		(void)fd_close((int)first);
		return second;
	}
	fds[0] = (int)first;
	fds[1] = (int)second;
	return 0;
}

long sys_pipe2(int fds[2], int flags)
{
	struct file *reader, *writer;
	long result = pipe_create((uint32_t)flags, &reader, &writer);

	return result ? result : install_pair(reader, writer, flags & O_CLOEXEC, fds);
}

long sys_pipe(int fds[2])
{
	return sys_pipe2(fds, 0);
}

static long install_new(struct file *file, uint32_t cloexec)
{
	return file ? fd_install(file, 0, cloexec) : -ENOMEM;
}

long sys_eventfd2(unsigned int count, int flags)
{
	if (flags & ~(EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK))
		return -EINVAL;
	return install_new(eventfd_create(count, (uint32_t)flags), flags & EFD_CLOEXEC);
}

long sys_eventfd(unsigned int count)
{
	return sys_eventfd2(count, 0);
}

long sys_timerfd_create(int clock, int flags)
{
	if (flags & ~(TFD_CLOEXEC | TFD_NONBLOCK))
		return -EINVAL;
	if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME &&
	    clock != CLOCK_REALTIME_ALARM && clock != CLOCK_BOOTTIME_ALARM)
		return -EINVAL;
	return install_new(timerfd_create_file(clock, (uint32_t)flags), flags & TFD_CLOEXEC);
}

long sys_timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old)
{
	struct file *file = fd_get(fd);
	long result;

	if (!file)
		return -EBADF;
	result = timerfd_set(file, flags, new, old);
	file_put(file);
	return result;
}

long sys_timerfd_gettime(int fd, struct itimerspec *now)
{
	struct file *file = fd_get(fd);
	long result;

	if (!file)
		return -EBADF;
	result = timerfd_get(file, now);
	file_put(file);
	return result;
}

long sys_signalfd4(int fd, const uint64_t *set, size_t bytes, int flags)
{
	struct file *file;
	long result;

	if (bytes != sizeof(*set) || flags & ~(SFD_CLOEXEC | SFD_NONBLOCK))
		return -EINVAL;
	if (fd == -1)
		return install_new(signalfd_create(*set, (uint32_t)flags), flags & SFD_CLOEXEC);
	file = fd_get(fd);
	if (!file)
		return -EBADF;
	result = signalfd_change(file, *set);
	file_put(file);
	return result ? result : fd;
}

long sys_signalfd(int fd, const uint64_t *set, size_t bytes)
{
	return sys_signalfd4(fd, set, bytes, 0);
}

long sys_epoll_create1(int flags)
{
	if (flags & ~EPOLL_CLOEXEC)
		return -EINVAL;
	return install_new(epoll_create_file(), flags & EPOLL_CLOEXEC);
}

long sys_epoll_create(int size)
{
	return size > 0 ? sys_epoll_create1(0) : -EINVAL;
}

long sys_epoll_ctl(int fd, int operation, int target, const struct epoll_event *event)
{
	struct file *epoll = fd_get(fd), *file = fd_get(target);
	long result = epoll && file ? epoll_control(epoll, operation, target, file, event) : -EBADF;

	if (epoll)
		file_put(epoll);
	if (file)
		file_put(file);
	return result;
}
