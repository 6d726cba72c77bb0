/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* For the tests of this brick: a machine with one function, whose device remembers what it is told.
 */
#ifndef SKETE_PCI_FAKE_MACHINE_H
#define SKETE_PCI_FAKE_MACHINE_H

#include <fake_msi.h>

#define FAKE_ECAM      UINT64_C(0xe0000000)
#define FAKE_LOW       UINT64_C(0xc0000000)
#define FAKE_LOW_BYTES (512 * SK_MIB)
#define FAKE_HIGH      (4 * SK_GIB)

struct fake_dev {
	uint64_t bar_bytes[SK_PCI_NR_BARS];
	uint64_t gpa[SK_PCI_NR_BARS]; /* by bar_moved */
	unsigned moves, reads, writes;
	unsigned last_bar, last_size;
	uint64_t last_offset, last_value;
	unsigned config_reads, config_writes;
};

static inline void fake_check(const struct fake_dev *d, unsigned bar, uint64_t offset,
			      unsigned size)
{
	BUG_ON(bar >= SK_PCI_NR_BARS || (size != 1 && size != 2 && size != 4 && size != 8));
	BUG_ON(!sk_range_fits(offset, size, d->bar_bytes[bar]));
}

static inline uint64_t fake_bar_read(void *dev, unsigned bar, uint64_t offset, unsigned size)
{
	struct fake_dev *d = dev;

	fake_check(d, bar, offset, size);
	d->reads++;
	d->last_bar = bar;
	return (uint64_t)bar << 56 | offset;
}

static inline void fake_bar_write(void *dev, unsigned bar, uint64_t offset, unsigned size,
				  uint64_t value)
{
	struct fake_dev *d = dev;

	fake_check(d, bar, offset, size);
	d->writes++;
	d->last_bar = bar;
	d->last_offset = offset;
	d->last_size = size;
	d->last_value = value;
}

static inline void fake_moved(void *dev, unsigned bar, uint64_t gpa)
{
	struct fake_dev *d = dev;

	BUG_ON(bar >= SK_PCI_NR_BARS || !d->bar_bytes[bar] || d->gpa[bar] == gpa);
	d->gpa[bar] = gpa;
	d->moves++;
}

static inline void fake_config_read(void *dev, unsigned offset, unsigned size)
{
	struct fake_dev *d = dev;

	(void)offset, (void)size;
	d->config_reads++;
}

static inline void fake_config_write(void *dev, unsigned offset, unsigned size)
{
	struct fake_dev *d = dev;

	(void)offset, (void)size;
	d->config_writes++;
}

static const struct sk_pci_fn_ops fake_dev_ops = {
	.bar_read = fake_bar_read,
	.bar_write = fake_bar_write,
	.bar_moved = fake_moved,
	.before_config_read = fake_config_read,
	.after_config_write = fake_config_write,
};

struct fake_machine {
	struct fake_msi msi;
	struct fake_dev dev;
	struct sk_bus *pio, *mmio;
	struct sk_pci *pci;
	struct sk_pci_fn *fn; /* slot 1: BAR 0 of 16 KiB, BAR 2 and 3 of 4 GiB, two capabilities */
	int cap;	      /* of 8 bytes; the last 4 are writable */
};

#define FAKE_VECTORS 3
#define FAKE_TABLE   0x1000
#define FAKE_PBA     0x2000

static inline void fake_machine_create(struct fake_machine *m)
{
	const struct sk_pci_config config = {
		.vendor_id = 0x1234,
		.device_id = 0x5678,
		.ecam_gpa = FAKE_ECAM,
		.low = {FAKE_LOW, FAKE_LOW_BYTES},
		.high = {FAKE_HIGH, 64 * SK_GIB},
		.msi = &fake_msi_ops,
		.msi_ctx = &m->msi,
	};
	const struct sk_pci_fn_config fn = {
		.vendor_id = 0x1af4,
		.device_id = 0x1044,
		.subsystem_vendor_id = 0x1af4,
		.subsystem_id = 0x1100,
		.class_code = 0x00ff00,
		.revision = 1,
		.name = "test device",
		.ops = &fake_dev_ops,
		.dev = &m->dev,
	};
	const struct sk_pci_msix_config msix = {
		.bar = 0,
		.table_offset = FAKE_TABLE,
		.pba_offset = FAKE_PBA,
		.nr_vectors = FAKE_VECTORS,
	};
	static const uint8_t body[6] = {1, 2, 3, 4, 5, 6},
			     writable[6] = {0, 0, 0xff, 0xff, 0xff, 0xff};

	memset(m, 0, sizeof(*m));
	for (unsigned bar = 0; bar < SK_PCI_NR_BARS; bar++)
		m->dev.gpa[bar] = SK_PCI_UNMAPPED;
	m->dev.bar_bytes[0] = 0x4000;
	m->dev.bar_bytes[2] = 4 * SK_GIB;
	BUG_ON(sk_bus_create(&m->pio, SK_BUS_PIO_LAST, NULL) != 0);
	BUG_ON(sk_bus_create(&m->mmio, SK_BUS_MMIO_LAST, NULL) != 0);
	BUG_ON(sk_pci_create(&m->pci, &config, NULL) != 0);
	BUG_ON(sk_pci_fn_create(&m->fn, m->pci, &fn, NULL) != 0);
	BUG_ON(sk_pci_fn_add_bar(m->fn, 0, SK_PCI_BAR_32, m->dev.bar_bytes[0], NULL) != 0);
	BUG_ON(sk_pci_fn_add_bar(m->fn, 2, SK_PCI_BAR_64, m->dev.bar_bytes[2], NULL) != 0);
	m->cap = sk_pci_fn_add_capability(m->fn, 9, body, sizeof(body), writable);
	BUG_ON(m->cap < 0);
	BUG_ON(sk_pci_fn_add_msix(m->fn, &msix, NULL) != 0);
	BUG_ON(sk_pci_attach(m->pci, m->pio, m->mmio, NULL) != 0);
	BUG_ON(sk_pci_assign(m->pci, NULL) != 0);
}

static inline void fake_machine_destroy(struct fake_machine *m)
{
	sk_pci_fn_destroy(m->fn);
	sk_pci_destroy(m->pci);
	sk_bus_destroy(m->mmio);
	sk_bus_destroy(m->pio);
}

#endif
