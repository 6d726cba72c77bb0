/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Linux's system-call numbers and the functions behind them. */
#include <sys/syscall.h>

#include "../arch/x86_64/layout.h"
#include "sys.h"

typedef void (*syscall_function)(void); /* each takes what its number takes */

#define ENTRY(name) [SYS_##name] = (syscall_function)sys_##name

/* Every number first has the function that reports it missing, then its own. */
extern const syscall_function syscall_table[SYSCALL_COUNT];
const syscall_function syscall_table[SYSCALL_COUNT] = {
	[0 ... SYSCALL_COUNT - 1] = (syscall_function)sys_missing,
	ENTRY(read),
	ENTRY(write),
	ENTRY(readv),
	ENTRY(writev),
	ENTRY(close),
	ENTRY(fstat),
	ENTRY(lseek),
	ENTRY(ioctl),
	ENTRY(fcntl),
	ENTRY(mmap),
	ENTRY(munmap),
	ENTRY(mprotect),
	ENTRY(mremap),
	ENTRY(madvise),
	ENTRY(brk),
	ENTRY(futex),
	ENTRY(set_tid_address),
	ENTRY(set_robust_list),
	ENTRY(exit),
	ENTRY(exit_group),
	ENTRY(gettid),
	ENTRY(getpid),
	ENTRY(getppid),
	ENTRY(getuid),
	ENTRY(geteuid),
	ENTRY(getgid),
	ENTRY(getegid),
	ENTRY(uname),
	ENTRY(sysinfo),
	ENTRY(getrandom),
	ENTRY(getcpu),
	ENTRY(sched_yield),
	ENTRY(sched_getaffinity),
	ENTRY(sched_setaffinity),
	ENTRY(prlimit64),
	ENTRY(arch_prctl),
	ENTRY(clock_gettime),
	ENTRY(clock_getres),
	ENTRY(clock_nanosleep),
	ENTRY(nanosleep),
	ENTRY(gettimeofday),
	ENTRY(time),
	ENTRY(rt_sigaction),
	ENTRY(rt_sigprocmask),
	ENTRY(sigaltstack),
	ENTRY(pause),
	ENTRY(tkill),
	ENTRY(tgkill),
	ENTRY(kill),
};
