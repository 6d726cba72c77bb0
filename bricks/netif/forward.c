/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The text of a port forwarding: PROTO:[ADDR]:PORT:PORT. */
#include "netif_internal.h"

#include <arpa/inet.h>
#include <stdio.h>

/* The next field of *@text, up to ':' or the end, in @field; false if it does not fit. */
static bool next_field(const char **text, char *field, size_t size)
{
	size_t len = strcspn(*text, ":");

	if (len >= size)
		return false;
	memcpy(field, *text, len);
	field[len] = '\0';
	*text += len + ((*text)[len] == ':');
	return true;
}

static bool parse_port(const char *text, uint16_t *port)
{
	unsigned value = 0;

	for (const char *p = text; *p; p++) {
		if (*p < '0' || *p > '9' || p - text >= 5)
			return false;
		value = value * 10 + (unsigned)(*p - '0');
	}
	*port = (uint16_t)value;
	return value >= 1 && value <= UINT16_MAX;
}

int sk_netif_forward_parse(struct sk_netif_forward *out, const char *text, struct sk_error *err)
{
	const char *rest = text;
	char proto[8], host[INET_ADDRSTRLEN], from[6], to[6];
	struct sk_netif_forward f = {0};
	struct in_addr addr = {.s_addr = htonl(INADDR_LOOPBACK)};
	unsigned nr_colons = 0;

	for (const char *p = text; *p; p++)
		nr_colons += *p == ':';
	if (nr_colons != 3 || !next_field(&rest, proto, sizeof(proto)) ||
	    !next_field(&rest, host, sizeof(host)) || !next_field(&rest, from, sizeof(from)) ||
	    !next_field(&rest, to, sizeof(to)))
		return sk_error_set(err, -EINVAL,
				    "'%.64s' is not a forwarding such as tcp:127.0.0.1:8000:80",
				    text);
	f.is_udp = !strcmp(proto, "udp");
	if (!f.is_udp && strcmp(proto, "tcp"))
		return sk_error_set(err, -EINVAL, "'%.64s': only tcp and udp can be forwarded",
				    text);
	if (host[0] && inet_pton(AF_INET, host, &addr) != 1)
		return sk_error_set(err, -EINVAL, "'%.64s': '%s' is not an IPv4 address", text,
				    host);
	if (!parse_port(from, &f.host_port) || !parse_port(to, &f.guest_port))
		return sk_error_set(err, -EINVAL, "'%.64s': a port is a number from 1 to 65535",
				    text);
	f.host_addr = addr.s_addr;
	*out = f;
	return 0;
}
