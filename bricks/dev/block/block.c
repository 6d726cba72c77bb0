/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The block device: virtio 1.2, 5.2. Its life and its configuration space. */
#include "block_internal.h"

#define STATE_VERSION 1

_Static_assert(offsetof(struct virtio_blk_config, wce) == 32, "5.2.4");
_Static_assert(SK_BLOCK_MAX_QUEUES <= 64, "a bit each in unflushed");

static void work_all(struct sk_block *block)
{
	for (uint32_t i = 0; i < block->nr_queues; i++)
		block_work(block, i);
}

static void limiter_ready(struct sk_limiter *limiter)
{
	struct sk_block *block = SK_CONTAINER_OF(limiter, struct sk_block, limiter);

	block->is_throttled = false;
	work_all(block);
}

/* 5.2.5.2: without FLUSH, or with the cache switched off, a write is durable when it is done. */
static void set_cache(struct sk_block *block)
{
	if (sk_virtio_has(block->virtio, VIRTIO_BLK_F_CONFIG_WCE))
		block->is_writethrough = !block->space.wce;
	else
		block->is_writethrough = !sk_virtio_has(block->virtio, VIRTIO_BLK_F_FLUSH);
}

static int block_start(void *dev)
{
	struct sk_block *block = dev;

	block->is_quiescing = block->is_throttled = false;
	set_cache(block);
	return 0;
}

static void block_kick(void *dev, uint32_t index)
{
	block_work(dev, index);
}

static void settled(struct sk_disk_request *request, int result)
{
	struct sk_block *block = SK_CONTAINER_OF(request, struct sk_block, settle);

	/* A flush that failed is told to whoever flushes next. */
	(void)result;
	sk_virtio_quiesced(block->virtio);
}

void block_is_idle(struct sk_block *block)
{
	block->settle = (struct sk_disk_request){.done = settled, .op = SK_DISK_SETTLE};
	sk_disk_submit(block->disk, &block->settle);
}

static void block_quiesce(void *dev, bool is_reset)
{
	struct sk_block *block = dev;

	(void)is_reset; /* what is in flight cannot be cancelled: it ends soon */
	block->is_quiescing = true;
	block->is_throttled = false;
	sk_limiter_forget(&block->limiter);
	if (!block->nr_in_flight)
		block_is_idle(block);
}

static void block_resume(void *dev)
{
	struct sk_block *block = dev;

	block->is_quiescing = false;
}

static void block_config_write(void *dev, uint32_t offset_bytes, const void *data,
			       uint32_t len_bytes)
{
	struct sk_block *block = dev;
	uint8_t wce;

	if (offset_bytes != offsetof(struct virtio_blk_config, wce) || len_bytes != 1 ||
	    !sk_virtio_has(block->virtio, VIRTIO_BLK_F_CONFIG_WCE))
		return;
	memcpy(&wce, data, 1);
	block->space.wce = wce & 1;
	sk_virtio_config_set(block->virtio, offset_bytes, &block->space.wce, 1, false);
	set_cache(block);
}

/* The core saves the space; it is read back from there. */
static void block_save(void *dev, struct sk_writer *w)
{
	const struct sk_block *block = dev;

	sk_put_u32(w, STATE_VERSION);
	sk_put_u8(w, block->space.wce);
}

static int block_restore(void *dev, struct sk_reader *r, struct sk_error *err)
{
	struct sk_block *block = dev;
	uint32_t version = sk_get_u32(r);
	uint8_t wce = sk_get_u8(r);

	if (!sk_reader_ok(r) || version != STATE_VERSION || wce > 1)
		return sk_error_set(err, -EINVAL,
				    "block: the saved state is cut off, broken, or of version %u",
				    version);
	block->space.wce = wce;
	/* This disk's size counts, not that of the one which was saved. */
	sk_virtio_config_set(block->virtio, 0, &block->space, sizeof(block->space), false);
	set_cache(block);
	return 0;
}

static const struct sk_virtio_ops block_ops = {
	.start = block_start,
	.kick = block_kick,
	.quiesce = block_quiesce,
	.resume = block_resume,
	.config_write = block_config_write,
	.save = block_save,
	.restore = block_restore,
};

static uint64_t features_of(const struct sk_disk_info *info, uint32_t nr_queues)
{
	uint64_t f =
		SK_VIRTIO_FEATURE(VIRTIO_BLK_F_SEG_MAX) | SK_VIRTIO_FEATURE(VIRTIO_BLK_F_BLK_SIZE) |
		SK_VIRTIO_FEATURE(VIRTIO_BLK_F_TOPOLOGY) | SK_VIRTIO_FEATURE(VIRTIO_BLK_F_FLUSH);

	if (nr_queues > 1)
		f |= SK_VIRTIO_FEATURE(VIRTIO_BLK_F_MQ);
	if (info->is_read_only)
		return f | SK_VIRTIO_FEATURE(VIRTIO_BLK_F_RO);
	f |= SK_VIRTIO_FEATURE(VIRTIO_BLK_F_CONFIG_WCE) |
	     SK_VIRTIO_FEATURE(VIRTIO_BLK_F_WRITE_ZEROES);
	if (info->has_discard)
		f |= SK_VIRTIO_FEATURE(VIRTIO_BLK_F_DISCARD);
	return f;
}

static void fill_space(struct virtio_blk_config *c, const struct sk_disk_info *info,
		       const struct sk_block_config *config)
{
	uint32_t unit_sectors = SK_MAX(info->unit_bytes, info->block_bytes) / SK_DISK_SECTOR_BYTES;
	uint32_t physical = SK_MAX(info->block_bytes, 4096u);

	*c = (struct virtio_blk_config){
		.capacity = SK_LE64(info->size_bytes / SK_DISK_SECTOR_BYTES),
		.seg_max = SK_LE32(SK_MIN(SEG_MAX, config->queue_size - 2u)),
		.blk_size = SK_LE32(info->block_bytes),
		.physical_block_exp = (uint8_t)__builtin_ctz(physical / info->block_bytes),
		.min_io_size = SK_LE16((uint16_t)(physical / info->block_bytes)),
		.opt_io_size = SK_LE32(0),
		.wce = 1,
		.num_queues = SK_LE16((uint16_t)config->nr_queues),
		.max_discard_sectors = SK_LE32(MAX_RANGE_SECTORS),
		.max_discard_seg = SK_LE32(MAX_RANGES),
		.discard_sector_alignment = SK_LE32(unit_sectors),
		.max_write_zeroes_sectors = SK_LE32(MAX_RANGE_SECTORS),
		.max_write_zeroes_seg = SK_LE32(MAX_RANGES),
		.write_zeroes_may_unmap = 1,
	};
}

static int make_pool(struct sk_block *block, uint32_t nr)
{
	block->requests = calloc(nr, sizeof(*block->requests));
	if (!block->requests)
		return -ENOMEM;
	for (uint32_t i = nr; i-- > 0;) {
		block->requests[i].block = block;
		block->requests[i].next_free = block->free;
		block->free = &block->requests[i];
	}
	return 0;
}

static int check(const struct sk_block_config *c, struct sk_error *err)
{
	if (c->nr_queues > SK_BLOCK_MAX_QUEUES)
		return sk_error_set(err, -EINVAL, "%u queues: a disk has at most %d", c->nr_queues,
				    SK_BLOCK_MAX_QUEUES);
	if (c->queue_size < 4 || c->queue_size > SK_BLOCK_MAX_QUEUE_SIZE ||
	    c->queue_size & (c->queue_size - 1))
		return sk_error_set(err, -EINVAL,
				    "%u entries: a queue of a disk has 4 to %d, a power of two",
				    c->queue_size, SK_BLOCK_MAX_QUEUE_SIZE);
	return 0;
}

static int create_core(struct sk_block *block, const struct sk_block_config *c,
		       struct sk_error *err)
{
	const struct sk_disk_info *info = sk_disk_info(c->disk);
	uint16_t sizes[SK_BLOCK_MAX_QUEUES];
	const struct sk_virtio_config config = {
		.device_id = VIRTIO_ID_BLOCK,
		.features = features_of(info, c->nr_queues),
		.nr_queues = c->nr_queues,
		.queue_sizes = sizes,
		.config_bytes = sizeof(block->space),
		.config_space = &block->space,
		.gm = c->gm,
		.loop = c->loop,
		.ops = &block_ops,
		.dev = block,
		.log = c->log,
	};

	for (uint32_t i = 0; i < c->nr_queues; i++)
		sizes[i] = c->queue_size;
	fill_space(&block->space, info, c);
	return sk_virtio_create(&block->virtio, &config, err);
}

int sk_block_create(struct sk_block **out, const struct sk_block_config *config,
		    struct sk_error *err)
{
	struct sk_block_config c = *config;
	struct sk_block *block;
	int ret;

	c.nr_queues = c.nr_queues ? c.nr_queues : 1;
	c.queue_size = c.queue_size ? c.queue_size : SK_BLOCK_DEFAULT_QUEUE_SIZE;
	ret = check(&c, err);
	if (ret)
		return ret;
	block = calloc(1, sizeof(*block));
	if (!block)
		return sk_error_set(err, -ENOMEM, "no memory for a block device");
	block->disk = c.disk;
	block->loop = c.loop;
	block->nr_queues = c.nr_queues;
	block->flush_timer.fire = block_flush_timer;
	if (c.serial)
		memcpy(block->serial, c.serial, strnlen(c.serial, sizeof(block->serial)));
	sk_limiter_init(&block->limiter, c.loop, &c.limit, limiter_ready);
	ret = make_pool(block, c.nr_queues * c.queue_size);
	if (ret)
		sk_error_set(err, ret, "no memory for the requests of a block device");
	else
		ret = create_core(block, &c, err);
	if (ret) {
		sk_block_destroy(block);
		return ret;
	}
	*out = block;
	return 0;
}

void sk_block_destroy(struct sk_block *block)
{
	if (!block)
		return;
	BUG_ON(block->nr_in_flight);
	sk_virtio_destroy(block->virtio);
	if (sk_loop_timer_is_set(&block->flush_timer))
		sk_loop_timer_clear(block->loop, &block->flush_timer);
	sk_limiter_fini(&block->limiter);
	free(block->requests);
	free(block);
}

struct sk_virtio *sk_block_virtio(const struct sk_block *block)
{
	return block->virtio;
}

int sk_block_refresh(struct sk_block *block)
{
	int ret = sk_disk_refresh(block->disk);
	uint64_t sectors = sk_disk_info(block->disk)->size_bytes / SK_DISK_SECTOR_BYTES;

	if (ret || block->space.capacity == SK_LE64(sectors))
		return ret;
	block->space.capacity = SK_LE64(sectors);
	sk_virtio_config_set(block->virtio, offsetof(struct virtio_blk_config, capacity),
			     &block->space.capacity, sizeof(block->space.capacity), true);
	return 0;
}

void sk_block_change_limit(struct sk_block *block, const struct sk_limiter_config *limit)
{
	sk_limiter_change(&block->limiter, limit);
}

static uint64_t get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

void sk_block_get_stats(const struct sk_block *block, struct sk_block_stats *stats)
{
	*stats = (struct sk_block_stats){
		.reads = get(&block->reads),
		.read_bytes = get(&block->read_bytes),
		.writes = get(&block->writes),
		.written_bytes = get(&block->written_bytes),
		.flushes = get(&block->flushes),
		.discards = get(&block->discards),
		.zeroes = get(&block->zeroes),
		.errors = get(&block->errors),
		.bad = get(&block->bad),
		.throttled = get(&block->throttled),
	};
}
