/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The io_uring driver. A started operation is one submission entry that carries its address; at
 * any time the kernel holds at most one per operation. Entries are filled at the flush and handed
 * over by the one io_uring_enter of the turn, which waits too.
 */
#include "loop_internal.h"

#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

/* Entries that belong to no operation: addresses are aligned, so these are none. */
#define TAG_CANCEL 1
#define TAG_WAKE   2
/* While it polls, the loop looks at the clock so rarely. */
#define SPIN_BATCH 16

struct ring {
	struct io_uring ring;
	bool has_multi_accept; /* until the kernel says otherwise */
	bool has_multi_poll;   /* likewise */
	bool is_wake_armed;
};

/* Every opcode that this file uses: the ring refuses all others once it is enabled. */
static const uint8_t opcodes[] = {
	IORING_OP_READ,	  IORING_OP_WRITE,     IORING_OP_READV,	   IORING_OP_WRITEV,
	IORING_OP_SEND,	  IORING_OP_RECV,      IORING_OP_SENDMSG,  IORING_OP_RECVMSG,
	IORING_OP_ACCEPT, IORING_OP_CONNECT,   IORING_OP_POLL_ADD, IORING_OP_FSYNC,
	IORING_OP_OPENAT, IORING_OP_FALLOCATE, IORING_OP_CLOSE,	   IORING_OP_ASYNC_CANCEL,
};

static int restrict_ring(struct io_uring *ring)
{
	struct io_uring_restriction r[SK_ARRAY_SIZE(opcodes)];

	memset(r, 0, sizeof(r));
	for (size_t i = 0; i < SK_ARRAY_SIZE(r); i++) {
		r[i].opcode = IORING_RESTRICTION_SQE_OP;
		r[i].sqe_op = opcodes[i];
	}
	/* liburing 2.3 declares helpers for this and for enabling, but does not export them. */
	return io_uring_register((unsigned)ring->ring_fd, IORING_REGISTER_RESTRICTIONS, r,
				 SK_ARRAY_SIZE(r));
}

/* What each kernel knows, best first (6.1, 6.0, 5.19, 5.11); -EINVAL means an older one. */
static int init_ring(struct io_uring *ring, unsigned entries)
{
	const unsigned base = IORING_SETUP_R_DISABLED | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE;
	const unsigned coop = base | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_TASKRUN_FLAG;
	const unsigned tries[] = {
		coop | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		coop | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN,
		coop | IORING_SETUP_COOP_TASKRUN,
		base,
	};
	int ret = -EINVAL;

	for (size_t i = 0; i < SK_ARRAY_SIZE(tries) && ret == -EINVAL; i++) {
		struct io_uring_params p = {.flags = tries[i], .cq_entries = 4 * entries};

		ret = io_uring_queue_init_params(entries, ring, &p);
	}
	return ret;
}

/* Why the kernel refuses io_uring, for a human. */
static void explain(struct sk_loop *loop, int error)
{
	char disabled = '?';
	int fd;

	if (error == -EPERM) {
		fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
		if (fd < 0 || read(fd, &disabled, 1) != 1)
			disabled = '?';
		sk_close(&fd);
	}
	if (disabled == '1' || disabled == '2')
		snprintf(loop->reason, sizeof(loop->reason), "kernel.io_uring_disabled=%c",
			 disabled);
	else if (error == -EPERM || error == -EACCES)
		snprintf(loop->reason, sizeof(loop->reason),
			 "io_uring is forbidden here (a seccomp filter or security module)");
	else if (error == -ENOSYS)
		snprintf(loop->reason, sizeof(loop->reason), "this kernel has no io_uring");
	else if (error == -ENOMEM)
		snprintf(loop->reason, sizeof(loop->reason),
			 "io_uring gets no memory (see ulimit -l)");
	else if (error == -EINVAL)
		snprintf(loop->reason, sizeof(loop->reason),
			 "this kernel's io_uring is older than Linux 5.11");
	else
		snprintf(loop->reason, sizeof(loop->reason), "io_uring_setup failed: %s",
			 strerror(-error));
}

static int ring_bind(struct sk_loop *loop)
{
	struct ring *r = loop->driver;

	return io_uring_register((unsigned)r->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

static struct io_uring_sqe *get_entry(struct ring *r)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->ring);

	if (sqe)
		return sqe;
	/* More in one turn than the queue holds. Errors show at the enter of the turn. */
	(void)io_uring_submit(&r->ring);
	return io_uring_get_sqe(&r->ring);
}

static void prep_transfer(const struct sk_loop_op *op, struct io_uring_sqe *sqe)
{
	const struct iovec *iov = op->iov;
	bool is_read = op->kind == OP_READ;

	if (op->nr_iov == 1 && iov->iov_len <= INT32_MAX)
		io_uring_prep_rw(is_read ? IORING_OP_READ : IORING_OP_WRITE, sqe, op->fd,
				 iov->iov_base, (unsigned)iov->iov_len, op->offset);
	else
		io_uring_prep_rw(is_read ? IORING_OP_READV : IORING_OP_WRITEV, sqe, op->fd, iov,
				 op->nr_iov, op->offset);
}

static void prep_recv(struct sk_loop *loop, const struct sk_loop_op *op, struct io_uring_sqe *sqe)
{
	const struct fd_slot *slot = sk_loop_fd_find(&loop->fds, op->fd);

	io_uring_prep_recv(sqe, op->fd, op->iov->iov_base, op->iov->iov_len, 0);
	/* The last receive emptied the socket: do not try before it is polled. Only a hint. */
	if (slot && slot->is_drained)
		sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
}

static void prep(struct sk_loop *loop, const struct sk_loop_op *op, struct io_uring_sqe *sqe)
{
	const struct ring *r = loop->driver;

	switch ((enum op_kind)op->kind) {
	case OP_READ:
	case OP_WRITE:
		prep_transfer(op, sqe);
		break;
	case OP_SEND:
		io_uring_prep_send(sqe, op->fd, op->iov->iov_base, op->iov->iov_len, MSG_NOSIGNAL);
		break;
	case OP_RECV:
		prep_recv(loop, op, sqe);
		break;
	case OP_SENDMSG:
		io_uring_prep_sendmsg(sqe, op->fd, op->arg, MSG_NOSIGNAL);
		break;
	case OP_RECVMSG:
		io_uring_prep_recvmsg(sqe, op->fd, op->arg, MSG_CMSG_CLOEXEC);
		break;
	case OP_ACCEPT:
		io_uring_prep_accept(sqe, op->fd, NULL, NULL, SOCK_CLOEXEC);
		if (op->flags & SK_LOOP_MULTI && r->has_multi_accept)
			sqe->ioprio |= IORING_ACCEPT_MULTISHOT;
		break;
	case OP_CONNECT:
		io_uring_prep_connect(sqe, op->fd, op->arg, (socklen_t)op->len);
		break;
	case OP_FSYNC:
		io_uring_prep_fsync(sqe, op->fd,
				    op->flags & SK_LOOP_DATASYNC ? IORING_FSYNC_DATASYNC : 0);
		break;
	case OP_FALLOCATE:
		/* By hand: the helper of liburing 2.3 narrows both numbers on 32-bit hosts. */
		io_uring_prep_rw(IORING_OP_FALLOCATE, sqe, op->fd, NULL, (unsigned)op->value,
				 op->offset);
		sqe->addr = op->len;
		break;
	case OP_OPENAT:
		io_uring_prep_openat(sqe, op->fd, op->arg, op->value, (mode_t)op->len);
		break;
	case OP_CLOSE:
		io_uring_prep_close(sqe, op->fd);
		break;
	case OP_POLL:
	case OP_SIGNAL:
		io_uring_prep_poll_add(sqe, op->fd, sk_loop_op_events(op));
		break;
	}
}

static bool ring_start(struct sk_loop *loop, struct sk_loop_op *op)
{
	struct io_uring_sqe *sqe = get_entry(loop->driver);

	if (!sqe)
		return false;
	if (op->is_polling)
		io_uring_prep_poll_add(sqe, op->fd, sk_loop_op_events(op));
	else
		prep(loop, op, sqe);
	io_uring_sqe_set_data(sqe, op);
	return true;
}

static bool ring_cancel(struct sk_loop *loop, struct sk_loop_op *op)
{
	struct io_uring_sqe *sqe = get_entry(loop->driver);

	if (!sqe)
		return false;
	io_uring_prep_cancel(sqe, op, 0);
	io_uring_sqe_set_data64(sqe, TAG_CANCEL);
	return true;
}

/*
 * A cancel that the kernel has not taken yet would hit whatever is submitted at this address next:
 * it becomes the cancel of nothing.
 */
static void ring_forget(struct sk_loop *loop, struct sk_loop_op *op)
{
	struct ring *r = loop->driver;
	struct io_uring_sq *sq = &r->ring.sq;

	if (!op->is_cancelled || !io_uring_sq_ready(&r->ring))
		return;
	for (unsigned i = *sq->khead; i != sq->sqe_tail; i++) {
		struct io_uring_sqe *sqe = &sq->sqes[i & sq->ring_mask];

		if (sqe->opcode == IORING_OP_ASYNC_CANCEL && sqe->addr == (uintptr_t)op)
			sqe->addr = TAG_CANCEL;
	}
}

static void report_accept(struct sk_loop *loop, struct sk_loop_op *op, int result, unsigned flags)
{
	struct ring *r = loop->driver;

	if (result == -EINVAL && r->has_multi_accept && !op->retries) {
		/* Either the kernel is older than 5.19 or the socket is bad: try once without. */
		r->has_multi_accept = false;
		op->retries = 1;
		result = -EINTR;
	} else if (result == -EINVAL && op->retries) {
		r->has_multi_accept = true; /* it was the socket */
	}
	if (result < 0) {
		sk_loop_op_result(loop, op, result);
		return;
	}
	op->retries = 0;
	sk_loop_op_more(loop, op, result);
	if (flags & IORING_CQE_F_MORE)
		return;
	/* Not a multishot, or one that a full completion queue ended: go on. */
	if (op->is_cancelled)
		sk_loop_op_result(loop, op, -ECANCELED);
	else
		sk_loop_op_queue(loop, op);
}

static void report(struct sk_loop *loop, struct sk_loop_op *op, int result, unsigned flags)
{
	struct fd_slot *slot;

	if (op->is_polling) {
		op->is_polling = false;
		/* Ready, or the poll failed: what the operation itself says counts. */
		if (op->is_cancelled)
			sk_loop_op_result(loop, op, -ECANCELED);
		else
			sk_loop_op_queue(loop, op);
		return;
	}
	if (op->kind == OP_ACCEPT && op->flags & SK_LOOP_MULTI) {
		report_accept(loop, op, result, flags);
		return;
	}
	if (op->kind == OP_RECV) {
		slot = sk_loop_fd_find(&loop->fds, op->fd);
		if (slot)
			slot->is_drained = result > 0 && !(flags & IORING_CQE_F_SOCK_NONEMPTY);
	}
	sk_loop_op_result(loop, op, result);
}

static void report_wake(struct sk_loop *loop, int result, unsigned flags)
{
	struct ring *r = loop->driver;

	if (flags & IORING_CQE_F_MORE)
		return;
	r->is_wake_armed = false;
	if (result == -EINVAL)
		r->has_multi_poll = false;
	(void)sk_eventfd_drain(loop->wake_fd);
}

static void arm_wake(struct sk_loop *loop)
{
	struct ring *r = loop->driver;
	struct io_uring_sqe *sqe;

	if (r->is_wake_armed)
		return;
	sqe = get_entry(r);
	if (!sqe)
		return;
	/* Multishot fires at every signal, so the counter need not be read. */
	io_uring_prep_poll_add(sqe, loop->wake_fd, POLLIN);
	if (r->has_multi_poll)
		sqe->len = IORING_POLL_ADD_MULTI;
	io_uring_sqe_set_data64(sqe, TAG_WAKE);
	r->is_wake_armed = true;
}

static void reap(struct sk_loop *loop)
{
	struct ring *r = loop->driver;
	struct io_uring_cqe *cqe;

	while (loop->budget > 0 && io_uring_cq_ready(&r->ring)) {
		unsigned head = *r->ring.cq.khead & r->ring.cq.ring_mask, flags;
		uint64_t data;
		int result;

		/* Copied and released first: the callback may do anything but turn the loop. */
		cqe = &r->ring.cq.cqes[head];
		data = cqe->user_data;
		result = cqe->res;
		flags = cqe->flags;
		io_uring_cq_advance(&r->ring, 1);
		if (data == TAG_WAKE)
			report_wake(loop, result, flags);
		else if (data != TAG_CANCEL)
			report(loop, (void *)(uintptr_t)data, result, flags);
	}
}

static unsigned sq_flags(const struct ring *r)
{
	return IO_URING_READ_ONCE(*r->ring.sq.kflags);
}

/* The kernel holds results back until somebody enters it. */
static bool has_held_back(const struct ring *r)
{
	return sq_flags(r) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

static bool ring_is_ready(struct sk_loop *loop)
{
	struct ring *r = loop->driver;

	return io_uring_cq_ready(&r->ring) || has_held_back(r);
}

static int enter_once(struct sk_loop *loop)
{
	struct ring *r = loop->driver;

	if (!io_uring_sq_ready(&r->ring) && !has_held_back(r))
		return 0;
	loop->stats.enters++;
	return io_uring_submit_and_get_events(&r->ring);
}

/* Polls, with no system call, until something is there or the bound; then true. */
static bool spin(struct sk_loop *loop, int64_t limit_ns)
{
	uint64_t end = sk_now_ns() + (uint64_t)limit_ns;

	do {
		for (unsigned i = 0; i < SPIN_BATCH; i++)
			if (ring_is_ready(loop) || sk_loop_has_posts(loop) ||
			    sk_loop_peek_look(loop))
				return true;
	} while (sk_now_ns() < end);
	return false;
}

static int enter_and_wait(struct sk_loop *loop, int64_t wait_ns)
{
	struct ring *r = loop->driver;
	struct __kernel_timespec ts = {.tv_sec = wait_ns / 1000000000,
				       .tv_nsec = wait_ns % 1000000000};
	struct io_uring_cqe *cqe;
	int ret;

	if (!sk_loop_sleep_begin(loop))
		return enter_once(loop);
	loop->stats.enters++;
	ret = io_uring_submit_and_wait_timeout(&r->ring, &cqe, 1,
					       wait_ns == SK_LOOP_INFINITE ? NULL : &ts, NULL);
	sk_loop_sleep_end(loop);
	loop->is_now_valid = false;
	return ret;
}

static int ring_enter(struct sk_loop *loop, int64_t wait_ns)
{
	bool learns = wait_ns && loop->config.max_poll_ns && !link_is_empty(&loop->peeks);
	int64_t poll_ns = sk_loop_poll_limit(loop, wait_ns);
	uint64_t begin = learns ? sk_now_ns() : 0;
	int ret = 0;

	arm_wake(loop);
	if (wait_ns && poll_ns) {
		sk_loop_peek_begin(loop);
		ret = enter_once(loop);
		loop->is_now_valid = false;
		if (ret >= 0 && spin(loop, poll_ns))
			wait_ns = 0;
		else
			wait_ns = wait_ns == SK_LOOP_INFINITE ? wait_ns : wait_ns - poll_ns;
	}
	if (wait_ns && sk_loop_peek_end(loop))
		wait_ns = 0;
	if (ret >= 0)
		ret = wait_ns ? enter_and_wait(loop, wait_ns) : enter_once(loop);
	if (learns)
		sk_loop_poll_learn(loop, sk_now_ns() - begin);
	reap(loop);
	switch (-ret) {
	case ETIME:
	case EINTR:
	case EAGAIN: /* no memory for a request, or a full completion queue: */
	case EBUSY:  /* reaping makes room, the rest is handed over next turn */
	case ENOMEM:
		return 0;
	default:
		return SK_MIN(ret, 0);
	}
}

static void ring_stop(struct sk_loop *loop)
{
	(void)loop;
}

static void ring_destroy(struct sk_loop *loop)
{
	struct ring *r = loop->driver;

	io_uring_queue_exit(&r->ring);
	free(r);
}

int sk_loop_ring_create(struct sk_loop *loop)
{
	static const struct driver_ops ops = {
		.bind = ring_bind,
		.start = ring_start,
		.cancel = ring_cancel,
		.forget = ring_forget,
		.enter = ring_enter,
		.is_ready = ring_is_ready,
		.stop = ring_stop,
		.destroy = ring_destroy,
	};
	const unsigned needed = IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE |
				IORING_FEAT_FAST_POLL | IORING_FEAT_EXT_ARG;
	struct ring *r = calloc(1, sizeof(*r));
	int ret;

	if (!r)
		return -ENOMEM;
	ret = init_ring(&r->ring, loop->config.queue_entries);
	if (!ret && (r->ring.features & needed) != needed) {
		io_uring_queue_exit(&r->ring);
		ret = -EINVAL;
	}
	if (!ret) {
		ret = restrict_ring(&r->ring);
		if (ret)
			io_uring_queue_exit(&r->ring);
	}
	if (ret) {
		explain(loop, ret);
		free(r);
		return ret;
	}
	r->has_multi_accept = r->has_multi_poll = true;
	loop->ops = &ops;
	loop->driver = r;
	loop->kind = SK_LOOP_IO_URING;
	return 0;
}
