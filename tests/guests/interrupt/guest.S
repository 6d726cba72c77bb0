/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Takes three interrupts, asking the test for each. rdi 1: line 5 of the PIC; 2: messages to the
 * local APIC, vector 0x31; 3: an NMI.
 */
#include "guest.inc"

	.code64
	.globl	start
start:	mov	$STACK_TOP, %rsp
	mov	%rdi, %r12
	load_descriptor_tables
	cmp	$2, %r12
	je	1f
	init_pic 0xdf
	jmp	2f
1:	enable_x2apic
2:	xor	%ebx, %ebx

	/* Interrupts open only together with the halt, so that none is lost in between. */
next:	cli
	mov	%ebx, %ebp
	turn
wait:	cmp	%ebp, %ebx
	jne	came
	sti
	hlt
	cli
	jmp	wait
came:	cmp	$3, %ebx
	jne	next
	end	5

line5:	push	%rax
	push	%rdx
	inc	%ebx
	put	'i'
	mov	$0x20, %al
	out	%al, $0x20
	pop	%rdx
	pop	%rax
	iretq

message:
	push	%rax
	push	%rcx
	push	%rdx
	inc	%ebx
	put	'm'
	set_msr	0x80b, 0		/* end of interrupt */
	pop	%rdx
	pop	%rcx
	pop	%rax
	iretq

nmi:	push	%rax
	push	%rdx
	inc	%ebx
	put	'n'
	pop	%rdx
	pop	%rax
	iretq

	descriptor_tables
	.balign	16
idt:	.org	idt + 2 * 16
	gate	nmi
	.org	idt + 0x25 * 16
	gate	line5
	.org	idt + 0x31 * 16
	gate	message
idt_end:
