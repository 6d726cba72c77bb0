/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The transport through its registers, as a guest reaches them: ECAM, ports, the window of the bus.
 */
#include "virtio_pci_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define S_DRIVER      3
#define S_FEATURES_OK 11
#define S_DRIVER_OK   15
#define S_NEEDS_RESET 0x40
#define BAR_GPA	      RIG_LOW
#define COMMON(f)     VIRTIO_PCI_COMMON_##f

static struct rig rig;

static int set_up(void **state)
{
	(void)state;
	rig_create(&rig);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rig_destroy(&rig);
	return 0;
}

static uint64_t cfg_get(unsigned reg, unsigned size)
{
	return rig_get(rig.mmio, RIG_ECAM + (RIG_SLOT << 15) + reg, size);
}

static void cfg_put(unsigned reg, unsigned size, uint64_t value)
{
	rig_put(rig.mmio, RIG_ECAM + (RIG_SLOT << 15) + reg, size, value);
}

static uint64_t in(uint32_t offset, unsigned size)
{
	return rig_get(rig.mmio, BAR_GPA + offset, size);
}

static void out(uint32_t offset, unsigned size, uint64_t value)
{
	rig_put(rig.mmio, BAR_GPA + offset, size, value);
}

/* The capability of @id, for virtio of @type; its length in *@length. */
static unsigned find_cap(uint8_t id, uint8_t type)
{
	unsigned cap = (unsigned)cfg_get(PCI_CAPABILITY_LIST, 1);

	for (unsigned n = 0; cap && n < 48; n++) {
		if (cfg_get(cap, 1) == id && (id != PCI_CAP_ID_VNDR || cfg_get(cap + 3, 1) == type))
			return cap;
		cap = (unsigned)cfg_get(cap + 1, 1);
	}
	fail_msg("no capability %u, %u", id, type);
	return 0;
}

static void enable(uint16_t command, uint16_t msix)
{
	cfg_put(PCI_COMMAND, 2, command);
	cfg_put(find_cap(PCI_CAP_ID_MSIX, 0) + PCI_MSIX_FLAGS, 2, msix);
}

static void program_vectors(void)
{
	for (uint32_t n = 0; n <= RIG_QUEUES; n++) {
		out(RIG_TABLE + 16 * n, 4, 0xfee00000);
		out(RIG_TABLE + 16 * n + 4, 4, 0);
		out(RIG_TABLE + 16 * n + 8, 4, 0x30 + n);
		out(RIG_TABLE + 16 * n + 12, 4, 0);
	}
}

static void set_area(uint32_t low, gpa_t gpa)
{
	out(low, 4, (uint32_t)gpa);
	out(low + 4, 4, gpa >> 32);
}

/* Up to FEATURES_OK, as Linux does it. */
static void negotiate(void)
{
	out(COMMON(STATUS), 1, 0);
	out(COMMON(STATUS), 1, 1);
	out(COMMON(STATUS), 1, S_DRIVER);
	out(COMMON(GFSELECT), 4, 0);
	out(COMMON(GF), 4, 1u << 5);
	out(COMMON(GFSELECT), 4, 1);
	out(COMMON(GF), 4, 1);
	out(COMMON(STATUS), 1, S_FEATURES_OK);
	assert_int_equal(in(COMMON(STATUS), 1), S_FEATURES_OK);
}

/* Queue 0 with a ring of @size entries and vector 1, the configuration with vector 0. */
static void start(struct guest_ring *g, uint16_t size)
{
	const struct guest_ring_config config = {.gm = rig.gm, .gpa = SK_MIB, .size = size};

	guest_ring_init(g, &config);
	enable(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, PCI_MSIX_FLAGS_ENABLE);
	program_vectors();
	negotiate();
	out(COMMON(MSIX), 2, 0);
	out(COMMON(Q_SELECT), 2, 0);
	out(COMMON(Q_MSIX), 2, 1);
	assert_int_equal(in(COMMON(Q_MSIX), 2), 1);
	out(COMMON(Q_SIZE), 2, size);
	set_area(COMMON(Q_DESCLO), g->desc_gpa);
	set_area(COMMON(Q_AVAILLO), g->driver_gpa);
	set_area(COMMON(Q_USEDLO), g->device_gpa);
	out(COMMON(Q_ENABLE), 2, 1);
	assert_int_equal(in(COMMON(Q_ENABLE), 2), 1);
	out(COMMON(STATUS), 1, S_DRIVER_OK);
	assert_int_equal(in(COMMON(STATUS), 1), S_DRIVER_OK);
	rig_settle(&rig);
	rig.sink.nr_kicks = 0;
}

static void send_one(struct guest_ring *g)
{
	const struct guest_buf buf = {0x1000, 16, false};

	assert_true(guest_ring_add(g, &buf, 1, false, 0));
	assert_true(guest_ring_publish(g));
}

static void capabilities_say_where_things_are(void **state)
{
	const struct {
		uint8_t type, length;
		uint32_t offset, bytes;
	} expected[] = {
		{VIRTIO_PCI_CAP_COMMON_CFG, 16, 0, 56},
		{VIRTIO_PCI_CAP_ISR_CFG, 16, RIG_ISR, 1},
		{VIRTIO_PCI_CAP_DEVICE_CFG, 16, RIG_DEVICE, 0x1000},
		{VIRTIO_PCI_CAP_NOTIFY_CFG, 20, RIG_NOTIFY, 8},
		{VIRTIO_PCI_CAP_PCI_CFG, 20, 0, 0},
	};

	(void)state;
	assert_int_equal(cfg_get(PCI_VENDOR_ID, 4), 0x10441af4);
	assert_int_equal(cfg_get(PCI_CLASS_REVISION, 4), 0x00ff0001);
	assert_int_equal(cfg_get(PCI_SUBSYSTEM_VENDOR_ID, 4), 0x10441af4);
	assert_int_equal(cfg_get(PCI_INTERRUPT_PIN, 1), 0);
	assert_int_equal(cfg_get(PCI_BASE_ADDRESS_0, 4), RIG_LOW | PCI_BASE_ADDRESS_MEM_TYPE_64);
	for (size_t i = 0; i < SK_ARRAY_SIZE(expected); i++) {
		unsigned cap = find_cap(PCI_CAP_ID_VNDR, expected[i].type);

		assert_int_equal(cfg_get(cap + 2, 1), expected[i].length);
		assert_int_equal(cfg_get(cap + 4, 1), 0);
		assert_int_equal(cfg_get(cap + 8, 4), expected[i].offset);
		assert_int_equal(cfg_get(cap + 12, 4), expected[i].bytes);
	}
	assert_int_equal(cfg_get(find_cap(PCI_CAP_ID_VNDR, VIRTIO_PCI_CAP_NOTIFY_CFG) + 16, 4), 4);
	assert_int_equal(cfg_get(find_cap(PCI_CAP_ID_MSIX, 0) + 2, 2), RIG_QUEUES);
}

static void a_driver_uses_the_device(void **state)
{
	struct guest_ring g;

	(void)state;
	for (uint16_t size = 1; size <= 256; size *= 16) {
		rig.msi.arrived[1] = 0;
		start(&g, size);
		for (unsigned i = 1; i <= 3; i++) {
			send_one(&g);
			out(RIG_NOTIFY, 2, 0);
			rig_settle(&rig);
			assert_int_equal(rig.sink.nr_kicks, i);
			assert_int_equal(rig.msi.arrived[1], i);
			assert_int_equal(rig.msi.last.data, 0x31);
			assert_true(guest_ring_reap(&g, NULL, NULL));
		}
		/* With MSI-X the ISR status says nothing of queues. */
		assert_int_equal(in(RIG_ISR, 1), 0);
		guest_ring_fini(&g);
	}
	assert_int_equal(sk_virtio_pci_bad_accesses(rig.vp), 0);
}

static void registers_read_back(void **state)
{
	(void)state;
	enable(PCI_COMMAND_MEMORY, 0);
	out(COMMON(DFSELECT), 4, 1);
	assert_int_equal(in(COMMON(DFSELECT), 4), 1);
	assert_int_equal(in(COMMON(DF), 4) & 1, 1);
	out(COMMON(DFSELECT), 4, 2);
	assert_int_equal(in(COMMON(DF), 4), 0);
	out(COMMON(GFSELECT), 4, 1);
	out(COMMON(GF), 4, 0x12345678);
	assert_int_equal(in(COMMON(GF), 4), 0x12345678);
	assert_int_equal(in(COMMON(NUMQ), 2), RIG_QUEUES);
	assert_int_equal(in(COMMON(MSIX), 2), VIRTIO_MSI_NO_VECTOR);
	out(COMMON(MSIX), 2, 2);
	assert_int_equal(in(COMMON(MSIX), 2), 2);
	out(COMMON(MSIX), 2, RIG_QUEUES + 1);
	assert_int_equal(in(COMMON(MSIX), 2), VIRTIO_MSI_NO_VECTOR);
	for (uint16_t q = 0; q < RIG_QUEUES; q++) {
		out(COMMON(Q_SELECT), 2, q);
		assert_int_equal(in(COMMON(Q_SELECT), 2), q);
		assert_int_equal(in(COMMON(Q_SIZE), 2), q ? 64 : SK_VRING_MAX_SIZE);
		assert_int_equal(in(COMMON(Q_NOFF), 2), q);
		out(COMMON(Q_MSIX), 2, 0x8000);
		assert_int_equal(in(COMMON(Q_MSIX), 2), VIRTIO_MSI_NO_VECTOR);
		set_area(COMMON(Q_DESCLO), 0x123456789abcd000 + q);
		assert_int_equal(in(COMMON(Q_DESCLO), 4), 0x9abcd000 + q);
		assert_int_equal(in(COMMON(Q_DESCHI), 4), 0x12345678);
		set_area(COMMON(Q_AVAILLO), 0x1111222233334444);
		assert_int_equal(in(COMMON(Q_AVAILHI), 4), 0x11112222);
		set_area(COMMON(Q_USEDLO), 0x5555666677778888);
		assert_int_equal(in(COMMON(Q_USEDLO), 4), 0x77778888);
	}
	/* A queue that does not exist. */
	out(COMMON(Q_SELECT), 2, RIG_QUEUES);
	assert_int_equal(in(COMMON(Q_SIZE), 2), 0);
	assert_int_equal(in(COMMON(Q_ENABLE), 2), 0);
	assert_int_equal(in(COMMON(Q_MSIX), 2), VIRTIO_MSI_NO_VECTOR);
	out(COMMON(Q_MSIX), 2, 0);
	out(COMMON(Q_ENABLE), 2, 1);
	assert_int_equal(in(COMMON(Q_ENABLE), 2), 0);
	/* Everything is forgotten at a reset. */
	out(COMMON(STATUS), 1, 0);
	assert_int_equal(in(COMMON(Q_SELECT), 2), 0);
	assert_int_equal(in(COMMON(Q_DESCHI), 4), 0);
	assert_int_equal(in(COMMON(GFSELECT), 4), 0);
}

static void the_configuration_space_is_the_devices(void **state)
{
	uint64_t generation;
	struct guest_ring g;

	(void)state;
	start(&g, 8);
	generation = in(COMMON(CFGGENERATION), 1);
	out(RIG_DEVICE, 4, 0x44332211);
	out(RIG_DEVICE + 6, 2, 0x8877);
	assert_int_equal(in(RIG_DEVICE, 8), UINT64_C(0x8877000044332211));
	assert_int_equal(in(RIG_DEVICE + VIRTIO_SINK_CONFIG_BYTES, 4), 0);
	assert_int_equal(in(RIG_DEVICE + 0xffc, 4), 0);
	assert_int_equal(in(COMMON(CFGGENERATION), 1), generation + 2);
	sk_virtio_config_set(rig.virtio, 0, "x", 1, true);
	rig_settle(&rig);
	assert_int_equal(rig.msi.arrived[0], 1);
	assert_int_equal(in(RIG_ISR, 1), 2);
	assert_int_equal(in(RIG_ISR, 1), 0);
	guest_ring_fini(&g);
}

static void without_msix_the_isr_status_can_be_polled(void **state)
{
	struct guest_ring g;

	(void)state;
	start(&g, 8);
	enable(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 0);
	send_one(&g);
	out(RIG_NOTIFY, 4, 0);
	rig_settle(&rig);
	assert_int_equal(rig.msi.arrived[1], 0);
	assert_int_equal(in(RIG_ISR, 1), 1);
	assert_int_equal(in(RIG_ISR, 1), 0);
	sk_virtio_config_set(rig.virtio, 0, "x", 1, true);
	rig_settle(&rig);
	sk_virtio_interrupt(rig.virtio, 0);
	assert_int_equal(in(RIG_ISR, 1), 3);
	/* Other widths neither read nor clear. */
	sk_virtio_interrupt(rig.virtio, 0);
	assert_int_equal(in(RIG_ISR, 4), 0);
	assert_int_equal(in(RIG_ISR + 1, 1), 0);
	assert_int_equal(in(RIG_ISR, 1), 1);
	guest_ring_fini(&g);
}

static void no_interrupt_is_lost_between_mask_and_pending(void **state)
{
	struct guest_ring g;

	(void)state;
	start(&g, 8);
	out(RIG_TABLE + 16 + 12, 4, 1);
	send_one(&g);
	out(RIG_NOTIFY, 2, 0);
	rig_settle(&rig);
	assert_int_equal(rig.msi.arrived[1], 0);
	assert_int_equal(in(RIG_PBA, 8), 1 << 1);
	out(RIG_TABLE + 16 + 12, 4, 0);
	assert_int_equal(rig.msi.arrived[1], 1);
	assert_int_equal(in(RIG_PBA, 8), 0);
	guest_ring_fini(&g);
}

static void a_queue_without_a_vector_is_silent(void **state)
{
	struct guest_ring g;

	(void)state;
	start(&g, 8);
	assert_int_equal(sk_virtio_interrupt_fd(rig.virtio, 0),
			 sk_pci_fn_vector_fd(sk_virtio_pci_fn(rig.vp), 1));
	out(COMMON(Q_MSIX), 2, VIRTIO_MSI_NO_VECTOR);
	assert_int_equal(sk_virtio_interrupt_fd(rig.virtio, 0), -1);
	send_one(&g);
	out(RIG_NOTIFY, 2, 0);
	rig_settle(&rig);
	for (uint32_t n = 0; n <= RIG_QUEUES; n++)
		assert_int_equal(rig.msi.arrived[n], 0);
	assert_int_equal(in(RIG_ISR, 1), 0);
	guest_ring_fini(&g);
}

/* What Firecracker once accepted: CVE-2026-5747. */
static void nothing_of_a_queue_changes_after_activation(void **state)
{
	static const uint32_t areas[] = {COMMON(Q_DESCLO), COMMON(Q_AVAILLO), COMMON(Q_USEDLO)};
	struct sk_virtio_stats before, after;
	struct guest_ring g;
	unsigned nr = 0;

	(void)state;
	start(&g, 8);
	sk_virtio_get_stats(rig.virtio, &before);
	for (uint16_t q = 0; q < RIG_QUEUES; q++) {
		out(COMMON(Q_SELECT), 2, q);
		for (size_t i = 0; i < SK_ARRAY_SIZE(areas); i++) {
			uint64_t was = in(areas[i], 4) | in(areas[i] + 4, 4) << 32;

			set_area(areas[i], 0xdead0000beef0000);
			assert_true((in(areas[i], 4) | in(areas[i] + 4, 4) << 32) == was);
			nr += 2;
		}
		out(COMMON(Q_SIZE), 2, 4);
		assert_int_equal(in(COMMON(Q_SIZE), 2), q ? 64 : 8);
		nr++;
		/* The queue that the driver left out stays out. */
		out(COMMON(Q_ENABLE), 2, 1);
		assert_int_equal(in(COMMON(Q_ENABLE), 2), q == 0);
		nr++;
	}
	/* Nor through the window in the configuration space. */
	{
		unsigned cap = find_cap(PCI_CAP_ID_VNDR, VIRTIO_PCI_CAP_PCI_CFG);

		out(COMMON(Q_SELECT), 2, 0);
		cfg_put(cap + 4, 1, 0);
		cfg_put(cap + 8, 4, COMMON(Q_DESCLO));
		cfg_put(cap + 12, 4, 4);
		cfg_put(cap + 16, 4, 0xbad00000);
		assert_int_equal(in(COMMON(Q_DESCLO), 4), g.desc_gpa);
		nr++;
	}
	sk_virtio_get_stats(rig.virtio, &after);
	assert_int_equal(after.bad_accesses - before.bad_accesses, nr);
	/* Also while the device is live, but before DRIVER_OK, an enabled queue is fixed. */
	send_one(&g);
	out(RIG_NOTIFY, 2, 0);
	rig_settle(&rig);
	assert_int_equal(rig.msi.arrived[1], 1);
	assert_true(guest_ring_reap(&g, NULL, NULL));
	guest_ring_fini(&g);
}

static void an_enabled_queue_is_fixed_before_driver_ok(void **state)
{
	const struct guest_ring_config config = {.gm = rig.gm, .gpa = SK_MIB, .size = 8};
	struct guest_ring g;

	(void)state;
	guest_ring_init(&g, &config);
	enable(PCI_COMMAND_MEMORY, 0);
	negotiate();
	out(COMMON(Q_SIZE), 2, 8);
	set_area(COMMON(Q_DESCLO), g.desc_gpa);
	set_area(COMMON(Q_AVAILLO), g.driver_gpa);
	set_area(COMMON(Q_USEDLO), g.device_gpa);
	out(COMMON(Q_ENABLE), 2, 1);
	out(COMMON(Q_SIZE), 2, 256);
	set_area(COMMON(Q_USEDLO), 0);
	out(COMMON(Q_ENABLE), 2, 0);
	out(COMMON(Q_ENABLE), 2, 2);
	assert_int_equal(in(COMMON(Q_SIZE), 2), 8);
	assert_int_equal(in(COMMON(Q_USEDLO), 4), g.device_gpa);
	assert_int_equal(in(COMMON(Q_ENABLE), 2), 1);
	out(COMMON(STATUS), 1, 0);
	assert_int_equal(in(COMMON(Q_ENABLE), 2), 0);
	guest_ring_fini(&g);
}

static void doorbells_move_with_the_bar(void **state)
{
	struct guest_ring g;

	(void)state;
	assert_int_equal(rig.nr_attaches, 0);
	start(&g, 8);
	for (uint32_t i = 0; i < RIG_QUEUES; i++)
		assert_int_equal(rig.doorbells[i], BAR_GPA + RIG_NOTIFY + 4 * i);
	cfg_put(PCI_BASE_ADDRESS_0, 4, RIG_LOW + 0x10000);
	for (uint32_t i = 0; i < RIG_QUEUES; i++)
		assert_int_equal(rig.doorbells[i], RIG_LOW + 0x10000 + RIG_NOTIFY + 4 * i);
	assert_int_equal(in(RIG_ISR, 1), 0xff);
	send_one(&g);
	rig_put(rig.mmio, RIG_LOW + 0x10000 + RIG_NOTIFY, 2, 0);
	rig_settle(&rig);
	assert_int_equal(rig.msi.arrived[1], 1);
	/* Away, by sizing it or by the command register. */
	cfg_put(PCI_BASE_ADDRESS_0, 4, UINT32_MAX);
	assert_int_equal(rig.doorbells[0], 0);
	cfg_put(PCI_BASE_ADDRESS_0, 4, RIG_LOW);
	assert_int_equal(rig.doorbells[1], BAR_GPA + RIG_NOTIFY + 4);
	cfg_put(PCI_COMMAND, 2, 0);
	assert_int_equal(rig.doorbells[1], 0);
	/* Refused ones ring by hand. */
	rig.refuses_doorbells = true;
	cfg_put(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(rig.doorbells[0], 0);
	send_one(&g);
	out(RIG_NOTIFY, 2, 0);
	rig_settle(&rig);
	assert_int_equal(rig.msi.arrived[1], 2);
	guest_ring_fini(&g);
}

static void odd_accesses_are_nothing(void **state)
{
	static const uint8_t widths[56] = {
		[0] = 4,  [4] = 4,  [8] = 4,  [12] = 4, [16] = 2, [18] = 2, [20] = 1,
		[21] = 1, [22] = 2, [24] = 2, [26] = 2, [28] = 2, [30] = 2, [32] = 4,
		[36] = 4, [40] = 4, [44] = 4, [48] = 4, [52] = 4,
	};
	uint64_t bad = sk_virtio_pci_bad_accesses(rig.vp);

	(void)state;
	enable(PCI_COMMAND_MEMORY, 0);
	for (unsigned size = 1; size <= 8; size *= 2) {
		for (uint32_t at = 0; at + size <= RIG_ISR; at++) {
			if (at < sizeof(widths) && widths[at] == size)
				continue;
			assert_int_equal(in(at, size), 0);
			out(at, size, UINT64_MAX);
			bad += 2;
		}
	}
	assert_int_equal(sk_virtio_pci_bad_accesses(rig.vp), bad);
	assert_int_equal(in(COMMON(STATUS), 1), 0);
	/* Doorbells of queues that are not there, and beside the doorbells. */
	out(RIG_NOTIFY + 4 * RIG_QUEUES, 2, 0);
	out(RIG_NOTIFY + 2, 2, 0);
	out(RIG_NOTIFY + 0xffc, 4, 0);
	out(RIG_ISR, 1, 0);
	out(RIG_PBA + 0x1000, 4, 0);
	(void)in(RIG_NOTIFY, 4);
	(void)in(RIG_PBA + 0x1ff8, 8);
	assert_int_equal(sk_virtio_pci_bad_accesses(rig.vp), bad + 7);
	/* Across the end of the BAR it is nobody's. */
	assert_true(in(RIG_BAR_BYTES - 4, 8) == UINT64_MAX);
}

static void the_window_reaches_the_bar_and_nothing_else(void **state)
{
	unsigned cap = find_cap(PCI_CAP_ID_VNDR, VIRTIO_PCI_CAP_PCI_CFG);
	uint64_t bad;

	(void)state;
	/* It works while the BAR is switched off, by ports, too. */
	cfg_put(cap + 8, 4, COMMON(NUMQ));
	cfg_put(cap + 12, 4, 2);
	rig_put(rig.pio, 0xcf8, 4, 0x80000000 | RIG_SLOT << 11 | (cap + 16));
	assert_int_equal(rig_get(rig.pio, 0xcfc, 2), RIG_QUEUES);
	cfg_put(cap + 8, 4, COMMON(STATUS));
	cfg_put(cap + 12, 4, 1);
	cfg_put(cap + 16, 4, 0xffffff01);
	assert_int_equal(sk_virtio_status(rig.virtio), 1);
	assert_int_equal(cfg_get(cap + 16, 1), 1);
	cfg_put(cap + 16, 1, 3);
	assert_int_equal(sk_virtio_status(rig.virtio), 3);
	/* The MSI-X table is in the same BAR. */
	cfg_put(cap + 8, 4, RIG_TABLE);
	cfg_put(cap + 12, 4, 4);
	cfg_put(cap + 16, 4, 0xfee01000);
	cfg_put(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(in(RIG_TABLE, 4), 0xfee01000);

	/* Outside of it, at odd lengths and offsets, in other BARs. */
	cfg_put(cap + 8, 4, RIG_BAR_BYTES);
	assert_int_equal(cfg_get(cap + 16, 4), UINT32_MAX);
	cfg_put(cap + 16, 4, 0);
	cfg_put(cap + 8, 4, 0xfffffffc);
	assert_int_equal(cfg_get(cap + 16, 4), UINT32_MAX);
	cfg_put(cap + 16, 4, 0);
	cfg_put(cap + 8, 4, 0);
	for (unsigned bar = 1; bar < 256; bar++) {
		cfg_put(cap + 4, 1, bar);
		(void)cfg_get(cap + 16, 4);
		cfg_put(cap + 16, 4, 0);
	}
	cfg_put(cap + 4, 1, 0);
	bad = sk_virtio_pci_bad_accesses(rig.vp);
	for (uint32_t length = 0; length < 64; length++) {
		if (length == 1 || length == 2 || length == 4)
			continue;
		cfg_put(cap + 12, 4, length);
		(void)cfg_get(cap + 16, 4);
		cfg_put(cap + 16, 4, UINT32_MAX);
		bad += 2;
	}
	cfg_put(cap + 12, 4, UINT32_MAX);
	(void)cfg_get(cap + 16, 8);
	cfg_put(cap + 12, 4, 4);
	cfg_put(cap + 8, 4, 2);
	(void)cfg_get(cap + 16, 4);
	assert_int_equal(sk_virtio_pci_bad_accesses(rig.vp), bad + 2);
	assert_int_equal(sk_virtio_status(rig.virtio), 3);
}

static void a_device_that_fails_says_so(void **state)
{
	struct guest_ring g;

	(void)state;
	rig.sink.refuses_start = true;
	enable(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, PCI_MSIX_FLAGS_ENABLE);
	program_vectors();
	negotiate();
	out(COMMON(MSIX), 2, 0);
	out(COMMON(STATUS), 1, S_DRIVER_OK);
	rig_settle(&rig);
	assert_int_equal(in(COMMON(STATUS), 1), S_DRIVER_OK | S_NEEDS_RESET);
	assert_int_equal(rig.msi.arrived[0], 1);
	assert_int_equal(in(RIG_ISR, 1), 2);
	rig.sink.refuses_start = false;
	start(&g, 8);
	/* A ring that loops stops its queue; a reset mends it. */
	guest_ring_write_desc(&g, g.desc_gpa, 0, 0x1000, 16, VRING_DESC_F_NEXT, 0);
	guest_ring_set_avail(&g, 0, 0);
	guest_ring_set_avail_index(&g, 1);
	out(RIG_NOTIFY, 2, 0);
	rig_settle(&rig);
	assert_int_equal(in(COMMON(STATUS), 1), S_DRIVER_OK | S_NEEDS_RESET);
	guest_ring_fini(&g);
	assert_int_equal(sk_gmem_fill(rig.gm, SK_MIB, 0, SK_MIB), 0);
	start(&g, 8);
	send_one(&g);
	out(RIG_NOTIFY, 2, 0);
	rig_settle(&rig);
	assert_true(guest_ring_reap(&g, NULL, NULL));
	guest_ring_fini(&g);
}

struct saved {
	uint8_t pci[4096], transport[1024], core[4096];
	size_t pci_len, transport_len, core_len;
};

static void save_all(struct saved *s)
{
	struct sk_writer w;

	sk_virtio_pause(rig.virtio);
	sk_writer_init(&w, s->pci, sizeof(s->pci));
	sk_pci_save(rig.pci, &w);
	s->pci_len = w.len_bytes;
	sk_writer_init(&w, s->transport, sizeof(s->transport));
	sk_virtio_pci_save(rig.vp, &w);
	s->transport_len = w.len_bytes;
	sk_writer_init(&w, s->core, sizeof(s->core));
	sk_virtio_save(rig.virtio, &w);
	s->core_len = w.len_bytes;
	assert_true(sk_writer_ok(&w));
}

static void state_survives(void **state)
{
	struct saved s;
	struct guest_ring g;
	struct sk_reader r;

	(void)state;
	start(&g, 8);
	cfg_put(PCI_BASE_ADDRESS_0, 4, RIG_LOW + 0x20000);
	/* One interrupt is pending when the state is saved. */
	rig_put(rig.mmio, RIG_LOW + 0x20000 + RIG_TABLE + 12, 4, 1);
	sk_virtio_config_set(rig.virtio, 0, "x", 1, true);
	rig_settle(&rig);
	save_all(&s);
	rig_close(&rig);
	rig_open(&rig);
	for (size_t cut = 0; cut < s.transport_len; cut++) {
		sk_reader_init(&r, s.transport, cut);
		assert_int_equal(sk_virtio_pci_restore(rig.vp, &r, NULL), -EINVAL);
	}
	for (size_t at = 0; at < s.transport_len; at++) {
		uint8_t bad[sizeof(s.transport)];

		memcpy(bad, s.transport, s.transport_len);
		bad[at] ^= 0x44;
		sk_reader_init(&r, bad, s.transport_len);
		/* The selectors are the driver's and hold anything. */
		if (sk_virtio_pci_restore(rig.vp, &r, NULL) == 0)
			assert_true(at >= 4 && at < 14);
		else
			assert_true(at < 4 || at >= 14);
	}
	sk_reader_init(&r, s.transport, s.transport_len);
	assert_int_equal(sk_virtio_pci_restore(rig.vp, &r, NULL), 0);
	sk_reader_init(&r, s.core, s.core_len);
	assert_int_equal(sk_virtio_restore(rig.virtio, &r, NULL), 0);
	sk_reader_init(&r, s.pci, s.pci_len);
	assert_int_equal(sk_pci_restore(rig.pci, &r, NULL), 0);
	assert_int_equal(rig.doorbells[0], RIG_LOW + 0x20000 + RIG_NOTIFY);
	sk_virtio_resume(rig.virtio);
	rig_settle(&rig);
	assert_int_equal(rig.msi.arrived[0], 0);
	rig_put(rig.mmio, RIG_LOW + 0x20000 + RIG_TABLE + 12, 4, 0);
	assert_int_equal(rig.msi.arrived[0], 1);
	rig.msi.arrived[1] = 0;
	send_one(&g);
	rig_put(rig.mmio, RIG_LOW + 0x20000 + RIG_NOTIFY, 2, 0);
	rig_settle(&rig);
	assert_int_equal(rig.msi.arrived[1], 1);
	assert_int_equal(rig.msi.last.data, 0x31);
	assert_true(guest_ring_reap(&g, NULL, NULL));
	guest_ring_fini(&g);
}

static void a_full_bus_is_one_sentence(void **state)
{
	struct virtio_sink sinks[SK_PCI_NR_SLOTS];
	struct sk_virtio_pci *vps[SK_PCI_NR_SLOTS];
	struct sk_error err = {0};
	unsigned nr = 0;
	int ret;

	(void)state;
	for (;; nr++) {
		struct sk_virtio_pci_config c = {.pci = rig.pci, .name = "disk"};

		virtio_sink_init(&sinks[nr], rig.gm, rig.loop);
		c.virtio = sinks[nr].virtio;
		ret = sk_virtio_pci_create(&vps[nr], &c, &err);
		if (ret)
			break;
	}
	assert_int_equal(ret, -ENOSPC);
	assert_int_equal(nr, 30);
	assert_non_null(strstr(err.message, "no slot for disk"));
	virtio_sink_fini(&sinks[nr]);
	while (nr--) {
		sk_virtio_pci_destroy(vps[nr]);
		virtio_sink_fini(&sinks[nr]);
	}
	sk_virtio_pci_destroy(NULL);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(capabilities_say_where_things_are),
		TEST(a_driver_uses_the_device),
		TEST(registers_read_back),
		TEST(the_configuration_space_is_the_devices),
		TEST(without_msix_the_isr_status_can_be_polled),
		TEST(no_interrupt_is_lost_between_mask_and_pending),
		TEST(a_queue_without_a_vector_is_silent),
		TEST(nothing_of_a_queue_changes_after_activation),
		TEST(an_enabled_queue_is_fixed_before_driver_ok),
		TEST(doorbells_move_with_the_bar),
		TEST(odd_accesses_are_nothing),
		TEST(the_window_reaches_the_bar_and_nothing_else),
		TEST(a_device_that_fails_says_so),
		TEST(state_survives),
		TEST(a_full_bus_is_one_sentence),
	};

	return cmocka_run_group_tests_name("virtio_pci", tests, NULL, NULL);
}
