/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* The parsers of the initial RAM disk: archives built here, and gzip files that zlib makes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "cpio.h"
#include "gunzip.h"

#define ROOM 65536

static uint8_t archive[ROOM], unpacked[1 << 20];
static size_t archive_bytes;

static void pad(void)
{
	while (archive_bytes % 4)
		archive[archive_bytes++] = 0;
}

static void add(const char *name, uint32_t mode, const void *data, uint32_t bytes)
{
	archive_bytes += (size_t)sprintf(
		(char *)archive + archive_bytes,
		"070701%08X%08x%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", 7u, mode, 1u, 2u, 1u,
		1000u, bytes, 8u, 9u, 10u, 11u, (unsigned int)strlen(name) + 1, 0u);
	memcpy(archive + archive_bytes, name, strlen(name) + 1);
	archive_bytes += strlen(name) + 1;
	pad();
	if (bytes)
		memcpy(archive + archive_bytes, data, bytes);
	archive_bytes += bytes;
	pad();
}

static void end(void)
{
	add("TRAILER!!!", 0, NULL, 0);
}

static int setup(void **state)
{
	(void)state;
	memset(archive, 0, sizeof(archive));
	archive_bytes = 0;
	return 0;
}

static void reads_entries(void **state)
{
	struct cpio cpio = {.archive = archive};
	struct cpio_entry e;

	(void)state;
	add(".", 0040755, NULL, 0);
	add("./etc/motd", 0100644, "hello", 5);
	add("/dev/null", 0020666, NULL, 0);
	end();
	cpio.bytes = archive_bytes;
	assert_int_equal(cpio_next(&cpio, &e), 1);
	assert_string_equal(e.name, ".");
	assert_int_equal(e.mode, 0040755);
	assert_int_equal(cpio_next(&cpio, &e), 1);
	assert_string_equal(e.name, "etc/motd");
	assert_int_equal(e.name_bytes, 8);
	assert_int_equal(e.data_bytes, 5);
	assert_memory_equal(e.data, "hello", 5);
	assert_int_equal(e.inode, 7);
	assert_int_equal(e.uid, 1);
	assert_int_equal(e.gid, 2);
	assert_int_equal(e.mtime, 1000);
	assert_int_equal(cpio_next(&cpio, &e), 1);
	assert_string_equal(e.name, "dev/null");
	assert_int_equal(e.device_major, 8);
	assert_int_equal(e.device_minor, 9);
	assert_int_equal(e.node_major, 10);
	assert_int_equal(e.node_minor, 11);
	assert_int_equal(cpio_next(&cpio, &e), 0);
	assert_int_equal(cpio_next(&cpio, &e), 0);
}

static void reads_archives_in_a_row(void **state)
{
	struct cpio cpio = {.archive = archive};
	struct cpio_entry e;

	(void)state;
	add("one", 0100644, "1", 1);
	end();
	archive_bytes += 512;
	add("two", 0100644, "2", 1);
	cpio.bytes = archive_bytes; /* and without a trailer */
	assert_int_equal(cpio_next(&cpio, &e), 1);
	assert_string_equal(e.name, "one");
	assert_int_equal(cpio_next(&cpio, &e), 1);
	assert_string_equal(e.name, "two");
	assert_int_equal(cpio_next(&cpio, &e), 0);
}

static void refuse(const char *what)
{
	struct cpio cpio = {.archive = archive, .bytes = archive_bytes};
	struct cpio_entry e;
	int ret;

	while ((ret = cpio_next(&cpio, &e)) > 0)
		;
	if (ret != -EINVAL)
		fail_msg("%s: %d", what, ret);
}

static void refuses_what_is_damaged(void **state)
{
	static const char *const names[] = {"..", "../x", "a/../../x", "a/.."};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		setup(state);
		add(names[i], 0100644, NULL, 0);
		refuse(names[i]);
	}
	setup(state);
	add("file", 0100644, "data", 4);
	archive_bytes -= 4;
	refuse("contents beyond the end");
	archive_bytes = 100;
	refuse("header beyond the end");
	setup(state);
	add("file", 0100644, "data", 4);
	memcpy(archive + 54, "FFFFFFFF", 8);
	refuse("size beyond everything");
	setup(state);
	add("file", 0100644, "data", 4);
	memcpy(archive + 94, "FFFFFFFF", 8);
	refuse("name beyond everything");
	memcpy(archive + 94, "00000000", 8);
	refuse("no name");
	memcpy(archive + 94, "00000004", 8);
	refuse("a name without end");
	memcpy(archive + 94, "0000000g", 8);
	refuse("no number");
	archive[5] = '7';
	refuse("another magic");
}

static size_t pack(const uint8_t *in, size_t bytes, uint8_t *out, size_t room, int level, int how)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)in,
		      .avail_in = (uInt)bytes,
		      .next_out = out,
		      .avail_out = (uInt)room};

	assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, 15 + 16, 9, how), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return z.total_out;
}

/* Some of it repeats, some does not. */
static void make_text(uint8_t *text, size_t bytes)
{
	unsigned int seed = 1;

	for (size_t i = 0; i < bytes; i++)
		text[i] = i % 1000 < 300 ? (uint8_t)rand_r(&seed) : (uint8_t) "abcdefgh"[i % 8];
}

static void unpacks_what_zlib_packs(void **state)
{
	static const int hows[] = {Z_DEFAULT_STRATEGY, Z_HUFFMAN_ONLY, Z_RLE, Z_FIXED};
	size_t bytes = 300000, room = 400000;
	uint8_t *text = malloc(bytes), *packed = malloc(room);

	(void)state;
	make_text(text, bytes);
	for (int level = 0; level <= 9; level += 3) {
		for (int how = 0; how < 4; how++) {
			size_t n = pack(text, bytes, packed, room, level, hows[how]);

			memset(packed + n, 0, 100);
			assert_int_equal(gunzip(packed, n + 100, unpacked, sizeof(unpacked)),
					 bytes);
			assert_memory_equal(unpacked, text, bytes);
			assert_int_equal(gunzip(packed, n, unpacked, bytes - 1), -ENOSPC);
		}
	}
	/* Nothing at all; and two members, one behind the other. */
	size_t first = pack(text, 0, packed, room, 6, Z_DEFAULT_STRATEGY);

	assert_int_equal(gunzip(packed, first, unpacked, 0), 0);
	first = pack(text, 1000, packed, room, 6, Z_DEFAULT_STRATEGY);
	first += pack(text + 1000, 500, packed + first, room - first, 0, Z_DEFAULT_STRATEGY);
	assert_int_equal(gunzip(packed, first, unpacked, sizeof(unpacked)), 1500);
	assert_memory_equal(unpacked, text, 1500);
	free(text);
	free(packed);
}

static void skips_what_headers_hold(void **state)
{
	static const uint8_t extra[] = {3, 0, 1, 2, 3};
	uint8_t plain[64], packed[128];
	size_t n = pack((const uint8_t *)"text", 4, plain, sizeof(plain), 6, Z_DEFAULT_STRATEGY),
	       at;

	(void)state;
	memcpy(packed, plain, 10);
	packed[3] = 2 | 4 | 8 | 16; /* checksum, extra field, name, comment */
	memcpy(packed + 10, extra, 5);
	memcpy(packed + 15, "name\0comment\0..", 15);
	at = 30;
	memcpy(packed + at, plain + 10, n - 10);
	assert_int_equal(gunzip(packed, at + n - 10, unpacked, sizeof(unpacked)), 4);
	assert_memory_equal(unpacked, "text", 4);
	for (size_t cut = 0; cut < at + n - 10; cut++)
		assert_int_equal(gunzip(packed, cut, unpacked, sizeof(unpacked)), -EINVAL);
}

/* A change anywhere is found, by the checksum if by nothing else; and nothing is read beyond. */
static void notices_every_change(void **state)
{
	uint8_t text[600], packed[1024];
	size_t n;
	long got;

	(void)state;
	make_text(text, sizeof(text));
	n = pack(text, sizeof(text), packed, sizeof(packed), 9, Z_DEFAULT_STRATEGY);
	for (size_t i = 0; i < n * 8; i++) {
		uint8_t *exact = malloc(n);

		memcpy(exact, packed, n);
		exact[i / 8] ^= (uint8_t)(1 << i % 8);
		got = gunzip(exact, n, unpacked, sizeof(text));
		/* Header fields and the bits behind the last code do not matter. */
		assert_true(got < 0 || !memcmp(unpacked, text, sizeof(text)));
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(reads_entries, setup),
		cmocka_unit_test_setup(reads_archives_in_a_row, setup),
		cmocka_unit_test_setup(refuses_what_is_damaged, setup),
		cmocka_unit_test(unpacks_what_zlib_packs),
		cmocka_unit_test(skips_what_headers_hold),
		cmocka_unit_test(notices_every_change),
	};

	return cmocka_run_group_tests_name("initrd", tests, NULL, NULL);
}
