/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * The system calls, by Linux's names, arguments and return values (a negative errno for a failure).
 * The caller is the program in the same address space: a bad pointer is a fault there, not EFAULT.
 */
#ifndef SKETE_UK_SYS_H
#define SKETE_UK_SYS_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>

struct kernel_sigaction;
struct rlimit;

extern int sys_debug; /* say which system calls are missing */

long sys_missing(void); /* entry.S: for numbers without a function */
long sys_unknown(long number);

long sys_read(int fd, char *data, size_t bytes);
long sys_write(int fd, const char *data, size_t bytes);
long sys_readv(int fd, const struct iovec *vector, int count);
long sys_writev(int fd, const struct iovec *vector, int count);
long sys_close(int fd);
long sys_fstat(int fd, struct stat *st);
long sys_lseek(int fd, long offset, int whence);
long sys_ioctl(int fd, unsigned long command, void *argument);
long sys_fcntl(int fd, int command, long argument);

long sys_mmap(uint64_t hint, size_t bytes, int prot, int flags, int fd, long offset);
long sys_munmap(uint64_t start, size_t bytes);
long sys_mprotect(uint64_t start, size_t bytes, int prot);
long sys_mremap(uint64_t old, size_t old_bytes, size_t bytes, int flags);
long sys_madvise(uint64_t start, size_t bytes, int advice);
long sys_brk(uint64_t end);

long sys_futex(uint32_t *address, int op, uint32_t value, const struct timespec *timeout,
	       uint32_t *address2, uint32_t value3);
long sys_set_tid_address(uint32_t *address);
long sys_set_robust_list(void *head, size_t bytes);
long sys_exit(int status);
long sys_exit_group(int status);
long sys_gettid(void);
long sys_getpid(void);
long sys_getppid(void);
long sys_getuid(void);
long sys_geteuid(void);
long sys_getgid(void);
long sys_getegid(void);
long sys_getcpu(unsigned int *cpu, unsigned int *node);
long sys_sched_yield(void);
long sys_sched_getaffinity(uint32_t tid, size_t bytes, uint64_t *set);
long sys_sched_setaffinity(uint32_t tid, size_t bytes, const uint64_t *set);
long sys_sched_setscheduler(uint32_t tid, int policy, const int *priority);
long sys_sched_getscheduler(uint32_t tid);
long sys_sched_setparam(uint32_t tid, const int *priority);
long sys_sched_getparam(uint32_t tid, int *priority);
long sys_sched_get_priority_max(int policy);
long sys_sched_get_priority_min(int policy);
long sys_sched_rr_get_interval(uint32_t tid, struct timespec *interval);
long sys_setpriority(int which, uint32_t who, int nice);
long sys_getpriority(int which, uint32_t who);
long sys_arch_prctl(int code, uint64_t value);
long sys_rt_sigaction(int number, const struct kernel_sigaction *action,
		      struct kernel_sigaction *old, size_t bytes);
long sys_rt_sigprocmask(int how, const uint64_t *set, uint64_t *old, size_t bytes);
long sys_rt_sigpending(uint64_t *set, size_t bytes);
long sys_rt_sigsuspend(const uint64_t *set, size_t bytes);
long sys_rt_sigtimedwait(const uint64_t *set, siginfo_t *info, const struct timespec *timeout,
			 size_t bytes);
long sys_rt_sigqueueinfo(uint32_t pid, int number, const siginfo_t *info);
long sys_rt_tgsigqueueinfo(uint32_t pid, uint32_t tid, int number, const siginfo_t *info);
long sys_sigaltstack(const stack_t *stack, stack_t *old);
long sys_pause(void);
long sys_tkill(uint32_t tid, int number);
long sys_tgkill(uint32_t group, uint32_t tid, int number);
long sys_kill(int pid, int number);

long sys_uname(struct utsname *name);
long sys_sysinfo(struct sysinfo *info);
long sys_getrandom(void *out, size_t bytes, unsigned int flags);
long sys_prlimit64(int pid, int what, const struct rlimit *set, struct rlimit *old);
long sys_clock_gettime(int clock, struct timespec *now);
long sys_clock_getres(int clock, struct timespec *resolution);
long sys_clock_nanosleep(int clock, int flags, const struct timespec *time, struct timespec *left);
long sys_nanosleep(const struct timespec *time, struct timespec *left);
long sys_gettimeofday(long now[2], void *zone);
long sys_time(long *now);

/* A relative time as a time of clock_ns(); UINT64_MAX for never. -EINVAL for a bad one. */
long deadline_after(const struct timespec *time, uint64_t *deadline_ns);

/* Thread creation and end, in place of musl's assembly (see toolchain/musl). */
long __skete_clone(int (*function)(void *), void *stack, int flags, void *argument,
		   uint32_t *parent_tid, uint64_t tls, uint32_t *child_tid);
_Noreturn void thread_leave(void);
_Noreturn void thread_unmap_exit(uint64_t start, uint64_t bytes);

#endif
