/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * The tree of /proc, made up while it is looked at. Files come from the table of proc_text.c, whose
 * paths also say which directories there are. /proc/self is a link to the process 1; its directory
 * holds links to what is open, too.
 *
 * An inode's value is what it is: a kind, and an index.
 */
#include "procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "../kernel/kernel.h"
#include "../mm/heap.h"
#include "directory.h"
#include "fd.h"
#include "walk.h"

enum kind { DIRECTORY, PROC_FILE, SELF, MOUNTS, EXE, CWD, ROOT, FD_DIRECTORY, FD_LINK };

#define FILESYSTEM  2
#define VALUE(k, i) ((uint64_t)(k) << 32 | (uint64_t)(uint32_t)(i))

static const struct inode_ops proc_ops;

/* Where a directory is among the paths of files: its prefix in the file of that index. */
struct place {
	const char *prefix; /* of some file's path; not terminated */
	uint32_t bytes;
};

static enum kind kind_of(const struct inode *inode)
{
	return (enum kind)(inode->value >> 32);
}

static uint32_t index_of(const struct inode *inode)
{
	return (uint32_t)inode->value;
}

/* A directory's index: the number of a file below it, and how long the prefix is. */
static struct place place_of(const struct inode *directory)
{
	uint32_t index = index_of(directory);

	return (struct place){proc_files[index & 0xffff].path, index >> 16};
}

static const struct {
	const char *name;
	enum kind kind;
	uint32_t mode;
	const char *where; /* the directory's prefix */
} extras[] = {
	{"self", SELF, S_IFLNK | 0777, ""},   {"mounts", MOUNTS, S_IFLNK | 0777, ""},
	{"exe", EXE, S_IFLNK | 0777, "1/"},   {"cwd", CWD, S_IFLNK | 0777, "1/"},
	{"root", ROOT, S_IFLNK | 0777, "1/"}, {"fd", FD_DIRECTORY, S_IFDIR | 0500, "1/"},
};
#define EXTRAS (sizeof(extras) / sizeof(extras[0]))

static struct inode *make_inode(enum kind kind, uint32_t index, uint32_t mode)
{
	struct inode *inode = inode_create(mode, &proc_ops);

	if (!inode)
		return NULL;
	inode->value = VALUE(kind, index);
	inode->number = 1000 + ((uint64_t)kind << 24) + (index & 0xffffff);
	inode->links = S_ISDIR(mode) ? 2 : 1;
	inode->uid = inode->gid = 0;
	inode->filesystem = FILESYSTEM;
	return inode;
}

static long make_entry(struct entry *directory, const char *name, uint32_t bytes,
		       struct inode *inode, struct entry **out)
{
	if (!inode)
		return -ENOMEM;
	*out = entry_create(directory, name, bytes, inode);
	if (*out)
		return 0;
	inode_put(inode);
	return -ENOMEM;
}

static int in_place(const struct place *place, const char *path)
{
	return !memcmp(path, place->prefix, place->bytes);
}

static long lookup_below(struct entry *directory, const char *name, uint32_t bytes,
			 struct entry **out)
{
	struct place place = place_of(directory->inode);

	for (uint32_t i = 0; i < EXTRAS; i++)
		if (strlen(extras[i].where) == place.bytes && in_place(&place, extras[i].where) &&
		    strlen(extras[i].name) == bytes && !memcmp(extras[i].name, name, bytes))
			return make_entry(directory, name, bytes,
					  make_inode(extras[i].kind, 0, extras[i].mode), out);
	for (uint32_t i = 0; i < proc_file_count; i++) {
		const char *path = proc_files[i].path, *rest = path + place.bytes;

		if (strlen(path) < place.bytes + bytes || !in_place(&place, path) ||
		    memcmp(rest, name, bytes))
			continue;
		if (rest[bytes] == '/')
			return make_entry(directory, name, bytes,
					  make_inode(DIRECTORY, i | (place.bytes + bytes + 1) << 16,
						     S_IFDIR | 0555),
					  out);
		if (!rest[bytes])
			return make_entry(directory, name, bytes,
					  make_inode(PROC_FILE, i, S_IFREG | 0444), out);
	}
	return -ENOENT;
}

static long number_in(const char *name, uint32_t bytes)
{
	long value = 0;

	if (!bytes || bytes > 6)
		return -1;
	for (uint32_t i = 0; i < bytes; i++) {
		if (name[i] < '0' || name[i] > '9')
			return -1;
		value = value * 10 + name[i] - '0';
	}
	return value;
}

static uint32_t fd_mode(int fd)
{
	uint32_t access = (uint32_t)fd_flags(fd) & O_ACCMODE;

	return S_IFLNK | (access == O_RDONLY ? 0500 : access == O_WRONLY ? 0300 : 0700);
}

static long proc_lookup(struct entry *directory, const char *name, uint32_t bytes,
			struct entry **out)
{
	long fd;

	if (kind_of(directory->inode) == DIRECTORY)
		return lookup_below(directory, name, bytes, out);
	fd = number_in(name, bytes);
	if (kind_of(directory->inode) != FD_DIRECTORY || fd < 0 || fd_cloexec((int)fd) < 0)
		return -ENOENT;
	return make_entry(directory, name, bytes,
			  make_inode(FD_LINK, (uint32_t)fd, fd_mode((int)fd)), out);
}

/* The next name of the table in this directory: files, and each subdirectory once. */
static long list_below(struct inode *directory, uint64_t position, char name[32], uint32_t *type)
{
	struct place place = place_of(directory);
	uint64_t at = 0;

	for (uint32_t i = 0; i < EXTRAS; i++)
		if (strlen(extras[i].where) == place.bytes && in_place(&place, extras[i].where) &&
		    at++ == position) {
			memcpy(name, extras[i].name, strlen(extras[i].name) + 1);
			*type = extras[i].mode;
			return 1;
		}
	for (uint32_t i = 0; i < proc_file_count; i++) {
		const char *rest = proc_files[i].path + place.bytes, *before;
		uint32_t n = 0;

		if (strlen(proc_files[i].path) <= place.bytes ||
		    !in_place(&place, proc_files[i].path))
			continue;
		while (rest[n] && rest[n] != '/')
			n++;
		before = i ? proc_files[i - 1].path : "";
		if (rest[n] == '/' && strlen(before) > place.bytes + n &&
		    !memcmp(before, proc_files[i].path, place.bytes + n + 1))
			continue; /* the directory was listed with the file before */
		if (at++ == position) {
			memcpy(name, rest, n);
			name[n] = 0;
			*type = rest[n] ? S_IFDIR : S_IFREG;
			return 1;
		}
	}
	return 0;
}

static long proc_list(struct inode *directory, uint64_t position, char name[32], uint32_t *type,
		      uint64_t *number)
{
	struct text text = {.data = name, .room = 32};
	int fd = -1;

	*number = 1000 + position;
	if (kind_of(directory) == DIRECTORY)
		return list_below(directory, position, name, type);
	for (uint64_t i = 0; i <= position; i++) {
		fd = fd_next(fd + 1);
		if (fd < 0)
			return 0;
	}
	text_print(&text, "%d", fd);
	name[text.bytes] = 0;
	*type = S_IFLNK;
	return 1;
}

static long proc_open(struct inode *inode, struct file *file)
{
	struct text *text;

	if (S_ISDIR(inode->mode)) {
		file->ops = &directory_ops;
		return 0;
	}
	if ((file->flags & O_ACCMODE) != O_RDONLY)
		return -EACCES;
	text = kheap_alloc(sizeof(*text));
	if (!text)
		return -ENOMEM;
	proc_files[index_of(inode)].write(text);
	file->ops = &text_ops;
	file->object = text;
	return 0;
}

static long path_of(struct entry *entry, char *to, size_t bytes)
{
	long n = entry_path(entry, to, bytes);

	if (n >= 0 && entry_is_removed(entry) && (size_t)n + 11 <= bytes) {
		memcpy(to + n, " (deleted)", 11);
		n += 10;
	}
	return n;
}

static long read_fd_link(int fd, char *to, size_t bytes)
{
	struct file *file = fd_get(fd);
	struct text text = {.data = to, .room = bytes};
	long result;

	if (!file)
		return -ENOENT;
	if (file->entry) {
		result = path_of(file->entry, to, bytes);
	} else {
		if (file->inode)
			text_print(&text, "/#%lu (deleted)", file->inode->number);
		else if (file->ops->name[0] == 'a' || file->ops->name[0] == '/')
			text_print(&text, "%s", file->ops->name);
		else
			text_print(&text, "%s:[%lu]", file->ops->name, (uint64_t)file->object >> 4);
		result = (long)text.bytes;
	}
	file_put(file);
	return result;
}

static long proc_read_link(struct inode *inode, char *to, size_t bytes)
{
	struct text text = {.data = to, .room = bytes};
	struct entry *entry;
	long result;

	switch (kind_of(inode)) {
	case SELF:
		text_add(&text, "1", 1);
		return 1;
	case MOUNTS:
		text_print(&text, "self/mounts");
		return (long)text.bytes;
	case EXE:
		text_print(&text, "%s%s", program.argv[0][0] == '/' ? "" : "/", program.argv[0]);
		return (long)text.bytes;
	case ROOT:
		text_add(&text, "/", 1);
		return 1;
	case CWD:
		entry = walk_directory();
		result = path_of(entry, to, bytes);
		entry_put(entry);
		return result;
	default:
		return read_fd_link((int)index_of(inode), to, bytes);
	}
}

static long proc_follow(struct inode *inode, struct entry **entry, struct file **file)
{
	switch (kind_of(inode)) {
	case CWD:
		*entry = walk_directory_locked();
		return 0;
	case FD_LINK:
		*file = fd_get((int)index_of(inode));
		return *file ? 0 : -ENOENT;
	default:
		return -EAGAIN; /* by its text */
	}
}

static const struct inode_ops proc_ops = {
	.lookup = proc_lookup,
	.list = proc_list,
	.open = proc_open,
	.read_link = proc_read_link,
	.follow = proc_follow,
};

long procfs_mount(void)
{
	struct inode *inode = make_inode(DIRECTORY, 0, S_IFDIR | 0555);
	struct entry *entry = NULL, *old = NULL;
	uint32_t before = tree_lock();
	long result = inode ? entry_reserve(tree_root) : -ENOMEM;

	if (!result)
		result = make_entry(tree_root, "proc", 4, inode, &entry);
	if (!result) {
		if (!entry_find(tree_root, "proc", 4, &old))
			entry_unlink(old);
		entry_link(entry);
	}
	tree_unlock(before);
	if (old) { /* the one just found, and the tree's */
		entry_put(old);
		entry_put(old);
	}
	return result;
}
