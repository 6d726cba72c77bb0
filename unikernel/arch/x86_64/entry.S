/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Ring 3: where the shim continues a thread that an interrupt, a fault or a `syscall` instruction
 * stopped, and the way back. No privileged instruction, and no touch of the thread's own stack,
 * which may be not backed yet: registers are pushed into its struct thread instead.
 */
#include <skete/abi/tender.h>

#include "layout.h"

	.text
	.macro save_regs	/* rsp: the top of a struct regs; leaves rsp at its bottom */
	pushq %gs:CPU_UP_RSP
	pushq %gs:CPU_UP_RFLAGS
	push %rax
	push %rcx
	push %rdx
	push %rbx
	push %rbp
	push %rsi
	push %rdi
	push %r8
	push %r9
	push %r10
	push %r11
	push %r12
	push %r13
	push %r14
	push %r15
	pushq %gs:CPU_UP_RIP
	cld
	.endm

	.macro restore_regs	/* rsp: behind the rip of a struct regs */
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rbp
	pop %rbx
	pop %rdx
	pop %rcx
	pop %rax
	popfq
	pop %rsp
	.endm

	.globl upcall_entry, upcall_restart, exit_window, exit_window_end
upcall_entry:	/* an interrupt; the mask is set */
	mov %gs:CPU_REGS_TOP, %rsp
	save_regs
	lea exit_window_end(%rip), %rax
	cmp %rax, (%rsp)
	jne 1f
	mov %gs:CPU_RESUME_RIP, %rax	/* it had just been resumed: finish that */
	mov %rax, (%rsp)
	jmp upcall_restart
1:	lea step_now(%rip), %rax
	cmp %rax, (%rsp)
	jne upcall_restart
	mov %gs:CPU_UP_RSP, %rax	/* it was about to be: the frame of iretq says where */
	mov (%rax), %rcx
	mov %rcx, REGS_RIP(%rsp)
	mov 16(%rax), %rcx
	mov %rcx, REGS_RFLAGS(%rsp)
	mov 24(%rax), %rcx
	mov %rcx, REGS_RSP(%rsp)
upcall_restart:
	mov %gs:CPU_STACK_TOP, %rsp
	call upcall_c			/* may resume another thread instead of returning */
	mov %rax, %rdi
resume_full:	/* rdi: struct regs */
	testl $RFLAGS_TF, REGS_RFLAGS(%rdi)
	jnz step_program
	mov REGS_RIP(%rdi), %rax
	mov %rax, %gs:CPU_RESUME_RIP
exit_window:	/* an interrupt from here on restarts above, so that none is left pending */
	cmpl $0, %gs:CPU_PENDING
	jne upcall_restart
	lea 8(%rdi), %rsp
	restore_regs
	movl $0, %gs:CPU_MASK
exit_window_end:
	jmp *%gs:CPU_RESUME_RIP

	/*
	 * To code that is stepped through (rdi: struct regs): popfq would stop behind its own next
	 * instruction, iretq stops behind the first one there.
	 */
	.macro step_frame stack
	mov %gs:\stack, %rsp
	mov %ss, %eax
	push %rax
	pushq REGS_RSP(%rdi)
	pushq REGS_RFLAGS(%rdi)
	mov %cs, %eax
	push %rax
	pushq REGS_RIP(%rdi)
	mov 8(%rdi), %r15
	mov 16(%rdi), %r14
	mov 24(%rdi), %r13
	mov 32(%rdi), %r12
	mov 40(%rdi), %r11
	mov 48(%rdi), %r10
	mov 56(%rdi), %r9
	mov 64(%rdi), %r8
	mov 80(%rdi), %rsi
	mov 88(%rdi), %rbp
	mov 96(%rdi), %rbx
	mov 104(%rdi), %rdx
	mov 112(%rdi), %rcx
	mov 120(%rdi), %rax
	mov 72(%rdi), %rdi
	.endm
step_program:
	step_frame CPU_STACK_TOP
	movl $0, %gs:CPU_MASK
step_now:
	iretq
step_kernel:	/* still masked */
	step_frame CPU_FAULT_STACK
	iretq

	.globl fault_entry
fault_entry:	/* an exception; the mask is set, its former value is in fault_mask */
	cmpl $0, %gs:CPU_IN_FAULT
	jne 3f
	cmpl $0, %gs:CPU_FAULT_MASK
	jne 1f
	mov %gs:CPU_REGS_TOP, %rsp
	jmp 2f
1:	mov %gs:CPU_NESTED_TOP, %rsp
2:	save_regs
	mov %rsp, %rdi
	mov %rsp, %rbx
	movl $1, %gs:CPU_IN_FAULT
	mov %gs:CPU_FAULT_STACK, %rsp
	call fault_c
	movl $0, %gs:CPU_IN_FAULT
	cmpl $0, %gs:CPU_FAULT_MASK
	je upcall_restart
	mov %rbx, %rdi
	testl $RFLAGS_TF, REGS_RFLAGS(%rbx)
	jnz step_kernel
	mov REGS_RIP(%rbx), %rax	/* the kernel, masked: back to it, still masked */
	mov %rax, %gs:CPU_NESTED_RIP
	lea 8(%rbx), %rsp
	restore_regs
	jmp *%gs:CPU_NESTED_RIP
3:	mov %gs:CPU_STACK_TOP, %rsp
	call fault_twice

	.globl syscall_entry
syscall_entry:	/* a `syscall` instruction: number in rax, return address in rcx, flags in r11 */
	lea -128(%rsp), %rsp
	push %rbp
	mov %rsp, %rbp
	push %r11
	push %rcx
	push %rdi
	push %rsi
	push %rdx
	push %r10
	push %r8
	push %r9
	sub xsave_bytes(%rip), %rsp	/* the vector registers survive a system call */
	and $-64, %rsp
	mov %rax, %r11
	mov %rdx, %r10
	xor %eax, %eax
	.irp offset, 0, 8, 16, 24, 32, 40, 48, 56
	mov %rax, 512 + \offset(%rsp)
	.endr
	mov $XSAVE_MASK, %eax
	xor %edx, %edx
	xsave64 (%rsp)
	mov %r10, %rdx
	mov -48(%rbp), %rcx
	sub $16, %rsp
	mov %r11, (%rsp)
	call __skete_syscall
	mov %rax, (%rsp)
	call poll_pending
	mov (%rsp), %r11
	mov $XSAVE_MASK, %eax
	xor %edx, %edx
	xrstor64 16(%rsp)
	mov %r11, %rax
	mov -64(%rbp), %r9
	mov -56(%rbp), %r8
	mov -48(%rbp), %r10
	mov -40(%rbp), %rdx
	mov -32(%rbp), %rsi
	mov -24(%rbp), %rdi
	mov -16(%rbp), %rcx
	mov -8(%rbp), %r11
	mov %rbp, %rsp
	pop %rbp
	lea 128(%rsp), %rsp
	jmp *%rcx

	.globl ap_start
ap_start:	/* a CPU that has just come up; rdi: its index; masked by the shim */
	mov %edi, %eax
	shl $10, %rax
	lea cpus(%rip), %rdi
	add %rax, %rdi
	mov CPU_NESTED_RIP(%rdi), %rsp	/* where its starter left the stack of its idle thread */
	call ap_main

	.globl process_entry, process_cpu_entry
process_entry:	/* a process, from the tender; rdi: its information */
	lea boot_stack_top(%rip), %rsp
	call process_start
process_cpu_entry:	/* another CPU of it; rdi: its index; masked by process_start */
	jmp ap_start

	.globl process_call
process_call:	/* a system call of Linux's: number, six arguments */
	mov %rdi, %rax
	mov %rsi, %rdi
	mov %rdx, %rsi
	mov %rcx, %rdx
	mov %r8, %r10
	mov %r9, %r8
	mov 8(%rsp), %r9
	jmp *process_gate(%rip)

	.globl sched_switch_asm, sched_resume
sched_switch_asm:	/* rdi: the thread that stops here, rsi: the next one */
	push %rbp
	push %rbx
	push %r12
	push %r13
	push %r14
	push %r15
	sub $8, %rsp
	stmxcsr (%rsp)
	fnstcw 4(%rsp)
	mov 4(%rsp), %eax		/* an x87 exception that waits must not hit the next thread */
	not %eax
	test $0x3f, %al
	jz 1f
	fnclex
1:	mov %rsp, THREAD_KSP(%rdi)
	movl $0, THREAD_FULL(%rdi)
	rdfsbase %rax
	mov %rax, THREAD_FS(%rdi)
	xchg %rdi, %rsi
sched_resume:	/* rdi: the next thread, rsi: the one whose stack is left now, or 0 */
	mov THREAD_FS(%rdi), %rax
	wrfsbase %rax
	cmpl $0, THREAD_FULL(%rdi)
	jne 2f
	mov THREAD_KSP(%rdi), %rsp
	test %rsi, %rsi
	jz 1f
	movl $0, THREAD_ON_CPU(%rsi)
1:	ldmxcsr (%rsp)
	fldcw 4(%rsp)
	add $8, %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbx
	pop %rbp
	ret
2:	mov %gs:CPU_STACK_TOP, %rsp
	test %rsi, %rsi
	jz 3f
	movl $0, THREAD_ON_CPU(%rsi)
3:	mov THREAD_XSAVE(%rdi), %rcx
	mov $XSAVE_MASK, %eax
	xor %edx, %edx
	xrstor64 (%rcx)
	lea THREAD_REGS(%rdi), %rdi
	jmp resume_full

	.globl call_on_cpu_stack
call_on_cpu_stack:	/* rdi: function, rsi: its argument */
	push %rbp
	mov %rsp, %rbp
	mov %rdi, %rax
	mov %rsi, %rdi
	mov %gs:CPU_STACK_TOP, %rsp
	call *%rax
	mov %rbp, %rsp
	pop %rbp
	ret

	.globl __skete_unmap_exit
__skete_unmap_exit:	/* unmap the caller's own stack (rdi, rsi) and end the thread */
	movl $1, %gs:CPU_MASK
	mov %gs:CPU_STACK_TOP, %rsp
	call thread_unmap_exit

	.globl thread_exit_switch
thread_exit_switch:	/* end the thread: off its stack first */
	movl $1, %gs:CPU_MASK
	mov %gs:CPU_STACK_TOP, %rsp
	call thread_leave

	/*
	 * Where a thread goes on that has a handler to run. rdi, rsi, rdx: the handler's arguments,
	 * r12: the handler, r13: room for the vector registers, also the stack pointer; rbx: struct
	 * signal_frame. Afterwards the thread continues as the frame then says.
	 */
	.globl signal_trampoline
signal_trampoline:
	mov %rdx, %r14
	xor %eax, %eax
	.irp offset, 0, 8, 16, 24, 32, 40, 48, 56
	mov %rax, 512 + \offset(%r13)
	.endr
	mov $XSAVE_MASK, %eax
	xor %edx, %edx
	xsave64 (%r13)
	mov %r14, %rdx
	fninit				/* as Linux: a handler starts with a clean x87 and MXCSR */
	push $0x1f80
	ldmxcsr (%rsp)
	add $8, %rsp
	call *%r12
	mov $XSAVE_MASK, %eax
	xor %edx, %edx
	xrstor64 (%r13)
	movl $1, %gs:CPU_MASK
	mov %gs:CPU_STACK_TOP, %rsp
	mov %rbx, %rdi
	call signal_return
	jmp upcall_restart

	.globl thread_first
thread_first:	/* the first code of a new thread: rdi: function, rsi: argument */
	mov %rdi, %rax
	mov %rsi, %rdi
	xor %ebp, %ebp
	call *%rax
	mov %eax, %edi
	call sys_exit

	.globl user_start
user_start:	/* the first code of the program, on its own stack: argc, argv ... */
	mov %rsp, %rdi
	xor %ebp, %ebp
	and $-16, %rsp
	call program_start

	/*
	 * System calls are function calls with the number in a seventh argument, on the stack. Those
	 * that sleep, take locks or may be restarted run with THREAD_NOSIG set: a signal then waits
	 * for the end of the call. Their entries in the table are odd.
	 *
	 * In a cancellation point (see toolchain/musl) the registers hold musl's arguments: the
	 * address of the flag, the number, and the six of the call, two of them on the stack.
	 */
	.macro save_call
	push %r9
	push %r8
	push %rcx
	push %rdx
	push %rsi
	push %rdi
	.endm

	.macro end_call restart	/* r11: the function */
	push %rax
	call *%r11
	pop %rdx
	cmpl $0, THREAD_SIGNALED(%rdx)
	jne 9f
	movl $0, THREAD_NOSIG(%rdx)
	cmpl $0, THREAD_SIGNALED(%rdx)	/* one that came in between was not delivered */
	jne 9f
	add $48, %rsp
	ret
9:	lea \restart(%rip), %r10
	jmp end_signaled
	.endm

	.globl __skete_syscall, __skete_syscall_cp, syscall_table
__skete_syscall:
	mov 8(%rsp), %r10
	cmp $SYSCALL_COUNT, %r10
	jae 1f
	mov syscall_functions(%rip), %r11
	mov (%r11, %r10, 8), %r11
	test $TABLE_GUARDED, %r11b
	jz 2f
	dec %r11
	save_call
	mov %gs:CPU_CURRENT, %rax
	movl $1, THREAD_NOSIG(%rax)
	end_call __skete_syscall
1:	lea sys_missing(%rip), %r11
2:	jmp *%r11

__skete_syscall_cp:	/* THREAD_NOSIG is set already */
	save_call
	lea sys_missing(%rip), %r11
	mov %rsi, %r10
	cmp $SYSCALL_COUNT, %r10
	jae 1f
	mov syscall_functions(%rip), %r11
	mov (%r11, %r10, 8), %r11
	and $-2, %r11
1:	mov %rdx, %rdi
	mov %rcx, %rsi
	mov %r8, %rdx
	mov %r9, %rcx
	mov 56(%rsp), %r8
	mov 64(%rsp), %r9
	mov %gs:CPU_CURRENT, %rax
	end_call __cp_begin

	/*
	 * As if an interrupt had come right behind the call. rax: its result, rdx: the thread, r10:
	 * where it starts anew; at rsp its arguments, then its return address.
	 */
end_signaled:
	movl $1, %gs:CPU_MASK
	movl $0, THREAD_NOSIG(%rdx)
	movl $1, THREAD_AT_CALL_END(%rdx)
	mov %rsp, %r11
	mov 48(%rsp), %rdx
	mov %rdx, %gs:CPU_UP_RIP
	pushfq
	popq %gs:CPU_UP_RFLAGS
	lea 56(%r11), %rdx
	mov %rdx, %gs:CPU_UP_RSP
	mov %gs:CPU_REGS_TOP, %rsp
	save_regs
	jmp upcall_restart

	.balign 16
	.globl sys_traced
sys_traced:	/* the function of every number while calls are traced; r10: the number */
	push %r9
	push %r8
	push %rcx
	push %rdx
	push %rsi
	push %rdi
	mov %rsp, %rdi
	mov %r10, %rsi
	sub $8, %rsp
	call trace_call
	add $56, %rsp
	ret

	.balign 16
	.globl sys_missing
sys_missing:	/* the function of every number that has no other; r10: the number */
	mov %r10, %rdi
	jmp sys_unknown

	.section .note.skete, "a", @note	/* skete/abi/tender.h */
	.balign 4
	.long 6, 36, SK_TENDER_NOTE
	.asciz "Skete"
	.balign 4
	.long SK_TENDER_VERSION
	.long __image_start - ., __text_start - ., __text_end - ., __ro_end - ., __image_end - .
	.long process_entry - ., process_cpu_entry - ., process_signal - .

	.section .note.GNU-stack, "", @progbits
