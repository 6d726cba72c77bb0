/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * The shim: everything of the unikernel that runs in ring 0, but for the page-table edits in
 * shim_pages.c. Three ways in: the boot (PVH, Linux 64-bit, start-up of another CPU), interrupts and
 * exceptions, and requests by `hlt`, which ring 3 may not execute. All go on in ring 3 by `iretq`.
 *
 * Quirks of partial KVMs that shape it (ring 0 is emulated there, about 0.5 us an instruction): no
 * `sysret`, no `int n`, no `swapgs`, no I/O privilege level, and SFMASK must leave IF alone. `syscall`
 * does not enter ring 0 there: its target runs in ring 3 and goes straight on to the handler; so
 * that code alone is mapped for ring 3 too. Every gate has an IST stack, from whose address a CPU finds
 * its block.
 *
 * Addresses: the code runs where it was loaded (SHIM_TEXT, SHIM_BOOT), and contains no absolute
 * relocations, because nobody has applied them yet. AT() and TEXT_AT() make literal addresses from
 * labels.
 */
#include "layout.h"

#define AT(label) (SHIM_BOOT + (label - shim_boot))
#define TEXT_AT(label) (SHIM_TEXT + (label - shim_text))
#define IDT       (SHIM_TABLES + 0x6000)
#define GDT       (SHIM_TABLES + 0x6800)

#define CR4_BITS 0x50620 /* PAE, OSFXSR, OSXMMEXCPT, FSGSBASE, OSXSAVE */
#define CR0_BITS 0x80050033
#define MSR_EFER 0xc0000080

	.section .note.pvh, "a", @note
	.globl __skete_note
__skete_note:
	.long 4, 8, 18
	.asciz "Xen"
	.quad AT(start32)

	.section .shim.text, "ax", @progbits
shim_text:
	/* One stub for each vector, 16 bytes apart. Exceptions 8, 10-14, 17, 21 push an error code. */
	.set vector, 0
	.rept VECTOR_COUNT
	.balign 16
	.if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
	push $0
	.endif
	.if vector == 13
	jmp protection
	.endif
	push $vector
	.if vector < 32
	jmp exception
	.elseif vector < VECTOR_IRQ
	jmp ignored
	.else
	jmp interrupt
	.endif
	.set vector, vector + 1
	.endr

	/* Where `syscall` leads, for each CPU, 32 bytes apart. */
	.set index, 0
	.rept MAX_CPUS
	.balign 32
	mov %cs, %r11d
	test $3, %r11b
	jnz syscall_ring3
	mov %rsp, shim_blocks + index * BLOCK_SIZE + BLOCK_SAVED_RSP(%rip)
	lea shim_blocks + (index + 1) * BLOCK_SIZE(%rip), %rsp
	jmp syscall_ring0
	.set index, index + 1
	.endr
syscall_ring0:
	push $SEL_DATA3
	pushq 8 + BLOCK_SAVED_RSP - BLOCK_SIZE(%rsp)
	push $0x202
	push $SEL_CODE3
	pushq shim_syscall(%rip)
	iretq
syscall_ring3:
	jmp *shim_syscall(%rip)
	.balign 8
	.globl shim_syscall
shim_syscall:	/* the handler's address; written before the seal */
	.quad 0

/* --- interrupts and exceptions: [rdx rcx rax] vector error rip cs rflags rsp ss --- */
#define FRAME_VECTOR 24
#define FRAME_ERROR  32
#define FRAME_RIP    40
#define FRAME_CS     48
#define FRAME_RFLAGS 56
#define FRAME_RSP    64

	.macro own_cpu	/* rcx: this CPU's struct cpu */
	mov %rsp, %rcx
	and $-BLOCK_SIZE, %rcx
	mov BLOCK_CPU(%rcx), %rcx
	.endm

	.macro enter_frame
	push %rax
	push %rcx
	push %rdx
	own_cpu
	.endm

	/* Keep where ring 3 was in struct cpu (rcx), and continue it at the address in \entry. */
	.macro divert entry
	mov FRAME_RIP(%rsp), %rax
	mov %rax, CPU_UP_RIP(%rcx)
	mov FRAME_RFLAGS(%rsp), %rax
	mov %rax, CPU_UP_RFLAGS(%rcx)
	andl $~0x100, FRAME_RFLAGS(%rsp)	/* the kernel is not stepped through */
	mov FRAME_RSP(%rsp), %rax
	mov %rax, CPU_UP_RSP(%rcx)
	mov shim + \entry(%rip), %rax
	mov %rax, FRAME_RIP(%rsp)
	.endm

exception:
	enter_frame
	testb $3, FRAME_CS(%rsp)
	jz broken
	mov FRAME_VECTOR(%rsp), %rax
	mov %rax, CPU_FAULT_VEC(%rcx)
	mov FRAME_ERROR(%rsp), %rax
	mov %rax, CPU_FAULT_ERR(%rcx)
	mov %cr2, %rax
	mov %rax, CPU_FAULT_CR2(%rcx)
	mov CPU_MASK(%rcx), %eax
	mov %rax, CPU_FAULT_MASK(%rcx)
	movl $1, CPU_MASK(%rcx)
	divert SHIM_FAULT
	jmp leave

interrupt:
	enter_frame
	mov FRAME_VECTOR(%rsp), %eax
	sub $VECTOR_IRQ, %eax
	cmp $IRQ_FLUSH, %eax
	je flush
	bts %eax, CPU_PENDING(%rcx)
	testb $3, FRAME_CS(%rsp)
	jz acknowledge
	cmpl $0, CPU_MASK(%rcx)
	jne masked
	movl $1, CPU_MASK(%rcx)
	divert SHIM_UPCALL
	jmp acknowledge
masked:	/* On its way out of the kernel, past the last look at what is pending? Then look again. */
	mov FRAME_RIP(%rsp), %rax
	sub shim + SHIM_EXIT(%rip), %rax
	cmp shim + SHIM_EXIT_LEN(%rip), %rax
	jae acknowledge
	mov shim + SHIM_RESTART(%rip), %rax
	mov %rax, FRAME_RIP(%rsp)
acknowledge:
	xor %eax, %eax
	cmpl $0, shim + SHIM_X2APIC(%rip)
	je 71f
	xor %edx, %edx
	mov $0x80b, %ecx
	wrmsr
	jmp leave
71:	mov $LAPIC_BASE, %edx
	mov %eax, 0xb0(%rdx)
leave:
	pop %rdx
	pop %rcx
	pop %rax
ignored:
	add $16, %rsp
	iretq

flush:	/* Another CPU took a mapping away; this happens whatever the soft mask says. */
	mov %cr3, %rax
	mov %rax, %cr3
	lock incl CPU_FLUSHED(%rcx)
	jmp acknowledge

/* --- requests: number in rax, arguments in rdi, rsi, rdx, r8; result in rax --- */
protection:	/* #GP: error rip cs rflags rsp ss */
	cmp $(REQ_BASE + REQ_ENTRIES), %rax
	je req_entries			/* from ring 3: in ring 0 nothing that could fail has this rax */
	testb $3, 16(%rsp)
	jz broken
	sub $REQ_BASE, %rax		/* few instructions: some KVMs emulate each of ring 0 */
	cmp $REQ_COUNT, %rax
	jae 1f
	add $8, %rsp
	incq (%rsp)			/* behind the `hlt` */
	jmp *TEXT_AT(requests)(, %rax, 8)
1:	add $REQ_BASE, %rax
	push $13
	jmp exception

	.balign 8
requests:
	.irp request, halt, apic_write, apic_read, out, in, outs, pages, deadline, clock, flush, seal
	.quad TEXT_AT(req_\request)
	.endr

req_halt:
	own_cpu
	cmpl $0, CPU_PENDING(%rcx)
	jne 1f
	sti
	hlt
	cli
1:	iretq

req_apic_write:
	mov %esi, %eax
	and $0xff0, %edi
	cmpl $0, shim + SHIM_X2APIC(%rip)
	je 1f
	shr $4, %edi
	lea 0x800(%rdi), %ecx
	wrmsr
	iretq
1:	mov $LAPIC_BASE, %ecx
	cmp $0x300, %edi
	jne 2f
	shl $24, %edx
	mov %edx, 0x310(%rcx)
2:	mov %eax, (%rcx, %rdi)
	iretq

req_apic_read:
	and $0xff0, %edi
	cmpl $0, shim + SHIM_X2APIC(%rip)
	je 1f
	shr $4, %edi
	lea 0x800(%rdi), %ecx
	rdmsr
	iretq
1:	mov $LAPIC_BASE, %ecx
	mov (%rcx, %rdi), %eax
	iretq

req_out:
	mov %edx, %ecx
	mov %edi, %edx
	mov %esi, %eax
	cmp $2, %ecx
	je 2f
	ja 4f
	out %al, %dx
	iretq
2:	out %ax, %dx
	iretq
4:	out %eax, %dx
	iretq

req_in:
	mov %edi, %edx
	cmp $4, %esi
	je 4f
	in %dx, %al
	iretq
4:	in %dx, %eax
	iretq

req_outs:
	cld
	mov %rdx, %rcx
	mov %edi, %edx
	rep outsb
	iretq

req_pages:
	cld
	call shim_pages
	iretq

	/*
	 * Set entries, in as few instructions as possible: in tables of small pages that were made
	 * since the seal, which never show what is sealed, to frames behind the shim's memory, never
	 * executable. Value 0 clears them. Result -1: nothing was done.
	 */
req_entries:
	cld
	add $8, %rsp
	incq (%rsp)
	lea -1(%rdx), %rcx
	cmp $(PAGES_MAX - 1), %rcx
	ja 9f
	mov %edi, %edi			/* the tables lie below 4 GiB */
	test $7, %dil
	jnz 9f
	cmp shim + SHIM_LEAF_START(%rip), %rdi
	jb 9f
	lea (%rdi, %rdx, 8), %rax
	cmp shim + SHIM_LEAF_NEXT(%rip), %rax
	ja 9f
	test %rsi, %rsi
	jz 3f
	cmp shim + SHIM_OWN_END(%rip), %rsi
	jb 9f
	mov %rsi, %rax
	shr $45, %rax
	jnz 9f
	and $-0xd99, %rsi		/* of the flags: P W U A D and the one for PTE_KEPT */
	bts $63, %rsi
	lea 15(%rdx), %ecx
	shr $4, %ecx			/* rounds of 16, the first one shorter */
	neg %edx
	and $15, %edx
	lea TEXT_AT(1f)(, %rdx, 8), %edx
	mov %rsi, %rax
	jmp *%rdx
1:	.rept 16			/* 8 bytes each */
	stosq
	add $4096, %rax
	.endr
	dec %ecx
	jnz 1b
	xor %eax, %eax
2:	test %r8d, %r8d
	jz 1f
	mov %cr3, %rcx
	mov %rcx, %cr3
1:	iretq
3:	mov %edx, %ecx
	xor %eax, %eax
	rep stosq
	jmp 2b
9:	mov $-1, %rax
	iretq

req_deadline:
	mov %edi, %eax
	mov %rdi, %rdx
	shr $32, %rdx
	mov $0x6e0, %ecx
	wrmsr
	iretq

req_clock:	/* KVM writes the clock into struct cpu: 512 the system time (of each CPU), 576 the wall clock */
	own_cpu
	and $1, %edi
	imul $-63, %edi, %eax
	lea 576(%rcx, %rax), %eax
	xor %edx, %edx
	lea 0x4b564d00(%rdi), %ecx
	wrmsr
	iretq

req_flush:
	mov %cr3, %rcx
	mov %rcx, %cr3
	iretq

req_seal:
	cmpl $0, shim + SHIM_SEALED(%rip)
	jne 1f
	movl $1, shim + SHIM_SEALED(%rip)
	mov %rdi, (%rsp)
	mov %rsi, 24(%rsp)
	mov shim + SHIM_ROOT(%rip), %rcx
	mov %rcx, %cr3
1:	iretq

/* --- boot: the first code is what the multiboot header in unikernel.ld names --- */
	.macro need_cpu_features	/* in 32-bit or 64-bit mode: all of it is encoded alike */
	cli
	cld
	mov $7, %eax
	xor %ecx, %ecx
	cpuid
	test $1, %ebx
	jz unfit
	mov $1, %eax
	cpuid
	and $0x44000000, %ecx
	cmp $0x44000000, %ecx
	jne unfit
	.endm

	.macro enable_long_mode	/* eax: what CR0 becomes */
	mov $MSR_EFER, %ecx
	rdmsr
	or $0x901, %eax
	wrmsr
	mov $CR0_BITS, %eax
	.endm

	.macro fail text
	mov $AT(\text), %esi
	mov $\text\()_end - \text, %ecx
	mov $0x3f8, %edx
	rep outsb
	mov $1, %eax
	mov $0xe00, %edx
	out %eax, %dx
	out %al, $0xf4
	jmp idle
	.endm

	.section .shim.boot, "ax", @progbits
	.code32
shim_boot:	/* multiboot: ebx holds its information */
	mov $BOOT_MULTIBOOT, %esi
	jmp 1f
start32:	/* PVH: ebx holds the start info */
	mov $BOOT_PVH, %esi
1:	mov %ebx, %edi
	need_cpu_features
	mov $SHIM_TABLES, %ebp
go_long:	/* esi: BOOT_*, edi: its information, ebp: page tables */
	mov $AT(gdtr), %eax
	lgdt (%eax)
	mov $CR4_BITS, %eax
	mov %eax, %cr4
	mov %ebp, %cr3
	enable_long_mode
	mov %eax, %cr0
	ljmp $SEL_CODE0, $AT(long64)
unfit:	/* in either mode */
	fail sorry

ap32:
	mov $SEL_DATA0, %eax
	mov %eax, %ds
	mov %eax, %ss
	mov AP_TRAMPOLINE + 0xff8, %ebp
	xor %esi, %esi
	jmp go_long

	.code16
	.globl ap_trampoline, ap_trampoline_end
ap_trampoline:	/* copied to AP_TRAMPOLINE; its last 8 bytes hold the page tables' address */
	cli
	xor %ax, %ax
	mov %ax, %ds
	lgdtl AP_TRAMPOLINE + (ap_gdtr - ap_trampoline)
	mov $0x11, %eax
	mov %eax, %cr0
	ljmpl $SEL_CODE32, $AT(ap32)
ap_gdtr:
	.word SEL_TSS - 1
	.long GDT
ap_trampoline_end:

	.code64
	.globl __skete_start
__skete_start:	/* Linux's 64-bit protocol: rsi holds the boot parameters */
	mov %rsi, %rdi
	need_cpu_features
	mov $SHIM_TABLES, %eax
	mov %rax, %cr3
	mov %cr4, %rax
	or $CR4_BITS, %eax
	mov %rax, %cr4
	enable_long_mode
	mov %rax, %cr0
	lgdt gdtr(%rip)
	lea shim_blocks + BLOCK_SIZE(%rip), %rsp
	mov $BOOT_LINUX, %esi
	push $SEL_CODE0
	lea long64(%rip), %rax
	push %rax
	lretq

long64:	/* every CPU: esi BOOT_* or 0, rdi its information */
	mov $1, %eax
	lock xadd %eax, shim + SHIM_NEXT_CPU(%rip)
	cmp $MAX_CPUS, %eax
	jae idle
	mov %eax, %ebp
	mov %eax, %r8d
	shl $11, %r8
	lea shim_blocks(%rip), %rcx
	add %rcx, %r8			/* this CPU's block */
	mov %eax, %r9d
	shl $10, %r9
	lea cpus(%rip), %rcx
	add %rcx, %r9			/* its struct cpu */
	mov %r9, BLOCK_CPU(%r8)
	movl $1, CPU_MASK(%r9)
	lea BLOCK_IST_TOP(%r8), %rcx
	mov %rcx, BLOCK_TSS + 36(%r8)	/* IST 1: interrupts, also while a request halts */
	lea BLOCK_SIZE(%r8), %rcx
	mov %rcx, BLOCK_TSS + 44(%r8)	/* IST 2: exceptions and requests */
	movw $104, BLOCK_TSS + 102(%r8)
	shl $4, %eax
	add $SEL_TSS, %eax
	lea GDT(%rax), %r10d
	lea BLOCK_TSS(%r8), %ecx
	mov %ecx, %edx
	shl $16, %rcx			/* base 0-23 */
	or $103, %rcx
	and $0xff000000, %edx
	mov %ecx, (%r10)
	shr $32, %rcx
	movzbl %cl, %ecx
	or $0x8900, %ecx
	or %edx, %ecx			/* base 24-31 */
	mov %ecx, 4(%r10)
	ltr %ax
	lidt idtr(%rip)
	xor %eax, %eax
	mov $(0x130000 | SEL_CODE0), %edx
	mov $0xc0000081, %ecx		/* STAR */
	wrmsr
	mov %ebp, %eax
	shl $5, %eax
	add $SHIM_TEXT + VECTOR_COUNT * 16, %eax
	xor %edx, %edx
	inc %ecx			/* LSTAR */
	wrmsr
	mov $0x40500, %eax
	mov $0xc0000084, %ecx		/* SFMASK: AC, DF, TF; never IF */
	wrmsr
	mov $0xd, %eax
	xor %ecx, %ecx
	cpuid
	and $XSAVE_MASK, %eax
	mov %rax, shim + SHIM_XCR0(%rip)
	xor %edx, %edx
	xor %ecx, %ecx
	xsetbv
	mov $1, %eax
	cpuid
	bt $21, %ecx
	jnc 1f
	movl $1, shim + SHIM_X2APIC(%rip)
	mov $0x1b, %ecx
	rdmsr
	or $0xc00, %eax
	wrmsr
1:	xor %eax, %eax
	test %esi, %esi
	jz 2f
	mov %rsi, shim + SHIM_BOOT_KIND(%rip)
	mov %rdi, shim + SHIM_BOOT_INFO(%rip)
	mov $0xff, %al			/* the legacy PIC's vectors are exceptions: silence it */
	out %al, $0x21
	out %al, $0xa1
	lea boot_stack_top(%rip), %rax
	lea boot_start(%rip), %rcx
	jmp 3f
2:	mov shim + SHIM_AP_ENTRY(%rip), %rcx
3:	lea BLOCK_SIZE(%r8), %rsp
	push $SEL_DATA3
	push %rax
	push $0x202
	push $SEL_CODE3
	push %rcx
	mov %ebp, %edi
	iretq

broken:	/* an exception in the shim itself */
	fail bug
idle:	hlt
	jmp idle

sorry:
	.ascii "skete: this CPU lacks FSGSBASE, XSAVE or RDRAND, which the unikernel needs\n"
sorry_end:
bug:
	.ascii "skete: exception in ring 0\n"
bug_end:
	.balign 8
gdtr:
	.word SEL_TSS + 16 * MAX_CPUS - 1
	.quad GDT
idtr:
	.word VECTOR_COUNT * 16 - 1
	.quad IDT

/* --- tables: the first page tables map 4 GiB one to one, for ring 3 too until the seal --- */
	.section .shim.tables, "aw", @progbits
	.quad SHIM_TABLES + 0x1000 + 7
	.fill 511, 8, 0
	.quad SHIM_TABLES + 0x2007, SHIM_TABLES + 0x3007, SHIM_TABLES + 0x4007, SHIM_TABLES + 0x5007
	.fill 508, 8, 0
	.set frame, 0
	.rept 2048
	.quad frame + 0xe7 - (frame == (LAPIC_BASE & ~0x1fffff)) * 0x18	/* "true" is -1: uncached */
	.set frame, frame + 0x200000
	.endr
	.set vector, 0	/* IDT: interrupt gates, IST 2 or ("true" is -1) 1; `int3` is allowed in ring 3 */
	.rept VECTOR_COUNT
	.word (SHIM_TEXT + vector * 16) & 0xffff, SEL_CODE0, 0x8e02 + (vector >= 32) - (vector == 3) * 0x6000, SHIM_TEXT >> 16
	.quad 0
	.set vector, vector + 1
	.endr
	.balign 0x800
	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cff3000000ffff	/* GDT */
	.quad 0x00affb000000ffff, 0x00cf9b000000ffff
	.fill 2 * MAX_CPUS, 8, 0

	.section .shim.bss, "aw", @nobits
	.balign BLOCK_SIZE
shim_blocks:
	.skip BLOCK_SIZE * MAX_CPUS
	.globl shim
shim:
	.skip 256

	.section .bss
	.balign 4096
	.globl boot_stack, boot_stack_top
boot_stack:
	.skip 16384
boot_stack_top:

	.section .note.GNU-stack, "", @progbits
