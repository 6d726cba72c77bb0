/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * The queue of a CPU: its threads that wait for it, highest level first, and below that in the
 * order in which they came. Inline, since every change of threads goes through here. All but
 * rq_may_run() need the queue's lock.
 */
#ifndef SKETE_UNIKERNEL_RUNQUEUE_H
#define SKETE_UNIKERNEL_RUNQUEUE_H

#include "kernel.h"
#include "thread.h"

/* Behind all of its level; before them, if it had to stop for a higher one (`first`). */
static inline void rq_insert(struct cpu *cpu, struct thread *thread, int first)
{
	struct thread **at = &cpu->rq_head, *tail = cpu->rq_tail;

	if (tail && tail->level >= thread->level && !first)
		at = &tail->next;
	else
		while (*at &&
		       (first ? (*at)->level > thread->level : (*at)->level >= thread->level))
			at = &(*at)->next;
	thread->next = *at;
	*at = thread;
	if (!thread->next)
		cpu->rq_tail = thread;
	thread->queued = 1;
	cpu->rq_level = cpu->rq_head->level;
	cpu->rq_len++;
}

static inline void rq_unlink(struct cpu *cpu, struct thread *before, struct thread *thread)
{
	if (before)
		before->next = thread->next;
	else
		cpu->rq_head = thread->next;
	if (cpu->rq_tail == thread)
		cpu->rq_tail = before;
	if (cpu->rq_head)
		cpu->rq_level = cpu->rq_head->level;
	thread->queued = 0;
	cpu->rq_len--;
}

static inline int rq_may_run(const struct thread *thread, const struct cpu *cpu)
{
	return thread->affinity >> cpu->index & 1;
}

/*
 * The first thread in a queue, of this level or above, that `by` may run: its owner any allowed,
 * others none on a CPU.
 */
static inline struct thread *rq_take(struct cpu *from, const struct cpu *by, int32_t level)
{
	struct thread *before = NULL;

	for (struct thread *t = from->rq_head; t && t->level >= level; before = t, t = t->next) {
		if (!rq_may_run(t, by) || (from != by && t->on_cpu))
			continue;
		rq_unlink(from, before, t);
		return t;
	}
	return NULL;
}

#endif
