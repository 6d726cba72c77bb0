/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* A bounded queue of frames from one thread to another. */
#include "netif_internal.h"

int frame_queue_init(struct frame_queue *q, size_t max_bytes)
{
	*q = (struct frame_queue){.max_bytes = max_bytes};
	q->end = &q->first;
	q->fd = sk_eventfd_create();
	if (q->fd < 0)
		return q->fd;
	pthread_mutex_init(&q->lock, NULL);
	return 0;
}

void frame_queue_fini(struct frame_queue *q)
{
	if (q->fd < 0)
		return;
	frame_list_free(q->first);
	pthread_mutex_destroy(&q->lock);
	sk_close(&q->fd);
}

void frame_list_free(struct frame *list)
{
	while (list) {
		struct frame *frame = list;

		list = frame->next;
		free(frame);
	}
}

/* The bytes of @iov from @skip_bytes on as a frame of their own; NULL without memory. */
static struct frame *copy_frame(const struct iovec *iov, unsigned nr_iov, size_t skip_bytes)
{
	size_t len_bytes = netif_iov_bytes(iov, nr_iov) - skip_bytes;
	struct frame *frame = malloc(sizeof(*frame) + len_bytes);

	if (!frame)
		return NULL;
	frame->next = NULL;
	frame->len_bytes = (uint32_t)netif_iov_copy(frame->bytes, iov, nr_iov, skip_bytes);
	return frame;
}

int frame_queue_put(struct frame_queue *q, const struct iovec *iov, unsigned nr_iov,
		    size_t skip_bytes)
{
	struct frame *frame;
	bool was_empty;

	if (!frame_queue_has_room(q, netif_iov_bytes(iov, nr_iov)))
		return -EAGAIN;
	frame = copy_frame(iov, nr_iov, skip_bytes);
	if (!frame)
		return -ENOMEM;
	pthread_mutex_lock(&q->lock);
	was_empty = !q->first;
	*q->end = frame;
	q->end = &frame->next;
	q->held_bytes += frame->len_bytes + sizeof(*frame);
	pthread_mutex_unlock(&q->lock);
	if (was_empty)
		sk_eventfd_signal(q->fd);
	return 0;
}

bool frame_queue_has_room(struct frame_queue *q, size_t len_bytes)
{
	bool has_room;

	pthread_mutex_lock(&q->lock);
	/* An empty queue takes any frame. */
	has_room = !q->first || q->held_bytes + len_bytes <= q->max_bytes;
	q->wants_room |= !has_room;
	pthread_mutex_unlock(&q->lock);
	return has_room;
}

struct frame *frame_queue_take(struct frame_queue *q, bool *is_room_wanted)
{
	struct frame *list;

	pthread_mutex_lock(&q->lock);
	list = q->first;
	q->first = NULL;
	q->end = &q->first;
	q->held_bytes = 0;
	*is_room_wanted = q->wants_room;
	q->wants_room = false;
	pthread_mutex_unlock(&q->lock);
	return list;
}
