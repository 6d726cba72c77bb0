/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * A guest that does what its command line says, one letter after the other. 32-bit, entered by
 * PVH; it needs no memory beyond its image.
 *
 *   P  prints the command line and a newline      E  echoes input up to a newline
 *   F  floods the serial port: 64 KiB at once     W  waits: spins some 100,000 turns
 *   X  ends with status 42 at the exact port      D  writes 0x10 to the debug exit port
 *   O  powers off                                 R  resets by the keyboard controller
 *   S  spins for ever                             H  halts for ever
 *   T  triple fault
 */
	.section .note, "a", @note
	.long	4, 4, 18		/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	start

	.text
	.code32
	.globl	start
start:
	cld
	mov	$stack_top, %esp
	mov	24(%ebx), %esi		/* hvm_start_info.cmdline_paddr */
	mov	%esi, cmdline
next:
	mov	cmdline, %esi
	add	at, %esi
	incl	at
	movzbl	(%esi), %eax
	test	%al, %al
	jz	halt			/* the end of the script */
	cmp	$'P', %al
	je	print
	cmp	$'E', %al
	je	echo
	cmp	$'F', %al
	je	flood
	cmp	$'W', %al
	je	wait
	cmp	$'X', %al
	je	exit
	cmp	$'D', %al
	je	debug_exit
	cmp	$'O', %al
	je	power_off
	cmp	$'R', %al
	je	reset
	cmp	$'S', %al
	je	spin
	cmp	$'H', %al
	je	halt
	cmp	$'T', %al
	je	triple_fault
	jmp	next

print:
	mov	cmdline, %esi
1:	lodsb
	test	%al, %al
	jz	2f
	call	put
	jmp	1b
2:	mov	$'\n', %al
	call	put
	jmp	next

echo:
	mov	$0x3fc, %dx		/* MCR: DTR and RTS on, "we are listening" */
	mov	$0x03, %al
	out	%al, %dx
1:	mov	$0x3fd, %dx		/* LSR.DR */
	in	%dx, %al
	test	$0x01, %al
	jz	1b
	mov	$0x3f8, %dx
	in	%dx, %al
	push	%eax
	call	put
	pop	%eax
	cmp	$'\n', %al
	jne	1b
	jmp	next

flood:
	mov	$0x3f8, %dx
	mov	$start, %esi
	mov	$65536, %ecx
	rep outsb
	jmp	next

wait:
	mov	$100000, %ecx
1:	dec	%ecx
	jnz	1b
	jmp	next

exit:
	mov	$0x0e00, %dx
	mov	$42, %eax
	out	%eax, %dx
	jmp	halt

debug_exit:
	mov	$0xf4, %dx
	mov	$0x10, %al
	out	%al, %dx
	jmp	halt

power_off:
	mov	$PM_SLEEP_CONTROL, %dx
	mov	$PM_SLEEP_S5, %al
	out	%al, %dx
	jmp	halt

reset:
	mov	$0xfe, %al
	out	%al, $0x64
	jmp	halt

triple_fault:
	lidt	no_idt
	ud2

spin:
	jmp	spin

halt:
	cli
	hlt
	jmp	halt

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
no_idt:	.word	0
	.long	0
at:	.long	0
cmdline: .long	0

	.bss
	.skip	1024
stack_top:
