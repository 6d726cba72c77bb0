/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Matrix product, with OpenMP: matmul [SIZE]. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	long n = argc > 1 ? atol(argv[1]) : 512;
	double *a = malloc((size_t)(n * n) * 8), *b = malloc((size_t)(n * n) * 8);
	double *c = calloc((size_t)(n * n), 8), start, trace = 0;

	if (!a || !b || !c)
		return 1;
	for (long i = 0; i < n * n; i++) {
		a[i] = (double)(i % 7);
		b[i] = (double)(i % 5);
	}
	start = omp_get_wtime();
#pragma omp parallel for
	for (long i = 0; i < n; i++)
		for (long k = 0; k < n; k++)
			for (long j = 0; j < n; j++)
				c[i * n + j] += a[i * n + k] * b[k * n + j];
	printf("threads %d seconds %.3f\n", omp_get_max_threads(), omp_get_wtime() - start);
	for (long i = 0; i < n; i++)
		trace += c[i * n + i];
	printf("trace %.0f\n", trace);
	return 0;
}
