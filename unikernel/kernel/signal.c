/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Signals: which one is next, and the call of its handler. The handler's frame is built, masked, on
 * the thread's own stack or its alternate one, whose pages are filled in before; then the thread
 * continues in signal_trampoline, which saves the vector registers and calls.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include "../mm/mm.h"
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
extern uint64_t xsave_bytes;
void signal_here(void); /* entry.S */

int signal_waiting(const struct thread *thread)
{
	return (thread->sig_pending & ~thread->sig_mask) != 0;
}

void exit_by_signal(int number)
{
	power_off(128 + number);
}

/* What a handler's call leaves on the stack, below it the vector registers. */
struct signal_frame {
	siginfo_t info;
	ucontext_t context;
	uint32_t nosig;
};

/* struct regs and Linux's order of the same registers. */
static const uint8_t gregs_of[][2] = {
	{offsetof(struct regs, r8), REG_R8},   {offsetof(struct regs, r9), REG_R9},
	{offsetof(struct regs, r10), REG_R10}, {offsetof(struct regs, r11), REG_R11},
	{offsetof(struct regs, r12), REG_R12}, {offsetof(struct regs, r13), REG_R13},
	{offsetof(struct regs, r14), REG_R14}, {offsetof(struct regs, r15), REG_R15},
	{offsetof(struct regs, rdi), REG_RDI}, {offsetof(struct regs, rsi), REG_RSI},
	{offsetof(struct regs, rbp), REG_RBP}, {offsetof(struct regs, rbx), REG_RBX},
	{offsetof(struct regs, rdx), REG_RDX}, {offsetof(struct regs, rax), REG_RAX},
	{offsetof(struct regs, rcx), REG_RCX}, {offsetof(struct regs, rsp), REG_RSP},
	{offsetof(struct regs, rip), REG_RIP}, {offsetof(struct regs, rflags), REG_EFL},
};
#define GREGS (sizeof(gregs_of) / sizeof(gregs_of[0]))

static uint64_t *reg(struct regs *regs, uint32_t i)
{
	return (uint64_t *)((char *)regs + gregs_of[i][0]);
}

/* Take the lowest waiting signal that has a handler; end the program for one whose default is that.
 */
static int take(struct thread *self)
{
	for (;;) {
		uint64_t ready = self->sig_pending & ~self->sig_mask;
		void (*handler)(int, siginfo_t *, void *);
		int n;

		if (!ready)
			return 0;
		n = __builtin_ctzll(ready) + 1;
		__atomic_fetch_and(&self->sig_pending, ~(1ull << (n - 1)), __ATOMIC_RELAXED);
		handler = actions[n - 1].handler;
		if (handler == (void *)SIG_DFL && !(IGNORED >> (n - 1) & 1))
			exit_by_signal(n);
		if (handler != (void *)SIG_DFL && handler != (void *)SIG_IGN)
			return n;
	}
}

/* Make sure that this part of the stack is there; nothing may be missing when it is written to. */
static int back(uint64_t start, uint64_t end)
{
	for (uint64_t page = start & -PAGE_SIZE; page < end; page += PAGE_SIZE)
		while (!mm_writable(page))
			if (mm_fault(page, 2))
				return 0;
	return 1;
}

static int on_alt_stack(const struct thread *thread, uint64_t rsp)
{
	return rsp - thread->alt_stack <= thread->alt_stack_bytes && thread->alt_stack_bytes;
}

/*
 * Let the thread, whose registers are in thread->regs, continue in the handler of signal n. Masked.
 * Returns 0 when there is no stack for it.
 */
static int enter_handler(struct thread *thread, int n, const siginfo_t *info)
{
	struct kernel_sigaction *action = &actions[n - 1];
	struct regs *regs = &thread->regs;
	uint64_t top = regs->rsp - 128, xsave, lowest = 0;
	struct signal_frame *frame;

	if (action->flags & SA_ONSTACK && thread->alt_stack_bytes) {
		if (!on_alt_stack(thread, regs->rsp))
			top = thread->alt_stack + thread->alt_stack_bytes;
		lowest = thread->alt_stack;
	}
	frame = (struct signal_frame *)((top - sizeof(*frame)) & ~63ull);
	xsave = (uint64_t)frame - xsave_bytes;
	if (xsave - 8 < lowest || !back(xsave - 8, top))
		return 0;
	memset(&frame->context, 0, sizeof(frame->context));
	frame->info = *info;
	frame->nosig = thread->nosig;
	for (uint32_t i = 0; i < GREGS; i++)
		frame->context.uc_mcontext.gregs[gregs_of[i][1]] = (greg_t)*reg(regs, i);
	frame->context.uc_mcontext.gregs[REG_CSGSFS] = SEL_CODE3;
	frame->context.uc_mcontext.gregs[REG_OLDMASK] = (greg_t)thread->sig_mask;
	frame->context.uc_mcontext.fpregs = (fpregset_t)xsave;
	frame->context.uc_stack.ss_sp = (void *)thread->alt_stack;
	frame->context.uc_stack.ss_size = thread->alt_stack_bytes;
	memcpy(&frame->context.uc_sigmask, &thread->sig_mask, 8);
	thread->nosig = 0;
	thread->sig_mask |= action->mask & ~UNBLOCKABLE;
	if (!(action->flags & SA_NODEFER))
		thread->sig_mask |= 1ull << (n - 1);
	regs->rip = (uint64_t)signal_trampoline;
	regs->rbx = (uint64_t)frame;
	regs->r12 = (uint64_t)action->handler;
	regs->r13 = xsave;
	regs->rsp = xsave;
	regs->rdi = (uint64_t)n;
	regs->rsi = (uint64_t)&frame->info;
	regs->rdx = (uint64_t)&frame->context;
	regs->rflags = 0x202;
	if (action->flags & SA_RESETHAND)
		action->handler = (void *)SIG_DFL;
	return 1;
}

/* A handler is back: go on as its frame says. Called by the trampoline, masked. */
void signal_return(const struct signal_frame *frame);
void signal_return(const struct signal_frame *frame)
{
	struct thread *self = this_thread();

	for (uint32_t i = 0; i < GREGS; i++)
		*reg(&self->regs, i) = (uint64_t)frame->context.uc_mcontext.gregs[gregs_of[i][1]];
	memcpy(&self->sig_mask, &frame->context.uc_sigmask, 8);
	self->sig_mask &= ~UNBLOCKABLE;
	self->nosig = frame->nosig;
}

void signal_deliver(struct thread *thread)
{
	siginfo_t info;
	int n;

	if (thread->nosig || !signal_waiting(thread))
		return;
	n = take(thread);
	if (!n)
		return;
	memset(&info, 0, sizeof(info));
	info.si_signo = n;
	info.si_code = SI_TKILL;
	info.si_pid = 1;
	if (!enter_handler(thread, n, &info)) {
		kprintf("\nskete: no stack for the handler of signal %d\n", n);
		exit_by_signal(SIGSEGV);
	}
}

void signal_check(void)
{
	if (signal_waiting(this_thread()))
		signal_here();
}

void __skete_cp_leave(void)
{
	struct thread *self = this_thread();

	if (--self->nosig == 0 && self->sig_pending)
		signal_check();
}

/* What a floating-point exception was: the lowest that is flagged and not masked. */
static int float_code(uint64_t vector)
{
	static const uint8_t codes[6] = {FPE_FLTINV, FPE_FLTSUB, FPE_FLTDIV,
					 FPE_FLTOVF, FPE_FLTUND, FPE_FLTRES};
	uint32_t flags, mxcsr;
	uint16_t status, control;

	if (vector == VECTOR_SIMD) {
		asm volatile("stmxcsr %0" : "=m"(mxcsr));
		flags = mxcsr & ~(mxcsr >> 7) & 0x3f;
	} else {
		asm volatile("fnstsw %0\n\tfnstcw %1" : "=m"(status), "=m"(control));
		flags = status & ~(uint32_t)control & 0x3f;
	}
	return flags ? codes[__builtin_ctz(flags)] : FPE_FLTINV;
}

int signal_of_fault(uint64_t vector, uint64_t error, uint64_t address, int *code)
{
	const struct area *area;

	*code = SI_KERNEL;
	switch (vector) {
	case VECTOR_DIVIDE:
		*code = FPE_INTDIV;
		return SIGFPE;
	case VECTOR_FLOAT:
	case VECTOR_SIMD:
		*code = float_code(vector);
		return SIGFPE;
	case VECTOR_DEBUG:
		*code = TRAP_TRACE;
		return SIGTRAP;
	case VECTOR_BREAKPOINT:
		return SIGTRAP;
	case VECTOR_OPCODE:
		*code = ILL_ILLOPN;
		return SIGILL;
	case VECTOR_STACK:
		return SIGBUS;
	case VECTOR_ALIGNMENT:
		*code = BUS_ADRALN;
		return SIGBUS;
	case VECTOR_PAGE:
		break;
	default:
		return SIGSEGV;
	}
	area = mm_area_of(address);
	/* The lowest addresses are the shim's, which is nobody's business. */
	*code = (error & 1 && address >= 1ull << 39) || (area && area->start <= address)
			? SEGV_ACCERR
			: SEGV_MAPERR;
	if (!mm_is_short(area, error))
		return SIGSEGV;
	*code = BUS_ADRERR;
	return SIGBUS;
}

int signal_fault(struct thread *thread, uint64_t vector, uint64_t error, uint64_t address)
{
	int code, n = signal_of_fault(vector, error, address, &code);
	const void *handler = (const void *)actions[n - 1].handler;
	struct signal_frame *frame;
	siginfo_t info;

	if (handler == (void *)SIG_DFL || handler == (void *)SIG_IGN ||
	    thread->sig_mask >> (n - 1) & 1)
		return 0;
	memset(&info, 0, sizeof(info));
	info.si_signo = n;
	info.si_code = code;
	if (vector == VECTOR_PAGE)
		info.si_addr = (void *)address;
	else if (code != SI_KERNEL)
		info.si_addr = (void *)thread->regs.rip;
	if (!enter_handler(thread, n, &info))
		return 0;
	frame = (struct signal_frame *)thread->regs.rbx;
	frame->context.uc_mcontext.gregs[REG_TRAPNO] = (greg_t)vector;
	frame->context.uc_mcontext.gregs[REG_ERR] = (greg_t)error;
	frame->context.uc_mcontext.gregs[REG_CR2] = (greg_t)address;
	return 1;
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
	return 0;
}

long signal_alt_stack(const stack_t *stack, stack_t *old)
{
	struct thread *self = this_thread();
	int is_on = on_alt_stack(self, (uint64_t)__builtin_frame_address(0));
	stack_t before = {.ss_sp = (void *)self->alt_stack,
			  .ss_flags = is_on		      ? SS_ONSTACK
				      : self->alt_stack_bytes ? 0
							      : SS_DISABLE,
			  .ss_size = self->alt_stack_bytes};

	if (stack) {
		if (is_on)
			return -EPERM;
		if (stack->ss_flags & ~(SS_DISABLE | SS_ONSTACK))
			return -EINVAL;
		if (!(stack->ss_flags & SS_DISABLE) && stack->ss_size < MINSIGSTKSZ)
			return -ENOMEM;
		self->alt_stack = stack->ss_flags & SS_DISABLE ? 0 : (uint64_t)stack->ss_sp;
		self->alt_stack_bytes = stack->ss_flags & SS_DISABLE ? 0 : stack->ss_size;
	}
	if (old)
		*old = before;
	return 0;
}
