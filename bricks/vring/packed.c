/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Packed rings: virtio 1.2, 2.8. One ring of descriptors, which driver and device both write; the
 * bits AVAIL and USED say, against a wrap counter, whose a descriptor is. Driver area and device
 * area hold one event suppression each: offset and wrap bit, then flags, 16 bits each.
 *
 * What a flush publishes are any number of used descriptors. They are written at once, but for
 * the flags of the first: the driver looks at them in order.
 */
#include "vring_internal.h"

#define F_AVAIL	 (1u << VRING_PACKED_DESC_F_AVAIL)
#define F_USED	 (1u << VRING_PACKED_DESC_F_USED)
#define WRAP_BIT (1u << VRING_PACKED_EVENT_F_WRAP_CTR)
#define FLAGS_AT 14

static uint8_t *slot_at(const struct sk_vring *ring, uint16_t slot)
{
	return ring->desc + (size_t)slot * DESC_BYTES;
}

static void store_event(struct sk_vring *ring, uint16_t off_wrap, uint16_t flags)
{
	uint32_t value = off_wrap | (uint32_t)flags << 16;

	__atomic_store_n((uint32_t *)(void *)ring->device, SK_LE32(value), __ATOMIC_SEQ_CST);
	sk_gmem_mark_dirty(ring->config.gm, ring->config.device_gpa, PACKED_EVENT_BYTES);
}

static void store_flags(struct sk_vring *ring, uint16_t slot, uint16_t flags, int order)
{
	uint16_t *at = (uint16_t *)(void *)(slot_at(ring, slot) + FLAGS_AT);

	__atomic_store_n(at, SK_LE16(flags), order);
}

/* Acquire: the driver's release of the flags. Sequentially consistent: after packed_arm(). */
static uint16_t load_flags(const struct sk_vring *ring, uint16_t slot)
{
	const uint16_t *at = (const uint16_t *)(const void *)(slot_at(ring, slot) + FLAGS_AT);

	return SK_LE16(__atomic_load_n(at, __ATOMIC_SEQ_CST));
}

/* Moves a position by @nr slots, less than the size; the wrap counter turns at the end. */
static void advance(const struct sk_vring *ring, uint16_t *slot, bool *wrap, uint32_t nr)
{
	uint32_t sum = *slot + nr;

	if (sum >= ring->config.size) {
		sum -= ring->config.size;
		*wrap = !*wrap;
	}
	*slot = (uint16_t)sum;
}

static bool is_avail(uint16_t flags, bool wrap)
{
	return !!(flags & F_AVAIL) == wrap && !!(flags & F_USED) != wrap;
}

bool packed_peek(struct sk_vring *ring)
{
	return is_avail(load_flags(ring, ring->next_avail), ring->avail_wrap);
}

/* In a table only WRITE has a meaning, and all entries belong to the chain (2.8.7). */
static bool walk_indirect(struct sk_vring *ring, const struct desc *head,
			  struct sk_vring_chain *chain, uint32_t max_iov)
{
	uint32_t nr;
	const uint8_t *table = chain_indirect(ring, head, &nr);

	if (!table || nr > SK_VRING_MAX_IOV)
		return false;
	for (uint32_t i = 0; i < nr; i++) {
		struct desc d = desc_read(table + (size_t)i * DESC_BYTES, true);

		if (!chain_add(ring, chain, max_iov, &d))
			return false;
	}
	return true;
}

bool packed_pop(struct sk_vring *ring, struct sk_vring_chain *chain, uint32_t max_iov)
{
	uint16_t slot = ring->next_avail;
	bool wrap = ring->avail_wrap;
	struct desc d;

	do {
		/* What is in flight is the device's: a chain cannot reach into it again. */
		if (ring->nr_slots + chain->nr_slots >= ring->config.size)
			return false;
		d = desc_read(slot_at(ring, slot), true);
		chain->nr_slots++;
		advance(ring, &slot, &wrap, 1);
		if (d.flags & VRING_DESC_F_INDIRECT) {
			if (!walk_indirect(ring, &d, chain, max_iov))
				return false;
		} else if (!chain_add(ring, chain, max_iov, &d)) {
			return false;
		}
	} while (d.flags & VRING_DESC_F_NEXT);
	chain->id = d.link; /* of the last one (2.8.6) */
	ring->next_avail = slot;
	ring->avail_wrap = wrap;
	return true;
}

void packed_unpop(struct sk_vring *ring, uint16_t nr_slots)
{
	if (ring->next_avail < nr_slots) {
		ring->next_avail = (uint16_t)(ring->next_avail + ring->config.size);
		ring->avail_wrap = !ring->avail_wrap;
	}
	ring->next_avail = (uint16_t)(ring->next_avail - nr_slots);
}

void packed_arm(struct sk_vring *ring)
{
	uint16_t wrap = ring->avail_wrap ? WRAP_BIT : 0;

	if (ring->config.has_event_idx)
		store_event(ring, ring->next_avail | wrap, VRING_PACKED_EVENT_FLAG_DESC);
	else
		store_event(ring, 0, VRING_PACKED_EVENT_FLAG_ENABLE);
}

void packed_disarm(struct sk_vring *ring)
{
	store_event(ring, 0, VRING_PACKED_EVENT_FLAG_DISABLE);
}

void packed_use(struct sk_vring *ring, uint16_t id, uint16_t nr_slots, uint32_t written_bytes)
{
	uint8_t *at = slot_at(ring, ring->next_used);
	uint16_t flags = written_bytes ? VRING_DESC_F_WRITE : 0;

	if (ring->used_wrap)
		flags |= F_AVAIL | F_USED;
	__atomic_store_n((uint32_t *)(void *)(at + 8), SK_LE32(written_bytes), __ATOMIC_RELAXED);
	__atomic_store_n((uint16_t *)(void *)(at + 12), SK_LE16(id), __ATOMIC_RELAXED);
	if (ring->nr_unflushed) {
		store_flags(ring, ring->next_used, flags, __ATOMIC_RELEASE);
	} else {
		ring->pending_slot = ring->next_used;
		ring->pending_flags = flags;
	}
	if (ring->has_dirty_log)
		sk_gmem_mark_dirty(ring->config.gm,
				   ring->config.desc_gpa + (gpa_t)ring->next_used * DESC_BYTES,
				   DESC_BYTES);
	advance(ring, &ring->next_used, &ring->used_wrap, nr_slots);
	ring->nr_unflushed += nr_slots;
}

bool packed_publish(struct sk_vring *ring)
{
	uint16_t old = (uint16_t)(ring->next_used - ring->nr_unflushed);
	uint32_t event, offset;

	/* Release: the used descriptors. Then the look at the suppression, in this order. */
	store_flags(ring, ring->pending_slot, ring->pending_flags, __ATOMIC_SEQ_CST);
	if (ring->has_dirty_log)
		sk_gmem_mark_dirty(ring->config.gm,
				   ring->config.desc_gpa + (gpa_t)ring->pending_slot * DESC_BYTES,
				   DESC_BYTES);
	event = SK_LE32(
		__atomic_load_n((const uint32_t *)(const void *)ring->driver, __ATOMIC_SEQ_CST));
	switch (event >> 16 & 3) {
	case VRING_PACKED_EVENT_FLAG_DISABLE:
		return false;
	case VRING_PACKED_EVENT_FLAG_DESC:
		if (!ring->config.has_event_idx)
			return true; /* reserved without the feature */
		break;
	default:
		return true;
	}
	offset = event & (WRAP_BIT - 1);
	if (!!(event & WRAP_BIT) != ring->used_wrap)
		offset -= ring->config.size;
	return vring_need_event((uint16_t)offset, ring->next_used, old);
}
