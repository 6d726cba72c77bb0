/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Raw disks: a request is one operation of the loop. */
#include "disk_internal.h"

#include <fcntl.h>
#include <linux/falloc.h>

/* One write of zeroes, where the file cannot do it by itself: so many times the same buffer. */
#define ZERO_VECTORS 16u

static struct sk_disk_request *request_of(struct sk_loop_op *op)
{
	return SK_CONTAINER_OF(op, struct sk_disk_request, loop_op);
}

static void transfer_done(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	struct sk_disk_request *request = request_of(op);

	(void)loop;
	/* Short: the file has shrunk, or a device is at its end. */
	if (result >= 0)
		result = (uint64_t)result == request->len_bytes ? 0 : -EIO;
	disk_complete(request, result);
}

static void flush_done(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	struct sk_disk_request *request = request_of(op);

	(void)loop;
	/* The kernel forgets what it failed to write: from now on no flush can be believed. */
	if (result < 0)
		request->disk->file.flush_error = result;
	disk_complete(request, SK_MIN(result, 0));
}

static void transfer(struct sk_disk *disk, struct sk_disk_request *request)
{
	struct sk_loop_op *op = &request->loop_op;

	op->done = transfer_done;
	op->fd = disk_file_fd(&disk->file, request->iov, request->nr_iov, request->offset);
	op->flags = SK_LOOP_WHOLE;
	if (request->op == SK_DISK_READ)
		sk_loop_readv(disk->loop, op, request->iov, request->nr_iov, request->offset);
	else
		sk_loop_writev(disk->loop, op, request->iov, request->nr_iov, request->offset);
}

/* The vectors of a write of zeroes; freed at its end. */
static void zeroes_done(struct sk_loop *loop, struct sk_loop_op *op, int result);

static void write_zeroes_next(struct sk_disk *disk, struct sk_disk_request *request)
{
	uint64_t left = request->len_bytes - request->position;
	struct iovec *iov = request->state;
	unsigned nr = 0;

	for (; nr < ZERO_VECTORS && left; nr++) {
		iov[nr].iov_base = disk->zeroes;
		iov[nr].iov_len = SK_MIN(left, DISK_ZEROES_BYTES);
		left -= iov[nr].iov_len;
	}
	request->loop_op.done = zeroes_done;
	request->loop_op.fd = disk->file.fd;
	request->loop_op.flags = SK_LOOP_WHOLE;
	sk_loop_writev(disk->loop, &request->loop_op, iov, nr, request->offset + request->position);
}

static void zeroes_done(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	struct sk_disk_request *request = request_of(op);

	(void)loop;
	if (result > 0)
		request->position += (uint64_t)result;
	if (result > 0 && request->position < request->len_bytes) {
		write_zeroes_next(request->disk, request);
		return;
	}
	free(request->state);
	request->state = NULL;
	disk_complete(request, result > 0 ? 0 : SK_MIN(result, -1));
}

static void write_zeroes_by_hand(struct sk_disk_request *request)
{
	request->state = calloc(ZERO_VECTORS, sizeof(struct iovec));
	request->position = 0;
	if (request->state)
		write_zeroes_next(request->disk, request);
	else
		disk_complete(request, -ENOMEM);
}

static void fallocate_done(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	struct sk_disk_request *request = request_of(op);
	/* EINVAL: a device whose blocks are larger than the range's alignment. */
	bool cannot = result == -EOPNOTSUPP || result == -ENOSYS || result == -ENODEV ||
		      (result == -EINVAL && request->disk->file.is_block_device);

	(void)loop;
	if (cannot && request->op == SK_DISK_WRITE_ZEROES)
		write_zeroes_by_hand(request);
	else
		disk_complete(request, cannot ? -ENOTSUP : result);
}

static void make_hole(struct sk_disk *disk, struct sk_disk_request *request)
{
	bool frees = request->op == SK_DISK_DISCARD || request->may_unmap;

	request->loop_op.done = fallocate_done;
	request->loop_op.fd = disk->file.fd;
	request->loop_op.flags = 0;
	sk_loop_fallocate(disk->loop, &request->loop_op,
			  FALLOC_FL_KEEP_SIZE |
				  (frees ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE),
			  request->offset, request->len_bytes);
}

static void flush(struct sk_disk *disk, struct sk_disk_request *request)
{
	if (disk->file.flush_error) {
		disk_complete_later(request, disk->file.flush_error);
		return;
	}
	request->loop_op.done = flush_done;
	request->loop_op.fd = disk->file.fd;
	request->loop_op.flags = SK_LOOP_DATASYNC;
	sk_loop_fsync(disk->loop, &request->loop_op);
}

static void raw_submit(struct sk_disk *disk, struct sk_disk_request *request)
{
	switch (request->op) {
	case SK_DISK_READ:
	case SK_DISK_WRITE:
		transfer(disk, request);
		break;
	case SK_DISK_FLUSH:
	case SK_DISK_SETTLE:
		flush(disk, request);
		break;
	case SK_DISK_DISCARD:
	case SK_DISK_WRITE_ZEROES:
		make_hole(disk, request);
		break;
	}
}

static int raw_refresh(struct sk_disk *disk)
{
	int64_t size = disk_file_size(&disk->file);

	if (size < 0)
		return (int)size;
	disk->info.size_bytes = sk_align_down((uint64_t)size, SK_DISK_SECTOR_BYTES);
	return 0;
}

static void raw_close(struct sk_disk *disk)
{
	(void)disk;
}

/* Beyond the end of a file a hole can be tried without any effect. */
static bool can_punch(const struct sk_disk *disk)
{
	uint64_t end = disk->info.size_bytes + SK_MIB;

	if (disk->file.is_read_only)
		return false;
	return disk->file.is_block_device ||
	       !fallocate(disk->file.fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE,
			  (off_t)sk_align_down(end, SK_MIB), 4096);
}

int disk_raw_open(struct sk_disk *disk, const char *path, struct sk_error *err)
{
	static const struct disk_ops ops = {
		.submit = raw_submit,
		.refresh = raw_refresh,
		.close = raw_close,
	};
	int rc = raw_refresh(disk);

	if (rc)
		return sk_error_set(err, rc, "the size of the disk %s cannot be read: %s", path,
				    strerror(-rc));
	if (!disk->info.size_bytes)
		return sk_error_set(
			err, -EINVAL,
			"the disk %s is empty; 'truncate -s 1G FILE' makes one of 1 GiB", path);
	disk->ops = &ops;
	disk->info.format = SK_DISK_RAW;
	disk->info.block_bytes = SK_MAX(disk->file.align_bytes, SK_DISK_SECTOR_BYTES);
	disk->info.unit_bytes = 4096;
	disk->info.has_discard = can_punch(disk);
	return 0;
}
