/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * AF_UNIX: names in the tree of files and abstract ones, connections. A connection is made by the
 * one who connects: the socket that accept(2) will hand out is there at once, and data may be sent
 * to it.
 */
#include "unix.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include "../fs/inode.h"
#include "../fs/names.h"
#include "../fs/walk.h"
#include "../kernel/kernel.h"
#include "../mm/heap.h"

#define PATH_AT	    offsetof(struct sockaddr_un, sun_path)
#define BACKLOG_MAX 4096

struct mutex unix_links;
static struct unix_socket *abstract_names;
static uint32_t last_automatic;

static const struct socket_ops unix_ops;

struct credentials unix_caller(void)
{
	return (struct credentials){1, caller_uid(), caller_gid()};
}

struct unix_socket *unix_get(struct unix_socket *socket)
{
	__atomic_fetch_add(&socket->refs, 1, __ATOMIC_RELAXED);
	return socket;
}

static struct unix_address *address_get(struct unix_address *address)
{
	if (address)
		__atomic_fetch_add(&address->refs, 1, __ATOMIC_RELAXED);
	return address;
}

static void address_put(struct unix_address *address)
{
	if (address && !__atomic_sub_fetch(&address->refs, 1, __ATOMIC_ACQ_REL))
		kheap_free(address, sizeof(*address));
}

void unix_put(struct unix_socket *socket)
{
	if (__atomic_sub_fetch(&socket->refs, 1, __ATOMIC_ACQ_REL))
		return;
	unix_free_packets(socket->first);
	address_put(socket->address);
	address_put(socket->gone);
	kheap_free(socket, sizeof(*socket));
}

struct unix_socket *unix_peer(struct unix_socket *socket)
{
	struct unix_socket *peer;

	if (!socket->peer)
		return NULL;
	mutex_lock(&unix_links);
	peer = socket->peer ? unix_get(socket->peer) : NULL;
	mutex_unlock(&unix_links);
	return peer;
}

static struct unix_socket *create(int type)
{
	struct unix_socket *socket = kheap_alloc(sizeof(*socket));

	if (!socket)
		return NULL;
	socket->base.ops = &unix_ops;
	socket->base.family = AF_UNIX;
	socket->base.type = type;
	socket->refs = 1;
	socket->last = &socket->first;
	socket->backlog_last = &socket->backlog_first;
	return socket;
}

long unix_create(int type, int protocol, struct socket **out)
{
	struct unix_socket *socket;

	if (protocol && protocol != AF_UNIX)
		return -EPROTONOSUPPORT;
	if (type != SOCK_STREAM && type != SOCK_DGRAM && type != SOCK_SEQPACKET)
		return -ESOCKTNOSUPPORT;
	socket = create(type);
	*out = &socket->base;
	return socket ? 0 : -ENOMEM;
}

/* With unix_links, or before anybody else knows them. */
static void join(struct unix_socket *a, struct unix_socket *b)
{
	a->peer = unix_get(b);
	b->peer = unix_get(a);
	a->was_connected = b->was_connected = 1;
	a->peer_credentials = b->peer_credentials = unix_caller();
}

long unix_pair(struct socket *a, struct socket *b)
{
	join((struct unix_socket *)a, (struct unix_socket *)b);
	return 0;
}

/* --- names --- */

static struct unix_socket *find_abstract(const struct sockaddr_un *name, uint32_t bytes, int type)
{
	struct unix_socket *s = abstract_names;

	while (s && (s->base.type != type || s->address->bytes != bytes ||
		     memcmp(&s->address->name, name, bytes)))
		s = s->next_name;
	return s;
}

static long find_path(const char *path, struct unix_socket **out)
{
	struct walk w;
	long result = walk(AT_FDCWD, path, WALK_FOLLOW, &w);

	if (result)
		return result;
	if (!w.entry || !S_ISSOCK(w.entry->inode->mode) || !w.entry->inode->socket)
		result = -ECONNREFUSED;
	else
		result = inode_permits(w.entry->inode, 2);
	if (!result)
		*out = unix_get(w.entry->inode->socket);
	walk_end(&w);
	return result;
}

static long check_name(const struct sockaddr_un *name, uint32_t bytes)
{
	if (bytes < sizeof(name->sun_family) || bytes > sizeof(*name))
		return -EINVAL;
	return name->sun_family == AF_UNIX ? 0 : -EINVAL;
}

/* The path with a 0 behind it. */
static void copy_path(char path[109], const struct sockaddr_un *name, uint32_t bytes)
{
	memset(path, 0, 109);
	memcpy(path, name->sun_path, bytes - PATH_AT);
}

long unix_find(const struct sockaddr_un *name, uint32_t bytes, int type, struct unix_socket **out)
{
	char path[109];
	long result = check_name(name, bytes);

	*out = NULL;
	if (result || bytes == PATH_AT)
		return result ? result : -ECONNREFUSED;
	if (name->sun_path[0]) {
		copy_path(path, name, bytes);
		result = find_path(path, out);
	} else {
		mutex_lock(&unix_links);
		*out = find_abstract(name, bytes, type);
		if (*out)
			unix_get(*out);
		mutex_unlock(&unix_links);
		result = *out ? 0 : -ECONNREFUSED;
	}
	if (!result && (*out)->base.type != type) {
		unix_put(*out);
		*out = NULL;
		result = -EPROTOTYPE;
	}
	return result;
}

static struct unix_address *make_address(const struct sockaddr_un *name, uint32_t bytes)
{
	struct unix_address *address = kheap_alloc(sizeof(*address));

	if (address) {
		address->refs = 1;
		address->bytes = bytes;
		memcpy(&address->name, name, bytes);
	}
	return address;
}

/* With unix_links. */
static long bind_abstract(struct unix_socket *socket, const struct sockaddr_un *name,
			  uint32_t bytes)
{
	if (find_abstract(name, bytes, socket->base.type))
		return -EADDRINUSE;
	socket->address = make_address(name, bytes);
	if (!socket->address)
		return -ENOMEM;
	socket->next_name = abstract_names;
	abstract_names = socket;
	return 0;
}

/* Five hexadecimal digits that nobody has. With unix_links. */
static long bind_automatic(struct unix_socket *socket)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	long result;

	do {
		uint32_t n = ++last_automatic;

		for (int i = 5; i > 0; i--, n >>= 4)
			name.sun_path[i] = "0123456789abcdef"[n & 15];
		result = bind_abstract(socket, &name, PATH_AT + 6);
	} while (result == -EADDRINUSE);
	return result;
}

static long bind_path(struct unix_socket *socket, const struct sockaddr_un *name, uint32_t bytes)
{
	struct unix_address *address;
	char path[109];
	struct walk w;
	long result;

	copy_path(path, name, bytes);
	/* Linux reports the name with the 0 behind it. */
	address = make_address(name, (uint32_t)(PATH_AT + strlen(path) + (strlen(path) < 108)));
	if (!address)
		return -ENOMEM;
	result = names_bind(path, 0777, socket);
	if (!result && !walk(AT_FDCWD, path, 0, &w)) {
		if (w.entry && w.entry->inode->socket == socket)
			socket->inode = inode_get(w.entry->inode);
		walk_end(&w);
	}
	if (result)
		kheap_free(address, sizeof(*address));
	else
		socket->address = address;
	return result;
}

static long unix_bind(struct socket *base, const struct sockaddr *address, uint32_t bytes)
{
	struct unix_socket *socket = (struct unix_socket *)base;
	const struct sockaddr_un *name = (const void *)address;
	long result = check_name(name, bytes);

	if (result)
		return result;
	mutex_lock(&unix_links);
	if (socket->address)
		result = -EINVAL;
	else if (bytes == PATH_AT)
		result = bind_automatic(socket);
	else if (!name->sun_path[0])
		result = bind_abstract(socket, name, bytes);
	else
		result = bind_path(socket, name, bytes);
	mutex_unlock(&unix_links);
	return result;
}

static long unix_name(struct socket *base, void *address, uint32_t *bytes, int is_peer)
{
	struct unix_socket *socket = (struct unix_socket *)base, *of = socket;
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	uint32_t length = PATH_AT;

	const struct unix_address *is;

	if (is_peer)
		of = unix_peer(socket);
	if (!of && !socket->was_connected)
		return -ENOTCONN;
	is = of ? of->address : socket->gone; /* of a peer that is no more */
	if (is) {
		name = is->name;
		length = is->bytes;
	}
	if (is_peer && of)
		unix_put(of);
	memcpy(address, &name, length < *bytes ? length : *bytes);
	*bytes = length;
	return 0;
}

/* --- connections --- */

static long unix_listen(struct socket *base, int backlog)
{
	struct unix_socket *socket = (struct unix_socket *)base;
	long result = 0;

	mutex_lock(&unix_links);
	if (base->type == SOCK_DGRAM)
		result = -EOPNOTSUPP;
	else if (!socket->address || socket->was_connected)
		result = -EINVAL;
	if (!result) {
		socket->backlog_max =
			(uint32_t)backlog < BACKLOG_MAX ? (uint32_t)backlog : BACKLOG_MAX;
		base->is_listening = 1;
		socket->peer_credentials = unix_caller();
	}
	mutex_unlock(&unix_links);
	if (!result)
		wait_wake(&socket->space, POLLOUT);
	return result;
}

/* Queue a new connection; the listener's backlog has room. With unix_links. */
static long add_connection(struct unix_socket *client, struct unix_socket *listener)
{
	struct unix_socket *server = create(client->base.type);

	if (!server)
		return -ENOMEM;
	server->address = address_get(listener->address);
	join(client, server);
	*listener->backlog_last = server;
	listener->backlog_last = &server->backlog_next;
	listener->backlog++;
	return 0;
}

static long connect_stream(struct file *file, struct unix_socket *client,
			   struct unix_socket *listener)
{
	uint64_t deadline = socket_deadline(client->base.send_ns);
	long result = 0;

	mutex_lock(&unix_links);
	while (!result) {
		if (client->base.is_listening)
			result = -EINVAL;
		else if (client->was_connected)
			result = -EISCONN;
		else if (!listener->base.is_listening || listener->is_closed)
			result = -ECONNREFUSED;
		else if (listener->backlog <= listener->backlog_max)
			break;
		else
			result = file_blocks(file, 0)
					 ? wait_for(&listener->space, &unix_links, deadline)
					 : -EAGAIN;
	}
	if (!result)
		result = add_connection(client, listener);
	mutex_unlock(&unix_links);
	if (!result) {
		wait_wake_one(&listener->queue, POLLIN | POLLRDNORM);
		wait_wake(&client->queue, POLLOUT);
	}
	return result == -ETIMEDOUT ? -EAGAIN : result;
}

static void connect_datagram(struct unix_socket *socket, struct unix_socket *to)
{
	struct unix_socket *old;

	mutex_lock(&unix_links);
	old = socket->peer;
	socket->peer = to ? unix_get(to) : NULL;
	socket->was_connected = to != NULL;
	mutex_unlock(&unix_links);
	if (old)
		unix_put(old);
}

static long unix_connect(struct file *file, const struct sockaddr *address, uint32_t bytes)
{
	struct unix_socket *socket = file->object, *to;
	long result;

	if (bytes >= sizeof(address->sa_family) && address->sa_family == AF_UNSPEC &&
	    socket->base.type == SOCK_DGRAM) {
		connect_datagram(socket, NULL);
		return 0;
	}
	result = unix_find((const void *)address, bytes, socket->base.type, &to);
	if (result)
		return result;
	if (socket->base.type == SOCK_DGRAM)
		connect_datagram(socket, to);
	else
		result = connect_stream(file, socket, to);
	unix_put(to);
	return result;
}

static long unix_accept(struct file *file, struct socket **out)
{
	struct unix_socket *socket = file->object, *server;
	uint64_t deadline = socket_deadline(socket->base.receive_ns);
	long result = 0;

	mutex_lock(&unix_links);
	if (!socket->base.is_listening)
		result = socket->base.type == SOCK_DGRAM ? -EOPNOTSUPP : -EINVAL;
	while (!result && !socket->backlog_first)
		result = file_blocks(file, 0) ? wait_for(&socket->queue, &unix_links, deadline)
					      : -EAGAIN;
	if (!result) {
		server = socket->backlog_first;
		socket->backlog_first = server->backlog_next;
		if (!socket->backlog_first)
			socket->backlog_last = &socket->backlog_first;
		socket->backlog--;
		*out = &server->base;
	}
	mutex_unlock(&unix_links);
	if (!result)
		wait_wake(&socket->space, POLLOUT);
	return result == -ETIMEDOUT ? -EAGAIN : result;
}

/* Nothing more comes to this socket. */
static void end_input(struct unix_socket *socket, int takes_nothing, int error)
{
	mutex_lock(&socket->mutex);
	socket->at_end = 1;
	if (takes_nothing)
		socket->is_closed = 1;
	if (error)
		socket->base.error = error;
	mutex_unlock(&socket->mutex);
	wait_wake(&socket->queue, POLLIN | POLLHUP | POLLRDHUP | POLLOUT);
	wait_wake(&socket->space, POLLOUT);
}

static long unix_shutdown(struct socket *base, int how)
{
	struct unix_socket *socket = (struct unix_socket *)base, *peer = unix_peer(socket);

	if (how < SHUT_RD || how > SHUT_RDWR) {
		if (peer)
			unix_put(peer);
		return -EINVAL;
	}
	if (!peer && !socket->was_connected)
		return -ENOTCONN;
	if (how != SHUT_RD)
		socket->no_send = 1;
	if (how != SHUT_WR) {
		end_input(socket, 1, 0);
		if (peer && base->type != SOCK_DGRAM)
			peer->no_send = 1;
	}
	if (peer) {
		if (how != SHUT_RD && base->type != SOCK_DGRAM)
			end_input(peer, 0, 0);
		wait_wake(&peer->queue, POLLIN | POLLHUP | POLLOUT);
		unix_put(peer);
	}
	wait_wake(&socket->queue, POLLIN | POLLHUP | POLLOUT);
	return 0;
}

static long unix_get_option(struct socket *base, int level, int option, void *value,
			    uint32_t *bytes)
{
	struct unix_socket *socket = (struct unix_socket *)base;
	struct credentials peer = socket->peer_credentials;

	if (level != SOL_SOCKET || option != SO_PEERCRED)
		return -ENOPROTOOPT;
	if (!peer.pid)
		peer = (struct credentials){0, (uint32_t)-1, (uint32_t)-1};
	if (*bytes > sizeof(peer))
		*bytes = sizeof(peer);
	memcpy(value, &peer, *bytes);
	return 0;
}

static long unix_readable(struct socket *base)
{
	struct unix_socket *socket = (struct unix_socket *)base;
	long bytes;

	mutex_lock(&socket->mutex);
	bytes = base->type == SOCK_STREAM ? (long)socket->queued
		: socket->first		  ? (long)socket->first->bytes
					  : 0;
	mutex_unlock(&socket->mutex);
	return bytes;
}

/* With unix_links. */
static void drop_names(struct unix_socket *socket)
{
	struct unix_socket **at = &abstract_names;

	while (*at && *at != socket)
		at = &(*at)->next_name;
	if (*at)
		*at = socket->next_name;
	if (socket->inode) {
		uint32_t before = tree_lock();

		socket->inode->socket = NULL;
		tree_unlock(before);
		inode_put(socket->inode);
		socket->inode = NULL;
	}
}

static void unix_destroy(struct socket *base)
{
	struct unix_socket *socket = (struct unix_socket *)base, *peer, *waiting, *next;
	int had_data;

	mutex_lock(&unix_links);
	drop_names(socket);
	peer = socket->peer;
	socket->peer = NULL;
	waiting = socket->backlog_first;
	socket->backlog_first = NULL;
	if (peer && base->type != SOCK_DGRAM && peer->peer == socket) {
		peer->peer = NULL;
		peer->no_send = 1;
		peer->gone = address_get(socket->address);
	}
	mutex_unlock(&unix_links);
	had_data = socket->first != NULL;
	end_input(socket, 1, 0);
	for (; waiting; waiting = next) {
		next = waiting->backlog_next;
		unix_destroy(&waiting->base);
	}
	if (peer && base->type != SOCK_DGRAM) {
		end_input(peer, 1, had_data ? ECONNRESET : 0);
		unix_put(socket); /* the peer's reference to it */
	}
	if (peer)
		unix_put(peer);
	unix_put(socket);
}

static const struct socket_ops unix_ops = {
	.bind = unix_bind,
	.connect = unix_connect,
	.listen = unix_listen,
	.accept = unix_accept,
	.name = unix_name,
	.send = unix_send,
	.receive = unix_receive,
	.shutdown = unix_shutdown,
	.poll = unix_poll,
	.get_option = unix_get_option,
	.readable = unix_readable,
	.destroy = unix_destroy,
};
