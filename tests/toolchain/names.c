/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * A program in which every name that is global in one of the kernel's files is a function of its
 * own; try-names writes them, theirs[] among them. It finds its own functions by these names, and
 * the kernel below it still works.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BYTES 100000

extern int (*const theirs[])(void);
extern const int theirs_count;

static int pipe_ends[2];
static volatile sig_atomic_t signals;

static void count_signal(int number)
{
	signals += number == SIGUSR1;
}

static void *write_much(void *bytes)
{
	for (size_t done = 0; done < BYTES;) {
		ssize_t n = write(pipe_ends[1], (char *)bytes + done, BYTES - done);

		if (n <= 0)
			return NULL;
		done += (size_t)n;
	}
	return bytes;
}

/* Threads, a pipe that makes them wait, memory of its own, a file. */
static int kernel_works(void)
{
	char *from = malloc(BYTES), *to = calloc(1, BYTES);
	void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *result;
	struct timespec moment = {.tv_nsec = 1000000};
	pthread_t thread;
	size_t done = 0;
	int file;

	if (!from || !to || page == MAP_FAILED || pipe(pipe_ends))
		return 0;
	memset(from, 'x', BYTES);
	if (pthread_create(&thread, NULL, write_much, from))
		return 0;
	while (done < BYTES) {
		ssize_t n = read(pipe_ends[0], to + done, BYTES - done);

		if (n <= 0)
			return 0;
		done += (size_t)n;
	}
	if (pthread_join(thread, &result) || result != from || memcmp(from, to, BYTES))
		return 0;
	file = open("/tmp/file", O_RDWR | O_CREAT, 0600);
	if (file < 0 || write(file, from, BYTES) != BYTES || lseek(file, 0, SEEK_END) != BYTES)
		return 0;
	signal(SIGUSR1, count_signal);
	return !raise(SIGUSR1) && signals == 1 && !nanosleep(&moment, NULL) &&
	       !munmap(page, 4096) && !close(file) && !unlink("/tmp/file");
}

int main(void)
{
	for (int i = 0; i < theirs_count; i++) {
		if (theirs[i]() != i) {
			printf("function %d is not the program's\n", i);
			return 1;
		}
	}
	if (!kernel_works()) {
		puts("the kernel does not work");
		return 1;
	}
	printf("%d names\n", theirs_count);
	return 0;
}
