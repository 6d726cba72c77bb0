/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Linux's system-call numbers and the functions behind them. ENTRY: a call that may wait or hold
 * something: signals wait until it is over, and end a wait in it (see kernel/signals.h); their
 * handlers run before it returns. FAST: a call that does neither is just a call.
 */
#include <sys/syscall.h>

#include "../arch/x86_64/layout.h"
#include "sys.h"

typedef void (*syscall_function)(void); /* each takes what its number takes */

#define ENTRY(name) [SYS_##name] = (syscall_function)(uintptr_t)((char *)sys_##name + TABLE_GUARDED)
#define FAST(name)  [SYS_##name] = (syscall_function)sys_##name

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
	FAST(gettid),
	FAST(getpid),
	FAST(getppid),
	FAST(getuid),
	FAST(geteuid),
	FAST(getgid),
	FAST(getegid),
	FAST(uname),
	FAST(sysinfo),
	FAST(getrandom),
	FAST(getcpu),
	FAST(sched_yield),
	ENTRY(sched_getaffinity),
	ENTRY(sched_setaffinity),
	ENTRY(sched_setscheduler),
	ENTRY(sched_getscheduler),
	ENTRY(sched_setparam),
	ENTRY(sched_getparam),
	FAST(sched_get_priority_max),
	FAST(sched_get_priority_min),
	ENTRY(sched_rr_get_interval),
	ENTRY(setpriority),
	ENTRY(getpriority),
	ENTRY(prlimit64),
	FAST(arch_prctl),
	FAST(clock_gettime),
	FAST(clock_getres),
	ENTRY(clock_nanosleep),
	ENTRY(nanosleep),
	FAST(gettimeofday),
	FAST(time),
	ENTRY(rt_sigaction),
	ENTRY(rt_sigprocmask),
	ENTRY(rt_sigpending),
	ENTRY(rt_sigsuspend),
	ENTRY(rt_sigtimedwait),
	ENTRY(rt_sigqueueinfo),
	ENTRY(rt_tgsigqueueinfo),
	ENTRY(sigaltstack),
	ENTRY(pause),
	ENTRY(tkill),
	ENTRY(tgkill),
	ENTRY(kill),
};
