/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Descriptors and credentials that travel with a message: SCM_RIGHTS and SCM_CREDENTIALS. */
#include <errno.h>
#include <string.h>

#include "../fs/fd.h"
#include "../mm/heap.h"
#include "unix.h"

#define ALIGN(n) (((n) + 7) & ~7ul)
#define HEAD	 ALIGN(sizeof(struct cmsghdr))

static long take_files(struct packet *packet, const int *fds, size_t count)
{
	if (packet->files || count > FILES_MAX)
		return -EINVAL;
	if (!count)
		return 0;
	packet->files = kheap_alloc(count * sizeof(*packet->files));
	if (!packet->files)
		return -ENOMEM;
	packet->file_count = (uint32_t)count;
	for (size_t i = 0; i < count; i++) {
		int fd;

		memcpy(&fd, &fds[i], sizeof(fd));
		packet->files[i] = fd_get(fd);
		if (!packet->files[i])
			return -EBADF;
	}
	return 0;
}

long rights_take(const struct message *message, struct packet *packet)
{
	const char *at = message->control;
	size_t left = message->control_bytes;
	long result = 0;

	while (!result && left >= sizeof(struct cmsghdr)) {
		struct cmsghdr head;
		size_t bytes;

		memcpy(&head, at, sizeof(head));
		bytes = head.cmsg_len;
		if (bytes < HEAD || bytes > left)
			return -EINVAL;
		if (head.cmsg_level == SOL_SOCKET && head.cmsg_type == SCM_RIGHTS)
			result = take_files(packet, (const int *)(at + HEAD),
					    (bytes - HEAD) / sizeof(int));
		else if (head.cmsg_level != SOL_SOCKET || head.cmsg_type != SCM_CREDENTIALS)
			result = -EINVAL;
		bytes = ALIGN(bytes) < left ? ALIGN(bytes) : left;
		at += bytes;
		left -= bytes;
	}
	return result;
}

struct room {
	char *at;
	size_t left;
	struct message *message;
};

/* A header and its data; what does not fit is cut off and said so. */
static void put(struct room *room, int type, const void *data, size_t bytes)
{
	struct cmsghdr head = {.cmsg_level = SOL_SOCKET, .cmsg_type = type};
	size_t whole;

	if (room->left < HEAD) {
		room->message->flags |= MSG_CTRUNC;
		return;
	}
	if (bytes > room->left - HEAD) {
		room->message->flags |= MSG_CTRUNC;
		bytes = room->left - HEAD;
	}
	head.cmsg_len = (socklen_t)(HEAD + bytes);
	memcpy(room->at, &head, sizeof(head));
	memcpy(room->at + HEAD, data, bytes);
	whole = ALIGN(HEAD + bytes) < room->left ? ALIGN(HEAD + bytes) : room->left;
	room->at += whole;
	room->left -= whole;
}

static void give_files(struct room *room, struct packet *packet, uint32_t cloexec, int is_peek)
{
	size_t fit = room->left > HEAD ? (room->left - HEAD) / sizeof(int) : 0;
	int fds[FILES_MAX];
	uint32_t n = 0;

	for (; n < packet->file_count && n < fit; n++) {
		long fd = fd_install(file_get(packet->files[n]), 0, cloexec);

		if (fd < 0)
			break;
		fds[n] = (int)fd;
	}
	if (n)
		put(room, SCM_RIGHTS, fds, n * sizeof(int));
	if (n < packet->file_count)
		room->message->flags |= MSG_CTRUNC;
	if (!is_peek)
		rights_drop(packet);
}

void rights_give(struct message *message, struct packet *packet, int with_sender, int is_peek)
{
	struct room room = {message->control_room, message->control_bytes, message};
	uint32_t cloexec = message->flags & MSG_CMSG_CLOEXEC;

	if (with_sender)
		put(&room, SCM_CREDENTIALS, &packet->sender, sizeof(packet->sender));
	if (packet->files)
		give_files(&room, packet, cloexec, is_peek);
	message->control_bytes = (size_t)(room.at - (char *)message->control_room);
}

void rights_drop(struct packet *packet)
{
	for (uint32_t i = 0; i < packet->file_count; i++)
		if (packet->files[i])
			file_put(packet->files[i]);
	kheap_free(packet->files, packet->file_count * sizeof(*packet->files));
	packet->files = NULL;
	packet->file_count = 0;
}
