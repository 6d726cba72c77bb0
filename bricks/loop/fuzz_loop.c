/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * A random program of operations, cancels, closes, posts and timers against a model. The first
 * byte chooses the driver and the sizes, every two bytes after it are an instruction.
 *
 * The model knows who owns what: each operation ends exactly once, with a result that its kind and
 * its history allow; a stream's bytes arrive in order, none invented; a buffer that was handed back
 * is not written any more (it is filled with a pattern that is checked to the end); posts run once
 * for each time they were free; cleared timers do not fire, the others not early.
 */
#include "loop_internal.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#define NR_OPS	  24
#define NR_PAIRS  3
#define NR_TIMERS 8
#define NR_POSTS  4
#define BUF_BYTES 96
#define IDLE_FILL 0xa5
#define STEPS_MAX 400

enum what { RECV, SEND, POLL, FILE_READ, FILE_WRITE, FSYNC, CLOSE, NR_WHATS };

struct model;

struct slot {
	struct sk_loop_op op;
	struct model *model;
	enum what what;
	unsigned pair, side;
	bool is_busy, is_cancelled;
	uint64_t position; /* in the stream, of what is sent */
	size_t len;
	unsigned char buf[BUF_BYTES];
};

struct timed {
	struct sk_loop_timer timer;
	struct model *model;
	uint64_t deadline_ns;
	bool is_set;
};

struct posted {
	struct sk_loop_post post;
	bool is_queued;
};

/* One direction of a socket pair. A cancelled send may have been carried out, all or nothing. */
struct stream {
	uint64_t sent, received;
	bool has_sender, has_receiver;
};

struct model {
	struct sk_loop *loop;
	struct slot slots[NR_OPS];
	struct timed timers[NR_TIMERS];
	struct posted posts[NR_POSTS];
	int fds[NR_PAIRS][2];
	bool is_closing[NR_PAIRS][2];
	struct stream streams[NR_PAIRS][2]; /* by the sending side */
	int file;
	unsigned busy;
	bool is_over;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a stream carries at a position. */
static unsigned char stream_byte(uint64_t position)
{
	return (unsigned char)(position * 13 + position / 256);
}

static void check_idle(const struct slot *s)
{
	for (size_t i = 0; i < BUF_BYTES; i++)
		BUG_ON(s->buf[i] != IDLE_FILL);
}

static void check_received(struct slot *s, int n)
{
	struct stream *in = &s->model->streams[s->pair][!s->side];

	BUG_ON(n < 0 || (size_t)n > s->len);
	for (int i = 0; i < n; i++)
		BUG_ON(s->buf[i] != stream_byte(in->received + (uint64_t)i));
	for (size_t i = (size_t)n; i < BUF_BYTES; i++)
		BUG_ON(s->buf[i] != IDLE_FILL);
	in->received += (uint64_t)n;
	BUG_ON(in->received > in->sent);
}

static void check_result(struct slot *s, int result)
{
	struct model *m = s->model;
	bool is_shut = m->is_closing[s->pair][s->side];
	bool has_peer_gone = m->is_closing[s->pair][!s->side];
	struct stream *out = &m->streams[s->pair][s->side];

	if (result == -ECANCELED && (s->is_cancelled || m->is_over) && s->what != CLOSE)
		result = 0;
	else if (result < 0)
		BUG_ON(!(result == -EBADF && is_shut) &&
		       !((result == -EPIPE || result == -ECONNRESET) && has_peer_gone));
	switch (s->what) {
	case RECV:
		check_received(s, SK_MAX(result, 0));
		break;
	case SEND:
		BUG_ON(result > (int)s->len);
		out->sent = s->position + (uint64_t)SK_MAX(result, 0);
		break;
	case FILE_READ:
	case FILE_WRITE:
		BUG_ON(result > (int)s->len);
		break;
	default:
		break;
	}
}

static void done(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	struct slot *s = SK_CONTAINER_OF(op, struct slot, op);
	struct model *m = s->model;

	BUG_ON(loop != m->loop || !s->is_busy || sk_loop_op_is_busy(op));
	s->is_busy = false;
	m->busy--;
	check_result(s, result);
	if (s->what == RECV)
		m->streams[s->pair][!s->side].has_receiver = false;
	if (s->what == SEND)
		m->streams[s->pair][s->side].has_sender = false;
	if (s->what == CLOSE)
		m->fds[s->pair][s->side] = -1;
	memset(s->buf, IDLE_FILL, sizeof(s->buf));
}

static void fire(struct sk_loop *loop, struct sk_loop_timer *timer)
{
	struct timed *t = SK_CONTAINER_OF(timer, struct timed, timer);

	(void)loop;
	BUG_ON(!t->is_set || t->deadline_ns > sk_now_ns());
	t->is_set = false;
}

static void run_post(struct sk_loop *loop, struct sk_loop_post *post)
{
	struct posted *p = SK_CONTAINER_OF(post, struct posted, post);

	(void)loop;
	BUG_ON(!p->is_queued);
	p->is_queued = false;
}

/* Sends keep the model's position exact: what counts is what the kernel took in the end. */
static void submit_stream(struct model *m, struct slot *s, bool is_whole)
{
	struct stream *out = &m->streams[s->pair][s->side], *in = &m->streams[s->pair][!s->side];

	s->op.flags = is_whole ? SK_LOOP_WHOLE : 0;
	if (s->what == RECV) {
		in->has_receiver = true;
		sk_loop_recv(m->loop, &s->op, s->buf, s->len);
		return;
	}
	out->has_sender = true;
	s->position = out->sent;
	for (size_t i = 0; i < s->len; i++)
		s->buf[i] = stream_byte(s->position + i);
	/* Reserved at once: it may arrive before we hear of it. */
	out->sent += s->len;
	sk_loop_send(m->loop, &s->op, s->buf, s->len);
}

static void submit(struct model *m, uint8_t a, uint8_t b)
{
	struct slot *s = &m->slots[a % NR_OPS];
	bool is_file;

	if (s->is_busy)
		return;
	check_idle(s);
	s->what = (enum what)(b % NR_WHATS);
	s->pair = b / NR_WHATS % NR_PAIRS;
	s->side = a / NR_OPS % 2;
	s->len = 1 + (a ^ b) % (BUF_BYTES - 1);
	is_file = s->what == FILE_READ || s->what == FILE_WRITE || s->what == FSYNC;
	s->op.fd = is_file ? m->file : m->fds[s->pair][s->side];
	if (s->op.fd < 0 || (s->what == CLOSE && m->is_closing[s->pair][s->side]) ||
	    (s->what == RECV && m->streams[s->pair][!s->side].has_receiver) ||
	    (s->what == SEND && m->streams[s->pair][s->side].has_sender))
		return;
	s->op.flags = 0;
	s->is_busy = true;
	s->is_cancelled = m->is_closing[s->pair][s->side];
	m->busy++;
	switch (s->what) {
	case RECV:
	case SEND:
		submit_stream(m, s, a & 128);
		break;
	case POLL:
		sk_loop_poll(m->loop, &s->op, b & 128 ? POLLIN : POLLIN | POLLOUT);
		break;
	case FILE_READ:
		sk_loop_read(m->loop, &s->op, s->buf, s->len, b);
		break;
	case FILE_WRITE:
		sk_loop_write(m->loop, &s->op, s->buf, s->len, b);
		break;
	case FSYNC:
		sk_loop_fsync(m->loop, &s->op);
		break;
	default:
		m->is_closing[s->pair][s->side] = true;
		for (unsigned i = 0; i < NR_OPS; i++)
			m->slots[i].is_cancelled |= m->slots[i].op.fd == s->op.fd;
		sk_loop_close(m->loop, &s->op);
	}
}

static void cancel(struct model *m, uint8_t b)
{
	struct slot *s = &m->slots[b % NR_OPS];

	if (b < 200) {
		s->is_cancelled = true;
		sk_loop_cancel(m->loop, &s->op);
		return;
	}
	for (unsigned i = 0; i < NR_OPS; i++)
		m->slots[i].is_cancelled |= m->slots[i].op.fd == s->op.fd;
	sk_loop_cancel_fd(m->loop, s->op.fd);
}

static void set_timer(struct model *m, uint8_t a, uint8_t b)
{
	struct timed *t = &m->timers[b % NR_TIMERS];

	t->is_set = a & 1;
	t->deadline_ns = sk_now_ns() + (uint64_t)b * 300;
	if (t->is_set)
		sk_loop_timer_set(m->loop, &t->timer, t->deadline_ns);
	else
		sk_loop_timer_clear(m->loop, &t->timer);
	BUG_ON(sk_loop_timer_is_set(&t->timer) != t->is_set);
}

static void step(struct model *m, uint8_t a, uint8_t b)
{
	struct posted *p = &m->posts[b % NR_POSTS];

	switch (a % 8) {
	case 0:
		cancel(m, b);
		break;
	case 1:
		BUG_ON(sk_loop_turn(m->loop, b % 4 ? 0 : 1000) < 0);
		break;
	case 2:
		set_timer(m, a >> 3, b);
		break;
	case 3:
		p->is_queued = true;
		sk_loop_post(m->loop, &p->post);
		break;
	default:
		submit(m, a, b);
	}
}

static struct model *setup(uint8_t first)
{
	struct sk_loop_config config = {
		.driver = first & 1 ? SK_LOOP_EPOLL : SK_LOOP_IO_URING,
		.queue_entries = first & 2 ? 2 : 64,
		.max_callbacks = first & 4 ? 3 : 64,
		.max_workers = 2,
		.busy_poll_ns = first & 8 ? 2000 : 0,
	};
	struct model *m = calloc(1, sizeof(*m));

	BUG_ON(!m || sk_loop_create(&m->loop, &config, NULL));
	for (unsigned i = 0; i < NR_PAIRS; i++)
		BUG_ON(socketpair(AF_UNIX, SOCK_STREAM | (first & 16 ? SOCK_NONBLOCK : 0), 0,
				  m->fds[i]));
	m->file = memfd_create("fuzz", MFD_CLOEXEC);
	BUG_ON(m->file < 0);
	for (unsigned i = 0; i < NR_OPS; i++) {
		m->slots[i].op.done = done;
		m->slots[i].op.fd = -1;
		m->slots[i].model = m;
		memset(m->slots[i].buf, IDLE_FILL, BUF_BYTES);
	}
	for (unsigned i = 0; i < NR_TIMERS; i++)
		m->timers[i].timer.fire = fire;
	for (unsigned i = 0; i < NR_POSTS; i++)
		m->posts[i].post.run = run_post;
	return m;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct model *m;

	if (size < 3)
		return 0;
	m = setup(data[0]);
	for (size_t i = 1; i + 1 < size && i < 2 * STEPS_MAX; i += 2)
		step(m, data[i], data[i + 1]);
	m->is_over = true;
	sk_loop_destroy(m->loop);
	BUG_ON(m->busy);
	for (unsigned i = 0; i < NR_POSTS; i++)
		BUG_ON(m->posts[i].is_queued);
	/* Whatever still came through the sockets, no buffer saw it. */
	for (unsigned i = 0; i < NR_PAIRS; i++)
		for (unsigned k = 0; k < 2; k++)
			if (m->fds[i][k] >= 0)
				(void)!send(m->fds[i][k], "late", 4, MSG_NOSIGNAL | MSG_DONTWAIT);
	for (unsigned i = 0; i < NR_OPS; i++)
		check_idle(&m->slots[i]);
	for (unsigned i = 0; i < NR_PAIRS; i++)
		for (unsigned k = 0; k < 2; k++)
			sk_close(&m->fds[i][k]);
	sk_close(&m->file);
	free(m);
	return 0;
}
