/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Random guests: accesses to ports, ECAM and windows, interrupts of the device, saved states from
 * the input. Four bytes an operation: what, where (two bytes), and a value that is spread out. The
 * fakes abort at what KVM or a device would not survive; at the end the state is saved, restored
 * and saved again.
 */
#include "fake_machine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint32_t values[] = {
	0,	    1,		0x80000000, 0x80000800, 0x80000840, UINT32_MAX,
	FAKE_LOW,   0xfee00000, 0xfee01000, 0xc0010000, 0x6,	    0x80020002,
	0xc0000000, 0x10,	4,	    0x7fffffff,
};

static uint32_t value_of(uint8_t byte)
{
	return values[byte % 16] ^ byte >> 4;
}

static void access_bus(struct sk_bus *bus, uint64_t addr, uint8_t how, uint8_t byte)
{
	const unsigned size_bytes = 1u << (how >> 4 & 3);
	uint8_t raw[8];

	sk_store_le64(raw, value_of(byte) | (uint64_t)value_of((uint8_t)~byte) << 32);
	if (how & 0x40)
		(void)sk_bus_read(bus, addr, raw, size_bytes, 1);
	else
		(void)sk_bus_write(bus, addr, raw, size_bytes, 1);
}

static void check_state(struct fake_machine *m)
{
	uint8_t first[2048], second[2048];
	struct sk_writer a, b;
	struct sk_reader r;

	sk_writer_init(&a, first, sizeof(first));
	sk_pci_save(m->pci, &a);
	sk_reader_init(&r, first, a.len_bytes);
	BUG_ON(!sk_writer_ok(&a) || sk_pci_restore(m->pci, &r, NULL));
	sk_writer_init(&b, second, sizeof(second));
	sk_pci_save(m->pci, &b);
	BUG_ON(a.len_bytes != b.len_bytes || memcmp(first, second, a.len_bytes));
}

static void restore_patched(struct fake_machine *m, uint16_t at, uint8_t byte)
{
	uint8_t raw[2048];
	struct sk_writer w;
	struct sk_reader r;

	sk_writer_init(&w, raw, sizeof(raw));
	sk_pci_save(m->pci, &w);
	raw[at % w.len_bytes] ^= byte;
	sk_reader_init(&r, raw, w.len_bytes);
	(void)!sk_pci_restore(m->pci, &r, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fake_machine m;
	struct sk_reader in;

	fake_machine_create(&m);
	for (; size >= 4; data += 4, size -= 4) {
		const uint16_t where = sk_load_le16(data + 1);
		const uint8_t how = data[0], byte = data[3];

		switch (how & 7) {
		case 0:
			access_bus(m.pio, SK_PCI_PORT + where % SK_PCI_PORTS, how, byte);
			break;
		case 1:
			access_bus(m.mmio, FAKE_ECAM + (where % 3 << 15) + where / 3 % 0x110, how,
				   byte);
			break;
		case 2:
			access_bus(m.mmio, FAKE_ECAM + ((uint64_t)where << 4), how, byte);
			break;
		case 3:
			access_bus(m.mmio, FAKE_LOW + where, how, byte);
			break;
		case 4:
			access_bus(m.mmio, FAKE_HIGH + ((uint64_t)where << 20), how, byte);
			break;
		case 5:
			sk_eventfd_signal(sk_pci_fn_vector_fd(m.fn, where % FAKE_VECTORS));
			fake_poll(&m.msi, where % FAKE_VECTORS);
			break;
		case 6:
			restore_patched(&m, where, byte);
			break;
		default:
			sk_reader_init(&in, data + 4, size - 4);
			(void)!sk_pci_restore(m.pci, &in, NULL);
			if (where & 1)
				sk_pci_fn_window_write(m.fn, where >> 1 & 7, data[3], how >> 3,
						       byte);
			else
				(void)sk_pci_fn_window_read(m.fn, where >> 1 & 7, data[3],
							    how >> 3);
		}
	}
	check_state(&m);
	fake_machine_destroy(&m);
	return 0;
}
