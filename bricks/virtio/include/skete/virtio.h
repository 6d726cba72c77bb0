/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The core of a virtio device (virtio 1.2, chapters 2 and 3): features, status, configuration
 * space, queues, reset. A device (bricks/dev/...) stands below it, a transport (MMIO, PCI) above:
 *
 *     vCPU threads          transport ----+  registers: any thread, under the core's lock
 *                                         v
 *                                   struct sk_virtio      features are an allow-list; queues are
 *                                         |               fixed from DRIVER_OK to reset
 *     the device's loop       device <----+  start, kick, quiesce: the loop's thread only
 *
 * Doorbells are eventfds that the loop waits for (KVM signals them by ioeventfd), interrupts go out
 * through the transport (irqfd). Legacy and transitional drivers are refused: a driver that does
 * not accept VIRTIO_F_VERSION_1 never sees FEATURES_OK.
 *
 * Life of a device, as seen by its ops; each arrow is a call on the loop's thread:
 *
 *     created --start--> running --quiesce(pause)--> quiet --resume--> running
 *        ^                  |                          |
 *        +------- quiesce(reset), then sk_virtio_quiesced(): the rings are gone
 *
 * Threading class: functions for transports are internally locked and may block until the loop has
 * done its part (activation, reset, writes to the configuration space): control path only.
 * Functions for devices belong to the loop's thread, unless they say otherwise. Where the caller of
 * a blocking function is the loop's own thread (unit tests), the core turns the loop meanwhile.
 */
#ifndef SKETE_VIRTIO_H
#define SKETE_VIRTIO_H

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>

#include <skete/base.h>
#include <skete/gmem.h>
#include <skete/loop.h>
#include <skete/vring.h>

#define SK_VIRTIO_FEATURE(bit)	   (UINT64_C(1) << (bit))
#define SK_VIRTIO_MAX_QUEUES	   256
#define SK_VIRTIO_MAX_CONFIG_BYTES 256

/*
 * Features of the rings and of the core, which it offers for every device besides the device's own:
 * VERSION_1, RING_PACKED, INDIRECT_DESC, EVENT_IDX, IN_ORDER, and ACCESS_PLATFORM never.
 */
#define SK_VIRTIO_CORE_FEATURES                                                            \
	(SK_VIRTIO_FEATURE(VIRTIO_F_VERSION_1) | SK_VIRTIO_FEATURE(VIRTIO_F_RING_PACKED) | \
	 SK_VIRTIO_FEATURE(VIRTIO_RING_F_INDIRECT_DESC) |                                  \
	 SK_VIRTIO_FEATURE(VIRTIO_RING_F_EVENT_IDX) | SK_VIRTIO_FEATURE(VIRTIO_F_IN_ORDER))

struct sk_virtio;

/* ---- What a device supplies ---- */

/* All on the loop's thread; none may block. */
struct sk_virtio_ops {
	/*
	 * The driver has set DRIVER_OK: sk_virtio_ring() gives the rings of the enabled queues,
	 * sk_virtio_features() what was agreed. Buffers may be waiting already; a kick of every
	 * enabled queue follows. A negative errno value sets NEEDS_RESET; the device has cleaned
	 * up, and is not asked to quiesce. A device that was restored while it ran is started when
	 * the machine goes on.
	 */
	int (*start)(void *dev);

	/* There may be new buffers in queue @index, which is enabled. */
	void (*kick)(void *dev, uint32_t index);

	/*
	 * Take no more buffers and bring what is in flight to its end: for a reset it may be
	 * cancelled, for a pause it is completed and pushed. Once the device neither reads nor
	 * writes guest memory any more it calls sk_virtio_quiesced(), here or later. After a reset
	 * it is as created, but for what the host has set.
	 */
	void (*quiesce)(void *dev, bool is_reset);

	/* Goes on after a pause; a kick of every enabled queue follows. Flushing was done. */
	void (*resume)(void *dev);

	/*
	 * Optional: the driver has written @len_bytes at @offset_bytes of the configuration space;
	 * the core holds the space, and the device decides what changes there (sk_virtio_config_set
	 * without an interrupt). NULL: the space is read-only.
	 */
	void (*config_write)(void *dev, uint32_t offset_bytes, const void *data,
			     uint32_t len_bytes);

	/*
	 * The device's own state, when it is quiet or was never started; the core saves features,
	 * status, queues, rings and the configuration space by itself. restore: before the first
	 * start; -EINVAL: not such a state. @version is what save wrote.
	 */
	void (*save)(void *dev, struct sk_writer *w);
	int (*restore)(void *dev, struct sk_reader *r, struct sk_error *err);
};

struct sk_virtio_config {
	uint32_t device_id;	     /* VIRTIO_ID_*: virtio 1.2, 5 */
	uint64_t features;	     /* the device's own, offered besides SK_VIRTIO_CORE_FEATURES */
	uint64_t core_features_off;  /* of SK_VIRTIO_CORE_FEATURES: not offered */
	uint32_t nr_queues;	     /* 1 to SK_VIRTIO_MAX_QUEUES */
	const uint16_t *queue_sizes; /* nr_queues maxima, powers of two; copied */
	uint32_t config_bytes;	     /* of the configuration space: at most MAX_CONFIG_BYTES */
	const void *config_space;    /* its content at first, NULL: zeroes; copied */

	struct sk_gmem *gm;   /* borrowed until destroy */
	struct sk_loop *loop; /* borrowed until destroy: the device's thread */
	const struct sk_virtio_ops *ops;
	void *dev;
	const struct sk_log *log; /* NULL or borrowed */
};

/*
 * Makes the core of one device; a device's create function calls it. Errors: -EINVAL (a bug in the
 * configuration), -ENOMEM, -EMFILE. destroy: on the loop's thread (not inside one of its callbacks)
 * or after its end, after the transport is detached and when the device is not running (see
 * sk_virtio_halt); NULL is fine.
 */
int sk_virtio_create(struct sk_virtio **out, const struct sk_virtio_config *config,
		     struct sk_error *err) SK_MUST_CHECK;
void sk_virtio_destroy(struct sk_virtio *virtio);

/* ---- For the device ---- */

/* What the driver has accepted (own and core), or 0 before FEATURES_OK. */
uint64_t sk_virtio_features(const struct sk_virtio *virtio);
static inline bool sk_virtio_has(const struct sk_virtio *virtio, unsigned bit)
{
	return sk_virtio_features(virtio) >> bit & 1;
}

/* The ring of queue @index from start to the end of a reset; NULL if the driver left it out. */
struct sk_vring *sk_virtio_ring(struct sk_virtio *virtio, uint32_t index);

/*
 * For back ends that run rings themselves (vhost): how the driver has set up queue @index (-ENOENT:
 * not enabled), its doorbell (sk_virtio_doorbell_fd), and an eventfd whose signals are the queue's
 * interrupts, borrowed until quiesced; -1: there is none now, so the device makes one of its own
 * and calls sk_virtio_interrupt() when it is signalled. While such a back end runs the doorbell is
 * its own: own_doorbell(true) keeps the core from reading it. From start to quiesced only.
 */
int sk_virtio_ring_config(const struct sk_virtio *virtio, uint32_t index,
			  struct sk_vring_config *config) SK_MUST_CHECK;
int sk_virtio_interrupt_fd(struct sk_virtio *virtio, uint32_t index);
void sk_virtio_own_doorbell(struct sk_virtio *virtio, uint32_t index, bool is_owned);
void sk_virtio_interrupt(struct sk_virtio *virtio, uint32_t index);

struct sk_gmem *sk_virtio_gmem(const struct sk_virtio *virtio);
struct sk_loop *sk_virtio_loop(const struct sk_virtio *virtio);

/*
 * Publishes the pushes of queue @index (sk_vring_flush) and interrupts the driver if it wants that.
 * Once per batch, not per chain.
 */
void sk_virtio_flush(struct sk_virtio *virtio, uint32_t index);

/*
 * The guest broke the rules (a broken ring, say): sets NEEDS_RESET, tells the driver once, stops
 * the doorbells of queue @index (UINT32_MAX: of none). Other queues go on.
 */
void sk_virtio_fail(struct sk_virtio *virtio, uint32_t index);

/* Ends a quiesce; see the ops. */
void sk_virtio_quiesced(struct sk_virtio *virtio);

/*
 * Replaces @len_bytes of the configuration space, counts its generation up, and interrupts the
 * driver if @does_notify. Any thread.
 */
void sk_virtio_config_set(struct sk_virtio *virtio, uint32_t offset_bytes, const void *data,
			  uint32_t len_bytes, bool does_notify);

/* ---- For the owner of the machine ---- */

/*
 * pause and resume bracket a standstill: pause returns when the device is quiet. Any thread but the
 * loop's (or the loop's own in tests); the vCPUs stand still, nobody else calls meanwhile.
 */
void sk_virtio_pause(struct sk_virtio *virtio);
void sk_virtio_resume(struct sk_virtio *virtio);

/* Like a reset by the driver, at the end of the machine: afterwards it can be destroyed. */
void sk_virtio_halt(struct sk_virtio *virtio);

/*
 * While paused; the whole of core and device. restore: into a fresh device, not yet attached to a
 * running guest; if it was running it is paused afterwards, and resume starts it. -EINVAL with a
 * sentence; then it can only be destroyed.
 */
void sk_virtio_save(struct sk_virtio *virtio, struct sk_writer *w);
int sk_virtio_restore(struct sk_virtio *virtio, struct sk_reader *r,
		      struct sk_error *err) SK_MUST_CHECK;

struct sk_virtio_stats {
	uint64_t kicks;	       /* doorbells taken */
	uint64_t interrupts;   /* asked of the transport, used buffers and configuration */
	uint64_t resets;       /* by the driver */
	uint64_t broken;       /* times that NEEDS_RESET was set */
	uint64_t bad_accesses; /* what the driver did against the specification, and was ignored */
};

/* Any thread. */
void sk_virtio_get_stats(const struct sk_virtio *virtio, struct sk_virtio_stats *stats);

/* ---- For transports ---- */

/* Called from the loop's thread, and from others for the configuration; must not block or lock. */
struct sk_virtio_transport_ops {
	/* Used buffers in queue @index (2.3). */
	void (*interrupt_queue)(void *transport, uint32_t index);
	/* The configuration space or the status has changed. */
	void (*interrupt_config)(void *transport);
	/*
	 * Optional: an eventfd whose signals do what interrupt_queue does, or -1 while there is no
	 * such thing (a masked MSI-X vector; MMIO, whose status register must be set, too).
	 */
	int (*interrupt_fd)(void *transport, uint32_t index);
};

/* One transport at a time; NULL ops detach it. No interrupt is on its way after the return. */
void sk_virtio_attach(struct sk_virtio *virtio, const struct sk_virtio_transport_ops *ops,
		      void *transport);

uint32_t sk_virtio_device_id(const struct sk_virtio *virtio);
uint32_t sk_virtio_nr_queues(const struct sk_virtio *virtio);

/* 2.2: bits 32 * @word to 32 * @word + 31; other words are 0. Writes count before FEATURES_OK. */
uint32_t sk_virtio_device_features(const struct sk_virtio *virtio, uint32_t word);
uint32_t sk_virtio_driver_features(const struct sk_virtio *virtio, uint32_t word);
void sk_virtio_set_driver_features(struct sk_virtio *virtio, uint32_t word, uint32_t value);

/*
 * 2.1, 3.1: the status machine. FEATURES_OK is refused (stays clear) if a feature was accepted that
 * is not offered, or VERSION_1 was not. DRIVER_OK starts the device; 0 resets it, and when the call
 * returns nothing of it touches guest memory. Bits are never cleared but by a reset. Blocks.
 */
uint8_t sk_virtio_status(const struct sk_virtio *virtio);
void sk_virtio_set_status(struct sk_virtio *virtio, uint8_t status);

/* 2.5: @size_bytes is 1, 2, 4 or 8; outside of the space a read is 0 and a write ignored. */
uint64_t sk_virtio_config_read(struct sk_virtio *virtio, uint64_t offset_bytes,
			       unsigned size_bytes);
void sk_virtio_config_write(struct sk_virtio *virtio, uint64_t offset_bytes, unsigned size_bytes,
			    uint64_t value);
uint32_t sk_virtio_config_generation(const struct sk_virtio *virtio);

/*
 * Queue set-up; @index is checked here. Everything is ignored (and counted) from DRIVER_OK to
 * reset, and while the queue is enabled. enable of a queue with a bad size or address leaves it
 * disabled: sk_virtio_queue_is_enabled() tells.
 */
enum sk_virtio_area { SK_VIRTIO_AREA_DESC, SK_VIRTIO_AREA_DRIVER, SK_VIRTIO_AREA_DEVICE };

uint16_t sk_virtio_queue_max(const struct sk_virtio *virtio, uint32_t index); /* 0: no such queue */
uint16_t sk_virtio_queue_size(const struct sk_virtio *virtio, uint32_t index);
void sk_virtio_queue_set_size(struct sk_virtio *virtio, uint32_t index, uint16_t size);
gpa_t sk_virtio_queue_area(const struct sk_virtio *virtio, uint32_t index,
			   enum sk_virtio_area area);
/* Replaces the bits of the address that @mask has: transports write halves. */
void sk_virtio_queue_set_area(struct sk_virtio *virtio, uint32_t index, enum sk_virtio_area area,
			      gpa_t value, gpa_t mask);
bool sk_virtio_queue_is_enabled(const struct sk_virtio *virtio, uint32_t index);
void sk_virtio_queue_enable(struct sk_virtio *virtio, uint32_t index, bool is_enabled);

/*
 * The doorbell of queue @index: an eventfd, borrowed, for ioeventfd; or by hand. It may ring at any
 * time: the core looks whether the queue runs. -1: no such queue.
 */
int sk_virtio_doorbell_fd(const struct sk_virtio *virtio, uint32_t index);
void sk_virtio_ring_doorbell(struct sk_virtio *virtio, uint32_t index);

#endif
