/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* System calls about sockets, whatever their family. */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "../fs/fd.h"
#include "../kernel/kernel.h"
#include "../kernel/signals.h"
#include "../net/socket.h"
#include "sys.h"

#define TYPE_MASK     15
#define ADDRESS_BYTES 128

/* A socket's file with a reference, or an error. */
static long get(int fd, struct file **file, struct socket **socket)
{
	*file = fd_get(fd);
	if (!*file)
		return -EBADF;
	*socket = socket_of(*file);
	if (*socket)
		return 0;
	file_put(*file);
	return -ENOTSOCK;
}

long sys_socket(int family, int type, int protocol)
{
	int flags = type & ~TYPE_MASK;
	struct socket *socket;
	struct file *file;
	long result;

	if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
		return -EINVAL;
	result = socket_create(family, type & TYPE_MASK, protocol, &socket);
	if (result)
		return result;
	file = socket_file(socket, flags & SOCK_NONBLOCK);
	return file ? fd_install(file, 0, flags & SOCK_CLOEXEC) : -ENOMEM;
}

long sys_socketpair(int family, int type, int protocol, int fds[2])
{
	int flags = type & ~TYPE_MASK;
	struct socket *a, *b;
	struct file *first, *second;
	long result;

	if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
		return -EINVAL;
	if (family != AF_UNIX)
		return family == AF_INET || family == AF_INET6 ? -EOPNOTSUPP : -EAFNOSUPPORT;
	result = socket_create(family, type & TYPE_MASK, protocol, &a);
	if (result)
		return result;
	result = socket_create(family, type & TYPE_MASK, protocol, &b);
	if (result) {
		a->ops->destroy(a);
		return result;
	}
	(void)unix_pair(a, b);
	first = socket_file(a, flags & SOCK_NONBLOCK);
	second = socket_file(b, flags & SOCK_NONBLOCK);
	if (first && second)
		return install_pair(first, second, flags & SOCK_CLOEXEC, fds);
	if (first)
		file_put(first);
	if (second)
		file_put(second);
	return -ENOMEM;
}

long sys_bind(int fd, const struct sockaddr *address, uint32_t bytes)
{
	struct socket *socket;
	struct file *file;
	long result = get(fd, &file, &socket);

	if (result)
		return result;
	result = bytes > ADDRESS_BYTES ? -EINVAL : socket->ops->bind(socket, address, bytes);
	file_put(file);
	return result;
}

long sys_connect(int fd, const struct sockaddr *address, uint32_t bytes)
{
	struct socket *socket;
	struct file *file;
	long result = get(fd, &file, &socket);

	if (result)
		return result;
	result = bytes > ADDRESS_BYTES ? -EINVAL : socket->ops->connect(file, address, bytes);
	file_put(file);
	return result;
}

long sys_listen(int fd, int backlog)
{
	struct socket *socket;
	struct file *file;
	long result = get(fd, &file, &socket);

	if (result)
		return result;
	result = socket->ops->listen(socket, backlog);
	file_put(file);
	return result;
}

static long accept_one(struct file *file, struct socket *socket, void *address, uint32_t *bytes,
		       int flags)
{
	struct socket *new;
	struct file *new_file;
	long result = socket->ops->accept(file, &new);

	if (result)
		return result;
	if (address)
		(void)new->ops->name(new, address, bytes, 1);
	new_file = socket_file(new, flags & SOCK_NONBLOCK);
	return new_file ? fd_install(new_file, 0, flags & SOCK_CLOEXEC) : -ENOMEM;
}

long sys_accept4(int fd, void *address, uint32_t *bytes, int flags)
{
	struct socket *socket;
	struct file *file;
	long result = flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC) ? -EINVAL : get(fd, &file, &socket);

	if (result)
		return result;
	result = accept_one(file, socket, address, bytes, flags);
	file_put(file);
	return result;
}

long sys_accept(int fd, void *address, uint32_t *bytes)
{
	return sys_accept4(fd, address, bytes, 0);
}

static long name(int fd, void *address, uint32_t *bytes, int is_peer)
{
	struct socket *socket;
	struct file *file;
	long result = get(fd, &file, &socket);

	if (result)
		return result;
	result = socket->ops->name(socket, address, bytes, is_peer);
	file_put(file);
	return result;
}

long sys_getsockname(int fd, void *address, uint32_t *bytes)
{
	return name(fd, address, bytes, 0);
}

long sys_getpeername(int fd, void *address, uint32_t *bytes)
{
	return name(fd, address, bytes, 1);
}

long sys_shutdown(int fd, int how)
{
	struct socket *socket;
	struct file *file;
	long result = get(fd, &file, &socket);

	if (result)
		return result;
	result = socket->ops->shutdown(socket, how);
	file_put(file);
	return result;
}

long sys_getsockopt(int fd, int level, int option, void *value, uint32_t *bytes)
{
	struct socket *socket;
	struct file *file;
	long result = get(fd, &file, &socket);

	if (result)
		return result;
	result = socket_get_option(socket, level, option, value, bytes);
	file_put(file);
	return result;
}

long sys_setsockopt(int fd, int level, int option, const void *value, uint32_t bytes)
{
	struct socket *socket;
	struct file *file;
	long result = get(fd, &file, &socket);

	if (result)
		return result;
	result = socket_set_option(socket, level, option, value, bytes);
	file_put(file);
	return result;
}

static long send_message(struct file *file, struct socket *socket, const struct msghdr *header,
			 int flags)
{
	struct message message = {
		.name = header->msg_name,
		.name_bytes = header->msg_name ? header->msg_namelen : 0,
		.control = header->msg_control,
		.control_bytes = header->msg_control ? header->msg_controllen : 0,
		.flags = (uint32_t)flags,
	};
	long result = iov_init(&message.iov, header->msg_iov, header->msg_iovlen);

	if (message.name_bytes > ADDRESS_BYTES)
		return -EINVAL;
	return result ? result : socket->ops->send(file, &message);
}

static long receive_message(struct file *file, struct socket *socket, struct msghdr *header,
			    int flags)
{
	struct message message = {
		.name = header->msg_name,
		.name_bytes = header->msg_name ? header->msg_namelen : 0,
		.control_room = header->msg_control,
		.control_bytes = header->msg_control ? header->msg_controllen : 0,
		.flags = (uint32_t)flags,
	};
	long result = iov_init(&message.iov, header->msg_iov, header->msg_iovlen);

	if (result)
		return result;
	result = socket->ops->receive(file, &message);
	if (result < 0)
		return result;
	header->msg_namelen = header->msg_name ? message.name_bytes : 0;
	header->msg_controllen =
		result || message.control_room ? (socklen_t)message.control_bytes : 0;
	header->msg_flags = (int)message.flags & (MSG_TRUNC | MSG_CTRUNC | MSG_CMSG_CLOEXEC);
	if (flags & MSG_TRUNC && !(message.flags & MSG_TRUNC))
		header->msg_flags &= ~MSG_TRUNC;
	return result;
}

long sys_sendmsg(int fd, const struct msghdr *header, int flags)
{
	struct socket *socket;
	struct file *file;
	long result = get(fd, &file, &socket);

	if (result)
		return result;
	result = send_message(file, socket, header, flags);
	file_put(file);
	return result;
}

long sys_recvmsg(int fd, struct msghdr *header, int flags)
{
	struct socket *socket;
	struct file *file;
	long result = get(fd, &file, &socket);

	if (result)
		return result;
	result = receive_message(file, socket, header, flags);
	file_put(file);
	return result;
}

long sys_sendto(int fd, const void *data, size_t bytes, int flags, const void *address,
		uint32_t address_bytes)
{
	struct iovec one = {(void *)(uintptr_t)data, bytes};
	struct msghdr header = {
		.msg_name = (void *)(uintptr_t)address,
		.msg_namelen = address_bytes,
		.msg_iov = &one,
		.msg_iovlen = 1,
	};

	return sys_sendmsg(fd, &header, flags);
}

long sys_recvfrom(int fd, void *data, size_t bytes, int flags, void *address,
		  uint32_t *address_bytes)
{
	struct iovec one = {data, bytes};
	struct msghdr header = {
		.msg_name = address,
		.msg_namelen = address ? *address_bytes : 0,
		.msg_iov = &one,
		.msg_iovlen = 1,
	};
	long result = sys_recvmsg(fd, &header, flags);

	if (result >= 0 && address)
		*address_bytes = header.msg_namelen;
	return result;
}

long sys_sendmmsg(int fd, struct mmsghdr *headers, unsigned int count, unsigned int flags)
{
	long result = 0;
	unsigned int n = 0;

	for (; n < count; n++) {
		result = sys_sendmsg(fd, &headers[n].msg_hdr, (int)flags);
		if (result < 0)
			break;
		headers[n].msg_len = (unsigned int)result;
	}
	return n ? (long)n : result;
}

long sys_recvmmsg(int fd, struct mmsghdr *headers, unsigned int count, unsigned int flags,
		  struct timespec *timeout)
{
	uint64_t deadline = UINT64_MAX;
	long result = timeout ? deadline_after(timeout, &deadline) : 0;
	unsigned int n = 0;

	for (; !result && n < count && clock_ns() < deadline; n++) {
		long got = sys_recvmsg(fd, &headers[n].msg_hdr, (int)(flags & ~MSG_WAITFORONE));

		if (got < 0) {
			result = got;
			break;
		}
		headers[n].msg_len = (unsigned int)got;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
	}
	return n ? (long)n : result;
}
