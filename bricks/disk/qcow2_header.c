/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The parser of qcow2 headers (QEMU, docs/interop/qcow2.txt, "Header" and "Header extensions").
 * Every byte is hostile. All numbers are big-endian.
 */
#include "qcow2_header.h"

#include <stdio.h>

#define V2_HEADER_BYTES	   72u
#define V3_HEADER_BYTES	   104u

#define EXT_END		   0u
#define EXT_BACKING_FORMAT 0xe2792acau
#define EXT_FEATURE_NAMES  0x6803f857u

#define FEATURE_NAME_BYTES 48u /* kind, bit, and a name of 46 */

struct input {
	const uint8_t *buf;
	size_t len_bytes;
	size_t extensions_start, extensions_end;
	struct sk_error *err;
};

static int read_fields(struct qcow2_header *h, struct input *in)
{
	const uint8_t *p = in->buf;
	uint32_t header_bytes = V2_HEADER_BYTES;

	if (in->len_bytes < V2_HEADER_BYTES || memcmp(p, "QFI\xfb", 4))
		return sk_error_set(in->err, -EINVAL, "it has no qcow2 header");
	*h = (struct qcow2_header){
		.version = qcow2_be32(p + 4),
		.cluster_bits = qcow2_be32(p + 20),
		.size_bytes = qcow2_be64(p + 24),
		.l1_entries = qcow2_be32(p + 36),
		.l1_offset = qcow2_be64(p + 40),
		.reftable_offset = qcow2_be64(p + QCOW2_AT_REFTABLE),
		.reftable_clusters = qcow2_be32(p + QCOW2_AT_REFTABLE + 8),
		.nr_snapshots = qcow2_be32(p + 60),
		.refcount_order = 4,
	};
	if (h->version != 2 && h->version != 3)
		return sk_error_set(in->err, -ENOTSUP,
				    "it is version %u of qcow2; versions 2 and 3 are known",
				    h->version);
	if (h->version == 3) {
		if (in->len_bytes < V3_HEADER_BYTES)
			return sk_error_set(in->err, -EINVAL, "its header is cut off");
		h->incompatible = qcow2_be64(p + 72);
		h->autoclear = qcow2_be64(p + QCOW2_AT_AUTOCLEAR);
		h->refcount_order = qcow2_be32(p + 96);
		header_bytes = qcow2_be32(p + 100);
		if (header_bytes < V3_HEADER_BYTES || header_bytes > in->len_bytes ||
		    header_bytes % 8)
			return sk_error_set(in->err, -EINVAL,
					    "its header says that it has %u bytes", header_bytes);
		if (header_bytes > V3_HEADER_BYTES && p[V3_HEADER_BYTES] > QCOW2_ZSTD)
			return sk_error_set(in->err, -ENOTSUP,
					    "its compression has the unknown number %u",
					    p[V3_HEADER_BYTES]);
		if (header_bytes > V3_HEADER_BYTES)
			h->compression = p[V3_HEADER_BYTES] ? QCOW2_ZSTD : QCOW2_DEFLATE;
	}
	in->extensions_start = header_bytes;
	return 0;
}

static int check_sizes(const struct qcow2_header *h, struct input *in)
{
	uint32_t encryption = qcow2_be32(in->buf + 32);
	uint64_t cluster_bytes, per_l2;

	if (encryption)
		return sk_error_set(in->err, -ENOTSUP,
				    "it is encrypted; 'qemu-img convert' decrypts it");
	if (h->cluster_bits < QCOW2_MIN_CLUSTER_BITS || h->cluster_bits > QCOW2_MAX_CLUSTER_BITS)
		return sk_error_set(in->err, -EINVAL, "its clusters have 2^%u bytes",
				    h->cluster_bits);
	if (h->refcount_order > 6)
		return sk_error_set(in->err, -EINVAL, "its reference counts have 2^%u bits",
				    h->refcount_order);
	if (h->size_bytes > INT64_MAX || h->size_bytes % 512 || !h->size_bytes)
		return sk_error_set(in->err, -EINVAL, "its disk has %llu bytes",
				    (unsigned long long)h->size_bytes);
	cluster_bytes = UINT64_C(1) << h->cluster_bits;
	per_l2 = cluster_bytes * (cluster_bytes / 8);
	if (h->l1_entries > QCOW2_MAX_L1_BYTES / 8 ||
	    h->l1_entries < h->size_bytes / per_l2 + !!(h->size_bytes % per_l2))
		return sk_error_set(
			in->err, -EINVAL,
			"its first table has %u entries, which does not fit a disk of %llu "
			"bytes",
			h->l1_entries, (unsigned long long)h->size_bytes);
	return 0;
}

static bool is_table(uint64_t offset, uint64_t len_bytes, uint64_t cluster_bytes)
{
	return offset >= cluster_bytes && sk_is_aligned(offset, cluster_bytes) &&
	       sk_range_fits(offset, len_bytes, QCOW2_MAX_OFFSET);
}

static int check_tables(const struct qcow2_header *h, struct input *in)
{
	uint64_t cluster_bytes = UINT64_C(1) << h->cluster_bits;
	uint64_t reftable_bytes = h->reftable_clusters * cluster_bytes;
	uint64_t l1_bytes = h->l1_entries * UINT64_C(8);

	if (!is_table(h->l1_offset, l1_bytes, cluster_bytes))
		return sk_error_set(in->err, -EINVAL, "its first table is at the bad offset %#llx",
				    (unsigned long long)h->l1_offset);
	if (!reftable_bytes || reftable_bytes > QCOW2_MAX_REFTABLE_BYTES ||
	    !is_table(h->reftable_offset, reftable_bytes, cluster_bytes))
		return sk_error_set(in->err, -EINVAL,
				    "its refcount table, %u clusters at %#llx, is out of bounds",
				    h->reftable_clusters, (unsigned long long)h->reftable_offset);
	if (sk_ranges_overlap(h->l1_offset, l1_bytes, h->reftable_offset, reftable_bytes))
		return sk_error_set(in->err, -EINVAL, "its tables overlap");
	return 0;
}

/* The extension of that type; false if there is none, or the list is broken. */
static bool find_extension(const struct input *in, uint32_t type, size_t *start, size_t *len)
{
	size_t at = in->extensions_start;

	while (at + 8 <= in->extensions_end) {
		uint32_t found = qcow2_be32(in->buf + at), bytes = qcow2_be32(in->buf + at + 4);
		size_t left = in->extensions_end - at - 8;

		if (found == EXT_END || bytes > left)
			return false;
		if (found == type) {
			*start = at + 8;
			*len = bytes;
			return true;
		}
		at += 8 + (((size_t)bytes + 7) & ~(size_t)7);
	}
	return false;
}

/* What the image itself calls the feature, or its number; nothing that a terminal would obey. */
static void name_feature(const struct input *in, unsigned bit, char name[FEATURE_NAME_BYTES])
{
	size_t start = 0, len = 0, nr = 0;

	snprintf(name, FEATURE_NAME_BYTES, "number %u", bit);
	if (!find_extension(in, EXT_FEATURE_NAMES, &start, &len))
		return;
	for (; len >= FEATURE_NAME_BYTES; start += FEATURE_NAME_BYTES, len -= FEATURE_NAME_BYTES) {
		const uint8_t *entry = in->buf + start;

		if (entry[0] != 0 || entry[1] != bit)
			continue;
		for (; nr < FEATURE_NAME_BYTES - 2 && entry[2 + nr] >= ' ' && entry[2 + nr] < 0x7f;
		     nr++)
			name[nr] = (char)entry[2 + nr];
		if (nr)
			name[nr] = '\0';
		return;
	}
}

static int check_features(const struct qcow2_header *h, struct input *in)
{
	uint64_t unknown = h->incompatible & ~(QCOW2_DIRTY | QCOW2_CORRUPT | QCOW2_COMPRESSION);
	char name[FEATURE_NAME_BYTES];

	if (unknown) {
		name_feature(in, (unsigned)__builtin_ctzll(unknown), name);
		return sk_error_set(in->err, -ENOTSUP,
				    "it uses a feature that is not supported (%s); 'qemu-img "
				    "convert -O qcow2' makes an image without",
				    name);
	}
	if (!(h->incompatible & QCOW2_COMPRESSION) != (h->compression == QCOW2_DEFLATE))
		return sk_error_set(in->err, -EINVAL,
				    "its header contradicts itself about its compression");
	return 0;
}

static int copy_text(char *to, const struct input *in, uint64_t start, uint64_t len,
		     const char *what)
{
	if (len > QCOW2_BACKING_MAX || !sk_range_fits(start, len, in->len_bytes) ||
	    memchr(in->buf + start, '\0', len))
		return sk_error_set(in->err, -EINVAL, "the %s that it names is out of bounds",
				    what);
	memcpy(to, in->buf + start, len);
	to[len] = '\0';
	return 0;
}

static int read_backing(struct qcow2_header *h, struct input *in)
{
	uint64_t start = qcow2_be64(in->buf + 8);
	uint32_t len = qcow2_be32(in->buf + 16);
	size_t ext_start = 0, ext_len = 0;
	int rc;

	if (!start)
		return 0;
	rc = copy_text(h->backing_path, in, start, len, "backing file");
	if (rc || !find_extension(in, EXT_BACKING_FORMAT, &ext_start, &ext_len))
		return rc;
	return copy_text(h->backing_format, in, ext_start, ext_len, "format of the backing file");
}

int qcow2_header_parse(struct qcow2_header *h, const uint8_t *buf, size_t len_bytes,
		       struct sk_error *err)
{
	struct input in = {.buf = buf, .len_bytes = len_bytes, .err = err};
	uint64_t backing;
	int rc = read_fields(h, &in);

	if (rc)
		return rc;
	/* The extensions end where the backing file's name begins, or with the first cluster. */
	backing = qcow2_be64(buf + 8);
	in.extensions_end = backing && backing < len_bytes ? (size_t)backing : len_bytes;
	rc = check_features(h, &in);
	if (rc)
		return rc;
	rc = check_sizes(h, &in);
	if (rc)
		return rc;
	rc = check_tables(h, &in);
	if (rc)
		return rc;
	return read_backing(h, &in);
}
