/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Guest memory that goes back to the host. */
#include "gmem_internal.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>

/* @len_bytes at @offset of @region; whole pages of the host. */
static int discard_pages(const struct region *region, uint64_t offset, uint64_t len_bytes)
{
	/* What a memfd holds belongs to the file: the mapping alone would free nothing. */
	if (region->backing == SK_GMEM_MEMFD)
		return fallocate(region->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				 (off_t)offset, (off_t)len_bytes)
			       ? -errno
			       : 0;
	return madvise((uint8_t *)region->pub.hva + offset, len_bytes, MADV_DONTNEED) ? -errno : 0;
}

int sk_gmem_discard(struct sk_gmem *gm, gpa_t gpa, uint64_t len_bytes)
{
	int ret = 0;

	if (!sk_gmem_is_ram(gm, gpa, len_bytes))
		return -EFAULT;
	while (!ret && len_bytes) {
		const struct region *region = gmem_find_region(gm, gpa);
		uint64_t offset = gpa - region->pub.gpa;
		uint64_t part = SK_MIN(len_bytes, region->pub.size_bytes - offset);
		uint64_t end = sk_align_down(offset + part, region->page_bytes), start;

		/* Mapped ranges end far below 2^64. */
		if (sk_align_up(offset, region->page_bytes, &start) && start < end) {
			ret = discard_pages(region, start, end - start);
			sk_gmem_mark_dirty(gm, region->pub.gpa + start, end - start);
		}
		gpa += part;
		len_bytes -= part;
	}
	return ret;
}
