/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The verbs: they note what is wanted and queue the operation; and the table of descriptors. */
#include "loop_internal.h"

#include <fcntl.h>
#include <limits.h>

#define FD_CHUNKS_MAX ((size_t)INT_MAX / FD_CHUNK + 1)

struct fd_slot *sk_loop_fd_find(const struct fd_table *fds, int fd)
{
	size_t chunk = (unsigned)fd / FD_CHUNK;

	if (fd < 0 || chunk >= fds->nr_chunks || !fds->chunks[chunk])
		return NULL;
	return &fds->chunks[chunk][(unsigned)fd % FD_CHUNK];
}

/* No system call asks whether @fd is one: after a seccomp filter there may be none to ask with. */
static int fd_table_grow(struct fd_table *fds, int fd)
{
	size_t chunk = (unsigned)fd / FD_CHUNK;
	size_t nr = SK_MAX(SK_MIN(2 * fds->nr_chunks, FD_CHUNKS_MAX), chunk + 1);
	struct fd_slot **chunks, *slots;

	if (chunk >= fds->nr_chunks) {
		/* The system's zero pages, so that a senseless number costs address space only. */
		chunks = calloc(nr, sizeof(struct fd_slot *));
		if (!chunks)
			return -ENOMEM;
		if (fds->nr_chunks)
			memcpy(chunks, fds->chunks, fds->nr_chunks * sizeof(struct fd_slot *));
		free(fds->chunks);
		fds->chunks = chunks;
		fds->nr_chunks = nr;
	}
	slots = calloc(FD_CHUNK, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (unsigned i = 0; i < FD_CHUNK; i++)
		link_init(&slots[i].ops);
	fds->chunks[chunk] = slots;
	return 0;
}

int sk_loop_fd_get(struct fd_table *fds, int fd, struct fd_slot **out)
{
	int ret;

	if (fd < 0)
		return -EBADF;
	*out = sk_loop_fd_find(fds, fd);
	if (*out)
		return 0;
	ret = fd_table_grow(fds, fd);
	if (!ret)
		*out = sk_loop_fd_find(fds, fd);
	return ret;
}

void sk_loop_fd_fini(struct fd_table *fds)
{
	for (size_t i = 0; i < fds->nr_chunks; i++)
		free(fds->chunks[i]);
	free(fds->chunks);
}

static void preset(struct sk_loop_op *op, int result)
{
	op->has_preset = true;
	op->preset = result;
}

/* A close shuts the slot; it starts when the last other operation on the descriptor is done. */
static void shut(struct sk_loop *loop, struct sk_loop_op *op, struct fd_slot *slot)
{
	if (slot->close) {
		preset(op, -EBADF);
		return;
	}
	slot->close = op;
	sk_loop_cancel_fd(loop, op->fd);
	if (!link_is_empty(&slot->ops))
		op->stage = STAGE_HELD;
}

/* Files the operation under its descriptor, or finds out why it cannot be. */
static void attach(struct sk_loop *loop, struct sk_loop_op *op)
{
	struct sk_loop_link *list = &loop->loose;
	struct fd_slot *slot;
	int ret;

	if (loop->is_draining && op->kind != OP_CLOSE) {
		preset(op, -ECANCELED);
	} else if (op->kind != OP_SIGNAL && (op->kind != OP_OPENAT || op->fd >= 0)) {
		ret = sk_loop_fd_get(&loop->fds, op->fd, &slot);
		if (ret)
			preset(op, ret);
		else if (op->kind == OP_CLOSE)
			shut(loop, op, slot);
		else if (slot->close)
			preset(op, -EBADF);
		else
			list = &slot->ops;
	}
	link_append(list, &op->by_fd);
}

static void submit(struct sk_loop *loop, struct sk_loop_op *op, enum op_kind kind)
{
	BUG_ON(op->stage != STAGE_IDLE);
	op->kind = (uint8_t)kind;
	op->stage = STAGE_QUEUED;
	op->work = 0;
	op->retries = 0;
	op->bytes = op->skipped = 0;
	op->is_cancelled = op->is_cancel_queued = op->is_polling = false;
	op->has_saved = op->has_preset = false;
	op->old_nonblock = -1;
	loop->stats.in_flight++;
	attach(loop, op);
	if (op->stage == STAGE_QUEUED)
		sk_loop_op_queue(loop, op);
}

static void submit_vectors(struct sk_loop *loop, struct sk_loop_op *op, enum op_kind kind,
			   struct iovec *iov, size_t nr_iov)
{
	size_t sum = 0;
	bool is_bad = nr_iov > IOV_MAX;

	op->iov = iov;
	op->nr_iov = (uint32_t)nr_iov;
	for (size_t i = 0; !is_bad && op->flags & SK_LOOP_WHOLE && i < nr_iov; i++)
		is_bad = __builtin_add_overflow(sum, iov[i].iov_len, &sum) || sum > INT_MAX;
	submit(loop, op, kind);
	if (is_bad)
		preset(op, -EINVAL);
}

static void submit_buffer(struct sk_loop *loop, struct sk_loop_op *op, enum op_kind kind,
			  const void *buf, size_t len_bytes)
{
	/* What one transfer can carry in any case: INT_MAX rounded down to a page. */
	if (!(op->flags & SK_LOOP_WHOLE))
		len_bytes = SK_MIN(len_bytes, (size_t)INT_MAX & ~(size_t)4095);
	op->one.iov_base = (void *)(uintptr_t)buf;
	op->one.iov_len = len_bytes;
	submit_vectors(loop, op, kind, &op->one, 1);
}

void sk_loop_read(struct sk_loop *loop, struct sk_loop_op *op, void *buf, size_t len_bytes,
		  uint64_t offset)
{
	op->offset = offset;
	submit_buffer(loop, op, OP_READ, buf, len_bytes);
}

void sk_loop_write(struct sk_loop *loop, struct sk_loop_op *op, const void *buf, size_t len_bytes,
		   uint64_t offset)
{
	op->offset = offset;
	submit_buffer(loop, op, OP_WRITE, buf, len_bytes);
}

void sk_loop_readv(struct sk_loop *loop, struct sk_loop_op *op, struct iovec *iov, unsigned nr_iov,
		   uint64_t offset)
{
	op->offset = offset;
	submit_vectors(loop, op, OP_READ, iov, nr_iov);
}

void sk_loop_writev(struct sk_loop *loop, struct sk_loop_op *op, struct iovec *iov, unsigned nr_iov,
		    uint64_t offset)
{
	op->offset = offset;
	submit_vectors(loop, op, OP_WRITE, iov, nr_iov);
}

void sk_loop_send(struct sk_loop *loop, struct sk_loop_op *op, const void *buf, size_t len_bytes)
{
	submit_buffer(loop, op, OP_SEND, buf, len_bytes);
}

void sk_loop_recv(struct sk_loop *loop, struct sk_loop_op *op, void *buf, size_t len_bytes)
{
	submit_buffer(loop, op, OP_RECV, buf, len_bytes);
}

void sk_loop_sendmsg(struct sk_loop *loop, struct sk_loop_op *op, struct msghdr *msg)
{
	op->arg = msg;
	op->len = msg->msg_controllen;
	submit_vectors(loop, op, OP_SENDMSG, msg->msg_iov, msg->msg_iovlen);
}

void sk_loop_recvmsg(struct sk_loop *loop, struct sk_loop_op *op, struct msghdr *msg)
{
	op->arg = msg;
	op->len = msg->msg_controllen;
	submit_vectors(loop, op, OP_RECVMSG, msg->msg_iov, msg->msg_iovlen);
	if (op->flags & SK_LOOP_WHOLE)
		preset(op, -EINVAL);
}

void sk_loop_accept(struct sk_loop *loop, struct sk_loop_op *op)
{
	submit(loop, op, OP_ACCEPT);
}

void sk_loop_connect(struct sk_loop *loop, struct sk_loop_op *op, const struct sockaddr *addr,
		     socklen_t addr_bytes)
{
	op->arg = (void *)(uintptr_t)addr;
	op->len = addr_bytes;
	submit(loop, op, OP_CONNECT);
}

void sk_loop_poll(struct sk_loop *loop, struct sk_loop_op *op, unsigned events)
{
	op->value = (int32_t)events;
	submit(loop, op, OP_POLL);
}

void sk_loop_signal(struct sk_loop *loop, struct sk_loop_op *op, int signo)
{
	op->fd = -1;
	op->value = signo;
	submit(loop, op, OP_SIGNAL);
}

void sk_loop_fsync(struct sk_loop *loop, struct sk_loop_op *op)
{
	submit(loop, op, OP_FSYNC);
}

void sk_loop_fallocate(struct sk_loop *loop, struct sk_loop_op *op, int mode, uint64_t offset,
		       uint64_t len_bytes)
{
	op->value = mode;
	op->offset = offset;
	op->len = len_bytes;
	submit(loop, op, OP_FALLOCATE);
}

void sk_loop_openat(struct sk_loop *loop, struct sk_loop_op *op, const char *path, int open_flags,
		    mode_t mode)
{
	op->arg = (void *)(uintptr_t)path;
	op->value = open_flags | O_CLOEXEC;
	op->len = mode;
	submit(loop, op, OP_OPENAT);
}

void sk_loop_close(struct sk_loop *loop, struct sk_loop_op *op)
{
	submit(loop, op, OP_CLOSE);
}
