/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * poll(2) and select(2): every file's queue gets a waiter of the calling thread, then the files are
 * asked, and again after each wake-up.
 */
#include "poll.h"

#include <errno.h>

#include "../kernel/kernel.h"
#include "../kernel/signals.h"
#include "../mm/heap.h"
#include "fd.h"

#define FEW    3   /* descriptors that need no allocation; the caller's stack may be small */
#define CHUNK  256 /* descriptors per allocation */
#define ALWAYS (POLLERR | POLLHUP | POLLNVAL)

struct watch {
	struct file *file;
	struct wait_queue *queues[2]; /* a named pipe open for both has two */
	struct waiter waiters[2];
	uint32_t hooked;
};

struct poll {
	struct poller poller;
	struct waiter sleeper; /* in no queue; the others fire it */
	struct watch *now;     /* whose poll() is being called */
	uint64_t count;
	struct watch few[FEW];
	struct watch **chunks; /* NULL: few are enough */
};

static struct watch *watch_at(struct poll *p, uint64_t i)
{
	return p->chunks ? &p->chunks[i / CHUNK][i % CHUNK] : &p->few[i];
}

static void hook(struct poller *poller, struct wait_queue *queue)
{
	struct poll *p = (struct poll *)poller;
	struct watch *w = p->now;
	struct waiter *waiter = &w->waiters[w->hooked];

	if (w->hooked == 2)
		return;
	wait_init(waiter);
	waiter->fires = &p->sleeper.fired;
	w->queues[w->hooked++] = queue;
	wait_add(queue, waiter);
}

static long prepare(struct poll *p)
{
	uint64_t chunks = (p->count + CHUNK - 1) / CHUNK;

	wait_init(&p->sleeper);
	p->poller.hook = hook;
	p->chunks = NULL;
	if (p->count <= FEW) {
		for (uint32_t i = 0; i < FEW; i++)
			p->few[i].hooked = 0;
		return 0;
	}
	p->chunks = kheap_alloc(chunks * sizeof(*p->chunks));
	for (uint64_t i = 0; p->chunks && i < chunks; i++) {
		p->chunks[i] = kheap_alloc(CHUNK * sizeof(struct watch));
		if (!p->chunks[i])
			return -ENOMEM;
	}
	return p->chunks ? 0 : -ENOMEM;
}

static void finish(struct poll *p)
{
	uint64_t chunks = (p->count + CHUNK - 1) / CHUNK;

	for (uint64_t i = 0; i < p->count; i++) {
		struct watch *w = p->chunks && !p->chunks[i / CHUNK] ? NULL : watch_at(p, i);

		if (!w || !w->file)
			continue;
		for (uint32_t q = 0; q < w->hooked; q++)
			wait_remove(w->queues[q], &w->waiters[q]);
		file_put(w->file);
	}
	for (uint64_t i = 0; p->chunks && i < chunks; i++)
		kheap_free(p->chunks[i], CHUNK * sizeof(struct watch));
	kheap_free(p->chunks, chunks * sizeof(*p->chunks));
}

/* Ask all files; the first time also hook them, until one is found ready. */
static long ask(struct poll *p, struct pollfd *fds, int is_first)
{
	long ready = 0;

	p->poller.again_ns = 0;
	for (uint64_t i = 0; i < p->count; i++) {
		struct watch *w = watch_at(p, i);
		uint32_t events = 0, wanted = (uint32_t)(uint16_t)fds[i].events | ALWAYS;

		if (is_first)
			w->file = fds[i].fd < 0 ? NULL : fd_get(fds[i].fd);
		p->now = w;
		if (w->file)
			events = file_poll(w->file, is_first && !ready ? &p->poller : NULL);
		else if (fds[i].fd >= 0)
			events = POLLNVAL;
		fds[i].revents = (short)(events & wanted);
		ready += fds[i].revents != 0;
	}
	return ready;
}

long poll_wait(struct pollfd *fds, uint64_t count, uint64_t deadline_ns)
{
	struct poll p = {.count = count};
	long ready = prepare(&p), result = 0;
	uint64_t again_ns;

	if (ready) {
		finish(&p);
		return ready;
	}
	ready = ask(&p, fds, 1);
	again_ns = p.poller.again_ns;
	while (!ready && !result && deadline_ns) {
		uint64_t until = deadline_ns, look = clock_ns() + again_ns;

		if (again_ns && look < until)
			until = look;
		result = wait_sleep(&p.sleeper, until);
		if (result == -ETIMEDOUT && clock_ns() < deadline_ns)
			result = 0;
		ready = ask(&p, fds, 0);
	}
	finish(&p);
	if (!ready && result == -EINTR)
		return signal_restart(-RESTART_NO_HANDLER);
	return ready;
}

static int is_in(const uint64_t *set, int fd)
{
	return set && set[fd / FD_BITS] >> (fd % FD_BITS) & 1;
}

static int answer(uint64_t *set, int fd, int is_ready)
{
	if (!is_in(set, fd))
		return 0;
	if (!is_ready)
		set[fd / FD_BITS] &= ~(1ull << (fd % FD_BITS));
	return is_ready;
}

static long answers(const struct pollfd *fds, uint64_t count, uint64_t *in, uint64_t *out,
		    uint64_t *except)
{
	long bits = 0;

	for (uint64_t i = 0; i < count; i++) {
		int fd = fds[i].fd, r = fds[i].revents;

		bits += answer(in, fd, !!(r & (POLLIN | POLLRDNORM | POLLHUP | POLLERR)));
		bits += answer(out, fd, !!(r & (POLLOUT | POLLWRNORM | POLLERR)));
		bits += answer(except, fd, !!(r & POLLPRI));
	}
	return bits;
}

long poll_select(int count, uint64_t *in, uint64_t *out, uint64_t *except, uint64_t deadline_ns)
{
	struct pollfd few[8], *fds = few;
	uint64_t used = 0, total = 0;
	long result = 0;

	if (count < 0)
		return -EINVAL;
	if (count > FD_COUNT_MAX)
		count = FD_COUNT_MAX;
	for (int fd = 0; fd < count; fd++)
		total += (uint64_t)(is_in(in, fd) || is_in(out, fd) || is_in(except, fd));
	if (total > 8)
		fds = kheap_alloc(total * sizeof(*fds));
	if (!fds)
		return -ENOMEM;
	for (int fd = 0; fd < count && used < total; fd++) {
		int events = (is_in(in, fd) ? POLLIN : 0) | (is_in(out, fd) ? POLLOUT : 0) |
			     (is_in(except, fd) ? POLLPRI : 0);

		if (events)
			fds[used++] = (struct pollfd){.fd = fd, .events = (short)events};
		if (events && fd_cloexec(fd) < 0)
			result = -EBADF;
	}
	if (!result)
		result = poll_wait(fds, used, deadline_ns);
	if (result >= 0)
		result = answers(fds, used, in, out, except);
	if (fds != few)
		kheap_free(fds, total * sizeof(*fds));
	return result;
}
