/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * A guest that lives on the interrupts of pins of the IOAPIC. Its command line is a list of letters.
 * These echo a line of the serial port, pin 4:
 *
 *   I  the pin is programmed as edge-triggered    L  as level-triggered
 *   M  as I, but the character comes while the pin is masked, which is then unmasked
 *
 * These wait for interrupts of the real-time clock, pin 8, and then print themselves and a newline:
 *
 *   P  eight periodic ones, at 64 Hz    U  one update-ended    A  two alarms, at every second
 *
 * X ends with status 42 at the exact port.
 *
 * Entered by PVH in 32-bit mode; everything happens in 64-bit mode, because a partial KVM delivers
 * interrupts only there.
 */
#define VECTOR	   0x24
#define RTC_VECTOR 0x28
#define IOREGSEL   0xfec00000
#define IOWIN	   0xfec00010
#define PIN_LOW	   (0x10 + 2 * 4)
#define RTC_PIN	   (0x10 + 2 * 8)
#define PIN_MASKED 0x10000
#define PIN_LEVEL  0x8000

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
	/* The first 4 MiB, where all memory is, and the IOAPIC, mapped to themselves. */
	movl	$pdpt + 3, pml4
	movl	$pd0 + 3, pdpt
	movl	$pd3 + 3, pdpt + 3 * 8
	movl	$0x83, pd0
	movl	$0x200083, pd0 + 8
	movl	$0xfec00093, pd3 + 0x1f6 * 8
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
	mov	%esi, %r12d		/* the next letter */
	mov	$on_serial, %eax
	mov	$idt + 16 * VECTOR, %edi
	call	set_gate
	mov	$on_rtc, %eax
	mov	$idt + 16 * RTC_VECTOR, %edi
	call	set_gate
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
	mov	$IOREGSEL, %r13d
	mov	$IOWIN, %r14d
	movl	$RTC_PIN + 1, (%r13)
	movl	$0, (%r14)		/* to CPU 0 */
	movl	$RTC_PIN, (%r13)
	movl	$RTC_VECTOR, (%r14)
	movl	$PIN_LOW + 1, (%r13)
	movl	$0, (%r14)		/* to CPU 0 */
	movl	$PIN_LOW, (%r13)	/* selected from here on */

next:	movzbl	(%r12), %eax
	inc	%r12
	movl	$0, got_line
	cmp	$'I', %al
	je	by_edge
	cmp	$'L', %al
	je	by_level
	cmp	$'M', %al
	je	late
	cmp	$'P', %al
	je	by_period
	cmp	$'U', %al
	je	by_update
	cmp	$'A', %al
	je	by_alarm
	mov	$0x0e00, %edx
	mov	$42, %eax
	out	%eax, %dx
halt:	cli
	hlt
	jmp	halt

by_edge:
	movl	$VECTOR, (%r14)
	call	listen
	jmp	take_line
by_level:
	movl	$PIN_LEVEL | VECTOR, (%r14)
	call	listen
	jmp	take_line
late:
	movl	$VECTOR, (%r14)
	movl	$PIN_MASKED | VECTOR, (%r14)
	call	listen
	mov	$0x3fd, %edx
1:	in	%dx, %al
	test	$0x01, %al		/* a character is here, so the edge has been */
	jz	1b
	movl	$VECTOR, (%r14)

	/* Interrupts open only together with the halt, so that none is lost in between. */
take_line:
	cmpl	$0, got_line
	jne	1f
	sti
	hlt
	cli
	jmp	take_line
1:	mov	$0x3f9, %edx		/* IER: nothing */
	xor	%eax, %eax
	out	%al, %dx
	movl	$PIN_MASKED | VECTOR, (%r14)
	jmp	next

by_period:
	movl	$8, nr_wanted
	mov	$0x2a0a, %eax		/* register A: 32,768 Hz, of that 64 Hz */
	call	rtc_set
	mov	$0x420b, %eax		/* register B: PIE, 24 hours */
	jmp	take_rtc
by_update:
	movl	$1, nr_wanted
	mov	$0x120b, %eax		/* UIE */
	jmp	take_rtc
by_alarm:
	movl	$2, nr_wanted
	mov	$0xc001, %eax		/* seconds, minutes and hours of the alarm: any */
	call	rtc_set
	mov	$0xc003, %eax
	call	rtc_set
	mov	$0xc005, %eax
	call	rtc_set
	mov	$0x220b, %eax		/* AIE */
take_rtc:
	call	rtc_set
1:	cmpl	$0, nr_wanted
	jle	2f
	sti
	hlt
	cli
	jmp	1b
2:	mov	$0x020b, %eax		/* nothing any more */
	call	rtc_set
	mov	$0x3f8, %edx
	mov	-1(%r12), %al		/* the letter */
	out	%al, %dx
	mov	$'\n', %al
	out	%al, %dx
	jmp	next

/* AL: the register of the clock, AH: its value. */
rtc_set:
	out	%al, $0x70
	mov	%ah, %al
	out	%al, $0x71
	ret

/* EDI: the gate, EAX: the handler. */
set_gate:
	mov	%ax, (%rdi)
	movw	$8, 2(%rdi)
	movw	$0x8e00, 4(%rdi)
	shr	$16, %eax
	mov	%ax, 6(%rdi)
	ret

listen:	mov	$0x3fc, %edx		/* MCR: DTR, RTS and OUT2 */
	mov	$0x0b, %al
	out	%al, %dx
	mov	$0x3f9, %edx		/* IER: received data */
	mov	$0x01, %al
	out	%al, %dx
	ret

/* Echoes what is there up to the end of the line; the next line is for the next letter. */
on_serial:
	push	%rax
	push	%rcx
	push	%rdx
1:	cmpl	$0, got_line
	jne	3f
	mov	$0x3fd, %edx		/* LSR.DR */
	in	%dx, %al
	test	$0x01, %al
	jz	3f
	mov	$0x3f8, %edx
	in	%dx, %al
	mov	%al, %cl
	mov	$0x3fd, %edx		/* LSR.THRE */
2:	in	%dx, %al
	test	$0x20, %al
	jz	2b
	mov	$0x3f8, %edx
	mov	%cl, %al
	out	%al, %dx
	cmp	$'\n', %al
	jne	1b
	movl	$1, got_line
3:	mov	$0x80b, %ecx		/* end of interrupt */
	xor	%eax, %eax
	xor	%edx, %edx
	wrmsr
	pop	%rdx
	pop	%rcx
	pop	%rax
	iretq

/* Counts what register C says is an interrupt; reading it is the acknowledgement. */
on_rtc:
	push	%rax
	push	%rcx
	push	%rdx
	mov	$0x0c, %al
	out	%al, $0x70
	in	$0x71, %al
	test	$0x80, %al
	jz	3b
	decl	nr_wanted
	jmp	3b

	.data
	.balign	8
gdt:	.quad	0
	.quad	0x00af9b000000ffff	/* 8: code */
	.quad	0x00cf93000000ffff	/* 16: data */
gdt_ptr:
	.word	23
	.quad	gdt
idt_ptr:
	.word	16 * (RTC_VECTOR + 1) - 1
	.quad	idt
got_line: .long	0
nr_wanted: .long 0

	.bss
	.balign	4096
pml4:	.skip	4096
pdpt:	.skip	4096
pd0:	.skip	4096
pd3:	.skip	4096
idt:	.skip	16 * (RTC_VECTOR + 1)
	.skip	1024
	.balign	16
stack_top:
