/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include <skete/base.h>

#include <setjmp.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

static void error_keeps_code_and_sentence(void **state)
{
	struct sk_error err;
	char big[2 * SK_ERROR_MAX];

	(void)state;
	assert_int_equal(sk_error_set(&err, -ENOENT, "cannot open %s", "/x"), -ENOENT);
	assert_int_equal(err.code, -ENOENT);
	assert_string_equal(err.message, "cannot open /x");
	sk_error_prefix(&err, "disk %d", 2);
	assert_string_equal(err.message, "disk 2: cannot open /x");

	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	(void)sk_error_set(&err, -EINVAL, "%s", big);
	assert_int_equal(strlen(err.message), SK_ERROR_MAX - 1);
	sk_error_prefix(&err, "%s", big);
	assert_int_equal(strlen(err.message), SK_ERROR_MAX - 1);
	assert_int_equal(sk_error_set(NULL, -EIO, "nobody listens"), -EIO);
	sk_error_prefix(NULL, "nobody listens");
}

struct heard {
	int count;
	char last[64];
};

static void listen(void *ctx, enum sk_log_level level, const char *message)
{
	struct heard *heard = ctx;

	(void)level;
	heard->count++;
	snprintf(heard->last, sizeof(heard->last), "%s", message);
}

static void log_respects_level_and_silence(void **state)
{
	struct heard heard = {0};
	struct sk_log log = {.emit = listen, .ctx = &heard, .max_level = SK_LOG_INFO};

	(void)state;
	sk_logf(NULL, SK_LOG_ERROR, "nobody listens");
	sk_logf(&log, SK_LOG_DEBUG, "too quiet");
	assert_int_equal(heard.count, 0);
	sk_logf(&log, SK_LOG_INFO, "%d bottles", 99);
	assert_int_equal(heard.count, 1);
	assert_string_equal(heard.last, "99 bottles");
}

static void ranges_do_not_wrap(void **state)
{
	uint64_t out = 7;

	(void)state;
	assert_true(sk_range_fits(0, 16, 16));
	assert_false(sk_range_fits(1, 16, 16));
	assert_false(sk_range_fits(UINT64_MAX, 2, UINT64_MAX));
	assert_true(sk_ranges_overlap(0, 2, 1, 2));
	assert_false(sk_ranges_overlap(0, 2, 2, 2));
	assert_false(sk_ranges_overlap(0, 4, 2, 0));
	assert_true(sk_align_up(4097, 4096, &out));
	assert_int_equal(out, 8192);
	assert_false(sk_align_up(UINT64_MAX, 4096, &out));
	assert_int_equal(out, 8192);
}

static void little_endian_at_any_alignment(void **state)
{
	uint8_t b[16] = {0};

	(void)state;
	sk_store_le32(b + 1, 0x11223344);
	assert_int_equal(b[1], 0x44);
	assert_int_equal(b[4], 0x11);
	assert_int_equal(sk_load_le16(b + 1), 0x3344);
	sk_store_le64(b + 3, UINT64_C(0x0102030405060708));
	assert_true(sk_load_le64(b + 3) == UINT64_C(0x0102030405060708));
}

static void bits(void **state)
{
	uint64_t map[2] = {0};

	(void)state;
	assert_int_equal(sk_bits_words(0), 0);
	assert_int_equal(sk_bits_words(64), 1);
	assert_int_equal(sk_bits_words(65), 2);
	sk_bit_set(map, 63);
	sk_bit_set(map, 64);
	assert_true(sk_bit_test(map, 63) && sk_bit_test(map, 64) && !sk_bit_test(map, 65));
	sk_bit_clear(map, 63);
	assert_int_equal(map[0], 0);
	assert_int_equal(map[1], 1);
}

static void state_round_trip_and_truncation(void **state)
{
	uint8_t buf[32], raw[3] = {9, 8, 7}, back[3];
	struct sk_writer w;
	struct sk_reader r;

	(void)state;
	sk_writer_init(&w, NULL, 0);
	sk_put_u64(&w, 1);
	assert_false(sk_writer_ok(&w));
	assert_int_equal(w.len_bytes, 8);

	sk_writer_init(&w, buf, sizeof(buf));
	sk_put_u8(&w, 1);
	sk_put_u16(&w, 0x0203);
	sk_put_u32(&w, 0x04050607);
	sk_put_u64(&w, UINT64_C(0x08090a0b0c0d0e0f));
	sk_put_bytes(&w, raw, sizeof(raw));
	assert_true(sk_writer_ok(&w));
	assert_int_equal(w.len_bytes, 18);

	sk_reader_init(&r, buf, w.len_bytes);
	assert_int_equal(sk_get_u8(&r), 1);
	assert_int_equal(sk_get_u16(&r), 0x0203);
	assert_int_equal(sk_get_u32(&r), 0x04050607);
	assert_true(sk_get_u64(&r) == UINT64_C(0x08090a0b0c0d0e0f));
	sk_get_bytes(&r, back, sizeof(back));
	assert_memory_equal(raw, back, sizeof(raw));
	assert_true(sk_reader_ok(&r));
	assert_int_equal(sk_get_u8(&r), 0);
	assert_false(sk_reader_ok(&r));

	sk_reader_init(&r, buf, 2);
	assert_int_equal(sk_get_u32(&r), 0);
	assert_int_equal(sk_get_u8(&r), 0);
	assert_false(sk_reader_ok(&r));
}

static void eventfd_counts_and_never_blocks(void **state)
{
	int fd = sk_eventfd_create();

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(sk_eventfd_drain(fd), 0);
	sk_eventfd_signal(fd);
	sk_eventfd_signal(fd);
	assert_int_equal(sk_eventfd_drain(fd), 2);
	errno = 4711;
	sk_eventfd_signal(-1);
	assert_int_equal(errno, 4711);
	sk_close(&fd);
	assert_int_equal(fd, -1);
	sk_close(&fd);
	assert_true(sk_now_ns() > 0);
}

static void libraries_are_found_or_named(void **state)
{
	double (*cosine)(double) = NULL;
	const struct sk_symbol found = {"cos", &cosine}, missing = {"sk_no_such", &cosine};
	struct sk_error err;

	(void)state;
	assert_int_equal(sk_library_load("libm.so.6", "libc6", &found, 1, &err), 0);
	assert_true(cosine(0) == 1);
	assert_int_equal(sk_library_load("libm.so.6", "libc6", &missing, 1, &err), -ENOENT);
	assert_string_equal(err.message, "the library libm.so.6 has no sk_no_such");
	assert_int_equal(sk_library_load("libnone.so.1", "none1", &found, 1, &err), -ENOENT);
	assert_non_null(strstr(err.message, "libnone.so.1 is needed (Debian package none1)"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(error_keeps_code_and_sentence),
		cmocka_unit_test(log_respects_level_and_silence),
		cmocka_unit_test(ranges_do_not_wrap),
		cmocka_unit_test(little_endian_at_any_alignment),
		cmocka_unit_test(bits),
		cmocka_unit_test(state_round_trip_and_truncation),
		cmocka_unit_test(libraries_are_found_or_named),
		cmocka_unit_test(eventfd_counts_and_never_blocks),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
