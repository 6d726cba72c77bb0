/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The inside of the block device.
 *
 *   block.c    life of the device: create, start, quiesce, save; the configuration space
 *   queue.c    from a ring to requests, and back to the ring
 *   request.c  what a request wants, and how it goes on
 */
#ifndef SKETE_DEV_BLOCK_INTERNAL_H
#define SKETE_DEV_BLOCK_INTERNAL_H

#include <linux/virtio_blk.h>
#include <stdatomic.h>

#include <skete/dev/block.h>

/* A header, the segments, a status, and some more for who does not keep to seg_max. */
#define MAX_IOV		  (SEG_MAX + 10)
#define SEG_MAX		  254u
#define HEADER_BYTES	  16u
#define RANGE_BYTES	  16u /* of a discard or write-zeroes */
#define MAX_RANGES	  64u
#define MAX_RANGE_SECTORS ((uint32_t)(2 * SK_GIB / SK_DISK_SECTOR_BYTES))

/* A request of the guest: from a pool that has as many as all queues have entries. */
struct block_request {
	struct sk_block *block;
	struct block_request *next_free;
	uint32_t queue;
	uint32_t type; /* VIRTIO_BLK_T_* */
	uint64_t sector;
	uint32_t next_range;
	bool is_durable;   /* the flush behind a write has been submitted */
	uint8_t *status;   /* in guest memory: where the result goes */
	struct iovec *cut; /* the vector that has lent its last byte to the status, or NULL */
	struct sk_vring_chain chain;
	struct sk_disk_request disk;
	struct iovec iov[MAX_IOV];
};

struct sk_block {
	struct sk_virtio *virtio;
	struct sk_disk *disk;
	struct sk_loop *loop;
	struct sk_limiter limiter;
	uint32_t nr_queues;
	uint8_t serial[SK_BLOCK_SERIAL_BYTES];
	struct virtio_blk_config space; /* what the configuration space holds */

	struct block_request *requests, *free;
	uint32_t nr_in_flight;
	bool is_writethrough;
	bool is_throttled; /* somebody waits for the limiter */
	bool is_quiescing;
	struct sk_disk_request settle;

	/* Queues with used buffers that are not flushed yet: once a turn of the loop. */
	uint64_t unflushed;
	struct sk_loop_timer flush_timer;

	/* One writer: relaxed. */
	_Atomic uint64_t reads, read_bytes, writes, written_bytes, flushes, discards, zeroes,
		errors, bad, throttled;
};

static inline void block_count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

/* block.c: nothing is in flight any more. */
void block_is_idle(struct sk_block *block);

/* queue.c */
void block_work(struct sk_block *block, uint32_t queue);
void block_flush_timer(struct sk_loop *loop, struct sk_loop_timer *timer);
/* Hands @request back to the driver with @status, a VIRTIO_BLK_S_*. */
void block_complete(struct block_request *request, uint8_t status);

/* request.c */

/* Reads the header and finds the status: false if there is no room for either. */
bool block_request_parse(struct block_request *request);
/* What it costs the limiter, in bytes. */
uint64_t block_request_bytes(const struct block_request *request);
/* Submits it to the disk, or completes it. */
void block_request_start(struct block_request *request);

#endif
