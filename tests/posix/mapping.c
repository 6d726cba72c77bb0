/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* mmap of files, shared and private, munmap, mprotect, mremap, msync, mincore, madvise; SIGBUS. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "say.h"

#define PAGE 4096

static sigjmp_buf out;
static char buffer[PAGE];

static void handler(int number)
{
	siglongjmp(out, number);
}

/* The signal that reading there raises; 0: none. */
static int touch(const volatile char *at)
{
	int number = sigsetjmp(out, 1);

	if (!number)
		(void)*at;
	return number;
}

static void shared(void)
{
	int fd = open("f", O_CREAT | O_RDWR, 0600), reader;
	char *a, *b;

	ftruncate(fd, 3 * PAGE);
	pwrite(fd, "hello", 5, PAGE);
	a = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	b = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, PAGE);
	SAY(memcmp(a + PAGE, "hello", 5));
	SAY(a[0]);
	memcpy(a + PAGE, "HELLO", 5);
	SAY(memcmp(b, "HELLO", 5));
	pread(fd, buffer, 5, PAGE);
	SAY(memcmp(buffer, "HELLO", 5));
	pwrite(fd, "w", 1, PAGE);
	SAY(b[0]);
	SAY(msync(a, 3 * PAGE, MS_SYNC));
	SAY(msync(a + 1, PAGE, MS_SYNC));
	close(fd);
	SAY(b[1]);
	fd = open("f", O_RDWR);
	SAY(ftruncate(fd, PAGE + 10));
	SAY(touch(a + 2 * PAGE) == SIGBUS);
	SAY(touch(b));
	SAY(b[10]);
	SAY(ftruncate(fd, 3 * PAGE));
	SAY(touch(a + 2 * PAGE));
	SAY(a[2 * PAGE]);
	reader = open("f", O_RDONLY);
	SAY(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, reader, 0) == MAP_FAILED);
	SAY(mprotect(b, PAGE, PROT_READ | PROT_WRITE));
	b = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader, 0);
	SAY(mprotect(b, PAGE, PROT_READ | PROT_WRITE));
	a = mremap(a, 3 * PAGE, 6 * PAGE, MREMAP_MAYMOVE);
	SAY(a != MAP_FAILED);
	SAY(a[PAGE]);
	SAY(touch(a + 4 * PAGE) == SIGBUS);
	SAY(munmap(a, 6 * PAGE));
	SAY(touch(a) == SIGSEGV);
	SAY(unlink("f"));
	SAY(b[0]);
}

static void private(void)
{
	int fd = open("p", O_CREAT | O_RDWR, 0600);
	unsigned char in[4];
	char *a;

	ftruncate(fd, 4 * PAGE);
	pwrite(fd, "text", 4, 2 * PAGE);
	a = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	SAY(memcmp(a + 2 * PAGE, "text", 4));
	a[2 * PAGE] = 'T';
	pread(fd, buffer, 4, 2 * PAGE);
	SAY(memcmp(buffer, "text", 4));
	SAY(memcmp(a + 2 * PAGE, "Text", 4));
	SAY(mincore(a + 2 * PAGE, PAGE, in));
	SAY(in[0] & 1);
	SAY(madvise(a + 2 * PAGE, PAGE, MADV_DONTNEED));
	SAY(a[2 * PAGE]);
	SAY(mprotect(a, PAGE, PROT_NONE));
	SAY(touch(a) == SIGSEGV);
	SAY(munmap(a + PAGE, PAGE));
	SAY(touch(a + PAGE) == SIGSEGV);
	SAY(memcmp(a + 2 * PAGE, "text", 4));
	SAY(mmap(a + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 2 * PAGE) == a + PAGE);
	SAY(memcmp(a + PAGE, "text", 4));
	SAY(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 1) == MAP_FAILED);
	SAY(mmap(NULL, 0, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED);
	SAY(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 99, 0) == MAP_FAILED);
	close(fd);
	fd = open("/dev/zero", O_RDWR);
	a = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	SAY(a[5]);
	fd = open("/dev/null", O_RDWR);
	SAY(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED);
	SAY(errno == ENODEV);
}

static void large(void)
{
	int fd = open("l", O_CREAT | O_RDWR, 0600);
	long sum = 0;
	int *a;

	ftruncate(fd, 8 << 20);
	a = mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (int i = 0; i < 2 << 20; i++)
		a[i] = i;
	SAY(munmap(a, 8 << 20));
	for (int at = 0; read(fd, buffer, PAGE) == PAGE; at += 1024)
		for (int i = 0; i < 1024; i++)
			sum += ((int *)buffer)[i] == at + i;
	SAY(sum);
	SAY(ftruncate(fd, 0));
	close(fd);
}

int main(void)
{
	signal(SIGBUS, handler);
	signal(SIGSEGV, handler);
	shared();
	private();
	large();
	return 0;
}
