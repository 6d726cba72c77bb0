/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include "pty.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define WAIT_MS	 10
#define MAX_WAIT 100 /* times */
#define QUIET	 3   /* times: bytes come to the reader's queue only by and by */

int pty_open(int *master, const char *what, char *message, size_t size, struct sk_error *err)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), ret;
	struct termios raw;
	char name[64];

	if (fd < 0 || grantpt(fd) || unlockpt(fd)) {
		ret = -errno;
		goto err;
	}
	ret = -ptsname_r(fd, name, sizeof(name));
	if (ret)
		goto err;
	/* The line discipline must not echo the guest's output back to it. */
	if (tcgetattr(fd, &raw) == 0) {
		cfmakeraw(&raw);
		tcsetattr(fd, TCSANOW, &raw);
	}
	snprintf(message, size, "%s is at %s", what, name);
	*master = fd;
	return 0;

err:
	sk_close(&fd);
	return sk_error_set(err, ret, "cannot open a pseudo-terminal: %s", strerror(-ret));
}

/* Has somebody the other end open, and how much is there for it to read? -1: nobody. */
static int unread_bytes(int master)
{
	struct pollfd hangup = {.fd = master};
	int peer, n;

	if (poll(&hangup, 1, 0) != 0)
		return -1;
	peer = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (peer < 0 || ioctl(peer, FIONREAD, &n))
		n = -1;
	sk_close(&peer);
	return n;
}

void pty_wait_for_reader(int master)
{
	int quiet = 0;

	for (int i = 0; i < MAX_WAIT && quiet < QUIET; i++) {
		int n = unread_bytes(master);

		if (n < 0)
			return;
		quiet = n ? 0 : quiet + 1;
		poll(NULL, 0, WAIT_MS);
	}
}
