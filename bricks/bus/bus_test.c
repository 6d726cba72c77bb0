/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include <skete/bus.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include <cmocka.h>

/* A device that remembers the last access. */
struct probe {
	uint64_t id;
	uint64_t offset;
	uint64_t value;
	unsigned size_bytes;
	unsigned calls;
	size_t string_count;
};

static uint64_t probe_read(void *dev, uint64_t offset, unsigned size_bytes)
{
	struct probe *p = dev;

	p->offset = offset;
	p->size_bytes = size_bytes;
	p->calls++;
	return p->id + p->calls;
}

static void probe_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
	struct probe *p = dev;

	p->offset = offset;
	p->size_bytes = size_bytes;
	p->value = value;
	p->calls++;
}

static void probe_read_string(void *dev, uint64_t offset, unsigned size_bytes, void *data,
			      size_t count)
{
	struct probe *p = dev;

	p->offset = offset;
	p->string_count = count;
	memset(data, 0x5a, size_bytes * count);
}

static void probe_write_string(void *dev, uint64_t offset, unsigned size_bytes, const void *data,
			       size_t count)
{
	struct probe *p = dev;

	p->offset = offset;
	p->string_count = count;
	memcpy(&p->value, data, SK_MIN(sizeof(p->value), size_bytes * count));
}

static const struct sk_bus_ops probe_ops = {.read = probe_read, .write = probe_write};
static const struct sk_bus_ops string_ops = {
	.read = probe_read,
	.write = probe_write,
	.read_string = probe_read_string,
	.write_string = probe_write_string,
};

static struct sk_bus *bus_of(uint64_t last)
{
	struct sk_bus *bus;
	struct sk_error err;

	assert_int_equal(sk_bus_create(&bus, last, &err), 0);
	return bus;
}

static void bad_ranges_are_refused(void **state)
{
	struct sk_bus *bus = bus_of(SK_BUS_PIO_LAST);
	const struct sk_bus_ops no_write = {.read = probe_read};
	struct sk_error err;
	struct probe p = {0};

	(void)state;
	assert_int_equal(sk_bus_add(bus, 0, 0, &probe_ops, &p, "x", &err), -EINVAL);
	assert_int_equal(sk_bus_add(bus, 0xfff8, 9, &probe_ops, &p, "x", &err), -EINVAL);
	assert_int_equal(sk_bus_add(bus, 0x10000, 1, &probe_ops, &p, "x", &err), -EINVAL);
	assert_int_equal(sk_bus_add(bus, 8, UINT64_MAX, &probe_ops, &p, "x", &err), -EINVAL);
	assert_int_equal(sk_bus_add(bus, 8, 8, &no_write, &p, "x", &err), -EINVAL);
	assert_int_equal(sk_bus_nr_ranges(bus), 0);
	assert_int_equal(sk_bus_add(bus, 0xfff8, 8, &probe_ops, &p, "x", NULL), 0);
	assert_int_equal(sk_bus_remove(bus, 0xfff9), -ENOENT);
	assert_int_equal(sk_bus_remove(bus, 0xfff8), 0);
	assert_int_equal(sk_bus_remove(bus, 0xfff8), -ENOENT);
	sk_bus_destroy(bus);
	sk_bus_destroy(NULL);
}

static void overlap_names_both(void **state)
{
	struct sk_bus *bus = bus_of(SK_BUS_PIO_LAST);
	struct sk_error err;
	struct probe p = {0};

	(void)state;
	assert_int_equal(sk_bus_add(bus, 0x3f8, 8, &probe_ops, &p, "serial0", &err), 0);
	assert_int_equal(sk_bus_add(bus, 0x3ff, 1, &probe_ops, &p, "floppy", &err), -EEXIST);
	assert_non_null(strstr(err.message, "serial0"));
	assert_non_null(strstr(err.message, "floppy"));
	assert_int_equal(sk_bus_add(bus, 0x3f0, 9, &probe_ops, &p, "x", &err), -EEXIST);
	assert_int_equal(sk_bus_add(bus, 0x300, 0x200, &probe_ops, &p, "x", &err), -EEXIST);
	assert_int_equal(sk_bus_add(bus, 0x3f8, 8, &probe_ops, &p, "x", &err), -EEXIST);
	assert_int_equal(sk_bus_add(bus, 0x3f0, 8, &probe_ops, &p, "below", &err), 0);
	assert_int_equal(sk_bus_add(bus, 0x400, 8, &probe_ops, &p,
				    "above, with a name that is longer than there is room for",
				    &err),
			 0);
	assert_int_equal(sk_bus_nr_ranges(bus), 3);
	sk_bus_destroy(bus);
}

static void every_width_arrives(void **state)
{
	struct sk_bus *bus = bus_of(SK_BUS_MMIO_LAST);
	struct probe p = {.id = UINT64_C(0x1122334455667700)};
	uint64_t base = UINT64_MAX - 15, out;
	uint8_t data[8] = {1, 2, 3, 4, 5, 6, 7, 8};

	(void)state;
	assert_int_equal(sk_bus_add(bus, base, 16, &probe_ops, &p, "top", NULL), 0);
	for (unsigned size = 1; size <= 8; size *= 2) {
		uint64_t mask = size == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * size) - 1;

		assert_int_equal(sk_bus_write(bus, base + 8, data, size, 1), 0);
		assert_true(p.value == (UINT64_C(0x0807060504030201) & mask));
		assert_int_equal(p.size_bytes, size);
		assert_int_equal(p.offset, 8);
		p.calls = 0;
		out = 0;
		assert_int_equal(sk_bus_read(bus, base + 16 - size, &out, size, 1), 0);
		assert_true(SK_LE64(out) == ((p.id + 1) & mask));
		assert_int_equal(p.offset, 16 - size);
	}
	assert_int_equal(sk_bus_unclaimed(bus), 0);
	sk_bus_destroy(bus);
}

static void nobody_answers_with_ones(void **state)
{
	struct sk_bus *bus = bus_of(SK_BUS_MMIO_LAST);
	static const unsigned odd[] = {0, 3, 5, 6, 7, 9, 16};
	struct probe p = {0};
	uint8_t data[32];

	(void)state;
	assert_int_equal(sk_bus_read(bus, 0, data, 4, 1), -ENXIO);
	assert_int_equal(sk_bus_add(bus, 0x1000, 0x10, &probe_ops, &p, "p", NULL), 0);
	memset(data, 0, sizeof(data));
	assert_int_equal(sk_bus_read(bus, 0x100e, data, 4, 1), -ENXIO); /* sticks out */
	assert_int_equal(data[0] & data[1] & data[2] & data[3], 0xff);
	assert_int_equal(data[4], 0);
	assert_int_equal(sk_bus_read(bus, 0xfff, data, 2, 1), -ENXIO);
	assert_int_equal(sk_bus_read(bus, 0x1010, data, 1, 1), -ENXIO);
	assert_int_equal(sk_bus_read(bus, UINT64_MAX, data, 8, 1), -ENXIO);
	assert_int_equal(sk_bus_write(bus, 0xffe, data, 4, 1), -ENXIO);
	assert_int_equal(sk_bus_unclaimed(bus), 6);
	for (size_t i = 0; i < SK_ARRAY_SIZE(odd); i++) {
		assert_int_equal(sk_bus_read(bus, 0x1000, data, odd[i], 1), -ENXIO);
		assert_int_equal(sk_bus_write(bus, 0x1000, data, odd[i], 1), -ENXIO);
	}
	assert_int_equal(p.calls, 0);
	assert_int_equal(sk_bus_unclaimed(bus), 6 + 2 * SK_ARRAY_SIZE(odd));
	memset(data, 0, sizeof(data));
	assert_int_equal(sk_bus_read(bus, 0x2000, data, 2, 5), -ENXIO);
	assert_int_equal(data[9], 0xff);
	assert_int_equal(data[10], 0);
	sk_bus_destroy(bus);
}

static void string_io(void **state)
{
	struct sk_bus *bus = bus_of(SK_BUS_PIO_LAST);
	struct probe plain = {.id = 0x100}, bulk = {0};
	uint8_t data[9] = {1, 2, 3, 4, 5, 6, 7, 8};

	(void)state;
	assert_int_equal(sk_bus_add(bus, 0x10, 2, &probe_ops, &plain, "plain", NULL), 0);
	assert_int_equal(sk_bus_add(bus, 0x20, 2, &string_ops, &bulk, "bulk", NULL), 0);
	assert_int_equal(sk_bus_write(bus, 0x10, data + 1, 2, 3), 0);
	assert_int_equal(plain.calls, 3);
	assert_int_equal(plain.value, 0x0706);
	plain.calls = 0;
	assert_int_equal(sk_bus_read(bus, 0x10, data + 1, 2, 3), 0);
	assert_memory_equal(data, "\x01\x01\x01\x02\x01\x03\x01", 7);
	assert_int_equal(sk_bus_write(bus, 0x21, "abc", 1, 3), 0);
	assert_int_equal(bulk.string_count, 3);
	assert_int_equal(bulk.offset, 1);
	assert_memory_equal(&bulk.value, "abc", 3);
	assert_int_equal(sk_bus_read(bus, 0x20, data, 1, 4), 0);
	assert_memory_equal(data, "ZZZZ", 4);
	assert_int_equal(bulk.calls, 0);
	assert_int_equal(sk_bus_write(bus, 0x20, "a", 1, 1), 0);
	assert_int_equal(bulk.calls, 1);
	assert_int_equal(sk_bus_write(bus, 0x10, data, 1, 0), 0);
	sk_bus_destroy(bus);
}

/* Every address of a small bus against a map filled in by hand, while ranges come and go. */
static void look_up_agrees_with_a_map(void **state)
{
	enum { NR = 40, SPAN = 400 };
	struct sk_bus *bus = bus_of(SPAN - 1);
	struct probe probes[NR] = {{0}};
	int owner[SPAN], base_of[NR];
	uint32_t seed = 1;

	(void)state;
	memset(owner, 0xff, sizeof(owner));
	memset(base_of, 0xff, sizeof(base_of));
	for (int round = 0; round < 400; round++) {
		int i, base, len;
		bool is_free = true;
		uint8_t byte;

		seed = seed * 1664525 + 1013904223;
		i = (int)(seed >> 8) % NR;
		base = (int)(seed >> 16) % SPAN;
		len = 1 + (int)(seed >> 24) % 12;
		if (base_of[i] >= 0) {
			assert_int_equal(sk_bus_remove(bus, (uint64_t)base_of[i]), 0);
			for (int a = 0; a < SPAN; a++)
				owner[a] = owner[a] == i ? -1 : owner[a];
			base_of[i] = -1;
		} else {
			for (int a = base; a < base + len; a++)
				is_free = is_free && a < SPAN && owner[a] < 0;
			assert_int_equal(sk_bus_add(bus, (uint64_t)base, (uint64_t)len, &probe_ops,
						    &probes[i], "p", NULL) == 0,
					 is_free);
			for (int a = base; is_free && a < base + len; a++)
				owner[a] = i;
			base_of[i] = is_free ? base : -1;
		}
		for (int a = 0; a < SPAN; a++) {
			for (int k = 0; k < NR; k++)
				probes[k].calls = 0;
			assert_int_equal(sk_bus_read(bus, (uint64_t)a, &byte, 1, 1),
					 owner[a] < 0 ? -ENXIO : 0);
			assert_true(owner[a] < 0 || probes[owner[a]].calls == 1);
		}
		if (round % 16 == 0)
			sk_bus_quiesce(bus);
	}
	sk_bus_destroy(bus);
}

/* Readers dispatch while a writer adds and removes; TSan looks on. */
struct stress {
	struct sk_bus *bus;
	_Atomic bool stop;
	_Atomic uint64_t wrong;
	_Atomic uint64_t hits;
};

static uint64_t constant_read(void *dev, uint64_t offset, unsigned size_bytes)
{
	(void)size_bytes;
	return *(const uint64_t *)dev + offset;
}

static void constant_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
	(void)dev;
	(void)offset;
	(void)size_bytes;
	(void)value;
}

static void *stress_reader(void *arg)
{
	static const struct {
		uint64_t addr;
		uint64_t expect;
	} fixed = {.addr = 0x5003, .expect = 7003};
	struct stress *s = arg;

	while (!atomic_load_explicit(&s->stop, memory_order_relaxed)) {
		uint64_t value = 0;

		if (sk_bus_read(s->bus, fixed.addr, &value, 4, 1) || value != fixed.expect)
			atomic_fetch_add(&s->wrong, 1);
		for (uint64_t addr = 0x1001; addr < 0x9000; addr += 0x1000) {
			value = 0;
			if (addr == 0x5001 || sk_bus_read(s->bus, addr, &value, 4, 1))
				continue;
			if (value != addr / 0x1000 * 100 + 1)
				atomic_fetch_add(&s->wrong, 1);
			atomic_fetch_add(&s->hits, 1);
		}
	}
	return NULL;
}

static void dispatch_while_the_table_changes(void **state)
{
	const struct sk_bus_ops ops = {.read = constant_read, .write = constant_write};
	struct stress s = {.bus = bus_of(SK_BUS_MMIO_LAST)};
	uint64_t fixed = 7000, values[9];
	pthread_t readers[3];

	(void)state;
	for (uint64_t i = 0; i < 9; i++)
		values[i] = i * 100;
	assert_int_equal(sk_bus_add(s.bus, 0x5000, 16, &ops, &fixed, "fixed", NULL), 0);
	for (size_t i = 0; i < SK_ARRAY_SIZE(readers); i++)
		assert_int_equal(pthread_create(&readers[i], NULL, stress_reader, &s), 0);
	for (unsigned round = 0; round < 300 || !atomic_load(&s.hits); round++) {
		for (uint64_t i = 1; i < 9; i++)
			if (i != 5)
				assert_int_equal(sk_bus_add(s.bus, i * 0x1000, 16, &ops, &values[i],
							    "p", NULL),
						 0);
		/* The devices are the same every round, so that nothing needs to quiesce. */
		for (uint64_t i = 1; i < 9; i++)
			if (i != 5)
				assert_int_equal(sk_bus_remove(s.bus, i * 0x1000), 0);
	}
	atomic_store(&s.stop, true);
	for (size_t i = 0; i < SK_ARRAY_SIZE(readers); i++)
		pthread_join(readers[i], NULL);
	sk_bus_quiesce(s.bus);
	assert_int_equal(atomic_load(&s.wrong), 0);
	assert_true(atomic_load(&s.hits) > 0);
	assert_int_equal(sk_bus_nr_ranges(s.bus), 1);
	sk_bus_destroy(s.bus);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_ranges_are_refused),
		cmocka_unit_test(overlap_names_both),
		cmocka_unit_test(every_width_arrives),
		cmocka_unit_test(nobody_answers_with_ones),
		cmocka_unit_test(string_io),
		cmocka_unit_test(look_up_agrees_with_a_map),
		cmocka_unit_test(dispatch_while_the_table_changes),
	};

	return cmocka_run_group_tests_name("bus", tests, NULL, NULL);
}
