/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Pi by the midpoint rule, with POSIX threads: pithreads [STEPS] [THREADS]. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct share {
	long from, to, steps;
	double sum;
};

static void *run(void *arg)
{
	struct share *s = arg;
	double step = 1.0 / (double)s->steps, sum = 0;

	for (long i = s->from; i < s->to; i++) {
		double x = ((double)i + 0.5) * step;

		sum += 4.0 / (1.0 + x * x);
	}
	s->sum = sum * step;
	return NULL;
}

int main(int argc, char **argv)
{
	long steps = argc > 1 ? atol(argv[1]) : 100000000;
	int n = argc > 2 ? atoi(argv[2]) : (int)sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t threads[n];
	struct share shares[n];
	double pi = 0;

	for (int i = 0; i < n; i++) {
		shares[i] = (struct share){steps * i / n, steps * (i + 1) / n, steps, 0};
		if (pthread_create(&threads[i], NULL, run, &shares[i]))
			return 1;
	}
	for (int i = 0; i < n; i++) {
		pthread_join(threads[i], NULL);
		pi += shares[i].sum;
	}
	printf("pi %.10f\n", pi);
	return 0;
}
