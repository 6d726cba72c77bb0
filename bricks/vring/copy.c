/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Copies between vectors and a buffer. */
#include "vring_internal.h"

static size_t copy(const struct iovec *iov, uint32_t nr, size_t offset_bytes, void *to,
		   const void *from, size_t len_bytes)
{
	size_t done = 0;

	for (uint32_t i = 0; i < nr && done < len_bytes; i++) {
		size_t part;

		if (offset_bytes >= iov[i].iov_len) {
			offset_bytes -= iov[i].iov_len;
			continue;
		}
		part = SK_MIN(iov[i].iov_len - offset_bytes, len_bytes - done);
		if (to)
			memcpy((uint8_t *)to + done,
			       (const uint8_t *)iov[i].iov_base + offset_bytes, part);
		else
			memcpy((uint8_t *)iov[i].iov_base + offset_bytes,
			       (const uint8_t *)from + done, part);
		done += part;
		offset_bytes = 0;
	}
	return done;
}

size_t sk_vring_copy_from(const struct iovec *iov, uint32_t nr, size_t offset_bytes, void *buf,
			  size_t len_bytes)
{
	return copy(iov, nr, offset_bytes, buf, NULL, len_bytes);
}

size_t sk_vring_copy_to(const struct iovec *iov, uint32_t nr, size_t offset_bytes, const void *buf,
			size_t len_bytes)
{
	return copy(iov, nr, offset_bytes, NULL, buf, len_bytes);
}
