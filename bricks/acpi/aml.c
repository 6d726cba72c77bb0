/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The AML builder's ground: the growing buffer, blocks with their package lengths, names (ACPI 6.3,
 * sections 20.2.2 and 20.2.4). A package length is as short as it can be, so it can only be written
 * when the block is closed: the contents then move up to make room for it.
 */
#include "aml_internal.h"

#include <stdio.h>

#define OP_ELSE		 0xa1
#define OP_BUFFER	 0x11
#define RESOURCE_END_TAG 0x79
#define FIRST_BYTES	 256

void sk_aml_init(struct sk_aml *a, size_t max_bytes)
{
	memset(a, 0, sizeof(*a));
	a->max_bytes = SK_MIN(max_bytes, (size_t)AML_PKG_LENGTH_MAX);
}

void sk_aml_fini(struct sk_aml *a)
{
	free(a->buf);
	memset(a, 0, sizeof(*a));
}

int sk_aml_check(const struct sk_aml *a, struct sk_error *err)
{
	if (a->error.code)
		return sk_error_set(err, a->error.code, "%s", a->error.message);
	if (a->depth)
		return sk_error_set(err, -EINVAL, "AML: %u blocks are still open at the end",
				    a->depth);
	return 0;
}

void aml_fail(struct sk_aml *a, int code, const char *fmt, ...)
{
	char sentence[SK_ERROR_MAX];
	va_list ap;

	if (aml_failed(a))
		return;
	va_start(ap, fmt);
	vsnprintf(sentence, sizeof(sentence), fmt, ap);
	va_end(ap);
	(void)sk_error_set(&a->error, code, "AML at offset %zu: %s", a->len_bytes, sentence);
}

static bool reserve(struct sk_aml *a, size_t more)
{
	size_t cap = a->cap_bytes;
	uint8_t *buf;

	if (aml_failed(a))
		return false;
	if (more > a->max_bytes - a->len_bytes) {
		aml_fail(a, -ENOSPC, "it is longer than the %zu bytes that it may have",
			 a->max_bytes);
		return false;
	}
	if (more <= cap - a->len_bytes)
		return true;
	cap = SK_MAX(cap ? 2 * cap : FIRST_BYTES, a->len_bytes + more);
	cap = SK_MIN(cap, a->max_bytes);
	buf = realloc(a->buf, cap);
	if (!buf) {
		aml_fail(a, -ENOMEM, "no memory for %zu bytes", cap);
		return false;
	}
	a->buf = buf;
	a->cap_bytes = cap;
	return true;
}

void aml_put(struct sk_aml *a, const void *data, size_t len_bytes)
{
	if (!len_bytes || !reserve(a, len_bytes))
		return;
	memcpy(a->buf + a->len_bytes, data, len_bytes);
	a->len_bytes += len_bytes;
}

void aml_put_u8(struct sk_aml *a, uint8_t v)
{
	aml_put(a, &v, sizeof(v));
}

void aml_put_u16(struct sk_aml *a, uint16_t v)
{
	v = SK_LE16(v);
	aml_put(a, &v, sizeof(v));
}

void aml_put_u32(struct sk_aml *a, uint32_t v)
{
	v = SK_LE32(v);
	aml_put(a, &v, sizeof(v));
}

void aml_put_u64(struct sk_aml *a, uint64_t v)
{
	v = SK_LE64(v);
	aml_put(a, &v, sizeof(v));
}

void aml_put_op(struct sk_aml *a, unsigned int op)
{
	if (op > 0xff)
		aml_put_u8(a, (uint8_t)(op >> 8));
	aml_put_u8(a, (uint8_t)op);
}

/* Puts @len_bytes in at @at, in front of what stands there. */
static bool insert(struct sk_aml *a, size_t at, const void *data, size_t len_bytes)
{
	if (!reserve(a, len_bytes))
		return false;
	memmove(a->buf + at + len_bytes, a->buf + at, a->len_bytes - at);
	memcpy(a->buf + at, data, len_bytes);
	a->len_bytes += len_bytes;
	return true;
}

size_t aml_encode_pkg_value(uint64_t value, uint8_t out[4])
{
	size_t nr_more = 1;

	if (value > AML_PKG_LENGTH_MAX)
		return 0;
	if (value < 64) {
		out[0] = (uint8_t)value;
		return 1;
	}
	while (value >> (4 + 8 * nr_more))
		nr_more++;
	out[0] = (uint8_t)(nr_more << 6 | (value & 15));
	for (size_t i = 0; i < nr_more; i++)
		out[1 + i] = (uint8_t)(value >> (4 + 8 * i));
	return 1 + nr_more;
}

size_t aml_encode_pkg_length(uint64_t len_bytes, uint8_t out[4])
{
	/* One byte holds a length only below 64, although two bytes could hold less than that. */
	for (size_t size = 1; size <= 4; size++) {
		if (aml_encode_pkg_value(len_bytes + size, out) == size)
			return size;
	}
	return 0;
}

static struct sk_aml_block *innermost(struct sk_aml *a)
{
	return a->depth ? &a->blocks[a->depth - 1] : NULL;
}

static bool has_kind(struct sk_aml *a, enum aml_kind kind)
{
	const struct sk_aml_block *block = innermost(a);

	return block && block->kind == kind;
}

bool aml_enter_term(struct sk_aml *a)
{
	const struct sk_aml_block *block = innermost(a);

	a->may_else = false;
	if (aml_failed(a))
		return false;
	if (!block || block->kind == AML_KIND_TERMS || block->kind == AML_KIND_IF)
		return true;
	aml_fail(a, -EINVAL, "a term in a package, a field or a resource template");
	return false;
}

bool aml_enter_data(struct sk_aml *a)
{
	struct sk_aml_block *block = innermost(a);

	if (!has_kind(a, AML_KIND_PACKAGE))
		return aml_enter_term(a);
	a->may_else = false;
	if (aml_failed(a))
		return false;
	if (block->nr_elements == 255) {
		aml_fail(a, -EINVAL, "a package has more than 255 elements");
		return false;
	}
	block->nr_elements++;
	return true;
}

bool aml_enter_resource(struct sk_aml *a)
{
	if (aml_failed(a))
		return false;
	if (has_kind(a, AML_KIND_RESOURCES))
		return true;
	aml_fail(a, -EINVAL, "a resource descriptor outside a resource template");
	return false;
}

void aml_open(struct sk_aml *a, enum aml_kind kind)
{
	if (aml_failed(a))
		return;
	if (a->depth == SK_AML_MAX_DEPTH) {
		aml_fail(a, -EINVAL, "blocks are nested more than %d deep", SK_AML_MAX_DEPTH);
		return;
	}
	a->blocks[a->depth++] = (struct sk_aml_block){.start = a->len_bytes, .kind = (uint8_t)kind};
}

/* The end tag, whose checksum of 0 says "not computed", and in front of it all the size. */
static bool close_resources(struct sk_aml *a, size_t start)
{
	const uint8_t end_tag[] = {RESOURCE_END_TAG, 0};
	uint8_t size[5];
	size_t len, nr;

	aml_put(a, end_tag, sizeof(end_tag));
	len = a->len_bytes - start;
	if (len <= 0xff) {
		size[0] = 0x0a;
		size[1] = (uint8_t)len;
		nr = 2;
	} else if (len <= 0xffff) {
		size[0] = 0x0b;
		sk_store_le16(size + 1, (uint16_t)len);
		nr = 3;
	} else {
		size[0] = 0x0c;
		sk_store_le32(size + 1, (uint32_t)len);
		nr = 5;
	}
	return insert(a, start, size, nr);
}

void sk_aml_end(struct sk_aml *a)
{
	struct sk_aml_block block;
	uint8_t pkg_length[4], nr_elements;
	size_t nr;

	if (aml_failed(a))
		return;
	if (!a->depth) {
		aml_fail(a, -EINVAL, "an end without a block");
		return;
	}
	block = a->blocks[--a->depth];
	nr_elements = (uint8_t)block.nr_elements;
	if (block.kind == AML_KIND_RESOURCES && !close_resources(a, block.start))
		return;
	if (block.kind == AML_KIND_PACKAGE && !insert(a, block.start, &nr_elements, 1))
		return;
	nr = aml_encode_pkg_length(a->len_bytes - block.start, pkg_length);
	if (!nr) {
		aml_fail(a, -ENOSPC, "a block is longer than a package length can say");
		return;
	}
	a->may_else = insert(a, block.start, pkg_length, nr) && block.kind == AML_KIND_IF;
}

void sk_aml_else_begin(struct sk_aml *a)
{
	if (!aml_failed(a) && !a->may_else)
		aml_fail(a, -EINVAL, "an Else that does not follow an If");
	if (!aml_enter_term(a))
		return;
	aml_put_u8(a, OP_ELSE);
	aml_open(a, AML_KIND_TERMS);
}

void sk_aml_resources_begin(struct sk_aml *a)
{
	if (!aml_enter_data(a))
		return;
	aml_put_u8(a, OP_BUFFER);
	aml_open(a, AML_KIND_RESOURCES);
}

static bool is_lead(char c)
{
	return (c >= 'A' && c <= 'Z') || c == '_';
}

bool aml_put_segment(struct sk_aml *a, const char *segment, size_t len)
{
	char padded[4] = {'_', '_', '_', '_'};
	bool is_good = len >= 1 && len <= sizeof(padded) && is_lead(segment[0]);

	for (size_t i = 0; is_good && i < len; i++) {
		is_good = is_lead(segment[i]) || (segment[i] >= '0' && segment[i] <= '9');
		padded[i] = segment[i];
	}
	if (!is_good) {
		aml_fail(a, -EINVAL,
			 "'%.*s' is no name: 1 to 4 of A-Z, 0-9 and _, the first no digit",
			 (int)SK_MIN(len, (size_t)64), segment);
		return false;
	}
	aml_put(a, padded, sizeof(padded));
	return !aml_failed(a);
}

bool aml_put_path(struct sk_aml *a, const char *path)
{
	size_t nr = 1;

	if (!*path) {
		aml_fail(a, -EINVAL, "a name is empty");
		return false;
	}
	if (*path == '\\') {
		aml_put_u8(a, (uint8_t)*path++);
	} else {
		while (*path == '^')
			aml_put_u8(a, (uint8_t)*path++);
	}
	if (!*path) {
		aml_put_u8(a, 0);
		return !aml_failed(a);
	}
	for (const char *p = path; *p; p++)
		nr += *p == '.';
	if (nr > 255) {
		aml_fail(a, -EINVAL, "a path has more than 255 segments");
		return false;
	}
	if (nr == 2)
		aml_put_u8(a, 0x2e);
	if (nr > 2) {
		aml_put_u8(a, 0x2f);
		aml_put_u8(a, (uint8_t)nr);
	}
	for (;;) {
		size_t len = strcspn(path, ".");

		if (!aml_put_segment(a, path, len) || !path[len])
			return !aml_failed(a);
		path += len + 1;
	}
}
