/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Floating point and vector registers across preemption: threads that keep distinct values in SSE,
 * AVX and x87 registers, and rounding modes of their own, while others take the CPU from them; and
 * across a `syscall` instruction compiled into the program.
 */
#include <fenv.h>
#include <immintrin.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int has_avx;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

__attribute__((target("avx"))) static int keep_avx(double value, double until)
{
	__m256d a = _mm256_set1_pd(value), b = a;

	do {
		for (int i = 0; i < 1000; i++)
			__asm__ volatile("vaddpd %1, %0, %0\n\tvsubpd %1, %0, %0"
					 : "+x"(b)
					 : "x"(a));
		if (_mm256_movemask_pd(_mm256_cmp_pd(a, b, _CMP_NEQ_UQ)))
			return 0;
	} while (now() < until);
	return 1;
}

static int keep_x87(long double value, double until)
{
	long double x = value;

	do {
		for (int i = 0; i < 1000; i++)
			__asm__ volatile("fld1\n\tfaddp\n\tfld1\n\tfsubrp" : "+t"(x));
		if (x != value)
			return 0;
	} while (now() < until);
	return 1;
}

static void *run(void *arg)
{
	long n = (long)arg;
	double until = now() + 0.2;
	int mode = n & 1 ? FE_UPWARD : FE_DOWNWARD, ok;

	fesetround(mode);
	if (n % 3 == 0 || !has_avx)
		ok = keep_x87((long double)n, until);
	else
		ok = keep_avx((double)n, until);
	ok = ok && fegetround() == mode;
	return (void *)(long)ok;
}

static int keep_over_syscall(void)
{
	double in = 42.5, out;
	long result = 24; /* sched_yield */

	__asm__ volatile("movsd %2, %%xmm9\n\tsyscall\n\tmovsd %%xmm9, %1"
			 : "+a"(result), "=m"(out)
			 : "m"(in)
			 : "rcx", "r11", "xmm9", "memory");
	return result == 0 && out == in;
}

int main(void)
{
	pthread_t threads[12];
	void *ok;
	int all = 1;

	has_avx = __builtin_cpu_supports("avx");
	printf("AVX: %s\n", has_avx ? "yes" : "no");
	for (long i = 0; i < 12; i++)
		pthread_create(&threads[i], NULL, run, (void *)i);
	for (int i = 0; i < 12; i++) {
		pthread_join(threads[i], &ok);
		all &= (int)(long)ok;
	}
	printf("%s registers across preemption\n", all ? "ok" : "FAILED");
	all &= keep_over_syscall();
	printf("%s registers across syscall\n", all ? "ok" : "FAILED");
	printf("%s sqrt %.3f sin %.3f\n", fabs(sin(1.0) - 0.841) < 0.001 ? "ok" : "FAILED",
	       sqrt(2.0), sin(1.0));
	return !all;
}
