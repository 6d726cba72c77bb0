/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The job that writes tables back; qcow2_internal.h has its order and why. One at a time; flushes
 * that come while it runs are served together by the next one. A failure (ENOSPC, EIO) ends the run
 * and fails its flushes; what could not be written stays dirty, and the next run tries again.
 */
#include "qcow2_internal.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

/* So much may be dirty before it is written without anybody having asked. */
static uint32_t max_dirty(const struct qcow2 *q)
{
	return q->nr_slices / 2;
}

int qcow2_can_change(struct qcow2 *q, uint32_t nr_frees)
{
	if (qcow2_job_is_running(q))
		return -EAGAIN;
	if (q->nr_dirty + CACHE_SPARE <= max_dirty(q) && q->nr_frees + nr_frees <= MAX_FREES)
		return 0;
	qcow2_job_start(q);
	/* If the last one failed this one will, too: who waited for it would wait for ever. */
	return q->job.last_error ? q->job.last_error : -EAGAIN;
}

static void op_ended(struct job_op *o, int result)
{
	struct job *job = &o->q->job;

	o->is_busy = false;
	job->nr_ops--;
	if (result < 0 && !job->error)
		job->error = result;
}

static void write_ended(struct job_op *o, int result)
{
	if (o->slice)
		o->slice->pins--;
	/* What failed stays dirty. */
	if (result >= 0 && o->slice) {
		qcow2_cache_clean(o->slice);
	} else if (result >= 0) {
		sk_bit_clear(o->dirty, o->index);
		--*o->nr_dirty;
	}
	op_ended(o, result);
}

static void write_done(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	struct job_op *o = SK_CONTAINER_OF(op, struct job_op, op);
	int wanted = o->slice ? (int)o->q->slice_bytes : (int)sizeof(o->word);

	(void)loop;
	write_ended(o, result < 0 ? result : result == wanted ? 0 : -ENOSPC);
	qcow2_job_run(o->q);
}

static void start_write(struct job_op *o, const void *buf, size_t len_bytes, uint64_t offset)
{
	struct qcow2 *q = o->q;

	o->is_busy = true;
	q->job.nr_ops++;
	q->job.has_written = true;
	if (q->is_closing) {
		write_ended(o, disk_file_pwrite(&q->disk->file, buf, len_bytes, offset));
		return;
	}
	o->op.done = write_done;
	o->op.fd = q->disk->file.fd;
	o->op.flags = SK_LOOP_WHOLE;
	sk_loop_write(q->disk->loop, &o->op, buf, len_bytes, offset);
}

static struct job_op *take_op(struct qcow2 *q)
{
	for (size_t i = 0; i < MAX_JOB_WRITES; i++)
		if (!q->job.ops[i].is_busy) {
			q->job.ops[i].q = q;
			return &q->job.ops[i];
		}
	return NULL;
}

/* Starts writes of dirty slices of @kind; true when all are done. */
static bool write_slices(struct qcow2 *q, enum slice_kind kind)
{
	struct job *job = &q->job;

	for (; job->next < q->nr_slices && !job->error; job->next++) {
		struct slice *slice = &q->slices[job->next];
		struct job_op *o;

		if (slice->state != SLICE_DIRTY || slice->kind != kind)
			continue;
		o = take_op(q);
		if (!o)
			return false;
		o->slice = slice;
		slice->pins++;
		start_write(o, slice->data, q->slice_bytes, slice->offset);
	}
	return !job->nr_ops;
}

/* The same for the entries of a table of pointers that are dirty. */
static bool write_pointers(struct qcow2 *q, const uint64_t *entries, uint64_t nr, uint64_t *dirty,
			   uint32_t *nr_dirty, uint64_t table_offset)
{
	struct job *job = &q->job;

	for (; job->next < nr && *nr_dirty && !job->error; job->next++) {
		struct job_op *o;

		if (!sk_bit_test(dirty, job->next))
			continue;
		o = take_op(q);
		if (!o)
			return false;
		o->slice = NULL;
		o->dirty = dirty;
		o->nr_dirty = nr_dirty;
		o->index = job->next;
		o->word = qcow2_swap64(entries[job->next]);
		start_write(o, &o->word, sizeof(o->word), table_offset + job->next * 8);
	}
	return !job->nr_ops;
}

static void sync_done(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	struct job_op *o = SK_CONTAINER_OF(op, struct job_op, op);

	(void)loop;
	/* The kernel forgets what it failed to write: from now on no flush can be believed. */
	if (result < 0)
		o->q->disk->file.flush_error = result;
	op_ended(o, result);
	qcow2_job_run(o->q);
}

static void start_sync(struct qcow2 *q)
{
	struct job_op *o = &q->job.sync;

	o->q = q;
	o->is_busy = true;
	q->job.nr_ops++;
	q->job.has_written = false;
	if (q->is_closing) {
		op_ended(o, fdatasync(q->disk->file.fd) ? -errno : 0);
		return;
	}
	o->op.done = sync_done;
	o->op.fd = q->disk->file.fd;
	o->op.flags = SK_LOOP_DATASYNC;
	sk_loop_fsync(q->disk->loop, &o->op);
}

/* One barrier; true when it is behind us. @is_needed counts when it begins. */
static bool barrier(struct qcow2 *q, bool is_needed)
{
	if (!q->job.next && is_needed)
		start_sync(q);
	q->job.next = 1;
	return !q->job.nr_ops;
}

static void punch_done(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	struct job_op *o = SK_CONTAINER_OF(op, struct job_op, op);

	(void)loop;
	(void)result; /* a file system without holes keeps the space */
	op_ended(o, 0);
	o->q->job.is_punched = true;
	qcow2_job_run(o->q);
}

static void punch(struct qcow2 *q, uint64_t cluster, uint64_t nr)
{
	struct job_op *o = &q->job.sync;
	int mode = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE;
	uint64_t offset = cluster << q->h.cluster_bits, len = nr << q->h.cluster_bits;

	o->q = q;
	if (q->is_closing) {
		(void)!fallocate(q->disk->file.fd, mode, (off_t)offset, (off_t)len);
		q->job.is_punched = true;
		return;
	}
	o->is_busy = true;
	q->job.nr_ops++;
	o->op.done = punch_done;
	o->op.fd = q->disk->file.fd;
	o->op.flags = 0;
	sk_loop_fallocate(q->disk->loop, &o->op, mode, offset, len);
}

/* Some of the clusters of @f; 0, or -EAGAIN: a load or a hole is on its way. */
static int free_some(struct qcow2 *q, struct freed *f)
{
	struct slice *slice = NULL;
	uint32_t index = 0, nr = 0;
	uint64_t count;
	int rc = qcow2_refcount_slice(q, NULL, f->cluster, &slice, &index);

	if (rc == -EAGAIN)
		return rc;
	while (!rc && nr < f->nr && index + nr < q->refs_per_slice &&
	       qcow2_refcount(q, slice, index + nr) == 1)
		nr++;
	if (nr && !q->job.is_punched) {
		punch(q, f->cluster, nr);
		return q->job.nr_ops ? -EAGAIN : 0;
	}
	for (uint32_t i = 0; i < nr; i++)
		qcow2_set_refcount(q, slice, index + i, 0);
	if (nr)
		q->next_free = SK_MIN(q->next_free, f->cluster);
	count = rc || nr ? 0 : qcow2_refcount(q, slice, index);
	if (count)
		qcow2_set_refcount(q, slice, index, count - 1);
	if (nr || count)
		qcow2_cache_dirty(slice);
	/* What has no refcount, or a block that cannot be read, is skipped: it may leak. */
	f->cluster += SK_MAX(nr, 1u);
	f->nr -= SK_MAX(nr, 1u);
	q->job.is_punched = false;
	return 0;
}

/* True when all is freed, or when so much is dirty that it must be written first. */
static bool free_clusters(struct qcow2 *q)
{
	struct job *job = &q->job;

	/* A hole is being made: it was a load for somebody else that has ended. */
	if (job->nr_ops)
		return false;
	while (job->freed < job->nr_frees) {
		struct freed *f = &q->frees[job->freed];

		if (!job->is_punched && q->nr_dirty + CACHE_SPARE > q->nr_slices * 3 / 4) {
			job->is_freeing = true;
			return true;
		}
		if (f->nr && free_some(q, f))
			return false;
		if (!f->nr)
			job->freed++;
	}
	q->nr_frees = job->freed = job->nr_frees = 0;
	return true;
}

static void complete_flushes(struct qcow2 *q, int result)
{
	struct sk_disk_request *request = q->job.flushes, *next;

	q->job.flushes = NULL;
	for (; request; request = next) {
		next = request->next;
		if (request->op == SK_DISK_FLUSH) {
			disk_complete(request, result);
			continue;
		}
		request->result = result;
		request->next = q->job.settling;
		q->job.settling = request;
	}
}

void qcow2_job_settle(struct qcow2 *q)
{
	struct sk_disk_request *request = q->job.settling, *next;

	if (!request || q->job.stage != JOB_IDLE || q->nr_loading)
		return;
	q->job.settling = NULL;
	for (; request; request = next) {
		next = request->next;
		disk_complete(request, request->result);
	}
}

static void set_stage(struct qcow2 *q, enum job_stage stage)
{
	q->job.stage = stage;
	q->job.next = 0;
}

/* Does what the stage wants; true when it is through. */
static bool run_stage(struct qcow2 *q)
{
	struct job *job = &q->job;

	switch (job->stage) {
	case JOB_REFCOUNTS:
		return write_slices(q, SLICE_REFCOUNTS);
	case JOB_REFCOUNTS_SYNC:
		return barrier(q, q->nr_reftable_dirty);
	case JOB_REFTABLE:
		return write_pointers(q, q->reftable, q->nr_reftable, q->reftable_dirty,
				      &q->nr_reftable_dirty, q->h.reftable_offset);
	case JOB_DATA_SYNC:
		/* What is still dirty are L2 tables. */
		return barrier(q, job->flushes || q->nr_dirty || q->nr_l1_dirty);
	case JOB_L2:
		return write_slices(q, SLICE_L2);
	case JOB_L2_SYNC:
		return barrier(q, job->has_written);
	case JOB_L1:
		return write_pointers(q, q->l1, q->h.l1_entries, q->l1_dirty, &q->nr_l1_dirty,
				      q->h.l1_offset);
	case JOB_L1_SYNC:
		return barrier(q, job->has_written);
	case JOB_FREE:
		complete_flushes(q, 0);
		return free_clusters(q);
	case JOB_IDLE:
	case JOB_DONE:
		break;
	}
	return false;
}

static void next_stage(struct qcow2 *q)
{
	struct job *job = &q->job;

	if (job->error)
		set_stage(q, JOB_DONE);
	else if (job->stage == JOB_FREE && job->is_freeing)
		set_stage(q, JOB_REFCOUNTS);
	else if (job->stage == JOB_REFCOUNTS && job->is_freeing)
		set_stage(q, JOB_FREE);
	else
		set_stage(q, job->stage + 1);
	if (job->stage == JOB_FREE)
		job->is_freeing = false;
}

static void end_job(struct qcow2 *q)
{
	struct job *job = &q->job;

	job->last_error = job->error;
	complete_flushes(q, job->error);
	set_stage(q, JOB_IDLE);
}

void qcow2_job_run(struct qcow2 *q)
{
	struct job *job = &q->job;

	if (job->is_running)
		return;
	job->is_running = true;
	while (job->stage != JOB_IDLE && (run_stage(q) || (job->error && !job->nr_ops))) {
		next_stage(q);
		if (job->stage == JOB_DONE)
			end_job(q);
		if (job->stage == JOB_IDLE && job->later)
			qcow2_job_start(q);
	}
	job->is_running = false;
	if (job->stage == JOB_IDLE && q->nr_stalled)
		qcow2_wake(q);
	qcow2_job_settle(q);
}

void qcow2_job_start(struct qcow2 *q)
{
	struct job *job = &q->job;

	if (job->stage != JOB_IDLE)
		return;
	set_stage(q, JOB_REFCOUNTS);
	job->error = q->disk->file.flush_error;
	job->has_written = job->is_freeing = false;
	job->nr_frees = q->nr_frees;
	job->freed = 0;
	job->flushes = job->later;
	job->later = NULL;
	qcow2_job_run(q);
}

void qcow2_job_flush(struct qcow2 *q, struct sk_disk_request *request)
{
	/* A job that failed before it began would call done() from inside submit. */
	if (q->disk->file.flush_error) {
		disk_complete_later(request, q->disk->file.flush_error);
		return;
	}
	request->next = q->job.later;
	q->job.later = request;
	qcow2_job_start(q);
}
