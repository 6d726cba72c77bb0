/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * What a name in the tree stands for: a file with its data, a directory with its entries, a
 * symbolic link, a device, a pipe or a socket. Lives while a name, an open file or a mapping refers
 * to it.
 */
#ifndef SKETE_UK_INODE_H
#define SKETE_UK_INODE_H

#include <stdint.h>

#include "../kernel/wait.h"
#include "pages.h"

struct entry;
struct file;
struct file_lock;
struct inode;
struct pipe;
struct stat;
struct unix_socket;

/* The entries of a directory, in the order of their coming and hashed by name. Tree lock. */
struct directory {
	struct entry *self; /* its own name; not a reference */
	struct entry **buckets;
	struct entry *first, *last;
	uint64_t next_cookie;
	uint32_t bucket_count, count;
};

/* What the inodes of a made-up part of the tree (procfs.c) do themselves. Each may be NULL. */
struct inode_ops {
	/* Set *out to a new entry, or fail. Tree lock held. */
	long (*lookup)(struct entry *directory, const char *name, uint32_t bytes,
		       struct entry **out);
	/* The name, type and number at a position of the listing; 0 behind the last. */
	long (*list)(struct inode *directory, uint64_t position, char name[32], uint32_t *type,
		     uint64_t *number);
	/* Set the kind of a file that is being opened. */
	long (*open)(struct inode *inode, struct file *file);
	/* The text of a symbolic link. Tree lock not held, but for links that follow() refuses. */
	long (*read_link)(struct inode *inode, char *to, size_t bytes);
	/* A link that leads to an entry or an open file rather than a name: sets one of them, with
	 * a reference. -EAGAIN: by its text. Tree lock held. */
	long (*follow)(struct inode *inode, struct entry **entry, struct file **file);
};

struct inode {
	uint32_t refs;
	uint32_t mode;
	const struct inode_ops *ops; /* NULL: the RAM file system */
	uint64_t number;
	uint32_t links; /* under the tree lock */
	uint32_t uid, gid;
	uint32_t device; /* of a device node */
	uint32_t filesystem;
	uint64_t accessed_ns, modified_ns, changed_ns; /* since 1970; racy */
	struct mutex lock;			       /* size and data */
	volatile uint64_t bytes;
	union {
		struct pages pages;	    /* S_IFREG */
		struct directory directory; /* S_IFDIR */
		char *target;		    /* S_IFLNK, `bytes` + 1 long */
		struct pipe *pipe;	    /* S_IFIFO, once opened; under `lock` */
		struct unix_socket *socket; /* S_IFSOCK, while bound; under the tree lock */
		uint64_t value;		    /* of a made-up inode */
	};
	struct file_lock *locks;	/* locks.c */
	struct wait_queue lock_waiters; /* for one to be released */
	/* mm/files.c, under the lock of memory: */
	uint32_t mappings; /* areas that map it */
	uint32_t cutting;  /* odd while pages are taken out */
	uint32_t unmapped; /* references to give back, while it is in the list */
	struct inode *next_unmapped;
};

/* A new inode with one reference and no name, owned by the caller's user; NULL without memory. */
struct inode *inode_create(uint32_t mode, const struct inode_ops *ops);
struct inode *inode_get(struct inode *inode);
void inode_put(struct inode *inode);

/* The time is now. */
void inode_touch_modified(struct inode *inode);
void inode_touch_changed(struct inode *inode);
void inode_touch_accessed(struct inode *inode);

/* 0 if the caller may do this (4 read, 2 write, 1 execute or search), or -EACCES. */
long inode_permits(const struct inode *inode, uint32_t wanted);
/* 0 if the caller owns it or is root, or -EPERM. */
long inode_owned(const struct inode *inode);
/* The caller's user and groups (sys/ids.c). */
uint32_t caller_uid(void);
uint32_t caller_gid(void);
int caller_in_group(uint32_t gid);

void inode_stat(struct inode *inode, struct stat *st);
/* Cut or extend the data of a regular file. */
long inode_truncate(struct inode *inode, uint64_t bytes);
/* Extend by storage behind [offset, offset + bytes), or take it away (punch a hole). */
long inode_allocate(struct inode *inode, uint64_t offset, uint64_t bytes, int keep_size);
long inode_punch(struct inode *inode, uint64_t offset, uint64_t bytes);

#endif
