/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * A qcow2 image: opening, closing, and requests from submit to done.
 *
 * Requests lock the clusters that they touch, in the order in which they came: shared for reads and
 * for writes in place, exclusive for whatever changes where a cluster is. A request that finds out
 * that it needs more than it has goes to the end of the order, so that there is no deadlock. With
 * that nothing is freed or moved while it is read or written.
 */
#include "qcow2_internal.h"

#include <stdio.h>
#include <unistd.h>

bool qcow2_is_erase(const struct qreq *r)
{
	return r->request->op == SK_DISK_DISCARD || r->request->op == SK_DISK_WRITE_ZEROES;
}

static struct qreq *get_qreq(struct qcow2 *q)
{
	struct qreq *r = q->pool;

	if (r) {
		q->pool = r->next_idle;
		return r;
	}
	r = calloc(1, sizeof(*r));
	if (r) {
		r->q = q;
		qlink_init(&r->waiting);
	}
	return r;
}

static bool has_lock(const struct qreq *r)
{
	const struct qcow2 *q = r->q;

	for (const struct sk_loop_link *l = q->requests.next; l != &r->order; l = l->next) {
		const struct qreq *other =
			(const void *)((const char *)l - offsetof(struct qreq, order));

		if ((r->is_exclusive || other->is_exclusive) && other->lock_start < r->lock_end &&
		    r->lock_start < other->lock_end)
			return false;
	}
	return true;
}

int qcow2_upgrade(struct qreq *r)
{
	if (r->is_exclusive)
		return 0;
	r->is_exclusive = true;
	qlink_remove(&r->order);
	qlink_append(&r->q->requests, &r->order);
	/* Somebody may have waited for the shared lock. */
	if (r->q->nr_stalled)
		qcow2_wake(r->q);
	return has_lock(r) ? 0 : -EAGAIN;
}

static void stall(struct qreq *r)
{
	struct qcow2 *q = r->q;

	if (!r->is_privileged)
		qcow2_unpin(r);
	qlink_append(&q->stalled, &r->waiting);
	q->nr_stalled++;
	q->nr_table_waiters += has_lock(r);
}

static int step(struct qreq *r)
{
	if (!has_lock(r))
		return -EAGAIN;
	if (qcow2_is_erase(r))
		return qcow2_erase_step(r);
	return r->request->op == SK_DISK_READ ? qcow2_read_step(r) : qcow2_write_step(r);
}

void qcow2_run(struct qreq *r)
{
	struct qcow2 *q = r->q;
	uint64_t nr_wakes;
	int rc;

	do {
		if (r->position == r->request->len_bytes) {
			qcow2_finish(r, 0);
			return;
		}
		r->is_privileged = q->nr_table_waiters < MAX_PRIVILEGED;
		nr_wakes = q->nr_wakes;
		rc = step(r);
		/* What it would wait for has just come. */
		if (rc == -EAGAIN && nr_wakes != q->nr_wakes)
			rc = 0;
	} while (!rc);
	if (rc == -EAGAIN) {
		stall(r);
		return;
	}
	qcow2_unpin(r);
	if (rc < 0)
		qcow2_finish(r, rc);
}

void qcow2_wake(struct qcow2 *q)
{
	struct sk_loop_link list;
	uint64_t nr_wakes;

	q->nr_wakes++;
	if (q->is_waking)
		return;
	q->is_waking = true;
	do {
		nr_wakes = q->nr_wakes;
		/* The whole list moves; who stalls again queues up in the same order. */
		list = q->stalled;
		if (list.next == &q->stalled)
			break;
		list.next->prev = list.prev->next = &list;
		qlink_init(&q->stalled);
		q->nr_stalled = q->nr_table_waiters = 0;
		while (list.next != &list) {
			struct qreq *r = SK_CONTAINER_OF(list.next, struct qreq, waiting);

			qlink_remove(&r->waiting);
			qcow2_run(r);
		}
		if (q->nr_failed)
			qcow2_cache_drop_failed(q);
	} while (nr_wakes != q->nr_wakes);
	q->is_waking = false;
}

void qcow2_finish(struct qreq *r, int result)
{
	struct qcow2 *q = r->q;
	struct sk_disk_request *request = r->request;

	qcow2_unpin(r);
	qcow2_release_buffers(r);
	qlink_remove(&r->order);
	r->request = NULL;
	r->next_idle = q->pool;
	q->pool = r;
	if (q->is_submitting)
		disk_complete_later(request, result);
	else
		disk_complete(request, result);
	/* Somebody may have waited for the lock, or for the memory. */
	if (q->nr_stalled)
		qcow2_wake(q);
}

static void qcow2_submit(struct sk_disk *disk, struct sk_disk_request *request)
{
	struct qcow2 *q = disk->format;
	struct qreq *r;

	if (request->op == SK_DISK_FLUSH || request->op == SK_DISK_SETTLE) {
		qcow2_job_flush(q, request);
		return;
	}
	r = get_qreq(q);
	if (!r) {
		disk_complete_later(request, -ENOMEM);
		return;
	}
	r->request = request;
	r->position = 0;
	r->step = STEP_PLAN;
	r->is_exclusive = qcow2_is_erase(r);
	r->lock_start = sk_align_down(request->offset, q->cluster_bytes);
	r->lock_end = sk_align_down(request->offset + request->len_bytes + q->cluster_bytes - 1,
				    q->cluster_bytes);
	qlink_append(&q->requests, &r->order);
	q->is_submitting = true;
	qcow2_run(r);
	q->is_submitting = false;
}

/* Blocks: the loop may be gone. What cannot be written is lost, as if nobody had flushed. */
static void write_back(struct qcow2 *q)
{
	q->is_closing = true;
	if (q->build.is_active && q->build.kind == SLICE_L2)
		qcow2_free(q, q->build.to, q->cluster_bytes);
	/* Twice: the first frees clusters, the second writes that down. */
	for (int i = 0; i < 2 && !q->job.last_error; i++)
		qcow2_job_start(q);
}

static void free_qcow2(struct qcow2 *q)
{
	while (q->pool) {
		struct qreq *r = q->pool;

		q->pool = r->next_idle;
		free(r->iov);
		free(r);
	}
	sk_disk_close(q->backing);
	qcow2_cache_fini(q);
	free(q->inflated);
	free(q->frees);
	free(q->l1);
	free(q->l1_dirty);
	free(q->reftable);
	free(q->reftable_dirty);
	free(q);
}

static void qcow2_close(struct sk_disk *disk)
{
	struct qcow2 *q = disk->format;

	while (qcow2_job_is_running(q) || q->nr_loading)
		BUG_ON(sk_loop_turn(disk->loop, SK_LOOP_INFINITE) < 0);
	if (!disk->info.is_read_only)
		write_back(q);
	free_qcow2(q);
}

static int read_table(struct qcow2 *q, uint64_t **out, uint64_t **dirty, uint64_t nr,
		      uint64_t offset)
{
	int rc;

	*out = calloc(nr, sizeof(**out));
	*dirty = calloc(sk_bits_words(nr), sizeof(**dirty));
	if (!*out || !*dirty)
		return -ENOMEM;
	rc = disk_file_pread(&q->disk->file, *out, nr * 8, offset);
	for (uint64_t i = 0; i < nr && !rc; i++)
		(*out)[i] = qcow2_swap64((*out)[i]);
	return rc;
}

static int read_header(struct qcow2 *q, const char *path, struct sk_error *err)
{
	int64_t size = disk_file_size(&q->disk->file);
	uint8_t *buf = malloc(QCOW2_HEADER_MAX);
	size_t len;
	int rc;

	if (!buf || size < 0) {
		free(buf);
		return sk_error_set(err, size < 0 ? (int)size : -ENOMEM,
				    "the disk %s cannot be read", path);
	}
	len = (size_t)SK_MIN((uint64_t)size, QCOW2_HEADER_MAX);
	rc = disk_file_pread(&q->disk->file, buf, len, 0);
	if (rc)
		sk_error_set(err, rc, "it cannot be read: %s", strerror(-rc));
	else
		rc = qcow2_header_parse(&q->h, buf, len, err);
	free(buf);
	if (rc)
		sk_error_prefix(err, "the qcow2 image %s", path);
	q->file_end = (uint64_t)size;
	return rc;
}

static int check_state(const struct qcow2 *q, const char *path, struct sk_error *err)
{
	const char *why = q->h.incompatible & QCOW2_CORRUPT ? "is marked as corrupt"
			  : q->h.incompatible & QCOW2_DIRTY ? "was not closed"
							    : NULL;

	if (why && !q->disk->info.is_read_only)
		return sk_error_set(
			err, -EINVAL,
			"the qcow2 image %s %s; 'qemu-img check -r all' mends it, or add "
			"'ro'",
			path, why);
	return 0;
}

/* The name is relative to the folder of the image that says it. */
static char *backing_path(const struct qcow2 *q, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *out = NULL;

	if (q->h.backing_path[0] == '/' || !slash)
		return strdup(q->h.backing_path);
	if (asprintf(&out, "%.*s%s", (int)(slash - path + 1), path, q->h.backing_path) < 0)
		return NULL;
	return out;
}

static int open_backing(struct qcow2 *q, const struct sk_disk_config *config, unsigned depth,
			struct sk_error *err)
{
	struct sk_disk_config backing = *config;
	char *path;
	int rc;

	if (!q->h.backing_path[0])
		return 0;
	if (!config->has_backing)
		return sk_error_set(
			err, -EINVAL,
			"the qcow2 image %s builds on another file; add 'backing' if it "
			"may name files of this host",
			config->path);
	if (depth + 1 >= SK_DISK_MAX_CHAIN)
		return sk_error_set(err, -EINVAL,
				    "the qcow2 image %s is the %uth of a chain; that is too many",
				    config->path, depth + 1);
	if (!strcmp(q->h.backing_format, "raw"))
		backing.format = SK_DISK_RAW;
	else if (!strcmp(q->h.backing_format, "qcow2"))
		backing.format = SK_DISK_QCOW2;
	else
		return sk_error_set(
			err, -EINVAL,
			"the qcow2 image %s does not say that its backing file is raw or "
			"qcow2; 'qemu-img rebase -u -F FORMAT' writes it down",
			config->path);
	path = backing_path(q, config->path);
	if (!path)
		return sk_error_set(err, -ENOMEM, "no memory for the disk %s", config->path);
	backing.path = path;
	backing.is_read_only = true;
	rc = disk_open_nested(&q->backing, &backing, depth + 1, err);
	free(path);
	if (rc && !depth)
		sk_error_prefix(err, "the backing file of %s", config->path);
	return rc;
}

static void set_geometry(struct qcow2 *q)
{
	q->cluster_bytes = 1u << q->h.cluster_bits;
	q->slice_bytes = SK_MIN(q->cluster_bytes, SLICE_BYTES_MAX);
	q->slices_per_cluster = q->cluster_bytes / q->slice_bytes;
	q->refs_per_slice = (q->slice_bytes * 8) >> q->h.refcount_order;
	q->refs_per_block = (uint64_t)q->refs_per_slice * q->slices_per_cluster;
	q->l2_per_slice = q->slice_bytes / 8;
	q->l2_per_table = q->cluster_bytes / 8;
	q->nr_reftable = (uint64_t)q->h.reftable_clusters * (q->cluster_bytes / 8);
	q->file_end = sk_align_down(q->file_end + q->cluster_bytes - 1, q->cluster_bytes);
}

/*
 * Data passes by the page cache and tables do not: they must not share a page, or the kernel counts
 * it as a collision and fails the next fdatasync.
 */
static void check_direct(struct qcow2 *q, const char *path)
{
	if (q->disk->file.direct_fd < 0 || q->cluster_bytes >= DISK_PAGE_BYTES)
		return;
	sk_logf(q->disk->log, SK_LOG_WARN,
		"the clusters of %s are smaller than a page: it is used without O_DIRECT", path);
	sk_close(&q->disk->file.direct_fd);
	q->disk->file.align_bytes = 1;
}

/* Whoever writes an image without knowing an extension says that it may be out of date. */
static int clear_autoclear(struct qcow2 *q)
{
	const uint64_t none = 0;

	if (!q->h.autoclear || q->disk->info.is_read_only)
		return 0;
	return disk_file_pwrite(&q->disk->file, &none, sizeof(none), QCOW2_AT_AUTOCLEAR);
}

static int load(struct qcow2 *q, size_t cache_bytes)
{
	int rc;

	q->frees = calloc(MAX_FREES, sizeof(*q->frees));
	q->inflated = malloc(q->cluster_bytes);
	if (!q->frees || !q->inflated)
		return -ENOMEM;
	rc = qcow2_cache_init(q, cache_bytes ? cache_bytes : CACHE_DEFAULT_BYTES);
	if (!rc)
		rc = read_table(q, &q->l1, &q->l1_dirty, q->h.l1_entries, q->h.l1_offset);
	if (!rc)
		rc = read_table(q, &q->reftable, &q->reftable_dirty, q->nr_reftable,
				q->h.reftable_offset);
	return rc ? rc : clear_autoclear(q);
}

int disk_qcow2_open(struct sk_disk *disk, const struct sk_disk_config *config, unsigned depth,
		    struct sk_error *err)
{
	static const struct disk_ops ops = {.submit = qcow2_submit, .close = qcow2_close};
	struct qcow2 *q = calloc(1, sizeof(*q));
	int rc;

	if (!q)
		return sk_error_set(err, -ENOMEM, "no memory for the disk %s", config->path);
	q->disk = disk;
	qlink_init(&q->requests);
	qlink_init(&q->stalled);
	rc = read_header(q, config->path, err);
	if (rc)
		goto err_free;
	set_geometry(q);
	rc = qcow2_codec_load(&q->codec, q->h.compression, err);
	if (rc) {
		sk_error_prefix(err, "the qcow2 image %s", config->path);
		goto err_free;
	}
	check_direct(q, config->path);
	rc = check_state(q, config->path, err);
	if (rc)
		goto err_free;
	rc = load(q, config->cache_bytes);
	if (rc) {
		sk_error_set(err, rc, "the tables of the qcow2 image %s cannot be read: %s",
			     config->path, strerror(-rc));
		goto err_free;
	}
	rc = open_backing(q, config, depth, err);
	if (rc)
		goto err_free;
	disk->ops = &ops;
	disk->format = q;
	disk->info.format = SK_DISK_QCOW2;
	disk->info.size_bytes = q->h.size_bytes;
	disk->info.block_bytes = SK_MAX(disk->file.align_bytes, SK_DISK_SECTOR_BYTES);
	disk->info.unit_bytes = q->cluster_bytes;
	disk->info.has_discard = !disk->info.is_read_only;
	return 0;

err_free:
	free_qcow2(q);
	return rc;
}
