/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Paths: see walk.h. */
#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "../mm/heap.h"
#include "fd.h"

#define LINKS_MAX 40

static struct entry *working; /* NULL: the root; under the tree lock */

struct entry *walk_directory_locked(void)
{
	return entry_get(working ? working : tree_root);
}

struct entry *walk_directory(void)
{
	uint32_t before = tree_lock();
	struct entry *entry = walk_directory_locked();

	tree_unlock(before);
	return entry;
}

void walk_set_directory(struct entry *entry)
{
	uint32_t before = tree_lock();
	struct entry *old = working;

	working = entry;
	tree_unlock(before);
	if (old)
		entry_put(old);
}

/* Where a path begins, as w->at or w->file. */
static long begin(struct walk *w, int directory, const char *path, uint32_t flags)
{
	struct file *file;

	if (*path == '/') {
		w->at = entry_get(tree_root);
		return 0;
	}
	if (directory == AT_FDCWD) {
		w->at = walk_directory();
		return 0;
	}
	file = fd_get(directory);
	if (!file)
		return -EBADF;
	if (file->entry) {
		w->at = entry_get(file->entry);
		file_put(file);
		return 0;
	}
	if (*path || !(flags & WALK_EMPTY)) {
		file_put(file);
		return -ENOTDIR;
	}
	w->file = file;
	return 0;
}

/* Puts of what the walk leaves behind: never the last one of something large, so short. */
static void step(struct walk *w, struct entry *next)
{
	struct entry *old = w->at;

	w->at = next;
	entry_put(old);
}

/* The path becomes the link's text and the rest, which came behind its name. */
static long expand(struct walk *w, struct inode *inode, const char *rest, const char **path)
{
	char *page = w->spare ? w->spare : kheap_page(0);
	long bytes = (long)inode->bytes, left = (long)strlen(rest);

	if (!page)
		return -ENOMEM;
	w->spare = page;
	if (inode->ops)
		bytes = inode->ops->read_link(inode, page, PATH_BYTES_MAX - 1);
	else if (bytes < PATH_BYTES_MAX)
		memcpy(page, inode->target, (size_t)bytes);
	if (bytes <= 0)
		return bytes ? bytes : -ENOENT;
	if (bytes + left + 1 > PATH_BYTES_MAX)
		return -ENAMETOOLONG;
	memcpy(page + bytes, rest, (size_t)left + 1);
	w->spare = w->buffer;
	w->buffer = page;
	if (*page == '/')
		step(w, entry_get(tree_root));
	for (*path = page; **path == '/'; ++*path)
		;
	return 0;
}

/*
 * Follow a link that leads to something open. 0: w->at is it; 1: w->file is, and that is the end;
 * -EAGAIN: it is not of that kind.
 */
static long jump(struct walk *w, struct inode *inode, int is_last)
{
	struct entry *entry = NULL;
	struct file *file = NULL;
	long result = !inode->ops || !inode->ops->follow ? -EAGAIN
		      : w->held				 ? -ELOOP
							 : inode->ops->follow(inode, &entry, &file);

	if (result)
		return result;
	if (entry) {
		step(w, entry);
		return 0;
	}
	w->held = file; /* its last reference must not go away under the lock */
	if (file->entry) {
		step(w, entry_get(file->entry));
		return 0;
	}
	if (!is_last)
		return -ENOTDIR;
	w->file = file_get(file);
	return 1;
}

static int follows(uint32_t flags, int is_last, int has_slash)
{
	return !is_last || flags & WALK_FOLLOW || (has_slash && !(flags & WALK_NAME));
}

/* One name. 0: go on; 1: the end; else failed. */
static long next_name(struct walk *w, const char **path, uint32_t flags, uint32_t *links)
{
	const char *name = *path, *end = name, *rest;
	struct entry *entry;
	int is_last;
	long result;

	while (*end && *end != '/')
		end++;
	for (rest = end; *rest == '/'; rest++)
		;
	is_last = !*rest;
	w->wants_directory = is_last && rest > end;
	*path = rest;
	if (!S_ISDIR(w->at->inode->mode))
		return -ENOTDIR;
	if (inode_permits(w->at->inode, 1))
		return -EACCES;
	w->name = name;
	w->name_bytes = (uint32_t)(end - name);
	if (end - name == 1 && name[0] == '.')
		return is_last;
	if (end - name == 2 && name[0] == '.' && name[1] == '.') {
		step(w, entry_get(w->at->parent));
		return is_last;
	}
	if (end - name > NAME_BYTES_MAX)
		return -ENAMETOOLONG;
	result = entry_find(w->at, name, (uint32_t)(end - name), &entry);
	if (result == -ENOENT && is_last && flags & WALK_CREATE) {
		w->parent = entry_get(w->at);
		return 1;
	}
	if (result)
		return result;
	if (S_ISLNK(entry->inode->mode) && follows(flags, is_last, rest > end)) {
		if (++*links > LINKS_MAX)
			result = -ELOOP;
		else
			result = jump(w, entry->inode, is_last);
		if (result == -EAGAIN)
			result = expand(w, entry->inode, end, path);
		entry_put(entry);
		return result ? result : !**path;
	}
	if (is_last) {
		w->parent = entry_get(w->at);
		w->entry = entry;
		return 1;
	}
	step(w, entry);
	return 0;
}

long walk(int directory, const char *path, uint32_t flags, struct walk *out)
{
	size_t bytes = strnlen(path, PATH_BYTES_MAX);
	uint32_t links = 0;
	long result;

	*out = (struct walk){.name = path};
	if (bytes == PATH_BYTES_MAX)
		return -ENAMETOOLONG;
	if (!bytes && !(flags & WALK_EMPTY))
		return -ENOENT;
	result = begin(out, directory, path, flags);
	if (result)
		return result;
	out->before = tree_lock();
	out->is_locked = 1;
	while (*path == '/')
		path++;
	result = !*path;
	while (!result)
		result = next_name(out, &path, flags, &links);
	if (result < 0) {
		walk_end(out);
		return result;
	}
	if (!out->parent && !out->file)
		out->entry = entry_get(out->at);
	return 0;
}

void walk_unlock(struct walk *walk)
{
	if (walk->is_locked)
		tree_unlock(walk->before);
	walk->is_locked = 0;
}

void walk_end(struct walk *walk)
{
	walk_unlock(walk);
	if (walk->entry)
		entry_put(walk->entry);
	if (walk->parent)
		entry_put(walk->parent);
	if (walk->at)
		entry_put(walk->at);
	if (walk->file)
		file_put(walk->file);
	if (walk->held)
		file_put(walk->held);
	kheap_page_free(walk->buffer);
	kheap_page_free(walk->spare);
}
