/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* 32-bit protected mode without paging: the registers of the entry state, flat memory, MMIO. */
#include "guest.inc"

	.code32
	.globl	start
start:	cmp	$0x2badb002, %eax	/* as multiboot enters */
	jne	bad
	cmp	$0x00012340, %ebx
	jne	bad
	cmp	$0x5678, %esi
	jne	bad
	mov	%cr0, %eax		/* protected mode on, paging off */
	and	$0x80000001, %eax
	cmp	$1, %eax
	jne	bad
	str	%ax			/* PVH: the task register is loaded */
	test	%ax, %ax
	je	bad

	mov	$0x70000, %esp
	movl	$0xcafe, 0x300000	/* far beyond any 16-bit segment */
	push	0x300000
	pop	%edx
	cmp	$0xcafe, %edx
	jne	bad

	movl	$0x11223344, 0xd0000000	/* the test's device: what is written is read back */
	mov	0xd0000000, %eax
	cmp	$0x11223344, %eax
	jne	bad
	movb	$0x55, 0xd0000004
	movzbl	0xd0000004, %eax
	cmp	$0x55, %eax
	jne	bad

	mov	$SEL_DATA, %ax		/* the descriptors are in memory too: reload them */
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	ljmp	$SEL_CODE, $1f
1:	put	'o'
	put	'k'
	end	32
bad:	end	1
