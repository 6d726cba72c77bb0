/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The user's terminal: raw while the guest runs, and restored whatever happens. A guard process
 * waits for the end of this one, so that even SIGKILL leaves a usable terminal behind.
 *
 * Threading class: owner-thread only.
 */
#ifndef SKETE_MONITOR_TERMINAL_H
#define SKETE_MONITOR_TERMINAL_H

#include <sys/types.h>
#include <termios.h>

#include <skete/base.h>

struct terminal {
	/* private to terminal.c */
	int fd;
	int guard_fd; /* our end of the pipe whose closing wakes the guard; -1: none */
	pid_t guard_pid;
	bool is_raw;
	struct termios cooked;
};

/*
 * Looks at @fd. A terminal of which this process is in the foreground gets a guard; anything else
 * is left alone, and the other calls do nothing. Call it before there are threads: it forks.
 */
int terminal_init(struct terminal *t, int fd, struct sk_error *err) SK_MUST_CHECK;
/* Restores the terminal, and ends the guard. */
void terminal_fini(struct terminal *t);

/* True if there is a terminal to be made raw. */
bool terminal_is_interactive(const struct terminal *t);
bool terminal_is_raw(const struct terminal *t);
void terminal_make_raw(struct terminal *t);
void terminal_restore(struct terminal *t);

/* What the user's keys mean besides going to the guest: Ctrl-A is the prefix. */
enum terminal_command { TERMINAL_NONE, TERMINAL_QUIT, TERMINAL_HELP };

struct terminal_keys {
	bool has_prefix; /* private to terminal.c: the last byte was Ctrl-A */
};

/*
 * Takes the commands out of @len bytes of input in place: returns how many bytes remain for the
 * guest and stores the last command seen. Ctrl-A twice sends one Ctrl-A.
 */
size_t terminal_filter_keys(struct terminal_keys *keys, char *buf, size_t len,
			    enum terminal_command *command);

#endif
