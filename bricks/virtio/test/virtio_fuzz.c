/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include "virtio_fuzz.h"

#include <guest_ring.h>

#define MAX_QUEUES  8u /* that get proper rings; a device may have more */
#define QUEUE_BYTES UINT64_C(0x4000)
#define DATA_GPA    UINT64_C(0x40000)
#define S_BEGIN	    (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)
#define RING_SIZE   16
#define MAX_BUFS    5
#define STATE_BYTES (1024 * 1024)

struct driver {
	struct sk_virtio *virtio;
	struct sk_gmem *gm;
	struct sk_reader in;
	struct guest_ring rings[MAX_QUEUES];
	bool has_ring[MAX_QUEUES];
	uint64_t token;
};

struct sk_gmem *virtio_fuzz_memory(void)
{
	static struct sk_gmem *gm;
	const struct sk_gmem_region_config region = {.gpa = 0, .size_bytes = VIRTIO_FUZZ_RAM_BYTES};
	const struct sk_gmem_config config = {
		.regions = &region, .nr_regions = 1, .has_dirty_log = true};

	if (!gm)
		BUG_ON(sk_gmem_create(&gm, &config, NULL));
	return gm;
}

struct sk_loop *virtio_fuzz_loop(void)
{
	static struct sk_loop *loop;
	const struct sk_loop_config config = {.driver = SK_LOOP_EPOLL};

	if (!loop)
		BUG_ON(sk_loop_create(&loop, &config, NULL) || sk_loop_bind(loop));
	return loop;
}

static void ignore_queue(void *transport, uint32_t index)
{
	(void)transport;
	(void)index;
}

static void ignore_config(void *transport)
{
	(void)transport;
}

static const struct sk_virtio_transport_ops transport_ops = {
	.interrupt_queue = ignore_queue,
	.interrupt_config = ignore_config,
};

static void turn(struct driver *d)
{
	for (int i = 0; i < 4; i++)
		BUG_ON(sk_loop_turn(sk_virtio_loop(d->virtio), 0) < 0);
}

static void forget_rings(struct driver *d)
{
	for (uint32_t i = 0; i < MAX_QUEUES; i++) {
		if (d->has_ring[i])
			guest_ring_fini(&d->rings[i]);
		d->has_ring[i] = false;
	}
}

static void set_area(struct driver *d, uint32_t index, enum sk_virtio_area area, gpa_t gpa)
{
	sk_virtio_queue_set_area(d->virtio, index, area, gpa, UINT64_MAX);
}

static void add_queue(struct driver *d, uint32_t index)
{
	const struct guest_ring_config config = {
		.gm = d->gm,
		.gpa = QUEUE_BYTES * index,
		.size = RING_SIZE,
		.is_packed = sk_virtio_has(d->virtio, VIRTIO_F_RING_PACKED),
		.has_event_idx = sk_virtio_has(d->virtio, VIRTIO_RING_F_EVENT_IDX),
		.is_in_order = sk_virtio_has(d->virtio, VIRTIO_F_IN_ORDER),
		.max_indirect =
			sk_virtio_has(d->virtio, VIRTIO_RING_F_INDIRECT_DESC) ? MAX_BUFS : 0,
	};
	struct guest_ring *g = &d->rings[index];

	BUG_ON(guest_ring_bytes(&config) > QUEUE_BYTES);
	guest_ring_init(g, &config);
	d->has_ring[index] = true;
	sk_virtio_queue_set_size(d->virtio, index, RING_SIZE);
	set_area(d, index, SK_VIRTIO_AREA_DESC, g->desc_gpa);
	set_area(d, index, SK_VIRTIO_AREA_DRIVER, g->driver_gpa);
	set_area(d, index, SK_VIRTIO_AREA_DEVICE, g->device_gpa);
	sk_virtio_queue_enable(d->virtio, index, true);
}

/* As a driver should, with some of the offered features. */
static void start(struct driver *d)
{
	uint64_t offered = sk_virtio_device_features(d->virtio, 0) |
			   (uint64_t)sk_virtio_device_features(d->virtio, 1) << 32;
	uint64_t features = (sk_get_u32(&d->in) | (uint64_t)sk_get_u8(&d->in) << 32) & offered;
	uint32_t nr = SK_MIN(sk_virtio_nr_queues(d->virtio), MAX_QUEUES);

	features |= SK_VIRTIO_FEATURE(VIRTIO_F_VERSION_1);
	sk_virtio_set_status(d->virtio, 0);
	forget_rings(d);
	sk_virtio_set_status(d->virtio, S_BEGIN);
	sk_virtio_set_driver_features(d->virtio, 0, (uint32_t)features);
	sk_virtio_set_driver_features(d->virtio, 1, (uint32_t)(features >> 32));
	sk_virtio_set_status(d->virtio, S_BEGIN | VIRTIO_CONFIG_S_FEATURES_OK);
	BUG_ON(!(sk_virtio_status(d->virtio) & VIRTIO_CONFIG_S_FEATURES_OK));
	for (uint32_t i = 0; i < nr; i++)
		add_queue(d, i);
	sk_virtio_set_status(d->virtio,
			     S_BEGIN | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
}

/* A chain whose buffers are in memory, with bytes of the input in the first. */
static void send_chain(struct driver *d)
{
	uint32_t index = sk_get_u8(&d->in) % MAX_QUEUES, nr = 1 + sk_get_u8(&d->in) % MAX_BUFS;
	bool is_indirect = sk_get_u8(&d->in) & 1, is_writable = false;
	struct guest_ring *g = &d->rings[index];
	struct guest_buf bufs[MAX_BUFS];
	uint8_t first[64] = {0};

	for (uint32_t i = 0; i < nr; i++) {
		uint16_t where = sk_get_u16(&d->in), len = sk_get_u16(&d->in);

		is_writable |= len & 1;
		bufs[i] = (struct guest_buf){DATA_GPA + where, len >> 1 & 0x1fff, is_writable};
	}
	sk_get_bytes(&d->in, first, SK_MIN(bufs[0].len_bytes, sizeof(first)));
	BUG_ON(sk_gmem_write(d->gm, bufs[0].gpa, first, SK_MIN(bufs[0].len_bytes, sizeof(first))));
	if (!d->has_ring[index])
		return;
	if (!guest_ring_add(g, bufs, nr, is_indirect && g->config.max_indirect, d->token++))
		while (guest_ring_reap(g, NULL, NULL) && g->nr_errors == 0)
			;
	if (guest_ring_publish(g))
		sk_virtio_ring_doorbell(d->virtio, index);
}

static void write_memory(struct driver *d)
{
	uint8_t bytes[64];
	uint16_t at = sk_get_u16(&d->in);
	uint32_t len = 1 + sk_get_u8(&d->in) % sizeof(bytes);
	/* Mostly into the rings. */
	gpa_t gpa = at & 1 ? DATA_GPA + at : QUEUE_BYTES * (at >> 13) + (at & 0x1ffe);

	sk_get_bytes(&d->in, bytes, len);
	BUG_ON(sk_gmem_write(d->gm, gpa, bytes, len));
}

static void set_up_wrongly(struct driver *d)
{
	uint8_t what = sk_get_u8(&d->in);
	uint32_t index = sk_get_u8(&d->in);
	uint64_t value = sk_get_u64(&d->in);

	switch (what % 6) {
	case 0:
		sk_virtio_queue_set_size(d->virtio, index, (uint16_t)value);
		break;
	case 1:
		set_area(d, index, (enum sk_virtio_area)(what / 6 % 3), value);
		break;
	case 2:
		sk_virtio_queue_enable(d->virtio, index, value & 1);
		break;
	case 3:
		sk_virtio_set_driver_features(d->virtio, index, (uint32_t)value);
		break;
	case 4:
		sk_virtio_set_status(d->virtio, (uint8_t)value);
		break;
	default:
		sk_virtio_ring_doorbell(d->virtio, index);
		break;
	}
}

static void use_config(struct driver *d)
{
	uint8_t offset = sk_get_u8(&d->in), what = sk_get_u8(&d->in);
	unsigned size_bytes = 1u << (what & 3);

	if (what & 4)
		sk_virtio_config_write(d->virtio, offset, size_bytes, sk_get_u64(&d->in));
	else
		(void)sk_virtio_config_read(d->virtio, offset, size_bytes);
}

static void pause_and_resume(struct driver *d, bool does_save)
{
	static uint8_t state[STATE_BYTES];
	struct sk_writer w;

	sk_virtio_pause(d->virtio);
	if (does_save) {
		sk_writer_init(&w, state, sizeof(state));
		sk_virtio_save(d->virtio, &w);
	}
	sk_virtio_resume(d->virtio);
}

static void step(struct driver *d)
{
	uint8_t op = sk_get_u8(&d->in);

	switch (op % 12) {
	case 0:
		start(d);
		break;
	case 1:
	case 2:
	case 3:
	case 4:
		send_chain(d);
		break;
	case 5:
	case 6:
		write_memory(d);
		break;
	case 7:
		sk_virtio_ring_doorbell(d->virtio, op / 12 % MAX_QUEUES);
		break;
	case 8:
		turn(d);
		break;
	case 9:
		set_up_wrongly(d);
		break;
	case 10:
		use_config(d);
		break;
	default:
		pause_and_resume(d, op / 12 & 1);
		break;
	}
}

/*
 * A state out of the input must be refused or restored. Begins with a start, as otherwise most
 * inputs would never get to one.
 */
void virtio_fuzz(struct sk_virtio *virtio, const uint8_t *data, size_t size)
{
	struct driver *d = calloc(1, sizeof(*d));

	BUG_ON(!d);
	d->virtio = virtio;
	d->gm = sk_virtio_gmem(virtio);
	sk_reader_init(&d->in, data, size);
	BUG_ON(sk_gmem_fill(d->gm, 0, 0, VIRTIO_FUZZ_RAM_BYTES));
	sk_virtio_attach(virtio, &transport_ops, d);
	if (size && data[0] == 0xff) {
		(void)sk_get_u8(&d->in);
		if (sk_virtio_restore(virtio, &d->in, NULL))
			goto out;
		sk_virtio_resume(virtio);
	} else {
		start(d);
	}
	while (sk_reader_ok(&d->in) && d->in.pos_bytes < size)
		step(d);
	turn(d);
out:
	sk_virtio_halt(virtio);
	sk_virtio_attach(virtio, NULL, NULL);
	forget_rings(d);
	free(d);
}
