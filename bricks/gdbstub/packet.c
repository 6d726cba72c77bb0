/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Framing, both ways, and what packets are made of. */
#include "gdb_internal.h"

#include <stdio.h>

static const char digits[] = "0123456789abcdef";

void gdb_reply_begin(struct sk_gdb *gdb)
{
	gdb->reply[0] = '$';
	gdb->reply_len = 1;
}

void gdb_put(struct sk_gdb *gdb, const char *text)
{
	for (; *text && gdb->reply_len <= GDB_PACKET_MAX; text++)
		gdb->reply[gdb->reply_len++] = *text;
}

void gdb_put_hex(struct sk_gdb *gdb, const void *bytes, size_t len_bytes)
{
	const uint8_t *b = bytes;

	for (size_t i = 0; i < len_bytes && gdb->reply_len + 1 <= GDB_PACKET_MAX; i++) {
		gdb->reply[gdb->reply_len++] = digits[b[i] >> 4];
		gdb->reply[gdb->reply_len++] = digits[b[i] & 15];
	}
}

void gdb_put_number(struct sk_gdb *gdb, uint64_t value)
{
	char text[17];

	snprintf(text, sizeof(text), "%llx", (unsigned long long)value);
	gdb_put(gdb, text);
}

void gdb_reply_end(struct sk_gdb *gdb)
{
	uint8_t sum = 0;

	for (size_t i = 1; i < gdb->reply_len; i++)
		sum = (uint8_t)(sum + (uint8_t)gdb->reply[i]);
	gdb->reply[gdb->reply_len++] = '#';
	gdb->reply[gdb->reply_len++] = digits[sum >> 4];
	gdb->reply[gdb->reply_len++] = digits[sum & 15];
	gdb->ops->send(gdb->ctx, gdb->reply, gdb->reply_len);
}

void gdb_reply(struct sk_gdb *gdb, const char *text)
{
	gdb_reply_begin(gdb);
	gdb_put(gdb, text);
	gdb_reply_end(gdb);
}

void gdb_reply_result(struct sk_gdb *gdb, int result)
{
	uint8_t code = (uint8_t)(result < -255 ? 255 : -result);

	if (!result) {
		gdb_reply(gdb, "OK");
		return;
	}
	gdb_reply_begin(gdb);
	gdb_put(gdb, "E");
	gdb_put_hex(gdb, &code, 1);
	gdb_reply_end(gdb);
}

int gdb_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool gdb_parse_number(const char **at, uint64_t *out)
{
	int n = 0, digit;

	*out = 0;
	while ((digit = gdb_digit(**at)) >= 0) {
		if (++n > 16)
			return false;
		*out = *out << 4 | (uint64_t)digit;
		(*at)++;
	}
	return n > 0;
}

bool gdb_parse_bytes(const char **at, void *out, size_t len_bytes)
{
	uint8_t *to = out;

	for (size_t i = 0; i < len_bytes; i++) {
		int high = gdb_digit((*at)[0]), low = high < 0 ? -1 : gdb_digit((*at)[1]);

		if (low < 0)
			return false;
		to[i] = (uint8_t)(high << 4 | low);
		*at += 2;
	}
	return true;
}

bool gdb_parse_char(const char **at, char c)
{
	if (**at != c)
		return false;
	(*at)++;
	return true;
}

static void acknowledge(struct sk_gdb *gdb, char c)
{
	if (gdb->has_acks)
		gdb->ops->send(gdb->ctx, &c, 1);
}

static void complete(struct sk_gdb *gdb, char second)
{
	int high = gdb->sum_digit, low = gdb_digit(second);

	gdb->state = GDB_IDLE;
	if (high < 0 || low < 0 || (high << 4 | low) != gdb->sum || gdb->is_too_long) {
		acknowledge(gdb, '-');
		return;
	}
	acknowledge(gdb, '+');
	gdb->packet[gdb->len] = '\0';
	gdb_execute(gdb);
}

static void take_idle(struct sk_gdb *gdb, char c)
{
	if (c == '$') {
		gdb->state = GDB_DATA;
		gdb->len = 0;
		gdb->sum = 0;
		gdb->is_too_long = false;
	} else if (c == 3 && gdb->is_running) {
		gdb->ops->stop(gdb->ctx);
	} else if (c == '-' && gdb->reply_len) {
		gdb->ops->send(gdb->ctx, gdb->reply, gdb->reply_len);
	}
}

static void take_data(struct sk_gdb *gdb, char c)
{
	if (c == '#') {
		gdb->state = GDB_SUM1;
		return;
	}
	gdb->sum = (uint8_t)(gdb->sum + (uint8_t)c);
	if (gdb->len < GDB_PACKET_MAX)
		gdb->packet[gdb->len++] = c;
	else
		gdb->is_too_long = true;
}

void sk_gdb_receive(struct sk_gdb *gdb, const void *data, size_t len_bytes)
{
	const char *in = data;

	for (size_t i = 0; i < len_bytes && !gdb->is_over; i++) {
		switch (gdb->state) {
		case GDB_IDLE:
			take_idle(gdb, in[i]);
			break;
		case GDB_DATA:
			take_data(gdb, in[i]);
			break;
		case GDB_SUM1:
			gdb->sum_digit = gdb_digit(in[i]);
			gdb->state = GDB_SUM2;
			break;
		case GDB_SUM2:
			complete(gdb, in[i]);
			break;
		}
	}
}
