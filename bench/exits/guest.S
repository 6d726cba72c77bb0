/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Leaves the guest as often as it can, in four ways, and prints a line for each: its letter, the
 * TSC cycles of its best batch of BATCH exits and of all BATCHES of them, in hexadecimal.
 *
 *   O  write to the scratch register of the serial port    I  read of it
 *   W  write to the register select of the IOAPIC          R  read of it
 *   N  a move between registers instead: no exit, for comparison
 *
 * Entered by PVH, 32-bit. Ends at the debug exit port, which QEMU has as well.
 */
#define BATCH	 64
#define BATCHES	 300
#define SCRATCH	 0x3ff
#define IOREGSEL 0xfec00000

	.section .note, "a", @note
	.long	4, 4, 18		/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	start

	/* The batches of one way to leave: \exit is the instruction; %dx, %ebx, %ecx are its own. */
	.macro	measure letter, exit:vararg
	mov	$SCRATCH, %edx
	mov	$IOREGSEL, %ebx
	movl	$-1, best
	movl	$0, total
	movl	$0, total + 4
	movl	$BATCHES, left
1:	rdtsc
	mov	%eax, %esi
	mov	%edx, %edi
	mov	$SCRATCH, %edx
	mov	$0, %eax
	.rept	BATCH
	\exit
	.endr
	rdtsc
	sub	%esi, %eax
	sbb	%edi, %edx
	add	%eax, total
	adc	%edx, total + 4
	cmp	best, %eax
	jae	2f
	mov	%eax, best
2:	decl	left
	jnz	1b
	mov	$\letter, %al
	call	put
	mov	best, %esi
	call	put_hex
	mov	total + 4, %esi
	call	put_hex
	mov	total, %esi
	call	put_digits
	mov	$'\n', %al
	call	put
	.endm

	.text
	.code32
	.globl	start
start:
	cld
	mov	$stack_top, %esp
	measure	'N', mov %eax, %ecx
	measure	'O', out %al, %dx
	measure	'I', in %dx, %al
	measure	'W', movl $0, (%ebx)
	measure	'R', mov (%ebx), %ecx
	mov	$0x10, %al
	out	%al, $0xf4
1:	cli
	hlt
	jmp	1b

put_hex:				/* a blank and the eight digits of %esi */
	mov	$' ', %al
	call	put
put_digits:
	mov	$8, %ecx
1:	rol	$4, %esi
	mov	%esi, %eax
	and	$15, %eax
	mov	digits(%eax), %al
	call	put
	dec	%ecx
	jnz	1b
	ret

put:					/* %al to the serial port, when it has room */
	push	%eax
	mov	$0x3fd, %dx
1:	in	%dx, %al
	test	$0x20, %al		/* LSR.THRE */
	jz	1b
	pop	%eax
	mov	$0x3f8, %dx
	out	%al, %dx
	ret

	.data
digits:	.ascii	"0123456789abcdef"
best:	.long	0
left:	.long	0
total:	.quad	0

	.bss
	.skip	1024
stack_top:
