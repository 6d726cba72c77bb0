/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * How a thread is scheduled, where it may run, and the time that it had.
 */
#include <sched.h>

#include "boot.h"
#include "runqueue.h"
#include "sched_internal.h"

/* Take a thread out of the queue that it waits in, if it does and nobody uses its stack. Masked. */
static int withdraw(struct thread *thread)
{
	struct cpu *cpu = thread->cpu;
	struct thread *before = NULL, *t;
	int found = 0;

	spin_lock(&cpu->rq_lock);
	if (thread->cpu == cpu && thread->queued && !thread->on_cpu) {
		for (t = cpu->rq_head; t && t != thread; t = t->next)
			before = t;
		found = t == thread;
		if (found)
			rq_unlink(cpu, before, thread);
	}
	spin_unlock(&cpu->rq_lock, 1);
	return found;
}

/* The running thread goes below those that wait: let them run. Masked. */
static void reconsider(struct thread *thread)
{
	struct cpu *cpu = thread->cpu;

	if (!thread->on_cpu)
		return;
	cpu->preempt = 1;
	place_look_at(cpu);
}

static uint64_t slice_of(int32_t nice)
{
	uint64_t slice = SLICE_NS; /* a fifth shorter or a quarter longer for each step, as Linux */

	for (int32_t i = 0; i < nice && slice > SLICE_MIN_NS; i++)
		slice = slice * 4 / 5;
	for (int32_t i = 0; i > nice && slice < SLICE_MAX_NS; i--)
		slice = slice * 5 / 4;
	return slice < SLICE_MIN_NS ? SLICE_MIN_NS : slice > SLICE_MAX_NS ? SLICE_MAX_NS : slice;
}

void sched_set_policy(struct thread *thread, uint32_t policy, int32_t priority, int32_t nice)
{
	uint32_t before = mask();
	int waits = withdraw(thread);

	thread->policy = policy;
	thread->nice = nice;
	thread->slice_ns = policy == SCHED_RR ? SLICE_NS : slice_of(nice);
	thread->level = policy == SCHED_FIFO || policy == SCHED_RR ? priority
			: policy == SCHED_IDLE			   ? LEVEL_IDLE
								   : LEVEL_NORMAL;
	if (waits)
		sched_start(thread);
	else
		reconsider(thread);
	unmask(before);
}

void sched_set_affinity(struct thread *thread, uint64_t affinity)
{
	uint32_t before = mask();
	uint64_t since = 0;
	int waits;

	while (thread->queued && thread->on_cpu)
		spin_turn(&since); /* another CPU is just leaving its stack */
	/*
	 * Who queues the thread or begins to run it looks at this afterwards; the partners are
	 * place_enqueue(), by the lock, and make_current().
	 */
	__atomic_store_n(&thread->affinity, affinity, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	/* Woken meanwhile, while a CPU is leaving its stack: wait until that has happened. */
	while (!(waits = withdraw(thread)) && thread->queued && !rq_may_run(thread, thread->cpu))
		spin_turn(&since);
	if (waits)
		sched_start(thread);
	else
		reconsider(thread);
	unmask(before);
}

/* What the thread that runs on a CPU used since it got it; consistent with *counted. */
static uint64_t running_ns(const struct cpu *cpu, const volatile uint64_t *counted)
{
	uint64_t since, done;

	do {
		since = __atomic_load_n(&cpu->since_ns, __ATOMIC_ACQUIRE);
		done = __atomic_load_n(counted, __ATOMIC_ACQUIRE);
	} while (since != __atomic_load_n(&cpu->since_ns, __ATOMIC_ACQUIRE));
	return done + (clock_ns() - since);
}

uint64_t sched_thread_ns(const struct thread *thread)
{
	const struct cpu *cpu = thread->cpu;

	return cpu->current == thread ? running_ns(cpu, &thread->cpu_ns) : thread->cpu_ns;
}

uint64_t sched_process_ns(void)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < cpu_count; i++) {
		const struct cpu *cpu = &cpus[i];

		if (!cpu->online)
			continue;
		sum += cpu->current == cpu->idle_thread ? cpu->busy_ns
							: running_ns(cpu, &cpu->busy_ns);
	}
	return sum;
}
