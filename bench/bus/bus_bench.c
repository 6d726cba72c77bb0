/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * What a dispatch costs: nanoseconds per sk_bus_read() and sk_bus_write() at random addresses of
 * 1, 10 and 100 devices that do nothing, for port I/O and MMIO. The best of several rounds, which
 * is what the code costs; the median, which is what the machine made of it.
 */
#include <skete/bus.h>

#include <inttypes.h>
#include <stdio.h>

#define NR_ADDRESSES 4096
#define ROUNDS	     25
#define PASSES	     16 /* over the addresses, per round */
#define AIM_NS	     20.0
#define AIM_DEVICES  100

struct space {
	const char *name;
	uint64_t last, first_base, len_bytes, stride;
	unsigned size_bytes;
};

struct result {
	const struct space *space;
	const char *direction;
	unsigned nr_devices;
	double best_ns, median_ns;
};

static const struct space spaces[] = {
	{"pio", SK_BUS_PIO_LAST, 0x100, 8, 16, 1},
	{"mmio", SK_BUS_MMIO_LAST, 0xd0000000, 0x1000, 0x2000, 4},
};
static const unsigned device_counts[] = {1, 10, AIM_DEVICES};

static uint64_t device_read(void *dev, uint64_t offset, unsigned size_bytes)
{
	(void)size_bytes;
	return *(uint64_t *)dev + offset;
}

static void device_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
	(void)size_bytes;
	*(uint64_t *)dev = value + offset;
}

static const struct sk_bus_ops device_ops = {.read = device_read, .write = device_write};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void fill_addresses(uint64_t *addresses, const struct space *space, unsigned nr_devices)
{
	uint64_t seed = 1;

	for (size_t i = 0; i < NR_ADDRESSES; i++) {
		uint64_t device, offset;

		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		device = (seed >> 33) % nr_devices;
		offset = (seed >> 20) % space->len_bytes & ~(uint64_t)(space->size_bytes - 1);
		addresses[i] = space->first_base + device * space->stride + offset;
	}
}

static double round_ns(struct sk_bus *bus, const uint64_t *addresses, unsigned size_bytes,
		       bool is_write)
{
	uint64_t value = 0, start = sk_now_ns();

	for (unsigned pass = 0; pass < PASSES; pass++) {
		for (size_t i = 0; i < NR_ADDRESSES; i++) {
			if (is_write)
				sk_bus_write(bus, addresses[i], &value, size_bytes, 1);
			else
				sk_bus_read(bus, addresses[i], &value, size_bytes, 1);
		}
	}
	return (double)(sk_now_ns() - start) / (PASSES * NR_ADDRESSES);
}

/* Returns 0, or -errno after a sentence on stderr. */
static int measure(const struct space *space, unsigned nr_devices, bool is_write,
		   struct result *result)
{
	uint64_t addresses[NR_ADDRESSES], devices[AIM_DEVICES] = {0};
	double rounds[ROUNDS];
	struct sk_error err;
	struct sk_bus *bus;
	int r = sk_bus_create(&bus, space->last, &err);

	if (r)
		goto err_create;
	for (unsigned i = 0; i < nr_devices; i++) {
		r = sk_bus_add(bus, space->first_base + i * space->stride, space->len_bytes,
			       &device_ops, &devices[i], "bench", &err);
		if (r)
			goto err_add;
	}
	fill_addresses(addresses, space, nr_devices);
	(void)round_ns(bus, addresses, space->size_bytes, is_write);
	for (unsigned i = 0; i < ROUNDS; i++)
		rounds[i] = round_ns(bus, addresses, space->size_bytes, is_write);
	qsort(rounds, ROUNDS, sizeof(rounds[0]), compare);
	*result = (struct result){
		.space = space,
		.direction = is_write ? "write" : "read",
		.nr_devices = nr_devices,
		.best_ns = rounds[0],
		.median_ns = rounds[ROUNDS / 2],
	};
	if (sk_bus_unclaimed(bus)) {
		r = sk_error_set(&err, -ENXIO, "the benchmark's addresses miss its devices");
		goto err_add;
	}
	sk_bus_destroy(bus);
	return 0;

err_add:
	sk_bus_destroy(bus);
err_create:
	fprintf(stderr, "bus_bench: %s\n", err.message);
	return r;
}

static int write_json(const char *path, const struct result *results, size_t nr)
{
	FILE *f = fopen(path, "w");

	if (!f)
		goto err;
	fprintf(f, "{\n  \"benchmark\": \"bus\",\n  \"unit\": \"ns per dispatch\",\n"
		   "  \"results\": [\n");
	for (size_t i = 0; i < nr; i++)
		fprintf(f,
			"    {\"space\": \"%s\", \"direction\": \"%s\", \"devices\": %u, "
			"\"best\": %.2f, \"median\": %.2f}%s\n",
			results[i].space->name, results[i].direction, results[i].nr_devices,
			results[i].best_ns, results[i].median_ns, i + 1 < nr ? "," : "");
	fprintf(f, "  ]\n}\n");
	if (fclose(f) == 0)
		return 0;
err:
	fprintf(stderr, "bus_bench: cannot write %s: %s\n", path, strerror(errno));
	return -1;
}

int main(int argc, char **argv)
{
	struct result results[SK_ARRAY_SIZE(spaces) * SK_ARRAY_SIZE(device_counts) * 2];
	const char *json = NULL;
	double worst = 0;
	size_t nr = 0;

	if (argc == 3 && strcmp(argv[1], "--json") == 0) {
		json = argv[2];
	} else if (argc != 1) {
		fprintf(stderr, "usage: bus_bench [--json FILE]\n");
		return 2;
	}
	printf("space  access  devices  best ns  median ns\n");
	for (size_t s = 0; s < SK_ARRAY_SIZE(spaces); s++) {
		for (size_t d = 0; d < SK_ARRAY_SIZE(device_counts); d++) {
			for (int w = 0; w < 2; w++) {
				struct result *r = &results[nr];

				if (measure(&spaces[s], device_counts[d], w, r))
					return 1;
				printf("%-5s  %-6s  %7u  %7.1f  %9.1f\n", r->space->name,
				       r->direction, r->nr_devices, r->best_ns, r->median_ns);
				if (r->nr_devices == AIM_DEVICES)
					worst = SK_MAX(worst, r->best_ns);
				nr++;
			}
		}
	}
	printf("aim: %.0f ns at %d devices; the dearest row there has %.1f ns: %s\n", AIM_NS,
	       AIM_DEVICES, worst, worst <= AIM_NS ? "met" : "missed");
	return json && write_json(json, results, nr) ? 1 : 0;
}
