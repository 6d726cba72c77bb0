/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* What builds the tables: the image of guest memory in the making, and who fills in what. */
#ifndef SKETE_ACPI_INTERNAL_H
#define SKETE_ACPI_INTERNAL_H

#include <skete/acpi.h>

#define ACPI_HEADER_BYTES  36
#define ACPI_MAX_TABLES	   32 /* of the caller */
#define ACPI_MAX_OVERRIDES 16

/* All tables as they will lie from @base on; the writer is short if they do not fit. */
struct image {
	struct sk_writer w;
	gpa_t base;
	gpa_t listed[3 + ACPI_MAX_TABLES]; /* what the XSDT lists */
	size_t nr_listed;
};

/*
 * Begins a table at the next multiple of 16 and returns its offset; the body follows through
 * image->w; end fills in the length and the checksum.
 */
size_t acpi_table_begin(struct image *image, const char *signature, uint8_t revision);
void acpi_table_end(struct image *image, size_t start);

/* The body of the DSDT, after a check of what it needs of @config. */
int acpi_dsdt_build(struct sk_aml *aml, const struct sk_acpi_config *config, struct sk_error *err);

/* Complete tables; each adds itself to the list. The configuration was checked. */
void acpi_fadt_put(struct image *image, const struct sk_acpi_config *config, gpa_t dsdt_gpa);
void acpi_madt_put(struct image *image, const struct sk_acpi_config *config);

/* pci_root.c */
int acpi_pci_check(const struct sk_acpi_pci *pci, struct sk_error *err);
void acpi_pci_put(struct sk_aml *aml, const struct sk_acpi_pci *pci);
void acpi_mcfg_put(struct image *image, const struct sk_acpi_pci *pci);

/* The APIC id of CPU @index. */
static inline uint32_t acpi_apic_id(const struct sk_acpi_config *config, unsigned int index)
{
	return config->apic_ids ? config->apic_ids[index] : index;
}

#endif
