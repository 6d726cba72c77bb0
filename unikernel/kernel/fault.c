/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Exceptions: a missing page is filled in; anything else goes to the program's handler of the
 * signal. Without one it is the program's end, with one report and the status that a shell shows
 * for a process killed by the signal.
 */
#include <signal.h>
#include <skete/abi/debug.h>
#include <stdlib.h>

#include "../arch/x86_64/platform.h"
#include "../mm/mm.h"
#include "boot.h"
#include "kernel.h"
#include "signals.h"
#include "symbols.h"
#include "thread.h"

extern char __image_start[], __text_start[], __text_end[], __ro_end[], __bss_end[];
_Static_assert(sizeof(struct regs) == sizeof(struct sk_debug_regs) &&
		       offsetof(struct regs, rsp) == offsetof(struct sk_debug_regs, rsp),
	       "a debugger changes struct regs");

void fault_c(struct regs *regs);
_Noreturn void fault_twice(void);

static int is_text(uint64_t address)
{
	return address >= (uint64_t)__text_start && address < (uint64_t)__text_end;
}

/* `back` is 1 for a return address: the call before it may be the last thing in its function. */
static void frame(uint64_t rip, uint64_t back)
{
	uint64_t offset;
	const char *name = is_text(rip) ? symbol_name(rip - back, &offset) : NULL;

	if (name)
		kprintf("  %012lx %s+0x%lx\n", rip - boot.bias, name, offset + back);
	else
		kprintf("  %012lx\n", is_text(rip) ? rip - boot.bias : rip);
}

/*
 * Code is compiled without frame pointers, and is read here without unwind tables: what lies on the
 * stack and points behind a call instruction is taken for a return address. Some of it may be
 * stale.
 */
static void stack_trace(uint64_t rsp)
{
	int found = 0;

	rsp = (rsp + 7) & ~7ull;
	for (uint64_t at = rsp; at < rsp + 2048 && found < 12 && mm_present(at); at += 8) {
		uint64_t value = *(const uint64_t *)at;
		const uint8_t *code = (const uint8_t *)value;

		if (!is_text(value - 5) ||
		    !(code[-5] == 0xe8 || code[-2] == 0xff || code[-3] == 0xff))
			continue;
		frame(value, 1);
		found++;
	}
}

static const char *describe(uint64_t vector, uint64_t error, uint64_t address)
{
	const struct area *area = mm_area_of(address);

	switch (vector) {
	case VECTOR_DIVIDE:
		return "division error";
	case VECTOR_BREAKPOINT:
		return "breakpoint";
	case VECTOR_OPCODE:
		return "illegal instruction";
	case VECTOR_PROTECTION:
		return "privileged instruction or bad address";
	case VECTOR_PAGE:
		break;
	case VECTOR_FLOAT:
	case VECTOR_SIMD:
		return "floating-point exception";
	case VECTOR_STACK:
		return "bad stack address";
	case VECTOR_ALIGNMENT:
		return "misaligned access";
	case VECTOR_MACHINE:
		return "the host has no memory for a page";
	default:
		return "exception";
	}
	if (error & 16)
		return "execution of data";
	if (address < PAGE_SIZE)
		return "access through a null pointer";
	if (address >= (uint64_t)__image_start && address < (uint64_t)__ro_end)
		return error & 2 ? "write to the program's code or constants"
				 : "access to no memory";
	if (area && area->start <= address && !(area->prot & 3))
		return "access to a guard page (stack overflow?)";
	if (area && area->start <= address)
		return mm_is_short(area, error) ? "out of memory" : "write to read-only memory";
	return "access to no memory";
}

static void report(const struct regs *r, uint64_t vector, uint64_t error, uint64_t address)
{
	const struct thread *thread = this_thread();
	const char *access = error & 16 ? "execute" : error & 2 ? "write" : "read";

	kprintf("\nskete: %s: ", describe(vector, error, address));
	if (vector == VECTOR_PAGE)
		kprintf("%s of %012lx, ", access, address);
	kprintf("thread %u, CPU %u\n", thread->tid, this_cpu()->index);
	frame(r->rip, 0);
	stack_trace(r->rsp);
	kprintf("  rax %016lx rbx %016lx rcx %016lx\n  rdx %016lx rsi %016lx rdi %016lx\n", r->rax,
		r->rbx, r->rcx, r->rdx, r->rsi, r->rdi);
	kprintf("  rbp %016lx rsp %016lx r8  %016lx\n  r9  %016lx r10 %016lx r11 %016lx\n", r->rbp,
		r->rsp, r->r8, r->r9, r->r10, r->r11);
	kprintf("  r12 %016lx r13 %016lx r14 %016lx\n  r15 %016lx rip %016lx flags %lx\n", r->r12,
		r->r13, r->r14, r->r15, r->rip, r->rflags);
}

/* Ask who watches what to do. Returns whether to go on with the registers as they are now. */
static int ask_debugger(struct regs *regs, const struct cpu *cpu)
{
	struct sk_debug_stop stop = {.regs = (uint64_t)regs};
	int code;

	if (!boot.watched)
		return 0;
	stop.signal = (uint32_t)signal_of_fault(cpu->fault_vector, cpu->fault_error, cpu->fault_cr2,
						&code);
	platform->tell(SK_DEBUG_STOP, &stop);
	return *(volatile uint32_t *)&stop.is_handled != 0;
}

/* Masked, on the CPU's fault stack. */
void fault_c(struct regs *regs)
{
	static uint32_t reported;
	const struct cpu *cpu = this_cpu();
	int code;

	if (cpu->fault_vector == VECTOR_PAGE && mm_fault(cpu->fault_cr2, cpu->fault_error) == 0)
		return;
	if (ask_debugger(regs, cpu))
		return;
	if (!cpu->fault_mask &&
	    signal_fault(this_thread(), cpu->fault_vector, cpu->fault_error, cpu->fault_cr2))
		return;
	if (__atomic_exchange_n(&reported, 1, __ATOMIC_RELAXED))
		for (;;)
			cpu_relax(); /* another CPU reports, and ends the machine */
	report(regs, cpu->fault_vector, cpu->fault_error, cpu->fault_cr2);
	power_off(128 +
		  signal_of_fault(cpu->fault_vector, cpu->fault_error, cpu->fault_cr2, &code));
}

void fault_twice(void)
{
	const struct cpu *cpu = this_cpu();

	kprintf("\nskete: fault %lu at %lx in the fault handler (rip %lx)\n", cpu->fault_vector,
		cpu->fault_cr2, cpu->up_rip);
	power_off(128 + SIGSEGV);
}

void fatal(const char *what)
{
	kprintf("\nskete: %s\n", what);
	power_off(128 + SIGABRT);
}
