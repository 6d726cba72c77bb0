/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Vectors of memory: see iov.h. */
#include "iov.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

long iov_init(struct iov *iov, const struct iovec *vector, long count)
{
	size_t left = 0;

	if (count < 0 || count > IOV_MAX)
		return -EINVAL;
	for (long i = 0; i < count; i++) {
		if (vector[i].iov_len > SSIZE_MAX - left)
			return -EINVAL;
		left += vector[i].iov_len;
	}
	*iov = (struct iov){.at = vector, .left = left};
	return 0;
}

void *iov_piece(struct iov *iov, size_t *bytes)
{
	size_t here = 0;

	while (iov->left && !(here = iov->at->iov_len - iov->skip)) {
		iov->at++;
		iov->skip = 0;
	}
	if (here < *bytes)
		*bytes = here;
	return *bytes ? (char *)iov->at->iov_base + iov->skip : NULL;
}

void iov_skip(struct iov *iov, size_t bytes)
{
	iov->skip += bytes;
	iov->left -= bytes;
}

size_t iov_put(struct iov *iov, const void *from, size_t bytes)
{
	size_t done = 0, n;
	void *to;

	while (n = bytes - done, to = iov_piece(iov, &n), n) {
		memcpy(to, (const char *)from + done, n);
		iov_skip(iov, n);
		done += n;
	}
	return done;
}

size_t iov_take(struct iov *iov, void *to, size_t bytes)
{
	size_t done = 0, n;
	const void *from;

	while (n = bytes - done, from = iov_piece(iov, &n), n) {
		memcpy((char *)to + done, from, n);
		iov_skip(iov, n);
		done += n;
	}
	return done;
}

size_t iov_zero(struct iov *iov, size_t bytes)
{
	size_t done = 0, n;
	void *to;

	while (n = bytes - done, to = iov_piece(iov, &n), n) {
		memset(to, 0, n);
		iov_skip(iov, n);
		done += n;
	}
	return done;
}
