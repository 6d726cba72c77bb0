/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Rings that are looked at while the loop polls, and the way back to doorbells. */
#include "virtio_internal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <virtio_driver.h>
#include <virtio_sink.h>

#define RAM_BYTES (64 * SK_MIB)
#define QUEUE	  1

struct sponge {
	struct sk_loop *loop;
	struct sk_gmem *gm;
	struct virtio_sink sink;
	struct virtio_driver driver;
};

static void open_sponge(struct sponge *s)
{
	*s = (struct sponge){.gm = virtio_driver_memory(RAM_BYTES)};
	assert_int_equal(sk_loop_create(&s->loop, &(struct sk_loop_config){0}, NULL), 0);
	virtio_sink_init(&s->sink, s->gm, s->loop);
	virtio_driver_init(&s->driver, s->sink.virtio);
}

static void close_sponge(struct sponge *s)
{
	virtio_driver_fini(&s->driver);
	virtio_sink_fini(&s->sink);
	sk_loop_destroy(s->loop);
	sk_gmem_destroy(s->gm);
}

static uint64_t nr_doorbells(const struct sponge *s)
{
	struct sk_virtio_stats stats;

	virtio_driver_settle((struct virtio_driver *)(uintptr_t)&s->driver);
	sk_virtio_get_stats(s->sink.virtio, &stats);
	return stats.kicks;
}

static void offer(struct sponge *s)
{
	const struct guest_buf buf = {0x10000, 3, false};

	assert_true(virtio_driver_send(&s->driver, QUEUE, &buf, 1, 7));
}

static bool is_back(struct sponge *s)
{
	uint64_t token;

	return virtio_driver_poll(&s->driver, QUEUE, &token, NULL);
}

/* The device runs, and one doorbell of its queue was heard; then the loop begins to look. */
static struct sk_loop_peek *begin(struct sponge *s, uint64_t features)
{
	struct sk_loop_peek *peek = &s->sink.virtio->peek;

	s->sink.is_full = false;
	assert_true(virtio_driver_start(&s->driver, features, 16));
	offer(s);
	virtio_driver_settle(&s->driver);
	assert_true(is_back(s));
	assert_true(peek->is_added);
	peek->ops->begin(peek);
	assert_false(peek->ops->look(peek));
	return peek;
}

static uint64_t kind(unsigned i)
{
	return (i & 1 ? SK_VIRTIO_FEATURE(VIRTIO_F_RING_PACKED) : 0) |
	       (i & 2 ? SK_VIRTIO_FEATURE(VIRTIO_RING_F_EVENT_IDX) : 0);
}

static void what_is_seen_needs_no_doorbell(void **state)
{
	struct sponge s;

	(void)state;
	open_sponge(&s);
	for (unsigned i = 0; i < 4; i++) {
		struct sk_loop_peek *peek = begin(&s, kind(i));
		uint64_t before = nr_doorbells(&s);

		for (int j = 0; j < 40; j++) {
			offer(&s);
			assert_true(peek->ops->look(peek));
			peek->ops->work(peek);
			assert_true(is_back(&s));
			assert_false(peek->ops->look(peek));
		}
		assert_int_equal(nr_doorbells(&s), before);
		/* What comes after the last look is found by the end, */
		offer(&s);
		assert_int_equal(nr_doorbells(&s), before);
		assert_true(peek->ops->end(peek));
		assert_true(is_back(&s));
		/* and what comes after the end rings. */
		offer(&s);
		assert_int_equal(nr_doorbells(&s), before + 1);
		assert_true(is_back(&s));
	}
	close_sponge(&s);
}

static void a_device_that_is_full_is_left_alone(void **state)
{
	struct sponge s;

	(void)state;
	open_sponge(&s);
	for (unsigned i = 0; i < 4; i++) {
		struct sk_loop_peek *peek = begin(&s, kind(i));
		uint64_t before = nr_doorbells(&s);

		s.sink.is_full = true;
		offer(&s);
		assert_true(peek->ops->look(peek));
		peek->ops->work(peek);
		/* Otherwise the loop would turn for ever. */
		assert_false(peek->ops->look(peek));
		assert_false(peek->ops->end(peek));
		/* It comes back of itself; then doorbells are as always. */
		s.sink.is_full = false;
		sk_virtio_ring_doorbell(s.sink.virtio, QUEUE);
		assert_int_equal(nr_doorbells(&s), before + 1);
		assert_true(is_back(&s));
		offer(&s);
		assert_int_equal(nr_doorbells(&s), before + 2);
		assert_true(is_back(&s));
	}
	close_sponge(&s);
}

static void a_queue_that_rests_is_not_looked_at(void **state)
{
	struct sk_loop_peek *peek;
	struct sponge s;
	uint64_t before;

	(void)state;
	open_sponge(&s);
	peek = begin(&s, 0);
	for (int i = 0; i < 100; i++) {
		assert_false(peek->ops->end(peek));
		peek->ops->begin(peek);
	}
	before = nr_doorbells(&s);
	offer(&s);
	assert_false(peek->ops->look(peek));
	assert_int_equal(nr_doorbells(&s), before + 1);
	assert_true(is_back(&s));
	close_sponge(&s);
}

static void a_broken_ring_is_noticed(void **state)
{
	const uint16_t far = 0x4000;
	struct sk_loop_peek *peek;
	struct sponge s;

	(void)state;
	open_sponge(&s);
	peek = begin(&s, 0);
	virtio_driver_write(&s.driver,
			    sk_virtio_queue_area(s.sink.virtio, QUEUE, SK_VIRTIO_AREA_DRIVER) + 2,
			    &far, sizeof(far));
	assert_true(peek->ops->look(peek));
	assert_false(sk_virtio_status(s.sink.virtio) & VIRTIO_CONFIG_S_NEEDS_RESET);
	peek->ops->work(peek);
	assert_true(sk_virtio_status(s.sink.virtio) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_false(peek->ops->look(peek));
	assert_false(peek->ops->end(peek));
	close_sponge(&s);
}

static void a_new_owner_hears_of_what_waits(void **state)
{
	struct sk_loop_peek *peek;
	struct sponge s;

	(void)state;
	open_sponge(&s);
	peek = begin(&s, 0);
	offer(&s);
	sk_virtio_own_doorbell(s.sink.virtio, QUEUE, true);
	virtio_driver_settle(&s.driver);
	assert_int_equal(sk_eventfd_drain(sk_virtio_doorbell_fd(s.sink.virtio, QUEUE)), 1);
	assert_false(peek->ops->look(peek));
	assert_false(is_back(&s));
	/* In turn the old one, by a doorbell. */
	sk_virtio_own_doorbell(s.sink.virtio, QUEUE, false);
	offer(&s);
	virtio_driver_settle(&s.driver);
	assert_true(is_back(&s) && is_back(&s));
	close_sponge(&s);
}

static void a_pause_ends_it(void **state)
{
	struct sk_loop_peek *peek;
	struct sponge s;

	(void)state;
	open_sponge(&s);
	peek = begin(&s, 0);
	peek->ops->end(peek);
	sk_virtio_pause(s.sink.virtio);
	assert_false(peek->is_added);
	offer(&s);
	virtio_driver_settle(&s.driver);
	assert_false(is_back(&s));
	sk_virtio_resume(s.sink.virtio);
	assert_true(peek->is_added);
	assert_true(is_back(&s));
	close_sponge(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_seen_needs_no_doorbell),
		cmocka_unit_test(a_device_that_is_full_is_left_alone),
		cmocka_unit_test(a_queue_that_rests_is_not_looked_at),
		cmocka_unit_test(a_broken_ring_is_noticed),
		cmocka_unit_test(a_new_owner_hears_of_what_waits),
		cmocka_unit_test(a_pause_ends_it),
	};

	return cmocka_run_group_tests_name("virtio_peek", tests, NULL, NULL);
}
