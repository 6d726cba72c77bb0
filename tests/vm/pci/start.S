/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * From the PVH entry to 64-bit mode, where guest.c goes on: the first 8 MiB, the GiB below 4 GiB,
 * where PCI is, and 2 MiB of its window above, mapped to themselves; an IDT whose vectors 0x20 to
 * 0xff count.
 */
#define FIRST_VECTOR 0x20

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
	movl	$pdpt + 3, pml4
	movl	$pd0 + 3, pdpt
	movl	$pd3 + 3, pdpt + 3 * 8
	movl	$pd4 + 3, pdpt + 4 * 8
	movl	$0x93, pd4
	movl	$1, pd4 + 4
	mov	$0x83, %eax
	xor	%ecx, %ecx
1:	mov	%eax, pd0(, %ecx, 8)
	add	$0x200000, %eax
	inc	%ecx
	cmp	$4, %ecx
	jne	1b
	mov	$0xc0000093, %eax	/* uncached */
	xor	%ecx, %ecx
1:	mov	%eax, pd3(, %ecx, 8)
	add	$0x200000, %eax
	inc	%ecx
	cmp	$512, %ecx
	jne	1b
	mov	$0x20, %eax		/* PAE */
	mov	%eax, %cr4
	mov	$pml4, %eax
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx	/* EFER.LME */
	rdmsr
	or	$0x100, %eax
	wrmsr
	mov	$0x80000011, %eax	/* PG, ET, PE */
	mov	%eax, %cr0
	lgdt	gdt_ptr
	ljmp	$8, $start64

	.code64
start64:
	mov	$16, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	%esi, %r12d
	mov	$stubs, %ebx
	mov	$idt + 16 * FIRST_VECTOR, %edi
1:	mov	%bx, (%rdi)
	movw	$8, 2(%rdi)
	movw	$0x8e00, 4(%rdi)
	mov	%ebx, %eax
	shr	$16, %eax
	mov	%ax, 6(%rdi)
	add	$16, %edi
	add	$16, %ebx
	cmp	$stubs_end, %ebx
	jne	1b
	lidt	idt_ptr
	mov	$0xff, %al		/* no interrupt from the PICs, if there are any */
	out	%al, $0x21
	out	%al, $0xa1
	mov	$0x1b, %ecx		/* x2APIC mode */
	rdmsr
	or	$0xc00, %eax
	wrmsr
	mov	$0x80f, %ecx		/* enabled, spurious vector 0xff */
	mov	$0x1ff, %eax
	xor	%edx, %edx
	wrmsr
	mov	%r12, %rdi
	call	guest_main
	mov	$0x0e00, %edx		/* the exit port of the monitor */
	out	%eax, %dx
1:	cli
	hlt
	jmp	1b

	/* One stub of 16 bytes for each vector. */
	.balign	16
stubs:
	.set	vector, FIRST_VECTOR
	.rept	256 - FIRST_VECTOR
	.balign	16
	incl	interrupts + 4 * vector
	jmp	end_of_interrupt
	.set	vector, vector + 1
	.endr
	.balign	16
stubs_end:

end_of_interrupt:
	push	%rax
	push	%rcx
	push	%rdx
	mov	$0x80b, %ecx
	xor	%eax, %eax
	xor	%edx, %edx
	wrmsr
	pop	%rdx
	pop	%rcx
	pop	%rax
	iretq

	.data
	.balign	8
gdt:	.quad	0
	.quad	0x00af9b000000ffff	/* 8: code */
	.quad	0x00cf93000000ffff	/* 16: data */
gdt_ptr:
	.word	23
	.quad	gdt
idt_ptr:
	.word	16 * 256 - 1
	.quad	idt

	.bss
	.balign	4096
pml4:	.skip	4096
pdpt:	.skip	4096
pd0:	.skip	4096
pd3:	.skip	4096
pd4:	.skip	4096
idt:	.skip	16 * 256
	.globl	interrupts
interrupts:
	.skip	4 * 256
	.skip	8192
	.balign	16
stack_top:
