/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The header of a qcow2 image: from its bytes to checked numbers. Pure functions. */
#ifndef SKETE_DISK_QCOW2_HEADER_H
#define SKETE_DISK_QCOW2_HEADER_H

#include <skete/base.h>

#define QCOW2_MIN_CLUSTER_BITS	 9
#define QCOW2_MAX_CLUSTER_BITS	 21
#define QCOW2_MAX_L1_BYTES	 (32 * SK_MIB)
#define QCOW2_MAX_REFTABLE_BYTES (8 * SK_MIB)
#define QCOW2_MAX_OFFSET	 (UINT64_C(1) << 56) /* what table entries have room for */
#define QCOW2_HEADER_MAX	 (64 * SK_KIB)	     /* no more of the file is looked at */
#define QCOW2_BACKING_MAX	 1023

/* Bits of the incompatible features. */
#define QCOW2_DIRTY		 (UINT64_C(1) << 0)
#define QCOW2_CORRUPT		 (UINT64_C(1) << 1)
#define QCOW2_COMPRESSION	 (UINT64_C(1) << 3)

/* Where fields are that are written back. */
#define QCOW2_AT_REFTABLE	 48 /* offset (8 bytes), clusters (4 bytes) */
#define QCOW2_AT_AUTOCLEAR	 88

enum qcow2_compression { QCOW2_DEFLATE = 0, QCOW2_ZSTD = 1 };

/*
 * What holds after a parse: the virtual size is whole sectors and the first level table covers it;
 * tables are aligned to clusters, begin after the header, and end below QCOW2_MAX_OFFSET.
 */
struct qcow2_header {
	uint32_t version; /* 2 or 3 */
	uint32_t cluster_bits;
	uint64_t size_bytes;
	uint64_t l1_offset;
	uint32_t l1_entries;
	uint64_t reftable_offset;
	uint32_t reftable_clusters;
	uint32_t refcount_order; /* a refcount has 1 << this many bits */
	uint32_t nr_snapshots;
	uint64_t incompatible, autoclear;
	enum qcow2_compression compression;
	char backing_path[QCOW2_BACKING_MAX + 1];   /* "" if none */
	char backing_format[QCOW2_BACKING_MAX + 1]; /* "" if the image does not say */
};

/*
 * Reads the header from the first @len_bytes of the file. Errors, with a sentence that lacks the
 * name of the file: -EINVAL (broken), -ENOTSUP (encrypted, or a feature that is unknown here).
 */
int qcow2_header_parse(struct qcow2_header *h, const uint8_t *buf, size_t len_bytes,
		       struct sk_error *err) SK_MUST_CHECK;

static inline uint32_t qcow2_be32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap32(SK_LE32(v));
}

static inline uint64_t qcow2_be64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap64(SK_LE64(v));
}

/* Its own inverse. */
static inline uint64_t qcow2_swap64(uint64_t v)
{
	return __builtin_bswap64(SK_LE64(v));
}

#endif
