/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* System calls about time, randomness and the machine. */
#include <errno.h>
#include <sys/resource.h>

#include "../kernel/kernel.h"
#include "../kernel/thread.h"
#include "../mm/mm.h"
#include "sys.h"

int sys_debug;

long sys_unknown(long number)
{
	if (sys_debug)
		kprintf("skete: system call %d is not implemented\n", (int)number);
	return -ENOSYS;
}

long sys_uname(struct utsname *name)
{
	memset(name, 0, sizeof(*name));
	memcpy(name->sysname, "Skete", 6);
	memcpy(name->nodename, "skete", 6);
	memcpy(name->release, "6.1.0-skete", 12); /* programs compare it with Linux's versions */
	memcpy(name->version, "unikernel", 10);
	memcpy(name->machine, "x86_64", 7);
	return 0;
}

long sys_sysinfo(struct sysinfo *info)
{
	memset(info, 0, sizeof(*info));
	info->uptime = (long)(clock_ns() / NS_PER_SEC);
	info->totalram = frames_total * PAGE_SIZE;
	info->freeram = frames_free_count * PAGE_SIZE;
	info->mem_unit = 1;
	return 0;
}

long sys_getrandom(void *out, size_t bytes, unsigned int flags)
{
	int error;

	if (flags & ~7u)
		return -EINVAL;
	error = random_bytes(out, bytes);
	return error ? error : (long)bytes;
}

long sys_prlimit64(int pid, int what, const struct rlimit *set, struct rlimit *old)
{
	if ((pid != 0 && pid != 1) || what < 0 || what > 15)
		return -EINVAL;
	if (set)
		return -EPERM;
	if (old) {
		old->rlim_cur = what == RLIMIT_STACK  ? 8 << 20
				: what == RLIMIT_CORE ? 0
						      : RLIM_INFINITY;
		old->rlim_max = what == RLIMIT_CORE ? 0 : RLIM_INFINITY;
	}
	return 0;
}

static int clock_value(int clock, uint64_t *ns)
{
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
		*ns = clock_wall_ns();
		return 0;
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_BOOTTIME:
	case CLOCK_PROCESS_CPUTIME_ID: /* one program, one machine: counts idle time too */
	case CLOCK_THREAD_CPUTIME_ID:
		*ns = clock_ns();
		return 0;
	default:
		return -EINVAL;
	}
}

long sys_clock_gettime(int clock, struct timespec *now)
{
	uint64_t ns;
	int error = clock_value(clock, &ns);

	if (error)
		return error;
	now->tv_sec = (time_t)(ns / NS_PER_SEC);
	now->tv_nsec = (long)(ns % NS_PER_SEC);
	return 0;
}

long sys_clock_getres(int clock, struct timespec *resolution)
{
	uint64_t ns;
	int error = clock_value(clock, &ns);

	if (!error && resolution)
		*resolution = (struct timespec){.tv_nsec = 1};
	return error;
}

static long sleep_until(uint64_t deadline, struct timespec *left)
{
	for (;;) {
		uint64_t now = clock_ns();

		if (now >= deadline)
			return 0;
		if (signal_waiting(this_thread())) {
			if (left) {
				left->tv_sec = (time_t)((deadline - now) / NS_PER_SEC);
				left->tv_nsec = (long)((deadline - now) % NS_PER_SEC);
			}
			return -EINTR;
		}
		sched_sleep(deadline);
	}
}

long sys_clock_nanosleep(int clock, int flags, const struct timespec *time, struct timespec *left)
{
	uint64_t now, ns, mono = clock_ns();

	if (clock_value(clock, &now) || time->tv_sec < 0 ||
	    (unsigned long)time->tv_nsec >= NS_PER_SEC)
		return -EINVAL;
	if ((unsigned long)time->tv_sec > UINT64_MAX / NS_PER_SEC / 4)
		return sleep_until(UINT64_MAX / 4, left);
	ns = (uint64_t)time->tv_sec * NS_PER_SEC + (uint64_t)time->tv_nsec;
	if (!(flags & TIMER_ABSTIME))
		return sleep_until(mono + ns, left);
	return sleep_until(ns > now ? mono + (ns - now) : 0, NULL);
}

long sys_nanosleep(const struct timespec *time, struct timespec *left)
{
	return sys_clock_nanosleep(CLOCK_MONOTONIC, 0, time, left);
}

long sys_gettimeofday(long now[2], void *zone)
{
	uint64_t ns = clock_wall_ns();

	(void)zone;
	now[0] = (long)(ns / NS_PER_SEC);
	now[1] = (long)(ns % NS_PER_SEC / 1000);
	return 0;
}

long sys_time(long *now)
{
	long seconds = (long)(clock_wall_ns() / NS_PER_SEC);

	if (now)
		*now = seconds;
	return seconds;
}
