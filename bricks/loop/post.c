/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Posts: a stack that any thread pushes to and the owner takes whole, and the flag that tells
 * posters whether the owner sleeps.
 *
 *      poster                          owner, before it blocks
 *      push the post                   is_asleep = 1
 *      is_asleep? then wake            a post there? then do not block
 *
 * Each side stores, then loads what the other stored. With release and acquire both loads may come
 * before both stores, and the wake-up is lost; it really happens. Therefore these four accesses
 * are sequentially consistent: one of the two sides sees the other. (Fences would do the same, but
 * TSan does not know them.)
 */
#include "loop_internal.h"

void sk_loop_post(struct sk_loop *loop, struct sk_loop_post *post)
{
	struct sk_loop_post *head;

	/*
	 * Queued already: its run() has not begun. The partner is the exchange in run_posts(),
	 * which comes after this one and so sees what we did before.
	 */
	if (__atomic_exchange_n(&post->is_queued, 1, __ATOMIC_ACQ_REL))
		return;
	head = __atomic_load_n(&loop->posts, __ATOMIC_RELAXED);
	do {
		post->next = head;
	} while (!__atomic_compare_exchange_n(&loop->posts, &head, post, true, __ATOMIC_SEQ_CST,
					      __ATOMIC_RELAXED));
	/* Of several posters one wakes. */
	if (__atomic_load_n(&loop->is_asleep, __ATOMIC_SEQ_CST) &&
	    __atomic_exchange_n(&loop->is_asleep, 0, __ATOMIC_ACQ_REL))
		sk_eventfd_signal(loop->wake_fd);
}

bool sk_loop_has_posts(struct sk_loop *loop)
{
	return loop->batch || __atomic_load_n(&loop->posts, __ATOMIC_RELAXED);
}

bool sk_loop_sleep_begin(struct sk_loop *loop)
{
	__atomic_store_n(&loop->is_asleep, 1, __ATOMIC_SEQ_CST);
	if (!loop->batch && !__atomic_load_n(&loop->posts, __ATOMIC_SEQ_CST))
		return true;
	sk_loop_sleep_end(loop);
	return false;
}

void sk_loop_sleep_end(struct sk_loop *loop)
{
	/* A poster that still reads 1 only signals once too often. */
	__atomic_store_n(&loop->is_asleep, 0, __ATOMIC_RELAXED);
}

/* Takes all that was posted, oldest first. */
static struct sk_loop_post *take(struct sk_loop *loop)
{
	struct sk_loop_post *post, *next, *oldest = NULL;

	if (!__atomic_load_n(&loop->posts, __ATOMIC_RELAXED))
		return NULL;
	post = __atomic_exchange_n(&loop->posts, NULL, __ATOMIC_ACQUIRE);
	for (; post; post = next) {
		next = post->next;
		post->next = oldest;
		oldest = post;
	}
	return oldest;
}

unsigned sk_loop_run_posts(struct sk_loop *loop)
{
	unsigned n = 0;

	while (n < loop->config.max_callbacks) {
		struct sk_loop_post *post = loop->batch;

		/* Taken once a turn: posts that post themselves must not hold the turn. */
		if (!post && !n)
			post = take(loop);
		if (!post)
			break;
		loop->batch = post->next;
		(void)__atomic_exchange_n(&post->is_queued, 0, __ATOMIC_ACQ_REL);
		n++;
		post->run(loop, post);
	}
	return n;
}
