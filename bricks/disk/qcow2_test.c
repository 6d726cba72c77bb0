/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * qcow2 against QEMU's own tools: images that qemu-img made are read and written here, images that
 * were written here are checked and compared by qemu-img. SKETE_TEST_ROUNDS makes it longer.
 */
#include "disk_test_util.h"

#define IMAGE "image.qcow2"

static unsigned rounds(void)
{
	const char *text = getenv("SKETE_TEST_ROUNDS");

	return text ? (unsigned)strtoul(text, NULL, 10) : 1;
}

static void need_qemu_img(void)
{
	if (!has_qemu_img())
		skip();
}

/* No error and, after an orderly end, no leak. */
static void check_image(const char *path)
{
	if (sh("qemu-img check -q %s >check.log 2>&1", path)) {
		(void)sh("qemu-img check %s | tail -20 >&2", path);
		fail_msg("qemu-img check does not like %s", path);
	}
}

static void compare_with(const struct model *m, const char *path)
{
	model_write(m, "model.raw");
	if (sh("qemu-img compare -q -f raw -F qcow2 model.raw %s", path))
		fail_msg("qemu-img finds another content");
}

struct flavour {
	const char *options; /* of qemu-img create */
	const char *size;
	size_t cache_bytes;
	bool is_direct;
	unsigned nr;
};

static struct sk_disk_config config_of(const struct flavour *f)
{
	return (struct sk_disk_config){
		.path = IMAGE,
		.format = SK_DISK_QCOW2,
		.cache_bytes = f->cache_bytes,
		.is_direct = f->is_direct,
		.has_backing = true,
	};
}

/* Random requests on the image as it is; @m knows its content. Twice, closed in between. */
static void exercise(struct world *w, struct model *m, const struct flavour *f)
{
	m->has_discard = true;
	for (int i = 0; i < 2; i++) {
		model_run(m, f->nr);
		model_verify(m);
		close_disk(w);
		check_image(IMAGE);
		compare_with(m, IMAGE);
		open_disk(w, config_of(f));
		model_verify(m);
	}
	close_disk(w);
}

static void exercise_flavours(struct world *w, const struct flavour *flavours, size_t nr)
{
	struct model m;

	need_qemu_img();
	for (size_t i = 0; i < nr * rounds(); i++) {
		const struct flavour *f = &flavours[i % nr];

		assert_int_equal(
			sh("qemu-img create -q -f qcow2 -o %s " IMAGE " %s", f->options, f->size),
			0);
		open_disk(w, config_of(f));
		model_init(&m, w, 1000 + i);
		exercise(w, &m, f);
		model_fini(&m);
	}
}

static void random_requests(void **state)
{
	static const struct flavour flavours[] = {
		{"cluster_size=64k", "64M", 0, false, 400},
		{"cluster_size=64k,lazy_refcounts=on", "64M", 1, false, 300},
		{"cluster_size=4k", "32M", 1, false, 300},
		{"cluster_size=512", "9M", 1, false, 300},
		{"cluster_size=512,refcount_bits=64", "5M", 1, false, 300},
		{"cluster_size=512,refcount_bits=1", "9M", 0, false, 150},
		{"cluster_size=1k,refcount_bits=8", "16M", 1, false, 150},
		{"cluster_size=2M,refcount_bits=32", "128M", 0, false, 150},
		{"compat=0.10,cluster_size=64k", "64M", 0, false, 300},
		{"compat=0.10,cluster_size=512", "7000k", 1, false, 150},
		{"preallocation=metadata", "64M", 0, false, 300},
		{"cluster_size=64k,extended_l2=off", "33554944", 0, false, 300},
	};

	exercise_flavours(*state, flavours, SK_ARRAY_SIZE(flavours));
}

static void random_requests_direct(void **state)
{
	static const struct flavour flavours[] = {
		{"cluster_size=64k,lazy_refcounts=on", "64M", 1, true, 60},
		{"cluster_size=4k", "16M", 1, true, 60},
		{"cluster_size=512,refcount_bits=64", "2M", 1, true, 30},
	};

	exercise_flavours(*state, flavours, SK_ARRAY_SIZE(flavours));
}

/* A file with something in it, and the model that knows it. */
static void make_content(struct model *m, const char *path, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++) {
		uint64_t len = 512 * (1 + next_random(&m->seed) % 400);
		uint64_t at = next_random(&m->seed) % ((m->size_bytes - len) / 512) * 512;

		for (uint64_t j = 0; j < len; j++)
			m->bytes[at + j] = (uint8_t)(i + j / 5 + (j >> 9));
	}
	model_write(m, path);
}

static void on_a_backing_file(void **state)
{
	/* The overlay larger than what it builds on, and smaller; raw and qcow2. */
	static const struct {
		const char *base_format, *options, *size;
	} t[] = {
		{"raw", "cluster_size=64k", "64M"},
		{"qcow2", "cluster_size=4k", "30M"},
		{"qcow2", "compat=0.10,cluster_size=64k", "50M"},
		{"raw", "compat=0.10,cluster_size=1k", "10M"},
	};
	const uint64_t base_bytes = 41 * SK_MIB + 512;
	struct flavour f = {.cache_bytes = 1, .nr = 250};
	struct world *w = *state;
	struct model m, base;

	need_qemu_img();
	for (size_t i = 0; i < SK_ARRAY_SIZE(t); i++) {
		base = (struct model){.seed = i, .size_bytes = base_bytes};
		base.bytes = calloc(1, base_bytes);
		make_content(&base, "base.raw", 60);
		assert_int_equal(
			sh("qemu-img convert -f raw -O %s base.raw base.img", t[i].base_format), 0);
		assert_int_equal(sh("qemu-img create -q -f qcow2 -o %s -b base.img -F %s " IMAGE
				    " %s",
				    t[i].options, t[i].base_format, t[i].size),
				 0);
		open_disk(w, config_of(&f));
		model_init(&m, w, 77 + i);
		memcpy(m.bytes, base.bytes, SK_MIN(base_bytes, m.size_bytes));
		model_verify(&m);
		/* In version 2 nothing hides a backing file: a discard there does nothing. */
		if (strstr(t[i].options, "0.10")) {
			model_run(&m, f.nr);
			model_verify(&m);
			close_disk(w);
			check_image(IMAGE);
			compare_with(&m, IMAGE);
		} else {
			exercise(w, &m, &f);
		}
		assert_int_equal(
			sh("qemu-img compare -q -f raw -F %s base.raw base.img", t[i].base_format),
			0);
		free(base.bytes);
		model_fini(&m);
	}
}

static void compressed_clusters(void **state)
{
	static const char *const options[] = {
		"compression_type=zlib,cluster_size=64k", "compression_type=zstd,cluster_size=64k",
		"compression_type=zlib,cluster_size=4k", "compression_type=zstd,cluster_size=2M",
		"compat=0.10,cluster_size=512"};
	struct flavour f = {.cache_bytes = 1, .nr = 200};
	struct world *w = *state;
	struct model m, from;

	need_qemu_img();
	for (size_t i = 0; i < SK_ARRAY_SIZE(options); i++) {
		from = (struct model){.seed = i, .size_bytes = 24 * SK_MIB};
		from.bytes = calloc(1, from.size_bytes);
		make_content(&from, "from.raw", 100);
		assert_int_equal(
			sh("qemu-img convert -c -f raw -O qcow2 -o %s from.raw " IMAGE, options[i]),
			0);
		open_disk(w, config_of(&f));
		model_init(&m, w, 177 + i);
		memcpy(m.bytes, from.bytes, m.size_bytes);
		model_verify(&m);
		exercise(w, &m, &f);
		free(from.bytes);
		model_fini(&m);
	}
}

/* What a snapshot holds must not change, whatever is written afterwards. */
static void internal_snapshots(void **state)
{
	static const char *const options[] = {"cluster_size=64k", "cluster_size=4k,refcount_bits=8",
					      "cluster_size=512", "compat=0.10,cluster_size=64k"};
	struct flavour f = {.cache_bytes = 1, .nr = 200};
	struct world *w = *state;
	struct model m;

	need_qemu_img();
	for (size_t i = 0; i < SK_ARRAY_SIZE(options); i++) {
		assert_int_equal(sh("qemu-img create -q -f qcow2 -o %s " IMAGE " 16M", options[i]),
				 0);
		open_disk(w, config_of(&f));
		model_init(&m, w, 277 + i);
		m.has_discard = true;
		for (int j = 0; j < 3; j++) {
			model_run(&m, f.nr);
			close_disk(w);
			check_image(IMAGE);
			compare_with(&m, IMAGE);
			assert_int_equal(
				sh("cp model.raw snap%d.raw && qemu-img snapshot -c snap%d " IMAGE,
				   j, j),
				0);
			check_image(IMAGE);
			open_disk(w, config_of(&f));
		}
		exercise(w, &m, &f);
		for (int j = 0; j < 3; j++)
			assert_int_equal(
				sh("qemu-img snapshot -a snap%d " IMAGE
				   " && qemu-img compare -q -f raw -F qcow2 snap%d.raw " IMAGE,
				   j, j),
				0);
		assert_int_equal(
			sh("for i in 0 1 2; do qemu-img snapshot -d snap$i " IMAGE "; done"), 0);
		check_image(IMAGE);
		model_fini(&m);
	}
}

static void both_ways_by_convert(void **state)
{
	struct flavour f = {.nr = 200};
	struct world *w = *state;
	struct model m;

	need_qemu_img();
	assert_int_equal(sh("qemu-img create -q -f qcow2 " IMAGE " 48M"), 0);
	open_disk(w, config_of(&f));
	model_init(&m, w, 9);
	model_run(&m, f.nr);
	close_disk(w);
	model_write(&m, "model.raw");
	assert_int_equal(sh("qemu-img convert -f qcow2 -O raw " IMAGE
			    " out.raw && cmp out.raw model.raw"
			    " && qemu-img convert -f raw -O qcow2 out.raw " IMAGE),
			 0);
	open_disk(w, config_of(&f));
	model_verify(&m);
	close_disk(w);
	model_fini(&m);
}

/* Thousands of odd vectors in one request. */
static void many_small_vectors(void **state)
{
	enum { NR = 1000 };
	static struct iovec iov[NR];
	struct flavour f = {0};
	struct world *w = *state;
	uint8_t *out = malloc(NR * 1537), *in = malloc(NR * 1537);
	uint64_t len = 0, wanted = (uint64_t)NR * 1537 / 512 * 512;

	need_qemu_img();
	assert_int_equal(sh("qemu-img create -q -f qcow2 -o cluster_size=4k " IMAGE " 8M"), 0);
	open_disk(w, config_of(&f));
	for (unsigned i = 0; i < NR; i++) {
		iov[i] = (struct iovec){out + len, SK_MIN(UINT64_C(1537), wanted - len)};
		len += iov[i].iov_len;
	}
	for (uint64_t i = 0; i < wanted; i++)
		out[i] = (uint8_t)(i * 7 + i / 251);
	assert_int_equal(run_iov(w, SK_DISK_WRITE, 1536, iov, NR, wanted), 0);
	assert_int_equal(run(w, SK_DISK_READ, 1536, in, wanted), 0);
	assert_memory_equal(in, out, wanted);
	close_disk(w);
	check_image(IMAGE);
	free(out);
	free(in);
}

/* Space comes back: what is discarded is free in the image, and a hole in the file. */
static void discards_free_space(void **state)
{
	struct flavour f = {0};
	struct world *w = *state;
	uint8_t *buf = malloc(SK_MIB);
	struct stat full, empty, again;

	need_qemu_img();
	memset(buf, 0x5a, SK_MIB);
	assert_int_equal(sh("qemu-img create -q -f qcow2 " IMAGE " 64M"), 0);
	open_disk(w, config_of(&f));
	for (uint64_t at = 0; at < 32 * SK_MIB; at += SK_MIB)
		assert_int_equal(run(w, SK_DISK_WRITE, at, buf, SK_MIB), 0);
	assert_int_equal(run(w, SK_DISK_FLUSH, 0, NULL, 0), 0);
	assert_int_equal(stat(IMAGE, &full), 0);
	assert_int_equal(run(w, SK_DISK_DISCARD, 0, NULL, 64 * SK_MIB), 0);
	assert_int_equal(run(w, SK_DISK_FLUSH, 0, NULL, 0), 0);
	close_disk(w);
	check_image(IMAGE);
	assert_int_equal(stat(IMAGE, &empty), 0);
	assert_true(empty.st_blocks < full.st_blocks / 8);
	/* And is used again: the file does not grow. */
	open_disk(w, config_of(&f));
	for (uint64_t at = 32 * SK_MIB; at < 64 * SK_MIB; at += SK_MIB)
		assert_int_equal(run(w, SK_DISK_WRITE, at, buf, SK_MIB), 0);
	close_disk(w);
	check_image(IMAGE);
	assert_int_equal(stat(IMAGE, &again), 0);
	assert_true(again.st_size <= full.st_size + (off_t)SK_MIB);
	free(buf);
}

/* A file that cannot grow: requests fail, nothing hangs, and the image is whole afterwards. */
static void no_space_left(void **state)
{
	struct flavour f = {.cache_bytes = 1};
	struct world *w = *state;
	uint8_t *buf = malloc(SK_MIB);
	unsigned nr_failed = 0, nr_ok = 0;

	need_qemu_img();
	if (geteuid() || sh("mkdir full && mount -t tmpfs -o size=6m none full 2>/dev/null"))
		skip();
	memset(buf, 0x77, SK_MIB);
	assert_int_equal(sh("qemu-img create -q -f qcow2 -o cluster_size=4k full/i 64M"), 0);
	open_disk(w, (struct sk_disk_config){.path = "full/i",
					     .format = SK_DISK_QCOW2,
					     .cache_bytes = f.cache_bytes});
	for (uint64_t at = 0; at < 32 * SK_MIB; at += SK_MIB) {
		int rc = run(w, SK_DISK_WRITE, at, buf, SK_MIB);

		nr_failed += rc != 0;
		nr_ok += !rc;
	}
	(void)run(w, SK_DISK_FLUSH, 0, NULL, 0);
	assert_true(nr_ok >= 1 && nr_failed >= 20);
	/* With room again it goes on. */
	assert_int_equal(run(w, SK_DISK_DISCARD, 0, NULL, 64 * SK_MIB), 0);
	assert_int_equal(sh("mount -o remount,size=60m full"), 0);
	for (uint64_t at = 0; at < 8 * SK_MIB; at += SK_MIB)
		assert_int_equal(run(w, SK_DISK_WRITE, at, buf, SK_MIB), 0);
	assert_int_equal(run(w, SK_DISK_FLUSH, 0, NULL, 0), 0);
	close_disk(w);
	check_image("full/i");
	assert_int_equal(sh("umount full"), 0);
	free(buf);
}

static void what_is_refused(void **state)
{
	struct sk_disk_config rw = {.path = IMAGE, .format = SK_DISK_QCOW2}, ro = rw, backing = rw;
	struct sk_disk_config automatic = {.path = IMAGE};
	struct world *w = *state;

	need_qemu_img();
	ro.is_read_only = true;
	backing.has_backing = true;
	assert_int_equal(sh("qemu-img create -q -f qcow2 " IMAGE " 8M"), 0);
	open_fails(w, automatic, -EINVAL, "add format=qcow2, or format=raw");
	/* Our lock and QEMU's know each other. */
	open_disk(w, rw);
	assert_int_not_equal(sh("qemu-img check -q " IMAGE " >/dev/null 2>&1"), 0);
	close_disk(w);
	assert_int_equal(sh("qemu-img check -q " IMAGE), 0);
	/* The incompatible bits: dirty, corrupt, external data. */
	assert_int_equal(sh("printf '\\1' | dd of=" IMAGE " bs=1 seek=79 conv=notrunc 2>/dev/null"),
			 0);
	open_fails(w, rw, -EINVAL, "was not closed; 'qemu-img check -r all' mends it");
	open_disk(w, ro);
	close_disk(w);
	assert_int_equal(sh("printf '\\2' | dd of=" IMAGE " bs=1 seek=79 conv=notrunc 2>/dev/null"),
			 0);
	open_fails(w, rw, -EINVAL, "is marked as corrupt");
	assert_int_equal(sh("qemu-img create -q -f qcow2 -o extended_l2=on " IMAGE " 8M"), 0);
	open_fails(w, ro, -ENOTSUP, "a feature that is not supported (extended L2");
	assert_int_equal(sh("qemu-img create -q -f qcow2 -b /etc/passwd -F raw " IMAGE " 8M"), 0);
	open_fails(w, rw, -EINVAL, "builds on another file; add 'backing'");
	open_disk(w, backing);
	close_disk(w);
	assert_int_equal(sh("qemu-img create -q -f qcow2 -u -b missing -F raw " IMAGE " 8M"), 0);
	open_fails(w, backing, -ENOENT,
		   "the backing file of " IMAGE ": cannot open the disk missing");
	backing.is_read_only = true;
	assert_int_equal(
		sh("qemu-img create -q -f qcow2 -u -b " IMAGE " -F qcow2 a 8M && mv a " IMAGE), 0);
	open_fails(w, backing, -EINVAL, "of a chain; that is too many");
	assert_int_equal(sh("truncate -s 1M raw.img"), 0);
	open_fails(w, (struct sk_disk_config){.path = "raw.img", .format = SK_DISK_QCOW2}, -EINVAL,
		   "is no qcow2 image; write format=raw");
}

/* What a read-only image says to writes. */
static void read_only(void **state)
{
	struct world *w = *state;
	uint8_t buf[512] = {0};

	need_qemu_img();
	assert_int_equal(sh("qemu-img create -q -f qcow2 " IMAGE " 8M && chmod 444 " IMAGE), 0);
	open_disk(w, (struct sk_disk_config){
			     .path = IMAGE, .format = SK_DISK_QCOW2, .is_read_only = true});
	assert_int_equal(run(w, SK_DISK_WRITE, 0, buf, 512), -EROFS);
	assert_int_equal(run(w, SK_DISK_DISCARD, 0, NULL, 65536), -EROFS);
	assert_int_equal(run(w, SK_DISK_READ, 0, buf, 512), 0);
	assert_int_equal(run(w, SK_DISK_FLUSH, 0, NULL, 0), 0);
	assert_int_equal(sk_disk_refresh(w->disk), -ENOTSUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(random_requests, set_up, tear_down),
		cmocka_unit_test_setup_teardown(random_requests_direct, set_up_on_disk, tear_down),
		cmocka_unit_test_setup_teardown(on_a_backing_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(compressed_clusters, set_up, tear_down),
		cmocka_unit_test_setup_teardown(internal_snapshots, set_up, tear_down),
		cmocka_unit_test_setup_teardown(both_ways_by_convert, set_up, tear_down),
		cmocka_unit_test_setup_teardown(many_small_vectors, set_up, tear_down),
		cmocka_unit_test_setup_teardown(discards_free_space, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_space_left, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(read_only, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("qcow2", tests, NULL, NULL);
}
