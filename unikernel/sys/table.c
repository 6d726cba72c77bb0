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
	/* bytes */
	ENTRY(read),
	ENTRY(write),
	ENTRY(readv),
	ENTRY(writev),
	ENTRY(pread64),
	ENTRY(pwrite64),
	ENTRY(preadv),
	ENTRY(pwritev),
	ENTRY(preadv2),
	ENTRY(pwritev2),
	ENTRY(lseek),
	ENTRY(ioctl),
	ENTRY(sendfile),
	ENTRY(copy_file_range),
	ENTRY(fsync),
	ENTRY(fdatasync),
	ENTRY(syncfs),
	ENTRY(sync),
	ENTRY(fadvise64),
	ENTRY(readahead),

	/* descriptors */
	ENTRY(close),
	ENTRY(close_range),
	ENTRY(dup),
	ENTRY(dup3),
	ENTRY(dup2),
	ENTRY(fcntl),
	ENTRY(flock),
	ENTRY(pipe2),
	ENTRY(pipe),
	ENTRY(eventfd2),
	ENTRY(eventfd),
	ENTRY(timerfd_create),
	ENTRY(timerfd_settime),
	ENTRY(timerfd_gettime),
	ENTRY(signalfd4),
	ENTRY(signalfd),
	ENTRY(epoll_create1),
	ENTRY(epoll_create),
	ENTRY(epoll_ctl),

	/* waiting for descriptors */
	ENTRY(poll),
	ENTRY(ppoll),
	ENTRY(select),
	ENTRY(pselect6),
	ENTRY(epoll_wait),
	ENTRY(epoll_pwait),
	ENTRY(epoll_pwait2),

	/* names */
	ENTRY(openat),
	ENTRY(open),
	ENTRY(creat),
	ENTRY(mkdirat),
	ENTRY(mkdir),
	ENTRY(mknodat),
	ENTRY(mknod),
	ENTRY(symlinkat),
	ENTRY(symlink),
	ENTRY(linkat),
	ENTRY(link),
	ENTRY(unlinkat),
	ENTRY(unlink),
	ENTRY(rmdir),
	ENTRY(renameat2),
	ENTRY(renameat),
	ENTRY(rename),
	ENTRY(readlinkat),
	ENTRY(readlink),
	ENTRY(chdir),
	ENTRY(fchdir),
	ENTRY(getcwd),
	ENTRY(umask),
	ENTRY(getdents64),

	/* files */
	ENTRY(fstat),
	ENTRY(newfstatat),
	ENTRY(stat),
	ENTRY(lstat),
	ENTRY(statx),
	ENTRY(faccessat2),
	ENTRY(faccessat),
	ENTRY(access),
	ENTRY(fchmodat),
	ENTRY(chmod),
	ENTRY(fchmod),
	ENTRY(fchownat),
	ENTRY(chown),
	ENTRY(lchown),
	ENTRY(fchown),
	ENTRY(utimensat),
	ENTRY(futimesat),
	ENTRY(utimes),
	ENTRY(utime),
	ENTRY(truncate),
	ENTRY(ftruncate),
	ENTRY(fallocate),
	ENTRY(statfs),
	ENTRY(fstatfs),

	/* sockets */
	ENTRY(socket),
	ENTRY(socketpair),
	ENTRY(bind),
	ENTRY(connect),
	ENTRY(listen),
	ENTRY(accept4),
	ENTRY(accept),
	ENTRY(getsockname),
	ENTRY(getpeername),
	ENTRY(shutdown),
	ENTRY(getsockopt),
	ENTRY(setsockopt),
	ENTRY(sendmsg),
	ENTRY(recvmsg),
	ENTRY(sendto),
	ENTRY(recvfrom),
	ENTRY(sendmmsg),
	ENTRY(recvmmsg),

	/* memory */
	ENTRY(mmap),
	ENTRY(munmap),
	ENTRY(mprotect),
	ENTRY(mremap),
	ENTRY(madvise),
	ENTRY(brk),
	ENTRY(msync),
	ENTRY(mincore),
	ENTRY(mlock),
	ENTRY(mlock2),
	ENTRY(munlock),
	ENTRY(mlockall),
	ENTRY(munlockall),
	ENTRY(memfd_create),

	/* threads */
	ENTRY(exit),
	ENTRY(exit_group),
	ENTRY(set_tid_address),
	ENTRY(set_robust_list),
	ENTRY(futex),
	FAST(gettid),
	FAST(getpid),
	FAST(getppid),
	FAST(getcpu),
	FAST(sched_yield),
	FAST(arch_prctl),

	/* scheduling */
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

	/* signals */
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

	/* timers */
	ENTRY(timer_create),
	ENTRY(timer_settime),
	ENTRY(timer_gettime),
	ENTRY(timer_getoverrun),
	ENTRY(timer_delete),
	ENTRY(getitimer),
	ENTRY(setitimer),
	ENTRY(alarm),

	/* clocks */
	FAST(clock_gettime),
	FAST(clock_getres),
	ENTRY(clock_nanosleep),
	ENTRY(nanosleep),
	FAST(gettimeofday),
	FAST(time),

	/* users and groups */
	FAST(getuid),
	FAST(geteuid),
	FAST(getgid),
	FAST(getegid),
	ENTRY(setresuid),
	ENTRY(setresgid),
	ENTRY(setreuid),
	ENTRY(setregid),
	ENTRY(setuid),
	ENTRY(setgid),
	ENTRY(setfsuid),
	ENTRY(setfsgid),
	ENTRY(getresuid),
	ENTRY(getresgid),
	ENTRY(getgroups),
	ENTRY(setgroups),
	ENTRY(getpgid),
	FAST(getpgrp),
	ENTRY(getsid),
	ENTRY(setpgid),
	ENTRY(setsid),

	/* limits */
	ENTRY(prlimit64),
	ENTRY(getrlimit),
	ENTRY(setrlimit),

	/* the process */
	ENTRY(wait4),
	ENTRY(waitid),
	ENTRY(prctl),
	ENTRY(times),
	ENTRY(getrusage),
	ENTRY(personality),
	ENTRY(membarrier),

	/* the machine */
	ENTRY(sethostname),
	ENTRY(setdomainname),
	FAST(uname),
	FAST(sysinfo),
	FAST(getrandom),
};
