/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * From a path to an entry of the tree, as path_resolution(7) describes it: symbolic links, "..",
 * the right to search, directories given by descriptor.
 */
#ifndef SKETE_UK_WALK_H
#define SKETE_UK_WALK_H

#include "tree.h"

#define WALK_FOLLOW 1 /* a symbolic link at the end, too */
#define WALK_CREATE 2 /* the last name may be missing */
#define WALK_EMPTY  4 /* "" is what the descriptor refers to */
#define WALK_NAME   8 /* the name itself is meant: a slash behind it follows no link */

struct walk {
	struct entry *parent; /* where the last name is; NULL if it was ".", ".." or "/" */
	struct entry *entry;  /* what it names; NULL: missing, or an open file without a name */
	struct file *file;    /* an open file without a name (/proc/self/fd/N, or WALK_EMPTY) */
	const char *name;     /* the last name, until walk_end() */
	uint32_t name_bytes;
	uint32_t wants_directory; /* slashes follow it */
	/* private to walk.c */
	struct entry *at;
	struct file *held;
	char *buffer, *spare;
	uint32_t is_locked, before;
};

/*
 * On success (0) the tree is locked, so that what was found stays true until walk_unlock() or
 * walk_end(). On failure nothing is held.
 */
long walk(int directory, const char *path, uint32_t flags, struct walk *out);
void walk_unlock(struct walk *walk);
void walk_end(struct walk *walk);

/* The working directory. */
struct entry *walk_directory(void); /* with a reference */
struct entry *walk_directory_locked(void);
void walk_set_directory(struct entry *entry);

#endif
