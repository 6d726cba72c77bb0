/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * System calls about the process as a whole. There is one process and no other can
 * be made: fork, vfork, clone of a process and execve return ENOSYS, so there are no children.
 */
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/times.h>
#include <sys/wait.h>

#include "../arch/x86_64/platform.h"
#include "../kernel/kernel.h"
#include "../kernel/signals.h"
#include "../mm/mm.h"
#include "sys.h"

#define NAME_BYTES 16
#define TICKS	   100

long sys_wait4(int pid, int *status, int options, struct rusage *usage)
{
	(void)pid;
	(void)status;
	(void)usage;
	return options & ~(WNOHANG | WUNTRACED | WCONTINUED | (int)0xe0000000) ? -EINVAL : -ECHILD;
}

long sys_waitid(int type, int pid, siginfo_t *info, int options, struct rusage *usage)
{
	(void)pid;
	(void)info;
	(void)usage;
	if (!(options & (WEXITED | WSTOPPED | WCONTINUED)) || type < P_ALL || type > 3)
		return -EINVAL;
	return -ECHILD;
}

long sys_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
	static unsigned long keep_capabilities, subreaper, dumpable = 1, no_new;
	struct thread *self = this_thread();

	(void)b;
	(void)c;
	(void)d;
	switch (option) {
	case PR_SET_NAME:
		memset(self->name, 0, NAME_BYTES);
		for (int i = 0; i < NAME_BYTES - 1 && ((const char *)a)[i]; i++)
			self->name[i] = ((const char *)a)[i];
		return 0;
	case PR_GET_NAME:
		memcpy((char *)a, self->name, NAME_BYTES);
		return 0;
	case PR_GET_DUMPABLE:
		return (long)dumpable;
	case PR_SET_DUMPABLE:
		if (a > 1)
			return -EINVAL;
		dumpable = a;
		return 0;
	case PR_GET_KEEPCAPS:
		return (long)keep_capabilities;
	case PR_SET_KEEPCAPS:
		keep_capabilities = a;
		return 0;
	case PR_SET_NO_NEW_PRIVS:
		no_new = a;
		return a == 1 ? 0 : -EINVAL;
	case PR_GET_NO_NEW_PRIVS:
		return (long)no_new;
	case PR_SET_CHILD_SUBREAPER:
		subreaper = a;
		return 0;
	case PR_GET_CHILD_SUBREAPER:
		*(int *)a = (int)subreaper;
		return 0;
	case PR_SET_PDEATHSIG:
		return a > SIGNAL_COUNT ? -EINVAL : 0;
	case PR_GET_PDEATHSIG:
		*(int *)a = 0;
		return 0;
	case PR_SET_TIMERSLACK:
		return 0;
	case PR_GET_TIMERSLACK:
		return 1;
	default:
		return -EINVAL;
	}
}

long sys_times(struct tms *out)
{
	if (out)
		*out = (struct tms){.tms_utime =
					    (clock_t)(sched_process_ns() / (NS_PER_SEC / TICKS))};
	return (long)(clock_ns() / (NS_PER_SEC / TICKS));
}

long sys_getrusage(int who, struct rusage *usage)
{
	uint64_t us =
		(who == RUSAGE_SELF ? sched_process_ns() : sched_thread_ns(this_thread())) / 1000;

	if (who != RUSAGE_SELF && who != RUSAGE_CHILDREN && who != 1 /* RUSAGE_THREAD */)
		return -EINVAL;
	memset(usage, 0, 144); /* the kernel's structure is shorter than the library's */
	if (who == RUSAGE_CHILDREN)
		return 0;
	usage->ru_utime.tv_sec = (time_t)(us / 1000000);
	usage->ru_utime.tv_usec = (suseconds_t)(us % 1000000);
	usage->ru_maxrss = (long)((frames_total - frames_free_count) * (PAGE_SIZE / 1024));
	return 0;
}

long sys_personality(unsigned long persona)
{
	return persona == 0xffffffff || persona == 0 ? 0 : -EINVAL;
}

#define MEMBARRIER_QUERY 0
#define MEMBARRIER_ALL	 0x1f /* global, and its expedited kinds with their registrations */

/* Every thread that runs is made to pass through an interrupt, which is a barrier. */
long sys_membarrier(int command, unsigned int flags)
{
	uint32_t before;

	if (flags || command & ~MEMBARRIER_ALL)
		return -EINVAL;
	if (command == MEMBARRIER_QUERY)
		return MEMBARRIER_ALL;
	before = mask();
	platform->flush_others();
	unmask(before);
	return 0;
}
