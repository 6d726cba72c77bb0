/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* From a ring to requests, as many as it has, and back: used buffers are published once a turn. */
#include "block_internal.h"

static struct block_request *take(struct sk_block *block)
{
	struct block_request *request = block->free;

	/* The pool has one for each entry of each queue, and a chain takes at least one of those.
	 */
	if (request)
		block->free = request->next_free;
	return request;
}

static void give_back(struct block_request *request)
{
	request->next_free = request->block->free;
	request->block->free = request;
}

static void schedule_flush(struct sk_block *block, uint32_t queue)
{
	block->unflushed |= UINT64_C(1) << queue;
	if (!sk_loop_timer_is_set(&block->flush_timer))
		sk_loop_timer_set(block->loop, &block->flush_timer, 0);
}

static void flush_all(struct sk_block *block)
{
	while (block->unflushed) {
		uint32_t queue = (uint32_t)__builtin_ctzll(block->unflushed);

		block->unflushed &= block->unflushed - 1;
		sk_virtio_flush(block->virtio, queue);
	}
}

void block_flush_timer(struct sk_loop *loop, struct sk_loop_timer *timer)
{
	(void)loop;
	flush_all(SK_CONTAINER_OF(timer, struct sk_block, flush_timer));
}

void block_complete(struct block_request *request, uint8_t status)
{
	struct sk_block *block = request->block;

	if (request->cut)
		request->cut->iov_len++;
	if (request->status)
		*(volatile uint8_t *)request->status = status;
	sk_vring_push(sk_virtio_ring(block->virtio, request->queue), &request->chain,
		      request->chain.writable_bytes);
	schedule_flush(block, request->queue);
	block->nr_in_flight--;
	give_back(request);
	if (block->is_quiescing && !block->nr_in_flight) {
		flush_all(block);
		block_is_idle(block);
	}
}

/* One chain: 1, 0: none or not now, or -EPROTO. */
static int serve_one(struct sk_block *block, uint32_t queue, struct sk_vring *ring)
{
	struct block_request *request = take(block);
	int ret;

	if (!request)
		return 0;
	ret = sk_vring_pop(ring, &request->chain, request->iov, MAX_IOV);
	if (ret != 1) {
		give_back(request);
		return ret;
	}
	request->queue = queue;
	if (!block_request_parse(request)) {
		block_count(&block->bad, 1);
		block->nr_in_flight++;
		block_complete(request, VIRTIO_BLK_S_IOERR);
		return 1;
	}
	if (!sk_limiter_admit(&block->limiter, block_request_bytes(request))) {
		if (request->cut)
			request->cut->iov_len++;
		sk_vring_unpop(ring, &request->chain);
		give_back(request);
		block->is_throttled = true;
		block_count(&block->throttled, 1);
		return 0;
	}
	block->nr_in_flight++;
	block_request_start(request);
	return 1;
}

void block_work(struct sk_block *block, uint32_t queue)
{
	struct sk_vring *ring = sk_virtio_ring(block->virtio, queue);
	int ret = 0;

	if (!ring || block->is_throttled || block->is_quiescing)
		return;
	do {
		sk_vring_disable_doorbell(ring);
		while ((ret = serve_one(block, queue, ring)) == 1)
			;
		/* Whoever is throttled goes on when the limiter says so, not when it is rung for.
		 */
	} while (!ret && !block->is_throttled && sk_vring_enable_doorbell(ring) && block->free);
	if (ret < 0)
		sk_virtio_fail(block->virtio, queue);
}
