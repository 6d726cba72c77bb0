/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* What gdb looks at: run-gdb names its functions and lines. */
#include <pthread.h>
#include <stdio.h>
#include <time.h>

static volatile int turns;

static int add(int a, int b)
{
	int sum = a + b;
	return sum; /* line of add */
}

static void *worker(void *arg)
{
	printf("worker %d\n", add(20, (int)(long)arg));
	return arg;
}

static void wait_for_ever(void)
{
	struct timespec t = {0, 1000000};

	while (turns >= 0) {
		nanosleep(&t, NULL);
		turns++; /* line of turns */
	}
}

int main(int argc, char **argv)
{
	pthread_t t;
	int x = add(argc, 2);

	if (argc == 2)
		*(volatile int *)8 = 1; /* line of fault */
	if (argc == 3)
		wait_for_ever();
	pthread_create(&t, NULL, worker, (void *)1l); /* line of start */
	pthread_join(t, NULL);
	printf("x %d of %s\n", x, argv[0]);
	return 40 + x;
}
