/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Signals: actions and delivery. A handler runs at the end of a system call, or where an interrupt
 * found the thread in the program's code; never in the middle of a system call, so none of its
 * locks is held then and a handler may jump away.
 */
#include "signals.h"

#include <errno.h>
#include <string.h>

#include "kernel.h"

/* Nobody could continue a program that stops, so what stops one on Linux is ignored here. */
#define IGNORED                                                                                  \
	(SIGNAL_BIT(SIGCHLD) | SIGNAL_BIT(SIGURG) | SIGNAL_BIT(SIGWINCH) | SIGNAL_BIT(SIGCONT) | \
	 SIGNAL_BIT(SIGTSTP) | SIGNAL_BIT(SIGTTIN) | SIGNAL_BIT(SIGTTOU) | SIGNAL_BIT(SIGSTOP))

static struct kernel_sigaction actions[SIGNAL_COUNT];

const struct kernel_sigaction *signal_action_of(int number)
{
	return &actions[number - 1];
}

int signal_is_ignored(int number)
{
	void (*handler)(int, siginfo_t *, void *) = actions[number - 1].handler;

	return handler == (void *)SIG_IGN ||
	       (handler == (void *)SIG_DFL && IGNORED & SIGNAL_BIT(number));
}

void exit_by_signal(int number)
{
	power_off(128 + number);
}

long signal_restart(long code)
{
	this_thread()->signaled = 1;
	return code;
}

void signal_mask_for_call(uint64_t mask)
{
	struct thread *self = this_thread();

	self->sig.saved_mask = self->sig.mask;
	self->sig.must_restore = 1;
	self->sig.mask = mask & ~SIGNAL_UNBLOCKABLE;
	self->signaled = 1;
	signal_mask_changed(self->sig.saved_mask);
}

void signal_set_mask(uint64_t mask)
{
	struct thread *self = this_thread();
	uint64_t before = self->sig.mask;

	self->sig.mask = mask & ~SIGNAL_UNBLOCKABLE;
	signal_mask_changed(before);
}

/* The next signal that has a handler; the program ends here by one whose default is that. */
static int next_handled(struct thread *self, siginfo_t *info)
{
	int n;

	while ((n = signal_take(~self->sig.mask, info))) {
		if (signal_is_ignored(n))
			continue;
		if (actions[n - 1].handler == (void *)SIG_DFL)
			exit_by_signal(n);
		return n;
	}
	return 0;
}

static void restart(struct regs *regs)
{
	const uint64_t *saved = (const uint64_t *)regs->r11; /* entry.S: save_call */

	regs->rip = regs->r10;
	regs->rdi = saved[0];
	regs->rsi = saved[1];
	regs->rdx = saved[2];
	regs->rcx = saved[3];
	regs->r8 = saved[4];
	regs->r9 = saved[5];
	regs->rsp -= 8; /* its return address is still there */
}

/* A system call is over, and this handler (0: none) comes: does it start anew? */
static void finish_call(struct regs *regs, int number)
{
	long code = (long)regs->rax;

	if (code != -RESTART_UNLESS_HANDLED && code != -RESTART_NO_HANDLER)
		return;
	if (!number || (code == -RESTART_UNLESS_HANDLED && actions[number - 1].flags & SA_RESTART))
		restart(regs);
	else
		regs->rax = (uint64_t)-EINTR;
}

void signal_entered(int number)
{
	struct kernel_sigaction *action = &actions[number - 1];
	uint64_t mask = this_thread()->sig.mask | action->mask;

	if (!(action->flags & SA_NODEFER))
		mask |= SIGNAL_BIT(number);
	signal_set_mask(mask);
	if (action->flags & SA_RESETHAND)
		action->handler = (void *)SIG_DFL;
}

/* In an upcall: the handlers of all that waits, each as if it interrupted the one before it. */
void signal_deliver(struct thread *self)
{
	uint64_t old_mask;
	siginfo_t info;
	int number;

	if (self->nosig)
		return;
	self->signaled = 0;
	while ((number = next_handled(self, &info)) || self->at_call || self->sig.must_restore) {
		if (self->at_call)
			finish_call(&self->regs, number);
		self->at_call = 0;
		old_mask = self->sig.must_restore ? self->sig.saved_mask : self->sig.mask;
		self->sig.must_restore = 0;
		if (!number) {
			signal_set_mask(old_mask);
		} else if (!signal_enter(self, number, &info, old_mask)) {
			kprintf("\nskete: no stack for the handler of signal %d\n", number);
			exit_by_signal(SIGSEGV);
		}
	}
}

long signal_action(int number, const struct kernel_sigaction *action, struct kernel_sigaction *old)
{
	struct kernel_sigaction new;
	siginfo_t info;

	if (number < 1 || number > SIGNAL_COUNT ||
	    (action && SIGNAL_UNBLOCKABLE & SIGNAL_BIT(number)))
		return -EINVAL;
	if (action)
		new = *action;
	if (old)
		*old = actions[number - 1];
	if (!action)
		return 0;
	new.mask &= ~SIGNAL_UNBLOCKABLE;
	actions[number - 1] = new;
	while (signal_is_ignored(number) && signal_take(SIGNAL_BIT(number), &info))
		;
	return 0;
}
