/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Compressed clusters: raw deflate (RFC 1951) or one zstd frame, and then padding. */
#include "qcow2_internal.h"

#define WINDOW_BITS (-15) /* no zlib header; QEMU writes 12 bits, older ones more */

int qcow2_codec_load(struct qcow2_codec *codec, enum qcow2_compression compression,
		     struct sk_error *err)
{
	const struct sk_symbol zlib[] = {
		{"inflateInit2_", &codec->zlib.init},
		{"inflate", &codec->zlib.inflate},
		{"inflateEnd", &codec->zlib.end},
	};
	const struct sk_symbol zstd[] = {
		{"ZSTD_createDCtx", &codec->zstd.create},
		{"ZSTD_decompressStream", &codec->zstd.decompress},
		{"ZSTD_isError", &codec->zstd.is_error},
		{"ZSTD_freeDCtx", &codec->zstd.free},
	};

	codec->compression = compression;
	if (compression == QCOW2_ZSTD)
		return sk_library_load("libzstd.so.1", "libzstd1", zstd, SK_ARRAY_SIZE(zstd), err);
	return sk_library_load("libz.so.1", "zlib1g", zlib, SK_ARRAY_SIZE(zlib), err);
}

static int unpack_deflate(const struct qcow2_codec *codec, const uint8_t *packed,
			  size_t packed_bytes, uint8_t *cluster, size_t cluster_bytes)
{
	z_stream z = {
		.next_in = (uint8_t *)(uintptr_t)packed,
		.avail_in = (uInt)packed_bytes,
		.next_out = cluster,
		.avail_out = (uInt)cluster_bytes,
	};
	int rc;

	/* What the macro inflateInit2 does. */
	if (codec->zlib.init(&z, WINDOW_BITS, ZLIB_VERSION, sizeof(z)) != Z_OK)
		return -ENOMEM;
	rc = codec->zlib.inflate(&z, Z_FINISH);
	codec->zlib.end(&z);
	/* Z_BUF_ERROR: the stream goes on, but the cluster is complete. */
	return (rc == Z_STREAM_END || rc == Z_BUF_ERROR) && !z.avail_out ? 0 : -EIO;
}

static int unpack_zstd(const struct qcow2_codec *codec, const uint8_t *packed, size_t packed_bytes,
		       uint8_t *cluster, size_t cluster_bytes)
{
	ZSTD_inBuffer in = {.src = packed, .size = packed_bytes};
	ZSTD_outBuffer out = {.dst = cluster, .size = cluster_bytes};
	ZSTD_DCtx *ctx = codec->zstd.create();
	size_t rc = 1;

	if (!ctx)
		return -ENOMEM;
	while (out.pos < out.size && rc) {
		size_t in_before = in.pos, out_before = out.pos;

		rc = codec->zstd.decompress(ctx, &out, &in);
		if (codec->zstd.is_error(rc) || (in.pos == in_before && out.pos == out_before))
			break;
	}
	codec->zstd.free(ctx);
	return !codec->zstd.is_error(rc) && out.pos == out.size ? 0 : -EIO;
}

int qcow2_inflate(const struct qcow2_codec *codec, const uint8_t *packed, size_t packed_bytes,
		  uint8_t *cluster, size_t cluster_bytes)
{
	if (codec->compression == QCOW2_ZSTD)
		return unpack_zstd(codec, packed, packed_bytes, cluster, cluster_bytes);
	return unpack_deflate(codec, packed, packed_bytes, cluster, cluster_bytes);
}
