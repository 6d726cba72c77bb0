/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Compressed clusters: raw deflate (RFC 1951) or one zstd frame, and then padding. */
#include "qcow2_internal.h"

#include <zlib.h>
#include <zstd.h>

#define WINDOW_BITS (-15) /* no zlib header; QEMU writes 12 bits, older ones more */

static int unpack_deflate(const uint8_t *packed, size_t packed_bytes, uint8_t *cluster,
			  size_t cluster_bytes)
{
	z_stream z = {
		.next_in = (uint8_t *)(uintptr_t)packed,
		.avail_in = (uInt)packed_bytes,
		.next_out = cluster,
		.avail_out = (uInt)cluster_bytes,
	};
	int rc;

	if (inflateInit2(&z, WINDOW_BITS) != Z_OK)
		return -ENOMEM;
	rc = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	/* Z_BUF_ERROR: the stream goes on, but the cluster is complete. */
	return (rc == Z_STREAM_END || rc == Z_BUF_ERROR) && !z.avail_out ? 0 : -EIO;
}

static int unpack_zstd(const uint8_t *packed, size_t packed_bytes, uint8_t *cluster,
		       size_t cluster_bytes)
{
	ZSTD_inBuffer in = {.src = packed, .size = packed_bytes};
	ZSTD_outBuffer out = {.dst = cluster, .size = cluster_bytes};
	ZSTD_DCtx *ctx = ZSTD_createDCtx();
	size_t rc = 1;

	if (!ctx)
		return -ENOMEM;
	while (out.pos < out.size && rc) {
		size_t in_before = in.pos, out_before = out.pos;

		rc = ZSTD_decompressStream(ctx, &out, &in);
		if (ZSTD_isError(rc) || (in.pos == in_before && out.pos == out_before))
			break;
	}
	ZSTD_freeDCtx(ctx);
	return !ZSTD_isError(rc) && out.pos == out.size ? 0 : -EIO;
}

int qcow2_inflate(enum qcow2_compression compression, const uint8_t *packed, size_t packed_bytes,
		  uint8_t *cluster, size_t cluster_bytes)
{
	if (compression == QCOW2_ZSTD)
		return unpack_zstd(packed, packed_bytes, cluster, cluster_bytes);
	return unpack_deflate(packed, packed_bytes, cluster, cluster_bytes);
}
