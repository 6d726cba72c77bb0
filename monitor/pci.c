/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The PCI bus of the machine: where it is, and what the guest is told of it. A machine without
 * devices for it has none.
 *
 *   0xc0000000  512 MiB  memory window; BARs of virtio devices are here, where every guest reaches
 *                        them
 *   0xe0000000    1 MiB  ECAM of bus 0
 *   above RAM   <= 64 GiB memory window for 64-bit BARs; ends where physical addresses do
 *   port 0xcf8  8 ports  configuration mechanism 1
 *
 * The host bridge has no registers of its own, and the ids of the one that QEMU's generic PCI
 * Express host has, which drivers leave alone.
 */
#include "vm_internal.h"

#define ECAM_GPA	   UINT64_C(0xe0000000)
#define LOW_WINDOW_GPA	   UINT64_C(0xc0000000)
#define LOW_WINDOW_BYTES   (512 * SK_MIB)
#define HIGH_WINDOW_ALIGN  SK_GIB
#define HIGH_WINDOW_BYTES  (64 * SK_GIB)
#define BRIDGE_VENDOR_ID   0x1b36
#define BRIDGE_DEVICE_ID   0x0008
#define LEAF_ADDRESS_BITS  0x80000008
#define LEAST_ADDRESS_BITS 36 /* of any x86-64 processor */

_Static_assert(LOW_WINDOW_GPA >= SK_GMEM_X86_HOLE_START, "no window over RAM");
_Static_assert(ECAM_GPA >= LOW_WINDOW_GPA + LOW_WINDOW_BYTES, "no window over ECAM");
_Static_assert(ECAM_GPA + SK_PCI_ECAM_BYTES <= SK_IOAPIC_GPA, "ECAM ends below the IOAPIC");

const struct sk_loader_reserved pci_reserved = {
	.gpa = ECAM_GPA,
	.len_bytes = SK_PCI_ECAM_BYTES,
	.type = SK_LOADER_MEMORY_RESERVED,
};

/* The guest's physical addresses are as wide as the host's. */
static unsigned address_bits(const struct sk_vm *vm)
{
	const struct kvm_cpuid_entry2 *e =
		sk_kvm_cpuid_find(vm->supported_cpuid, LEAF_ADDRESS_BITS, 0);
	unsigned bits = e ? e->eax & 0xff : 0;

	return bits < LEAST_ADDRESS_BITS || bits > 52 ? LEAST_ADDRESS_BITS : bits;
}

static struct sk_pci_window high_window(const struct machine *m)
{
	const struct sk_gmem_region *last = sk_gmem_region_at(m->gm, sk_gmem_nr_regions(m->gm) - 1);
	uint64_t ram_end = SK_MAX(last->gpa + last->size_bytes, SK_GMEM_X86_HOLE_END);
	uint64_t end = UINT64_C(1) << address_bits(m->vm), start;

	if (!sk_align_up(ram_end, HIGH_WINDOW_ALIGN, &start) || start >= end)
		return (struct sk_pci_window){0};
	return (struct sk_pci_window){start, SK_MIN(end - start, HIGH_WINDOW_BYTES)};
}

bool pci_is_wanted(const struct sk_vm_config *config)
{
	return config->transport == SK_VM_TRANSPORT_PCI && devices_count(config) > 0;
}

bool pci_describe(const struct machine *m, struct sk_acpi_pci *acpi)
{
	struct sk_pci_window high = high_window(m);

	*acpi = (struct sk_acpi_pci){
		.ecam_gpa = ECAM_GPA,
		.low_gpa = LOW_WINDOW_GPA,
		.low_bytes = LOW_WINDOW_BYTES,
		.high_gpa = high.gpa,
		.high_bytes = high.len_bytes,
	};
	return pci_is_wanted(&m->vm->config);
}

int pci_create(struct machine *m, const struct sk_log *log, struct sk_error *err)
{
	const struct sk_pci_config config = {
		.vendor_id = BRIDGE_VENDOR_ID,
		.device_id = BRIDGE_DEVICE_ID,
		.ecam_gpa = ECAM_GPA,
		.low = {LOW_WINDOW_GPA, LOW_WINDOW_BYTES},
		.high = high_window(m),
		.msi = &irqchip_msi_ops,
		.msi_ctx = m,
		.log = log,
	};
	int ret;

	if (!pci_is_wanted(&m->vm->config))
		return 0;
	ret = sk_pci_create(&m->pci, &config, err);
	return ret ? ret : sk_pci_attach(m->pci, m->pio, m->mmio, err);
}
