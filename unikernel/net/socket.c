/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Sockets as open files, and the options that all families share. */
#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "../kernel/kernel.h"

#define BUFFER_BYTES 212992

static const struct {
	int family;
	long (*create)(int type, int protocol, struct socket **out);
} families[] = {
	{AF_UNIX, unix_create},
};

long socket_create(int family, int type, int protocol, struct socket **out)
{
	for (uint32_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		if (families[i].family == family)
			return families[i].create(type, protocol, out);
	return -EAFNOSUPPORT;
}

static long socket_read(struct file *file, struct iov *iov, int64_t *position)
{
	const struct socket *socket = file->object;
	struct message message = {.iov = *iov};
	long result = socket->ops->receive(file, &message);

	(void)position;
	*iov = message.iov;
	return result;
}

static long socket_write(struct file *file, struct iov *iov, int64_t *position)
{
	const struct socket *socket = file->object;
	struct message message = {.iov = *iov};
	long result = socket->ops->send(file, &message);

	(void)position;
	*iov = message.iov;
	return result;
}

static uint32_t socket_poll(struct file *file, struct poller *poller)
{
	struct socket *socket = file->object;

	return socket->ops->poll(socket, poller);
}

static long socket_ioctl(struct file *file, unsigned long command, void *argument)
{
	struct socket *socket = file->object;

	if (command != FIONREAD)
		return -ENOTTY;
	*(int *)argument = (int)socket->ops->readable(socket);
	return 0;
}

static void socket_stat(struct file *file, struct stat *st)
{
	(void)file;
	st->st_mode = S_IFSOCK | 0777;
}

static void socket_release(struct file *file)
{
	struct socket *socket = file->object;

	socket->ops->destroy(socket);
}

static const struct file_ops socket_file_ops = {
	.name = "socket",
	.read = socket_read,
	.write = socket_write,
	.poll = socket_poll,
	.ioctl = socket_ioctl,
	.stat = socket_stat,
	.release = socket_release,
};

struct file *socket_file(struct socket *socket, uint32_t flags)
{
	struct file *file = file_create(&socket_file_ops, socket, O_RDWR | (flags & O_NONBLOCK));

	if (!file)
		socket->ops->destroy(socket);
	return file;
}

struct socket *socket_of(struct file *file)
{
	return file->ops == &socket_file_ops ? file->object : NULL;
}

uint64_t socket_deadline(uint64_t timeout_ns)
{
	return timeout_ns ? clock_ns() + timeout_ns : UINT64_MAX;
}

/* Options that say yes or no, and are only kept. */
static int is_flag(int option)
{
	return option == SO_REUSEADDR || option == SO_KEEPALIVE || option == SO_BROADCAST ||
	       option == SO_OOBINLINE || option == SO_REUSEPORT || option == SO_DONTROUTE ||
	       option == SO_TIMESTAMP;
}

static long get_int(const struct socket *socket, int option, int *value)
{
	switch (option) {
	case SO_TYPE:
		*value = socket->type;
		return 0;
	case SO_DOMAIN:
		*value = socket->family;
		return 0;
	case SO_PROTOCOL:
		*value = socket->protocol;
		return 0;
	case SO_ACCEPTCONN:
		*value = (int)socket->is_listening;
		return 0;
	case SO_PASSCRED:
		*value = (int)socket->passes_credentials;
		return 0;
	case SO_SNDBUF:
	case SO_RCVBUF:
		*value = socket->buffer_bytes[option == SO_RCVBUF];
		if (!*value)
			*value = BUFFER_BYTES;
		return 0;
	case SO_RCVLOWAT:
		*value = 1;
		return 0;
	default:
		*value = (int)(socket->options >> option & 1);
		return is_flag(option) ? 0 : -ENOPROTOOPT;
	}
}

static struct timeval time_of(uint64_t ns)
{
	return (struct timeval){(time_t)(ns / NS_PER_SEC), (suseconds_t)(ns % NS_PER_SEC / 1000)};
}

static void give(void *to, uint32_t *room, const void *from, uint32_t bytes)
{
	if (*room > bytes)
		*room = bytes;
	memcpy(to, from, *room);
}

long socket_get_option(struct socket *socket, int level, int option, void *value, uint32_t *bytes)
{
	struct linger linger = {0, 0};
	struct timeval time;
	int number;
	long result;

	if (level != SOL_SOCKET)
		return socket->ops->get_option
			       ? socket->ops->get_option(socket, level, option, value, bytes)
			       : -EOPNOTSUPP;
	if (option == SO_RCVTIMEO || option == SO_SNDTIMEO) {
		time = time_of(option == SO_RCVTIMEO ? socket->receive_ns : socket->send_ns);
		give(value, bytes, &time, sizeof(time));
		return 0;
	}
	if (option == SO_LINGER) {
		give(value, bytes, &linger, sizeof(linger));
		return 0;
	}
	if (option == SO_ERROR) {
		number = __atomic_exchange_n(&socket->error, 0, __ATOMIC_RELAXED);
		give(value, bytes, &number, sizeof(number));
		return 0;
	}
	result = get_int(socket, option, &number);
	if (result && socket->ops->get_option)
		return socket->ops->get_option(socket, level, option, value, bytes);
	if (!result)
		give(value, bytes, &number, sizeof(number));
	return result;
}

static long set_time(struct socket *socket, int option, const void *value, uint32_t bytes)
{
	struct timeval time;
	uint64_t ns;

	if (bytes < sizeof(time))
		return -EINVAL;
	memcpy(&time, value, sizeof(time));
	if (time.tv_usec < 0 || time.tv_usec >= 1000000 || time.tv_sec > (1l << 32))
		return -EDOM;
	ns = time.tv_sec < 0 ? 1
			     : (uint64_t)time.tv_sec * NS_PER_SEC + (uint64_t)time.tv_usec * 1000;
	if (option == SO_RCVTIMEO)
		socket->receive_ns = ns;
	else
		socket->send_ns = ns;
	return 0;
}

long socket_set_option(struct socket *socket, int level, int option, const void *value,
		       uint32_t bytes)
{
	int number;

	if (level != SOL_SOCKET)
		return socket->ops->set_option
			       ? socket->ops->set_option(socket, level, option, value, bytes)
			       : -EOPNOTSUPP;
	if (option == SO_RCVTIMEO || option == SO_SNDTIMEO)
		return set_time(socket, option, value, bytes);
	if (bytes < sizeof(number))
		return -EINVAL;
	memcpy(&number, value, sizeof(number));
	if (option == SO_PASSCRED) {
		socket->passes_credentials = !!number;
		return 0;
	}
	if (option == SO_SNDBUF || option == SO_RCVBUF) { /* Linux doubles it, too */
		socket->buffer_bytes[option == SO_RCVBUF] = number > BUFFER_BYTES / 2 ? BUFFER_BYTES
							    : number < 1152	      ? 2304
										      : number * 2;
		return 0;
	}
	if (option == SO_LINGER || option == SO_RCVLOWAT || option == SO_PRIORITY)
		return 0;
	if (is_flag(option)) {
		socket->options &= ~(1ull << option);
		socket->options |= (uint64_t) !!number << option;
		return 0;
	}
	return socket->ops->set_option
		       ? socket->ops->set_option(socket, level, option, value, bytes)
		       : -ENOPROTOOPT;
}
