/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Constants that the assembly and the C of this architecture share: where things are, the requests
 * from ring 3 to the shim, and the offsets of structure members used in assembly.
 *
 * Physical memory, from IMAGE_BASE up (the image is linked there and loaded there):
 *
 *	headers, PVH note | shim: stubs, code, tables | text | read-only data | data, bss | shim bss
 *| page tables
 *	'------- read-only for ring 3, or not mapped at all; sealed -------'  ring 3's  '------ the
 *shim's ------'
 */
#ifndef SKETE_UK_LAYOUT_H
#define SKETE_UK_LAYOUT_H

#define IMAGE_BASE	   0x100000
#define SHIM_TEXT	   0x101000
#define SHIM_BOOT	   0x102000
#define SHIM_TABLES	   0x103000

#define MAX_CPUS	   32
#define LAPIC_BASE	   0xfee00000
#define AP_TRAMPOLINE	   0x8000

#define SEL_CODE0	   0x08
#define SEL_DATA0	   0x10
#define SEL_DATA3	   0x1b
#define SEL_CODE3	   0x23
#define SEL_CODE32	   0x28
#define SEL_TSS		   0x30

/* Vectors: exceptions below 32; the legacy PIC's 32-63 are ignored; 32 interrupt lines from 64. */
#define VECTOR_DIVIDE	   0
#define VECTOR_DEBUG	   1
#define VECTOR_BREAKPOINT  3
#define VECTOR_OPCODE	   6
#define VECTOR_STACK	   12
#define VECTOR_PROTECTION  13
#define VECTOR_PAGE	   14
#define VECTOR_FLOAT	   16
#define VECTOR_ALIGNMENT   17
#define VECTOR_MACHINE	   18
#define VECTOR_SIMD	   19
#define VECTOR_SPURIOUS	   0x3f
#define VECTOR_IRQ	   0x40
#define VECTOR_COUNT	   0x60
#define IRQ_TIMER	   0
#define IRQ_RESCHEDULE	   1
#define IRQ_FLUSH	   31

/* Requests to the shim: `hlt` with REQ_BASE plus one of these in rax; arguments in rdi, rsi, rdx,
 * r8. */
#define REQ_BASE	   0x736b6500
#define REQ_HALT	   0 /* halt until an interrupt, unless one is pending */
#define REQ_APIC_WRITE	   1 /* register (xAPIC offset), low half, high half */
#define REQ_APIC_READ	   2 /* register */
#define REQ_OUT		   3 /* port, value, size */
#define REQ_IN		   4 /* port, size: 1 or 4 */
#define REQ_OUTS	   5 /* port, buffer, bytes */
#define REQ_PAGES	   6 /* virtual address, physical address, flags: a 2 MiB page or a table */
#define REQ_DEADLINE	   7 /* TSC deadline of the timer */
#define REQ_CLOCK	   8 /* 1: KVM's clock of this CPU on, 0: its wall clock */
#define REQ_FLUSH	   9 /* flush this CPU's TLB */
#define REQ_SEAL	   10 /* instruction pointer, stack pointer: to the final page tables */
#define REQ_ENTRIES	   11 /* physical address of an entry, its value, entries, whether to flush */
#define REQ_COUNT	   11 /* of those in the table: the last one goes before */

#define PAGES_WRITE	   1
#define PAGES_HUGE	   2
#define PAGES_UNMAP	   4
#define PAGES_PROTECT	   8
#define PAGES_NONE	   16 /* keep the frame, refuse every access */
#define PAGES_FLUSH	   32 /* then flush this CPU's TLB */
#define PAGES_MAX	   512

/* struct cpu (cpu.h): the shim writes up to CPU_FAULT_MASK, ring 3 addresses all of it by GS. */
#define CPU_MASK	   0
#define CPU_PENDING	   4
#define CPU_SELF	   8
#define CPU_CURRENT	   16
#define CPU_REGS_TOP	   24
#define CPU_STACK_TOP	   32
#define CPU_RESUME_RIP	   40
#define CPU_UP_RIP	   48
#define CPU_UP_RFLAGS	   56
#define CPU_UP_RSP	   64
#define CPU_FLUSHED	   72
#define CPU_IN_FAULT	   76
#define CPU_FAULT_VEC	   80
#define CPU_FAULT_ERR	   88
#define CPU_FAULT_CR2	   96
#define CPU_FAULT_MASK	   104
#define CPU_FAULT_STACK	   112
#define CPU_NESTED_RIP	   120
#define CPU_NESTED_TOP	   128
#define CPU_SIZE	   1024

/* struct shim_cpu: one block of this size and alignment per CPU, below it its two stacks. */
#define BLOCK_SIZE	   2048
#define BLOCK_CPU	   0
#define BLOCK_SAVED_RSP	   8
#define BLOCK_TSS	   64
#define BLOCK_IST_TOP	   768

/* struct shim */
#define SHIM_ROOT	   0
#define SHIM_UPCALL	   8
#define SHIM_FAULT	   16
#define SHIM_EXIT	   32
#define SHIM_EXIT_LEN	   40
#define SHIM_RESTART	   48
#define SHIM_AP_ENTRY	   56
#define SHIM_XCR0	   64
#define SHIM_X2APIC	   72
#define SHIM_NEXT_CPU	   76
#define SHIM_BOOT_KIND	   80
#define SHIM_BOOT_INFO	   88
#define SHIM_SEALED	   96
#define SHIM_OWN_END	   128
#define SHIM_LEAF_START	   136
#define SHIM_LEAF_NEXT	   144

#define BOOT_PVH	   1
#define BOOT_LINUX	   2
#define BOOT_MULTIBOOT	   3

/* struct thread (thread.h) and struct regs. */
#define THREAD_NOSIG	   0
#define THREAD_ON_CPU	   4
#define THREAD_KSP	   8
#define THREAD_FS	   16
#define THREAD_FULL	   24
#define THREAD_SIGNALED	   28
#define THREAD_XSAVE	   32
#define THREAD_AT_CALL_END 40
#define THREAD_REGS	   64
#define REGS_SIZE	   144
#define REGS_RIP	   0
#define REGS_RFLAGS	   128
#define REGS_RSP	   136
#define RFLAGS_TF	   0x100

/* What of the vector state is kept: x87, SSE, AVX, AVX-512. Others are not enabled, or left alone.
 */
#define XSAVE_MASK	   0xe7

#define SYSCALL_COUNT	   442
#define TABLE_GUARDED	   1 /* added to a function's address in the table: see sys/table.c */

#endif
