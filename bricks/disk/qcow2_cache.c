/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Slices of L2 tables and refcount blocks. Their number is fixed at open. What is clean and nobody
 * has pinned is thrown out, least recently used first; what is dirty stays until the job has
 * written it.
 *
 * Of the requests that wait for tables only the first few are privileged: they may start loads, and
 * what they have found stays pinned until their step is through. All at once would throw out each
 * other's slices for ever.
 */
#include "qcow2_internal.h"

static struct slice **bucket(const struct qcow2 *q, uint64_t offset)
{
	return &q->hash[(offset / q->slice_bytes * UINT64_C(0x9e3779b97f4a7c15) >> 32) &
			q->hash_mask];
}

int qcow2_cache_init(struct qcow2 *q, size_t bytes)
{
	uint64_t nr = SK_MAX(bytes / q->slice_bytes, CACHE_MIN_SLICES);
	/* What all tables of the image have together is enough. */
	uint64_t useful = (uint64_t)q->h.l1_entries * q->slices_per_cluster * 2 + CACHE_MIN_SLICES;
	size_t nr_buckets = 1;

	q->nr_slices = (uint32_t)SK_MIN(nr, useful);
	while (nr_buckets < q->nr_slices)
		nr_buckets *= 2;
	q->hash_mask = (uint32_t)nr_buckets - 1;
	q->hash = calloc(nr_buckets, sizeof(struct slice *));
	q->slices = calloc(q->nr_slices, sizeof(*q->slices));
	q->slice_memory = calloc(q->nr_slices, q->slice_bytes);
	qlink_init(&q->lru);
	if (!q->hash || !q->slices || !q->slice_memory)
		return -ENOMEM;
	for (uint32_t i = 0; i < q->nr_slices; i++) {
		q->slices[i].q = q;
		q->slices[i].data = q->slice_memory + (size_t)i * q->slice_bytes;
		qlink_append(&q->lru, &q->slices[i].lru);
	}
	return 0;
}

void qcow2_cache_fini(struct qcow2 *q)
{
	free(q->hash);
	free(q->slices);
	free(q->slice_memory);
}

static struct slice *find(const struct qcow2 *q, uint64_t offset)
{
	struct slice *slice = *bucket(q, offset);

	while (slice && slice->offset != offset)
		slice = slice->hash_next;
	return slice;
}

static void touch(struct slice *slice)
{
	qlink_remove(&slice->lru);
	qlink_append(&slice->q->lru, &slice->lru);
}

static void pin(struct qreq *r, struct slice *slice)
{
	if (!r || !r->is_privileged || r->nr_pins == MAX_PINS)
		return;
	for (uint32_t i = 0; i < r->nr_pins; i++)
		if (r->pins[i] == slice)
			return;
	r->pins[r->nr_pins++] = slice;
	slice->pins++;
}

void qcow2_unpin(struct qreq *r)
{
	while (r->nr_pins)
		r->pins[--r->nr_pins]->pins--;
}

static void evict(struct slice *slice)
{
	struct slice **at = bucket(slice->q, slice->offset);

	if (slice->state == SLICE_FREE)
		return;
	while (*at != slice)
		at = &(*at)->hash_next;
	*at = slice->hash_next;
	slice->state = SLICE_FREE;
}

/* A slice that is free now, for @offset; NULL: all are dirty, pinned, or on their way. */
static struct slice *claim(struct qcow2 *q, uint64_t offset, enum slice_kind kind)
{
	struct sk_loop_link *link;
	struct slice *slice = NULL;

	for (link = q->lru.next; link != &q->lru; link = link->next) {
		slice = SK_CONTAINER_OF(link, struct slice, lru);
		if (!slice->pins && (slice->state == SLICE_FREE || slice->state == SLICE_CLEAN))
			break;
	}
	if (link == &q->lru)
		return NULL;
	evict(slice);
	slice->offset = offset;
	slice->kind = kind;
	slice->hash_next = *bucket(q, offset);
	*bucket(q, offset) = slice;
	touch(slice);
	return slice;
}

static void loaded(struct slice *slice, int result)
{
	struct qcow2 *q = slice->q;

	q->nr_loading--;
	slice->state = SLICE_CLEAN;
	if (result < 0) {
		slice->state = SLICE_FAILED;
		slice->error = result;
		q->nr_failed++;
	} else if ((uint32_t)result < q->slice_bytes) {
		memset(slice->data + result, 0, q->slice_bytes - (uint32_t)result);
	}
}

static void load_done(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	struct slice *slice = SK_CONTAINER_OF(op, struct slice, op);
	struct qcow2 *q = slice->q;

	(void)loop;
	loaded(slice, result);
	qcow2_job_run(q);
	qcow2_wake(q);
	qcow2_job_settle(q);
}

static void load(struct slice *slice)
{
	struct qcow2 *q = slice->q;
	int rc;

	slice->state = SLICE_LOADING;
	q->nr_loading++;
	if (q->is_closing) {
		rc = disk_file_pread(&q->disk->file, slice->data, q->slice_bytes, slice->offset);
		loaded(slice, rc ? rc : (int)q->slice_bytes);
		return;
	}
	slice->op.done = load_done;
	slice->op.fd = q->disk->file.fd;
	slice->op.flags = SK_LOOP_WHOLE;
	sk_loop_read(q->disk->loop, &slice->op, slice->data, q->slice_bytes, slice->offset);
}

/* No room: if it is because so much is dirty, that is written now. */
static int no_room(struct qcow2 *q)
{
	if (!q->nr_dirty)
		return -EAGAIN;
	qcow2_job_start(q);
	return q->job.last_error ? q->job.last_error : -EAGAIN;
}

int qcow2_cache_get(struct qcow2 *q, struct qreq *r, uint64_t offset, enum slice_kind kind,
		    struct slice **out)
{
	struct slice *slice = find(q, offset);

	if (!slice) {
		if ((r && !r->is_privileged) || q->nr_loading >= MAX_LOADS + !r)
			return -EAGAIN;
		slice = claim(q, offset, kind);
		if (!slice)
			return no_room(q);
		load(slice);
	}
	if (slice->state == SLICE_FAILED)
		return slice->error;
	/* One cluster as two kinds of table: the image is broken. */
	if (slice->kind != kind)
		return -EIO;
	if (slice->state == SLICE_LOADING)
		return -EAGAIN;
	touch(slice);
	pin(r, slice);
	*out = slice;
	return 0;
}

int qcow2_cache_create(struct qcow2 *q, struct qreq *r, uint64_t offset, enum slice_kind kind,
		       struct slice **out)
{
	struct slice *slice = find(q, offset);

	/* What is left of a former life of the cluster. */
	if (slice && slice->state == SLICE_LOADING)
		return -EAGAIN;
	if (!slice)
		slice = claim(q, offset, kind);
	if (!slice)
		return no_room(q);
	q->nr_failed -= slice->state == SLICE_FAILED;
	slice->kind = kind;
	memset(slice->data, 0, q->slice_bytes);
	if (slice->state != SLICE_DIRTY) {
		slice->state = SLICE_CLEAN;
		qcow2_cache_dirty(slice);
	}
	pin(r, slice);
	*out = slice;
	return 0;
}

void qcow2_cache_dirty(struct slice *slice)
{
	if (slice->state == SLICE_DIRTY)
		return;
	slice->state = SLICE_DIRTY;
	slice->q->nr_dirty++;
}

void qcow2_cache_clean(struct slice *slice)
{
	if (slice->state != SLICE_DIRTY)
		return;
	slice->state = SLICE_CLEAN;
	slice->q->nr_dirty--;
}

void qcow2_cache_forget(struct qcow2 *q, uint64_t offset, uint64_t len_bytes)
{
	for (uint64_t at = offset; at < offset + len_bytes; at += q->slice_bytes) {
		struct slice *slice = find(q, at);

		/* One on its way stays; it is only old, and nobody asks for it. */
		if (!slice || slice->state == SLICE_LOADING || slice->pins)
			continue;
		qcow2_cache_clean(slice);
		evict(slice);
	}
}

void qcow2_cache_drop_failed(struct qcow2 *q)
{
	for (uint32_t i = 0; i < q->nr_slices && q->nr_failed; i++) {
		if (q->slices[i].state != SLICE_FAILED)
			continue;
		q->nr_failed--;
		evict(&q->slices[i]);
	}
}
