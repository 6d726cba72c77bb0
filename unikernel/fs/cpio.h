/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Reads a cpio archive in the "newc" format (magic 070701 or 070702), as Linux takes it for its
 * initial RAM disk: Documentation/driver-api/early-userspace/buffer-format.rst. Archives that
 * follow each other, with zeroes between them, are one. The archive is untrusted: every field is
 * checked against its length. Nothing is copied; an entry points into the archive.
 */
#ifndef SKETE_UK_CPIO_H
#define SKETE_UK_CPIO_H

#include <stddef.h>
#include <stdint.h>

struct cpio {
	const uint8_t *archive; /* the caller's, unchanged while entries are in use */
	size_t bytes;
	size_t at; /* where the next entry is looked for: at first 0, after an error the bad entry
		    */
};

struct cpio_entry {
	/*
	 * Relative to the root, without "/" or "./" in front, never empty; ends with a 0 behind
	 * name_bytes, and holds none. The root itself is ".". No component is "..".
	 */
	const char *name;
	uint32_t name_bytes;
	uint32_t mode; /* type and permissions, as in struct stat */
	uint32_t uid, gid, mtime;
	/* Hard links have the same number and device, and the last of them the contents. */
	uint32_t inode, links, device_major, device_minor;
	uint32_t node_major, node_minor; /* what a device node stands for */
	const uint8_t *data; /* contents, or where a symbolic link leads (no 0 behind it) */
	uint32_t data_bytes;
};

/* The next entry. 1: there is one; 0: the end; -EINVAL: the archive is damaged at cpio->at. */
int cpio_next(struct cpio *cpio, struct cpio_entry *entry);

#endif
