/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Signals between threads: what pthread_cancel, pthread_kill, raise and abort need. A handler runs
 * at the end of a system call, as a plain function call, or where an interrupt found the thread in
 * the program's code. Faults do not become signals: they end the program with a report.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include "kernel.h"
#include "signals.h"
#include "thread.h"

#define IGNORED                                                                  \
	(1ull << (SIGCHLD - 1) | 1ull << (SIGURG - 1) | 1ull << (SIGWINCH - 1) | \
	 1ull << (SIGCONT - 1) | 1ull << (SIGTSTP - 1) | 1ull << (SIGTTIN - 1) | \
	 1ull << (SIGTTOU - 1))
#define UNBLOCKABLE (1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1))

static struct kernel_sigaction actions[SIGNAL_COUNT];
extern char signal_trampoline[];

int signal_waiting(const struct thread *thread)
{
	return (thread->sig_pending & ~thread->sig_mask) != 0;
}

void exit_by_signal(int number)
{
	power_off(128 + number);
}

/* Take the lowest waiting signal that has a handler; end the program for one whose default is that.
 */
static int take(struct thread *self)
{
	for (;;) {
		uint64_t ready = self->sig_pending & ~self->sig_mask;
		int n = __builtin_ctzll(ready) + 1;
		void (*handler)(int, void *, void *);

		if (!ready)
			return 0;
		__atomic_fetch_and(&self->sig_pending, ~(1ull << (n - 1)), __ATOMIC_RELAXED);
		handler = actions[n - 1].handler;
		if (handler == (void *)SIG_DFL && !(IGNORED >> (n - 1) & 1))
			exit_by_signal(n);
		if (handler != (void *)SIG_DFL && handler != (void *)SIG_IGN)
			return n;
	}
}

/* Run the handlers of all waiting signals; they may change `rip`. */
static void run_handlers(uint64_t *rip)
{
	struct thread *self = this_thread();
	int n;

	while ((n = take(self))) {
		struct kernel_sigaction action = actions[n - 1];
		siginfo_t info;
		ucontext_t context;

		memset(&info, 0, sizeof(info));
		memset(&context, 0, sizeof(context));
		info.si_signo = n;
		info.si_code = SI_TKILL;
		memcpy(&context.uc_sigmask, &self->sig_mask, 8);
		context.uc_mcontext.gregs[REG_RIP] = (greg_t)*rip;
		self->sig_mask |= action.mask;
		if (!(action.flags & SA_NODEFER))
			self->sig_mask |= 1ull << (n - 1);
		if (action.flags & SA_RESETHAND)
			actions[n - 1].handler = (void *)SIG_DFL;
		action.handler(n, &info, &context);
		memcpy(&self->sig_mask, &context.uc_sigmask, 8);
		*rip = (uint64_t)context.uc_mcontext.gregs[REG_RIP];
	}
}

void signal_check(void)
{
	uint64_t rip = 0;

	if (!signal_waiting(this_thread()))
		return;
	run_handlers(&rip);
	if (rip)
		((void (*)(void))rip)();
}

void __skete_cp_leave(void)
{
	this_thread()->nosig = 0;
	signal_check();
}

void signal_deliver_preempted(struct thread *thread)
{
	struct regs *copy;

	if (thread->nosig || !signal_waiting(thread))
		return;
	copy = (struct regs *)((thread->regs.rsp - 128 - sizeof(*copy)) & ~63ull);
	*copy = thread->regs;
	thread->nosig = 1; /* until the trampoline has run the handlers */
	thread->regs.rip = (uint64_t)signal_trampoline;
	thread->regs.rdi = (uint64_t)copy;
	thread->regs.rsp = (uint64_t)copy;
	thread->regs.rflags &= ~0x400ull;
}

/* Called by the trampoline with what to return to. */
void signal_run_preempted(struct regs *copy);
void signal_run_preempted(struct regs *copy)
{
	this_thread()->nosig = 0;
	run_handlers(&copy->rip);
}

void signal_send(struct thread *thread, int number)
{
	uint32_t before = mask();
	struct cpu *cpu = thread->cpu;

	__atomic_fetch_or(&thread->sig_pending, 1ull << (number - 1), __ATOMIC_SEQ_CST);
	if (cpu != this_cpu() && thread->on_cpu)
		apic_send(cpu, IRQ_RESCHEDULE);
	sched_wake(thread);
	unmask(before);
}

long signal_action(int number, const struct kernel_sigaction *action, struct kernel_sigaction *old)
{
	if (number < 1 || number > SIGNAL_COUNT)
		return -EINVAL;
	if (action && UNBLOCKABLE >> (number - 1) & 1)
		return -EINVAL;
	if (old)
		*old = actions[number - 1];
	if (action)
		actions[number - 1] = *action;
	return 0;
}

long signal_mask(int how, const uint64_t *set, uint64_t *old)
{
	struct thread *self = this_thread();
	uint64_t before = self->sig_mask;

	if (set && how == SIG_BLOCK)
		self->sig_mask |= *set & ~UNBLOCKABLE;
	else if (set && how == SIG_UNBLOCK)
		self->sig_mask &= ~*set;
	else if (set && how == SIG_SETMASK)
		self->sig_mask = *set & ~UNBLOCKABLE;
	else if (set)
		return -EINVAL;
	if (old)
		*old = before;
	if (self->sig_pending)
		signal_check();
	return 0;
}
