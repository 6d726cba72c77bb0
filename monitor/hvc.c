/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Output goes from the device straight to its descriptor. Input from a terminal takes the way
 * through the pump, which knows the keys that are not for the guest, and a pipe.
 */
#include "hvc.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "pty.h"

void hvc_init(struct hvc *h)
{
	*h = (struct hvc){.to_fd = -1, .slave_fd = -1, .from_fd = -1, .file_fd = -1};
	h->config.in_fd = h->config.out_fd = -1;
}

bool hvc_measure(struct hvc *h)
{
	struct winsize size;
	bool is_other;

	if (h->to_fd < 0 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size))
		return false;
	is_other = size.ws_col != h->config.columns || size.ws_row != h->config.rows;
	h->config.columns = size.ws_col;
	h->config.rows = size.ws_row;
	return is_other;
}

static int open_stdio(struct hvc *h, struct sk_error *err)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK))
		return sk_error_set(err, -errno, "cannot create a pipe for the console: %s",
				    strerror(errno));
	h->from_fd = fds[0];
	h->to_fd = fds[1];
	h->config.in_fd = h->from_fd;
	h->config.out_fd = STDOUT_FILENO;
	(void)hvc_measure(h);
	return 0;
}

static int open_pty(struct hvc *h, char *message, size_t size, struct sk_error *err)
{
	int ret = pty_open(&h->file_fd, "the console", message, size, err);

	if (ret)
		return ret;
	h->slave_fd = ioctl(h->file_fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (h->slave_fd < 0)
		return sk_error_set(err, -errno, "cannot open the other end of a pty: %s",
				    strerror(errno));
	h->config.in_fd = h->config.out_fd = h->file_fd;
	return 0;
}

int hvc_open(struct hvc *h, const struct cli_target *where, char *message, size_t size,
	     struct sk_error *err)
{
	*message = '\0';
	switch (where->kind) {
	case CLI_CONSOLE_STDIO:
		return open_stdio(h, err);
	case CLI_CONSOLE_PTY:
		return open_pty(h, message, size, err);
	case CLI_CONSOLE_FILE:
		h->file_fd = open(where->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY,
				  0666);
		if (h->file_fd < 0)
			return sk_error_set(err, -errno, "cannot open %s for the console: %s",
					    where->path, strerror(errno));
		h->config.out_fd = h->file_fd;
		return 0;
	default:
		return 0;
	}
}

void hvc_close(struct hvc *h)
{
	sk_close(&h->to_fd);
	sk_close(&h->from_fd);
	if (h->slave_fd >= 0) {
		sk_close(&h->slave_fd); /* who reads is somebody else */
		pty_wait_for_reader(h->file_fd);
	}
	sk_close(&h->file_fd);
}
