/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * What the files of this brick share.
 *
 *   virtio_pci.c  the object, its capabilities, interrupts, doorbells, state
 *   registers.c   the BAR, and the access to it through the configuration space
 */
#ifndef SKETE_VIRTIO_PCI_INTERNAL_H
#define SKETE_VIRTIO_PCI_INTERNAL_H

#include <linux/virtio_pci.h>
#include <stdatomic.h>

#include <skete/virtio/pci.h>

#define BAR		  0
#define BAR_BYTES	  UINT64_C(0x8000)
#define COMMON_OFFSET	  0x0000
#define ISR_OFFSET	  0x1000
#define DEVICE_OFFSET	  0x2000
#define NOTIFY_OFFSET	  0x3000
#define TABLE_OFFSET	  0x4000
#define PBA_OFFSET	  0x6000
#define REGION_BYTES	  0x1000 /* of each of the first four */
#define NOTIFY_MULTIPLIER 4
#define COMMON_BYTES	  sizeof(struct virtio_pci_common_cfg)

#define ISR_QUEUE	  0x01
#define ISR_CONFIG	  0x02
#define NO_VECTOR	  VIRTIO_MSI_NO_VECTOR

_Static_assert(SK_VIRTIO_MAX_QUEUES *NOTIFY_MULTIPLIER <= REGION_BYTES, "doorbells fit");
_Static_assert((SK_VIRTIO_MAX_QUEUES + 1) * 16 <= PBA_OFFSET - TABLE_OFFSET, "vectors fit");

struct sk_virtio_pci {
	struct sk_virtio_pci_config config; /* immutable, as is what follows */
	struct sk_pci_fn *fn;
	uint32_t nr_queues;
	uint16_t nr_vectors;
	unsigned window_cap; /* of 4.1.4.9 */

	/* protected by the lock of the bus, as is the BAR's address */
	gpa_t doorbells_gpa;			       /* SK_PCI_UNMAPPED: nowhere */
	uint64_t doorbells[SK_VIRTIO_MAX_QUEUES / 64]; /* attached */

	/* A driver that selects on two CPUs at once gets what it deserves: relaxed. */
	_Atomic uint32_t device_feature_select, driver_feature_select;
	_Atomic uint16_t queue_select;
	/* Read by the loop's thread. Each is a vector that exists, or NO_VECTOR. */
	_Atomic uint16_t config_vector, queue_vectors[SK_VIRTIO_MAX_QUEUES];
	_Atomic uint8_t isr;
	_Atomic uint64_t bad_accesses;
};

static inline void count_bad(struct sk_virtio_pci *vp)
{
	atomic_fetch_add_explicit(&vp->bad_accesses, 1, memory_order_relaxed);
}

/* registers.c */
uint64_t virtio_pci_bar_read(void *dev, unsigned bar, uint64_t offset, unsigned size_bytes);
void virtio_pci_bar_write(void *dev, unsigned bar, uint64_t offset, unsigned size_bytes,
			  uint64_t value);
void virtio_pci_before_config_read(void *dev, unsigned offset, unsigned size_bytes);
void virtio_pci_after_config_write(void *dev, unsigned offset, unsigned size_bytes);

/* virtio_pci.c: no queue has a vector, nothing is selected, no interrupt is noted. */
void virtio_pci_forget(struct sk_virtio_pci *vp);

#endif
