/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * One request: virtio 1.2, 5.2.6. No framing is assumed (2.7.4.1): the header are the first 16
 * readable bytes, the status is the last writable byte, wherever the vectors end. What the guest
 * could change under our hands is copied once.
 */
#include "block_internal.h"

static struct iovec *writable(struct block_request *request)
{
	return request->iov + request->chain.nr_readable;
}

bool block_request_parse(struct block_request *request)
{
	const struct sk_vring_chain *chain = &request->chain;
	uint8_t header[HEADER_BYTES];
	struct iovec *last;

	request->status = NULL;
	request->cut = NULL;
	request->next_range = 0;
	request->is_durable = false;
	if (!chain->writable_bytes)
		return false;
	last = writable(request) + chain->nr_writable - 1;
	while (!last->iov_len)
		last--;
	request->status = (uint8_t *)last->iov_base + last->iov_len - 1;
	if (sk_vring_copy_from(request->iov, chain->nr_readable, 0, header, sizeof(header)) !=
	    sizeof(header))
		return false;
	/* What is before the status is data. */
	request->cut = last;
	last->iov_len--;
	request->type = sk_load_le32(header);
	request->sector = sk_load_le64(header + 8);
	return true;
}

uint64_t block_request_bytes(const struct block_request *request)
{
	if (request->type == VIRTIO_BLK_T_IN)
		return request->chain.writable_bytes - 1;
	if (request->type == VIRTIO_BLK_T_OUT)
		return request->chain.readable_bytes - HEADER_BYTES;
	return 0;
}

static void fail(struct block_request *request, uint8_t status)
{
	block_count(&request->block->bad, 1);
	block_complete(request, status);
}

static void start_range(struct block_request *request);

static bool changes_data(const struct block_request *request)
{
	return request->type == VIRTIO_BLK_T_OUT || request->type == VIRTIO_BLK_T_DISCARD ||
	       request->type == VIRTIO_BLK_T_WRITE_ZEROES;
}

static bool has_more_ranges(const struct block_request *request)
{
	return (request->type == VIRTIO_BLK_T_DISCARD ||
		request->type == VIRTIO_BLK_T_WRITE_ZEROES) &&
	       request->next_range * RANGE_BYTES < request->chain.readable_bytes - HEADER_BYTES;
}

static void submit(struct block_request *request, enum sk_disk_op op, uint64_t offset, uint64_t len)
{
	request->disk.op = op;
	request->disk.offset = offset;
	request->disk.len_bytes = len;
	sk_disk_submit(request->block->disk, &request->disk);
}

static void disk_done(struct sk_disk_request *disk, int result)
{
	struct block_request *request = SK_CONTAINER_OF(disk, struct block_request, disk);

	if (result) {
		block_count(&request->block->errors, 1);
		block_complete(request,
			       result == -ENOTSUP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR);
	} else if (has_more_ranges(request)) {
		start_range(request);
	} else if (request->block->is_writethrough && changes_data(request) &&
		   !request->is_durable) {
		request->is_durable = true;
		submit(request, SK_DISK_FLUSH, 0, 0);
	} else {
		block_complete(request, VIRTIO_BLK_S_OK);
	}
}

/* The vectors without the first @skip bytes: what remains begins at the result. */
static struct iovec *drop_front(struct iovec *iov, uint32_t *nr, uint64_t skip)
{
	while (*nr && skip >= iov->iov_len) {
		skip -= iov->iov_len;
		iov++;
		--*nr;
	}
	if (*nr) {
		iov->iov_base = (uint8_t *)iov->iov_base + skip;
		iov->iov_len -= skip;
	}
	return iov;
}

static void transfer(struct block_request *request)
{
	struct sk_block *block = request->block;
	bool is_read = request->type == VIRTIO_BLK_T_IN;
	uint64_t len = block_request_bytes(request), offset;

	if (len % SK_DISK_SECTOR_BYTES ||
	    __builtin_mul_overflow(request->sector, SK_DISK_SECTOR_BYTES, &offset)) {
		fail(request, VIRTIO_BLK_S_IOERR);
		return;
	}
	if (is_read) {
		request->disk.iov = writable(request);
		request->disk.nr_iov = request->chain.nr_writable;
		/* The status may have had a vector for itself. */
		while (request->disk.nr_iov && !request->disk.iov[request->disk.nr_iov - 1].iov_len)
			request->disk.nr_iov--;
	} else {
		request->disk.nr_iov = request->chain.nr_readable;
		request->disk.iov = drop_front(request->iov, &request->disk.nr_iov, HEADER_BYTES);
	}
	block_count(is_read ? &block->reads : &block->writes, 1);
	block_count(is_read ? &block->read_bytes : &block->written_bytes, len);
	submit(request, is_read ? SK_DISK_READ : SK_DISK_WRITE, offset, len);
}

/* The next of the ranges, read from the guest only now, and once. */
static void start_range(struct block_request *request)
{
	struct sk_block *block = request->block;
	bool is_discard = request->type == VIRTIO_BLK_T_DISCARD;
	uint8_t range[RANGE_BYTES];
	uint32_t sectors, flags;
	uint64_t offset;

	if (sk_vring_copy_from(request->iov, request->chain.nr_readable,
			       HEADER_BYTES + request->next_range * RANGE_BYTES, range,
			       sizeof(range)) != sizeof(range)) {
		fail(request, VIRTIO_BLK_S_IOERR);
		return;
	}
	request->next_range++;
	sectors = sk_load_le32(range + 8);
	flags = sk_load_le32(range + 12);
	/* 5.2.6.2: unmap is the only flag, and not for a discard. */
	if (flags & ~(is_discard ? 0u : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP)) {
		fail(request, VIRTIO_BLK_S_UNSUPP);
		return;
	}
	if (sectors > MAX_RANGE_SECTORS ||
	    __builtin_mul_overflow(sk_load_le64(range), SK_DISK_SECTOR_BYTES, &offset)) {
		fail(request, VIRTIO_BLK_S_IOERR);
		return;
	}
	block_count(is_discard ? &block->discards : &block->zeroes, 1);
	request->disk.may_unmap = flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	submit(request, is_discard ? SK_DISK_DISCARD : SK_DISK_WRITE_ZEROES, offset,
	       (uint64_t)sectors * SK_DISK_SECTOR_BYTES);
}

static void ranges(struct block_request *request, unsigned feature)
{
	uint32_t len = request->chain.readable_bytes - HEADER_BYTES;

	if (!sk_virtio_has(request->block->virtio, feature))
		fail(request, VIRTIO_BLK_S_UNSUPP);
	else if (!len || len % RANGE_BYTES || len / RANGE_BYTES > MAX_RANGES)
		fail(request, VIRTIO_BLK_S_IOERR);
	else
		start_range(request);
}

static void get_id(struct block_request *request)
{
	const struct sk_block *block = request->block;

	/* Less room than that is the driver's affair. */
	(void)sk_vring_copy_to(writable(request), request->chain.nr_writable, 0, block->serial,
			       sizeof(block->serial));
	block_complete(request, VIRTIO_BLK_S_OK);
}

void block_request_start(struct block_request *request)
{
	request->disk.done = disk_done;
	switch (request->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		transfer(request);
		break;
	case VIRTIO_BLK_T_FLUSH:
		block_count(&request->block->flushes, 1);
		submit(request, SK_DISK_FLUSH, 0, 0);
		break;
	case VIRTIO_BLK_T_GET_ID:
		get_id(request);
		break;
	case VIRTIO_BLK_T_DISCARD:
		ranges(request, VIRTIO_BLK_F_DISCARD);
		break;
	case VIRTIO_BLK_T_WRITE_ZEROES:
		ranges(request, VIRTIO_BLK_F_WRITE_ZEROES);
		break;
	default:
		fail(request, VIRTIO_BLK_S_UNSUPP);
	}
}
