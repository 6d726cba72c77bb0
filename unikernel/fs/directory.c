/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Listing directories. Position 0 is ".", 1 is "..", and position P the first entry whose cookie is
 * at least P - 1; cookies only grow, so an entry that stays is listed once whatever comes and goes.
 */
#include "directory.h"

#include <errno.h>
#include <string.h>

#include "tree.h"

struct record {
	uint64_t number;
	int64_t next;
	uint16_t bytes;
	uint8_t type;
	char name[];
} __attribute__((packed));

#define HEAD_BYTES 19

struct listing {
	char *to;
	size_t bytes, used;
	int64_t position;
};

/* 0 if there is no room. */
static int emit(struct listing *l, const char *name, size_t name_bytes, const struct inode *inode,
		int64_t next)
{
	size_t bytes = (HEAD_BYTES + name_bytes + 1 + 7) & ~7ul;
	struct record *r = (struct record *)(l->to + l->used);

	if (bytes > l->bytes - l->used)
		return 0;
	r->number = inode->number;
	r->next = next;
	r->bytes = (uint16_t)bytes;
	r->type = (uint8_t)(inode->mode >> 12);
	memcpy(r->name, name, name_bytes);
	memset(r->name + name_bytes, 0, bytes - HEAD_BYTES - name_bytes);
	l->used += bytes;
	l->position = next;
	return 1;
}

static int list_made_up(struct listing *l, struct inode *inode)
{
	struct inode shown = {.refs = 1};
	char name[32];

	for (;;) {
		uint32_t type;
		long more = inode->ops->list(inode, (uint64_t)l->position - 2, name, &type,
					     &shown.number);

		if (more <= 0)
			return 1;
		shown.mode = type;
		if (!emit(l, name, strlen(name), &shown, l->position + 1))
			return 0;
	}
}

static int list_entries(struct listing *l, struct inode *inode)
{
	for (struct entry *e = inode->directory.first; e; e = e->next) {
		int64_t position = (int64_t)e->cookie + 1;

		if (position >= l->position &&
		    !emit(l, e->name, e->name_bytes, e->inode, position + 1))
			return 0;
	}
	return 1;
}

long directory_list(struct file *file, void *to, size_t bytes)
{
	struct listing l = {.to = to, .bytes = bytes};
	int is_complete = 1;
	uint32_t before;

	if (file->ops != &directory_ops)
		return -ENOTDIR;
	mutex_lock(&file->position_lock);
	l.position = file->position;
	before = tree_lock();
	if (l.position == 0)
		is_complete = emit(&l, ".", 1, file->inode, 1);
	if (is_complete && l.position == 1)
		is_complete = emit(&l, "..", 2, file->entry->parent->inode, 2);
	if (is_complete &&
	    (file->inode->ops ? list_made_up(&l, file->inode) : list_entries(&l, file->inode)))
		is_complete = 1;
	else
		is_complete = 0;
	tree_unlock(before);
	file->position = l.position;
	mutex_unlock(&file->position_lock);
	inode_touch_accessed(file->inode);
	return !is_complete && !l.used ? -EINVAL : (long)l.used;
}

static long directory_read(struct file *file, struct iov *iov, int64_t *position)
{
	(void)file;
	(void)iov;
	(void)position;
	return -EISDIR;
}

const struct file_ops directory_ops = {
	.name = "directory",
	.is_seekable = 1,
	.read = directory_read,
};
