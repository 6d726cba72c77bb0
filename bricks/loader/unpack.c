/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The decompressors for a bzImage's payload. Its last four bytes are the unpacked size, whatever
 * the compression: the kernel's build appends them (scripts/Makefile.lib, "size_append"), and a
 * gzip stream ends in them anyhow. So the output is allocated once, bounded, and must fill exactly.
 */
#include "loader_internal.h"

#include <inttypes.h>
#include <sys/mman.h>

#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#define SIZE_BYTES	 4
#define MIN_PACKED_BYTES 16
#define LZ4_LEGACY_BLOCK (8 * SK_MIB) /* lz4_Frame_format.md, "Legacy frame" */
#define GZIP_WINDOW_BITS (15 + 16)    /* zlib.h: the largest window, with a gzip header */

struct span {
	const uint8_t *at;
	size_t len_bytes;
};

/*
 * Each loads its library, so that only those who unpack such a kernel pay for it, and unpacks @in,
 * which still has the size at its end, to exactly @out_bytes, or says why not.
 */
typedef int unpack_fn(struct span in, uint8_t *out, size_t out_bytes, struct sk_error *err);

static int bad_payload(struct sk_error *err, const char *reason)
{
	return sk_error_set(err, -ENOEXEC, "the payload %s", reason);
}

static int unpack_lz4(struct span in, uint8_t *out, size_t out_bytes, struct sk_error *err)
{
	__typeof__(&LZ4_decompress_safe) decompress;
	const struct sk_symbol symbol = {"LZ4_decompress_safe", &decompress};
	uint32_t block_bytes;
	int n = sk_library_load("liblz4.so.1", "liblz4-1", &symbol, 1, err);

	if (n)
		return n;

	in.len_bytes -= SIZE_BYTES;
	in.at += 4;
	in.len_bytes -= 4;
	while (in.len_bytes) {
		if (in.len_bytes < 4)
			return bad_payload(err, "is cut off between two LZ4 blocks");
		block_bytes = sk_load_le32(in.at);
		in.at += 4;
		in.len_bytes -= 4;
		if (block_bytes > in.len_bytes || block_bytes > INT32_MAX)
			return bad_payload(err, "has an LZ4 block that reaches beyond its end");
		n = decompress((const char *)in.at, (char *)out, (int)block_bytes,
			       (int)SK_MIN(out_bytes, LZ4_LEGACY_BLOCK));
		if (n < 0)
			return bad_payload(err,
					   "has a damaged LZ4 block, or more data than it says");
		out += n;
		out_bytes -= (size_t)n;
		in.at += block_bytes;
		in.len_bytes -= block_bytes;
	}
	return out_bytes ? bad_payload(err, "has less LZ4 data than it says") : 0;
}

static int unpack_gzip(struct span in, uint8_t *out, size_t out_bytes, struct sk_error *err)
{
	struct {
		__typeof__(&inflateInit2_) init;
		__typeof__(&inflate) inflate;
		__typeof__(&inflateEnd) end;
	} api;
	const struct sk_symbol symbols[] = {
		{"inflateInit2_", &api.init},
		{"inflate", &api.inflate},
		{"inflateEnd", &api.end},
	};
	z_stream z = {
		/* zlib never writes to its input; without ZLIB_CONST its type does not say so. */
		.next_in = (Bytef *)(uintptr_t)in.at,
		.avail_in = (uInt)in.len_bytes,
		.next_out = out,
		.avail_out = (uInt)out_bytes,
	};
	int rc = sk_library_load("libz.so.1", "zlib1g", symbols, SK_ARRAY_SIZE(symbols), err);

	if (rc)
		return rc;
	/* What the macro inflateInit2 does. */
	if (api.init(&z, GZIP_WINDOW_BITS, ZLIB_VERSION, sizeof(z)) != Z_OK)
		return sk_error_set(err, -ENOMEM, "no memory to unpack the payload");
	rc = api.inflate(&z, Z_FINISH);
	api.end(&z);
	if (rc != Z_STREAM_END)
		return bad_payload(err, "has damaged gzip data, or more than it says");
	return z.avail_out ? bad_payload(err, "has less gzip data than it says") : 0;
}

static int unpack_zstd(struct span in, uint8_t *out, size_t out_bytes, struct sk_error *err)
{
	struct {
		__typeof__(&ZSTD_decompress) decompress;
		__typeof__(&ZSTD_isError) is_error;
	} api;
	const struct sk_symbol symbols[] = {
		{"ZSTD_decompress", &api.decompress},
		{"ZSTD_isError", &api.is_error},
	};
	int rc = sk_library_load("libzstd.so.1", "libzstd1", symbols, SK_ARRAY_SIZE(symbols), err);
	size_t n;

	if (rc)
		return rc;
	n = api.decompress(out, out_bytes, in.at, in.len_bytes - SIZE_BYTES);
	if (api.is_error(n))
		return bad_payload(err, "has damaged zstd data, or more than it says");
	return n == out_bytes ? 0 : bad_payload(err, "has less zstd data than it says");
}

/* The dictionary is 32 MiB in scripts/xz_wrap.sh. */
#define XZ_MEMORY_BYTES (64 * SK_MIB)

static int unpack_xz(struct span in, uint8_t *out, size_t out_bytes, struct sk_error *err)
{
	__typeof__(&lzma_stream_buffer_decode) decode;
	const struct sk_symbol symbol = {"lzma_stream_buffer_decode", &decode};
	uint64_t max_bytes = XZ_MEMORY_BYTES;
	size_t in_at = 0, out_at = 0;
	int rc = sk_library_load("liblzma.so.5", "liblzma5", &symbol, 1, err);

	if (rc)
		return rc;
	rc = (int)decode(&max_bytes, 0, NULL, in.at, &in_at, in.len_bytes - SIZE_BYTES, out,
			 &out_at, out_bytes);
	if (rc == LZMA_MEM_ERROR)
		return sk_error_set(err, -ENOMEM, "no memory to unpack the payload");
	if (rc == LZMA_MEMLIMIT_ERROR)
		return bad_payload(err, "needs more than 64 MiB of memory to be unpacked");
	if (rc != LZMA_OK)
		return bad_payload(err, "has damaged xz data, or more than it says");
	return out_at == out_bytes ? 0 : bad_payload(err, "has less xz data than it says");
}

struct format {
	const char *name;
	uint8_t magic[4];
	uint8_t magic_bytes;
	unpack_fn *unpack; /* NULL: known, but not supported */
};

static const struct format formats[] = {
	{"LZ4", {0x02, 0x21, 0x4c, 0x18}, 4, unpack_lz4},
	{"gzip", {0x1f, 0x8b}, 2, unpack_gzip},
	{"zstd", {0x28, 0xb5, 0x2f, 0xfd}, 4, unpack_zstd},
	{"xz", {0xfd, 0x37, 0x7a, 0x58}, 4, unpack_xz},
	{"bzip2", {0x42, 0x5a, 0x68}, 3, NULL},
	{"LZMA", {0x5d, 0x00, 0x00}, 3, NULL},
	{"LZO", {0x89, 0x4c, 0x5a, 0x4f}, 4, NULL},
};

static const struct format *find_format(const uint8_t *packed)
{
	size_t i;

	for (i = 0; i < SK_ARRAY_SIZE(formats); i++) {
		if (!memcmp(packed, formats[i].magic, formats[i].magic_bytes))
			return &formats[i];
	}
	return NULL;
}

int sk_loader_unpack(const uint8_t *packed, size_t packed_bytes, uint64_t max_bytes, uint8_t **out,
		     size_t *out_bytes, struct sk_error *err)
{
	const struct format *format;
	uint8_t *map;
	size_t len_bytes;
	int rc;

	if (packed_bytes < MIN_PACKED_BYTES || packed_bytes > UINT32_MAX)
		return sk_error_set(err, -ENOEXEC, "the payload of %zu bytes is none",
				    packed_bytes);
	format = find_format(packed);
	if (!format || !format->unpack)
		return sk_error_set(err, -ENOTSUP,
				    "the payload is compressed with %s; gzip, LZ4, xz and zstd are "
				    "supported",
				    format ? format->name : "something unknown");
	len_bytes = sk_load_le32(packed + packed_bytes - SIZE_BYTES);
	if (!len_bytes || len_bytes > max_bytes)
		return sk_error_set(err, -ENOEXEC,
				    "the payload says that it unpacks to %zu bytes; 1 to %" PRIu64
				    " are allowed",
				    len_bytes, max_bytes);
	map = mmap(NULL, len_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return sk_error_set(err, -ENOMEM, "no memory for the %zu bytes of the payload",
				    len_bytes);
	rc = format->unpack((struct span){packed, packed_bytes}, map, len_bytes, err);
	if (rc) {
		munmap(map, len_bytes);
		return rc;
	}
	*out = map;
	*out_bytes = len_bytes;
	return 0;
}
