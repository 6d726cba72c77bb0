/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* timerfd_create(2): an alarm whose rings are counted and read. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <sys/timerfd.h>

#include "../kernel/alarm.h"
#include "../kernel/signals.h"
#include "../mm/heap.h"
#include "counters.h"
#include "file.h"

struct timerfd {
	struct mutex mutex; /* setting */
	struct alarm alarm;
	struct wait_queue queue;
	uint64_t rung; /* atomic: the interrupt adds, readers take */
	int clock;
};

static void rings(struct alarm *alarm, uint64_t times)
{
	struct timerfd *t = (struct timerfd *)((char *)alarm - offsetof(struct timerfd, alarm));

	__atomic_fetch_add(&t->rung, times, __ATOMIC_RELEASE);
	wait_wake(&t->queue, POLLIN);
}

static long timerfd_read(struct file *file, struct iov *iov, int64_t *position)
{
	struct timerfd *t = file->object;
	struct waiter waiter;
	uint64_t value;
	long result = 0;

	(void)position;
	if (iov->left < sizeof(value))
		return -EINVAL;
	/* The interrupt takes no mutex: so be in the queue before looking. */
	wait_init(&waiter);
	wait_add(&t->queue, &waiter);
	while (!(value = __atomic_exchange_n(&t->rung, 0, __ATOMIC_ACQUIRE)) && !result)
		result = file_blocks(file, 0) ? wait_sleep(&waiter, UINT64_MAX) : -EAGAIN;
	wait_remove(&t->queue, &waiter);
	if (!value)
		return result == -EINTR ? signal_restart(-RESTART_UNLESS_HANDLED) : result;
	iov_put(iov, &value, sizeof(value));
	return sizeof(value);
}

static uint32_t timerfd_poll(struct file *file, struct poller *poller)
{
	struct timerfd *t = file->object;

	poller_wait(poller, &t->queue);
	return t->rung ? POLLIN : 0;
}

static void timerfd_release(struct file *file)
{
	struct timerfd *t = file->object;

	alarm_set(&t->alarm, 0, 0);
	kheap_free(t, sizeof(*t));
}

static const struct file_ops timerfd_ops = {
	.name = "anon_inode:[timerfd]",
	.read = timerfd_read,
	.poll = timerfd_poll,
	.release = timerfd_release,
};

struct file *timerfd_create_file(int clock, uint32_t flags)
{
	struct timerfd *t = kheap_alloc(sizeof(*t));
	struct file *file = t ? file_create(&timerfd_ops, t, O_RDWR | (flags & O_NONBLOCK)) : NULL;

	if (!file) {
		kheap_free(t, sizeof(*t));
		return NULL;
	}
	t->alarm.rings = rings;
	t->clock = clock;
	return file;
}

long timerfd_set(struct file *file, int flags, const struct itimerspec *new, struct itimerspec *old)
{
	struct timerfd *t = file->object;
	uint64_t first, interval;
	struct itimerspec before;
	long result;

	if (file->ops != &timerfd_ops || flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET))
		return -EINVAL;
	result = alarm_time(t->clock, flags & TFD_TIMER_ABSTIME, new, &first, &interval);
	if (result)
		return result;
	mutex_lock(&t->mutex);
	alarm_get(&t->alarm, &before);
	alarm_set(&t->alarm, 0, 0);
	t->rung = 0;
	alarm_set(&t->alarm, first, interval);
	mutex_unlock(&t->mutex);
	if (old)
		*old = before;
	return 0;
}

long timerfd_get(struct file *file, struct itimerspec *now)
{
	struct timerfd *t = file->object;

	if (file->ops != &timerfd_ops)
		return -EINVAL;
	alarm_get(&t->alarm, now);
	return 0;
}
