/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Split rings: virtio 1.2, 2.7.
 *
 *   driver area:  flags, idx, ring[size], used_event       16 bits each
 *   device area:  flags, idx, {id, len}[size], avail_event   16 bits, the pairs 32 each
 */
#include "vring_internal.h"

#define RING_OFFSET 4 /* of both areas, behind flags and idx */

static uint16_t load_16(const uint8_t *at, int order)
{
	return SK_LE16(__atomic_load_n((const uint16_t *)(const void *)at, order));
}

static void store_16(uint8_t *at, uint16_t value, int order)
{
	__atomic_store_n((uint16_t *)(void *)at, SK_LE16(value), order);
}

static void store_32(uint8_t *at, uint32_t value)
{
	__atomic_store_n((uint32_t *)(void *)at, SK_LE32(value), __ATOMIC_RELAXED);
}

bool split_peek(struct sk_vring *ring)
{
	if (ring->seen_avail != ring->next_avail)
		return true;
	/*
	 * Acquire: the driver's release of the index, before which it has written the chain.
	 * Sequentially consistent: after split_arm().
	 */
	ring->seen_avail = load_16(ring->driver + 2, __ATOMIC_SEQ_CST);
	if (ring->seen_avail == ring->next_avail)
		return false;
	/* There are as many descriptors as entries, and a chain takes at least one. */
	if ((uint16_t)(ring->seen_avail - ring->next_avail) + ring->nr_chains > ring->config.size)
		ring->is_broken = true;
	return true;
}

static bool walk(struct sk_vring *ring, uint16_t index, struct sk_vring_chain *chain,
		 uint32_t max_iov)
{
	const uint8_t *table = ring->desc;
	uint32_t nr = ring->config.size, left = nr;
	bool is_indirect = false;

	for (;;) {
		struct desc d;

		if (index >= nr || !left--)
			return false;
		d = desc_read(table + (size_t)index * DESC_BYTES, false);
		if (d.flags & VRING_DESC_F_INDIRECT) {
			if (is_indirect)
				return false;
			is_indirect = true;
			table = chain_indirect(ring, &d, &nr);
			if (!table)
				return false;
			left = SK_VRING_MAX_IOV;
			index = 0;
			continue;
		}
		if (!chain_add(ring, chain, max_iov, &d))
			return false;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return true;
		index = d.link;
	}
}

bool split_pop(struct sk_vring *ring, struct sk_vring_chain *chain, uint32_t max_iov)
{
	uint32_t slot = ring->next_avail & (ring->config.size - 1u);

	chain->id = load_16(ring->driver + RING_OFFSET + 2 * slot, __ATOMIC_RELAXED);
	chain->nr_slots = 1;
	if (!walk(ring, chain->id, chain, max_iov))
		return false;
	ring->next_avail++;
	return true;
}

void split_unpop(struct sk_vring *ring)
{
	ring->next_avail--;
}

static void set_event(struct sk_vring *ring, uint16_t index)
{
	uint64_t at = RING_OFFSET + 8 * (uint64_t)ring->config.size;

	store_16(ring->device + at, index, __ATOMIC_SEQ_CST);
	sk_gmem_mark_dirty(ring->config.gm, ring->config.device_gpa + at, 2);
}

void split_arm(struct sk_vring *ring)
{
	if (ring->config.has_event_idx) {
		set_event(ring, ring->next_avail);
		return;
	}
	store_16(ring->device, 0, __ATOMIC_SEQ_CST);
	sk_gmem_mark_dirty(ring->config.gm, ring->config.device_gpa, 2);
}

void split_disarm(struct sk_vring *ring)
{
	/* With the event index nothing is to be done: it is not moved. */
	if (ring->config.has_event_idx)
		return;
	store_16(ring->device, VRING_USED_F_NO_NOTIFY, __ATOMIC_RELAXED);
	sk_gmem_mark_dirty(ring->config.gm, ring->config.device_gpa, 2);
}

void split_hold(struct sk_vring *ring)
{
	/* An index that the driver has passed already. */
	if (ring->config.has_event_idx)
		set_event(ring, (uint16_t)(ring->next_avail - 1));
	else
		split_disarm(ring);
}

void split_use(struct sk_vring *ring, uint16_t id, uint32_t written_bytes)
{
	uint32_t slot = ring->next_used & (ring->config.size - 1u);
	uint64_t at = RING_OFFSET + 8 * (uint64_t)slot;

	store_32(ring->device + at, id);
	store_32(ring->device + at + 4, written_bytes);
	if (ring->has_dirty_log)
		sk_gmem_mark_dirty(ring->config.gm, ring->config.device_gpa + at, 8);
	ring->next_used++;
	ring->nr_unflushed++;
}

bool split_publish(struct sk_vring *ring)
{
	uint16_t old = (uint16_t)(ring->next_used - ring->nr_unflushed);
	uint16_t event;

	/* Release: the entries. Sequentially consistent: before the look at the suppression. */
	store_16(ring->device + 2, ring->next_used, __ATOMIC_SEQ_CST);
	sk_gmem_mark_dirty(ring->config.gm, ring->config.device_gpa + 2, 2);
	if (!ring->config.has_event_idx)
		return !(load_16(ring->driver, __ATOMIC_SEQ_CST) & VRING_AVAIL_F_NO_INTERRUPT);
	event = load_16(ring->driver + RING_OFFSET + 2 * (size_t)ring->config.size,
			__ATOMIC_SEQ_CST);
	return vring_need_event(event, ring->next_used, old);
}
