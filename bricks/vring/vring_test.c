/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include <skete/vring.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include <guest_ring.h>

#define RING_GPA  UINT64_C(0x100000)
#define DATA_GPA  UINT64_C(0x10000)
#define RAM_BYTES (16 * SK_MIB)
#define MAX_BUFS  6

static struct sk_gmem *make_memory(bool has_dirty_log)
{
	const struct sk_gmem_region_config region = {.gpa = 0, .size_bytes = RAM_BYTES};
	const struct sk_gmem_config config = {
		.regions = &region, .nr_regions = 1, .has_dirty_log = has_dirty_log};
	struct sk_gmem *gm;

	assert_int_equal(sk_gmem_create(&gm, &config, NULL), 0);
	return gm;
}

struct rig {
	struct sk_gmem *gm;
	struct guest_ring g;
	struct sk_vring *ring;
};

static void rig_open(struct rig *rig, struct guest_ring_config config)
{
	struct sk_vring_config vring_config;

	rig->gm = make_memory(false);
	config.gm = rig->gm;
	config.gpa = RING_GPA;
	guest_ring_init(&rig->g, &config);
	vring_config = guest_ring_vring_config(&rig->g);
	assert_int_equal(sk_vring_create(&rig->ring, &vring_config), 0);
}

static void rig_close(struct rig *rig)
{
	assert_int_equal(rig->g.nr_errors, 0);
	sk_vring_destroy(rig->ring);
	guest_ring_fini(&rig->g);
	sk_gmem_destroy(rig->gm);
}

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

/* ---- Every combination of features under a random load ---- */

/* What the driver has outstanding, and the device in its hands, by token. */
struct load {
	struct rig rig;
	uint32_t random;
	uint64_t next_token, nr_reaped;
	struct sk_vring_chain chains[64];
	struct iovec iov[64][MAX_BUFS];
	uint32_t nr_chains;
	bool doorbell, interrupt, is_draining;
	bool is_held; /* the ring is looked at instead */
	uint64_t nr_interrupts, nr_doorbells;
};

/* The chain of @token: 0 to 3 readable buffers, 0 to 2 writable ones, all in a slot of its own. */
static uint32_t plan_chain(uint64_t token, struct guest_buf *bufs)
{
	uint32_t seed = (uint32_t)token * 2654435761u + 1, nr = 0;
	uint32_t nr_readable = next_random(&seed) % 4, nr_writable = next_random(&seed) % 3;
	gpa_t gpa = DATA_GPA + token % 512 * 1024;

	if (!nr_readable && !nr_writable)
		nr_readable = 1;
	for (uint32_t i = 0; i < nr_readable + nr_writable; i++) {
		bufs[nr] = (struct guest_buf){gpa, next_random(&seed) % 100, i >= nr_readable};
		gpa += bufs[nr++].len_bytes;
	}
	return nr;
}

static void driver_add(struct load *load)
{
	struct guest_buf bufs[MAX_BUFS];
	uint32_t nr = plan_chain(load->next_token, bufs);
	bool is_indirect = load->rig.g.config.max_indirect && next_random(&load->random) % 2;
	uint8_t *data = sk_gmem_slice(load->rig.gm, bufs[0].gpa, 1024);

	memset(data, (int)(load->next_token & 0x7f), 1024);
	if (guest_ring_add(&load->rig.g, bufs, nr, is_indirect, load->next_token))
		load->next_token++;
}

static void driver_step(struct load *load)
{
	uint64_t token;
	uint32_t written;

	/* Asleep until an interrupt, if it cannot add. */
	if (load->interrupt) {
		load->interrupt = false;
		do {
			guest_ring_disable_interrupts(&load->rig.g);
			while (guest_ring_reap(&load->rig.g, &token, &written)) {
				struct guest_buf bufs[MAX_BUFS];
				uint32_t nr = plan_chain(token, bufs), at = 0;
				uint8_t *data = sk_gmem_slice(load->rig.gm, bufs[0].gpa, 1024);

				for (uint32_t i = 0; i < nr; i++)
					for (uint32_t j = 0; j < bufs[i].len_bytes; j++, at++)
						assert_int_equal(
							data[at],
							(token & 0x7f) |
								(bufs[i].is_writable ? 0x80 : 0));
				load->nr_reaped++;
			}
		} while (guest_ring_enable_interrupts(&load->rig.g));
	}
	for (uint32_t i = load->is_draining ? 0 : next_random(&load->random) % 8; i; i--)
		driver_add(load);
	if (guest_ring_publish(&load->rig.g)) {
		assert_false(load->is_held);
		load->doorbell = true;
		load->nr_doorbells++;
	}
}

static void check_and_fill(const struct sk_vring_chain *chain)
{
	uint8_t first = 0;

	for (uint32_t i = 0; i < chain->nr_readable; i++) {
		const uint8_t *p = chain->iov[i].iov_base;

		for (size_t j = 0; j < chain->iov[i].iov_len; j++) {
			first = first ? first : p[j];
			assert_int_equal(p[j], first);
		}
	}
	for (uint32_t i = 0; i < chain->nr_writable; i++) {
		uint8_t *p = chain->iov[chain->nr_readable + i].iov_base;

		for (size_t j = 0; j < chain->iov[chain->nr_readable + i].iov_len; j++)
			p[j] |= 0x80;
	}
}

/* Returns chains in random order, sometimes keeping some for later. */
static void device_complete(struct load *load, uint32_t keep)
{
	while (load->nr_chains > keep) {
		uint32_t i = next_random(&load->random) % load->nr_chains;
		struct sk_vring_chain *last = &load->chains[--load->nr_chains];

		check_and_fill(&load->chains[i]);
		sk_vring_push(load->rig.ring, &load->chains[i], load->chains[i].writable_bytes);
		if (i == load->nr_chains)
			continue;
		memcpy(load->iov[i], load->iov[load->nr_chains], sizeof(load->iov[i]));
		load->chains[i] = *last;
		load->chains[i].iov = load->iov[i];
	}
	if (sk_vring_flush(load->rig.ring)) {
		load->interrupt = true;
		load->nr_interrupts++;
	}
}

static void device_step(struct load *load)
{
	struct sk_vring *ring = load->rig.ring;
	bool disables = next_random(&load->random) % 2;
	int ret;

	if (!load->doorbell && !(load->is_held && sk_vring_would_ring(ring)))
		return;
	load->doorbell = false;
	do {
		if (disables)
			sk_vring_disable_doorbell(ring);
		for (;;) {
			struct sk_vring_chain *chain = &load->chains[load->nr_chains];

			if (load->nr_chains == SK_ARRAY_SIZE(load->chains))
				device_complete(load, 0);
			ret = sk_vring_pop(ring, chain, load->iov[load->nr_chains], MAX_BUFS);
			assert_true(ret >= 0);
			if (!ret)
				break;
			if (next_random(&load->random) % 8 == 0) {
				sk_vring_unpop(ring, chain);
				assert_true(sk_vring_has_work(ring));
				continue;
			}
			load->nr_chains++;
		}
		assert_int_equal(sk_vring_in_flight(ring), load->nr_chains);
		device_complete(load, next_random(&load->random) % (load->nr_chains + 1));
	} while (disables && sk_vring_enable_doorbell(ring));
}

/* For some rounds somebody looks at the ring, and the driver is not to ring. */
static void hold_or_release(struct load *load)
{
	if (load->is_held) {
		load->is_held = false;
		load->doorbell |= sk_vring_release_doorbell(load->rig.ring);
	} else if (next_random(&load->random) % 4 == 0) {
		load->is_held = true;
		sk_vring_hold_doorbell(load->rig.ring);
	}
}

static void run_load(struct guest_ring_config config, uint32_t seed)
{
	struct load *load = calloc(1, sizeof(*load));
	uint32_t rounds = 2000;

	load->random = seed;
	rig_open(&load->rig, config);
	while (rounds--) {
		if (next_random(&load->random) % 8 == 0)
			hold_or_release(load);
		driver_step(load);
		device_step(load);
		if (next_random(&load->random) % 4 == 0)
			device_complete(load, 0);
	}
	if (load->is_held)
		hold_or_release(load);
	/* No wake-up was lost: everything comes back without anybody looking unasked. */
	load->is_draining = true;
	for (int i = 0; i < 3; i++) {
		device_step(load);
		device_complete(load, 0);
		driver_step(load);
	}
	assert_int_equal(load->nr_reaped, load->next_token);
	assert_true(load->nr_reaped > 500);
	assert_true(load->nr_interrupts && load->nr_doorbells);
	assert_false(sk_vring_is_broken(load->rig.ring));
	rig_close(&load->rig);
	free(load);
}

static void all_combinations_carry_a_random_load(void **state)
{
	static const uint16_t split_sizes[] = {8, 16, 256}, packed_sizes[] = {7, 16, 255};

	(void)state;
	for (unsigned bits = 0; bits < 16; bits++) {
		for (unsigned i = 0; i < 3; i++) {
			struct guest_ring_config config = {
				.is_packed = bits & 1,
				.has_event_idx = bits & 2,
				.is_in_order = bits & 4,
				.max_indirect = bits & 8 ? MAX_BUFS : 0,
				.size = bits & 1 ? packed_sizes[i] : split_sizes[i],
			};

			run_load(config, bits * 3 + i + 1);
		}
	}
}

/* ---- Set-up ---- */

static void create_refuses_what_is_no_ring(void **state)
{
	struct sk_gmem *gm = make_memory(false);
	const struct sk_vring_config good = {
		.gm = gm,
		.size = 16,
		.desc_gpa = RING_GPA,
		.driver_gpa = RING_GPA + 0x1000,
		.device_gpa = RING_GPA + 0x2000,
	};
	const struct {
		struct sk_vring_config config;
		int ret;
	} cases[] = {
		{good, 0},
		{{.size = 0}, -EINVAL},
		{{.size = 17}, -EINVAL},
		{{.size = 17, .is_packed = true}, 0},
		{{.size = 32768}, 0},
		{{.size = 32769, .is_packed = true}, -EINVAL},
		{{.desc_gpa = RING_GPA + 8}, -EINVAL},
		{{.driver_gpa = RING_GPA + 1}, -EINVAL},
		{{.driver_gpa = RING_GPA + 2}, 0},
		{{.driver_gpa = RING_GPA + 2, .is_packed = true}, -EINVAL},
		{{.device_gpa = RING_GPA + 2}, -EINVAL},
		{{.desc_gpa = RAM_BYTES}, -EFAULT},
		{{.desc_gpa = RAM_BYTES - 16 * 15}, -EFAULT},
		{{.desc_gpa = RAM_BYTES - 16 * 16}, 0},
		{{.driver_gpa = RAM_BYTES - 37}, -EINVAL},
		{{.driver_gpa = RAM_BYTES - 36}, -EFAULT},
		{{.driver_gpa = RAM_BYTES - 38}, 0},
		{{.device_gpa = RAM_BYTES - 132}, -EFAULT},
		{{.device_gpa = RAM_BYTES - 136}, 0},
		{{.desc_gpa = UINT64_MAX - 15}, -EINVAL},
		{{.device_gpa = UINT64_MAX - 3}, -EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < SK_ARRAY_SIZE(cases); i++) {
		struct sk_vring_config c = cases[i].config;
		struct sk_vring *ring = NULL;

		/* What the case does not say is good. */
		c.gm = gm;
		c.size = i == 1 ? 0 : c.size ? c.size : good.size;
		c.desc_gpa = c.desc_gpa ? c.desc_gpa : good.desc_gpa;
		c.driver_gpa = c.driver_gpa ? c.driver_gpa : good.driver_gpa;
		c.device_gpa = c.device_gpa ? c.device_gpa : good.device_gpa;
		assert_int_equal(sk_vring_create(&ring, &c), cases[i].ret);
		sk_vring_destroy(ring);
	}
	sk_gmem_destroy(gm);
}

/* ---- A driver that breaks the rules ---- */

#define R	  0u
#define W	  ((unsigned)VRING_DESC_F_WRITE)
#define N	  ((unsigned)VRING_DESC_F_NEXT)
#define IN	  ((unsigned)VRING_DESC_F_INDIRECT)
#define TABLE_GPA UINT64_C(0x8000)

struct raw_desc {
	uint64_t addr;
	uint32_t len;
	unsigned flags;
	uint16_t link; /* split only */
};

/* @table: of the indirect table, if there is one. The chain begins with descriptor 0. */
struct raw_case {
	const char *what;
	struct raw_desc ring[4], table[3];
	int ret; /* of a pop */
	uint32_t nr_readable, nr_writable;
	bool is_split_only, is_packed_only;
};

static const struct raw_case raw_cases[] = {
	{"one byte", {{DATA_GPA, 1, R}}, .ret = 1, .nr_readable = 1},
	{"the last byte of memory", {{RAM_BYTES - 1, 1, W}}, .ret = 1, .nr_writable = 1},
	{"one beyond", {{RAM_BYTES - 1, 2, W}}, .ret = -EPROTO},
	{"outside", {{RAM_BYTES, 1, R}}, .ret = -EPROTO},
	{"wraps", {{UINT64_MAX, 2, R}}, .ret = -EPROTO},
	{"huge", {{0, UINT32_MAX, R}}, .ret = -EPROTO},
	{"empty, anywhere", {{UINT64_MAX, 0, R}}, .ret = 1},
	{"read, write",
	 {{DATA_GPA, 4, R | N, 1}, {DATA_GPA, 4, W}},
	 .ret = 1,
	 .nr_readable = 1,
	 .nr_writable = 1},
	{"write, read", {{DATA_GPA, 4, W | N, 1}, {DATA_GPA, 4, R}}, .ret = -EPROTO},
	{"empty write, read", {{DATA_GPA, 0, W | N, 1}, {DATA_GPA, 4, R}}, .ret = -EPROTO},
	{"a loop of one", {{DATA_GPA, 4, R | N, 0}}, .ret = -EPROTO, .is_split_only = true},
	{"a loop of empty ones",
	 {{DATA_GPA, 0, R | N, 1}, {DATA_GPA, 0, R | N, 0}},
	 .ret = -EPROTO,
	 .is_split_only = true},
	{"next outside", {{DATA_GPA, 4, R | N, 4}}, .ret = -EPROTO, .is_split_only = true},
	{"a list without an end",
	 {{DATA_GPA, 4, R | N, 1},
	  {DATA_GPA, 4, R | N, 2},
	  {DATA_GPA, 4, R | N, 3},
	  {DATA_GPA, 4, R | N, 0}},
	 .ret = -EPROTO},
	{"a table",
	 {{TABLE_GPA, 32, IN}},
	 {{DATA_GPA, 4, R | N, 1}, {DATA_GPA, 4, W}},
	 .ret = 1,
	 .nr_readable = 1,
	 .nr_writable = 1},
	{"a table, said to be writable",
	 {{TABLE_GPA, 32, IN | W}},
	 {{DATA_GPA, 4, R | N, 1}, {DATA_GPA, 4, W}},
	 .ret = 1,
	 .nr_readable = 1,
	 .nr_writable = 1},
	{"a table behind a buffer",
	 {{DATA_GPA, 1, R | N, 1}, {TABLE_GPA, 32, IN}},
	 {{DATA_GPA, 4, R | N, 1}, {DATA_GPA, 4, W}},
	 .ret = 1,
	 .nr_readable = 2,
	 .nr_writable = 1},
	{"a table and a next one",
	 {{TABLE_GPA, 32, IN | N, 1}, {DATA_GPA, 4, W}},
	 {{DATA_GPA, 4, R | N, 1}, {DATA_GPA, 4, W}},
	 .ret = -EPROTO},
	{"an empty table", {{TABLE_GPA, 0, IN}}, .ret = -EPROTO},
	{"a crooked table", {{TABLE_GPA, 31, IN}}, .ret = -EPROTO},
	{"a table outside", {{RAM_BYTES - 16, 32, IN}}, .ret = -EPROTO},
	{"a table in a table",
	 {{TABLE_GPA, 16, IN}},
	 {{TABLE_GPA, 16, IN}},
	 .ret = -EPROTO,
	 .is_split_only = true},
	{"next outside of a table",
	 {{TABLE_GPA, 16, IN}},
	 {{DATA_GPA, 4, R | N, 1}},
	 .ret = -EPROTO,
	 .is_split_only = true},
	{"a table loops",
	 {{TABLE_GPA, 16, IN}},
	 {{DATA_GPA, 4, R | N, 0}},
	 .ret = -EPROTO,
	 .is_split_only = true},
	{"other flags of a table are nobody's",
	 {{TABLE_GPA, 32, IN}},
	 {{DATA_GPA, 4, IN | N}, {DATA_GPA, 4, W | N}},
	 .ret = 1,
	 .nr_readable = 1,
	 .nr_writable = 1,
	 .is_packed_only = true},
};

static void run_raw_case(const struct raw_case *c, bool is_packed, bool has_indirect)
{
	struct iovec iov[SK_VRING_MAX_IOV];
	struct sk_vring_chain chain;
	struct rig rig;
	bool uses_table = false;
	int ret;

	rig_open(&rig, (struct guest_ring_config){
			       .size = 4, .is_packed = is_packed, .max_indirect = has_indirect});
	for (uint32_t i = 0; i < 4; i++) {
		const struct raw_desc *d = &c->ring[i];

		uses_table |= !!(d->flags & IN);
		guest_ring_write_desc(&rig.g, rig.g.desc_gpa, i, d->addr, d->len,
				      (uint16_t)(d->flags | (is_packed ? GUEST_RING_AVAIL : 0)),
				      is_packed ? 7 : d->link);
	}
	for (uint32_t i = 0; i < 3; i++)
		guest_ring_write_desc(&rig.g, TABLE_GPA, i, c->table[i].addr, c->table[i].len,
				      (uint16_t)c->table[i].flags, c->table[i].link);
	if (!is_packed)
		guest_ring_set_avail_index(&rig.g, 1);
	assert_true(sk_vring_has_work(rig.ring));
	ret = sk_vring_pop(rig.ring, &chain, iov, SK_ARRAY_SIZE(iov));
	if (ret != (uses_table && !has_indirect ? -EPROTO : c->ret))
		fail_msg("%s (%s): pop says %d", c->what, is_packed ? "packed" : "split", ret);
	if (ret == 1) {
		assert_int_equal(chain.nr_readable, c->nr_readable);
		assert_int_equal(chain.nr_writable, c->nr_writable);
		sk_vring_push(rig.ring, &chain, UINT32_MAX);
		assert_true(sk_vring_flush(rig.ring));
	} else {
		/* Broken for good, and nothing is written. */
		assert_true(sk_vring_is_broken(rig.ring));
		assert_false(sk_vring_has_work(rig.ring));
		assert_int_equal(sk_vring_pop(rig.ring, &chain, iov, 1), -EPROTO);
		assert_false(sk_vring_flush(rig.ring));
		assert_false(sk_vring_enable_doorbell(rig.ring));
	}
	rig_close(&rig);
}

static void chains_are_checked(void **state)
{
	(void)state;
	for (size_t i = 0; i < SK_ARRAY_SIZE(raw_cases); i++) {
		for (int indirect = 0; indirect < 2; indirect++) {
			if (!raw_cases[i].is_packed_only)
				run_raw_case(&raw_cases[i], false, indirect);
			if (!raw_cases[i].is_split_only)
				run_raw_case(&raw_cases[i], true, indirect);
		}
	}
}

static void impossible_indices_break_the_ring(void **state)
{
	struct iovec iov[1];
	struct sk_vring_chain chain;
	struct rig rig;

	(void)state;
	/* More chains than entries. */
	rig_open(&rig, (struct guest_ring_config){.size = 8});
	guest_ring_set_avail_index(&rig.g, 9);
	assert_int_equal(sk_vring_pop(rig.ring, &chain, iov, 1), -EPROTO);
	rig_close(&rig);
	/* A head that is no descriptor. */
	rig_open(&rig, (struct guest_ring_config){.size = 8});
	guest_ring_set_avail(&rig.g, 0, 8);
	guest_ring_set_avail_index(&rig.g, 1);
	assert_int_equal(sk_vring_pop(rig.ring, &chain, iov, 1), -EPROTO);
	rig_close(&rig);
	/* The same descriptors again and again, while they are in flight. */
	for (int is_packed = 0; is_packed < 2; is_packed++) {
		rig_open(&rig, (struct guest_ring_config){.size = 8, .is_packed = is_packed});
		for (uint32_t i = 0; i < 8; i++)
			guest_ring_write_desc(&rig.g, rig.g.desc_gpa, i, DATA_GPA, 1,
					      is_packed ? GUEST_RING_AVAIL : 0, 0);
		guest_ring_set_avail_index(&rig.g, is_packed ? 0 : 8);
		for (uint32_t i = 0; i < 8; i++)
			assert_int_equal(sk_vring_pop(rig.ring, &chain, iov, 1), 1);
		assert_int_equal(sk_vring_pop(rig.ring, &chain, iov, 1), 0);
		for (uint32_t i = 0; is_packed && i < 8; i++)
			guest_ring_write_desc(&rig.g, rig.g.desc_gpa, i, DATA_GPA, 1,
					      1u << VRING_PACKED_DESC_F_USED, 0);
		if (!is_packed)
			guest_ring_set_avail_index(&rig.g, 9);
		assert_int_equal(sk_vring_pop(rig.ring, &chain, iov, 1), -EPROTO);
		assert_int_equal(sk_vring_in_flight(rig.ring), 8);
		rig_close(&rig);
	}
}

static void chains_have_a_limit(void **state)
{
	struct iovec iov[SK_VRING_MAX_IOV];
	struct sk_vring_chain chain;

	(void)state;
	for (int is_packed = 0; is_packed < 2; is_packed++) {
		for (uint32_t extra = 0; extra < 2; extra++) {
			struct guest_buf bufs[SK_VRING_MAX_IOV + 1];
			struct rig rig;

			rig_open(&rig,
				 (struct guest_ring_config){.size = 2,
							    .is_packed = is_packed,
							    .max_indirect = SK_VRING_MAX_IOV + 1});
			for (uint32_t i = 0; i < SK_ARRAY_SIZE(bufs); i++)
				bufs[i] = (struct guest_buf){DATA_GPA, 1, false};
			assert_true(
				guest_ring_add(&rig.g, bufs, SK_VRING_MAX_IOV + extra, true, 0));
			assert_true(guest_ring_publish(&rig.g));
			assert_int_equal(sk_vring_pop(rig.ring, &chain, iov, SK_VRING_MAX_IOV),
					 extra ? -EPROTO : 1);
			rig_close(&rig);
			/* And empty ones do not go on for ever. */
			rig_open(&rig,
				 (struct guest_ring_config){.size = 2,
							    .is_packed = is_packed,
							    .max_indirect = SK_VRING_MAX_IOV + 1});
			for (uint32_t i = 0; i < SK_ARRAY_SIZE(bufs); i++)
				bufs[i].len_bytes = 0;
			assert_true(
				guest_ring_add(&rig.g, bufs, SK_VRING_MAX_IOV + extra, true, 0));
			assert_true(guest_ring_publish(&rig.g));
			assert_int_equal(sk_vring_pop(rig.ring, &chain, iov, SK_VRING_MAX_IOV),
					 extra ? -EPROTO : 1);
			rig_close(&rig);
		}
	}
}

/* ---- State ---- */

/* One chain through the ring, by whichever ring it is. */
static void one_chain(struct rig *rig, uint64_t token)
{
	const struct guest_buf bufs[2] = {{DATA_GPA, 8, false}, {DATA_GPA + 8, 8, true}};
	struct sk_vring_chain chain;
	struct iovec iov[2];
	uint64_t seen = 0;
	uint32_t written = 0;

	assert_true(guest_ring_add(&rig->g, bufs, 2, false, token));
	assert_true(guest_ring_publish(&rig->g));
	assert_int_equal(sk_vring_pop(rig->ring, &chain, iov, 2), 1);
	assert_int_equal(sk_vring_copy_to(&iov[1], 1, 2, "abc", 3), 3);
	sk_vring_push(rig->ring, &chain, 5);
	assert_true(sk_vring_flush(rig->ring));
	assert_false(sk_vring_flush(rig->ring));
	assert_int_equal(sk_vring_pop(rig->ring, &chain, iov, 2), 0);
	assert_true(guest_ring_reap(&rig->g, &seen, &written));
	assert_int_equal(seen, token);
	assert_int_equal(written, 5);
	assert_false(guest_ring_enable_interrupts(&rig->g));
}

static void a_saved_ring_goes_on_where_it_was(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 4; bits++) {
		struct sk_vring_config config;
		struct sk_writer w;
		struct sk_reader r;
		uint8_t saved[64];
		struct rig rig;

		rig_open(&rig, (struct guest_ring_config){.size = 8,
							  .is_packed = bits & 1,
							  .has_event_idx = bits & 2});
		for (uint64_t token = 0; token < 20; token++) {
			struct sk_vring_base base;

			one_chain(&rig, token);
			sk_writer_init(&w, saved, sizeof(saved));
			sk_vring_save(rig.ring, &w);
			base = sk_vring_get_base(rig.ring);
			sk_vring_destroy(rig.ring);
			config = guest_ring_vring_config(&rig.g);
			assert_int_equal(sk_vring_create(&rig.ring, &config), 0);
			if (token % 2) {
				assert_int_equal(sk_vring_set_base(rig.ring, base), 0);
				continue;
			}
			for (size_t cut = 0; cut < w.len_bytes; cut++) {
				sk_reader_init(&r, saved, cut);
				assert_int_equal(sk_vring_restore(rig.ring, &r), -EINVAL);
			}
			sk_reader_init(&r, saved, w.len_bytes);
			assert_int_equal(sk_vring_restore(rig.ring, &r), 0);
		}
		rig_close(&rig);
	}
}

static void impossible_states_are_refused(void **state)
{
	const uint8_t beyond[] = {8, 0, 8, 0, 2}, in_flight[] = {2, 0, 1, 0, 2},
		      flags[] = {1, 0, 1, 0, 4};
	struct sk_reader r;
	struct rig rig;

	(void)state;
	rig_open(&rig, (struct guest_ring_config){.size = 8, .is_packed = true});
	sk_reader_init(&r, beyond, sizeof(beyond));
	assert_int_equal(sk_vring_restore(rig.ring, &r), -EINVAL);
	sk_reader_init(&r, in_flight, sizeof(in_flight));
	assert_int_equal(sk_vring_restore(rig.ring, &r), -EINVAL);
	sk_reader_init(&r, flags, sizeof(flags));
	assert_int_equal(sk_vring_restore(rig.ring, &r), -EINVAL);
	assert_int_equal(sk_vring_set_base(rig.ring, (struct sk_vring_base){.used = 8}), -EINVAL);
	rig_close(&rig);
}

static void what_is_written_becomes_dirty(void **state)
{
	(void)state;
	for (int is_packed = 0; is_packed < 2; is_packed++) {
		struct sk_gmem *gm = make_memory(true);
		const struct guest_ring_config ring_config = {
			.gm = gm, .gpa = RING_GPA, .size = 8, .is_packed = is_packed};
		uint64_t bitmap[RAM_BYTES / 4096 / 64] = {0};
		const struct guest_buf bufs[] = {{DATA_GPA, 4096, false},
						 {DATA_GPA + 0x1ff0, 0x20, true},
						 {DATA_GPA + 0x5000, 0x2000, true}};
		struct sk_vring_config config;
		struct sk_vring_chain chain;
		struct sk_vring *ring;
		struct guest_ring g;
		struct iovec iov[3];
		gpa_t used;

		guest_ring_init(&g, &ring_config);
		config = guest_ring_vring_config(&g);
		assert_int_equal(sk_vring_create(&ring, &config), 0);
		assert_true(guest_ring_add(&g, bufs, 3, false, 0));
		assert_true(guest_ring_publish(&g));
		assert_int_equal(sk_gmem_harvest_dirty(gm, 0, bitmap, SK_ARRAY_SIZE(bitmap)), 0);
		memset(bitmap, 0, sizeof(bitmap));
		assert_int_equal(sk_vring_pop(ring, &chain, iov, 3), 1);
		sk_vring_push(ring, &chain, 0x20 + 0x1000);
		assert_true(sk_vring_flush(ring));
		assert_int_equal(sk_gmem_harvest_dirty(gm, 0, bitmap, SK_ARRAY_SIZE(bitmap)), 0);
		used = is_packed ? g.desc_gpa : g.device_gpa;
		for (gpa_t page = 0; page < RAM_BYTES / 4096; page++) {
			bool is_dirty = page == used / 4096 || page == DATA_GPA / 4096 + 1 ||
					page == DATA_GPA / 4096 + 2 || page == DATA_GPA / 4096 + 5;

			assert_int_equal(sk_bit_test(bitmap, page), is_dirty);
		}
		sk_vring_destroy(ring);
		guest_ring_fini(&g);
		sk_gmem_destroy(gm);
	}
}

static void vectors_are_copied_from_and_to(void **state)
{
	char a[] = "abc", b[] = "", c[] = "defg", out[8] = "";
	struct iovec iov[] = {{a, 3}, {b, 0}, {c, 4}};

	(void)state;
	assert_int_equal(sk_vring_copy_from(iov, 3, 1, out, 8), 6);
	assert_string_equal(out, "bcdefg");
	assert_int_equal(sk_vring_copy_from(iov, 3, 7, out, 8), 0);
	assert_int_equal(sk_vring_copy_from(iov, 3, 99, out, 8), 0);
	assert_int_equal(sk_vring_copy_from(iov, 3, 2, out, 2), 2);
	assert_memory_equal(out, "cddefg", 6);
	assert_int_equal(sk_vring_copy_to(iov, 3, 2, "XYZ", 3), 3);
	assert_string_equal(a, "abX");
	assert_string_equal(c, "YZfg");
	assert_int_equal(sk_vring_copy_to(iov, 3, 6, "12", 2), 1);
	assert_string_equal(c, "YZf1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(create_refuses_what_is_no_ring),
		cmocka_unit_test(all_combinations_carry_a_random_load),
		cmocka_unit_test(chains_are_checked),
		cmocka_unit_test(impossible_indices_break_the_ring),
		cmocka_unit_test(chains_have_a_limit),
		cmocka_unit_test(a_saved_ring_goes_on_where_it_was),
		cmocka_unit_test(impossible_states_are_refused),
		cmocka_unit_test(what_is_written_becomes_dirty),
		cmocka_unit_test(vectors_are_copied_from_and_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
