/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * The scheduler. A thread whose stack is still in use (on_cpu) waits only in the queue of that CPU
 * and is never taken by another; so no CPU ever waits for another one to leave a stack.
 */
#include "../arch/x86_64/platform.h"
#include "boot.h"
#include "kernel.h"
#include "signals.h"

#define POLL_TSC 60000 /* about 20 us of looking for work before halting */

struct cpu cpus[MAX_CPUS] __attribute__((aligned(4096)));
uint32_t cpu_count = 1;

static void enqueue(struct cpu *cpu, struct thread *thread)
{
	thread->next = NULL;
	if (cpu->rq_tail)
		cpu->rq_tail->next = thread;
	else
		cpu->rq_head = thread;
	cpu->rq_tail = thread;
	thread->queued = 1;
	cpu->rq_len++;
}

static void unlink_after(struct cpu *cpu, struct thread *before, struct thread *thread)
{
	if (before)
		before->next = thread->next;
	else
		cpu->rq_head = thread->next;
	if (cpu->rq_tail == thread)
		cpu->rq_tail = before;
	thread->queued = 0;
	cpu->rq_len--;
}

static int may_run(const struct thread *thread, const struct cpu *cpu)
{
	return thread->affinity >> cpu->index & 1;
}

/* The first thread in a queue that `by` may run: its owner any allowed, others none on a CPU. */
static struct thread *take(struct cpu *from, const struct cpu *by)
{
	struct thread *before = NULL;

	for (struct thread *t = from->rq_head; t; before = t, t = t->next) {
		if (!may_run(t, by) || (from != by && t->on_cpu))
			continue;
		unlink_after(from, before, t);
		return t;
	}
	return NULL;
}

static struct thread *steal(struct cpu *self)
{
	for (uint32_t i = 1; i < cpu_count; i++) {
		struct cpu *victim = &cpus[(self->index + i) % cpu_count];
		struct thread *t;
		uint32_t before;

		if (!victim->rq_len)
			continue;
		before = spin_lock(&victim->rq_lock);
		t = take(victim, self);
		if (t)
			t->cpu = self;
		spin_unlock(&victim->rq_lock, before);
		if (t)
			return t;
	}
	return NULL;
}

/* The hardware timer serves both time slices and timers; an early interrupt does no harm. */
static void arm(struct cpu *cpu)
{
	uint64_t deadline = cpu->tick_ns;
	const struct timer *timer = cpu->timers;

	if (timer && (!deadline || timer->deadline_ns < deadline))
		deadline = timer->deadline_ns;
	if (deadline && (!cpu->armed_ns || deadline < cpu->armed_ns)) {
		cpu->armed_ns = deadline;
		platform->timer(deadline);
	}
}

static void want_tick(struct cpu *cpu)
{
	if (cpu->tick_ns)
		return;
	cpu->tick_ns = clock_ns() + SLICE_NS;
	cpu->tick_thread = cpu->current;
	cpu->tick_switches = cpu->switches;
	arm(cpu);
}

static void make_current(struct cpu *cpu, struct thread *next)
{
	cpu->current = next;
	cpu->regs_top = (uint64_t)(&next->regs + 1);
	cpu->switches++;
	next->cpu = cpu;
	next->on_cpu = 1;
	if (next->signaled) /* so that its way back looks at the signal */
		set_pending(cpu, 1u << IRQ_RESCHEDULE);
}

/* Take the next thread; `prev`, if it can go on, joins the queue. NULL: nobody but prev. */
static struct thread *pick(struct cpu *cpu, struct thread *prev)
{
	uint32_t before = spin_lock(&cpu->rq_lock);
	/* It may have been woken, and so queued, since it decided to sleep. */
	int goes_on = prev != cpu->idle_thread && prev->state == THREAD_RUNNABLE && !prev->queued;
	struct thread *next = take(cpu, cpu);

	if (goes_on && next)
		enqueue(cpu, prev);
	spin_unlock(&cpu->rq_lock, before);
	if (!next && !goes_on)
		next = steal(cpu);
	if (!next && !goes_on)
		next = cpu->idle_thread;
	return next;
}

void sched_switch(void)
{
	struct cpu *cpu = this_cpu();
	struct thread *prev = cpu->current, *next = pick(cpu, prev);

	if (!next || next == prev)
		return;
	make_current(cpu, next);
	if (cpu->rq_len)
		want_tick(cpu);
	sched_switch_asm(prev, next);
}

void sched_yield_cpu(void)
{
	uint32_t before = mask();

	if (this_cpu()->rq_len)
		sched_switch();
	unmask(before);
}

void sched_preempt(void)
{
	struct cpu *cpu = this_cpu();
	struct thread *prev = cpu->current, *next = pick(cpu, prev);

	if (!next || next == prev)
		return;
	make_current(cpu, next);
	asm volatile("xsave64 (%0)" : : "r"(prev->xsave), "a"(XSAVE_MASK), "d"(0) : "memory");
	if (~*(const uint16_t *)prev->xsave & 0x3f)
		asm volatile("fnclex"); /* an x87 exception that waits is prev's alone */
	prev->fs = get_fs();
	prev->full = 1;
	sched_resume(next, prev);
}

void sched_exit(void)
{
	struct cpu *cpu = this_cpu();
	struct thread *dead = cpu->current, *next;

	dead->state = THREAD_DEAD;
	next = pick(cpu, dead);
	make_current(cpu, next);
	thread_free(dead);
	sched_resume(next, NULL);
}

/* Where a woken thread should run: where it ran, unless that CPU is busy and another one idle. */
static struct cpu *choose(const struct thread *thread)
{
	struct cpu *last = thread->cpu, *any = NULL;

	if (thread->on_cpu || (last->idle && may_run(thread, last)))
		return last;
	for (uint32_t i = 0; i < cpu_count; i++) {
		if (!cpus[i].online || !may_run(thread, &cpus[i]))
			continue;
		if (cpus[i].idle)
			return &cpus[i];
		any = &cpus[i];
	}
	return may_run(thread, last) || !any ? last : any;
}

/* A thread has joined this CPU's queue: see to it that the CPU notices. */
static void notify(struct cpu *cpu)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (cpu == this_cpu()) {
		if (cpu->current != cpu->idle_thread)
			want_tick(cpu);
	} else if (cpu->idle == CPU_HALTED || (!cpu->idle && !cpu->tick_ns)) {
		platform->interrupt(cpu, IRQ_RESCHEDULE);
	}
}

static void enqueue_at(struct cpu *cpu, struct thread *thread)
{
	uint32_t before = spin_lock(&cpu->rq_lock);

	enqueue(cpu, thread);
	spin_unlock(&cpu->rq_lock, before);
}

void sched_wake(struct thread *thread)
{
	uint32_t before = mask();
	struct cpu *last, *target = NULL;

	for (;;) {
		last = thread->cpu;
		spin_lock(&last->rq_lock);
		if (thread->cpu == last)
			break;
		spin_unlock(&last->rq_lock, 1);
	}
	if (thread->state == THREAD_BLOCKED) {
		/* On a CPU still: then choose() says that CPU, whose lock covers state and queue.
		 */
		target = choose(thread);
		thread->state = THREAD_RUNNABLE;
		thread->cpu = target;
		if (target == last)
			enqueue(last, thread);
	} else {
		thread->wake_pending = 1;
	}
	spin_unlock(&last->rq_lock, 1);
	if (target && target != last)
		enqueue_at(target, thread);
	if (target)
		notify(target);
	unmask(before);
}

void sched_start(struct thread *thread)
{
	uint32_t before = mask();

	thread->cpu = this_cpu();
	thread->cpu = choose(thread);
	enqueue_at(thread->cpu, thread);
	notify(thread->cpu);
	unmask(before);
}

void sched_sleep(uint64_t deadline_ns)
{
	uint32_t before = mask();
	struct cpu *cpu = this_cpu();
	struct thread *self = cpu->current;
	int blocks;

	spin_lock(&cpu->rq_lock);
	blocks = !self->wake_pending;
	self->wake_pending = 0;
	if (blocks)
		self->state = THREAD_BLOCKED;
	spin_unlock(&cpu->rq_lock, 1);
	if (blocks) {
		if (deadline_ns != UINT64_MAX) {
			timer_add(&self->timer, deadline_ns);
			arm(cpu);
		}
		sched_switch();
		timer_cancel(&self->timer);
	}
	unmask(before);
}

void timer_start(struct timer *timer, uint64_t deadline_ns)
{
	uint32_t before = mask();

	timer_add(timer, deadline_ns);
	arm(this_cpu());
	unmask(before);
}

/* A halted CPU does not see that this one has more than it can run. */
static void kick_idle(void)
{
	for (uint32_t i = 0; i < cpu_count; i++)
		if (cpus[i].online && cpus[i].idle == CPU_HALTED) {
			platform->interrupt(&cpus[i], IRQ_RESCHEDULE);
			return;
		}
}

/* What the interrupts since the last look ask for. Returns whether the running thread's time is up.
 */
static int run_interrupts(struct cpu *cpu)
{
	uint32_t bits = __atomic_exchange_n(&cpu->pending, 0, __ATOMIC_RELAXED);
	int expired = 0;

	if (bits & 1u << IRQ_TIMER) {
		cpu->armed_ns = 0;
		timer_expired();
	}
	if (cpu->tick_ns && clock_ns() >= cpu->tick_ns) {
		cpu->tick_ns = 0;
		expired = cpu->rq_len && cpu->tick_thread == cpu->current &&
			  cpu->tick_switches == cpu->switches;
		if (cpu->rq_len)
			kick_idle();
	}
	if (cpu->rq_len && cpu->current != cpu->idle_thread)
		want_tick(cpu);
	arm(cpu);
	return expired;
}

/* In an upcall, on the CPU's stack: returns the registers to continue with. */
struct regs *upcall_c(void);
struct regs *upcall_c(void)
{
	struct cpu *cpu = this_cpu();
	struct thread *self = cpu->current;

	while (cpu->pending)
		if (run_interrupts(cpu))
			sched_preempt();
	if (self->signaled)
		signal_deliver(self);
	return &self->regs;
}

void handle_pending(void)
{
	uint32_t before = mask();
	struct cpu *cpu = this_cpu();

	while (cpu->pending) {
		if (run_interrupts(cpu)) {
			sched_switch();
			cpu = this_cpu();
		}
	}
	unmask(before);
}

void poll_pending(void)
{
	uint32_t before = mask();

	unmask(before);
}

void sched_init_cpu(struct cpu *cpu, struct thread *idle)
{
	cpu->self = cpu;
	cpu->idle_thread = idle;
	cpu->nested_top = (uint64_t)(&cpu->nested + 1);
	idle->cpu = cpu;
	idle->is_idle = 1;
	idle->affinity = ~0ull;
	make_current(cpu, idle);
	cpu->online = 1;
}

void sched_idle(void)
{
	struct cpu *cpu = this_cpu();

	for (;;) {
		uint64_t start;

		if (cpu->pending)
			run_interrupts(cpu);
		cpu->idle = CPU_BUSY;
		sched_switch();
		cpu->idle = CPU_POLLING;
		for (start = rdtsc(); rdtsc() - start < POLL_TSC && !cpu->rq_len && !cpu->pending;)
			cpu_relax();
		cpu->idle = CPU_HALTED;
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (!cpu->rq_len && !cpu->pending)
			platform->halt();
		__atomic_store_n(&cpu->idle, CPU_POLLING, __ATOMIC_SEQ_CST);
		if (__atomic_exchange_n(&cpu->must_flush, 0, __ATOMIC_SEQ_CST))
			platform->flush();
	}
}
