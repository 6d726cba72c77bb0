/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* The tree of names: see tree.h. */
#include "tree.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "../arch/x86_64/cpu.h"
#include "../mm/heap.h"

#define BUCKETS_FIRST 8
#define BUCKETS_MAX   8192

static uint32_t lock;
struct entry *tree_root;

uint32_t tree_lock(void)
{
	return spin_lock(&lock);
}

void tree_unlock(uint32_t before)
{
	spin_unlock(&lock, before);
}

struct entry *entry_get(struct entry *entry)
{
	__atomic_fetch_add(&entry->refs, 1, __ATOMIC_RELAXED);
	return entry;
}

void entry_put(struct entry *entry)
{
	while (!__atomic_sub_fetch(&entry->refs, 1, __ATOMIC_ACQ_REL)) {
		struct entry *parent = entry->parent;

		if (S_ISDIR(entry->inode->mode) && !entry->inode->ops &&
		    entry->inode->directory.self == entry)
			entry->inode->directory.self = NULL;
		inode_put(entry->inode);
		kheap_free(entry->name, entry->name_bytes + 1);
		kheap_free(entry, sizeof(*entry));
		entry = parent;
	}
}

struct entry *entry_create(struct entry *parent, const char *name, uint32_t bytes,
			   struct inode *inode)
{
	struct entry *entry = kheap_alloc(sizeof(*entry));

	if (!entry)
		return NULL;
	entry->name = kheap_alloc(bytes + 1);
	if (!entry->name) {
		kheap_free(entry, sizeof(*entry));
		return NULL;
	}
	entry->refs = 1;
	entry->inode = inode;
	entry->parent = parent ? entry_get(parent) : entry;
	entry->name_bytes = bytes;
	memcpy(entry->name, name, bytes);
	return entry;
}

static uint32_t hash_of(const char *name, uint32_t bytes)
{
	uint32_t hash = 2166136261u;

	for (uint32_t i = 0; i < bytes; i++)
		hash = (hash ^ (uint8_t)name[i]) * 16777619u;
	return hash ^ hash >> 15;
}

long entry_find(struct entry *directory, const char *name, uint32_t bytes, struct entry **out)
{
	const struct directory *d = &directory->inode->directory;
	uint32_t hash;
	struct entry *e;

	if (directory->inode->ops)
		return directory->inode->ops->lookup(directory, name, bytes, out);
	if (!d->bucket_count)
		return -ENOENT;
	hash = hash_of(name, bytes);
	for (e = d->buckets[hash & (d->bucket_count - 1)]; e; e = e->hash_next)
		if (e->hash == hash && e->name_bytes == bytes && !memcmp(e->name, name, bytes)) {
			*out = entry_get(e);
			return 0;
		}
	return -ENOENT;
}

static long grow(struct directory *d)
{
	uint32_t count = d->bucket_count ? d->bucket_count * 2 : BUCKETS_FIRST;
	struct entry **buckets = kheap_alloc(count * sizeof(*buckets)), *e;

	if (!buckets)
		return d->bucket_count ? 0 : -ENOMEM;
	for (e = d->first; e; e = e->next) {
		struct entry **at = &buckets[e->hash & (count - 1)];

		e->hash_next = *at;
		*at = e;
	}
	kheap_free(d->buckets, d->bucket_count * sizeof(*buckets));
	d->buckets = buckets;
	d->bucket_count = count;
	return 0;
}

long entry_reserve(struct entry *directory)
{
	struct directory *d = &directory->inode->directory;

	return d->count >= d->bucket_count && d->bucket_count < BUCKETS_MAX ? grow(d) : 0;
}

void entry_link(struct entry *entry)
{
	struct directory *d = &entry->parent->inode->directory;
	struct entry **at;

	entry->hash = hash_of(entry->name, entry->name_bytes);
	at = &d->buckets[entry->hash & (d->bucket_count - 1)];
	entry->hash_next = *at;
	*at = entry;
	entry->cookie = ++d->next_cookie;
	entry->prev = d->last;
	entry->next = NULL;
	if (d->last)
		d->last->next = entry;
	else
		d->first = entry;
	d->last = entry;
	d->count++;
	entry->is_linked = 1;
	entry->inode->links++;
	if (S_ISDIR(entry->inode->mode) && !entry->inode->ops) {
		entry->inode->directory.self = entry;
		entry->inode->links++;
		entry->parent->inode->links++;
	}
	inode_touch_modified(entry->parent->inode);
}

char *entry_move(struct entry *entry, struct entry *parent, char *name, uint32_t *bytes)
{
	struct entry *old_parent = entry->parent;
	uint32_t new_bytes = *bytes;
	char *old = entry->name;

	*bytes = entry->name_bytes;
	entry->name = name;
	entry->name_bytes = new_bytes;
	entry->parent = entry_get(parent);
	entry_put(old_parent);
	return old;
}

void entry_unlink(struct entry *entry)
{
	struct directory *d = &entry->parent->inode->directory;
	struct entry **at = &d->buckets[entry->hash & (d->bucket_count - 1)];

	while (*at != entry)
		at = &(*at)->hash_next;
	*at = entry->hash_next;
	if (entry->prev)
		entry->prev->next = entry->next;
	else
		d->first = entry->next;
	if (entry->next)
		entry->next->prev = entry->prev;
	else
		d->last = entry->prev;
	d->count--;
	entry->is_linked = 0;
	entry->inode->links--;
	if (S_ISDIR(entry->inode->mode) && !entry->inode->ops) {
		entry->inode->links--;
		entry->parent->inode->links--;
	}
	inode_touch_changed(entry->inode);
	inode_touch_modified(entry->parent->inode);
}

int entry_is_below(const struct entry *below, const struct entry *above)
{
	while (below != above && below->parent != below)
		below = below->parent;
	return below == above;
}

int entry_is_removed(const struct entry *entry)
{
	for (; entry->parent != entry; entry = entry->parent)
		if (!entry->is_linked && !entry->inode->ops)
			return 1;
	return 0;
}

long entry_path(struct entry *entry, char *to, size_t bytes)
{
	uint32_t before = tree_lock();
	const struct entry *e;
	size_t length = 0;

	for (e = entry; e->parent != e; e = e->parent)
		length += e->name_bytes + 1;
	if (!length)
		length = 1;
	if (length + 1 > bytes) {
		tree_unlock(before);
		return -ERANGE;
	}
	to[0] = '/';
	to[length] = 0;
	to += length;
	for (e = entry; e->parent != e; e = e->parent) {
		to -= e->name_bytes;
		memcpy(to, e->name, e->name_bytes);
		*--to = '/';
	}
	tree_unlock(before);
	return (long)length;
}
