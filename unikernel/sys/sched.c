/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * System calls about who runs when and where. Each is about one thread, as in Linux; 0 is the
 * caller. Everybody may do everything: there is one user.
 */
#include <errno.h>
#include <sched.h>
#include <sys/resource.h>

#include "../kernel/kernel.h"
#include "../kernel/thread.h"
#include "sys.h"

#define PRIORITY_MAX	   99
#define NICE_MIN	   (-20)
#define NICE_MAX	   19
#define SCHED_KEEP_ON_FORK 0x40000000

static struct thread *thread_of(uint32_t tid)
{
	return tid ? thread_by_tid(tid) : this_thread();
}

static uint64_t all_cpus(void)
{
	return (1ull << cpu_count) - 1;
}

long sys_sched_getaffinity(uint32_t tid, size_t bytes, uint64_t *set)
{
	const struct thread *thread = thread_of(tid);

	if (!thread)
		return -ESRCH;
	if (bytes < 8)
		return -EINVAL;
	*set = thread->affinity & all_cpus();
	return 8;
}

long sys_sched_setaffinity(uint32_t tid, size_t bytes, const uint64_t *set)
{
	struct thread *thread = thread_of(tid);

	if (!thread)
		return -ESRCH;
	if (bytes < 8 || !(*set & all_cpus()))
		return -EINVAL;
	sched_set_affinity(thread, *set);
	return 0;
}

static int is_real_time(uint32_t policy)
{
	return policy == SCHED_FIFO || policy == SCHED_RR;
}

static long set_policy(struct thread *thread, uint32_t policy, int priority)
{
	if (!thread)
		return -ESRCH;
	if (policy != SCHED_OTHER && policy != SCHED_BATCH && policy != SCHED_IDLE &&
	    !is_real_time(policy))
		return -EINVAL;
	if (is_real_time(policy) ? priority < 1 || priority > PRIORITY_MAX : priority != 0)
		return -EINVAL;
	sched_set_policy(thread, policy, priority, thread->nice);
	return 0;
}

long sys_sched_setscheduler(uint32_t tid, int policy, const int *priority)
{
	return set_policy(thread_of(tid), (uint32_t)(policy & ~SCHED_KEEP_ON_FORK), *priority);
}

long sys_sched_getscheduler(uint32_t tid)
{
	const struct thread *thread = thread_of(tid);

	return thread ? (long)thread->policy : -ESRCH;
}

long sys_sched_setparam(uint32_t tid, const int *priority)
{
	struct thread *thread = thread_of(tid);

	return thread ? set_policy(thread, thread->policy, *priority) : -ESRCH;
}

long sys_sched_getparam(uint32_t tid, int *priority)
{
	const struct thread *thread = thread_of(tid);

	if (!thread)
		return -ESRCH;
	*priority = is_real_time(thread->policy) ? thread->level : 0;
	return 0;
}

long sys_sched_get_priority_max(int policy)
{
	if (is_real_time((uint32_t)policy))
		return PRIORITY_MAX;
	return policy == SCHED_OTHER || policy == SCHED_BATCH || policy == SCHED_IDLE ? 0 : -EINVAL;
}

long sys_sched_get_priority_min(int policy)
{
	return is_real_time((uint32_t)policy) ? 1 : sys_sched_get_priority_max(policy);
}

long sys_sched_rr_get_interval(uint32_t tid, struct timespec *interval)
{
	const struct thread *thread = thread_of(tid);

	if (!thread)
		return -ESRCH;
	*interval = (struct timespec){
		.tv_nsec = thread->policy == SCHED_FIFO ? 0 : (long)thread->slice_ns};
	return 0;
}

/* Of the three kinds of `which` only the thread's makes a difference: there is one process. */
static struct thread *whose_nice(int which, uint32_t who)
{
	return which == PRIO_PROCESS ? thread_of(who) : who <= 1 ? this_thread() : NULL;
}

long sys_setpriority(int which, uint32_t who, int nice)
{
	struct thread *thread = whose_nice(which, who);
	int priority;

	if (which < PRIO_PROCESS || which > PRIO_USER)
		return -EINVAL;
	if (!thread)
		return -ESRCH;
	nice = nice < NICE_MIN ? NICE_MIN : nice > NICE_MAX ? NICE_MAX : nice;
	priority = is_real_time(thread->policy) ? thread->level : 0;
	sched_set_policy(thread, thread->policy, priority, nice);
	return 0;
}

long sys_getpriority(int which, uint32_t who)
{
	const struct thread *thread = whose_nice(which, who);

	if (which < PRIO_PROCESS || which > PRIO_USER)
		return -EINVAL;
	return thread ? 20 - thread->nice : -ESRCH;
}
