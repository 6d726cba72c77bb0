/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Pipes, with and without a name: pipe(7). */
#ifndef SKETE_UK_PIPE_H
#define SKETE_UK_PIPE_H

#include "file.h"

/* Both ends of a new pipe. flags: O_NONBLOCK, O_CLOEXEC, O_DIRECT (refused). */
long pipe_create(uint32_t flags, struct file **reader, struct file **writer);
/* Make an opened S_IFIFO an end of its pipe; waits for the other end as open(2) does. */
long pipe_open_named(struct file *file);

#endif
