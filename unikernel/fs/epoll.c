/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * epoll(7). Every watched descriptor is an item with a waiter in the queue of its file's object.
 * What the waiter is told puts the item on its instance's ready list; who collects asks the ready
 * items' files, and puts the level-triggered ones back.
 *
 * Locks, outermost first: `structure`, one mutex for adding and removing items anywhere; an
 * instance's mutex, held while events are collected; the spinlock of a file's queue; an instance's
 * spinlock, which covers the ready list. An item is freed under the first two, after it has been
 * taken out of its file's queue, so nobody can still be told.
 */
#include "epoll.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>

#include "../kernel/kernel.h"
#include "../kernel/signals.h"
#include "../mm/heap.h"
#include "file.h"

#define BUCKETS_FIRST 16
#define BUCKETS_MAX   8192
#define NESTED_MAX    5
#define ALWAYS	      (EPOLLERR | EPOLLHUP)
#define MODIFIERS     (EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE)
#define QUEUES	      2

struct epoll {
	struct mutex mutex;
	uint32_t lock; /* the ready list */
	struct epoll_item *ready, **ready_end;
	struct wait_queue queue; /* for events */
	struct epoll_item **buckets;
	uint32_t bucket_count, count;
	struct file *file; /* whose object it is; not a reference */
	uint64_t again_ns; /* some watched file has to be asked that often */
};

struct epoll_item {
	struct epoll *epoll;
	struct file *file; /* not a reference: epoll_forget() comes before the end */
	int fd;
	uint32_t is_ready; /* on the ready list; under the instance's lock */
	struct epoll_event event;
	struct epoll_item *ready_next, *again_next;
	struct epoll_item *hash_next;			  /* under both mutexes */
	struct epoll_item *watch_next, **watch_prev_next; /* in file->watches; `structure` */
	struct wait_queue *queues[QUEUES];
	struct waiter waiters[QUEUES];
	uint32_t hooked;
};

struct hooker {
	struct poller poller;
	struct epoll_item *item;
};

static struct mutex structure;
static const struct file_ops epoll_ops;

/* Put an item on the ready list. Returns whether it was not there. */
static int make_ready(struct epoll_item *item)
{
	struct epoll *epoll = item->epoll;
	uint32_t before = spin_lock(&epoll->lock);
	int is_new = !item->is_ready;

	if (is_new) {
		item->is_ready = 1;
		item->ready_next = NULL;
		*epoll->ready_end = item;
		epoll->ready_end = &item->ready_next;
	}
	spin_unlock(&epoll->lock, before);
	return is_new;
}

static void told(struct waiter *waiter, uint32_t events)
{
	struct epoll_item *item = waiter->owner;

	if (!(item->event.events & ~MODIFIERS)) /* a one-shot that has fired */
		return;
	if (events && !(events & (item->event.events | ALWAYS)))
		return;
	make_ready(item);
	wait_wake_one(&item->epoll->queue, POLLIN | POLLRDNORM);
}

static void hook(struct poller *poller, struct wait_queue *queue)
{
	struct epoll_item *item = ((struct hooker *)poller)->item;
	struct waiter *waiter = &item->waiters[item->hooked];

	if (item->hooked == QUEUES)
		return;
	*waiter = (struct waiter){.notify = told, .owner = item};
	waiter->is_exclusive = !!(item->event.events & EPOLLEXCLUSIVE);
	item->queues[item->hooked++] = queue;
	wait_add(queue, waiter);
}

static struct epoll_item **bucket_of(const struct epoll *epoll, int fd)
{
	return &epoll->buckets[(uint32_t)fd & (epoll->bucket_count - 1)];
}

static struct epoll_item *find(const struct epoll *epoll, int fd, const struct file *file)
{
	struct epoll_item *item = epoll->bucket_count ? *bucket_of(epoll, fd) : NULL;

	while (item && (item->fd != fd || item->file != file))
		item = item->hash_next;
	return item;
}

static void grow(struct epoll *epoll)
{
	uint32_t old_count = epoll->bucket_count;
	uint32_t count = old_count ? old_count * 2 : BUCKETS_FIRST;
	struct epoll_item **old = epoll->buckets, *item;

	epoll->buckets = kheap_alloc(count * sizeof(*old));
	if (!epoll->buckets) {
		epoll->buckets = old;
		return;
	}
	epoll->bucket_count = count;
	for (uint32_t i = 0; i < old_count; i++)
		while ((item = old[i])) {
			struct epoll_item **at = bucket_of(epoll, item->fd);

			old[i] = item->hash_next;
			item->hash_next = *at;
			*at = item;
		}
	kheap_free(old, old_count * sizeof(*old));
}

/* How deep instances are nested below a file; more than NESTED_MAX also if it leads back to `self`.
 */
static int depth(const struct file *file, const struct epoll *self, int level)
{
	const struct epoll *epoll = file->object;
	int deepest = 0;

	if (file->ops != &epoll_ops)
		return 0;
	if (epoll == self || level > NESTED_MAX)
		return NESTED_MAX + 1;
	for (uint32_t i = 0; i < epoll->bucket_count; i++)
		for (const struct epoll_item *item = epoll->buckets[i]; item;
		     item = item->hash_next) {
			int below = depth(item->file, self, level + 1);

			deepest = below > deepest ? below : deepest;
		}
	return deepest + 1;
}

/* Above an instance: those that watch it. */
static int height(const struct file *file, int level)
{
	int highest = 0;

	for (const struct epoll_item *item = file->watches; item && level <= NESTED_MAX;
	     item = item->watch_next) {
		int above = height(item->epoll->file, level + 1) + 1;

		highest = above > highest ? above : highest;
	}
	return highest;
}

static uint32_t look(struct epoll_item *item, struct poller *poller)
{
	return file_poll(item->file, poller) & (item->event.events | ALWAYS);
}

static long add(struct epoll *epoll, int fd, struct file *file, const struct epoll_event *event)
{
	struct hooker hooker = {.poller.hook = hook};
	struct epoll_item *item;

	if (file->ops == &epoll_ops) {
		if (event->events & EPOLLEXCLUSIVE)
			return -EINVAL;
		if (depth(file, epoll, 1) + height(epoll->file, 1) + 1 > NESTED_MAX)
			return -ELOOP;
	}
	if (find(epoll, fd, file))
		return -EEXIST;
	if (epoll->count >= epoll->bucket_count && epoll->bucket_count < BUCKETS_MAX)
		grow(epoll);
	item = epoll->bucket_count ? kheap_alloc(sizeof(*item)) : NULL;
	if (!item)
		return -ENOMEM;
	item->epoll = epoll;
	item->file = file;
	item->fd = fd;
	item->event = *event;
	item->hash_next = *bucket_of(epoll, fd);
	*bucket_of(epoll, fd) = item;
	epoll->count++;
	item->watch_next = file->watches;
	item->watch_prev_next = &file->watches;
	if (item->watch_next)
		item->watch_next->watch_prev_next = &item->watch_next;
	file->watches = item;
	hooker.item = item;
	if (look(item, &hooker.poller) && make_ready(item))
		wait_wake_one(&epoll->queue, POLLIN | POLLRDNORM);
	if (hooker.poller.again_ns)
		epoll->again_ns = hooker.poller.again_ns;
	return 0;
}

static void unready(struct epoll_item *item)
{
	struct epoll *epoll = item->epoll;
	uint32_t before = spin_lock(&epoll->lock);
	struct epoll_item **at = &epoll->ready;

	if (item->is_ready) {
		while (*at != item)
			at = &(*at)->ready_next;
		*at = item->ready_next;
		if (!*at)
			epoll->ready_end = at;
		item->is_ready = 0;
	}
	spin_unlock(&epoll->lock, before);
}

/* Under `structure` and the instance's mutex. */
static void drop(struct epoll_item *item)
{
	struct epoll_item **at = bucket_of(item->epoll, item->fd);

	for (uint32_t i = 0; i < item->hooked; i++)
		wait_remove(item->queues[i], &item->waiters[i]);
	unready(item);
	while (*at != item)
		at = &(*at)->hash_next;
	*at = item->hash_next;
	item->epoll->count--;
	*item->watch_prev_next = item->watch_next;
	if (item->watch_next)
		item->watch_next->watch_prev_next = item->watch_prev_next;
	kheap_free(item, sizeof(*item));
}

static long modify(struct epoll_item *item, const struct epoll_event *event)
{
	if ((event->events | item->event.events) & EPOLLEXCLUSIVE)
		return -EINVAL;
	item->event = *event;
	if (look(item, NULL) && make_ready(item))
		wait_wake_one(&item->epoll->queue, POLLIN | POLLRDNORM);
	return 0;
}

long epoll_control(struct file *file, int operation, int fd, struct file *target,
		   const struct epoll_event *event)
{
	struct epoll *epoll = file->object;
	struct epoll_event copy = {0};
	struct epoll_item *item;
	long result = 0;

	if (!target->ops->poll)
		return -EPERM; /* regular files and directories */
	if (file->ops != &epoll_ops || target == file)
		return -EINVAL;
	if (operation != EPOLL_CTL_DEL)
		copy = *event;
	mutex_lock(&structure);
	mutex_lock(&epoll->mutex);
	item = find(epoll, fd, target);
	if (operation == EPOLL_CTL_ADD)
		result = add(epoll, fd, target, &copy);
	else if (operation != EPOLL_CTL_MOD && operation != EPOLL_CTL_DEL)
		result = -EINVAL;
	else if (!item)
		result = -ENOENT;
	else if (operation == EPOLL_CTL_MOD)
		result = modify(item, &copy);
	else
		drop(item);
	mutex_unlock(&epoll->mutex);
	mutex_unlock(&structure);
	return result;
}

void epoll_forget(struct file *file)
{
	if (!file->watches)
		return;
	mutex_lock(&structure);
	while (file->watches) {
		struct epoll *epoll = file->watches->epoll;

		mutex_lock(&epoll->mutex);
		drop(file->watches);
		mutex_unlock(&epoll->mutex);
	}
	mutex_unlock(&structure);
}

static struct epoll_item *pop(struct epoll *epoll)
{
	uint32_t before = spin_lock(&epoll->lock);
	struct epoll_item *item = epoll->ready;

	if (item) {
		epoll->ready = item->ready_next;
		if (!epoll->ready)
			epoll->ready_end = &epoll->ready;
		item->is_ready = 0;
	}
	spin_unlock(&epoll->lock, before);
	return item;
}

/* Files that tell nobody are asked each time. */
static void ask_silent(struct epoll *epoll)
{
	for (uint32_t i = 0; i < epoll->bucket_count; i++)
		for (struct epoll_item *item = epoll->buckets[i]; item; item = item->hash_next)
			if (!item->hooked && look(item, NULL))
				make_ready(item);
}

/* Under the instance's mutex. At most as many as are ready now: level-triggered ones come again. */
static int collect(struct epoll *epoll, struct epoll_event *events, int room)
{
	struct epoll_item *item, *again = NULL, **again_end = &again;
	int n = 0;

	if (epoll->again_ns)
		ask_silent(epoll);
	while (n < room && (item = pop(epoll))) {
		uint32_t happened = look(item, NULL);

		if (!happened || !(item->event.events & ~MODIFIERS))
			continue;
		events[n].events = happened & ~MODIFIERS;
		events[n++].data = item->event.data;
		if (item->event.events & EPOLLONESHOT) {
			item->event.events &= MODIFIERS;
		} else if (!(item->event.events & EPOLLET)) {
			item->again_next = NULL;
			*again_end = item;
			again_end = &item->again_next;
		}
	}
	while ((item = again)) {
		again = item->again_next;
		make_ready(item);
	}
	return n;
}

/* When to look again: at the deadline, or when a file that tells nobody has to be asked. */
static uint64_t next_look(const struct epoll *epoll, uint64_t deadline_ns)
{
	uint64_t at = epoll->again_ns ? clock_ns() + epoll->again_ns : UINT64_MAX;

	return at < deadline_ns ? at : deadline_ns;
}

long epoll_collect(struct file *file, struct epoll_event *events, int room, uint64_t deadline_ns)
{
	struct epoll *epoll = file->object;
	struct waiter waiter;
	long result = 0;
	int n;

	if (file->ops != &epoll_ops || room <= 0)
		return -EINVAL;
	/* Who tells of an event takes no mutex: so be in the queue before looking. */
	wait_init(&waiter);
	waiter.is_exclusive = 1;
	wait_add(&epoll->queue, &waiter);
	mutex_lock(&epoll->mutex);
	while (!(n = collect(epoll, events, room)) && !result && deadline_ns) {
		mutex_unlock(&epoll->mutex);
		result = wait_sleep(&waiter, next_look(epoll, deadline_ns));
		if (result == -ETIMEDOUT && (deadline_ns == UINT64_MAX || clock_ns() < deadline_ns))
			result = 0;
		mutex_lock(&epoll->mutex);
	}
	mutex_unlock(&epoll->mutex);
	wait_remove(&epoll->queue, &waiter);
	if (epoll->ready) /* for the next, who was not told because this one was */
		wait_wake_one(&epoll->queue, POLLIN | POLLRDNORM);
	if (n || result == -ETIMEDOUT)
		return n;
	return result ? signal_restart(-RESTART_NO_HANDLER) : 0;
}

/* Is there anything behind the ready list? Items found idle leave it. */
static uint32_t epoll_poll(struct file *file, struct poller *poller)
{
	struct epoll *epoll = file->object;
	struct epoll_item *item, *found = NULL;

	poller_wait(poller, &epoll->queue);
	if (poller && epoll->again_ns)
		poller->again_ns = epoll->again_ns;
	if (!epoll->ready)
		return 0;
	mutex_lock(&epoll->mutex);
	while (!found && (item = pop(epoll)))
		if (item->event.events & ~MODIFIERS && look(item, NULL))
			found = item;
	if (found)
		make_ready(found);
	mutex_unlock(&epoll->mutex);
	return found ? POLLIN | POLLRDNORM : 0;
}

static void epoll_release(struct file *file)
{
	struct epoll *epoll = file->object;

	mutex_lock(&structure);
	mutex_lock(&epoll->mutex);
	for (uint32_t i = 0; i < epoll->bucket_count; i++)
		while (epoll->buckets[i])
			drop(epoll->buckets[i]);
	mutex_unlock(&epoll->mutex);
	mutex_unlock(&structure);
	kheap_free(epoll->buckets, epoll->bucket_count * sizeof(*epoll->buckets));
	kheap_free(epoll, sizeof(*epoll));
}

static const struct file_ops epoll_ops = {
	.name = "anon_inode:[eventpoll]",
	.poll = epoll_poll,
	.release = epoll_release,
};

struct file *epoll_create_file(void)
{
	struct epoll *epoll = kheap_alloc(sizeof(*epoll));
	struct file *file = epoll ? file_create(&epoll_ops, epoll, 2 /* O_RDWR */) : NULL;

	if (!file) {
		kheap_free(epoll, sizeof(*epoll));
		return NULL;
	}
	epoll->ready_end = &epoll->ready;
	epoll->file = file;
	return file;
}
