/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * From a guest's offset to a place in the file, and tables that may be written.
 *
 *   guest offset:  | L1 index | L2 index | within the cluster |
 *
 * Entries are hostile: whatever they say, the host only reads or writes somewhere in the file, and
 * never where the header, the L1 or the refcount table is.
 */
#include "qcow2_internal.h"

static uint64_t l1_index(const struct qcow2 *q, uint64_t offset)
{
	return offset >> (2 * q->h.cluster_bits - 3);
}

static uint32_t l2_index(const struct qcow2 *q, uint64_t offset)
{
	return (uint32_t)(offset >> q->h.cluster_bits) & (q->l2_per_table - 1);
}

bool qcow2_hits_tables(const struct qcow2 *q, uint64_t offset, uint64_t len_bytes)
{
	return offset < q->cluster_bytes ||
	       sk_ranges_overlap(offset, len_bytes, q->h.l1_offset,
				 q->h.l1_entries * UINT64_C(8)) ||
	       sk_ranges_overlap(offset, len_bytes, q->h.reftable_offset, q->nr_reftable * 8);
}

bool qcow2_has_l2(const struct qcow2 *q, uint64_t offset)
{
	return q->l1[l1_index(q, offset)] & ENTRY_OFFSET;
}

/* -EIO: no L2 table can be there. */
static int check_table(const struct qcow2 *q, uint64_t offset)
{
	return !sk_is_aligned(offset, q->cluster_bytes) ||
			       qcow2_hits_tables(q, offset, q->cluster_bytes)
		       ? -EIO
		       : 0;
}

/* The slice with the entry of @offset, whose table exists. */
static int get_slice(struct qreq *r, uint64_t offset, struct slice **slice, uint32_t *index)
{
	struct qcow2 *q = r->q;
	uint64_t table = q->l1[l1_index(q, offset)] & ENTRY_OFFSET;
	uint32_t in_table = l2_index(q, offset);
	int rc = check_table(q, table);

	if (rc)
		return rc;
	*index = in_table % q->l2_per_slice;
	return qcow2_cache_get(q, r,
			       table + (uint64_t)(in_table / q->l2_per_slice) * q->slice_bytes,
			       SLICE_L2, slice);
}

/* What one entry says; map->host is of the cluster. */
static int classify(const struct qcow2 *q, uint64_t entry, struct mapping *map)
{
	uint64_t host = entry & ENTRY_OFFSET;

	*map = (struct mapping){.entry = entry};
	if (entry & ENTRY_COMPRESSED) {
		map->kind = MAP_COMPRESSED;
		return entry & ENTRY_COPIED ? -EIO : 0;
	}
	if (!sk_is_aligned(host, q->cluster_bytes) ||
	    (host && qcow2_hits_tables(q, host, q->cluster_bytes)))
		return -EIO;
	map->is_copied = entry & ENTRY_COPIED && host;
	map->host = host;
	if (entry & ENTRY_ZERO) {
		map->kind = MAP_ZERO;
		return q->h.version >= 3 ? 0 : -EIO;
	}
	map->kind = host ? MAP_DATA : MAP_UNALLOCATED;
	return 0;
}

/* True if the cluster after @nr others of @map goes on as they do. */
static bool continues(const struct qcow2 *q, const struct mapping *map, const struct mapping *next,
		      uint64_t nr)
{
	if (map->kind != next->kind || map->kind == MAP_COMPRESSED ||
	    map->is_copied != next->is_copied)
		return false;
	return !map->host ? !next->host : next->host == map->host + nr * q->cluster_bytes;
}

int qcow2_map(struct qreq *r, uint64_t offset, uint64_t max_bytes, struct mapping *map)
{
	struct qcow2 *q = r->q;
	uint64_t within = offset & (q->cluster_bytes - 1);
	uint64_t per_l2 = (uint64_t)q->l2_per_table << q->h.cluster_bits;
	uint32_t index = 0, nr = 1;
	struct slice *slice = NULL;
	struct mapping next;
	int rc;

	*map = (struct mapping){.kind = MAP_UNALLOCATED};
	if (!qcow2_has_l2(q, offset)) {
		map->len_bytes = SK_MIN(max_bytes, per_l2 - (offset & (per_l2 - 1)));
		return 0;
	}
	rc = get_slice(r, offset, &slice, &index);
	if (!rc)
		rc = classify(q, qcow2_entry(slice, index), map);
	if (rc)
		return rc;
	map->len_bytes = q->cluster_bytes - within;
	while (map->len_bytes < max_bytes && index + nr < q->l2_per_slice &&
	       !classify(q, qcow2_entry(slice, index + nr), &next) &&
	       continues(q, map, &next, nr)) {
		map->len_bytes += q->cluster_bytes;
		nr++;
	}
	map->len_bytes = SK_MIN(map->len_bytes, max_bytes);
	if (map->kind == MAP_DATA)
		map->host += within;
	return 0;
}

void qcow2_packed_range(const struct qcow2 *q, uint64_t entry, uint64_t *start, uint64_t *len)
{
	unsigned offset_bits = 62 - (q->h.cluster_bits - 8);
	uint64_t sectors = (entry >> offset_bits) & ((UINT64_C(1) << (62 - offset_bits)) - 1);

	*start = entry & ((UINT64_C(1) << offset_bits) - 1) & (QCOW2_MAX_OFFSET - 1);
	*len = (sectors + 1) * 512 - (*start & 511);
}

/* The table is complete: point to it. */
static void link_table(struct qcow2 *q)
{
	struct build *b = &q->build;
	uint64_t old;

	if (b->kind == SLICE_REFCOUNTS) {
		q->reftable[b->index] = b->to;
		q->nr_reftable_dirty += !sk_bit_test(q->reftable_dirty, b->index);
		sk_bit_set(q->reftable_dirty, b->index);
	} else {
		old = q->l1[b->index] & ENTRY_OFFSET;
		q->l1[b->index] = b->to | ENTRY_COPIED;
		q->nr_l1_dirty += !sk_bit_test(q->l1_dirty, b->index);
		sk_bit_set(q->l1_dirty, b->index);
		if (old)
			qcow2_free(q, old, q->cluster_bytes);
	}
	b->is_active = false;
}

/* Slice by slice: some may have been written and thrown out of the cache before the last is made.
 */
int qcow2_build_run(struct qreq *r)
{
	struct qcow2 *q = r->q;
	struct build *b = &q->build;
	struct slice *from = NULL, *to = NULL;
	int rc;

	for (; b->next_slice < q->slices_per_cluster; b->next_slice++) {
		uint64_t within = (uint64_t)b->next_slice * q->slice_bytes;

		rc = qcow2_can_change(q, 1);
		if (!rc && b->from)
			rc = qcow2_cache_get(q, r, b->from + within, b->kind, &from);
		if (!rc)
			rc = qcow2_cache_create(q, r, b->to + within, b->kind, &to);
		if (rc == -EAGAIN)
			return rc;
		if (rc) {
			/* The old table cannot be read: what was meant for the new one leaks. */
			b->is_active = false;
			return rc;
		}
		if (b->from)
			memcpy(to->data, from->data, q->slice_bytes);
		/* A refcount block that counts itself. */
		if (b->kind == SLICE_REFCOUNTS && !b->next_slice)
			qcow2_set_refcount(q, to, 0, 1);
	}
	rc = qcow2_can_change(q, 1);
	if (!rc)
		link_table(q);
	return rc;
}

/* Gives @l1 a table of its own: new, or a copy of one that a snapshot shares. */
static int make_table(struct qreq *r, uint64_t offset)
{
	struct qcow2 *q = r->q;
	uint64_t index = l1_index(q, offset), old = q->l1[index] & ENTRY_OFFSET, to = 0;
	bool is_fresh = true;
	uint32_t nr = 0;
	int rc;

	rc = old ? check_table(q, old) : 0;
	if (!rc)
		rc = qcow2_can_change(q, 1);
	if (!rc)
		rc = qcow2_alloc(r, 1, &is_fresh, &to, &nr);
	if (rc)
		return rc;
	q->build = (struct build){
		.is_active = true, .kind = SLICE_L2, .index = index, .from = old, .to = to};
	/* The file itself has the zeroes of a fresh table. */
	if (is_fresh && !old)
		q->build.next_slice = q->slices_per_cluster;
	return qcow2_build_run(r);
}

int qcow2_map_for_write(struct qreq *r, uint64_t offset, struct slice **slice, uint32_t *index)
{
	struct qcow2 *q = r->q;
	int rc;

	while (!(q->l1[l1_index(q, offset)] & ENTRY_COPIED) || !qcow2_has_l2(q, offset)) {
		rc = q->build.is_active ? qcow2_build_run(r) : make_table(r, offset);
		if (rc)
			return rc;
	}
	return get_slice(r, offset, slice, index);
}
