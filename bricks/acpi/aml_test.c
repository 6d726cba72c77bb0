/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include "aml_internal.h"

#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

#define MAX_BYTES (4 * SK_MIB)

static void assert_aml(struct sk_aml *a, const void *want, size_t len)
{
	struct sk_error err = {0};

	assert_int_equal(sk_aml_check(a, &err), 0);
	assert_int_equal(a->len_bytes, len);
	assert_memory_equal(a->buf, want, len);
	sk_aml_fini(a);
	sk_aml_init(a, MAX_BYTES);
}

#define ASSERT_AML(a, ...)                             \
	do {                                           \
		const uint8_t want_[] = {__VA_ARGS__}; \
		assert_aml(a, want_, sizeof(want_));   \
	} while (0)

static void assert_fails(struct sk_aml *a, int code, const char *why)
{
	struct sk_error err = {0};

	assert_int_equal(sk_aml_check(a, &err), code);
	assert_int_equal(err.code, code);
	assert_non_null(strstr(err.message, why));
	sk_aml_fini(a);
	sk_aml_init(a, MAX_BYTES);
}

/* Decodes a PkgLength as section 20.2.4 says; returns its size. */
static size_t decode(const uint8_t *p, uint32_t *value)
{
	size_t nr_more = p[0] >> 6;

	*value = nr_more ? p[0] & 15 : p[0] & 63;
	for (size_t i = 0; i < nr_more; i++)
		*value |= (uint32_t)p[1 + i] << (4 + 8 * i);
	return 1 + nr_more;
}

static void package_lengths_at_every_boundary(void **state)
{
	static const uint64_t edges[] = {0,
					 61,
					 62,
					 63,
					 64,
					 4092,
					 4093,
					 4094,
					 4095,
					 4096,
					 (1 << 20) - 4,
					 (1 << 20) - 3,
					 (1 << 20) - 1,
					 1 << 20,
					 AML_PKG_LENGTH_MAX - 5,
					 AML_PKG_LENGTH_MAX - 4};
	uint8_t p[4];
	uint32_t value;

	(void)state;
	for (size_t i = 0; i < SK_ARRAY_SIZE(edges); i++) {
		size_t size = aml_encode_pkg_length(edges[i], p);

		assert_in_range(size, 1, 4);
		assert_int_equal(decode(p, &value), size);
		assert_int_equal(value, edges[i] + size);
		if (size > 1)
			assert_int_equal(p[0] & 0x30, 0);
		/* One byte less would not do. */
		if (size > 1)
			assert_true(edges[i] + size - 1 >=
				    UINT64_C(1) << (size == 2 ? 6 : 8 * size - 12));
	}
	assert_int_equal(aml_encode_pkg_length(62, p), 1);
	assert_int_equal(aml_encode_pkg_length(63, p), 2);
	assert_int_equal(aml_encode_pkg_length(4093, p), 2);
	assert_int_equal(aml_encode_pkg_length(4094, p), 3);
	assert_int_equal(aml_encode_pkg_length((1 << 20) - 4, p), 3);
	assert_int_equal(aml_encode_pkg_length((1 << 20) - 3, p), 4);
	assert_int_equal(aml_encode_pkg_length(AML_PKG_LENGTH_MAX - 3, p), 0);
	assert_int_equal(aml_encode_pkg_length(UINT64_MAX - 4, p), 0);
	assert_int_equal(aml_encode_pkg_value(63, p), 1);
	assert_int_equal(aml_encode_pkg_value(64, p), 2);
	assert_int_equal(aml_encode_pkg_value(AML_PKG_LENGTH_MAX, p), 4);
	assert_int_equal(aml_encode_pkg_value((uint64_t)AML_PKG_LENGTH_MAX + 1, p), 0);
}

static void package_lengths_of_all_small_sizes(void **state)
{
	uint8_t p[4];
	uint32_t value;

	(void)state;
	for (uint64_t len = 0; len < 70000; len++) {
		size_t size = aml_encode_pkg_length(len, p);

		if (decode(p, &value) != size || value != len + size)
			fail_msg("a length of %llu", (unsigned long long)len);
	}
}

/* Nested blocks around a buffer of growing size: each must end exactly where the next begins. */
static void blocks_end_where_they_say(void **state)
{
	static const size_t sizes[] = {
		0,  1,	40,   45,   50,	  55,	57,   58,   59,	     60,
		63, 64, 4070, 4080, 4085, 4090, 4095, 4096, 1 << 20, (1 << 20) + 20};
	uint8_t *zeroes = calloc(1, 2 << 20);
	struct sk_aml a;

	(void)state;
	assert_non_null(zeroes);
	for (size_t i = 0; i < SK_ARRAY_SIZE(sizes); i++) {
		uint32_t scope, device;
		size_t at = 1;

		sk_aml_init(&a, MAX_BYTES);
		sk_aml_scope_begin(&a, "\\_SB");
		sk_aml_device_begin(&a, "DEV0");
		sk_aml_name(&a, "BUF0");
		sk_aml_buffer(&a, zeroes, sizes[i]);
		sk_aml_end(&a);
		sk_aml_end(&a);
		assert_int_equal(sk_aml_check(&a, NULL), 0);
		assert_int_equal(a.buf[0], 0x10);
		assert_true(decode(a.buf + at, &scope) >= 1);
		assert_int_equal(scope, a.len_bytes - 1);
		at += decode(a.buf + at, &scope);
		assert_memory_equal(a.buf + at, "\\_SB_\x5b\x82", 7);
		at += 7;
		assert_true(decode(a.buf + at, &device) >= 1);
		assert_int_equal(device, a.len_bytes - at);
		sk_aml_fini(&a);
	}
	free(zeroes);
}

static void names(void **state)
{
	struct sk_aml a;
	char path[256 * 2 + 1] = "A";

	(void)state;
	sk_aml_init(&a, MAX_BYTES);
	sk_aml_path(&a, "A");
	ASSERT_AML(&a, 'A', '_', '_', '_');
	sk_aml_path(&a, "\\");
	ASSERT_AML(&a, '\\', 0);
	sk_aml_path(&a, "\\_SB.PCI0");
	ASSERT_AML(&a, '\\', 0x2e, '_', 'S', 'B', '_', 'P', 'C', 'I', '0');
	sk_aml_path(&a, "^^A.B.C9");
	ASSERT_AML(&a, '^', '^', 0x2f, 3, 'A', '_', '_', '_', 'B', '_', '_', '_', 'C', '9', '_',
		   '_');

	static const char *const bad[] = {"",	  "0ABC", "abcd", "ABCDE", "A..B", "A.",   ".A",
					  "\\.A", "^\\A", "\\^A", "A B",   "A^",   "\xc3", "A\\"};
	for (size_t i = 0; i < SK_ARRAY_SIZE(bad); i++) {
		sk_aml_path(&a, bad[i]);
		assert_fails(&a, -EINVAL, "name");
	}
	for (int i = 1; i < 255; i++)
		strcat(path, ".A");
	sk_aml_path(&a, path);
	assert_int_equal(sk_aml_check(&a, NULL), 0);
	assert_int_equal(a.len_bytes, 2 + 255 * 4);
	strcat(path, ".A");
	sk_aml_path(&a, path);
	assert_fails(&a, -EINVAL, "255 segments");
	sk_aml_fini(&a);
}

static void data_objects(void **state)
{
	struct sk_aml a;

	(void)state;
	sk_aml_init(&a, MAX_BYTES);
	sk_aml_int(&a, 0);
	sk_aml_int(&a, 1);
	sk_aml_int(&a, 2);
	sk_aml_int(&a, 255);
	sk_aml_int(&a, 256);
	sk_aml_int(&a, 65536);
	sk_aml_int(&a, UINT64_C(1) << 32);
	ASSERT_AML(&a, 0, 1, 0x0a, 2, 0x0a, 255, 0x0b, 0, 1, 0x0c, 0, 0, 1, 0, 0x0e, 0, 0, 0, 0, 1,
		   0, 0, 0);
	sk_aml_string(&a, "hi");
	sk_aml_eisa_id(&a, "PNP0A03");
	sk_aml_buffer(&a, "\x7f", 1);
	ASSERT_AML(&a, 0x0d, 'h', 'i', 0, 0x0c, 0x41, 0xd0, 0x0a, 0x03, 0x11, 3, 1, 0x7f);
	sk_aml_package_begin(&a);
	sk_aml_int(&a, 5);
	sk_aml_package_begin(&a);
	sk_aml_end(&a);
	sk_aml_string(&a, "");
	sk_aml_path(&a, "ABCD");
	sk_aml_end(&a);
	ASSERT_AML(&a, 0x12, 13, 4, 0x0a, 5, 0x12, 2, 0, 0x0d, 0, 'A', 'B', 'C', 'D');

	sk_aml_string(&a, "gr\xfc\xdf");
	assert_fails(&a, -EINVAL, "ASCII");
	static const char *const bad[] = {"",	     "PNP050",	"PNP05011",
					  "pnp0501", "PNP05g1", "P@P0501"};
	for (size_t i = 0; i < SK_ARRAY_SIZE(bad); i++) {
		sk_aml_eisa_id(&a, bad[i]);
		assert_fails(&a, -EINVAL, "EISA");
	}
	sk_aml_package_begin(&a);
	for (int i = 0; i < 256; i++)
		sk_aml_int(&a, 0);
	assert_fails(&a, -EINVAL, "255 elements");
	sk_aml_fini(&a);
}

static void terms(void **state)
{
	struct sk_aml a;

	(void)state;
	sk_aml_init(&a, MAX_BYTES);
	sk_aml_method_begin(&a, "M", 2, true);
	sk_aml_if_begin(&a);
	sk_aml_op(&a, SK_AML_LNOT_EQUAL);
	sk_aml_arg(&a, 1);
	sk_aml_local(&a, 7);
	sk_aml_op(&a, SK_AML_SLEEP);
	sk_aml_int(&a, 9);
	sk_aml_end(&a);
	sk_aml_else_begin(&a);
	sk_aml_op(&a, SK_AML_RETURN);
	sk_aml_int(&a, 0);
	sk_aml_end(&a);
	sk_aml_end(&a);
	ASSERT_AML(&a, 0x14, 20, 'M', '_', '_', '_', 2 | 8, 0xa0, 9, 0x92, 0x93, 0x69, 0x67, 0x5b,
		   0x22, 0x0a, 9, 0xa1, 3, 0xa4, 0);
	sk_aml_region(&a, "R", SK_AML_IO, 0x600, 4);
	sk_aml_field_begin(&a, "R", SK_AML_BYTE, SK_AML_WRITE_ZEROES);
	sk_aml_field_unit(&a, "F", 8);
	sk_aml_field_gap(&a, 100);
	sk_aml_end(&a);
	ASSERT_AML(&a, 0x5b, 0x80, 'R', '_', '_', '_', 1, 0x0b, 0, 6, 0x0a, 4, 0x5b, 0x81, 14, 'R',
		   '_', '_', '_', 0x41, 'F', '_', '_', '_', 8, 0, 0x44, 6);
	sk_aml_fini(&a);
}

static void resources(void **state)
{
	struct sk_aml a;

	(void)state;
	sk_aml_init(&a, MAX_BYTES);
	sk_aml_resources_begin(&a);
	sk_aml_io(&a, 0x3f8, 8);
	sk_aml_irq_no_flags(&a, 4);
	sk_aml_interrupt(&a, 16, SK_AML_EDGE);
	sk_aml_end(&a);
	ASSERT_AML(&a, 0x11, 25, 0x0a, 22, 0x47, 1, 0xf8, 3, 0xf8, 3, 1, 8, 0x22, 0x10, 0, 0x89, 6,
		   0, 3, 1, 16, 0, 0, 0, 0x79, 0);
	sk_aml_resources_begin(&a);
	sk_aml_memory32(&a, 0xd0000000, 0x1000);
	sk_aml_word_bus_number(&a, 0, 255);
	sk_aml_end(&a);
	ASSERT_AML(&a, 0x11, 33, 0x0a, 30, 0x86, 9, 0, 1, 0, 0, 0, 0xd0, 0, 0x10, 0, 0, 0x88, 13, 0,
		   2, 0x0c, 0, 0, 0, 0, 0, 255, 0, 0, 0, 0, 1, 0x79, 0);

	static const struct {
		uint64_t min, max;
	} bad[] = {{2, 1}, {0, UINT64_MAX}};
	for (size_t i = 0; i < SK_ARRAY_SIZE(bad); i++) {
		sk_aml_resources_begin(&a);
		sk_aml_qword_memory(&a, SK_AML_PRODUCER, bad[i].min, bad[i].max);
		assert_fails(&a, -EINVAL, "window");
	}
	sk_aml_resources_begin(&a);
	sk_aml_dword_memory(&a, SK_AML_PRODUCER, 0, UINT32_MAX);
	assert_fails(&a, -EINVAL, "window");
	sk_aml_resources_begin(&a);
	sk_aml_irq_no_flags(&a, 16);
	assert_fails(&a, -EINVAL, "IRQ 16");
	sk_aml_resources_begin(&a);
	sk_aml_io(&a, 0xfffc, 8);
	assert_fails(&a, -EINVAL, "beyond");
	sk_aml_resources_begin(&a);
	sk_aml_memory32(&a, 0xfffff000, 0x2000);
	assert_fails(&a, -EINVAL, "4 GiB");
	sk_aml_fini(&a);
}

static void things_in_the_wrong_place(void **state)
{
	struct sk_aml a;

	(void)state;
	sk_aml_init(&a, MAX_BYTES);
	sk_aml_end(&a);
	assert_fails(&a, -EINVAL, "without a block");
	sk_aml_device_begin(&a, "A");
	assert_fails(&a, -EINVAL, "open");
	sk_aml_io(&a, 0x60, 1);
	assert_fails(&a, -EINVAL, "outside");
	sk_aml_field_unit(&a, "A", 1);
	assert_fails(&a, -EINVAL, "outside");
	sk_aml_resources_begin(&a);
	sk_aml_int(&a, 1);
	assert_fails(&a, -EINVAL, "resource template");
	sk_aml_package_begin(&a);
	sk_aml_name(&a, "A");
	assert_fails(&a, -EINVAL, "package");
	sk_aml_else_begin(&a);
	assert_fails(&a, -EINVAL, "Else");
	sk_aml_if_begin(&a);
	sk_aml_end(&a);
	sk_aml_op(&a, SK_AML_BREAK);
	sk_aml_else_begin(&a);
	assert_fails(&a, -EINVAL, "Else");
	sk_aml_arg(&a, 7);
	assert_fails(&a, -EINVAL, "Arg7");
	sk_aml_local(&a, 8);
	assert_fails(&a, -EINVAL, "Local8");
	sk_aml_method_begin(&a, "A", 8, false);
	assert_fails(&a, -EINVAL, "8 arguments");
	sk_aml_field_begin(&a, "A", SK_AML_ANY, SK_AML_PRESERVE);
	sk_aml_field_unit(&a, "A", AML_PKG_LENGTH_MAX + 1);
	assert_fails(&a, -EINVAL, "2^28");
	for (int i = 0; i <= SK_AML_MAX_DEPTH; i++)
		sk_aml_if_begin(&a);
	assert_fails(&a, -EINVAL, "deep");
	sk_aml_fini(&a);
}

static void the_first_error_sticks(void **state)
{
	struct sk_error err;
	struct sk_aml a;

	(void)state;
	sk_aml_init(&a, 8);
	sk_aml_int(&a, 255);
	sk_aml_path(&a, "A");
	sk_aml_buffer(&a, "four", 4);
	sk_aml_path(&a, "bad name");
	sk_aml_end(&a);
	assert_int_equal(sk_aml_check(&a, &err), -ENOSPC);
	assert_non_null(strstr(err.message, "8 bytes"));
	assert_true(a.len_bytes <= 8);
	sk_aml_fini(&a);
	sk_aml_fini(&a);
}

/* A machine-made mess of calls never writes out of bounds and is either refused or well nested. */
static void random_calls(void **state)
{
	uint64_t x = 88172645463325252ULL;
	struct sk_aml a;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		sk_aml_init(&a, round % 300);
		for (int i = 0; i < 40; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			switch (x % 11) {
			case 0:
				sk_aml_scope_begin(&a, "\\_SB");
				break;
			case 1:
				sk_aml_package_begin(&a);
				break;
			case 2:
				sk_aml_resources_begin(&a);
				break;
			case 3:
				sk_aml_if_begin(&a);
				break;
			case 4:
				sk_aml_int(&a, x >> (x >> 8 & 63));
				break;
			case 5:
				sk_aml_buffer(&a, &x, x >> 16 & 7);
				break;
			case 6:
				sk_aml_io(&a, (uint16_t)x, 1);
				break;
			default:
				sk_aml_end(&a);
			}
			assert_true(a.len_bytes <= (size_t)(round % 300));
			assert_true(a.depth <= SK_AML_MAX_DEPTH);
		}
		while (!a.error.code && a.depth)
			sk_aml_end(&a);
		assert_int_equal(sk_aml_check(&a, NULL), a.error.code);
		sk_aml_fini(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(package_lengths_at_every_boundary),
		cmocka_unit_test(package_lengths_of_all_small_sizes),
		cmocka_unit_test(blocks_end_where_they_say),
		cmocka_unit_test(names),
		cmocka_unit_test(data_objects),
		cmocka_unit_test(terms),
		cmocka_unit_test(resources),
		cmocka_unit_test(things_in_the_wrong_place),
		cmocka_unit_test(the_first_error_sticks),
		cmocka_unit_test(random_calls),
	};

	return cmocka_run_group_tests_name("aml", tests, NULL, NULL);
}
