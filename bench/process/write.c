/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * What a write to the console costs, in nanoseconds: a line of 64 bytes, and 4 KiB at once, of few
 * together; and of a MiB in a row, which the reader has to keep up with.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char data[4096];

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double best_of(size_t bytes, int n)
{
	double best = 1e18;

	for (int batch = 0; batch < 5; batch++) {
		double start = now(), took;

		for (int i = 0; i < n; i++)
			if (write(1, data, bytes) != (ssize_t)bytes)
				return 0;
		took = (now() - start) / n;
		best = took < best ? took : best;
	}
	return best;
}

static double mean_of(size_t bytes)
{
	int n = (int)((1 << 20) / bytes);
	double start = now();

	for (int i = 0; i < n; i++)
		if (write(1, data, bytes) != (ssize_t)bytes)
			return 0;
	return (now() - start) / n;
}

int main(void)
{
	double line, page, line_mean, page_mean;

	memset(data, '.', sizeof(data));
	data[63] = '\n';
	line = best_of(64, 500);
	page = best_of(sizeof(data), 50);
	line_mean = mean_of(64);
	page_mean = mean_of(sizeof(data));
	printf("\nwrite-64 %.1f\nwrite-4096 %.1f\n", line, page);
	printf("write-64-MiB %.1f\nwrite-4096-MiB %.1f\n", line_mean, page_mean);
	return 0;
}
