/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * The code that stays when everything else of the monitor is gone from the process. It is copied
 * to the stage, so it refers to nothing outside of itself.
 */
#include <asm/unistd.h>

#define FUTEX_WAIT_PRIVATE 128

	.section .rodata
	.balign 16
	.globl tender_code, tender_code_end
	.globl tender_gate, tender_gate_after, tender_restore, tender_restore_after
	.globl tender_wait, tender_leave
	.hidden tender_code, tender_code_end
	.hidden tender_gate, tender_gate_after, tender_restore, tender_restore_after
	.hidden tender_wait, tender_leave
tender_code:

tender_gate:	/* a function for the image: number in rax, arguments as the kernel takes them */
	syscall
tender_gate_after:
	ret

	.balign 16
tender_restore:	/* where the kernel lets signal handlers return to */
	mov $__NR_rt_sigreturn, %eax
	syscall
tender_restore_after:
	hlt

	.balign 16
tender_wait:	/* a new thread; its struct tender_cpu_start is at rsp */
	mov %rsp, %rbx
	mov %rbx, %rdi
	xor %esi, %esi
	mov $__NR_sigaltstack, %eax
	syscall
	test %rax, %rax
	jnz failed
	mov 32(%rbx), %rax
	lock incq (%rax)
1:	mov 24(%rbx), %rdi
	mov $FUTEX_WAIT_PRIVATE, %esi
	xor %edx, %edx
	xor %r10d, %r10d
	mov $__NR_futex, %eax
	call tender_gate
	mov 24(%rbx), %rdi
	cmpl $0, (%rdi)
	je 1b
	mov 40(%rbx), %rax
	mov 48(%rbx), %edi
	jmp enter

	.balign 16
tender_leave:	/* steps in rdi, their number in rsi, entry in rdx, its argument in rcx; rsp: the stage */
	mov %rdi, %rbx
	mov %rsi, %rbp
	mov %rdx, %r12
	mov %rcx, %r13
2:	test %rbp, %rbp
	jz 3f
	mov (%rbx), %rax
	mov 8(%rbx), %rdi
	mov 16(%rbx), %rsi
	mov 24(%rbx), %rdx
	mov 32(%rbx), %r10
	mov 40(%rbx), %r8
	mov 48(%rbx), %r9
	syscall
	cmp $-4096, %rax
	ja failed
	add $56, %rbx
	dec %rbp
	jmp 2b
3:	mov %r12, %rax
	mov %r13, %rdi
enter:	/* leave nothing of the tender in registers but rdi */
	xor %ebx, %ebx
	xor %ecx, %ecx
	xor %edx, %edx
	xor %esi, %esi
	xor %ebp, %ebp
	xor %r8d, %r8d
	xor %r9d, %r9d
	xor %r10d, %r10d
	xor %r11d, %r11d
	xor %r12d, %r12d
	xor %r13d, %r13d
	xor %r14d, %r14d
	xor %r15d, %r15d
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	pxor %xmm\n, %xmm\n
	.endr
	wrfsbase %rbx
	wrgsbase %rbx
	jmp *%rax

failed:
	mov $2, %edi
	lea message(%rip), %rsi
	mov $message_end - message, %edx
	mov $__NR_write, %eax
	syscall
	mov $125, %edi
	mov $__NR_exit_group, %eax
	syscall
	hlt
message:
	.ascii "skete: the process cannot be closed: Linux refused one of the last steps\n"
message_end:
tender_code_end:

	.section .note.GNU-stack, "", @progbits
