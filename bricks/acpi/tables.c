/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* FADT and MADT (ACPI 6.3, sections 5.2.9 and 5.2.12). */
#include "acpi_internal.h"

#define FADT_REVISION	    6
#define FADT_MINOR	    3
#define FADT_BYTES	    276
/* The bytes of the FADT that are filled in; all others describe hardware that is not there. */
#define FADT_DSDT	    40
#define FADT_CENTURY	    108
#define FADT_IAPC_BOOT_ARCH 109
#define FADT_FLAGS	    112
#define FADT_RESET_REG	    116
#define FADT_RESET_VALUE    128
#define FADT_MINOR_VERSION  131
#define FADT_X_DSDT	    140
#define FADT_SLEEP_CONTROL  244
#define FADT_SLEEP_STATUS   256
#define FADT_HYPERVISOR	    268

/* Fixed feature flags. */
#define WBINVD		    (1U << 0)
#define PROC_C1		    (1U << 2)
#define NO_POWER_BUTTON	    (1U << 4) /* none among the fixed registers */
#define NO_SLEEP_BUTTON	    (1U << 5)
#define NO_FIXED_RTC	    (1U << 6)
#define RESET_REG_SUP	    (1U << 10)
#define HW_REDUCED_ACPI	    (1U << 20)

/* IA-PC boot architecture flags. */
#define LEGACY_DEVICES	    (1U << 0)
#define HAS_8042	    (1U << 1)
#define NO_VGA		    (1U << 2)
#define NO_ASPM		    (1U << 4)
#define NO_CMOS_RTC	    (1U << 5)

#define CMOS_CENTURY	    0x32
#define ISA_BUS		    0
#define APIC_IDS_END	    255 /* the first that only an x2APIC entry can hold */
#define ALL_PROCESSORS	    0xff
#define NMI_LINT	    1
#define OVERRIDE_EDGE_HIGH  0x05
#define OVERRIDE_LEVEL_HIGH 0x0d

/* A generic address structure (section 5.2.3.2); nothing but zeroes if the register is nowhere. */
static void store_register(uint8_t *p, const struct sk_acpi_register *reg)
{
	if (reg->space == SK_ACPI_NOWHERE)
		return;
	p[0] = reg->space == SK_ACPI_IO ? 1 : 0;
	p[1] = 8; /* bits */
	p[3] = 1; /* accessed as bytes */
	sk_store_le64(p + 4, reg->address);
}

void acpi_fadt_put(struct image *image, const struct sk_acpi_config *config, gpa_t dsdt_gpa)
{
	unsigned int flags = HW_REDUCED_ACPI | WBINVD | PROC_C1 | NO_POWER_BUTTON |
			     NO_SLEEP_BUTTON | NO_FIXED_RTC;
	unsigned int boot_arch = LEGACY_DEVICES | NO_VGA | NO_ASPM;
	size_t start = acpi_table_begin(image, "FACP", FADT_REVISION);
	uint8_t p[FADT_BYTES] = {0};

	if (config->has_i8042)
		boot_arch |= HAS_8042;
	if (config->has_rtc)
		p[FADT_CENTURY] = CMOS_CENTURY;
	else
		boot_arch |= NO_CMOS_RTC;
	if (config->reset.space != SK_ACPI_NOWHERE)
		flags |= RESET_REG_SUP;
	sk_store_le32(p + FADT_DSDT, (uint32_t)dsdt_gpa);
	sk_store_le64(p + FADT_X_DSDT, dsdt_gpa);
	sk_store_le16(p + FADT_IAPC_BOOT_ARCH, (uint16_t)boot_arch);
	sk_store_le32(p + FADT_FLAGS, flags);
	store_register(p + FADT_RESET_REG, &config->reset);
	p[FADT_RESET_VALUE] = config->reset_value;
	p[FADT_MINOR_VERSION] = FADT_MINOR;
	store_register(p + FADT_SLEEP_CONTROL, &config->sleep_control);
	store_register(p + FADT_SLEEP_STATUS, &config->sleep_status);
	memcpy(p + FADT_HYPERVISOR, "SKETE\0\0", 8);
	sk_put_bytes(&image->w, p + ACPI_HEADER_BYTES, FADT_BYTES - ACPI_HEADER_BYTES);
	acpi_table_end(image, start);
	image->listed[image->nr_listed++] = image->base + start;
}

/* CPU @index has the processor UID @index, in the DSDT too; it never exceeds the APIC id. */
static void put_cpu(struct sk_writer *w, unsigned int index, uint32_t apic_id)
{
	if (apic_id < APIC_IDS_END) {
		sk_put_u8(w, 0); /* processor local APIC */
		sk_put_u8(w, 8);
		sk_put_u8(w, (uint8_t)index);
		sk_put_u8(w, (uint8_t)apic_id);
		sk_put_u32(w, 1); /* enabled */
		return;
	}
	sk_put_u8(w, 9); /* processor local x2APIC */
	sk_put_u8(w, 16);
	sk_put_u16(w, 0);
	sk_put_u32(w, apic_id);
	sk_put_u32(w, 1);
	sk_put_u32(w, index);
}

static void put_ioapic(struct sk_writer *w, const struct sk_acpi_config *config)
{
	sk_put_u8(w, 1);
	sk_put_u8(w, 12);
	sk_put_u8(w, config->ioapic_id);
	sk_put_u8(w, 0);
	sk_put_u32(w, (uint32_t)config->ioapic_gpa);
	sk_put_u32(w, config->ioapic_gsi_base);
}

static void put_override(struct sk_writer *w, uint8_t irq, uint32_t gsi, bool is_level)
{
	sk_put_u8(w, 2);
	sk_put_u8(w, 10);
	sk_put_u8(w, ISA_BUS);
	sk_put_u8(w, irq);
	sk_put_u32(w, gsi);
	sk_put_u16(w, is_level ? OVERRIDE_LEVEL_HIGH : OVERRIDE_EDGE_HIGH);
}

/* On every CPU the NMI arrives at LINT1, as its bus defines it (edge, active high). */
static void put_nmi(struct sk_writer *w, bool has_x2apic)
{
	sk_put_u8(w, 4);
	sk_put_u8(w, 6);
	sk_put_u8(w, ALL_PROCESSORS);
	sk_put_u16(w, 0);
	sk_put_u8(w, NMI_LINT);
	if (!has_x2apic)
		return;
	sk_put_u8(w, 10);
	sk_put_u8(w, 12);
	sk_put_u16(w, 0);
	sk_put_u32(w, UINT32_MAX);
	sk_put_u32(w, NMI_LINT); /* one byte and three reserved ones */
}

void acpi_madt_put(struct image *image, const struct sk_acpi_config *config)
{
	size_t start = acpi_table_begin(image, "APIC", 5);
	struct sk_writer *w = &image->w;

	sk_put_u32(w, (uint32_t)config->lapic_gpa);
	sk_put_u32(w, config->has_pic ? 1 : 0); /* PCAT_COMPAT */
	for (unsigned int i = 0; i < config->nr_cpus; i++)
		put_cpu(w, i, acpi_apic_id(config, i));
	put_ioapic(w, config);
	if (config->has_pit)
		put_override(w, 0, 2, false);
	for (size_t i = 0; i < config->nr_irq_overrides; i++)
		put_override(w, config->irq_overrides[i].irq, config->irq_overrides[i].gsi,
			     config->irq_overrides[i].is_level);
	put_nmi(w, acpi_apic_id(config, config->nr_cpus - 1) >= APIC_IDS_END);
	acpi_table_end(image, start);
	image->listed[image->nr_listed++] = image->base + start;
}
