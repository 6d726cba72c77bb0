/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Advisory locks on files: fcntl(2)'s of the program (which never stand in its own way), those of
 * an open file description, and flock(2)'s. The first two share their ranges, the third is apart.
 */
#ifndef SKETE_UK_LOCKS_H
#define SKETE_UK_LOCKS_H

#include <stdint.h>

struct file;
struct flock;

/* F_SETLK, F_SETLKW, F_GETLK and their OFD forms. */
long locks_control(struct file *file, int command, struct flock *request);
/* flock(2). */
long locks_flock(struct file *file, int operation);
/* A descriptor is closed: the program's own locks go. The file is released: its locks go. */
void locks_close(struct file *file);
void locks_release(struct file *file);

#endif
