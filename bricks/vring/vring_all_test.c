/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * All rings of up to four descriptors, with an indirect table of up to three entries, over a small
 * alphabet of (address, length), flags and next, against a model that is written from the
 * specification (virtio 1.2, 2.7.5, 2.8.5 to 2.8.8). Every walk ends, every vector lies inside of
 * memory, a ring breaks exactly when the model says so, and nothing is written but used entries.
 *
 * Only descriptors that the walk visits have to be varied: the next ring is the last one with its
 * last visited descriptor counted up (the odometer), so that "all" is some million.
 *
 * With SKETE_ALL_RINGS set the alphabet is larger: some 250 million rings.
 */
#include <skete/vring.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include <guest_ring.h>

#define PAGE	   4096u
#define NR_RING	   4u
#define NR_TABLE   3u
#define NR_PLACES  (NR_RING + NR_TABLE)
#define RAM_BYTES  (4 * PAGE)
#define DESC_GPA   PAGE
#define DRIVER_GPA (PAGE + 256)
#define DEVICE_GPA (PAGE + 512)
#define TABLE_GPA  (2 * PAGE)

struct buffer {
	uint64_t addr;
	uint32_t len;
};

/* The last one, a table of three entries instead of two, only if SKETE_ALL_RINGS is set. */
static const struct buffer buffers[] = {
	{0, 1}, {RAM_BYTES - 1, 2}, {UINT64_MAX, 0}, {TABLE_GPA, 32}, {TABLE_GPA, 48},
};

#define FEW_BUFFERS  4
#define MORE_BUFFERS SK_ARRAY_SIZE(buffers)
#define NR_FLAGS     8 /* NEXT, WRITE, INDIRECT */

static unsigned nr_buffers = FEW_BUFFERS;

struct odometer {
	unsigned choice[NR_PLACES];
	unsigned visited[NR_PLACES], nr_visited;
	bool is_visited[NR_PLACES];
	bool is_packed, has_indirect;
	unsigned nr_nexts; /* of the split format: 0 to size, which is outside */
};

static unsigned nr_choices(const struct odometer *o)
{
	return nr_buffers * NR_FLAGS * (o->is_packed ? 1 : o->nr_nexts);
}

static struct buffer buffer_of(unsigned choice)
{
	return buffers[choice % nr_buffers];
}

static unsigned flags_of(unsigned choice)
{
	return choice / nr_buffers % NR_FLAGS;
}

static unsigned next_of(unsigned choice)
{
	return choice / nr_buffers / NR_FLAGS;
}

static void visit(struct odometer *o, unsigned place)
{
	if (!o->is_visited[place])
		o->visited[o->nr_visited++] = place;
	o->is_visited[place] = true;
}

/* ---- The model ---- */

struct expected {
	bool is_good;
	uint32_t nr_readable, nr_writable;
	uint64_t bytes;
	bool has_writable;
	unsigned steps;
};

static bool model_buffer(struct expected *e, struct buffer b, unsigned flags)
{
	bool is_writable = flags & VRING_DESC_F_WRITE;

	if (!is_writable && e->has_writable)
		return false;
	e->has_writable |= is_writable;
	if (b.len == 0)
		return true;
	if (b.addr >= RAM_BYTES || b.len > RAM_BYTES - b.addr)
		return false;
	if (is_writable)
		e->nr_writable++;
	else
		e->nr_readable++;
	e->bytes += b.len;
	return true;
}

/* What an indirect descriptor says; the number of entries, or 0: it is none. */
static unsigned model_table(const struct odometer *o, struct buffer b, unsigned flags)
{
	if (!o->has_indirect || (flags & VRING_DESC_F_NEXT) || !b.len || b.len % 16 ||
	    b.addr >= RAM_BYTES || b.len > RAM_BYTES - b.addr || b.addr != TABLE_GPA)
		return 0;
	return b.len / 16;
}

static bool model_split(struct odometer *o, struct expected *e, unsigned base, unsigned nr,
			unsigned index, bool is_table)
{
	for (unsigned steps = 0; steps < nr; steps++) {
		struct buffer b;
		unsigned flags, choice;

		if (index >= nr)
			return false;
		visit(o, base + index);
		choice = o->choice[base + index];
		b = buffer_of(choice);
		flags = flags_of(choice);
		if (flags & VRING_DESC_F_INDIRECT) {
			unsigned entries = is_table ? 0 : model_table(o, b, flags);

			return entries && model_split(o, e, NR_RING, entries, 0, true);
		}
		if (!model_buffer(e, b, flags))
			return false;
		if (!(flags & VRING_DESC_F_NEXT))
			return true;
		index = next_of(choice);
	}
	/* More steps than descriptors: a loop. */
	return false;
}

static bool model_packed(struct odometer *o, struct expected *e, unsigned size)
{
	for (unsigned slot = 0; slot < size; slot++) {
		unsigned choice = o->choice[slot], flags = flags_of(choice);
		struct buffer b = buffer_of(choice);

		visit(o, slot);
		if (flags & VRING_DESC_F_INDIRECT) {
			unsigned entries = model_table(o, b, flags);

			for (unsigned i = 0; i < entries; i++) {
				unsigned in = o->choice[NR_RING + i];

				visit(o, NR_RING + i);
				if (!model_buffer(e, buffer_of(in), flags_of(in)))
					return false;
			}
			return entries > 0;
		}
		if (!model_buffer(e, b, flags))
			return false;
		if (!(flags & VRING_DESC_F_NEXT))
			return true;
	}
	return false;
}

/* ---- The ring ---- */

struct rig {
	struct sk_gmem *gm;
	uint8_t *ram;
	uint8_t before[RAM_BYTES];
	struct odometer o;
	struct sk_vring_config config;
	uint64_t nr_rings, nr_good;
};

static void put(struct rig *rig, unsigned place)
{
	unsigned choice = rig->o.choice[place], flags = flags_of(choice);
	uint8_t *p = place < NR_RING ? rig->ram + DESC_GPA + 16 * place
				     : rig->ram + TABLE_GPA + 16 * (place - NR_RING);
	struct buffer b = buffer_of(choice);

	sk_store_le64(p, b.addr);
	sk_store_le32(p + 8, b.len);
	if (rig->o.is_packed) {
		sk_store_le16(p + 12, 5);
		sk_store_le16(p + 14, (uint16_t)(flags | GUEST_RING_AVAIL));
	} else {
		sk_store_le16(p + 12, (uint16_t)flags);
		sk_store_le16(p + 14, (uint16_t)next_of(choice));
	}
}

static void check_vectors(const struct rig *rig, const struct sk_vring_chain *chain)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < chain->nr_readable + chain->nr_writable; i++) {
		const uint8_t *p = chain->iov[i].iov_base;

		BUG_ON(p < rig->ram || p >= rig->ram + RAM_BYTES);
		BUG_ON(chain->iov[i].iov_len > (size_t)(rig->ram + RAM_BYTES - p));
		bytes += chain->iov[i].iov_len;
	}
	BUG_ON(bytes != (uint64_t)chain->readable_bytes + chain->writable_bytes);
}

/* Whatever the ring was, only used entries may have changed. */
static void check_memory(struct rig *rig, bool is_used)
{
	uint32_t from = rig->o.is_packed ? DESC_GPA : DEVICE_GPA;
	uint32_t len = rig->o.is_packed ? 16 : 6 + 8 * rig->config.size;

	if (!is_used)
		len = 0;
	BUG_ON(memcmp(rig->ram, rig->before, from));
	BUG_ON(memcmp(rig->ram + from + len, rig->before + from + len, RAM_BYTES - from - len));
	memcpy(rig->ram + from, rig->before + from, len);
}

static void run_ring(struct rig *rig)
{
	struct sk_vring_chain chain;
	struct expected e = {0};
	struct sk_vring *ring;
	struct iovec iov[16];
	int ret;

	e.is_good = rig->o.is_packed ? model_packed(&rig->o, &e, rig->config.size)
				     : model_split(&rig->o, &e, 0, rig->config.size, 0, false);
	BUG_ON(sk_vring_create(&ring, &rig->config));
	ret = sk_vring_pop(ring, &chain, iov, SK_ARRAY_SIZE(iov));
	if (ret != (e.is_good ? 1 : -EPROTO))
		fail_msg("ring %llu: pop says %d, the model %s", (unsigned long long)rig->nr_rings,
			 ret, e.is_good ? "good" : "broken");
	if (e.is_good) {
		BUG_ON(chain.nr_readable != e.nr_readable || chain.nr_writable != e.nr_writable);
		BUG_ON((uint64_t)chain.readable_bytes + chain.writable_bytes != e.bytes);
		check_vectors(rig, &chain);
		sk_vring_push(ring, &chain, UINT32_MAX);
	}
	(void)!sk_vring_flush(ring);
	BUG_ON(sk_vring_is_broken(ring) == e.is_good);
	sk_vring_destroy(ring);
	check_memory(rig, e.is_good);
	rig->nr_rings++;
	rig->nr_good += e.is_good;
}

/* The next ring; false: that was the last. */
static bool turn(struct rig *rig)
{
	struct odometer *o = &rig->o;
	unsigned nr = o->nr_visited;

	o->nr_visited = 0;
	memset(o->is_visited, 0, sizeof(o->is_visited));
	while (nr) {
		unsigned place = o->visited[--nr];

		o->choice[place] = (o->choice[place] + 1) % nr_choices(o);
		put(rig, place);
		memcpy(rig->before, rig->ram, RAM_BYTES);
		if (o->choice[place])
			return true;
	}
	return false;
}

static void run_all(bool is_packed, bool has_indirect, uint16_t size)
{
	const struct sk_gmem_region_config region = {.gpa = 0, .size_bytes = RAM_BYTES};
	const struct sk_gmem_config gm_config = {.regions = &region, .nr_regions = 1};
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_int_equal(sk_gmem_create(&rig->gm, &gm_config, NULL), 0);
	rig->ram = sk_gmem_slice(rig->gm, 0, RAM_BYTES);
	rig->o.is_packed = is_packed;
	rig->o.has_indirect = has_indirect;
	rig->o.nr_nexts = size + 1u;
	rig->config = (struct sk_vring_config){
		.gm = rig->gm,
		.size = size,
		.is_packed = is_packed,
		.has_indirect = has_indirect,
		.desc_gpa = DESC_GPA,
		.driver_gpa = DRIVER_GPA,
		.device_gpa = DEVICE_GPA,
	};
	for (unsigned place = 0; place < NR_PLACES; place++)
		put(rig, place);
	if (!is_packed)
		sk_store_le16(rig->ram + DRIVER_GPA + 2, 1);
	memcpy(rig->before, rig->ram, RAM_BYTES);
	do {
		run_ring(rig);
	} while (turn(rig));
	printf("# %s of %u%s: %llu rings, %llu of them good\n", is_packed ? "packed" : "split",
	       size, has_indirect ? " with tables" : "", (unsigned long long)rig->nr_rings,
	       (unsigned long long)rig->nr_good);
	assert_true(rig->nr_good > 0 && rig->nr_good < rig->nr_rings);
	sk_gmem_destroy(rig->gm);
	free(rig);
}

static void all_split_rings(void **state)
{
	(void)state;
	for (uint16_t size = 1; size <= NR_RING; size *= 2)
		for (int has_indirect = 0; has_indirect < 2; has_indirect++)
			run_all(false, has_indirect, size);
}

static void all_packed_rings(void **state)
{
	(void)state;
	for (uint16_t size = 1; size <= NR_RING; size++)
		for (int has_indirect = 0; has_indirect < 2; has_indirect++)
			run_all(true, has_indirect, size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_split_rings),
		cmocka_unit_test(all_packed_rings),
	};

	if (getenv("SKETE_ALL_RINGS"))
		nr_buffers = MORE_BUFFERS;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
