/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Signals, as Linux defines them. A handler runs as if the thread had called it where an interrupt
 * found it, or at the end of a system call (see sys/table.c), or at an instruction that failed. All
 * registers and the vector state lie in its ucontext, and the thread goes on as the handler left
 * them.
 */
#ifndef SKETE_UK_SIGNALS_H
#define SKETE_UK_SIGNALS_H

#include <signal.h>
#include <stdint.h>

struct regs;
struct thread;

struct kernel_sigaction {
	void (*handler)(int, siginfo_t *, void *);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

long signal_action(int number, const struct kernel_sigaction *action, struct kernel_sigaction *old);
long signal_mask(int how, const uint64_t *set, uint64_t *old);
long signal_alt_stack(const stack_t *stack, stack_t *old);

/* Run the handlers of all waiting signals, right here. Not masked. */
void signal_check(void);

/*
 * An instruction of the thread failed with this exception: let the handler of the signal run. In
 * fault_c(), with the thread's registers in thread->regs. Returns 0 when there is no handler, or no
 * stack to run it on: then that is the program's end.
 */
int signal_fault(struct thread *thread, uint64_t vector, uint64_t error, uint64_t address);
/* The signal of an exception; *code becomes its si_code. */
int signal_of_fault(uint64_t vector, uint64_t error, uint64_t address, int *code);

/* The end of a cancellation point (see toolchain/musl). */
void __skete_cp_leave(void);

#endif
