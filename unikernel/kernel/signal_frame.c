/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * The call of a signal's handler. Its frame is built, masked, on the thread's own stack or its
 * alternate one, whose pages are filled in before; then the thread continues in signal_trampoline,
 * which saves the vector registers and calls.
 */
#include <string.h>
#include <ucontext.h>

#include "../mm/mm.h"
#include "kernel.h"
#include "signals.h"

extern char signal_trampoline[], __ro_end[], __bss_end[];
extern uint64_t xsave_bytes;

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

/* The image's own data is always there (and in a Linux process not in the page tables). */
static int is_image_data(uint64_t address)
{
	return address >= (uint64_t)__ro_end && address < (uint64_t)__bss_end;
}

/* Make sure that this part of the stack is there; nothing may be missing when it is written to. */
static int back(uint64_t start, uint64_t end)
{
	for (uint64_t page = start & -PAGE_SIZE; page < end; page += PAGE_SIZE)
		while (!is_image_data(page) && !mm_writable(page))
			if (mm_fault(page, 2))
				return 0;
	return 1;
}

static int on_alt_stack(const struct thread *thread, uint64_t rsp)
{
	return rsp - thread->sig.alt_start <= thread->sig.alt_bytes && thread->sig.alt_bytes;
}

/*
 * Let the thread, whose registers are in thread->regs, continue in the handler of signal n. Masked.
 * Returns 0 when there is no stack for it.
 */
int signal_enter(struct thread *thread, int n, const siginfo_t *info, uint64_t old_mask)
{
	const struct kernel_sigaction *action = signal_action_of(n);
	struct regs *regs = &thread->regs;
	uint64_t top = regs->rsp - 128, xsave, lowest = 0;
	struct signal_frame *frame;

	if (action->flags & SA_ONSTACK && thread->sig.alt_bytes) {
		if (!on_alt_stack(thread, regs->rsp))
			top = thread->sig.alt_start + thread->sig.alt_bytes;
		lowest = thread->sig.alt_start;
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
	frame->context.uc_mcontext.gregs[REG_OLDMASK] = (greg_t)old_mask;
	frame->context.uc_mcontext.fpregs = (fpregset_t)xsave;
	frame->context.uc_stack.ss_sp = (void *)thread->sig.alt_start;
	frame->context.uc_stack.ss_size = thread->sig.alt_bytes;
	frame->context.uc_stack.ss_flags = !thread->sig.alt_bytes	     ? SS_DISABLE
					   : on_alt_stack(thread, regs->rsp) ? SS_ONSTACK
									     : 0;
	memcpy(&frame->context.uc_sigmask, &old_mask, 8);
	thread->nosig = 0;
	regs->rip = (uint64_t)signal_trampoline;
	regs->rbx = (uint64_t)frame;
	regs->r12 = (uint64_t)action->handler;
	regs->r13 = xsave;
	regs->rsp = xsave;
	regs->rdi = (uint64_t)n;
	regs->rsi = (uint64_t)&frame->info;
	regs->rdx = (uint64_t)&frame->context;
	regs->rflags = 0x202;
	signal_entered(n);
	return 1;
}

/* A handler is back: go on as its frame says. Called by the trampoline, masked. */
void signal_return(const struct signal_frame *frame);
void signal_return(const struct signal_frame *frame)
{
	struct thread *self = this_thread();
	uint64_t before;

	for (uint32_t i = 0; i < GREGS; i++)
		*reg(&self->regs, i) = (uint64_t)frame->context.uc_mcontext.gregs[gregs_of[i][1]];
	memcpy(&before, &frame->context.uc_sigmask, 8);
	signal_set_mask(before);
	self->nosig = frame->nosig;
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
	case VECTOR_MACHINE:
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
	const void *handler = (const void *)signal_action_of(n)->handler;
	struct signal_frame *frame;
	siginfo_t info;

	if (handler == (void *)SIG_DFL || handler == (void *)SIG_IGN ||
	    thread->sig.mask >> (n - 1) & 1)
		return 0;
	memset(&info, 0, sizeof(info));
	info.si_signo = n;
	info.si_code = code;
	if (vector == VECTOR_PAGE)
		info.si_addr = (void *)address;
	else if (code != SI_KERNEL)
		info.si_addr = (void *)thread->regs.rip;
	if (!signal_enter(thread, n, &info, thread->sig.mask))
		return 0;
	frame = (struct signal_frame *)thread->regs.rbx;
	frame->context.uc_mcontext.gregs[REG_TRAPNO] = (greg_t)vector;
	frame->context.uc_mcontext.gregs[REG_ERR] = (greg_t)error;
	frame->context.uc_mcontext.gregs[REG_CR2] = (greg_t)address;
	return 1;
}
