/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* A new pseudo-terminal as a console's outside. Main thread. */
#ifndef SKETE_MONITOR_PTY_H
#define SKETE_MONITOR_PTY_H

#include <stddef.h>

#include <skete/base.h>

/*
 * Leaves the master, the caller's to close, in *@master, and in @message (of @size bytes) where the
 * other end is: "@what is at /dev/pts/3". What goes through is not edited or echoed.
 */
int pty_open(int *master, const char *what, char *message, size_t size,
	     struct sk_error *err) SK_MUST_CHECK;

/*
 * Before the master is closed, which hangs the terminal up, and what nobody has read is lost: waits
 * while somebody has the other end open and has not read everything, but a second at most.
 */
void pty_wait_for_reader(int master);

#endif
