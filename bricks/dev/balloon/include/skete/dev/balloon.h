/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The virtio memory balloon (virtio 1.2, 5.5): memory that the guest gives back to the host,
 * because it is asked to (inflate) or because it does not use it (free-page reporting), and what
 * the guest says about its memory.
 *
 * Pages that come are discarded (sk_gmem_discard); a page that the guest takes back or writes to is
 * there again, zeroed. A balloon is no protection: a guest that does not play along keeps its
 * memory. Free-page hinting and page poisoning are not offered: a hinted page may be in use again
 * before the host has seen the hint, which only a migration can sort out.
 *
 * Threading class: owner-thread only (the loop of the configuration), but for the functions that
 * say otherwise. create may run on another thread before the loop turns.
 */
#ifndef SKETE_DEV_BALLOON_H
#define SKETE_DEV_BALLOON_H

#include <skete/base.h>
#include <skete/gmem.h>
#include <skete/virtio.h>

#define SK_BALLOON_PAGE_BYTES UINT64_C(4096) /* the unit of the protocol */

struct sk_balloon;

struct sk_balloon_config {
	struct sk_gmem *gm;   /* borrowed until destroy, as is what follows */
	struct sk_loop *loop; /* the device's thread */
	const struct sk_log *log;
	uint64_t size_bytes;	 /* of the balloon at first; cut to pages and to the memory */
	bool has_deflate_on_oom; /* the guest may take pages back before it kills somebody */
	bool has_reporting;	 /* free-page reporting */
};

/* Errors: -ENOMEM, -EMFILE. destroy comes after the end of the loop; NULL is fine. */
int sk_balloon_create(struct sk_balloon **out, const struct sk_balloon_config *config,
		      struct sk_error *err) SK_MUST_CHECK;
void sk_balloon_destroy(struct sk_balloon *balloon);

/* For the transport: the device's core, which lives as long as the device. */
struct sk_virtio *sk_balloon_virtio(struct sk_balloon *balloon);

/* Asks the guest for a balloon of that size, which it takes its time for. Any thread. */
void sk_balloon_set_size(struct sk_balloon *balloon, uint64_t size_bytes);

struct sk_balloon_stats {
	uint64_t target_bytes;	 /* what was asked for */
	uint64_t actual_bytes;	 /* what the guest says that the balloon holds */
	uint64_t inflated_bytes; /* given by the guest, ever */
	uint64_t deflated_bytes; /* taken back, ever */
	uint64_t reported_bytes; /* of free pages, ever */
	uint64_t bad_requests;	 /* of the guest, against the rules */

	/* What the guest has said last (5.5.6.4), all ones: nothing yet. */
	uint64_t swap_in_bytes, swap_out_bytes, major_faults, minor_faults;
	uint64_t free_bytes, total_bytes, available_bytes, cache_bytes;
};

/*
 * Any thread. With @does_refresh the guest is asked for new numbers, which a later call finds; not
 * after the loop has ended.
 */
void sk_balloon_get_stats(struct sk_balloon *balloon, bool does_refresh,
			  struct sk_balloon_stats *stats);

#endif
