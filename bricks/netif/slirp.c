/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * User mode: libslirp ends the guest's connections and opens sockets of the host in their place.
 *
 *      the loop's thread                               the thread of this file
 *      send --+--------- slirp_input -----------+
 *             |                                 v
 *             +--> from_guest (4 MiB) ----> libslirp <---- sockets, timers
 *      recv <----- to_guest (4 MiB) <-----------+
 *
 * libslirp is used by whoever holds its lock. The thread waits for sockets and timers. A frame of
 * the guest is handled by the loop's thread at once, which saves a change of threads; it never
 * waits for the lock, though: while the other one is at work, frames go to it by the queue. A guest
 * that does not collect its frames makes the thread stop reading sockets, so that the peers wait;
 * only what libslirp sends on its own account is dropped then.
 */
#include "netif_internal.h"

#include <linux/virtio_net.h>
#include <poll.h>

#define STALL_BYTES	  (SK_MIB) /* room that must be there before sockets are read */
#define NS_PER_MS	  INT64_C(1000000)
/*
 * The largest segment of TCP for the guest: a quarter of libslirp's largest window. Of what is left
 * of a window libslirp uses nothing below a segment and half of the window, and asks again after
 * five seconds; Linux tells of more room only if that doubles what is left. So with the segments of
 * half a window that libslirp would choose some connections stood still after their first one.
 */
#define MAX_SEGMENT_BYTES 16344
/* With more, asking after each frame what has changed costs more than it saves. */
#define MAX_COMPARED	  32

/* ---- What libslirp calls ---- */

static ssize_t send_packet(const void *buf, size_t len, void *opaque)
{
	struct user *u = opaque;
	struct virtio_net_hdr_v1 hdr = {.flags = VIRTIO_NET_HDR_F_DATA_VALID};
	union {
		const void *in;
		void *out;
	} frame = {.in = buf};
	const struct iovec iov[] = {{&hdr, sizeof(hdr)}, {frame.out, len}};

	if (len > SK_NETIF_MAX_FRAME_BYTES - sizeof(hdr))
		return (ssize_t)len;
	/* Without room it is lost, as on a wire. */
	(void)!frame_queue_put(&u->to_guest, iov, SK_ARRAY_SIZE(iov), 0);
	return (ssize_t)len;
}

/* What a guest does wrong is nobody's business but its own. */
static void guest_error(const char *msg, void *opaque)
{
	(void)msg;
	(void)opaque;
}

static int64_t clock_get_ns(void *opaque)
{
	(void)opaque;
	return (int64_t)sk_now_ns();
}

static void *timer_new(SlirpTimerCb fire, void *cb_opaque, void *opaque)
{
	struct user *u = opaque;

	for (unsigned i = 0; i < SLIRP_MAX_TIMERS; i++) {
		if (u->timers[i].is_used)
			continue;
		u->timers[i] = (struct slirp_timer){
			.fire = fire, .ctx = cb_opaque, .expires_ms = -1, .is_used = true};
		return &u->timers[i];
	}
	BUG_ON(true);
	return NULL;
}

static void timer_free(void *timer, void *opaque)
{
	(void)opaque;
	((struct slirp_timer *)timer)->is_used = false;
}

static void timer_mod(void *timer, int64_t expire_time, void *opaque)
{
	(void)opaque;
	((struct slirp_timer *)timer)->expires_ms = expire_time;
}

static void ignore_fd(int fd, void *opaque)
{
	(void)fd;
	(void)opaque;
}

static void ignore_notify(void *opaque)
{
	(void)opaque;
}

const SlirpCb slirp_callbacks = {
	.send_packet = send_packet,
	.guest_error = guest_error,
	.clock_get_ns = clock_get_ns,
	.timer_new = timer_new,
	.timer_free = timer_free,
	.timer_mod = timer_mod,
	.register_poll_fd = ignore_fd,
	.unregister_poll_fd = ignore_fd,
	.notify = ignore_notify,
};

/* ---- What is waited for ---- */

static int add_poll(int fd, int events, void *opaque)
{
	struct poll_set *set = opaque;
	short wanted = 0;

	if (set->nr == set->max) {
		unsigned max = SK_MAX(64, 2 * set->max);
		struct pollfd *more = realloc(set->fds, max * sizeof(*more));

		/* Not waited for in this round. */
		if (!more)
			return -1;
		set->fds = more;
		set->max = max;
	}
	wanted |= events & SLIRP_POLL_IN ? POLLIN : 0;
	wanted |= events & SLIRP_POLL_OUT ? POLLOUT : 0;
	wanted |= events & SLIRP_POLL_PRI ? POLLPRI : 0;
	set->fds[set->nr] = (struct pollfd){.fd = fd, .events = wanted};
	return (int)set->nr++;
}

static int get_revents(int index, void *opaque)
{
	const struct poll_set *set = opaque;
	short seen = index >= 0 ? set->fds[index].revents : 0;
	int events = 0;

	events |= seen & POLLIN ? SLIRP_POLL_IN : 0;
	events |= seen & POLLOUT ? SLIRP_POLL_OUT : 0;
	events |= seen & POLLPRI ? SLIRP_POLL_PRI : 0;
	events |= seen & POLLERR ? SLIRP_POLL_ERR : 0;
	events |= seen & POLLHUP ? SLIRP_POLL_HUP : 0;
	return events;
}

static int64_t now_ms(void)
{
	return (int64_t)sk_now_ns() / NS_PER_MS;
}

static void run_timers(struct user *u)
{
	for (unsigned i = 0; i < SLIRP_MAX_TIMERS; i++) {
		struct slirp_timer *timer = &u->timers[i];

		if (timer->is_used && timer->expires_ms >= 0 && timer->expires_ms <= now_ms()) {
			timer->expires_ms = -1;
			timer->fire(timer->ctx);
		}
	}
}

/*
 * What libslirp wants to wait for, in @set behind the queue from the guest, and until when. With
 * @is_stalled the queue and timers only.
 */
static int64_t fill(struct user *u, struct poll_set *set, bool is_stalled)
{
	int64_t deadline_ms = INT64_MAX;
	uint32_t slirp_ms = UINT32_MAX;

	set->nr = 0;
	(void)add_poll(u->from_guest.fd, SLIRP_POLL_IN, set);
	if (!is_stalled)
		u->api.fill(u->slirp, &slirp_ms, add_poll, set);
	for (unsigned i = 0; i < SLIRP_MAX_TIMERS; i++) {
		if (u->timers[i].is_used && u->timers[i].expires_ms >= 0)
			deadline_ms = SK_MIN(deadline_ms, u->timers[i].expires_ms);
	}
	if (slirp_ms != UINT32_MAX) {
		const int64_t then_ms = now_ms() + slirp_ms;

		deadline_ms = SK_MIN(deadline_ms, then_ms);
	}
	return deadline_ms;
}

/*
 * Whether the thread has to wait for something else than it does, or less long. Then the sockets in
 * libslirp have numbers that are not those of what the thread waits for.
 */
static bool is_other_wait(struct user *u)
{
	int64_t deadline_ms = fill(u, &u->wanted, false);

	if (deadline_ms < u->deadline_ms || u->wanted.nr != u->waited.nr)
		return true;
	for (unsigned i = 0; i < u->wanted.nr; i++) {
		if (u->wanted.fds[i].fd != u->waited.fds[i].fd ||
		    u->wanted.fds[i].events != u->waited.fds[i].events)
			return true;
	}
	return false;
}

/* ---- Frames of the guest ---- */

static void input(struct user *u, uint8_t *frame, size_t len_bytes)
{
	netif_clamp_mss(frame, len_bytes, MAX_SEGMENT_BYTES);
	u->api.input(u->slirp, frame, (int)len_bytes);
}

static void take_from_guest(struct user *u)
{
	bool is_room_wanted;
	struct frame *list = frame_queue_take(&u->from_guest, &is_room_wanted);

	if (is_room_wanted)
		sk_eventfd_signal(u->room_fd);
	for (struct frame *frame = list; frame; frame = frame->next)
		input(u, frame->bytes, frame->len_bytes);
	frame_list_free(list);
}

bool slirp_try_input(struct user *u, const struct iovec *iov, unsigned nr_iov)
{
	bool is_other = false;
	size_t len_bytes;

	if (atomic_load_explicit(&u->does_thread_want_lock, memory_order_relaxed) ||
	    pthread_mutex_trylock(&u->lock))
		return false;
	if (u->waited.nr > MAX_COMPARED) {
		pthread_mutex_unlock(&u->lock);
		return false;
	}
	/* They came first. */
	take_from_guest(u);
	/* libslirp looks at the same byte more than once: none of the guest's. */
	len_bytes = netif_iov_copy(u->frame, iov, nr_iov, SK_NETIF_HDR_BYTES);
	/* An error of poll() makes it look at its clock and leave its sockets alone. */
	u->api.poll(u->slirp, 1, get_revents, &u->waited);
	input(u, u->frame, len_bytes);
	if (!u->is_stalled && !u->is_stale)
		is_other = u->is_stale = is_other_wait(u);
	pthread_mutex_unlock(&u->lock);
	if (is_other)
		sk_eventfd_signal(u->from_guest.fd);
	return true;
}

/* ---- The thread ---- */

/* Waits without the lock; what poll() says. */
static int wait_unlocked(struct user *u)
{
	const int64_t left_ms = u->deadline_ms - now_ms();
	const int64_t ms = u->deadline_ms == INT64_MAX ? -1 : SK_MAX(left_ms, 0);
	int nr;

	pthread_mutex_unlock(&u->lock);
	nr = poll(u->waited.fds, u->waited.nr, (int)SK_MIN(ms, INT32_MAX));
	/* Frames of the guest take the queue until it is had. */
	atomic_store_explicit(&u->does_thread_want_lock, true, memory_order_relaxed);
	pthread_mutex_lock(&u->lock);
	atomic_store_explicit(&u->does_thread_want_lock, false, memory_order_relaxed);
	return nr;
}

void *slirp_thread(void *arg)
{
	struct user *u = arg;

	pthread_mutex_lock(&u->lock);
	while (!atomic_load_explicit(&u->wants_end, memory_order_acquire)) {
		int nr;

		run_timers(u);
		u->is_stalled = !frame_queue_has_room(&u->to_guest, STALL_BYTES);
		u->deadline_ms = fill(u, &u->waited, u->is_stalled);
		u->is_stale = false;
		nr = wait_unlocked(u);
		/* What is ready and was not looked at is so in the next round, too. */
		if (!u->is_stalled && !u->is_stale)
			u->api.poll(u->slirp, nr < 0, get_revents, &u->waited);
		(void)sk_eventfd_drain(u->from_guest.fd);
		take_from_guest(u);
	}
	pthread_mutex_unlock(&u->lock);
	return NULL;
}
