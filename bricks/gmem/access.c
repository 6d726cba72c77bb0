/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Access to guest memory. Every function goes through pieces(): it cuts a guest range into the
 * parts that lie in one region each, and is the only place that turns a gpa into a host address.
 */
#include "gmem_internal.h"

const struct region *gmem_find_region(const struct sk_gmem *gm, gpa_t gpa)
{
	size_t low = 0, high = gm->nr_regions;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct region *region = &gm->regions[mid];

		if (gpa < region->pub.gpa)
			high = mid;
		else if (gpa - region->pub.gpa >= region->pub.size_bytes)
			low = mid + 1;
		else
			return region;
	}
	return NULL;
}

/*
 * The host address of @gpa and in *@len_bytes how many of the bytes wanted lie in the same region;
 * NULL if @gpa is not RAM.
 */
static void *piece(const struct sk_gmem *gm, gpa_t gpa, uint64_t *len_bytes)
{
	const struct region *region = gmem_find_region(gm, gpa);
	uint64_t offset;

	if (!region)
		return NULL;
	offset = gpa - region->pub.gpa;
	*len_bytes = SK_MIN(*len_bytes, region->pub.size_bytes - offset);
	return (uint8_t *)region->pub.hva + offset;
}

bool sk_gmem_is_ram(const struct sk_gmem *gm, gpa_t gpa, uint64_t len_bytes)
{
	if (!sk_range_fits(gpa, len_bytes, UINT64_MAX))
		return false;
	while (len_bytes) {
		uint64_t part = len_bytes;

		if (!piece(gm, gpa, &part))
			return false;
		gpa += part;
		len_bytes -= part;
	}
	return true;
}

void *sk_gmem_slice(const struct sk_gmem *gm, gpa_t gpa, uint64_t len_bytes)
{
	uint64_t part = len_bytes;
	void *hva = piece(gm, gpa, &part);

	return part == len_bytes ? hva : NULL;
}

int sk_gmem_read(const struct sk_gmem *gm, gpa_t gpa, void *buf, size_t len_bytes)
{
	uint8_t *to = buf;

	if (!sk_gmem_is_ram(gm, gpa, len_bytes))
		return -EFAULT;
	for (uint64_t done = 0, part; done < len_bytes; done += part) {
		const void *from;

		part = len_bytes - done;
		from = piece(gm, gpa + done, &part);
		memcpy(to + done, from, part);
	}
	return 0;
}

int sk_gmem_write(struct sk_gmem *gm, gpa_t gpa, const void *buf, size_t len_bytes)
{
	const uint8_t *from = buf;

	if (!sk_gmem_is_ram(gm, gpa, len_bytes))
		return -EFAULT;
	for (uint64_t done = 0, part; done < len_bytes; done += part) {
		void *to;

		part = len_bytes - done;
		to = piece(gm, gpa + done, &part);
		memcpy(to, from + done, part);
	}
	sk_gmem_mark_dirty(gm, gpa, len_bytes);
	return 0;
}

int sk_gmem_fill(struct sk_gmem *gm, gpa_t gpa, uint8_t value, uint64_t len_bytes)
{
	if (!sk_gmem_is_ram(gm, gpa, len_bytes))
		return -EFAULT;
	for (uint64_t done = 0, part; done < len_bytes; done += part) {
		void *to;

		part = len_bytes - done;
		to = piece(gm, gpa + done, &part);
		memset(to, value, part);
	}
	sk_gmem_mark_dirty(gm, gpa, len_bytes);
	return 0;
}

int sk_gmem_to_iov(const struct sk_gmem *gm, const struct sk_gmem_range *ranges, size_t nr_ranges,
		   struct iovec *iov, size_t max_iov)
{
	size_t nr = 0;

	for (size_t i = 0; i < nr_ranges; i++) {
		gpa_t gpa = ranges[i].gpa;
		uint64_t left = ranges[i].len_bytes;

		if (!sk_range_fits(gpa, left, UINT64_MAX))
			return -EFAULT;
		while (left) {
			uint64_t part = left;
			void *hva = piece(gm, gpa, &part);

			if (!hva)
				return -EFAULT;
			if (nr == max_iov || nr == INT32_MAX)
				return -E2BIG;
			iov[nr++] = (struct iovec){.iov_base = hva, .iov_len = part};
			gpa += part;
			left -= part;
		}
	}
	return (int)nr;
}

static int field(const struct sk_gmem *gm, gpa_t gpa, size_t size_bytes, void **hva)
{
	if (!sk_is_aligned(gpa, size_bytes))
		return -EINVAL;
	*hva = sk_gmem_slice(gm, gpa, size_bytes);
	return *hva ? 0 : -EFAULT;
}

/* The partner of each acquire and release is the guest's driver on its own CPU. */
#define DEFINE_ATOMIC_ACCESS(bits)                                                           \
	int sk_gmem_load_u##bits(const struct sk_gmem *gm, gpa_t gpa, uint##bits##_t *value) \
	{                                                                                    \
		void *hva;                                                                   \
		int ret = field(gm, gpa, sizeof(*value), &hva);                              \
                                                                                             \
		if (ret)                                                                     \
			return ret;                                                          \
		*value = __atomic_load_n((const uint##bits##_t *)hva, __ATOMIC_ACQUIRE);     \
		*value = SK_LE##bits(*value);                                                \
		return 0;                                                                    \
	}                                                                                    \
                                                                                             \
	int sk_gmem_store_u##bits(struct sk_gmem *gm, gpa_t gpa, uint##bits##_t value)       \
	{                                                                                    \
		void *hva;                                                                   \
		int ret = field(gm, gpa, sizeof(value), &hva);                               \
                                                                                             \
		if (ret)                                                                     \
			return ret;                                                          \
		value = SK_LE##bits(value);                                                  \
		__atomic_store_n((uint##bits##_t *)hva, value, __ATOMIC_RELEASE);            \
		sk_gmem_mark_dirty(gm, gpa, sizeof(value));                                  \
		return 0;                                                                    \
	}

DEFINE_ATOMIC_ACCESS(16)
DEFINE_ATOMIC_ACCESS(32)
DEFINE_ATOMIC_ACCESS(64)
