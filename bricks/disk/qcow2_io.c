/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Reads, and what all transfers share. A request is done piece by piece: a piece is what is of one
 * kind and contiguous in the file.
 */
#include "qcow2_internal.h"

/* @nr_iov vectors' bytes from @skip on, @len of them, as vectors; returns their number. */
static uint32_t cut_iov(const struct iovec *iov, uint32_t nr_iov, uint64_t skip, uint64_t len,
			struct iovec *out)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < nr_iov && len; i++) {
		uint64_t n = iov[i].iov_len;

		if (skip >= n) {
			skip -= n;
			continue;
		}
		out[nr].iov_base = (uint8_t *)iov[i].iov_base + skip;
		out[nr].iov_len = SK_MIN(n - skip, len);
		len -= out[nr].iov_len;
		skip = 0;
		nr++;
	}
	return nr;
}

static int grow_iov(struct qreq *r, uint32_t wanted)
{
	struct iovec *iov;

	if (wanted <= r->iov_room)
		return 0;
	iov = reallocarray(r->iov, wanted, sizeof(*iov));
	if (!iov)
		return -ENOMEM;
	r->iov = iov;
	r->iov_room = wanted;
	return 0;
}

int qcow2_piece_iov(struct qreq *r, uint32_t before, uint32_t after)
{
	const struct sk_disk_request *request = r->request;
	uint32_t nr = request->nr_iov, zeroes;

	zeroes = (uint32_t)(r->piece_bytes / DISK_ZEROES_BYTES) + 1;
	if (r->is_zero_piece || r->bounce)
		nr = r->bounce ? 1 : zeroes;
	if (grow_iov(r, before + nr + after))
		return -ENOMEM;
	if (r->bounce) {
		r->iov[before] = (struct iovec){r->bounce, r->piece_bytes};
		return 1;
	}
	if (!r->is_zero_piece)
		return (int)cut_iov(request->iov, request->nr_iov, r->position, r->piece_bytes,
				    r->iov + before);
	nr = 0;
	for (uint64_t left = r->piece_bytes; left; left -= r->iov[before + nr++].iov_len)
		r->iov[before + nr] =
			(struct iovec){r->q->disk->zeroes, SK_MIN(left, DISK_ZEROES_BYTES)};
	return (int)nr;
}

int qcow2_reserve(struct qreq *r, uint64_t len_bytes, uint8_t **out)
{
	struct qcow2 *q = r->q;

	/* Who holds some already does not wait for more: nobody could go on. */
	if (!r->reserved_bytes && q->cow_bytes && q->cow_bytes + len_bytes > COW_BYTES_MAX)
		return -EAGAIN;
	*out = disk_alloc(len_bytes);
	if (!*out)
		return -ENOMEM;
	q->cow_bytes += len_bytes;
	r->reserved_bytes += len_bytes;
	return 0;
}

void qcow2_release_buffers(struct qreq *r)
{
	free(r->cow);
	free(r->bounce);
	free(r->packed);
	r->cow = r->bounce = r->packed = NULL;
	r->q->cow_bytes -= r->reserved_bytes;
	r->reserved_bytes = 0;
}

void qcow2_advance(struct qreq *r)
{
	bool had_memory = r->reserved_bytes;

	qcow2_release_buffers(r);
	r->position += r->piece_bytes;
	r->step = STEP_PLAN;
	r->is_zero_piece = false;
	if (had_memory && r->q->nr_stalled)
		qcow2_wake(r->q);
}

void qcow2_resume(struct qreq *r, int error)
{
	if (!error) {
		qcow2_run(r);
		return;
	}
	/* What was allocated for the piece is given back first. */
	if (r->step != STEP_PLAN && r->is_new) {
		r->step = STEP_UNDO;
		r->error = error;
		qcow2_run(r);
		return;
	}
	qcow2_finish(r, error);
}

/* Zeroes on @len bytes of the piece from @skip on. */
static void zero_piece(struct qreq *r, uint64_t skip, uint64_t len)
{
	int nr;
	uint64_t piece = r->piece_bytes, position = r->position;

	r->piece_bytes = len;
	r->position += skip;
	nr = qcow2_piece_iov(r, 0, 0);
	for (int i = 0; i < nr; i++)
		memset(r->iov[i].iov_base, 0, r->iov[i].iov_len);
	r->piece_bytes = piece;
	r->position = position;
}

static void copy_to_piece(struct qreq *r, const uint8_t *from)
{
	int nr = qcow2_piece_iov(r, 0, 0);

	for (int i = 0; i < nr; i++) {
		memcpy(r->iov[i].iov_base, from, r->iov[i].iov_len);
		from += r->iov[i].iov_len;
	}
}

/* The end of a fetch: into the request's vectors it is the whole piece. */
static void fetched(struct qreq *r, int error)
{
	if (!error && !r->wanted)
		qcow2_advance(r);
	qcow2_resume(r, error);
}

static void read_done(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	struct qreq *r = SK_CONTAINER_OF(op, struct qreq, op);
	uint64_t got = result < 0 ? 0 : (uint64_t)result;

	(void)loop;
	/* Behind the end of the file are zeroes. */
	if (result >= 0 && got < r->wanted_bytes) {
		if (r->wanted)
			memset(r->wanted + got, 0, r->wanted_bytes - got);
		else
			zero_piece(r, got, r->wanted_bytes - got);
	}
	fetched(r, SK_MIN(result, 0));
}

static int fetch_data(struct qreq *r, uint64_t host)
{
	struct qcow2 *q = r->q;
	int nr = 1;

	if (r->wanted) {
		if (grow_iov(r, 1))
			return -ENOMEM;
		r->iov[0] = (struct iovec){r->wanted, r->wanted_bytes};
	} else {
		nr = qcow2_piece_iov(r, 0, 0);
		if (nr < 0)
			return nr;
	}
	r->op.done = read_done;
	r->op.fd = disk_file_fd(&q->disk->file, r->iov, (uint32_t)nr, host);
	r->op.flags = SK_LOOP_WHOLE;
	sk_loop_readv(q->disk->loop, &r->op, r->iov, (unsigned)nr, host);
	return 1;
}

static void take_inflated(struct qreq *r)
{
	const uint8_t *from = r->q->inflated + r->packed_within;

	if (r->wanted)
		memcpy(r->wanted, from, r->wanted_bytes);
	else
		copy_to_piece(r, from);
}

static void packed_done(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	struct qreq *r = SK_CONTAINER_OF(op, struct qreq, op);
	struct qcow2 *q = r->q;

	(void)loop;
	if (result >= 0) {
		q->inflated_entry = 0;
		result = qcow2_inflate(&q->codec, r->packed, (size_t)result, q->inflated,
				       q->cluster_bytes);
	}
	if (!result) {
		q->inflated_entry = r->packed_entry;
		take_inflated(r);
	}
	fetched(r, result);
}

static int fetch_packed(struct qreq *r)
{
	struct qcow2 *q = r->q;
	int rc;

	if (q->inflated_entry == r->packed_entry) {
		take_inflated(r);
		return 0;
	}
	qcow2_packed_range(q, r->packed_entry, &r->packed_start, &r->packed_bytes);
	free(r->packed);
	r->packed = NULL;
	rc = qcow2_reserve(r, r->packed_bytes, &r->packed);
	if (rc)
		return rc;
	r->op.done = packed_done;
	r->op.fd = q->disk->file.fd;
	r->op.flags = SK_LOOP_WHOLE;
	sk_loop_read(q->disk->loop, &r->op, r->packed, r->packed_bytes, r->packed_start);
	return 1;
}

static void backing_done(struct sk_disk_request *sub, int result)
{
	struct qreq *r = SK_CONTAINER_OF(sub, struct qreq, sub);

	if (!result && r->sub_zero_bytes) {
		uint64_t got = r->wanted_bytes - r->sub_zero_bytes;

		if (r->wanted)
			memset(r->wanted + got, 0, r->sub_zero_bytes);
		else
			zero_piece(r, got, r->sub_zero_bytes);
	}
	fetched(r, result);
}

/* The backing file is not empty at @offset. */
static int fetch_backing(struct qreq *r, uint64_t offset)
{
	struct qcow2 *q = r->q;
	uint64_t there = q->backing->info.size_bytes - offset;
	uint64_t len = SK_MIN(r->wanted_bytes, there);
	int nr = 1;

	r->sub = (struct sk_disk_request){
		.done = backing_done,
		.op = SK_DISK_READ,
		.iov = &r->sub_iov,
		.offset = offset,
		.len_bytes = len,
	};
	r->sub_zero_bytes = r->wanted_bytes - len;
	if (r->wanted) {
		r->sub_iov = (struct iovec){r->wanted, len};
	} else {
		uint64_t piece = r->piece_bytes;

		r->piece_bytes = len;
		nr = qcow2_piece_iov(r, 0, 0);
		r->piece_bytes = piece;
		if (nr < 0)
			return nr;
		r->sub.iov = r->iov;
	}
	r->sub.nr_iov = (uint32_t)nr;
	sk_disk_submit(q->backing, &r->sub);
	return 1;
}

bool qcow2_reads_zero(const struct qcow2 *q, const struct mapping *map, uint64_t offset)
{
	if (map->kind == MAP_UNALLOCATED)
		return !q->backing || offset >= q->backing->info.size_bytes;
	return map->kind == MAP_ZERO;
}

int qcow2_fetch(struct qreq *r, const struct mapping *map, uint64_t offset, uint64_t len_bytes,
		uint8_t *to)
{
	struct qcow2 *q = r->q;

	r->wanted = to;
	r->wanted_bytes = len_bytes;
	if (qcow2_reads_zero(q, map, offset)) {
		if (to)
			memset(to, 0, len_bytes);
		else
			zero_piece(r, 0, len_bytes);
		return 0;
	}
	if (map->kind == MAP_DATA)
		return fetch_data(r, map->host);
	if (map->kind == MAP_UNALLOCATED)
		return fetch_backing(r, offset);
	r->packed_entry = map->entry;
	r->packed_within = offset & (q->cluster_bytes - 1);
	return fetch_packed(r);
}

int qcow2_read_step(struct qreq *r)
{
	uint64_t offset = r->request->offset + r->position;
	struct mapping map;
	int rc = qcow2_map(r, offset, r->request->len_bytes - r->position, &map);

	if (rc)
		return rc;
	r->piece_bytes = map.len_bytes;
	/* Vectors are scratch that a piece needs; without memory even zeroes fail. */
	if (grow_iov(r, r->request->nr_iov))
		return -ENOMEM;
	rc = qcow2_fetch(r, &map, offset, map.len_bytes, NULL);
	if (!rc)
		qcow2_advance(r);
	return rc;
}
