/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Rings doorbells: a port that is matched by value, an MMIO register of any width. */
#include "guest.inc"

	.code64
	.globl	start
start:	mov	$0x500, %dx
	mov	$0x1234, %ax
	out	%ax, %dx		/* caught in the kernel */
	out	%ax, %dx
	mov	$0x1235, %ax
	out	%ax, %dx		/* another value: an exit */
	mov	$0xd0001000, %edi
	movl	$1, (%rdi)		/* caught */
	movb	$1, (%rdi)		/* caught */
	turn				/* the test detaches them */
	mov	$0x500, %dx
	mov	$0x1234, %ax
	out	%ax, %dx		/* an exit now */
	end	7
