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
#include <virtio_sink.h>

#include <skete/virtio/pci.h>

#define RIG_ECAM	 UINT64_C(0xe0000000)
#define RIG_LOW		 UINT64_C(0xc0000000)
#define RIG_LOW_BYTES	 (16 * SK_MIB)
#define RIG_SLOT	 1
#define RIG_QUEUES	 2 /* of the sink */
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
	struct virtio_sink sink;
	struct sk_virtio *virtio; /* the sink's */
	struct sk_virtio_pci *vp;
	gpa_t doorbells[RIG_QUEUES]; /* attached there; 0: not */
	unsigned nr_attaches;
	bool refuses_doorbells;
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
	virtio_sink_init(&rig->sink, rig->gm, rig->loop);
	rig->virtio = vp.virtio = rig->sink.virtio;
	vp.pci = rig->pci;
	BUG_ON(sk_virtio_pci_create(&rig->vp, &vp, NULL) != 0);
	BUG_ON(sk_pci_attach(rig->pci, rig->pio, rig->mmio, NULL) != 0);
	BUG_ON(sk_pci_assign(rig->pci, NULL) != 0);
}

static inline void rig_close(struct rig *rig)
{
	sk_virtio_halt(rig->virtio);
	sk_virtio_pci_destroy(rig->vp);
	virtio_sink_fini(&rig->sink);
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
