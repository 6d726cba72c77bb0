/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * The scheduler functions of POSIX that musl refuses, because they are about a process there and
 * about a thread in Linux. Here they do what the GNU C library's do: they are about the thread.
 */
#include <errno.h>
#include <sched.h>
#include <sys/types.h>

#include "../sys/sys.h"

#define EXPORT __attribute__((visibility("default")))

static int result_of(long result)
{
	if (result >= 0)
		return (int)result;
	errno = (int)-result;
	return -1;
}

EXPORT int sched_setscheduler(pid_t tid, int policy, const struct sched_param *param)
{
	return result_of(sys_sched_setscheduler((uint32_t)tid, policy, &param->sched_priority));
}

EXPORT int sched_getscheduler(pid_t tid)
{
	return result_of(sys_sched_getscheduler((uint32_t)tid));
}

EXPORT int sched_setparam(pid_t tid, const struct sched_param *param)
{
	return result_of(sys_sched_setparam((uint32_t)tid, &param->sched_priority));
}

EXPORT int sched_getparam(pid_t tid, struct sched_param *param)
{
	return result_of(sys_sched_getparam((uint32_t)tid, &param->sched_priority));
}
