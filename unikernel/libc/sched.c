/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * The scheduler functions of POSIX that musl refuses, because they are about a process there and
 * about a thread in Linux. Here they do what the GNU C library's do: they are about the thread.
 */
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT int sched_setscheduler(pid_t tid, int policy, const struct sched_param *param)
{
	return (int)syscall(SYS_sched_setscheduler, tid, policy, &param->sched_priority);
}

EXPORT int sched_getscheduler(pid_t tid)
{
	return (int)syscall(SYS_sched_getscheduler, tid);
}

EXPORT int sched_setparam(pid_t tid, const struct sched_param *param)
{
	return (int)syscall(SYS_sched_setparam, tid, &param->sched_priority);
}

EXPORT int sched_getparam(pid_t tid, struct sched_param *param)
{
	return (int)syscall(SYS_sched_getparam, tid, &param->sched_priority);
}
