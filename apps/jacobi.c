/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Laplace's equation on a square by Jacobi's iteration, with OpenMP: jacobi [SIZE] [ROUNDS]. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	long n = argc > 1 ? atol(argv[1]) : 1024, rounds = argc > 2 ? atol(argv[2]) : 200;
	double *a = calloc((size_t)(n * n), sizeof(*a)), *b = calloc((size_t)(n * n), sizeof(*b));
	double start, sum = 0;

	if (!a || !b)
		return 1;
	for (long i = 0; i < n; i++)
		a[i] = b[i] = 100.0;
	start = omp_get_wtime();
	for (long r = 0; r < rounds; r++) {
		double *t = a;

#pragma omp parallel for
		for (long y = 1; y < n - 1; y++)
			for (long x = 1; x < n - 1; x++)
				b[y * n + x] = 0.25 * (a[(y - 1) * n + x] + a[(y + 1) * n + x] +
						       a[y * n + x - 1] + a[y * n + x + 1]);
		a = b;
		b = t;
	}
	printf("threads %d seconds %.3f\n", omp_get_max_threads(), omp_get_wtime() - start);
	for (long i = 0; i < n * n; i++)
		sum += a[i];
	printf("sum %.6f\n", sum);
	return 0;
}
