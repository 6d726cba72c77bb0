/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The MMIO transport of virtio (virtio 1.2, 4.2), version 2: 256 bytes of registers, then the
 * device's configuration space. It stands between the bus, where vCPUs read and write registers,
 * and the core of a device (struct sk_virtio). Legacy (version 1) does not exist here, nor do queue
 * reset and shared memory.
 *
 * Interrupts are edges: a bit of InterruptStatus is set first, then the irqfd is signalled, so that
 * whatever was used before the driver's acknowledgement is seen by the handler that follows it.
 *
 * Threading class: the bus operations come from any vCPU thread, several at once, and may block as
 * <skete/virtio.h> says; interrupts come from the loop's thread and never do.
 */
#ifndef SKETE_VIRTIO_MMIO_H
#define SKETE_VIRTIO_MMIO_H

#include <skete/base.h>
#include <skete/bus.h>
#include <skete/gmem.h>
#include <skete/virtio.h>

#define SK_VIRTIO_MMIO_BYTES (UINT64_C(0x100) + SK_VIRTIO_MAX_CONFIG_BYTES) /* of one device */

struct sk_virtio_mmio;

struct sk_virtio_mmio_config {
	struct sk_virtio *virtio; /* borrowed until destroy; attached to by create */
	gpa_t gpa;		  /* where the registers are, as the doorbells need to know */
	int irq_fd;		  /* borrowed: eventfd whose signals are edges */
	/*
	 * Optional: lets a guest's 32-bit write of exactly @value to @gpa signal @fd without an
	 * exit (ioeventfd with datamatch), until detach. Without it, and for doorbells that the
	 * host refuses (a negative errno value), the write reaches the bus and works, too.
	 */
	int (*attach_doorbell)(void *ctx, gpa_t gpa, uint32_t value, int fd);
	void (*detach_doorbell)(void *ctx, gpa_t gpa, uint32_t value, int fd);
	void *ctx;
};

/*
 * create attaches to the core; the caller puts sk_virtio_mmio_ops on its MMIO bus at @gpa. destroy
 * detaches (NULL is fine): no vCPU may run. Errors: -ENOMEM.
 */
int sk_virtio_mmio_create(struct sk_virtio_mmio **out, const struct sk_virtio_mmio_config *config,
			  struct sk_error *err) SK_MUST_CHECK;
void sk_virtio_mmio_destroy(struct sk_virtio_mmio *mmio);

extern const struct sk_bus_ops sk_virtio_mmio_ops; /* the device is the struct sk_virtio_mmio */

/* What the transport itself holds; the core is saved by sk_virtio_save(). No vCPU runs. */
void sk_virtio_mmio_save(const struct sk_virtio_mmio *mmio, struct sk_writer *w);
int sk_virtio_mmio_restore(struct sk_virtio_mmio *mmio, struct sk_reader *r,
			   struct sk_error *err) SK_MUST_CHECK;

/* Accesses that the specification forbids: they read as zero and write nothing. Any thread. */
uint64_t sk_virtio_mmio_bad_accesses(const struct sk_virtio_mmio *mmio);

#endif
