/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * The scheduler. A thread whose stack is still in use (on_cpu) waits only in the queue of that CPU
 * and is never taken by another; so no CPU ever waits for another one to leave a stack.
 */
#include <sched.h>

#include "../arch/x86_64/platform.h"
#include "boot.h"
#include "kernel.h"
#include "runqueue.h"
#include "sched_internal.h"
#include "signals.h"

struct cpu cpus[MAX_CPUS] __attribute__((aligned(4096)));
uint32_t cpu_count = 1;

/* The longest queue of another CPU, among those not in `tried`. */
static struct cpu *longest_queue(const struct cpu *self, uint64_t tried)
{
	struct cpu *longest = NULL;
	uint32_t length = 0;

	for (uint32_t i = 0; i < cpu_count; i++) {
		uint32_t len = cpus[i].rq_len;

		if (&cpus[i] == self || tried >> i & 1 || len <= length)
			continue;
		longest = &cpus[i];
		length = len;
	}
	return longest;
}

static struct thread *steal(struct cpu *self)
{
	struct cpu *victim;
	uint64_t tried = 0;

	while ((victim = longest_queue(self, tried))) {
		uint32_t before = spin_lock(&victim->rq_lock);
		struct thread *t = rq_take(victim, self, LEVEL_IDLE);

		if (t)
			t->cpu = self;
		spin_unlock(&victim->rq_lock, before);
		if (t)
			return t;
		tried |= 1ull << victim->index;
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

void sched_want_tick(struct cpu *cpu, uint64_t within_ns)
{
	uint64_t slice_ns = cpu->current->slice_ns;

	slice_ns = slice_ns < within_ns ? slice_ns : within_ns;
	if (cpu->tick_ns && cpu->tick_slice_ns <= slice_ns)
		return;
	cpu->tick_slice_ns = slice_ns;
	cpu->tick_ns = clock_ns() + cpu->tick_slice_ns;
	arm(cpu);
}

/*
 * A slice would be over, had no switch come in between since it was looked for. Returns whether it
 * is; otherwise there is another look at its end.
 */
static int slice_is_over(struct cpu *cpu, uint64_t now)
{
	const struct thread *self = cpu->current;
	uint64_t ran = now - cpu->since_ns;

	if (ran >= self->slice_ns && self->policy != SCHED_FIFO)
		return 1;
	cpu->tick_slice_ns = self->slice_ns;
	cpu->tick_ns = now + (ran < self->slice_ns ? self->slice_ns - ran : self->slice_ns);
	return 0;
}

/* How long a thread mostly runs before it has to wait for something. */
static void note_burst(struct thread *thread, uint64_t ran_ns)
{
	if (thread->state == THREAD_BLOCKED)
		thread->burst_ns = (thread->burst_ns + ran_ns) / 2;
	else if (ran_ns > thread->burst_ns)
		thread->burst_ns = ran_ns;
}

static void make_current(struct cpu *cpu, struct thread *next)
{
	struct thread *prev = cpu->current;
	uint64_t now = clock_ns();

	if (prev && prev != cpu->idle_thread) {
		note_burst(prev, now - cpu->since_ns);
		prev->cpu_ns += now - cpu->since_ns;
		cpu->busy_ns += now - cpu->since_ns;
	}
	cpu->since_ns = now;
	cpu->current = next;
	cpu->regs_top = (uint64_t)(&next->regs + 1);
	next->cpu = cpu;
	next->on_cpu = 1;
	/* Sequentially consistent: the partners are sched_set_affinity() and place_notify(). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!rq_may_run(next, cpu)) /* since it was taken from the queue */
		cpu->preempt = 1;
	if (next->signaled || cpu->preempt) /* so that its way back looks at it */
		set_pending(cpu, 1u << IRQ_RESCHEDULE);
}

/*
 * Take the next thread; `prev`, if it can go on, joins the queue, and goes on if all others there
 * are below it. NULL: nobody but prev.
 */
static struct thread *pick(struct cpu *cpu, struct thread *prev)
{
	uint32_t before = spin_lock(&cpu->rq_lock);
	/* It may have been woken, and so queued, since it decided to sleep. */
	int goes_on = prev != cpu->idle_thread && prev->state == THREAD_RUNNABLE && !prev->queued;
	struct thread *next;

	cpu->preempt = 0;
	next = rq_take(cpu, cpu, goes_on ? prev->level : LEVEL_IDLE);
	if (goes_on && next)
		rq_insert(cpu, prev, next->level > prev->level);
	spin_unlock(&cpu->rq_lock, before);
	if (!next && !goes_on)
		next = steal(cpu);
	if (!next && !goes_on)
		next = cpu->idle_thread;
	return next;
}

/*
 * Whoever has come to the queue since pick() looked there was told nothing (see place_notify()): it
 * gets its turn at a tick, or at once if it goes before the thread that runs now.
 */
static void look_behind(struct cpu *cpu)
{
	if (!cpu->rq_len || cpu->current == cpu->idle_thread)
		return;
	sched_want_tick(cpu, UINT64_MAX);
	if (cpu->rq_level > cpu->current->level) {
		cpu->preempt = 1;
		set_pending(cpu, 1u << IRQ_RESCHEDULE);
	}
}

/* Take the next thread and make it the current one. NULL: the present one goes on. */
static struct thread *advance(struct cpu *cpu, struct thread *prev)
{
	struct thread *next = pick(cpu, prev);

	if (!next || next == prev)
		next = NULL;
	else
		make_current(cpu, next);
	look_behind(cpu);
	return next;
}

void sched_switch(void)
{
	struct cpu *cpu = this_cpu();
	struct thread *prev = cpu->current, *next = advance(cpu, prev);

	if (next)
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
	struct thread *prev = cpu->current, *next = advance(cpu, prev);

	if (!next)
		return;
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
	timer_cancel(&dead->timer);
	malloc_thread_exit(dead);
	next = advance(cpu, dead);
	thread_free(dead);
	sched_resume(next, NULL);
}

void sched_wake(struct thread *thread)
{
	uint32_t before = mask();
	struct cpu *last, *target = NULL;
	int32_t thread_level = thread->level; /* it may be gone when they are needed */
	uint64_t affinity = thread->affinity;
	uint32_t is_misplaced = 0;

	for (;;) {
		last = thread->cpu;
		spin_lock(&last->rq_lock);
		if (thread->cpu == last)
			break;
		spin_unlock(&last->rq_lock, 1);
	}
	if (thread->state == THREAD_BLOCKED) {
		/* On a CPU still: then place_choose() says that CPU, whose lock covers state and
		 * queue.
		 */
		target = place_choose(thread);
		thread->state = THREAD_RUNNABLE;
		thread->cpu = target;
		if (target == last) {
			rq_insert(last, thread, 0);
			is_misplaced = !rq_may_run(thread, last);
			last->misplaced |= is_misplaced;
		}
	} else {
		thread->wake_pending = 1;
	}
	spin_unlock(&last->rq_lock, 1);
	if (target && target != last)
		target = place_enqueue(target, thread);
	if (is_misplaced)
		place_look_at(last);
	else if (target)
		place_notify(target, thread_level, affinity);
	unmask(before);
}

void sched_start(struct thread *thread)
{
	uint32_t before = mask();
	int32_t level = thread->level;
	uint64_t affinity = thread->affinity;
	struct cpu *cpu;

	thread->cpu = this_cpu();
	cpu = thread->cpu = place_choose(thread);
	cpu = place_enqueue(cpu, thread);
	place_notify(cpu, level, affinity);
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

/*
 * Threads that were woken while this CPU was leaving their stacks, and may run only elsewhere: now
 * nobody uses the stacks any more.
 */
static void expel(struct cpu *cpu)
{
	struct thread *t;

	do {
		struct thread *before = NULL;

		spin_lock(&cpu->rq_lock);
		cpu->misplaced = 0;
		for (t = cpu->rq_head; t && (rq_may_run(t, cpu) || t->on_cpu); t = t->next)
			before = t;
		if (t)
			rq_unlink(cpu, before, t);
		spin_unlock(&cpu->rq_lock, 1);
		if (t)
			sched_start(t);
	} while (t);
}

/* What the interrupts since the last look ask for. Returns whether the running thread's time is up.
 */
int sched_interrupts(struct cpu *cpu)
{
	uint32_t bits = __atomic_exchange_n(&cpu->pending, 0, __ATOMIC_RELAXED);
	uint64_t now = cpu->tick_ns ? clock_ns() : 0;
	int expired = 0;

	if (bits & 1u << IRQ_TIMER) {
		cpu->armed_ns = 0;
		timer_expired();
	}
	if (cpu->misplaced)
		expel(cpu);
	if (cpu->tick_ns && now >= cpu->tick_ns) {
		cpu->tick_ns = 0;
		if (cpu->rq_len) {
			expired = slice_is_over(cpu, now);
			place_kick_idle();
		}
	}
	/* The wish may be lost in a pick() that was under way; where it may run is not. */
	expired |= cpu->preempt || !rq_may_run(cpu->current, cpu);
	if (!expired && cpu->rq_len && cpu->current != cpu->idle_thread)
		sched_want_tick(cpu, UINT64_MAX);
	arm(cpu);
	return expired;
}

/*
 * The running thread may not be here: it sleeps for no time, and wakes up where it may. (While
 * others may still use its stack, a thread is in no other CPU's queue.)
 */
static void leave_cpu(struct thread *self)
{
	struct cpu *cpu = this_cpu();

	spin_lock(&cpu->rq_lock);
	self->state = THREAD_BLOCKED;
	spin_unlock(&cpu->rq_lock, 1);
	timer_add(&self->timer, clock_ns());
	arm(cpu);
}

/* In an upcall, on the CPU's stack: returns the registers to continue with. */
struct regs *upcall_c(void);
struct regs *upcall_c(void)
{
	struct cpu *cpu = this_cpu();
	struct thread *self = cpu->current;

	while (cpu->pending) {
		if (sched_interrupts(cpu)) {
			if (!rq_may_run(self, cpu))
				leave_cpu(self);
			sched_preempt();
		}
	}
	if (self->signaled)
		signal_deliver(self);
	return &self->regs;
}

void handle_pending(void)
{
	uint32_t before = mask();
	struct cpu *cpu = this_cpu();

	while (cpu->pending) {
		if (sched_interrupts(cpu)) {
			if (!rq_may_run(cpu->current, cpu) && cpu->current != cpu->idle_thread)
				leave_cpu(cpu->current);
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
	idle->level = LEVEL_IDLE - 1;
	make_current(cpu, idle);
	cpu->online = 1;
}
