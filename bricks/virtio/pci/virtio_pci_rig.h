/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * For the tests of this brick: a machine with a PCI bus and on it a device that uses up what it
 * gets. One thread is guest, device and loop.
 */
#ifndef SKETE_VIRTIO_PCI_RIG_H
#define SKETE_VIRTIO_PCI_RIG_H

#include <fake_msi.h>
#include <guest_ring.h>
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>

#include <skete/virtio/pci.h>

#define RIG_ECAM	 UINT64_C(0xe0000000)
#define RIG_LOW		 UINT64_C(0xc0000000)
#define RIG_LOW_BYTES	 (16 * SK_MIB)
#define RIG_SLOT	 1
#define RIG_QUEUES	 2
#define RIG_CONFIG_BYTES 12
#define RIG_MEMORY_BYTES (4 * SK_MIB)

/* The BAR, as the header draws it. */
#define RIG_ISR		 0x1000
#define RIG_DEVICE	 0x2000
#define RIG_NOTIFY	 0x3000
#define RIG_TABLE	 0x4000
#define RIG_PBA		 0x6000
#define RIG_BAR_BYTES	 0x8000

struct rig {
	struct sk_loop *loop;
	struct sk_gmem *gm;
	struct sk_bus *pio, *mmio;
	struct fake_msi msi;
	struct sk_pci *pci;
	struct sk_virtio *virtio;
	struct sk_virtio_pci *vp;
	gpa_t doorbells[RIG_QUEUES]; /* attached there; 0: not */
	unsigned nr_kicks, nr_attaches;
	bool refuses_doorbells, refuses_start;
};

static inline int rig_start(void *dev)
{
	struct rig *rig = dev;

	return rig->refuses_start ? -EIO : 0;
}

static inline void rig_kick(void *dev, uint32_t index)
{
	struct rig *rig = dev;
	struct sk_vring *ring = sk_virtio_ring(rig->virtio, index);
	struct sk_vring_chain chain;
	struct iovec iov[8];
	int ret;

	rig->nr_kicks++;
	while ((ret = sk_vring_pop(ring, &chain, iov, 8)) == 1)
		sk_vring_push(ring, &chain, 0);
	if (ret < 0)
		sk_virtio_fail(rig->virtio, index);
	sk_virtio_flush(rig->virtio, index);
}

static inline void rig_quiesce(void *dev, bool is_reset)
{
	struct rig *rig = dev;

	(void)is_reset;
	sk_virtio_quiesced(rig->virtio);
}

static inline void rig_resume(void *dev)
{
	(void)dev;
}

static inline void rig_config_write(void *dev, uint32_t offset, const void *data, uint32_t len)
{
	struct rig *rig = dev;

	sk_virtio_config_set(rig->virtio, offset, data, len, false);
}

static inline void rig_save(void *dev, struct sk_writer *w)
{
	(void)dev;
	(void)w;
}

static inline int rig_restore(void *dev, struct sk_reader *r, struct sk_error *err)
{
	(void)dev;
	(void)r;
	(void)err;
	return 0;
}

static const struct sk_virtio_ops rig_ops = {
	.start = rig_start,
	.kick = rig_kick,
	.quiesce = rig_quiesce,
	.resume = rig_resume,
	.config_write = rig_config_write,
	.save = rig_save,
	.restore = rig_restore,
};

/* KVM: an address has one ioeventfd. */
static inline int rig_attach_doorbell(void *ctx, gpa_t gpa, int fd)
{
	struct rig *rig = ctx;

	if (rig->refuses_doorbells)
		return -ENOSPC;
	for (uint32_t i = 0; i < RIG_QUEUES; i++) {
		BUG_ON(rig->doorbells[i] == gpa);
		if (sk_virtio_doorbell_fd(rig->virtio, i) != fd)
			continue;
		BUG_ON(rig->doorbells[i]);
		rig->doorbells[i] = gpa;
	}
	rig->nr_attaches++;
	return 0;
}

static inline void rig_detach_doorbell(void *ctx, gpa_t gpa, int fd)
{
	struct rig *rig = ctx;

	for (uint32_t i = 0; i < RIG_QUEUES; i++) {
		if (sk_virtio_doorbell_fd(rig->virtio, i) != fd)
			continue;
		BUG_ON(rig->doorbells[i] != gpa);
		rig->doorbells[i] = 0;
		return;
	}
	BUG_ON(true);
}

static inline void rig_open(struct rig *rig)
{
	static const uint16_t sizes[RIG_QUEUES] = {256, 8};
	const struct sk_virtio_config config = {
		.device_id = VIRTIO_ID_RNG,
		.features = SK_VIRTIO_FEATURE(5),
		.nr_queues = RIG_QUEUES,
		.queue_sizes = sizes,
		.config_bytes = RIG_CONFIG_BYTES,
		.gm = rig->gm,
		.loop = rig->loop,
		.ops = &rig_ops,
		.dev = rig,
	};
	const struct sk_pci_config pci = {
		.vendor_id = 0x1b36,
		.device_id = 0x0008,
		.ecam_gpa = RIG_ECAM,
		.low = {RIG_LOW, RIG_LOW_BYTES},
		.msi = &fake_msi_ops,
		.msi_ctx = &rig->msi,
	};
	struct sk_virtio_pci_config vp = {
		.name = "rng",
		.attach_doorbell = rig_attach_doorbell,
		.detach_doorbell = rig_detach_doorbell,
		.ctx = rig,
	};

	memset(&rig->msi, 0, sizeof(rig->msi));
	memset(rig->doorbells, 0, sizeof(rig->doorbells));
	BUG_ON(sk_bus_create(&rig->pio, SK_BUS_PIO_LAST, NULL) != 0);
	BUG_ON(sk_bus_create(&rig->mmio, SK_BUS_MMIO_LAST, NULL) != 0);
	BUG_ON(sk_pci_create(&rig->pci, &pci, NULL) != 0);
	BUG_ON(sk_virtio_create(&rig->virtio, &config, NULL) != 0);
	vp.virtio = rig->virtio;
	vp.pci = rig->pci;
	BUG_ON(sk_virtio_pci_create(&rig->vp, &vp, NULL) != 0);
	BUG_ON(sk_pci_attach(rig->pci, rig->pio, rig->mmio, NULL) != 0);
	BUG_ON(sk_pci_assign(rig->pci, NULL) != 0);
}

static inline void rig_close(struct rig *rig)
{
	sk_virtio_halt(rig->virtio);
	sk_virtio_pci_destroy(rig->vp);
	sk_virtio_destroy(rig->virtio);
	sk_pci_destroy(rig->pci);
	sk_bus_destroy(rig->mmio);
	sk_bus_destroy(rig->pio);
	for (uint32_t i = 0; i < RIG_QUEUES; i++)
		BUG_ON(rig->doorbells[i]);
}

static inline void rig_create(struct rig *rig)
{
	const struct sk_gmem_region_config region = {.size_bytes = RIG_MEMORY_BYTES};
	const struct sk_gmem_config config = {.regions = &region, .nr_regions = 1};
	const struct sk_loop_config loop = {.driver = SK_LOOP_EPOLL};

	memset(rig, 0, sizeof(*rig));
	BUG_ON(sk_gmem_create(&rig->gm, &config, NULL) != 0);
	BUG_ON(sk_loop_create(&rig->loop, &loop, NULL) != 0);
	rig_open(rig);
}

static inline void rig_destroy(struct rig *rig)
{
	rig_close(rig);
	sk_loop_destroy(rig->loop);
	sk_gmem_destroy(rig->gm);
}

static inline void rig_settle(struct rig *rig)
{
	int ret;

	do {
		ret = sk_loop_turn(rig->loop, 0);
		BUG_ON(ret < 0);
	} while (ret);
	for (uint32_t i = 0; i < rig->msi.nr_ids; i++)
		fake_poll(&rig->msi, i);
}

static inline uint64_t rig_get(struct sk_bus *bus, uint64_t addr, unsigned size)
{
	uint8_t raw[8] = {0};

	(void)sk_bus_read(bus, addr, raw, size, 1);
	return sk_load_le64(raw);
}

static inline void rig_put(struct sk_bus *bus, uint64_t addr, unsigned size, uint64_t value)
{
	uint8_t raw[8];

	sk_store_le64(raw, value);
	(void)sk_bus_write(bus, addr, raw, size, 1);
}

#endif
