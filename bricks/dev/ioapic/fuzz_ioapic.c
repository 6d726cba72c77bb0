/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Random programs of guest, devices and host against the IOAPIC's invariants: a pin is connected
 * exactly while it is unmasked, to the message of its entry, and no edge is ever lost. The input
 * is a list of operations, three bytes each and data behind some.
 */
#include "fake_kvm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MASKED	   UINT64_C(0x10000)
#define LEVEL	   UINT64_C(0x8000)
#define REMOTE_IRR UINT64_C(0x4000)
#define NR_DEVICES 4 /* on pins 0 to 3 */

struct world {
	struct fake_kvm kvm;
	struct sk_ioapic *io;
	int fds[NR_DEVICES];
	bool is_attached[NR_DEVICES], has_edge[NR_DEVICES]; /* signalled since it last arrived */
	struct sk_reader in;
};

static uint64_t entry_of(struct world *w, unsigned int pin)
{
	uint64_t select = sk_ioapic_ops.read(w->io, 0x00, 4), entry;

	sk_ioapic_ops.write(w->io, 0x00, 4, 0x10 + 2 * pin);
	entry = sk_ioapic_ops.read(w->io, 0x10, 4);
	sk_ioapic_ops.write(w->io, 0x00, 4, 0x11 + 2 * pin);
	entry |= sk_ioapic_ops.read(w->io, 0x10, 4) << 32;
	sk_ioapic_ops.write(w->io, 0x00, 4, select);
	return entry;
}

static void check_device(struct world *w, unsigned int pin, uint64_t entry)
{
	bool is_open = w->is_attached[pin] && !(entry & MASKED);

	if (w->kvm.arrived[pin])
		w->has_edge[pin] = false;
	w->kvm.arrived[pin] = 0;
	BUG_ON(is_open && w->has_edge[pin]);
	BUG_ON(is_open != (w->kvm.fds[pin] >= 0));
	if (!is_open)
		return;
	BUG_ON(w->kvm.fds[pin] != w->fds[pin] || !w->kvm.has_route[pin]);
	BUG_ON((w->kvm.routes[pin].data & 0x7ff) != (entry & 0x7ff));
	BUG_ON(w->kvm.routes[pin].address >> 12 != (0xfee00 | entry >> 56));
}

static void check(struct world *w)
{
	BUG_ON(w->kvm.lost);
	for (unsigned int pin = 0; pin < SK_IOAPIC_NR_PINS; pin++) {
		uint64_t entry = entry_of(w, pin);

		BUG_ON(entry & UINT64_C(0x00fffffffffe1000));
		BUG_ON((entry & REMOTE_IRR) && !(entry & LEVEL));
		if (pin < NR_DEVICES)
			check_device(w, pin, entry);
	}
}

static size_t save_then_restore(struct world *w, uint8_t *buf, size_t size)
{
	struct sk_writer out;
	struct sk_reader in;

	sk_writer_init(&out, buf, size);
	sk_ioapic_save(w->io, &out);
	BUG_ON(!sk_writer_ok(&out));
	sk_reader_init(&in, buf, out.len_bytes);
	BUG_ON(sk_ioapic_restore(w->io, &in, NULL));
	BUG_ON(in.pos_bytes != out.len_bytes);
	return out.len_bytes;
}

static void save_and_restore(struct world *w)
{
	uint8_t first[256], second[256];
	size_t len;

	/* Once before: a line that nobody heard so far is tried again by a restore. */
	(void)save_then_restore(w, first, sizeof(first));
	len = save_then_restore(w, first, sizeof(first));
	BUG_ON(save_then_restore(w, second, sizeof(second)) != len || memcmp(first, second, len));
}

static void toggle_device(struct world *w, unsigned int i)
{
	if (w->is_attached[i])
		BUG_ON(sk_ioapic_detach(w->io, i));
	else
		BUG_ON(sk_ioapic_attach(w->io, i, w->fds[i], w->fds[0], NULL));
	w->is_attached[i] = !w->is_attached[i];
}

static void step(struct world *w)
{
	uint8_t op = sk_get_u8(&w->in), a = sk_get_u8(&w->in), b = sk_get_u8(&w->in);
	unsigned int device = a % NR_DEVICES;

	switch (op % 8) {
	case 0:
		sk_ioapic_ops.write(w->io, a, 1u << (b & 3), sk_get_u64(&w->in));
		break;
	case 1:
		(void)sk_ioapic_ops.read(w->io, a, 1u << (b & 3));
		break;
	case 2: /* a whole register, or the guest would rarely get there */
		sk_ioapic_ops.write(w->io, 0x00, 4, a & 0x3f);
		sk_ioapic_ops.write(w->io, 0x10, 4, sk_get_u32(&w->in));
		break;
	case 3:
		sk_ioapic_eoi(w->io, a);
		break;
	case 4:
		/* Pins 0 to 3 are the devices'. */
		sk_ioapic_set_level(w->io, NR_DEVICES + a % 32, b & 1);
		break;
	case 5:
		w->has_edge[device] = true;
		sk_eventfd_signal(w->fds[device]);
		fake_poll(&w->kvm, device);
		break;
	case 6:
		toggle_device(w, device);
		break;
	default:
		if (b & 1)
			save_and_restore(w);
		else
			(void)!sk_ioapic_restore(w->io, &w->in, NULL);
		w->kvm.send_result = b & 2 ? -EAGAIN : 0;
	}
	check(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w;
	struct sk_ioapic_config config = fake_kvm_init(&w.kvm);

	w = (struct world){.kvm = w.kvm};
	for (unsigned int i = 0; i < NR_DEVICES; i++)
		w.fds[i] = sk_eventfd_create();
	BUG_ON(sk_ioapic_create(&w.io, &config, NULL));
	sk_reader_init(&w.in, data, size);
	while (sk_reader_ok(&w.in) && w.in.pos_bytes < size)
		step(&w);
	sk_ioapic_destroy(w.io);
	for (unsigned int i = 0; i < NR_DEVICES; i++)
		sk_close(&w.fds[i]);
	return 0;
}
