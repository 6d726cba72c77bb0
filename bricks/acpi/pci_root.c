/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The PCI bus: the host bridge in the DSDT and ECAM in the MCFG table (PCI Firmware 3.2, 4.1.2).
 *
 * ECAM is a motherboard resource, too, because Linux does not use it unless somebody reserves it.
 * _OSC (PCI Firmware 3.2, 4.5.1) leaves to the operating system whatever it asks for: there is no
 * firmware that would want it. There is no _PRT, for no function has an interrupt pin.
 */
#include "acpi_internal.h"

#define BUS_BYTES	 SK_MIB
#define CONFIG_PORT	 0xcf8
#define CONFIG_PORTS	 8
#define OSC_REVISION	 1
#define OSC_BAD_UUID	 0x04 /* in the first dword of the answer */
#define OSC_BAD_REVISION 0x08

/* 33DB4D5B-1FF7-401C-9657-7441C03DD766 as ToUUID() has it. */
static const uint8_t osc_uuid[16] = {0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40,
				     0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66};

static uint64_t ecam_bytes(const struct sk_acpi_pci *pci)
{
	return (pci->last_bus + UINT64_C(1)) * BUS_BYTES;
}

int acpi_pci_check(const struct sk_acpi_pci *pci, struct sk_error *err)
{
	if (!sk_is_aligned(pci->ecam_gpa, BUS_BYTES) ||
	    !sk_range_fits(pci->ecam_gpa, ecam_bytes(pci), UINT32_MAX))
		return sk_error_set(err, -EINVAL,
				    "ACPI: ECAM at 0x%llx is not at a multiple of 1 MiB below "
				    "4 GiB",
				    (unsigned long long)pci->ecam_gpa);
	if (!sk_range_fits(pci->low_gpa, pci->low_bytes, UINT64_C(1) << 32) ||
	    !sk_range_fits(pci->high_gpa, pci->high_bytes, UINT64_MAX))
		return sk_error_set(err, -EINVAL, "ACPI: a window of the PCI bus wraps");
	return 0;
}

/* The answer is Arg3, in whose first dword are the errors. */
static void put_osc_error(struct sk_aml *a, uint64_t error)
{
	sk_aml_op(a, SK_AML_OR);
	sk_aml_path(a, "CDW1");
	sk_aml_int(a, error);
	sk_aml_path(a, "CDW1");
}

static void put_osc(struct sk_aml *a)
{
	sk_aml_method_begin(a, "_OSC", 4, true);
	sk_aml_op(a, SK_AML_CREATE_DWORD_FIELD);
	sk_aml_arg(a, 3);
	sk_aml_int(a, 0);
	sk_aml_path(a, "CDW1");
	sk_aml_if_begin(a);
	sk_aml_op(a, SK_AML_LEQUAL);
	sk_aml_arg(a, 0);
	sk_aml_buffer(a, osc_uuid, sizeof(osc_uuid));
	sk_aml_if_begin(a);
	sk_aml_op(a, SK_AML_LNOT_EQUAL);
	sk_aml_arg(a, 1);
	sk_aml_int(a, OSC_REVISION);
	put_osc_error(a, OSC_BAD_REVISION);
	sk_aml_end(a);
	sk_aml_end(a);
	sk_aml_else_begin(a);
	put_osc_error(a, OSC_BAD_UUID);
	sk_aml_end(a);
	sk_aml_op(a, SK_AML_RETURN);
	sk_aml_arg(a, 3);
	sk_aml_end(a);
}

static void put_resources(struct sk_aml *a, const struct sk_acpi_pci *pci)
{
	sk_aml_name(a, "_CRS");
	sk_aml_resources_begin(a);
	sk_aml_word_bus_number(a, 0, pci->last_bus);
	sk_aml_io(a, CONFIG_PORT, CONFIG_PORTS);
	if (pci->low_bytes)
		sk_aml_dword_memory(a, SK_AML_PRODUCER, (uint32_t)pci->low_gpa,
				    (uint32_t)(pci->low_gpa + pci->low_bytes - 1));
	if (pci->high_bytes)
		sk_aml_qword_memory(a, SK_AML_PRODUCER, pci->high_gpa,
				    pci->high_gpa + pci->high_bytes - 1);
	sk_aml_end(a);
}

void acpi_pci_put(struct sk_aml *a, const struct sk_acpi_pci *pci)
{
	sk_aml_device_begin(a, "PCI0");
	sk_aml_name_eisa_id(a, "_HID", "PNP0A08");
	sk_aml_name_eisa_id(a, "_CID", "PNP0A03");
	sk_aml_name_int(a, "_UID", 0);
	sk_aml_name_int(a, "_SEG", 0);
	sk_aml_name_int(a, "_BBN", 0);
	sk_aml_name_int(a, "_CCA", 1);
	put_resources(a, pci);
	put_osc(a);
	sk_aml_end(a);

	sk_aml_device_begin(a, "ECAM");
	sk_aml_name_eisa_id(a, "_HID", "PNP0C02");
	sk_aml_name_string(a, "_UID", "ECAM");
	sk_aml_name(a, "_CRS");
	sk_aml_resources_begin(a);
	sk_aml_memory32(a, (uint32_t)pci->ecam_gpa, (uint32_t)ecam_bytes(pci));
	sk_aml_end(a);
	sk_aml_end(a);
}

void acpi_mcfg_put(struct image *image, const struct sk_acpi_pci *pci)
{
	size_t start = acpi_table_begin(image, "MCFG", 1);
	struct sk_writer *w = &image->w;

	sk_put_u64(w, 0); /* reserved */
	sk_put_u64(w, pci->ecam_gpa);
	sk_put_u16(w, 0); /* the segment group */
	sk_put_u8(w, 0);  /* the first bus */
	sk_put_u8(w, pci->last_bus);
	sk_put_u32(w, 0); /* reserved */
	acpi_table_end(image, start);
	image->listed[image->nr_listed++] = image->base + start;
}
