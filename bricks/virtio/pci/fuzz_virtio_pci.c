/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Random drivers: accesses to the BAR, to its window in the configuration space and to the rest of
 * that, turns of the device's loop, guest memory, saved states. Four bytes an operation: what,
 * where (two bytes), and a value that is spread out. The fakes abort at what KVM would not survive.
 */
#include "virtio_pci_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint32_t values[] = {
	0,     1,      2,	 3,	   8,	       11,	   15,	       0x20,
	0x100, 0xffff, 0x100000, 0x102000, 0xfee00000, UINT32_MAX, 0xc0000000, 0x80000000,
};

static uint32_t value_of(uint8_t byte)
{
	return values[byte % 16] + (byte >> 4);
}

static void access_bus(struct sk_bus *bus, uint64_t addr, uint8_t how, uint8_t byte)
{
	const unsigned size_bytes = 1u << (how >> 4 & 3);

	if (how & 0x40)
		(void)rig_get(bus, addr, size_bytes);
	else
		rig_put(bus, addr, size_bytes, value_of(byte));
}

/* The steps to a running queue, so that the fuzzer need not find them. */
static void start(struct rig *rig, uint8_t vector)
{
	const uint64_t bar = RIG_LOW;

	rig_put(rig->mmio, RIG_ECAM + (RIG_SLOT << 15) + PCI_COMMAND, 2, 6);
	rig_put(rig->mmio, bar + VIRTIO_PCI_COMMON_STATUS, 1, 0);
	rig_put(rig->mmio, bar + VIRTIO_PCI_COMMON_STATUS, 1, 3);
	rig_put(rig->mmio, bar + VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	rig_put(rig->mmio, bar + VIRTIO_PCI_COMMON_GF, 4, 1);
	rig_put(rig->mmio, bar + VIRTIO_PCI_COMMON_STATUS, 1, 11);
	rig_put(rig->mmio, bar + VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	rig_put(rig->mmio, bar + VIRTIO_PCI_COMMON_Q_MSIX, 2, vector);
	rig_put(rig->mmio, bar + VIRTIO_PCI_COMMON_Q_SIZE, 2, 8);
	rig_put(rig->mmio, bar + VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0x100000);
	rig_put(rig->mmio, bar + VIRTIO_PCI_COMMON_Q_AVAILLO, 4, 0x101000);
	rig_put(rig->mmio, bar + VIRTIO_PCI_COMMON_Q_USEDLO, 4, 0x102000);
	rig_put(rig->mmio, bar + VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	rig_put(rig->mmio, bar + VIRTIO_PCI_COMMON_STATUS, 1, 15);
}

static void restore_patched(struct rig *rig, uint16_t at, uint8_t byte)
{
	uint8_t raw[256];
	struct sk_writer w;
	struct sk_reader r;

	sk_writer_init(&w, raw, sizeof(raw));
	sk_virtio_pci_save(rig->vp, &w);
	BUG_ON(!sk_writer_ok(&w));
	raw[at % w.len_bytes] ^= byte;
	sk_reader_init(&r, raw, w.len_bytes);
	if (sk_virtio_pci_restore(rig->vp, &r, NULL) == 0) {
		uint8_t again[256];

		sk_writer_init(&w, again, sizeof(again));
		sk_virtio_pci_save(rig->vp, &w);
		BUG_ON(memcmp(raw, again, w.len_bytes) != 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig rig;

	rig_create(&rig);
	for (; size >= 4; data += 4, size -= 4) {
		const uint16_t where = sk_load_le16(data + 1);
		const uint8_t how = data[0], byte = data[3];
		const uint64_t ecam = RIG_ECAM + (RIG_SLOT << 15);

		switch (how & 7) {
		case 0:
			access_bus(rig.mmio, RIG_LOW + where % RIG_BAR_BYTES, how, byte);
			break;
		case 1:
			access_bus(rig.mmio, RIG_LOW + where % 64, how, byte);
			break;
		case 2:
			access_bus(rig.mmio, ecam + where % 0x100, how, byte);
			break;
		case 3:
			rig_put(rig.pio, 0xcf8, 4, 0x80000000 | RIG_SLOT << 11 | (where & 0xfc));
			access_bus(rig.pio, 0xcfc + (where >> 8) % 4, how, byte);
			break;
		case 4:
			rig_settle(&rig);
			break;
		case 5:
			start(&rig, byte);
			break;
		case 6:
			restore_patched(&rig, where, byte);
			break;
		default:
			/* The rings of start(). */
			BUG_ON(sk_gmem_write(rig.gm, 0x100000 + where % 0x2100, &byte, 1) != 0);
			rig_put(rig.mmio, RIG_LOW + RIG_NOTIFY, 2, 0);
		}
	}
	rig_settle(&rig);
	rig_destroy(&rig);
	return 0;
}
