/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * A program that knows its way about the process it runs in, and tries to get out: every system
 * call through the gate, and past it; memory that is writable and executable; the host's files.
 * With an argument it does one thing that must end it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ARENA_MASK (~0ul << 39)
#define X32	   0x40000000
#define MEMORY_FD  3

extern uint64_t process_gate; /* of the unikernel */

static int failed;

static void check(int ok, const char *what)
{
	printf("%s %s\n", ok ? "ok" : "FAILED", what);
	failed |= !ok;
}

static long gate(long n, unsigned long a, unsigned long b, unsigned long c, unsigned long d,
		 unsigned long e, unsigned long f)
{
	register unsigned long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;

	/* The call must not write below the stack pointer, where the compiler may keep things. */
	__asm__ volatile("sub $128, %%rsp\n\tcall *%7\n\tadd $128, %%rsp"
			 : "+a"(n)
			 : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9), "r"(process_gate)
			 : "rcx", "r11", "memory");
	return n;
}

static long direct(long n, unsigned long a, unsigned long b, unsigned long c)
{
	__asm__ volatile("syscall" : "+a"(n) : "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return n;
}

/* The ones of the list; what they may be used for is tried below. */
static int is_listed(long n)
{
	static const long listed[] = {SYS_read,		 SYS_write,	 SYS_mmap,
				      SYS_munmap,	 SYS_ppoll,	 SYS_futex,
				      SYS_timer_settime, SYS_exit_group, SYS_tgkill};

	for (unsigned i = 0; i < sizeof(listed) / sizeof(listed[0]); i++)
		if (n == listed[i])
			return 1;
	return 0;
}

static void every_number(void)
{
	int open = 0, tried = 0;

	for (long n = 0; n < 1024; n++) {
		for (int way = 0; way < 4; way++) {
			long number = way & 1 ? n | X32 : n, got;

			/*
			 * Linux lets these two past every filter: they do something only for code
			 * in a page that the kernel makes for a tracer (uprobes).
			 */
			if (is_listed(number) || number == 335 || number == 336)
				continue;
			got = way & 2 ? gate(number, (unsigned long)"/etc/passwd", 0, 0, 0, 0, 0)
				      : gate(number, 0, 0, 0, 0, 0, 0);
			tried++;
			if (got != -EPERM) {
				printf("system call %ld gives %ld\n", number, got);
				open++;
			}
		}
	}
	printf("%d tried, %d open\n", tried, open);
	check(!open, "no system call but the listed ones");
}

static void wrong_arguments(void)
{
	static uint32_t word;
	char byte = 0;
	unsigned long at = (unsigned long)&byte;

	check(gate(SYS_read, MEMORY_FD, at, 1, 0, 0, 0) == -EPERM, "read: another descriptor");
	check(gate(SYS_read, 1ul << 32, at, 1, 0, 0, 0) == -EPERM, "read: the high half");
	check(gate(SYS_write, 0, at, 1, 0, 0, 0) == -EPERM, "write: standard input");
	check(gate(SYS_write, 2, at, 1, 0, 0, 0) == -EPERM, "write: standard error");
	check(gate(SYS_write, MEMORY_FD, at, 1, 0, 0, 0) == -EPERM, "write: the memory file");
	check(gate(SYS_tgkill, 1, 1, 23, 0, 0, 0) == -EPERM, "tgkill: another process");
	for (unsigned long s = 1; s < 65; s++)
		for (unsigned long pid = 0; s != 23 && pid < 32768; pid += s == 9 ? 1 : 1024)
			if (gate(SYS_tgkill, pid, pid, s, 0, 0, 0) != -EPERM)
				check(0, "tgkill: another signal");
	for (unsigned long op = 0; op < 1024; op++)
		if (op != 128 && op != 129 &&
		    gate(SYS_futex, (unsigned long)&word, op, 1, 0, 0, 0) != -EPERM)
			check(0, "futex: another operation");
}

static void memory(void)
{
	static const unsigned long right = MAP_SHARED | MAP_FIXED;
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long at = (unsigned long)page, text = (unsigned long)every_number & -4096ul;
	unsigned long arena = at & ARENA_MASK, stage = process_gate & -4096ul;
	int bad = 0;

	page[0] = 1;
	for (unsigned long prot = 0; prot < 64; prot++)
		if (prot & ~3ul)
			bad |= gate(SYS_mmap, at, 4096, prot, right, MEMORY_FD, 0) != -EPERM;
	bad |= gate(SYS_mmap, at, 4096, 1ul << 32, right, MEMORY_FD, 0) != -EPERM;
	check(!bad, "mmap: nothing executable");
	for (int bit = 0; bit < 32; bit++)
		if (1ul << bit != MAP_POPULATE && 1ul << bit != MAP_SHARED &&
		    1ul << bit != MAP_FIXED)
			bad |= gate(SYS_mmap, at, 4096, 3, right | 1ul << bit, MEMORY_FD, 0) !=
			       -EPERM;
	bad |= gate(SYS_mmap, at, 4096, 3, MAP_PRIVATE | MAP_FIXED, MEMORY_FD, 0) != -EPERM;
	bad |= gate(SYS_mmap, at, 4096, 3, MAP_SHARED, MEMORY_FD, 0) != -EPERM;
	bad |= gate(SYS_mmap, at, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1ul, 0) !=
	       -EPERM;
	check(!bad, "mmap: no other flags");
	for (unsigned long fd = 0; fd < 3; fd++)
		bad |= gate(SYS_mmap, at, 4096, 1, right, fd, 0) != -EPERM;
	check(!bad, "mmap: no other file");
	for (int i = 0; i < 3; i++) {
		unsigned long places[] = {text, stage, arena - 4096};

		bad |= gate(SYS_mmap, places[i], 4096, 3, right, MEMORY_FD, 0) != -EPERM;
		bad |= gate(SYS_munmap, places[i], 4096, 0, 0, 0, 0) != -EPERM;
	}
	bad |= gate(SYS_mmap, arena + (1ul << 39), 4096, 3, right, MEMORY_FD, 0) != -EPERM;
	bad |= gate(SYS_munmap, at, 1ul << 32, 0, 0, 0, 0) != -EPERM;
	bad |= gate(SYS_munmap, 0, ~0ul, 0, 0, 0, 0) != -EPERM;
	check(!bad, "mmap, munmap: only in the arena");
	check(page[0] == 1, "and what was there is there");
}

/* A `syscall` elsewhere is the unikernel's, not Linux's. */
static void past_the_gate(void)
{
	struct timespec now = {0};

	check(direct(SYS_getpid, 0, 0, 0) == getpid(), "getpid is the unikernel's");
	check(direct(SYS_clock_gettime, CLOCK_MONOTONIC, (unsigned long)&now, 0) == 0 &&
		      now.tv_sec < 3600,
	      "so is the clock");
	check(direct(SYS_open, (unsigned long)"/etc/passwd", O_RDONLY, 0) < 0, "open");
	check(direct(SYS_openat, (unsigned long)AT_FDCWD, (unsigned long)"/usr/bin/env", 0) < 0,
	      "openat");
	check(direct(SYS_execve, (unsigned long)"/bin/true", 0, 0) < 0, "execve");
	check(direct(SYS_fork, 0, 0, 0) < 0, "fork");
	check(direct(SYS_ptrace, 0, 0, 0) < 0, "ptrace");
	check(direct(SYS_getpid | X32, 0, 0, 0) < 0, "x32");
	check(direct(1023, 0, 0, 0) < 0 && direct(-1, 0, 0, 0) < 0, "no number");
}

/* Each of these ends the program. */
static int end(const char *how)
{
	if (!strcmp(how, "int80"))
		__asm__ volatile("int $0x80" : : "a"(20) : "memory");
	if (!strcmp(how, "gate"))
		*(volatile char *)process_gate = 0;
	if (!strcmp(how, "sysenter"))
		__asm__ volatile("sysenter" ::: "memory");
	if (!strcmp(how, "uretprobe")) /* past the filter; Linux answers with SIGILL, or EPERM if
					  too old */
		if (gate(335, 0, 0, 0, 0, 0, 0))
			__builtin_trap();
	if (!strcmp(how, "sigreturn"))
		direct(SYS_rt_sigreturn, 0, 0, 0);
	if (!strcmp(how, "sleep"))
		for (;;)
			pause();
	if (!strcmp(how, "exit"))
		gate(SYS_exit_group, 7, 0, 0, 0, 0, 0);
	return 1;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!process_gate) {
		puts("this is no process");
		return 2;
	}
	if (argc > 1) {
		puts("now");
		return end(argv[1]);
	}
	every_number();
	wrong_arguments();
	memory();
	past_the_gate();
	puts(failed ? "escaped" : "no way out");
	return failed;
}
