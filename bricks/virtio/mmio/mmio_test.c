/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include <skete/virtio/mmio.h>

#include <linux/virtio_mmio.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <virtio_driver.h>
#include <virtio_sink.h>

#define GPA 0xfeb00000u

struct rig {
	struct sk_loop *loop;
	struct sk_gmem *gm;
	struct virtio_sink sink;
	struct sk_virtio *virtio; /* its core */
	struct sk_virtio_mmio *mmio;
	int irq_fd;
	unsigned nr_attached;
	bool refuses;
};

static int attach_doorbell(void *ctx, gpa_t gpa, uint32_t value, int fd)
{
	struct rig *rig = ctx;

	assert_int_equal(gpa, GPA + 0x50);
	assert_int_equal(fd, sk_virtio_doorbell_fd(rig->virtio, value));
	if (rig->refuses)
		return -ENOSPC;
	rig->nr_attached++;
	return 0;
}

static void detach_doorbell(void *ctx, gpa_t gpa, uint32_t value, int fd)
{
	struct rig *rig = ctx;

	assert_int_equal(gpa, GPA + 0x50);
	assert_int_equal(fd, sk_virtio_doorbell_fd(rig->virtio, value));
	rig->nr_attached--;
}

static void open_device(struct rig *rig)
{
	struct sk_virtio_mmio_config mmio_config = {
		.gpa = GPA,
		.irq_fd = rig->irq_fd,
		.attach_doorbell = attach_doorbell,
		.detach_doorbell = detach_doorbell,
		.ctx = rig,
	};

	virtio_sink_init(&rig->sink, rig->gm, rig->loop);
	rig->virtio = mmio_config.virtio = rig->sink.virtio;
	assert_int_equal(sk_virtio_mmio_create(&rig->mmio, &mmio_config, NULL), 0);
}

static void close_device(struct rig *rig)
{
	sk_virtio_halt(rig->virtio);
	sk_virtio_mmio_destroy(rig->mmio);
	virtio_sink_fini(&rig->sink);
	assert_int_equal(rig->nr_attached, 0);
}

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	rig->gm = virtio_driver_memory(16 * SK_MIB);
	rig->irq_fd = sk_eventfd_create();
	assert_int_equal(sk_loop_create(&rig->loop, &(struct sk_loop_config){0}, NULL), 0);
	open_device(rig);
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	close_device(rig);
	sk_loop_destroy(rig->loop);
	sk_gmem_destroy(rig->gm);
	sk_close(&rig->irq_fd);
	free(rig);
	return 0;
}

static uint32_t in(struct rig *rig, uint32_t offset)
{
	return (uint32_t)sk_virtio_mmio_ops.read(rig->mmio, offset, 4);
}

static void out(struct rig *rig, uint32_t offset, uint32_t value)
{
	sk_virtio_mmio_ops.write(rig->mmio, offset, 4, value);
}

static void settle(struct rig *rig)
{
	int ret;

	do {
		ret = sk_loop_turn(rig->loop, 0);
		assert_true(ret >= 0);
	} while (ret);
}

/* What Linux does in virtio_mmio.c, in its order; leaves a ring of @size entries in *@g. */
static void start(struct rig *rig, struct guest_ring *g, uint16_t size)
{
	const struct guest_ring_config config = {.gm = rig->gm, .gpa = SK_MIB, .size = size};

	guest_ring_init(g, &config);
	out(rig, VIRTIO_MMIO_STATUS, 0);
	out(rig, VIRTIO_MMIO_STATUS, 1);
	out(rig, VIRTIO_MMIO_STATUS, 3);
	out(rig, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	out(rig, VIRTIO_MMIO_DRIVER_FEATURES, 1);
	out(rig, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	out(rig, VIRTIO_MMIO_DRIVER_FEATURES, 1u << 5);
	out(rig, VIRTIO_MMIO_STATUS, 11);
	assert_int_equal(in(rig, VIRTIO_MMIO_STATUS), 11);
	out(rig, VIRTIO_MMIO_QUEUE_SEL, 0);
	assert_int_equal(in(rig, VIRTIO_MMIO_QUEUE_READY), 0);
	assert_int_equal(in(rig, VIRTIO_MMIO_QUEUE_NUM_MAX), 32768);
	out(rig, VIRTIO_MMIO_QUEUE_NUM, size);
	out(rig, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)g->desc_gpa);
	out(rig, VIRTIO_MMIO_QUEUE_DESC_HIGH, 0);
	out(rig, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)g->driver_gpa);
	out(rig, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, 0);
	out(rig, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)g->device_gpa);
	out(rig, VIRTIO_MMIO_QUEUE_USED_HIGH, 0);
	out(rig, VIRTIO_MMIO_QUEUE_READY, 1);
	assert_int_equal(in(rig, VIRTIO_MMIO_QUEUE_READY), 1);
	out(rig, VIRTIO_MMIO_STATUS, 15);
	assert_int_equal(in(rig, VIRTIO_MMIO_STATUS), 15);
}

static void a_driver_finds_and_uses_the_device(void **state)
{
	const struct guest_buf buf = {0x1000, 16, false};
	struct rig *rig = *state;
	struct guest_ring g;

	assert_int_equal(in(rig, 0x000), 0x74726976);
	assert_int_equal(in(rig, 0x004), 2);
	assert_int_equal(in(rig, 0x008), 4);
	assert_int_equal(in(rig, 0x00c), 0x45544b53);
	out(rig, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	assert_true(in(rig, VIRTIO_MMIO_DEVICE_FEATURES) & 1u << 5);
	out(rig, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	assert_true(in(rig, VIRTIO_MMIO_DEVICE_FEATURES) & 1);
	assert_int_equal(rig->nr_attached, 2);
	for (uint32_t size = 1; size <= 32768; size *= 32) {
		start(rig, &g, (uint16_t)size);
		for (int i = 0; i < 3; i++) {
			assert_true(guest_ring_add(&g, &buf, 1, false, 0));
			assert_true(guest_ring_publish(&g));
			out(rig, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
			settle(rig);
			assert_int_equal(sk_eventfd_drain(rig->irq_fd), 1);
			assert_int_equal(in(rig, VIRTIO_MMIO_INTERRUPT_STATUS), 1);
			/* Another one before the acknowledgement is another edge. */
			sk_virtio_interrupt(rig->virtio, 0);
			assert_int_equal(sk_eventfd_drain(rig->irq_fd), 1);
			out(rig, VIRTIO_MMIO_INTERRUPT_ACK, 1);
			assert_int_equal(in(rig, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
			assert_true(guest_ring_reap(&g, NULL, NULL));
		}
		guest_ring_fini(&g);
	}
	assert_int_equal(sk_virtio_mmio_bad_accesses(rig->mmio), 0);
}

static void the_configuration_space_has_any_width(void **state)
{
	struct rig *rig = *state;
	uint32_t generation = in(rig, VIRTIO_MMIO_CONFIG_GENERATION);
	struct guest_ring g;

	sk_virtio_mmio_ops.write(rig->mmio, 0x100, 1, 0x11);
	sk_virtio_mmio_ops.write(rig->mmio, 0x102, 2, 0x3322);
	sk_virtio_mmio_ops.write(rig->mmio, 0x104, 4, 0x77665544);
	assert_true(sk_virtio_mmio_ops.read(rig->mmio, 0x100, 8) == UINT64_C(0x7766554433220011));
	assert_int_equal(sk_virtio_mmio_ops.read(rig->mmio, 0x103, 1), 0x33);
	assert_int_equal(sk_virtio_mmio_ops.read(rig->mmio, 0x10c, 4), 0);
	assert_int_equal(sk_virtio_mmio_ops.read(rig->mmio, 0x1fc, 4), 0);
	assert_int_equal(in(rig, VIRTIO_MMIO_CONFIG_GENERATION), generation + 3);
	start(rig, &g, 8);
	sk_virtio_config_set(rig->virtio, 0, "x", 1, true);
	assert_int_equal(in(rig, VIRTIO_MMIO_INTERRUPT_STATUS), 2);
	assert_int_equal(sk_eventfd_drain(rig->irq_fd), 1);
	/* A reset clears what was not acknowledged. */
	out(rig, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(in(rig, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	guest_ring_fini(&g);
}

static void odd_accesses_are_nothing(void **state)
{
	static const unsigned sizes[] = {1, 2, 4, 8};
	struct rig *rig = *state;
	uint64_t bad = 0;

	for (unsigned i = 0; i < 4; i++) {
		for (uint32_t offset = 0; offset + sizes[i] <= 0x100; offset++) {
			if (sizes[i] == 4 && offset % 4 == 0)
				continue;
			assert_int_equal(sk_virtio_mmio_ops.read(rig->mmio, offset, sizes[i]), 0);
			sk_virtio_mmio_ops.write(rig->mmio, offset, sizes[i], UINT64_MAX);
			bad += 2;
		}
	}
	assert_int_equal(sk_virtio_mmio_bad_accesses(rig->mmio), bad);
	assert_int_equal(in(rig, VIRTIO_MMIO_STATUS), 0);
	/* Registers that cannot be read, or written, or are not there. */
	for (uint32_t offset = 0; offset < 0x100; offset += 4) {
		out(rig, VIRTIO_MMIO_STATUS, 0);
		(void)in(rig, offset);
		out(rig, offset, UINT32_MAX);
	}
	assert_int_equal(in(rig, 0x0b0), UINT32_MAX);
	assert_int_equal(in(rig, 0x0bc), UINT32_MAX);
	assert_int_equal(in(rig, 0x0c0), 0);
	assert_int_equal(in(rig, VIRTIO_MMIO_STATUS), 0);
	/* Queues that do not exist, and sizes that do not fit the register. */
	out(rig, VIRTIO_MMIO_QUEUE_SEL, 2);
	assert_int_equal(in(rig, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
	out(rig, VIRTIO_MMIO_QUEUE_READY, 1);
	assert_int_equal(in(rig, VIRTIO_MMIO_QUEUE_READY), 0);
	out(rig, VIRTIO_MMIO_QUEUE_NOTIFY, 2);
	out(rig, VIRTIO_MMIO_QUEUE_SEL, 0);
	out(rig, VIRTIO_MMIO_QUEUE_NUM, 0x10008);
	assert_int_equal(sk_virtio_queue_size(rig->virtio, 0), 0);
}

static void doorbells_may_be_refused(void **state)
{
	struct rig *rig = *state;
	struct guest_ring g;

	close_device(rig);
	rig->refuses = true;
	open_device(rig);
	assert_int_equal(rig->nr_attached, 0);
	start(rig, &g, 8);
	settle(rig);
	rig->sink.nr_kicks = 0;
	out(rig, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	settle(rig);
	assert_int_equal(rig->sink.nr_kicks, 1);
	guest_ring_fini(&g);
}

static void state_is_saved_and_restored(void **state)
{
	struct rig *rig = *state;
	struct sk_writer w;
	struct sk_reader r;
	uint8_t saved[64];

	out(rig, VIRTIO_MMIO_QUEUE_SEL, 1);
	out(rig, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	sk_virtio_interrupt(rig->virtio, 0);
	sk_writer_init(&w, saved, sizeof(saved));
	sk_virtio_mmio_save(rig->mmio, &w);
	close_device(rig);
	open_device(rig);
	for (size_t cut = 0; cut < w.len_bytes; cut++) {
		sk_reader_init(&r, saved, cut);
		assert_int_equal(sk_virtio_mmio_restore(rig->mmio, &r, NULL), -EINVAL);
	}
	sk_reader_init(&r, saved, w.len_bytes);
	assert_int_equal(sk_virtio_mmio_restore(rig->mmio, &r, NULL), 0);
	assert_int_equal(in(rig, VIRTIO_MMIO_QUEUE_NUM_MAX), 64);
	assert_int_equal(in(rig, VIRTIO_MMIO_DEVICE_FEATURES) & 1, 1);
	assert_int_equal(in(rig, VIRTIO_MMIO_INTERRUPT_STATUS), 1);
	saved[w.len_bytes - 1] = 0x80;
	sk_reader_init(&r, saved, w.len_bytes);
	assert_int_equal(sk_virtio_mmio_restore(rig->mmio, &r, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_driver_finds_and_uses_the_device, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(the_configuration_space_has_any_width, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(odd_accesses_are_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(doorbells_may_be_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(state_is_saved_and_restored, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
