/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Inodes: their life, times, permissions and size. See inode.h. */
#include "inode.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "../kernel/kernel.h"
#include "../mm/heap.h"
#include "../mm/mm.h"
#include "locks.h"
#include "tree.h"

#define SIZE_MAX_BYTES (PAGES_INDEX_MAX * PAGE_SIZE)

struct inode *inode_create(uint32_t mode, const struct inode_ops *ops)
{
	static uint64_t last_number;
	struct inode *inode = kheap_alloc(sizeof(*inode));

	if (!inode)
		return NULL;
	inode->refs = 1;
	inode->mode = mode;
	inode->ops = ops;
	inode->number = __atomic_add_fetch(&last_number, 1, __ATOMIC_RELAXED);
	inode->uid = caller_uid();
	inode->gid = caller_gid();
	inode->filesystem = 1;
	inode->modified_ns = clock_wall_ns();
	inode->accessed_ns = inode->changed_ns = inode->modified_ns;
	return inode;
}

struct inode *inode_get(struct inode *inode)
{
	__atomic_fetch_add(&inode->refs, 1, __ATOMIC_RELAXED);
	return inode;
}

void inode_put(struct inode *inode)
{
	if (__atomic_sub_fetch(&inode->refs, 1, __ATOMIC_ACQ_REL))
		return;
	if (!inode->ops && S_ISREG(inode->mode))
		pages_drop(&inode->pages, 0, PAGES_INDEX_MAX);
	else if (!inode->ops && S_ISDIR(inode->mode))
		kheap_free(inode->directory.buckets,
			   inode->directory.bucket_count * sizeof(struct entry *));
	else if (!inode->ops && S_ISLNK(inode->mode))
		kheap_free(inode->target, inode->bytes + 1);
	kheap_free(inode, sizeof(*inode));
}

void inode_touch_modified(struct inode *inode)
{
	inode->modified_ns = inode->changed_ns = clock_wall_ns();
}

void inode_touch_changed(struct inode *inode)
{
	inode->changed_ns = clock_wall_ns();
}

/* As Linux does it ("relatime"): only where it tells something. */
void inode_touch_accessed(struct inode *inode)
{
	if (inode->accessed_ns <= inode->modified_ns || inode->accessed_ns <= inode->changed_ns)
		inode->accessed_ns = clock_wall_ns();
}

long inode_permits(const struct inode *inode, uint32_t wanted)
{
	uint32_t uid = caller_uid(), mode = inode->mode;

	if (uid == 0) /* who may do all but run what nobody may run */
		return wanted & 1 && !S_ISDIR(mode) && !(mode & 0111) ? -EACCES : 0;
	if (uid == inode->uid)
		mode >>= 6;
	else if (caller_in_group(inode->gid))
		mode >>= 3;
	return wanted & ~mode & 7 ? -EACCES : 0;
}

long inode_owned(const struct inode *inode)
{
	return caller_uid() == 0 || caller_uid() == inode->uid ? 0 : -EPERM;
}

static struct timespec time_of(uint64_t ns)
{
	return (struct timespec){(time_t)(ns / NS_PER_SEC), (long)(ns % NS_PER_SEC)};
}

void inode_stat(struct inode *inode, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_dev = inode->filesystem;
	st->st_ino = inode->number;
	st->st_mode = inode->mode;
	st->st_nlink = inode->links;
	st->st_uid = inode->uid;
	st->st_gid = inode->gid;
	st->st_rdev = inode->device;
	st->st_size = (off_t)inode->bytes;
	st->st_blksize = PAGE_SIZE;
	if (!inode->ops && S_ISREG(inode->mode))
		st->st_blocks = (blkcnt_t)(inode->pages.count * (PAGE_SIZE / 512));
	st->st_atim = time_of(inode->accessed_ns);
	st->st_mtim = time_of(inode->modified_ns);
	st->st_ctim = time_of(inode->changed_ns);
}

/* Zero [from, to) of the page that it lies in, if it is there. */
static void zero_within(struct inode *inode, uint64_t from, uint64_t to)
{
	char *page = from < to ? pages_find(&inode->pages, from / PAGE_SIZE) : NULL;

	if (page)
		memset(page + from % PAGE_SIZE, 0, to - from);
}

static uint64_t page_end(uint64_t at)
{
	return (at + PAGE_SIZE - 1) & -PAGE_SIZE;
}

/* Take the pages [from, to) out of the file and its mappings: see mm/files.c. */
static void cut(struct inode *inode, uint64_t from, uint64_t to)
{
	if (!inode->pages.count && !inode->mappings)
		return;
	__atomic_fetch_add(&inode->cutting, 1, __ATOMIC_SEQ_CST);
	if (inode->mappings)
		mm_unmap_file(inode, from, to);
	pages_drop(&inode->pages, from, to);
	__atomic_fetch_add(&inode->cutting, 1, __ATOMIC_SEQ_CST);
}

long inode_truncate(struct inode *inode, uint64_t bytes)
{
	uint64_t old;

	if (!S_ISREG(inode->mode) || inode->ops)
		return -EINVAL;
	if (bytes > SIZE_MAX_BYTES)
		return -EFBIG;
	mutex_lock(&inode->lock);
	old = inode->bytes;
	inode->bytes = bytes;
	if (bytes < old) {
		zero_within(inode, bytes, page_end(bytes));
		cut(inode, page_end(bytes) / PAGE_SIZE, PAGES_INDEX_MAX);
	}
	inode_touch_modified(inode);
	mutex_unlock(&inode->lock);
	return 0;
}

long inode_allocate(struct inode *inode, uint64_t offset, uint64_t bytes, int keep_size)
{
	uint64_t end = offset + bytes;
	long result = 0;

	if (end > SIZE_MAX_BYTES || end < offset)
		return -EFBIG;
	mutex_lock(&inode->lock);
	for (uint64_t i = offset / PAGE_SIZE; i < page_end(end) / PAGE_SIZE && !result; i++)
		if (!pages_make(&inode->pages, i, 1))
			result = -ENOSPC;
	if (!result && !keep_size && end > inode->bytes)
		inode->bytes = end;
	if (!result)
		inode_touch_modified(inode);
	mutex_unlock(&inode->lock);
	return result;
}

long inode_punch(struct inode *inode, uint64_t offset, uint64_t bytes)
{
	uint64_t end = offset + bytes, first = page_end(offset), last = end & -PAGE_SIZE;

	mutex_lock(&inode->lock);
	if (first > last) {
		zero_within(inode, offset, end);
	} else {
		zero_within(inode, offset, first);
		zero_within(inode, last, end);
		cut(inode, first / PAGE_SIZE, last / PAGE_SIZE);
	}
	inode_touch_modified(inode);
	mutex_unlock(&inode->lock);
	return 0;
}
