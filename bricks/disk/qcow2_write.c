/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Writes. Where a cluster has a refcount of one, in place. Elsewhere a run of new clusters is
 * allocated; what the request does not cover of the first and the last is copied:
 *
 *     |<------- first cluster -------->|   ...   |<---- last cluster ----->|
 *     | head (old content) |        the request's data         |   tail    |
 *
 * They are written in one go, and only then the table is made to point to them. Clusters that read
 * as zeroes but have a place (is_new false) are filled the same way, where they are.
 */
#include "qcow2_internal.h"

/* What a piece of @len bytes needs at the least as vectors of zeroes. */
static uint32_t zero_vectors(uint64_t len)
{
	return (uint32_t)((len + DISK_ZEROES_BYTES - 1) / DISK_ZEROES_BYTES);
}

static void write_done(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	struct qreq *r = SK_CONTAINER_OF(op, struct qreq, op);
	/* Cut short without an error: there was no room for the rest. */
	int error = result < 0 ? result : (uint64_t)result == r->wanted_bytes ? 0 : -ENOSPC;

	(void)loop;
	if (!error && r->step == STEP_PLAN)
		qcow2_advance(r);
	else if (!error)
		r->step = STEP_LINK;
	qcow2_resume(r, error);
}

static int start_write(struct qreq *r, struct iovec *iov, uint32_t nr, uint64_t host, uint64_t len)
{
	struct qcow2 *q = r->q;

	r->wanted_bytes = len;
	r->op.done = write_done;
	r->op.fd = disk_file_fd(&q->disk->file, iov, nr, host);
	r->op.flags = SK_LOOP_WHOLE;
	sk_loop_writev(q->disk->loop, &r->op, iov, nr, host);
	return 1;
}

static int write_in_place(struct qreq *r, const struct mapping *map)
{
	int nr;

	r->piece_bytes = map->len_bytes;
	nr = qcow2_piece_iov(r, 0, 0);
	return nr < 0 ? nr : start_write(r, r->iov, (uint32_t)nr, map->host, r->piece_bytes);
}

static uint32_t put_zeroes(struct qreq *r, struct iovec *iov, uint64_t len)
{
	uint32_t nr = 0;

	for (; len; len -= iov[nr++].iov_len)
		iov[nr] = (struct iovec){r->q->disk->zeroes, SK_MIN(len, DISK_ZEROES_BYTES)};
	return nr;
}

/* Head, data and tail in one write. */
static int write_step(struct qreq *r)
{
	/* Of a fresh cluster only the data is written: the rest are zeroes already. */
	uint64_t head = r->is_fresh && !r->cow ? 0 : r->head_bytes;
	uint64_t tail = r->is_fresh && !r->cow ? 0 : r->tail_bytes;
	uint32_t before = zero_vectors(head), nr_head = before, nr_tail = zero_vectors(tail), nr;
	struct iovec *iov;
	int rc = qcow2_piece_iov(r, before, nr_tail);

	if (rc < 0)
		return rc;
	nr = (uint32_t)rc;
	iov = r->iov;
	if (head && r->cow) {
		iov[before - 1] = (struct iovec){r->cow, head};
		iov += before - 1;
		nr_head = 1;
	} else {
		put_zeroes(r, iov, head);
	}
	if (tail && r->cow) {
		iov[nr_head + nr] = (struct iovec){r->cow + r->head_bytes, tail};
		nr_tail = 1;
	} else {
		put_zeroes(r, iov + nr_head + nr, tail);
	}
	return start_write(r, iov, nr_head + nr + nr_tail, r->host + r->head_bytes - head,
			   head + r->piece_bytes + tail);
}

/* The head, and then the tail, into r->cow. */
static int copy_step(struct qreq *r)
{
	uint64_t offset = r->request->offset + r->position;

	while (r->cow && r->nr_copied < 2) {
		bool is_head = !r->nr_copied;
		uint64_t len = is_head ? r->head_bytes : r->tail_bytes;
		int rc = 0;

		if (len && is_head)
			rc = qcow2_fetch(r, &r->head, offset - len, len, r->cow);
		else if (len)
			rc = qcow2_fetch(r, &r->tail, offset + r->piece_bytes, len,
					 r->cow + r->head_bytes);
		if (rc < 0)
			return rc;
		r->nr_copied++;
		if (rc)
			return rc;
	}
	r->step = STEP_WRITE;
	return 0;
}

static int link_step(struct qreq *r)
{
	struct qcow2 *q = r->q;
	uint64_t offset = r->request->offset + r->position;
	struct slice *slice = NULL;
	uint32_t index = 0;
	int rc = qcow2_map_for_write(r, offset, &slice, &index);

	if (!rc)
		rc = qcow2_can_change(q, r->nr_clusters);
	if (rc)
		return rc;
	for (uint32_t i = 0; i < r->nr_clusters; i++) {
		if (r->is_new)
			qcow2_free_entry(q, qcow2_entry(slice, index + i));
		qcow2_set_entry(slice, index + i,
				(r->host + (uint64_t)i * q->cluster_bytes) | ENTRY_COPIED);
	}
	qcow2_cache_dirty(slice);
	qcow2_advance(r);
	return 0;
}

/* The write has failed: the new clusters are given back. */
static int undo_step(struct qreq *r)
{
	int rc = qcow2_can_change(r->q, 1);

	if (rc == -EAGAIN)
		return rc;
	if (!rc)
		qcow2_free(r->q, r->host, (uint64_t)r->nr_clusters * r->q->cluster_bytes);
	return r->error;
}

/* True for what gets a new cluster, false for what has a place of its own. */
static bool needs_cluster(const struct mapping *map)
{
	return !((map->kind == MAP_DATA || map->kind == MAP_ZERO) && map->is_copied);
}

/* How many clusters from @offset on, up to @end and within one slice, need a new place. */
static int count_new(struct qreq *r, uint64_t offset, uint64_t end, uint32_t room, uint32_t *nr)
{
	const struct qcow2 *q = r->q;
	uint64_t at = sk_align_down(offset, q->cluster_bytes);
	struct mapping map;

	for (*nr = 0; *nr < room && at < end; ++*nr, at += q->cluster_bytes) {
		int rc = qcow2_map(r, at, q->cluster_bytes, &map);

		if (rc)
			return rc;
		if (!needs_cluster(&map))
			break;
	}
	return 0;
}

/* What is around the data now, and memory for it, if it is not zeroes. */
static int prepare_copy(struct qreq *r, uint64_t offset, uint64_t end, uint32_t nr)
{
	struct qcow2 *q = r->q;
	uint64_t first = sk_align_down(offset, q->cluster_bytes);
	uint64_t reach = first + (uint64_t)nr * q->cluster_bytes;
	bool is_zero = true;
	int rc = 0;

	r->head_bytes = offset - first;
	r->tail_bytes = reach > end ? reach - end : 0;
	if (r->head_bytes) {
		rc = qcow2_map(r, first, r->head_bytes, &r->head);
		is_zero = qcow2_reads_zero(q, &r->head, first);
	}
	if (r->tail_bytes && !rc) {
		rc = qcow2_map(r, end, r->tail_bytes, &r->tail);
		is_zero &= qcow2_reads_zero(q, &r->tail, end);
	}
	if (rc || is_zero || r->cow)
		return rc;
	return qcow2_reserve(r, 2 * (uint64_t)q->cluster_bytes, &r->cow);
}

/* Many small vectors: their bytes in one buffer. */
static int gather(struct qreq *r)
{
	uint8_t *bounce = NULL, *at;
	int nr, rc;

	if (r->is_zero_piece || r->request->nr_iov <= MAX_VECTORS || r->bounce)
		return 0;
	nr = qcow2_piece_iov(r, 0, 0);
	rc = nr < 0 ? nr : qcow2_reserve(r, r->piece_bytes, &bounce);
	if (rc)
		return rc;
	at = bounce;
	for (int i = 0; i < nr; at += r->iov[i++].iov_len)
		memcpy(at, r->iov[i].iov_base, r->iov[i].iov_len);
	r->bounce = bounce;
	return 0;
}

/* A place for the clusters from @offset to @end, or for the first of them. */
static int find_place(struct qreq *r, uint64_t offset, uint64_t end, uint32_t room)
{
	struct qcow2 *q = r->q;
	uint64_t first = sk_align_down(offset, q->cluster_bytes);
	struct mapping map;
	uint32_t nr = 1;
	int rc = qcow2_map(r, first, q->cluster_bytes, &map);

	if (rc)
		return rc;
	r->is_new = needs_cluster(&map);
	r->is_fresh = false;
	if (r->is_new)
		rc = count_new(r, offset, end, room, &nr);
	if (!rc)
		rc = prepare_copy(r, offset, SK_MIN(end, first + (uint64_t)nr * q->cluster_bytes),
				  nr);
	if (rc)
		return rc;
	r->host = map.host;
	r->nr_clusters = 1;
	if (!r->is_new)
		return 0;
	rc = qcow2_alloc(r, nr, &r->is_fresh, &r->host, &r->nr_clusters);
	/* Fewer than wished for: the last of them is full. */
	if (!rc && r->nr_clusters < nr)
		r->tail_bytes = 0;
	return rc;
}

/* Room for nothing else than what lies in one slice of the table. */
static int place_step(struct qreq *r, uint64_t end)
{
	struct qcow2 *q = r->q;
	uint64_t offset = r->request->offset + r->position, reach;
	struct slice *slice = NULL;
	uint32_t index = 0;
	int rc = qcow2_upgrade(r);

	if (!rc)
		rc = qcow2_map_for_write(r, offset, &slice, &index);
	if (!rc)
		rc = find_place(r, offset, end, q->l2_per_slice - index);
	if (rc)
		return rc;
	reach = sk_align_down(offset, q->cluster_bytes) +
		(uint64_t)r->nr_clusters * q->cluster_bytes;
	r->piece_bytes = SK_MIN(end, reach) - offset;
	r->nr_copied = 0;
	r->step = STEP_COPY;
	return 0;
}

/* The steps behind a plan. */
static int later_step(struct qreq *r)
{
	int rc;

	switch (r->step) {
	case STEP_COPY:
		rc = gather(r);
		if (!rc)
			rc = copy_step(r);
		break;
	case STEP_WRITE:
		rc = write_step(r);
		break;
	case STEP_LINK:
		rc = link_step(r);
		break;
	default:
		return undo_step(r);
	}
	if (rc < 0 && rc != -EAGAIN && r->is_new) {
		r->step = STEP_UNDO;
		r->error = rc;
		return 0;
	}
	return rc;
}

static int plan(struct qreq *r, uint64_t len)
{
	uint64_t offset = r->request->offset + r->position;
	struct mapping map;
	int rc;

	if (!r->is_zero_piece && r->request->nr_iov > MAX_VECTORS)
		len = SK_MIN(len, BOUNCE_BYTES);
	rc = qcow2_map(r, offset, len, &map);
	if (rc)
		return rc;
	if (map.kind == MAP_DATA && map.is_copied)
		return write_in_place(r, &map);
	return place_step(r, offset + len);
}

int qcow2_write_step(struct qreq *r)
{
	if (r->step != STEP_PLAN)
		return later_step(r);
	return plan(r, r->request->len_bytes - r->position);
}

int qcow2_write_zeroes_step(struct qreq *r, uint64_t len_bytes)
{
	if (r->step != STEP_PLAN)
		return later_step(r);
	r->is_zero_piece = true;
	return plan(r, SK_MIN(len_bytes, BOUNCE_BYTES));
}
