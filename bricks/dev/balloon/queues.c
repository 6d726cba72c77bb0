/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The queues: page numbers (virtio 1.2, 5.5.6.1), statistics (5.5.6.4), free pages (5.5.6.7). */
#include "balloon_internal.h"

/* A run of neighbouring pages, which is given back in one piece. */
struct run {
	uint64_t first, nr;
};

static void discard(struct sk_balloon *b, struct run *run)
{
	if (run->nr && sk_gmem_discard(b->config.gm, run->first * SK_BALLOON_PAGE_BYTES,
				       run->nr * SK_BALLOON_PAGE_BYTES))
		balloon_count(&b->bad_requests, 1);
	else
		balloon_count(&b->inflated_bytes, run->nr * SK_BALLOON_PAGE_BYTES);
	run->nr = 0;
}

/* Drivers list pages upwards or downwards. */
static void add_page(struct sk_balloon *b, struct run *run, uint32_t pfn)
{
	if (run->nr && pfn == run->first + run->nr) {
		run->nr++;
	} else if (run->nr && (uint64_t)pfn + 1 == run->first) {
		run->first--;
		run->nr++;
	} else {
		discard(b, run);
		*run = (struct run){pfn, 1};
	}
}

/* A list of page numbers, 32 bits each. */
static void take_pages(struct sk_balloon *b, const struct sk_vring_chain *chain, bool is_inflate)
{
	uint32_t len_bytes = SK_MIN(chain->readable_bytes, MAX_LIST_BYTES);
	struct run run = {0};
	uint8_t list[1024];

	if (chain->readable_bytes % 4 || chain->readable_bytes > MAX_LIST_BYTES)
		balloon_count(&b->bad_requests, 1);
	len_bytes -= len_bytes % 4;
	if (!is_inflate) {
		balloon_count(&b->deflated_bytes, len_bytes / 4 * SK_BALLOON_PAGE_BYTES);
		return;
	}
	for (uint32_t done = 0, part; done < len_bytes; done += part) {
		part = SK_MIN(len_bytes - done, (uint32_t)sizeof(list));
		(void)sk_vring_copy_from(chain->iov, chain->nr_readable, done, list, part);
		for (uint32_t i = 0; i < part; i += 4)
			add_page(b, &run, sk_load_le32(list + i));
	}
	discard(b, &run);
}

/* The guest's address of host memory that a ring has named: it lies in one region of RAM. */
static gpa_t gpa_of(const struct sk_gmem *gm, const void *hva)
{
	for (size_t i = 0; i < sk_gmem_nr_regions(gm); i++) {
		const struct sk_gmem_region *region = sk_gmem_region_at(gm, i);
		uint64_t offset = (uintptr_t)hva - (uintptr_t)region->hva;

		if (offset < region->size_bytes)
			return region->gpa + offset;
	}
	return UINT64_MAX;
}

/* Buffers that are the free pages themselves. */
static void take_free(struct sk_balloon *b, const struct sk_vring_chain *chain)
{
	const struct iovec *iov = chain->iov + chain->nr_readable;

	if (chain->nr_readable)
		balloon_count(&b->bad_requests, 1);
	for (uint32_t i = 0; i < chain->nr_writable; i++) {
		if (sk_gmem_discard(b->config.gm, gpa_of(b->config.gm, iov[i].iov_base),
				    iov[i].iov_len))
			balloon_count(&b->bad_requests, 1);
		else
			balloon_count(&b->reported_bytes, iov[i].iov_len);
	}
}

static void read_stats(struct sk_balloon *b, const struct sk_vring_chain *chain)
{
	uint8_t bytes[NR_STATS * STAT_BYTES];
	size_t len = sk_vring_copy_from(chain->iov, chain->nr_readable, 0, bytes, sizeof(bytes));

	/* Tags that we do not know are allowed. */
	for (size_t i = 0; i + STAT_BYTES <= len; i += STAT_BYTES) {
		uint16_t tag = sk_load_le16(bytes + i);

		if (tag < NR_STATS)
			atomic_store_explicit(&b->stats[tag], sk_load_le64(bytes + i + 2),
					      memory_order_relaxed);
	}
}

/* There is one buffer at a time; the device keeps it. */
static int serve_stats(struct sk_balloon *b, struct sk_vring *ring)
{
	int ret;

	if (b->has_stats_chain)
		return 0;
	ret = sk_vring_pop(ring, &b->stats_chain, b->stats_iov, QUEUE_IOV);
	if (ret <= 0)
		return ret;
	b->has_stats_chain = true;
	read_stats(b, &b->stats_chain);
	if (b->wants_stats)
		balloon_ask_stats(b);
	return 0;
}

void balloon_ask_stats(struct sk_balloon *b)
{
	uint32_t index = b->index_of[QUEUE_STATS];
	struct sk_vring *ring = b->is_running ? sk_virtio_ring(b->virtio, index) : NULL;

	/* Without a buffer it is done when there is one. */
	b->wants_stats = !ring || !b->has_stats_chain;
	if (b->wants_stats)
		return;
	b->has_stats_chain = false;
	sk_vring_push(ring, &b->stats_chain, 0);
	sk_virtio_flush(b->virtio, index);
}

static int serve_one(struct sk_balloon *b, enum balloon_queue queue, struct sk_vring *ring)
{
	struct iovec iov[QUEUE_IOV];
	struct sk_vring_chain chain;
	int ret;

	if (queue == QUEUE_STATS)
		return serve_stats(b, ring);
	ret = sk_vring_pop(ring, &chain, iov, QUEUE_IOV);
	if (ret <= 0)
		return ret;
	if (queue == QUEUE_REPORTING)
		take_free(b, &chain);
	else
		take_pages(b, &chain, queue == QUEUE_INFLATE);
	sk_vring_push(ring, &chain, 0);
	return 1;
}

void balloon_serve(struct sk_balloon *b, enum balloon_queue queue)
{
	uint32_t index = b->index_of[queue];
	struct sk_vring *ring = b->is_running ? sk_virtio_ring(b->virtio, index) : NULL;
	unsigned budget = QUEUE_BUDGET;
	int ret = 1;

	if (!ring)
		return;
	while (budget && ret > 0) {
		ret = serve_one(b, queue, ring);
		budget--;
	}
	sk_virtio_flush(b->virtio, index);
	if (ret < 0)
		sk_virtio_fail(b->virtio, index);
	else if (ret > 0 || (sk_vring_enable_doorbell(ring) && queue != QUEUE_STATS))
		sk_virtio_ring_doorbell(b->virtio, index);
}
