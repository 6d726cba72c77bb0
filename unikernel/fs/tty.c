/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * The console as a terminal. The monitor's side edits lines and echoes; settings made here are kept
 * for those who ask, and change nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>

#include "../kernel/kernel.h"
#include "devices.h"
#include "inode.h"

#define CHUNK	1024
#define LOOK_NS 5000000ull

/* As Linux's TCGETS has it: without the speeds of the C library's structure. */
struct kernel_termios {
	uint32_t input, output, control, local;
	uint8_t line;
	uint8_t characters[19];
};

static struct kernel_termios settings = {
	.input = ICRNL | IXON,
	.output = OPOST | ONLCR,
	.control = B38400 | CS8 | CREAD,
	.local = ISIG | ICANON | ECHO | ECHOE | ECHOK | IEXTEN,
	.characters = {3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22},
};

static long tty_read(struct file *file, struct iov *iov, int64_t *position)
{
	size_t n = SIZE_MAX;
	void *to = iov_piece(iov, &n);
	long got;

	(void)position;
	if (!n)
		return 0;
	if (!file_blocks(file, 0) && !console_ready())
		return -EAGAIN;
	got = console_read(to, n);
	return got;
}

static long tty_write(struct file *file, struct iov *iov, int64_t *position)
{
	long done = 0;

	(void)file;
	(void)position;
	while (iov->left) {
		size_t n = SIZE_MAX;
		const void *from = iov_piece(iov, &n);

		console_write(from, n);
		iov_skip(iov, n);
		done += (long)n;
	}
	return done;
}

static uint32_t tty_poll(struct file *file, struct poller *poller)
{
	(void)file;
	if (poller)
		poller->again_ns = LOOK_NS;
	return POLLOUT | POLLWRNORM | (console_ready() ? POLLIN | POLLRDNORM : 0);
}

static long tty_ioctl(struct file *file, unsigned long command, void *argument)
{
	(void)file;
	switch (command) {
	case TIOCGWINSZ:
		*(struct winsize *)argument = (struct winsize){.ws_row = 24, .ws_col = 80};
		return 0;
	case TCGETS:
		memcpy(argument, &settings, sizeof(settings));
		return 0;
	case TCSETS:
	case TCSETSW:
	case TCSETSF:
		memcpy(&settings, argument, sizeof(settings));
		return 0;
	case TIOCGPGRP:
	case TIOCGSID:
		*(int *)argument = 1;
		return 0;
	case TIOCSPGRP:
	case TIOCSCTTY:
	case TCSBRK:
	case TCFLSH:
	case TCXONC:
		return 0;
	case FIONREAD:
		*(int *)argument = console_ready();
		return 0;
	default:
		return -ENOTTY;
	}
}

static void tty_stat(struct file *file, struct stat *st)
{
	(void)file;
	st->st_mode = S_IFCHR | 0620;
	st->st_rdev = DEVICE(4, 64);
	st->st_blksize = 1024;
}

const struct file_ops tty_ops = {
	.name = "/dev/console",
	.read = tty_read,
	.write = tty_write,
	.poll = tty_poll,
	.ioctl = tty_ioctl,
	.stat = tty_stat,
};
