/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * 64-bit ring 3: entered by iretq, asks ring 0 by hlt, whose #GP is the request (rax 1: put dil,
 * 2: end with dil), makes a syscall, and is protected: privileged and invalid instructions and a
 * bad address become exceptions. The text says in which ring the syscall's handler ran.
 */
#include "guest.inc"

	.code64
	.globl	start
start:	mov	$STACK_TOP, %rsp
	load_descriptor_tables
	open_to_ring3
	mov	%cr4, %rax		/* OSFXSR: SSE */
	or	$0x600, %rax
	mov	%rax, %cr4
	enable_syscall from_syscall
	xor	%r14d, %r14d
	enter_ring3 user, 2

user:	mov	%cs, %ax
	and	$3, %eax
	cmp	$3, %eax
	jne	bad
	mov	$10000000, %ecx
1:	dec	%ecx
	jnz	1b

	movabs	$0x1122334455667788, %rbx
	movq	%rbx, %xmm7
	mov	$0x77, %r13d
	syscall
	movq	%xmm7, %rdx
	cmp	%rbx, %rdx
	jne	bad
	lea	'0'(%r13), %edi
	call	put

	xor	%r15d, %r15d
	mov	$2f, %r14d
	ud2
2:	cmp	$6, %r15
	jne	bad
	mov	$3f, %r14d
	mov	%rax, %cr3
3:	cmp	$13, %r15
	jne	bad
	mov	$4f, %r14d
	mov	0x40000000, %eax	/* mapped for ring 0 only */
4:	cmp	$14, %r15
	jne	bad

	xor	%r14d, %r14d
	mov	$'u', %edi
	call	put
	mov	$3, %edi
	mov	$2, %eax
	hlt
bad:	xor	%r14d, %r14d
	mov	$1, %edi
	mov	$2, %eax
	hlt
	jmp	bad

put:	mov	$1, %eax
	hlt
	ret

/* Leaves its privilege level in r13. Nothing here needs ring 0, see the text above. */
from_syscall:
	mov	%cs, %r13d
	and	$3, %r13d
	mov	%rsp, user_rsp
	mov	$STACK_TOP, %esp
	pushq	$SEL_UDATA
	pushq	user_rsp
	push	%r11
	pushq	$SEL_UCODE
	push	%rcx
	iretq

/* An exception's number goes to r15; ring 3 continues at r14. With r14 = 0, #GP is a request. */
invalid:
	mov	$6, %r15d
	mov	%r14, (%rsp)
	iretq
protection:
	test	%r14, %r14
	jz	request
	mov	$13, %r15d
	jmp	1f
page_fault:
	mov	$14, %r15d
1:	add	$8, %rsp		/* the error code */
	mov	%r14, (%rsp)
	iretq
request:
	add	$8, %rsp
	incq	(%rsp)			/* behind the hlt */
	cmp	$2, %eax
	mov	%edi, %eax
	je	1f
	mov	$PORT_PUT, %edx
	out	%al, %dx
	iretq
1:	out	%al, $PORT_END

	.balign	8
user_rsp:
	.quad	0
	descriptor_tables
	.balign	16
idt:	.org	idt + 6 * 16
	gate	invalid
	.org	idt + 13 * 16
	gate	protection
	gate	page_fault
idt_end:
