/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Virtqueues, device side: split rings (virtio 1.2, 2.7) and packed rings (2.8), with indirect
 * descriptors (2.7.5.3, 2.8.7), event suppression (2.7.7, 2.7.10, 2.8.10) and in-order use (2.7.9).
 *
 *     guest RAM                               host memory: struct sk_vring
 *     +--------------------------------+      +----------------------------------------+
 *     | descriptors       (read once)  | pop  | next_avail, next_used, wrap counters   |
 *     | avail / driver events   (read) |----->| what is in flight, what is not flushed |
 *     | used / device events (written) |<-----| host addresses of the three areas      |
 *     +--------------------------------+ push +----------------------------------------+
 *
 * The guest is hostile: every index, address and length is checked, every descriptor is read once
 * into host memory, every walk is bounded by the size of the ring and by SK_VRING_MAX_IOV. What the
 * device itself needs to know is never read back from guest memory. A ring that breaks the
 * specification is broken for good: pop returns -EPROTO, push and flush do nothing; the owner marks
 * its device as needing a reset. The bytes behind the vectors are shared with the guest, which may
 * change them at any time: copy once, check the copy.
 *
 * Threading class: owner-thread only (the device's loop). Nothing blocks; pop, push and flush
 * neither allocate nor lock nor call the system.
 */
#ifndef SKETE_VRING_H
#define SKETE_VRING_H

#include <sys/uio.h>

#include <skete/base.h>
#include <skete/gmem.h>

#define SK_VRING_MAX_SIZE 32768 /* entries */
#define SK_VRING_MAX_IOV  1024	/* vectors of one chain; a longer chain breaks the ring */

struct sk_vring;

/* What the driver has set up, and the features that it has accepted. */
struct sk_vring_config {
	struct sk_gmem *gm; /* borrowed until destroy */
	uint16_t size;	    /* entries: 1 to SK_VRING_MAX_SIZE; a power of two if split */
	bool is_packed;	    /* VIRTIO_F_RING_PACKED */
	bool has_event_idx; /* VIRTIO_F_EVENT_IDX */
	bool has_indirect;  /* VIRTIO_F_INDIRECT_DESC */
	bool is_in_order; /* VIRTIO_F_IN_ORDER: pushes are reordered here, callers need not care */
	gpa_t desc_gpa;	  /* descriptor table or ring: aligned to 16 */
	gpa_t driver_gpa; /* avail ring: aligned to 2; driver event suppression: to 4 */
	gpa_t device_gpa; /* used ring: aligned to 4; device event suppression: to 4 */
};

/*
 * A chain of buffers, from pop to push. The vectors are in the caller's array: first those that the
 * device reads, then those that it writes. Their total is at most UINT32_MAX bytes (2.7.5.2).
 * A caller may keep any number of chains, and does not change the fields; until the push it keeps
 * the vectors as they were, too.
 */
struct sk_vring_chain {
	struct iovec *iov;
	uint32_t nr_readable, nr_writable;
	uint32_t readable_bytes, writable_bytes;

	/* private to bricks/vring */
	uint16_t id;	   /* split: index of the head; packed: buffer id */
	uint16_t nr_slots; /* packed: descriptors of the ring that it takes */
	uint32_t position; /* its place in the order of pops, modulo the size of the ring */
	bool has_writable;
};

/*
 * A ring at its beginning. Errors: -EINVAL (size, alignment, or the end of an area wraps), -EFAULT
 * (an area is not wholly in one region of RAM), -ENOMEM. destroy forgets what is in flight; NULL is
 * fine.
 */
int sk_vring_create(struct sk_vring **out, const struct sk_vring_config *config) SK_MUST_CHECK;
void sk_vring_destroy(struct sk_vring *ring);

uint16_t sk_vring_size(const struct sk_vring *ring);
bool sk_vring_is_broken(const struct sk_vring *ring);
/* Marks the ring as broken; for a device that finds the content of a chain beyond repair. */
void sk_vring_break(struct sk_vring *ring);
/* Chains that were popped and neither pushed nor given back. */
uint32_t sk_vring_in_flight(const struct sk_vring *ring);

/*
 * Takes the next available chain: 1 and *@chain, with its vectors in @iov (room for @max_iov, which
 * is at least 1 and at most SK_VRING_MAX_IOV; a chain with more breaks the ring). 0: there is none.
 * -EPROTO: the ring is broken. A chain has at least one descriptor; empty ones take no vector.
 */
int sk_vring_pop(struct sk_vring *ring, struct sk_vring_chain *chain, struct iovec *iov,
		 uint32_t max_iov) SK_MUST_CHECK;

/* Gives back the chain that was popped last, if nothing was pushed since: the next pop finds it. */
void sk_vring_unpop(struct sk_vring *ring, const struct sk_vring_chain *chain);

/* True if a pop would find a chain (or find out that the ring is broken). */
bool sk_vring_has_work(struct sk_vring *ring);

/*
 * Hands @chain back as used, with @written_bytes at the beginning of its writable vectors (more
 * than there are is cut), and marks these bytes dirty. The driver sees it at the next flush.
 */
void sk_vring_push(struct sk_vring *ring, const struct sk_vring_chain *chain,
		   uint32_t written_bytes);

/*
 * Publishes what was pushed. True if the driver wants an interrupt for it (2.7.7, 2.7.10, 2.8.10);
 * false also if nothing was pushed.
 */
bool sk_vring_flush(struct sk_vring *ring) SK_MUST_CHECK;

/*
 * Doorbell suppression. Doorbells are on at first, and a device that always pops until there is
 * nothing left need not care: that last pop asks for the next doorbell, without losing one.
 * disable asks the driver not to ring while the device polls. enable asks for a doorbell from the
 * next chain on and returns true if there is work already, so that no chain is missed: the caller
 * then goes on popping.
 */
void sk_vring_disable_doorbell(struct sk_vring *ring);
bool sk_vring_enable_doorbell(struct sk_vring *ring) SK_MUST_CHECK;

/*
 * For who looks at a ring in place of its doorbell for a while: from hold to release the driver is
 * asked not to ring, whatever the device enables meanwhile. release returns true if the device has
 * doorbells on and there is work already, so that no chain is missed. would_ring: the device has
 * doorbells on and a pop would find a chain, or that the ring is broken; it costs one load from the
 * ring.
 */
void sk_vring_hold_doorbell(struct sk_vring *ring);
bool sk_vring_release_doorbell(struct sk_vring *ring) SK_MUST_CHECK;
bool sk_vring_would_ring(struct sk_vring *ring);

/*
 * The position of the ring, for back ends that run it themselves (vhost: VHOST_SET_VRING_BASE). For
 * packed rings bit 15 is the wrap counter. Nothing may be in flight at set; -EINVAL: beyond the
 * ring.
 */
struct sk_vring_base {
	uint16_t avail;
	uint16_t used;
};

struct sk_vring_base sk_vring_get_base(const struct sk_vring *ring);
int sk_vring_set_base(struct sk_vring *ring, struct sk_vring_base base) SK_MUST_CHECK;

/*
 * The state of a ring with nothing in flight and all flushed (a bug otherwise): what create does
 * not know.
 * restore works on a fresh ring of the same configuration; -EINVAL: not such a state.
 */
void sk_vring_save(const struct sk_vring *ring, struct sk_writer *w);
int sk_vring_restore(struct sk_vring *ring, struct sk_reader *r) SK_MUST_CHECK;

/*
 * Help with vectors. copy_from takes up to @len_bytes from @nr vectors beginning @offset_bytes
 * into them, copy_to puts them there; both return how many bytes they moved.
 */
size_t sk_vring_copy_from(const struct iovec *iov, uint32_t nr, size_t offset_bytes, void *buf,
			  size_t len_bytes);
size_t sk_vring_copy_to(const struct iovec *iov, uint32_t nr, size_t offset_bytes, const void *buf,
			size_t len_bytes);

#endif
