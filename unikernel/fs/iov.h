/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * The memory of a readv(2) or writev(2), walked from its beginning to its end. The program's
 * memory: an access may fault in, so no lock of memory management is held meanwhile.
 */
#ifndef SKETE_UK_IOV_H
#define SKETE_UK_IOV_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct iov {
	const struct iovec *at;
	size_t skip; /* bytes of *at that are done */
	size_t left; /* bytes until the end of all */
};

/* -EINVAL for too many parts, or more bytes than a call can return. */
long iov_init(struct iov *iov, const struct iovec *vector, long count);

/* The next stretch in one piece: its address; *bytes is at most what it was, 0 at the end. */
void *iov_piece(struct iov *iov, size_t *bytes);
void iov_skip(struct iov *iov, size_t bytes);

/* Copy to or from the next bytes. Returns how many: less only at the end. */
size_t iov_put(struct iov *iov, const void *from, size_t bytes);
size_t iov_take(struct iov *iov, void *to, size_t bytes);
size_t iov_zero(struct iov *iov, size_t bytes);

#endif
