/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * A clock that rings once or again and again: what timerfd, timer_create and setitimer share.
 * Setting is the owner's to serialize; ringing comes from an interrupt at any time.
 */
#ifndef SKETE_UK_ALARM_H
#define SKETE_UK_ALARM_H

#include <time.h>

#include "../arch/x86_64/cpu.h"

struct alarm {
	/* Masked, in an interrupt: `times` periods have passed since it rang last. */
	void (*rings)(struct alarm *alarm, uint64_t times);
	/* private to alarm.c */
	struct timer timer;
	uint32_t lock;
	volatile uint64_t next_ns; /* of clock_ns(); 0: not set */
	uint64_t interval_ns;	   /* 0: once */
};

/* Ring at this time of clock_ns(); 0: not at all. */
void alarm_set(struct alarm *alarm, uint64_t first_ns, uint64_t interval_ns);
/* What is left until it rings (0: not set), and its interval. */
void alarm_get(struct alarm *alarm, struct itimerspec *out);
/* The time of clock_ns() that a request means; -EINVAL for a bad one or a bad clock. */
long alarm_time(int clock, int is_absolute, const struct itimerspec *request, uint64_t *first_ns,
		uint64_t *interval_ns);

#endif
