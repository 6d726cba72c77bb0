/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Signals on their way: sets and queues of what was sent to each thread and to the program. A
 * standard signal waits at most once, a real-time signal as often as it was sent.
 *
 * One lock for all of it; under it the queue of signalfd and the scheduler's locks. A thread's
 * `signaled` makes it look; `signal_waiting()` says whether there is something.
 */
#include <errno.h>
#include <string.h>

#include "../arch/x86_64/platform.h"
#include "../mm/heap.h"
#include "kernel.h"
#include "signals.h"
#include "wait.h"

#define FIRST_REALTIME 32

static uint32_t lock;
static volatile uint64_t program_pending;
static struct queued_signal *program_queue;
static struct wait_queue watchers;

struct wait_queue *signal_queue(void)
{
	return &watchers;
}

int signal_waiting(const struct thread *thread)
{
	return ((thread->sig.pending | program_pending) & ~thread->sig.mask) != 0;
}

uint64_t signal_pending(void)
{
	return this_thread()->sig.pending | program_pending;
}

/* Would this thread take a signal that is sent now? */
static int accepts(const struct thread *thread, uint64_t bit)
{
	return thread->state != THREAD_DEAD && (~thread->sig.mask | thread->sig.wanted) & bit;
}

/* Who handles a signal that is sent to the program: the sender itself, or the first that can. */
static struct thread *choose_locked(uint64_t bit, const struct thread * not )
{
	struct thread *self = this_thread();

	if (self != not &&self != this_cpu()->idle_thread && accepts(self, bit))
		return self;
	for (uint32_t tid = 1; tid <= thread_highest(); tid++) {
		struct thread *thread = thread_by_tid(tid);

		if (thread && thread != not &&thread->affinity && !thread->is_idle &&
		    accepts(thread, bit))
			return thread;
	}
	return NULL;
}

static void tell_locked(struct thread *thread)
{
	struct cpu *cpu = thread->cpu;

	__atomic_store_n(&thread->signaled, 1, __ATOMIC_SEQ_CST);
	if (cpu != this_cpu() && thread->on_cpu)
		platform->interrupt(cpu, IRQ_RESCHEDULE);
	else if (thread == this_thread() && !thread->nosig)
		set_pending(cpu, 1u << IRQ_RESCHEDULE);
	sched_wake(thread);
}

static void append(struct queued_signal **at, struct queued_signal *entry)
{
	while (*at)
		at = &(*at)->next;
	entry->next = NULL;
	*at = entry;
}

/* Masked, locked. Returns 0 if it was pending already (then the entry is not used). */
static int send_locked(struct thread *thread, int number, struct queued_signal *entry)
{
	volatile uint64_t *set = thread ? &thread->sig.pending : &program_pending;
	struct queued_signal **queue = thread ? &thread->sig.queue : &program_queue;
	uint64_t bit = SIGNAL_BIT(number);
	struct thread *to = thread ? thread : choose_locked(bit, NULL);

	if (to && !(to->sig.mask & bit) && signal_is_ignored(number))
		return 0;
	if (number < FIRST_REALTIME && *set & bit)
		return 0;
	if (entry)
		append(queue, entry);
	__atomic_fetch_or(set, bit, __ATOMIC_SEQ_CST);
	if (to && accepts(to, bit))
		tell_locked(to);
	return 1;
}

void signal_send_info(struct thread *thread, const siginfo_t *info)
{
	struct queued_signal *entry = kheap_alloc(sizeof(*entry));
	uint32_t before;
	int used;

	if (entry)
		memcpy(&entry->info, info, sizeof(*info));
	before = spin_lock(&lock);
	used = send_locked(thread, info->si_signo, entry);
	spin_unlock(&lock, before);
	if (!used)
		kheap_free(entry, sizeof(*entry));
	else
		wait_wake(&watchers, 1);
}

int signal_send_owned(struct thread *thread, struct queued_signal *entry)
{
	uint32_t before = spin_lock(&lock);
	int fresh = !entry->is_queued;

	if (fresh) {
		entry->is_owned = 1;
		entry->is_queued = 1;
		entry->to = thread;
		if (!send_locked(thread, entry->info.si_signo, entry))
			entry->is_queued = 0;
	}
	spin_unlock(&lock, before);
	if (fresh)
		wait_wake(&watchers, 1);
	return fresh;
}

void signal_send(struct thread *thread, int number)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_signo = number;
	info.si_code = thread ? SI_TKILL : SI_USER;
	info.si_pid = 1;
	signal_send_info(thread, &info);
}

static int is_queued(const struct queued_signal *entry, int number)
{
	while (entry && entry->info.si_signo != number)
		entry = entry->next;
	return entry != NULL;
}

/* Take the lowest of `set` off one place. */
static int take_locked(volatile uint64_t *pending, struct queued_signal **queue, uint64_t set,
		       siginfo_t *info, struct queued_signal **done)
{
	uint64_t ready = *pending & set;
	int number = ready ? __builtin_ctzll(ready) + 1 : 0;
	struct queued_signal *entry;

	if (!number)
		return 0;
	while (*queue && (*queue)->info.si_signo != number)
		queue = &(*queue)->next;
	entry = *queue;
	if (entry) {
		*queue = entry->next;
		if (entry->taken)
			entry->taken(entry);
		memcpy(info, &entry->info, sizeof(*info));
		entry->is_queued = 0;
		if (!entry->is_owned)
			*done = entry;
	} else {
		memset(info, 0, sizeof(*info));
		info->si_signo = number;
	}
	if (!is_queued(*queue, number))
		__atomic_fetch_and(pending, ~SIGNAL_BIT(number), __ATOMIC_RELAXED);
	return number;
}

int signal_take(uint64_t set, siginfo_t *info)
{
	struct thread *self = this_thread();
	struct queued_signal *done = NULL;
	uint32_t before;
	int number;

	if (!((self->sig.pending | program_pending) & set))
		return 0;
	before = spin_lock(&lock);
	number = take_locked(&self->sig.pending, &self->sig.queue, set, info, &done);
	if (!number)
		number = take_locked(&program_pending, &program_queue, set, info, &done);
	spin_unlock(&lock, before);
	kheap_free(done, sizeof(*done));
	return number;
}

static void forget_locked(struct queued_signal **queue, volatile uint64_t *pending,
			  struct queued_signal *entry)
{
	struct queued_signal **at = queue;

	while (*at && *at != entry)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = entry->next;
	if (!is_queued(*queue, entry->info.si_signo))
		*pending &= ~SIGNAL_BIT(entry->info.si_signo);
}

void signal_forget(struct queued_signal *entry)
{
	uint32_t before = spin_lock(&lock);

	if (entry->is_queued && entry->to)
		forget_locked(&entry->to->sig.queue, &entry->to->sig.pending, entry);
	else if (entry->is_queued)
		forget_locked(&program_queue, &program_pending, entry);
	entry->is_queued = 0;
	spin_unlock(&lock, before);
}

long signal_wait(uint64_t set, siginfo_t *info, uint64_t deadline_ns)
{
	struct thread *self = this_thread();
	long result = 0;

	set &= ~SIGNAL_UNBLOCKABLE;
	self->sig.wanted = set;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	while (!(result = signal_take(set, info))) {
		if (signal_waiting(self))
			result = -EINTR;
		else if (deadline_ns != UINT64_MAX && clock_ns() >= deadline_ns)
			result = -EAGAIN;
		if (result)
			break;
		sched_sleep(deadline_ns);
	}
	self->sig.wanted = 0;
	return result;
}

/* Signals to the program that `thread` no longer takes go to somebody who does. */
static void give_away_locked(const struct thread *thread, uint64_t set)
{
	while (set) {
		uint64_t bit = set & -set;
		struct thread *other = choose_locked(bit, thread);

		if (other)
			tell_locked(other);
		set &= ~bit;
	}
}

void signal_mask_changed(uint64_t old_mask)
{
	struct thread *self = this_thread();
	uint64_t blocked = self->sig.mask & ~old_mask;
	uint32_t before;

	if (signal_waiting(self))
		self->signaled = 1;
	if (!(program_pending & blocked))
		return;
	before = spin_lock(&lock);
	give_away_locked(self, program_pending & blocked);
	spin_unlock(&lock, before);
}

void signal_thread_ends(struct thread *thread)
{
	uint32_t before = spin_lock(&lock);
	struct queued_signal *queue = thread->sig.queue, *next;

	thread->sig.queue = NULL;
	thread->sig.mask = ~0ull;
	give_away_locked(thread, program_pending);
	for (; queue; queue = next) {
		next = queue->next;
		queue->is_queued = 0;
		if (!queue->is_owned)
			kheap_free(queue, sizeof(*queue));
	}
	spin_unlock(&lock, before);
}
