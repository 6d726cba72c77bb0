/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Pipes: a ring of 64 KiB in pages that are made when they are first needed. Readers wait in one
 * queue, writers in another, poll(2) and epoll(7) in both. Up to 4096 bytes go in at once.
 */
#include "pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "../kernel/kernel.h"
#include "../kernel/signals.h"
#include "../mm/heap.h"
#include "../mm/mm.h"
#include "inode.h"

#define PAGES	  16
#define PIPE_SIZE (PAGES * PAGE_SIZE)
#define PIPE_BUF  4096 /* go in at once */

struct pipe {
	struct mutex mutex; /* all below */
	uint32_t files;	    /* that refer to it */
	uint32_t readers, writers;
	uint32_t reader_opens, writer_opens; /* ever: a named pipe's open waits for a change */
	uint64_t head, tail;		     /* bytes ever written and read */
	struct wait_queue read_queue, write_queue;
	char *pages[PAGES];
	char *spare; /* the page that was emptied last */
};

static int is_reader(const struct file *file)
{
	return (file->flags & O_ACCMODE) != O_WRONLY;
}

static int is_writer(const struct file *file)
{
	return (file->flags & O_ACCMODE) != O_RDONLY;
}

/* The contiguous room from `at` to the end of its page, at most `bytes`. */
static char *place(struct pipe *pipe, uint64_t at, uint64_t *bytes)
{
	uint64_t offset = at % PAGE_SIZE;

	if (*bytes > PAGE_SIZE - offset)
		*bytes = PAGE_SIZE - offset;
	return pipe->pages[at / PAGE_SIZE % PAGES] + offset;
}

static char **page_for(struct pipe *pipe, uint64_t at)
{
	char **page = &pipe->pages[at / PAGE_SIZE % PAGES];

	if (!*page && pipe->spare) {
		*page = pipe->spare;
		pipe->spare = NULL;
	}
	if (!*page)
		*page = kheap_page(0);
	return page;
}

/* A page that was read to its end is given back, but for one. */
static void empty_page(struct pipe *pipe, uint64_t at)
{
	char **page = &pipe->pages[at / PAGE_SIZE % PAGES];

	if (pipe->spare)
		kheap_page_free(*page);
	else
		pipe->spare = *page;
	*page = NULL;
}

static long pipe_read(struct file *file, struct iov *iov, int64_t *position)
{
	struct pipe *pipe = file->object;
	int was_full;
	long done = 0, result = 0;

	(void)position;
	if (!iov->left)
		return 0;
	mutex_lock(&pipe->mutex);
	while (pipe->head == pipe->tail && pipe->writers && !result)
		result = file_blocks(file, 0)
				 ? wait_for(&pipe->read_queue, &pipe->mutex, UINT64_MAX)
				 : -EAGAIN;
	was_full = pipe->head - pipe->tail > PIPE_SIZE - PIPE_BUF;
	while (!result && iov->left && pipe->head != pipe->tail) {
		uint64_t n = pipe->head - pipe->tail;
		const char *from = place(pipe, pipe->tail, &n);

		n = iov_put(iov, from, n);
		pipe->tail += n;
		done += (long)n;
		/* Unless the ring is so full that the page holds its newest bytes, too. */
		if (pipe->tail % PAGE_SIZE == 0 && pipe->head - pipe->tail <= PIPE_SIZE - PAGE_SIZE)
			empty_page(pipe, pipe->tail - 1);
	}
	if (pipe->head == pipe->tail && pipe->head % PAGE_SIZE) { /* begin a page anew */
		uint64_t rest = PAGE_SIZE - pipe->head % PAGE_SIZE;

		empty_page(pipe, pipe->head);
		pipe->head += rest;
		pipe->tail += rest;
	}
	if (pipe->head != pipe->tail)
		wait_wake_one(&pipe->read_queue, POLLIN | POLLRDNORM);
	mutex_unlock(&pipe->mutex);
	if (done && was_full)
		wait_wake(&pipe->write_queue, POLLOUT | POLLWRNORM);
	return done ? done : result;
}

static long copy_in(struct pipe *pipe, struct iov *iov, uint64_t bytes)
{
	long done = 0;

	while (bytes) {
		uint64_t n = bytes;
		char *to;

		if (!*page_for(pipe, pipe->head))
			return done ? done : -ENOMEM;
		to = place(pipe, pipe->head, &n);
		n = iov_take(iov, to, n);
		pipe->head += n;
		done += (long)n;
		bytes -= n;
	}
	return done;
}

static long pipe_write(struct file *file, struct iov *iov, int64_t *position)
{
	struct pipe *pipe = file->object;
	uint64_t at_once = iov->left <= PIPE_BUF ? iov->left : 1;
	long done = 0, result = 0;

	(void)position;
	if (!iov->left)
		return 0;
	mutex_lock(&pipe->mutex);
	while (iov->left && !result) {
		uint64_t room = PIPE_SIZE - (pipe->head - pipe->tail);

		if (!pipe->readers) {
			result = -EPIPE;
		} else if (room >= at_once) {
			long n = copy_in(pipe, iov, room < iov->left ? room : iov->left);

			if (n < 0)
				result = n;
			else
				done += n;
			wait_wake_one(&pipe->read_queue, POLLIN | POLLRDNORM);
		} else if (!file_blocks(file, 0)) {
			result = -EAGAIN;
		} else {
			result = wait_for(&pipe->write_queue, &pipe->mutex, UINT64_MAX);
		}
	}
	mutex_unlock(&pipe->mutex);
	if (result == -EPIPE)
		signal_send(this_thread(), SIGPIPE);
	return done ? done : result;
}

static uint32_t pipe_poll(struct file *file, struct poller *poller)
{
	struct pipe *pipe = file->object;
	uint32_t events = 0;

	if (is_reader(file)) {
		poller_wait(poller, &pipe->read_queue);
		if (pipe->head != pipe->tail)
			events |= POLLIN | POLLRDNORM;
		if (!pipe->writers && pipe->writer_opens)
			events |= POLLHUP;
	}
	if (is_writer(file)) {
		poller_wait(poller, &pipe->write_queue);
		if (PIPE_SIZE - (pipe->head - pipe->tail) >= PIPE_BUF)
			events |= POLLOUT | POLLWRNORM;
		if (!pipe->readers)
			events |= POLLERR;
	}
	return events;
}

static long pipe_ioctl(struct file *file, unsigned long command, void *argument)
{
	const struct pipe *pipe = file->object;

	if (command != FIONREAD)
		return -ENOTTY;
	*(int *)argument = (int)(pipe->head - pipe->tail);
	return 0;
}

static long pipe_control(struct file *file, int command, long argument)
{
	(void)file;
	if (command == F_GETPIPE_SZ)
		return PIPE_SIZE;
	if (command == F_SETPIPE_SZ)
		return (unsigned long)argument <= PIPE_SIZE ? (long)PIPE_SIZE : -EPERM;
	return -EINVAL;
}

static void pipe_stat(struct file *file, struct stat *st)
{
	(void)file;
	st->st_mode = S_IFIFO | 0600;
}

static void destroy(struct pipe *pipe)
{
	for (int i = 0; i < PAGES; i++)
		kheap_page_free(pipe->pages[i]);
	kheap_page_free(pipe->spare);
	kheap_free(pipe, sizeof(*pipe));
}

static void pipe_release(struct file *file)
{
	struct pipe *pipe = file->object;
	int is_last;

	if (!pipe)
		return;
	if (file->inode)
		mutex_lock(&file->inode->lock);
	mutex_lock(&pipe->mutex);
	pipe->readers -= (uint32_t)is_reader(file);
	pipe->writers -= (uint32_t)is_writer(file);
	is_last = !--pipe->files;
	mutex_unlock(&pipe->mutex);
	wait_wake(&pipe->read_queue, POLLIN | POLLHUP);
	wait_wake(&pipe->write_queue, POLLOUT | POLLERR);
	if (file->inode) {
		if (is_last)
			file->inode->pipe = NULL;
		mutex_unlock(&file->inode->lock);
	}
	if (is_last)
		destroy(pipe);
}

static const struct file_ops pipe_ops = {
	.name = "pipe",
	.read = pipe_read,
	.write = pipe_write,
	.poll = pipe_poll,
	.ioctl = pipe_ioctl,
	.stat = pipe_stat,
	.control = pipe_control,
	.release = pipe_release,
};

/* The pipe gains an end. Locked, or not yet known to others. */
static void attach(struct pipe *pipe, struct file *file)
{
	file->object = pipe;
	pipe->files++;
	pipe->readers += (uint32_t)is_reader(file);
	pipe->writers += (uint32_t)is_writer(file);
	pipe->reader_opens += (uint32_t)is_reader(file);
	pipe->writer_opens += (uint32_t)is_writer(file);
}

long pipe_create(uint32_t flags, struct file **reader, struct file **writer)
{
	struct pipe *pipe;

	if (flags & ~(uint32_t)(O_NONBLOCK | O_CLOEXEC))
		return -EINVAL;
	pipe = kheap_alloc(sizeof(*pipe));
	*reader = file_create(&pipe_ops, NULL, O_RDONLY | (flags & O_NONBLOCK));
	*writer = file_create(&pipe_ops, NULL, O_WRONLY | (flags & O_NONBLOCK));
	if (!pipe || !*reader || !*writer) {
		if (*reader)
			file_put(*reader);
		if (*writer)
			file_put(*writer);
		kheap_free(pipe, sizeof(*pipe));
		return -ENFILE;
	}
	attach(pipe, *reader);
	attach(pipe, *writer);
	return 0;
}

/* The other end's count of openings, to wait for a change of. */
static uint32_t partner_opens(const struct pipe *pipe, const struct file *file)
{
	return is_reader(file) ? pipe->writer_opens : pipe->reader_opens;
}

static long wait_for_partner(struct pipe *pipe, struct file *file)
{
	uint32_t seen = partner_opens(pipe, file);
	struct wait_queue *queue = is_reader(file) ? &pipe->read_queue : &pipe->write_queue;
	long result = 0;

	while (seen == partner_opens(pipe, file) && !result)
		result = wait_for(queue, &pipe->mutex, UINT64_MAX);
	return result;
}

long pipe_open_named(struct file *file)
{
	struct inode *inode = file->inode;
	uint32_t access = file->flags & O_ACCMODE;
	struct pipe *pipe;
	long result = 0;

	mutex_lock(&inode->lock);
	pipe = inode->pipe;
	if (access == O_WRONLY && file->flags & O_NONBLOCK && (!pipe || !pipe->readers))
		result = -ENXIO;
	else if (!pipe && !(pipe = kheap_alloc(sizeof(*pipe))))
		result = -ENOMEM;
	if (!result) {
		inode->pipe = pipe;
		mutex_lock(&pipe->mutex);
		file->ops = &pipe_ops;
		attach(pipe, file);
	}
	mutex_unlock(&inode->lock);
	if (result)
		return result;
	wait_wake(&pipe->read_queue, 0);
	wait_wake(&pipe->write_queue, 0);
	if (access != O_RDWR && !(file->flags & O_NONBLOCK) &&
	    !(access == O_RDONLY ? pipe->writers : pipe->readers))
		result = wait_for_partner(pipe, file);
	mutex_unlock(&pipe->mutex);
	return result;
}
