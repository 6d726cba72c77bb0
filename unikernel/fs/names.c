/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Changes of the tree: making, linking, removing and renaming names. See names.h. */
#include "names.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "../mm/heap.h"
#include "file.h"
#include "names_internal.h"

#define WRITE_AND_SEARCH 3

uint32_t names_mask;

/* May names be added to, or taken from, this directory? */
static long may_change(const struct entry *directory)
{
	const struct inode *inode = directory->inode;

	if (inode->ops)
		return -EPERM;
	return inode_permits(inode, WRITE_AND_SEARCH);
}

/* In a directory with the sticky bit only the owners may take names away. */
static long may_remove(const struct entry *entry)
{
	const struct inode *directory = entry->parent->inode;
	long result = may_change(entry->parent);

	if (!result && directory->mode & S_ISVTX && inode_owned(directory) &&
	    inode_owned(entry->inode))
		result = -EPERM;
	return result;
}

long names_add(struct walk *w, struct inode *inode, struct entry **out)
{
	struct inode *directory = w->parent->inode;
	struct entry *entry = NULL;
	long result = directory->ops ? -ENOENT : may_change(w->parent);

	if (!result && entry_is_removed(w->parent))
		result = -ENOENT;
	if (!result) {
		if (directory->mode & S_ISGID) {
			inode->gid = directory->gid;
			if (S_ISDIR(inode->mode))
				inode->mode |= S_ISGID;
		}
		result = entry_reserve(w->parent);
		if (!result)
			entry = entry_create(w->parent, w->name, w->name_bytes, inode);
		if (!entry)
			result = -ENOMEM;
	}
	if (result) {
		inode_put(inode);
		return result;
	}
	entry_link(entry);
	if (out)
		*out = entry_get(entry);
	return 0;
}

/* Walk to a name that must not be there yet. */
static long walk_to_new(int directory, const char *path, struct walk *w)
{
	long result = walk(directory, path, WALK_CREATE | WALK_NAME, w);

	if (!result && (w->entry || w->file)) {
		walk_end(w);
		result = -EEXIST;
	}
	return result;
}

static long make(int directory, const char *path, struct inode *inode)
{
	struct walk w;
	long result;

	if (!inode)
		return -ENOMEM;
	result = walk_to_new(directory, path, &w);
	if (result) {
		inode_put(inode);
		return result;
	}
	if (w.wants_directory && !S_ISDIR(inode->mode)) {
		result = -ENOENT;
		inode_put(inode);
	} else {
		result = names_add(&w, inode, NULL);
	}
	walk_end(&w);
	return result;
}

long names_make_node(int directory, const char *path, uint32_t mode, uint32_t device)
{
	struct inode *inode;

	if (!(mode & S_IFMT))
		mode |= S_IFREG;
	if (!S_ISREG(mode) && !S_ISCHR(mode) && !S_ISFIFO(mode) && !S_ISSOCK(mode))
		return S_ISDIR(mode) ? -EPERM : -EINVAL;
	if (S_ISCHR(mode) && caller_uid())
		return -EPERM;
	inode = inode_create((mode & S_IFMT) | (mode & 07777 & ~names_mask), NULL);
	if (inode)
		inode->device = S_ISCHR(mode) ? device : 0;
	return make(directory, path, inode);
}

long names_make_directory(int directory, const char *path, uint32_t mode)
{
	return make(directory, path, inode_create(S_IFDIR | (mode & 01777 & ~names_mask), NULL));
}

long names_make_symlink(const char *target, int directory, const char *path)
{
	size_t bytes = strnlen(target, PATH_BYTES_MAX);
	struct inode *inode;

	if (!bytes)
		return -ENOENT;
	if (bytes == PATH_BYTES_MAX)
		return -ENAMETOOLONG;
	inode = inode_create(S_IFLNK | 0777, NULL);
	if (inode) {
		inode->bytes = bytes;
		inode->target = kheap_alloc(bytes + 1);
		if (!inode->target) {
			inode->mode = S_IFIFO;
			inode_put(inode);
			return -ENOMEM;
		}
		memcpy(inode->target, target, bytes);
	}
	return make(directory, path, inode);
}

long names_bind(const char *path, uint32_t mode, struct unix_socket *socket)
{
	struct inode *inode = inode_create(S_IFSOCK | (mode & 0777 & ~names_mask), NULL);
	long result;

	if (!inode)
		return -ENOMEM;
	inode->socket = socket;
	result = make(AT_FDCWD, path, inode);
	return result == -EEXIST ? -EADDRINUSE : result;
}

long names_link(int from_directory, const char *from, int directory, const char *path,
		uint32_t walk_flags)
{
	struct inode *inode = NULL;
	struct walk w;
	long result = walk(from_directory, from, walk_flags, &w);

	if (result)
		return result;
	if (w.file && !w.file->inode)
		result = -EXDEV;
	else
		inode = w.file ? w.file->inode : w.entry->inode;
	if (inode && S_ISDIR(inode->mode))
		result = -EPERM;
	else if (inode && inode->ops)
		result = -EXDEV;
	if (!result)
		inode_get(inode);
	walk_end(&w);
	return result ? result : make(directory, path, inode);
}

long names_unlink(int directory, const char *path, int flags)
{
	struct walk w;
	struct entry *gone = NULL;
	long result = walk(directory, path, WALK_NAME, &w);
	int is_directory;

	if (result)
		return result;
	is_directory = w.entry && S_ISDIR(w.entry->inode->mode);
	if (!w.parent) {
		/* ".", ".." and "/" as rmdir(2) and unlink(2) see them. */
		result = !(flags & AT_REMOVEDIR) ? -EISDIR
			 : w.entry == tree_root	 ? -EBUSY
			 : w.name_bytes == 2	 ? -ENOTEMPTY
						 : -EINVAL;
	} else if (!w.entry) {
		result = -ENOENT;
	} else if (flags & AT_REMOVEDIR && !is_directory) {
		result = -ENOTDIR;
	} else if (!(flags & AT_REMOVEDIR) && (is_directory || w.wants_directory)) {
		result = is_directory ? -EISDIR : -ENOTDIR;
	} else {
		result = may_remove(w.entry);
	}
	if (!result && is_directory && (w.entry->inode->ops || w.entry->inode->directory.count))
		result = w.entry->inode->ops ? -EBUSY : -ENOTEMPTY;
	if (!result) {
		gone = w.entry;
		entry_unlink(gone);
	}
	walk_end(&w);
	if (gone)
		entry_put(gone);
	return result;
}

/* May `from` take the place of `to`? */
static long may_replace(const struct walk *from, const struct walk *to)
{
	int from_directory = S_ISDIR(from->entry->inode->mode);
	int to_directory = S_ISDIR(to->entry->inode->mode);
	long result = may_remove(to->entry);

	if (result)
		return result;
	if (from_directory != to_directory)
		return from_directory ? -ENOTDIR : -EISDIR;
	if (to->entry->inode->ops)
		return -EBUSY;
	return to_directory && to->entry->inode->directory.count ? -ENOTEMPTY : 0;
}

static long check_rename(const struct walk *from, const struct walk *to, int flags)
{
	long result;

	if (!from->parent || !to->parent || from->file || to->file)
		return -EBUSY;
	if (from->entry->inode->ops || to->parent->inode->ops)
		return -EXDEV;
	if ((from->wants_directory || to->wants_directory) && !S_ISDIR(from->entry->inode->mode))
		return -ENOTDIR;
	if (to->entry && flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (!to->entry && flags & RENAME_EXCHANGE)
		return -ENOENT;
	if (entry_is_removed(to->parent))
		return -ENOENT;
	if (entry_is_below(to->parent, from->entry))
		return -EINVAL;
	if (to->entry && entry_is_below(from->parent, to->entry))
		return flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
	result = may_remove(from->entry);
	if (!result)
		result = may_change(to->parent);
	if (!result && to->entry && !(flags & RENAME_EXCHANGE))
		result = may_replace(from, to);
	return result;
}

static char *copy_name(const char *name, uint32_t bytes)
{
	char *copy = kheap_alloc(bytes + 1);

	return copy ? memcpy(copy, name, bytes) : NULL;
}

/* Entries keep their identity: open files and working directories refer to them. */
static long do_rename(struct walk *from, struct walk *to, int flags, struct entry **gone)
{
	uint32_t there_bytes = to->name_bytes, back_bytes = from->name_bytes;
	char *there = copy_name(to->name, there_bytes), *back = copy_name(from->name, back_bytes);

	if (!there || !back || entry_reserve(to->parent)) {
		kheap_free(there, there_bytes + 1);
		kheap_free(back, back_bytes + 1);
		return -ENOMEM;
	}
	entry_unlink(from->entry);
	if (to->entry)
		entry_unlink(to->entry);
	if (to->entry && flags & RENAME_EXCHANGE) {
		back = entry_move(to->entry, from->parent, back, &back_bytes);
		entry_link(to->entry);
	} else {
		*gone = to->entry;
	}
	there = entry_move(from->entry, to->parent, there, &there_bytes);
	entry_link(from->entry);
	inode_touch_changed(from->entry->inode);
	kheap_free(there, there_bytes + 1);
	kheap_free(back, back_bytes + 1);
	return 0;
}

long names_rename(int from_directory, const char *from, int directory, const char *path, int flags)
{
	struct entry *gone = NULL;
	struct walk a, b;
	long result;

	if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE) ||
	    flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	result = walk(from_directory, from, WALK_NAME, &a);
	if (result)
		return result;
	walk_unlock(&a);
	result = walk(directory, path, WALK_CREATE | WALK_NAME, &b);
	if (result) {
		walk_end(&a);
		return result;
	}
	if (a.parent && a.entry && !a.entry->inode->ops &&
	    (!a.entry->is_linked || a.entry->parent != a.parent))
		result = -ENOENT; /* removed or moved while the lock was open */
	else
		result = check_rename(&a, &b, flags);
	if (!result && !(b.entry && a.entry->inode == b.entry->inode))
		result = do_rename(&a, &b, flags, &gone);
	walk_end(&b);
	walk_end(&a);
	if (gone)
		entry_put(gone);
	return result;
}
