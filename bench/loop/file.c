/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * 4 KiB reads at random places of a file, with so many under way: our loop beside fio's io_uring
 * engine on the same file, in turns. Past the page cache (O_DIRECT) where the file system can.
 */
#include "loop_bench.h"

#include <fcntl.h>
#include <unistd.h>

#define FILE_BYTES (UINT64_C(256) << 20)
#define BLOCK	   4096
#define MAX_DEPTH  128
#define ROUNDS	   3
#define ROUND_NS   UINT64_C(1000000000)

static const char path[] = "loop_bench.data";

struct reader {
	struct sk_loop_op op;
	struct reads *reads;
	void *buf;
};

struct reads {
	struct reader readers[MAX_DEPTH];
	uint64_t seed, count, end_ns;
	unsigned nr_busy;
};

static void next(struct sk_loop *loop, struct reader *r)
{
	uint64_t *s = &r->reads->seed;

	*s = *s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	sk_loop_read(loop, &r->op, r->buf, BLOCK, (*s >> 33) % (FILE_BYTES / BLOCK) * BLOCK);
}

static void done(struct sk_loop *loop, struct sk_loop_op *op, int n)
{
	struct reader *r = SK_CONTAINER_OF(op, struct reader, op);

	if (n != BLOCK)
		bench_die("a read of %s failed: %s", path, n < 0 ? strerror(-n) : "it was short");
	r->reads->count++;
	if (sk_loop_now_ns(loop) < r->reads->end_ns)
		next(loop, r);
	else if (!--r->reads->nr_busy)
		sk_loop_stop(loop);
}

static double read_loop(enum sk_loop_driver driver, int fd, unsigned depth)
{
	struct sk_loop *loop = bench_loop(driver, 0);
	struct reads reads = {.seed = depth, .nr_busy = depth};
	uint64_t start = sk_now_ns();

	reads.end_ns = start + ROUND_NS;
	for (unsigned i = 0; i < depth; i++) {
		struct reader *r = &reads.readers[i];

		r->op.done = done;
		r->op.fd = fd;
		r->reads = &reads;
		if (posix_memalign(&r->buf, BLOCK, BLOCK))
			bench_die("no memory");
		next(loop, r);
	}
	if (sk_loop_run(loop))
		bench_die("the loop failed");
	sk_loop_destroy(loop);
	for (unsigned i = 0; i < depth; i++)
		free(reads.readers[i].buf);
	return (double)reads.count * 1e9 / (double)(sk_now_ns() - start);
}

/* Reads a second, 0 if there is no fio. */
static double read_fio(unsigned depth, bool is_direct)
{
	char command[512], line[512];
	double iops = 0;
	FILE *f;

	snprintf(command, sizeof(command),
		 "fio --name=x --filename=%s --size=%llu --ioengine=io_uring --rw=randread --bs=4k "
		 "--iodepth=%u --direct=%d --invalidate=0 --runtime=%llums --time_based --thread "
		 "--randrepeat=0 --norandommap --output-format=json 2>/dev/null",
		 path, (unsigned long long)FILE_BYTES, depth, is_direct,
		 (unsigned long long)ROUND_NS / 1000000);
	f = popen(command, "r");
	if (!f)
		return 0;
	/* The first "iops" is that of the reads. */
	while (fgets(line, sizeof(line), f)) {
		const char *at = strstr(line, "\"iops\" :");

		if (at && iops == 0)
			iops = strtod(at + 8, NULL);
	}
	return pclose(f) ? 0 : iops;
}

static int make_file(bool *is_direct)
{
	static char block[1 << 20];
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		bench_die("cannot create %s here: %s", path, strerror(errno));
	memset(block, 0x5a, sizeof(block));
	for (uint64_t at = 0; at < FILE_BYTES; at += sizeof(block))
		if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block))
			bench_die("cannot write %s: %s", path, strerror(errno));
	fsync(fd);
	*is_direct = !fcntl(fd, F_SETFL, O_DIRECT);
	return fd;
}

static void compare(int fd, unsigned depth, bool is_direct, bool has_uring)
{
	enum { RING, EPOLL, FIO, NR };
	const char *names[NR] = {"skete io_uring", "skete epoll", "fio io_uring"};
	double v[NR][ROUNDS], base = 0, m;

	for (unsigned round = 0; round < ROUNDS; round++) {
		v[RING][round] = has_uring ? read_loop(SK_LOOP_IO_URING, fd, depth) : 0;
		v[FIO][round] = has_uring ? read_fio(depth, is_direct) : 0;
		v[EPOLL][round] = read_loop(SK_LOOP_EPOLL, fd, depth);
	}
	for (int i = 0; i < NR; i++) {
		m = bench_median(v[i], ROUNDS);
		if (m == 0)
			continue;
		base = base ? base : m;
		printf("%5u  %-14s  %9.0f  %10.2f\n", depth, names[i], m, base / m);
		bench_add("file", names[i], "reads/s", m, "depth=%u direct=%d", depth, is_direct);
	}
}

void bench_file(void)
{
	const unsigned depths[] = {1, 32, MAX_DEPTH};
	bool is_direct, has_uring = bench_has_uring();
	int fd = make_file(&is_direct);

	if (!is_direct)
		printf("no O_DIRECT here: this measures the page cache\n");
	if (system("fio --version >/dev/null 2>&1"))
		printf("fio is not installed: nothing to compare with\n");
	printf("depth  reader            reads/s  first/this\n");
	for (size_t i = 0; i < SK_ARRAY_SIZE(depths); i++)
		compare(fd, depths[i], is_direct, has_uring);
	sk_close(&fd);
	unlink(path);
}
