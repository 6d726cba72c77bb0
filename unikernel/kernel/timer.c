/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Timers: a sorted list on the CPU that started them; its hardware timer is set to the first. When
 * its time has come a timer calls its function, or wakes its thread.
 */
#include "kernel.h"
#include "thread.h"

static void remove(struct timer *timer)
{
	*timer->prev_next = timer->next;
	if (timer->next)
		timer->next->prev_next = timer->prev_next;
	timer->prev_next = NULL;
}

void timer_cancel(struct timer *timer)
{
	struct cpu *cpu = timer->cpu;
	uint32_t before;

	if (!cpu)
		return;
	before = spin_lock(&cpu->timer_lock);
	if (timer->prev_next)
		remove(timer);
	while (cpu->timer_running == timer && cpu != this_cpu()) {
		spin_unlock(&cpu->timer_lock, before);
		cpu_relax();
		before = spin_lock(&cpu->timer_lock);
	}
	spin_unlock(&cpu->timer_lock, before);
	timer->cpu = NULL;
}

void timer_add(struct timer *timer, uint64_t deadline_ns)
{
	struct cpu *cpu = this_cpu();
	struct timer **at;
	uint32_t before;

	timer_cancel(timer); /* a thread that woke up for another reason may have left it set */
	before = spin_lock(&cpu->timer_lock);
	timer->deadline_ns = deadline_ns;
	timer->cpu = cpu;
	for (at = &cpu->timers; *at && (*at)->deadline_ns <= deadline_ns; at = &(*at)->next)
		;
	timer->next = *at;
	timer->prev_next = at;
	if (timer->next)
		timer->next->prev_next = &timer->next;
	*at = timer;
	spin_unlock(&cpu->timer_lock, before);
}

void timer_expired(void)
{
	struct cpu *cpu = this_cpu();
	struct timer *timer;

	for (;;) {
		uint32_t before = spin_lock(&cpu->timer_lock);

		cpu->timer_running = NULL;
		timer = cpu->timers;
		if (!timer || timer->deadline_ns > clock_ns())
			timer = NULL;
		if (timer) {
			remove(timer);
			cpu->timer_running = timer->expire ? timer : NULL;
			if (!timer->expire)
				sched_wake(timer->thread); /* locked: it cannot go away */
		}
		spin_unlock(&cpu->timer_lock, before);
		if (!timer)
			return;
		if (cpu->timer_running)
			timer->expire(timer);
	}
}
