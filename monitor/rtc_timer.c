/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The interrupts of the real-time clock need somebody who wakes when one is due. Most guests never
 * enable any, so this thread starts when the first one does. It sleeps on CLOCK_REALTIME, which is
 * the clock of the device: an alarm that the host's clock is set beyond is due at once.
 */
#include "vm_internal.h"

#include <time.h>

#define NS_PER_SECOND 1000000000

/* Waits for @deadline_ns or until something changes; true: it is due. The lock is held. */
static bool wait_locked(struct rtc_timer *t, int64_t deadline_ns)
{
	int ret = 0;

	while (!t->is_changed && !t->is_stopping && !ret) {
		const struct timespec deadline = {
			.tv_sec = deadline_ns / NS_PER_SECOND,
			.tv_nsec = deadline_ns % NS_PER_SECOND,
		};

		if (deadline_ns == SK_RTC_NO_DEADLINE)
			pthread_cond_wait(&t->changed, &t->lock);
		else
			ret = pthread_cond_timedwait(&t->changed, &t->lock, &deadline);
	}
	return ret != 0;
}

static void *timer_main(void *arg)
{
	struct rtc_timer *t = arg;

	pthread_setname_np(pthread_self(), "rtc");
	pthread_mutex_lock(&t->lock);
	while (!t->is_stopping) {
		/* Whoever changes it after this look says so again. */
		t->is_changed = false;
		if (!wait_locked(t, sk_rtc_deadline_ns(t->rtc)))
			continue;
		pthread_mutex_unlock(&t->lock);
		sk_rtc_run(t->rtc);
		pthread_mutex_lock(&t->lock);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

static int start_locked(struct rtc_timer *t)
{
	sigset_t all, old;
	pthread_attr_t attr;
	int ret = -pthread_attr_init(&attr);

	if (ret)
		return ret;
	ret = -pthread_attr_setstacksize(&attr, RTC_TIMER_STACK_BYTES);
	/* As vCPUs: signals belong to the embedder's threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (!ret)
		ret = -pthread_create(&t->thread, &attr, timer_main, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return ret;
}

void rtc_timer_changed(void *timer)
{
	struct rtc_timer *t = timer;
	int ret = 0;

	pthread_mutex_lock(&t->lock);
	t->is_changed = true;
	if (t->has_thread) {
		pthread_cond_signal(&t->changed);
	} else if (!t->has_failed && sk_rtc_deadline_ns(t->rtc) != SK_RTC_NO_DEADLINE) {
		ret = start_locked(t);
		t->has_thread = !ret;
		t->has_failed = ret;
	}
	pthread_mutex_unlock(&t->lock);
	if (ret)
		sk_logf(t->log, SK_LOG_ERROR,
			"cannot start the thread of the real-time clock: %s (its interrupts stay out)",
			strerror(-ret));
}

void rtc_timer_init(struct rtc_timer *t, const struct sk_log *log)
{
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->changed, NULL);
	t->log = log;
}

void rtc_timer_fini(struct rtc_timer *t)
{
	pthread_mutex_lock(&t->lock);
	t->is_stopping = true;
	pthread_cond_signal(&t->changed);
	pthread_mutex_unlock(&t->lock);
	if (t->has_thread)
		pthread_join(t->thread, NULL);
	pthread_cond_destroy(&t->changed);
	pthread_mutex_destroy(&t->lock);
}
