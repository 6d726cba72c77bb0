/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The inside of the qcow2 format (QEMU, docs/interop/qcow2.txt).
 *
 *   qcow2_header.c  parses the header
 *   qcow2.c         opens and closes; requests: locks on ranges of clusters, stalls
 *   qcow2_io.c      requests: reads, and what all transfers share
 *   qcow2_write.c   requests: writes, in place or to new clusters (copy on write)
 *   qcow2_erase.c   requests: discards and zeroes
 *   qcow2_map.c     guest offset -> where it is (L1 and L2 tables)
 *   qcow2_alloc.c   refcounts: new clusters
 *   qcow2_cache.c   slices of L2 tables and refcount blocks in memory
 *   qcow2_job.c     the one job that writes tables back, in an order that survives every crash
 *   qcow2_codec.c   compressed clusters
 *
 * How it is asynchronous: everything that looks at tables is plain code over the cache. Where a
 * slice is not there its load is started and the code returns -EAGAIN; the request is put on the
 * list of the stalled and does that step again from its beginning when something has changed. So a
 * step first gets all the slices that it needs, and then changes them without any way to fail.
 *
 * How it is safe against a crash: tables change in memory first. The job writes them when a guest
 * flushes, or when much is dirty:
 *
 *   1. refcounts (of what was allocated), then pointers to new refcount blocks
 *   2. fdatasync: refcounts, and the data that was written
 *   3. L2 tables; fdatasync; pointers to new L2 tables; fdatasync
 *   4. what step 3 has unlinked gets free: holes are punched, refcounts lowered (in memory, which
 *      the next job writes)
 *
 * Wherever that stops, every pointer in the file leads to what has a refcount; the worst is a
 * cluster with a refcount and without a pointer, a leak. While the job runs tables do not change.
 */
#ifndef SKETE_DISK_QCOW2_INTERNAL_H
#define SKETE_DISK_QCOW2_INTERNAL_H

#include "disk_internal.h"
#include "qcow2_header.h"

#include <zlib.h>
#include <zstd.h>

#define SLICE_BYTES_MAX	    4096u
#define CACHE_MIN_SLICES    128u
#define CACHE_DEFAULT_BYTES (8 * SK_MIB)
#define CACHE_SPARE	    16u /* no step makes more slices dirty than that */
#define MAX_LOADS	    8u
#define MAX_PRIVILEGED	    8u /* of who waits for tables: they start loads, and pin */
#define MAX_PINS	    4u
#define MAX_VECTORS	    900u /* of a piece's data; there are zeroes around it */
#define MAX_FREES	    8192u
#define MAX_JOB_WRITES	    32u
#define COW_BYTES_MAX	    (16 * SK_MIB) /* of all buffers for copies and compressed clusters */
#define BOUNCE_BYTES	    SK_MIB

#define ENTRY_COPIED	    (UINT64_C(1) << 63) /* the refcount is one: it may be written in place */
#define ENTRY_COMPRESSED    (UINT64_C(1) << 62)
#define ENTRY_ZERO	    UINT64_C(1)
#define ENTRY_OFFSET	    UINT64_C(0x00fffffffffffe00)

struct qcow2;
struct qreq;

enum slice_kind { SLICE_L2, SLICE_REFCOUNTS };
enum slice_state { SLICE_FREE, SLICE_LOADING, SLICE_CLEAN, SLICE_DIRTY, SLICE_FAILED };

/* A piece of a table, as it is in the file. */
struct slice {
	struct qcow2 *q;
	uint64_t offset; /* in the file */
	enum slice_kind kind;
	enum slice_state state;
	uint32_t pins;
	int error; /* of SLICE_FAILED */
	uint8_t *data;
	struct slice *hash_next;
	struct sk_loop_link lru; /* least recently used first */
	struct sk_loop_op op;
};

/* Clusters that nothing in memory points to any more. */
struct freed {
	uint64_t cluster, nr;
};

enum job_stage {
	JOB_IDLE,
	JOB_REFCOUNTS,
	JOB_REFCOUNTS_SYNC, /* only before new pointers to blocks */
	JOB_REFTABLE,
	JOB_DATA_SYNC,
	JOB_L2,
	JOB_L2_SYNC,
	JOB_L1,
	JOB_L1_SYNC,
	JOB_FREE,
	JOB_DONE,
};

/* One write of the job: a slice, or a pointer in the L1 or the refcount table. */
struct job_op {
	struct qcow2 *q;
	struct sk_loop_op op;
	bool is_busy;
	struct slice *slice; /* NULL: a pointer */
	uint64_t *dirty;     /* its bit, */
	uint32_t *nr_dirty;
	uint64_t index;
	uint64_t word; /* and itself, big-endian */
};

struct job {
	enum job_stage stage;
	int error, last_error;	  /* of this run, of the one before */
	uint32_t nr_ops;	  /* under way */
	uint64_t next;		  /* how far the stage has come: slice, or entry */
	bool has_written;	  /* something that a barrier has to follow */
	bool is_freeing;	  /* refcounts are written in the midst of JOB_FREE */
	uint32_t nr_frees, freed; /* of q->frees: to do, done */
	bool is_punched;	  /* the hole of the current range is made */
	bool is_running;	  /* inside qcow2_job_run(): it is not entered twice */
	struct job_op sync;
	struct job_op ops[MAX_JOB_WRITES];
	/* Flushes that this run serves, and those that came later. */
	struct sk_disk_request *flushes, *later;
	struct sk_disk_request *settling; /* done when nothing is under way at all */
};

/* A table that is being made: all of its slices must be in the cache, or have been. */
struct build {
	bool is_active;
	enum slice_kind kind;
	uint64_t index; /* in the L1 or the refcount table */
	uint64_t from;	/* L2: the table to copy, 0: zeroes */
	uint64_t to;
	uint32_t next_slice;
};

/* The functions of the library that the image's compression needs. */
struct qcow2_codec {
	enum qcow2_compression compression;
	struct {
		__typeof__(&inflateInit2_) init;
		__typeof__(&inflate) inflate;
		__typeof__(&inflateEnd) end;
	} zlib;
	struct {
		__typeof__(&ZSTD_createDCtx) create;
		__typeof__(&ZSTD_decompressStream) decompress;
		__typeof__(&ZSTD_isError) is_error;
		__typeof__(&ZSTD_freeDCtx) free;
	} zstd;
};

struct qcow2 {
	struct sk_disk *disk;
	struct sk_disk *backing; /* NULL: none */
	struct qcow2_header h;
	uint32_t cluster_bytes, slice_bytes, slices_per_cluster;
	uint32_t refs_per_slice;
	uint64_t refs_per_block;
	uint32_t l2_per_slice, l2_per_table;

	uint64_t *l1;	    /* host order; h.l1_entries */
	uint64_t *reftable; /* host order; nr_reftable */
	uint64_t nr_reftable;
	uint64_t *l1_dirty, *reftable_dirty; /* bits per entry */
	uint32_t nr_l1_dirty, nr_reftable_dirty;

	struct slice *slices;
	uint32_t nr_slices, nr_dirty, nr_loading, nr_failed;
	struct slice **hash;
	uint32_t hash_mask;
	struct sk_loop_link lru;
	uint8_t *slice_memory;

	uint64_t file_end;  /* bytes, whole clusters; a regular file reads as zeroes behind it */
	uint64_t next_free; /* cluster: all before it are in use */
	struct freed *frees;
	uint32_t nr_frees;
	struct build build;
	struct job job;

	struct sk_loop_link requests; /* in the order of their locks */
	struct sk_loop_link stalled;
	uint32_t nr_stalled, nr_table_waiters; /* of these, those that have their lock */
	bool is_waking;
	uint64_t nr_wakes;
	bool is_submitting; /* inside submit: done() must wait */
	bool is_closing;    /* no loop any more: transfers block */
	uint64_t cow_bytes;
	struct qreq *pool; /* idle ones */

	struct qcow2_codec codec;
	uint64_t inflated_entry; /* the L2 entry that the buffer belongs to, 0: none */
	uint8_t *inflated;	 /* one cluster */
};

enum map_kind { MAP_UNALLOCATED, MAP_ZERO, MAP_DATA, MAP_COMPRESSED };

/* Where a range of the guest is. */
struct mapping {
	enum map_kind kind;
	bool is_copied;	    /* its refcount is one */
	uint64_t host;	    /* MAP_DATA: of the first byte; MAP_ZERO: of the cluster, 0: none */
	uint64_t entry;	    /* of the first cluster */
	uint64_t len_bytes; /* all of one kind, and contiguous in the file */
};

/* A write that gets new clusters goes through all of them; others are plans only. */
enum step { STEP_PLAN, STEP_COPY, STEP_WRITE, STEP_LINK, STEP_UNDO };

/* A request while it is under way. */
struct qreq {
	struct qcow2 *q;
	struct sk_disk_request *request;
	struct sk_loop_link order;   /* in q->requests */
	struct sk_loop_link waiting; /* in q->stalled */
	struct qreq *next_idle;
	enum step step;
	int error; /* of STEP_UNDO */
	bool is_exclusive, is_privileged;
	uint64_t lock_start, lock_end; /* guest offsets, whole clusters */
	uint64_t position;	       /* bytes of the request that are done */
	uint64_t piece_bytes;	       /* of what is under way */
	bool is_zero_piece;	       /* its data are zeroes, not the request's */

	/* Of a piece that gets clusters. */
	uint64_t host; /* of the first cluster */
	uint32_t nr_clusters;
	bool is_new;   /* allocated; otherwise they were there, but read as zeroes */
	bool is_fresh; /* the file has zeroes there */
	uint64_t head_bytes, tail_bytes; /* of the clusters, around the data */
	struct mapping head, tail;	 /* where they are now */
	uint32_t nr_copied;		 /* of the two */
	uint8_t *cow;			 /* head and tail; NULL: they are zeroes */
	uint8_t *bounce;		 /* the data in one vector, if there are too many */

	/* A compressed cluster on its way. */
	uint8_t *packed;
	uint64_t packed_start, packed_bytes, packed_entry;
	uint64_t packed_within, wanted_bytes; /* what of the cluster is wanted */
	uint8_t *wanted;		      /* NULL: the piece of the request */

	uint64_t reserved_bytes; /* of q->cow_bytes */
	struct iovec *iov;	 /* scratch */
	uint32_t iov_room;
	uint32_t nr_pins;
	struct slice *pins[MAX_PINS];
	struct sk_loop_op op;
	struct iovec sub_iov;
	struct sk_disk_request sub; /* to the backing file */
	uint64_t sub_zero_bytes;    /* wanted beyond its end */
};

/* qcow2.c */

/* Does what it can for the request now. */
void qcow2_run(struct qreq *r);
/* Something has changed: the stalled try again. */
void qcow2_wake(struct qcow2 *q);
void qcow2_finish(struct qreq *r, int result);
/* Gives up the lock and asks for an exclusive one: the step begins again later. */
int qcow2_upgrade(struct qreq *r);
bool qcow2_is_erase(const struct qreq *r);

/* qcow2_io.c: one step; -EAGAIN: stalled, 1: something is under way, 0: go on, or an error. */
int qcow2_read_step(struct qreq *r);
int qcow2_write_step(struct qreq *r);
/* Sets zeroes on up to @len_bytes from the position on, by writing them. */
int qcow2_write_zeroes_step(struct qreq *r, uint64_t len_bytes);
/* True if what is unallocated at @offset reads as zeroes. */
bool qcow2_reads_zero(const struct qcow2 *q, const struct mapping *map, uint64_t offset);
/* Frees the buffers of a piece. */
void qcow2_release_buffers(struct qreq *r);

/* The vectors of the piece's data in r->iov, behind @before free ones and before @after; their
 * number, or -ENOMEM. */
int qcow2_piece_iov(struct qreq *r, uint32_t before, uint32_t after);
/* Memory for copies: NULL and -EAGAIN if others must give back first, or -ENOMEM. */
int qcow2_reserve(struct qreq *r, uint64_t len_bytes, uint8_t **out);
/* The piece is done: the next one, or the end. */
void qcow2_advance(struct qreq *r);
/* Something under way has ended in the midst of a piece. */
void qcow2_resume(struct qreq *r, int error);
/*
 * Starts to read @len_bytes at @map, whose first byte is that of guest offset @offset, into @to or,
 * if that is NULL, into the vectors of the piece. Ends with qcow2_resume(), or with an advance if
 * @to is NULL. 1, 0: it is there already; -EAGAIN or another error.
 */
int qcow2_fetch(struct qreq *r, const struct mapping *map, uint64_t offset, uint64_t len_bytes,
		uint8_t *to);

/* qcow2_erase.c: likewise. */
int qcow2_erase_step(struct qreq *r);

/* qcow2_map.c */

/* Looks up @offset; at most @max_bytes. 0, -EAGAIN, or -EIO (the table is broken). */
int qcow2_map(struct qreq *r, uint64_t offset, uint64_t max_bytes, struct mapping *map);
/* The slice with the entry of @offset, in a table that may be written, which is made if need be. */
int qcow2_map_for_write(struct qreq *r, uint64_t offset, struct slice **slice, uint32_t *index);
bool qcow2_has_l2(const struct qcow2 *q, uint64_t offset);
/* Where a compressed cluster is. */
void qcow2_packed_range(const struct qcow2 *q, uint64_t entry, uint64_t *start, uint64_t *len);
/* Goes on with q->build; 0 when it is finished. */
int qcow2_build_run(struct qreq *r);
/* True if a write of data there would hit the header, the L1 or the refcount table. */
bool qcow2_hits_tables(const struct qcow2 *q, uint64_t offset, uint64_t len_bytes);
static inline uint64_t qcow2_entry(const struct slice *slice, uint32_t index)
{
	return qcow2_be64(slice->data + index * 8);
}
static inline void qcow2_set_entry(struct slice *slice, uint32_t index, uint64_t entry)
{
	entry = qcow2_swap64(entry);
	memcpy(slice->data + index * 8, &entry, 8);
}

/* qcow2_alloc.c */

/*
 * Up to @wanted contiguous clusters, with a refcount of one in memory. @is_fresh IN: only such
 * that were never used; OUT: they read as zeroes. 0, -EAGAIN, -ENOSPC ... of the file.
 */
int qcow2_alloc(struct qreq *r, uint32_t wanted, bool *is_fresh, uint64_t *offset, uint32_t *nr);
/* Their refcounts go down by one after the next job; there is room for it (see can_change). */
void qcow2_free(struct qcow2 *q, uint64_t offset, uint64_t len_bytes);
/* Frees what an L2 entry points to. */
void qcow2_free_entry(struct qcow2 *q, uint64_t entry);
uint64_t qcow2_refcount(const struct qcow2 *q, const struct slice *slice, uint32_t index);
void qcow2_set_refcount(const struct qcow2 *q, struct slice *slice, uint32_t index, uint64_t value);
/* The slice of refcounts with @cluster; -ENOENT: it has no refcount block. */
int qcow2_refcount_slice(struct qcow2 *q, struct qreq *r, uint64_t cluster, struct slice **slice,
			 uint32_t *index);

/* qcow2_cache.c */
int qcow2_cache_init(struct qcow2 *q, size_t bytes);
void qcow2_cache_fini(struct qcow2 *q);
/* @r NULL: the job asks. 0 and a slice that is there until the caller returns; -EAGAIN; -EIO ... */
int qcow2_cache_get(struct qcow2 *q, struct qreq *r, uint64_t offset, enum slice_kind kind,
		    struct slice **out);
/* A slice of zeroes, dirty. */
int qcow2_cache_create(struct qcow2 *q, struct qreq *r, uint64_t offset, enum slice_kind kind,
		       struct slice **out);
void qcow2_cache_dirty(struct slice *slice);
void qcow2_cache_clean(struct slice *slice);
/* Forgets the slices of a table that is no more. */
void qcow2_cache_forget(struct qcow2 *q, uint64_t offset, uint64_t len_bytes);
/* Failed loads have been reported: they may be tried again. */
void qcow2_cache_drop_failed(struct qcow2 *q);
void qcow2_unpin(struct qreq *r);

/* qcow2_job.c */

/*
 * May tables change now, by at most CACHE_SPARE slices and @nr_frees freed ranges? Otherwise
 * -EAGAIN, and the job runs.
 */
int qcow2_can_change(struct qcow2 *q, uint32_t nr_frees);
void qcow2_job_start(struct qcow2 *q);
void qcow2_job_flush(struct qcow2 *q, struct sk_disk_request *request);
/* Nothing is under way: ends the requests that wait for that. */
void qcow2_job_settle(struct qcow2 *q);
/* Goes on, after a load that it has waited for. */
void qcow2_job_run(struct qcow2 *q);
static inline bool qcow2_job_is_running(const struct qcow2 *q)
{
	return q->job.stage != JOB_IDLE;
}

/* qcow2_codec.c: the library, before; one cluster; -EIO if it is broken. */
int qcow2_codec_load(struct qcow2_codec *codec, enum qcow2_compression compression,
		     struct sk_error *err) SK_MUST_CHECK;
int qcow2_inflate(const struct qcow2_codec *codec, const uint8_t *packed, size_t packed_bytes,
		  uint8_t *cluster, size_t cluster_bytes) SK_MUST_CHECK;

/* Lists. */
static inline void qlink_init(struct sk_loop_link *head)
{
	head->prev = head->next = head;
}

static inline void qlink_append(struct sk_loop_link *head, struct sk_loop_link *link)
{
	link->prev = head->prev;
	link->next = head;
	head->prev->next = link;
	head->prev = link;
}

static inline void qlink_remove(struct sk_loop_link *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	link->prev = link->next = link;
}

#endif
