/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The event loop: one thread, one ring. Operations are objects embedded in their owner's, handed
 * to the loop with the buffer and the descriptor they work on, and handed back by one final call
 * of their done function. io_uring carries them, or epoll behind the same door.
 *
 *      IDLE --submit--> the loop's --final done()--> IDLE
 *                         |    ^
 *                         +----+ done() of a SK_LOOP_MULTI accept, still the loop's
 *
 * Ownership: from submit to the final done() the operation, its buffers, vectors, message, path
 * and address belong to the loop, and the descriptor may not be closed by anyone else. The final
 * done() comes exactly once, never from inside a submitting call, and after a cancel too, where it
 * may still report a success. From the start of that call everything is the owner's again: it may
 * be freed, or submitted again. Once done, no byte of a buffer is written any more.
 *
 * Threading class: owner-thread only. sk_loop_create() may be called by another thread; the first
 * turn (or sk_loop_bind()) makes the calling thread the owner. Only sk_loop_post() may be called
 * by any thread. Many loops may live in one process; they share nothing.
 */
#ifndef SKETE_LOOP_H
#define SKETE_LOOP_H

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <skete/base.h>

/* The file position of the descriptor itself, for streams and for files read in sequence. */
#define SK_LOOP_STREAM	 UINT64_MAX
#define SK_LOOP_INFINITE INT64_MAX

enum sk_loop_driver {
	SK_LOOP_AUTO,	  /* the environment's SKETE_LOOP, or io_uring, or if refused epoll */
	SK_LOOP_IO_URING, /* io_uring, or sk_loop_create() fails and says why */
	SK_LOOP_EPOLL,
};

struct sk_loop_config {
	enum sk_loop_driver driver;
	unsigned queue_entries;	  /* of the ring, 0: 256; more operations than that just queue up */
	unsigned max_callbacks;	  /* completions, posts and timers per turn, of each; 0: 1024 */
	unsigned max_workers;	  /* threads for files under epoll, started when needed; 0: 4 */
	uint64_t busy_poll_ns;	  /* before it sleeps a turn polls for so long; 0: it does not */
	uint64_t max_poll_ns;	  /* with peeks, see there: likewise, as far as that pays */
	const struct sk_log *log; /* NULL or borrowed until destroy */
};

struct sk_loop;
struct sk_loop_op;
struct sk_loop_timer;
struct sk_loop_post;

/*
 * Makes a loop. The driver is chosen here: SKETE_LOOP=io_uring or epoll in the environment forces
 * one where the configuration says SK_LOOP_AUTO. Why io_uring is not used is logged once, at
 * SK_LOG_INFO. Errors: -EINVAL (a value of SKETE_LOOP or of @config makes no sense), -ENOMEM,
 * -EMFILE, and with io_uring forced what the kernel said.
 */
int sk_loop_create(struct sk_loop **out, const struct sk_loop_config *config,
		   struct sk_error *err) SK_MUST_CHECK;

/*
 * Drains and frees the loop: cancels every operation, runs every final done() and every queued
 * post, forgets the timers. Returns when nothing is in flight: no buffer is written afterwards. It
 * blocks for as long as an operation that cannot be cancelled (a disk's read) takes. What done()
 * submits meanwhile completes with -ECANCELED, except a close, which is carried out: so a done()
 * that submits again whatever the result would keep the drain going for ever. Owner thread, not
 * inside a callback; no thread may post any more.
 */
void sk_loop_destroy(struct sk_loop *loop);

/*
 * Makes the calling thread the owner. Needed only by who wants it earlier than at the first turn:
 * before a seccomp filter, after which the data path needs io_uring_enter alone under io_uring.
 * 0, also if bound already, or the kernel's -errno.
 */
int sk_loop_bind(struct sk_loop *loop) SK_MUST_CHECK;

/*
 * True if the calling thread is the owner, or nobody is yet. Any thread, once the owner has bound
 * itself.
 */
bool sk_loop_is_owner(const struct sk_loop *loop);

/*
 * One turn: hands over what was submitted, waits for at most @timeout_ns (0: not at all,
 * SK_LOOP_INFINITE), runs a bounded number of callbacks. Returns how many, 0 after a signal handler
 * ran too, or -errno if the driver itself failed (then the loop can only be destroyed).
 */
int sk_loop_turn(struct sk_loop *loop, int64_t timeout_ns) SK_MUST_CHECK;

/* Turns until sk_loop_stop(); 0, or -errno as above. */
int sk_loop_run(struct sk_loop *loop) SK_MUST_CHECK;

/* Ends sk_loop_run() after the current turn. Other threads send a post that calls it. */
void sk_loop_stop(struct sk_loop *loop);

/* SK_LOOP_IO_URING or SK_LOOP_EPOLL. */
enum sk_loop_driver sk_loop_driver(const struct sk_loop *loop);

/* Why io_uring is not used, in plain words ("kernel.io_uring_disabled=2"), or "". */
const char *sk_loop_driver_reason(const struct sk_loop *loop);

/* CLOCK_MONOTONIC as this turn read it: cheap, and the base for the deadlines of timers. */
uint64_t sk_loop_now_ns(struct sk_loop *loop);

struct sk_loop_stats {
	uint64_t turns;
	uint64_t enters;    /* system calls that hand over and wait: io_uring_enter, epoll_wait */
	uint64_t callbacks; /* done(), posts and timers */
	uint64_t in_flight; /* operations that belong to the loop now */
};

void sk_loop_stats(const struct sk_loop *loop, struct sk_loop_stats *stats);

/*
 * Operations. Zero one before its first use and set the public fields; they may change only while
 * it is idle. Submitting one that is not idle is a bug and aborts.
 *
 * @result is a count, a descriptor or what the verb below says, or -errno. EINTR is never seen;
 * EAGAIN is waited out, whether or not the descriptor is non-blocking; ENOBUFS is tried again 16
 * times, a millisecond apart. @done NULL: nobody listens, and an accepted or opened descriptor is
 * closed.
 */
typedef void sk_loop_done_fn(struct sk_loop *loop, struct sk_loop_op *op, int result);

/* Whole transfers only: go on after a short one until everything, the end or an error came. */
#define SK_LOOP_WHOLE	 (1u << 0)
#define SK_LOOP_MULTI	 (1u << 1) /* accept: one done() per connection, until cancelled or failed */
#define SK_LOOP_DATASYNC (1u << 2) /* fsync: data only, as fdatasync(2) */

struct sk_loop_link {
	struct sk_loop_link *prev, *next;
};

struct sk_loop_op {
	sk_loop_done_fn *done;
	int fd;
	unsigned flags;

	/* private to bricks/loop */
	struct sk_loop_link queue, by_fd;
	void *arg;	    /* message, path or address */
	struct iovec *iov;  /* what is left to transfer */
	struct iovec one;   /* the vector of the single-buffer verbs */
	struct iovec saved; /* the entry at iov as it was, if has_saved */
	uint64_t offset, len;
	struct sk_loop_op *next_work;
	uint32_t nr_iov, skipped, bytes;
	int32_t value, preset;
	uint8_t kind, stage, work, retries;
	bool is_cancelled, is_cancel_queued, is_polling, has_saved, has_preset;
	int8_t old_nonblock;
};

/* True from submit to the final done(); inside a done() it tells whether more will come. */
bool sk_loop_op_is_busy(const struct sk_loop_op *op);

/*
 * The verbs submit; none makes a system call, blocks or fails: failures are results. @op->fd is
 * the descriptor. With SK_LOOP_WHOLE a transfer that fails after some bytes reports these bytes;
 * the vectors may change meanwhile and are as before at the final done(). Two transfers in one
 * direction of a stream are not ordered: submit the second when the first is done. At most INT_MAX
 * bytes for a whole transfer (-EINVAL). What is written to a broken pipe with write or writev
 * raises SIGPIPE, as write(2); send and sendmsg never do.
 *
 * Under epoll, files and what else cannot be polled go to worker threads; accept leaves the
 * listening socket non-blocking, and an open of a FIFO without O_NONBLOCK, which blocks a worker,
 * cannot be cancelled.
 */
void sk_loop_read(struct sk_loop *loop, struct sk_loop_op *op, void *buf, size_t len_bytes,
		  uint64_t offset);
void sk_loop_write(struct sk_loop *loop, struct sk_loop_op *op, const void *buf, size_t len_bytes,
		   uint64_t offset);
void sk_loop_readv(struct sk_loop *loop, struct sk_loop_op *op, struct iovec *iov, unsigned nr_iov,
		   uint64_t offset);
void sk_loop_writev(struct sk_loop *loop, struct sk_loop_op *op, struct iovec *iov, unsigned nr_iov,
		    uint64_t offset);
void sk_loop_fsync(struct sk_loop *loop, struct sk_loop_op *op);
void sk_loop_fallocate(struct sk_loop *loop, struct sk_loop_op *op, int mode, uint64_t offset,
		       uint64_t len_bytes);

/*
 * The result is a descriptor, close-on-exec, which the owner closes. Once an accept or openat was
 * cancelled its owner gets none: one that came nevertheless is closed, the result is -ECANCELED.
 */
void sk_loop_accept(struct sk_loop *loop, struct sk_loop_op *op);
/* @op->fd is the directory or AT_FDCWD; O_CLOEXEC is added to @open_flags. */
void sk_loop_openat(struct sk_loop *loop, struct sk_loop_op *op, const char *path, int open_flags,
		    mode_t mode);

void sk_loop_connect(struct sk_loop *loop, struct sk_loop_op *op, const struct sockaddr *addr,
		     socklen_t addr_bytes);
void sk_loop_send(struct sk_loop *loop, struct sk_loop_op *op, const void *buf, size_t len_bytes);
void sk_loop_recv(struct sk_loop *loop, struct sk_loop_op *op, void *buf, size_t len_bytes);
/* SK_LOOP_WHOLE with sendmsg sends the control data once; with recvmsg it is -EINVAL. */
void sk_loop_sendmsg(struct sk_loop *loop, struct sk_loop_op *op, struct msghdr *msg);
void sk_loop_recvmsg(struct sk_loop *loop, struct sk_loop_op *op, struct msghdr *msg);

/* Waits for any of @events (POLLIN ..., as poll(2)) once; the result is what holds. */
void sk_loop_poll(struct sk_loop *loop, struct sk_loop_op *op, unsigned events);

/*
 * Waits for @signo once; the result is @signo. The caller blocks the signal in every thread
 * beforehand; while blocked it stays pending between two operations. @op->fd is the loop's to use.
 */
void sk_loop_signal(struct sk_loop *loop, struct sk_loop_op *op, int signo);

/*
 * Cancels every operation on the descriptor, waits for their final done() and closes it; from the
 * submit on, any other operation on it is -EBADF. Cannot be cancelled.
 */
void sk_loop_close(struct sk_loop *loop, struct sk_loop_op *op);

/* Asks that it ends soon: the final done() still comes. Nothing happens if @op is idle. */
void sk_loop_cancel(struct sk_loop *loop, struct sk_loop_op *op);
/* The same for all operations on @fd. */
void sk_loop_cancel_fd(struct sk_loop *loop, int fd);

/*
 * Timers, embedded too: zero one and set @fire. It fires once, never before its deadline, on the
 * first turn after it; deadlines 1.024 us apart fire in order. Setting one that is set moves it.
 * After clear it does not fire, and may be freed. All are O(1).
 */
struct sk_loop_timer {
	void (*fire)(struct sk_loop *loop, struct sk_loop_timer *timer);

	/* private to timer.c */
	struct sk_loop_link link;
	uint64_t tick;
	uint16_t slot; /* 0: not set */
};

/* @deadline_ns is on the clock of sk_loop_now_ns(); one that is past fires on the next turn. */
void sk_loop_timer_set(struct sk_loop *loop, struct sk_loop_timer *timer, uint64_t deadline_ns);
void sk_loop_timer_clear(struct sk_loop *loop, struct sk_loop_timer *timer);
bool sk_loop_timer_is_set(const struct sk_loop_timer *timer);

/*
 * A message from any thread: zero one and set @run. sk_loop_post() makes run() happen on the
 * owner thread after everything that the poster did before; if it is queued already, that one run
 * does. It never blocks, wakes the loop only if it sleeps, and must not be called once destroy has
 * begun. When run() starts the post is free again. A poster's own posts run in order.
 */
struct sk_loop_post {
	void (*run)(struct sk_loop *loop, struct sk_loop_post *post);

	/* private to post.c; accessed with atomic operations */
	struct sk_loop_post *next;
	int is_queued;
};

void sk_loop_post(struct sk_loop *loop, struct sk_loop_post *post);

/*
 * Memory that others write and that the loop looks at while it polls, so that they need not wake
 * it: zero one and set @ops. With one of these added a turn polls before it sleeps, for as long as
 * its waits are of late, if they are not longer than max_poll_ns; under io_uring only. From begin()
 * to end() the loop looks, perhaps in many turns; end() comes before it sleeps, and at removal.
 */
struct sk_loop_peek;

struct sk_loop_peek_ops {
	/* Others need not wake the loop from now on. */
	void (*begin)(struct sk_loop_peek *peek);
	/* Quick and without a system call: is there something to do? */
	bool (*look)(struct sk_loop_peek *peek);
	/* Does it. A callback like others. */
	void (*work)(struct sk_loop_peek *peek);
	/* Others wake it again; true if something had come before they knew, and is done. */
	bool (*end)(struct sk_loop_peek *peek);
};

struct sk_loop_peek {
	const struct sk_loop_peek_ops *ops;

	/* private to peek.c */
	struct sk_loop_link link;
	bool is_added;
};

/* Owner thread. Nothing happens if it is there already, or is not there. */
void sk_loop_peek_add(struct sk_loop *loop, struct sk_loop_peek *peek);
void sk_loop_peek_remove(struct sk_loop *loop, struct sk_loop_peek *peek);

#endif
