/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Between the parts of the scheduler; all are called masked. */
#ifndef SKETE_UNIKERNEL_SCHED_INTERNAL_H
#define SKETE_UNIKERNEL_SCHED_INTERNAL_H

#include "kernel.h"
#include "thread.h"

/* ---- sched.c ---- */

/* Somebody waits: look at the end of the running thread's slice, or earlier. */
void sched_want_tick(struct cpu *cpu, uint64_t within_ns);

/* ---- place.c ---- */

/*
 * Where a woken thread should run: where it ran, if that CPU looks for work; another one that does;
 * here, if this CPU will soon; one that has halted, the last before others; one whose thread is
 * below it.
 */
struct cpu *place_choose(const struct thread *thread);

/*
 * Puts it in the queue of this CPU, or of another if it may no longer run there: what
 * sched_set_affinity() does not find in a queue is looked at here. Returns which.
 */
struct cpu *place_enqueue(struct cpu *cpu, struct thread *thread);

/* A thread like this has joined this CPU's queue: sees to it that the CPU notices. */
void place_notify(struct cpu *cpu, int32_t level, uint64_t affinity);

/* Sees to it that this CPU looks at what it runs, and at its queue. */
void place_look_at(struct cpu *cpu);

/* An idle CPU looks at its own queue alone: tells one that this CPU has more than it can run. */
void place_kick_idle(void);

#endif
