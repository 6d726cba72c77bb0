/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* System calls about time. Nobody sets the clocks, so the distance between them is constant. */
#include <errno.h>

#include "../arch/x86_64/platform.h"
#include "../kernel/kernel.h"
#include "../kernel/signals.h"
#include "sys.h"

/*
 * The clocks of pthread_getcpuclockid(3) and clock_getcpuclockid(3): the number of a thread or
 * process, inverted, above three bits that say what is measured, 4 for a thread.
 */
static int cpu_clock(int clock, uint64_t *ns)
{
	uint32_t id = ~((uint32_t)clock >> 3 | 7u << 29);
	const struct thread *thread = clock & 4 ? thread_by_tid(id) : NULL;

	if ((clock & 3) != 2 || (clock & 4 ? !thread : id > 1))
		return -EINVAL;
	*ns = thread ? sched_thread_ns(thread) : sched_process_ns();
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
		*ns = clock_ns();
		return 0;
	case CLOCK_PROCESS_CPUTIME_ID:
		*ns = sched_process_ns();
		return 0;
	case CLOCK_THREAD_CPUTIME_ID:
		*ns = sched_thread_ns(this_thread());
		return 0;
	default:
		return clock < 0 ? cpu_clock(clock, ns) : -EINVAL;
	}
}

long deadline_after(const struct timespec *time, uint64_t *deadline_ns)
{
	if (time->tv_sec < 0 || (unsigned long)time->tv_nsec >= NS_PER_SEC)
		return -EINVAL;
	if ((unsigned long)time->tv_sec > UINT64_MAX / NS_PER_SEC / 4)
		*deadline_ns = UINT64_MAX;
	else
		*deadline_ns =
			clock_ns() + (uint64_t)time->tv_sec * NS_PER_SEC + (uint64_t)time->tv_nsec;
	return 0;
}

long sys_clock_gettime(int clock, struct timespec *now)
{
	uint64_t ns;
	int error;

	if (clock == CLOCK_MONOTONIC || clock == CLOCK_REALTIME) {
		platform->clock_read(clock == CLOCK_REALTIME, now);
		return 0;
	}
	error = clock_value(clock, &ns);
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
