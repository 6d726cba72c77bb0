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

/* Each unpacks @in, which still has the size at its end, to exactly @out_bytes, or says why not. */
typedef const char *unpack_fn(struct span in, uint8_t *out, size_t out_bytes);

static const char *unpack_lz4(struct span in, uint8_t *out, size_t out_bytes)
{
	uint32_t block_bytes;
	int n;

	in.len_bytes -= SIZE_BYTES;
	in.at += 4;
	in.len_bytes -= 4;
	while (in.len_bytes) {
		if (in.len_bytes < 4)
			return "is cut off between two LZ4 blocks";
		block_bytes = sk_load_le32(in.at);
		in.at += 4;
		in.len_bytes -= 4;
		if (block_bytes > in.len_bytes || block_bytes > INT32_MAX)
			return "has an LZ4 block that reaches beyond its end";
		n = LZ4_decompress_safe((const char *)in.at, (char *)out, (int)block_bytes,
					(int)SK_MIN(out_bytes, LZ4_LEGACY_BLOCK));
		if (n < 0)
			return "has a damaged LZ4 block, or more data than it says";
		out += n;
		out_bytes -= (size_t)n;
		in.at += block_bytes;
		in.len_bytes -= block_bytes;
	}
	return out_bytes ? "has less LZ4 data than it says" : NULL;
}

static const char *unpack_gzip(struct span in, uint8_t *out, size_t out_bytes)
{
	z_stream z = {
		/* zlib never writes to its input; without ZLIB_CONST its type does not say so. */
		.next_in = (Bytef *)(uintptr_t)in.at,
		.avail_in = (uInt)in.len_bytes,
		.next_out = out,
		.avail_out = (uInt)out_bytes,
	};
	int rc;

	if (inflateInit2(&z, GZIP_WINDOW_BITS) != Z_OK)
		return "cannot be unpacked: zlib has no memory";
	rc = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	if (rc != Z_STREAM_END)
		return "has damaged gzip data, or more than it says";
	return z.avail_out ? "has less gzip data than it says" : NULL;
}

static const char *unpack_zstd(struct span in, uint8_t *out, size_t out_bytes)
{
	const size_t n = ZSTD_decompress(out, out_bytes, in.at, in.len_bytes - SIZE_BYTES);

	if (ZSTD_isError(n))
		return "has damaged zstd data, or more than it says";
	return n == out_bytes ? NULL : "has less zstd data than it says";
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
	{"xz", {0xfd, 0x37, 0x7a, 0x58}, 4, NULL},
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
	const char *reason;
	uint8_t *map;
	size_t len_bytes;

	if (packed_bytes < MIN_PACKED_BYTES || packed_bytes > UINT32_MAX)
		return sk_error_set(err, -ENOEXEC, "the payload of %zu bytes is none",
				    packed_bytes);
	format = find_format(packed);
	if (!format || !format->unpack)
		return sk_error_set(err, -ENOTSUP,
				    "the payload is compressed with %s; gzip, LZ4 and zstd are "
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
	reason = format->unpack((struct span){packed, packed_bytes}, map, len_bytes);
	if (reason) {
		munmap(map, len_bytes);
		return sk_error_set(err, -ENOEXEC, "the payload %s", reason);
	}
	*out = map;
	*out_bytes = len_bytes;
	return 0;
}
