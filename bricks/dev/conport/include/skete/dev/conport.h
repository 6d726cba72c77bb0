/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The console port, <skete/abi/console.h>: moves whole buffers between guest memory and whatever
 * the machine's console is. It keeps no bytes itself: what is in the guest's ring is taken from
 * there.
 *
 * Threading class: internally locked; the guest's requests run on the vCPUs' threads, several at
 * once if the guest does so, sk_conport_take() on any. The lock is held across the callbacks, for
 * a request of output or one take.
 */
#ifndef SKETE_DEV_CONPORT_H
#define SKETE_DEV_CONPORT_H

#include <skete/abi/console.h>
#include <skete/base.h>
#include <skete/bus.h>
#include <skete/gmem.h>

struct sk_conport;

/* Both are called on a vCPU's thread, with at most a page at a time, and must not block. */
struct sk_conport_config {
	struct sk_gmem *gm; /* borrowed */
	/* Takes output; returns how many of the bytes had room: all or none, so that a guest's
	 * buffer of up to SK_CONSOLE_WHOLE_BYTES stays whole. Required. */
	size_t (*output)(void *ctx, const void *buf, size_t len_bytes);
	/* Gives input; returns how many bytes. 0: none now, and *is_end says whether ever.
	 * Required. */
	size_t (*input)(void *ctx, void *buf, size_t len_bytes, bool *is_end);
	/* Gives back what output took and nobody has read yet. Required with a doorbell. */
	size_t (*unread)(void *ctx, void *buf, size_t len_bytes);
	void *ctx;
	/* Where a write of 32 bits makes somebody call sk_conport_take(); it need not come here. 0:
	 * guests cannot have a ring. */
	gpa_t doorbell_gpa;
};

struct sk_conport_counters {
	uint64_t written_bytes, read_bytes; /* of the guest */
	uint64_t bad_requests;		    /* not done */
};

/* Errors of create: -EINVAL (something required is missing), -ENOMEM. */
int sk_conport_create(struct sk_conport **out, const struct sk_conport_config *config,
		      struct sk_error *err) SK_MUST_CHECK;
/* No other call may be running; the device is off the bus. */
void sk_conport_destroy(struct sk_conport *dev);

/* The port, SK_CONSOLE_PORTS at SK_CONSOLE_PORT; the device of the bus is the sk_conport. */
extern const struct sk_bus_ops sk_conport_ops;

/*
 * Up to @len_bytes of what the guest has sent and nobody has read: first what output took, then
 * what is in the ring. If it is less, the guest rings the doorbell for what comes next. Returns how
 * many.
 */
size_t sk_conport_take(struct sk_conport *dev, void *buf, size_t len_bytes);

void sk_conport_counters(const struct sk_conport *dev, struct sk_conport_counters *counters);

/*
 * restore changes nothing unless it returns 0; the memory is the one that was saved. Errors:
 * -EINVAL (truncated, unknown version, impossible ring).
 */
void sk_conport_save(struct sk_conport *dev, struct sk_writer *w);
int sk_conport_restore(struct sk_conport *dev, struct sk_reader *r,
		       struct sk_error *err) SK_MUST_CHECK;

#endif
