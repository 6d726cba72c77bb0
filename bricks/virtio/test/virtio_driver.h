/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * A driver for tests: it takes a device of virtio's core through negotiation, queue set-up and
 * DRIVER_OK, sends chains and waits for their interrupts. It is the device's transport as well (a
 * counter of interrupts), so that no KVM and no registers are needed.
 *
 *	virtio_driver_init(&d, virtio);
 *	assert_true(virtio_driver_start(&d, features, queue_size));
 *	gpa = virtio_driver_alloc(&d, 4096);
 *	virtio_driver_send(&d, 0, &(struct guest_buf){gpa, 4096, true}, 1, 1);
 *	assert_true(virtio_driver_wait(&d, 0, NULL, &written));
 *	virtio_driver_fini(&d);
 *
 * A mistake of the test aborts. Threading class: the thread that owns the loop, which it turns.
 */
#ifndef SKETE_TEST_VIRTIO_DRIVER_H
#define SKETE_TEST_VIRTIO_DRIVER_H

#include <guest_ring.h>
#include <skete/virtio.h>

#define VIRTIO_DRIVER_MAX_QUEUES   16
#define VIRTIO_DRIVER_MAX_INDIRECT 64 /* buffers of a chain with an indirect table */

struct virtio_driver {
	struct sk_virtio *virtio;
	struct guest_ring rings[VIRTIO_DRIVER_MAX_QUEUES];
	bool has_ring[VIRTIO_DRIVER_MAX_QUEUES];
	uint64_t queue_interrupts[VIRTIO_DRIVER_MAX_QUEUES]; /* counted by the transport */
	uint64_t config_interrupts;
	bool uses_indirect; /* where it was agreed on; true at first */
	gpa_t next_gpa;	    /* of virtio_driver_alloc() */
};

/* A memory for tests: @size_bytes from address 0. */
struct sk_gmem *virtio_driver_memory(uint64_t size_bytes);

/* Attaches to @virtio. Memory is taken from 1 MiB upwards. fini resets the device and detaches. */
void virtio_driver_init(struct virtio_driver *d, struct sk_virtio *virtio);
void virtio_driver_fini(struct virtio_driver *d);

/* Guest memory, aligned to 4 KiB, zeroed. */
gpa_t virtio_driver_alloc(struct virtio_driver *d, uint64_t len_bytes);

/*
 * The steps of a driver (virtio 1.2, 3.1.1). negotiate resets the device and says FEATURES_OK for
 * @features and VERSION_1; false: the device refuses them. add_queue sets up queue @index with
 * @size entries (0: the device's maximum); false: it was refused. start does all of it, with every
 * queue, and says DRIVER_OK.
 */
bool virtio_driver_negotiate(struct virtio_driver *d, uint64_t features);
bool virtio_driver_add_queue(struct virtio_driver *d, uint32_t index, uint16_t size);
void virtio_driver_ok(struct virtio_driver *d);
bool virtio_driver_start(struct virtio_driver *d, uint64_t features, uint16_t queue_size);

/* Adds a chain, publishes it, and rings the doorbell if the device wants that. False: no room. */
bool virtio_driver_send(struct virtio_driver *d, uint32_t index, const struct guest_buf *bufs,
			uint32_t nr, uint64_t token);

/*
 * Turns the loop until a chain of queue @index is used, with an interrupt asked for; false: nothing
 * came in ten seconds.
 */
bool virtio_driver_wait(struct virtio_driver *d, uint32_t index, uint64_t *token,
			uint32_t *written_bytes);
/* Takes what is used now. */
bool virtio_driver_poll(struct virtio_driver *d, uint32_t index, uint64_t *token,
			uint32_t *written_bytes);
/* Turns the loop for as long as something happens at once. */
void virtio_driver_settle(struct virtio_driver *d);

/* Reads guest memory, or aborts. */
void virtio_driver_read(struct virtio_driver *d, gpa_t gpa, void *buf, size_t len_bytes);
void virtio_driver_write(struct virtio_driver *d, gpa_t gpa, const void *buf, size_t len_bytes);

#endif
