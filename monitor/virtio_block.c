/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The machine's disks: what the configuration says of them, how they are made, limits, growth. */
#include "vm_internal.h"

#include <skete/dev/block.h>
#include <skete/disk.h>

/* The device and what stands behind it. */
struct block_pair {
	struct sk_disk *disk;
	struct sk_block *block;
};

static void free_const(const void *p)
{
	free((void *)(uintptr_t)p);
}

int vm_disks_copy(struct sk_vm_config *config, struct sk_error *err)
{
	const struct sk_vm_disk *from = config->disks;
	size_t nr = config->nr_disks;
	struct sk_vm_disk *to;

	config->disks = NULL;
	config->nr_disks = 0;
	if (nr > DEVICES_MAX)
		return sk_error_set(err, -EINVAL, "%zu disks: a machine has at most %d", nr,
				    DEVICES_MAX);
	if (!nr)
		return 0;
	to = calloc(nr, sizeof(*to));
	if (!to)
		return sk_error_set(err, -ENOMEM, "no memory for the configuration");
	config->disks = to;
	for (size_t i = 0; i < nr; i++) {
		to[i] = from[i];
		to[i].path = from[i].path ? strdup(from[i].path) : NULL;
		to[i].id = from[i].id ? strdup(from[i].id) : NULL;
		config->nr_disks++;
		if (!from[i].path)
			return sk_error_set(err, -EINVAL, "disk %zu has no path", i);
		if (!to[i].path || (from[i].id && !to[i].id))
			return sk_error_set(err, -ENOMEM, "no memory for the configuration");
	}
	return 0;
}

void vm_disks_free(struct sk_vm_config *config)
{
	for (size_t i = 0; i < config->nr_disks; i++) {
		free_const(config->disks[i].path);
		free_const(config->disks[i].id);
	}
	free_const(config->disks);
	config->disks = NULL;
	config->nr_disks = 0;
}

static uint32_t count_disks(const struct sk_vm_config *c)
{
	return (uint32_t)c->nr_disks;
}

static void destroy_block(void *dev)
{
	struct block_pair *pair = dev;

	sk_block_destroy(pair->block);
	sk_disk_close(pair->disk);
	free(pair);
}

static int open_disk(struct machine *m, struct sk_vm *vm, const struct sk_vm_disk *disk,
		     struct sk_disk **out, struct sk_error *err)
{
	static const enum sk_disk_format formats[] = {
		[SK_VM_DISK_AUTO] = SK_DISK_AUTO,
		[SK_VM_DISK_RAW] = SK_DISK_RAW,
		[SK_VM_DISK_QCOW2] = SK_DISK_QCOW2,
	};
	struct sk_disk_config config = {
		.path = disk->path,
		.is_read_only = disk->is_read_only,
		.is_direct = disk->is_direct,
		.has_backing = disk->has_backing,
		.loop = m->devices.loop,
		.log = vm->config.log,
	};

	if ((unsigned int)disk->format > SK_VM_DISK_QCOW2)
		return sk_error_set(err, -EINVAL, "the disk %s has an unknown format", disk->path);
	config.format = formats[disk->format];
	return sk_disk_open(out, &config, err);
}

static int refresh(void *dev)
{
	const struct block_pair *pair = dev;

	return sk_block_refresh(pair->block);
}

static struct sk_limiter_config limit_of(const struct sk_vm_disk *disk)
{
	return (struct sk_limiter_config){
		.bytes_per_s = disk->bytes_per_s,
		.ops_per_s = disk->ops_per_s,
	};
}

static int create_block(struct machine *m, struct sk_vm *vm, uint32_t index, void **dev,
			struct sk_virtio **virtio, struct sk_error *err)
{
	const struct sk_vm_disk *disk = &vm->config.disks[index];
	struct sk_block_config config = {
		.gm = m->gm,
		.loop = m->devices.loop,
		.serial = disk->id,
		.nr_queues = disk->queues,
		.limit = limit_of(disk),
		.log = vm->config.log,
	};
	struct block_pair *pair = calloc(1, sizeof(*pair));
	int ret;

	if (!pair)
		return sk_error_set(err, -ENOMEM, "no memory for a disk");
	ret = open_disk(m, vm, disk, &pair->disk, err);
	config.disk = pair->disk;
	if (!ret)
		ret = sk_block_create(&pair->block, &config, err);
	if (ret) {
		destroy_block(pair);
		return ret;
	}
	*dev = pair;
	*virtio = sk_block_virtio(pair->block);
	return 0;
}

const struct device_kind block_kind = {
	.name = "disk",
	.count = count_disks,
	.create = create_block,
	.destroy = destroy_block,
};

/* The disk with vm->lock held, or why there is none. */
static int find_locked(struct sk_vm *vm, uint32_t index, struct block_pair **pair)
{
	void *dev = NULL;
	int ret = devices_find_locked(vm, &block_kind, index, &dev);

	*pair = dev;
	return ret;
}

int sk_vm_disk_set_limits(struct sk_vm *vm, uint32_t index, uint64_t bytes_per_s,
			  uint64_t ops_per_s)
{
	struct block_pair *pair;
	int ret;

	pthread_mutex_lock(&vm->lock);
	ret = find_locked(vm, index, &pair);
	if (!ret) {
		/* Ours since the copy. */
		struct sk_vm_disk *disk = (void *)(uintptr_t)&vm->config.disks[index];
		struct sk_limiter_config limit;

		disk->bytes_per_s = bytes_per_s;
		disk->ops_per_s = ops_per_s;
		limit = limit_of(disk);
		sk_block_change_limit(pair->block, &limit);
	}
	pthread_mutex_unlock(&vm->lock);
	return ret;
}

int sk_vm_disk_refresh(struct sk_vm *vm, uint32_t index)
{
	struct block_pair *pair;
	int ret;

	pthread_mutex_lock(&vm->lock);
	ret = find_locked(vm, index, &pair);
	if (!ret)
		ret = devices_call_locked(vm, refresh, pair);
	pthread_mutex_unlock(&vm->lock);
	return ret;
}

int sk_vm_disk_get_stats(struct sk_vm *vm, uint32_t index, struct sk_vm_disk_stats *stats)
{
	struct sk_vm_disk_stats s = {.struct_bytes = SK_MIN(stats->struct_bytes, sizeof(s))};
	struct sk_block_stats from;
	struct block_pair *pair;
	int ret;

	pthread_mutex_lock(&vm->lock);
	ret = find_locked(vm, index, &pair);
	if (!ret)
		sk_block_get_stats(pair->block, &from);
	pthread_mutex_unlock(&vm->lock);
	if (ret)
		return ret;
	s.reads = from.reads;
	s.read_bytes = from.read_bytes;
	s.writes = from.writes;
	s.written_bytes = from.written_bytes;
	s.flushes = from.flushes;
	s.discards = from.discards;
	s.zeroes = from.zeroes;
	s.errors = from.errors;
	s.bad = from.bad;
	s.throttled = from.throttled;
	memcpy(stats, &s, s.struct_bytes);
	return 0;
}
