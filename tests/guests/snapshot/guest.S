/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Computes in ring 3, with state in as many registers as there are, while timers interrupt it. It
 * ends when the test stores 1 in `enough`, and leaves in memory what the test compares.
 *
 * rdi bit 0: TSC-deadline timer of the local APIC; bit 1: PIT through the PIC; bit 2: AVX, which the
 * test has enabled (CR4.OSXSAVE, XCR0). What goes wrong sets a bit in `failures`.
 */
#include "guest.inc"

#define CHECKSUM  (RESULTS + 0x00)
#define CHUNKS	  (RESULTS + 0x08)	/* of 100,000 steps each */
#define APIC_TICKS (RESULTS + 0x10)
#define PIT_TICKS (RESULTS + 0x18)
#define FAILURES  (RESULTS + 0x20)
#define ENOUGH	  (RESULTS + 0x28)
#define FLAGS	  (RESULTS + 0x30)

#define FAIL_XMM  0x01
#define FAIL_YMM  0x02
#define FAIL_X87  0x04
#define FAIL_MXCSR 0x08
#define FAIL_DR	  0x10
#define FAIL_MSR  0x20
#define FAIL_TSC  0x40
#define FAIL_XCR  0x80
#define FAIL_GPR  0x100

	.code64
	.globl	start
start:	mov	$STACK_TOP, %rsp
	mov	%rdi, FLAGS
	load_descriptor_tables
	open_to_ring3
	mov	%cr4, %rax		/* OSFXSR, OSXMMEXCPT */
	or	$0x600, %rax
	mov	%rax, %cr4
	set_msr	0xc0000082, 0x12345678	/* LSTAR */
	set_msr	0x277, 0x00010506, 0x00070406 /* PAT */
	mov	$0x1111, %eax
	mov	%rax, %dr0
	mov	$0x4444, %eax
	mov	%rax, %dr3
	testb	$2, FLAGS
	jz	1f
	init_pic 0xfe
	mov	$0x34, %al		/* 1000 Hz */
	out	%al, $0x43
	mov	$1193 & 0xff, %al
	out	%al, $0x40
	mov	$1193 >> 8, %al
	out	%al, $0x40
1:	testb	$1, FLAGS
	jz	1f
	enable_x2apic
	set_msr	0x832, 0x40030
	mfence
	arm_deadline 2000000
1:	enter_ring3 user, 0x202

/* ---- ring 3 ---- */
user:	finit
	fldpi
	movl	$0x1fbf, mxcsr
	ldmxcsr	mxcsr
	movabs	$0x0123456789abcdef, %rax
	movq	%rax, %xmm5
	not	%rax
	pinsrq	$1, %rax, %xmm15
	testb	$4, FLAGS
	jz	1f
	vmovdqu	pattern, %ymm9
1:	movabs	$0xfeedfacecafebeef, %r12
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	mov	%rax, %r13

	movabs	$6364136223846793005, %r8
	movabs	$1442695040888963407, %r9
	mov	$1, %r10d
chunk:	mov	$100000, %ecx
1:	imul	%r8, %r10
	add	%r9, %r10
	dec	%ecx
	jnz	1b
	mov	%r10, CHECKSUM
	incq	CHUNKS
	rdtsc				/* time does not run backwards */
	shl	$32, %rdx
	or	%rdx, %rax
	cmp	%r13, %rax
	jae	1f
	orq	$FAIL_TSC, FAILURES
1:	mov	%rax, %r13
	cmpq	$0, ENOUGH
	je	chunk

	movabs	$0x0123456789abcdef, %rax
	movq	%xmm5, %rbx
	cmp	%rax, %rbx
	jne	2f
	not	%rax
	pextrq	$1, %xmm15, %rbx
	cmp	%rax, %rbx
	je	1f
2:	orq	$FAIL_XMM, FAILURES
1:	testb	$4, FLAGS
	jz	1f
	vmovdqu	%ymm9, scratch
	mov	$pattern, %esi
	mov	$scratch, %edi
	mov	$32, %ecx
	cld
	repe cmpsb
	je	2f
	orq	$FAIL_YMM, FAILURES
2:	xor	%ecx, %ecx
	xgetbv
	cmp	$7, %eax
	je	1f
	orq	$FAIL_XCR, FAILURES
1:	fldpi
	fcomip	%st(1), %st
	je	1f
	orq	$FAIL_X87, FAILURES
1:	stmxcsr	mxcsr
	cmpl	$0x1fbf, mxcsr
	je	1f
	orq	$FAIL_MXCSR, FAILURES
1:	movabs	$0xfeedfacecafebeef, %rax
	cmp	%rax, %r12
	je	1f
	orq	$FAIL_GPR, FAILURES
1:
last:	hlt				/* to ring 0, by #GP */

/* ---- ring 0 ---- */
finish:	cmpq	$last, 8(%rsp)
	je	1f
	mov	8(%rsp), %rbp		/* for the report: where the fault was */
	end	1
1:	mov	$0xc0000082, %ecx
	rdmsr
	cmp	$0x12345678, %eax
	jne	2f
	mov	$0x277, %ecx
	rdmsr
	cmp	$0x00010506, %eax
	jne	2f
	cmp	$0x00070406, %edx
	je	1f
2:	orq	$FAIL_MSR, FAILURES
1:	mov	%dr0, %rax
	cmp	$0x1111, %rax
	jne	2f
	mov	%dr3, %rax
	cmp	$0x4444, %rax
	je	1f
2:	orq	$FAIL_DR, FAILURES
1:	end	11

on_apic:
	push	%rax
	push	%rcx
	push	%rdx
	incq	APIC_TICKS
	set_msr	0x80b, 0
	arm_deadline 2000000
	pop	%rdx
	pop	%rcx
	pop	%rax
	iretq

on_pit:	push	%rax
	incq	PIT_TICKS
	mov	$0x20, %al
	out	%al, $0x20
	pop	%rax
	iretq

	.balign	32
pattern:
	.quad	0x1010101010101010, 0x2020202020202020, 0x3030303030303030, 0x4040404040404040
scratch:
	.quad	0, 0, 0, 0
mxcsr:	.long	0
	descriptor_tables
	.balign	16
idt:	.org	idt + 13 * 16
	gate	finish
	.org	idt + 0x20 * 16
	gate	on_pit
	.org	idt + 0x30 * 16
	gate	on_apic
idt_end:
