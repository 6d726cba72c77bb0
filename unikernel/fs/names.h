/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Changes of the tree by path, and opening: what the system calls of these names do. */
#ifndef SKETE_UK_NAMES_H
#define SKETE_UK_NAMES_H

#include <stdint.h>

struct file;
struct inode;
struct unix_socket;

/* A node of any type but a directory or link. `mode` holds the type; the mask is applied here. */
long names_make_node(int directory, const char *path, uint32_t mode, uint32_t device);
long names_make_directory(int directory, const char *path, uint32_t mode);
long names_make_symlink(const char *target, int directory, const char *path);
long names_link(int from_directory, const char *from, int directory, const char *path,
		uint32_t walk_flags);
/* flags: 0 or AT_REMOVEDIR. */
long names_unlink(int directory, const char *path, int flags);
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE	 2
/* flags: 0 or one of these. */
long names_rename(int from_directory, const char *from, int directory, const char *path, int flags);

/* Open a file: with a reference in *out. */
long names_open(int directory, const char *path, uint32_t flags, uint32_t mode, struct file **out);
/* Open an inode that has no name: O_TMPFILE, memfd_create(2). Takes over the reference. */
long names_open_inode(struct inode *inode, uint32_t flags, struct file **out);

/* Make a socket's node; under the tree lock it holds `socket` (see net/unix.c). */
long names_bind(const char *path, uint32_t mode, struct unix_socket *socket);

extern uint32_t names_mask; /* umask(2) */

#endif
