/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The segments of TCP that a guest is offered, kept small (RFC 9293, 3.7.1; checksums: RFC 1624).
 */
#include "netif_internal.h"

#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#define ETH_BYTES     14
#define IP4_MIN_BYTES 20
#define IP6_BYTES     40
#define TCP_BYTES     20

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* The offset of the TCP header in a frame, or 0: it has none, or not the first bytes of one. */
static size_t find_tcp(const uint8_t *frame, size_t len_bytes)
{
	const uint8_t *ip = frame + ETH_BYTES;
	size_t ip_bytes;

	if (len_bytes < ETH_BYTES + IP4_MIN_BYTES)
		return 0;
	switch (get16(frame + 12)) {
	case ETHERTYPE_IP:
		ip_bytes = (ip[0] & 15) * 4u;
		/* The first fragment, if it is one. */
		if (ip[9] != IPPROTO_TCP || get16(ip + 6) & 0x1fff || ip_bytes < IP4_MIN_BYTES)
			return 0;
		break;
	case ETHERTYPE_IPV6:
		ip_bytes = IP6_BYTES;
		if (ip[6] != IPPROTO_TCP)
			return 0;
		break;
	default:
		return 0;
	}
	return ETH_BYTES + ip_bytes + TCP_BYTES <= len_bytes ? ETH_BYTES + ip_bytes : 0;
}

/* @at: two bytes that the checksum covers, @is_odd: from an odd offset in the segment on. */
static void replace16(uint8_t *at, uint16_t value, uint8_t *checksum, bool is_odd)
{
	uint32_t was = get16(at), is = value, sum;

	put16(at, value);
	/* Of bytes in the other order the sum has its own bytes in the other order. */
	if (is_odd) {
		was = (was >> 8 | was << 8) & 0xffff;
		is = (is >> 8 | is << 8) & 0xffff;
	}
	sum = (uint16_t)~get16(checksum) + (uint16_t)~was + is;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	put16(checksum, (uint16_t)~sum);
}

void netif_clamp_mss(uint8_t *frame, size_t len_bytes, uint16_t max_bytes)
{
	size_t start = find_tcp(frame, len_bytes), at = start + TCP_BYTES, end, option_bytes;
	uint8_t *tcp = frame + start;

	if (!start || !(tcp[13] & TH_SYN))
		return;
	end = SK_MIN(start + (tcp[12] >> 4) * 4u, len_bytes);
	while (at < end && frame[at] != TCPOPT_EOL) {
		if (frame[at] == TCPOPT_NOP) {
			at++;
			continue;
		}
		option_bytes = at + 1 < end ? frame[at + 1] : 0;
		if (option_bytes < 2 || at + option_bytes > end)
			return;
		if (frame[at] == TCPOPT_MAXSEG && option_bytes == TCPOLEN_MAXSEG &&
		    get16(frame + at + 2) > max_bytes)
			replace16(frame + at + 2, max_bytes, tcp + 16, (at - start) % 2);
		at += option_bytes;
	}
}
