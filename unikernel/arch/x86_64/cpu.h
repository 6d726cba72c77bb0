/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Per-CPU state, the soft interrupt mask, and requests to the shim.
 *
 * "Masked" means that the CPU's mask word is set: interrupts then only set a bit in `pending`. The
 * scheduler, spinlocks and fault handling run masked; a masked thread is neither preempted nor
 * moved.
 */
#ifndef SKETE_UK_CPU_H
#define SKETE_UK_CPU_H

#include <stddef.h>
#include <stdint.h>

#include "layout.h"

struct thread;

struct regs {
	uint64_t rip, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t rflags, rsp;
};

/* KVM's clock of one CPU, as KVM writes it. */
struct pvclock {
	uint32_t version;
	uint32_t pad0;
	uint64_t tsc;
	uint64_t system_ns;
	uint32_t mul;
	int8_t shift;
	uint8_t flags;
	uint8_t pad[2];
};

struct timer {
	uint64_t deadline_ns;
	struct timer *next, **prev_next; /* prev_next is NULL when it is not queued */
	struct thread *thread;
	/* If set, called masked instead of waking the thread; timer_cancel() waits for its end. */
	void (*expire)(struct timer *timer);
	struct cpu *cpu;
};

enum cpu_idle { CPU_BUSY, CPU_POLLING, CPU_HALTED };

struct cpu {
	volatile uint32_t mask;
	volatile uint32_t pending;
	struct cpu *self;
	struct thread *current;
	uint64_t regs_top;
	uint64_t stack_top;
	uint64_t resume_rip;
	uint64_t up_rip, up_rflags, up_rsp;
	volatile uint32_t flushed;
	uint32_t in_fault;
	uint64_t fault_vector, fault_error, fault_cr2, fault_mask;
	uint64_t fault_stack;
	uint64_t nested_rip;
	uint64_t nested_top;
	struct regs nested;
	/* the scheduler's, under rq_lock */
	uint32_t rq_lock;
	uint32_t index;
	struct thread *rq_head, *rq_tail;
	volatile uint32_t rq_len;
	volatile int32_t rq_level; /* of the first in it, if there is one */
	volatile uint32_t idle;	   /* enum cpu_idle */
	struct thread *idle_thread;
	/* this CPU's own */
	volatile uint64_t tick_ns; /* when to look whether a time slice is over; 0: nobody waits */
	uint64_t tick_slice_ns;	   /* and the slice that this was meant for */
	volatile uint32_t preempt; /* somebody waits who goes before the running thread */
	volatile uint32_t misplaced; /* under rq_lock: somebody waits who may not run here */
	volatile uint64_t since_ns, busy_ns; /* of the last switch; of all threads until then */
	uint64_t poll_ns;		     /* how long it looks for work before it halts */
	volatile uint32_t kicked;	     /* by a CPU that has more than it can run */
	uint32_t polled_in_vain;	     /* so many times since it last found some */
	uint64_t armed_ns;		     /* what the hardware timer is set to; 0: not set */
	uint32_t apic_id;
	volatile uint32_t online;
	uint32_t timer_lock;
	uint32_t must_flush;  /* set while it is idle: flush before running anything */
	struct timer *timers; /* sorted by deadline */
	struct timer *volatile timer_running;
	struct pvclock clock __attribute__((aligned(512)));
	uint8_t pad1[32];
	uint32_t wall[4];
	/* in a process: interrupts from other CPUs, a futex while it is halted */
	uint32_t host_bits;
	volatile uint32_t host_halted;
	uint8_t pad2[CPU_SIZE - 600];
};

_Static_assert(offsetof(struct cpu, flushed) == CPU_FLUSHED, "layout");
_Static_assert(offsetof(struct cpu, fault_vector) == CPU_FAULT_VEC, "layout");
_Static_assert(offsetof(struct cpu, fault_stack) == CPU_FAULT_STACK, "layout");
_Static_assert(offsetof(struct cpu, nested_top) == CPU_NESTED_TOP, "layout");
_Static_assert(offsetof(struct cpu, clock) == 512, "layout");
_Static_assert(offsetof(struct cpu, wall) == 576, "layout");
_Static_assert(sizeof(struct cpu) == CPU_SIZE, "layout");

extern struct cpu cpus[MAX_CPUS];
extern uint32_t cpu_count; /* CPUs that the machine describes; those not yet up have online == 0 */

/* The CPU this runs on: stays true only while masked. */
static inline struct cpu *this_cpu(void)
{
	struct cpu *cpu;

	asm volatile("mov %%gs:%c1, %0" : "=r"(cpu) : "i"(CPU_SELF));
	return cpu;
}

/* The running thread; the same wherever it is moved to. */
static inline struct thread *this_thread(void)
{
	struct thread *thread;

	asm volatile("mov %%gs:%c1, %0" : "=r"(thread) : "i"(CPU_CURRENT));
	return thread;
}

/*
 * Set bits in this CPU's pending word: in one instruction, because an interrupt may do the same
 * between two.
 */
static inline void set_pending(struct cpu *cpu, uint32_t bits)
{
	asm volatile("orl %1, %0" : "+m"(cpu->pending) : "ri"(bits) : "cc");
}

/* Mask interrupts; returns whether they were masked before, for unmask(). */
static inline uint32_t mask(void)
{
	uint32_t before = 1;

	/* Not locked: only this CPU's own interrupts look at it, between instructions. */
	asm volatile("mov %%gs:0, %0\n\tmovl $1, %%gs:0" : "=r"(before)::"memory");
	return before;
}

void handle_pending(void);

static inline void unmask(uint32_t before)
{
	uint32_t pending;

	if (before)
		return;
	asm volatile("movl $0, %%gs:0\n\tmov %%gs:%c1, %0"
		     : "=r"(pending)
		     : "i"(CPU_PENDING)
		     : "memory");
	if (__builtin_expect(pending != 0, 0))
		handle_pending();
}

static inline int is_masked(void)
{
	uint32_t value;

	asm volatile("mov %%gs:0, %0" : "=r"(value));
	return value != 0;
}

static inline long request(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	register uint64_t r8 asm("r8") = d;
	uint64_t result = REQ_BASE + number;

	asm volatile("hlt"
		     : "+a"(result), "+D"(a), "+S"(b), "+d"(c), "+r"(r8)
		     :
		     : "rcx", "r9", "r10", "r11", "memory", "cc");
	return (long)result;
}

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	asm volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static inline void cpu_relax(void)
{
	asm volatile("pause");
}

static inline void set_gs(const void *base)
{
	asm volatile("wrgsbase %0" : : "r"(base) : "memory");
}

static inline uint64_t get_fs(void)
{
	uint64_t base;

	asm volatile("rdfsbase %0" : "=r"(base));
	return base;
}

static inline void cpuid(uint32_t leaf, uint32_t sub, uint32_t out[4])
{
	asm volatile("cpuid"
		     : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
		     : "a"(leaf), "c"(sub));
}

/* 64 random bits from the CPU; 0 when it fails ten times in a row (then there is no entropy). */
static inline int cpu_random(uint64_t *out)
{
	unsigned char ok = 0;

	for (int i = 0; i < 10 && !ok; i++)
		asm volatile("rdrand %0; setc %1" : "=r"(*out), "=qm"(ok)::"cc");
	return ok;
}

/*
 * One turn of a loop that waits for what another CPU does, masked; *since begins with 0. A CPU that
 * the host does not run may need this one's place to go on: so after a while the turn takes longer,
 * and leaves it to the host.
 */
void spin_turn(uint64_t *since);
void spin_lock_slowly(uint32_t *lock);

/* A spinlock is a uint32_t; taking it masks interrupts. Returns what unlock wants back. */
static inline uint32_t spin_lock(uint32_t *lock)
{
	uint32_t before = mask();

	if (__builtin_expect(__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE), 0))
		spin_lock_slowly(lock);
	return before;
}

static inline void spin_unlock(uint32_t *lock, uint32_t before)
{
	__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
	unmask(before);
}

#endif
