/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * AF_UNIX: sending and receiving. A packet is what one call sent, or for a stream at most 16 KiB of
 * it; it waits in the receiver's queue, which takes about 208 KiB.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "../kernel/signals.h"
#include "../mm/heap.h"
#include "unix.h"

#define QUEUE_BYTES  212992
#define QUEUE_COUNT  4096
#define STREAM_BYTES 16384

static void free_packet(struct packet *packet)
{
	rights_drop(packet);
	if (packet->from && !__atomic_sub_fetch(&packet->from->refs, 1, __ATOMIC_ACQ_REL))
		kheap_free(packet->from, sizeof(*packet->from));
	kheap_free(packet, packet->room);
}

void unix_free_packets(struct packet *packet)
{
	while (packet) {
		struct packet *next = packet->next;

		free_packet(packet);
		packet = next;
	}
}

static struct packet *make_packet(struct unix_socket *from, struct message *message, size_t bytes)
{
	size_t room = sizeof(struct packet) + bytes;
	struct packet *packet = kheap_alloc(room);

	if (!packet)
		return NULL;
	packet->room = room;
	packet->bytes = (uint32_t)bytes;
	packet->sender = unix_caller();
	packet->from = from->address;
	if (packet->from)
		__atomic_fetch_add(&packet->from->refs, 1, __ATOMIC_RELAXED);
	iov_take(&message->iov, packet->data, bytes);
	return packet;
}

static int is_full(const struct unix_socket *to)
{
	return to->queued >= QUEUE_BYTES || to->packet_count >= QUEUE_COUNT;
}

/* Put it into the receiver's queue, when there is room. */
static long enqueue(struct unix_socket *to, struct packet *packet, int may_wait, uint64_t deadline)
{
	long result = 0;

	mutex_lock(&to->mutex);
	while (!to->is_closed && is_full(to) && !result)
		result = may_wait ? wait_for(&to->space, &to->mutex, deadline) : -EAGAIN;
	if (to->is_closed)
		result = to->base.type == SOCK_DGRAM ? -ECONNREFUSED : -EPIPE;
	if (!result) {
		packet->next = NULL;
		*to->last = packet;
		to->last = &packet->next;
		to->queued += packet->bytes;
		to->packet_count++;
	}
	mutex_unlock(&to->mutex);
	if (!result)
		wait_wake_one(&to->queue, POLLIN | POLLRDNORM);
	return result == -ETIMEDOUT ? -EAGAIN : result;
}

static long send_stream(struct file *file, struct unix_socket *from, struct unix_socket *to,
			struct message *message)
{
	int may_wait = file_blocks(file, message->flags & MSG_DONTWAIT ? 04000 : 0);
	uint64_t deadline = socket_deadline(from->base.send_ns);
	long done = 0, result = 0;

	while (message->iov.left && !result) {
		size_t bytes = message->iov.left < STREAM_BYTES ? message->iov.left : STREAM_BYTES;
		struct iov before = message->iov;
		struct packet *packet;

		if (from->no_send) {
			result = -EPIPE;
			break;
		}
		packet = make_packet(from, message, bytes);
		if (!packet) {
			result = -ENOMEM;
			break;
		}
		if (!done)
			result = rights_take(message, packet);
		if (!result)
			result = enqueue(to, packet, may_wait, deadline);
		if (result) {
			free_packet(packet);
			message->iov = before;
		} else {
			done += (long)bytes;
		}
	}
	return done ? done : result;
}

static long send_packet(struct file *file, struct unix_socket *from, struct unix_socket *to,
			struct message *message)
{
	int may_wait = file_blocks(file, message->flags & MSG_DONTWAIT ? 04000 : 0);
	size_t bytes = message->iov.left;
	struct packet *packet;
	long result;

	if (from->no_send)
		return -EPIPE;
	if (bytes > PACKET_BYTES_MAX)
		return -EMSGSIZE;
	packet = make_packet(from, message, bytes);
	if (!packet)
		return -ENOMEM;
	result = rights_take(message, packet);
	if (!result)
		result = enqueue(to, packet, may_wait, socket_deadline(from->base.send_ns));
	if (result)
		free_packet(packet);
	return result ? result : (long)bytes;
}

/* Whom a message goes to, with a reference. */
static long receiver(struct unix_socket *from, const struct message *message,
		     struct unix_socket **to)
{
	if (message->name_bytes && from->base.type == SOCK_DGRAM)
		return unix_find(message->name, message->name_bytes, SOCK_DGRAM, to);
	if (message->name_bytes)
		return from->was_connected ? -EISCONN : -EOPNOTSUPP;
	*to = unix_peer(from);
	if (*to)
		return 0;
	if (from->was_connected)
		return from->base.type == SOCK_DGRAM ? -ECONNREFUSED : -EPIPE;
	return -ENOTCONN;
}

long unix_send(struct file *file, struct message *message)
{
	struct unix_socket *from = file->object, *to = NULL;
	int error = __atomic_exchange_n(&from->base.error, 0, __ATOMIC_RELAXED);
	long result = error ? -error : receiver(from, message, &to);

	if (message->flags & MSG_OOB)
		result = -EOPNOTSUPP;
	if (!result)
		result = from->base.type == SOCK_STREAM ? send_stream(file, from, to, message)
							: send_packet(file, from, to, message);
	if (to)
		unix_put(to);
	if (result == -EPIPE && !(message->flags & MSG_NOSIGNAL))
		signal_send(this_thread(), SIGPIPE);
	return result;
}

/* The first packet, when there is one. Locked. 0, or a negative errno; *out NULL: the end. */
static long first_packet(struct file *file, struct unix_socket *self, uint32_t flags,
			 uint64_t deadline, struct packet **out)
{
	int may_wait = file_blocks(file, flags & MSG_DONTWAIT ? 04000 : 0);
	long result = 0;

	while (!self->first && !self->at_end && !self->base.error && !result)
		result = may_wait ? wait_for(&self->queue, &self->mutex, deadline) : -EAGAIN;
	*out = self->first;
	if (self->first)
		return 0;
	if (self->base.error)
		return -__atomic_exchange_n(&self->base.error, 0, __ATOMIC_RELAXED);
	if (self->at_end)
		return 0;
	return result == -ETIMEDOUT ? -EAGAIN : result;
}

static void tell_sender(struct message *message, const struct packet *packet)
{
	uint32_t bytes = packet->from ? packet->from->bytes : 0;

	if (!message->name)
		return;
	if (packet->from)
		memcpy(message->name, &packet->from->name,
		       bytes < message->name_bytes ? bytes : message->name_bytes);
	message->name_bytes = bytes;
}

/* Take the first packet off the queue. Locked. */
static void unqueue(struct unix_socket *self)
{
	struct packet *packet = self->first;

	self->first = packet->next;
	if (!self->first)
		self->last = &self->first;
	self->packet_count--;
}

static void made_room(struct unix_socket *self)
{
	struct unix_socket *peer;

	wait_wake(&self->space, POLLOUT);
	peer = unix_peer(self);
	if (peer) {
		wait_wake(&peer->queue, POLLOUT | POLLWRNORM);
		unix_put(peer);
	}
}

static long receive_stream(struct file *file, struct unix_socket *self, struct message *message)
{
	uint32_t flags = message->flags, is_peek = flags & MSG_PEEK;
	uint64_t deadline = socket_deadline(self->base.receive_ns);
	struct packet *packet, *gone = NULL;
	long done = 0, result = 0;
	int had_files = 0, was_full;

	mutex_lock(&self->mutex);
	was_full = is_full(self);
	while (message->iov.left && !result && !had_files) {
		size_t n;

		if (done && !self->first && !(flags & MSG_WAITALL && !is_peek))
			break;
		result = first_packet(file, self, flags, deadline, &packet);
		if (result || !packet)
			break;
		if (done && packet->files)
			break; /* they come with the first byte of their packet */
		n = iov_put(&message->iov, packet->data + packet->at, packet->bytes - packet->at);
		if (!done) {
			tell_sender(message, packet);
			had_files = packet->files != NULL;
			rights_give(message, packet, (int)self->base.passes_credentials, !!is_peek);
		}
		done += (long)n;
		if (is_peek)
			break;
		packet->at += (uint32_t)n;
		self->queued -= n;
		if (packet->at == packet->bytes) {
			unqueue(self);
			packet->next = gone;
			gone = packet;
		}
	}
	mutex_unlock(&self->mutex);
	unix_free_packets(gone);
	if (done && !is_peek && (was_full || self->queue.first || self->peer))
		made_room(self);
	return done ? done : result;
}

static long receive_packet(struct file *file, struct unix_socket *self, struct message *message)
{
	uint32_t flags = message->flags, is_peek = flags & MSG_PEEK;
	struct packet *packet;
	long result;
	size_t n;

	mutex_lock(&self->mutex);
	result = first_packet(file, self, flags, socket_deadline(self->base.receive_ns), &packet);
	if (result || !packet) {
		mutex_unlock(&self->mutex);
		return result;
	}
	n = iov_put(&message->iov, packet->data, packet->bytes);
	if (n < packet->bytes)
		message->flags |= MSG_TRUNC;
	result = flags & MSG_TRUNC ? (long)packet->bytes : (long)n;
	tell_sender(message, packet);
	rights_give(message, packet, (int)self->base.passes_credentials, !!is_peek);
	if (!is_peek) {
		self->queued -= packet->bytes;
		unqueue(self);
	}
	mutex_unlock(&self->mutex);
	if (!is_peek) {
		free_packet(packet);
		made_room(self);
	}
	return result;
}

long unix_receive(struct file *file, struct message *message)
{
	struct unix_socket *self = file->object;

	if (message->flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (self->base.type != SOCK_DGRAM && !self->was_connected)
		return self->base.type == SOCK_STREAM ? -EINVAL : -ENOTCONN;
	if (self->base.type != SOCK_STREAM)
		return receive_packet(file, self, message);
	if (!message->iov.left)
		return 0;
	return receive_stream(file, self, message);
}

uint32_t unix_poll(struct socket *socket, struct poller *poller)
{
	struct unix_socket *self = (struct unix_socket *)socket, *peer;
	uint32_t events = 0;

	poller_wait(poller, &self->queue);
	if (self->base.is_listening)
		return self->backlog_first ? POLLIN | POLLRDNORM : 0;
	if (self->first || self->at_end)
		events |= POLLIN | POLLRDNORM;
	if (self->at_end)
		events |= POLLRDHUP;
	if (self->at_end && self->no_send && socket->type != SOCK_DGRAM)
		events |= POLLHUP;
	if (socket->error)
		events |= POLLERR;
	if (socket->type != SOCK_DGRAM && !self->was_connected)
		return events | POLLOUT | POLLHUP;
	peer = unix_peer(self);
	if (!peer ? socket->type == SOCK_DGRAM || self->was_connected : !is_full(peer))
		events |= POLLOUT | POLLWRNORM;
	if (!peer && self->was_connected && socket->type != SOCK_DGRAM)
		events |= POLLHUP;
	if (peer)
		unix_put(peer);
	return events;
}
