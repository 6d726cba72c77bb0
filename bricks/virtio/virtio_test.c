/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include <skete/virtio.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>

#include <virtio_driver.h>

#define OWN_FEATURE 3
#define ECHO_QUEUE  0 /* answers at once: the bytes, each plus one */
#define SLOW_QUEUE  1 /* answers when a timer fires */
#define SLOW_NS	    1000000
#define MAX_SLOW    64
#define RAM_BYTES   (64 * SK_MIB)

/* A device with one queue that answers at once and one that takes its time. */
struct toy {
	struct sk_loop *loop;
	struct sk_gmem *gm;
	struct sk_virtio *virtio;
	struct sk_loop_timer timer;
	struct sk_vring_chain slow[MAX_SLOW];
	struct iovec slow_iov[MAX_SLOW][4];
	uint32_t nr_slow;
	unsigned nr_starts, nr_resumes;
	_Atomic unsigned nr_quiesces;
	bool is_quiescing, fails_to_start, is_held;
	uint32_t saved;
};

static void answer(const struct sk_vring_chain *chain, struct sk_vring *ring)
{
	uint8_t data[256];
	size_t len = sk_vring_copy_from(chain->iov, chain->nr_readable, 0, data, sizeof(data));

	for (size_t i = 0; i < len; i++)
		data[i]++;
	len = sk_vring_copy_to(chain->iov + chain->nr_readable, chain->nr_writable, 0, data, len);
	sk_vring_push(ring, chain, (uint32_t)len);
}

static void finish_slow(struct toy *toy)
{
	for (uint32_t i = 0; i < toy->nr_slow; i++)
		answer(&toy->slow[i], sk_virtio_ring(toy->virtio, SLOW_QUEUE));
	toy->nr_slow = 0;
	sk_virtio_flush(toy->virtio, SLOW_QUEUE);
}

static void toy_fire(struct sk_loop *loop, struct sk_loop_timer *timer)
{
	struct toy *toy = SK_CONTAINER_OF(timer, struct toy, timer);

	(void)loop;
	finish_slow(toy);
	if (toy->is_quiescing) {
		toy->is_quiescing = false;
		sk_virtio_quiesced(toy->virtio);
	}
}

static int toy_start(void *dev)
{
	struct toy *toy = dev;

	toy->nr_starts++;
	toy->timer.fire = toy_fire;
	assert_true(sk_virtio_has(toy->virtio, VIRTIO_F_VERSION_1));
	return toy->fails_to_start ? -EIO : 0;
}

static void kick_slow(struct toy *toy, struct sk_vring *ring)
{
	int ret = 0;

	while (toy->nr_slow < MAX_SLOW) {
		ret = sk_vring_pop(ring, &toy->slow[toy->nr_slow], toy->slow_iov[toy->nr_slow], 4);
		if (ret <= 0)
			break;
		toy->nr_slow++;
	}
	if (ret < 0)
		sk_virtio_fail(toy->virtio, SLOW_QUEUE);
	if (toy->nr_slow && !toy->is_held && !sk_loop_timer_is_set(&toy->timer))
		sk_loop_timer_set(toy->loop, &toy->timer, sk_loop_now_ns(toy->loop) + SLOW_NS);
}

static void toy_kick(void *dev, uint32_t index)
{
	struct toy *toy = dev;
	struct sk_vring *ring = sk_virtio_ring(toy->virtio, index);
	struct sk_vring_chain chain;
	struct iovec iov[4];
	int ret;

	assert_non_null(ring);
	if (index == SLOW_QUEUE) {
		kick_slow(toy, ring);
		return;
	}
	while ((ret = sk_vring_pop(ring, &chain, iov, 4)) == 1)
		answer(&chain, ring);
	if (ret < 0)
		sk_virtio_fail(toy->virtio, index);
	sk_virtio_flush(toy->virtio, index);
}

/* A reset cancels, a pause waits. */
static void toy_quiesce(void *dev, bool is_reset)
{
	struct toy *toy = dev;

	toy->nr_quiesces++;
	if (!is_reset && toy->nr_slow) {
		toy->is_quiescing = true;
		sk_loop_timer_set(toy->loop, &toy->timer, sk_loop_now_ns(toy->loop) + SLOW_NS);
		return;
	}
	sk_loop_timer_clear(toy->loop, &toy->timer);
	toy->nr_slow = 0;
	sk_virtio_quiesced(toy->virtio);
}

static void toy_resume(void *dev)
{
	struct toy *toy = dev;

	toy->nr_resumes++;
}

/* Byte 0 is the driver's to write, and comes back inverted in byte 1. */
static void toy_config_write(void *dev, uint32_t offset, const void *data, uint32_t len)
{
	struct toy *toy = dev;
	uint8_t value[2] = {*(const uint8_t *)data, (uint8_t) ~*(const uint8_t *)data};

	if (offset == 0 && len == 1)
		sk_virtio_config_set(toy->virtio, 0, value, 2, true);
}

static void toy_save(void *dev, struct sk_writer *w)
{
	struct toy *toy = dev;

	assert_int_equal(toy->nr_slow, 0);
	sk_put_u32(w, toy->saved);
}

static int toy_restore(void *dev, struct sk_reader *r, struct sk_error *err)
{
	struct toy *toy = dev;

	assert_int_equal(toy->nr_starts, 0);
	toy->saved = sk_get_u32(r);
	return sk_reader_ok(r) ? 0 : sk_error_set(err, -EINVAL, "toy: truncated");
}

static const struct sk_virtio_ops toy_ops = {
	.start = toy_start,
	.kick = toy_kick,
	.quiesce = toy_quiesce,
	.resume = toy_resume,
	.config_write = toy_config_write,
	.save = toy_save,
	.restore = toy_restore,
};

static struct sk_virtio *toy_device(struct toy *toy)
{
	static const uint16_t sizes[] = {256, 64};
	static const uint8_t space[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	const struct sk_virtio_config config = {
		.device_id = 42,
		.features = SK_VIRTIO_FEATURE(OWN_FEATURE),
		.nr_queues = 2,
		.queue_sizes = sizes,
		.config_bytes = sizeof(space),
		.config_space = space,
		.gm = toy->gm,
		.loop = toy->loop,
		.ops = &toy_ops,
		.dev = toy,
	};

	assert_int_equal(sk_virtio_create(&toy->virtio, &config, NULL), 0);
	return toy->virtio;
}

static void toy_open(struct toy *toy, struct virtio_driver *d)
{
	*toy = (struct toy){.gm = virtio_driver_memory(RAM_BYTES)};
	assert_int_equal(sk_loop_create(&toy->loop, &(struct sk_loop_config){0}, NULL), 0);
	virtio_driver_init(d, toy_device(toy));
}

static void toy_close(struct toy *toy, struct virtio_driver *d)
{
	virtio_driver_fini(d);
	sk_virtio_destroy(toy->virtio);
	sk_loop_destroy(toy->loop);
	sk_gmem_destroy(toy->gm);
}

static uint64_t bad_accesses(const struct toy *toy)
{
	struct sk_virtio_stats stats;

	sk_virtio_get_stats(toy->virtio, &stats);
	return stats.bad_accesses;
}

/* One question, one answer. */
static void echo(struct virtio_driver *d, uint32_t index, uint8_t value)
{
	gpa_t gpa = 0x10000;
	struct guest_buf bufs[] = {{gpa, 3, false}, {gpa + 16, 1, true}, {gpa + 32, 9, true}};
	uint8_t in[3] = {value, (uint8_t)(value + 1), (uint8_t)(value + 2)}, out[48] = {0};
	uint64_t token = 0;
	uint32_t written = 0;

	virtio_driver_write(d, gpa + 16, out, 32);
	virtio_driver_write(d, gpa, in, 3);
	assert_true(virtio_driver_send(d, index, bufs, 3, value));
	assert_true(virtio_driver_wait(d, index, &token, &written));
	assert_int_equal(token, value);
	assert_int_equal(written, 3);
	virtio_driver_read(d, gpa, out, sizeof(out));
	assert_int_equal(out[16], (uint8_t)(value + 1));
	assert_int_equal(out[32], (uint8_t)(value + 2));
	assert_int_equal(out[33], (uint8_t)(value + 3));
	assert_int_equal(d->rings[index].nr_errors, 0);
}

static void every_kind_of_ring_answers(void **state)
{
	static const unsigned bits[] = {VIRTIO_F_RING_PACKED, VIRTIO_RING_F_EVENT_IDX,
					VIRTIO_RING_F_INDIRECT_DESC, VIRTIO_F_IN_ORDER};
	struct virtio_driver d;
	struct toy toy;

	(void)state;
	toy_open(&toy, &d);
	for (unsigned set = 0; set < 16; set++) {
		uint64_t features = SK_VIRTIO_FEATURE(OWN_FEATURE);

		for (unsigned i = 0; i < 4; i++)
			features |= set & 1u << i ? SK_VIRTIO_FEATURE(bits[i]) : 0;
		assert_true(virtio_driver_start(&d, features, set % 2 ? 5 : 4));
		assert_true(sk_virtio_has(toy.virtio, OWN_FEATURE));
		for (uint8_t i = 0; i < 20; i++) {
			echo(&d, ECHO_QUEUE, i);
			echo(&d, SLOW_QUEUE, i);
		}
	}
	assert_int_equal(toy.nr_starts, 16);
	toy_close(&toy, &d);
}

static void features_are_an_allow_list(void **state)
{
	struct sk_virtio *v;
	struct virtio_driver d;
	struct toy toy;

	(void)state;
	toy_open(&toy, &d);
	v = toy.virtio;
	assert_int_equal(sk_virtio_device_features(v, 0) & 0xff, 1u << OWN_FEATURE);
	assert_true(sk_virtio_device_features(v, 1) & 1u << (VIRTIO_F_VERSION_1 - 32));
	assert_int_equal(sk_virtio_device_features(v, 2), 0);
	assert_false(virtio_driver_negotiate(&d, 1));
	assert_false(virtio_driver_negotiate(&d, SK_VIRTIO_FEATURE(63)));
	assert_int_equal(sk_virtio_features(v), 0);
	assert_true(virtio_driver_negotiate(&d, 0));
	/* Once agreed they stay. */
	sk_virtio_set_driver_features(v, 0, 1u << OWN_FEATURE);
	assert_int_equal(sk_virtio_driver_features(v, 0), 0);
	assert_int_equal(sk_virtio_features(v), SK_VIRTIO_FEATURE(VIRTIO_F_VERSION_1));
	assert_int_equal(bad_accesses(&toy), 1);
	/* A legacy driver; and one that accepts bits which no device has. */
	for (int i = 0; i < 2; i++) {
		sk_virtio_set_status(v, 0);
		sk_virtio_set_status(v, 3);
		sk_virtio_set_driver_features(v, 1, i ? 1 : 0);
		sk_virtio_set_driver_features(v, 2, i ? 1 : 0);
		sk_virtio_set_status(v, 11);
		assert_int_equal(sk_virtio_status(v), 3);
	}
	toy_close(&toy, &d);
}

static void status_goes_one_way(void **state)
{
	struct sk_virtio *v;
	struct virtio_driver d;
	struct toy toy;

	(void)state;
	toy_open(&toy, &d);
	v = toy.virtio;
	/* Not without being asked for, not without features, not out of order. */
	sk_virtio_set_status(v, 8);
	assert_int_equal(sk_virtio_status(v), 0);
	sk_virtio_set_status(v, 3);
	sk_virtio_set_status(v, 7);
	assert_int_equal(sk_virtio_status(v), 3);
	assert_int_equal(toy.nr_starts, 0);
	/* Bits do not go away, and NEEDS_RESET is ours. */
	sk_virtio_set_status(v, 1);
	assert_int_equal(sk_virtio_status(v), 3);
	sk_virtio_set_status(v, 3 | 64 | 16);
	assert_int_equal(sk_virtio_status(v), 3);
	assert_int_equal(bad_accesses(&toy), 3);
	/* A driver that gave up does not start. */
	assert_true(virtio_driver_negotiate(&d, 0));
	sk_virtio_set_status(v, 11 | 128);
	virtio_driver_ok(&d);
	assert_int_equal(sk_virtio_status(v), 11 | 128);
	assert_int_equal(toy.nr_starts, 0);
	/* A device that cannot start says so. */
	toy.fails_to_start = true;
	assert_true(virtio_driver_start(&d, 0, 0));
	assert_int_equal(sk_virtio_status(v), 15 | 64);
	assert_int_equal(d.config_interrupts, 1);
	toy.fails_to_start = false;
	assert_true(virtio_driver_start(&d, 0, 0));
	echo(&d, ECHO_QUEUE, 1);
	toy_close(&toy, &d);
}

static void queues_are_fixed_once_live(void **state)
{
	struct sk_virtio *v;
	struct virtio_driver d;
	struct toy toy;
	uint64_t bad;

	(void)state;
	toy_open(&toy, &d);
	v = toy.virtio;
	assert_int_equal(sk_virtio_queue_max(v, 0), 256);
	assert_int_equal(sk_virtio_queue_max(v, 2), 0);
	assert_int_equal(sk_virtio_doorbell_fd(v, 2), -1);
	sk_virtio_queue_enable(v, 0, true); /* before the features */
	assert_false(sk_virtio_queue_is_enabled(v, 0));
	assert_true(virtio_driver_negotiate(&d, 0));
	/* Sizes and addresses that no ring has. */
	sk_virtio_queue_set_area(v, 0, SK_VIRTIO_AREA_DESC, SK_MIB, UINT64_MAX);
	sk_virtio_queue_set_area(v, 0, SK_VIRTIO_AREA_DRIVER, SK_MIB, UINT64_MAX);
	sk_virtio_queue_set_area(v, 0, SK_VIRTIO_AREA_DEVICE, SK_MIB, UINT64_MAX);
	for (unsigned size = 0; size <= 512; size += size ? size : 1) {
		sk_virtio_queue_set_size(v, 0, (uint16_t)size);
		sk_virtio_queue_enable(v, 0, true);
		assert_int_equal(sk_virtio_queue_is_enabled(v, 0), size && size <= 256);
		sk_virtio_queue_enable(v, 0, false);
	}
	sk_virtio_queue_set_size(v, 0, 16);
	sk_virtio_queue_set_area(v, 0, SK_VIRTIO_AREA_DEVICE, UINT64_C(1) << 32,
				 UINT64_C(0xffffffff00000000));
	sk_virtio_queue_enable(v, 0, true);
	assert_false(sk_virtio_queue_is_enabled(v, 0));
	assert_true(sk_virtio_queue_area(v, 0, SK_VIRTIO_AREA_DEVICE) ==
		    SK_MIB + (UINT64_C(1) << 32));
	/* Live. */
	assert_true(virtio_driver_start(&d, 0, 16));
	bad = bad_accesses(&toy);
	sk_virtio_queue_set_size(v, 0, 8);
	sk_virtio_queue_set_area(v, 0, SK_VIRTIO_AREA_DESC, 0, UINT64_MAX);
	sk_virtio_queue_enable(v, 0, false);
	sk_virtio_queue_set_size(v, 7, 8);
	sk_virtio_ring_doorbell(v, 7);
	assert_int_equal(bad_accesses(&toy), bad + 5);
	assert_int_equal(sk_virtio_queue_size(v, 0), 16);
	assert_true(sk_virtio_queue_is_enabled(v, 0));
	echo(&d, ECHO_QUEUE, 1);
	/* A queue that was left out. */
	assert_true(virtio_driver_negotiate(&d, 0));
	assert_true(virtio_driver_add_queue(&d, SLOW_QUEUE, 4));
	virtio_driver_ok(&d);
	assert_null(sk_virtio_ring(v, ECHO_QUEUE));
	sk_virtio_ring_doorbell(v, ECHO_QUEUE);
	echo(&d, SLOW_QUEUE, 5);
	toy_close(&toy, &d);
}

static void a_broken_ring_stops_alone(void **state)
{
	struct sk_virtio_stats stats;
	struct virtio_driver d;
	struct toy toy;

	(void)state;
	toy_open(&toy, &d);
	assert_true(virtio_driver_start(&d, 0, 16));
	guest_ring_set_avail_index(&d.rings[ECHO_QUEUE], 1000);
	for (int i = 0; i < 3; i++) {
		sk_virtio_ring_doorbell(toy.virtio, ECHO_QUEUE);
		virtio_driver_settle(&d);
	}
	assert_int_equal(sk_virtio_status(toy.virtio), 15 | 64);
	assert_int_equal(d.config_interrupts, 1);
	for (uint8_t i = 0; i < 5; i++)
		echo(&d, SLOW_QUEUE, i);
	sk_virtio_get_stats(toy.virtio, &stats);
	assert_int_equal(stats.broken, 1);
	assert_true(virtio_driver_start(&d, 0, 16));
	echo(&d, ECHO_QUEUE, 1);
	toy_close(&toy, &d);
}

static void a_reset_in_flight_ends_it(void **state)
{
	const struct guest_buf bufs[] = {{0x10000, 3, false}, {0x20000, 3, true}};
	struct virtio_driver d;
	struct toy toy;

	(void)state;
	toy_open(&toy, &d);
	for (int i = 0; i < 50; i++) {
		assert_true(virtio_driver_start(&d, 0, 16));
		for (uint64_t token = 0; token < 5; token++)
			assert_true(virtio_driver_send(&d, SLOW_QUEUE, bufs, 2, token));
		virtio_driver_settle(&d);
		assert_true(toy.nr_slow > 0);
		sk_virtio_set_status(toy.virtio, 0);
		assert_int_equal(sk_virtio_status(toy.virtio), 0);
		assert_int_equal(toy.nr_slow, 0);
		assert_null(sk_virtio_ring(toy.virtio, SLOW_QUEUE));
		assert_int_equal(sk_virtio_queue_size(toy.virtio, SLOW_QUEUE), 64);
	}
	assert_int_equal(toy.nr_quiesces, 50);
	toy_close(&toy, &d);
}

static void the_configuration_space_is_bounded(void **state)
{
	uint32_t generation;
	struct sk_virtio *v;
	struct virtio_driver d;
	struct toy toy;

	(void)state;
	toy_open(&toy, &d);
	v = toy.virtio;
	assert_true(sk_virtio_config_read(v, 0, 8) == UINT64_C(0x0807060504030201));
	assert_int_equal(sk_virtio_config_read(v, 7, 1), 8);
	assert_int_equal(sk_virtio_config_read(v, 7, 2), 0);
	assert_int_equal(sk_virtio_config_read(v, UINT64_MAX, 1), 0);
	assert_int_equal(sk_virtio_config_read(v, 0, 3), 0);
	assert_int_equal(sk_virtio_config_read(v, 0, 0), 0);
	sk_virtio_config_write(v, 8, 1, 0);
	assert_int_equal(bad_accesses(&toy), 5);
	generation = sk_virtio_config_generation(v);
	sk_virtio_config_write(v, 0, 1, 0xa5);
	assert_int_equal(sk_virtio_config_read(v, 0, 2), 0x5aa5);
	assert_int_equal(sk_virtio_config_generation(v), generation + 1);
	assert_int_equal(d.config_interrupts, 0); /* not before DRIVER_OK */
	assert_true(virtio_driver_start(&d, 0, 16));
	sk_virtio_config_write(v, 0, 1, 0xff);
	assert_int_equal(d.config_interrupts, 1);
	toy_close(&toy, &d);
}

static void doorbells_can_be_lent(void **state)
{
	struct virtio_driver d;
	struct toy toy;

	(void)state;
	toy_open(&toy, &d);
	assert_true(virtio_driver_start(&d, 0, 16));
	sk_virtio_own_doorbell(toy.virtio, ECHO_QUEUE, true);
	sk_virtio_ring_doorbell(toy.virtio, ECHO_QUEUE);
	virtio_driver_settle(&d);
	/* However the cancel and the bell met, the bell is the owner's. */
	assert_int_equal(sk_eventfd_drain(sk_virtio_doorbell_fd(toy.virtio, ECHO_QUEUE)), 1);
	for (int i = 0; i < 20; i++) {
		sk_virtio_own_doorbell(toy.virtio, ECHO_QUEUE, false);
		sk_virtio_own_doorbell(toy.virtio, ECHO_QUEUE, true);
		if (i % 2)
			virtio_driver_settle(&d);
	}
	sk_virtio_own_doorbell(toy.virtio, ECHO_QUEUE, false);
	echo(&d, ECHO_QUEUE, 1);
	echo(&d, ECHO_QUEUE, 2);
	assert_int_equal(sk_virtio_interrupt_fd(toy.virtio, ECHO_QUEUE), -1);
	toy_close(&toy, &d);
}

static void a_paused_device_stands_still(void **state)
{
	const struct guest_buf bufs[] = {{0x10000, 3, false}, {0x20000, 3, true}};
	struct virtio_driver d;
	uint64_t token;
	struct toy toy;

	(void)state;
	toy_open(&toy, &d);
	assert_true(virtio_driver_start(&d, 0, 16));
	assert_true(virtio_driver_send(&d, SLOW_QUEUE, bufs, 2, 7));
	virtio_driver_settle(&d);
	sk_virtio_pause(toy.virtio);
	/* What was in flight is done, what comes now waits. */
	assert_true(virtio_driver_poll(&d, SLOW_QUEUE, &token, NULL));
	assert_int_equal(token, 7);
	assert_true(virtio_driver_send(&d, ECHO_QUEUE, bufs, 2, 8));
	sk_virtio_ring_doorbell(toy.virtio, ECHO_QUEUE);
	virtio_driver_settle(&d);
	assert_false(virtio_driver_poll(&d, ECHO_QUEUE, &token, NULL));
	sk_virtio_pause(toy.virtio);
	sk_virtio_resume(toy.virtio);
	assert_int_equal(toy.nr_resumes, 1);
	assert_true(virtio_driver_wait(&d, ECHO_QUEUE, &token, NULL));
	assert_int_equal(token, 8);
	echo(&d, SLOW_QUEUE, 1);
	sk_virtio_pause(toy.virtio); /* and ends like this */
	toy_close(&toy, &d);
}

/* The device behind @d is replaced by a new one that gets its state. */
static void replace(struct toy *toy, struct virtio_driver *d)
{
	uint8_t saved[512], again[512];
	struct sk_virtio *old = toy->virtio;
	struct sk_writer w, w2;
	struct sk_reader r;
	struct sk_error err;

	sk_virtio_pause(old);
	sk_writer_init(&w, saved, sizeof(saved));
	sk_virtio_save(old, &w);
	assert_true(sk_writer_ok(&w));
	sk_virtio_halt(old);
	sk_virtio_attach(old, NULL, NULL);
	sk_virtio_destroy(old);
	for (size_t cut = 0; cut < w.len_bytes; cut++) {
		toy->nr_starts = 0;
		toy_device(toy);
		sk_reader_init(&r, saved, cut);
		assert_int_equal(sk_virtio_restore(toy->virtio, &r, &err), -EINVAL);
		sk_virtio_destroy(toy->virtio);
	}
	toy->nr_starts = 0;
	toy->saved = 0;
	toy_device(toy);
	sk_reader_init(&r, saved, w.len_bytes);
	assert_int_equal(sk_virtio_restore(toy->virtio, &r, &err), 0);
	sk_writer_init(&w2, again, sizeof(again));
	sk_virtio_save(toy->virtio, &w2);
	assert_int_equal(w.len_bytes, w2.len_bytes);
	assert_memory_equal(saved, again, w.len_bytes);
	/* The same driver goes on with it. */
	d->virtio = toy->virtio;
	sk_virtio_attach(toy->virtio, &(const struct sk_virtio_transport_ops){0}, NULL);
	sk_virtio_attach(toy->virtio, NULL, NULL);
}

static void a_saved_device_goes_on(void **state)
{
	(void)state;
	for (int is_packed = 0; is_packed < 2; is_packed++) {
		uint64_t features = is_packed ? SK_VIRTIO_FEATURE(VIRTIO_F_RING_PACKED) : 0;
		struct virtio_driver d, fresh;
		struct toy toy;

		toy_open(&toy, &d);
		replace(&toy, &d); /* before anything happened */
		fresh = d;
		virtio_driver_init(&d, toy.virtio);
		d.next_gpa = fresh.next_gpa;
		assert_true(virtio_driver_start(&d, features, 16));
		echo(&d, ECHO_QUEUE, 1);
		sk_virtio_config_write(toy.virtio, 0, 1, 0x77);
		toy.saved = 0xcafe;
		replace(&toy, &d);
		assert_int_equal(toy.saved, 0xcafe);
		assert_int_equal(toy.nr_starts, 0);
		assert_int_equal(sk_virtio_config_read(toy.virtio, 0, 2), 0x8877);
		/* A transport again, which keeps the rings of the old one. */
		fresh = d;
		virtio_driver_init(&d, toy.virtio);
		memcpy(d.rings, fresh.rings, sizeof(d.rings));
		memcpy(d.has_ring, fresh.has_ring, sizeof(d.has_ring));
		sk_virtio_resume(toy.virtio);
		assert_int_equal(toy.nr_starts, 1);
		assert_int_equal(d.queue_interrupts[0], 1);
		for (uint8_t i = 0; i < 40; i++)
			echo(&d, i % 2, i);
		toy_close(&toy, &d);
	}
}

/* ---- With threads: the loop's, a vCPU's, and somebody who changes the configuration ---- */

struct threads {
	struct toy toy;
	atomic_bool ends, is_bound;
	_Atomic uint64_t interrupts;
};

static void *loop_main(void *arg)
{
	struct threads *t = arg;

	assert_int_equal(sk_loop_bind(t->toy.loop), 0);
	atomic_store(&t->is_bound, true);
	while (!atomic_load(&t->ends))
		assert_true(sk_loop_turn(t->toy.loop, 1000000) >= 0);
	sk_virtio_destroy(t->toy.virtio);
	sk_loop_destroy(t->toy.loop);
	return NULL;
}

static void *configure_main(void *arg)
{
	struct threads *t = arg;

	for (uint8_t i = 0; i < 200; i++)
		sk_virtio_config_set(t->toy.virtio, 4, &i, 1, true);
	return NULL;
}

static void count_interrupt(void *transport, uint32_t index)
{
	(void)index;
	atomic_fetch_add(&((struct threads *)transport)->interrupts, 1);
}

static void count_config(void *transport)
{
	count_interrupt(transport, 0);
}

static const struct sk_virtio_transport_ops counting_ops = {
	.interrupt_queue = count_interrupt,
	.interrupt_config = count_config,
};

static void threads_meet_without_trouble(void **state)
{
	struct threads t = {0};
	struct virtio_driver d = {0};
	pthread_t loop, configure;
	const struct guest_buf bufs[] = {{0x10000, 3, false}, {0x20000, 3, true}};

	(void)state;
	t.toy.gm = virtio_driver_memory(RAM_BYTES);
	assert_int_equal(sk_loop_create(&t.toy.loop, &(struct sk_loop_config){0}, NULL), 0);
	toy_device(&t.toy);
	assert_int_equal(pthread_create(&loop, NULL, loop_main, &t), 0);
	while (!atomic_load(&t.is_bound))
		sched_yield();
	sk_virtio_attach(t.toy.virtio, &counting_ops, &t);
	assert_int_equal(pthread_create(&configure, NULL, configure_main, &t), 0);
	d.virtio = t.toy.virtio;
	for (uint32_t round = 0; round < 60; round++) {
		uint64_t token, nr_sent = 0, nr_back = 0;

		d.next_gpa = SK_MIB;
		assert_true(virtio_driver_start(&d, 0, 8));
		while (nr_sent < round) {
			nr_sent += virtio_driver_send(&d, nr_sent % 2, bufs, 2, nr_sent);
			nr_back += virtio_driver_poll(&d, ECHO_QUEUE, &token, NULL);
			nr_back += virtio_driver_poll(&d, SLOW_QUEUE, &token, NULL);
		}
		if (round % 4 == 0) {
			sk_virtio_pause(t.toy.virtio);
			sk_virtio_config_write(t.toy.virtio, 0, 1, round);
			sk_virtio_resume(t.toy.virtio);
		}
		/* Every second round the reset comes with requests in flight. */
		while (round % 2 && nr_back < nr_sent) {
			nr_back += virtio_driver_poll(&d, ECHO_QUEUE, &token, NULL);
			nr_back += virtio_driver_poll(&d, SLOW_QUEUE, &token, NULL);
		}
	}
	virtio_driver_fini(&d);
	assert_int_equal(pthread_join(configure, NULL), 0);
	sk_virtio_halt(t.toy.virtio);
	atomic_store(&t.ends, true);
	assert_int_equal(pthread_join(loop, NULL), 0);
	assert_true(atomic_load(&t.interrupts) > 0);
	sk_gmem_destroy(t.toy.gm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_ring_answers),
		cmocka_unit_test(features_are_an_allow_list),
		cmocka_unit_test(status_goes_one_way),
		cmocka_unit_test(queues_are_fixed_once_live),
		cmocka_unit_test(a_broken_ring_stops_alone),
		cmocka_unit_test(a_reset_in_flight_ends_it),
		cmocka_unit_test(the_configuration_space_is_bounded),
		cmocka_unit_test(doorbells_can_be_lent),
		cmocka_unit_test(a_paused_device_stands_still),
		cmocka_unit_test(a_saved_device_goes_on),
		cmocka_unit_test(threads_meet_without_trouble),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
