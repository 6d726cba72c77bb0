/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* What the test programs of this brick share: a loop, a client that counts, frames made by hand. */
#ifndef SKETE_NETIF_TEST_UTIL_H
#define SKETE_NETIF_TEST_UTIL_H

#include <setjmp.h>
#include <stdio.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <linux/virtio_net.h>

#include <skete/netif.h>

#define TURN_NS UINT64_C(20000000)

struct world {
	struct sk_loop *loop;
	struct sk_netif *nif;
	unsigned nr_readable[SK_NETIF_MAX_PAIRS], nr_writable;
	uint8_t frame[SK_NETIF_MAX_FRAME_BYTES]; /* with its virtio header */
	size_t frame_bytes;
};

static inline void world_readable(void *ctx, unsigned pair)
{
	((struct world *)ctx)->nr_readable[pair]++;
}

static inline void world_writable(void *ctx, unsigned pair)
{
	(void)pair;
	((struct world *)ctx)->nr_writable++;
}

/* Starts @nif, which the world owns from here on, on a loop of its own. */
static inline struct world *world_new(struct sk_netif *nif)
{
	struct world *w = calloc(1, sizeof(*w));
	const struct sk_netif_client client = {
		.readable = world_readable, .writable = world_writable, .ctx = w};
	struct sk_error err;

	assert_non_null(w);
	w->nif = nif;
	if (sk_loop_create(&w->loop, NULL, &err) || sk_netif_start(nif, w->loop, &client, &err))
		fail_msg("%s", err.message);
	return w;
}

static inline void world_free(struct world *w)
{
	sk_loop_destroy(w->loop);
	sk_netif_destroy(w->nif);
	free(w);
}

static inline void world_turn(struct world *w)
{
	assert_true(sk_loop_turn(w->loop, TURN_NS) >= 0);
}

/* Receives a frame of @pair into the world; false if there is none within @turns. */
static inline bool world_recv(struct world *w, unsigned pair, unsigned turns)
{
	const struct iovec iov[] = {
		{w->frame, SK_NETIF_HDR_BYTES},
		{w->frame + SK_NETIF_HDR_BYTES, sizeof(w->frame) - SK_NETIF_HDR_BYTES}};

	for (;;) {
		ssize_t len = sk_netif_recv(w->nif, pair, iov, SK_ARRAY_SIZE(iov));

		if (len >= 0) {
			w->frame_bytes = (size_t)len;
			return true;
		}
		assert_int_equal(len, -EAGAIN);
		if (!turns--)
			return false;
		world_turn(w);
	}
}

/* Sends @frame without offloads, in three pieces. */
static inline int world_send(struct world *w, const void *frame, size_t len)
{
	struct virtio_net_hdr_v1 hdr = {0};
	uint8_t copy[2048];
	struct iovec iov[] = {{&hdr, sizeof(hdr)}, {copy, 7}, {copy + 7, len - 7}};

	assert_true(len <= sizeof(copy));
	memcpy(copy, frame, len);
	return sk_netif_send(w->nif, 0, iov, SK_ARRAY_SIZE(iov));
}

/* The Internet checksum (RFC 1071), not yet inverted. */
static inline uint32_t sum16(uint32_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	return sum;
}

static inline uint16_t fold16(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static inline void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static inline void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static inline uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

#define ETH_BYTES 14
#define IP_BYTES  20
#define UDP_BYTES 8

struct udp4 {
	const uint8_t *to_mac, *from_mac; /* 6 bytes */
	const char *to, *from;
	uint16_t to_port, from_port;
	const void *data;
	size_t data_bytes;
};

/* An Ethernet frame with a UDP datagram, in @out; returns its length. */
static inline size_t make_udp4(uint8_t *out, const struct udp4 *u)
{
	uint8_t *ip = out + ETH_BYTES, *udp = ip + IP_BYTES;
	size_t udp_bytes = UDP_BYTES + u->data_bytes;
	uint32_t sum;

	memset(out, 0, ETH_BYTES + IP_BYTES + UDP_BYTES);
	memcpy(out, u->to_mac, 6);
	memcpy(out + 6, u->from_mac, 6);
	put16(out + 12, 0x0800);
	ip[0] = 0x45;
	put16(ip + 2, (unsigned)(IP_BYTES + udp_bytes));
	ip[8] = 64;
	ip[9] = 17;
	assert_int_equal(inet_pton(AF_INET, u->from, ip + 12), 1);
	assert_int_equal(inet_pton(AF_INET, u->to, ip + 16), 1);
	put16(ip + 10, fold16(sum16(0, ip, IP_BYTES)));
	put16(udp, u->from_port);
	put16(udp + 2, u->to_port);
	put16(udp + 4, (unsigned)udp_bytes);
	memcpy(udp + UDP_BYTES, u->data, u->data_bytes);
	sum = sum16(17 + (uint32_t)udp_bytes, ip + 12, 8);
	put16(udp + 6, fold16(sum16(sum, udp, udp_bytes)));
	return ETH_BYTES + IP_BYTES + udp_bytes;
}

#endif
