/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The list of virtio devices, in the order in which the guest finds them. A new device is a folder
 * under bricks/dev/, a kind with its entry here, and an option in monitor/cli/.
 */
#include "vm_internal.h"

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

const struct device_kind *const device_kinds[] = {
	&net_kind,
	&rng_kind,
};

const size_t nr_device_kinds = SK_ARRAY_SIZE(device_kinds);
