/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Memory bandwidth in the manner of STREAM (the triad), with OpenMP: stream [MILLION ELEMENTS]
 * [ROUNDS]. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	long n = (argc > 1 ? atol(argv[1]) : 4) * 1000000, rounds = argc > 2 ? atol(argv[2]) : 10;
	double *a = malloc((size_t)n * 8), *b = malloc((size_t)n * 8), *c = malloc((size_t)n * 8);
	double best = 1e9;

	if (!a || !b || !c)
		return 1;
#pragma omp parallel for
	for (long i = 0; i < n; i++) {
		a[i] = 1;
		b[i] = 2;
		c[i] = 0;
	}
	for (long r = 0; r < rounds; r++) {
		double start = omp_get_wtime();

#pragma omp parallel for
		for (long i = 0; i < n; i++)
			c[i] = a[i] + 3.0 * b[i];
		start = omp_get_wtime() - start;
		best = start < best ? start : best;
	}
	printf("triad %.0f MB/s\n", 24.0 * (double)n / best / 1e6);
	for (long i = 0; i < n; i++)
		if (c[i] != 7)
			return 1;
	puts("right");
	return 0;
}
