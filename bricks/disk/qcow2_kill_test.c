/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * A process that writes to a qcow2 image is killed in the midst of it. Whatever the moment,
 * qemu-img check finds no corruption (it may find leaks), and what was flushed is there.
 *
 * Each sector holds its own number and a version. The child says in shared memory which version it
 * has begun to write of each, and which was flushed. SKETE_TEST_ROUNDS says how often.
 */
#include "disk_test_util.h"

#include <signal.h>
#include <sys/mman.h>

#define IMAGE	   "image.qcow2"
#define NR_SECTORS (16384u) /* 8 MiB */
#define DEPTH	   16

struct shared {
	/* Written by the child; the parent looks when it is dead. */
	uint32_t begun[NR_SECTORS];
	uint32_t flushed[NR_SECTORS];
	uint32_t nr_flushes;
};

struct stamp {
	uint32_t sector, version;
	uint8_t rest[504];
};

struct writer;

struct slot {
	struct writer *writer;
	struct sk_disk_request request;
	struct iovec iov;
	struct stamp stamps[64];
	bool is_busy;
};

struct writer {
	struct world *w;
	struct shared *shared;
	struct slot slots[DEPTH];
	unsigned nr_busy;
};

static void writer_done(struct sk_disk_request *request, int result)
{
	struct slot *slot = SK_CONTAINER_OF(request, struct slot, request);

	BUG_ON(result);
	slot->is_busy = false;
	slot->writer->nr_busy--;
}

static void write_some(struct writer *wr, uint64_t *seed, uint32_t version)
{
	unsigned nr = 1 + (unsigned)(next_random(seed) % 64);
	uint32_t first = (uint32_t)(next_random(seed) % (NR_SECTORS - nr));
	struct slot *slot = wr->slots;

	while (slot->is_busy)
		slot++;
	/* Not what somebody else writes now. */
	for (unsigned j = 0; j < DEPTH; j++)
		if (wr->slots[j].is_busy &&
		    sk_ranges_overlap(first * 512u, nr * 512u, wr->slots[j].request.offset,
				      wr->slots[j].request.len_bytes))
			return;
	for (unsigned j = 0; j < nr; j++) {
		slot->stamps[j].sector = first + j;
		slot->stamps[j].version = version;
		wr->shared->begun[first + j] = version;
	}
	slot->writer = wr;
	slot->iov = (struct iovec){slot->stamps, nr * 512u};
	slot->request = (struct sk_disk_request){
		.done = writer_done,
		.op = SK_DISK_WRITE,
		.iov = &slot->iov,
		.nr_iov = 1,
		.offset = first * UINT64_C(512),
		.len_bytes = nr * UINT64_C(512),
	};
	slot->is_busy = true;
	wr->nr_busy++;
	sk_disk_submit(wr->w->disk, &slot->request);
}

static void turn(struct writer *wr, unsigned max_busy)
{
	while (wr->nr_busy > max_busy)
		BUG_ON(sk_loop_turn(wr->w->loop, SK_LOOP_INFINITE) < 0);
}

/* Until it is killed: some writes, a flush, a discard now and then. */
static void child(struct shared *shared, uint64_t seed)
{
	struct sk_disk_config config = {.path = IMAGE, .format = SK_DISK_QCOW2, .cache_bytes = 1};
	struct writer *wr = calloc(1, sizeof(*wr));
	struct world w = {0};

	BUG_ON(!wr || sk_loop_create(&w.loop, &(struct sk_loop_config){0}, NULL));
	wr->w = &w;
	wr->shared = shared;
	config.loop = w.loop;
	BUG_ON(sk_disk_open(&w.disk, &config, NULL));
	for (uint32_t version = shared->nr_flushes + 1;; version++) {
		for (unsigned i = 0; i < 40; i++) {
			write_some(wr, &seed, version);
			turn(wr, DEPTH - 1);
		}
		turn(wr, 0);
		BUG_ON(run(&w, SK_DISK_FLUSH, 0, NULL, 0));
		memcpy(shared->flushed, shared->begun, sizeof(shared->begun));
		shared->nr_flushes = version;
		/* What is discarded may be anything from now on. */
		if (next_random(&seed) % 3)
			continue;
		uint32_t first = (uint32_t)(next_random(&seed) % (NR_SECTORS - 2048));

		memset(shared->flushed + first, 0, 2048 * sizeof(uint32_t));
		BUG_ON(run(&w, SK_DISK_DISCARD, first * UINT64_C(512), NULL, 2048 * 512));
		memset(shared->begun + first, 0, 2048 * sizeof(uint32_t));
	}
}

static void verify(struct world *w, const struct shared *shared)
{
	struct stamp stamp;

	for (uint32_t i = 0; i < NR_SECTORS; i++) {
		uint32_t version;

		assert_int_equal(run(w, SK_DISK_READ, i * UINT64_C(512), &stamp, 512), 0);
		version = stamp.version;
		if (version && stamp.sector != i)
			fail_msg("sector %u has the content of %u", i, stamp.sector);
		if (version < shared->flushed[i])
			fail_msg("sector %u has version %u, but %u was flushed", i, version,
				 shared->flushed[i]);
	}
}

static void killed_at_any_moment(void **state)
{
	static const char *const options[] = {"cluster_size=64k", "cluster_size=4k",
					      "cluster_size=512"};
	const char *text = getenv("SKETE_TEST_ROUNDS");
	unsigned rounds = text ? (unsigned)strtoul(text, NULL, 10) * 10 : 9;
	struct world *w = *state;
	uint64_t seed = 4711;
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(shared, MAP_FAILED);
	if (!has_qemu_img())
		skip();
	for (unsigned i = 0; i < rounds; i++) {
		pid_t pid;

		/* Three deaths for each image, with what the ones before have left. */
		if (i % 3 == 0) {
			memset(shared, 0, sizeof(*shared));
			assert_int_equal(sh("qemu-img create -q -f qcow2 -o %s " IMAGE " 8M",
					    options[i / 3 % SK_ARRAY_SIZE(options)]),
					 0);
		}
		pid = fork();
		if (!pid) {
			child(shared, seed + i);
			_exit(1);
		}
		assert_true(pid > 0);
		usleep((useconds_t)(20000 + next_random(&seed) % 150000));
		assert_int_equal(kill(pid, SIGKILL), 0);
		int status;

		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		/* 0: clean, 3: leaks. The kernel may still be about to let go of the file. */
		int rc = sh("for i in $(seq 100); do qemu-img check " IMAGE
			    " >check.log 2>&1; rc=$?; "
			    "grep -q 'another process' check.log || exit $rc; sleep 0.05; done");

		if (rc && rc != 3) {
			(void)sh("tail -20 check.log >&2");
			fail_msg("qemu-img check ends with %d", rc);
		}
		open_disk(w, (struct sk_disk_config){
				     .path = IMAGE, .format = SK_DISK_QCOW2, .is_read_only = true});
		verify(w, shared);
		close_disk(w);
		for (unsigned j = 0; j < NR_SECTORS; j++)
			shared->begun[j] = 0;
	}
	munmap(shared, sizeof(*shared));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(killed_at_any_moment, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("qcow2_kill", tests, NULL, NULL);
}
