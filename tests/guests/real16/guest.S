/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* 16-bit real mode: segments, a loop, a software interrupt, port input, string output. */
#include "guest.inc"

	.code16
	.globl	start
start:	ljmp	$0x800, $here - start	/* the same place by another segment */
here:	mov	%cs, %ax
	cmp	$0x800, %ax
	jne	bad
	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %ss
	mov	$0x7000, %sp

	mov	$100, %cx		/* 1 + ... + 100 */
	xor	%bx, %bx
1:	add	%cx, %bx
	loop	1b
	cmp	$5050, %bx
	jne	bad

	movw	$handler, 0x40 * 4	/* the interrupt table is at 0 */
	movw	$0, 0x40 * 4 + 2
	int	$0x40
	cmp	$0x1234, %bx
	jne	bad

	in	$0x60, %al		/* the test answers 0x5a */
	cmp	$0x5a, %al
	jne	bad

	cld
	mov	$text, %si
	mov	$text_end - text, %cx
	mov	$PORT_PUT, %dx
	rep outsb
	end	42
bad:	end	1

handler:
	mov	$0x1234, %bx
	iret

text:	.ascii	"real mode"
text_end:
