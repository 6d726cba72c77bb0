/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The machine's socket device. */
#include "vm_internal.h"

#include <skete/dev/vsock.h>

static uint32_t count_vsock(const struct sk_vm_config *c)
{
	return c->vsock ? 1 : 0;
}

static int create_vsock(struct machine *m, struct sk_vm *vm, uint32_t index, void **dev,
			struct sk_virtio **virtio, struct sk_error *err)
{
	const struct sk_vsock_config config = {
		.gm = m->gm,
		.loop = m->devices.loop,
		.log = vm->config.log,
		.cid = vm->config.vsock->cid,
		.path = vm->config.vsock->path ? vm->config.vsock->path : "",
	};
	struct sk_vsock *vsock;
	int ret = sk_vsock_create(&vsock, &config, err);

	(void)index;
	if (ret)
		return ret;
	*dev = vsock;
	*virtio = sk_vsock_virtio(vsock);
	return 0;
}

static void destroy_vsock(void *dev)
{
	sk_vsock_destroy(dev);
}

const struct device_kind vsock_kind = {
	.name = "vsock",
	.count = count_vsock,
	.create = create_vsock,
	.destroy = destroy_vsock,
	.outlives_loop = true,
};
