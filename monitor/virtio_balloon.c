/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The machine's memory balloon. */
#include "vm_internal.h"

#include <skete/dev/balloon.h>

static uint32_t count_balloon(const struct sk_vm_config *c)
{
	return c->balloon ? 1 : 0;
}

static int create_balloon(struct machine *m, struct sk_vm *vm, uint32_t index, void **dev,
			  struct sk_virtio **virtio, struct sk_error *err)
{
	const struct sk_vm_balloon *from = vm->config.balloon;
	const struct sk_balloon_config config = {
		.gm = m->gm,
		.loop = m->devices.loop,
		.log = vm->config.log,
		.size_bytes = from->size_bytes,
		.has_deflate_on_oom = !from->keeps_on_oom,
		.has_reporting = !from->has_no_reporting,
	};
	struct sk_balloon *balloon;
	int ret = sk_balloon_create(&balloon, &config, err);

	(void)index;
	if (ret)
		return ret;
	*dev = balloon;
	*virtio = sk_balloon_virtio(balloon);
	return 0;
}

static void destroy_balloon(void *dev)
{
	sk_balloon_destroy(dev);
}

const struct device_kind balloon_kind = {
	.name = "balloon",
	.count = count_balloon,
	.create = create_balloon,
	.destroy = destroy_balloon,
	.outlives_loop = true,
};

/* The device with vm->lock held, or why there is none. */
static int find_locked(struct sk_vm *vm, struct sk_balloon **balloon)
{
	void *dev = NULL;
	int ret = devices_find_locked(vm, &balloon_kind, 0, &dev);

	*balloon = dev;
	return ret;
}

int sk_vm_balloon_set_size(struct sk_vm *vm, uint64_t size_bytes)
{
	struct sk_balloon *balloon;
	int ret;

	pthread_mutex_lock(&vm->lock);
	ret = find_locked(vm, &balloon);
	if (!ret) {
		/* Ours since the copy. */
		((struct sk_vm_balloon *)(uintptr_t)vm->config.balloon)->size_bytes = size_bytes;
		sk_balloon_set_size(balloon, size_bytes);
	}
	pthread_mutex_unlock(&vm->lock);
	return ret;
}

int sk_vm_balloon_get_stats(struct sk_vm *vm, struct sk_vm_balloon_stats *stats)
{
	struct sk_vm_balloon_stats s = {.struct_bytes = SK_MIN(stats->struct_bytes, sizeof(s))};
	struct sk_balloon_stats from;
	struct sk_balloon *balloon;
	int ret;

	pthread_mutex_lock(&vm->lock);
	ret = find_locked(vm, &balloon);
	if (!ret)
		sk_balloon_get_stats(balloon, true, &from);
	pthread_mutex_unlock(&vm->lock);
	if (ret)
		return ret;
	s.target_bytes = from.target_bytes;
	s.actual_bytes = from.actual_bytes;
	s.reported_bytes = from.reported_bytes;
	s.free_bytes = from.free_bytes;
	s.total_bytes = from.total_bytes;
	s.available_bytes = from.available_bytes;
	s.cache_bytes = from.cache_bytes;
	memcpy(stats, &s, s.struct_bytes);
	return 0;
}
