/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Pi by the midpoint rule, with OpenMP: pi [STEPS] [THREADS]. Prints the time and the value. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	long steps = argc > 1 ? atol(argv[1]) : 100000000;
	double sum = 0, start, step = 1.0 / (double)steps;

	if (argc > 2)
		omp_set_num_threads(atoi(argv[2]));
	start = omp_get_wtime();
#pragma omp parallel for reduction(+ : sum)
	for (long i = 0; i < steps; i++) {
		double x = ((double)i + 0.5) * step;

		sum += 4.0 / (1.0 + x * x);
	}
	printf("threads %d seconds %.3f\n", omp_get_max_threads(), omp_get_wtime() - start);
	printf("pi %.10f\n", sum * step);
	return 0;
}
