/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The host's side: the socket at PATH, what its clients say first, and PATH_N. */
#include "vsock_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG 128

/* True if @address is a socket that nobody listens at: the rest of a process that ended. */
static bool is_left_over(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool is_dead = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) &&
		       errno == ECONNREFUSED;

	sk_close(&fd);
	return is_dead;
}

static int clear_path(const struct sk_vsock *vsock, struct sk_error *err)
{
	const char *path = vsock->address.sun_path;
	struct stat st;

	if (lstat(path, &st))
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return sk_error_set(err, -EEXIST, "%s exists and is no socket", path);
	if (!is_left_over(&vsock->address))
		return sk_error_set(err, -EADDRINUSE, "somebody listens at the socket %s already",
				    path);
	(void)unlink(path);
	return 0;
}

int host_listen(struct sk_vsock *vsock, struct sk_error *err)
{
	const struct sockaddr *address = (const struct sockaddr *)&vsock->address;
	int ret = clear_path(vsock, err);

	if (ret)
		return ret;
	vsock->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (vsock->listen_fd < 0) {
		ret = -errno;
		return sk_error_set(err, ret, "cannot create a socket: %s", strerror(-ret));
	}
	if (bind(vsock->listen_fd, address, sizeof(vsock->address)) ||
	    listen(vsock->listen_fd, BACKLOG)) {
		ret = -errno;
		sk_close(&vsock->listen_fd);
		return sk_error_set(err, ret, "cannot listen at the socket %s: %s",
				    vsock->address.sun_path, strerror(-ret));
	}
	return 0;
}

void host_close(struct sk_vsock *vsock)
{
	if (vsock->listen_fd < 0)
		return;
	sk_close(&vsock->listen_fd);
	(void)unlink(vsock->address.sun_path);
}

static void on_accept(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	struct sk_vsock *vsock = SK_CONTAINER_OF(op, struct sk_vsock, accept_op);
	struct conn *c;

	(void)loop;
	if (!sk_loop_op_is_busy(op)) {
		vsock->is_listening = false;
		/* Out of descriptors, for example: the next connection that ends lets it go on. */
		if (result != -ECANCELED && result < 0)
			return;
	}
	if (result < 0)
		return;
	if (!vsock->is_running) {
		(void)close(result);
		return;
	}
	(void)fcntl(result, F_SETFL, O_NONBLOCK);
	c = conn_new(vsock, result);
	if (!c) {
		vsock_count(&vsock->counters.refused, 1);
		return;
	}
	c->state = CONN_GREETING;
	conn_set_patience(c);
	conn_listen(c);
}

void host_start(struct sk_vsock *vsock)
{
	if (vsock->is_listening)
		return;
	vsock->accept_op = (struct sk_loop_op){
		.done = on_accept, .fd = vsock->listen_fd, .flags = SK_LOOP_MULTI};
	vsock->is_listening = true;
	sk_loop_accept(vsock->config.loop, &vsock->accept_op);
}

int host_connect(struct sk_vsock *vsock, uint32_t port)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int n = snprintf(address.sun_path, sizeof(address.sun_path), "%s_%u",
			 vsock->address.sun_path, port);
	int fd, ret;

	if (n < 0 || (size_t)n >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* It connects at once or, where nobody accepts for long, not at all. */
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address))) {
		ret = -errno;
		sk_close(&fd);
		return ret;
	}
	return fd;
}

/* "CONNECT 123\n", with the newline as a 0. */
static bool parse_greeting(const char *line, uint32_t *port)
{
	static const char word[] = "CONNECT ";
	const char *p = line + sizeof(word) - 1;
	uint64_t value = 0;

	if (strncmp(line, word, sizeof(word) - 1) || !*p)
		return false;
	for (; *p; p++) {
		if (*p < '0' || *p > '9')
			return false;
		value = value * 10 + (uint64_t)(*p - '0');
		if (value > UINT32_MAX)
			return false;
	}
	*port = (uint32_t)value;
	return true;
}

static uint32_t free_port(struct sk_vsock *vsock, uint32_t guest_port)
{
	do {
		vsock->next_port++;
		if (vsock->next_port < VSOCK_FIRST_PORT)
			vsock->next_port = VSOCK_FIRST_PORT;
	} while (conn_find(vsock, guest_port, vsock->next_port));
	return vsock->next_port;
}

/* Takes the line, and no byte of what may follow it. 1: it is there; 0: not yet; -1: never. */
static int read_line(struct conn *c)
{
	char *at = c->line + c->line_bytes, *end;
	size_t room = sizeof(c->line) - c->line_bytes, take;
	ssize_t n = recv(c->fd, at, room, MSG_PEEK | MSG_DONTWAIT);

	if (n <= 0)
		return n < 0 && errno == EAGAIN ? 0 : -1;
	end = memchr(at, '\n', (size_t)n);
	take = end ? (size_t)(end - at) + 1 : (size_t)n;
	if (recv(c->fd, at, take, MSG_DONTWAIT) != (ssize_t)take)
		return -1;
	c->line_bytes += (uint32_t)take;
	if (!end)
		return c->line_bytes < sizeof(c->line) ? 0 : -1;
	*end = '\0';
	return 1;
}

void host_greet(struct conn *c)
{
	struct sk_vsock *vsock = c->vsock;
	int ret = read_line(c);
	uint32_t port;

	if (!ret) {
		conn_listen(c);
		return;
	}
	if (ret < 0 || !parse_greeting(c->line, &port) || !vsock->is_running) {
		vsock_count(&vsock->counters.refused, 1);
		conn_close(c);
		return;
	}
	conn_insert(c, port, free_port(vsock, port));
	c->state = CONN_REQUESTED;
	c->is_request_due = true;
	conn_set_patience(c);
	conn_make_ready(c);
}

void host_accepted(struct conn *c)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "OK %u\n", c->host_port);

	sk_loop_timer_clear(c->vsock->config.loop, &c->timer);
	c->state = CONN_ESTABLISHED;
	vsock_count(&c->vsock->counters.opened, 1);
	/* Its socket is empty: the line fits, or there is nobody. */
	if (send(c->fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) != n)
		conn_reset(c);
	else
		conn_listen(c);
}
