/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* What becomes of an operation: queued, started, cancelled, tried again, handed back. */
#include "loop_internal.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define RETRY_NS      UINT64_C(1000000)
#define ENOBUFS_TRIES 16
/* A poll that says ready, a transfer that says EAGAIN: after so many rounds it goes slower. */
#define EAGAIN_TRIES  8

bool sk_loop_op_is_busy(const struct sk_loop_op *op)
{
	return op->stage != STAGE_IDLE;
}

void sk_loop_op_queue(struct sk_loop *loop, struct sk_loop_op *op)
{
	op->stage = STAGE_QUEUED;
	link_append(&loop->pending, &op->queue);
	loop->nr_pending++;
}

static void retry_fire(struct sk_loop *loop, struct sk_loop_timer *timer)
{
	(void)timer;
	while (!link_is_empty(&loop->retries)) {
		struct sk_loop_op *op = QUEUE_OP(loop->retries.next);

		link_remove(&op->queue);
		sk_loop_op_queue(loop, op);
	}
}

static void retry_later(struct sk_loop *loop, struct sk_loop_op *op)
{
	op->stage = STAGE_RETRY;
	link_append(&loop->retries, &op->queue);
	loop->retry_timer.fire = retry_fire;
	if (!sk_loop_timer_is_set(&loop->retry_timer))
		sk_loop_timer_set(loop, &loop->retry_timer, sk_loop_now_ns(loop) + RETRY_NS);
}

static bool is_transfer(const struct sk_loop_op *op)
{
	return op->kind <= OP_RECVMSG;
}

static bool is_output(const struct sk_loop_op *op)
{
	return op->kind == OP_WRITE || op->kind == OP_SEND || op->kind == OP_SENDMSG;
}

uint32_t sk_loop_op_events(const struct sk_loop_op *op)
{
	if (op->kind == OP_POLL)
		return (uint32_t)op->value;
	return is_output(op) || op->kind == OP_CONNECT ? POLLOUT : POLLIN;
}

static void restore_entry(struct sk_loop_op *op)
{
	if (op->has_saved)
		*op->iov = op->saved;
	op->has_saved = false;
}

/* Steps over @n transferred bytes; true if something is left. */
static bool advance(struct sk_loop_op *op, size_t n)
{
	while (op->nr_iov && n >= op->iov->iov_len) {
		n -= op->iov->iov_len;
		restore_entry(op);
		op->iov++;
		op->nr_iov--;
		op->skipped++;
	}
	if (!op->nr_iov)
		return false;
	if (!op->has_saved)
		op->saved = *op->iov;
	op->has_saved = true;
	op->iov->iov_base = (char *)op->iov->iov_base + n;
	op->iov->iov_len -= n;
	return true;
}

/* The rest of a message: the control data went with its first byte. */
static void set_message(struct sk_loop_op *op, struct iovec *iov, size_t nr_iov, size_t control)
{
	struct msghdr *msg = op->arg;

	msg->msg_iov = iov;
	msg->msg_iovlen = nr_iov;
	msg->msg_controllen = control;
}

/* The vectors and the message as the owner lent them. */
static void restore(struct sk_loop_op *op)
{
	if (!is_transfer(op) || !(op->flags & SK_LOOP_WHOLE))
		return;
	restore_entry(op);
	op->iov -= op->skipped;
	op->nr_iov += op->skipped;
	if (op->kind == OP_SENDMSG)
		set_message(op, op->iov, op->nr_iov, op->len);
}

/* A transfer of @n bytes: true if the operation goes on with the rest. */
static bool is_unfinished(struct sk_loop_op *op, int n)
{
	if (!is_transfer(op) || n < 0)
		return false;
	op->bytes += (uint32_t)n;
	if (!n || !(op->flags & SK_LOOP_WHOLE))
		return false;
	if (!advance(op, (size_t)n))
		return false;
	op->retries = 0;
	if (op->offset != SK_LOOP_STREAM)
		op->offset += (uint64_t)n;
	if (op->kind == OP_SENDMSG)
		set_message(op, op->iov, op->nr_iov, 0);
	return !op->is_cancelled;
}

/* What the kernel only asks to try again: true if that is under way. */
static bool is_tried_again(struct sk_loop *loop, struct sk_loop_op *op, int error)
{
	if (op->is_cancelled)
		return false;
	switch (-error) {
	case ECONNABORTED:
	case EPROTO:
		if (op->kind != OP_ACCEPT)
			return false;
		break;
	case EINTR:
		break;
	case EINPROGRESS:
	case EAGAIN:
		/* io_uring polls and tries again; epoll did (a full backlog cannot be polled). */
		if (loop->kind == SK_LOOP_EPOLL || op->retries >= EAGAIN_TRIES) {
			retry_later(loop, op);
			return true;
		}
		op->retries++;
		op->is_polling = true;
		break;
	case ENOBUFS:
		if (!is_output(op) || op->retries >= ENOBUFS_TRIES)
			return false;
		op->retries++;
		retry_later(loop, op);
		return true;
	default:
		return false;
	}
	sk_loop_op_queue(loop, op);
	return true;
}

static int signal_take(struct sk_loop_op *op)
{
	struct signalfd_siginfo info;
	ssize_t n = read(op->fd, &info, sizeof(info));

	return n == (ssize_t)sizeof(info) ? (int)info.ssi_signo : n < 0 ? -errno : -EIO;
}

/* What the owner is told. */
static int final_result(struct sk_loop_op *op, int result)
{
	bool is_descriptor = op->kind == OP_ACCEPT || op->kind == OP_OPENAT;

	if (is_transfer(op) && op->bytes)
		return (int)op->bytes;
	if (is_descriptor && result >= 0 && (op->is_cancelled || !op->done)) {
		sk_close(&result);
		return -ECANCELED;
	}
	if (op->is_cancelled && (result == -EINTR || result == -EAGAIN || result == -EINPROGRESS))
		return -ECANCELED;
	return result;
}

/* The last operation of a shut descriptor is gone: its close may start. */
static void detach(struct sk_loop *loop, struct sk_loop_op *op)
{
	struct fd_slot *slot = sk_loop_fd_find(&loop->fds, op->fd);

	link_remove(&op->by_fd);
	link_init(&op->by_fd);
	if (!slot || !slot->close)
		return;
	if (slot->close == op)
		slot->close = NULL;
	else if (slot->close->stage == STAGE_HELD && link_is_empty(&slot->ops))
		sk_loop_op_queue(loop, slot->close);
}

static void hand_back(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	if (op->is_cancel_queued)
		link_remove(&op->queue);
	loop->ops->forget(loop, op);
	restore(op);
	detach(loop, op);
	if (op->kind == OP_SIGNAL)
		sk_close(&op->fd);
	op->stage = STAGE_IDLE;
	loop->stats.in_flight--;
	loop->stats.callbacks++;
	loop->budget--;
	if (op->done)
		op->done(loop, op, result);
}

void sk_loop_op_result(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	if (op->kind == OP_SIGNAL && result >= 0)
		result = signal_take(op);
	if (is_unfinished(op, result)) {
		sk_loop_op_queue(loop, op);
		return;
	}
	if (result < 0 && is_tried_again(loop, op, result))
		return;
	hand_back(loop, op, final_result(op, result));
}

void sk_loop_op_more(struct sk_loop *loop, struct sk_loop_op *op, int fd)
{
	if (op->is_cancelled || !op->done) {
		sk_close(&fd);
		return;
	}
	loop->stats.callbacks++;
	loop->budget--;
	op->done(loop, op, fd);
}

/* A signal operation is a poll of a descriptor of its own. */
static int signal_open(struct sk_loop *loop, struct sk_loop_op *op)
{
	struct fd_slot *slot;
	sigset_t set;
	int ret;

	sigemptyset(&set);
	if (sigaddset(&set, op->value) < 0)
		return -EINVAL;
	op->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (op->fd < 0)
		return -errno;
	ret = sk_loop_fd_get(&loop->fds, op->fd, &slot);
	if (ret)
		return ret;
	link_remove(&op->by_fd);
	link_append(&slot->ops, &op->by_fd);
	return 0;
}

/* False: the driver has no room, it stays queued. */
static bool start(struct sk_loop *loop, struct sk_loop_op *op)
{
	int ret = 0;

	link_remove(&op->queue);
	loop->nr_pending--;
	if (op->has_preset)
		ret = op->preset;
	else if (op->is_cancelled)
		ret = -ECANCELED;
	else if (op->kind == OP_SIGNAL && op->fd < 0)
		ret = signal_open(loop, op);
	if (ret) {
		hand_back(loop, op, final_result(op, ret));
		return true;
	}
	op->stage = STAGE_STARTED;
	if (loop->ops->start(loop, op))
		return true;
	op->stage = STAGE_QUEUED;
	link_append(loop->pending.next, &op->queue);
	loop->nr_pending++;
	return false;
}

void sk_loop_flush(struct sk_loop *loop)
{
	/* What callbacks submit meanwhile waits for the next turn. */
	size_t n = loop->nr_pending;

	while (!link_is_empty(&loop->cancels)) {
		struct sk_loop_op *op = QUEUE_OP(loop->cancels.next);

		link_remove(&op->queue);
		op->is_cancel_queued = false;
		if (loop->ops->cancel(loop, op))
			continue;
		op->is_cancel_queued = true;
		link_append(loop->cancels.next, &op->queue);
		return;
	}
	while (n-- && loop->budget > 0 && !link_is_empty(&loop->pending))
		if (!start(loop, QUEUE_OP(loop->pending.next)))
			return;
}

void sk_loop_cancel(struct sk_loop *loop, struct sk_loop_op *op)
{
	if (op->stage == STAGE_IDLE || op->kind == OP_CLOSE || op->is_cancelled)
		return;
	op->is_cancelled = true;
	if (op->stage == STAGE_RETRY) {
		link_remove(&op->queue);
		sk_loop_op_queue(loop, op);
	} else if (op->stage == STAGE_STARTED) {
		op->is_cancel_queued = true;
		link_append(&loop->cancels, &op->queue);
	}
}

static void cancel_list(struct sk_loop *loop, struct sk_loop_link *list)
{
	for (struct sk_loop_link *link = list->next; link != list; link = link->next)
		sk_loop_cancel(loop, BY_FD_OP(link));
}

void sk_loop_cancel_fd(struct sk_loop *loop, int fd)
{
	struct fd_slot *slot = sk_loop_fd_find(&loop->fds, fd);

	if (slot)
		cancel_list(loop, &slot->ops);
}

/* The kernel may have missed a cancel that met its operation between two states. */
static void cancel_anew(struct sk_loop *loop, struct sk_loop_link *list)
{
	for (struct sk_loop_link *link = list->next; link != list; link = link->next) {
		struct sk_loop_op *op = BY_FD_OP(link);

		if (op->stage == STAGE_STARTED && !op->is_cancel_queued)
			op->is_cancelled = false;
	}
	cancel_list(loop, list);
}

void sk_loop_cancel_all(struct sk_loop *loop)
{
	cancel_anew(loop, &loop->loose);
	for (size_t i = 0; i < loop->fds.nr_chunks; i++)
		for (unsigned k = 0; loop->fds.chunks[i] && k < FD_CHUNK; k++)
			cancel_anew(loop, &loop->fds.chunks[i][k].ops);
}
