/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The other side of a virtqueue, for tests: a ring in guest memory as a driver builds it, split or
 * packed (virtio 1.2, 2.7 and 2.8), and the raw writes of a driver that breaks the rules. With it
 * a device is tested without KVM.
 *
 * A mistake of the test aborts; a mistake of the device is counted in nr_errors, which a test
 * compares with 0. Threading class: one thread, which need not be the device's.
 */
#ifndef SKETE_TEST_GUEST_RING_H
#define SKETE_TEST_GUEST_RING_H

#include <linux/virtio_ring.h>

#include <skete/gmem.h>
#include <skete/vring.h>

struct guest_ring_config {
	struct sk_gmem *gm; /* borrowed */
	gpa_t gpa;	    /* the areas begin here: a multiple of 4 KiB; see guest_ring_bytes() */
	uint16_t size;
	bool is_packed;
	bool has_event_idx;
	bool is_in_order;
	uint32_t max_indirect; /* entries of an indirect table; 0: none are used */
};

/* A buffer of a chain. */
struct guest_buf {
	gpa_t gpa;
	uint32_t len_bytes;
	bool is_writable; /* by the device */
};

struct guest_ring {
	struct guest_ring_config config;
	gpa_t desc_gpa, driver_gpa, device_gpa, tables_gpa;
	uint32_t nr_free;   /* descriptors */
	uint32_t nr_errors; /* what the device did wrong */

	/* private to guest_ring.c */
	uint8_t *desc, *driver, *device;
	uint16_t *free_ids; /* a queue: so that descriptors are used in order */
	uint32_t free_head, nr_free_ids;
	struct guest_ring_slot *slots; /* by id */
	uint16_t next_avail, next_used, nr_added;
	uint16_t first_slot, first_flags; /* packed: kept back until publish */
	bool avail_wrap, used_wrap;
	uint32_t order_head, order_tail; /* in order: ids in the order of adds */
	uint16_t *order;
};

/* Room for a ring of this kind, in bytes; a multiple of 4 KiB. */
uint64_t guest_ring_bytes(const struct guest_ring_config *config);

/* Lays out an empty ring in zeroed memory. fini frees what is on the host's side. */
void guest_ring_init(struct guest_ring *g, const struct guest_ring_config *config);
void guest_ring_fini(struct guest_ring *g);

/* How a device has to see it; indirect descriptors are offered if there are tables. */
struct sk_vring_config guest_ring_vring_config(const struct guest_ring *g);

/*
 * Adds a chain, readable buffers first; with @is_indirect as one descriptor and a table. False: no
 * room. @token comes back when it is used. The device sees it after publish.
 */
bool guest_ring_add(struct guest_ring *g, const struct guest_buf *bufs, uint32_t nr,
		    bool is_indirect, uint64_t token);

/* Makes the added chains available; true if the device wants a doorbell for them. */
bool guest_ring_publish(struct guest_ring *g);

/* Takes a used chain; false: there is none. @token and @written_bytes may be NULL. */
bool guest_ring_reap(struct guest_ring *g, uint64_t *token, uint32_t *written_bytes);

/* enable returns true if there is something to reap already. They are enabled at first. */
bool guest_ring_enable_interrupts(struct guest_ring *g);
void guest_ring_disable_interrupts(struct guest_ring *g);

/* ---- A driver that breaks the rules: raw writes, unchecked but for the end of memory ---- */

/* Entry @index of the table at @table_gpa; @link is the next one, or the id if packed. */
void guest_ring_write_desc(struct guest_ring *g, gpa_t table_gpa, uint32_t index, uint64_t addr,
			   uint32_t len, uint16_t flags, uint16_t link);
/* Split: entry @slot of the available ring, and its index. */
void guest_ring_set_avail(struct guest_ring *g, uint32_t slot, uint16_t head);
void guest_ring_set_avail_index(struct guest_ring *g, uint16_t index);
/* Packed: the flags that make a descriptor of the first round available. */
#define GUEST_RING_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)

#endif
