/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Raw mode, the guard that undoes it, and the Ctrl-A keys. */
#include "terminal.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PREFIX_KEY 0x01 /* Ctrl-A */

/*
 * The guard: a child in a session of its own, born with all signals blocked, so that nothing meant
 * for us ends it, that sleeps until its pipe closes. An orderly end sends a byte first: then the
 * terminal is as it was already, and somebody else may have changed it since. It keeps only two
 * descriptors: whoever reads what we print must not have to wait for the guard's end, too.
 */
_Noreturn static void guard(int pipe_fd, int terminal_fd, const struct termios *cooked)
{
	ssize_t n;
	char byte;

	setsid();
	prctl(PR_SET_NAME, "skete-guard");
	if (dup3(terminal_fd, 100, O_CLOEXEC) < 0 || dup3(pipe_fd, 101, O_CLOEXEC) < 0)
		_exit(1);
	close_range(0, 99, 0);
	close_range(102, ~0U, 0);
	do {
		n = read(101, &byte, 1);
	} while (n < 0 && errno == EINTR);
	if (n == 0)
		tcsetattr(100, TCSANOW, cooked);
	_exit(0);
}

int terminal_init(struct terminal *t, int fd, struct sk_error *err)
{
	sigset_t all, old;
	int pipe_fds[2], ret;
	pid_t pid;

	*t = (struct terminal){.fd = fd, .guard_fd = -1};
	/* In the background the terminal is somebody else's. */
	if (!isatty(fd) || tcgetpgrp(fd) != getpgrp() || tcgetattr(fd, &t->cooked))
		return 0;
	if (pipe2(pipe_fds, O_CLOEXEC)) {
		ret = -errno;
		return sk_error_set(err, ret, "cannot create a pipe: %s", strerror(-ret));
	}
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	pid = fork();
	ret = -errno;
	if (pid == 0)
		guard(pipe_fds[0], fd, &t->cooked);
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (pid < 0) {
		close(pipe_fds[0]);
		close(pipe_fds[1]);
		return sk_error_set(err, ret,
				    "cannot start the process that would restore the terminal: %s",
				    strerror(-ret));
	}
	close(pipe_fds[0]);
	t->guard_fd = pipe_fds[1];
	t->guard_pid = pid;
	return 0;
}

void terminal_fini(struct terminal *t)
{
	ssize_t n;

	if (t->guard_fd < 0)
		return;
	terminal_restore(t);
	do {
		n = write(t->guard_fd, "", 1);
	} while (n < 0 && errno == EINTR);
	sk_close(&t->guard_fd);
	waitpid(t->guard_pid, NULL, 0);
}

bool terminal_is_interactive(const struct terminal *t)
{
	return t->guard_fd >= 0;
}

bool terminal_is_raw(const struct terminal *t)
{
	return t->is_raw;
}

void terminal_make_raw(struct terminal *t)
{
	struct termios raw = t->cooked;

	if (!terminal_is_interactive(t) || t->is_raw)
		return;
	cfmakeraw(&raw);
	t->is_raw = tcsetattr(t->fd, TCSADRAIN, &raw) == 0;
}

void terminal_restore(struct terminal *t)
{
	if (!t->is_raw)
		return;
	tcsetattr(t->fd, TCSADRAIN, &t->cooked);
	t->is_raw = false;
}

static enum terminal_command command_of(char key)
{
	switch (key) {
	case 'x':
	case 'X':
		return TERMINAL_QUIT;
	case 'h':
	case 'H':
	case '?':
		return TERMINAL_HELP;
	default:
		return TERMINAL_NONE;
	}
}

size_t terminal_filter_keys(struct terminal_keys *keys, char *buf, size_t len,
			    enum terminal_command *command)
{
	size_t kept = 0;

	*command = TERMINAL_NONE;
	for (size_t i = 0; i < len; i++) {
		if (!keys->has_prefix) {
			keys->has_prefix = buf[i] == PREFIX_KEY;
			if (!keys->has_prefix)
				buf[kept++] = buf[i];
			continue;
		}
		keys->has_prefix = false;
		if (buf[i] == PREFIX_KEY)
			buf[kept++] = PREFIX_KEY;
		else if (command_of(buf[i]) != TERMINAL_NONE)
			*command = command_of(buf[i]);
	}
	return kept;
}
