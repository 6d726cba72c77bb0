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
#include "signals.h"

#define SOON_NS	    50000  /* who runs no longer than this at a time will not run for long now */
#define MISTAKEN_NS 500000 /* if one does: when another CPU takes over who waits for it */

struct cpu cpus[MAX_CPUS] __attribute__((aligned(4096)));
uint32_t cpu_count = 1;

/* Behind all of its level; before them, if it had to stop for a higher one (`first`). */
static void enqueue(struct cpu *cpu, struct thread *thread, int first)
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

static void unlink_after(struct cpu *cpu, struct thread *before, struct thread *thread)
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

static int may_run(const struct thread *thread, const struct cpu *cpu)
{
	return thread->affinity >> cpu->index & 1;
}

/*
 * The first thread in a queue, of this level or above, that `by` may run: its owner any allowed,
 * others none on a CPU.
 */
static struct thread *take(struct cpu *from, const struct cpu *by, int32_t level)
{
	struct thread *before = NULL;

	for (struct thread *t = from->rq_head; t && t->level >= level; before = t, t = t->next) {
		if (!may_run(t, by) || (from != by && t->on_cpu))
			continue;
		unlink_after(from, before, t);
		return t;
	}
	return NULL;
}

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
		struct thread *t = take(victim, self, LEVEL_IDLE);

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

/* Somebody waits: look at the end of the running thread's slice, or earlier. */
static void want_tick(struct cpu *cpu, uint64_t within_ns)
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
	/* Sequentially consistent: the partners are sched_set_affinity() and notify(). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!may_run(next, cpu)) /* since it was taken from the queue */
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
	next = take(cpu, cpu, goes_on ? prev->level : LEVEL_IDLE);
	if (goes_on && next)
		enqueue(cpu, prev, next->level > prev->level);
	spin_unlock(&cpu->rq_lock, before);
	if (!next && !goes_on)
		next = steal(cpu);
	if (!next && !goes_on)
		next = cpu->idle_thread;
	return next;
}

/*
 * Whoever has come to the queue since pick() looked there was told nothing (see notify()): it gets
 * its turn at a tick, or at once if it goes before the thread that runs now.
 */
static void look_behind(struct cpu *cpu)
{
	if (!cpu->rq_len || cpu->current == cpu->idle_thread)
		return;
	want_tick(cpu, UINT64_MAX);
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

/* Has this CPU nothing to do, now and next? Racy, as is all that choose() looks at. */
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

/*
 * Where a woken thread should run: where it ran, if that CPU looks for work; another one that does;
 * here, if this CPU will soon; one that has halted, the last before others; one whose thread is
 * below it.
 */
static struct cpu *choose(const struct thread *thread)
{
	struct cpu *self = this_cpu(), *last = thread->cpu, *halted = NULL, *best = NULL;

	if (thread->on_cpu || (is_free(last) && last->idle != CPU_HALTED && may_run(thread, last)))
		return last;
	for (uint32_t i = 0; i < cpu_count; i++) {
		struct cpu *cpu = &cpus[i];

		if (!cpu->online || !may_run(thread, cpu))
			continue;
		if (is_free(cpu) && cpu->idle != CPU_HALTED)
			return cpu;
		if (is_free(cpu) && (!halted || cpu == last))
			halted = cpu;
		if (!best || cpu->current->level < best->current->level)
			best = cpu;
	}
	if (halted && thread->level == self->current->level && may_run(thread, self) &&
	    is_free_soon(self))
		return self;
	if (halted)
		return halted;
	if (!best || (may_run(thread, last) && last->current->level <= best->current->level))
		return last;
	return best;
}

/* See to it that this CPU looks at what it runs, and at its queue. */
static void look_at(struct cpu *cpu)
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
 * A thread like this has joined this CPU's queue: see to it that the CPU notices. To interrupt
 * another CPU is dear, and mostly not needed. Whether it may be left out is settled by two pairs of
 * a store and a load on either side, each with a full barrier in between:
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
static void notify(struct cpu *cpu, int32_t level, uint64_t affinity)
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
			want_tick(cpu, has_free_cpu(affinity) ? MISTAKEN_NS : UINT64_MAX);
		if (goes_first)
			set_pending(cpu, 1u << IRQ_RESCHEDULE);
	} else if (goes_first || (is_running && !cpu->tick_ns)) {
		platform->interrupt(cpu, IRQ_RESCHEDULE);
	} else {
		rouse(cpu);
	}
}

/*
 * In the queue of this CPU, or of another if it may no longer run there: what sched_set_affinity()
 * does not find in a queue is looked at here. Returns which.
 */
static struct cpu *enqueue_at(struct cpu *cpu, struct thread *thread)
{
	for (;;) {
		uint32_t before = spin_lock(&cpu->rq_lock);
		struct cpu *target = may_run(thread, cpu) ? cpu : choose(thread);

		if (target == cpu) {
			thread->cpu = cpu;
			enqueue(cpu, thread, 0);
		}
		spin_unlock(&cpu->rq_lock, before);
		if (target == cpu)
			return cpu;
		cpu = target;
	}
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
		/* On a CPU still: then choose() says that CPU, whose lock covers state and queue.
		 */
		target = choose(thread);
		thread->state = THREAD_RUNNABLE;
		thread->cpu = target;
		if (target == last) {
			enqueue(last, thread, 0);
			is_misplaced = !may_run(thread, last);
			last->misplaced |= is_misplaced;
		}
	} else {
		thread->wake_pending = 1;
	}
	spin_unlock(&last->rq_lock, 1);
	if (target && target != last)
		target = enqueue_at(target, thread);
	if (is_misplaced)
		look_at(last);
	else if (target)
		notify(target, thread_level, affinity);
	unmask(before);
}

void sched_start(struct thread *thread)
{
	uint32_t before = mask();
	int32_t level = thread->level;
	uint64_t affinity = thread->affinity;
	struct cpu *cpu;

	thread->cpu = this_cpu();
	cpu = thread->cpu = choose(thread);
	cpu = enqueue_at(cpu, thread);
	notify(cpu, level, affinity);
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

/* An idle CPU looks at its own queue alone: tell one that this CPU has more than it can run. */
static void kick_idle(void)
{
	for (uint32_t i = 0; i < cpu_count; i++) {
		if (!cpus[i].online || !is_free(&cpus[i]))
			continue;
		/* As the queue in notify(). */
		__atomic_store_n(&cpus[i].kicked, 1, __ATOMIC_SEQ_CST);
		rouse(&cpus[i]);
		return;
	}
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
		for (t = cpu->rq_head; t && (may_run(t, cpu) || t->on_cpu); t = t->next)
			before = t;
		if (t)
			unlink_after(cpu, before, t);
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
			kick_idle();
		}
	}
	/* The wish may be lost in a pick() that was under way; where it may run is not. */
	expired |= cpu->preempt || !may_run(cpu->current, cpu);
	if (!expired && cpu->rq_len && cpu->current != cpu->idle_thread)
		want_tick(cpu, UINT64_MAX);
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
			if (!may_run(self, cpu))
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
			if (!may_run(cpu->current, cpu) && cpu->current != cpu->idle_thread)
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
			unlink_after(cpu, before, thread);
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
	look_at(cpu);
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
	 * enqueue_at(), by the lock, and make_current().
	 */
	__atomic_store_n(&thread->affinity, affinity, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	/* Woken meanwhile, while a CPU is leaving its stack: wait until that has happened. */
	while (!(waits = withdraw(thread)) && thread->queued && !may_run(thread, thread->cpu))
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
