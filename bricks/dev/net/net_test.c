/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The network device between a driver and a back end of the test's own. */
#include "fake_netif.h"
#include "net_internal.h"

#include <setjmp.h>

#include <cmocka.h>
#include <virtio_driver.h>

#define ALL_OFFLOADS (SK_NETIF_CSUM | SK_NETIF_TSO4 | SK_NETIF_TSO6 | SK_NETIF_ECN)
#define HDR	     SK_NETIF_HDR_BYTES

static const uint8_t guest_mac[] = {0x52, 0x54, 0, 1, 2, 3};
static const uint8_t other_mac[] = {0x52, 0x54, 0, 9, 9, 9};
static const uint8_t group_mac[] = {0x33, 0x33, 0, 0, 0, 1};
static const uint8_t all_mac[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

/* The shapes of rings that every test of frames is done with. */
static const uint64_t ring_features[] = {
	0,
	SK_VIRTIO_FEATURE(VIRTIO_RING_F_INDIRECT_DESC) | SK_VIRTIO_FEATURE(VIRTIO_RING_F_EVENT_IDX),
	SK_VIRTIO_FEATURE(VIRTIO_F_RING_PACKED) | SK_VIRTIO_FEATURE(VIRTIO_RING_F_EVENT_IDX),
	SK_VIRTIO_FEATURE(VIRTIO_F_RING_PACKED) | SK_VIRTIO_FEATURE(VIRTIO_F_IN_ORDER) |
		SK_VIRTIO_FEATURE(VIRTIO_RING_F_INDIRECT_DESC),
};

struct world {
	struct sk_gmem *gm;
	struct sk_loop *loop;
	struct fake_netif *fake;
	struct sk_net *net;
	struct virtio_driver driver;
};

static struct world *world_with(unsigned nr_pairs, const struct sk_net_config *extra)
{
	struct world *w = calloc(1, sizeof(*w));
	struct sk_net_config config = extra ? *extra : (struct sk_net_config){0};
	struct sk_error err;

	assert_non_null(w);
	w->gm = virtio_driver_memory(16 * SK_MIB);
	w->fake = fake_create(nr_pairs, ALL_OFFLOADS);
	assert_int_equal(sk_loop_create(&w->loop, NULL, &err), 0);
	config.gm = w->gm;
	config.loop = w->loop;
	config.netif = &w->fake->nif;
	memcpy(config.mac, guest_mac, 6);
	if (sk_net_create(&w->net, &config, &err))
		fail_msg("%s", err.message);
	virtio_driver_init(&w->driver, sk_net_virtio(w->net));
	return w;
}

static struct world *world_new(uint64_t features)
{
	struct world *w = world_with(1, NULL);

	assert_true(virtio_driver_start(&w->driver, features, 64));
	return w;
}

static void world_free(struct world *w)
{
	for (unsigned i = 0; i < VIRTIO_DRIVER_MAX_QUEUES; i++)
		if (w->driver.has_ring[i])
			assert_int_equal(w->driver.rings[i].nr_errors, 0);
	virtio_driver_fini(&w->driver);
	sk_loop_destroy(w->loop);
	sk_net_destroy(w->net);
	sk_netif_destroy(&w->fake->nif);
	sk_gmem_destroy(w->gm);
	free(w);
}

static struct sk_net_stats stats(struct world *w)
{
	struct sk_net_stats s;

	sk_net_get_stats(w->net, &s);
	return s;
}

/* A frame for the transmit queue of pair 0, in pieces of the sizes given, up to a 0. */
static bool transmit(struct world *w, const void *bytes, const uint32_t *sizes)
{
	struct guest_buf bufs[16];
	uint32_t nr = 0, done = 0;

	for (; sizes[nr]; done += sizes[nr++]) {
		gpa_t gpa = virtio_driver_alloc(&w->driver, sizes[nr]);

		virtio_driver_write(&w->driver, gpa, (const uint8_t *)bytes + done, sizes[nr]);
		bufs[nr] = (struct guest_buf){gpa, sizes[nr], false};
	}
	return virtio_driver_send(&w->driver, 1, bufs, nr, 7);
}

/* Puts @nr buffers of @len_bytes into the receive queue; returns the address of the first. */
static gpa_t post_buffers(struct world *w, unsigned nr, uint32_t len_bytes)
{
	gpa_t first = 0;

	for (unsigned i = 0; i < nr; i++) {
		gpa_t gpa = virtio_driver_alloc(&w->driver, len_bytes);

		first = i ? first : gpa;
		assert_true(virtio_driver_send(&w->driver, 0,
					       &(struct guest_buf){gpa, len_bytes, true}, 1, gpa));
	}
	virtio_driver_settle(&w->driver);
	return first;
}

static void arrive(struct world *w, const uint8_t to[6], size_t len_bytes)
{
	fake_push(w->fake, to, len_bytes);
	w->fake->client.readable(w->fake->client.ctx, 0);
}

/* Collects one frame of the receive queue into @out and checks how many buffers it says. */
static size_t collect(struct world *w, uint8_t *out)
{
	size_t len = 0;
	uint16_t nr_buffers = 1;

	for (uint16_t i = 0; i < nr_buffers; i++) {
		uint64_t token;
		uint32_t written;

		if (!virtio_driver_poll(&w->driver, 0, &token, &written)) {
			assert_int_equal(i, 0);
			return 0;
		}
		virtio_driver_read(&w->driver, token, out + len, written);
		if (i == 0)
			nr_buffers = sk_load_le16(out + 10);
		assert_true(nr_buffers >= 1);
		len += written;
	}
	return len;
}

static void expect_frame(struct world *w, const uint8_t to[6], size_t len_bytes)
{
	static uint8_t seen[SK_NETIF_MAX_FRAME_BYTES];

	assert_int_equal(collect(w, seen), HDR + len_bytes);
	assert_memory_equal(seen + HDR, to, 6);
	for (size_t i = 6; i < len_bytes; i++)
		if (seen[HDR + i] != (uint8_t)(i * 7 + i / 256))
			fail_msg("byte %zu of %zu is wrong", i, len_bytes);
}

static void test_transmit(void **state)
{
	uint8_t frame[HDR + 1000];

	(void)state;
	for (size_t i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)(i < HDR ? 0 : i);
	for (unsigned i = 0; i < SK_ARRAY_SIZE(ring_features); i++) {
		struct world *w = world_new(ring_features[i]);
		static const uint32_t shapes[][5] = {{1012},	   {12, 1000},	   {5, 7, 1000},
						     {11, 2, 999}, {20, 400, 592}, {1, 1, 1010}};

		for (unsigned k = 0; k < SK_ARRAY_SIZE(shapes); k++) {
			uint32_t written = 1;

			assert_true(transmit(w, frame, shapes[k]));
			assert_true(virtio_driver_wait(&w->driver, 1, NULL, &written));
			assert_int_equal(written, 0);
			assert_int_equal(w->fake->nr_sent, k + 1);
			assert_int_equal(w->fake->last.len_bytes, sizeof(frame));
			assert_memory_equal(w->fake->last.bytes, frame, sizeof(frame));
		}
		assert_int_equal(stats(w).tx_frames, SK_ARRAY_SIZE(shapes));
		assert_int_equal(stats(w).tx_bytes, SK_ARRAY_SIZE(shapes) * 1000);
		world_free(w);
	}
}

static void test_bad_frames(void **state)
{
	struct world *w = world_new(NET_F(CSUM));
	static uint8_t frame[70000];
	static const uint32_t shapes[][3] = {{25}, {12}, {1}, {65536, 100}};

	(void)state;
	for (unsigned k = 0; k < SK_ARRAY_SIZE(shapes); k++) {
		assert_true(transmit(w, frame, shapes[k]));
		assert_true(virtio_driver_wait(&w->driver, 1, NULL, NULL));
	}
	frame[0] = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	frame[6] = 99; /* csum_start at the very end */
	assert_true(transmit(w, frame, (uint32_t[]){112, 0}));
	assert_true(virtio_driver_wait(&w->driver, 1, NULL, NULL));
	assert_int_equal(w->fake->nr_sent, 0);
	assert_int_equal(stats(w).tx_bad, 5);
	frame[6] = 98;
	assert_true(transmit(w, frame, (uint32_t[]){112, 0}));
	assert_true(virtio_driver_wait(&w->driver, 1, NULL, NULL));
	assert_int_equal(w->fake->nr_sent, 1);
	world_free(w);
}

static void test_header(void **state)
{
	const uint64_t all = NET_F(CSUM) | NET_F(HOST_TSO4) | NET_F(HOST_TSO6) | NET_F(HOST_ECN);
	const struct virtio_net_hdr_v1 tso = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = 54,
		.gso_size = 1448,
		.csum_start = 34,
		.csum_offset = 16,
	};
	struct virtio_net_hdr_v1 h = tso;

	(void)state;
	assert_true(net_header_check(&h, all, 3000));
	assert_memory_equal(&h, &tso, sizeof(h));
	assert_false(net_header_check(&h, all & ~NET_F(HOST_TSO4), 3000));
	assert_false(net_header_check(&h, all & ~NET_F(CSUM), 3000));
	assert_false(net_header_check(&h, all, 53));
	h.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	assert_true(net_header_check(&h, all, 3000));
	assert_false(net_header_check(&h, all & ~NET_F(HOST_ECN), 3000));
	h = tso;
	h.gso_size = 7;
	assert_false(net_header_check(&h, all, 3000));
	h = tso;
	h.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	assert_false(net_header_check(&h, all, 3000));
	for (unsigned type = 2; type < 256; type++) {
		h = tso;
		h.gso_type = (uint8_t)type;
		if (type != VIRTIO_NET_HDR_GSO_TCPV6 &&
		    (type & ~VIRTIO_NET_HDR_GSO_ECN) != VIRTIO_NET_HDR_GSO_TCPV4 &&
		    type != (VIRTIO_NET_HDR_GSO_TCPV6 | VIRTIO_NET_HDR_GSO_ECN))
			assert_false(net_header_check(&h, all, 3000));
	}
	/* What has no meaning does not get through. */
	memset(&h, 0xff, sizeof(h));
	h.flags = (uint8_t)~VIRTIO_NET_HDR_F_NEEDS_CSUM;
	h.gso_type = VIRTIO_NET_HDR_GSO_NONE;
	assert_true(net_header_check(&h, all, 60));
	assert_memory_equal(&h, &(struct virtio_net_hdr_v1){0}, sizeof(h));
}

static void test_receive(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SK_ARRAY_SIZE(ring_features); i++) {
		struct world *w = world_new(ring_features[i]);

		/* Frames wait on the outside until there are buffers. */
		arrive(w, guest_mac, 60);
		arrive(w, guest_mac, 1514);
		post_buffers(w, 8, 2048);
		expect_frame(w, guest_mac, 60);
		expect_frame(w, guest_mac, 1514);
		arrive(w, all_mac, 700);
		virtio_driver_settle(&w->driver);
		expect_frame(w, all_mac, 700);
		/* Too large for a buffer, where buffers cannot be merged: lost, and only that. */
		arrive(w, guest_mac, 4000);
		arrive(w, guest_mac, 100);
		arrive(w, guest_mac, 13);
		virtio_driver_settle(&w->driver);
		expect_frame(w, guest_mac, 100);
		assert_false(virtio_driver_poll(&w->driver, 0, NULL, NULL));
		assert_int_equal(stats(w).rx_frames, 4);
		assert_int_equal(stats(w).rx_bytes, 60 + 1514 + 700 + 100);
		assert_int_equal(stats(w).rx_dropped, 2);
		world_free(w);
	}
}

static void test_merge(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SK_ARRAY_SIZE(ring_features); i++) {
		struct world *w = world_new(ring_features[i] | NET_F(MRG_RXBUF));

		for (unsigned round = 0; round < 20; round++) {
			post_buffers(w, 20, 1000);
			/* The first is a surprise, the second expected, the third smaller. */
			arrive(w, guest_mac, 5000);
			arrive(w, guest_mac, 5000);
			arrive(w, guest_mac, 60);
			arrive(w, guest_mac, 1000 - HDR);
			arrive(w, guest_mac, 1001 - HDR);
			arrive(w, guest_mac, 2000 - HDR);
			virtio_driver_settle(&w->driver);
			expect_frame(w, guest_mac, 5000);
			expect_frame(w, guest_mac, 5000);
			expect_frame(w, guest_mac, 60);
			expect_frame(w, guest_mac, 1000 - HDR);
			expect_frame(w, guest_mac, 1001 - HDR);
			expect_frame(w, guest_mac, 2000 - HDR);
			/* 6 + 6 + 1 + 1 + 2 + 2 are used; this takes the last two, and waits. */
			arrive(w, guest_mac, 2500);
			virtio_driver_settle(&w->driver);
			assert_false(virtio_driver_poll(&w->driver, 0, NULL, NULL));
			post_buffers(w, 1, 1000);
			expect_frame(w, guest_mac, 2500);
			fake_clear(w->fake);
		}
		assert_int_equal(stats(w).rx_dropped, 0);
		assert_true(stats(w).rx_waits >= 20);
		world_free(w);
	}
}

/* The largest frame into the smallest buffers: more than are ever taken. It is lost, not stuck. */
static void test_never_fits(void **state)
{
	struct world *w = world_new(NET_F(MRG_RXBUF));

	(void)state;
	post_buffers(w, 60, 16);
	arrive(w, guest_mac, 65535);
	arrive(w, guest_mac, 14);
	virtio_driver_settle(&w->driver);
	post_buffers(w, 4, 16);
	expect_frame(w, guest_mac, 14);
	assert_int_equal(stats(w).rx_dropped, 1);
	world_free(w);
}

static void test_bad_buffers(void **state)
{
	struct world *w = world_new(0);
	gpa_t gpa = virtio_driver_alloc(&w->driver, 4096);

	(void)state;
	/* A buffer without room for the header breaks the rules, and the queue. */
	assert_true(virtio_driver_send(&w->driver, 0, &(struct guest_buf){gpa, 11, true}, 1, 1));
	arrive(w, guest_mac, 60);
	virtio_driver_settle(&w->driver);
	assert_true(sk_virtio_status(sk_net_virtio(w->net)) & VIRTIO_CONFIG_S_NEEDS_RESET);
	/* The other way still works, and so does everything after a reset. */
	assert_true(transmit(w, (uint8_t[60]){0}, (uint32_t[]){60, 0}));
	assert_true(virtio_driver_wait(&w->driver, 1, NULL, NULL));
	assert_true(virtio_driver_start(&w->driver, 0, 64));
	post_buffers(w, 1, 100);
	arrive(w, guest_mac, 60);
	virtio_driver_settle(&w->driver);
	assert_true(virtio_driver_poll(&w->driver, 0, NULL, NULL));
	world_free(w);
}

/* Sends a command to the control queue; the answer. */
static uint8_t command(struct world *w, uint32_t queue, const void *bytes, uint32_t len_bytes)
{
	gpa_t gpa = virtio_driver_alloc(&w->driver, len_bytes + 1);
	const struct guest_buf bufs[] = {{gpa, len_bytes, false}, {gpa + len_bytes, 1, true}};
	uint8_t answer = 77;

	virtio_driver_write(&w->driver, gpa, bytes, len_bytes);
	virtio_driver_write(&w->driver, gpa + len_bytes, &answer, 1);
	assert_true(virtio_driver_send(&w->driver, queue, bufs, 2, 1));
	assert_true(virtio_driver_wait(&w->driver, queue, NULL, NULL));
	virtio_driver_read(&w->driver, gpa + len_bytes, &answer, 1);
	return answer;
}

#define CONTROL (NET_F(CTRL_VQ) | NET_F(CTRL_RX) | NET_F(CTRL_MAC_ADDR) | NET_F(GUEST_ANNOUNCE))

/* Whether a frame to @to reaches the guest. */
static bool gets(struct world *w, const uint8_t to[6])
{
	bool has_it;

	post_buffers(w, 1, 200);
	arrive(w, to, 60);
	virtio_driver_settle(&w->driver);
	has_it = virtio_driver_poll(&w->driver, 0, NULL, NULL);
	return has_it;
}

static void test_filter(void **state)
{
	struct world *w = world_new(CONTROL | NET_F(CTRL_RX_EXTRA));
	uint8_t table[2 + 4 + 6 + 4 + 6] = {VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, 1};
	uint8_t large[2 + 4 + 6 * 65 + 4] = {VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET,
					     65};
	uint8_t set_mac[8] = {VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET};

	(void)state;
	assert_true(gets(w, other_mac));
	assert_int_equal(command(w, 2, "\0\0\0", 3), VIRTIO_NET_OK); /* promiscuous no more */
	assert_true(gets(w, guest_mac));
	assert_true(gets(w, all_mac));
	assert_false(gets(w, other_mac));
	assert_false(gets(w, group_mac));
	assert_int_equal(command(w, 2, "\0\1\1", 3), VIRTIO_NET_OK); /* all groups */
	assert_true(gets(w, group_mac));
	assert_int_equal(command(w, 2, "\0\1\0", 3), VIRTIO_NET_OK);
	memcpy(table + 6, other_mac, 6);
	table[12] = 1;
	memcpy(table + 16, group_mac, 6);
	assert_int_equal(command(w, 2, table, sizeof(table)), VIRTIO_NET_OK);
	assert_true(gets(w, other_mac));
	assert_true(gets(w, group_mac));
	/* More than fit: all of them. */
	assert_int_equal(command(w, 2, large, sizeof(large)), VIRTIO_NET_OK);
	assert_true(gets(w, other_mac));
	assert_false(gets(w, group_mac));
	assert_int_equal(command(w, 2, "\0\5\1", 3), VIRTIO_NET_OK); /* no broadcast */
	assert_false(gets(w, all_mac));
	memset(table + 2, 0, sizeof(table) - 2);
	assert_int_equal(command(w, 2, table, 10), VIRTIO_NET_OK);
	assert_false(gets(w, other_mac));
	memcpy(set_mac + 2, other_mac, 6);
	assert_int_equal(command(w, 2, set_mac, sizeof(set_mac)), VIRTIO_NET_OK);
	assert_true(gets(w, other_mac));
	assert_false(gets(w, guest_mac));
	assert_int_equal(sk_virtio_config_read(sk_net_virtio(w->net), 3, 1), 9);
	assert_true(stats(w).rx_filtered >= 6);
	/* A new driver finds everything as at first. */
	assert_true(virtio_driver_start(&w->driver, CONTROL, 64));
	assert_int_equal(sk_virtio_config_read(sk_net_virtio(w->net), 3, 1), 1);
	assert_true(gets(w, group_mac));
	world_free(w);
}

static void test_commands(void **state)
{
	struct world *w = world_with(4, NULL);
	static uint8_t huge[8192] = {VIRTIO_NET_CTRL_MAC, 0};
	const uint64_t features = CONTROL | NET_F(MQ) | NET_F(CTRL_GUEST_OFFLOADS) |
				  NET_F(GUEST_CSUM) | NET_F(GUEST_TSO4);
	static const struct {
		const char *bytes;
		uint32_t len;
	} bad[] = {
		{"\0", 1},
		{"\0\0", 2},
		{"\0\0\0\0", 4},
		{"\0\2\1", 3}, /* CTRL_RX_EXTRA was not agreed */
		{"\0\6\1", 3},
		{"\1\0\1\0\0\0", 6},
		{"\1\0\377\377\377\377", 6},
		{"\1\1\1\2\3\4\5", 7},
		{"\1\2", 2},
		{"\2\0\0\0", 4},
		{"\3\1", 2},
		{"\3\0\0", 3},
		{"\4\0\0\0", 4},
		{"\4\0\5\0", 4},
		{"\4\1\1\0", 4},
		{"\4\0\1", 3},
		{"\5\0\0", 3},
		{"\5\0\0\0\0\0\0\0\0\1", 10},
		{"\377\377", 2},
	};

	(void)state;
	assert_true(virtio_driver_start(&w->driver, features, 64));
	assert_int_equal(w->fake->offloads, SK_NETIF_CSUM | SK_NETIF_TSO4);
	assert_int_equal(w->fake->nr_pairs, 1);
	for (unsigned i = 0; i < SK_ARRAY_SIZE(bad); i++)
		if (command(w, 8, bad[i].bytes, bad[i].len) != VIRTIO_NET_ERR)
			fail_msg("command %u was taken", i);
	assert_int_equal(command(w, 8, huge, sizeof(huge)), VIRTIO_NET_ERR);
	assert_int_equal(stats(w).bad_commands, SK_ARRAY_SIZE(bad) + 1);

	assert_int_equal(command(w, 8, "\4\0\4\0", 4), VIRTIO_NET_OK);
	assert_int_equal(w->fake->nr_pairs, 4);
	assert_int_equal(command(w, 8, "\5\0\2\0\0\0\0\0\0\0", 10), VIRTIO_NET_OK);
	assert_int_equal(w->fake->offloads, SK_NETIF_CSUM);

	sk_net_announce(w->net);
	virtio_driver_settle(&w->driver);
	assert_int_equal(sk_virtio_config_read(sk_net_virtio(w->net), 6, 2),
			 VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
	assert_int_equal(w->driver.config_interrupts, 1);
	assert_int_equal(command(w, 8, "\3\0", 2), VIRTIO_NET_OK);
	assert_int_equal(sk_virtio_config_read(sk_net_virtio(w->net), 6, 2), VIRTIO_NET_S_LINK_UP);
	world_free(w);
}

static void test_pairs(void **state)
{
	struct world *w = world_with(4, NULL);
	gpa_t gpa;

	(void)state;
	assert_int_equal(sk_virtio_config_read(sk_net_virtio(w->net), 8, 2), 4);
	assert_true(virtio_driver_start(&w->driver, CONTROL | NET_F(MQ), 16));
	assert_int_equal(command(w, 8, "\4\0\4\0", 4), VIRTIO_NET_OK);
	gpa = virtio_driver_alloc(&w->driver, 100);
	for (unsigned pair = 0; pair < 4; pair++) {
		assert_true(virtio_driver_send(&w->driver, 2 * pair + 1,
					       &(struct guest_buf){gpa, 100, false}, 1, 1));
		assert_true(virtio_driver_wait(&w->driver, 2 * pair + 1, NULL, NULL));
		assert_int_equal(w->fake->last_pair, pair);
	}
	/* Without MQ the control queue is the third, whatever there is. */
	assert_true(virtio_driver_start(&w->driver, CONTROL, 16));
	assert_int_equal(w->fake->nr_pairs, 1);
	assert_int_equal(command(w, 2, "\0\0\1", 3), VIRTIO_NET_OK);
	world_free(w);
}

static void test_back_pressure(void **state)
{
	struct world *w = world_new(0);

	(void)state;
	w->fake->is_full = true;
	for (unsigned i = 0; i < 10; i++)
		assert_true(transmit(w, (uint8_t[100]){0}, (uint32_t[]){100, 0}));
	virtio_driver_settle(&w->driver);
	assert_false(virtio_driver_poll(&w->driver, 1, NULL, NULL));
	w->fake->is_full = false;
	w->fake->client.writable(w->fake->client.ctx, 0);
	for (unsigned i = 0; i < 10; i++)
		assert_true(virtio_driver_wait(&w->driver, 1, NULL, NULL));
	assert_int_equal(w->fake->nr_sent, 10);
	/* A reset while the back end is full leaves nothing behind. */
	w->fake->is_full = true;
	assert_true(transmit(w, (uint8_t[100]){0}, (uint32_t[]){100, 0}));
	virtio_driver_settle(&w->driver);
	assert_true(virtio_driver_start(&w->driver, 0, 64));
	w->fake->is_full = false;
	w->fake->client.writable(w->fake->client.ctx, 0);
	assert_true(transmit(w, (uint8_t[100]){0}, (uint32_t[]){100, 0}));
	assert_true(virtio_driver_wait(&w->driver, 1, NULL, NULL));
	assert_int_equal(w->fake->nr_sent, 11);
	world_free(w);
}

/* With a limit some frames wait, and all of them arrive. */
static void test_limits(void **state)
{
	const struct sk_net_config config = {.rx_limit = {.ops_per_s = 200, .burst_ops = 1},
					     .tx_limit = {.ops_per_s = 200, .burst_ops = 1}};
	const struct sk_limiter_config none = {0};
	struct world *w = world_with(1, &config);

	(void)state;
	assert_true(virtio_driver_start(&w->driver, NET_F(MRG_RXBUF), 64));
	post_buffers(w, 40, 500);
	for (unsigned i = 0; i < 8; i++) {
		assert_true(transmit(w, (uint8_t[100]){0}, (uint32_t[]){100, 0}));
		arrive(w, guest_mac, 700);
	}
	for (unsigned i = 0; i < 8; i++)
		assert_true(virtio_driver_wait(&w->driver, 1, NULL, NULL));
	while (stats(w).rx_frames < 8)
		assert_true(sk_loop_turn(w->loop, 100000000) >= 0);
	for (unsigned i = 0; i < 8; i++)
		expect_frame(w, guest_mac, 700);
	assert_true(stats(w).throttled >= 2);
	assert_int_equal(sk_net_set_limits(w->net, &none, &none), 0);
	arrive(w, guest_mac, 60);
	virtio_driver_settle(&w->driver);
	expect_frame(w, guest_mac, 60);
	world_free(w);
}

static void test_link(void **state)
{
	struct world *w = world_new(NET_F(STATUS));

	(void)state;
	sk_net_set_link(w->net, false);
	virtio_driver_settle(&w->driver);
	assert_int_equal(w->driver.config_interrupts, 1);
	assert_int_equal(sk_virtio_config_read(sk_net_virtio(w->net), 6, 2), 0);
	assert_false(gets(w, guest_mac));
	assert_true(transmit(w, (uint8_t[100]){0}, (uint32_t[]){100, 0}));
	assert_true(virtio_driver_wait(&w->driver, 1, NULL, NULL));
	assert_int_equal(w->fake->nr_sent, 0);
	sk_net_set_link(w->net, true);
	assert_true(gets(w, guest_mac));
	world_free(w);
}

static void test_save(void **state)
{
	const uint64_t features = CONTROL | NET_F(MQ) | NET_F(MRG_RXBUF) | NET_F(GUEST_CSUM);
	struct world *a = world_with(2, NULL), *b = world_with(2, NULL), *c = world_with(1, NULL);
	static uint8_t first[65536], second[65536];
	struct sk_writer w;
	struct sk_reader r;
	struct sk_error err;
	size_t len;

	(void)state;
	assert_true(virtio_driver_start(&a->driver, features, 64));
	assert_int_equal(command(a, 4, "\4\0\2\0", 4), VIRTIO_NET_OK);
	assert_int_equal(command(a, 4, "\0\0\0", 3), VIRTIO_NET_OK);
	/* A frame that waits for more buffers, which are given back for the while. */
	post_buffers(a, 2, 100);
	arrive(a, guest_mac, 250);
	virtio_driver_settle(&a->driver);
	sk_virtio_pause(sk_net_virtio(a->net));
	sk_writer_init(&w, first, sizeof(first));
	sk_virtio_save(sk_net_virtio(a->net), &w);
	assert_true(sk_writer_ok(&w));
	len = w.len_bytes;
	sk_virtio_resume(sk_net_virtio(a->net));
	post_buffers(a, 1, 100);
	expect_frame(a, guest_mac, 250);

	/* Into another device: the same state, and the same wishes for the back end. */
	sk_reader_init(&r, first, len);
	if (sk_virtio_restore(sk_net_virtio(b->net), &r, &err))
		fail_msg("%s", err.message);
	sk_writer_init(&w, second, sizeof(second));
	sk_virtio_save(sk_net_virtio(b->net), &w);
	assert_int_equal(w.len_bytes, len);
	assert_memory_equal(first, second, len);
	sk_virtio_resume(sk_net_virtio(b->net));
	assert_int_equal(b->fake->nr_pairs, 2);
	assert_int_equal(b->fake->offloads, SK_NETIF_CSUM);

	/* Into one that has less, and what is cut short or of another version. */
	sk_reader_init(&r, first, len);
	assert_int_equal(sk_virtio_restore(sk_net_virtio(c->net), &r, &err), -EINVAL);
	world_free(a);
	world_free(b);
	world_free(c);
	for (size_t cut = 0; cut < len; cut++) {
		if (cut > 40 && cut < len - 60)
			continue;
		c = world_with(2, NULL);
		sk_reader_init(&r, first, cut);
		assert_int_equal(sk_virtio_restore(sk_net_virtio(c->net), &r, &err), -EINVAL);
		world_free(c);
	}
}

static void test_config_errors(void **state)
{
	struct fake_netif *fake = fake_create(1, 0);
	struct sk_net_config config = {.netif = &fake->nif, .mac = {0x01}};
	struct sk_net *net = NULL;
	struct sk_error err;

	(void)state;
	config.gm = virtio_driver_memory(SK_MIB);
	assert_int_equal(sk_loop_create(&config.loop, NULL, &err), 0);
	assert_int_equal(sk_net_create(&net, &config, &err), -EINVAL);
	assert_non_null(strstr(err.message, "MAC of a group"));
	memset(config.mac, 0, 6);
	config.mtu = 1501;
	assert_int_equal(sk_net_create(&net, &config, &err), -EINVAL);
	config.mtu = 67;
	assert_int_equal(sk_net_create(&net, &config, &err), -EINVAL);
	config.mtu = 0;
	assert_int_equal(sk_net_create(&net, &config, &err), 0);
	/* A random address of the local kind, of one interface. */
	assert_int_equal(sk_virtio_config_read(sk_net_virtio(net), 0, 1) & 3, 2);
	sk_loop_destroy(config.loop);
	sk_net_destroy(net);
	sk_net_destroy(NULL);
	sk_netif_destroy(&fake->nif);
	sk_gmem_destroy(config.gm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header),	      cmocka_unit_test(test_transmit),
		cmocka_unit_test(test_bad_frames),    cmocka_unit_test(test_receive),
		cmocka_unit_test(test_merge),	      cmocka_unit_test(test_never_fits),
		cmocka_unit_test(test_bad_buffers),   cmocka_unit_test(test_filter),
		cmocka_unit_test(test_commands),      cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_back_pressure), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_link),	      cmocka_unit_test(test_save),
		cmocka_unit_test(test_config_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
