/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include "test_machine.h"

#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

/* What a walk over the tables found. */
struct found {
	char order[128]; /* the signatures, each with a space behind it */
	uint8_t madt[8192], fadt[512], dsdt[64 * 1024];
	size_t madt_len, fadt_len, dsdt_len;
};

struct fixture {
	struct sk_gmem *gm;
	struct machine m;
	struct sk_acpi_result used;
	struct sk_error err;
	struct found found;
};

static int set_up(void **state)
{
	const struct sk_gmem_region_config ram = {.size_bytes = MACHINE_RAM_BYTES};
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	if (!f)
		return -1;
	return sk_gmem_create(&f->gm, &(struct sk_gmem_config){.regions = &ram, .nr_regions = 1},
			      NULL);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	sk_gmem_destroy(f->gm);
	free(f);
	return 0;
}

static void keep(uint8_t *room, size_t cap, size_t *len, const uint8_t *table, uint32_t table_len)
{
	assert_true(table_len <= cap);
	memcpy(room, table, table_len);
	*len = table_len;
}

static void note(void *ctx, const uint8_t *table, uint32_t len_bytes)
{
	struct found *found = ctx;
	size_t used = strlen(found->order);

	snprintf(found->order + used, sizeof(found->order) - used, "%.4s ", (const char *)table);
	if (!memcmp(table, "APIC", 4))
		keep(found->madt, sizeof(found->madt), &found->madt_len, table, len_bytes);
	if (!memcmp(table, "FACP", 4))
		keep(found->fadt, sizeof(found->fadt), &found->fadt_len, table, len_bytes);
	if (!memcmp(table, "DSDT", 4))
		keep(found->dsdt, sizeof(found->dsdt), &found->dsdt_len, table, len_bytes);
}

static void build(struct fixture *f)
{
	int ret = sk_acpi_build(f->gm, &f->m.config, &f->used, &f->err);

	if (ret)
		fail_msg("%s", f->err.message);
	memset(&f->found, 0, sizeof(f->found));
	assert_true(machine_walk(f->gm, &f->used, note, &f->found) > 0);
}

/* Calls the build, which must fail with @code and a sentence with @why in it. */
static void refuse(struct fixture *f, int code, const char *why)
{
	struct sk_acpi_result untouched = f->used;

	memset(&f->err, 0, sizeof(f->err));
	assert_int_equal(sk_acpi_build(f->gm, &f->m.config, &f->used, &f->err), code);
	assert_int_equal(f->err.code, code);
	if (!strstr(f->err.message, why))
		fail_msg("'%s' does not say '%s'", f->err.message, why);
	assert_memory_equal(&untouched, &f->used, sizeof(untouched));
}

/* The @index-th entry of @type in the MADT, or NULL. Entries must fill the table exactly. */
static const uint8_t *madt_entry(const struct found *found, uint8_t type, unsigned int index)
{
	static const uint8_t sizes[] = {[0] = 8, [1] = 12, [2] = 10, [4] = 6, [9] = 16, [10] = 12};
	const uint8_t *hit = NULL;
	size_t at = 44;

	while (at < found->madt_len) {
		const uint8_t *p = found->madt + at;

		assert_true(p[0] < sizeof(sizes) && sizes[p[0]] && p[1] == sizes[p[0]]);
		if (p[0] == type && !index--)
			hit = p;
		at += p[1];
	}
	assert_int_equal(at, found->madt_len);
	return hit;
}

static unsigned int count_in_dsdt(const struct found *found, const char *name)
{
	unsigned int nr = 0;

	for (size_t at = 36; at + strlen(name) <= found->dsdt_len; at++)
		nr += !memcmp(found->dsdt + at, name, strlen(name));
	return nr;
}

static void small_machines(void **state)
{
	static const unsigned int nrs_cpus[] = {1, 4, 64};
	struct fixture *f = *state;

	for (size_t i = 0; i < SK_ARRAY_SIZE(nrs_cpus); i++) {
		unsigned int nr = nrs_cpus[i];
		const uint8_t *p;

		machine_init(&f->m, nr, false);
		build(f);
		assert_string_equal(f->found.order, "XSDT FACP DSDT APIC ");
		assert_int_equal(f->used.rsdp_gpa, 0xe0000);
		assert_true(f->used.rsdp_gpa + f->used.len_bytes <= 0x100000);
		for (unsigned int cpu = 0; cpu < nr; cpu++) {
			p = madt_entry(&f->found, 0, cpu);
			assert_non_null(p);
			assert_int_equal(p[2], cpu);
			assert_int_equal(p[3], cpu);
			assert_int_equal(sk_load_le32(p + 4), 1);
		}
		assert_null(madt_entry(&f->found, 0, nr));
		assert_null(madt_entry(&f->found, 9, 0));
		assert_null(madt_entry(&f->found, 2, 0));
		p = madt_entry(&f->found, 1, 0);
		assert_non_null(p);
		assert_int_equal(sk_load_le32(p + 4), 0xfec00000);
		assert_int_equal(sk_load_le32(f->found.madt + 36), 0xfee00000);
		assert_int_equal(sk_load_le32(f->found.madt + 40), 0);
		assert_int_equal(count_in_dsdt(&f->found, "ACPI0007"), nr);
	}
}

static void a_machine_with_everything(void **state)
{
	struct fixture *f = *state;
	const uint8_t *p;

	machine_init(&f->m, 64, true);
	build(f);
	assert_string_equal(f->found.order, "XSDT FACP DSDT APIC MCFG SLIT ");
	assert_int_equal(sk_load_le32(f->found.madt + 40), 1);
	p = madt_entry(&f->found, 2, 0);
	assert_memory_equal(p + 2, ((uint8_t[]){0, 0, 2, 0, 0, 0, 5, 0}), 8);
	p = madt_entry(&f->found, 2, 1);
	assert_memory_equal(p + 2, ((uint8_t[]){0, 5, 5, 0, 0, 0, 0x0d, 0}), 8);
	p = madt_entry(&f->found, 2, 2);
	assert_memory_equal(p + 2, ((uint8_t[]){0, 11, 21, 0, 0, 0, 5, 0}), 8);
	assert_null(madt_entry(&f->found, 2, 3));
	assert_int_equal(count_in_dsdt(&f->found, "LNRO0005"), MACHINE_MAX_VIRTIO);
	assert_int_equal(count_in_dsdt(&f->found, "COM1"), 1);
	assert_int_equal(count_in_dsdt(&f->found, "COM2"), 1);
	assert_int_equal(count_in_dsdt(&f->found, "V01F"), 1);
	assert_int_equal(count_in_dsdt(&f->found, "\x0c\x41\xd0\x0b"), 1); /* PNP0B00, PNP03.. */
}

static void apic_ids_beyond_254(void **state)
{
	struct fixture *f = *state;
	unsigned int nr_x2apic = 0;
	const uint8_t *p;

	machine_init(&f->m, 300, false);
	build(f);
	while ((p = madt_entry(&f->found, 9, nr_x2apic)) != NULL) {
		unsigned int cpu = sk_load_le32(p + 12);

		assert_int_equal(sk_load_le32(p + 4), f->m.apic_ids[cpu]);
		assert_true(f->m.apic_ids[cpu] >= 255);
		nr_x2apic++;
	}
	assert_true(nr_x2apic > 0);
	assert_non_null(madt_entry(&f->found, 0, 300 - nr_x2apic - 1));
	assert_null(madt_entry(&f->found, 0, 300 - nr_x2apic));
	assert_non_null(madt_entry(&f->found, 4, 0));
	p = madt_entry(&f->found, 10, 0);
	assert_non_null(p);
	assert_int_equal(p[8], 1);
}

static void the_fadt_says_what_is_there(void **state)
{
	struct fixture *f = *state;
	const uint8_t *p = f->found.fadt;

	machine_init(&f->m, 1, false);
	build(f);
	assert_int_equal(f->found.fadt_len, 276);
	assert_int_equal(p[8], 6);
	assert_int_equal(sk_load_le32(p + 40), sk_load_le64(p + 140));
	assert_int_equal(sk_load_le32(p + 112), 1 << 20 | 1 << 10 | 1 << 6 | 1 << 5 | 1 << 4 | 5);
	assert_int_equal(sk_load_le16(p + 109), 0x35);
	assert_int_equal(p[108], 0);
	assert_memory_equal(p + 116, ((uint8_t[]){1, 8, 0, 1, 2, 6, 0, 0, 0, 0, 0, 0, 1}), 13);
	assert_memory_equal(p + 244, ((uint8_t[]){1, 8, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0}), 12);
	assert_memory_equal(p + 256, ((uint8_t[]){1, 8, 0, 1, 1, 6, 0, 0, 0, 0, 0, 0}), 12);
	assert_int_equal(count_in_dsdt(&f->found, "_S5_"), 1);
	assert_int_equal(count_in_dsdt(&f->found, "PWRB"), 2);

	f->m.config.has_rtc = true;
	f->m.config.has_i8042 = true;
	f->m.config.reset = (struct sk_acpi_register){0};
	f->m.config.event = (struct sk_acpi_register){0};
	f->m.config.sleep_control = (struct sk_acpi_register){SK_ACPI_MEMORY, 0xfed00000};
	f->m.config.sleep_status = (struct sk_acpi_register){SK_ACPI_MEMORY, 0x123456789abc};
	build(f);
	assert_int_equal(sk_load_le32(p + 112) >> 10 & 1, 0);
	assert_int_equal(sk_load_le16(p + 109), 0x17);
	assert_int_equal(p[108], 0x32);
	assert_int_equal(p[116 + 3], 0);
	assert_int_equal(p[244], 0);
	assert_true(sk_load_le64(p + 260) == 0x123456789abc);
	assert_int_equal(count_in_dsdt(&f->found, "PWRB"), 0);

	f->m.config.sleep_control.space = SK_ACPI_NOWHERE;
	f->m.config.sleep_status.space = SK_ACPI_NOWHERE;
	build(f);
	assert_int_equal(count_in_dsdt(&f->found, "_S5_"), 0);
}

static void bad_cpus_and_interrupts(void **state)
{
	struct fixture *f = *state;
	struct sk_acpi_config *c = &f->m.config;

	machine_init(&f->m, 0, false);
	refuse(f, -EINVAL, "0 CPUs");
	machine_init(&f->m, SK_ACPI_MAX_CPUS + 1, false);
	refuse(f, -EINVAL, "4097 CPUs");
	machine_init(&f->m, 3, false);
	c->apic_ids = (uint32_t[]){0, 1, 1};
	refuse(f, -EINVAL, "APIC id 1 of CPU 2");
	c->apic_ids = (uint32_t[]){1, 0, 2};
	refuse(f, -EINVAL, "ascend");
	c->apic_ids = (uint32_t[]){0, 1, UINT32_MAX};
	refuse(f, -EINVAL, "CPU 2");

	machine_init(&f->m, 1, true);
	f->m.overrides[1].irq = 16;
	refuse(f, -EINVAL, "IRQ 16");
	f->m.overrides[1].irq = 5;
	refuse(f, -EINVAL, "IRQ 5");
	f->m.overrides[1].irq = 0;
	refuse(f, -EINVAL, "has_pit");
	c->nr_irq_overrides = 17;
	refuse(f, -EINVAL, "17");
}

static void bad_registers_and_places(void **state)
{
	struct fixture *f = *state;
	struct sk_acpi_config *c = &f->m.config;

	machine_init(&f->m, 1, false);
	c->reset.address = 0x10000;
	refuse(f, -EINVAL, "reset register");
	machine_init(&f->m, 1, false);
	c->event.space = 7;
	refuse(f, -EINVAL, "event register");
	machine_init(&f->m, 1, false);
	c->sleep_status.space = SK_ACPI_NOWHERE;
	refuse(f, -EINVAL, "together");
	machine_init(&f->m, 1, false);
	c->s5_type = 8;
	refuse(f, -EINVAL, "3 bits");
	machine_init(&f->m, 1, false);
	c->ioapic_gpa = 4 * SK_GIB;
	refuse(f, -EINVAL, "0x100000000");
	machine_init(&f->m, 1, false);
	c->rsdp_gpa = 0xe0008;
	refuse(f, -EINVAL, "multiple of 16");
	machine_init(&f->m, 1, false);
	c->tables_end = 0xe0000;
	refuse(f, -EINVAL, "no room");
	c->tables_end = UINT64_MAX;
	refuse(f, -EINVAL, "no room");
	c->tables_end = 0xe0200;
	refuse(f, -ENOSPC, "there are 512");
	machine_init(&f->m, 1, false);
	c->rsdp_gpa = MACHINE_RAM_BYTES - 512;
	c->tables_end = SK_GIB;
	refuse(f, -EFAULT, "no RAM");
}

static void bad_devices_and_tables(void **state)
{
	struct fixture *f = *state;
	struct sk_acpi_device many[10];
	struct sk_acpi_config *c = &f->m.config;

	machine_init(&f->m, 1, true);
	f->m.devices[1].base = 0xfff9;
	refuse(f, -EINVAL, "0xfff9");
	machine_init(&f->m, 1, true);
	f->m.devices[5].len_bytes = 0;
	refuse(f, -EINVAL, "empty");
	f->m.devices[5].len_bytes = 0x1000;
	f->m.devices[5].base = UINT64_MAX - 0xfff;
	refuse(f, -EINVAL, "wraps");
	f->m.devices[5].kind = 99;
	refuse(f, -EINVAL, "device 5");
	for (size_t i = 0; i < SK_ARRAY_SIZE(many); i++)
		many[i] = (struct sk_acpi_device){SK_ACPI_SERIAL, .base = 8 * i, .gsi = 4};
	c->devices = many;
	c->nr_devices = SK_ARRAY_SIZE(many);
	refuse(f, -EINVAL, "9 serial");
	machine_init(&f->m, 1, true);
	memcpy(f->m.tables[0].signature, "ABCDE", 5);
	refuse(f, -EINVAL, "signature");
	c->nr_tables = 33;
	refuse(f, -EINVAL, "33 additional");
}

static void bad_pci_buses(void **state)
{
	struct fixture *f = *state;
	struct sk_acpi_pci *pci = &f->m.pci;

	machine_init(&f->m, 1, true);
	pci->ecam_gpa += 0x1000;
	refuse(f, -EINVAL, "ECAM at 0xe0001000");
	pci->ecam_gpa = UINT64_C(0xfff00000);
	refuse(f, -EINVAL, "ECAM");
	pci->ecam_gpa = 0;
	pci->low_bytes = 4 * SK_GIB;
	refuse(f, -EINVAL, "window");
	pci->low_bytes = 0;
	pci->high_bytes = UINT64_MAX;
	refuse(f, -EINVAL, "window");
}

static void leave_a_block_open(void *ctx, struct sk_aml *aml)
{
	(void)ctx;
	sk_aml_device_begin(aml, "OPEN");
}

static void the_callers_aml_is_checked(void **state)
{
	struct fixture *f = *state;

	machine_init(&f->m, 1, false);
	f->m.config.extend_dsdt = leave_a_block_open;
	refuse(f, -EINVAL, "ACPI: DSDT: AML: 1 blocks are still open");
}

static void thousands_of_cpus_elsewhere(void **state)
{
	struct fixture *f = *state;

	machine_init(&f->m, SK_ACPI_MAX_CPUS, false);
	refuse(f, -ENOSPC, "place them elsewhere");
	f->m.config.rsdp_gpa = 8 * SK_MIB;
	f->m.config.tables_end = MACHINE_RAM_BYTES;
	assert_int_equal(sk_acpi_build(f->gm, &f->m.config, &f->used, &f->err), 0);
	assert_int_equal(f->used.rsdp_gpa, 8 * SK_MIB);
	assert_true(f->used.len_bytes > 128 * SK_KIB);
}

static void failure_writes_nothing(void **state)
{
	struct fixture *f = *state;
	const uint8_t *p = sk_gmem_slice(f->gm, 0xe0000, 0x20000);

	machine_init(&f->m, 64, true);
	f->m.config.tables_end = 0xe0400;
	refuse(f, -ENOSPC, "there are 1024");
	for (size_t i = 0; i < 0x20000; i++)
		assert_int_equal(p[i], 0);
}

#define ACPI_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ACPI_TEST(small_machines),
		ACPI_TEST(a_machine_with_everything),
		ACPI_TEST(apic_ids_beyond_254),
		ACPI_TEST(the_fadt_says_what_is_there),
		ACPI_TEST(bad_cpus_and_interrupts),
		ACPI_TEST(bad_registers_and_places),
		ACPI_TEST(bad_devices_and_tables),
		ACPI_TEST(bad_pci_buses),
		ACPI_TEST(the_callers_aml_is_checked),
		ACPI_TEST(thousands_of_cpus_elsewhere),
		ACPI_TEST(failure_writes_nothing),
	};

	return cmocka_run_group_tests_name("acpi", tests, NULL, NULL);
}
