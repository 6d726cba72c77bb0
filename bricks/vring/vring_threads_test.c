/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Driver and device on threads of their own, as a guest and the monitor are.
 *
 * In the first test each sleeps whenever the other has said that it will wake it: who forgets to
 * look once more before that sleeps for ever. In the second both meet before each single
 * publication, one says that it is about to sleep at the very moment when the other publishes, and
 * one of the two has to notice: with a barrier that is too weak, sometimes none does (the more so
 * on idle CPUs, with SKETE_TEST_ROUNDS=100). The thread sanitizer shows who reads what too early.
 */
#include <skete/vring.h>

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>

#include <guest_ring.h>

#define RING_GPA    UINT64_C(0x100000)
#define DATA_GPA    UINT64_C(0x10000)
#define RAM_BYTES   (4 * SK_MIB)
#define NR_CHAINS   40000u
#define NR_MEETINGS 1000u /* of each kind of ring, times SKETE_TEST_ROUNDS */
#define WAIT_MS	    60000 /* only a lost wake-up takes that long */

struct shared {
	struct guest_ring g;
	struct sk_vring *ring;
	struct sk_gmem *gm;
	int doorbell_fd, irq_fd;
	atomic_bool is_over, has_failed;
	uint64_t nr_doorbells, nr_interrupts; /* sleeps of the device, and of the driver */

	uint32_t nr_meetings;
	atomic_uint nr_arrived;
	bool device_knows, driver_is_told; /* by what they have seen, or been told */
	uint64_t nr_lost_doorbells, nr_lost_interrupts;
};

/* Sleeps until @fd is signalled; false: nobody did. */
static bool sleep_on(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (poll(&p, 1, WAIT_MS) != 1)
		return false;
	(void)sk_eventfd_drain(fd);
	return true;
}

static void serve(struct shared *s, const struct sk_vring_chain *chain)
{
	uint32_t value = 0;

	(void)sk_vring_copy_from(chain->iov, chain->nr_readable, 0, &value, sizeof(value));
	value = ~value;
	(void)sk_vring_copy_to(chain->iov + chain->nr_readable, chain->nr_writable, 0, &value,
			       sizeof(value));
	sk_vring_push(s->ring, chain, sizeof(value));
}

static void *device_main(void *arg)
{
	struct shared *s = arg;
	struct sk_vring_chain chain;
	struct iovec iov[2];
	int ret;

	while (!atomic_load(&s->is_over)) {
		sk_vring_disable_doorbell(s->ring);
		do {
			while ((ret = sk_vring_pop(s->ring, &chain, iov, 2)) == 1)
				serve(s, &chain);
			if (ret < 0)
				atomic_store(&s->has_failed, true);
			if (sk_vring_flush(s->ring))
				sk_eventfd_signal(s->irq_fd);
		} while (ret >= 0 && sk_vring_enable_doorbell(s->ring));
		s->nr_doorbells++;
		if (ret < 0 || !sleep_on(s->doorbell_fd)) {
			atomic_store(&s->has_failed, true);
			break;
		}
	}
	return NULL;
}

static gpa_t slot_gpa(uint64_t token)
{
	return DATA_GPA + token % 1024 * 16;
}

static bool add(struct shared *s, uint64_t token)
{
	const struct guest_buf bufs[] = {{slot_gpa(token), 4, false},
					 {slot_gpa(token) + 8, 4, true}};

	if (s->g.nr_free < 2)
		return false;
	sk_store_le32(sk_gmem_slice(s->gm, slot_gpa(token), 4), (uint32_t)token);
	return guest_ring_add(&s->g, bufs, 2, token % 2, token);
}

/* Takes what is used; returns how much. */
static uint32_t reap(struct shared *s)
{
	uint64_t token;
	uint32_t written, nr = 0;

	while (guest_ring_reap(&s->g, &token, &written)) {
		uint32_t value = sk_load_le32(sk_gmem_slice(s->gm, slot_gpa(token) + 8, 4));

		if (written != 4 || value != (uint32_t)~token)
			atomic_store(&s->has_failed, true);
		nr++;
	}
	return nr;
}

static void drive(struct shared *s)
{
	uint64_t nr_added = 0, nr_back = 0;

	while (nr_back < NR_CHAINS && !atomic_load(&s->has_failed)) {
		/* From single chains to full rings. */
		uint64_t burst = 1 + nr_added % 23;

		while (burst-- && nr_added < NR_CHAINS && add(s, nr_added))
			nr_added++;
		if (guest_ring_publish(&s->g))
			sk_eventfd_signal(s->doorbell_fd);
		guest_ring_disable_interrupts(&s->g);
		nr_back += reap(s);
		if (nr_back == nr_added || (nr_added < NR_CHAINS && s->g.nr_free >= 2))
			continue;
		if (guest_ring_enable_interrupts(&s->g))
			continue;
		s->nr_interrupts++;
		if (!sleep_on(s->irq_fd))
			atomic_store(&s->has_failed, true);
	}
}

static void open_shared(struct shared *s, const struct guest_ring_config *model)
{
	const struct sk_gmem_region_config region = {.gpa = 0, .size_bytes = RAM_BYTES};
	const struct sk_gmem_config gm_config = {.regions = &region, .nr_regions = 1};
	struct guest_ring_config config = *model;
	struct sk_vring_config vring_config;

	*s = (struct shared){.doorbell_fd = sk_eventfd_create(), .irq_fd = sk_eventfd_create()};
	assert_int_equal(sk_gmem_create(&s->gm, &gm_config, NULL), 0);
	config.gm = s->gm;
	config.gpa = RING_GPA;
	guest_ring_init(&s->g, &config);
	vring_config = guest_ring_vring_config(&s->g);
	assert_int_equal(sk_vring_create(&s->ring, &vring_config), 0);
}

static void close_shared(struct shared *s)
{
	sk_vring_destroy(s->ring);
	guest_ring_fini(&s->g);
	sk_gmem_destroy(s->gm);
	sk_close(&s->doorbell_fd);
	sk_close(&s->irq_fd);
}

static void run(const struct guest_ring_config *config)
{
	struct shared s;
	pthread_t device;

	open_shared(&s, config);
	assert_int_equal(pthread_create(&device, NULL, device_main, &s), 0);
	drive(&s);
	atomic_store(&s.is_over, true);
	sk_eventfd_signal(s.doorbell_fd);
	assert_int_equal(pthread_join(device, NULL), 0);
	assert_false(s.has_failed);
	assert_int_equal(s.g.nr_errors, 0);
	assert_true(s.nr_doorbells > 0);
	close_shared(&s);
}

/* Both leave it at the same moment, or as nearly as can be. */
static void meet(struct shared *s, uint32_t *nr_meetings)
{
	uint32_t all = 2 * ++*nr_meetings;

	atomic_fetch_add(&s->nr_arrived, 1);
	for (unsigned spins = 0; atomic_load(&s->nr_arrived) < all; spins++)
		if (spins > 2000)
			sched_yield();
}

/* Some nanoseconds, so that now one is first and now the other. */
static void dawdle(uint32_t *seed)
{
	*seed = *seed * 1103515245 + 12345;
	for (volatile uint32_t i = *seed >> 16 & 15; i; i--)
		;
}

static void *meeting_device_main(void *arg)
{
	uint32_t nr_meetings = 0, seed = 2;
	struct shared *s = arg;
	struct sk_vring_chain chain;
	struct iovec iov[2];

	for (uint32_t i = 0; i < s->nr_meetings; i++) {
		meet(s, &nr_meetings);
		dawdle(&seed);
		s->device_knows = sk_vring_enable_doorbell(s->ring);
		meet(s, &nr_meetings);
		if (sk_vring_pop(s->ring, &chain, iov, 2) != 1)
			atomic_store(&s->has_failed, true);
		else
			serve(s, &chain);
		sk_vring_disable_doorbell(s->ring);
		meet(s, &nr_meetings);
		dawdle(&seed);
		s->driver_is_told = sk_vring_flush(s->ring);
		meet(s, &nr_meetings);
	}
	return NULL;
}

static void drive_meetings(struct shared *s)
{
	uint32_t nr_meetings = 0, seed = 1;

	guest_ring_disable_interrupts(&s->g);
	for (uint32_t i = 0; i < s->nr_meetings; i++) {
		bool device_is_told, driver_knows;

		(void)!add(s, i);
		meet(s, &nr_meetings);
		dawdle(&seed);
		device_is_told = guest_ring_publish(&s->g);
		meet(s, &nr_meetings);
		s->nr_lost_doorbells += !device_is_told && !s->device_knows;
		meet(s, &nr_meetings);
		dawdle(&seed);
		driver_knows = guest_ring_enable_interrupts(&s->g);
		meet(s, &nr_meetings);
		s->nr_lost_interrupts += !driver_knows && !s->driver_is_told;
		guest_ring_disable_interrupts(&s->g);
		if (reap(s) != 1)
			atomic_store(&s->has_failed, true);
	}
}

static void run_meetings(const struct guest_ring_config *config)
{
	const char *rounds = getenv("SKETE_TEST_ROUNDS");
	struct shared s;
	pthread_t device;

	open_shared(&s, config);
	s.nr_meetings = NR_MEETINGS * (rounds ? (uint32_t)strtoul(rounds, NULL, 10) : 1);
	sk_vring_disable_doorbell(s.ring);
	assert_int_equal(pthread_create(&device, NULL, meeting_device_main, &s), 0);
	drive_meetings(&s);
	assert_int_equal(pthread_join(device, NULL), 0);
	assert_false(s.has_failed);
	assert_int_equal(s.nr_lost_doorbells, 0);
	assert_int_equal(s.nr_lost_interrupts, 0);
	close_shared(&s);
}

static void for_all_kinds(void (*run_one)(const struct guest_ring_config *config))
{
	for (unsigned bits = 0; bits < 8; bits++) {
		const struct guest_ring_config config = {
			.size = 16,
			.is_packed = bits & 1,
			.has_event_idx = bits & 2,
			.is_in_order = bits & 4,
			.max_indirect = 2,
		};

		run_one(&config);
	}
}

static void no_wake_up_is_lost(void **state)
{
	(void)state;
	for_all_kinds(run);
}

static void one_of_two_notices(void **state)
{
	(void)state;
	for_all_kinds(run_meetings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_wake_up_is_lost),
		cmocka_unit_test(one_of_two_notices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
