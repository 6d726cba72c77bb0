/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Faults that the program handles itself: what the handler is told, going on behind the bad
 * instruction or at a longjmp, a stack that ran off, and signals in the middle of a wait.
 */
#define _GNU_SOURCE
#include <fenv.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

static volatile int last_signal, last_code, calls, on_stack;
static void *volatile last_address;
static sigjmp_buf out;
static char *alt_stack;

static void check(int ok, const char *what)
{
	printf("%s %s\n", ok ? "ok" : "FAILED", what);
	if (!ok) {
		printf("signal %d code %d address %p\n", last_signal, last_code, last_address);
		exit(1);
	}
}

static void note(int n, const siginfo_t *info)
{
	volatile char here;

	last_signal = n;
	last_code = info->si_code;
	last_address = info->si_addr;
	on_stack = (char *)&here >= alt_stack && (char *)&here < alt_stack + 65536;
	calls++;
}

static void jump_out(int n, siginfo_t *info, void *context)
{
	(void)context;
	note(n, info);
	siglongjmp(out, 1);
}

/* Every bad instruction here that is stepped over has two bytes. */
static void step_over(int n, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	note(n, info);
	uc->uc_mcontext.gregs[REG_RIP] += 2;
	uc->uc_mcontext.gregs[REG_RAX] = 42;
}

static void handle(int n, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};

	sigaction(n, &action, NULL);
}

static void told(int n, int code, void *address, const char *what)
{
	check(last_signal == n && last_code == code && last_address == address, what);
	last_signal = last_code = 0;
}

static const int constant = 5;

static void accesses(void)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void (*data)(void) = (void (*)(void))(uintptr_t)page;
	sigset_t mask;

	handle(SIGSEGV, jump_out, 0);
	if (!sigsetjmp(out, 1))
		*(volatile int *)(uintptr_t)16 = 1;
	told(SIGSEGV, SEGV_MAPERR, (void *)16, "a null pointer");
	if (!sigsetjmp(out, 1))
		*(volatile int *)(uintptr_t)&constant = 1;
	told(SIGSEGV, SEGV_ACCERR, (void *)(uintptr_t)&constant, "a constant");
	page[0] = (char)0xc3;
	if (!sigsetjmp(out, 1))
		data();
	told(SIGSEGV, SEGV_ACCERR, page, "data are not code");
	mprotect(page, 4096, PROT_READ);
	if (!sigsetjmp(out, 1))
		((volatile char *)page)[1] = 1;
	told(SIGSEGV, SEGV_ACCERR, page + 1, "a read-only page");
	munmap(page, 8192);
	if (!sigsetjmp(out, 1))
		__asm__ volatile("cli");
	check(last_signal == SIGSEGV && last_code == SI_KERNEL, "a privileged instruction");
	sigprocmask(SIG_BLOCK, NULL, &mask);
	check(!sigismember(&mask, SIGSEGV), "the mask is as before");
}

static void arithmetic(void)
{
	volatile int zero = 0;
	double big = 1e308, result;
	long rax;

	handle(SIGFPE, jump_out, 0);
	handle(SIGILL, step_over, 0);
	handle(SIGTRAP, jump_out, 0);
	if (!sigsetjmp(out, 1))
		zero = 7 / zero;
	check(last_signal == SIGFPE && last_code == FPE_INTDIV, "division by zero");
	last_signal = 0;
	if (!sigsetjmp(out, 1)) {
		unsigned int control;

		__asm__ volatile("stmxcsr %0" : "=m"(control));
		control &= ~0x1f80u;
		__asm__ volatile("ldmxcsr %0" : : "m"(control));
		result = big * big;
		__asm__ volatile("" : : "x"(result));
	}
	fesetenv(FE_DFL_ENV);
	/* QEMU's emulation does not trap on SSE exceptions. */
	check((last_signal == SIGFPE && last_code == FPE_FLTOVF) || !last_signal,
	      last_signal ? "floating-point overflow" : "this CPU does not trap SSE overflow");
	if (!sigsetjmp(out, 1)) {
		unsigned short control = 0x37b; /* all masked but division by zero */

		__asm__ volatile("fldcw %0\n\tfld1\n\tfldz\n\tfdivrp\n\tfwait" : : "m"(control));
	}
	fesetenv(FE_DFL_ENV);
	check(last_signal == SIGFPE && last_code == FPE_FLTDIV, "x87 division by zero");
	__asm__ volatile("xor %%eax, %%eax\n\tud2" : "=a"(rax) : : "memory");
	check(last_signal == SIGILL && rax == 42, "over an illegal instruction, rax changed");
	if (!sigsetjmp(out, 1))
		__asm__ volatile("int3");
	check(last_signal == SIGTRAP, "a breakpoint");
}

static void *yield(void *arg)
{
	for (int i = 0; i < 50; i++)
		sched_yield();
	return arg;
}

/* An x87 exception shows at the next x87 instruction of this thread, never in another. */
static void waiting_exception(void)
{
	unsigned short control = 0x37b;
	pthread_t thread;

	signal(SIGFPE, SIG_DFL);
	pthread_create(&thread, NULL, yield, NULL);
	yield(NULL);
	for (int i = 0; i < 20; i++) {
		__asm__ volatile("fldcw %0\n\tfld1\n\tfldz\n\tfdivrp" : : "m"(control));
		sched_yield();
		__asm__ volatile("fnclex\n\tfninit");
	}
	pthread_join(thread, NULL);
	check(1, "an x87 exception stays in its thread");
}

/* The handler uses vector registers of its own; those of the program come back. */
static void registers(void)
{
	double in[4] = {1.5, 2.5, 3.5, 4.5}, after[4];
	long rbx = 1111, r15 = 2222;

	handle(SIGILL, step_over, 0);
	__asm__ volatile(
		"movupd %2, %%xmm7\n\tmovupd %3, %%xmm15\n\tmov %0, %%rbx\n\tmov %1, %%r15\n\tud2\n\t"
		"movupd %%xmm7, %4\n\tmovupd %%xmm15, %5\n\tmov %%rbx, %0\n\tmov %%r15, %1"
		: "+m"(rbx), "+m"(r15)
		: "m"(in[0]), "m"(in[2]), "m"(after[0]), "m"(after[2])
		: "rax", "rbx", "r15", "xmm7", "xmm15", "memory");
	check(!memcmp(in, after, sizeof(in)) && rbx == 1111 && r15 == 2222,
	      "registers survive a handler");
}

__attribute__((noinline)) int recurse(volatile char *up)
{
	volatile char here[512];

	here[0] = *up;
	return recurse(here) + here[0];
}

static void *run_off(void *arg)
{
	stack_t stack = {.ss_sp = alt_stack, .ss_size = 65536}, old;
	volatile char c = 0;

	check(sigaltstack(&stack, NULL) == 0, "an alternate stack");
	handle(SIGSEGV, jump_out, SA_ONSTACK);
	for (int i = 0; i < 2; i++) {
		if (!sigsetjmp(out, 1))
			recurse(&c);
		check(last_signal == SIGSEGV && on_stack,
		      "a stack that ran off, handled on the other");
	}
	stack.ss_flags = SS_DISABLE;
	check(sigaltstack(&stack, &old) == 0 && old.ss_sp == alt_stack && old.ss_size == 65536,
	      "and without it again");
	return arg;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER, other = PTHREAD_MUTEX_INITIALIZER;
static volatile int waiting;

static void lock_other(int n)
{
	(void)n;
	calls++;
	pthread_mutex_lock(&other); /* waits, while the thread waits for another lock */
	pthread_mutex_unlock(&other);
}

static void *waiter(void *arg)
{
	waiting = 1;
	pthread_mutex_lock(&mutex);
	pthread_mutex_unlock(&mutex);
	return arg;
}

/* A signal in the middle of a wait: its handler waits as well, and then the first wait goes on. */
static void in_a_wait(void)
{
	pthread_t thread;
	int before = calls;

	signal(SIGUSR1, lock_other);
	pthread_mutex_lock(&mutex);
	pthread_mutex_lock(&other);
	pthread_create(&thread, NULL, waiter, NULL);
	while (!waiting)
		usleep(1000);
	usleep(20000);
	for (int i = 0; i < 5; i++) {
		pthread_kill(thread, SIGUSR1);
		usleep(2000);
	}
	pthread_mutex_unlock(&other);
	usleep(10000);
	pthread_mutex_unlock(&mutex);
	pthread_join(thread, NULL);
	check(calls > before, "a handler that waits, in the middle of a wait");
}

static void *spin(void *arg)
{
	unsigned long x = 1, sum = 0;

	waiting = 2;
	while (waiting == 2) {
		x = x * 6364136223846793005ul + 1;
		sum += x >> 60;
	}
	return sum ? arg : NULL;
}

static void count(int n)
{
	(void)n;
	calls++;
}

static void many(void)
{
	pthread_t thread;
	void *result;
	int before = calls;

	signal(SIGUSR2, count);
	pthread_create(&thread, NULL, spin, &thread);
	while (waiting != 2)
		usleep(1000);
	for (int i = 0; i < 200; i++) {
		int now = calls;

		pthread_kill(thread, SIGUSR2);
		while (calls == now)
			usleep(100);
	}
	waiting = 3;
	pthread_join(thread, &result);
	check(calls == before + 200 && result == &thread, "two hundred signals to a busy thread");
}

int main(void)
{
	pthread_t thread;

	setvbuf(stdout, NULL, _IOLBF, 0);
	alt_stack = malloc(65536);
	accesses();
	arithmetic();
	registers();
	waiting_exception();
	run_off(NULL);
	pthread_create(&thread, NULL, run_off, NULL);
	pthread_join(thread, NULL);
	in_a_wait();
	many();
	puts("done");
	return 0;
}
