/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* AF_UNIX: socket socketpair bind listen connect accept4 sendmsg recvmsg sendto recvfrom sendmmsg
 * recvmmsg shutdown getsockname getpeername getsockopt setsockopt, SCM_RIGHTS, SCM_CREDENTIALS. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "say.h"

static char text[100000];
static int s[2];

static int ready(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, 0) ? p.revents : 0;
}

static struct sockaddr_un address(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	memcpy(a.sun_path, path, path[0] ? strlen(path) : 1 + strlen(path + 1));
	return a;
}

static socklen_t length(const char *path)
{
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
			   (path[0] ? strlen(path) + 1 : 1 + strlen(path + 1)));
}

static void streams(void)
{
	int n;

	SAY(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	SAY(ready(s[0], POLLIN | POLLOUT));
	SAY(write(s[0], "abc", 3));
	SAY(write(s[0], "def", 3));
	SAY(ioctl(s[1], FIONREAD, &n));
	SAY(n);
	SAY(recv(s[1], text, 2, MSG_PEEK));
	SAY(read(s[1], text, 100));
	SAY(memcmp(text, "abcdef", 6));
	SAY(recv(s[1], text, 1, MSG_DONTWAIT));
	SAY(send(s[1], "back", 4, 0));
	SAY(ready(s[0], POLLIN));
	SAY(shutdown(s[1], SHUT_WR));
	SAY(read(s[0], text, 100));
	SAY(read(s[0], text, 100));
	SAY(ready(s[0], POLLIN | POLLRDHUP));
	SAY(send(s[1], "x", 1, MSG_NOSIGNAL));
	SAY(write(s[0], "still", 5));
	SAY(read(s[1], text, 100));
	close(s[1]);
	SAY(send(s[0], "x", 1, MSG_NOSIGNAL));
	SAY(ready(s[0], POLLIN | POLLOUT) & POLLHUP);
	close(s[0]);
	socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s);
	write(s[1], "unread", 6);
	close(s[0]);
	SAY(read(s[1], text, 1));
	SAY(read(s[1], text, 1));
	close(s[1]);
	SAY(socketpair(AF_UNIX, 77, 0, s));
	SAY(socketpair(AF_UNIX, SOCK_STREAM, 77, s));
	SAY(socket(12345, SOCK_STREAM, 0));
	SAY(listen(1, 1) < 0);
}

static void packets(int type)
{
	struct mmsghdr m[2] = {0};
	struct iovec v[2] = {{"first", 5}, {"second", 6}};

	SAY(socketpair(AF_UNIX, type, 0, s));
	SAY(send(s[0], "one", 3, 0));
	SAY(send(s[0], "three", 5, 0));
	SAY(recv(s[1], text, 2, MSG_TRUNC));
	SAY(recv(s[1], text, 100, 0));
	m[0].msg_hdr.msg_iov = &v[0];
	m[1].msg_hdr.msg_iov = &v[1];
	m[0].msg_hdr.msg_iovlen = m[1].msg_hdr.msg_iovlen = 1;
	SAY(sendmmsg(s[0], m, 2, 0));
	v[0].iov_base = text;
	v[1].iov_base = text + 50;
	SAY(recvmmsg(s[1], m, 2, 0, NULL));
	SAY(m[0].msg_len + m[1].msg_len);
	SAY(send(s[0], "", 0, 0));
	SAY(recv(s[1], text, 100, 0));
	SAY(recv(s[1], text, 100, MSG_DONTWAIT));
	close(s[0]);
	if (type == SOCK_SEQPACKET)
		SAY(recv(s[1], text, 100, 0));
	else
		SAY(send(s[1], "x", 1, MSG_NOSIGNAL));
	close(s[1]);
}

static void *client(void *path)
{
	struct sockaddr_un a = address(path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (connect(fd, (struct sockaddr *)&a, length(path)))
		return (void *)1;
	write(fd, "hello", 5);
	read(fd, text, 3);
	close(fd);
	return NULL;
}

static void server(const char *path)
{
	struct sockaddr_un a = address(path), got;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), one, value;
	socklen_t bytes = sizeof(got), size = sizeof(value);
	pthread_t thread;
	void *failed;

	SAY(connect(fd, (struct sockaddr *)&a, length(path)));
	SAY(bind(fd, (struct sockaddr *)&a, length(path)));
	got = address("another");
	SAY(bind(fd, (struct sockaddr *)&got, length("another")));
	SAY(connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&a, length(path)));
	SAY(listen(fd, 5));
	SAY(ready(fd, POLLIN));
	SAY(bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&a, length(path)));
	SAY(connect(socket(AF_UNIX, SOCK_DGRAM, 0), (struct sockaddr *)&a, length(path)));
	SAY(getsockname(fd, (struct sockaddr *)&got, &bytes));
	SAY(bytes == length(path));
	SAY(memcmp(&got, &a, bytes));
	SAY(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size));
	SAY(value);
	pthread_create(&thread, NULL, client, (void *)(long)path);
	bytes = sizeof(got);
	one = accept4(fd, (struct sockaddr *)&got, &bytes, SOCK_CLOEXEC);
	SAY(one >= 0);
	SAY(bytes);
	SAY(fcntl(one, F_GETFD));
	SAY(read(one, text, 100));
	SAY(write(one, "bye", 3));
	pthread_join(thread, &failed);
	SAY((long)failed);
	SAY(read(one, text, 100));
	bytes = sizeof(got);
	SAY(getpeername(one, (struct sockaddr *)&got, &bytes));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	SAY(accept(fd, NULL, NULL));
	close(one);
	close(fd);
	SAY(connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&a, length(path)));
}

static void datagrams(void)
{
	struct sockaddr_un a = address("dgram-a"), b = address("dgram-b"), from;
	int one = socket(AF_UNIX, SOCK_DGRAM, 0), two = socket(AF_UNIX, SOCK_DGRAM, 0);
	socklen_t bytes = sizeof(from);

	SAY(bind(one, (struct sockaddr *)&a, sizeof(a)));
	SAY(send(two, "x", 1, 0));
	SAY(sendto(two, "no name", 7, 0, (struct sockaddr *)&a, sizeof(a)));
	SAY(recvfrom(one, text, 100, 0, (struct sockaddr *)&from, &bytes));
	SAY(bytes);
	SAY(bind(two, (struct sockaddr *)&b, sizeof(b)));
	SAY(connect(two, (struct sockaddr *)&a, sizeof(a)));
	SAY(send(two, "named", 5, 0));
	bytes = sizeof(from);
	SAY(recvfrom(one, text, 100, 0, (struct sockaddr *)&from, &bytes));
	SAY(strcmp(from.sun_path, "dgram-b"));
	SAY(sendto(one, "answer", 6, 0, (struct sockaddr *)&from, bytes));
	SAY(recv(two, text, 100, 0));
	SAY(listen(one, 1));
	close(one);
	SAY(send(two, "late", 4, 0));
	close(two);
	SAY(unlink("dgram-a"));
	SAY(unlink("dgram-b"));
}

static void rights(void)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec v = {"f", 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &control};
	int fd = open("passed", O_CREAT | O_RDWR, 0600), got = -1, one = 1;
	struct cmsghdr *c;
	struct ucred peer;
	socklen_t bytes = sizeof(peer);

	socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	write(fd, "content", 7);
	m.msg_controllen = CMSG_SPACE(sizeof(int));
	memset(&control, 0, sizeof(control));
	c = CMSG_FIRSTHDR(&m);
	c->cmsg_len = CMSG_LEN(sizeof(int));
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	SAY(sendmsg(s[0], &m, 0));
	close(fd);
	memset(&control, 0, sizeof(control));
	v.iov_base = text;
	SAY(recvmsg(s[1], &m, MSG_CMSG_CLOEXEC));
	SAY(m.msg_controllen);
	c = CMSG_FIRSTHDR(&m);
	SAY(c->cmsg_type == SCM_RIGHTS);
	memcpy(&got, CMSG_DATA(c), sizeof(got));
	SAY(fcntl(got, F_GETFD));
	SAY(pread(got, text, 7, 0));
	SAY(memcmp(text, "content", 7));
	close(got);
	SAY(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)));
	SAY(write(s[0], "c", 1));
	m.msg_controllen = sizeof(control);
	SAY(recvmsg(s[1], &m, 0));
	c = CMSG_FIRSTHDR(&m);
	SAY(c && c->cmsg_type == SCM_CREDENTIALS);
	memcpy(&peer, CMSG_DATA(c), sizeof(peer));
	SAY(peer.pid == getpid() && peer.uid == getuid());
	SAY(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &peer, &bytes));
	SAY(peer.pid == getpid());
	m.msg_controllen = CMSG_LEN(sizeof(int));
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	fd = 99;
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	SAY(sendmsg(s[0], &m, 0));
	close(s[0]);
	close(s[1]);
}

static void options(void)
{
	int value = 0, fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	struct timeval soon = {0, 20000}, time;
	socklen_t bytes = sizeof(value), time_bytes = sizeof(time);

	SAY(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &bytes));
	SAY(value == SOCK_SEQPACKET);
	SAY(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &bytes));
	SAY(value == AF_UNIX);
	SAY(getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &bytes));
	SAY(value);
	SAY(getsockopt(fd, SOL_SOCKET, 999, &value, &bytes));
	SAY(getsockopt(99, SOL_SOCKET, SO_TYPE, &value, &bytes));
	SAY(getsockopt(1, SOL_SOCKET, SO_TYPE, &value, &bytes));
	socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	SAY(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)));
	SAY(getsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &time, &time_bytes));
	SAY(time.tv_usec);
	SAY(recv(s[0], text, 1, 0));
	value = 1;
	SAY(setsockopt(s[0], SOL_SOCKET, SO_REUSEADDR, &value, sizeof(value)));
	SAY(connect(s[0], (struct sockaddr *)text, 1));
	SAY(shutdown(s[0], 9));
}

static void *drain(void *unused)
{
	long total = 0, n;
	char part[5000];

	(void)unused;
	while ((n = read(s[1], part, sizeof(part))) > 0)
		total += n;
	return (void *)total;
}

int main(void)
{
	pthread_t thread;
	void *total;
	long sent = 0;

	signal(SIGPIPE, SIG_IGN);
	streams();
	packets(SOCK_DGRAM);
	packets(SOCK_SEQPACKET);
	server("by-path");
	SAY(unlink("by-path"));
	server("\0skete-abstract");
	datagrams();
	rights();
	options();
	socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	pthread_create(&thread, NULL, drain, NULL);
	for (int i = 0; i < 20; i++)
		sent += write(s[0], text, sizeof(text));
	close(s[0]);
	pthread_join(thread, &total);
	SAY(sent);
	SAY((long)total);
	return 0;
}
