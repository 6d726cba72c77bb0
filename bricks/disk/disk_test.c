/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Raw disks, locks, and what all disks share. */
#include "disk_test_util.h"

#include <limits.h>

#define IMAGE "disk.img"

static struct sk_disk_config raw(void)
{
	return (struct sk_disk_config){.path = IMAGE};
}

static void random_requests(void **state)
{
	struct world *w = *state;

	for (int direct = 0; direct < 2; direct++) {
		struct sk_disk_config config = raw();
		struct model m;

		config.is_direct = direct;
		assert_int_equal(sh("rm -f " IMAGE "; truncate -s 24M " IMAGE), 0);
		open_disk(w, config);
		model_init(&m, w, 5);
		m.has_discard = true;
		m.unit_bytes = 512; /* a hole in a file takes everything */
		model_run(&m, 1500);
		model_verify(&m);
		assert_int_equal(run(w, SK_DISK_FLUSH, 0, NULL, 0), 0);
		close_disk(w);
		model_write(&m, "model");
		assert_int_equal(sh("cmp model " IMAGE), 0);
		assert_true(m.nr_checked > 0);
		model_fini(&m);
	}
}

static void what_is_refused(void **state)
{
	struct world *w = *state;
	struct sk_disk_config config = raw();

	open_fails(w, config, -ENOENT, "cannot open the disk disk.img: No such file");
	assert_int_equal(sh("mkdir folder; mkfifo fifo; : >empty; truncate -s 100 short"), 0);
	config.path = "folder";
	open_fails(w, config, -EINVAL, "the disk folder is a directory");
	config.is_read_only = true;
	open_fails(w, config, -EINVAL, "the disk folder is a directory");
	config.path = "fifo";
	open_fails(w, config, -EINVAL, "neither a file nor a block device");
	config.path = "/dev/null";
	open_fails(w, config, -EINVAL, "neither a file nor a block device");
	config.path = "empty";
	open_fails(w, config, -EINVAL, "the disk empty is empty");
	config.path = "short";
	open_fails(w, config, -EINVAL, "the disk short is empty");
}

static void the_format_is_not_guessed(void **state)
{
	struct world *w = *state;
	struct sk_disk_config config = raw();
	uint8_t magic[512] = "QFI\xfb", buf[512];

	assert_int_equal(sh("truncate -s 1M " IMAGE), 0);
	open_disk(w, config);
	/* A guest may write what it likes, */
	assert_int_equal(run(w, SK_DISK_WRITE, 0, magic, 512), 0);
	close_disk(w);
	/* and the next start asks its user. */
	open_fails(w, config, -EINVAL, "begins as a qcow2 image; add format=qcow2, or format=raw");
	config.format = SK_DISK_RAW;
	open_disk(w, config);
	assert_int_equal(run(w, SK_DISK_READ, 0, buf, 512), 0);
	assert_memory_equal(buf, magic, 512);
}

static void one_writer_or_many_readers(void **state)
{
	struct world *w = *state, other = {.loop = w->loop}, third = other;
	struct sk_disk_config writer = raw(), reader = raw();

	reader.is_read_only = true;
	assert_int_equal(sh("truncate -s 1M " IMAGE), 0);
	open_disk(w, writer);
	open_fails(&other, writer, -EBUSY, "is in use: another program holds its lock");
	open_fails(&other, reader, -EBUSY, "holds its lock for writing");
	close_disk(w);
	open_disk(w, reader);
	open_disk(&other, reader);
	open_fails(&third, writer, -EBUSY, "is in use");
	close_disk(&other);
	close_disk(w);
	open_disk(w, writer);
	/* QEMU's tools keep away from what we hold. */
	if (has_qemu_img())
		assert_int_not_equal(
			sh("qemu-img convert -f raw -O raw " IMAGE " copy >/dev/null 2>&1"), 0);
}

/* Another descriptor for what the process has open at IMAGE: it keeps the open file alive. */
static int hold_the_open_file(void)
{
	char link[PATH_MAX], *path = realpath(IMAGE, NULL);
	int found = -1;

	assert_non_null(path);
	for (int fd = 0; fd < 1024 && found < 0; fd++) {
		char name[64];
		ssize_t n;

		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		n = readlink(name, link, sizeof(link) - 1);
		if (n < 0)
			continue;
		link[n] = 0;
		if (!strcmp(link, path))
			found = dup(fd);
	}
	free(path);
	assert_true(found >= 0);
	return found;
}

/* As io_uring does, which may let go of a file only after we have closed it. */
static void the_lock_ends_with_the_disk(void **state)
{
	struct world *w = *state;
	int held;

	assert_int_equal(sh("truncate -s 1M " IMAGE), 0);
	open_disk(w, raw());
	held = hold_the_open_file();
	close_disk(w);
	open_disk(w, raw());
	close_disk(w);
	if (has_qemu_img())
		assert_int_equal(sh("qemu-img info " IMAGE " >/dev/null"), 0);
	close(held);
}

static void bad_requests(void **state)
{
	struct world *w = *state;
	struct sk_disk_config config = raw();
	uint8_t buf[1024] = {0};

	assert_int_equal(sh("truncate -s 1M " IMAGE), 0);
	open_disk(w, config);
	assert_int_equal(sk_disk_info(w->disk)->size_bytes, SK_MIB);
	assert_int_equal(run(w, SK_DISK_READ, SK_MIB, buf, 512), -ERANGE);
	assert_int_equal(run(w, SK_DISK_WRITE, SK_MIB - 512, buf, 1024), -ERANGE);
	assert_int_equal(run(w, SK_DISK_WRITE, UINT64_MAX - 511, buf, 1024), -ERANGE);
	assert_int_equal(run(w, SK_DISK_DISCARD, SK_MIB - 512, NULL, UINT64_MAX - 511), -ERANGE);
	assert_int_equal(run(w, SK_DISK_READ, 100, buf, 512), -EINVAL);
	assert_int_equal(run(w, SK_DISK_READ, 0, buf, 100), -EINVAL);
	assert_int_equal(run(w, SK_DISK_READ, 0, buf, 0), 0);
	close_disk(w);
	config.is_read_only = true;
	open_disk(w, config);
	assert_true(sk_disk_info(w->disk)->is_read_only);
	assert_int_equal(run(w, SK_DISK_WRITE, 0, buf, 512), -EROFS);
	assert_int_equal(run(w, SK_DISK_WRITE_ZEROES, 0, NULL, 512), -EROFS);
	assert_int_equal(run(w, SK_DISK_DISCARD, 0, NULL, 512), -EROFS);
	assert_int_equal(run(w, SK_DISK_FLUSH, 0, NULL, 0), 0);
}

static void files_that_change(void **state)
{
	struct world *w = *state;
	uint8_t buf[4096];

	assert_int_equal(sh("truncate -s 1M " IMAGE), 0);
	open_disk(w, raw());
	assert_int_equal(truncate(IMAGE, 6144), 0);
	assert_int_equal(run(w, SK_DISK_READ, 0, buf, 4096), 0);
	assert_int_equal(run(w, SK_DISK_READ, 4096, buf, 4096), -EIO);
	assert_int_equal(run(w, SK_DISK_READ, SK_MIB / 2, buf, 4096), -EIO);
	assert_int_equal(truncate(IMAGE, 2 * SK_MIB + 100), 0);
	assert_int_equal(run(w, SK_DISK_READ, SK_MIB, buf, 512), -ERANGE);
	assert_int_equal(sk_disk_refresh(w->disk), 0);
	assert_int_equal(sk_disk_info(w->disk)->size_bytes, 2 * SK_MIB);
	assert_int_equal(run(w, SK_DISK_READ, SK_MIB, buf, 512), 0);
}

static void no_space_left(void **state)
{
	struct world *w = *state;
	struct sk_disk_config config = {.path = "full/disk"};
	uint8_t *buf = malloc(SK_MIB);
	unsigned nr_failed = 0;

	if (geteuid() || sh("mkdir full && mount -t tmpfs -o size=4m none full 2>/dev/null"))
		skip();
	memset(buf, 1, SK_MIB);
	assert_int_equal(sh("truncate -s 16M full/disk"), 0);
	open_disk(w, config);
	for (uint64_t at = 0; at < 16 * SK_MIB; at += SK_MIB) {
		int rc = run(w, SK_DISK_WRITE, at, buf, SK_MIB);

		assert_true(!rc || rc == -ENOSPC);
		nr_failed += rc != 0;
	}
	assert_in_range(nr_failed, 11, 13);
	assert_int_equal(run(w, SK_DISK_READ, 0, buf, SK_MIB), 0);
	/* Freed by the guest, it can be written elsewhere. */
	assert_int_equal(run(w, SK_DISK_DISCARD, 0, NULL, 2 * SK_MIB), 0);
	assert_int_equal(run(w, SK_DISK_WRITE, 12 * SK_MIB, buf, SK_MIB), 0);
	close_disk(w);
	assert_int_equal(sh("umount full"), 0);
	free(buf);
}

struct chain {
	struct sk_disk_request request;
	struct world *w;
	unsigned left;
};

/* Submitted again from inside done(), and failing: it must come back by the loop. */
static void chain_done(struct sk_disk_request *request, int result)
{
	struct chain *c = SK_CONTAINER_OF(request, struct chain, request);

	assert_int_equal(result, -ERANGE);
	assert_int_equal(sk_disk_in_flight(c->w->disk), 0);
	if (--c->left)
		sk_disk_submit(c->w->disk, request);
}

static void done_may_submit_again(void **state)
{
	struct world *w = *state;
	struct chain c = {.w = w, .left = 1000};

	assert_int_equal(sh("truncate -s 1M " IMAGE), 0);
	open_disk(w, raw());
	c.request.done = chain_done;
	c.request.op = SK_DISK_READ;
	c.request.offset = SK_GIB;
	c.request.len_bytes = 512;
	sk_disk_submit(w->disk, &c.request);
	assert_int_equal(sk_disk_in_flight(w->disk), 1);
	while (c.left)
		assert_true(sk_loop_turn(w->loop, SK_LOOP_INFINITE) >= 0);
}

static void block_devices(void **state)
{
	struct world *w = *state;
	struct sk_disk_config config = {0};
	char name[64] = "";
	struct model m;
	FILE *p;

	if (geteuid() || sh("truncate -s 24M " IMAGE))
		skip();
	p = popen("losetup -f --show " IMAGE " 2>/dev/null", "r");
	assert_non_null(p);
	if (fscanf(p, "%63s", name) != 1)
		name[0] = '\0';
	pclose(p);
	if (!name[0])
		skip();
	config.path = name;
	for (int direct = 0; direct < 2; direct++) {
		config.is_direct = direct;
		assert_int_equal(sh("dd if=/dev/zero of=%s bs=1M 2>/dev/null", name) & ~1, 0);
		open_disk(w, config);
		assert_int_equal(sk_disk_info(w->disk)->size_bytes, 24 * SK_MIB);
		model_init(&m, w, 15);
		model_run(&m, 500);
		model_verify(&m);
		close_disk(w);
		model_fini(&m);
	}
	(void)sh("losetup -d %s", name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(random_requests, set_up_on_disk, tear_down),
		cmocka_unit_test_setup_teardown(what_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_format_is_not_guessed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_writer_or_many_readers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_lock_ends_with_the_disk, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_requests, set_up, tear_down),
		cmocka_unit_test_setup_teardown(files_that_change, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_space_left, set_up, tear_down),
		cmocka_unit_test_setup_teardown(done_may_submit_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(block_devices, set_up_on_disk, tear_down),
	};

	return cmocka_run_group_tests_name("disk", tests, NULL, NULL);
}
