/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The echo server on libevent: plain events, its fastest way. */
#include "loop_bench.h"

#if HAVE_EVENT
#include <event2/event.h>
#include <unistd.h>

struct conn {
	struct event *event;
	size_t size_bytes;
	char buf[ECHO_MAX_BYTES];
};

static void ready(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	ssize_t n = recv(fd, c->buf, c->size_bytes, MSG_DONTWAIT);

	(void)what;
	if (n < 0 && errno == EAGAIN)
		return;
	/* A round trip at a time: the socket buffer always has room. */
	if (n > 0 && send(fd, c->buf, (size_t)n, MSG_NOSIGNAL) == n)
		return;
	event_free(c->event);
	close(fd);
}

void echo_event(const int *fds, unsigned nr, size_t size_bytes)
{
	struct conn *conns = calloc(nr, sizeof(*conns));
	struct event_base *base = event_base_new();

	for (unsigned i = 0; i < nr; i++) {
		conns[i].size_bytes = size_bytes;
		conns[i].event = event_new(base, fds[i], EV_READ | EV_PERSIST, ready, &conns[i]);
		event_add(conns[i].event, NULL);
	}
	event_base_dispatch(base);
	event_base_free(base);
	free(conns);
}
#else
void echo_event(const int *fds, unsigned nr, size_t size_bytes)
{
	(void)fds;
	(void)nr;
	(void)size_bytes;
}
#endif
