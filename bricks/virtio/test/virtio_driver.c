/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include "virtio_driver.h"

#define WAIT_NS UINT64_C(10000000000)
#define PAGE	UINT64_C(4096)
#define S_BEGIN (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)

static void interrupt_queue(void *transport, uint32_t index)
{
	struct virtio_driver *d = transport;

	if (index < VIRTIO_DRIVER_MAX_QUEUES)
		d->queue_interrupts[index]++;
}

static void interrupt_config(void *transport)
{
	struct virtio_driver *d = transport;

	d->config_interrupts++;
}

static const struct sk_virtio_transport_ops transport_ops = {
	.interrupt_queue = interrupt_queue,
	.interrupt_config = interrupt_config,
};

struct sk_gmem *virtio_driver_memory(uint64_t size_bytes)
{
	const struct sk_gmem_region_config region = {.gpa = 0, .size_bytes = size_bytes};
	const struct sk_gmem_config config = {.regions = &region, .nr_regions = 1};
	struct sk_gmem *gm;

	BUG_ON(sk_gmem_create(&gm, &config, NULL));
	return gm;
}

void virtio_driver_init(struct virtio_driver *d, struct sk_virtio *virtio)
{
	*d = (struct virtio_driver){.virtio = virtio, .uses_indirect = true, .next_gpa = SK_MIB};
	sk_virtio_attach(virtio, &transport_ops, d);
}

static void forget_rings(struct virtio_driver *d)
{
	for (uint32_t i = 0; i < VIRTIO_DRIVER_MAX_QUEUES; i++) {
		if (d->has_ring[i])
			guest_ring_fini(&d->rings[i]);
		d->has_ring[i] = false;
	}
}

void virtio_driver_fini(struct virtio_driver *d)
{
	sk_virtio_set_status(d->virtio, 0);
	sk_virtio_attach(d->virtio, NULL, NULL);
	forget_rings(d);
}

gpa_t virtio_driver_alloc(struct virtio_driver *d, uint64_t len_bytes)
{
	gpa_t gpa = d->next_gpa;

	d->next_gpa += (len_bytes + PAGE - 1) & ~(PAGE - 1);
	BUG_ON(sk_gmem_fill(sk_virtio_gmem(d->virtio), gpa, 0, d->next_gpa - gpa));
	return gpa;
}

bool virtio_driver_negotiate(struct virtio_driver *d, uint64_t features)
{
	features |= SK_VIRTIO_FEATURE(VIRTIO_F_VERSION_1);
	sk_virtio_set_status(d->virtio, 0);
	forget_rings(d);
	BUG_ON(sk_virtio_status(d->virtio));
	sk_virtio_set_status(d->virtio, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	sk_virtio_set_status(d->virtio, S_BEGIN);
	sk_virtio_set_driver_features(d->virtio, 0, (uint32_t)features);
	sk_virtio_set_driver_features(d->virtio, 1, (uint32_t)(features >> 32));
	sk_virtio_set_status(d->virtio, S_BEGIN | VIRTIO_CONFIG_S_FEATURES_OK);
	return sk_virtio_status(d->virtio) & VIRTIO_CONFIG_S_FEATURES_OK;
}

bool virtio_driver_add_queue(struct virtio_driver *d, uint32_t index, uint16_t size)
{
	struct guest_ring_config config = {
		.gm = sk_virtio_gmem(d->virtio),
		.size = size ? size : sk_virtio_queue_max(d->virtio, index),
		.is_packed = sk_virtio_has(d->virtio, VIRTIO_F_RING_PACKED),
		.has_event_idx = sk_virtio_has(d->virtio, VIRTIO_RING_F_EVENT_IDX),
		.is_in_order = sk_virtio_has(d->virtio, VIRTIO_F_IN_ORDER),
	};
	struct guest_ring *g = &d->rings[index];

	BUG_ON(index >= VIRTIO_DRIVER_MAX_QUEUES || d->has_ring[index]);
	if (sk_virtio_has(d->virtio, VIRTIO_RING_F_INDIRECT_DESC))
		config.max_indirect = VIRTIO_DRIVER_MAX_INDIRECT;
	config.gpa = virtio_driver_alloc(d, guest_ring_bytes(&config));
	guest_ring_init(g, &config);
	d->has_ring[index] = true;
	sk_virtio_queue_set_size(d->virtio, index, config.size);
	sk_virtio_queue_set_area(d->virtio, index, SK_VIRTIO_AREA_DESC, g->desc_gpa, UINT64_MAX);
	sk_virtio_queue_set_area(d->virtio, index, SK_VIRTIO_AREA_DRIVER, g->driver_gpa,
				 UINT64_MAX);
	sk_virtio_queue_set_area(d->virtio, index, SK_VIRTIO_AREA_DEVICE, g->device_gpa,
				 UINT64_MAX);
	sk_virtio_queue_enable(d->virtio, index, true);
	return sk_virtio_queue_is_enabled(d->virtio, index);
}

void virtio_driver_ok(struct virtio_driver *d)
{
	sk_virtio_set_status(d->virtio,
			     (uint8_t)(sk_virtio_status(d->virtio) | VIRTIO_CONFIG_S_DRIVER_OK));
}

bool virtio_driver_start(struct virtio_driver *d, uint64_t features, uint16_t queue_size)
{
	if (!virtio_driver_negotiate(d, features))
		return false;
	for (uint32_t i = 0; i < sk_virtio_nr_queues(d->virtio); i++)
		if (!virtio_driver_add_queue(d, i, queue_size))
			return false;
	virtio_driver_ok(d);
	return true;
}

bool virtio_driver_send(struct virtio_driver *d, uint32_t index, const struct guest_buf *bufs,
			uint32_t nr, uint64_t token)
{
	struct guest_ring *g = &d->rings[index];
	bool is_indirect = d->uses_indirect && nr > 1 && g->config.max_indirect >= nr;

	if (!guest_ring_add(g, bufs, nr, is_indirect, token))
		return false;
	if (guest_ring_publish(g))
		sk_virtio_ring_doorbell(d->virtio, index);
	return true;
}

bool virtio_driver_poll(struct virtio_driver *d, uint32_t index, uint64_t *token,
			uint32_t *written_bytes)
{
	return guest_ring_reap(&d->rings[index], token, written_bytes);
}

bool virtio_driver_wait(struct virtio_driver *d, uint32_t index, uint64_t *token,
			uint32_t *written_bytes)
{
	struct sk_loop *loop = sk_virtio_loop(d->virtio);
	uint64_t deadline_ns = sk_now_ns() + WAIT_NS, before;
	bool has_used = guest_ring_enable_interrupts(&d->rings[index]);

	while (!has_used || !virtio_driver_poll(d, index, token, written_bytes)) {
		before = d->queue_interrupts[index];
		if (sk_now_ns() > deadline_ns)
			return false;
		BUG_ON(sk_loop_turn(loop, (int64_t)WAIT_NS / 100) < 0);
		has_used = d->queue_interrupts[index] != before;
	}
	return true;
}

void virtio_driver_settle(struct virtio_driver *d)
{
	int ret;

	do {
		ret = sk_loop_turn(sk_virtio_loop(d->virtio), 0);
		BUG_ON(ret < 0);
	} while (ret);
}

void virtio_driver_read(struct virtio_driver *d, gpa_t gpa, void *buf, size_t len_bytes)
{
	BUG_ON(sk_gmem_read(sk_virtio_gmem(d->virtio), gpa, buf, len_bytes));
}

void virtio_driver_write(struct virtio_driver *d, gpa_t gpa, const void *buf, size_t len_bytes)
{
	BUG_ON(sk_gmem_write(sk_virtio_gmem(d->virtio), gpa, buf, len_bytes));
}
