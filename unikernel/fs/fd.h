/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* The program's descriptors: numbers for open files. Locked within. */
#ifndef SKETE_UK_FD_H
#define SKETE_UK_FD_H

#include <stdint.h>

#include "file.h"

#define FD_COUNT_MAX 65536

/* The file of a descriptor, with a reference for the caller; NULL if it is not open. */
struct file *fd_get(int fd);

/*
 * The lowest free descriptor from `lowest` for the file, whose reference goes to the table; also
 * when it fails: -EMFILE, -ENOMEM. `cloexec` counts if it is not 0.
 */
long fd_install(struct file *file, int lowest, uint32_t cloexec);
/* At this very number, in place of what was there. -EBADF beyond the limit. Reference as above. */
long fd_install_at(struct file *file, int fd, uint32_t cloexec);
long fd_close(int fd);
/* FD_CLOEXEC of a descriptor, or -EBADF. */
long fd_cloexec(int fd);
long fd_set_cloexec(int fd, uint32_t cloexec);
/* The flags of its file, or -EBADF. Takes no reference, so also under the tree's lock. */
long fd_flags(int fd);
/* The first open descriptor from this one on, or -1. */
int fd_next(int fd);

/* Descriptors below this number may be opened: RLIMIT_NOFILE (sys/limits.c). */
uint32_t fd_limit(void);

#endif
