/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * What a virtqueue costs the device: nanoseconds for pop, push and a flush per batch, of a block
 * request's shape (16 bytes to read, 4 KiB and one byte to write), for both formats and their
 * features. The driver's side, on the same thread, fills and empties the ring off the clock. The
 * best of several rounds, which is what the code costs; the median, which is what the machine made
 * of it.
 */
#include <skete/vring.h>

#include <stdio.h>

#include <guest_ring.h>

#define RING_SIZE 256
#define BATCH	  64 /* chains, of three descriptors each: fit the ring */
#define ROUNDS	  25
#define PASSES	  200 /* per round */
#define RING_GPA  UINT64_C(0x100000)
#define DATA_GPA  UINT64_C(0x400000)
#define RAM_BYTES (8 * SK_MIB)

struct kind {
	const char *name;
	bool is_packed, is_indirect, has_event_idx, is_in_order;
};

static const struct kind kinds[] = {
	{"split", false, false, false, false},
	{"split, indirect", false, true, false, false},
	{"split, indirect, event index", false, true, true, false},
	{"split, indirect, in order", false, true, false, true},
	{"packed", true, false, false, false},
	{"packed, indirect", true, true, false, false},
	{"packed, indirect, event index", true, true, true, false},
	{"packed, indirect, in order", true, true, false, true},
};

struct result {
	double best_ns, median_ns;
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void fill(struct guest_ring *g, bool is_indirect)
{
	for (uint64_t i = 0; i < BATCH; i++) {
		gpa_t gpa = DATA_GPA + i * 0x2000;
		const struct guest_buf bufs[] = {
			{gpa, 16, false}, {gpa + 0x1000, 4096, true}, {gpa + 16, 1, true}};

		BUG_ON(!guest_ring_add(g, bufs, 3, is_indirect, i));
	}
	(void)guest_ring_publish(g);
}

static void empty(struct guest_ring *g)
{
	for (uint32_t i = 0; i < BATCH; i++)
		BUG_ON(!guest_ring_reap(g, NULL, NULL));
	(void)guest_ring_enable_interrupts(g);
}

/* The device: takes all there is, gives it back, tells the driver once. */
static void serve(struct sk_vring *ring)
{
	struct sk_vring_chain chains[BATCH];
	struct iovec iov[BATCH][4];
	uint32_t nr = 0;

	sk_vring_disable_doorbell(ring);
	do {
		while (nr < BATCH && sk_vring_pop(ring, &chains[nr], iov[nr], 4) == 1)
			nr++;
	} while (sk_vring_enable_doorbell(ring) && nr < BATCH);
	for (uint32_t i = 0; i < nr; i++)
		sk_vring_push(ring, &chains[i], 4097);
	(void)!sk_vring_flush(ring);
	BUG_ON(nr != BATCH);
}

static double round_ns(struct sk_vring *ring, struct guest_ring *g, bool is_indirect)
{
	uint64_t total = 0;

	for (unsigned pass = 0; pass < PASSES; pass++) {
		uint64_t start;

		fill(g, is_indirect);
		start = sk_now_ns();
		serve(ring);
		total += sk_now_ns() - start;
		empty(g);
	}
	return (double)total / (PASSES * BATCH);
}

static struct result measure(struct sk_gmem *gm, const struct kind *kind)
{
	const struct guest_ring_config config = {
		.gm = gm,
		.gpa = RING_GPA,
		.size = RING_SIZE,
		.is_packed = kind->is_packed,
		.has_event_idx = kind->has_event_idx,
		.is_in_order = kind->is_in_order,
		.max_indirect = kind->is_indirect ? 4 : 0,
	};
	struct sk_vring_config vring_config;
	double rounds[ROUNDS];
	struct sk_vring *ring;
	struct guest_ring g;

	guest_ring_init(&g, &config);
	vring_config = guest_ring_vring_config(&g);
	BUG_ON(sk_vring_create(&ring, &vring_config));
	(void)round_ns(ring, &g, kind->is_indirect);
	for (unsigned i = 0; i < ROUNDS; i++)
		rounds[i] = round_ns(ring, &g, kind->is_indirect);
	qsort(rounds, ROUNDS, sizeof(rounds[0]), compare);
	BUG_ON(g.nr_errors);
	sk_vring_destroy(ring);
	guest_ring_fini(&g);
	return (struct result){rounds[0], rounds[ROUNDS / 2]};
}

static int write_json(const char *path, const struct result *results)
{
	FILE *f = fopen(path, "w");

	if (!f)
		goto err;
	fprintf(f, "{\n  \"benchmark\": \"vring\",\n  \"unit\": \"ns per request\",\n"
		   "  \"results\": [\n");
	for (size_t i = 0; i < SK_ARRAY_SIZE(kinds); i++)
		fprintf(f, "    {\"ring\": \"%s\", \"best\": %.2f, \"median\": %.2f}%s\n",
			kinds[i].name, results[i].best_ns, results[i].median_ns,
			i + 1 < SK_ARRAY_SIZE(kinds) ? "," : "");
	fprintf(f, "  ]\n}\n");
	if (fclose(f) == 0)
		return 0;
err:
	fprintf(stderr, "vring_bench: cannot write %s: %s\n", path, strerror(errno));
	return -1;
}

int main(int argc, char **argv)
{
	const struct sk_gmem_region_config region = {.gpa = 0, .size_bytes = RAM_BYTES};
	const struct sk_gmem_config config = {.regions = &region, .nr_regions = 1};
	struct result results[SK_ARRAY_SIZE(kinds)];
	const char *json = NULL;
	struct sk_error err;
	struct sk_gmem *gm;

	if (argc == 3 && strcmp(argv[1], "--json") == 0) {
		json = argv[2];
	} else if (argc != 1) {
		fprintf(stderr, "usage: vring_bench [--json FILE]\n");
		return 2;
	}
	if (sk_gmem_create(&gm, &config, &err)) {
		fprintf(stderr, "vring_bench: %s\n", err.message);
		return 1;
	}
	printf("ring                           best ns  median ns  million requests/s\n");
	for (size_t i = 0; i < SK_ARRAY_SIZE(kinds); i++) {
		results[i] = measure(gm, &kinds[i]);
		printf("%-29s  %7.1f  %9.1f  %18.1f\n", kinds[i].name, results[i].best_ns,
		       results[i].median_ns, 1000 / results[i].best_ns);
	}
	sk_gmem_destroy(gm);
	return json && write_json(json, results) ? 1 : 0;
}
