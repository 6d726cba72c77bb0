/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * For the tests of disks: a folder to work in, a loop, an image, requests that are waited for, and
 * a model: the disk's bytes as they should be, against which many random requests at a time run.
 */
#ifndef SKETE_DISK_TEST_UTIL_H
#define SKETE_DISK_TEST_UTIL_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <skete/disk.h>

#include <cmocka.h>

struct world {
	char dir[64];
	struct sk_loop *loop;
	struct sk_disk *disk;
};

static inline uint64_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 33;
}

/* Runs a command of the shell, in the folder; its exit status. */
static inline int sh(const char *fmt, ...) SK_PRINTF(1, 2);
static inline int sh(const char *fmt, ...)
{
	char *command;
	va_list args;
	int rc;

	va_start(args, fmt);
	assert_true(vasprintf(&command, fmt, args) >= 0);
	va_end(args);
	rc = system(command);
	free(command);
	return WIFEXITED(rc) ? WEXITSTATUS(rc) : -1;
}

static inline bool has_qemu_img(void)
{
	return sh("command -v qemu-img >/dev/null") == 0;
}

static inline int set_up_in(void **state, const char *where)
{
	struct world *w = calloc(1, sizeof(*w));
	struct sk_error err;

	assert_non_null(w);
	snprintf(w->dir, sizeof(w->dir), "%s/skete-disk-XXXXXX", where);
	assert_non_null(mkdtemp(w->dir));
	assert_int_equal(chdir(w->dir), 0);
	if (sk_loop_create(&w->loop, &(struct sk_loop_config){0}, &err))
		fail_msg("%s", err.message);
	*state = w;
	return 0;
}

/* In memory, where a flush costs nothing. */
static inline int set_up(void **state)
{
	return set_up_in(state, access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
}

/* Where O_DIRECT is likely to work. */
static inline int set_up_on_disk(void **state)
{
	return set_up_in(state, "/var/tmp");
}

static inline int tear_down(void **state)
{
	struct world *w = *state;

	sk_disk_close(w->disk);
	sk_loop_destroy(w->loop);
	assert_int_equal(chdir("/"), 0);
	(void)sh("rm -rf %s", w->dir);
	free(w);
	return 0;
}

/* @config lacks only the loop. */
static inline int try_open(struct world *w, struct sk_disk_config config, struct sk_error *err)
{
	config.loop = w->loop;
	return sk_disk_open(&w->disk, &config, err);
}

static inline void open_disk(struct world *w, struct sk_disk_config config)
{
	struct sk_error err = {0};

	if (try_open(w, config, &err))
		fail_msg("%s", err.message);
}

static inline void close_disk(struct world *w)
{
	sk_disk_close(w->disk);
	w->disk = NULL;
}

/* Opening must fail with @code and a sentence that has @says in it. */
static inline void open_fails(struct world *w, struct sk_disk_config config, int code,
			      const char *says)
{
	struct sk_error err = {0};

	assert_int_equal(try_open(w, config, &err), code);
	assert_int_equal(err.code, code);
	if (!strstr(err.message, says))
		fail_msg("\"%s\" does not say \"%s\"", err.message, says);
}

struct waited {
	struct sk_disk_request request;
	bool is_done;
	int result;
};

static inline void waited_done(struct sk_disk_request *request, int result)
{
	struct waited *waited = SK_CONTAINER_OF(request, struct waited, request);

	assert_false(waited->is_done);
	waited->is_done = true;
	waited->result = result;
}

/* One request and its result. */
static inline int run_iov(struct world *w, enum sk_disk_op op, uint64_t offset, struct iovec *iov,
			  uint32_t nr_iov, uint64_t len)
{
	struct waited waited = {
		.request = {.done = waited_done,
			    .op = op,
			    .iov = iov,
			    .nr_iov = nr_iov,
			    .offset = offset,
			    .len_bytes = len,
			    .may_unmap = true},
	};

	sk_disk_submit(w->disk, &waited.request);
	assert_false(waited.is_done);
	while (!waited.is_done)
		assert_true(sk_loop_turn(w->loop, SK_LOOP_INFINITE) >= 0);
	return waited.result;
}

static inline int run(struct world *w, enum sk_disk_op op, uint64_t offset, void *buf, uint64_t len)
{
	struct iovec iov = {buf, len};

	return run_iov(w, op, offset, &iov, 1, len);
}

/* Requests at the same time never touch the same sector, but often the same cluster. */
#define MODEL_DEPTH 24
#define MODEL_IOV   5

struct model;

struct job_slot {
	struct sk_disk_request request;
	struct iovec iov[MODEL_IOV];
	struct model *model;
	uint8_t *buf;
	bool is_busy;
};

struct model {
	struct world *w;
	uint8_t *bytes;
	uint64_t size_bytes;
	uint64_t max_bytes; /* of a request */
	uint64_t seed;
	bool has_discard;
	bool discard_is_zero; /* what is discarded in whole units reads as zeroes */
	uint64_t unit_bytes;
	struct job_slot slots[MODEL_DEPTH];
	unsigned nr_busy;
	uint64_t nr_checked;
};

static inline void model_init(struct model *m, struct world *w, uint64_t seed)
{
	const struct sk_disk_info *info = sk_disk_info(w->disk);

	*m = (struct model){.w = w, .seed = seed, .size_bytes = info->size_bytes};
	m->bytes = calloc(1, m->size_bytes);
	assert_non_null(m->bytes);
	m->max_bytes = SK_MIN(m->size_bytes / 8, 3 * SK_MIB / 2);
	m->unit_bytes = info->unit_bytes;
	for (unsigned i = 0; i < MODEL_DEPTH; i++) {
		m->slots[i].model = m;
		m->slots[i].buf = aligned_alloc(4096, (m->max_bytes + 8191) / 4096 * 4096);
		assert_non_null(m->slots[i].buf);
	}
}

static inline void model_fini(struct model *m)
{
	for (unsigned i = 0; i < MODEL_DEPTH; i++)
		free(m->slots[i].buf);
	free(m->bytes);
}

/* A discard may change whole units, and only those: they are read back to learn what they are. */
static inline void model_done(struct sk_disk_request *request, int result)
{
	struct job_slot *slot = SK_CONTAINER_OF(request, struct job_slot, request);
	struct model *m = slot->model;

	if (result)
		fail_msg("request %d at %llu+%llu: %s", request->op,
			 (unsigned long long)request->offset,
			 (unsigned long long)request->len_bytes, strerror(-result));
	if (request->op == SK_DISK_READ) {
		for (uint64_t i = 0; i < request->len_bytes; i++)
			if (slot->buf[i] != m->bytes[request->offset + i])
				fail_msg("read at %llu+%llu: byte %llu is %#x instead of %#x",
					 (unsigned long long)request->offset,
					 (unsigned long long)request->len_bytes,
					 (unsigned long long)i, slot->buf[i],
					 m->bytes[request->offset + i]);
		m->nr_checked += request->len_bytes;
	}
	slot->is_busy = false;
	m->nr_busy--;
}

static inline bool model_is_free(const struct model *m, uint64_t offset, uint64_t len)
{
	for (unsigned i = 0; i < MODEL_DEPTH; i++) {
		const struct sk_disk_request *r = &m->slots[i].request;

		if (m->slots[i].is_busy && r->op != SK_DISK_FLUSH &&
		    sk_ranges_overlap(offset, len, r->offset, r->len_bytes))
			return false;
	}
	return true;
}

/* The whole of @buf in a few vectors, some of them odd. */
static inline void model_vectors(struct model *m, struct job_slot *slot, uint64_t len)
{
	uint32_t nr = 1 + (uint32_t)(next_random(&m->seed) % MODEL_IOV);
	uint8_t *at = slot->buf;

	for (uint32_t i = 0; i < nr; i++) {
		uint64_t left = (uint64_t)(slot->buf + len - at), n = left;

		if (i + 1 < nr)
			n = next_random(&m->seed) % (left + 1);
		if (next_random(&m->seed) % 2 && i + 1 < nr)
			n &= ~UINT64_C(511);
		slot->iov[i] = (struct iovec){at, n};
		at += n;
	}
	slot->request.iov = slot->iov;
	slot->request.nr_iov = nr;
}

static inline void model_apply(struct model *m, struct job_slot *slot)
{
	struct sk_disk_request *r = &slot->request;
	uint8_t byte = (uint8_t)next_random(&m->seed);

	if (r->op == SK_DISK_WRITE) {
		for (uint64_t i = 0; i < r->len_bytes; i++)
			slot->buf[i] = (uint8_t)(byte + i / 7 + (i >> 9));
		memcpy(m->bytes + r->offset, slot->buf, r->len_bytes);
	} else if (r->op == SK_DISK_WRITE_ZEROES || r->op == SK_DISK_DISCARD) {
		uint64_t start = r->offset, end = start + r->len_bytes;

		if (r->op == SK_DISK_DISCARD && m->unit_bytes > 512) {
			start = (start + m->unit_bytes - 1) / m->unit_bytes * m->unit_bytes;
			end = end == m->size_bytes ? end : end / m->unit_bytes * m->unit_bytes;
		}
		if (start < end)
			memset(m->bytes + start, 0, end - start);
	}
}

static inline void model_submit_one(struct model *m)
{
	static const enum sk_disk_op ops[] = {SK_DISK_READ,	    SK_DISK_READ,    SK_DISK_WRITE,
					      SK_DISK_WRITE,	    SK_DISK_WRITE,   SK_DISK_WRITE,
					      SK_DISK_WRITE_ZEROES, SK_DISK_DISCARD, SK_DISK_FLUSH};
	struct job_slot *slot = m->slots;
	uint64_t offset, len, max = m->max_bytes;

	while (slot->is_busy)
		slot++;
	if (next_random(&m->seed) % 4)
		max = SK_MIN(max, UINT64_C(16384));
	len = (1 + next_random(&m->seed) % (max / 512)) * 512;
	offset = next_random(&m->seed) % ((m->size_bytes - len) / 512 + 1) * 512;
	slot->request.op = ops[next_random(&m->seed) % SK_ARRAY_SIZE(ops)];
	if (slot->request.op == SK_DISK_DISCARD && !m->has_discard)
		return;
	if (slot->request.op != SK_DISK_FLUSH && !model_is_free(m, offset, len))
		return;
	slot->request.done = model_done;
	slot->request.offset = offset;
	slot->request.len_bytes = len;
	slot->request.may_unmap = next_random(&m->seed) & 1;
	model_vectors(m, slot, len);
	model_apply(m, slot);
	slot->is_busy = true;
	m->nr_busy++;
	sk_disk_submit(m->w->disk, &slot->request);
}

static inline void model_turn(struct model *m, unsigned max_busy)
{
	while (m->nr_busy > max_busy)
		assert_true(sk_loop_turn(m->w->loop, SK_LOOP_INFINITE) >= 0);
}

/* @nr requests, and then all of the disk is read. */
static inline void model_run(struct model *m, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++) {
		model_submit_one(m);
		model_turn(m, (unsigned)(next_random(&m->seed) % MODEL_DEPTH));
	}
	model_turn(m, 0);
}

static inline void model_verify(struct model *m)
{
	uint8_t *buf = malloc(SK_MIB);

	assert_non_null(buf);
	for (uint64_t at = 0; at < m->size_bytes; at += SK_MIB) {
		uint64_t len = SK_MIN(SK_MIB, m->size_bytes - at);

		assert_int_equal(run(m->w, SK_DISK_READ, at, buf, len), 0);
		assert_memory_equal(buf, m->bytes + at, len);
	}
	free(buf);
}

/* The model as a file, for others to compare with. */
static inline void model_write(const struct model *m, const char *path)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(m->bytes, 1, m->size_bytes, f), m->size_bytes);
	assert_int_equal(fclose(f), 0);
}

#endif
