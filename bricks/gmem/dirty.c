/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The dirty bitmap of writes by the host. Marking happens after the bytes are written and
 * releases them; a harvest takes the bits with an acquiring exchange, so who copies the page
 * afterwards sees the bytes of every mark that it took. A later mark stays for the next harvest.
 */
#include "gmem_internal.h"

/* Sets bits [first, last] with one atomic operation per word. */
static void set_bits(uint64_t *map, uint64_t first, uint64_t last)
{
	for (uint64_t word = first / 64; word <= last / 64; word++) {
		uint64_t mask = UINT64_MAX;

		if (word == first / 64)
			mask &= UINT64_MAX << (first % 64);
		if (word == last / 64)
			mask &= UINT64_MAX >> (63 - last % 64);
		__atomic_fetch_or(&map[word], mask, __ATOMIC_RELEASE);
	}
}

void sk_gmem_mark_dirty(struct sk_gmem *gm, gpa_t gpa, uint64_t len_bytes)
{
	if (!gm->has_dirty_log || !sk_range_fits(gpa, len_bytes, UINT64_MAX))
		return;
	while (len_bytes) {
		const struct region *region = gmem_find_region(gm, gpa);
		uint64_t offset, part;

		if (!region)
			return;
		offset = gpa - region->pub.gpa;
		part = SK_MIN(len_bytes, region->pub.size_bytes - offset);
		set_bits(region->dirty, offset / SK_GMEM_PAGE_BYTES,
			 (offset + part - 1) / SK_GMEM_PAGE_BYTES);
		gpa += part;
		len_bytes -= part;
	}
}

void sk_gmem_mark_dirty_hva(struct sk_gmem *gm, const void *hva, uint64_t len_bytes)
{
	if (!gm->has_dirty_log || !len_bytes)
		return;
	for (size_t i = 0; i < gm->nr_regions; i++) {
		const struct sk_gmem_region *pub = &gm->regions[i].pub;
		uintptr_t offset = (uintptr_t)hva - (uintptr_t)pub->hva;

		if (sk_range_fits(offset, len_bytes, pub->size_bytes)) {
			sk_gmem_mark_dirty(gm, pub->gpa + offset, len_bytes);
			return;
		}
	}
	BUG_ON(true); /* no guest can do this: the address is ours */
}

bool sk_gmem_has_dirty_log(const struct sk_gmem *gm)
{
	return gm->has_dirty_log;
}

int sk_gmem_harvest_dirty(struct sk_gmem *gm, size_t index, uint64_t *bitmap, size_t nr_words)
{
	const struct region *region;

	if (!gm->has_dirty_log)
		return -ENOTSUP;
	if (index >= gm->nr_regions)
		return -EINVAL;
	region = &gm->regions[index];
	if (nr_words != sk_bits_words(region->pub.size_bytes / SK_GMEM_PAGE_BYTES))
		return -EINVAL;
	for (size_t i = 0; i < nr_words; i++)
		if (__atomic_load_n(&region->dirty[i], __ATOMIC_RELAXED))
			bitmap[i] |= __atomic_exchange_n(&region->dirty[i], 0, __ATOMIC_ACQ_REL);
	return 0;
}
