/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Sockets: what all families have in common. A family is a table of functions and a constructor;
 * its socket begins with a struct socket, and is the object of the open file. Address families join
 * in socket.c's table.
 */
#ifndef SKETE_UK_SOCKET_H
#define SKETE_UK_SOCKET_H

#include <stdint.h>
#include <sys/socket.h>

#include "../fs/file.h"

struct socket;

/* One message on its way in or out. */
struct message {
	struct iov iov;
	void *name; /* an address: to send to, or room for the sender's; NULL: none */
	uint32_t name_bytes;
	const void *control; /* ancillary data to send */
	void *control_room;  /* or room for what comes */
	size_t control_bytes;
	uint32_t flags; /* MSG_*: asked for; then what happened */
};

struct socket_ops {
	long (*bind)(struct socket *socket, const struct sockaddr *address, uint32_t bytes);
	long (*connect)(struct file *file, const struct sockaddr *address, uint32_t bytes);
	long (*listen)(struct socket *socket, int backlog);
	/* Set *out to a socket of a new connection. May sleep unless the file is O_NONBLOCK. */
	long (*accept)(struct file *file, struct socket **out);
	/* The own address, or the peer's. *bytes: room, then length. */
	long (*name)(struct socket *socket, void *address, uint32_t *bytes, int is_peer);
	long (*send)(struct file *file, struct message *message);
	long (*receive)(struct file *file, struct message *message);
	long (*shutdown)(struct socket *socket, int how);
	uint32_t (*poll)(struct socket *socket, struct poller *poller);
	/* What the common options (socket.c) do not know. -ENOPROTOOPT. NULL: nothing. */
	long (*get_option)(struct socket *socket, int level, int option, void *value,
			   uint32_t *bytes);
	long (*set_option)(struct socket *socket, int level, int option, const void *value,
			   uint32_t bytes);
	/* Bytes that can be read: FIONREAD. */
	long (*readable)(struct socket *socket);
	void (*destroy)(struct socket *socket);
};

struct socket {
	const struct socket_ops *ops;
	int family, type, protocol;
	volatile int error; /* for SO_ERROR, positive; taken by who reads it */
	volatile uint32_t is_listening;
	volatile uint32_t passes_credentials;
	volatile uint64_t receive_ns, send_ns; /* SO_RCVTIMEO, SO_SNDTIMEO; 0: for ever */
	int buffer_bytes[2];		       /* SO_SNDBUF, SO_RCVBUF as they were set, or 0 */
	uint64_t options;		       /* flags of SO_* that are only kept, by number */
};

/* A new socket; -EAFNOSUPPORT and the like. */
long socket_create(int family, int type, int protocol, struct socket **out);
/* An open file of it, which takes it over (also when it fails). flags: O_NONBLOCK. */
struct file *socket_file(struct socket *socket, uint32_t flags);
/* The socket of an open file, or NULL. */
struct socket *socket_of(struct file *file);

long socket_get_option(struct socket *socket, int level, int option, void *value, uint32_t *bytes);
long socket_set_option(struct socket *socket, int level, int option, const void *value,
		       uint32_t bytes);
/* The time of clock_ns() at which a call gives up; then it returns -EAGAIN. */
uint64_t socket_deadline(uint64_t timeout_ns);

/* net/unix.c */
long unix_create(int type, int protocol, struct socket **out);
long unix_pair(struct socket *a, struct socket *b);

#endif
