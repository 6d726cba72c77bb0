/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The epoll driver. Starting an operation tries it; what would block is armed (one-shot) and tried
 * again when the descriptor is ready; what cannot be polled (files) goes to the pool. Descriptors
 * are not watched while no operation waits on them, so that their owner may close them with
 * close(2) and the number may come back as something else.
 */
#include "loop_internal.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#define EVENTS_MAX 256
#define WAKE_KEY   UINT64_MAX

enum work { WORK_NONE, WORK_WAITS, WORK_POOL };

struct poller {
	int fd;
	struct pool *pool; /* made when first needed */
};

static ssize_t transfer(const struct sk_loop_op *op, int flags)
{
	if (op->kind == OP_READ)
		return preadv2(op->fd, op->iov, (int)op->nr_iov, -1, flags);
	return pwritev2(op->fd, op->iov, (int)op->nr_iov, -1, flags);
}

/* -EAGAIN if it would block, whatever the descriptor's own mode. */
static int try_transfer(const struct sk_loop_op *op)
{
	ssize_t n = transfer(op, RWF_NOWAIT);

	/* Not every kind of file knows NOWAIT: then epoll says when a plain call will do. */
	if (n < 0 && errno == EOPNOTSUPP) {
		if (!op->is_polling)
			return -EAGAIN;
		n = transfer(op, 0);
	}
	return n < 0 ? -errno : (int)n;
}

static int try_socket(struct sk_loop_op *op)
{
	const int send_flags = MSG_NOSIGNAL | MSG_DONTWAIT;
	ssize_t n;

	if (op->kind == OP_SEND)
		n = send(op->fd, op->iov->iov_base, op->iov->iov_len, send_flags);
	else if (op->kind == OP_RECV)
		n = recv(op->fd, op->iov->iov_base, op->iov->iov_len, MSG_DONTWAIT);
	else if (op->kind == OP_SENDMSG)
		n = sendmsg(op->fd, op->arg, send_flags);
	else
		n = recvmsg(op->fd, op->arg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	return n < 0 ? -errno : (int)n;
}

static int set_nonblock(struct sk_loop_op *op)
{
	int flags;

	if (op->old_nonblock >= 0)
		return 0;
	flags = fcntl(op->fd, F_GETFL);
	if (flags < 0 || (!(flags & O_NONBLOCK) && fcntl(op->fd, F_SETFL, flags | O_NONBLOCK) < 0))
		return -errno;
	op->old_nonblock = (flags & O_NONBLOCK) != 0;
	return 0;
}

static int try_accept(struct sk_loop_op *op)
{
	int fd, ret = set_nonblock(op);

	if (ret)
		return ret;
	fd = accept4(op->fd, NULL, NULL, SOCK_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int try_connect(struct sk_loop_op *op)
{
	int error = 0, ret = set_nonblock(op);
	socklen_t len = sizeof(error);

	if (ret)
		return ret;
	if (op->is_polling) {
		if (getsockopt(op->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
			return -errno;
		return -error;
	}
	if (!connect(op->fd, op->arg, (socklen_t)op->len))
		return 0;
	/* An interrupted connect goes on all the same. */
	return errno == EINTR ? -EINPROGRESS : -errno;
}

static int try_poll(struct sk_loop_op *op)
{
	struct pollfd p = {.fd = op->fd, .events = (short)sk_loop_op_events(op)};
	int n = poll(&p, 1, 0);

	if (n < 0)
		return -errno;
	if (p.revents & POLLNVAL)
		return -EBADF;
	return n ? p.revents : -EAGAIN;
}

static int try_close(struct sk_loop *loop, struct sk_loop_op *op)
{
	struct fd_slot *slot = sk_loop_fd_find(&loop->fds, op->fd);

	if (slot)
		slot->is_registered = false;
	/* EINTR: it is closed nevertheless. */
	return close(op->fd) < 0 && errno != EINTR ? -errno : 0;
}

static int try_op(struct sk_loop *loop, struct sk_loop_op *op)
{
	switch ((enum op_kind)op->kind) {
	case OP_READ:
	case OP_WRITE:
		return try_transfer(op);
	case OP_ACCEPT:
		return try_accept(op);
	case OP_CONNECT:
		return try_connect(op);
	case OP_POLL:
	case OP_SIGNAL:
		return try_poll(op);
	case OP_CLOSE:
		return try_close(loop, op);
	default:
		return try_socket(op);
	}
}

/* Operations that may block on a disk. */
static bool is_file_work(const struct sk_loop_op *op)
{
	struct stat st;

	switch ((enum op_kind)op->kind) {
	case OP_READ:
	case OP_WRITE:
		return op->offset != SK_LOOP_STREAM;
	case OP_FSYNC:
	case OP_FALLOCATE:
	case OP_OPENAT:
		return true;
	case OP_CLOSE:
		return !fstat(op->fd, &st) && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode));
	default:
		return false;
	}
}

static void give_to_pool(struct sk_loop *loop, struct sk_loop_op *op)
{
	struct poller *p = loop->driver;
	int ret = p->pool ? 0 : sk_loop_pool_create(&p->pool, loop);

	if (!ret)
		ret = sk_loop_pool_start(p->pool, op);
	if (ret)
		sk_loop_op_result(loop, op, ret);
	else
		op->work = WORK_POOL;
}

/* Makes epoll watch for what the slot's waiting operations want. 0 or -errno (-EPERM: a file). */
static int arm(struct sk_loop *loop, struct fd_slot *slot, int fd)
{
	struct poller *p = loop->driver;
	struct epoll_event ev = {.data.u64 = (unsigned)fd};
	uint32_t wanted = 0;

	for (struct sk_loop_link *link = slot->ops.next; link != &slot->ops; link = link->next) {
		const struct sk_loop_op *op = BY_FD_OP(link);

		if (op->stage == STAGE_STARTED && op->work == WORK_WAITS)
			wanted |= sk_loop_op_events(op) | EPOLLERR;
	}
	if (slot->armed == wanted)
		return 0;
	slot->armed = wanted;
	if (!wanted) {
		slot->is_registered = false;
		return epoll_ctl(p->fd, EPOLL_CTL_DEL, fd, NULL) < 0 ? -errno : 0;
	}
	ev.events = wanted | EPOLLONESHOT;
	for (int tries = 0; tries < 2; tries++) {
		if (!epoll_ctl(p->fd, slot->is_registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd,
			       &ev)) {
			slot->is_registered = true;
			return 0;
		}
		/* The number has another meaning than when we saw it last. */
		if (errno != ENOENT && errno != EEXIST)
			break;
		slot->is_registered = errno == EEXIST;
	}
	slot->armed = 0;
	return -errno;
}

/* A file is always ready, for whoever asks; its transfers block, so they go to the pool. */
static void go_on_unpollable(struct sk_loop *loop, struct sk_loop_op *op)
{
	const uint32_t ready = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;

	op->work = WORK_NONE;
	if (op->kind == OP_POLL)
		sk_loop_op_result(loop, op, (int)(sk_loop_op_events(op) & ready));
	else
		give_to_pool(loop, op);
}

static void wait_ready(struct sk_loop *loop, struct sk_loop_op *op)
{
	struct fd_slot *slot = sk_loop_fd_find(&loop->fds, op->fd);
	int ret;

	op->work = WORK_WAITS;
	ret = arm(loop, slot, op->fd);
	if (!ret)
		return;
	if (ret == -EPERM) {
		go_on_unpollable(loop, op);
		return;
	}
	op->work = WORK_NONE;
	sk_loop_op_result(loop, op, ret);
}

static bool poller_start(struct sk_loop *loop, struct sk_loop_op *op)
{
	int ret;

	if (is_file_work(op)) {
		give_to_pool(loop, op);
		return true;
	}
	ret = try_op(loop, op);
	op->is_polling = false;
	if ((ret == -EAGAIN && op->kind != OP_CONNECT) || ret == -EINPROGRESS) {
		wait_ready(loop, op);
	} else if (ret >= 0 && op->kind == OP_ACCEPT && op->flags & SK_LOOP_MULTI) {
		sk_loop_op_more(loop, op, ret);
		/* Its next connection comes after the others' turn. */
		if (op->is_cancelled)
			sk_loop_op_result(loop, op, -ECANCELED);
		else
			sk_loop_op_queue(loop, op);
	} else {
		sk_loop_op_result(loop, op, ret);
	}
	return true;
}

static bool poller_cancel(struct sk_loop *loop, struct sk_loop_op *op)
{
	struct poller *p = loop->driver;
	struct fd_slot *slot;

	if (op->work == WORK_WAITS) {
		op->work = WORK_NONE;
		slot = sk_loop_fd_find(&loop->fds, op->fd);
		/* A failure leaves an event armed that nobody waits for: it is ignored. */
		(void)arm(loop, slot, op->fd);
		sk_loop_op_result(loop, op, -ECANCELED);
	} else if (op->work == WORK_POOL && sk_loop_pool_cancel(p->pool, op)) {
		sk_loop_op_result(loop, op, -ECANCELED);
	}
	return true;
}

/* A connect borrows the descriptor's blocking mode. */
static void poller_forget(struct sk_loop *loop, struct sk_loop_op *op)
{
	int flags;

	(void)loop;
	if (op->kind != OP_CONNECT || op->old_nonblock != 0)
		return;
	flags = fcntl(op->fd, F_GETFL);
	if (flags >= 0)
		(void)fcntl(op->fd, F_SETFL, flags & ~O_NONBLOCK);
}

/* Queues those who waited for this; the next flush tries them. */
static void report_ready(struct sk_loop *loop, int fd, uint32_t events)
{
	struct fd_slot *slot = sk_loop_fd_find(&loop->fds, fd);

	if (!slot)
		return;
	slot->armed = 0;
	for (struct sk_loop_link *link = slot->ops.next; link != &slot->ops; link = link->next) {
		struct sk_loop_op *op = BY_FD_OP(link);

		if (op->stage != STAGE_STARTED || op->work != WORK_WAITS || op->is_cancel_queued ||
		    !(events & (sk_loop_op_events(op) | EPOLLERR | EPOLLHUP)))
			continue;
		op->work = WORK_NONE;
		op->is_polling = true;
		sk_loop_op_queue(loop, op);
	}
	/* It worked before and the others still wait: it works again, or they hear of it below. */
	if (!arm(loop, slot, fd))
		return;
	for (struct sk_loop_link *link = slot->ops.next; link != &slot->ops; link = link->next) {
		struct sk_loop_op *op = BY_FD_OP(link);

		if (op->stage == STAGE_STARTED && op->work == WORK_WAITS && !op->is_cancel_queued) {
			op->work = WORK_NONE;
			sk_loop_op_queue(loop, op);
		}
	}
}

static int wait_events(struct poller *p, struct epoll_event *events, int64_t wait_ns)
{
	struct timespec ts = {.tv_sec = wait_ns / 1000000000, .tv_nsec = wait_ns % 1000000000};
	int n = epoll_pwait2(p->fd, events, EVENTS_MAX, wait_ns == SK_LOOP_INFINITE ? NULL : &ts,
			     NULL);

	if (n < 0 && errno == ENOSYS) {
		/* Before Linux 5.11: milliseconds, rounded up. */
		int64_t ms = wait_ns / 1000000 + (wait_ns % 1000000 != 0);

		n = epoll_wait(p->fd, events, EVENTS_MAX,
			       wait_ns == SK_LOOP_INFINITE ? -1 : (int)SK_MIN(ms, INT32_MAX));
	}
	return n < 0 ? -errno : n;
}

/* Polls until something is there or the bound. */
static int spin(struct sk_loop *loop, struct epoll_event *events, int64_t limit_ns)
{
	uint64_t end = sk_now_ns() + (uint64_t)limit_ns;
	int n;

	do {
		n = wait_events(loop->driver, events, 0);
	} while (!n && !sk_loop_has_posts(loop) && sk_now_ns() < end);
	return n;
}

static int poller_enter(struct sk_loop *loop, int64_t wait_ns)
{
	int64_t busy_ns = (int64_t)SK_MIN(loop->config.busy_poll_ns, (uint64_t)wait_ns);
	struct epoll_event events[EVENTS_MAX];
	struct poller *p = loop->driver;
	int n = 0;

	loop->stats.enters++;
	if (wait_ns && busy_ns) {
		n = spin(loop, events, busy_ns);
		if (n || sk_loop_has_posts(loop))
			wait_ns = 0;
		else if (wait_ns != SK_LOOP_INFINITE)
			wait_ns -= busy_ns;
	}
	if (!n && wait_ns && sk_loop_sleep_begin(loop)) {
		n = wait_events(p, events, wait_ns);
		sk_loop_sleep_end(loop);
	} else if (!n) {
		n = wait_events(p, events, 0);
	}
	loop->is_now_valid = false;
	if (n < 0)
		return n == -EINTR ? 0 : n;
	for (int i = 0; i < n; i++)
		if (events[i].data.u64 != WAKE_KEY)
			report_ready(loop, (int)events[i].data.u64, events[i].events);
	if (n)
		sk_loop_flush(loop);
	return 0;
}

static int poller_bind(struct sk_loop *loop)
{
	(void)loop;
	return 0;
}

/* What is ready is in the loop's own queue. */
static bool poller_is_ready(struct sk_loop *loop)
{
	(void)loop;
	return false;
}

static void poller_stop(struct sk_loop *loop)
{
	struct poller *p = loop->driver;

	sk_loop_pool_stop(p->pool);
}

static void poller_destroy(struct sk_loop *loop)
{
	struct poller *p = loop->driver;

	sk_loop_pool_destroy(p->pool);
	sk_close(&p->fd);
	free(p);
}

int sk_loop_poller_create(struct sk_loop *loop)
{
	static const struct driver_ops ops = {
		.bind = poller_bind,
		.start = poller_start,
		.cancel = poller_cancel,
		.forget = poller_forget,
		.enter = poller_enter,
		.is_ready = poller_is_ready,
		.stop = poller_stop,
		.destroy = poller_destroy,
	};
	/* Edge-triggered: fires at every signal, so the counter need not be read. */
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u64 = WAKE_KEY};
	struct poller *p = calloc(1, sizeof(*p));
	int ret;

	if (!p)
		return -ENOMEM;
	p->fd = epoll_create1(EPOLL_CLOEXEC);
	if (p->fd < 0 || epoll_ctl(p->fd, EPOLL_CTL_ADD, loop->wake_fd, &ev) < 0) {
		ret = -errno;
		sk_close(&p->fd);
		free(p);
		return ret;
	}
	loop->ops = &ops;
	loop->driver = p;
	loop->kind = SK_LOOP_EPOLL;
	return 0;
}
