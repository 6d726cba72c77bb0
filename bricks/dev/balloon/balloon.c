/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The life of the balloon: create, start, quiesce, save, restore; its size. */
#include "balloon_internal.h"

#define STATE_VERSION 1
#define FEATURE(name) SK_VIRTIO_FEATURE(VIRTIO_BALLOON_F_##name)

static int balloon_start(void *dev)
{
	struct sk_balloon *b = dev;
	uint32_t next = 2;

	b->index_of[QUEUE_INFLATE] = 0;
	b->index_of[QUEUE_DEFLATE] = 1;
	b->index_of[QUEUE_STATS] =
		sk_virtio_has(b->virtio, VIRTIO_BALLOON_F_STATS_VQ) ? next++ : UINT32_MAX;
	b->index_of[QUEUE_REPORTING] =
		sk_virtio_has(b->virtio, VIRTIO_BALLOON_F_REPORTING) ? next++ : UINT32_MAX;
	b->is_running = true;
	return 0;
}

static void balloon_kick(void *dev, uint32_t index)
{
	struct sk_balloon *b = dev;

	for (unsigned queue = 0; queue < NR_QUEUES; queue++)
		if (b->index_of[queue] == index)
			balloon_serve(b, queue);
}

static void balloon_quiesce(void *dev, bool is_reset)
{
	struct sk_balloon *b = dev;

	/* The buffer of the statistics is found again after a pause. */
	if (b->has_stats_chain && !is_reset)
		sk_vring_unpop(sk_virtio_ring(b->virtio, b->index_of[QUEUE_STATS]),
			       &b->stats_chain);
	b->has_stats_chain = false;
	b->is_running = false;
	if (is_reset) {
		b->wants_stats = false;
		atomic_store_explicit(&b->actual_pages, 0, memory_order_relaxed);
		sk_virtio_config_set(b->virtio, offsetof(struct virtio_balloon_config, actual),
				     (uint8_t[4]){0}, 4, false);
	}
	sk_virtio_quiesced(b->virtio);
}

static void balloon_resume(void *dev)
{
	struct sk_balloon *b = dev;

	b->is_running = true;
}

/* The driver says how large the balloon is; nothing else is its to write. */
static void balloon_config_write(void *dev, uint32_t offset_bytes, const void *data,
				 uint32_t len_bytes)
{
	struct sk_balloon *b = dev;
	uint32_t actual;

	if (offset_bytes != offsetof(struct virtio_balloon_config, actual) ||
	    len_bytes != sizeof(actual)) {
		balloon_count(&b->bad_requests, 1);
		return;
	}
	actual = sk_load_le32(data);
	atomic_store_explicit(&b->actual_pages, actual, memory_order_relaxed);
	sk_virtio_config_set(b->virtio, offset_bytes, data, len_bytes, false);
}

static void balloon_save(void *dev, struct sk_writer *w)
{
	struct sk_balloon *b = dev;

	sk_put_u32(w, STATE_VERSION);
	sk_put_u32(w, atomic_load_explicit(&b->target_pages, memory_order_relaxed));
	sk_put_u32(w, atomic_load_explicit(&b->actual_pages, memory_order_relaxed));
}

static int balloon_restore(void *dev, struct sk_reader *r, struct sk_error *err)
{
	struct sk_balloon *b = dev;
	uint32_t version = sk_get_u32(r), target, actual;

	if (!sk_reader_ok(r) || version != STATE_VERSION)
		return sk_error_set(err, -EINVAL,
				    "balloon: the saved state has version %u, this one reads %u",
				    version, STATE_VERSION);
	target = sk_get_u32(r);
	actual = sk_get_u32(r);
	if (!sk_reader_ok(r) || target > sk_gmem_size_bytes(b->config.gm) / SK_BALLOON_PAGE_BYTES)
		return sk_error_set(err, -EINVAL,
				    "balloon: the saved state is truncated or impossible");
	atomic_store_explicit(&b->target_pages, target, memory_order_relaxed);
	atomic_store_explicit(&b->actual_pages, actual, memory_order_relaxed);
	return 0;
}

static const struct sk_virtio_ops ops = {
	.start = balloon_start,
	.kick = balloon_kick,
	.quiesce = balloon_quiesce,
	.resume = balloon_resume,
	.config_write = balloon_config_write,
	.save = balloon_save,
	.restore = balloon_restore,
};

struct sk_virtio *sk_balloon_virtio(struct sk_balloon *balloon)
{
	return balloon->virtio;
}

static uint32_t pages_of(const struct sk_balloon *b, uint64_t size_bytes)
{
	uint64_t limit =
		SK_MIN(sk_gmem_size_bytes(b->config.gm), UINT32_MAX * SK_BALLOON_PAGE_BYTES);

	return (uint32_t)(SK_MIN(size_bytes, limit) / SK_BALLOON_PAGE_BYTES);
}

void sk_balloon_set_size(struct sk_balloon *b, uint64_t size_bytes)
{
	uint32_t pages = pages_of(b, size_bytes);
	uint8_t bytes[4];

	sk_store_le32(bytes, pages);
	pthread_mutex_lock(&b->size_lock);
	atomic_store_explicit(&b->target_pages, pages, memory_order_relaxed);
	sk_virtio_config_set(b->virtio, offsetof(struct virtio_balloon_config, num_pages), bytes,
			     sizeof(bytes), true);
	pthread_mutex_unlock(&b->size_lock);
}

static void on_refresh(struct sk_loop *loop, struct sk_loop_post *post)
{
	(void)loop;
	balloon_ask_stats(SK_CONTAINER_OF(post, struct sk_balloon, refresh));
}

void sk_balloon_get_stats(struct sk_balloon *b, bool does_refresh, struct sk_balloon_stats *stats)
{
#define LOAD(field) atomic_load_explicit(&b->field, memory_order_relaxed)
#define STAT(tag)   LOAD(stats[VIRTIO_BALLOON_S_##tag])
	*stats = (struct sk_balloon_stats){
		.target_bytes = LOAD(target_pages) * SK_BALLOON_PAGE_BYTES,
		.actual_bytes = LOAD(actual_pages) * SK_BALLOON_PAGE_BYTES,
		.inflated_bytes = LOAD(inflated_bytes),
		.deflated_bytes = LOAD(deflated_bytes),
		.reported_bytes = LOAD(reported_bytes),
		.bad_requests = LOAD(bad_requests),
		.swap_in_bytes = STAT(SWAP_IN),
		.swap_out_bytes = STAT(SWAP_OUT),
		.major_faults = STAT(MAJFLT),
		.minor_faults = STAT(MINFLT),
		.free_bytes = STAT(MEMFREE),
		.total_bytes = STAT(MEMTOT),
		.available_bytes = STAT(AVAIL),
		.cache_bytes = STAT(CACHES),
	};
#undef STAT
#undef LOAD
	if (does_refresh)
		sk_loop_post(b->config.loop, &b->refresh);
}

static int create_core(struct sk_balloon *b, struct sk_error *err)
{
	static const uint16_t sizes[NR_QUEUES] = {QUEUE_ENTRIES, QUEUE_ENTRIES, 16, QUEUE_ENTRIES};
	struct virtio_balloon_config space = {
		.num_pages = SK_LE32(atomic_load_explicit(&b->target_pages, memory_order_relaxed)),
	};
	struct sk_virtio_config config = {
		.device_id = VIRTIO_ID_BALLOON,
		.features = FEATURE(STATS_VQ),
		.nr_queues = 3,
		.queue_sizes = sizes,
		.config_bytes = offsetof(struct virtio_balloon_config, actual) + 4,
		.config_space = &space,
		.gm = b->config.gm,
		.loop = b->config.loop,
		.ops = &ops,
		.dev = b,
		.log = b->config.log,
	};

	if (b->config.has_deflate_on_oom)
		config.features |= FEATURE(DEFLATE_ON_OOM);
	if (b->config.has_reporting) {
		config.features |= FEATURE(REPORTING);
		config.nr_queues++;
	}
	return sk_virtio_create(&b->virtio, &config, err);
}

int sk_balloon_create(struct sk_balloon **out, const struct sk_balloon_config *config,
		      struct sk_error *err)
{
	struct sk_balloon *b = calloc(1, sizeof(*b));
	int ret;

	if (!b)
		return sk_error_set(err, -ENOMEM, "no memory for a balloon");
	b->config = *config;
	b->refresh.run = on_refresh;
	memset(b->index_of, 0xff, sizeof(b->index_of));
	for (unsigned i = 0; i < NR_STATS; i++)
		atomic_store_explicit(&b->stats[i], UINT64_MAX, memory_order_relaxed);
	atomic_store_explicit(&b->target_pages, pages_of(b, config->size_bytes),
			      memory_order_relaxed);
	pthread_mutex_init(&b->size_lock, NULL);
	ret = create_core(b, err);
	if (ret) {
		sk_balloon_destroy(b);
		return ret;
	}
	*out = b;
	return 0;
}

void sk_balloon_destroy(struct sk_balloon *b)
{
	if (!b)
		return;
	sk_virtio_destroy(b->virtio);
	pthread_mutex_destroy(&b->size_lock);
	free(b);
}
