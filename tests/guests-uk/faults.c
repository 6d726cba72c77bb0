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

/* The same, past the kernel: straight to the shim (arch/x86_64/layout.h). */
#define PAGE	    4096ul
#define HUGE	    0x200000ul
#define P_W_U	    7ul
#define KEPT	    512ul
#define FRAME	    0x1c00000ul /* RAM, and not the shim's */
#define TABLES_LAST 0x1000000ul

static long request(unsigned long number, unsigned long a, unsigned long b, unsigned long c,
		    unsigned long d)
{
	register unsigned long r8 __asm__("r8") = d;
	unsigned long result = 0x736b6500 + number;

	__asm__ volatile("hlt"
			 : "+a"(result), "+D"(a), "+S"(b), "+d"(c), "+r"(r8)
			 :
			 : "rcx", "r9", "r10", "r11", "memory");
	return (long)result;
}

static long pages(unsigned long va, unsigned long pa, unsigned long flags)
{
	return request(6, va, pa, flags, 0);
}

static long entries(unsigned long at, unsigned long value, unsigned long count)
{
	return request(11, at, value, count, 0);
}

/* The last table that the shim lets entries be set in; *first is the first one. */
static unsigned long find_tables(unsigned long *first)
{
	unsigned long last = 0;

	*first = 0;
	for (unsigned long pa = 0x100000; pa < TABLES_LAST; pa += PAGE) {
		if (entries(pa + 511 * 8, FRAME | KEPT, 1))
			continue;
		last = pa;
		*first = *first ? *first : pa;
	}
	return last;
}

static int shim(void)
{
	unsigned long text = (unsigned long)run_off & -HUGE, first, last = find_tables(&first);
	int bad = 0;

	bad |= pages(text, 0, 4 | 2) != -EEXIST;	      /* unmap code */
	bad |= pages(text, FRAME & -HUGE, 2 | 1) != -EEXIST;  /* replace code */
	bad |= pages(text, 0, 8 | 2 | 1) != -EEXIST;	      /* make code writable */
	bad |= pages(1ul << 46, 0, 2 | 1) != -EPERM;	      /* map the image again, writable */
	bad |= pages(1ul << 46, 1ul << 45, 2 | 1) != -EPERM;  /* not memory */
	bad |= pages(HUGE, 2 * HUGE, 2 | 1) != -EINVAL;	      /* replace the shim's mapping */
	bad |= pages(~0ul << 47, 2 * HUGE, 2 | 1) != -EINVAL; /* the upper half */
	bad |= pages((1ul << 46) + PAGE, 2 * HUGE, 2 | 1) != -EINVAL; /* not aligned */
	bad |= !last || last - first > 64 * PAGE;
	bad |= entries(first + 8, FRAME | P_W_U, 0) != -1; /* none, too many, over the end */
	bad |= entries(first, FRAME | P_W_U, 513) != -1;
	bad |= entries(last + 511 * 8, FRAME | P_W_U, 2) != -1;
	bad |= entries(first - 8, FRAME | P_W_U, 2) != -1;
	bad |= entries(-8ul, FRAME | P_W_U, 2) != -1;
	bad |= entries(first + 4, FRAME | P_W_U, 1) != -1;	/* not aligned */
	bad |= entries(first + 8, 0x100000 | P_W_U, 1) != -1;	/* the image */
	bad |= entries(first + 8, 0x8000 | P_W_U, 1) != -1;	/* the CPUs' start-up code */
	bad |= entries(first + 8, first | P_W_U, 1) != -1;	/* a page table */
	bad |= entries(first + 8, 1ul << 45 | P_W_U, 1) != -1;	/* not memory */
	bad |= entries(first + 8, ~0ul << 46 | P_W_U, 1) != -1; /* and not now, either */
	puts(bad ? "FAILED" : "the shim refused");
	return bad;
}

/* Ask the shim for a page without the bit against execution, and execute it. */
static void execute_entry(void)
{
	char *area = mmap(NULL, 2 * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *start = (char *)(((unsigned long)area + HUGE - 1) & -HUGE);
	unsigned long first;

	mprotect(start, PAGE, PROT_READ | PROT_WRITE);
	mprotect(start + 100 * PAGE, PAGE, PROT_READ | PROT_WRITE);
	*(volatile char *)start = 1; /* now there is a table, the last one made */
	if (!entries(find_tables(&first) + 100 * 8, FRAME | P_W_U, 1) && !start[100 * PAGE])
		((void (*)(void))(unsigned long)(start + 100 * PAGE))();
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
	if (!strcmp(how, "execute-entry"))
		execute_entry();
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
