/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The block device (virtio 1.2, 5.2) in front of a sk_disk: reads, writes, flush, discard,
 * write-zeroes, a serial number; up to 64 queues, all of which may be full of requests in flight.
 * A driver that does not know about flushes, or that has switched the write cache off, sees a write
 * done only when it is durable.
 *
 * A request that makes no sense is answered with an error; only a broken ring stops its queue.
 *
 * Threading class: owner-thread only (the loop's), but for change_limit and get_stats.
 */
#ifndef SKETE_DEV_BLOCK_H
#define SKETE_DEV_BLOCK_H

#include <skete/base.h>
#include <skete/disk.h>
#include <skete/limiter.h>
#include <skete/virtio.h>

#define SK_BLOCK_MAX_QUEUES	    64
#define SK_BLOCK_DEFAULT_QUEUE_SIZE 256
#define SK_BLOCK_MAX_QUEUE_SIZE	    1024
#define SK_BLOCK_SERIAL_BYTES	    20

struct sk_block;

struct sk_block_config {
	struct sk_gmem *gm;   /* borrowed until destroy */
	struct sk_loop *loop; /* likewise */
	struct sk_disk *disk; /* likewise; on the same loop, and nobody else submits to it */
	const char *serial;   /* NULL: none; cut to SK_BLOCK_SERIAL_BYTES */
	uint32_t nr_queues;   /* 0: 1 */
	uint16_t queue_size;  /* a power of two; 0: SK_BLOCK_DEFAULT_QUEUE_SIZE */
	struct sk_limiter_config limit; /* zeroes: none */
	const struct sk_log *log;	/* NULL or borrowed until destroy */
};

struct sk_block_stats {
	uint64_t reads, read_bytes;
	uint64_t writes, written_bytes;
	uint64_t flushes;
	uint64_t discards, zeroes; /* segments */
	uint64_t errors;	   /* requests that the disk failed */
	uint64_t bad;		   /* requests that made no sense */
	uint64_t throttled;	   /* times that a request had to wait for the limit */
};

/*
 * Errors: -EINVAL (numbers out of range), -ENOMEM, -EMFILE. destroy as sk_virtio_destroy(); after
 * sk_virtio_halt() the disk has settled and can be closed without the loop. NULL is fine.
 */
int sk_block_create(struct sk_block **out, const struct sk_block_config *config,
		    struct sk_error *err) SK_MUST_CHECK;
void sk_block_destroy(struct sk_block *block);

/* The device for a transport, for pause and for save; it belongs to @block. */
struct sk_virtio *sk_block_virtio(const struct sk_block *block);

/*
 * The file has another size now (another program has grown it): tells the driver. What
 * sk_disk_refresh() says.
 */
int sk_block_refresh(struct sk_block *block) SK_MUST_CHECK;

/* Any thread: another limit, which holds within SK_LIMITER_LOOK_NS. */
void sk_block_change_limit(struct sk_block *block, const struct sk_limiter_config *limit);

/* Any thread. */
void sk_block_get_stats(const struct sk_block *block, struct sk_block_stats *stats);

#endif
