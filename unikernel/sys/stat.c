/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* System calls about what files are: types, sizes, owners, rights, times. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <utime.h>

#include "../fs/fd.h"
#include "../fs/walk.h"
#include "../kernel/kernel.h"
#include "../mm/mm.h"
#include "sys.h"

/* As the kernel's headers have it, which do not go together with the library's. */
struct statx_timestamp {
	int64_t tv_sec;
	uint32_t tv_nsec;
	int32_t pad;
};

struct statx {
	uint32_t stx_mask, stx_blksize;
	uint64_t stx_attributes;
	uint32_t stx_nlink, stx_uid, stx_gid;
	uint16_t stx_mode, pad1;
	uint64_t stx_ino, stx_size, stx_blocks, stx_attributes_mask;
	struct statx_timestamp stx_atime, stx_btime, stx_ctime, stx_mtime;
	uint32_t stx_rdev_major, stx_rdev_minor, stx_dev_major, stx_dev_minor;
	uint64_t pad2[14];
};
_Static_assert(sizeof(struct statx) == 256, "the size that Linux gives it");

#define TMPFS_MAGIC 0x01021994
#define PROC_MAGIC  0x9fa0
#define STATX_ALL   0x7ff
#ifndef AT_STATX_SYNC_TYPE
#define AT_STATX_SYNC_TYPE 0x6000
#endif

/* What a path or a descriptor is: an open file without a place in the tree, or an inode. */
struct target {
	struct file *file;
	struct inode *inode;
};

static void target_put(struct target *t)
{
	if (t->file)
		file_put(t->file);
	if (t->inode)
		inode_put(t->inode);
}

static long target_of(int directory, const char *path, int flags, struct target *t)
{
	uint32_t how = (flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) |
		       (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0);
	struct walk w;
	long result = walk(directory, path, how, &w);

	*t = (struct target){NULL, NULL};
	if (result)
		return result;
	if (w.file)
		t->file = file_get(w.file);
	else
		t->inode = inode_get(w.entry->inode);
	walk_end(&w);
	return 0;
}

static long target_of_fd(int fd, struct target *t)
{
	*t = (struct target){fd_get(fd), NULL};
	if (!t->file)
		return -EBADF;
	if (t->file->inode)
		t->inode = inode_get(t->file->inode);
	return 0;
}

static void fill(const struct target *t, struct stat *st)
{
	static struct inode anonymous = {.mode = 0600, .number = 1, .links = 1};

	inode_stat(t->inode ? t->inode : &anonymous, st);
	if (t->file && t->file->ops->stat && !t->inode)
		t->file->ops->stat(t->file, st);
}

long sys_fstat(int fd, struct stat *st)
{
	struct target t;
	long result = target_of_fd(fd, &t);

	if (!result)
		fill(&t, st);
	target_put(&t);
	return result;
}

long sys_newfstatat(int directory, const char *path, struct stat *st, int flags)
{
	struct target t;
	long result;

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT))
		return -EINVAL;
	result = target_of(directory, path, flags, &t);
	if (!result)
		fill(&t, st);
	target_put(&t);
	return result;
}

long sys_stat(const char *path, struct stat *st)
{
	return sys_newfstatat(AT_FDCWD, path, st, 0);
}

long sys_lstat(const char *path, struct stat *st)
{
	return sys_newfstatat(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
}

static struct statx_timestamp long_time(struct timespec time)
{
	return (struct statx_timestamp){.tv_sec = time.tv_sec, .tv_nsec = (uint32_t)time.tv_nsec};
}

long sys_statx(int directory, const char *path, int flags, unsigned int wanted, struct statx *out)
{
	struct stat st;
	long result = sys_newfstatat(directory, path, &st, flags & ~AT_STATX_SYNC_TYPE);

	(void)wanted;
	if (result)
		return result;
	memset(out, 0, sizeof(*out));
	out->stx_mask = STATX_ALL;
	out->stx_blksize = (uint32_t)st.st_blksize;
	out->stx_nlink = (uint32_t)st.st_nlink;
	out->stx_uid = st.st_uid;
	out->stx_gid = st.st_gid;
	out->stx_mode = (uint16_t)st.st_mode;
	out->stx_ino = st.st_ino;
	out->stx_size = (uint64_t)st.st_size;
	out->stx_blocks = (uint64_t)st.st_blocks;
	out->stx_atime = long_time(st.st_atim);
	out->stx_mtime = long_time(st.st_mtim);
	out->stx_ctime = long_time(st.st_ctim);
	out->stx_rdev_major = (uint32_t)st.st_rdev >> 8;
	out->stx_rdev_minor = st.st_rdev & 0xff;
	out->stx_dev_minor = (uint32_t)st.st_dev;
	return 0;
}

/* With the effective user throughout: real and effective differ only while ids are being given up.
 */
long sys_faccessat2(int directory, const char *path, int mode, int flags)
{
	struct target t;
	long result;

	if (mode & ~7 || flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	result = target_of(directory, path, flags & ~AT_EACCESS, &t);
	if (!result && t.inode)
		result = inode_permits(t.inode, (uint32_t)mode);
	target_put(&t);
	return result;
}

long sys_faccessat(int directory, const char *path, int mode)
{
	return sys_faccessat2(directory, path, mode, 0);
}

long sys_access(const char *path, int mode)
{
	return sys_faccessat2(AT_FDCWD, path, mode, 0);
}

static long change_mode(const struct target *t, uint32_t mode)
{
	long result = t->inode ? inode_owned(t->inode) : -EINVAL;

	if (!result && t->inode->ops)
		result = -EPERM;
	if (!result) {
		if (caller_uid() && !caller_in_group(t->inode->gid))
			mode &= ~(uint32_t)S_ISGID;
		t->inode->mode = (t->inode->mode & S_IFMT) | (mode & 07777);
		inode_touch_changed(t->inode);
	}
	return result;
}

long sys_fchmodat(int directory, const char *path, uint32_t mode)
{
	struct target t;
	long result = target_of(directory, path, 0, &t);

	if (!result)
		result = change_mode(&t, mode);
	target_put(&t);
	return result;
}

long sys_chmod(const char *path, uint32_t mode)
{
	return sys_fchmodat(AT_FDCWD, path, mode);
}

long sys_fchmod(int fd, uint32_t mode)
{
	struct target t;
	long result = target_of_fd(fd, &t);

	if (!result)
		result = t.file->flags & O_PATH ? -EBADF : change_mode(&t, mode);
	target_put(&t);
	return result;
}

static long change_owner(const struct target *t, uint32_t uid, uint32_t gid)
{
	struct inode *inode = t->inode;

	if (!inode)
		return -EINVAL;
	if (inode->ops)
		return -EPERM;
	if (caller_uid() &&
	    ((uid != (uint32_t)-1 && (uid != inode->uid || inode_owned(inode))) ||
	     (gid != (uint32_t)-1 && (inode_owned(inode) || !caller_in_group(gid)))))
		return -EPERM;
	if (uid != (uint32_t)-1)
		inode->uid = uid;
	if (gid != (uint32_t)-1)
		inode->gid = gid;
	if (!S_ISDIR(inode->mode)) {
		inode->mode &= ~(uint32_t)S_ISUID;
		if (inode->mode & 010)
			inode->mode &= ~(uint32_t)S_ISGID;
	}
	inode_touch_changed(inode);
	return 0;
}

long sys_fchownat(int directory, const char *path, uint32_t uid, uint32_t gid, int flags)
{
	struct target t;
	long result;

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	result = target_of(directory, path, flags, &t);
	if (!result)
		result = change_owner(&t, uid, gid);
	target_put(&t);
	return result;
}

long sys_chown(const char *path, uint32_t uid, uint32_t gid)
{
	return sys_fchownat(AT_FDCWD, path, uid, gid, 0);
}

long sys_lchown(const char *path, uint32_t uid, uint32_t gid)
{
	return sys_fchownat(AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW);
}

long sys_fchown(int fd, uint32_t uid, uint32_t gid)
{
	struct target t;
	long result = target_of_fd(fd, &t);

	if (!result)
		result = t.file->flags & O_PATH ? -EBADF : change_owner(&t, uid, gid);
	target_put(&t);
	return result;
}

static int is_valid(const struct timespec *time)
{
	return time->tv_nsec == UTIME_NOW || time->tv_nsec == UTIME_OMIT ||
	       (unsigned long)time->tv_nsec < NS_PER_SEC;
}

static void set_time(uint64_t *ns, const struct timespec *time)
{
	if (!time || time->tv_nsec == UTIME_NOW)
		*ns = clock_wall_ns();
	else if (time->tv_nsec != UTIME_OMIT)
		*ns = (uint64_t)time->tv_sec * NS_PER_SEC + (uint64_t)time->tv_nsec;
}

static long change_times(const struct target *t, const struct timespec times[2])
{
	struct inode *inode = t->inode;

	if (!inode || inode->ops)
		return inode ? -EPERM : -EINVAL;
	if (times && (!is_valid(&times[0]) || !is_valid(&times[1])))
		return -EINVAL;
	if (inode_owned(inode) && (times || inode_permits(inode, 2)))
		return times ? -EPERM : -EACCES;
	set_time(&inode->accessed_ns, times);
	set_time(&inode->modified_ns, times ? times + 1 : NULL);
	inode_touch_changed(inode);
	return 0;
}

long sys_utimensat(int directory, const char *path, const struct timespec times[2], int flags)
{
	struct target t;
	long result;

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	result = path ? target_of(directory, path, flags, &t) : target_of_fd(directory, &t);
	if (!result)
		result = change_times(&t, times);
	target_put(&t);
	return result;
}

long sys_futimesat(int directory, const char *path, const struct timeval times[2])
{
	struct timespec both[2];

	for (int i = 0; times && i < 2; i++) {
		if ((unsigned long)times[i].tv_usec >= 1000000)
			return -EINVAL;
		both[i] = (struct timespec){times[i].tv_sec, times[i].tv_usec * 1000};
	}
	return sys_utimensat(directory, path, times ? both : NULL, 0);
}

long sys_utimes(const char *path, const struct timeval times[2])
{
	return sys_futimesat(AT_FDCWD, path, times);
}

long sys_utime(const char *path, const struct utimbuf *times)
{
	struct timespec both[2] = {{times ? times->actime : 0, 0}, {times ? times->modtime : 0, 0}};

	return sys_utimensat(AT_FDCWD, path, times ? both : NULL, 0);
}

long sys_truncate(const char *path, int64_t bytes)
{
	struct target t;
	long result;

	if (bytes < 0)
		return -EINVAL;
	result = target_of(AT_FDCWD, path, 0, &t);
	if (!result && t.inode) {
		result = S_ISDIR(t.inode->mode) ? -EISDIR : inode_permits(t.inode, 2);
		if (!result)
			result = inode_truncate(t.inode, (uint64_t)bytes);
	}
	target_put(&t);
	return result;
}

long sys_ftruncate(int fd, int64_t bytes)
{
	struct target t;
	long result = bytes < 0 ? -EINVAL : target_of_fd(fd, &t);

	if (result)
		return result;
	if (!t.inode || (t.file->flags & O_ACCMODE) == O_RDONLY || t.file->flags & O_PATH)
		result = -EINVAL;
	else
		result = inode_truncate(t.inode, (uint64_t)bytes);
	target_put(&t);
	return result;
}

#define KEEP_SIZE  1
#define PUNCH_HOLE 2
#define ZERO_RANGE 16

long sys_fallocate(int fd, int mode, int64_t offset, int64_t bytes)
{
	struct target t;
	long result = target_of_fd(fd, &t);

	if (result)
		return result;
	if (offset < 0 || bytes <= 0)
		result = -EINVAL;
	else if ((t.file->flags & O_ACCMODE) == O_RDONLY)
		result = -EBADF;
	else if (!t.inode || !S_ISREG(t.inode->mode) || t.inode->ops)
		result = t.inode && S_ISDIR(t.inode->mode) ? -EISDIR : -ENODEV;
	else if (mode == (PUNCH_HOLE | KEEP_SIZE))
		result = inode_punch(t.inode, (uint64_t)offset, (uint64_t)bytes);
	else if (mode & ~(KEEP_SIZE | ZERO_RANGE))
		result = -EOPNOTSUPP;
	else {
		if (mode & ZERO_RANGE)
			result = inode_punch(t.inode, (uint64_t)offset, (uint64_t)bytes);
		if (!result)
			result = inode_allocate(t.inode, (uint64_t)offset, (uint64_t)bytes,
						mode & KEEP_SIZE);
	}
	target_put(&t);
	return result;
}

static long describe(const struct target *t, struct statfs *out)
{
	memset(out, 0, sizeof(*out));
	out->f_type = t->inode && t->inode->filesystem != 1 ? PROC_MAGIC : TMPFS_MAGIC;
	out->f_bsize = PAGE_SIZE;
	out->f_frsize = PAGE_SIZE;
	out->f_namelen = NAME_BYTES_MAX;
	if (out->f_type == TMPFS_MAGIC) {
		out->f_blocks = frames_total;
		out->f_bfree = out->f_bavail = frames_free_count;
		out->f_files = frames_total;
		out->f_ffree = frames_free_count;
	}
	return 0;
}

long sys_statfs(const char *path, struct statfs *out)
{
	struct target t;
	long result = target_of(AT_FDCWD, path, 0, &t);

	if (!result)
		result = describe(&t, out);
	target_put(&t);
	return result;
}

long sys_fstatfs(int fd, struct statfs *out)
{
	struct target t;
	long result = target_of_fd(fd, &t);

	if (!result)
		result = describe(&t, out);
	target_put(&t);
	return result;
}
