/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* An idle CPU: it looks for work for a while, then it halts. Masked, on the idle thread. */
#include "../arch/x86_64/platform.h"
#include "kernel.h"
#include "thread.h"

#define POLL_MAX_NS   200000
#define POLL_START_NS 50000
#define POLL_TRIES    3
#define POLL_FORGET   1024

/*
 * From now on this CPU runs threads. While it was idle nobody interrupted it to flush its TLB (see
 * mm/tlb.c): it does so now, before it touches anything that could have been unmapped.
 */
static void leave_idle(struct cpu *cpu)
{
	__atomic_store_n(&cpu->idle, CPU_BUSY, __ATOMIC_SEQ_CST);
	if (__atomic_exchange_n(&cpu->must_flush, 0, __ATOMIC_SEQ_CST))
		platform->flush();
}

static int has_work(const struct cpu *cpu)
{
	return cpu->rq_len || cpu->pending || cpu->kicked;
}

/*
 * To halt and to be woken costs tens of microseconds, most of which the waker pays: so a CPU looks
 * for work for a while before. For how long follows what happened last, as in Linux's governor
 * "haltpoll": longer, if work came soon after it had halted; ever shorter, down to not at all,
 * while work comes late. Where the host lacks CPUs, whoever would bring the work waits for this CPU
 * to let go of the host's: the longer it looks, the later work comes, and never while it looks. So
 * the more often it has looked in vain, the rarer it tries a longer time.
 */
static void adapt(struct cpu *cpu, uint64_t idle_ns, int was_in_vain)
{
	uint32_t vain = cpu->polled_in_vain;

	if (!was_in_vain)
		cpu->polled_in_vain = 0;
	else if (cpu->poll_ns || idle_ns <= POLL_MAX_NS)
		cpu->polled_in_vain = vain % POLL_FORGET + 1;
	if (!was_in_vain)
		return;
	if (idle_ns > POLL_MAX_NS || (vain > POLL_TRIES && vain & (vain - 1)))
		cpu->poll_ns /= 2;
	else
		cpu->poll_ns = cpu->poll_ns < POLL_START_NS ? POLL_START_NS : POLL_MAX_NS;
}

/* Nobody is there to run: wait until somebody is, or an interrupt has come. */
static void wait_for_work(struct cpu *cpu)
{
	uint64_t start = clock_ns();
	int in_vain;

	cpu->idle = CPU_POLLING;
	while (!has_work(cpu) && clock_ns() - start < cpu->poll_ns)
		cpu_relax();
	in_vain = !has_work(cpu);
	while (!has_work(cpu)) {
		__atomic_store_n(&cpu->idle, CPU_HALTED, __ATOMIC_SEQ_CST); /* see notify() */
		if (!has_work(cpu))
			platform->halt();
		__atomic_store_n(&cpu->idle, CPU_POLLING, __ATOMIC_SEQ_CST);
	}
	adapt(cpu, clock_ns() - start, in_vain);
}

void sched_idle(void)
{
	struct cpu *cpu = this_cpu();

	for (;;) {
		leave_idle(cpu);
		if (cpu->pending)
			(void)sched_interrupts(cpu);
		cpu->kicked = 0;
		sched_switch();
		wait_for_work(cpu);
	}
}
