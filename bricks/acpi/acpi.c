/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Checks the configuration, lays the tables out and writes them in one piece (ACPI 6.3, sections
 * 5.2.5 RSDP, 5.2.6 header, 5.2.8 XSDT).
 */
#include "acpi_internal.h"

#define ALIGN_BYTES	16
#define RSDP_BYTES	36
#define IMAGE_MAX_BYTES (8 * SK_MIB)

static int check_cpus(const struct sk_acpi_config *config, struct sk_error *err)
{
	if (config->nr_cpus < 1 || config->nr_cpus > SK_ACPI_MAX_CPUS)
		return sk_error_set(err, -EINVAL, "ACPI: %u CPUs; 1 to %d can be described",
				    config->nr_cpus, SK_ACPI_MAX_CPUS);
	for (unsigned int i = 0; i < config->nr_cpus; i++) {
		uint32_t id = acpi_apic_id(config, i);

		if (id == UINT32_MAX || (i && id <= acpi_apic_id(config, i - 1)))
			return sk_error_set(err, -EINVAL,
					    "ACPI: APIC id %u of CPU %u; they must ascend and stay "
					    "below 4294967295 (which means all CPUs)",
					    id, i);
	}
	return 0;
}

static int check_overrides(const struct sk_acpi_config *config, struct sk_error *err)
{
	unsigned int seen = config->has_pit ? 1 : 0;

	if (config->nr_irq_overrides > ACPI_MAX_OVERRIDES)
		return sk_error_set(err, -EINVAL, "ACPI: %zu interrupt overrides, but 16 ISA IRQs",
				    config->nr_irq_overrides);
	for (size_t i = 0; i < config->nr_irq_overrides; i++) {
		unsigned int irq = config->irq_overrides[i].irq;

		if (irq > 15)
			return sk_error_set(err, -EINVAL,
					    "ACPI: interrupt override of IRQ %u; ISA ends at 15",
					    irq);
		if (seen >> irq & 1)
			return sk_error_set(err, -EINVAL, "ACPI: IRQ %u is overridden twice%s", irq,
					    irq || !config->has_pit ? "" : " (once by has_pit)");
		seen |= 1U << irq;
	}
	return 0;
}

static int check_register(const char *what, const struct sk_acpi_register *reg,
			  struct sk_error *err)
{
	if (reg->space != SK_ACPI_NOWHERE && reg->space != SK_ACPI_IO &&
	    reg->space != SK_ACPI_MEMORY)
		return sk_error_set(err, -EINVAL, "ACPI: the %s register is in no known space",
				    what);
	if (reg->space == SK_ACPI_IO && reg->address > 0xffff)
		return sk_error_set(err, -EINVAL,
				    "ACPI: the %s register is at port 0x%llx; ports end at 0xffff",
				    what, (unsigned long long)reg->address);
	return 0;
}

static int check_registers(const struct sk_acpi_config *config, struct sk_error *err)
{
	bool has_control = config->sleep_control.space != SK_ACPI_NOWHERE;
	bool has_status = config->sleep_status.space != SK_ACPI_NOWHERE;

	if (check_register("sleep control", &config->sleep_control, err) ||
	    check_register("sleep status", &config->sleep_status, err) ||
	    check_register("reset", &config->reset, err) ||
	    check_register("event", &config->event, err))
		return -EINVAL;
	if (has_control != has_status)
		return sk_error_set(err, -EINVAL,
				    "ACPI: the sleep control and the sleep status register come "
				    "together, but only one is configured");
	if (config->s5_type > 7)
		return sk_error_set(err, -EINVAL, "ACPI: sleep type %u of S5; it has 3 bits",
				    config->s5_type);
	return 0;
}

static int check_tables(const struct sk_acpi_config *config, struct sk_error *err)
{
	if (config->nr_tables > ACPI_MAX_TABLES)
		return sk_error_set(err, -EINVAL, "ACPI: %zu additional tables, more than %d",
				    config->nr_tables, ACPI_MAX_TABLES);
	for (size_t i = 0; i < config->nr_tables; i++) {
		if (strnlen(config->tables[i].signature, 5) != 4)
			return sk_error_set(err, -EINVAL,
					    "ACPI: the signature of additional table %zu has not "
					    "four characters",
					    i);
	}
	return 0;
}

static int check_places(const struct sk_acpi_config *c, struct sk_error *err)
{
	if (c->lapic_gpa > UINT32_MAX || c->ioapic_gpa > UINT32_MAX)
		return sk_error_set(err, -EINVAL,
				    "ACPI: the MADT places both APICs below 4 GiB; 0x%llx is not",
				    (unsigned long long)SK_MAX(c->lapic_gpa, c->ioapic_gpa));
	if (!sk_is_aligned(c->rsdp_gpa, ALIGN_BYTES))
		return sk_error_set(err, -EINVAL,
				    "ACPI: the RSDP at 0x%llx is not at a multiple "
				    "of 16",
				    (unsigned long long)c->rsdp_gpa);
	if (c->tables_end > 4 * SK_GIB || c->tables_end <= c->rsdp_gpa)
		return sk_error_set(err, -EINVAL,
				    "ACPI: no room for tables from 0x%llx to 0x%llx (4 GiB is the "
				    "limit)",
				    (unsigned long long)c->rsdp_gpa,
				    (unsigned long long)c->tables_end);
	return 0;
}

static int check_config(const struct sk_acpi_config *config, struct sk_error *err)
{
	int ret = check_cpus(config, err);

	if (!ret)
		ret = check_overrides(config, err);
	if (!ret)
		ret = check_registers(config, err);
	if (!ret)
		ret = check_tables(config, err);
	if (!ret)
		ret = check_places(config, err);
	if (!ret && config->pci)
		ret = acpi_pci_check(config->pci, err);
	return ret;
}

static uint8_t checksum(const uint8_t *p, size_t len_bytes)
{
	uint8_t sum = 0;

	while (len_bytes--)
		sum = (uint8_t)(sum + *p++);
	return (uint8_t)-sum;
}

static void align(struct image *image)
{
	while (image->w.len_bytes % ALIGN_BYTES)
		sk_put_u8(&image->w, 0);
}

size_t acpi_table_begin(struct image *image, const char *signature, uint8_t revision)
{
	struct sk_writer *w = &image->w;
	size_t start;

	align(image);
	start = w->len_bytes;
	sk_put_bytes(w, signature, 4);
	sk_put_u32(w, 0); /* the length */
	sk_put_u8(w, revision);
	sk_put_u8(w, 0); /* the checksum */
	sk_put_bytes(w, "SKETE ", 6);
	sk_put_bytes(w, "SKETEVM ", 8);
	sk_put_u32(w, 1);
	sk_put_bytes(w, "SKET", 4);
	sk_put_u32(w, 1);
	return start;
}

void acpi_table_end(struct image *image, size_t start)
{
	size_t len = image->w.len_bytes - start;

	if (!sk_writer_ok(&image->w))
		return;
	sk_store_le32(image->w.buf + start + 4, (uint32_t)len);
	image->w.buf[start + 9] = checksum(image->w.buf + start, len);
}

static void put_xsdt(struct image *image)
{
	size_t start = acpi_table_begin(image, "XSDT", 1);

	for (size_t i = 0; i < image->nr_listed; i++)
		sk_put_u64(&image->w, image->listed[i]);
	acpi_table_end(image, start);
}

static void fill_rsdp(struct image *image, gpa_t xsdt_gpa)
{
	uint8_t *p = image->w.buf;

	memcpy(p, "RSD PTR ", 8);
	memcpy(p + 9, "SKETE ", 6);
	p[15] = 2; /* the revision; there is no RSDT */
	sk_store_le32(p + 20, RSDP_BYTES);
	sk_store_le64(p + 24, xsdt_gpa);
	p[8] = checksum(p, 20);
	p[32] = checksum(p, RSDP_BYTES);
}

static void put_tables(struct image *image, const struct sk_acpi_config *config,
		       const struct sk_aml *dsdt)
{
	const uint8_t no_rsdp_yet[RSDP_BYTES] = {0};
	size_t start;

	sk_put_bytes(&image->w, no_rsdp_yet, sizeof(no_rsdp_yet));
	start = acpi_table_begin(image, "DSDT", 2);
	sk_put_bytes(&image->w, dsdt->buf, dsdt->len_bytes);
	acpi_table_end(image, start);
	acpi_fadt_put(image, config, image->base + start);
	acpi_madt_put(image, config);
	if (config->pci)
		acpi_mcfg_put(image, config->pci);
	for (size_t i = 0; i < config->nr_tables; i++) {
		const struct sk_acpi_table *table = &config->tables[i];

		start = acpi_table_begin(image, table->signature, table->revision);
		sk_put_bytes(&image->w, table->body, table->len_bytes);
		acpi_table_end(image, start);
		image->listed[image->nr_listed++] = image->base + start;
	}
	align(image);
	start = image->w.len_bytes;
	put_xsdt(image);
	if (sk_writer_ok(&image->w))
		fill_rsdp(image, image->base + start);
}

static int write_image(struct sk_gmem *gm, const struct sk_acpi_config *config,
		       const struct sk_aml *dsdt, struct sk_acpi_result *out, struct sk_error *err)
{
	size_t cap = (size_t)SK_MIN(config->tables_end - config->rsdp_gpa, IMAGE_MAX_BYTES);
	struct image image = {.base = config->rsdp_gpa};
	/* What the guest gets is all written below; the rest is not touched. */
	uint8_t *buf = malloc(cap);
	int ret = 0;

	if (!buf)
		return sk_error_set(err, -ENOMEM, "ACPI: no memory for %zu bytes of tables", cap);
	sk_writer_init(&image.w, buf, cap);
	put_tables(&image, config, dsdt);
	if (!sk_writer_ok(&image.w)) {
		ret = sk_error_set(err, -ENOSPC,
				   "ACPI: the tables need %zu bytes, but there are %zu from 0x%llx "
				   "on; place them elsewhere or describe less",
				   image.w.len_bytes, cap, (unsigned long long)image.base);
		goto out_free;
	}
	ret = sk_gmem_write(gm, image.base, buf, image.w.len_bytes);
	if (ret) {
		(void)sk_error_set(err, ret, "ACPI: there is no RAM for %zu bytes at 0x%llx",
				   image.w.len_bytes, (unsigned long long)image.base);
		goto out_free;
	}
	*out = (struct sk_acpi_result){.rsdp_gpa = image.base, .len_bytes = image.w.len_bytes};
out_free:
	free(buf);
	return ret;
}

int sk_acpi_build(struct sk_gmem *gm, const struct sk_acpi_config *config,
		  struct sk_acpi_result *out, struct sk_error *err)
{
	struct sk_acpi_config c = *config;
	struct sk_aml dsdt;
	int ret;

	c.lapic_gpa = c.lapic_gpa ? c.lapic_gpa : SK_ACPI_LAPIC_GPA;
	c.ioapic_gpa = c.ioapic_gpa ? c.ioapic_gpa : SK_ACPI_IOAPIC_GPA;
	c.rsdp_gpa = c.rsdp_gpa ? c.rsdp_gpa : SK_ACPI_RSDP_GPA;
	c.tables_end = c.tables_end ? c.tables_end : SK_ACPI_TABLES_END;
	ret = check_config(&c, err);
	if (ret)
		return ret;
	sk_aml_init(&dsdt, IMAGE_MAX_BYTES);
	ret = acpi_dsdt_build(&dsdt, &c, err);
	if (!ret)
		ret = write_image(gm, &c, &dsdt, out, err);
	sk_aml_fini(&dsdt);
	return ret;
}
