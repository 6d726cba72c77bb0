/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* System calls about signals. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "../kernel/kernel.h"
#include "../kernel/signals.h"
#include "sys.h"

#define SET_BYTES 8

long sys_rt_sigaction(int number, const struct kernel_sigaction *action,
		      struct kernel_sigaction *old, size_t bytes)
{
	return bytes == SET_BYTES ? signal_action(number, action, old) : -EINVAL;
}

long sys_rt_sigprocmask(int how, const uint64_t *set, uint64_t *old, size_t bytes)
{
	struct thread *self = this_thread();
	uint64_t before = self->sig.mask, bits;

	if (bytes != SET_BYTES)
		return -EINVAL;
	if (set) {
		bits = *set & ~SIGNAL_UNBLOCKABLE;
		if (how == SIG_BLOCK)
			self->sig.mask |= bits;
		else if (how == SIG_UNBLOCK)
			self->sig.mask &= ~bits;
		else if (how == SIG_SETMASK)
			self->sig.mask = bits;
		else
			return -EINVAL;
		signal_mask_changed(before);
	}
	if (old)
		*old = before;
	return 0;
}

long sys_rt_sigpending(uint64_t *set, size_t bytes)
{
	if (bytes > SET_BYTES)
		return -EINVAL;
	*set = signal_pending() & this_thread()->sig.mask;
	return 0;
}

long sys_rt_sigsuspend(const uint64_t *set, size_t bytes)
{
	if (bytes != SET_BYTES)
		return -EINVAL;
	signal_mask_for_call(*set);
	return sys_pause();
}

long sys_rt_sigtimedwait(const uint64_t *set, siginfo_t *info, const struct timespec *timeout,
			 size_t bytes)
{
	uint64_t deadline = UINT64_MAX;
	siginfo_t taken;
	long result;

	if (bytes != SET_BYTES)
		return -EINVAL;
	if (timeout) {
		result = deadline_after(timeout, &deadline);
		if (result)
			return result;
	}
	result = signal_wait(*set, &taken, deadline);
	if (result > 0 && info)
		*info = taken;
	return result;
}

static long send_info(struct thread *thread, int number, const siginfo_t *info)
{
	siginfo_t copy = *info;

	if (number < 0 || number > SIGNAL_COUNT)
		return -EINVAL;
	if (copy.si_code >= 0 || copy.si_code == SI_TKILL)
		return -EPERM; /* only the kernel may say so */
	copy.si_signo = number;
	if (number)
		signal_send_info(thread, &copy);
	return 0;
}

long sys_rt_sigqueueinfo(uint32_t pid, int number, const siginfo_t *info)
{
	return pid == 1 ? send_info(NULL, number, info) : -ESRCH;
}

long sys_rt_tgsigqueueinfo(uint32_t pid, uint32_t tid, int number, const siginfo_t *info)
{
	struct thread *thread = thread_by_tid(tid);

	return pid == 1 && thread ? send_info(thread, number, info) : -ESRCH;
}

long sys_sigaltstack(const stack_t *stack, stack_t *old)
{
	struct thread_signals *sig = &this_thread()->sig;
	uint64_t here = (uint64_t)__builtin_frame_address(0);
	int is_on = sig->alt_bytes && here - sig->alt_start < sig->alt_bytes;
	stack_t new = {.ss_flags = SS_DISABLE};

	if (stack)
		new = *stack;
	if (old) {
		memset(old, 0, sizeof(*old));
		old->ss_sp = (void *)sig->alt_start;
		old->ss_size = sig->alt_bytes;
		old->ss_flags = !sig->alt_bytes ? SS_DISABLE : is_on ? SS_ONSTACK : 0;
	}
	if (!stack)
		return 0;
	if (is_on)
		return -EPERM;
	if (new.ss_flags & ~(SS_DISABLE | SS_ONSTACK))
		return -EINVAL;
	if (!(new.ss_flags &SS_DISABLE) && new.ss_size < MINSIGSTKSZ)
		return -ENOMEM;
	sig->alt_start = new.ss_flags &SS_DISABLE ? 0 : (uint64_t) new.ss_sp;
	sig->alt_bytes = new.ss_flags &SS_DISABLE ? 0 : new.ss_size;
	return 0;
}

long sys_pause(void)
{
	while (!signal_waiting(this_thread()))
		sched_sleep(UINT64_MAX);
	return signal_restart(-RESTART_NO_HANDLER);
}

long sys_tkill(uint32_t tid, int number)
{
	struct thread *thread = thread_by_tid(tid);

	if (number < 0 || number > SIGNAL_COUNT)
		return -EINVAL;
	if (!thread || thread->is_idle)
		return -ESRCH;
	if (number)
		signal_send(thread, number);
	return 0;
}

long sys_tgkill(uint32_t group, uint32_t tid, int number)
{
	return group == 1 ? sys_tkill(tid, number) : -ESRCH;
}

/* There is one process in one group: 1, 0 (the caller's group), -1 (everybody) and -1's group. */
long sys_kill(int pid, int number)
{
	if (number < 0 || number > SIGNAL_COUNT)
		return -EINVAL;
	if (pid != 1 && pid != 0 && pid != -1)
		return -ESRCH;
	if (number)
		signal_send(NULL, number);
	return 0;
}
