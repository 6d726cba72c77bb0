/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The decompressors, fed with good and damaged payloads. */
#include "test_world.h"

#include "loader_internal.h"

#define PLAIN 50000

struct packed {
	uint8_t plain[PLAIN];
	uint8_t bytes[64 * 1024];
	size_t len_bytes;
};

static void make(struct packed *p, enum packing packing)
{
	size_t i;

	for (i = 0; i < PLAIN; i++)
		p->plain[i] = pattern_at(i * i >> 3);
	p->len_bytes = pack(packing, p->plain, PLAIN, p->bytes, sizeof(p->bytes));
}

static void expect_failure(const uint8_t *bytes, size_t len_bytes, int code, const char *text)
{
	/* An exact allocation, so that the address sanitizer sees a read beyond its end. */
	uint8_t *copy = malloc(len_bytes), *out;
	struct sk_error err;
	size_t out_bytes;

	memcpy(copy, bytes, len_bytes);
	assert_int_equal(sk_loader_unpack(copy, len_bytes, SK_MIB, &out, &out_bytes, &err), code);
	if (!strstr(err.message, text))
		fail_msg("wanted \"%s\": %s", text, err.message);
	free(copy);
}

static void round_trip(void **state)
{
	static struct packed p;
	struct sk_error err;
	size_t out_bytes;
	uint8_t *out;
	int packing;

	(void)state;
	for (packing = PACK_LZ4; packing <= PACK_XZ; packing++) {
		make(&p, packing);
		assert_int_equal(
			sk_loader_unpack(p.bytes, p.len_bytes, PLAIN, &out, &out_bytes, &err), 0);
		assert_int_equal(out_bytes, PLAIN);
		assert_memory_equal(out, p.plain, PLAIN);
		munmap(out, out_bytes);
		assert_int_equal(
			sk_loader_unpack(p.bytes, p.len_bytes, PLAIN - 1, &out, &out_bytes, &err),
			-ENOEXEC);
		assert_non_null(strstr(err.message, "unpacks to 50000 bytes; 1 to 49999"));
	}
}

static void wrong_sizes(void **state)
{
	static const char *const less[] = {"less LZ4", "less gzip", "less zstd", "less xz"};
	static struct packed p;
	int packing;

	(void)state;
	for (packing = PACK_LZ4; packing <= PACK_XZ; packing++) {
		make(&p, packing);
		sk_store_le32(p.bytes + p.len_bytes - 4, PLAIN - 1);
		expect_failure(p.bytes, p.len_bytes, -ENOEXEC, "more");
		sk_store_le32(p.bytes + p.len_bytes - 4, PLAIN + 1);
		/* gzip checks its own size field, which is this one */
		expect_failure(p.bytes, p.len_bytes, -ENOEXEC,
			       packing == PACK_GZIP ? "damaged gzip" : less[packing]);
		sk_store_le32(p.bytes + p.len_bytes - 4, UINT32_MAX);
		expect_failure(p.bytes, p.len_bytes, -ENOEXEC, "unpacks to 4294967295 bytes");
		sk_store_le32(p.bytes + p.len_bytes - 4, 0);
		expect_failure(p.bytes, p.len_bytes, -ENOEXEC, "unpacks to 0 bytes");
	}
}

static void damaged_data(void **state)
{
	static struct packed p;
	int packing;

	(void)state;
	for (packing = PACK_LZ4; packing <= PACK_XZ; packing++) {
		make(&p, packing);
		/* cut in the middle, with a plausible size at the end */
		sk_store_le32(p.bytes + p.len_bytes / 2, PLAIN);
		expect_failure(p.bytes, p.len_bytes / 2 + 4, -ENOEXEC, "the payload has");
		expect_failure(p.bytes, 15, -ENOEXEC, "the payload of 15 bytes is none");
	}
	make(&p, PACK_LZ4);
	sk_store_le32(p.bytes + 4, UINT32_MAX);
	expect_failure(p.bytes, p.len_bytes, -ENOEXEC, "reaches beyond its end");
	make(&p, PACK_LZ4);
	sk_store_le32(p.bytes + p.len_bytes - 2, PLAIN);
	expect_failure(p.bytes, p.len_bytes + 2, -ENOEXEC, "cut off between two LZ4 blocks");
	memcpy(p.bytes, "BZh", 3);
	expect_failure(p.bytes, p.len_bytes, -ENOTSUP,
		       "compressed with bzip2; gzip, LZ4, xz and zstd are");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(wrong_sizes),
		cmocka_unit_test(damaged_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
