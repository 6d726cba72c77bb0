/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * One loop over poll(2). Nothing here can block the guest: when the outside reads slowly, output
 * waits in the console's queue and then in the guest; when the guest reads slowly, input waits
 * where it comes from.
 */
#include "pump.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum slot { SLOT_EXIT, SLOT_SIGNAL, SLOT_CONSOLE, SLOT_IN, SLOT_OUT, SLOT_TO, NR_SLOTS };

static const char keys_help[] = "\r\nskete: Ctrl-A x  quit (takes the power away)\r\n"
				"skete: Ctrl-A h  this help\r\n"
				"skete: Ctrl-A Ctrl-A  sends Ctrl-A to the guest\r\n";

static void write_message(const char *text)
{
	ssize_t n = write(STDERR_FILENO, text, strlen(text));

	(void)n; /* a message that cannot be delivered is nobody's problem */
}

/*
 * Stopped by the shell's job control: the guest stands still, the terminal is given back, and
 * SIGCONT undoes both.
 */
static void suspend(struct pump *p)
{
	if (sk_vm_pause(p->vm))
		return;
	if (p->terminal)
		terminal_restore(p->terminal);
	raise(SIGSTOP);
	if (p->terminal)
		terminal_make_raw(p->terminal);
	(void)!sk_vm_resume(p->vm);
}

/* 0, or the signal that ends us. */
static int handle_signal(struct pump *p)
{
	struct signalfd_siginfo info;

	if (read(p->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return 0;
	switch (info.ssi_signo) {
	case SIGTSTP:
		suspend(p);
		return 0;
	case SIGWINCH:
		if (p->hvc && hvc_measure(p->hvc))
			(void)!sk_vm_resize_virtio_console(p->vm, p->hvc->config.columns,
							   p->hvc->config.rows);
		return 0;
	case SIGUSR1:
		(void)!sk_vm_pause(p->vm);
		return 0;
	case SIGUSR2:
		(void)!sk_vm_resume(p->vm);
		return 0;
	default:
		return (int)info.ssi_signo;
	}
}

/* As much as goes without waiting; poll() has said that something does. */
static ssize_t write_some(struct pump *p)
{
	const struct iovec all = {p->out + p->out_pos, p->out_len};
	ssize_t n;

	if (p->out_kind == PUMP_OUT_FILE)
		return write(p->out_fd, all.iov_base, all.iov_len);
	if (p->out_kind == PUMP_OUT_NO_WAIT) {
		n = pwritev2(p->out_fd, &all, 1, -1, RWF_NOWAIT);
		if (n >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS))
			return n;
		p->out_kind = PUMP_OUT_POLLED;
	}
	/* A pipe that is writable takes PIPE_BUF bytes at once. */
	return write(p->out_fd, all.iov_base, SK_MIN(all.iov_len, (size_t)PIPE_BUF));
}

static int write_output(struct pump *p, struct sk_error *err)
{
	ssize_t n = write_some(p);
	int ret;

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		ret = -errno;
		return sk_error_set(err, ret, "cannot write the guest's output: %s",
				    strerror(-ret));
	}
	if (n > 0) {
		p->out_len -= (size_t)n;
		p->out_pos = p->out_len ? p->out_pos + (size_t)n : 0;
	}
	return 0;
}

static void fetch_output(struct pump *p)
{
	if (p->out_pos) {
		memmove(p->out, p->out + p->out_pos, p->out_len);
		p->out_pos = 0;
	}
	p->out_len += sk_vm_console_read(p->vm, p->out + p->out_len, sizeof(p->out) - p->out_len);
	if (p->out_fd < 0)
		p->out_len = 0;
}

/* The virtio console's pipe, or -1: input is for the serial port. */
static int to_fd(const struct pump *p)
{
	return p->hvc ? p->hvc->to_fd : -1;
}

static void send_input(struct pump *p)
{
	size_t n = 0;

	if (to_fd(p) >= 0) {
		ssize_t written = write(to_fd(p), p->in, p->in_len);

		n = written < 0 ? 0 : (size_t)written;
	} else {
		n = sk_vm_console_write(p->vm, p->in, p->in_len);
	}
	p->in_len -= n;
	memmove(p->in, p->in + n, p->in_len);
}

static int read_input(struct pump *p)
{
	enum terminal_command command = TERMINAL_NONE;
	ssize_t n = read(p->in_fd, p->in, sizeof(p->in));

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		/* The end of the input is not the end of the guest. */
		p->in_fd = -1;
		sk_vm_console_write_end(p->vm);
		return 0;
	}
	if (n < 0)
		return 0;
	p->in_len = (size_t)n;
	if (p->terminal && terminal_is_raw(p->terminal))
		p->in_len = terminal_filter_keys(&p->keys, p->in, p->in_len, &command);
	if (command == TERMINAL_HELP)
		write_message(keys_help);
	if (command == TERMINAL_QUIT)
		return -ECANCELED;
	send_input(p);
	return 0;
}

static int turn(struct pump *p, bool *has_ended, struct sk_error *err)
{
	struct pollfd fds[NR_SLOTS] = {
		/* After the end only the rest of the output is waited for. */
		[SLOT_EXIT] = {.fd = *has_ended ? -1 : sk_vm_exit_fd(p->vm), .events = POLLIN},
		[SLOT_SIGNAL] = {.fd = p->signal_fd, .events = POLLIN},
		[SLOT_CONSOLE] = {.fd = p->out_len < sizeof(p->out) ? sk_vm_console_fd(p->vm) : -1,
				  .events = POLLIN},
		[SLOT_IN] = {.fd = p->in_len || *has_ended ? -1 : p->in_fd, .events = POLLIN},
		[SLOT_OUT] = {.fd = p->out_len ? p->out_fd : -1, .events = POLLOUT},
		[SLOT_TO] = {.fd = p->in_len ? to_fd(p) : -1, .events = POLLOUT},
	};
	int ret;

	if (poll(fds, NR_SLOTS, -1) < 0)
		return errno == EINTR ? 0 : -errno;
	if (fds[SLOT_SIGNAL].revents) {
		ret = handle_signal(p);
		if (ret)
			return ret;
	}
	if (fds[SLOT_EXIT].revents)
		*has_ended = true;
	if (fds[SLOT_CONSOLE].revents || *has_ended)
		fetch_output(p);
	if ((fds[SLOT_CONSOLE].revents || fds[SLOT_TO].revents) && p->in_len)
		send_input(p);
	if (fds[SLOT_OUT].revents) {
		ret = write_output(p, err);
		if (ret)
			return ret;
	}
	return fds[SLOT_IN].revents ? read_input(p) : 0;
}

void pump_init(struct pump *p, struct sk_vm *vm, int signal_fd)
{
	p->vm = vm;
	p->hvc = NULL;
	p->terminal = NULL;
	p->in_fd = p->out_fd = -1;
	p->signal_fd = signal_fd;
	p->keys = (struct terminal_keys){0};
	p->in_len = p->out_len = p->out_pos = 0;
}

static enum pump_out kind_of(int fd)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? PUMP_OUT_FILE
								     : PUMP_OUT_NO_WAIT;
}

int pump_run(struct pump *p, struct sk_error *err)
{
	bool has_ended = false;
	int ret = 0;

	p->out_kind = kind_of(p->out_fd);
	while (ret == 0) {
		if (has_ended && p->out_len == 0) {
			fetch_output(p);
			if (p->out_len == 0)
				return 0;
		}
		ret = turn(p, &has_ended, err);
	}
	/* A power cut: what the guest had said before is lost only if nobody takes it now. */
	(void)!sk_vm_stop(p->vm);
	return ret;
}
