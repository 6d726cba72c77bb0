/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * The little of ACPI that is needed: CPUs from the MADT, power-off from the FADT and the \_S5
 * package of the DSDT (found by its bytes; there is no interpreter). Without ACPI, CPUs come from
 * the MP table. Runs before the seal and before relocation, see start.c. Tables are untrusted:
 * every access is checked against the table's length.
 */
#include "../arch/x86_64/cpu.h"
#include "../kernel/boot.h"
#include "../kernel/kernel.h"

struct acpi_power acpi_power;

static uint32_t get(const uint8_t *p, int bytes)
{
	uint32_t value = 0;

	for (int i = 0; i < bytes; i++)
		value |= (uint32_t)p[i] << 8 * i;
	return value;
}

/* Physical memory as the first page tables show it: below 4 GiB. NULL if it reaches beyond. */
static const uint8_t *physical(uint64_t pa, uint64_t bytes)
{
	return pa && pa < 1ull << 32 && bytes <= (1ull << 32) - pa ? (const uint8_t *)pa : NULL;
}

static const uint8_t *table_at(uint64_t pa, uint32_t *bytes)
{
	const uint8_t *header = physical(pa, 36);

	if (!header)
		return NULL;
	*bytes = get(header + 4, 4);
	return *bytes >= 36 ? physical(pa, *bytes) : NULL;
}

/* Some tables list a CPU twice, as one with a local APIC and as one with an x2APIC. */
static void add_cpu(uint32_t apic_id)
{
	static uint32_t found;

	for (uint32_t i = 0; i < found; i++)
		if (cpus[i].apic_id == apic_id)
			return;
	if (found < MAX_CPUS) {
		cpus[found].apic_id = apic_id;
		cpus[found].index = found;
		cpu_count = ++found;
	}
}

static void read_madt(const uint8_t *madt, uint32_t bytes)
{
	for (uint32_t at = 44; at + 2 <= bytes && madt[at + 1] >= 2; at += madt[at + 1]) {
		const uint8_t *e = madt + at;

		if (at + e[1] > bytes)
			break;
		if (e[0] == 0 && e[1] >= 8 && e[4] & 1)
			add_cpu(e[3]);
		if (e[0] == 9 && e[1] >= 16 && e[8] & 1)
			add_cpu(get(e + 4, 4));
	}
}

/* Name(_S5_, Package(){type, ...}): 08 "_S5_" 12 length count [0a] type. */
static void find_s5(const uint8_t *dsdt, uint32_t bytes)
{
	const uint8_t *end = dsdt + bytes;

	for (const uint8_t *p = dsdt + 36; p + 6 <= end; p++) {
		if (memcmp(p, "_S5_", 4) || p[4] != 0x12)
			continue;
		p += 5 + 1 + (p[5] >> 6) + 1;
		if (p >= end || (*p == 0x0a && p + 1 == end))
			return;
		acpi_power.sleep_type = *p == 0x0a ? p[1] : *p;
		return;
	}
}

static void read_fadt(const uint8_t *fadt, uint32_t bytes)
{
	const uint8_t *dsdt = NULL;
	uint32_t length;

	if (bytes < 116)
		return;
	acpi_power.pm1a_control = get(fadt + 64, 4);
	acpi_power.pm1b_control = get(fadt + 68, 4);
	if (bytes >= 256 && get(fadt + 112, 4) >> 20 & 1) {
		acpi_power.sleep_is_memory = fadt[244] == 0;
		acpi_power.sleep_control = get(fadt + 248, 4);
	}
	/* X_DSDT, if it is there: the only one that some tables have. */
	if (bytes >= 148 && get(fadt + 140, 4) && !get(fadt + 144, 4))
		dsdt = table_at(get(fadt + 140, 4), &length);
	if (!dsdt)
		dsdt = table_at(get(fadt + 40, 4), &length);
	if (dsdt)
		find_s5(dsdt, length);
}

static void read_root(uint64_t root, int entry_bytes)
{
	uint32_t bytes, length;
	const uint8_t *list = table_at(root, &bytes), *table;

	for (uint32_t at = 36; list && at + (uint32_t)entry_bytes <= bytes;
	     at += (uint32_t)entry_bytes) {
		table = table_at(get(list + at, 4), &length);
		if (table && !memcmp(table, "APIC", 4))
			read_madt(table, length);
		else if (table && !memcmp(table, "FACP", 4))
			read_fadt(table, length);
	}
}

static uint64_t search(uint64_t from, uint64_t to, const char *signature, uint32_t length)
{
	const uint8_t *p = physical(from, to - from);

	for (uint64_t i = 0; p && i + 16 <= to - from; i += 16)
		if (!memcmp(p + i, signature, length))
			return from + i;
	return 0;
}

static void read_mp_table(uint64_t pointer)
{
	const uint8_t *p = physical(pointer, 16);
	uint32_t bytes;

	if (!p || !get(p + 4, 4) || !(p = physical(get(p + 4, 4), 4096)) || memcmp(p, "PCMP", 4))
		return;
	bytes = get(p + 4, 2);
	/* CPUs come first. The count of entries is not asked: some firmware leaves it 0. */
	for (uint32_t at = 44; at + 20 <= bytes && at + 20 <= 4096 && p[at] == 0; at += 20)
		if (p[at + 3] & 1)
			add_cpu(p[at + 1]);
}

void acpi_init(void)
{
	const uint8_t *rsdp;
	uint64_t mp;

	if (!boot.rsdp)
		boot.rsdp = search(0xe0000, 0x100000, "RSD PTR ", 8);
	rsdp = boot.rsdp ? physical(boot.rsdp, 36) : NULL;
	if (rsdp && rsdp[15] >= 2 && get(rsdp + 24, 4))
		read_root(get(rsdp + 24, 4), 8);
	else if (rsdp)
		read_root(get(rsdp + 16, 4), 4);
	if (cpus[0].apic_id || cpu_count > 1 || rsdp)
		return;
	mp = search(0x9fc00, 0xa0000, "_MP_", 4);
	if (!mp)
		mp = search(0xf0000, 0x100000, "_MP_", 4);
	if (mp)
		read_mp_table(mp);
}
