/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* OpenMP by GCC's own libgomp: more threads than CPUs, barriers, critical sections, tasks,
 * schedules. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

static void check(int ok, const char *what)
{
	printf("%s %s\n", ok ? "ok" : "FAILED", what);
	if (!ok)
		exit(1);
}

static long fibonacci(int n)
{
	long a, b;

	if (n < 2)
		return n;
#pragma omp task shared(a) if (n > 12)
	a = fibonacci(n - 1);
#pragma omp task shared(b) if (n > 12)
	b = fibonacci(n - 2);
#pragma omp taskwait
	return a + b;
}

int main(void)
{
	long sum = 0, count = 0, fib = 0;
	int threads = 0, bad = 0, stage = 0;
	double start = omp_get_wtime();

	check(omp_get_num_procs() >= 1, "processors");
	omp_set_num_threads(8);
#pragma omp parallel
#pragma omp single
	threads = omp_get_num_threads();
	check(threads == 8, "eight threads");
#pragma omp parallel for reduction(+ : sum) schedule(dynamic, 100)
	for (int i = 0; i < 100000; i++)
		sum += i;
	check(sum == 4999950000, "reduction, dynamic schedule");
#pragma omp parallel
	for (int i = 0; i < 100; i++) {
#pragma omp critical
		count++;
	}
	check(count == 800, "critical section");
#pragma omp parallel
	for (int i = 0; i < 200; i++) {
#pragma omp barrier
#pragma omp master
		stage = i;
#pragma omp barrier
		if (stage != i)
			bad = 1;
	}
	check(!bad, "400 barriers of eight threads");
#pragma omp parallel
#pragma omp single
	fib = fibonacci(20);
	check(fib == 6765, "tasks");
	check(omp_get_wtime() - start < 60, "in sensible time");
	puts("done");
	return 0;
}
