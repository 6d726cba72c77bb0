/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Declarations, data objects and expressions (ACPI 6.3, sections 20.2.3 and 20.2.5). */
#include "aml_internal.h"

#define OP_NAME	   0x08
#define OP_SCOPE   0x10
#define OP_BUFFER  0x11
#define OP_PACKAGE 0x12
#define OP_METHOD  0x14
#define OP_LOCAL0  0x60
#define OP_ARG0	   0x68
#define OP_IF	   0xa0
#define OP_WHILE   0xa2
#define OP_REGION  0x5b80
#define OP_FIELD   0x5b81
#define OP_DEVICE  0x5b82

void sk_aml_scope_begin(struct sk_aml *a, const char *path)
{
	if (!aml_enter_term(a))
		return;
	aml_put_op(a, OP_SCOPE);
	aml_open(a, AML_KIND_TERMS);
	(void)aml_put_path(a, path);
}

void sk_aml_device_begin(struct sk_aml *a, const char *path)
{
	if (!aml_enter_term(a))
		return;
	aml_put_op(a, OP_DEVICE);
	aml_open(a, AML_KIND_TERMS);
	(void)aml_put_path(a, path);
}

void sk_aml_method_begin(struct sk_aml *a, const char *path, unsigned int nr_args,
			 bool is_serialized)
{
	if (!aml_enter_term(a))
		return;
	if (nr_args > 7) {
		aml_fail(a, -EINVAL, "method %s has %u arguments, more than 7", path, nr_args);
		return;
	}
	aml_put_op(a, OP_METHOD);
	aml_open(a, AML_KIND_TERMS);
	(void)aml_put_path(a, path);
	aml_put_u8(a, (uint8_t)(nr_args | (unsigned int)is_serialized << 3));
}

void sk_aml_if_begin(struct sk_aml *a)
{
	if (!aml_enter_term(a))
		return;
	aml_put_op(a, OP_IF);
	aml_open(a, AML_KIND_IF);
}

void sk_aml_while_begin(struct sk_aml *a)
{
	if (!aml_enter_term(a))
		return;
	aml_put_op(a, OP_WHILE);
	aml_open(a, AML_KIND_TERMS);
}

void sk_aml_package_begin(struct sk_aml *a)
{
	if (!aml_enter_data(a))
		return;
	aml_put_op(a, OP_PACKAGE);
	aml_open(a, AML_KIND_PACKAGE);
}

static void put_int(struct sk_aml *a, uint64_t value)
{
	if (value <= 1) {
		aml_put_u8(a, (uint8_t)value);
	} else if (value <= UINT8_MAX) {
		aml_put_u8(a, 0x0a);
		aml_put_u8(a, (uint8_t)value);
	} else if (value <= UINT16_MAX) {
		aml_put_u8(a, 0x0b);
		aml_put_u16(a, (uint16_t)value);
	} else if (value <= UINT32_MAX) {
		aml_put_u8(a, 0x0c);
		aml_put_u32(a, (uint32_t)value);
	} else {
		aml_put_u8(a, 0x0e);
		aml_put_u64(a, value);
	}
}

void sk_aml_int(struct sk_aml *a, uint64_t value)
{
	if (aml_enter_data(a))
		put_int(a, value);
}

void sk_aml_string(struct sk_aml *a, const char *ascii)
{
	size_t len = strlen(ascii);

	if (!aml_enter_data(a))
		return;
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)ascii[i] > 0x7f) {
			aml_fail(a, -EINVAL, "a string that is not ASCII");
			return;
		}
	}
	aml_put_u8(a, 0x0d);
	aml_put(a, ascii, len + 1);
}

void sk_aml_buffer(struct sk_aml *a, const void *data, size_t len_bytes)
{
	if (!aml_enter_data(a))
		return;
	aml_put_op(a, OP_BUFFER);
	aml_open(a, AML_KIND_TERMS);
	put_int(a, len_bytes);
	aml_put(a, data, len_bytes);
	sk_aml_end(a);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Section 19.3.4: five bits a letter, four a digit, the whole big-endian. */
static bool parse_eisa_id(const char *id, uint32_t *out)
{
	uint32_t v = 0;

	if (strlen(id) != 7)
		return false;
	for (int i = 0; i < 3; i++) {
		if (id[i] < 'A' || id[i] > 'Z')
			return false;
		v = v << 5 | (uint32_t)(id[i] - '@');
	}
	for (int i = 3; i < 7; i++) {
		int digit = hex_digit(id[i]);

		if (digit < 0)
			return false;
		v = v << 4 | (uint32_t)digit;
	}
	*out = __builtin_bswap32(v);
	return true;
}

void sk_aml_eisa_id(struct sk_aml *a, const char *id)
{
	uint32_t v;

	if (!aml_enter_data(a))
		return;
	if (!parse_eisa_id(id, &v)) {
		aml_fail(a, -EINVAL, "'%.32s' is no EISA id: three capital letters, four of 0-9A-F",
			 id);
		return;
	}
	put_int(a, v);
}

void sk_aml_name(struct sk_aml *a, const char *path)
{
	if (!aml_enter_term(a))
		return;
	aml_put_op(a, OP_NAME);
	(void)aml_put_path(a, path);
}

void sk_aml_name_int(struct sk_aml *a, const char *path, uint64_t value)
{
	sk_aml_name(a, path);
	sk_aml_int(a, value);
}

void sk_aml_name_string(struct sk_aml *a, const char *path, const char *ascii)
{
	sk_aml_name(a, path);
	sk_aml_string(a, ascii);
}

void sk_aml_name_eisa_id(struct sk_aml *a, const char *path, const char *id)
{
	sk_aml_name(a, path);
	sk_aml_eisa_id(a, id);
}

void sk_aml_op(struct sk_aml *a, enum sk_aml_op op)
{
	if (aml_enter_term(a))
		aml_put_op(a, op);
}

void sk_aml_arg(struct sk_aml *a, unsigned int index)
{
	if (!aml_enter_term(a))
		return;
	if (index > 6) {
		aml_fail(a, -EINVAL, "there is no Arg%u", index);
		return;
	}
	aml_put_u8(a, (uint8_t)(OP_ARG0 + index));
}

void sk_aml_local(struct sk_aml *a, unsigned int index)
{
	if (!aml_enter_term(a))
		return;
	if (index > 7) {
		aml_fail(a, -EINVAL, "there is no Local%u", index);
		return;
	}
	aml_put_u8(a, (uint8_t)(OP_LOCAL0 + index));
}

void sk_aml_path(struct sk_aml *a, const char *path)
{
	if (aml_enter_data(a))
		(void)aml_put_path(a, path);
}

void sk_aml_no_target(struct sk_aml *a)
{
	if (aml_enter_term(a))
		aml_put_u8(a, 0);
}

void sk_aml_region(struct sk_aml *a, const char *path, enum sk_aml_space space, uint64_t offset,
		   uint64_t len_bytes)
{
	if (!aml_enter_term(a))
		return;
	aml_put_op(a, OP_REGION);
	if (!aml_put_path(a, path))
		return;
	aml_put_u8(a, (uint8_t)space);
	put_int(a, offset);
	put_int(a, len_bytes);
}

void sk_aml_field_begin(struct sk_aml *a, const char *region, enum sk_aml_access access,
			enum sk_aml_update update)
{
	if (!aml_enter_term(a))
		return;
	aml_put_op(a, OP_FIELD);
	aml_open(a, AML_KIND_FIELD);
	(void)aml_put_path(a, region);
	aml_put_u8(a, (uint8_t)((unsigned int)access | (unsigned int)update << 5));
}

static void put_unit_bits(struct sk_aml *a, uint32_t nr_bits)
{
	uint8_t bits[4];
	size_t nr = aml_encode_pkg_value(nr_bits, bits);

	if (!nr)
		aml_fail(a, -EINVAL, "a field unit of %u bits, more than 2^28 - 1", nr_bits);
	aml_put(a, bits, nr);
}

static bool enter_field(struct sk_aml *a)
{
	if (aml_failed(a))
		return false;
	if (a->depth && a->blocks[a->depth - 1].kind == AML_KIND_FIELD)
		return true;
	aml_fail(a, -EINVAL, "a field unit outside a field");
	return false;
}

void sk_aml_field_unit(struct sk_aml *a, const char *segment, uint32_t nr_bits)
{
	if (enter_field(a) && aml_put_segment(a, segment, strlen(segment)))
		put_unit_bits(a, nr_bits);
}

void sk_aml_field_gap(struct sk_aml *a, uint32_t nr_bits)
{
	if (!enter_field(a))
		return;
	aml_put_u8(a, 0);
	put_unit_bits(a, nr_bits);
}
