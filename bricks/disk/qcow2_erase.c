/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Discards and zeroes. Whole clusters are erased in the table; of others a discard does nothing,
 * and zeroes are written.
 *
 *                       no backing file     backing file, version 3     backing file, version 2
 *   discard             unallocated         zero                        nothing happens
 *   zeroes, unmap       unallocated or zero zero                        written
 *   zeroes, no unmap    zero, its place kept; in version 2 written
 */
#include "qcow2_internal.h"

enum erase { ERASE_NOTHING, ERASE_UNALLOCATED, ERASE_ZERO, ERASE_ZERO_IN_PLACE, ERASE_WRITE };

static enum erase choose(const struct qreq *r, const struct mapping *map, uint64_t offset)
{
	const struct qcow2 *q = r->q;
	bool has_place = map->kind == MAP_COMPRESSED || map->host;
	bool can_unmap = r->request->op == SK_DISK_DISCARD || r->request->may_unmap;
	bool is_zero = qcow2_reads_zero(q, map, offset);

	if (is_zero && (!can_unmap || !has_place))
		return ERASE_NOTHING;
	if (can_unmap && !q->backing)
		return ERASE_UNALLOCATED;
	if (q->h.version < 3)
		return r->request->op == SK_DISK_DISCARD ? ERASE_NOTHING : ERASE_WRITE;
	return !can_unmap && map->kind == MAP_DATA && map->is_copied ? ERASE_ZERO_IN_PLACE
								     : ERASE_ZERO;
}

/* Erases the clusters of @map in the table, all of them in one slice. */
static int erase(struct qreq *r, enum erase how, uint64_t offset, uint64_t len)
{
	struct qcow2 *q = r->q;
	uint32_t nr = (uint32_t)((len + q->cluster_bytes - 1) >> q->h.cluster_bits), index = 0;
	struct slice *slice = NULL;
	int rc = qcow2_map_for_write(r, offset, &slice, &index);

	/* What has no table yet has one now, of which only a part lies in this slice. */
	nr = SK_MIN(nr, q->l2_per_slice - index);
	if (!rc)
		rc = qcow2_can_change(q, nr);
	if (rc)
		return rc;
	for (uint32_t i = 0; i < nr; i++) {
		uint64_t entry = qcow2_entry(slice, index + i);

		if (how == ERASE_ZERO_IN_PLACE) {
			qcow2_set_entry(slice, index + i, entry | ENTRY_ZERO);
			continue;
		}
		qcow2_free_entry(q, entry);
		qcow2_set_entry(slice, index + i, how == ERASE_ZERO ? ENTRY_ZERO : 0);
	}
	qcow2_cache_dirty(slice);
	r->piece_bytes = SK_MIN(len, (uint64_t)nr << q->h.cluster_bits);
	qcow2_advance(r);
	return 0;
}

static int skip(struct qreq *r, uint64_t len)
{
	r->piece_bytes = len;
	qcow2_advance(r);
	return 0;
}

/* Less than a cluster. */
static int erase_part(struct qreq *r, uint64_t offset, uint64_t len)
{
	struct mapping map;
	int rc;

	if (r->request->op == SK_DISK_DISCARD)
		return skip(r, len);
	rc = qcow2_map(r, offset, len, &map);
	if (rc)
		return rc;
	return qcow2_reads_zero(r->q, &map, offset) ? skip(r, len)
						    : qcow2_write_zeroes_step(r, len);
}

int qcow2_erase_step(struct qreq *r)
{
	struct qcow2 *q = r->q;
	uint64_t offset = r->request->offset + r->position, disk_end = q->h.size_bytes;
	uint64_t end = r->request->offset + r->request->len_bytes, left = end - offset;
	uint64_t to_cluster = q->cluster_bytes - (offset & (q->cluster_bytes - 1));
	enum erase how;
	struct mapping map;
	int rc;

	if (r->step != STEP_PLAN)
		return qcow2_write_zeroes_step(r, left);
	/* The last cluster of the disk may be a part of one. */
	if (to_cluster < q->cluster_bytes || (left < q->cluster_bytes && end < disk_end))
		return erase_part(r, offset, SK_MIN(left, to_cluster));
	if (end < disk_end)
		left = sk_align_down(left, q->cluster_bytes);
	rc = qcow2_map(r, offset, left, &map);
	if (rc)
		return rc;
	how = choose(r, &map, offset);
	if (how == ERASE_NOTHING)
		return skip(r, map.len_bytes);
	if (how == ERASE_WRITE)
		return qcow2_write_zeroes_step(r, map.len_bytes);
	return erase(r, how, offset, map.len_bytes);
}
