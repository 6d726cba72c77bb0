/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* One way to fail per run: each must end with one clear report and the status of the native
 * program. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const int constant = 1;
static int depth;

__attribute__((noinline)) int recurse(volatile char *up)
{
	volatile char here[512];

	here[0] = *up;
	depth++;
	return recurse(here) + here[0];
}

static void *run_off(void *arg)
{
	volatile char c = 0;

	recurse(&c);
	return arg;
}

/* What must be refused, not end the program. */
static int refused(void)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *text = (char *)((unsigned long)run_off & -4096ul);
	int bad = 0;

	bad |= mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0) != MAP_FAILED;
	bad |= mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0;
	bad |= mprotect(text, 4096, PROT_READ | PROT_WRITE) == 0;
	bad |= mmap(text, 4096, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0) != MAP_FAILED;
	bad |= munmap(text, 4096) == 0;
	bad |= mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 3, 0) != MAP_FAILED || errno != EBADF;
	puts(bad ? "FAILED" : "all refused");
	return bad;
}

/* The same, past the kernel: straight to the shim. */
static long pages(unsigned long va, unsigned long pa, unsigned long count, unsigned long flags)
{
	register unsigned long r8 __asm__("r8") = flags;
	unsigned long result = 0x736b6500 + 6;

	__asm__ volatile("hlt"
			 : "+a"(result), "+D"(va), "+S"(pa), "+d"(count), "+r"(r8)
			 :
			 : "rcx", "r9", "r10", "r11", "memory");
	return (long)result;
}

static int shim(void)
{
	unsigned long text = (unsigned long)run_off & -4096ul,
		      data = (unsigned long)&depth & -4096ul;
	int bad = 0;

	bad |= pages(text, 0, 1, 4) != -EPERM;		       /* unmap code */
	bad |= pages(text, 0, 1, 8 | 1) != -EPERM;	       /* make code writable */
	bad |= pages(1ul << 46, 0x100000, 1, 1) != -EPERM;     /* map the image again, writable */
	bad |= pages(1ul << 46, 0x101000, 1, 0) != -EPERM;     /* map the shim */
	bad |= pages(1ul << 46, 0x8000, 1, 1) != -EPERM;       /* map the CPUs' start-up code */
	bad |= pages(0x101000, 0x400000, 1, 1) != -EINVAL;     /* replace the shim's mapping */
	bad |= pages(1ul << 46, 1ul << 45, 513, 1) != -EINVAL; /* too many */
	bad |= pages(~0ul << 47, 0x400000, 1, 1) != -EINVAL;   /* the upper half */
	bad |= pages((1ul << 46) + 1, 0x400000, 1, 1) != -EINVAL;    /* not aligned */
	bad |= pages((1ul << 47) - 4096, 0x400000, 2, 1) != -EINVAL; /* over the end */
	bad |= pages(data, 0, 1, 8 | 1) < 0;			     /* no change: allowed */
	puts(bad ? "FAILED" : "the shim refused");
	return bad;
}

static int fail(const char *how)
{
	volatile int zero = 0;
	pthread_t thread;
	char *code;

	if (!strcmp(how, "null"))
		return *(volatile int *)(unsigned long)zero;
	if (!strcmp(how, "text"))
		*(volatile char *)(unsigned long)run_off = 0;
	if (!strcmp(how, "constant"))
		*(volatile int *)(unsigned long)&constant = 2;
	if (!strcmp(how, "execute")) {
		code = malloc(16);
		*code = (char)0xc3;
		((void (*)(void))(unsigned long)code)();
	}
	if (!strcmp(how, "stack"))
		run_off(NULL);
	if (!strcmp(how, "thread-stack")) {
		pthread_create(&thread, NULL, run_off, NULL);
		pthread_join(thread, NULL);
	}
	if (!strcmp(how, "guard")) { /* where memory was in use a moment ago */
		char *old = mmap(NULL, 131072, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				 -1, 0);

		memset(old, 1, 131072);
		munmap(old, 131072);
		code = mmap(NULL, 131072, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		mprotect(code + 4096, 126976, PROT_READ | PROT_WRITE);
		if (code != old || code[4096])
			return 2;
		*(volatile char *)code = 1;
	}
	if (!strcmp(how, "divide"))
		return 7 / zero;
	if (!strcmp(how, "illegal"))
		__builtin_trap();
	if (!strcmp(how, "privileged"))
		__asm__ volatile("cli");
	if (!strcmp(how, "abort"))
		abort();
	if (!strcmp(how, "double-free")) {
		code = malloc(100);
		free(code);
		free(code);
	}
	if (!strcmp(how, "bad-free")) {
		static char *volatile nowhere = (char *)&depth;

		free(nowhere);
	}
	if (!strcmp(how, "term"))
		raise(SIGTERM);
	if (!strcmp(how, "smash")) {
		char small[8];

		memset(small, (char)zero + 65, (size_t)zero + 64);
		return small[0];
	}
	return 1;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 2)
		return 2;
	if (!strcmp(argv[1], "refused"))
		return refused();
	if (!strcmp(argv[1], "shim"))
		return shim();
	if (!strcmp(argv[1], "places")) {
		printf("%p %p %p\n", (void *)(unsigned long)main, (void *)&argc, malloc(1 << 20));
		return 0;
	}
	return fail(argv[1]);
}
