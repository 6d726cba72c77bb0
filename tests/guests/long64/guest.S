/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* 64-bit ring 0: the registers of the entry state, 64-bit arithmetic and MMIO, CPUID, an exception. */
#include "guest.inc"

	.code64
	.globl	start
start:	cmp	$0x12340, %rsi		/* Linux: the zero page */
	jne	bad
	mov	%cs, %ax
	cmp	$SEL_CODE, %ax
	jne	bad
	mov	%ds, %ax
	cmp	$SEL_DATA, %ax
	jne	bad
	mov	$STACK_TOP, %rsp
	load_descriptor_tables

	movabs	$0x123456789abcdef0, %rax
	mov	%rax, 0x300000
	mov	0x300000, %rbx
	cmp	%rax, %rbx
	jne	bad
	mov	$0xd0000008, %edi	/* 8 bytes in one MMIO access */
	mov	%rax, (%rdi)
	mov	(%rdi), %rbx
	cmp	%rax, %rbx
	jne	bad

	mov	$1, %eax		/* a hypervisor, and which */
	cpuid
	bt	$31, %ecx
	jnc	bad
	mov	$0x40000000, %eax
	cpuid
	cmp	$0x4b4d564b, %ebx	/* "KVMK" */
	jne	bad

	mov	$0xe9, %dx		/* nobody is there: all ones */
	in	%dx, %al
	cmp	$0xff, %al
	jne	bad

	xor	%r15d, %r15d
	ud2
	cmp	$6, %r15
	jne	bad

	mov	$text, %esi
	mov	$text_end - text, %ecx
	mov	$PORT_PUT, %dx
	cld
	rep outsb
	end	64
bad:	end	1

invalid:
	mov	$6, %r15d
	addq	$2, (%rsp)		/* behind the ud2 */
	iretq

text:	.ascii	"long mode"
text_end:
	descriptor_tables
	.balign	16
idt:	.org	idt + 6 * 16
	gate	invalid
idt_end:
