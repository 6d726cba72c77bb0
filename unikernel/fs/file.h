/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Open files: what a descriptor refers to. A kind of file is a table of functions; pipes, sockets,
 * event counters, files of the tree and devices differ in nothing else, and a network stack joins
 * as one more kind.
 *
 * References: a descriptor holds one, a system call another while it works on the file, a message
 * that carries it a third. The last one gone, `release` is called.
 *
 * Order of locks: those of struct file (position) before those of its object (a mutex each) before
 * the spinlocks: the descriptors' (fd.c), the tree's (tree.h), wait queues (kernel/wait.h), the
 * heap. Nothing sleeps or takes a mutex under a spinlock.
 */
#ifndef SKETE_UK_FILE_H
#define SKETE_UK_FILE_H

#include <stdint.h>

#include "../kernel/wait.h"
#include "iov.h"

struct entry;
struct epoll_item;
struct file;
struct inode;
struct stat;

/*
 * Who wants to know when a file becomes ready. A file's poll() hands the queue of its object to
 * poller_wait() before it looks, so that no change in between is lost. NULL: only look.
 */
struct poller {
	void (*hook)(struct poller *poller, struct wait_queue *queue);
	/* A file that nobody tells when it is ready: look again by then. 0: no such file. */
	uint64_t again_ns;
};

static inline void poller_wait(struct poller *poller, struct wait_queue *queue)
{
	if (poller && poller->hook)
		poller->hook(poller, queue);
}

struct file_ops {
	const char *name;     /* as /proc/self/fd shows it: "pipe", "anon_inode:[eventfd]" */
	uint32_t is_seekable; /* has a position; otherwise `position` is NULL */
	/* Bytes, 0 at the end, or a negative errno. May sleep unless the file is O_NONBLOCK. */
	long (*read)(struct file *file, struct iov *iov, int64_t *position);
	long (*write)(struct file *file, struct iov *iov, int64_t *position);
	/* The events of poll(2) that hold now. NULL: always readable and writable. */
	uint32_t (*poll)(struct file *file, struct poller *poller);
	long (*ioctl)(struct file *file, unsigned long command, void *argument);
	/* Fill in what differs from an anonymous inode's. */
	void (*stat)(struct file *file, struct stat *st);
	/* fcntl(2)'s commands of this kind only. -EINVAL for others. */
	long (*control)(struct file *file, int command, long argument);
	void (*release)(struct file *file);
};

struct file {
	const struct file_ops *ops;
	uint32_t refs;
	volatile uint32_t flags; /* O_*, as F_GETFL shows them */
	struct mutex position_lock;
	int64_t position;
	void *object;		    /* the kind's own */
	struct entry *entry;	    /* where it was opened in the tree; NULL: nowhere */
	struct inode *inode;	    /* of a file of the tree; entry->inode, or without a name */
	struct epoll_item *watches; /* under epoll's lock */
	int owner, owner_signal;    /* F_SETOWN, F_SETSIG: kept for those who ask */
};

/* A new file with one reference, or NULL without memory. */
struct file *file_create(const struct file_ops *ops, void *object, uint32_t flags);
struct file *file_get(struct file *file);
void file_put(struct file *file);

/* One more reference, unless it is already being released. For lists without references. */
int file_get_unless_zero(struct file *file);

static inline int file_blocks(const struct file *file, uint32_t extra_nonblock)
{
	return !((file->flags | extra_nonblock) & 04000 /* O_NONBLOCK */);
}

uint32_t file_poll(struct file *file, struct poller *poller);
/* With the file's own position, if it has one. Checks that it is open for this. */
long file_read(struct file *file, struct iov *iov, int64_t *position);
long file_write(struct file *file, struct iov *iov, int64_t *position);
long file_read_bytes(struct file *file, void *data, size_t bytes, int64_t *position);
long file_write_bytes(struct file *file, const void *data, size_t bytes, int64_t *position);

#endif
