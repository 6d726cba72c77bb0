/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include <skete/dev/conport.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define RAM_BYTES   (256 * SK_KIB)
#define REQUEST_GPA UINT64_C(0x1000)
#define BUFFER_GPA  UINT64_C(0x2345)
#define RING_GPA    UINT64_C(0x20040)
#define DATA_GPA    UINT64_C(0x12345)
#define RING_BYTES  256u
#define DOORBELL    UINT64_C(0xfee1000)

struct rig {
	struct sk_bus *bus;
	struct sk_gmem *gm;
	struct sk_conport *dev;
	uint8_t out[128 * 1024];
	size_t out_len, out_room;
	uint32_t produced; /* of the guest's ring */
	const char *in;
	bool is_end;
};

static size_t output(void *ctx, const void *buf, size_t len)
{
	struct rig *rig = ctx;
	size_t n = SK_MIN(len, rig->out_room - rig->out_len);

	memcpy(rig->out + rig->out_len, buf, n);
	rig->out_len += n;
	return n;
}

static size_t input(void *ctx, void *buf, size_t len, bool *is_end)
{
	struct rig *rig = ctx;
	size_t n = SK_MIN(len, strlen(rig->in));

	memcpy(buf, rig->in, n);
	rig->in += n;
	*is_end = rig->is_end;
	return n;
}

/* The reader of what output() has kept. */
static size_t unread(void *ctx, void *buf, size_t len)
{
	struct rig *rig = ctx;
	size_t n = SK_MIN(len, rig->out_len);

	memcpy(buf, rig->out, n);
	memmove(rig->out, rig->out + n, rig->out_len - n);
	rig->out_len -= n;
	return n;
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	const struct sk_gmem_region_config region = {.gpa = 0, .size_bytes = RAM_BYTES};
	const struct sk_gmem_config memory = {.regions = &region, .nr_regions = 1};
	struct sk_conport_config config = {
		.output = output,
		.input = input,
		.unread = unread,
		.ctx = rig,
		.doorbell_gpa = DOORBELL,
	};

	rig->out_room = sizeof(rig->out);
	rig->in = "";
	assert_int_equal(sk_gmem_create(&rig->gm, &memory, NULL), 0);
	config.gm = rig->gm;
	assert_int_equal(sk_bus_create(&rig->bus, SK_BUS_PIO_LAST, NULL), 0);
	assert_int_equal(sk_conport_create(&rig->dev, &config, NULL), 0);
	assert_int_equal(sk_bus_add(rig->bus, SK_CONSOLE_PORT, SK_CONSOLE_PORTS, &sk_conport_ops,
				    rig->dev, "console port", NULL),
			 0);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	sk_bus_destroy(rig->bus);
	sk_conport_destroy(rig->dev);
	sk_gmem_destroy(rig->gm);
	free(rig);
	return 0;
}

static void ring(struct rig *rig, gpa_t gpa, unsigned size)
{
	uint8_t data[8];

	sk_store_le64(data, gpa >> SK_CONSOLE_ADDRESS_SHIFT);
	assert_int_equal(sk_bus_write(rig->bus, SK_CONSOLE_PORT, data, size, 1), 0);
}

static struct sk_console_request ask(struct rig *rig, uint32_t operation, gpa_t buffer,
				     uint32_t len)
{
	struct sk_console_request request = {
		.buffer_gpa = buffer,
		.len_bytes = len,
		.operation = operation,
		.done_bytes = 77,
		.status = 88,
	};

	assert_int_equal(sk_gmem_write(rig->gm, REQUEST_GPA, &request, sizeof(request)), 0);
	ring(rig, REQUEST_GPA, 4);
	assert_int_equal(sk_gmem_read(rig->gm, REQUEST_GPA, &request, sizeof(request)), 0);
	return request;
}

static void tells_who_it_is(void **state)
{
	struct rig *rig = *state;
	uint8_t data[4];

	assert_int_equal(sk_bus_read(rig->bus, SK_CONSOLE_PORT, data, 4, 1), 0);
	assert_int_equal(sk_load_le32(data), SK_CONSOLE_ID);
	assert_int_equal(sk_bus_read(rig->bus, SK_CONSOLE_PORT, data, 2, 1), 0);
	assert_int_equal(data[0], 0xff);
}

static void writes_whole_buffers(void **state)
{
	struct rig *rig = *state;
	struct sk_console_request r;
	uint8_t text[10000];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 7);
	assert_int_equal(sk_gmem_write(rig->gm, BUFFER_GPA, text, sizeof(text)), 0);
	r = ask(rig, SK_CONSOLE_WRITE, BUFFER_GPA, sizeof(text));
	assert_int_equal(r.done_bytes, sizeof(text));
	assert_int_equal(r.status, 0);
	assert_int_equal(rig->out_len, sizeof(text));
	assert_memory_equal(rig->out, text, sizeof(text));
	/* A host that has no more room. */
	rig->out_len = 0;
	rig->out_room = 5000;
	r = ask(rig, SK_CONSOLE_WRITE, BUFFER_GPA, sizeof(text));
	assert_int_equal(r.done_bytes, 5000);
	assert_int_equal(r.status, 0);
	r = ask(rig, SK_CONSOLE_WRITE, BUFFER_GPA, sizeof(text));
	assert_int_equal(r.done_bytes, 0);
}

static void reads_what_there_is(void **state)
{
	struct rig *rig = *state;
	struct sk_console_request r;
	char text[8] = "";

	r = ask(rig, SK_CONSOLE_READ, BUFFER_GPA, 100);
	assert_int_equal(r.done_bytes, 0);
	assert_int_equal(r.status, 0);
	rig->in = "hello";
	rig->is_end = true;
	r = ask(rig, SK_CONSOLE_READ, BUFFER_GPA, 3);
	assert_int_equal(r.done_bytes, 3);
	assert_int_equal(r.status, 0);
	r = ask(rig, SK_CONSOLE_READ, BUFFER_GPA + 3, 100);
	assert_int_equal(r.done_bytes, 2);
	assert_int_equal(r.status, 0);
	r = ask(rig, SK_CONSOLE_READ, BUFFER_GPA, 100);
	assert_int_equal(r.done_bytes, 0);
	assert_int_equal(r.status, SK_CONSOLE_END);
	assert_int_equal(sk_gmem_read(rig->gm, BUFFER_GPA, text, 5), 0);
	assert_string_equal(text, "hello");
}

static void refuses_what_is_no_memory(void **state)
{
	static const struct {
		uint32_t operation;
		uint64_t gpa;
		uint32_t len;
	} bad[] = {
		{SK_CONSOLE_WRITE, RAM_BYTES, 1},
		{SK_CONSOLE_WRITE, RAM_BYTES - 10, 11},
		{SK_CONSOLE_WRITE, UINT64_MAX, 1},
		{SK_CONSOLE_WRITE, UINT64_MAX - 100, UINT32_MAX},
		{SK_CONSOLE_READ, RAM_BYTES - 1, 2},
		{SK_CONSOLE_RING + 1, 0, 1},
		{SK_CONSOLE_RING, RING_GPA, SK_CONSOLE_RING_MIN / 2},
		{SK_CONSOLE_RING, RING_GPA, 2 * SK_CONSOLE_MAX_BYTES},
		{SK_CONSOLE_RING, RING_GPA, RING_BYTES + 1},
		{SK_CONSOLE_RING, RING_GPA + 32, RING_BYTES},
		{SK_CONSOLE_RING, RAM_BYTES - 64, RING_BYTES},
		{SK_CONSOLE_RING, UINT64_MAX - 63, RING_BYTES},
		{UINT32_MAX, 0, 0},
	};
	struct sk_conport_counters c;
	struct rig *rig = *state;

	rig->in = "kept";
	for (size_t i = 0; i < SK_ARRAY_SIZE(bad); i++) {
		struct sk_console_request r = ask(rig, bad[i].operation, bad[i].gpa, bad[i].len);

		assert_int_equal(r.status, SK_CONSOLE_BAD);
		assert_int_equal(r.done_bytes, 0);
	}
	assert_int_equal(rig->out_len, 0);
	assert_string_equal(rig->in, "kept");
	/* Nothing at all is no error wherever it is, and too much is as much as goes. */
	assert_int_equal(ask(rig, SK_CONSOLE_WRITE, UINT64_MAX, 0).status, 0);
	assert_int_equal(ask(rig, SK_CONSOLE_WRITE, 0, UINT32_MAX).done_bytes,
			 SK_CONSOLE_MAX_BYTES);
	/* Requests that are nowhere, or half. */
	ring(rig, RAM_BYTES, 4);
	ring(rig, RAM_BYTES - 16, 4);
	ring(rig, UINT32_MAX, 4);
	ring(rig, REQUEST_GPA, 2);
	sk_conport_counters(rig->dev, &c);
	assert_int_equal(c.bad_requests, SK_ARRAY_SIZE(bad) + 4);
}

static void saves_and_restores(void **state)
{
	struct sk_conport_counters before, after;
	struct rig *rig = *state;
	struct sk_writer w;
	struct sk_reader r;
	uint8_t buf[64];

	(void)ask(rig, SK_CONSOLE_WRITE, 0, 100);
	(void)ask(rig, 9, 0, 1);
	sk_conport_counters(rig->dev, &before);
	sk_writer_init(&w, buf, sizeof(buf));
	sk_conport_save(rig->dev, &w);
	assert_true(sk_writer_ok(&w));
	(void)ask(rig, SK_CONSOLE_WRITE, 0, 100);
	for (size_t len = 0; len < w.len_bytes; len++) {
		sk_reader_init(&r, buf, len);
		assert_int_equal(sk_conport_restore(rig->dev, &r, NULL), -EINVAL);
	}
	sk_reader_init(&r, buf, w.len_bytes);
	assert_int_equal(sk_conport_restore(rig->dev, &r, NULL), 0);
	sk_conport_counters(rig->dev, &after);
	assert_memory_equal(&before, &after, sizeof(before));
	buf[0] = 99;
	sk_reader_init(&r, buf, w.len_bytes);
	assert_int_equal(sk_conport_restore(rig->dev, &r, NULL), -EINVAL);
}

static uint32_t ring_field(struct rig *rig, size_t offset)
{
	uint32_t value;

	assert_int_equal(sk_gmem_load_u32(rig->gm, RING_GPA + offset, &value), 0);
	return value;
}

#define CONSUMED(rig) ring_field(rig, offsetof(struct sk_console_ring, consumed))
#define WANTS(rig)    ring_field(rig, offsetof(struct sk_console_ring, wants_doorbell))

static void set_data_gpa(struct rig *rig, gpa_t gpa)
{
	const gpa_t at = RING_GPA + offsetof(struct sk_console_ring, data_gpa);

	assert_int_equal(sk_gmem_store_u64(rig->gm, at, gpa), 0);
}

static void ring_start(struct rig *rig, uint32_t bytes)
{
	struct sk_console_request r;

	rig->produced = 0;
	assert_int_equal(sk_gmem_fill(rig->gm, RING_GPA, 0, sizeof(struct sk_console_ring)), 0);
	set_data_gpa(rig, DATA_GPA);
	r = ask(rig, SK_CONSOLE_RING, RING_GPA, bytes);
	assert_int_equal(r.status, 0);
	assert_int_equal(r.doorbell_gpa, DOORBELL);
}

/* As the guest would, without a look at the room. */
static void ring_put(struct rig *rig, const char *text)
{
	for (; *text; text++, rig->produced++)
		assert_int_equal(
			sk_gmem_write(rig->gm, DATA_GPA + rig->produced % RING_BYTES, text, 1), 0);
	assert_int_equal(sk_gmem_store_u32(rig->gm,
					   RING_GPA + offsetof(struct sk_console_ring, produced),
					   rig->produced),
			 0);
}

static void expect_take(struct rig *rig, size_t len, const char *text)
{
	char got[1024];
	size_t n = sk_conport_take(rig->dev, got, len);

	assert_int_equal(n, strlen(text));
	assert_memory_equal(got, text, n);
}

static void ring_goes_round_and_round(void **state)
{
	struct sk_conport_counters c;
	struct rig *rig = *state;
	char text[64];

	ring_start(rig, RING_BYTES);
	assert_int_equal(WANTS(rig), 1);
	for (int i = 0; i < 1000; i++) {
		sprintf(text, "line %d of the ring\n", i);
		ring_put(rig, text);
		expect_take(rig, sizeof(text), text);
		assert_int_equal(CONSUMED(rig), rig->produced);
	}
	sk_conport_counters(rig->dev, &c);
	assert_int_equal(c.written_bytes, rig->produced);
}

static void doorbell_is_wanted_at_the_end_only(void **state)
{
	struct rig *rig = *state;

	ring_start(rig, RING_BYTES);
	ring_put(rig, "0123456789");
	assert_int_equal(
		sk_gmem_store_u32(rig->gm,
				  RING_GPA + offsetof(struct sk_console_ring, wants_doorbell), 0),
		0);
	expect_take(rig, 4, "0123");
	assert_int_equal(WANTS(rig), 0);
	expect_take(rig, 6, "456789");
	assert_int_equal(WANTS(rig), 0); /* whose buffer was full comes again */
	expect_take(rig, 6, "");
	assert_int_equal(WANTS(rig), 1);
}

static void ring_and_requests_keep_their_order(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(sk_gmem_write(rig->gm, BUFFER_GPA, "-request-", 9), 0);
	assert_int_equal(ask(rig, SK_CONSOLE_WRITE, BUFFER_GPA, 9).done_bytes, 9);
	ring_start(rig, RING_BYTES);
	ring_put(rig, "one");
	assert_int_equal(ask(rig, SK_CONSOLE_WRITE, BUFFER_GPA, 9).done_bytes, 9);
	assert_int_equal(CONSUMED(rig), 3);
	ring_put(rig, "two");
	/* Nothing written puts the ring in order with what comes another way. */
	assert_int_equal(ask(rig, SK_CONSOLE_WRITE, BUFFER_GPA, 0).status, 0);
	assert_int_equal(CONSUMED(rig), 6);
	ring_put(rig, "three");
	expect_take(rig, 15, "-request-one-re");
	expect_take(rig, 100, "quest-twothree");
	/* A host without room: the ring goes first, and nothing is lost. */
	ring_put(rig, "abcdef");
	rig->out_room = 4;
	assert_int_equal(ask(rig, SK_CONSOLE_WRITE, BUFFER_GPA, 9).done_bytes, 0);
	rig->out_room = 8;
	assert_int_equal(ask(rig, SK_CONSOLE_WRITE, BUFFER_GPA, 9).done_bytes, 2);
	ring_put(rig, "gh");
	expect_take(rig, 100, "abcdef-rgh");
}

static void another_ring_or_none(void **state)
{
	struct rig *rig = *state;

	ring_start(rig, RING_BYTES);
	ring_put(rig, "old ");
	assert_int_equal(ask(rig, SK_CONSOLE_RING, 0, 0).status, 0);
	ring_start(rig, RING_BYTES);
	ring_put(rig, "new ");
	assert_int_equal(ask(rig, SK_CONSOLE_RING, 0, 0).status, 0);
	ring_put(rig, "never");
	expect_take(rig, 100, "old new ");
	expect_take(rig, 100, "");
}

static void data_has_to_be_memory(void **state)
{
	static const gpa_t bad[] = {RAM_BYTES - RING_BYTES + 1, RAM_BYTES, UINT64_MAX - 10};
	struct rig *rig = *state;

	for (size_t i = 0; i < SK_ARRAY_SIZE(bad); i++) {
		set_data_gpa(rig, bad[i]);
		assert_int_equal(ask(rig, SK_CONSOLE_RING, RING_GPA, RING_BYTES).status,
				 SK_CONSOLE_BAD);
	}
	set_data_gpa(rig, RAM_BYTES - RING_BYTES);
	assert_int_equal(ask(rig, SK_CONSOLE_RING, RING_GPA, RING_BYTES).status, 0);
}

static void lies_end_the_ring(void **state)
{
	static const uint32_t lies[] = {RING_BYTES + 1, UINT32_MAX, 0x80000000};
	struct sk_conport_counters c;
	struct rig *rig = *state;

	for (size_t i = 0; i < SK_ARRAY_SIZE(lies); i++) {
		ring_start(rig, RING_BYTES);
		rig->produced = lies[i];
		ring_put(rig, "");
		expect_take(rig, 1024, "");
		ring_put(rig, "ignored");
		expect_take(rig, 1024, "");
		assert_int_equal(ask(rig, SK_CONSOLE_WRITE, BUFFER_GPA, 5).done_bytes, 5);
		sk_conport_counters(rig->dev, &c);
		assert_int_equal(c.bad_requests, i + 1);
		rig->out_len = 0;
	}
}

static void ring_survives_a_save(void **state)
{
	struct rig *rig = *state;
	struct sk_writer w;
	struct sk_reader r;
	uint8_t buf[64];

	ring_start(rig, RING_BYTES);
	ring_put(rig, "before ");
	expect_take(rig, 3, "bef");
	sk_writer_init(&w, buf, sizeof(buf));
	sk_conport_save(rig->dev, &w);
	assert_true(sk_writer_ok(&w));
	assert_int_equal(ask(rig, SK_CONSOLE_RING, 0, 0).status, 0);
	rig->out_len = 0;
	assert_int_equal(sk_gmem_store_u32(
				 rig->gm, RING_GPA + offsetof(struct sk_console_ring, consumed), 3),
			 0);
	sk_reader_init(&r, buf, w.len_bytes);
	assert_int_equal(sk_conport_restore(rig->dev, &r, NULL), 0);
	ring_put(rig, "and after");
	expect_take(rig, 100, "ore and after");
	/* Where no ring can be. */
	sk_store_le32(buf + w.len_bytes - 8, RING_BYTES - 1);
	sk_reader_init(&r, buf, w.len_bytes);
	assert_int_equal(sk_conport_restore(rig->dev, &r, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(tells_who_it_is, setup, teardown),
		cmocka_unit_test_setup_teardown(writes_whole_buffers, setup, teardown),
		cmocka_unit_test_setup_teardown(reads_what_there_is, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_what_is_no_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(saves_and_restores, setup, teardown),
		cmocka_unit_test_setup_teardown(ring_goes_round_and_round, setup, teardown),
		cmocka_unit_test_setup_teardown(doorbell_is_wanted_at_the_end_only, setup,
						teardown),
		cmocka_unit_test_setup_teardown(ring_and_requests_keep_their_order, setup,
						teardown),
		cmocka_unit_test_setup_teardown(another_ring_or_none, setup, teardown),
		cmocka_unit_test_setup_teardown(data_has_to_be_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(lies_end_the_ring, setup, teardown),
		cmocka_unit_test_setup_teardown(ring_survives_a_save, setup, teardown),
	};

	return cmocka_run_group_tests_name("conport", tests, NULL, NULL);
}
