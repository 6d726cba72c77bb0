/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Memory torture: the mapping calls and malloc from several threads, with checked contents. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define PAGE 4096ul
#define MIB  (1ul << 20)

static void check(int ok, const char *what)
{
	printf("%s %s\n", ok ? "ok" : "FAILED", what);
	if (!ok)
		exit(1);
}

static char *map(size_t bytes)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static int is_zero(const char *p, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (p[i])
			return 0;
	return 1;
}

static void fill(char *p, size_t bytes, unsigned int seed)
{
	for (size_t i = 0; i < bytes; i += 64)
		*(uint32_t *)(p + i) = seed + (uint32_t)i;
}

static int filled(const char *p, size_t bytes, unsigned int seed)
{
	for (size_t i = 0; i < bytes; i += 64)
		if (*(const uint32_t *)(p + i) != seed + (uint32_t)i)
			return 0;
	return 1;
}

static void basic(void)
{
	char *p = map(16 * PAGE), *q;

	check(p != MAP_FAILED && is_zero(p, 16 * PAGE), "fresh memory is zero");
	fill(p, 16 * PAGE, 1);
	check(munmap(p + 4 * PAGE, 4 * PAGE) == 0 && filled(p, 4 * PAGE, 1), "a hole");
	q = mmap(p + 4 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE,
		 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(q == p + 4 * PAGE && is_zero(q, 4 * PAGE), "the hole filled with zeroes");
	check(filled(p, 4 * PAGE, 1) && filled(p + 8 * PAGE, 8 * PAGE, 1 + 8 * PAGE), "around it");
	check(mprotect(p, PAGE, PROT_NONE) == 0 && mprotect(p, PAGE, PROT_READ) == 0 &&
		      filled(p, PAGE, 1),
	      "contents survive PROT_NONE");
	check(madvise(p + 8 * PAGE, 8 * PAGE, MADV_DONTNEED) == 0 &&
		      is_zero(p + 8 * PAGE, 8 * PAGE),
	      "MADV_DONTNEED");
	munmap(p, 16 * PAGE);
}

static void huge(void)
{
	char *p = map(32 * MIB), *q;

	fill(p, 32 * MIB, 2);
	check(munmap(p + 5 * MIB + PAGE, PAGE) == 0, "a page out of a large mapping");
	check(filled(p, 5 * MIB, 2) && filled(p + 6 * MIB, 26 * MIB, 2 + 6 * MIB),
	      "the rest stays");
	check(mprotect(p + 9 * MIB, PAGE, PROT_READ) == 0 &&
		      filled(p + 6 * MIB, 26 * MIB, 2 + 6 * MIB),
	      "a read-only page in a large mapping");
	munmap(p, 32 * MIB);
	p = map(3 * MIB);
	fill(p, 3 * MIB, 3);
	q = mremap(p, 3 * MIB, 40 * MIB, MREMAP_MAYMOVE);
	check(q != MAP_FAILED && filled(q, 3 * MIB, 3) && is_zero(q + 3 * MIB, MIB),
	      "mremap grows");
	q = mremap(q, 40 * MIB, MIB, 0);
	check(q != MAP_FAILED && filled(q, MIB, 3), "mremap shrinks");
	munmap(q, MIB);
}

/* Memory that was unmapped a moment ago comes back empty, and does not go away again. */
static void leftovers(void)
{
	char *p = map(8 * PAGE), *q;

	fill(p, 8 * PAGE, 4);
	munmap(p + 4 * PAGE, 4 * PAGE);
	q = mremap(p, 4 * PAGE, 8 * PAGE, 0);
	check(q == p && is_zero(p + 4 * PAGE, 4 * PAGE), "mremap grows where something was");
	fill(p, 8 * PAGE, 5);
	for (int i = 0; i < 100; i++) {
		q = map(32 * PAGE);
		q[0] = q[16 * PAGE] = 1;
		munmap(q, 32 * PAGE);
		q = map((size_t)(33 + i) * PAGE);
		if (!is_zero(q, (size_t)(33 + i) * PAGE))
			check(0, "mapped again, zero");
		munmap(q, (size_t)(33 + i) * PAGE);
	}
	check(filled(p, 8 * PAGE, 5), "and keeps what it holds");
	munmap(p, 8 * PAGE);
}

/* Map pages of a file again and again; where they were. */
static char *map_often(int fd, size_t bytes)
{
	char *p = NULL;

	for (int i = 0; i < 10; i++) {
		p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (p == MAP_FAILED || p[1] != (char)i)
			check(0, "the file again");
		p[1]++;
		munmap(p, bytes);
	}
	return p;
}

/* Nothing that happens there afterwards reaches the file, and the file's memory is freed. */
static void files(void)
{
	size_t bytes = 32 * PAGE;
	struct sysinfo before, after;
	int fd = open("again", O_CREAT | O_RDWR, 0600);
	char *p, *q, c[2] = {0, 0};

	sysinfo(&before);
	check(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0, "a file");
	p = map_often(fd, bytes);
	q = mmap(p, bytes, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(q == p && is_zero(q, bytes), "memory where a file's pages were");
	fill(q, bytes, 5);
	munmap(q, bytes);
	check(pread(fd, c, 2, 0) == 2 && c[0] == 0 && c[1] == 10, "the file stays as it was");

	pwrite(fd, "", 1, 1);
	p = map_often(fd, bytes);
	madvise(p, bytes, MADV_DONTNEED);
	munmap(p, bytes); /* where no area is any more */
	check(pread(fd, c, 2, 0) == 2 && c[1] == 10, "and again");

	pwrite(fd, "", 1, 1);
	map_often(fd, bytes);
	check(ftruncate(fd, 0) == 0 && ftruncate(fd, (off_t)bytes) == 0, "emptied");
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	check(is_zero(p, bytes), "nothing of what it held");
	p[1] = 3;
	check(pread(fd, c, 2, 0) == 2 && c[1] == 3, "the new page is the file's");
	munmap(p, bytes);

	pwrite(fd, "", 1, 1);
	for (size_t i = 0; i < 8 * MIB; i += PAGE)
		pwrite(fd, "x", 1, (off_t)(bytes + i));
	map_often(fd, bytes);
	close(fd);
	unlink("again");
	sysinfo(&after);
	check(before.freeram < after.freeram + MIB, "a file that was mapped is freed");
}

static void reuse(void)
{
	struct sysinfo before, after;
	int ok = 1;

	sysinfo(&before);
	for (int i = 0; i < 200 && ok; i++) {
		char *p = map(8 * MIB);

		ok = p != MAP_FAILED;
		for (size_t at = 0; ok && at < 8 * MIB; at += 64 * PAGE)
			p[at] = 1;
		munmap(p, 8 * MIB);
	}
	sysinfo(&after);
	check(ok, "1,600 MiB in all, one after the other");
	check(before.freeram - after.freeram < MIB || after.freeram > before.freeram,
	      "all of it free again");
}

static void too_much(void)
{
	check(map(1ul << 50) == MAP_FAILED, "more than there are addresses");
	check(malloc(SIZE_MAX / 2) == NULL, "malloc says so");
}

static void brk_area(void)
{
	char *start = sbrk(0), *p = sbrk(1 << 20);

	if (p == (void *)-1) { /* the C library's sbrk only tells where the break is */
		check(start != (void *)-1, "the break");
		return;
	}
	check(p == start, "the break moves");
}

static void *worker(void *arg)
{
	unsigned int seed = (unsigned int)(unsigned long)arg;
	struct block {
		char *p;
		size_t bytes;
		unsigned int seed;
	} blocks[64] = {0};

	for (int i = 0; i < 3000; i++) {
		struct block *b = &blocks[rand_r(&seed) % 64];

		if (b->p && !filled(b->p, b->bytes, b->seed)) {
			puts("FAILED contents");
			exit(1);
		}
		free(b->p);
		b->bytes = (size_t)(rand_r(&seed) % (i % 50 ? 3000 : 300000)) & ~63ul;
		b->bytes += 64;
		b->seed = (unsigned int)i;
		b->p = malloc(b->bytes);
		if (!b->p) {
			puts("FAILED malloc");
			exit(1);
		}
		fill(b->p, b->bytes, b->seed);
	}
	for (int i = 0; i < 64; i++)
		free(blocks[i].p);
	return NULL;
}

/* Every block is aligned as asked, holds what it is given, and meets no other. */
static void malloc_family(void)
{
	static struct {
		char *p;
		size_t bytes;
	} blocks[400];
	size_t n = 0, bytes = 1;
	char *p;

	for (size_t align = 16; align <= 1ul << 16; align *= 4, bytes += 7) {
		for (; bytes < 3 * MIB; bytes = bytes * 3 / 2 + 1) {
			if (posix_memalign((void **)&p, align, bytes) || (uintptr_t)p % align)
				check(0, "alignment");
			memset(p, (int)n, bytes);
			blocks[n].p = p;
			blocks[n++].bytes = bytes;
		}
		bytes = 1;
	}
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < blocks[i].bytes; k++)
			if (blocks[i].p[k] != (char)i)
				check(0, "blocks do not overlap");
		free(blocks[i].p);
	}
	for (bytes = 1; bytes < 2 * MIB; bytes = bytes * 2 + 1) {
		p = calloc(bytes, 1);
		if (!p || !is_zero(p, bytes))
			check(0, "calloc is zero");
		free(p);
	}
	p = NULL;
	for (bytes = 64, n = 0; bytes < 4 * MIB; bytes += (bytes / 4 & ~63ul) + 64) {
		p = realloc(p, bytes);
		if (!p || !filled(p, n, 9))
			check(0, "realloc keeps what there was");
		fill(p, bytes, 9);
		n = bytes;
	}
	p = realloc(p, 64);
	check(p && filled(p, 64, 9), "malloc, calloc, realloc, posix_memalign");
	free(p);
	free(NULL);
	n = SIZE_MAX / 2;
	__asm__("" : "+r"(n)); /* the compiler would warn */
	check(calloc(n, 3) == NULL, "calloc notices an overflow");
}

static void *volatile handed[512];

static void *freer(void *arg)
{
	int left = 20000;

	while (left)
		for (int i = 0; i < 512 && left; i++)
			if (handed[i]) {
				free(handed[i]);
				handed[i] = NULL;
				left--;
			}
	return arg;
}

/* One thread allocates what another frees. */
static void handed_over(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, freer, NULL);
	for (int made = 0; made < 20000;)
		for (int i = 0; i < 512 && made < 20000; i++)
			if (!handed[i])
				handed[i] = memset(malloc((size_t)(1 + made++ % 2000)), 1, 1);
	pthread_join(thread, NULL);
	check(1, "blocks that another thread frees");
}

/* What was freed in one size is there for another, in a machine that cannot hold both. */
static int reuse_sizes(size_t all)
{
	static const size_t sizes[] = {100, 5000, 48, 20000, 700, 100000};
	void **list = malloc(all / 48 * sizeof(void *) / 4);

	for (int round = 0; round < 12; round++) {
		size_t bytes = sizes[round % 6], count = all / 4 / bytes;

		for (size_t i = 0; i < count; i++) {
			list[i] = malloc(bytes);
			if (!list[i])
				return 1;
			memset(list[i], round, bytes);
		}
		for (size_t i = 0; i < count; i++)
			free(list[i]);
	}
	puts("done");
	return 0;
}

int main(int argc, char **argv)
{
	pthread_t threads[4];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1 && !strcmp(argv[1], "size")) {
		printf("%ld MiB\n", sysconf(_SC_PHYS_PAGES) / (long)(MIB / 4096));
		return 0;
	}
	if (argc > 1)
		return reuse_sizes((size_t)atol(argv[1]) * MIB);

	basic();
	huge();
	leftovers();
	files();
	reuse();
	too_much();
	brk_area();
	malloc_family();
	handed_over();
	for (long i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, worker, (void *)(i + 1));
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	check(1, "malloc from four threads");
	puts("done");
	return 0;
}
