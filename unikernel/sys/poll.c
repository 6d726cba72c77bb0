/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* System calls that wait for descriptors. */
#include <errno.h>
#include <sys/epoll.h>

#include "../fs/epoll.h"
#include "../fs/fd.h"
#include "../fs/poll.h"
#include "../kernel/kernel.h"
#include "../kernel/signals.h"
#include "sys.h"

#define SET_BYTES 8

static uint64_t after_ms(int timeout_ms)
{
	return timeout_ms < 0	 ? UINT64_MAX
	       : timeout_ms == 0 ? 0
				 : clock_ns() + (uint64_t)timeout_ms * (NS_PER_SEC / 1000);
}

/* A time of clock_ns(); 0 for "do not wait". */
static long after(const struct timespec *timeout, uint64_t *deadline)
{
	*deadline = timeout ? 0 : UINT64_MAX;
	if (!timeout || (timeout->tv_sec == 0 && timeout->tv_nsec == 0))
		return 0;
	return deadline_after(timeout, deadline);
}

/* Linux tells what is left of the time. */
static void tell_left(struct timespec *timeout, uint64_t deadline)
{
	uint64_t now = clock_ns(), left = deadline > now ? deadline - now : 0;

	if (!timeout || deadline == UINT64_MAX)
		return;
	timeout->tv_sec = (time_t)(left / NS_PER_SEC);
	timeout->tv_nsec = (long)(left % NS_PER_SEC);
}

long sys_poll(struct pollfd *fds, unsigned long count, int timeout_ms)
{
	return count > fd_limit() ? -EINVAL : poll_wait(fds, count, after_ms(timeout_ms));
}

long sys_ppoll(struct pollfd *fds, unsigned long count, struct timespec *timeout,
	       const uint64_t *mask, size_t bytes)
{
	uint64_t deadline;
	long result = after(timeout, &deadline);

	if (result || count > fd_limit() || (mask && bytes != SET_BYTES))
		return -EINVAL;
	if (mask)
		signal_mask_for_call(*mask);
	result = poll_wait(fds, count, deadline);
	tell_left(timeout, deadline);
	return result;
}

long sys_select(int count, uint64_t *in, uint64_t *out, uint64_t *except, struct timeval *timeout)
{
	struct timespec time = {0, 0};
	uint64_t deadline = UINT64_MAX;
	long result;

	if (timeout) {
		if (timeout->tv_sec < 0 || timeout->tv_usec < 0)
			return -EINVAL;
		time.tv_sec = timeout->tv_sec + timeout->tv_usec / 1000000;
		time.tv_nsec = timeout->tv_usec % 1000000 * 1000;
		result = after(&time, &deadline);
		if (result)
			return result;
	}
	result = poll_select(count, in, out, except, deadline);
	if (timeout) {
		tell_left(&time, deadline);
		timeout->tv_sec = time.tv_sec;
		timeout->tv_usec = time.tv_nsec / 1000;
	}
	return result;
}

struct sized_set {
	const uint64_t *set;
	size_t bytes;
};

long sys_pselect6(int count, uint64_t *in, uint64_t *out, uint64_t *except,
		  struct timespec *timeout, const struct sized_set *mask)
{
	uint64_t deadline;
	long result = after(timeout, &deadline);

	if (result || (mask && mask->set && mask->bytes != SET_BYTES))
		return -EINVAL;
	if (mask && mask->set)
		signal_mask_for_call(*mask->set);
	result = poll_select(count, in, out, except, deadline);
	tell_left(timeout, deadline);
	return result;
}

static long collect(int fd, struct epoll_event *events, int room, uint64_t deadline,
		    const uint64_t *mask, size_t bytes)
{
	struct file *file = fd_get(fd);
	long result;

	if (!file)
		return -EBADF;
	if (mask && bytes != SET_BYTES) {
		file_put(file);
		return -EINVAL;
	}
	if (mask)
		signal_mask_for_call(*mask);
	result = epoll_collect(file, events, room, deadline);
	file_put(file);
	return result;
}

long sys_epoll_wait(int fd, struct epoll_event *events, int room, int timeout_ms)
{
	return collect(fd, events, room, after_ms(timeout_ms), NULL, 0);
}

long sys_epoll_pwait(int fd, struct epoll_event *events, int room, int timeout_ms,
		     const uint64_t *mask, size_t bytes)
{
	return collect(fd, events, room, after_ms(timeout_ms), mask, bytes);
}

long sys_epoll_pwait2(int fd, struct epoll_event *events, int room, const struct timespec *timeout,
		      const uint64_t *mask, size_t bytes)
{
	uint64_t deadline;
	long result = after(timeout, &deadline);

	return result ? result : collect(fd, events, room, deadline, mask, bytes);
}
