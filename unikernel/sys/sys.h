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
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>

struct epoll_event;
struct file;
struct itimerspec;
struct kernel_sigaction;
struct mmsghdr;
struct msghdr;
struct pollfd;
struct rlimit;
struct rusage;
struct sched_param;
struct sigevent;
struct sized_set;
struct sockaddr;
struct statfs;
struct statx;
struct tms;
struct utimbuf;

extern int sys_debug; /* say which system calls are missing */

long sys_missing(void); /* entry.S: for numbers without a function */
long sys_unknown(long number);

/* Bytes: io.c */
long sys_read(int fd, char *data, size_t bytes);
long sys_write(int fd, const char *data, size_t bytes);
long sys_readv(int fd, const struct iovec *parts, int count);
long sys_writev(int fd, const struct iovec *parts, int count);
long sys_pread64(int fd, char *data, size_t bytes, int64_t offset);
long sys_pwrite64(int fd, const char *data, size_t bytes, int64_t offset);
long sys_preadv(int fd, const struct iovec *parts, long count, int64_t offset);
long sys_pwritev(int fd, const struct iovec *parts, long count, int64_t offset);
long sys_preadv2(int fd, const struct iovec *parts, long count, int64_t offset, long high,
		 int flags);
long sys_pwritev2(int fd, const struct iovec *parts, long count, int64_t offset, long high,
		  int flags);
long sys_lseek(int fd, long offset, int whence);
long sys_ioctl(int fd, unsigned long command, void *argument);
long sys_sendfile(int to_fd, int from_fd, int64_t *offset, size_t bytes);
long sys_copy_file_range(int from_fd, int64_t *from_at, int to_fd, int64_t *to_at, size_t bytes,
			 unsigned int flags);
long sys_fsync(int fd);
long sys_fdatasync(int fd);
long sys_syncfs(int fd);
long sys_sync(void);
long sys_fadvise64(int fd, int64_t offset, int64_t bytes, int advice);
long sys_readahead(int fd, int64_t offset, size_t bytes);

/* Descriptors: descriptor.c */
long sys_close(int fd);
long sys_close_range(uint32_t first, uint32_t last, uint32_t flags);
long sys_dup(int fd);
long sys_dup3(int fd, int to, int flags);
long sys_dup2(int fd, int to);
long sys_fcntl(int fd, int command, long argument);
long sys_flock(int fd, int operation);
long sys_pipe2(int fds[2], int flags);
long sys_pipe(int fds[2]);
long sys_eventfd2(unsigned int count, int flags);
long sys_eventfd(unsigned int count);
long sys_timerfd_create(int clock, int flags);
long sys_timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old);
long sys_timerfd_gettime(int fd, struct itimerspec *now);
long sys_signalfd4(int fd, const uint64_t *set, size_t bytes, int flags);
long sys_signalfd(int fd, const uint64_t *set, size_t bytes);
long sys_epoll_create1(int flags);
long sys_epoll_create(int size);
long sys_epoll_ctl(int fd, int operation, int target, const struct epoll_event *event);

/* Waiting for descriptors: poll.c */
long sys_poll(struct pollfd *fds, unsigned long count, int timeout_ms);
long sys_ppoll(struct pollfd *fds, unsigned long count, struct timespec *timeout,
	       const uint64_t *mask, size_t bytes);
long sys_select(int count, uint64_t *in, uint64_t *out, uint64_t *except, struct timeval *timeout);
long sys_pselect6(int count, uint64_t *in, uint64_t *out, uint64_t *except,
		  struct timespec *timeout, const struct sized_set *mask);
long sys_epoll_wait(int fd, struct epoll_event *events, int room, int timeout_ms);
long sys_epoll_pwait(int fd, struct epoll_event *events, int room, int timeout_ms,
		     const uint64_t *mask, size_t bytes);
long sys_epoll_pwait2(int fd, struct epoll_event *events, int room, const struct timespec *timeout,
		      const uint64_t *mask, size_t bytes);

/* Names: path.c */
long sys_openat(int directory, const char *path, int flags, uint32_t mode);
long sys_open(const char *path, int flags, uint32_t mode);
long sys_creat(const char *path, uint32_t mode);
long sys_mkdirat(int directory, const char *path, uint32_t mode);
long sys_mkdir(const char *path, uint32_t mode);
long sys_mknodat(int directory, const char *path, uint32_t mode, uint32_t device);
long sys_mknod(const char *path, uint32_t mode, uint32_t device);
long sys_symlinkat(const char *target, int directory, const char *path);
long sys_symlink(const char *target, const char *path);
long sys_linkat(int from_directory, const char *from, int directory, const char *path, int flags);
long sys_link(const char *from, const char *path);
long sys_unlinkat(int directory, const char *path, int flags);
long sys_unlink(const char *path);
long sys_rmdir(const char *path);
long sys_renameat2(int from_directory, const char *from, int directory, const char *path,
		   unsigned int flags);
long sys_renameat(int from_directory, const char *from, int directory, const char *path);
long sys_rename(const char *from, const char *path);
long sys_readlinkat(int directory, const char *path, char *to, size_t room);
long sys_readlink(const char *path, char *to, size_t room);
long sys_chdir(const char *path);
long sys_fchdir(int fd);
long sys_getcwd(char *to, size_t room);
long sys_umask(uint32_t mask);
long sys_getdents64(int fd, void *to, size_t room);

/* Files: stat.c */
long sys_fstat(int fd, struct stat *st);
long sys_newfstatat(int directory, const char *path, struct stat *st, int flags);
long sys_stat(const char *path, struct stat *st);
long sys_lstat(const char *path, struct stat *st);
long sys_statx(int directory, const char *path, int flags, unsigned int wanted, struct statx *out);
long sys_faccessat2(int directory, const char *path, int mode, int flags);
long sys_faccessat(int directory, const char *path, int mode);
long sys_access(const char *path, int mode);
long sys_fchmodat(int directory, const char *path, uint32_t mode);
long sys_chmod(const char *path, uint32_t mode);
long sys_fchmod(int fd, uint32_t mode);
long sys_fchownat(int directory, const char *path, uint32_t uid, uint32_t gid, int flags);
long sys_chown(const char *path, uint32_t uid, uint32_t gid);
long sys_lchown(const char *path, uint32_t uid, uint32_t gid);
long sys_fchown(int fd, uint32_t uid, uint32_t gid);
long sys_utimensat(int directory, const char *path, const struct timespec times[2], int flags);
long sys_futimesat(int directory, const char *path, const struct timeval times[2]);
long sys_utimes(const char *path, const struct timeval times[2]);
long sys_utime(const char *path, const struct utimbuf *times);
long sys_truncate(const char *path, int64_t bytes);
long sys_ftruncate(int fd, int64_t bytes);
long sys_fallocate(int fd, int mode, int64_t offset, int64_t bytes);
long sys_statfs(const char *path, struct statfs *out);
long sys_fstatfs(int fd, struct statfs *out);

/* Sockets: socket.c */
long sys_socket(int family, int type, int protocol);
long sys_socketpair(int family, int type, int protocol, int fds[2]);
long sys_bind(int fd, const struct sockaddr *address, uint32_t bytes);
long sys_connect(int fd, const struct sockaddr *address, uint32_t bytes);
long sys_listen(int fd, int backlog);
long sys_accept4(int fd, void *address, uint32_t *bytes, int flags);
long sys_accept(int fd, void *address, uint32_t *bytes);
long sys_getsockname(int fd, void *address, uint32_t *bytes);
long sys_getpeername(int fd, void *address, uint32_t *bytes);
long sys_shutdown(int fd, int how);
long sys_getsockopt(int fd, int level, int option, void *value, uint32_t *bytes);
long sys_setsockopt(int fd, int level, int option, const void *value, uint32_t bytes);
long sys_sendmsg(int fd, const struct msghdr *header, int flags);
long sys_recvmsg(int fd, struct msghdr *header, int flags);
long sys_sendto(int fd, const void *data, size_t bytes, int flags, const void *address,
		uint32_t address_bytes);
long sys_recvfrom(int fd, void *data, size_t bytes, int flags, void *address,
		  uint32_t *address_bytes);
long sys_sendmmsg(int fd, struct mmsghdr *headers, unsigned int count, unsigned int flags);
long sys_recvmmsg(int fd, struct mmsghdr *headers, unsigned int count, unsigned int flags,
		  struct timespec *timeout);

/* Memory: memory.c */
long sys_mmap(uint64_t hint, size_t bytes, int prot, int flags, int fd, long offset);
long sys_munmap(uint64_t start, size_t bytes);
long sys_mprotect(uint64_t start, size_t bytes, int prot);
long sys_mremap(uint64_t old, size_t old_bytes, size_t bytes, int flags);
long sys_madvise(uint64_t start, size_t bytes, int advice);
long sys_brk(uint64_t end);
long sys_msync(uint64_t start, size_t bytes, int flags);
long sys_mincore(uint64_t start, size_t bytes, unsigned char *present);
long sys_mlock(uint64_t start, size_t bytes);
long sys_mlock2(uint64_t start, size_t bytes, unsigned int flags);
long sys_munlock(uint64_t start, size_t bytes);
long sys_mlockall(int flags);
long sys_munlockall(void);
long sys_memfd_create(const char *name, unsigned int flags);

/* Threads: thread.c */
long sys_exit(int status);
long sys_exit_group(int status);
long sys_set_tid_address(uint32_t *address);
long sys_set_robust_list(void *head, size_t bytes);
long sys_futex(uint32_t *address, int op, uint32_t value, const struct timespec *timeout,
	       uint32_t *address2, uint32_t value3);
long sys_gettid(void);
long sys_getpid(void);
long sys_getppid(void);
long sys_getcpu(unsigned int *cpu, unsigned int *node);
long sys_sched_yield(void);
long sys_arch_prctl(int code, uint64_t value);

/* Scheduling: sched.c */
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

/* Signals: signal.c */
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

/* Timers: timers.c */
long sys_timer_create(int clock, const struct sigevent *event, int *id);
long sys_timer_settime(int id, int flags, const struct itimerspec *new, struct itimerspec *old);
long sys_timer_gettime(int id, struct itimerspec *now);
long sys_timer_getoverrun(int id);
long sys_timer_delete(int id);
long sys_getitimer(int which, struct itimerval *now);
long sys_setitimer(int which, const struct itimerval *new, struct itimerval *old);
long sys_alarm(unsigned int seconds);

/* Clocks: clock.c */
long sys_clock_gettime(int clock, struct timespec *now);
long sys_clock_getres(int clock, struct timespec *resolution);
long sys_clock_nanosleep(int clock, int flags, const struct timespec *time, struct timespec *left);
long sys_nanosleep(const struct timespec *time, struct timespec *left);
long sys_gettimeofday(long now[2], void *zone);
long sys_time(long *now);

/* Users and groups: ids.c */
long sys_getuid(void);
long sys_geteuid(void);
long sys_getgid(void);
long sys_getegid(void);
long sys_setresuid(uint32_t real, uint32_t effective, uint32_t saved);
long sys_setresgid(uint32_t real, uint32_t effective, uint32_t saved);
long sys_setreuid(uint32_t real, uint32_t effective);
long sys_setregid(uint32_t real, uint32_t effective);
long sys_setuid(uint32_t id);
long sys_setgid(uint32_t id);
long sys_setfsuid(uint32_t id);
long sys_setfsgid(uint32_t id);
long sys_getresuid(uint32_t *real, uint32_t *effective, uint32_t *saved);
long sys_getresgid(uint32_t *real, uint32_t *effective, uint32_t *saved);
long sys_getgroups(int room, uint32_t *list);
long sys_setgroups(int count, const uint32_t *list);
long sys_getpgid(int pid);
long sys_getpgrp(void);
long sys_getsid(int pid);
long sys_setpgid(int pid, int group);
long sys_setsid(void);

/* Limits: limits.c */
long sys_prlimit64(int pid, int what, const struct rlimit *set, struct rlimit *old);
long sys_getrlimit(int what, struct rlimit *limit);
long sys_setrlimit(int what, const struct rlimit *limit);

/* The process: process.c */
long sys_wait4(int pid, int *status, int options, struct rusage *usage);
long sys_waitid(int type, int pid, siginfo_t *info, int options, struct rusage *usage);
long sys_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
long sys_times(struct tms *out);
long sys_getrusage(int who, struct rusage *usage);
long sys_personality(unsigned long persona);
long sys_membarrier(int command, unsigned int flags);

/* The machine: info.c */
long sys_sethostname(const char *name, size_t bytes);
long sys_setdomainname(const char *name, size_t bytes);
long sys_uname(struct utsname *name);
long sys_sysinfo(struct sysinfo *info);
long sys_getrandom(void *out, size_t bytes, unsigned int flags);

/* Two descriptors for two files, or none; takes over both references. */
long install_pair(struct file *a, struct file *b, uint32_t cloexec, int fds[2]);
/* A relative time as a time of clock_ns(); UINT64_MAX for never. -EINVAL for a bad one. */
long deadline_after(const struct timespec *time, uint64_t *deadline_ns);

/* Thread creation and end, in place of musl's assembly (see toolchain/musl). */
long __skete_clone(int (*function)(void *), void *stack, int flags, void *argument,
		   uint32_t *parent_tid, uint64_t tls, uint32_t *child_tid);
_Noreturn void thread_leave(void);
_Noreturn void thread_unmap_exit(uint64_t start, uint64_t bytes);

#endif
