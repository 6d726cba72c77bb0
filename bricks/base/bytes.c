/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The reader and writer of device state. */
#include <skete/base.h>

void sk_writer_init(struct sk_writer *w, void *buf, size_t cap_bytes)
{
	*w = (struct sk_writer){.buf = buf, .cap_bytes = cap_bytes};
}

bool sk_writer_ok(const struct sk_writer *w)
{
	return w->len_bytes <= w->cap_bytes;
}

void sk_put_bytes(struct sk_writer *w, const void *data, size_t len_bytes)
{
	if (len_bytes && w->len_bytes <= w->cap_bytes && len_bytes <= w->cap_bytes - w->len_bytes)
		memcpy(w->buf + w->len_bytes, data, len_bytes);
	w->len_bytes += len_bytes;
}

void sk_put_u8(struct sk_writer *w, uint8_t v)
{
	sk_put_bytes(w, &v, sizeof(v));
}

void sk_put_u16(struct sk_writer *w, uint16_t v)
{
	v = SK_LE16(v);
	sk_put_bytes(w, &v, sizeof(v));
}

void sk_put_u32(struct sk_writer *w, uint32_t v)
{
	v = SK_LE32(v);
	sk_put_bytes(w, &v, sizeof(v));
}

void sk_put_u64(struct sk_writer *w, uint64_t v)
{
	v = SK_LE64(v);
	sk_put_bytes(w, &v, sizeof(v));
}

void sk_reader_init(struct sk_reader *r, const void *buf, size_t len_bytes)
{
	*r = (struct sk_reader){.buf = buf, .len_bytes = len_bytes};
}

bool sk_reader_ok(const struct sk_reader *r)
{
	return !r->is_short;
}

void sk_get_bytes(struct sk_reader *r, void *data, size_t len_bytes)
{
	if (r->is_short || len_bytes > r->len_bytes - r->pos_bytes) {
		r->is_short = true;
		memset(data, 0, len_bytes);
		return;
	}
	if (len_bytes)
		memcpy(data, r->buf + r->pos_bytes, len_bytes);
	r->pos_bytes += len_bytes;
}

uint8_t sk_get_u8(struct sk_reader *r)
{
	uint8_t v;

	sk_get_bytes(r, &v, sizeof(v));
	return v;
}

uint16_t sk_get_u16(struct sk_reader *r)
{
	uint16_t v;

	sk_get_bytes(r, &v, sizeof(v));
	return SK_LE16(v);
}

uint32_t sk_get_u32(struct sk_reader *r)
{
	uint32_t v;

	sk_get_bytes(r, &v, sizeof(v));
	return SK_LE32(v);
}

uint64_t sk_get_u64(struct sk_reader *r)
{
	uint64_t v;

	sk_get_bytes(r, &v, sizeof(v));
	return SK_LE64(v);
}
