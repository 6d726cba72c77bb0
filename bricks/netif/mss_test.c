/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Segments that a guest asks for in frames made by hand, good and bad ones. */
#include "netif_internal.h"
#include "netif_test_util.h"

#define TCP_BYTES 20
#define IP6_BYTES 40
#define SYN	  2
#define ACK	  16

struct segment {
	bool is_v6;
	uint8_t flags;
	const char *options; /* a multiple of four bytes */
	size_t option_bytes;
};

/* The sum over a segment and its pseudo header (RFC 9293, 3.1; RFC 8200, 8.1): 0 if it is right. */
static uint16_t tcp_sum(const uint8_t *frame, size_t len, bool is_v6)
{
	const uint8_t *ip = frame + ETH_BYTES;
	size_t ip_bytes = is_v6 ? IP6_BYTES : IP_BYTES, tcp_bytes = len - ETH_BYTES - ip_bytes;
	uint32_t sum = 6 + (uint32_t)tcp_bytes;

	sum = is_v6 ? sum16(sum, ip + 8, 32) : sum16(sum, ip + 12, 8);
	return fold16(sum16(sum, ip + ip_bytes, tcp_bytes));
}

/* Returns its length. */
static size_t make_segment(uint8_t *frame, const struct segment *s)
{
	size_t ip_bytes = s->is_v6 ? IP6_BYTES : IP_BYTES;
	size_t len = ETH_BYTES + ip_bytes + TCP_BYTES + s->option_bytes;
	uint8_t *ip = frame + ETH_BYTES, *tcp = ip + ip_bytes;

	for (size_t i = 0; i < len; i++)
		frame[i] = (uint8_t)(i * 37 + 11);
	put16(frame + 12, s->is_v6 ? 0x86dd : 0x0800);
	ip[0] = s->is_v6 ? 0x60 : 0x45;
	if (s->is_v6) {
		ip[6] = 6;
	} else {
		put16(ip + 6, 0x4000);
		ip[9] = 6;
	}
	tcp[12] = (uint8_t)((TCP_BYTES + s->option_bytes) / 4 << 4);
	tcp[13] = s->flags;
	memcpy(tcp + TCP_BYTES, s->options, s->option_bytes);
	put16(tcp + 16, 0);
	put16(tcp + 16, tcp_sum(frame, len, s->is_v6));
	return len;
}

/* At even and at odd offsets, with both versions of IP. */
static void test_clamped(void **state)
{
	static const struct {
		const char *options;
		size_t len, at;
	} cases[] = {
		{"\2\4\xff\xc8", 4, 2},
		{"\1\2\4\xff\xc8\1\1\0", 8, 3},
		{"\1\1\10\12........\2\4\xff\xc8", 16, 14},
		{"\3\3\7\2\4\xff\xc8\0", 8, 5},
	};
	uint8_t frame[128];

	(void)state;
	for (unsigned i = 0; i < 4 * SK_ARRAY_SIZE(cases); i++) {
		struct segment s = {.is_v6 = i & 1,
				    .flags = i & 2 ? SYN : SYN | ACK,
				    .options = cases[i / 4].options,
				    .option_bytes = cases[i / 4].len};
		size_t len = make_segment(frame, &s);
		const uint8_t *mss = frame + len - s.option_bytes + cases[i / 4].at;

		assert_int_equal(get16(mss), 65480);
		netif_clamp_mss(frame, len, 1000 + i);
		assert_int_equal(get16(mss), 1000 + i);
		assert_int_equal(tcp_sum(frame, len, s.is_v6), 0);
	}
}

static void expect_same(const uint8_t *frame, size_t len)
{
	uint8_t copy[128];

	memcpy(copy, frame, len);
	netif_clamp_mss(copy, len, 1000);
	assert_memory_equal(copy, frame, len);
}

/* What is no wish, or no wish for more, stays as it is. */
static void test_left_alone(void **state)
{
	struct segment s = {.flags = SYN, .options = "\2\4\3\xe8", .option_bytes = 4};
	uint8_t frame[128];
	size_t len;

	(void)state;
	expect_same(frame, make_segment(frame, &s));
	s.options = "\2\4\xff\xc8";
	s.flags = ACK;
	expect_same(frame, make_segment(frame, &s));
	s.flags = SYN;
	len = make_segment(frame, &s);
	frame[ETH_BYTES + 9] = 17;
	expect_same(frame, len);
	len = make_segment(frame, &s);
	frame[ETH_BYTES + 7] = 1; /* not the first fragment */
	expect_same(frame, len);
	len = make_segment(frame, &s);
	frame[12] = 0x81;
	expect_same(frame, len);
	s.options = "\0\0\0\0\2\4\xff\xc8";
	s.option_bytes = 8;
	expect_same(frame, make_segment(frame, &s));
	/* Options without an end, or longer than the header. */
	s.options = "\5\0\2\4\xff\xc8\1\1";
	expect_same(frame, make_segment(frame, &s));
	s.options = "\5\1\2\4\xff\xc8\1\1";
	expect_same(frame, make_segment(frame, &s));
	s.options = "\5\xff\2\4\xff\xc8\1\1";
	expect_same(frame, make_segment(frame, &s));
	s.options = "\1\1\1\1\1\1\1\2";
	expect_same(frame, make_segment(frame, &s));
}

/* Frames cut anywhere, and noise, in buffers that end where they end. */
static void test_hostile(void **state)
{
	uint32_t seed = 7;

	(void)state;
	for (unsigned round = 0; round < 200000; round++) {
		const struct segment s = {.is_v6 = round & 1,
					  .flags = SYN,
					  .options = "\1\2\4\xff\xc8\1\1\1",
					  .option_bytes = 8};
		uint8_t whole[128], *cut;
		size_t len = make_segment(whole, &s);
		unsigned nr_bad = round % 4;

		while (nr_bad--) {
			seed = seed * 1664525 + 1013904223;
			whole[(seed >> 8) % len] = (uint8_t)(seed >> 24);
		}
		len = round / 4 % (len + 1);
		cut = malloc(len ? len : 1);
		assert_non_null(cut);
		memcpy(cut, whole, len);
		netif_clamp_mss(cut, len, 1000);
		free(cut);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clamped),
		cmocka_unit_test(test_left_alone),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
