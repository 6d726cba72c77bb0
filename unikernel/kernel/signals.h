/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Signals, as Linux defines them: sent to a thread or to the program, queued with what they say,
 * and delivered at the end of a system call, where an interrupt found the thread in its own code,
 * or at an instruction that failed. All registers and the vector state lie in the handler's
 * ucontext, and the thread goes on as the handler left them.
 *
 * signal.c: actions, delivery. signal_queue.c: sending, waiting. signal_frame.c: calling a handler.
 */
#ifndef SKETE_UK_SIGNALS_H
#define SKETE_UK_SIGNALS_H

#include <signal.h>
#include <stdint.h>

#include "thread.h"

struct regs;

/* What a system call returns, negative, that a signal ended before it did anything. */
#define RESTART_UNLESS_HANDLED 512 /* starts anew, but for a handler without SA_RESTART: EINTR */
#define RESTART_NO_HANDLER     514 /* starts anew only if no handler ran, or else EINTR */

#define SIGNAL_BIT(number)     (1ull << ((number)-1))
#define SIGNAL_UNBLOCKABLE     (SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP))

struct kernel_sigaction {
	void (*handler)(int, siginfo_t *, void *);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

/* A signal that waits. A timer owns its one, the others come from the heap. */
struct queued_signal {
	struct queued_signal *next;
	uint32_t is_owned;  /* by somebody else: not freed */
	uint32_t is_queued; /* an owned one is in a queue */
	struct thread *to;  /* an owned one: whose queue, NULL for the program's */
	void (*taken)(struct queued_signal *entry); /* an owned one is about to be; locked */
	siginfo_t info;
};

/* Is there a signal for this thread that its mask lets through? Then it should not sleep. */
int signal_waiting(const struct thread *thread);
/* See to it that the end of this system call looks at signals, and return the code. */
long signal_restart(long code);
/* After a change of the calling thread's mask: what was blocked may be delivered now. */
void signal_mask_changed(uint64_t old_mask);
/* Run with this mask until the end of the system call, then with the present one. */
void signal_mask_for_call(uint64_t mask);

/* Send to a thread, or (NULL) to the program. `info` is copied. Any thread; masked or not. */
void signal_send_info(struct thread *thread, const siginfo_t *info);
/* The same for an entry that the caller owns. Returns 0 if it is still queued since last time. */
int signal_send_owned(struct thread *thread, struct queued_signal *entry);
/* Take back an entry of one's own. */
void signal_forget(struct queued_signal *entry);
/* As kill(2) says it: from this program. */
void signal_send(struct thread *thread, int number);
/* The waiting signals of the calling thread. */
uint64_t signal_pending(void);
/* Take the next signal of a set off the queues. Its number, or 0. */
int signal_take(uint64_t set, siginfo_t *info);
/* Wait for one of a set until a time of clock_ns(). Its number, -EAGAIN or -EINTR. */
long signal_wait(uint64_t set, siginfo_t *info, uint64_t deadline_ns);
/* The thread ends: what was sent to the program and meant for it goes to others. */
void signal_thread_ends(struct thread *thread);

/* Told whenever a signal is sent: signalfd(2). */
struct wait_queue;
struct wait_queue *signal_queue(void);

long signal_action(int number, const struct kernel_sigaction *action, struct kernel_sigaction *old);
const struct kernel_sigaction *signal_action_of(int number);
int signal_is_ignored(int number);

/* Change the calling thread's mask. */
void signal_set_mask(uint64_t mask);
/* In an upcall: let the thread, whose registers are in thread->regs, run its handlers first. */
void signal_deliver(struct thread *thread);
/*
 * Let the thread, whose registers are in thread->regs, continue in the handler of signal `number`.
 * Masked. Returns 0 when there is no stack for it.
 */
int signal_enter(struct thread *thread, int number, const siginfo_t *info, uint64_t old_mask);
/* The calling thread enters a handler: its mask, and SA_RESETHAND. */
void signal_entered(int number);
/*
 * An instruction of the thread failed with this exception: let the handler of the signal run. In
 * fault_c(), with the thread's registers in thread->regs. Returns 0 when there is no handler, or no
 * stack to run it on: then that is the program's end.
 */
int signal_fault(struct thread *thread, uint64_t vector, uint64_t error, uint64_t address);
/* The signal of an exception; *code becomes its si_code. */
int signal_of_fault(uint64_t vector, uint64_t error, uint64_t address, int *code);

_Noreturn void exit_by_signal(int number);

#endif
