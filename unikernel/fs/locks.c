/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Advisory locks: see locks.h. One mutex for all of them. */
#include "locks.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "../kernel/wait.h"
#include "../mm/heap.h"
#include "file.h"
#include "inode.h"

#define RANGE_END INT64_MAX

struct file_lock {
	struct file_lock *next;
	const void *owner; /* the open file, or NULL: the program */
	int64_t start, end;
	short type;
	uint8_t is_flock;
};

static struct mutex mutex;

static int meets(const struct file_lock *a, const struct file_lock *b)
{
	return a->is_flock == b->is_flock && a->start < b->end && b->start < a->end;
}

static struct file_lock *find_conflict(const struct inode *inode, const struct file_lock *want)
{
	for (struct file_lock *l = inode->locks; l; l = l->next)
		if (meets(l, want) && l->owner != want->owner &&
		    (l->type == F_WRLCK || want->type == F_WRLCK))
			return l;
	return NULL;
}

static void add(struct inode *inode, struct file_lock *lock)
{
	lock->next = inode->locks;
	inode->locks = lock;
}

/*
 * Cut the range out of what the owner holds. `spare` becomes the second part of one that is cut in
 * the middle. Returns whether it was used.
 */
static int cut(struct inode *inode, const struct file_lock *range, struct file_lock *spare)
{
	struct file_lock **at = &inode->locks, *l;

	while ((l = *at)) {
		if (l->owner != range->owner || !meets(l, range)) {
			at = &l->next;
		} else if (l->start < range->start && l->end > range->end) {
			*spare = *l;
			spare->start = range->end;
			l->end = range->start;
			add(inode, spare);
			return 1;
		} else if (l->start < range->start) {
			l->end = range->start;
			at = &l->next;
		} else if (l->end > range->end) {
			l->start = range->end;
			at = &l->next;
		} else {
			*at = l->next;
			kheap_free(l, sizeof(*l));
		}
	}
	return 0;
}

/* Join what touches and is alike. */
static void join(struct inode *inode, struct file_lock *lock)
{
	struct file_lock **at = &inode->locks, *l;

	while ((l = *at)) {
		if (l == lock || l->owner != lock->owner || l->type != lock->type ||
		    l->is_flock != lock->is_flock || l->end < lock->start || l->start > lock->end) {
			at = &l->next;
			continue;
		}
		if (l->start < lock->start)
			lock->start = l->start;
		if (l->end > lock->end)
			lock->end = l->end;
		*at = l->next;
		kheap_free(l, sizeof(*l));
		at = &inode->locks;
	}
}

static long set(struct inode *inode, const struct file_lock *want, int waits)
{
	struct file_lock *lock = kheap_alloc(sizeof(*lock)), *spare = kheap_alloc(sizeof(*spare));
	long result = 0;

	if (!lock || !spare) {
		kheap_free(lock, sizeof(*lock));
		kheap_free(spare, sizeof(*spare));
		return -ENOLCK;
	}
	mutex_lock(&mutex);
	while (want->type != F_UNLCK && find_conflict(inode, want) && !result)
		result = waits ? wait_for(&inode->lock_waiters, &mutex, UINT64_MAX) : -EAGAIN;
	if (!result) {
		if (cut(inode, want, spare))
			spare = NULL;
		if (want->type != F_UNLCK) {
			*lock = *want;
			add(inode, lock);
			join(inode, lock);
			lock = NULL;
		}
		wait_wake(&inode->lock_waiters, 0);
	}
	mutex_unlock(&mutex);
	kheap_free(lock, sizeof(*lock));
	kheap_free(spare, sizeof(*spare));
	return result;
}

static long read_range(struct file *file, const struct flock *request, struct file_lock *range)
{
	int64_t base = request->l_whence == SEEK_CUR   ? file->position
		       : request->l_whence == SEEK_END ? (int64_t)file->inode->bytes
						       : 0;
	int64_t start;

	if (request->l_whence != SEEK_SET && request->l_whence != SEEK_CUR &&
	    request->l_whence != SEEK_END)
		return -EINVAL;
	if (__builtin_add_overflow(base, request->l_start, &start) || start < 0)
		return -EINVAL;
	range->start = start;
	range->end = RANGE_END;
	if (request->l_len > 0 && __builtin_add_overflow(start, request->l_len, &range->end))
		return -EOVERFLOW;
	if (request->l_len < 0) {
		range->end = start;
		range->start = start + request->l_len;
	}
	return range->start < 0 ? -EINVAL : 0;
}

static void test(struct inode *inode, const struct file_lock *want, struct flock *out)
{
	const struct file_lock *found;

	mutex_lock(&mutex);
	found = find_conflict(inode, want);
	out->l_type = found ? found->type : F_UNLCK;
	if (found) {
		out->l_whence = SEEK_SET;
		out->l_start = found->start;
		out->l_len = found->end == RANGE_END ? 0 : found->end - found->start;
		out->l_pid = found->owner ? -1 : 1;
	}
	mutex_unlock(&mutex);
}

long locks_control(struct file *file, int command, struct flock *request)
{
	int is_ofd = command == F_OFD_GETLK || command == F_OFD_SETLK || command == F_OFD_SETLKW;
	struct file_lock want = {.owner = is_ofd ? file : NULL, .type = request->l_type};
	int access = (int)file->flags & O_ACCMODE;
	long result;

	if (!file->inode)
		return -EBADF;
	if (want.type != F_RDLCK && want.type != F_WRLCK && want.type != F_UNLCK)
		return -EINVAL;
	if (is_ofd && request->l_pid)
		return -EINVAL;
	result = read_range(file, request, &want);
	if (result)
		return result;
	if (command == F_GETLK || command == F_OFD_GETLK) {
		test(file->inode, &want, request);
		return 0;
	}
	if ((want.type == F_RDLCK && access == O_WRONLY) ||
	    (want.type == F_WRLCK && access == O_RDONLY))
		return -EBADF;
	return set(file->inode, &want, command == F_SETLKW || command == F_OFD_SETLKW);
}

long locks_flock(struct file *file, int operation)
{
	struct file_lock want = {.owner = file, .end = RANGE_END, .is_flock = 1};
	int what = operation & ~LOCK_NB;

	if (!file->inode)
		return -EBADF;
	if (what != LOCK_SH && what != LOCK_EX && what != LOCK_UN)
		return -EINVAL;
	want.type = what == LOCK_SH ? F_RDLCK : what == LOCK_EX ? F_WRLCK : F_UNLCK;
	return set(file->inode, &want, !(operation & LOCK_NB));
}

static void drop(struct inode *inode, const void *owner)
{
	struct file_lock **at, *l;

	if (!inode->locks)
		return;
	mutex_lock(&mutex);
	for (at = &inode->locks; (l = *at);) {
		if (l->owner != owner) {
			at = &l->next;
			continue;
		}
		*at = l->next;
		kheap_free(l, sizeof(*l));
	}
	wait_wake(&inode->lock_waiters, 0);
	mutex_unlock(&mutex);
}

void locks_close(struct file *file)
{
	if (file->inode)
		drop(file->inode, NULL);
}

void locks_release(struct file *file)
{
	drop(file->inode, file);
}
