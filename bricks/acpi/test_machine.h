/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * For the tests of this brick: machines to describe, from the smallest to one with everything, and
 * the walk from the RSDP to every table that a guest does, with every checksum.
 */
#ifndef SKETE_ACPI_TEST_MACHINE_H
#define SKETE_ACPI_TEST_MACHINE_H

#include <skete/acpi.h>

#define MACHINE_RAM_BYTES  (16 * SK_MIB)
#define MACHINE_MAX_VIRTIO 32

static const struct sk_acpi_register machine_sleep_control = {SK_ACPI_IO, 0x600};
static const struct sk_acpi_register machine_sleep_status = {SK_ACPI_IO, 0x601};

struct machine {
	struct sk_acpi_config config;
	struct sk_acpi_device devices[2 + MACHINE_MAX_VIRTIO];
	struct sk_acpi_irq_override overrides[2];
	uint32_t apic_ids[512];
	struct sk_acpi_pci pci;
	uint8_t slit_body[9];
	struct sk_acpi_table tables[1];
};

/* Every block, declaration, object, operator and descriptor that the builder knows. */

static inline void machine_link(struct sk_aml *a)
{
	sk_aml_device_begin(a, "LNKA");
	sk_aml_name_eisa_id(a, "_HID", "PNP0C0F");
	sk_aml_name_int(a, "_UID", 0);
	sk_aml_name(a, "_PRS");
	sk_aml_resources_begin(a);
	sk_aml_interrupt(a, 20, SK_AML_LEVEL);
	sk_aml_end(a);
	sk_aml_name(a, "_CRS");
	sk_aml_resources_begin(a);
	sk_aml_interrupt(a, 20, SK_AML_LEVEL);
	sk_aml_end(a);
	sk_aml_method_begin(a, "_SRS", 1, false);
	sk_aml_op(a, SK_AML_STORE);
	sk_aml_arg(a, 0);
	sk_aml_local(a, 0);
	sk_aml_op(a, SK_AML_STORE);
	sk_aml_op(a, SK_AML_SIZE_OF);
	sk_aml_local(a, 0);
	sk_aml_path(a, "^^COUN");
	sk_aml_end(a);
	sk_aml_end(a);
}

static inline void machine_pci(struct sk_aml *a)
{
	sk_aml_device_begin(a, "PCI9");
	sk_aml_name_eisa_id(a, "_HID", "PNP0A08");
	sk_aml_name_eisa_id(a, "_CID", "PNP0A03");
	sk_aml_name_int(a, "_UID", 9);
	sk_aml_name_int(a, "_SEG", 1);
	sk_aml_name_int(a, "_BBN", 0);
	sk_aml_name(a, "_CRS");
	sk_aml_resources_begin(a);
	sk_aml_word_bus_number(a, 0, 255);
	sk_aml_io(a, 0xcf8, 8);
	sk_aml_word_io(a, SK_AML_PRODUCER, 0, 0xcf7);
	sk_aml_word_io(a, SK_AML_PRODUCER, 0xd00, 0xffff);
	sk_aml_dword_memory(a, SK_AML_PRODUCER, 0xc0000000, 0xfebfffff);
	sk_aml_qword_memory(a, SK_AML_PRODUCER, 64 * SK_GIB, 128 * SK_GIB - 1);
	sk_aml_end(a);
	sk_aml_name(a, "_PRT");
	sk_aml_package_begin(a);
	for (unsigned int slot = 0; slot < 32; slot++) {
		sk_aml_package_begin(a);
		sk_aml_int(a, slot << 16 | 0xffff);
		sk_aml_int(a, slot % 4);
		sk_aml_path(a, slot % 2 ? "\\_SB.PCI9.LNKA" : "^PCI9.LNKA");
		sk_aml_int(a, 0);
		sk_aml_end(a);
	}
	sk_aml_end(a);
	machine_link(a);
	sk_aml_name_int(a, "COUN", UINT64_MAX);
	sk_aml_end(a);
}

static inline void machine_data(struct sk_aml *a)
{
	static const uint8_t bytes[300] = {1, 2, 3};

	sk_aml_name(a, "BUF");
	sk_aml_buffer(a, bytes, sizeof(bytes));
	sk_aml_name_int(a, "BIG", UINT64_C(0x123456789abcdef0));
	sk_aml_region(a, "MREG", SK_AML_MEMORY, UINT64_C(0xfec10000), 0x1000);
	sk_aml_field_begin(a, "MREG", SK_AML_DWORD, SK_AML_PRESERVE);
	sk_aml_field_unit(a, "FA", 32);
	sk_aml_field_gap(a, 4096);
	sk_aml_field_unit(a, "FB", 64);
	sk_aml_end(a);
}

/* Sums 0 + 1 + ... + (Arg0 - 1), then plays with the operators: 45 for 10. */
static inline void machine_sum_method(struct sk_aml *a)
{
	sk_aml_method_begin(a, "SUM", 1, false);
	sk_aml_op(a, SK_AML_STORE);
	sk_aml_int(a, 0);
	sk_aml_local(a, 0);
	sk_aml_op(a, SK_AML_STORE);
	sk_aml_int(a, 0);
	sk_aml_local(a, 1);
	sk_aml_while_begin(a);
	sk_aml_op(a, SK_AML_LLESS);
	sk_aml_local(a, 0);
	sk_aml_arg(a, 0);
	sk_aml_op(a, SK_AML_ADD);
	sk_aml_local(a, 1);
	sk_aml_local(a, 0);
	sk_aml_local(a, 1);
	sk_aml_op(a, SK_AML_INCREMENT);
	sk_aml_local(a, 0);
	sk_aml_if_begin(a);
	sk_aml_op(a, SK_AML_LGREATER);
	sk_aml_local(a, 0);
	sk_aml_int(a, 1000);
	sk_aml_op(a, SK_AML_BREAK);
	sk_aml_end(a);
	sk_aml_end(a);
	sk_aml_if_begin(a);
	sk_aml_op(a, SK_AML_LOR);
	sk_aml_op(a, SK_AML_LEQUAL);
	sk_aml_local(a, 1);
	sk_aml_int(a, 45);
	sk_aml_op(a, SK_AML_LNOT_EQUAL);
	sk_aml_local(a, 1);
	sk_aml_local(a, 1);
	sk_aml_op(a, SK_AML_RETURN);
	sk_aml_local(a, 1);
	sk_aml_end(a);
	sk_aml_else_begin(a);
	sk_aml_op(a, SK_AML_RETURN);
	sk_aml_op(a, SK_AML_SHIFT_LEFT);
	sk_aml_local(a, 1);
	sk_aml_int(a, 8);
	sk_aml_no_target(a);
	sk_aml_end(a);
	sk_aml_end(a);
}

/* ((byte 2 of BUF) * 7 - 1) ^ 0xf0 | 0x100 = 0x1e4 */
static inline void machine_mix_method(struct sk_aml *a)
{
	sk_aml_method_begin(a, "MIX", 0, false);
	sk_aml_op(a, SK_AML_STORE);
	sk_aml_op(a, SK_AML_DEREF_OF);
	sk_aml_op(a, SK_AML_INDEX);
	sk_aml_path(a, "BUF");
	sk_aml_int(a, 2);
	sk_aml_no_target(a);
	sk_aml_local(a, 0);
	sk_aml_op(a, SK_AML_MULTIPLY);
	sk_aml_local(a, 0);
	sk_aml_int(a, 7);
	sk_aml_local(a, 0);
	sk_aml_op(a, SK_AML_SUBTRACT);
	sk_aml_local(a, 0);
	sk_aml_int(a, 1);
	sk_aml_local(a, 0);
	sk_aml_op(a, SK_AML_XOR);
	sk_aml_local(a, 0);
	sk_aml_int(a, 0xf0);
	sk_aml_local(a, 0);
	sk_aml_op(a, SK_AML_RETURN);
	sk_aml_op(a, SK_AML_OR);
	sk_aml_local(a, 0);
	sk_aml_int(a, 0x100);
	sk_aml_no_target(a);
	sk_aml_end(a);
}

static inline void machine_everything(void *ctx, struct sk_aml *a)
{
	(void)ctx;
	machine_pci(a);
	machine_data(a);
	machine_sum_method(a);
	machine_mix_method(a);
	sk_aml_method_begin(a, "CALL", 0, true);
	sk_aml_op(a, SK_AML_SLEEP);
	sk_aml_int(a, 1);
	sk_aml_op(a, SK_AML_RETURN);
	sk_aml_path(a, "\\_SB.SUM");
	sk_aml_int(a, 10);
	sk_aml_end(a);
}

static inline void machine_init_full(struct machine *m)
{
	struct sk_acpi_config *c = &m->config;

	c->has_pic = true;
	c->has_pit = true;
	c->has_rtc = true;
	c->has_i8042 = true;
	m->devices[0] = (struct sk_acpi_device){SK_ACPI_SERIAL, .base = 0x3f8, .gsi = 4};
	m->devices[1] = (struct sk_acpi_device){SK_ACPI_SERIAL, .base = 0x2f8, .gsi = 3};
	for (unsigned int i = 0; i < MACHINE_MAX_VIRTIO; i++)
		m->devices[2 + i] = (struct sk_acpi_device){
			.kind = SK_ACPI_VIRTIO_MMIO,
			.base = (i % 2 ? 64 * SK_GIB : UINT64_C(0xd0000000)) + i * 0x1000,
			.len_bytes = 0x1000,
			.gsi = 16 + i,
			.is_level = i % 3 == 0,
		};
	c->devices = m->devices;
	c->nr_devices = 2 + MACHINE_MAX_VIRTIO;
	m->overrides[0] = (struct sk_acpi_irq_override){.irq = 5, .gsi = 5, .is_level = true};
	m->overrides[1] = (struct sk_acpi_irq_override){.irq = 11, .gsi = 21};
	c->irq_overrides = m->overrides;
	c->nr_irq_overrides = 2;
	m->pci = (struct sk_acpi_pci){
		.ecam_gpa = UINT64_C(0xe0000000),
		.last_bus = 3,
		.low_gpa = UINT64_C(0xc0000000),
		.low_bytes = 512 * SK_MIB,
		.high_gpa = 64 * SK_GIB,
		.high_bytes = 16 * SK_GIB,
	};
	c->pci = &m->pci;
	m->slit_body[0] = 1; /* one locality, which is near to itself */
	m->slit_body[8] = 10;
	m->tables[0] = (struct sk_acpi_table){"SLIT", 1, m->slit_body, sizeof(m->slit_body)};
	c->tables = m->tables;
	c->nr_tables = 1;
	c->extend_dsdt = machine_everything;
}

/* @nr_cpus CPUs; @is_full: with all devices; more than 64 CPUs: with holes among the APIC ids. */
static inline void machine_init(struct machine *m, unsigned int nr_cpus, bool is_full)
{
	struct sk_acpi_config *c = &m->config;

	memset(m, 0, sizeof(*m));
	c->nr_cpus = nr_cpus;
	for (unsigned int i = 0; i < SK_ARRAY_SIZE(m->apic_ids); i++)
		m->apic_ids[i] = i / 3 * 4 + i % 3;
	if (nr_cpus > 64 && nr_cpus <= SK_ARRAY_SIZE(m->apic_ids))
		c->apic_ids = m->apic_ids;
	c->sleep_control = machine_sleep_control;
	c->sleep_status = machine_sleep_status;
	c->s5_type = 5;
	c->reset = (struct sk_acpi_register){SK_ACPI_IO, 0x602};
	c->reset_value = 1;
	c->event = (struct sk_acpi_register){SK_ACPI_IO, 0x603};
	c->event_gsi = 12;
	if (is_full)
		machine_init_full(m);
}

static inline uint8_t machine_sum(const uint8_t *p, size_t len_bytes)
{
	uint8_t sum = 0;

	while (len_bytes--)
		sum = (uint8_t)(sum + *p++);
	return sum;
}

/* The table at @gpa if its header, its checksum and its place in @used are good, else NULL. */
static inline const uint8_t *machine_table(const struct sk_gmem *gm, gpa_t gpa,
					   const struct sk_acpi_result *used, uint32_t *len_bytes)
{
	const uint8_t *p = sk_gmem_slice(gm, gpa, 36);

	if (!p || gpa % 16 || gpa < used->rsdp_gpa)
		return NULL;
	*len_bytes = sk_load_le32(p + 4);
	if (*len_bytes < 36 || gpa + *len_bytes > used->rsdp_gpa + used->len_bytes)
		return NULL;
	p = sk_gmem_slice(gm, gpa, *len_bytes);
	return p && !machine_sum(p, *len_bytes) ? p : NULL;
}

/*
 * Calls @visit with every table behind the RSDP, the XSDT first, the DSDT after the FADT. Returns
 * the number of tables, or -1 if one is broken.
 */
static inline int machine_walk(const struct sk_gmem *gm, const struct sk_acpi_result *used,
			       void (*visit)(void *ctx, const uint8_t *table, uint32_t len_bytes),
			       void *ctx)
{
	const uint8_t *rsdp = sk_gmem_slice(gm, used->rsdp_gpa, 36);
	const uint8_t *xsdt, *table;
	uint32_t len, xsdt_len;
	int nr = 1;

	if (!rsdp || memcmp(rsdp, "RSD PTR ", 8) || machine_sum(rsdp, 20) || machine_sum(rsdp, 36))
		return -1;
	xsdt = machine_table(gm, sk_load_le64(rsdp + 24), used, &xsdt_len);
	if (!xsdt || memcmp(xsdt, "XSDT", 4))
		return -1;
	visit(ctx, xsdt, xsdt_len);
	for (uint32_t at = 36; at + 8 <= xsdt_len; at += 8) {
		table = machine_table(gm, sk_load_le64(xsdt + at), used, &len);
		if (!table)
			return -1;
		visit(ctx, table, len);
		nr++;
		if (memcmp(table, "FACP", 4))
			continue;
		table = machine_table(gm, sk_load_le64(table + 140), used, &len);
		if (!table || memcmp(table, "DSDT", 4))
			return -1;
		visit(ctx, table, len);
		nr++;
	}
	return nr;
}

#endif
