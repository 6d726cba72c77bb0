/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* System calls about timers that send signals: timer_create(2), setitimer(2), alarm(2). */
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <sys/time.h>

#include "../kernel/alarm.h"
#include "../kernel/kernel.h"
#include "../kernel/signals.h"
#include "../kernel/wait.h"
#include "../mm/heap.h"
#include "sys.h"

#define TIMERS_MAX 256

struct sig_timer {
	struct alarm alarm;
	struct queued_signal signal;
	struct thread *to; /* NULL: the program */
	int clock;
	int notify;
	uint32_t missed;  /* rings while the signal waits: atomic */
	uint32_t overrun; /* of the signal that came last */
};

static struct mutex mutex;
static struct sig_timer *timers[TIMERS_MAX];

static void rings(struct alarm *alarm, uint64_t times)
{
	struct sig_timer *t = (struct sig_timer *)alarm;

	if (t->notify == SIGEV_NONE)
		return;
	if (t->signal.is_queued) {
		__atomic_fetch_add(&t->missed, (uint32_t)times, __ATOMIC_RELAXED);
		return;
	}
	__atomic_fetch_add(&t->missed, (uint32_t)times - 1, __ATOMIC_RELAXED);
	(void)signal_send_owned(t->to, &t->signal);
}

/* The signal is delivered: now its overruns are known. */
static void taken(struct queued_signal *signal)
{
	struct sig_timer *t =
		(struct sig_timer *)((char *)signal - offsetof(struct sig_timer, signal));

	t->overrun = __atomic_exchange_n(&t->missed, 0, __ATOMIC_RELAXED);
	signal->info.si_overrun = (int)t->overrun;
}

static long choose(struct sig_timer *t, const struct sigevent *event)
{
	siginfo_t *info = &t->signal.info;

	t->notify = event ? event->sigev_notify : SIGEV_SIGNAL;
	info->si_signo = event ? event->sigev_signo : SIGALRM;
	info->si_code = SI_TIMER;
	if (event)
		info->si_value = event->sigev_value;
	if (t->notify == SIGEV_NONE)
		return 0;
	if (info->si_signo < 1 || info->si_signo > SIGNAL_COUNT)
		return -EINVAL;
	if (t->notify == SIGEV_THREAD_ID) {
		t->to = thread_by_tid((uint32_t)event->sigev_notify_thread_id);
		return t->to ? 0 : -EINVAL;
	}
	return t->notify == SIGEV_SIGNAL || t->notify == SIGEV_THREAD ? 0 : -EINVAL;
}

long sys_timer_create(int clock, const struct sigevent *event, int *id)
{
	struct sig_timer *t;
	struct timespec unused;
	long result = sys_clock_getres(clock, &unused);
	int slot = 0;

	if (result || clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID)
		return -EINVAL;
	t = kheap_alloc(sizeof(*t));
	if (!t)
		return -EAGAIN;
	t->alarm.rings = rings;
	t->signal.taken = taken;
	t->clock = clock;
	result = choose(t, event);
	mutex_lock(&mutex);
	while (slot < TIMERS_MAX && timers[slot])
		slot++;
	if (!result && slot == TIMERS_MAX)
		result = -EAGAIN;
	if (!result) {
		t->signal.info.si_timerid = slot;
		if (!event)
			t->signal.info.si_value.sival_int = slot;
		timers[slot] = t;
		*id = slot;
	}
	mutex_unlock(&mutex);
	if (result)
		kheap_free(t, sizeof(*t));
	return result;
}

/* With the mutex held. */
static struct sig_timer *timer_of(int id)
{
	return id >= 0 && id < TIMERS_MAX ? timers[id] : NULL;
}

long sys_timer_settime(int id, int flags, const struct itimerspec *new, struct itimerspec *old)
{
	struct itimerspec before;
	uint64_t first, interval;
	struct sig_timer *t;
	long result = -EINVAL;

	mutex_lock(&mutex);
	t = timer_of(id);
	if (t)
		result = alarm_time(t->clock, flags & TIMER_ABSTIME, new, &first, &interval);
	if (!result) {
		alarm_get(&t->alarm, &before);
		alarm_set(&t->alarm, 0, 0);
		signal_forget(&t->signal);
		t->missed = 0;
		alarm_set(&t->alarm, first, interval);
	}
	mutex_unlock(&mutex);
	if (!result && old)
		*old = before;
	return result;
}

long sys_timer_gettime(int id, struct itimerspec *now)
{
	struct sig_timer *t;

	mutex_lock(&mutex);
	t = timer_of(id);
	if (t)
		alarm_get(&t->alarm, now);
	mutex_unlock(&mutex);
	return t ? 0 : -EINVAL;
}

long sys_timer_getoverrun(int id)
{
	const struct sig_timer *t;
	long result = -EINVAL;

	mutex_lock(&mutex);
	t = timer_of(id);
	if (t)
		result = t->overrun < INT_MAX ? (long)t->overrun : INT_MAX;
	mutex_unlock(&mutex);
	return result;
}

long sys_timer_delete(int id)
{
	struct sig_timer *t;

	mutex_lock(&mutex);
	t = timer_of(id);
	if (t)
		timers[id] = NULL;
	mutex_unlock(&mutex);
	if (!t)
		return -EINVAL;
	alarm_set(&t->alarm, 0, 0);
	signal_forget(&t->signal);
	kheap_free(t, sizeof(*t));
	return 0;
}

/* setitimer(2): all three count time that passes; see docs/system-calls.md. */
static struct interval_timer {
	struct alarm alarm;
	int number;
} intervals[3];

static void interval_rings(struct alarm *alarm, uint64_t times)
{
	siginfo_t info;

	(void)times;
	memset(&info, 0, sizeof(info));
	info.si_signo = ((struct interval_timer *)alarm)->number;
	info.si_code = SI_KERNEL;
	signal_send_info(NULL, &info);
}

static struct itimerspec fine(const struct itimerval *value)
{
	return (struct itimerspec){
		.it_value = {value->it_value.tv_sec, value->it_value.tv_usec * 1000},
		.it_interval = {value->it_interval.tv_sec, value->it_interval.tv_usec * 1000},
	};
}

static struct itimerval coarse(const struct itimerspec *value)
{
	return (struct itimerval){
		.it_value = {value->it_value.tv_sec, (value->it_value.tv_nsec + 999) / 1000},
		.it_interval = {value->it_interval.tv_sec, value->it_interval.tv_nsec / 1000},
	};
}

long sys_getitimer(int which, struct itimerval *now)
{
	struct itimerspec value;

	if (which < ITIMER_REAL || which > ITIMER_PROF)
		return -EINVAL;
	alarm_get(&intervals[which].alarm, &value);
	*now = coarse(&value);
	return 0;
}

long sys_setitimer(int which, const struct itimerval *new, struct itimerval *old)
{
	static const int numbers[] = {SIGALRM, SIGVTALRM, SIGPROF};
	struct itimerspec value = {0}, before;
	uint64_t first, interval;
	long result;

	if (which < ITIMER_REAL || which > ITIMER_PROF)
		return -EINVAL;
	if (new)
		value = fine(new);
	result = alarm_time(CLOCK_MONOTONIC, 0, &value, &first, &interval);
	if (result)
		return result;
	mutex_lock(&mutex);
	alarm_get(&intervals[which].alarm, &before);
	intervals[which].number = numbers[which];
	intervals[which].alarm.rings = interval_rings;
	alarm_set(&intervals[which].alarm, first, interval);
	mutex_unlock(&mutex);
	if (old)
		*old = coarse(&before);
	return 0;
}

long sys_alarm(unsigned int seconds)
{
	struct itimerval new = {.it_value.tv_sec = seconds}, old;

	(void)sys_setitimer(ITIMER_REAL, &new, &old);
	return old.it_value.tv_sec + (old.it_value.tv_usec > 0);
}
