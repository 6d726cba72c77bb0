/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* eventfd(2): a counter that is written to and read. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "../mm/heap.h"
#include "counters.h"
#include "file.h"

#define COUNT_MAX (UINT64_MAX - 1)

struct eventfd {
	struct mutex mutex;
	struct wait_queue queue;
	uint64_t count;
	uint32_t is_semaphore;
};

static long read_count(struct file *file, struct iov *iov, int64_t *position)
{
	struct eventfd *e = file->object;
	uint64_t value = 0;
	long result = 0;

	(void)position;
	if (iov->left < sizeof(value))
		return -EINVAL;
	mutex_lock(&e->mutex);
	while (!e->count && !result)
		result =
			file_blocks(file, 0) ? wait_for(&e->queue, &e->mutex, UINT64_MAX) : -EAGAIN;
	if (!result) {
		value = e->is_semaphore ? 1 : e->count;
		e->count -= value;
	}
	mutex_unlock(&e->mutex);
	if (result)
		return result;
	wait_wake(&e->queue, POLLOUT);
	iov_put(iov, &value, sizeof(value));
	return sizeof(value);
}

static long write_count(struct file *file, struct iov *iov, int64_t *position)
{
	struct eventfd *e = file->object;
	uint64_t value;
	long result = 0;

	(void)position;
	if (iov_take(iov, &value, sizeof(value)) < sizeof(value) || value > COUNT_MAX)
		return -EINVAL;
	mutex_lock(&e->mutex);
	while (COUNT_MAX - e->count < value && !result)
		result =
			file_blocks(file, 0) ? wait_for(&e->queue, &e->mutex, UINT64_MAX) : -EAGAIN;
	if (!result)
		e->count += value;
	mutex_unlock(&e->mutex);
	if (!result)
		wait_wake(&e->queue, POLLIN);
	return result ? result : (long)sizeof(value);
}

static uint32_t eventfd_poll(struct file *file, struct poller *poller)
{
	struct eventfd *e = file->object;
	uint64_t count;

	poller_wait(poller, &e->queue);
	count = e->count;
	return (count ? POLLIN : 0) | (count < COUNT_MAX ? POLLOUT : 0);
}

static void eventfd_release(struct file *file)
{
	kheap_free(file->object, sizeof(struct eventfd));
}

static const struct file_ops eventfd_ops = {
	.name = "anon_inode:[eventfd]",
	.read = read_count,
	.write = write_count,
	.poll = eventfd_poll,
	.release = eventfd_release,
};

struct file *eventfd_create(uint32_t count, uint32_t flags)
{
	struct eventfd *e = kheap_alloc(sizeof(*e));
	struct file *file = e ? file_create(&eventfd_ops, e, O_RDWR | (flags & O_NONBLOCK)) : NULL;

	if (!file) {
		kheap_free(e, sizeof(*e));
		return NULL;
	}
	e->count = count;
	e->is_semaphore = flags & EFD_SEMAPHORE;
	return file;
}
