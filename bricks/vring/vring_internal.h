/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * What the files of this brick share.
 *
 *   vring.c   create, the order of pushes, flush, doorbells, state
 *   split.c   the format of split rings         packed.c  the format of packed rings
 *   chain.c   one descriptor of a chain: read once, checked, made a vector; indirect tables
 *   copy.c    help with vectors
 *
 * Every load and store of guest memory is in split.c, packed.c and desc_read(). Where a store has
 * to be seen before a load looks for the driver's answer (used index against interrupt
 * suppression, event index against available index) both are sequentially consistent; the
 * partner is the driver's own full barrier between the same two accesses.
 */
#ifndef SKETE_VRING_INTERNAL_H
#define SKETE_VRING_INTERNAL_H

#include <linux/virtio_ring.h>

#include <skete/vring.h>

#define DESC_BYTES 16

/* A descriptor in host memory. */
struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t link; /* split: the next one; packed: the buffer id */
};

/* In order: what is known of a chain whose turn has not come. */
struct done {
	uint32_t written_bytes;
	uint16_t id, nr_slots;
	bool is_done;
};

struct sk_vring {
	struct sk_vring_config config;
	uint8_t *desc, *driver, *device; /* host addresses of the three areas */
	bool has_dirty_log;
	bool is_broken;
	bool wants_doorbell;		      /* what the device says */
	bool is_held;			      /* off whatever it says */
	bool avail_wrap, used_wrap;	      /* packed */
	uint16_t next_avail, next_used;	      /* split: free-running; packed: slots */
	uint16_t seen_avail;		      /* split: the driver's index as it was read last */
	uint16_t pending_slot, pending_flags; /* packed: the first of what is not flushed */
	uint32_t nr_unflushed;		      /* split: chains; packed: slots */
	uint32_t nr_in_flight;		      /* chains popped, not pushed */
	uint32_t nr_chains, nr_slots;	      /* popped and not yet in the used ring */
	uint32_t next_position;		      /* of the next pop, modulo the size */
	uint32_t next_in_order; /* position of the next chain to enter the used ring */
	struct done *done;	/* in order: config.size entries */
};

/* The descriptor at @at, read once. @is_packed tells which half of the last word is which. */
static inline struct desc desc_read(const uint8_t *at, bool is_packed)
{
	/* An indirect table has no particular alignment; volatile: exactly one load each. */
	struct word {
		uint64_t v;
	} __attribute__((packed, may_alias));
	uint64_t low = SK_LE64(((const volatile struct word *)(const void *)at)->v);
	uint64_t high = SK_LE64(((const volatile struct word *)(const void *)(at + 8))->v);
	uint16_t third = (uint16_t)(high >> 32), fourth = (uint16_t)(high >> 48);

	return (struct desc){
		.addr = low,
		.len = (uint32_t)high,
		.flags = is_packed ? fourth : third,
		.link = is_packed ? third : fourth,
	};
}

/* chain.c: appends the buffer that @d names to @chain. False: it breaks the rules. */
bool chain_add(const struct sk_vring *ring, struct sk_vring_chain *chain, uint32_t max_iov,
	       const struct desc *d);
/* chain.c: the table behind an indirect descriptor and its entries, or NULL: it is none. */
const uint8_t *chain_indirect(const struct sk_vring *ring, const struct desc *d,
			      uint32_t *nr_entries);

/*
 * split.c and packed.c, one set for each format. peek: is there a chain? An impossible index
 * breaks the ring, and counts as one. pop: reads the chain that peek has found; false: it breaks
 * the rules. unpop: takes that back. arm: asks for a doorbell from the next chain on. disarm: asks
 * for none, but one that arm asked for may still come; after hold it does not. use: writes a used
 * entry that publish makes visible. publish returns whether an interrupt is wanted.
 */
bool split_peek(struct sk_vring *ring);
bool split_pop(struct sk_vring *ring, struct sk_vring_chain *chain, uint32_t max_iov);
void split_unpop(struct sk_vring *ring);
void split_arm(struct sk_vring *ring);
void split_disarm(struct sk_vring *ring);
void split_hold(struct sk_vring *ring);
void split_use(struct sk_vring *ring, uint16_t id, uint32_t written_bytes);
bool split_publish(struct sk_vring *ring);

bool packed_peek(struct sk_vring *ring);
bool packed_pop(struct sk_vring *ring, struct sk_vring_chain *chain, uint32_t max_iov);
void packed_unpop(struct sk_vring *ring, uint16_t nr_slots);
void packed_arm(struct sk_vring *ring);
void packed_disarm(struct sk_vring *ring);
void packed_use(struct sk_vring *ring, uint16_t id, uint16_t nr_slots, uint32_t written_bytes);
bool packed_publish(struct sk_vring *ring);

/* Sizes of the areas. */
static inline uint64_t split_desc_bytes(uint32_t size)
{
	return (uint64_t)size * DESC_BYTES;
}

static inline uint64_t split_driver_bytes(uint32_t size)
{
	return 6 + 2 * (uint64_t)size;
}

static inline uint64_t split_device_bytes(uint32_t size)
{
	return 6 + 8 * (uint64_t)size;
}

#define PACKED_EVENT_BYTES 4

#endif
