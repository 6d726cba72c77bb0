/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Takes five timer interrupts. rdi 1: the PIT; 2: TSC deadline; 3: the local APIC, periodic. */
#include "guest.inc"

	.code64
	.globl	start
start:	mov	$STACK_TOP, %rsp
	load_descriptor_tables
	xor	%ebx, %ebx
	cmp	$1, %rdi
	je	use_pit
	enable_x2apic
	cmp	$3, %rdi
	je	use_periodic
	mov	$1, %eax
	cpuid
	xor	%ebx, %ebx
	bt	$24, %ecx
	jc	1f
	end	77			/* no TSC deadline: the test fails */
1:	set_msr	0x832, 0x40030
	mfence
	arm_deadline 1000000
	jmp	wait
use_periodic:
	set_msr	0x83e, 0xb		/* divide by 1: 1 GHz */
	set_msr	0x832, 0x20031
	set_msr	0x838, 1000000
	jmp	wait
use_pit:
	init_pic 0xfe
	mov	$0x34, %al		/* channel 0, mode 2, 100 Hz */
	out	%al, $0x43
	mov	$11932 & 0xff, %al
	out	%al, $0x40
	mov	$11932 >> 8, %al
	out	%al, $0x40

wait:	cli
	cmp	$5, %ebx
	jae	done
	sti
	hlt
	jmp	wait
done:	end	9

on_pit:	push	%rax
	push	%rdx
	inc	%ebx
	put	'p'
	mov	$0x20, %al
	out	%al, $0x20
	pop	%rdx
	pop	%rax
	iretq

on_deadline:
	push	%rax
	push	%rcx
	push	%rdx
	inc	%ebx
	put	'd'
	set_msr	0x80b, 0
	arm_deadline 1000000
	pop	%rdx
	pop	%rcx
	pop	%rax
	iretq

on_periodic:
	push	%rax
	push	%rcx
	push	%rdx
	inc	%ebx
	put	'a'
	set_msr	0x80b, 0
	pop	%rdx
	pop	%rcx
	pop	%rax
	iretq

	descriptor_tables
	.balign	16
idt:	.org	idt + 0x20 * 16
	gate	on_pit
	.org	idt + 0x30 * 16
	gate	on_deadline
	gate	on_periodic
idt_end:
