/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The rings of a pair in the hands of the kernel (Linux, include/uapi/linux/vhost.h): it reads the
 * guest's buffers and the doorbells itself, and the monitor sees no frame.
 */
#include "netif_internal.h"

#include <fcntl.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BIT(n) (UINT64_C(1) << (n))
/* What concerns the rings and the header; the TAP device does the rest. */
#define RING_FEATURES                                                                           \
	(BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_RING_F_EVENT_IDX) | \
	 BIT(VIRTIO_RING_F_INDIRECT_DESC))

int vhost_open(struct tap_queue *q, struct sk_error *err)
{
	uint64_t features = 0;
	int ret;

	q->vhost_fd = open("/dev/vhost-net", O_RDWR | O_CLOEXEC);
	if (q->vhost_fd < 0) {
		ret = -errno;
		return sk_error_set(err, ret, "cannot open /dev/vhost-net: %s%s", strerror(-ret),
				    ret == -ENOENT ? "; 'modprobe vhost_net' may bring it" : "");
	}
	if (ioctl(q->vhost_fd, VHOST_SET_OWNER) ||
	    ioctl(q->vhost_fd, VHOST_GET_FEATURES, &features)) {
		ret = -errno;
		return sk_error_set(err, ret, "/dev/vhost-net refuses its owner: %s",
				    strerror(-ret));
	}
	if (RING_FEATURES & ~features)
		return sk_error_set(err, -ENOTSUP, "this host's vhost-net is too old");
	return 0;
}

void vhost_close(struct tap_queue *q)
{
	sk_close(&q->vhost_fd);
}

static int set_memory(int fd, const struct sk_gmem *gm)
{
	size_t nr = sk_gmem_nr_regions(gm);
	struct vhost_memory *memory = calloc(1, sizeof(*memory) + nr * sizeof(memory->regions[0]));
	int ret;

	if (!memory)
		return -ENOMEM;
	memory->nregions = (uint32_t)nr;
	for (size_t i = 0; i < nr; i++) {
		const struct sk_gmem_region *region = sk_gmem_region_at(gm, i);

		memory->regions[i] = (struct vhost_memory_region){
			.guest_phys_addr = region->gpa,
			.memory_size = region->size_bytes,
			.userspace_addr = (uintptr_t)region->hva,
		};
	}
	ret = ioctl(fd, VHOST_SET_MEM_TABLE, memory) ? -errno : 0;
	free(memory);
	return ret;
}

static int set_ring(int fd, unsigned index, const struct sk_netif_ring *ring,
		    const struct sk_gmem *gm)
{
	const uint64_t size = ring->size;
	const struct vhost_vring_addr addr = {
		.index = index,
		.desc_user_addr = (uintptr_t)sk_gmem_slice(gm, ring->desc, 16 * size),
		.avail_user_addr = (uintptr_t)sk_gmem_slice(gm, ring->driver, 6 + 2 * size),
		.used_user_addr = (uintptr_t)sk_gmem_slice(gm, ring->device, 6 + 8 * size),
	};
	const struct vhost_vring_state num = {.index = index, .num = ring->size};
	const struct vhost_vring_state base = {.index = index, .num = ring->next_avail};
	const struct vhost_vring_file kick = {.index = index, .fd = ring->kick_fd};
	const struct vhost_vring_file call = {.index = index, .fd = ring->call_fd};

	if (!addr.desc_user_addr || !addr.avail_user_addr || !addr.used_user_addr)
		return -EFAULT;
	if (ioctl(fd, VHOST_SET_VRING_NUM, &num) || ioctl(fd, VHOST_SET_VRING_BASE, &base) ||
	    ioctl(fd, VHOST_SET_VRING_ADDR, &addr) || ioctl(fd, VHOST_SET_VRING_KICK, &kick) ||
	    ioctl(fd, VHOST_SET_VRING_CALL, &call))
		return -errno;
	return 0;
}

static int set_backend(int fd, unsigned index, int tap_fd)
{
	const struct vhost_vring_file file = {.index = index, .fd = tap_fd};

	return ioctl(fd, VHOST_NET_SET_BACKEND, &file) ? -errno : 0;
}

int vhost_ring_start(struct sk_netif *nif, unsigned pair, const struct sk_netif_ring rings[2],
		     const struct sk_gmem *gm, uint64_t features)
{
	struct tap_queue *q = &SK_CONTAINER_OF(nif, struct tap, nif)->queues[pair];
	int ret;

	BUG_ON(q->vhost_fd < 0 || q->is_vhost_running);
	features &= RING_FEATURES;
	ret = ioctl(q->vhost_fd, VHOST_SET_FEATURES, &features) ? -errno : 0;
	if (!ret)
		ret = set_memory(q->vhost_fd, gm);
	for (unsigned i = 0; !ret && i < 2; i++)
		ret = set_ring(q->vhost_fd, i, &rings[i], gm);
	for (unsigned i = 0; !ret && i < 2; i++)
		ret = set_backend(q->vhost_fd, i, q->fd);
	if (!ret) {
		q->is_vhost_running = true;
		return 0;
	}
	for (unsigned i = 0; i < 2; i++)
		(void)set_backend(q->vhost_fd, i, -1);
	return ret;
}

int vhost_ring_stop(struct sk_netif *nif, unsigned pair, uint16_t next_avail[2])
{
	struct tap_queue *q = &SK_CONTAINER_OF(nif, struct tap, nif)->queues[pair];
	int ret = 0;

	BUG_ON(!q->is_vhost_running);
	for (unsigned i = 0; i < 2; i++) {
		struct vhost_vring_state base = {.index = i};
		const struct vhost_vring_file none = {.index = i, .fd = -1};

		/* Without a back end the kernel leaves the ring alone once this returns. */
		if (set_backend(q->vhost_fd, i, -1) ||
		    ioctl(q->vhost_fd, VHOST_GET_VRING_BASE, &base) ||
		    ioctl(q->vhost_fd, VHOST_SET_VRING_KICK, &none) ||
		    ioctl(q->vhost_fd, VHOST_SET_VRING_CALL, &none))
			ret = -errno;
		next_avail[i] = (uint16_t)base.num;
	}
	q->is_vhost_running = false;
	return ret;
}
