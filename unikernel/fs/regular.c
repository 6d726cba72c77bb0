/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Regular files of the RAM file system: reading and writing pages of memory. */
#include "regular.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#include "../kernel/signals.h"
#include "../mm/heap.h"
#include "../mm/mm.h"
#include "../sys/limits.h"
#include "inode.h"

static long regular_read(struct file *file, struct iov *iov, int64_t *position)
{
	struct inode *inode = file->inode;
	uint64_t at = (uint64_t)*position, start = at;

	mutex_lock(&inode->lock);
	while (at < inode->bytes && iov->left) {
		const char *page = pages_find(&inode->pages, at / PAGE_SIZE);
		uint64_t n = PAGE_SIZE - at % PAGE_SIZE;

		if (n > inode->bytes - at)
			n = inode->bytes - at;
		if (page)
			n = iov_put(iov, page + at % PAGE_SIZE, n);
		else
			n = iov_zero(iov, n);
		at += n;
	}
	mutex_unlock(&inode->lock);
	if (!(file->flags & O_NOATIME))
		inode_touch_accessed(inode);
	*position = (int64_t)at;
	return (long)(at - start);
}

/* Where the limits of file sizes let a write end. */
static uint64_t limit_of(uint64_t at)
{
	uint64_t limit = limits_file_bytes(), most = PAGES_INDEX_MAX * PAGE_SIZE;

	if (at >= limit)
		signal_send(this_thread(), SIGXFSZ);
	return limit < most ? limit : most;
}

static long regular_write(struct file *file, struct iov *iov, int64_t *position)
{
	struct inode *inode = file->inode;
	uint64_t at, start, limit;
	long result = 0;

	if (!iov->left)
		return 0;
	mutex_lock(&inode->lock);
	start = at = file->flags & O_APPEND ? inode->bytes : (uint64_t)*position;
	limit = limit_of(at);
	while (iov->left) {
		uint64_t n = PAGE_SIZE - at % PAGE_SIZE;
		char *page;

		if (at >= limit) {
			result = -EFBIG;
			break;
		}
		if (n > limit - at)
			n = limit - at;
		page = pages_make(&inode->pages, at / PAGE_SIZE,
				  n < PAGE_SIZE || iov->left < PAGE_SIZE);
		if (!page) {
			result = -ENOSPC;
			break;
		}
		at += iov_take(iov, page + at % PAGE_SIZE, n);
		if (at > inode->bytes)
			inode->bytes = at;
	}
	if (at > start) {
		inode_touch_modified(inode);
		if (inode->mode & (S_ISUID | S_ISGID) && caller_uid())
			inode->mode &= ~(uint32_t)(S_ISUID | S_ISGID);
	}
	mutex_unlock(&inode->lock);
	*position = (int64_t)at;
	return at > start ? (long)(at - start) : result;
}

long regular_seek_data(struct file *file, int64_t from, int wants_hole)
{
	struct inode *inode = file->inode;
	int64_t bytes = (int64_t)inode->bytes, at = from, found;

	if (from < 0 || from >= bytes)
		return -ENXIO;
	mutex_lock(&inode->lock);
	if (wants_hole) {
		while (at < bytes && pages_find(&inode->pages, (uint64_t)at / PAGE_SIZE))
			at = (int64_t)((uint64_t)(at + (int64_t)PAGE_SIZE) & -PAGE_SIZE);
		found = at < bytes ? at : bytes;
	} else {
		found = pages_next(&inode->pages, (uint64_t)at / PAGE_SIZE);
		if (found >= 0)
			found = found * (int64_t)PAGE_SIZE > at ? found * (int64_t)PAGE_SIZE : at;
		if (found < 0 || found >= bytes)
			found = -ENXIO;
	}
	mutex_unlock(&inode->lock);
	return found;
}

const struct file_ops regular_ops = {
	.name = "file",
	.is_seekable = 1,
	.read = regular_read,
	.write = regular_write,
};
