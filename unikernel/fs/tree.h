/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * The tree of names. An entry is one name of an inode in a directory; it stays as long as somebody
 * refers to it, also when it has been removed from the tree, and keeps its parents.
 *
 * One spinlock for all of it: every operation is short, since everything is in memory, and so a
 * rename is atomic for all who look. Who holds the lock may touch the program's memory (paths), but
 * takes no mutex.
 */
#ifndef SKETE_UK_TREE_H
#define SKETE_UK_TREE_H

#include <stdint.h>

#include "inode.h"

#define NAME_BYTES_MAX 255
#define PATH_BYTES_MAX 4096 /* with the 0 at the end */

struct entry {
	uint32_t refs;
	uint32_t name_bytes;
	struct inode *inode;
	struct entry *parent; /* a reference; the root's is itself */
	/* of an entry that is in its directory; under the tree lock */
	uint32_t is_linked;
	uint32_t hash;
	struct entry *hash_next, *next, *prev;
	uint64_t cookie; /* grows from entry to entry: positions of a listing */
	char *name;	 /* under the tree lock: a rename replaces it */
};

uint32_t tree_lock(void);
void tree_unlock(uint32_t before);

extern struct entry *tree_root;

struct entry *entry_get(struct entry *entry);
void entry_put(struct entry *entry);

/* A new entry of `parent` that is not linked yet; takes over the reference to the inode. */
struct entry *entry_create(struct entry *parent, const char *name, uint32_t bytes,
			   struct inode *inode);

/* Under the tree lock from here. */
/* The entry of that name, with a reference. 0, -ENOENT, or what a made-up directory says. */
long entry_find(struct entry *directory, const char *name, uint32_t bytes, struct entry **out);
/* See to it that the next entry_link() to this directory cannot fail. 0 or -ENOMEM. */
long entry_reserve(struct entry *directory);
/* Put it into its parent, where nothing of that name is. Its reference goes to the tree. */
void entry_link(struct entry *entry);
/* Take it out; the tree's reference goes to the caller. */
void entry_unlink(struct entry *entry);
/* Give an entry that is in no directory another name (from the heap, name_bytes + 1 long) and
 * place. Returns its old name, of *bytes, for the caller to free; the old parent is put. */
char *entry_move(struct entry *entry, struct entry *parent, char *name, uint32_t *bytes);
/* Is `below` the same as `above`, or somewhere below it? */
int entry_is_below(const struct entry *below, const struct entry *above);

/* The path of an entry from the root, with a 0. Its length without the 0, or -ERANGE. Locks. */
long entry_path(struct entry *entry, char *to, size_t bytes);
/* Has it, or a parent, been removed? */
int entry_is_removed(const struct entry *entry);

#endif
