/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * lines THREADS COUNT [fault]: each thread writes COUNT numbered lines of 8 to 1,800 bytes, one
 * write() each; then the program ends, or falls over.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS_MAX 16

static int count;

static void *write_lines(void *arg)
{
	int thread = (int)(long)arg;
	char line[2048];

	for (int i = 0; i < count; i++) {
		int n = sprintf(line, "%x %05d", thread, i), more = i * 37 % 100;

		if (i % 16 == 15)
			more *= 18;
		memset(line + n, 'a' + i % 26, (size_t)more);
		n += more;
		line[n++] = '\n';
		if (write(1, line, (size_t)n) != n)
			abort();
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS_MAX];
	int nr = atoi(argv[1]);

	count = atoi(argv[2]);
	for (long i = 0; i < nr; i++)
		if (pthread_create(&threads[i], NULL, write_lines, (void *)i))
			abort();
	for (int i = 0; i < nr; i++)
		pthread_join(threads[i], NULL);
	if (argc > 3)
		*(volatile char *)8 = 0;
	return 0;
}
