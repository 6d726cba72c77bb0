/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Between the files of AF_UNIX: unix.c (names and connections), unix_queue.c (sending and
 * receiving), rights.c (ancillary data).
 *
 * Locks, outermost first: `unix_links`, the mutex of names and connections; a socket's mutex, its
 * queue of packets. A packet is sent under the receiver's mutex only.
 */
#ifndef SKETE_UK_UNIX_H
#define SKETE_UK_UNIX_H

#include <sys/un.h>

#include "socket.h"

#define PACKET_BYTES_MAX 65000
#define FILES_MAX	 253 /* in one message: Linux's limit */

struct unix_address {
	uint32_t refs;
	uint32_t bytes;
	struct sockaddr_un name;
};

struct credentials {
	int pid;
	uint32_t uid, gid;
};

struct packet {
	struct packet *next;
	size_t room;	    /* of this allocation */
	uint32_t bytes, at; /* of data, and what is read of it */
	struct unix_address *from;
	struct credentials sender;
	struct file **files;
	uint32_t file_count;
	char data[];
};

struct unix_socket {
	struct socket base;
	uint32_t refs;
	struct mutex mutex; /* all below up to `peer` */
	struct packet *first, **last;
	size_t queued; /* bytes in packets */
	uint32_t packet_count;
	volatile uint32_t at_end;    /* nothing more will come */
	volatile uint32_t is_closed; /* nothing more is taken */
	struct wait_queue queue;     /* something came, or changed */
	struct wait_queue space;     /* senders wait for room */
	/* under unix_links */
	struct unix_socket *peer; /* a reference */
	uint32_t was_connected;
	volatile uint32_t no_send;
	struct unix_address *address;
	struct unix_address *gone;     /* that of a peer that was closed */
	struct unix_socket *next_name; /* in the list of abstract names */
	struct inode *inode;	       /* the node it is bound to: a reference */
	struct unix_socket *backlog_first, **backlog_last, *backlog_next;
	uint32_t backlog, backlog_max;
	struct credentials peer_credentials;
};

extern struct mutex unix_links;

struct unix_socket *unix_get(struct unix_socket *socket);
void unix_put(struct unix_socket *socket);
/* The connected socket with a reference, or NULL. */
struct unix_socket *unix_peer(struct unix_socket *socket);
/* Who is bound to an address, with a reference. 0 or a negative errno. */
long unix_find(const struct sockaddr_un *name, uint32_t bytes, int type, struct unix_socket **out);
struct credentials unix_caller(void);

/* unix_queue.c */
long unix_send(struct file *file, struct message *message);
long unix_receive(struct file *file, struct message *message);
uint32_t unix_poll(struct socket *socket, struct poller *poller);
void unix_free_packets(struct packet *packet);

/* rights.c */
/* Take the files out of ancillary data to send. */
long rights_take(const struct message *message, struct packet *packet);
/* Put a packet's files (unless they are only looked at) and sender into the message's room. */
void rights_give(struct message *message, struct packet *packet, int with_sender, int is_peek);
void rights_drop(struct packet *packet);

#endif
