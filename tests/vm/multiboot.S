/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * A multiboot kernel (Multiboot 0.6.96): prints what the boot loader told it, a line each, and ends
 * with status 42, or with 1 if it was not entered as the specification says.
 *
 *   loader NAME / line COMMAND-LINE / module STRING=CONTENT / ram SUM-OF-THE-MAP-IN-KIB (hex)
 */
	.set	FLAGS, 0x3		/* modules aligned, memory information wanted */
	.section .multiboot, "a"	/* the first section of the file */
	.balign	4
	.long	0x1badb002, FLAGS, -(0x1badb002 + FLAGS)

	.text
	.code32
	.globl	start
start:
	cld
	mov	$stack_top, %esp
	cmp	$0x2badb002, %eax
	jne	bad
	mov	(%ebx), %eax		/* flags: memory, command line, modules, map, name */
	and	$0x24d, %eax
	cmp	$0x24d, %eax
	jne	bad

	mov	$loader_is, %esi
	call	print
	mov	64(%ebx), %esi
	call	print
	mov	$line_is, %esi
	call	print
	mov	16(%ebx), %esi
	call	print

	cmpl	$1, 20(%ebx)		/* mods_count */
	jne	bad
	mov	$module_is, %esi
	call	print
	mov	24(%ebx), %ebp		/* mods_addr */
	mov	8(%ebp), %esi
	call	print
	mov	$'=', %al
	call	put
	mov	(%ebp), %esi
1:	cmp	4(%ebp), %esi
	jae	2f
	lodsb
	call	put
	jmp	1b
2:
	mov	$ram_is, %esi
	call	print
	xor	%edi, %edi		/* the sum, in KiB */
	mov	48(%ebx), %esi		/* mmap_addr; mmap_length at 44 */
	mov	44(%ebx), %ecx
	add	%esi, %ecx
3:	cmp	%ecx, %esi
	jae	5f
	cmpl	$1, 20(%esi)		/* type: RAM */
	jne	4f
	mov	12(%esi), %eax		/* length, less than 4 GiB here */
	shr	$10, %eax
	add	%eax, %edi
4:	add	(%esi), %esi
	add	$4, %esi
	jmp	3b
5:	mov	$8, %ecx
6:	rol	$4, %edi
	mov	%edi, %eax
	and	$15, %eax
	mov	digits(%eax), %al
	call	put
	loop	6b
	mov	$'\n', %al
	call	put
	mov	$42, %eax
	jmp	end

bad:
	mov	$1, %eax
end:
	mov	$0x0e00, %dx
	out	%eax, %dx
	cli
	hlt

print:					/* the string at %esi */
	lodsb
	test	%al, %al
	jz	1f
	call	put
	jmp	print
1:	ret

put:
	push	%edx
	mov	$0x3f8, %dx
	out	%al, %dx
	pop	%edx
	ret

	.data
loader_is: .asciz "loader "
line_is: .asciz "\nline "
module_is: .asciz "\nmodule "
ram_is:	.asciz "\nram "
digits:	.ascii "0123456789abcdef"

	.bss
	.skip	1024
stack_top:
