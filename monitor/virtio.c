/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The list of virtio devices, in the order in which the guest finds them. A new device is a folder
 * under bricks/dev/, a kind with its entry here, and an option in monitor/cli/.
 */
#include "vm_internal.h"

#include <skete/dev/console.h>
#include <skete/dev/rng.h>

static uint32_t count_rng(const struct sk_vm_config *c)
{
	return c->rng ? 1 : 0;
}

static int create_rng(struct machine *m, struct sk_vm *vm, uint32_t index, void **dev,
		      struct sk_virtio **virtio, struct sk_error *err)
{
	const struct sk_rng_config config = {
		.gm = m->gm,
		.loop = m->devices.loop,
		.path = vm->config.rng->path,
		.limit = {.bytes_per_s = vm->config.rng->bytes_per_s},
		.log = vm->config.log,
	};
	struct sk_rng *rng;
	int ret = sk_rng_create(&rng, &config, err);

	(void)index;
	if (ret)
		return ret;
	*dev = rng;
	*virtio = sk_rng_virtio(rng);
	return 0;
}

static void destroy_rng(void *dev)
{
	sk_rng_destroy(dev);
}

static const struct device_kind rng_kind = {"rng", count_rng, create_rng, destroy_rng};

static uint32_t count_console(const struct sk_vm_config *c)
{
	return c->virtio_console ? 1 : 0;
}

static int create_console(struct machine *m, struct sk_vm *vm, uint32_t index, void **dev,
			  struct sk_virtio **virtio, struct sk_error *err)
{
	const struct sk_vm_virtio_console *from = vm->config.virtio_console;
	const struct sk_console_port port = {
		.is_console = true, .in_fd = from->in_fd, .out_fd = from->out_fd};
	const struct sk_console_config config = {
		.gm = m->gm,
		.loop = m->devices.loop,
		.ports = &port,
		.nr_ports = 1,
		.columns = from->columns,
		.rows = from->rows,
		.log = vm->config.log,
	};
	struct sk_console *console;
	int ret = sk_console_create(&console, &config, err);

	(void)index;
	if (ret)
		return ret;
	*dev = console;
	*virtio = sk_console_virtio(console);
	return 0;
}

static void destroy_console(void *dev)
{
	sk_console_destroy(dev);
}

static const struct device_kind console_kind = {"console", count_console, create_console,
						destroy_console};

int sk_vm_resize_virtio_console(struct sk_vm *vm, uint16_t columns, uint16_t rows)
{
	void *console;
	int ret;

	pthread_mutex_lock(&vm->lock);
	ret = devices_find_locked(vm, &console_kind, 0, &console);
	if (!ret)
		sk_console_resize(console, columns, rows);
	pthread_mutex_unlock(&vm->lock);
	return ret;
}

int sk_vm_virtio_console_get_stats(struct sk_vm *vm, struct sk_vm_virtio_console_stats *stats)
{
	struct sk_vm_virtio_console_stats s = {.struct_bytes =
						       SK_MIN(stats->struct_bytes, sizeof(s))};
	struct sk_console_stats from = {0};
	void *console;
	int ret;

	pthread_mutex_lock(&vm->lock);
	ret = devices_find_locked(vm, &console_kind, 0, &console);
	if (!ret)
		sk_console_get_stats(console, &from);
	pthread_mutex_unlock(&vm->lock);
	if (ret)
		return ret;
	s.in_bytes = from.in_bytes;
	s.out_bytes = from.out_bytes;
	s.lost_bytes = from.lost_bytes;
	memcpy(stats, &s, s.struct_bytes);
	return 0;
}

int sk_vm_rng_get_stats(struct sk_vm *vm, struct sk_vm_rng_stats *stats)
{
	struct sk_vm_rng_stats s = {.struct_bytes = SK_MIN(stats->struct_bytes, sizeof(s))};
	struct sk_rng_stats from = {0};
	void *rng;
	int ret;

	pthread_mutex_lock(&vm->lock);
	ret = devices_find_locked(vm, &rng_kind, 0, &rng);
	if (!ret)
		sk_rng_get_stats(rng, &from);
	pthread_mutex_unlock(&vm->lock);
	if (ret)
		return ret;
	s.requests = from.requests;
	s.bytes = from.bytes;
	memcpy(stats, &s, s.struct_bytes);
	return 0;
}

const struct device_kind *const device_kinds[] = {
	&block_kind, &net_kind, &vsock_kind, &balloon_kind, &rng_kind, &console_kind,
};

const size_t nr_device_kinds = SK_ARRAY_SIZE(device_kinds);
