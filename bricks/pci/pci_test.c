/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The bus as a guest sees it: through ports, ECAM and windows of the machine's buses. */
#include "fake_machine.h"

#include <linux/pci_regs.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>

#include <cmocka.h>

static struct fake_machine m;

static int setup(void **state)
{
	(void)state;
	fake_machine_create(&m);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_machine_destroy(&m);
	return 0;
}

static uint64_t get(struct sk_bus *bus, uint64_t addr, unsigned size)
{
	uint8_t raw[8] = {0};

	(void)sk_bus_read(bus, addr, raw, size, 1);
	return sk_load_le64(raw);
}

static void put(struct sk_bus *bus, uint64_t addr, unsigned size, uint64_t value)
{
	uint8_t raw[8];

	sk_store_le64(raw, value);
	(void)sk_bus_write(bus, addr, raw, size, 1);
}

static uint64_t ecam(unsigned slot, unsigned reg)
{
	return FAKE_ECAM + (slot << 15) + reg;
}

static uint64_t cfg_get(unsigned reg, unsigned size)
{
	return get(m.mmio, ecam(1, reg), size);
}

static void cfg_put(unsigned reg, unsigned size, uint64_t value)
{
	put(m.mmio, ecam(1, reg), size, value);
}

static unsigned msix_cap(void)
{
	unsigned cap = (unsigned)cfg_get(PCI_CAPABILITY_LIST, 1);

	while (cap && cfg_get(cap, 1) != PCI_CAP_ID_MSIX)
		cap = (unsigned)cfg_get(cap + 1, 1);
	assert_int_not_equal(cap, 0);
	return cap;
}

static void functions_are_found_by_ports_and_by_ecam(void **state)
{
	(void)state;
	put(m.pio, 0xcf8, 4, 0x80000000);
	assert_int_equal(get(m.pio, 0xcfc, 4), 0x56781234);
	assert_int_equal(get(m.pio, 0xcfe, 2), 0x5678);
	assert_int_equal(get(m.mmio, ecam(0, PCI_CLASS_DEVICE), 2), 0x0600);
	put(m.pio, 0xcf8, 4, 0x80000800 | PCI_CLASS_REVISION);
	assert_int_equal(get(m.pio, 0xcf8, 4), 0x80000808);
	assert_int_equal(get(m.pio, 0xcfc, 4), 0x00ff0001);
	assert_int_equal(get(m.pio, 0xcff, 1), 0x00);
	assert_int_equal(get(m.pio, 0xcfd, 2), 0xff00);
	assert_int_equal(cfg_get(PCI_SUBSYSTEM_VENDOR_ID, 4), 0x11001af4);
	assert_int_equal(cfg_get(PCI_HEADER_TYPE, 1), 0);
	assert_int_equal(cfg_get(PCI_INTERRUPT_PIN, 1), 0);
	/* Odd widths and alignments read the same bytes. */
	assert_int_equal(cfg_get(0, 8), UINT64_C(0x0010000010441af4));
	assert_int_equal(cfg_get(1, 4), 0x0010441a);
}

static void nobody_answers_elsewhere(void **state)
{
	static const uint32_t addresses[] = {
		0x00000800,		/* not enabled */
		0x80010800, 0x80ff0800, /* other buses */
		0x80000900, 0x80000f00, /* other functions */
		0x80001000, 0x8000f800, /* empty slots */
	};

	(void)state;
	for (size_t i = 0; i < SK_ARRAY_SIZE(addresses); i++) {
		put(m.pio, 0xcf8, 4, addresses[i]);
		assert_int_equal(get(m.pio, 0xcfc, 4), UINT32_MAX);
		put(m.pio, 0xcfc, 4, 0);
	}
	for (unsigned slot = 2; slot < SK_PCI_NR_SLOTS; slot++)
		assert_int_equal(get(m.mmio, ecam(slot, 0), 4), UINT32_MAX);
	assert_int_equal(get(m.mmio, ecam(1, 0) + 0x1000, 4), UINT32_MAX);
	/* Beyond the 256 bytes there is nothing; across the end of the function nobody. */
	assert_int_equal(cfg_get(0x100, 4), 0);
	assert_int_equal(cfg_get(0xffe, 4), UINT32_MAX);
	cfg_put(0x100, 4, UINT32_MAX);
	cfg_put(0xffe, 4, UINT32_MAX);
	/* Narrow accesses to the address port change nothing. */
	put(m.pio, 0xcf8, 4, 0x80000804);
	put(m.pio, 0xcfb, 1, 1);
	put(m.pio, 0xcf8, 2, 0);
	put(m.pio, 0xcf9, 1, 6);
	assert_int_equal(get(m.pio, 0xcf8, 4), 0x80000804);
	assert_int_equal(get(m.pio, 0xcf9, 1), 0xff);
}

static void header_keeps_its_masks(void **state)
{
	(void)state;
	for (unsigned reg = 0; reg < PCI_BASE_ADDRESS_0; reg += 4)
		cfg_put(reg, 4, UINT32_MAX);
	assert_int_equal(cfg_get(0, 4), 0x10441af4);
	assert_int_equal(cfg_get(PCI_COMMAND, 2), 0x0546);
	assert_int_equal(cfg_get(PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
	assert_int_equal(cfg_get(PCI_CLASS_REVISION, 4), 0x00ff0001);
	assert_int_equal(cfg_get(PCI_CACHE_LINE_SIZE, 4), 0x0000ffff);
	for (unsigned reg = 0x28; reg < PCI_STD_HEADER_SIZEOF; reg++)
		cfg_put(reg, 1, 0xff);
	assert_int_equal(cfg_get(PCI_ROM_ADDRESS, 4), 0);
	assert_int_equal(cfg_get(PCI_SUBSYSTEM_VENDOR_ID, 4), 0x11001af4);
	assert_int_equal(cfg_get(PCI_INTERRUPT_LINE, 4), 0x000000ff);
}

static void written_ones_clear_status(void **state)
{
	const uint8_t raised[2] = {0, PCI_STATUS_DETECTED_PARITY >> 8 |
					      PCI_STATUS_SIG_SYSTEM_ERROR >> 8};

	(void)state;
	sk_pci_fn_set_config(m.fn, PCI_STATUS, raised, 2);
	cfg_put(PCI_STATUS, 2, 0);
	assert_int_equal(cfg_get(PCI_STATUS, 2), 0xc000);
	cfg_put(PCI_STATUS, 2, PCI_STATUS_SIG_SYSTEM_ERROR);
	assert_int_equal(cfg_get(PCI_STATUS, 2), PCI_STATUS_DETECTED_PARITY);
}

static void bars_tell_their_size(void **state)
{
	(void)state;
	assert_int_equal(cfg_get(PCI_BASE_ADDRESS_0, 4), FAKE_LOW);
	cfg_put(PCI_BASE_ADDRESS_0, 4, UINT32_MAX);
	assert_int_equal(cfg_get(PCI_BASE_ADDRESS_0, 4), 0xffffc000);
	cfg_put(PCI_BASE_ADDRESS_1, 4, UINT32_MAX);
	assert_int_equal(cfg_get(PCI_BASE_ADDRESS_1, 4), 0);
	/* 64 bits, in the high window; aligned to its size. */
	assert_int_equal(cfg_get(PCI_BASE_ADDRESS_2, 4), PCI_BASE_ADDRESS_MEM_TYPE_64);
	assert_int_equal(cfg_get(PCI_BASE_ADDRESS_3, 4), FAKE_HIGH >> 32);
	cfg_put(PCI_BASE_ADDRESS_2, 8, UINT64_MAX);
	assert_int_equal(cfg_get(PCI_BASE_ADDRESS_2, 4), PCI_BASE_ADDRESS_MEM_TYPE_64);
	assert_int_equal(cfg_get(PCI_BASE_ADDRESS_3, 4), UINT32_MAX);
}

static void a_bar_answers_where_it_is(void **state)
{
	(void)state;
	assert_int_equal(get(m.mmio, FAKE_LOW + 8, 4), UINT32_MAX); /* memory is off */
	assert_int_equal(m.dev.moves, 0);
	cfg_put(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(m.dev.gpa[0], FAKE_LOW);
	assert_int_equal(m.dev.gpa[2], FAKE_HIGH);
	assert_int_equal(get(m.mmio, FAKE_LOW + 8, 4), 8);
	put(m.mmio, FAKE_LOW + 0x3ffe, 2, 0xabcd);
	assert_int_equal(m.dev.last_offset, 0x3ffe);
	assert_int_equal(m.dev.last_value, 0xabcd);
	assert_int_equal(get(m.mmio, FAKE_LOW + 0x3ffe, 4), UINT32_MAX); /* across its end */
	assert_int_equal(get(m.mmio, FAKE_HIGH + 0x12345678, 8), UINT64_C(0x0200000012345678));

	cfg_put(PCI_BASE_ADDRESS_0, 4, FAKE_LOW + 0x100000);
	assert_int_equal(m.dev.gpa[0], FAKE_LOW + 0x100000);
	assert_int_equal(get(m.mmio, FAKE_LOW + 8, 4), UINT32_MAX);
	assert_int_equal(get(m.mmio, FAKE_LOW + 0x100008, 4), 8);
	/* Twice the same is no move. */
	cfg_put(PCI_BASE_ADDRESS_0, 4, FAKE_LOW + 0x100000);
	assert_int_equal(m.dev.moves, 3);
	cfg_put(PCI_COMMAND, 2, 0);
	assert_int_equal(m.dev.gpa[0], SK_PCI_UNMAPPED);
	assert_int_equal(get(m.mmio, FAKE_LOW + 0x100008, 4), UINT32_MAX);
}

static void a_bar_outside_of_the_windows_is_nowhere(void **state)
{
	static const uint64_t places[] = {
		0,	    0x100000,	FAKE_LOW - 0x4000, FAKE_LOW + FAKE_LOW_BYTES,
		0xfec00000, 0xfee00000, 0xffffc000,	   FAKE_ECAM,
	};

	(void)state;
	cfg_put(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	for (size_t i = 0; i < SK_ARRAY_SIZE(places); i++) {
		cfg_put(PCI_BASE_ADDRESS_0, 4, places[i]);
		assert_int_equal(cfg_get(PCI_BASE_ADDRESS_0, 4), places[i]);
		assert_int_equal(m.dev.gpa[0], SK_PCI_UNMAPPED);
	}
	cfg_put(PCI_BASE_ADDRESS_0, 4, FAKE_LOW + FAKE_LOW_BYTES - 0x4000);
	assert_int_equal(m.dev.gpa[0], FAKE_LOW + FAKE_LOW_BYTES - 0x4000);
	/* A 64-bit BAR may go below 4 GiB if it fits there, and this one does not. */
	cfg_put(PCI_BASE_ADDRESS_3, 4, 0);
	assert_int_equal(m.dev.gpa[2], SK_PCI_UNMAPPED);
	cfg_put(PCI_BASE_ADDRESS_3, 4, UINT32_MAX);
	assert_int_equal(m.dev.gpa[2], SK_PCI_UNMAPPED);
	cfg_put(PCI_BASE_ADDRESS_3, 4, 16);
	assert_int_equal(m.dev.gpa[2], 64 * SK_GIB);
	cfg_put(PCI_BASE_ADDRESS_3, 4, 17);
	assert_int_equal(m.dev.gpa[2], SK_PCI_UNMAPPED);
}

static void capabilities_are_chained_and_bounded(void **state)
{
	uint8_t body[200] = {0};

	(void)state;
	assert_int_equal(cfg_get(PCI_CAPABILITY_LIST, 1), m.cap);
	assert_int_equal(cfg_get((unsigned)m.cap, 8), UINT64_C(0x0605040302010009) | msix_cap()
											     << 8);
	cfg_put((unsigned)m.cap, 8, UINT64_MAX);
	assert_int_equal(cfg_get((unsigned)m.cap, 8), UINT64_C(0xffffffff02010009) | msix_cap()
											     << 8);
	assert_int_equal(m.dev.config_writes, 1);
	assert_true(m.dev.config_reads >= 1);
	assert_int_equal(cfg_get(msix_cap() + 1, 1), 0);
	assert_int_equal(cfg_get(msix_cap() + 2, 2), FAKE_VECTORS - 1);
	assert_int_equal(cfg_get(msix_cap() + 4, 4), FAKE_TABLE);
	assert_int_equal(cfg_get(msix_cap() + 8, 4), FAKE_PBA);
	/* 0x54 is next: 0xac bytes are left, two of them for the header. */
	assert_int_equal(sk_pci_fn_add_capability(m.fn, 5, body, 0xab, NULL), -ENOSPC);
	assert_int_equal(sk_pci_fn_add_capability(m.fn, 5, body, SIZE_MAX, NULL), -ENOSPC);
	assert_int_equal(sk_pci_fn_add_capability(m.fn, 5, body, 0xaa, NULL), 0x54);
	assert_int_equal(cfg_get(0x49, 1), 0x54);
	assert_int_equal(sk_pci_fn_add_capability(m.fn, 5, body, 0, NULL), -ENOSPC);
}

/* ---- MSI-X ---- */

static uint64_t entry(unsigned vector, unsigned field)
{
	return FAKE_LOW + FAKE_TABLE + 16 * vector + field;
}

static void set_control(uint16_t control)
{
	cfg_put(msix_cap() + PCI_MSIX_FLAGS, 2, control);
}

static void program(unsigned vector, uint32_t address, uint32_t data, bool is_masked)
{
	put(m.mmio, entry(vector, PCI_MSIX_ENTRY_VECTOR_CTRL), 4, 1);
	put(m.mmio, entry(vector, PCI_MSIX_ENTRY_LOWER_ADDR), 4, address);
	put(m.mmio, entry(vector, PCI_MSIX_ENTRY_UPPER_ADDR), 4, 0);
	put(m.mmio, entry(vector, PCI_MSIX_ENTRY_DATA), 4, data);
	put(m.mmio, entry(vector, PCI_MSIX_ENTRY_VECTOR_CTRL), 4, is_masked);
}

static void enable(void)
{
	cfg_put(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	set_control(PCI_MSIX_FLAGS_ENABLE);
}

/* The device has something to say. Returns how many interrupts of the vector have arrived. */
static unsigned signal_vector(unsigned vector)
{
	sk_eventfd_signal(sk_pci_fn_vector_fd(m.fn, vector));
	fake_poll(&m.msi, vector);
	return m.msi.arrived[vector];
}

static uint64_t pending(void)
{
	return get(m.mmio, FAKE_LOW + FAKE_PBA, 8);
}

static void an_open_vector_sends_its_message(void **state)
{
	(void)state;
	assert_false(sk_pci_fn_is_msix_enabled(m.fn));
	enable();
	assert_true(sk_pci_fn_is_msix_enabled(m.fn));
	assert_int_equal(get(m.mmio, entry(0, 0), 8), 0);
	assert_int_equal(get(m.mmio, entry(0, 8), 8), UINT64_C(1) << 32);
	program(1, 0xfee01000, 0x31, false);
	assert_int_equal(get(m.mmio, entry(1, 0), 8), 0xfee01000);
	assert_int_equal(get(m.mmio, entry(1, 8), 8), 0x31);
	assert_int_equal(get(m.mmio, entry(1, 9), 2), 0);
	assert_int_equal(signal_vector(1), 1);
	assert_int_equal(m.msi.last.address, 0xfee01000);
	assert_int_equal(m.msi.last.data, 0x31);
	assert_int_equal(pending(), 0);
	assert_int_equal(sk_pci_fn_vector_fd(m.fn, FAKE_VECTORS), -1);
	/* Rewritten in place: the route follows, the eventfd stays connected. */
	put(m.mmio, entry(1, PCI_MSIX_ENTRY_DATA), 8, 0x32);
	assert_int_equal(signal_vector(1), 2);
	assert_int_equal(m.msi.last.data, 0x32);
	assert_int_equal(m.msi.connect_calls, 1);
}

static void what_comes_while_masked_is_pending_and_arrives_once(void **state)
{
	(void)state;
	enable();
	program(0, 0xfee00000, 0x40, true);
	program(2, 0xfee00000, 0x42, true);
	assert_int_equal(signal_vector(2), 0);
	assert_int_equal(signal_vector(2), 0);
	assert_int_equal(pending(), 1 << 2);
	assert_int_equal(get(m.mmio, FAKE_LOW + FAKE_PBA, 1), 1 << 2);
	assert_int_equal(get(m.mmio, FAKE_LOW + FAKE_PBA + 1, 1), 0);
	put(m.mmio, FAKE_LOW + FAKE_PBA, 8, 0); /* read-only */
	assert_int_equal(pending(), 1 << 2);
	put(m.mmio, entry(2, PCI_MSIX_ENTRY_VECTOR_CTRL), 4, 0);
	assert_int_equal(m.msi.arrived[2], 1);
	assert_int_equal(pending(), 0);
	/* What was signalled before the mask is not lost by it. */
	sk_eventfd_signal(sk_pci_fn_vector_fd(m.fn, 2));
	put(m.mmio, entry(2, PCI_MSIX_ENTRY_VECTOR_CTRL), 4, 1);
	assert_int_equal(m.msi.arrived[2], 2);
	assert_int_equal(pending(), 0);
}

static void function_mask_bus_master_and_enable_hold_back(void **state)
{
	(void)state;
	enable();
	program(0, 0xfee00000, 0x40, false);
	set_control(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	assert_int_equal(signal_vector(0), 0);
	assert_int_equal(pending(), 1);
	set_control(PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(m.msi.arrived[0], 1);

	cfg_put(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(signal_vector(0), 1);
	assert_int_equal(pending(), 1);
	cfg_put(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(m.msi.arrived[0], 2);

	set_control(0);
	assert_false(sk_pci_fn_is_msix_enabled(m.fn));
	assert_int_equal(signal_vector(0), 2);
	set_control(PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(m.msi.arrived[0], 3);
	/* The size of the table is not the guest's to choose. */
	cfg_put(msix_cap() + PCI_MSIX_FLAGS, 2, UINT16_MAX);
	assert_int_equal(cfg_get(msix_cap() + PCI_MSIX_FLAGS, 2), 0xc000 | (FAKE_VECTORS - 1));
}

static void a_message_to_memory_goes_nowhere(void **state)
{
	(void)state;
	enable();
	program(0, 0x00100000, 0x40, false);
	assert_int_equal(signal_vector(0), 0);
	program(0, 0xfee00000, 0x40, false);
	assert_int_equal(m.msi.arrived[0], 1);
	put(m.mmio, entry(0, PCI_MSIX_ENTRY_UPPER_ADDR), 4, 1);
	assert_int_equal(signal_vector(0), 1);
	assert_false(m.msi.is_connected[0]);
	put(m.mmio, entry(0, PCI_MSIX_ENTRY_LOWER_ADDR), 8, 0xfee00003);
	assert_int_equal(m.msi.arrived[0], 2);
	assert_int_equal(get(m.mmio, entry(0, 0), 8), 0xfee00000);
}

static void odd_accesses_to_the_table_are_harmless(void **state)
{
	const uint64_t before = sk_pci_unclaimed(m.pci);
	unsigned nr = 0;

	(void)state;
	enable();
	program(0, 0xfee00000, 0x40, false);
	for (unsigned size = 1; size <= 8; size *= 2) {
		for (unsigned at = 0; at < 16; at++) {
			(void)get(m.mmio, entry(0, at), size);
			if (size >= 4 && at % size == 0)
				continue;
			put(m.mmio, entry(0, at), size, UINT64_MAX);
			nr++;
		}
	}
	assert_int_equal(sk_pci_unclaimed(m.pci) - before, nr);
	assert_int_equal(get(m.mmio, entry(0, 0), 8), 0xfee00000);
	assert_int_equal(get(m.mmio, entry(0, 8), 8), 0x40);
	assert_int_equal(m.dev.writes + m.dev.reads, 0);
	/* Across the end of the table it is the device's business. */
	put(m.mmio, entry(FAKE_VECTORS, 0) - 4, 8, 0);
	assert_int_equal(m.dev.writes, 1);
}

static void rewriting_in_a_loop_costs_nothing(void **state)
{
	(void)state;
	enable();
	for (uint32_t i = 0; i < 10000; i++)
		program(i % FAKE_VECTORS, 0xfee00000 | (i & 0xff) << 12, i & 0xff, i % 3 == 0);
	assert_int_equal(m.msi.nr_ids, FAKE_VECTORS);
	assert_int_equal(m.msi.connect_calls - m.msi.disconnect_calls,
			 m.msi.is_connected[0] + m.msi.is_connected[1] + m.msi.is_connected[2]);
}

static void log_line(void *ctx, enum sk_log_level level, const char *message)
{
	(void)level, (void)message;
	++*(unsigned *)ctx;
}

static void refusals_are_said_once_and_lose_nothing(void **state)
{
	unsigned lines = 0;
	const struct sk_log log = {.emit = log_line, .ctx = &lines};
	struct fake_msi msi = {0};
	const struct sk_pci_config config = {.msi = &fake_msi_ops,
					     .msi_ctx = &msi,
					     .log = &log,
					     .low = {FAKE_LOW, FAKE_LOW_BYTES}};
	const struct sk_pci_msix_config msix = {.nr_vectors = 1, .pba_offset = 0x800};
	struct fake_dev dev = {.bar_bytes = {0x1000}};
	const struct sk_pci_fn_config c = {.name = "x", .ops = &fake_dev_ops, .dev = &dev};
	struct sk_pci *pci;
	struct sk_pci_fn *fn;

	(void)state;
	assert_int_equal(sk_pci_create(&pci, &config, NULL), 0);
	assert_int_equal(sk_pci_fn_create(&fn, pci, &c, NULL), 0);
	assert_int_equal(sk_pci_fn_add_bar(fn, 0, SK_PCI_BAR_32, 0x1000, NULL), 0);
	msi.allocate_result = -ENOSPC;
	assert_int_equal(sk_pci_fn_add_msix(fn, &msix, NULL), -ENOSPC);
	msi.allocate_result = 0;
	assert_int_equal(sk_pci_fn_add_msix(fn, &msix, NULL), 0);
	assert_int_equal(sk_pci_fn_add_msix(fn, &msix, NULL), -EINVAL);
	assert_int_equal(sk_pci_attach(pci, m.pio, m.mmio, NULL), -EEXIST);
	sk_pci_fn_window_write(fn, 0, 0, 4, 0xfee00000);
	sk_pci_fn_window_write(fn, 0, 12, 4, 0);
	/* Enabled from within, for this bus is on nobody's buses. */
	{
		uint8_t raw[1024];
		struct sk_writer w;
		struct sk_reader r;

		sk_writer_init(&w, raw, sizeof(raw));
		sk_pci_save(pci, &w);
		assert_true(sk_writer_ok(&w));
		/* Slot 1 of the state: its command register and its message control. */
		raw[12 + 259 + 1 + PCI_COMMAND] = PCI_COMMAND_MASTER;
		raw[12 + 259 + 1 + 0x40 + 3] = PCI_MSIX_FLAGS_ENABLE >> 8;
		msi.route_result = -ENOMEM;
		sk_reader_init(&r, raw, w.len_bytes);
		assert_int_equal(sk_pci_restore(pci, &r, NULL), -ENOMEM);
	}
	assert_int_equal(lines, 1);
	sk_eventfd_signal(sk_pci_fn_vector_fd(fn, 0));
	sk_pci_fn_window_write(fn, 0, 12, 4, 0);
	assert_int_equal(lines, 1);
	msi.route_result = 0;
	sk_pci_fn_window_write(fn, 0, 12, 4, 0);
	assert_int_equal(msi.arrived[0], 1);
	sk_pci_fn_destroy(fn);
	assert_int_equal(msi.disconnect_calls, 1);
	sk_pci_destroy(pci);
}

/* ---- Building ---- */

static void bad_functions_are_refused(void **state)
{
	const struct sk_pci_fn_config c = {.name = "y", .ops = &fake_dev_ops, .dev = &m.dev};
	const struct sk_pci_fn_config bare = {.name = "z"};
	struct sk_pci_fn *fns[SK_PCI_NR_SLOTS], *fn;
	struct sk_error err;
	unsigned nr = 0;

	(void)state;
	assert_int_equal(sk_pci_fn_create(&fn, m.pci, &c, NULL), 0);
	assert_int_equal(sk_pci_fn_slot(fn), 2);
	assert_int_equal(sk_pci_fn_add_bar(fn, 0, SK_PCI_BAR_32, 0x1800, NULL), -EINVAL);
	assert_int_equal(sk_pci_fn_add_bar(fn, 0, SK_PCI_BAR_32, 0x800, NULL), -EINVAL);
	assert_int_equal(sk_pci_fn_add_bar(fn, 0, SK_PCI_BAR_32, 4 * SK_GIB, NULL), -EINVAL);
	assert_int_equal(sk_pci_fn_add_bar(fn, 5, SK_PCI_BAR_64, 0x1000, NULL), -EINVAL);
	assert_int_equal(sk_pci_fn_add_bar(fn, 6, SK_PCI_BAR_32, 0x1000, NULL), -EINVAL);
	assert_int_equal(sk_pci_fn_add_bar(fn, 0, SK_PCI_BAR_64, 8 * SK_GIB, NULL), 0);
	assert_int_equal(sk_pci_fn_add_bar(fn, 0, SK_PCI_BAR_32, 0x1000, NULL), -EEXIST);
	assert_int_equal(sk_pci_fn_add_bar(fn, 1, SK_PCI_BAR_32, 0x1000, NULL), -EEXIST);
	while (nr < SK_PCI_NR_SLOTS && sk_pci_fn_create(&fns[nr], m.pci, &bare, &err) == 0)
		nr++;
	assert_int_equal(nr, 29);
	assert_int_equal(err.code, -ENOSPC);
	assert_non_null(strstr(err.message, "31"));
	assert_int_equal(sk_pci_fn_add_bar(fns[0], 0, SK_PCI_BAR_32, 0x1000, NULL), -EINVAL);
	while (nr)
		sk_pci_fn_destroy(fns[--nr]);
	sk_pci_fn_destroy(fn);
}

static void addresses_are_packed_and_aligned(void **state)
{
	const struct sk_pci_fn_config c = {.name = "y", .ops = &fake_dev_ops, .dev = &m.dev};
	struct sk_pci_fn *fn, *big;
	struct sk_error err;
	uint8_t raw[24];

	(void)state;
	assert_int_equal(sk_pci_fn_create(&fn, m.pci, &c, NULL), 0);
	assert_int_equal(sk_pci_fn_add_bar(fn, 0, SK_PCI_BAR_32, 0x1000, NULL), 0);
	assert_int_equal(sk_pci_fn_add_bar(fn, 1, SK_PCI_BAR_32, SK_MIB, NULL), 0);
	assert_int_equal(sk_pci_fn_add_bar(fn, 2, SK_PCI_BAR_64, 0x2000, NULL), 0);
	assert_int_equal(sk_pci_fn_add_bar(fn, 4, SK_PCI_BAR_64, SK_GIB, NULL), 0);
	assert_int_equal(sk_pci_assign(m.pci, NULL), 0);
	sk_pci_fn_get_config(fn, PCI_BASE_ADDRESS_0, raw, sizeof(raw));
	assert_int_equal(sk_load_le32(raw + 4), FAKE_LOW);
	assert_int_equal(cfg_get(PCI_BASE_ADDRESS_0, 4), FAKE_LOW + SK_MIB);
	assert_int_equal(sk_load_le64(raw + 8), (FAKE_LOW + SK_MIB + 0x4000) | 4);
	assert_int_equal(sk_load_le32(raw), FAKE_LOW + SK_MIB + 0x6000);
	assert_int_equal(sk_load_le64(raw + 16), (FAKE_HIGH + 4 * SK_GIB) | 4);
	assert_int_equal(sk_pci_fn_create(&big, m.pci, &c, NULL), 0);
	assert_int_equal(sk_pci_fn_add_bar(big, 3, SK_PCI_BAR_32, SK_GIB, NULL), 0);
	assert_int_equal(sk_pci_assign(m.pci, &err), -ENOSPC);
	assert_non_null(strstr(err.message, "BAR 3 of y"));
	sk_pci_fn_destroy(big);
	sk_pci_fn_destroy(fn);
}

static void of_two_bars_at_one_address_the_first_answers(void **state)
{
	struct fake_dev other = {.bar_bytes = {0x1000}, .gpa = {SK_PCI_UNMAPPED}};
	const struct sk_pci_fn_config c = {.name = "y", .ops = &fake_dev_ops, .dev = &other};
	struct sk_pci_fn *fn;

	(void)state;
	assert_int_equal(sk_pci_fn_create(&fn, m.pci, &c, NULL), 0);
	assert_int_equal(sk_pci_fn_add_bar(fn, 0, SK_PCI_BAR_32, 0x1000, NULL), 0);
	put(m.mmio, ecam(2, PCI_BASE_ADDRESS_0), 4, FAKE_LOW);
	put(m.mmio, ecam(2, PCI_COMMAND), 2, PCI_COMMAND_MEMORY);
	(void)get(m.mmio, FAKE_LOW, 4);
	assert_int_equal(other.reads, 1);
	cfg_put(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	(void)get(m.mmio, FAKE_LOW, 4);
	assert_int_equal(other.reads, 1);
	assert_int_equal(m.dev.reads, 1);
	sk_pci_fn_destroy(fn);
}

static void bad_buses_are_refused(void **state)
{
	const struct sk_pci_msi_ops missing = {.allocate = fake_allocate};
	struct sk_pci_config c = {.msi = &fake_msi_ops, .msi_ctx = &m.msi};
	struct sk_pci *pci;

	(void)state;
	c.ecam_gpa = 0x1000;
	assert_int_equal(sk_pci_create(&pci, &c, NULL), -EINVAL);
	c.ecam_gpa = 0;
	c.low = (struct sk_pci_window){FAKE_LOW, 2 * SK_GIB};
	assert_int_equal(sk_pci_create(&pci, &c, NULL), -EINVAL);
	c.low.len_bytes = 0;
	c.high = (struct sk_pci_window){UINT64_MAX - 1, 3};
	assert_int_equal(sk_pci_create(&pci, &c, NULL), -EINVAL);
	c.high.len_bytes = 0;
	c.msi = &missing;
	assert_int_equal(sk_pci_create(&pci, &c, NULL), -EINVAL);
	sk_pci_destroy(NULL);
	sk_pci_fn_destroy(NULL);
}

/* ---- State ---- */

static size_t save(uint8_t *raw, size_t cap)
{
	struct sk_writer w;

	sk_writer_init(&w, raw, cap);
	sk_pci_save(m.pci, &w);
	assert_true(sk_writer_ok(&w));
	return w.len_bytes;
}

static int restore(const uint8_t *raw, size_t len)
{
	struct sk_reader r;

	sk_reader_init(&r, raw, len);
	return sk_pci_restore(m.pci, &r, NULL);
}

static void state_survives(void **state)
{
	uint8_t raw[2048], again[2048];
	size_t len;

	(void)state;
	put(m.pio, 0xcf8, 4, 0x80000810);
	cfg_put(PCI_BASE_ADDRESS_0, 4, FAKE_LOW + 0x40000);
	enable();
	cfg_put(PCI_BASE_ADDRESS_0, 4, FAKE_LOW);
	program(0, 0xfee00000, 0x50, false);
	program(1, 0xfee02000, 0x51, true);
	cfg_put(PCI_BASE_ADDRESS_0, 4, FAKE_LOW + 0x40000);
	assert_int_equal(signal_vector(1), 0);
	len = save(raw, sizeof(raw));
	fake_machine_destroy(&m);
	fake_machine_create(&m);
	assert_int_equal(restore(raw, len), 0);
	assert_int_equal(save(again, sizeof(again)), len);
	assert_memory_equal(raw, again, len);
	assert_int_equal(get(m.pio, 0xcf8, 4), 0x80000810);
	assert_int_equal(m.dev.gpa[0], FAKE_LOW + 0x40000);
	assert_int_equal(signal_vector(0), 1);
	assert_int_equal(m.msi.last.data, 0x50);
	assert_int_equal(m.msi.arrived[1], 0);
	put(m.mmio, entry(1, PCI_MSIX_ENTRY_VECTOR_CTRL) + 0x40000, 4, 0);
	assert_int_equal(m.msi.arrived[1], 1);
	assert_int_equal(m.msi.last.data, 0x51);
	/* Into itself, too. */
	assert_int_equal(restore(raw, len), 0);
	assert_int_equal(save(again, sizeof(again)), len);
	assert_memory_equal(raw, again, len);
}

static void hostile_state_is_refused_and_changes_nothing(void **state)
{
	uint8_t raw[2048], again[2048], bad[2048];
	size_t len = save(raw, sizeof(raw));

	(void)state;
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(restore(raw, cut), -EINVAL);
	/* Every byte that is not the guest's to write: version, counts, slots, header. */
	for (size_t at = 0; at < len; at++) {
		memcpy(bad, raw, len);
		bad[at] ^= 0x80;
		if (restore(bad, len) == 0) {
			assert_int_equal(save(again, sizeof(again)), len);
			assert_memory_equal(bad, again, len);
			assert_int_equal(restore(raw, len), 0);
		}
		assert_int_equal(save(again, sizeof(again)), len);
		assert_memory_equal(raw, again, len);
	}
	/* The same function twice instead of both. */
	memcpy(bad, raw, len);
	memcpy(bad + 12 + 259, raw + 12, 259);
	assert_int_equal(restore(bad, len), -EINVAL);
}

/* ---- Several vCPUs ---- */

static atomic_bool is_over;

static void *mover(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 20000; i++) {
		cfg_put(PCI_BASE_ADDRESS_0, 4, FAKE_LOW + (i % 16) * 0x10000);
		if (i % 7 == 0)
			cfg_put(PCI_COMMAND, 2, i % 2 ? PCI_COMMAND_MEMORY : 0);
		program(i % FAKE_VECTORS, 0xfee00000, i & 0xff, i & 1);
	}
	atomic_store(&is_over, true);
	return NULL;
}

/* Reads the table, which does not call the device, wherever it may be. */
static void vcpus_go_on_while_a_bar_moves(void **state)
{
	const size_t ranges = sk_bus_nr_ranges(m.mmio);
	pthread_t thread;
	uint64_t seen = 0;

	(void)state;
	atomic_store(&is_over, false);
	enable();
	assert_int_equal(pthread_create(&thread, NULL, mover, NULL), 0);
	for (unsigned i = 0; !atomic_load(&is_over); i++) {
		uint64_t value = get(m.mmio, entry(0, 0) + (i % 16) * 0x10000, 8);

		assert_true(value == 0 || value == 0xfee00000 || value == UINT64_MAX);
		seen += value != UINT64_MAX;
		if (i % 64 == 0)
			(void)cfg_get(0, 4);
	}
	pthread_join(thread, NULL);
	printf("# the BAR was met %llu times\n", (unsigned long long)seen);
	assert_int_equal(sk_bus_nr_ranges(m.mmio), ranges);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(functions_are_found_by_ports_and_by_ecam),
		TEST(nobody_answers_elsewhere),
		TEST(header_keeps_its_masks),
		TEST(written_ones_clear_status),
		TEST(bars_tell_their_size),
		TEST(a_bar_answers_where_it_is),
		TEST(a_bar_outside_of_the_windows_is_nowhere),
		TEST(capabilities_are_chained_and_bounded),
		TEST(an_open_vector_sends_its_message),
		TEST(what_comes_while_masked_is_pending_and_arrives_once),
		TEST(function_mask_bus_master_and_enable_hold_back),
		TEST(a_message_to_memory_goes_nowhere),
		TEST(odd_accesses_to_the_table_are_harmless),
		TEST(rewriting_in_a_loop_costs_nothing),
		TEST(refusals_are_said_once_and_lose_nothing),
		TEST(bad_functions_are_refused),
		TEST(addresses_are_packed_and_aligned),
		TEST(of_two_bars_at_one_address_the_first_answers),
		TEST(bad_buses_are_refused),
		TEST(state_survives),
		TEST(hostile_state_is_refused_and_changes_nothing),
		TEST(vcpus_go_on_while_a_bar_moves),
	};

	return cmocka_run_group_tests_name("pci", tests, NULL, NULL);
}
