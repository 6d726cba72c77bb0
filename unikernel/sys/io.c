/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* System calls that move bytes through descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../fs/fd.h"
#include "../fs/inode.h"
#include "../fs/regular.h"
#include "../mm/heap.h"
#include "sys.h"

#define COPY_BYTES 16384

typedef long (*transfer)(struct file *file, struct iov *iov, int64_t *position);

/* `position` NULL: the file's own. */
static long vector(int fd, const struct iovec *parts, long count, int64_t *position,
		   transfer function)
{
	struct file *file = fd_get(fd);
	struct iov iov;
	long result;

	if (!file)
		return -EBADF;
	result = iov_init(&iov, parts, count);
	if (!result)
		result = function(file, &iov, position);
	file_put(file);
	return result;
}

long sys_read(int fd, char *data, size_t bytes)
{
	struct iovec one = {data, bytes};

	return vector(fd, &one, 1, NULL, file_read);
}

long sys_write(int fd, const char *data, size_t bytes)
{
	struct iovec one = {(void *)(uintptr_t)data, bytes};

	return vector(fd, &one, 1, NULL, file_write);
}

long sys_readv(int fd, const struct iovec *parts, int count)
{
	return vector(fd, parts, count, NULL, file_read);
}

long sys_writev(int fd, const struct iovec *parts, int count)
{
	return vector(fd, parts, count, NULL, file_write);
}

long sys_pread64(int fd, char *data, size_t bytes, int64_t offset)
{
	struct iovec one = {data, bytes};

	return vector(fd, &one, 1, &offset, file_read);
}

long sys_pwrite64(int fd, const char *data, size_t bytes, int64_t offset)
{
	struct iovec one = {(void *)(uintptr_t)data, bytes};

	return vector(fd, &one, 1, &offset, file_write);
}

long sys_preadv(int fd, const struct iovec *parts, long count, int64_t offset)
{
	return vector(fd, parts, count, &offset, file_read);
}

long sys_pwritev(int fd, const struct iovec *parts, long count, int64_t offset)
{
	return vector(fd, parts, count, &offset, file_write);
}

/* The fifth argument is the upper half of the offset on 32-bit machines only. */
long sys_preadv2(int fd, const struct iovec *parts, long count, int64_t offset, long high,
		 int flags)
{
	(void)high;
	if (flags)
		return -EOPNOTSUPP;
	return vector(fd, parts, count, offset == -1 ? NULL : &offset, file_read);
}

long sys_pwritev2(int fd, const struct iovec *parts, long count, int64_t offset, long high,
		  int flags)
{
	(void)high;
	if (flags)
		return -EOPNOTSUPP;
	return vector(fd, parts, count, offset == -1 ? NULL : &offset, file_write);
}

static long seek(struct file *file, int64_t offset, int whence)
{
	int64_t base = 0;
	long result;

	if (!file->ops->is_seekable)
		return -ESPIPE;
	mutex_lock(&file->position_lock);
	if ((whence == SEEK_DATA || whence == SEEK_HOLE) && file->ops == &regular_ops) {
		result = regular_seek_data(file, offset, whence == SEEK_HOLE);
	} else {
		if (whence == SEEK_CUR)
			base = file->position;
		else if (whence == SEEK_END)
			base = file->inode ? (int64_t)file->inode->bytes : 0;
		if ((whence != SEEK_SET && whence != SEEK_CUR && whence != SEEK_END) ||
		    __builtin_add_overflow(base, offset, &result) || result < 0)
			result = -EINVAL;
	}
	if (result >= 0)
		file->position = result;
	mutex_unlock(&file->position_lock);
	return result;
}

long sys_lseek(int fd, long offset, int whence)
{
	struct file *file = fd_get(fd);
	long result;

	if (!file)
		return -EBADF;
	result = seek(file, offset, whence);
	file_put(file);
	return result;
}

long sys_ioctl(int fd, unsigned long command, void *argument)
{
	struct file *file = fd_get(fd);
	long result = -ENOTTY;

	if (!file)
		return -EBADF;
	if (command == FIONBIO) {
		if (*(int *)argument)
			__atomic_fetch_or(&file->flags, O_NONBLOCK, __ATOMIC_RELAXED);
		else
			__atomic_fetch_and(&file->flags, ~(uint32_t)O_NONBLOCK, __ATOMIC_RELAXED);
		result = 0;
	} else if (command == FIOCLEX || command == FIONCLEX) {
		result = fd_set_cloexec(fd, command == FIOCLEX);
	} else if (command == FIONREAD && file->ops == &regular_ops) {
		*(int *)argument = (int)((int64_t)file->inode->bytes - file->position);
		result = 0;
	} else if (file->ops->ioctl) {
		result = file->ops->ioctl(file, command, argument);
	}
	file_put(file);
	return result;
}

/* Through a buffer: pages are not shared between files. */
static long copy(struct file *from, int64_t *from_at, struct file *to, int64_t *to_at, size_t bytes)
{
	char *buffer = kheap_alloc(COPY_BYTES);
	long total = 0, result = 0;

	if (!buffer)
		return -ENOMEM;
	while (bytes) {
		size_t n = bytes < COPY_BYTES ? bytes : COPY_BYTES;
		long got = file_read_bytes(from, buffer, n, from_at), put;

		if (got <= 0) {
			result = got;
			break;
		}
		put = file_write_bytes(to, buffer, (size_t)got, to_at);
		if (put < got) { /* what was not written counts as not read */
			int64_t back = put > 0 ? got - put : got;

			if (from_at)
				*from_at -= back;
			else
				seek(from, -back, SEEK_CUR);
			total += put > 0 ? put : 0;
			result = put < 0 ? put : 0;
			break;
		}
		total += put;
		bytes -= (size_t)put;
	}
	kheap_free(buffer, COPY_BYTES);
	return total ? total : result;
}

static int is_mappable(const struct file *file)
{
	return file->ops == &regular_ops;
}

long sys_sendfile(int to_fd, int from_fd, int64_t *offset, size_t bytes)
{
	struct file *to = fd_get(to_fd), *from = fd_get(from_fd);
	long result = -EBADF;

	if (to && from)
		result = !is_mappable(from) ? -EINVAL : copy(from, offset, to, NULL, bytes);
	if (to)
		file_put(to);
	if (from)
		file_put(from);
	return result;
}

long sys_copy_file_range(int from_fd, int64_t *from_at, int to_fd, int64_t *to_at, size_t bytes,
			 unsigned int flags)
{
	struct file *to = fd_get(to_fd), *from = fd_get(from_fd);
	long result = -EBADF;

	if (to && from)
		result = flags || !is_mappable(from) || !is_mappable(to) ? -EINVAL
			 : to->flags & O_APPEND				 ? -EBADF
			 : from->inode == to->inode			 ? -EINVAL
						    : copy(from, from_at, to, to_at, bytes);
	if (to)
		file_put(to);
	if (from)
		file_put(from);
	return result;
}

static long with_file(int fd)
{
	struct file *file = fd_get(fd);

	if (!file)
		return -EBADF;
	file_put(file);
	return 0;
}

/* Memory is all there is: it is always in sync. */
long sys_fsync(int fd)
{
	struct file *file = fd_get(fd);
	long result = -EBADF;

	if (file) {
		result = file->inode && !S_ISFIFO(file->inode->mode) ? 0 : -EINVAL;
		file_put(file);
	}
	return result;
}

long sys_fdatasync(int fd)
{
	return sys_fsync(fd);
}

long sys_syncfs(int fd)
{
	return with_file(fd);
}

long sys_sync(void)
{
	return 0;
}

long sys_fadvise64(int fd, int64_t offset, int64_t bytes, int advice)
{
	long result = with_file(fd);

	(void)offset;
	if (result)
		return result;
	return bytes < 0 || advice < 0 || advice > POSIX_FADV_NOREUSE ? -EINVAL : 0;
}

long sys_readahead(int fd, int64_t offset, size_t bytes)
{
	(void)offset;
	(void)bytes;
	return with_file(fd);
}
