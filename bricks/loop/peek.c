/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Memory that the loop looks at while it polls, and for how long it polls: as QEMU's event loops
 * (util/aio-posix.c) as long as the waits that it sees are that short, and not at all after one
 * that was longer than it may poll.
 */
#include "loop_internal.h"

#define FIRST_POLL_NS 4000

#define PEEK(l)	      SK_CONTAINER_OF(l, struct sk_loop_peek, link)

void sk_loop_peek_add(struct sk_loop *loop, struct sk_loop_peek *peek)
{
	if (peek->is_added)
		return;
	peek->is_added = true;
	link_append(&loop->peeks, &peek->link);
	if (loop->is_peeking)
		peek->ops->begin(peek);
}

void sk_loop_peek_remove(struct sk_loop *loop, struct sk_loop_peek *peek)
{
	if (!peek->is_added)
		return;
	peek->is_added = false;
	link_remove(&peek->link);
	if (loop->is_peeking)
		(void)peek->ops->end(peek);
}

int64_t sk_loop_poll_limit(const struct sk_loop *loop, int64_t wait_ns)
{
	uint64_t ns = loop->config.busy_poll_ns;

	if (!link_is_empty(&loop->peeks))
		ns = SK_MAX(ns, loop->poll_ns);
	return (int64_t)SK_MIN(ns, (uint64_t)wait_ns);
}

void sk_loop_poll_learn(struct sk_loop *loop, uint64_t ns)
{
	uint64_t max = loop->config.max_poll_ns;

	if (ns <= loop->poll_ns)
		return;
	if (ns > max)
		loop->poll_ns = 0;
	else
		loop->poll_ns = SK_MIN(max, loop->poll_ns ? 2 * loop->poll_ns : FIRST_POLL_NS);
}

void sk_loop_peek_begin(struct sk_loop *loop)
{
	struct sk_loop_link *l;

	if (loop->is_peeking)
		return;
	loop->is_peeking = true;
	for (l = loop->peeks.next; l != &loop->peeks; l = l->next)
		PEEK(l)->ops->begin(PEEK(l));
}

bool sk_loop_peek_look(struct sk_loop *loop)
{
	struct sk_loop_link *l;

	if (!loop->is_peeking)
		return false;
	for (l = loop->peeks.next; l != &loop->peeks; l = l->next)
		if (PEEK(l)->ops->look(PEEK(l)))
			return true;
	return false;
}

unsigned sk_loop_peek_work(struct sk_loop *loop)
{
	struct sk_loop_link *l, *next;
	unsigned n = 0;

	if (!loop->is_peeking)
		return 0;
	for (l = loop->peeks.next; l != &loop->peeks; l = next) {
		next = l->next;
		if (!PEEK(l)->ops->look(PEEK(l)))
			continue;
		PEEK(l)->ops->work(PEEK(l));
		n++;
	}
	return n;
}

bool sk_loop_peek_end(struct sk_loop *loop)
{
	struct sk_loop_link *l, *next;
	bool has_worked = false;

	if (!loop->is_peeking)
		return false;
	loop->is_peeking = false;
	for (l = loop->peeks.next; l != &loop->peeks; l = next) {
		next = l->next;
		has_worked |= PEEK(l)->ops->end(PEEK(l));
	}
	return has_worked;
}
