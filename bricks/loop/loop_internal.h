/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * What the files of the loop share. A turn: flush what was submitted and cancelled to the driver,
 * let the driver wait and report results, run posts, run timers.
 *
 * The life of an operation inside the loop (op->stage):
 *
 *   QUEUED --flush--> STARTED --result--> final, or QUEUED again (short, EINTR, EAGAIN),
 *   HELD: a close that waits until the descriptor's other operations are done   or RETRY (ENOBUFS)
 */
#ifndef SK_LOOP_INTERNAL_H
#define SK_LOOP_INTERNAL_H

#include <pthread.h>

#include <skete/loop.h>

enum op_kind {
	OP_READ,
	OP_WRITE,
	OP_SEND,
	OP_RECV,
	OP_SENDMSG,
	OP_RECVMSG,
	OP_ACCEPT,
	OP_CONNECT,
	OP_POLL,
	OP_SIGNAL,
	OP_FSYNC,
	OP_FALLOCATE,
	OP_OPENAT,
	OP_CLOSE,
};

enum op_stage { STAGE_IDLE, STAGE_QUEUED, STAGE_STARTED, STAGE_HELD, STAGE_RETRY };

/* What the loop knows of a descriptor. Slots never move: the list heads live in them. */
struct fd_slot {
	struct sk_loop_link ops;  /* every operation on it, but its close */
	struct sk_loop_op *close; /* the close that shuts it, or NULL */
	uint32_t armed;		  /* epoll: the events that are armed now */
	bool is_registered;	  /* epoll: our guess, put right when it proves wrong */
	bool is_drained;	  /* io_uring: the last receive left the socket empty */
};

#define FD_CHUNK 256

struct fd_table {
	struct fd_slot **chunks; /* of FD_CHUNK slots each, made on first use, or NULL */
	size_t nr_chunks;
};

#define TIMER_LEVEL_BITS 6
#define TIMER_SLOTS	 (1u << TIMER_LEVEL_BITS)
#define TIMER_LEVELS	 9 /* 9 * 6 bits of ticks of 1,024 ns: all of a 64-bit clock */

struct timer_wheel {
	struct sk_loop_link slots[TIMER_LEVELS * TIMER_SLOTS];
	uint64_t occupied[TIMER_LEVELS]; /* a bit per slot that is not empty */
	uint64_t tick;			 /* everything at or before it has expired */
	struct sk_loop_link expired;	 /* to be run */
};

struct driver_ops {
	/* On the owner thread, before anything else below. 0 or -errno. */
	int (*bind)(struct sk_loop *loop);
	/* Starts a queued operation; false: no room now, nothing was changed. */
	bool (*start)(struct sk_loop *loop, struct sk_loop_op *op);
	/* Asks a started one to end; false: no room now. */
	bool (*cancel)(struct sk_loop *loop, struct sk_loop_op *op);
	/* A started one is about to be handed back: drop what still names it. */
	void (*forget)(struct sk_loop *loop, struct sk_loop_op *op);
	/* Hands over, waits for at most @wait_ns and reports results. 0 or a fatal -errno. */
	int (*enter)(struct sk_loop *loop, int64_t wait_ns);
	/* True if enter() has results to report without waiting. */
	bool (*is_ready)(struct sk_loop *loop);
	/* Nothing is in flight: ends the threads that might post; then frees. */
	void (*stop)(struct sk_loop *loop);
	void (*destroy)(struct sk_loop *loop);
};

struct sk_loop {
	const struct driver_ops *ops;
	void *driver; /* struct ring or struct poller */
	enum sk_loop_driver kind;
	struct sk_loop_link pending; /* QUEUED, in order */
	struct sk_loop_link cancels; /* STARTED and to be cancelled */
	struct sk_loop_link retries; /* RETRY, until retry_timer */
	struct sk_loop_link loose;   /* by_fd of operations without a slot */
	struct sk_loop_link peeks;
	uint64_t poll_ns; /* of max_poll_ns, for how long it pays now */
	bool is_peeking;  /* peeks have begun */
	size_t nr_pending;
	int64_t budget; /* completions that this turn may still deliver */
	uint64_t now_ns;
	bool is_now_valid, is_bound, is_turning, is_stopped, is_draining;
	struct fd_table fds;
	struct sk_loop_timer retry_timer;
	struct sk_loop_stats stats;
	struct sk_loop_config config; /* with the defaults filled in */
	char reason[128];
	pthread_t owner;
	struct sk_loop_post *batch; /* taken from posts, in order, not yet run */
	int wake_fd;
	struct timer_wheel wheel;

	/* Written by other threads: kept off the lines above. */
	_Alignas(64) struct sk_loop_post *posts; /* newest first; atomic */
	int is_asleep;				 /* atomic; see post.c */
};

/* Circular lists with a head. */
static inline void link_init(struct sk_loop_link *head)
{
	head->prev = head->next = head;
}

static inline bool link_is_empty(const struct sk_loop_link *head)
{
	return head->next == head;
}

static inline void link_append(struct sk_loop_link *head, struct sk_loop_link *link)
{
	link->prev = head->prev;
	link->next = head;
	head->prev->next = link;
	head->prev = link;
}

static inline void link_remove(struct sk_loop_link *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
}

/* Moves all of @from to the end of @to. */
static inline void link_splice(struct sk_loop_link *to, struct sk_loop_link *from)
{
	if (link_is_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	link_init(from);
}

#define QUEUE_OP(l) SK_CONTAINER_OF(l, struct sk_loop_op, queue)
#define BY_FD_OP(l) SK_CONTAINER_OF(l, struct sk_loop_op, by_fd)

/* op.c: results and queues */

/* A started (or queued) operation came to @result: hands it back, or goes on with it. */
void sk_loop_op_result(struct sk_loop *loop, struct sk_loop_op *op, int result);
/* A connection of a SK_LOOP_MULTI accept that stays with the loop. */
void sk_loop_op_more(struct sk_loop *loop, struct sk_loop_op *op, int fd);
/* Puts it to the end of the queue, to be started (again). */
void sk_loop_op_queue(struct sk_loop *loop, struct sk_loop_op *op);
/* POLLIN, POLLOUT or what the poll wants: the readiness that it waits for. */
uint32_t sk_loop_op_events(const struct sk_loop_op *op);
/* Starts what is queued, cancels what is to be cancelled, as far as budget and driver allow. */
void sk_loop_flush(struct sk_loop *loop);
/* Cancels everything, and what does not end of itself once more. */
void sk_loop_cancel_all(struct sk_loop *loop);

/* submit.c: @fd's slot, NULL if it was never seen. */
struct fd_slot *sk_loop_fd_find(const struct fd_table *fds, int fd);
/* Makes it if need be: 0, -EBADF or -ENOMEM. */
int sk_loop_fd_get(struct fd_table *fds, int fd, struct fd_slot **out);
void sk_loop_fd_fini(struct fd_table *fds);

/* timer.c */
void sk_loop_wheel_init(struct timer_wheel *wheel, uint64_t now_ns);
/* When the next timer is due, or UINT64_MAX. Never too late, by cascades sometimes too early. */
uint64_t sk_loop_wheel_next_ns(const struct timer_wheel *wheel);
unsigned sk_loop_run_timers(struct sk_loop *loop);

/* post.c */
bool sk_loop_has_posts(struct sk_loop *loop);
unsigned sk_loop_run_posts(struct sk_loop *loop);
/* Before the driver blocks: false if it must not, because a post is there. */
bool sk_loop_sleep_begin(struct sk_loop *loop);
void sk_loop_sleep_end(struct sk_loop *loop);

/* peek.c */
/* For how long the driver polls before it sleeps for @wait_ns. */
int64_t sk_loop_poll_limit(const struct sk_loop *loop, int64_t wait_ns);
/* It had nothing to do for @ns: learns for how long to poll next time. */
void sk_loop_poll_learn(struct sk_loop *loop, uint64_t ns);
void sk_loop_peek_begin(struct sk_loop *loop);
bool sk_loop_peek_look(struct sk_loop *loop);
/* What is there to do is done: how many had something. */
unsigned sk_loop_peek_work(struct sk_loop *loop);
/* Before the driver blocks: true if it must not, because something came. */
bool sk_loop_peek_end(struct sk_loop *loop);

/* pool.c: threads that do blocking calls for one loop */
struct pool;
int sk_loop_pool_create(struct pool **out, struct sk_loop *loop);
/* Nothing may be in flight. The pool's post may still be queued until destroy. */
void sk_loop_pool_stop(struct pool *pool);
void sk_loop_pool_destroy(struct pool *pool);
/* Its result comes on a later turn; -errno if no thread can be started. */
int sk_loop_pool_start(struct pool *pool, struct sk_loop_op *op);
/* True if it had not begun: then its result never comes. */
bool sk_loop_pool_cancel(struct pool *pool, struct sk_loop_op *op);

/* ring.c, poller.c: fill loop->ops and loop->driver; -errno with the reason in loop->reason. */
int sk_loop_ring_create(struct sk_loop *loop);
int sk_loop_poller_create(struct sk_loop *loop);

#endif
