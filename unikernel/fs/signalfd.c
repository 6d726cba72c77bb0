/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* signalfd(2): blocked signals are read. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/signalfd.h>

#include "../kernel/signals.h"
#include "../mm/heap.h"
#include "counters.h"
#include "file.h"

struct signalfd {
	uint64_t set;
};

static struct signalfd_siginfo describe(const siginfo_t *info)
{
	struct signalfd_siginfo out;

	memset(&out, 0, sizeof(out));
	out.ssi_signo = (uint32_t)info->si_signo;
	out.ssi_errno = info->si_errno;
	out.ssi_code = info->si_code;
	out.ssi_pid = (uint32_t)info->si_pid;
	out.ssi_uid = info->si_uid;
	if (info->si_code == SI_TIMER) {
		out.ssi_tid = (uint32_t)info->si_timerid;
		out.ssi_overrun = (uint32_t)info->si_overrun;
		out.ssi_pid = out.ssi_uid = 0;
	}
	out.ssi_int = info->si_value.sival_int;
	out.ssi_ptr = (uint64_t)info->si_value.sival_ptr;
	return out;
}

/* The next signal of the set; the first one may be waited for. */
static long next_signal(struct file *file, siginfo_t *info, int may_wait)
{
	const struct signalfd *s = file->object;
	struct waiter waiter;
	long result = 0;
	int number = signal_take(s->set, info);

	if (number || !may_wait)
		return number;
	if (!file_blocks(file, 0))
		return -EAGAIN;
	wait_init(&waiter);
	wait_add(signal_queue(), &waiter);
	while (!(number = signal_take(s->set, info)) && !result)
		result = wait_sleep(&waiter, UINT64_MAX);
	wait_remove(signal_queue(), &waiter);
	if (number)
		return number;
	return signal_restart(-RESTART_UNLESS_HANDLED);
}

static long signalfd_read(struct file *file, struct iov *iov, int64_t *position)
{
	struct signalfd_siginfo out;
	siginfo_t info;
	long done = 0, result;

	(void)position;
	if (iov->left < sizeof(out))
		return -EINVAL;
	while (iov->left >= sizeof(out)) {
		result = next_signal(file, &info, !done);
		if (result <= 0)
			return done ? done : result;
		out = describe(&info);
		iov_put(iov, &out, sizeof(out));
		done += (long)sizeof(out);
	}
	return done;
}

static uint32_t signalfd_poll(struct file *file, struct poller *poller)
{
	const struct signalfd *s = file->object;

	poller_wait(poller, signal_queue());
	return signal_pending() & s->set ? POLLIN : 0;
}

static void signalfd_release(struct file *file)
{
	kheap_free(file->object, sizeof(struct signalfd));
}

static const struct file_ops signalfd_ops = {
	.name = "anon_inode:[signalfd]",
	.read = signalfd_read,
	.poll = signalfd_poll,
	.release = signalfd_release,
};

struct file *signalfd_create(uint64_t set, uint32_t flags)
{
	struct signalfd *s = kheap_alloc(sizeof(*s));
	struct file *file = s ? file_create(&signalfd_ops, s, O_RDWR | (flags & O_NONBLOCK)) : NULL;

	if (!file) {
		kheap_free(s, sizeof(*s));
		return NULL;
	}
	s->set = set & ~SIGNAL_UNBLOCKABLE;
	return file;
}

long signalfd_change(struct file *file, uint64_t set)
{
	struct signalfd *s = file->object;

	if (file->ops != &signalfd_ops)
		return -EINVAL;
	s->set = set & ~SIGNAL_UNBLOCKABLE;
	wait_wake(signal_queue(), POLLIN);
	return 0;
}
