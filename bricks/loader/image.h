/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * An untrusted file, or bytes in memory that came from one, behind one bounded reader: no parser
 * of this brick reads a byte in any other way. Files are read, never mapped: a file that someone
 * truncates meanwhile ends in an error and not in SIGBUS.
 */
#ifndef SKETE_LOADER_IMAGE_H
#define SKETE_LOADER_IMAGE_H

#include <skete/base.h>
#include <skete/gmem.h>

struct image {
	const char *role; /* "kernel", "initrd": the first word of every sentence about it */
	const char *path;
	int fd; /* -1: the content is at @bytes */
	bool owns_fd;
	const uint8_t *bytes; /* borrowed */
	uint64_t size_bytes;
};

/* @fd as in struct sk_loader_config. Refuses what is not a regular file with at least a byte. */
int sk_loader_image_open(struct image *img, const char *role, const char *path, int fd,
			 struct sk_error *err) SK_MUST_CHECK;
void sk_loader_image_close(struct image *img);

/* Fills @err with "ROLE PATH: SENTENCE" and returns @code. */
int sk_loader_image_error(const struct image *img, struct sk_error *err, int code, const char *fmt,
			  ...) SK_PRINTF(4, 5) SK_COLD;

/* Puts "ROLE PATH: TEXT: " in front of what is in @err. */
void sk_loader_image_prefix(const struct image *img, struct sk_error *err, const char *fmt, ...)
	SK_PRINTF(3, 4) SK_COLD;

/*
 * Reads exactly @len_bytes. @part names them in the sentence about a file that ends earlier
 * (-ENOEXEC).
 */
int sk_loader_image_read(const struct image *img, uint64_t offset, void *buf, size_t len_bytes,
			 const char *part, struct sk_error *err) SK_MUST_CHECK;

/* The same into guest memory, which must be RAM, with no copy in between. */
int sk_loader_image_read_to_guest(const struct image *img, uint64_t offset, struct sk_gmem *gm,
				  gpa_t gpa, uint64_t len_bytes, const char *part,
				  struct sk_error *err) SK_MUST_CHECK;

#endif
