/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Refcounts and free clusters.
 *
 *   cluster number:  | index in the refcount table | index in the refcount block |
 *
 * A refcount block is made when the first cluster that it counts is needed; it is that cluster.
 */
#include "qcow2_internal.h"

#include <unistd.h>

uint64_t qcow2_refcount(const struct qcow2 *q, const struct slice *slice, uint32_t index)
{
	unsigned order = q->h.refcount_order, bits = 1u << order;
	const uint8_t *p = slice->data + ((uint64_t)index << order) / 8;
	uint64_t value = 0;

	/* Less than a byte: the first of them has the lowest bits. */
	if (order < 3)
		return *p >> (index * bits % 8) & ((1u << bits) - 1);
	for (unsigned i = 0; i < bits / 8; i++)
		value = value << 8 | p[i];
	return value;
}

void qcow2_set_refcount(const struct qcow2 *q, struct slice *slice, uint32_t index, uint64_t value)
{
	unsigned order = q->h.refcount_order, bits = 1u << order;
	uint8_t *p = slice->data + ((uint64_t)index << order) / 8;

	if (order < 3) {
		unsigned shift = index * bits % 8, mask = ((1u << bits) - 1) << shift;

		*p = (uint8_t)((*p & ~mask) | (value << shift & mask));
		return;
	}
	for (unsigned i = bits / 8; i--; value >>= 8)
		p[i] = (uint8_t)value;
}

int qcow2_refcount_slice(struct qcow2 *q, struct qreq *r, uint64_t cluster, struct slice **slice,
			 uint32_t *index)
{
	uint64_t table = cluster / q->refs_per_block, in_block = cluster % q->refs_per_block;
	uint64_t block = table < q->nr_reftable ? q->reftable[table] & ENTRY_OFFSET : 0;

	if (!block)
		return -ENOENT;
	if (!sk_is_aligned(block, q->cluster_bytes) ||
	    qcow2_hits_tables(q, block, q->cluster_bytes))
		return -EIO;
	*index = (uint32_t)(in_block % q->refs_per_slice);
	return qcow2_cache_get(q, r, block + in_block / q->refs_per_slice * q->slice_bytes,
			       SLICE_REFCOUNTS, slice);
}

/* Makes the file reach to the end of the clusters; what is added reads as zeroes. */
static int extend_file(struct qcow2 *q, uint64_t end)
{
	int64_t size;

	if (end > QCOW2_MAX_OFFSET)
		return -EFBIG;
	if (end <= q->file_end)
		return 0;
	if (q->disk->file.is_block_device) {
		size = disk_file_size(&q->disk->file);
		if (size < 0 || end > (uint64_t)size)
			return size < 0 ? (int)size : -ENOSPC;
	} else if (ftruncate(q->disk->file.fd, (off_t)end)) {
		return -errno;
	}
	q->file_end = end;
	return 0;
}

static bool is_beyond_file(const struct qcow2 *q, uint64_t offset)
{
	return offset >= q->file_end && !q->disk->file.is_block_device;
}

/* A block for the refcounts that @table points to: the first cluster of those that it counts. */
static int make_block(struct qreq *r, uint64_t table)
{
	struct qcow2 *q = r->q;
	uint64_t to = table * q->refs_per_block * q->cluster_bytes;
	bool is_fresh = is_beyond_file(q, to);
	struct slice *slice = NULL;
	int rc = qcow2_can_change(q, 1);

	if (!rc && qcow2_hits_tables(q, to, q->cluster_bytes))
		rc = -EIO;
	if (!rc && is_fresh)
		rc = qcow2_cache_create(q, r, to, SLICE_REFCOUNTS, &slice);
	if (!rc)
		rc = extend_file(q, to + q->cluster_bytes);
	if (rc)
		return rc;
	q->build = (struct build){
		.is_active = true, .kind = SLICE_REFCOUNTS, .index = table, .to = to};
	if (is_fresh) {
		qcow2_set_refcount(q, slice, 0, 1);
		q->build.next_slice = q->slices_per_cluster;
	}
	return qcow2_build_run(r);
}

/* Writes the larger refcount table and the blocks that count it, all of it behind the old end. */
static int write_new_table(struct qcow2 *q, uint64_t first, uint64_t nr_blocks,
			   const uint64_t *entries, uint64_t nr_entries)
{
	uint64_t table_clusters = nr_entries * 8 / q->cluster_bytes;
	uint64_t used = nr_blocks + table_clusters, start = first * q->cluster_bytes;
	uint8_t *buf = calloc(1, q->cluster_bytes);
	struct slice block = {.data = buf};
	int rc = buf ? extend_file(q, start + used * q->cluster_bytes) : -ENOMEM;

	for (uint64_t i = 0; i < nr_blocks && !rc; i++) {
		uint64_t left = used - SK_MIN(used, i * q->refs_per_block);

		memset(buf, 0, q->cluster_bytes);
		for (uint64_t j = 0; j < SK_MIN(left, q->refs_per_block); j++)
			qcow2_set_refcount(q, &block, (uint32_t)j, 1);
		rc = disk_file_pwrite(&q->disk->file, buf, q->cluster_bytes,
				      start + i * q->cluster_bytes);
	}
	for (uint64_t i = 0; i < table_clusters && !rc; i++) {
		for (uint64_t j = 0; j < q->cluster_bytes / 8; j++) {
			uint64_t v = qcow2_swap64(entries[i * (q->cluster_bytes / 8) + j]);

			memcpy(buf + j * 8, &v, 8);
		}
		rc = disk_file_pwrite(&q->disk->file, buf, q->cluster_bytes,
				      start + (nr_blocks + i) * q->cluster_bytes);
	}
	free(buf);
	if (!rc && fdatasync(q->disk->file.fd))
		rc = -errno;
	return rc;
}

static int write_table_pointer(struct qcow2 *q, uint64_t offset, uint32_t clusters)
{
	uint8_t field[12];
	uint64_t v = qcow2_swap64(offset);
	int rc;

	memcpy(field, &v, 8);
	v = qcow2_swap64((uint64_t)clusters << 32);
	memcpy(field + 8, &v, 4);
	rc = disk_file_pwrite(&q->disk->file, field, sizeof(field), QCOW2_AT_REFTABLE);
	if (!rc && fdatasync(q->disk->file.fd))
		rc = -errno;
	return rc;
}

/* Entries, and the bits of those that are dirty: none is. */
static int install_table(struct qcow2 *q, uint64_t *entries, uint64_t nr)
{
	uint64_t *dirty = calloc(sk_bits_words(nr), sizeof(*dirty));

	if (!dirty)
		return -ENOMEM;
	free(q->reftable);
	free(q->reftable_dirty);
	q->reftable = entries;
	q->reftable_dirty = dirty;
	q->nr_reftable = nr;
	return 0;
}

/*
 * A refcount table of twice the size. The only thing here that blocks: it happens when the file
 * has doubled, and writes a few clusters.
 */
static int grow_table(struct qcow2 *q)
{
	uint64_t first = q->nr_reftable * q->refs_per_block, nr = 2 * q->nr_reftable;
	uint64_t old_offset = q->h.reftable_offset, old_bytes = q->nr_reftable * 8, nr_blocks = 1;
	uint64_t *entries;
	int rc = qcow2_can_change(q, 1);

	if (rc)
		return rc;
	if (nr * 8 > QCOW2_MAX_REFTABLE_BYTES)
		return -EFBIG;
	/* The file must have pointers only to blocks that it has, too. */
	if (q->nr_reftable_dirty) {
		qcow2_job_start(q);
		return -EAGAIN;
	}
	while (nr_blocks * q->refs_per_block < nr_blocks + nr * 8 / q->cluster_bytes)
		nr_blocks++;
	entries = calloc(nr, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	memcpy(entries, q->reftable, old_bytes);
	for (uint64_t i = 0; i < nr_blocks; i++)
		entries[q->nr_reftable + i] = (first + i) * q->cluster_bytes;
	rc = write_new_table(q, first, nr_blocks, entries, nr);
	if (!rc)
		rc = write_table_pointer(q, (first + nr_blocks) * q->cluster_bytes,
					 (uint32_t)(nr * 8 / q->cluster_bytes));
	if (!rc)
		rc = install_table(q, entries, nr);
	if (rc) {
		free(entries);
		return rc;
	}
	q->h.reftable_offset = (first + nr_blocks) * q->cluster_bytes;
	qcow2_free(q, old_offset, old_bytes);
	return 0;
}

/* Clusters from @first on that are free, at most @wanted, all counted by one slice. */
static uint32_t count_free(const struct qcow2 *q, const struct slice *slice, uint64_t first,
			   uint32_t index, uint32_t wanted)
{
	uint32_t nr = 0;

	while (nr < wanted && index + nr < q->refs_per_slice &&
	       !qcow2_refcount(q, slice, index + nr) &&
	       !qcow2_hits_tables(q, (first + nr) * q->cluster_bytes, q->cluster_bytes))
		nr++;
	return nr;
}

int qcow2_alloc(struct qreq *r, uint32_t wanted, bool *is_fresh, uint64_t *offset, uint32_t *nr)
{
	struct qcow2 *q = r->q;
	uint64_t end = q->file_end >> q->h.cluster_bits;
	uint64_t at = *is_fresh ? SK_MAX(q->next_free, end) : q->next_free;
	struct slice *slice = NULL;
	uint32_t index = 0;
	int rc;

	for (;;) {
		slice = NULL;
		rc = qcow2_can_change(q, 1);
		if (rc)
			return rc;
		if (at / q->refs_per_block >= q->nr_reftable)
			rc = grow_table(q);
		else
			rc = qcow2_refcount_slice(q, r, at, &slice, &index);
		if (rc == -ENOENT)
			rc = q->build.is_active ? qcow2_build_run(r)
						: make_block(r, at / q->refs_per_block);
		else if (!rc && slice) {
			*nr = count_free(q, slice, at, index, wanted);
			if (*nr)
				break;
			at++;
			if (!*is_fresh)
				q->next_free = at;
		}
		if (rc)
			return rc;
		if (at >> (56 - q->h.cluster_bits))
			return -ENOSPC;
	}
	*offset = at * q->cluster_bytes;
	*is_fresh = is_beyond_file(q, *offset);
	rc = extend_file(q, *offset + (uint64_t)*nr * q->cluster_bytes);
	if (rc)
		return rc;
	for (uint32_t i = 0; i < *nr; i++)
		qcow2_set_refcount(q, slice, index + i, 1);
	qcow2_cache_dirty(slice);
	if (q->next_free == at)
		q->next_free = at + *nr;
	return 0;
}

void qcow2_free(struct qcow2 *q, uint64_t offset, uint64_t len_bytes)
{
	uint64_t first = offset >> q->h.cluster_bits;
	uint64_t nr = (len_bytes + q->cluster_bytes - 1) >> q->h.cluster_bits;
	struct freed *last = q->nr_frees ? &q->frees[q->nr_frees - 1] : NULL;

	/* Ranges that the job has begun with are not touched: can_change() said that none runs. */
	if (last && last->cluster + last->nr == first) {
		last->nr += nr;
		return;
	}
	BUG_ON(q->nr_frees == MAX_FREES);
	q->frees[q->nr_frees++] = (struct freed){.cluster = first, .nr = nr};
}

void qcow2_free_entry(struct qcow2 *q, uint64_t entry)
{
	uint64_t start, len;

	if (entry & ENTRY_COMPRESSED) {
		q->inflated_entry = 0;
		qcow2_packed_range(q, entry, &start, &len);
		len += start & (q->cluster_bytes - 1);
		qcow2_free(q, sk_align_down(start, q->cluster_bytes), len);
	} else if (entry & ENTRY_OFFSET) {
		qcow2_free(q, entry & ENTRY_OFFSET, q->cluster_bytes);
	}
}
