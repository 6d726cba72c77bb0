/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* System calls that change or walk the tree of names. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "../fs/directory.h"
#include "../fs/fd.h"
#include "../fs/names.h"
#include "../fs/walk.h"
#include "../mm/heap.h"
#include "sys.h"

long sys_openat(int directory, const char *path, int flags, uint32_t mode)
{
	struct file *file;
	long result = names_open(directory, path, (uint32_t)flags, mode, &file);

	return result ? result : fd_install(file, 0, flags & O_CLOEXEC);
}

long sys_open(const char *path, int flags, uint32_t mode)
{
	return sys_openat(AT_FDCWD, path, flags, mode);
}

long sys_creat(const char *path, uint32_t mode)
{
	return sys_openat(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

long sys_mkdirat(int directory, const char *path, uint32_t mode)
{
	return names_make_directory(directory, path, mode);
}

long sys_mkdir(const char *path, uint32_t mode)
{
	return names_make_directory(AT_FDCWD, path, mode);
}

long sys_mknodat(int directory, const char *path, uint32_t mode, uint32_t device)
{
	return names_make_node(directory, path, mode, device);
}

long sys_mknod(const char *path, uint32_t mode, uint32_t device)
{
	return names_make_node(AT_FDCWD, path, mode, device);
}

long sys_symlinkat(const char *target, int directory, const char *path)
{
	return names_make_symlink(target, directory, path);
}

long sys_symlink(const char *target, const char *path)
{
	return names_make_symlink(target, AT_FDCWD, path);
}

long sys_linkat(int from_directory, const char *from, int directory, const char *path, int flags)
{
	uint32_t how = (flags & AT_SYMLINK_FOLLOW ? WALK_FOLLOW : 0) |
		       (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0);

	if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	return names_link(from_directory, from, directory, path, how);
}

long sys_link(const char *from, const char *path)
{
	return names_link(AT_FDCWD, from, AT_FDCWD, path, 0);
}

long sys_unlinkat(int directory, const char *path, int flags)
{
	return flags & ~AT_REMOVEDIR ? -EINVAL : names_unlink(directory, path, flags);
}

long sys_unlink(const char *path)
{
	return names_unlink(AT_FDCWD, path, 0);
}

long sys_rmdir(const char *path)
{
	return names_unlink(AT_FDCWD, path, AT_REMOVEDIR);
}

long sys_renameat2(int from_directory, const char *from, int directory, const char *path,
		   unsigned int flags)
{
	return names_rename(from_directory, from, directory, path, (int)flags);
}

long sys_renameat(int from_directory, const char *from, int directory, const char *path)
{
	return names_rename(from_directory, from, directory, path, 0);
}

long sys_rename(const char *from, const char *path)
{
	return names_rename(AT_FDCWD, from, AT_FDCWD, path, 0);
}

long sys_readlinkat(int directory, const char *path, char *to, size_t room)
{
	struct inode *inode = NULL;
	struct walk w;
	long bytes = walk(directory, path, WALK_EMPTY, &w);
	char *text;

	if (bytes)
		return bytes;
	if (w.entry && S_ISLNK(w.entry->inode->mode))
		inode = inode_get(w.entry->inode);
	walk_end(&w);
	if (!inode)
		return -EINVAL;
	text = inode->ops ? kheap_page(0) : inode->target;
	if (!room)
		bytes = -EINVAL;
	else if (!text)
		bytes = -ENOMEM;
	else
		bytes = inode->ops ? inode->ops->read_link(inode, text, PATH_BYTES_MAX)
				   : (long)inode->bytes;
	if (bytes > (long)room)
		bytes = (long)room;
	if (bytes > 0)
		memcpy(to, text, (size_t)bytes);
	if (inode->ops)
		kheap_page_free(text);
	inode_put(inode);
	return bytes;
}

long sys_readlink(const char *path, char *to, size_t room)
{
	return sys_readlinkat(AT_FDCWD, path, to, room);
}

/* The tree is locked, and the walk is at a directory to be: go there. */
static long go(struct walk *w)
{
	struct entry *entry = w->entry;
	long result =
		!entry || !S_ISDIR(entry->inode->mode) ? -ENOTDIR : inode_permits(entry->inode, 1);

	if (!result)
		entry_get(entry);
	walk_end(w);
	if (!result)
		walk_set_directory(entry);
	return result;
}

long sys_chdir(const char *path)
{
	struct walk w;
	long result = walk(AT_FDCWD, path, WALK_FOLLOW, &w);

	return result ? result : go(&w);
}

long sys_fchdir(int fd)
{
	struct walk w;
	long result = walk(fd, "", WALK_EMPTY, &w);

	return result ? result : go(&w);
}

long sys_getcwd(char *to, size_t room)
{
	struct entry *entry = walk_directory();
	long bytes = entry_is_removed(entry) ? -ENOENT : entry_path(entry, to, room);

	entry_put(entry);
	return bytes < 0 ? bytes : bytes + 1;
}

long sys_umask(uint32_t mask)
{
	return __atomic_exchange_n(&names_mask, mask & 0777, __ATOMIC_RELAXED);
}

long sys_getdents64(int fd, void *to, size_t room)
{
	struct file *file = fd_get(fd);
	long result;

	if (!file)
		return -EBADF;
	result = directory_list(file, to, room);
	file_put(file);
	return result;
}
