/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The file of an image: how it is opened, how large it is, what O_DIRECT asks for, and the lock.
 *
 * The lock is QEMU's (block/file-posix.c): open-file-description locks on single bytes, all of them
 * shared. A byte from 100 on says "I do this", one from 200 on "nobody else may do this"; who wants
 * to do something looks whether anybody holds its second byte, and the other way round.
 */
#include "disk_internal.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_DOES     100
#define LOCK_FORBIDS  200
#define LOCK_TRIES    20
#define LOCK_PAUSE_US 25000

/* QEMU's BLK_PERM_*, of which more exist. */
enum permission { PERM_CONSISTENT_READ = 0, PERM_WRITE = 1, PERM_RESIZE = 3 };

/* O_NONBLOCK was for the open: io_uring would answer EAGAIN instead of waiting for the disk. */
static int allow_blocking(int fd, const char *path, struct sk_error *err)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK))
		return sk_error_set(err, -errno, "the disk %s cannot be set up: %s", path,
				    strerror(errno));
	return 0;
}

static int check_kind(struct disk_file *file, const char *path, struct sk_error *err)
{
	struct stat st;

	if (fstat(file->fd, &st))
		return sk_error_set(err, -errno, "cannot look at the disk %s: %s", path,
				    strerror(errno));
	if (S_ISDIR(st.st_mode))
		return sk_error_set(
			err, -EINVAL,
			"the disk %s is a directory; a file or a block device is needed", path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return sk_error_set(err, -EINVAL,
				    "the disk %s is neither a file nor a block device", path);
	file->is_block_device = S_ISBLK(st.st_mode);
	return allow_blocking(file->fd, path, err);
}

/* What the kernel takes: it says so, or one tries. */
static uint32_t find_alignment(int fd)
{
	static const uint32_t tries[] = {512, 1024, 2048, 4096};
	void *buf;
	uint32_t found = 4096;

	if (posix_memalign(&buf, 4096, 8192))
		return found;
	for (size_t i = 0; i < SK_ARRAY_SIZE(tries); i++) {
		/* The memory is off by as much as the rest. */
		if (pread(fd, (char *)buf + tries[i] % 4096, tries[i], tries[i]) >= 0) {
			found = tries[i];
			break;
		}
	}
	free(buf);
	return found;
}

static int open_direct(struct disk_file *file, const struct sk_disk_config *config, int flags,
		       struct sk_error *err)
{
	file->direct_fd = open(config->path, flags | O_DIRECT);
	if (file->direct_fd < 0)
		return sk_error_set(err, -errno,
				    "the disk %s cannot be opened with O_DIRECT: %s; leave out "
				    "'direct'",
				    config->path, strerror(errno));
	file->align_bytes = find_alignment(file->direct_fd);
	return allow_blocking(file->direct_fd, config->path, err);
}

int disk_file_open(struct disk_file *file, const struct sk_disk_config *config,
		   struct sk_error *err)
{
	/* Not blocking: a FIFO must not hang us. It has no meaning for what is let through. */
	int flags = (config->is_read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	int rc;

	*file = (struct disk_file){
		.direct_fd = -1,
		.align_bytes = 1,
		.is_read_only = config->is_read_only,
	};
	file->fd = open(config->path, flags);
	if (file->fd < 0 && errno == EISDIR)
		return sk_error_set(
			err, -EINVAL,
			"the disk %s is a directory; a file or a block device is needed",
			config->path);
	if (file->fd < 0) {
		rc = -errno;
		return sk_error_set(err, rc, "cannot open the disk %s: %s%s", config->path,
				    strerror(-rc),
				    (rc == -EACCES || rc == -EROFS) && !config->is_read_only
					    ? " (for reading only, add 'ro')"
					    : "");
	}
	rc = check_kind(file, config->path, err);
	if (!rc && config->is_direct)
		rc = open_direct(file, config, flags, err);
	if (rc)
		disk_file_close(file);
	return rc;
}

/*
 * The lock is given back, not left to close(): io_uring puts a file away a little after it has told
 * that a request is done, and until then the lock would live on.
 */
void disk_file_close(struct disk_file *file)
{
	struct flock all = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

	if (file->fd >= 0)
		(void)fcntl(file->fd, F_OFD_SETLK, &all);
	sk_close(&file->direct_fd);
	sk_close(&file->fd);
}

int64_t disk_file_size(const struct disk_file *file)
{
	uint64_t bytes = 0;
	struct stat st;

	if (file->is_block_device) {
		if (ioctl(file->fd, BLKGETSIZE64, &bytes))
			return -errno;
		return (int64_t)bytes;
	}
	if (fstat(file->fd, &st))
		return -errno;
	return st.st_size;
}

static int lock_byte(int fd, off_t byte)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

	return fcntl(fd, F_OFD_SETLK, &lock) ? -errno : 0;
}

/* True if another open file holds the byte. */
static bool is_locked(int fd, off_t byte)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

	return !fcntl(fd, F_OFD_GETLK, &lock) && lock.l_type != F_UNLCK;
}

/* Takes our bytes and looks at the others': -EBUSY, or that locks do not work here. */
static int try_lock(const struct disk_file *file)
{
	static const int does_read[] = {PERM_CONSISTENT_READ};
	static const int does_write[] = {PERM_CONSISTENT_READ, PERM_WRITE, PERM_RESIZE};
	static const int forbids[] = {PERM_WRITE, PERM_RESIZE};
	const int *does = file->is_read_only ? does_read : does_write;
	size_t nr_does = file->is_read_only ? SK_ARRAY_SIZE(does_read) : SK_ARRAY_SIZE(does_write);
	int rc = 0;

	/* First ours, then the look at the others': two that come at once both see each other. */
	for (size_t i = 0; i < nr_does && !rc; i++)
		rc = lock_byte(file->fd, LOCK_DOES + does[i]);
	for (size_t i = 0; i < SK_ARRAY_SIZE(forbids) && !rc; i++)
		rc = lock_byte(file->fd, LOCK_FORBIDS + forbids[i]);
	for (size_t i = 0; i < nr_does && !rc; i++)
		rc = is_locked(file->fd, LOCK_FORBIDS + does[i]) ? -EBUSY : 0;
	for (size_t i = 0; i < SK_ARRAY_SIZE(forbids) && !rc; i++)
		rc = is_locked(file->fd, LOCK_DOES + forbids[i]) ? -EBUSY : 0;
	return rc == -EAGAIN || rc == -EACCES ? -EBUSY : rc;
}

int disk_file_lock(const struct disk_file *file, const char *path, const struct sk_log *log,
		   struct sk_error *err)
{
	int rc = try_lock(file);

	/* The kernel takes some time to close what a killed process had in its io_uring. */
	for (int i = 0; i < LOCK_TRIES && rc == -EBUSY; i++) {
		usleep(LOCK_PAUSE_US);
		rc = try_lock(file);
	}
	if (rc == -EBUSY)
		return sk_error_set(err, rc,
				    "the disk %s is in use: another program holds its lock%s", path,
				    file->is_read_only ? " for writing"
						       : "; 'ro' shares a disk with other readers");
	if (rc)
		sk_logf(log, SK_LOG_WARN,
			"the disk %s cannot be locked (%s): nothing keeps others from writing it",
			path, strerror(-rc));
	return 0;
}

int disk_file_fd(const struct disk_file *file, const struct iovec *iov, uint32_t nr_iov,
		 uint64_t offset)
{
	uint64_t all = offset;

	if (file->direct_fd < 0)
		return file->fd;
	for (uint32_t i = 0; i < nr_iov; i++)
		if (iov[i].iov_len)
			all |= (uint64_t)(uintptr_t)iov[i].iov_base | iov[i].iov_len;
	return sk_is_aligned(all, file->align_bytes) ? file->direct_fd : file->fd;
}

int disk_file_pread(const struct disk_file *file, void *buf, size_t len_bytes, uint64_t offset)
{
	char *at = buf;

	while (len_bytes) {
		ssize_t n = pread(file->fd, at, len_bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n) {
			memset(at, 0, len_bytes);
			break;
		}
		at += n;
		len_bytes -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

int disk_file_pwrite(const struct disk_file *file, const void *buf, size_t len_bytes,
		     uint64_t offset)
{
	const char *at = buf;

	while (len_bytes) {
		ssize_t n = pwrite(file->fd, at, len_bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		at += n;
		len_bytes -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}
