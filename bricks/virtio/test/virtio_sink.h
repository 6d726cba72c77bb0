/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * A device for the tests of transports: uses up what it gets, and lets the driver write its
 * configuration space. Two queues, of SK_VRING_MAX_SIZE and 64 entries.
 */
#ifndef SKETE_TEST_VIRTIO_SINK_H
#define SKETE_TEST_VIRTIO_SINK_H

#include <skete/virtio.h>

#define VIRTIO_SINK_ID		 4
#define VIRTIO_SINK_FEATURE	 5
#define VIRTIO_SINK_CONFIG_BYTES 12

struct virtio_sink {
	struct sk_virtio *virtio;
	unsigned nr_kicks;
	bool refuses_start; /* of the next driver */
	bool is_full;	    /* leaves what it gets in the ring */
};

void virtio_sink_init(struct virtio_sink *sink, struct sk_gmem *gm, struct sk_loop *loop);
void virtio_sink_fini(struct virtio_sink *sink);

#endif
