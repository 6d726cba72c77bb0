/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Where a thread goes that was woken or is new, and who must be told of it.
 */
#include "../arch/x86_64/platform.h"
#include "boot.h"
#include "runqueue.h"
#include "sched_internal.h"

#define SOON_NS	    50000  /* who runs no longer than this at a time will not run for long now */
#define MISTAKEN_NS 500000 /* if one does: when another CPU takes over who waits for it */

/* Has this CPU nothing to do, now and next? Racy, as is all that place_choose() looks at. */
static int is_free(const struct cpu *cpu)
{
	return cpu->current == cpu->idle_thread && !cpu->rq_len;
}

/*
 * Will this CPU be free sooner than another one could be woken? Whoever wakes somebody often waits
 * for that one next.
 */
static int is_free_soon(const struct cpu *cpu)
{
	return !cpu->rq_len && cpu->current->burst_ns < SOON_NS &&
	       clock_ns() - cpu->since_ns < SOON_NS;
}

static int has_free_cpu(uint64_t affinity)
{
	for (uint32_t i = 0; i < cpu_count; i++)
		if (affinity >> i & 1 && cpus[i].online && is_free(&cpus[i]))
			return 1;
	return 0;
}

struct cpu *place_choose(const struct thread *thread)
{
	struct cpu *self = this_cpu(), *last = thread->cpu, *halted = NULL, *best = NULL;

	if (thread->on_cpu ||
	    (is_free(last) && last->idle != CPU_HALTED && rq_may_run(thread, last)))
		return last;
	for (uint32_t i = 0; i < cpu_count; i++) {
		struct cpu *cpu = &cpus[i];

		if (!cpu->online || !rq_may_run(thread, cpu))
			continue;
		if (is_free(cpu) && cpu->idle != CPU_HALTED)
			return cpu;
		if (is_free(cpu) && (!halted || cpu == last))
			halted = cpu;
		if (!best || cpu->current->level < best->current->level)
			best = cpu;
	}
	if (halted && thread->level == self->current->level && rq_may_run(thread, self) &&
	    is_free_soon(self))
		return self;
	if (halted)
		return halted;
	if (!best || (rq_may_run(thread, last) && last->current->level <= best->current->level))
		return last;
	return best;
}

void place_look_at(struct cpu *cpu)
{
	if (cpu == this_cpu())
		set_pending(cpu, 1u << IRQ_RESCHEDULE);
	else
		platform->interrupt(cpu, IRQ_RESCHEDULE);
}

/* Interrupt a CPU that has halted, once for each time. Returns whether it had. */
static int rouse(struct cpu *cpu)
{
	uint32_t halted = CPU_HALTED;

	if (!__atomic_compare_exchange_n(&cpu->idle, &halted, CPU_POLLING, 0, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST))
		return 0;
	platform->interrupt(cpu, IRQ_RESCHEDULE);
	return 1;
}

/*
 * To interrupt another CPU is dear, and mostly not needed. Whether it may be left out is settled by
 *two pairs of a store and a load on either side, each with a full barrier in between:
 *
 *	here				there
 *	the queue's length, current	current, the queue's length (make_current(), look_behind())
 *	the queue's length, idle	idle, the queue's length (sched_idle(), before it halts)
 *
 * So either this CPU sees that the other one runs a thread or halts, and interrupts it, or the
 * other one sees that somebody waits. A CPU whose current thread is the idle one, cannot go on, or
 * is in a queue, is about to look: in pick(), under the lock, or in sched_idle(). If the
 * thread has ended meanwhile, what is read of it may be anything; but then the other CPU's look
 * comes after this one's store to the queue.
 */
void place_notify(struct cpu *cpu, int32_t level, uint64_t affinity)
{
	const struct thread *current;
	int is_running, goes_first;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	current = __atomic_load_n(&cpu->current, __ATOMIC_RELAXED);
	is_running = current != cpu->idle_thread && current->state == THREAD_RUNNABLE &&
		     !current->queued;
	goes_first = is_running && level > current->level;
	if (goes_first)
		cpu->preempt = 1;
	if (cpu == this_cpu()) {
		if (current != cpu->idle_thread)
			sched_want_tick(cpu, has_free_cpu(affinity) ? MISTAKEN_NS : UINT64_MAX);
		if (goes_first)
			set_pending(cpu, 1u << IRQ_RESCHEDULE);
	} else if (goes_first || (is_running && !cpu->tick_ns)) {
		platform->interrupt(cpu, IRQ_RESCHEDULE);
	} else {
		rouse(cpu);
	}
}

struct cpu *place_enqueue(struct cpu *cpu, struct thread *thread)
{
	for (;;) {
		uint32_t before = spin_lock(&cpu->rq_lock);
		struct cpu *target = rq_may_run(thread, cpu) ? cpu : place_choose(thread);

		if (target == cpu) {
			thread->cpu = cpu;
			rq_insert(cpu, thread, 0);
		}
		spin_unlock(&cpu->rq_lock, before);
		if (target == cpu)
			return cpu;
		cpu = target;
	}
}

void place_kick_idle(void)
{
	for (uint32_t i = 0; i < cpu_count; i++) {
		if (!cpus[i].online || !is_free(&cpus[i]))
			continue;
		/* As the queue in place_notify(). */
		__atomic_store_n(&cpus[i].kicked, 1, __ATOMIC_SEQ_CST);
		rouse(&cpus[i]);
		return;
	}
}
