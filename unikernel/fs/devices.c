/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* The memory devices (major 1), and where the terminal's nodes lead. */
#include "devices.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "../kernel/kernel.h"
#include "inode.h"
#include "names.h"

#define RANDOM_AT_ONCE 256

static long read_nothing(struct file *file, struct iov *iov, int64_t *position)
{
	(void)file;
	(void)iov;
	(void)position;
	return 0;
}

static long read_zero(struct file *file, struct iov *iov, int64_t *position)
{
	(void)file;
	(void)position;
	return (long)iov_zero(iov, iov->left);
}

static long read_random(struct file *file, struct iov *iov, int64_t *position)
{
	size_t left = iov->left;

	(void)file;
	(void)position;
	while (iov->left) {
		size_t n = RANDOM_AT_ONCE;
		void *to = iov_piece(iov, &n);

		if (random_bytes(to, n))
			return -EIO;
		iov_skip(iov, n);
	}
	return (long)left;
}

static long write_all(struct file *file, struct iov *iov, int64_t *position)
{
	(void)file;
	(void)position;
	return (long)iov->left;
}

static long write_full(struct file *file, struct iov *iov, int64_t *position)
{
	(void)file;
	(void)position;
	return iov->left ? -ENOSPC : 0;
}

static const struct file_ops null_ops = {
	.name = "null", .is_seekable = 1, .read = read_nothing, .write = write_all};
static const struct file_ops zero_ops = {
	.name = "zero", .is_seekable = 1, .read = read_zero, .write = write_all};
static const struct file_ops full_ops = {
	.name = "full", .is_seekable = 1, .read = read_zero, .write = write_full};
static const struct file_ops random_ops = {
	.name = "random", .is_seekable = 1, .read = read_random, .write = write_all};

static const struct {
	const char *path;
	uint32_t device;
	uint32_t mode;
	const struct file_ops *ops;
} nodes[] = {
	{"/dev/null", DEVICE(1, 3), 0666, &null_ops},
	{"/dev/zero", DEVICE(1, 5), 0666, &zero_ops},
	{"/dev/full", DEVICE(1, 7), 0666, &full_ops},
	{"/dev/random", DEVICE(1, 8), 0666, &random_ops},
	{"/dev/urandom", DEVICE(1, 9), 0666, &random_ops},
	{"/dev/tty", DEVICE(5, 0), 0666, &tty_ops},
	{"/dev/console", DEVICE(5, 1), 0600, &tty_ops},
	{"/dev/ttyS0", DEVICE(4, 64), 0620, &tty_ops},
};

static const struct {
	const char *path, *target;
} links[] = {
	{"/dev/fd", "/proc/self/fd"},
	{"/dev/stdin", "/proc/self/fd/0"},
	{"/dev/stdout", "/proc/self/fd/1"},
	{"/dev/stderr", "/proc/self/fd/2"},
};

long device_open(struct file *file)
{
	for (uint32_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++)
		if (nodes[i].device == file->inode->device) {
			file->ops = nodes[i].ops;
			return 0;
		}
	return -ENXIO;
}

void devices_populate(void)
{
	long failed = 0;

	for (uint32_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++)
		failed |= names_make_node(AT_FDCWD, nodes[i].path, S_IFCHR | nodes[i].mode,
					  nodes[i].device);
	for (uint32_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		failed |= names_make_symlink(links[i].target, AT_FDCWD, links[i].path);
	failed |= names_make_directory(AT_FDCWD, "/dev/shm", 01777);
	if (failed && failed != -EEXIST)
		kprintf("skete: not all of /dev could be made\n");
}
