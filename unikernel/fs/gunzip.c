/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
#include "gunzip.h"

#include <errno.h>
#include <string.h>

#define CODE_BITS      15
#define LITERALS       288
#define DISTANCES      32
#define END_OF_BLOCK   256
#define FAST_BITS      9
#define FLAG_CRC       2
#define FLAG_EXTRA     4
#define FLAG_NAME      8
#define FLAG_COMMENT   16
#define FLAGS_RESERVED 0xe0

/*
 * A canonical code: how many codes have each length, and their symbols in order. Codes of up to
 * FAST_BITS are found at once in `fast`: symbol << 4 | length, 0 where the code is longer.
 */
struct code {
	uint16_t count[CODE_BITS + 1];
	uint16_t symbol[LITERALS];
	uint16_t fast[1 << FAST_BITS];
};

struct stream {
	const uint8_t *in;
	size_t in_bytes, in_at;
	uint8_t *out;
	size_t out_room, out_at;
	size_t member; /* where this member's output began: distances do not reach beyond it */
	uint64_t bits; /* the lowest bit comes first */
	uint32_t bit_count;
	int error;
	struct code literals, distances;
};

static void refill(struct stream *s)
{
	while (s->bit_count <= 56 && s->in_at < s->in_bytes) {
		s->bits |= (uint64_t)s->in[s->in_at++] << s->bit_count;
		s->bit_count += 8;
	}
}

static uint32_t take_bits(struct stream *s, uint32_t count)
{
	uint32_t value;

	if (s->bit_count < count)
		refill(s);
	if (s->bit_count < count) {
		s->error = -EINVAL;
		return 0;
	}
	value = (uint32_t)(s->bits & ((1ull << count) - 1));
	s->bits >>= count;
	s->bit_count -= count;
	return value;
}

static void build_fast(struct code *c)
{
	uint32_t code = 0, index = 0;

	memset(c->fast, 0, sizeof(c->fast));
	for (uint32_t length = 1; length <= FAST_BITS; length++) {
		for (uint32_t i = 0; i < c->count[length]; i++, code++, index++) {
			uint32_t reversed = 0;

			for (uint32_t b = 0; b < length; b++)
				reversed |= (code >> b & 1) << (length - 1 - b);
			for (; reversed < 1u << FAST_BITS; reversed += 1u << length)
				c->fast[reversed] = (uint16_t)(c->symbol[index] << 4 | length);
		}
		code <<= 1;
	}
}

/*
 * Build a code from the length of each symbol's. Codes must not be over-subscribed; incomplete ones
 * are refused too, but for a single code of one bit.
 */
static int build(struct code *c, const uint8_t *lengths, uint32_t n)
{
	uint16_t at[CODE_BITS + 1];
	int32_t left = 1;

	memset(c->count, 0, sizeof(c->count));
	for (uint32_t i = 0; i < n; i++)
		c->count[lengths[i]]++;
	for (uint32_t i = 1; i <= CODE_BITS; i++) {
		left = left * 2 - c->count[i];
		if (left < 0)
			return -EINVAL;
	}
	if (left > 0 && n - c->count[0] > 1)
		return -EINVAL;
	at[1] = 0;
	for (uint32_t i = 1; i < CODE_BITS; i++)
		at[i + 1] = (uint16_t)(at[i] + c->count[i]);
	for (uint32_t i = 0; i < n; i++)
		if (lengths[i])
			c->symbol[at[lengths[i]]++] = (uint16_t)i;
	c->count[0] = 0;
	build_fast(c);
	return 0;
}

static uint32_t decode(struct stream *s, const struct code *c)
{
	uint32_t code = 0, first = 0, index = 0, entry;

	if (s->bit_count < CODE_BITS)
		refill(s);
	entry = c->fast[s->bits & ((1u << FAST_BITS) - 1)];
	if (entry && (entry & 15) <= s->bit_count) {
		s->bits >>= entry & 15;
		s->bit_count -= entry & 15;
		return entry >> 4;
	}
	for (uint32_t length = 1; length <= CODE_BITS; length++) {
		uint32_t count = c->count[length];

		code |= take_bits(s, 1);
		if (s->error)
			return 0;
		if (code < first + count)
			return c->symbol[index + (code - first)];
		index += count;
		first = (first + count) << 1;
		code <<= 1;
	}
	s->error = -EINVAL;
	return 0;
}

static void put_match(struct stream *s, uint32_t length, uint32_t distance)
{
	if (distance > s->out_at - s->member) {
		s->error = -EINVAL;
		return;
	}
	if (length > s->out_room - s->out_at) {
		s->error = -ENOSPC;
		return;
	}
	for (; length; length--, s->out_at++)
		s->out[s->out_at] = s->out[s->out_at - distance];
}

static void coded_block(struct stream *s)
{
	static const uint16_t length_base[29] = {3,  4,	 5,  6,	  7,   8,   9,	 10,  11, 13,
						 15, 17, 19, 23,  27,  31,  35,	 43,  51, 59,
						 67, 83, 99, 115, 131, 163, 195, 227, 258};
	static const uint8_t length_extra[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
						 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
	static const uint16_t distance_base[30] = {1,	 2,    3,    4,	    5,	   7,	 9,    13,
						   17,	 25,   33,   49,    65,	   97,	 129,  193,
						   257,	 385,  513,  769,   1025,  1537, 2049, 3073,
						   4097, 6145, 8193, 12289, 16385, 24577};
	uint32_t symbol, length, distance;

	for (;;) {
		symbol = decode(s, &s->literals);
		if (s->error || symbol == END_OF_BLOCK)
			return;
		if (symbol < END_OF_BLOCK) {
			if (s->out_at == s->out_room) {
				s->error = -ENOSPC;
				return;
			}
			s->out[s->out_at++] = (uint8_t)symbol;
			continue;
		}
		symbol -= END_OF_BLOCK + 1;
		if (symbol >= 29) {
			s->error = -EINVAL;
			return;
		}
		length = length_base[symbol] + take_bits(s, length_extra[symbol]);
		symbol = decode(s, &s->distances);
		if (s->error || symbol >= 30) {
			s->error = -EINVAL;
			return;
		}
		distance = distance_base[symbol] + take_bits(s, symbol < 4 ? 0 : (symbol >> 1) - 1);
		if (!s->error)
			put_match(s, length, distance);
		if (s->error)
			return;
	}
}

/* Back to whole bytes: drop the rest of this one, and give back those read ahead. */
static void align_to_byte(struct stream *s)
{
	s->bits >>= s->bit_count & 7;
	s->bit_count -= s->bit_count & 7;
	s->in_at -= s->bit_count / 8;
	s->bits = 0;
	s->bit_count = 0;
}

static void stored_block(struct stream *s)
{
	const uint8_t *p;
	size_t bytes;

	align_to_byte(s);
	p = s->in + s->in_at;
	if (s->in_bytes - s->in_at < 4 || (p[0] ^ p[2]) != 0xff || (p[1] ^ p[3]) != 0xff) {
		s->error = -EINVAL;
		return;
	}
	bytes = (size_t)p[0] | (size_t)p[1] << 8;
	s->in_at += 4;
	if (bytes > s->in_bytes - s->in_at)
		s->error = -EINVAL;
	else if (bytes > s->out_room - s->out_at)
		s->error = -ENOSPC;
	if (s->error)
		return;
	memcpy(s->out + s->out_at, s->in + s->in_at, bytes);
	s->in_at += bytes;
	s->out_at += bytes;
}

static void fixed_codes(struct stream *s)
{
	uint8_t lengths[LITERALS];

	for (uint32_t i = 0; i < LITERALS; i++)
		lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
	(void)build(&s->literals, lengths, LITERALS);
	memset(lengths, 5, DISTANCES);
	(void)build(&s->distances, lengths, DISTANCES);
}

/* The lengths of both codes, themselves packed with a third one, which borrows `distances`. */
static void read_codes(struct stream *s)
{
	static const uint8_t order[19] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
					  11, 4,  12, 3, 13, 2, 14, 1, 15};
	uint8_t lengths[LITERALS + DISTANCES] = {0};
	uint32_t literals = take_bits(s, 5) + 257, distances = take_bits(s, 5) + 1;
	uint32_t n = take_bits(s, 4) + 4, at = 0;

	for (uint32_t i = 0; i < n; i++)
		lengths[order[i]] = (uint8_t)take_bits(s, 3);
	if (s->error || literals > 286 || distances > 30 || build(&s->distances, lengths, 19))
		goto bad;
	memset(lengths, 0, sizeof(lengths));
	while (at < literals + distances) {
		uint32_t symbol = decode(s, &s->distances), repeat;
		uint8_t value = 0;

		if (s->error)
			return;
		if (symbol < 16) {
			lengths[at++] = (uint8_t)symbol;
			continue;
		}
		if (symbol == 16) {
			if (!at)
				goto bad;
			value = lengths[at - 1];
		}
		repeat = symbol == 16	? 3 + take_bits(s, 2)
			 : symbol == 17 ? 3 + take_bits(s, 3)
					: 11 + take_bits(s, 7);
		if (repeat > literals + distances - at)
			goto bad;
		memset(lengths + at, value, repeat);
		at += repeat;
	}
	if (lengths[END_OF_BLOCK] && !build(&s->literals, lengths, literals) &&
	    !build(&s->distances, lengths + literals, distances))
		return;
bad:
	s->error = -EINVAL;
}

static void inflate_all(struct stream *s)
{
	uint32_t last, kind;

	do {
		last = take_bits(s, 1);
		kind = take_bits(s, 2);
		if (s->error)
			return;
		if (kind == 0) {
			stored_block(s);
			continue;
		}
		if (kind == 1)
			fixed_codes(s);
		else if (kind == 2)
			read_codes(s);
		else
			s->error = -EINVAL;
		if (!s->error)
			coded_block(s);
	} while (!last && !s->error);
	align_to_byte(s);
}

static uint32_t crc32(const uint8_t *p, size_t bytes)
{
	uint32_t table[256], crc = ~0u;

	for (uint32_t i = 0; i < 256; i++) {
		table[i] = i;
		for (int k = 0; k < 8; k++)
			table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320 : 0);
	}
	while (bytes--)
		crc = crc >> 8 ^ table[(crc ^ *p++) & 0xff];
	return ~crc;
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void skip_text(struct stream *s)
{
	while (s->in_at < s->in_bytes && s->in[s->in_at])
		s->in_at++;
	if (s->in_at == s->in_bytes)
		s->error = -EINVAL;
	else
		s->in_at++;
}

static void skip_header(struct stream *s)
{
	const uint8_t *p = s->in + s->in_at;
	size_t left = s->in_bytes - s->in_at;
	uint8_t flags;

	if (left < 10 || !gunzip_is_gzip(p, left) || p[2] != 8 || p[3] & FLAGS_RESERVED) {
		s->error = -EINVAL;
		return;
	}
	flags = p[3];
	s->in_at += 10;
	left -= 10;
	if (flags & FLAG_EXTRA) {
		size_t extra = left < 2 ? left : 2 + ((size_t)p[10] | (size_t)p[11] << 8);

		if (left < 2 || extra > left) {
			s->error = -EINVAL;
			return;
		}
		s->in_at += extra;
	}
	if (flags & FLAG_NAME)
		skip_text(s);
	if (flags & FLAG_COMMENT && !s->error)
		skip_text(s);
	if (flags & FLAG_CRC)
		s->in_at += 2;
	if (s->in_at > s->in_bytes)
		s->error = -EINVAL;
}

int gunzip_is_gzip(const uint8_t *in, size_t in_bytes)
{
	return in_bytes >= 2 && in[0] == 0x1f && in[1] == 0x8b;
}

long gunzip(const uint8_t *in, size_t in_bytes, uint8_t *out, size_t out_room)
{
	struct stream s = {.in = in, .in_bytes = in_bytes, .out = out, .out_room = out_room};

	do {
		s.member = s.out_at;
		skip_header(&s);
		if (!s.error)
			inflate_all(&s);
		if (s.error)
			return s.error;
		if (in_bytes - s.in_at < 8 ||
		    get32(in + s.in_at) != crc32(out + s.member, s.out_at - s.member) ||
		    get32(in + s.in_at + 4) != (uint32_t)(s.out_at - s.member))
			return -EINVAL;
		s.in_at += 8;
		while (s.in_at < in_bytes && !in[s.in_at])
			s.in_at++;
	} while (s.in_at < in_bytes);
	return (long)s.out_at;
}
