/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Alarms: see alarm.h. */
#include "alarm.h"

#include <errno.h>
#include <stddef.h>

#include "kernel.h"

#define PERIOD_MIN 20000ull /* so that a tiny interval leaves time for the program */
#define FOREVER	   (UINT64_MAX / 4)

static void expire(struct timer *timer)
{
	struct alarm *alarm = (struct alarm *)((char *)timer - offsetof(struct alarm, timer));
	uint32_t before = spin_lock(&alarm->lock);
	uint64_t now = clock_ns(), times = 0;

	if (alarm->next_ns && now >= alarm->next_ns) {
		times = 1;
		if (alarm->interval_ns) {
			times += (now - alarm->next_ns) / alarm->interval_ns;
			alarm->next_ns += times * alarm->interval_ns;
		} else {
			alarm->next_ns = 0;
		}
	}
	if (alarm->next_ns)
		timer_start(timer,
			    alarm->next_ns > now + PERIOD_MIN ? alarm->next_ns : now + PERIOD_MIN);
	spin_unlock(&alarm->lock, before);
	if (times)
		alarm->rings(alarm, times);
}

void alarm_set(struct alarm *alarm, uint64_t first_ns, uint64_t interval_ns)
{
	uint32_t before = spin_lock(&alarm->lock);

	alarm->next_ns = 0;
	spin_unlock(&alarm->lock, before);
	timer_cancel(&alarm->timer);
	if (!first_ns)
		return;
	before = spin_lock(&alarm->lock);
	alarm->timer.expire = expire;
	alarm->next_ns = first_ns;
	alarm->interval_ns = interval_ns;
	timer_start(&alarm->timer, first_ns);
	spin_unlock(&alarm->lock, before);
}

static struct timespec time_of(uint64_t ns)
{
	return (struct timespec){(time_t)(ns / NS_PER_SEC), (long)(ns % NS_PER_SEC)};
}

void alarm_get(struct alarm *alarm, struct itimerspec *out)
{
	uint32_t before = spin_lock(&alarm->lock);
	uint64_t now = clock_ns(), next = alarm->next_ns, interval = next ? alarm->interval_ns : 0;

	spin_unlock(&alarm->lock, before);
	out->it_value = time_of(!next ? 0 : next > now ? next - now : 1);
	out->it_interval = time_of(interval);
}

static long ns_of(const struct timespec *time, uint64_t *ns)
{
	if (time->tv_sec < 0 || (unsigned long)time->tv_nsec >= NS_PER_SEC)
		return -EINVAL;
	*ns = (unsigned long)time->tv_sec > FOREVER / NS_PER_SEC
		      ? FOREVER
		      : (uint64_t)time->tv_sec * NS_PER_SEC + (uint64_t)time->tv_nsec;
	return 0;
}

long alarm_time(int clock, int is_absolute, const struct itimerspec *request, uint64_t *first_ns,
		uint64_t *interval_ns)
{
	uint64_t now = clock_ns(), base = 0;

	if (ns_of(&request->it_value, first_ns) || ns_of(&request->it_interval, interval_ns))
		return -EINVAL;
	if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_ALARM)
		base = clock_wall_ns() - now;
	else if (clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME &&
		 clock != CLOCK_BOOTTIME_ALARM)
		return -EINVAL;
	if (!*first_ns)
		return 0;
	if (!is_absolute)
		*first_ns += now;
	else
		*first_ns = *first_ns > base ? *first_ns - base : 1;
	return 0;
}
