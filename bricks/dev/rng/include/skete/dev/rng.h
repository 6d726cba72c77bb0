/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The entropy device (virtio 1.2, 5.4): fills the guest's buffers with random bytes, from the
 * host's getrandom(2) or from a file (/dev/hwrng, say). One queue, no configuration.
 *
 * A buffer gets at most SK_RNG_MAX_BYTES at a time, which the specification allows: a guest cannot
 * keep the loop busy with one request of 4 GiB.
 *
 * Threading class: owner-thread only (the loop's), but for get_stats.
 */
#ifndef SKETE_DEV_RNG_H
#define SKETE_DEV_RNG_H

#include <skete/base.h>
#include <skete/limiter.h>
#include <skete/virtio.h>

#define SK_RNG_MAX_BYTES 4096

struct sk_rng;

struct sk_rng_config {
	struct sk_gmem *gm;		/* borrowed until destroy */
	struct sk_loop *loop;		/* likewise */
	const char *path;		/* NULL: getrandom(2); borrowed for the call */
	struct sk_limiter_config limit; /* zeroes: none */
	const struct sk_log *log;	/* NULL or borrowed until destroy */
};

struct sk_rng_stats {
	uint64_t requests; /* buffers that were filled */
	uint64_t bytes;
};

/*
 * Errors: -EINVAL (@path is a directory), -ENOENT ... of the file, -ENOMEM, -EMFILE. destroy as
 * sk_virtio_destroy(); NULL is fine.
 */
int sk_rng_create(struct sk_rng **out, const struct sk_rng_config *config,
		  struct sk_error *err) SK_MUST_CHECK;
void sk_rng_destroy(struct sk_rng *rng);

/* The device for a transport, for pause and for save; it belongs to @rng. */
struct sk_virtio *sk_rng_virtio(const struct sk_rng *rng);

/* Any thread. */
void sk_rng_get_stats(const struct sk_rng *rng, struct sk_rng_stats *stats);

#endif
