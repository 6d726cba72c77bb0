/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* open(2): find or make the file, check the right, choose the kind. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "devices.h"
#include "directory.h"
#include "file.h"
#include "names_internal.h"
#include "pipe.h"
#include "regular.h"

#define KEPT_FLAGS                                                                                 \
	(O_ACCMODE | O_APPEND | O_NONBLOCK | O_DSYNC | O_SYNC | O_ASYNC | O_DIRECT | O_LARGEFILE | \
	 O_NOATIME | O_PATH | O_DIRECTORY)

static const struct file_ops path_ops = {.name = "path"};

static long check_type(const struct inode *inode, uint32_t flags, uint32_t wants_directory)
{
	uint32_t mode = inode->mode;

	if (S_ISLNK(mode) && !(flags & O_PATH))
		return -ELOOP;
	if ((flags & O_DIRECTORY || wants_directory) && !S_ISDIR(mode))
		return -ENOTDIR;
	if (flags & O_PATH)
		return 0;
	if (S_ISDIR(mode) && (flags & O_ACCMODE || flags & O_CREAT))
		return -EISDIR;
	return S_ISSOCK(mode) ? -ENXIO : 0;
}

static long check_right(const struct inode *inode, uint32_t flags)
{
	uint32_t wanted = (flags & O_ACCMODE) == O_RDONLY   ? 4
			  : (flags & O_ACCMODE) == O_WRONLY ? 2
							    : 6;

	if (flags & O_PATH)
		return 0;
	if (flags & O_TRUNC)
		wanted |= 2;
	return inode_permits(inode, wanted);
}

/* Make it what it is. May sleep (a named pipe waits for its other end). */
static long choose_kind(struct file *file)
{
	struct inode *inode = file->inode;
	uint32_t mode = inode->mode;

	if (file->flags & O_PATH) {
		file->ops = &path_ops;
		return 0;
	}
	if (inode->ops && inode->ops->open)
		return inode->ops->open(inode, file);
	if (S_ISDIR(mode))
		file->ops = &directory_ops;
	else if (S_ISCHR(mode))
		return device_open(file);
	else if (S_ISFIFO(mode))
		return pipe_open_named(file);
	else
		file->ops = &regular_ops;
	return 0;
}

/* Takes over the references to the entry and the inode. */
static long open_found(struct entry *entry, struct inode *inode, uint32_t flags, struct file **out)
{
	struct file *file = file_create(&path_ops, NULL, flags & KEPT_FLAGS);
	long result = 0;

	if (!file) {
		if (entry)
			entry_put(entry);
		inode_put(inode);
		return -ENOMEM;
	}
	file->entry = entry;
	file->inode = inode;
	result = choose_kind(file);
	if (!result && flags & O_TRUNC && S_ISREG(inode->mode) && !inode->ops && !(flags & O_PATH))
		result = inode_truncate(inode, 0);
	if (result)
		file_put(file);
	else
		*out = file;
	return result;
}

long names_open_inode(struct inode *inode, uint32_t flags, struct file **out)
{
	return open_found(NULL, inode, flags, out);
}

/* The tree is locked. Sets w->entry. */
static long create(struct walk *w, uint32_t mode)
{
	struct inode *inode;

	if (w->wants_directory)
		return -EISDIR;
	inode = inode_create(S_IFREG | (mode & 07777 & ~names_mask), NULL);
	return inode ? names_add(w, inode, &w->entry) : -ENOMEM;
}

static long open_unnamed(int directory, const char *path, uint32_t flags, uint32_t mode,
			 struct file **out)
{
	struct inode *inode;
	struct walk w;
	long result;

	if ((flags & O_ACCMODE) == O_RDONLY)
		return -EINVAL;
	result = walk(directory, path, WALK_FOLLOW, &w);
	if (result)
		return result;
	if (!w.entry || !S_ISDIR(w.entry->inode->mode))
		result = -ENOTDIR;
	else if (w.entry->inode->ops)
		result = -EOPNOTSUPP;
	else
		result = inode_permits(w.entry->inode, 3);
	walk_end(&w);
	if (result)
		return result;
	inode = inode_create(S_IFREG | (mode & 07777 & ~names_mask), NULL);
	return inode ? names_open_inode(inode, flags & ~(uint32_t)O_DIRECTORY, out) : -ENOMEM;
}

long names_open(int directory, const char *path, uint32_t flags, uint32_t mode, struct file **out)
{
	uint32_t how = flags & O_NOFOLLOW || (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL)
			       ? 0
			       : WALK_FOLLOW;
	struct entry *entry = NULL;
	int is_new = 0;
	struct walk w;
	long result;

	if ((flags & O_TMPFILE) == O_TMPFILE)
		return open_unnamed(directory, path, flags, mode, out);
	result = walk(directory, path, how | (flags & O_CREAT ? WALK_CREATE : 0), &w);
	if (result)
		return result;
	if (w.file) { /* /proc/self/fd/N of a pipe or the like: the same open file again */
		*out = file_get(w.file);
		walk_end(&w);
		return 0;
	}
	if (!w.entry) {
		result = create(&w, mode);
		is_new = 1;
	} else if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL)) {
		result = -EEXIST;
	}
	if (!result)
		result = check_type(w.entry->inode, flags, w.wants_directory);
	if (!result && !is_new)
		result = check_right(w.entry->inode, flags);
	if (!result) {
		entry = entry_get(w.entry);
		inode_get(entry->inode);
	}
	walk_end(&w);
	return result ? result : open_found(entry, entry->inode, flags, out);
}
