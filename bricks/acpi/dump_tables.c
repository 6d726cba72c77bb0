/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * For iasl_test: writes every table of a machine to a file of its own.
 *
 *   dump_tables DIRECTORY NR_CPUS small|full
 */
#include "test_machine.h"

#include <limits.h>
#include <stdio.h>

struct dump {
	const char *dir;
	bool has_failed;
};

static void write_file(struct dump *dump, const char *name, const void *data, size_t len)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.aml", dump->dir, name);
	f = fopen(path, "wb");
	if (!f || fwrite(data, 1, len, f) != len)
		dump->has_failed = true;
	if (f && fclose(f))
		dump->has_failed = true;
}

static void visit(void *ctx, const uint8_t *table, uint32_t len_bytes)
{
	char name[5] = {0};

	memcpy(name, table, 4);
	write_file(ctx, name, table, len_bytes);
}

int main(int argc, char **argv)
{
	const struct sk_gmem_region_config ram = {.size_bytes = MACHINE_RAM_BYTES};
	const struct sk_gmem_config gmem_config = {.regions = &ram, .nr_regions = 1};
	struct dump dump = {.dir = argc > 1 ? argv[1] : NULL};
	struct sk_acpi_result used;
	struct sk_error err;
	struct machine m;
	struct sk_gmem *gm;
	int nr;

	if (argc != 4) {
		fprintf(stderr, "usage: dump_tables DIRECTORY NR_CPUS small|full\n");
		return 2;
	}
	machine_init(&m, (unsigned int)strtoul(argv[2], NULL, 10), !strcmp(argv[3], "full"));
	if (sk_gmem_create(&gm, &gmem_config, &err)) {
		fprintf(stderr, "dump_tables: %s\n", err.message);
		return 1;
	}
	if (sk_acpi_build(gm, &m.config, &used, &err)) {
		fprintf(stderr, "dump_tables: %s\n", err.message);
		sk_gmem_destroy(gm);
		return 1;
	}
	nr = machine_walk(gm, &used, visit, &dump);
	write_file(&dump, "RSDP", sk_gmem_slice(gm, used.rsdp_gpa, 36), 36);
	sk_gmem_destroy(gm);
	if (nr < 0 || dump.has_failed)
		fprintf(stderr, "dump_tables: %s\n", nr < 0 ? "broken tables" : "cannot write");
	return nr < 0 || dump.has_failed;
}
