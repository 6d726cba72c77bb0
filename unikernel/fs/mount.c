/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * The tree at the start: files are copied out of the initial RAM disk's archive, whose memory is
 * then free. A damaged archive is said so, and what came before the damage is there.
 */
#include "mount.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "../kernel/kernel.h"
#include "../mm/heap.h"
#include "../mm/mm.h"
#include "devices.h"
#include "fd.h"
#include "initrd.h"
#include "names.h"
#include "procfs.h"
#include "walk.h"

#define LINKS_MAX 64 /* hard-linked files of an archive that wait for their other names */

/* The first name of a file with several. */
struct first_name {
	uint32_t inode, device_major, device_minor;
	const char *name;
};

static struct first_name names[LINKS_MAX];
static uint32_t name_count;

/* Directories that the archive does not mention. */
static void make_parents(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		(void)names_make_directory(AT_FDCWD, path, 0755);
		*slash = '/';
	}
}

static const char *first_name(const struct cpio_entry *e)
{
	if (e->links < 2)
		return NULL;
	for (uint32_t i = 0; i < name_count; i++)
		if (names[i].inode == e->inode && names[i].device_major == e->device_major &&
		    names[i].device_minor == e->device_minor)
			return names[i].name;
	if (name_count < LINKS_MAX)
		names[name_count++] =
			(struct first_name){e->inode, e->device_major, e->device_minor, e->name};
	return NULL;
}

static long make_file(const char *path, const struct cpio_entry *e)
{
	const char *other = first_name(e);
	struct file *file;
	long result = -ENOENT;

	if (other) {
		result = names_link(AT_FDCWD, other, AT_FDCWD, path, 0);
		if (result == -EEXIST)
			result = 0;
	}
	if (result && result != -ENOENT)
		return result;
	if (result || e->data_bytes) {
		result = names_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, 0600, &file);
		if (result)
			return result;
		if (file_write_bytes(file, e->data, e->data_bytes, NULL) != (long)e->data_bytes)
			result = -ENOSPC;
		file_put(file);
	}
	return result;
}

static long make_link(const char *path, const struct cpio_entry *e)
{
	char *target = kheap_alloc((size_t)e->data_bytes + 1);
	long result;

	if (!target)
		return -ENOMEM;
	memcpy(target, e->data, e->data_bytes);
	result = names_make_symlink(target, AT_FDCWD, path);
	kheap_free(target, (size_t)e->data_bytes + 1);
	return result;
}

/* Owner, rights and time, as the archive has them. */
static void adorn(const char *path, const struct cpio_entry *e)
{
	struct walk w;

	if (walk(AT_FDCWD, path, 0, &w))
		return;
	if (w.entry) {
		struct inode *inode = w.entry->inode;

		if (!S_ISLNK(inode->mode))
			inode->mode = (inode->mode & S_IFMT) | (e->mode & 07777);
		inode->uid = e->uid;
		inode->gid = e->gid;
		inode->modified_ns = (uint64_t)e->mtime * NS_PER_SEC;
	}
	walk_end(&w);
}

static long unpack_entry(char *path, const struct cpio_entry *e)
{
	long result;

	if (S_ISDIR(e->mode)) {
		result = names_make_directory(AT_FDCWD, path, 0755);
		result = result == -EEXIST ? 0 : result;
	} else if (S_ISREG(e->mode)) {
		result = make_file(path, e);
	} else {
		(void)names_unlink(AT_FDCWD, path, 0);
		result = S_ISLNK(e->mode) ? make_link(path, e)
					  : names_make_node(AT_FDCWD, path, e->mode,
							    DEVICE(e->node_major, e->node_minor));
	}
	if (!result)
		adorn(path, e);
	return result;
}

static void unpack(void)
{
	char *path = kheap_page(0);
	struct cpio_entry e;
	struct cpio cpio;
	long result = path ? initrd_open(&cpio) : -ENOMEM;

	while (!result && cpio.bytes && (result = cpio_next(&cpio, &e)) > 0) {
		result = 0;
		if (e.name_bytes + 2 > PATH_BYTES_MAX) {
			result = -ENAMETOOLONG;
			break;
		}
		path[0] = '/';
		memcpy(path + 1, e.name, e.name_bytes + 1);
		make_parents(path);
		result = unpack_entry(path, &e);
		if (result == -EINVAL || result == -EPERM)
			result = 0; /* a block device, or the like: nobody could use it */
	}
	if (result < 0)
		kprintf("skete: the initial RAM disk is not all there: %s\n",
			result == -EINVAL			 ? "the archive is damaged"
			: result == -ENOMEM || result == -ENOSPC ? "too little memory"
								 : "a name in it cannot be made");
	kheap_page_free(path);
	initrd_close(&cpio);
}

static void open_console(void)
{
	struct file *file;

	if (names_open(AT_FDCWD, "/dev/ttyS0", O_RDWR | O_NOCTTY, 0, &file))
		fatal("too little memory for the console");
	for (int fd = 0; fd < 3; fd++)
		if (fd_install_at(file_get(file), fd, 0) < 0)
			fatal("too little memory for descriptors");
	file_put(file);
}

void mount_all(void)
{
	static const struct {
		const char *path;
		uint32_t mode;
	} directories[] = {{"/dev", 0755}, {"/tmp", 01777}, {"/etc", 0755}, {"/root", 0700}};
	struct inode *root = inode_create(S_IFDIR | 0755, NULL);

	tree_root = root ? entry_create(NULL, "", 0, root) : NULL;
	if (!tree_root)
		fatal("too little memory for files");
	root->links = 2;
	root->directory.self = tree_root;
	names_mask = 0;
	unpack();
	for (uint32_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
		(void)names_make_directory(AT_FDCWD, directories[i].path, directories[i].mode);
	devices_populate();
	if (procfs_mount())
		fatal("too little memory for /proc");
	open_console();
	names_mask = 022;
}
