/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* What both formats of rings have in common: see vring_internal.h. */
#include "vring_internal.h"

static bool is_size_valid(const struct sk_vring_config *c)
{
	if (c->size < 1 || c->size > SK_VRING_MAX_SIZE)
		return false;
	return c->is_packed || !(c->size & (c->size - 1));
}

/* The host address of one area. */
static int map_area(const struct sk_vring_config *c, gpa_t gpa, uint64_t len_bytes, unsigned align,
		    uint8_t **hva)
{
	if (!sk_is_aligned(gpa, align) || !sk_range_fits(gpa, len_bytes, UINT64_MAX))
		return -EINVAL;
	*hva = sk_gmem_slice(c->gm, gpa, len_bytes);
	return *hva ? 0 : -EFAULT;
}

static int map_areas(struct sk_vring *ring)
{
	const struct sk_vring_config *c = &ring->config;
	uint64_t driver_bytes = PACKED_EVENT_BYTES, device_bytes = PACKED_EVENT_BYTES;
	int ret;

	if (!c->is_packed) {
		driver_bytes = split_driver_bytes(c->size);
		device_bytes = split_device_bytes(c->size);
	}
	ret = map_area(c, c->desc_gpa, split_desc_bytes(c->size), 16, &ring->desc);
	if (ret)
		return ret;
	ret = map_area(c, c->driver_gpa, driver_bytes, c->is_packed ? 4 : 2, &ring->driver);
	if (ret)
		return ret;
	return map_area(c, c->device_gpa, device_bytes, 4, &ring->device);
}

int sk_vring_create(struct sk_vring **out, const struct sk_vring_config *config)
{
	struct sk_vring *ring;
	int ret;

	if (!is_size_valid(config))
		return -EINVAL;
	ring = calloc(1, sizeof(*ring));
	if (!ring)
		return -ENOMEM;
	ring->config = *config;
	ring->wants_doorbell = ring->avail_wrap = ring->used_wrap = true;
	ring->has_dirty_log = sk_gmem_has_dirty_log(config->gm);
	ret = map_areas(ring);
	if (ret)
		goto err_free;
	if (config->is_in_order) {
		ring->done = calloc(config->size, sizeof(*ring->done));
		ret = -ENOMEM;
		if (!ring->done)
			goto err_free;
	}
	*out = ring;
	return 0;

err_free:
	free(ring);
	return ret;
}

void sk_vring_destroy(struct sk_vring *ring)
{
	if (!ring)
		return;
	free(ring->done);
	free(ring);
}

uint16_t sk_vring_size(const struct sk_vring *ring)
{
	return ring->config.size;
}

bool sk_vring_is_broken(const struct sk_vring *ring)
{
	return ring->is_broken;
}

void sk_vring_break(struct sk_vring *ring)
{
	ring->is_broken = true;
}

uint32_t sk_vring_in_flight(const struct sk_vring *ring)
{
	return ring->nr_in_flight;
}

/* There are never more chains than entries, so positions modulo the size are unique. */
static uint32_t position_after(const struct sk_vring *ring, uint32_t position)
{
	return position + 1 == ring->config.size ? 0 : position + 1;
}

static bool peek(struct sk_vring *ring)
{
	return ring->config.is_packed ? packed_peek(ring) : split_peek(ring);
}

static void arm(struct sk_vring *ring)
{
	if (ring->config.is_packed)
		packed_arm(ring);
	else
		split_arm(ring);
}

/* True if there is a chain. The event index moves along, unless doorbells are off. */
static bool look_and_arm(struct sk_vring *ring)
{
	if (peek(ring))
		return true;
	if (!ring->wants_doorbell || ring->is_held || !ring->config.has_event_idx)
		return false;
	arm(ring);
	return peek(ring);
}

int sk_vring_pop(struct sk_vring *ring, struct sk_vring_chain *chain, struct iovec *iov,
		 uint32_t max_iov)
{
	bool is_good;

	if (ring->is_broken)
		return -EPROTO;
	if (!look_and_arm(ring))
		return 0;
	*chain = (struct sk_vring_chain){.iov = iov, .position = ring->next_position};
	is_good = !ring->is_broken && (ring->config.is_packed ? packed_pop(ring, chain, max_iov)
							      : split_pop(ring, chain, max_iov));
	if (!is_good) {
		ring->is_broken = true;
		return -EPROTO;
	}
	ring->next_position = position_after(ring, ring->next_position);
	ring->nr_in_flight++;
	ring->nr_chains++;
	ring->nr_slots += chain->nr_slots;
	return 1;
}

void sk_vring_unpop(struct sk_vring *ring, const struct sk_vring_chain *chain)
{
	BUG_ON(position_after(ring, chain->position) != ring->next_position || !ring->nr_in_flight);
	ring->next_position = chain->position;
	ring->nr_in_flight--;
	ring->nr_chains--;
	ring->nr_slots -= chain->nr_slots;
	if (ring->config.is_packed)
		packed_unpop(ring, chain->nr_slots);
	else
		split_unpop(ring);
}

bool sk_vring_has_work(struct sk_vring *ring)
{
	return !ring->is_broken && peek(ring);
}

static void use(struct sk_vring *ring, uint16_t id, uint16_t nr_slots, uint32_t written_bytes)
{
	ring->nr_chains--;
	ring->nr_slots -= nr_slots;
	if (ring->config.is_packed)
		packed_use(ring, id, nr_slots, written_bytes);
	else
		split_use(ring, id, written_bytes);
}

/* Keeps the chain until all that were popped before it are done, too. */
static void use_in_order(struct sk_vring *ring, const struct sk_vring_chain *chain,
			 uint32_t written_bytes)
{
	struct done *done = &ring->done[chain->position];

	BUG_ON(done->is_done);
	*done = (struct done){written_bytes, chain->id, chain->nr_slots, true};
	for (;;) {
		done = &ring->done[ring->next_in_order];
		if (!done->is_done)
			break;
		done->is_done = false;
		ring->next_in_order = position_after(ring, ring->next_in_order);
		use(ring, done->id, done->nr_slots, done->written_bytes);
	}
}

static void mark_written(struct sk_vring *ring, const struct sk_vring_chain *chain,
			 uint32_t written_bytes)
{
	for (uint32_t i = chain->nr_readable; written_bytes; i++) {
		uint32_t part = (uint32_t)SK_MIN(chain->iov[i].iov_len, written_bytes);

		sk_gmem_mark_dirty_hva(ring->config.gm, chain->iov[i].iov_base, part);
		written_bytes -= part;
	}
}

void sk_vring_push(struct sk_vring *ring, const struct sk_vring_chain *chain,
		   uint32_t written_bytes)
{
	BUG_ON(!ring->nr_in_flight);
	ring->nr_in_flight--;
	written_bytes = SK_MIN(written_bytes, chain->writable_bytes);
	if (ring->has_dirty_log)
		mark_written(ring, chain, written_bytes);
	if (ring->is_broken)
		return;
	if (ring->config.is_in_order)
		use_in_order(ring, chain, written_bytes);
	else
		use(ring, chain->id, chain->nr_slots, written_bytes);
}

bool sk_vring_flush(struct sk_vring *ring)
{
	bool wants_interrupt;

	if (ring->is_broken || !ring->nr_unflushed)
		return false;
	wants_interrupt = ring->config.is_packed ? packed_publish(ring) : split_publish(ring);
	ring->nr_unflushed = 0;
	return wants_interrupt;
}

static void disarm(struct sk_vring *ring)
{
	if (ring->config.is_packed)
		packed_disarm(ring);
	else
		split_disarm(ring);
}

void sk_vring_disable_doorbell(struct sk_vring *ring)
{
	if (ring->is_broken || !ring->wants_doorbell)
		return;
	ring->wants_doorbell = false;
	if (!ring->is_held)
		disarm(ring);
}

bool sk_vring_enable_doorbell(struct sk_vring *ring)
{
	if (ring->is_broken)
		return false;
	ring->wants_doorbell = true;
	if (!ring->is_held)
		arm(ring);
	return peek(ring);
}

void sk_vring_hold_doorbell(struct sk_vring *ring)
{
	if (ring->is_held || ring->is_broken)
		return;
	ring->is_held = true;
	if (ring->config.is_packed)
		packed_disarm(ring);
	else
		split_hold(ring);
}

bool sk_vring_release_doorbell(struct sk_vring *ring)
{
	bool was_held = ring->is_held;

	ring->is_held = false;
	return was_held && ring->wants_doorbell && sk_vring_enable_doorbell(ring);
}

bool sk_vring_would_ring(struct sk_vring *ring)
{
	return ring->wants_doorbell && (ring->is_broken || peek(ring));
}

#define BASE_WRAP 0x8000u

struct sk_vring_base sk_vring_get_base(const struct sk_vring *ring)
{
	struct sk_vring_base base = {.avail = ring->next_avail, .used = ring->next_used};

	if (ring->config.is_packed) {
		base.avail |= ring->avail_wrap ? BASE_WRAP : 0;
		base.used |= ring->used_wrap ? BASE_WRAP : 0;
	}
	return base;
}

int sk_vring_set_base(struct sk_vring *ring, struct sk_vring_base base)
{
	BUG_ON(ring->nr_in_flight || ring->nr_unflushed);
	if (ring->config.is_packed) {
		if ((base.avail & ~BASE_WRAP) >= ring->config.size ||
		    (base.used & ~BASE_WRAP) >= ring->config.size)
			return -EINVAL;
		ring->avail_wrap = base.avail & BASE_WRAP;
		ring->used_wrap = base.used & BASE_WRAP;
		base.avail &= ~BASE_WRAP;
		base.used &= ~BASE_WRAP;
	}
	ring->next_avail = ring->seen_avail = base.avail;
	ring->next_used = base.used;
	return 0;
}

#define STATE_BROKEN   0x01
#define STATE_DOORBELL 0x02

void sk_vring_save(const struct sk_vring *ring, struct sk_writer *w)
{
	struct sk_vring_base base = sk_vring_get_base(ring);

	BUG_ON(ring->nr_in_flight || (ring->nr_unflushed && !ring->is_broken));
	sk_put_u16(w, base.avail);
	sk_put_u16(w, base.used);
	sk_put_u8(w, (ring->is_broken ? STATE_BROKEN : 0) |
			     (ring->wants_doorbell ? STATE_DOORBELL : 0));
}

int sk_vring_restore(struct sk_vring *ring, struct sk_reader *r)
{
	struct sk_vring_base base;
	uint8_t flags;

	base.avail = sk_get_u16(r);
	base.used = sk_get_u16(r);
	flags = sk_get_u8(r);
	if (!sk_reader_ok(r) || (flags & ~(STATE_BROKEN | STATE_DOORBELL)))
		return -EINVAL;
	/* A broken ring may have chains that never came back. */
	if (base.avail != base.used && !(flags & STATE_BROKEN))
		return -EINVAL;
	ring->is_broken = flags & STATE_BROKEN;
	ring->wants_doorbell = flags & STATE_DOORBELL;
	return sk_vring_set_base(ring, base);
}
