/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* The C library on the unikernel: formats, locale, regex, qsort, setjmp, time, random, environment.
 */
#include <errno.h>
#include <locale.h>
#include <regex.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static void check(int ok, const char *what)
{
	printf("%s %s\n", ok ? "ok" : "FAILED", what);
	if (!ok)
		exit(1);
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static jmp_buf jump;

static void thrower(int n)
{
	if (n == 0)
		longjmp(jump, 5);
	thrower(n - 1);
}

static volatile sig_atomic_t signalled;

static void handler(int n)
{
	signalled = n;
}

static double clock_now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void times(void)
{
	struct timespec pause = {.tv_nsec = 20000000};
	double start = clock_now(CLOCK_MONOTONIC), last = start, wall = clock_now(CLOCK_REALTIME);
	int monotonic = 1;

	for (int i = 0; i < 100000; i++) {
		double t = clock_now(CLOCK_MONOTONIC);

		monotonic &= t >= last;
		last = t;
	}
	check(monotonic, "the clock never goes back");
	start = clock_now(CLOCK_MONOTONIC);
	nanosleep(&pause, NULL);
	check(clock_now(CLOCK_MONOTONIC) - start >= 0.02, "nanosleep sleeps long enough");
	check(wall > 1.7e9 && wall < 4.2e9, "the wall clock is in this century");
	check(nanosleep(&(struct timespec){.tv_nsec = -1}, NULL) == -1 && errno == EINVAL,
	      "nanosleep checks its argument");
}

static void strings(void)
{
	char text[64];
	int n, numbers[1000];
	float f;
	regex_t regex;
	regmatch_t match[2];

	snprintf(text, sizeof(text), "%d %5.2f %x %s", -5, 3.14159, 255, "s");
	check(!strcmp(text, "-5  3.14 ff s"), "printf");
	check(sscanf("17 2.5 word", "%d %f %9s", &n, &f, text) == 3 && n == 17 && f == 2.5f,
	      "scanf");
	check(setlocale(LC_ALL, "C.UTF-8") != NULL && mblen("\xc3\xa9", 2) == 2, "locale");
	check(!regcomp(&regex, "([0-9]+)-x", REG_EXTENDED) &&
		      !regexec(&regex, "ab 123-x", 2, match, 0) && match[1].rm_so == 3,
	      "regex");
	regfree(&regex);
	for (int i = 0; i < 1000; i++)
		numbers[i] = (i * 7919) % 1000;
	qsort(numbers, 1000, sizeof(int), compare);
	for (n = 0; n < 1000 && numbers[n] == n; n++)
		;
	check(n == 1000, "qsort");
}

int main(void)
{
	struct utsname name;
	unsigned char random[2][32] = {{0}};
	int n = setjmp(jump);

	if (n == 0)
		thrower(10);
	check(n == 5, "setjmp");
	strings();
	times();
	signal(SIGUSR1, handler);
	raise(SIGUSR1);
	check(signalled == SIGUSR1, "a signal to oneself");
	check(getrandom(random[0], 32, 0) == 32 && getrandom(random[1], 32, 0) == 32 &&
		      memcmp(random[0], random[1], 32),
	      "getrandom");
	check(uname(&name) == 0 && !strcmp(name.sysname, "Skete"), "uname");
	check(fork() == -1 && errno == ENOSYS, "no fork");
	check(sysconf(_SC_NPROCESSORS_ONLN) >= 1, "processors");
	check(write(7, "x", 1) == -1 && errno == EBADF, "no such descriptor");
	puts("done");
	return 0;
}
