/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Open files: references, and what all kinds have in common. See file.h. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "../mm/heap.h"
#include "epoll.h"
#include "locks.h"
#include "tree.h"

struct file *file_create(const struct file_ops *ops, void *object, uint32_t flags)
{
	struct file *file = kheap_alloc(sizeof(*file));

	if (!file)
		return NULL;
	file->ops = ops;
	file->refs = 1;
	file->flags = flags;
	file->object = object;
	return file;
}

struct file *file_get(struct file *file)
{
	__atomic_fetch_add(&file->refs, 1, __ATOMIC_RELAXED);
	return file;
}

int file_get_unless_zero(struct file *file)
{
	uint32_t refs = __atomic_load_n(&file->refs, __ATOMIC_RELAXED);

	while (refs)
		if (__atomic_compare_exchange_n(&file->refs, &refs, refs + 1, 1, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED))
			return 1;
	return 0;
}

void file_put(struct file *file)
{
	if (__atomic_sub_fetch(&file->refs, 1, __ATOMIC_ACQ_REL))
		return;
	epoll_forget(file);
	if (file->inode)
		locks_release(file);
	if (file->ops->release)
		file->ops->release(file);
	if (file->entry)
		entry_put(file->entry);
	if (file->inode)
		inode_put(file->inode);
	kheap_free(file, sizeof(*file));
}

uint32_t file_poll(struct file *file, struct poller *poller)
{
	if (!file->ops->poll)
		return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
	return file->ops->poll(file, poller);
}

static long transfer(struct file *file, struct iov *iov, int64_t *position,
		     long (*function)(struct file *, struct iov *, int64_t *))
{
	long result;

	if (!function)
		return -EINVAL;
	if (!file->ops->is_seekable)
		return position ? -ESPIPE : function(file, iov, NULL);
	if (position)
		return *position < 0 ? -EINVAL : function(file, iov, position);
	mutex_lock(&file->position_lock);
	result = function(file, iov, &file->position);
	mutex_unlock(&file->position_lock);
	return result;
}

long file_read(struct file *file, struct iov *iov, int64_t *position)
{
	if ((file->flags & O_ACCMODE) == O_WRONLY || file->flags & O_PATH)
		return -EBADF;
	return transfer(file, iov, position, file->ops->read);
}

long file_write(struct file *file, struct iov *iov, int64_t *position)
{
	if ((file->flags & O_ACCMODE) == O_RDONLY || file->flags & O_PATH)
		return -EBADF;
	return transfer(file, iov, position, file->ops->write);
}

long file_read_bytes(struct file *file, void *data, size_t bytes, int64_t *position)
{
	struct iovec one = {data, bytes};
	struct iov iov = {.at = &one, .left = bytes};

	return file_read(file, &iov, position);
}

long file_write_bytes(struct file *file, const void *data, size_t bytes, int64_t *position)
{
	struct iovec one = {(void *)(uintptr_t)data, bytes};
	struct iov iov = {.at = &one, .left = bytes};

	return file_write(file, &iov, position);
}
