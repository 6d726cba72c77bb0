/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Threads and the scheduler.
 *
 * Each CPU has a queue of runnable threads under its own lock; a CPU without work takes from the
 * longest queue, or halts. A queue is sorted by level, and first come, first served within one; the
 * length of time slices makes the shares of different nice values. A time slice is armed only while
 * somebody of the same level waits in the queue; there are no ticks otherwise.
 *
 * A thread that is not running is saved in one of two ways. "Full": an interrupt took the CPU from
 * it, all registers lie in `regs` and the vector state in `xsave`. Otherwise it called
 * sched_switch(), and what the C calling convention preserves lies on its own stack.
 */
#ifndef SKETE_UK_THREAD_H
#define SKETE_UK_THREAD_H

#include "../arch/x86_64/cpu.h"

struct heap_cache;
struct queued_signal;

enum thread_state { THREAD_RUNNABLE, THREAD_BLOCKED, THREAD_DEAD };

#define SLICE_NS       4000000ull /* at nice 0 */
#define SLICE_MIN_NS   250000ull
#define SLICE_MAX_NS   40000000ull
#define THREAD_MAX     32768
#define BURST_START_NS 200000ull /* what is taken for burst_ns of a new thread */
#define SIGNAL_COUNT   64
#define XSAVE_OFFSET   640

struct futex_waiter {
	const volatile uint32_t *address;
	uint32_t bitset;
	uint32_t woken;
	struct futex_waiter *next, **prev_next; /* prev_next is NULL when it is not queued */
	struct thread *thread;
};

/* Under signal.c's lock, but for the owner's own reading of what only it changes. */
struct thread_signals {
	volatile uint64_t mask;
	volatile uint64_t pending; /* sent to this thread */
	volatile uint64_t wanted;  /* what it waits for although it is blocked */
	uint64_t saved_mask;	   /* to come back to after the call, if must_restore */
	struct queued_signal *queue;
	uint64_t alt_start, alt_bytes; /* the stack of sigaltstack(2) */
	uint32_t must_restore;
};

struct thread {
	volatile uint32_t nosig;  /* in a system call: no handler runs before its end */
	volatile uint32_t on_cpu; /* its stack is in use */
	uint64_t ksp;
	uint64_t fs;
	uint32_t full;
	volatile uint32_t signaled; /* signals want to be looked at: see signal.c */
	void *xsave;
	uint32_t at_call; /* regs are those of a system call's end, see signal.c */
	uint32_t pad0;
	uint64_t pad[2];
	struct regs regs;
	volatile uint32_t state; /* changed under the lock of the queue of `cpu` */
	uint32_t tid;
	struct thread *next; /* in a run queue, or in the list of free threads */
	struct cpu *cpu;     /* where it runs, or ran last */
	uint64_t affinity;
	volatile uint32_t *clear_tid;
	struct timer timer;
	struct futex_waiter futex;
	struct thread_signals sig;
	uint32_t queued;
	uint32_t wake_pending; /* woken between deciding to sleep and sleeping */
	int32_t nice;
	uint32_t is_idle;
	char name[16];
	uint32_t policy; /* SCHED_* */
	int32_t level;	 /* who goes first: LEVEL_*, or a real-time priority */
	uint64_t slice_ns;
	struct heap_cache *heap_cache; /* free blocks of malloc() */
	volatile uint64_t cpu_ns;      /* of CPU time, until it last stopped */
	uint64_t burst_ns;	       /* how long it mostly runs before it has to wait */
};

/* Levels below the real-time priorities 1 to 99. Who may run at a lower one waits for all above. */
#define LEVEL_NORMAL 0
#define LEVEL_IDLE   (-1)

_Static_assert(offsetof(struct thread, full) == THREAD_FULL, "layout");
_Static_assert(offsetof(struct thread, signaled) == THREAD_SIGNALED, "layout");
_Static_assert(offsetof(struct thread, xsave) == THREAD_XSAVE, "layout");
_Static_assert(offsetof(struct thread, at_call) == THREAD_AT_CALL_END, "layout");
_Static_assert(offsetof(struct thread, regs) == THREAD_REGS, "layout");
_Static_assert(sizeof(struct regs) == REGS_SIZE, "layout");
_Static_assert(sizeof(struct thread) <= XSAVE_OFFSET,
	       "the vector state lies behind it in one page");

/* Set up this CPU's idle thread and queue; the caller becomes the idle thread. Masked. */
void sched_init_cpu(struct cpu *cpu, struct thread *idle);

/*
 * Do what this CPU's interrupts since the last call ask for. Returns whether the running thread is
 * to make way. Masked.
 */
int sched_interrupts(struct cpu *cpu);

/* idle.c: the life of an idle CPU. Called masked, on the idle thread. */
_Noreturn void sched_idle(void);

/* Give the CPU to the next thread. The caller is masked, and its state says whether it goes on. */
void sched_switch(void);

/* Let others run. */
void sched_yield_cpu(void);

/*
 * Sleep until sched_wake() or the time given (UINT64_MAX: never). The caller has made itself
 * findable by its waker before; a wake-up since then, with `wake_pending` set, returns at once.
 */
void sched_sleep(uint64_t deadline_ns);

/* Make a sleeping thread runnable; any thread, any CPU, masked or not. */
void sched_wake(struct thread *thread);

/* Put a new thread on a queue. */
void sched_start(struct thread *thread);

/* How a thread is scheduled: a valid policy of Linux, its priority or nice value. */
void sched_set_policy(struct thread *thread, uint32_t policy, int32_t priority, int32_t nice);
/* Where it may run: at least one CPU. If it is elsewhere, it moves at once. */
void sched_set_affinity(struct thread *thread, uint64_t affinity);

/* The time that a thread, or all of them together, ran so far. */
uint64_t sched_thread_ns(const struct thread *thread);
uint64_t sched_process_ns(void);

/* In an upcall: the current thread's time is up, if others wait. Does not return if they do. */
void sched_preempt(void);

/* The thread ends: called masked on the CPU's own stack. */
_Noreturn void sched_exit(void);

/* A new thread with its vector state and registers clear, or NULL. */
struct thread *thread_alloc(void);
void thread_free(struct thread *thread);
struct thread *thread_by_tid(uint32_t tid);
uint32_t thread_highest(void); /* no number above it has ever been given out */

/* entry.S */
void sched_switch_asm(struct thread *prev, struct thread *next);
_Noreturn void sched_resume(struct thread *next, struct thread *prev);
/* Call function(argument) on this CPU's own stack. Masked. */
long call_on_cpu_stack(long (*function)(void *), void *argument);

#endif
