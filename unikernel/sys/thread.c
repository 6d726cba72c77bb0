/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* System calls about threads. */
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>

#include "../kernel/futex.h"
#include "../kernel/kernel.h"
#include "../kernel/signals.h"
#include "../kernel/thread.h"
#include "../mm/mm.h"
#include "sys.h"

#define ARCH_SET_FS 0x1002
#define ARCH_GET_FS 0x1003

extern char thread_first[];
static uint32_t live_threads = 1;

long __skete_clone(int (*function)(void *), void *stack, int flags, void *argument,
		   uint32_t *parent_tid, uint64_t tls, uint32_t *child_tid)
{
	struct thread *self = this_thread(), *thread;
	uint32_t tid;

	if (!(flags & CLONE_VM) || !(flags & CLONE_THREAD))
		return -ENOSYS; /* no processes here */
	thread = thread_alloc();
	if (!thread)
		return -EAGAIN;
	thread->regs.rip = (uint64_t)thread_first;
	thread->regs.rsp = (uint64_t)stack & ~15ull;
	thread->regs.rdi = (uint64_t)function;
	thread->regs.rsi = (uint64_t)argument;
	thread->regs.rflags = 0x202;
	thread->full = 1;
	thread->fs = flags & CLONE_SETTLS ? tls : get_fs();
	thread->affinity = self->affinity;
	thread->policy = self->policy;
	thread->nice = self->nice;
	thread->level = self->level;
	thread->slice_ns = self->slice_ns;
	thread->sig.mask = self->sig.mask;
	memcpy(thread->name, self->name, sizeof(thread->name));
	if (flags & CLONE_PARENT_SETTID)
		*parent_tid = thread->tid;
	if (flags & CLONE_CHILD_SETTID)
		*child_tid = thread->tid;
	if (flags & CLONE_CHILD_CLEARTID)
		thread->clear_tid = child_tid;
	tid = thread->tid; /* it may have ended before sched_start() returns */
	__atomic_fetch_add(&live_threads, 1, __ATOMIC_RELAXED);
	sched_start(thread);
	return tid;
}

/* What a thread leaves behind: a word to clear, and somebody who waits for that. */
static void farewell(struct thread *self)
{
	volatile uint32_t *word = self->clear_tid;

	if (!word)
		return;
	*word = 0;
	futex_wake(word, 1, ~0u);
}

long sys_exit(int status)
{
	if (__atomic_sub_fetch(&live_threads, 1, __ATOMIC_ACQ_REL) == 0)
		power_off(status);
	thread_exit_switch();
}

/* Masked, on the CPU's stack: once the word is cleared, somebody else may unmap the thread's own.
 */
void thread_leave(void)
{
	signal_thread_ends(this_thread());
	farewell(this_thread());
	sched_exit();
}

void thread_unmap_exit(uint64_t start, uint64_t bytes)
{
	mm_unmap_masked(start, bytes);
	if (__atomic_sub_fetch(&live_threads, 1, __ATOMIC_ACQ_REL) == 0)
		power_off(0);
	thread_leave();
}

long sys_exit_group(int status)
{
	power_off(status);
}

long sys_set_tid_address(uint32_t *address)
{
	this_thread()->clear_tid = address;
	return this_thread()->tid;
}

long sys_set_robust_list(void *head, size_t bytes)
{
	(void)head;
	return bytes == 24 ? 0 : -EINVAL; /* a thread ends only by itself, never holding a lock */
}

static uint64_t deadline_of(const struct timespec *timeout, int op)
{
	uint64_t ns;

	if (!timeout)
		return UINT64_MAX;
	ns = (uint64_t)timeout->tv_sec * NS_PER_SEC + (uint64_t)timeout->tv_nsec;
	if ((op & FUTEX_CMD_MASK) == FUTEX_WAIT)
		return clock_ns() + ns;
	if (op & FUTEX_CLOCK_REALTIME) {
		uint64_t wall = clock_wall_ns();

		return ns > wall ? clock_ns() + (ns - wall) : 0;
	}
	return ns;
}

long sys_futex(uint32_t *address, int op, uint32_t value, const struct timespec *timeout,
	       uint32_t *address2, uint32_t value3)
{
	long result;

	if (timeout && (op & FUTEX_CMD_MASK) == FUTEX_WAIT &&
	    (timeout->tv_sec < 0 || (unsigned long)timeout->tv_nsec >= NS_PER_SEC))
		return -EINVAL;
	switch (op & FUTEX_CMD_MASK) {
	case FUTEX_WAIT:
		value3 = ~0u;
		__attribute__((fallthrough));
	case FUTEX_WAIT_BITSET:
		result = futex_wait(address, value, deadline_of(timeout, op), value3);
		return result == -EINTR ? signal_restart(timeout ? -RESTART_NO_HANDLER
								 : -RESTART_UNLESS_HANDLED)
					: result;
	case FUTEX_WAKE:
		return futex_wake(address, value, ~0u);
	case FUTEX_WAKE_BITSET:
		return value3 ? futex_wake(address, value, value3) : -EINVAL;
	case FUTEX_REQUEUE:
		return futex_requeue(address, value, (long)timeout, address2, NULL);
	case FUTEX_CMP_REQUEUE:
		return futex_requeue(address, value, (long)timeout, address2, &value3);
	default:
		return -ENOSYS;
	}
}

long sys_gettid(void)
{
	return this_thread()->tid;
}

long sys_getpid(void)
{
	return 1;
}

long sys_getppid(void)
{
	return 0;
}

long sys_getcpu(unsigned int *cpu, unsigned int *node)
{
	uint32_t before = mask();

	if (cpu)
		*cpu = this_cpu()->index;
	unmask(before);
	if (node)
		*node = 0;
	return 0;
}

long sys_sched_yield(void)
{
	sched_yield_cpu();
	return 0;
}

long sys_arch_prctl(int code, uint64_t value)
{
	if (code == ARCH_SET_FS)
		asm volatile("wrfsbase %0" : : "r"(value) : "memory");
	else if (code == ARCH_GET_FS)
		*(uint64_t *)value = get_fs();
	else
		return -EINVAL;
	return 0;
}
