/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * From a descriptor to vectors (virtio 1.2, 2.7.5 and 2.8.5): readable buffers before writable
 * ones, all of them RAM, 4 GiB in all.
 */
#include "vring_internal.h"

bool chain_add(const struct sk_vring *ring, struct sk_vring_chain *chain, uint32_t max_iov,
	       const struct desc *d)
{
	bool is_writable = d->flags & VRING_DESC_F_WRITE;
	uint32_t nr = chain->nr_readable + chain->nr_writable;
	uint32_t total = chain->readable_bytes + chain->writable_bytes, unused;
	int added = 1;

	if (!is_writable && chain->has_writable)
		return false;
	chain->has_writable |= is_writable;
	if (!d->len)
		return true;
	if (nr == max_iov || __builtin_add_overflow(total, d->len, &unused))
		return false;
	chain->iov[nr].iov_base = sk_gmem_slice(ring->config.gm, d->addr, d->len);
	chain->iov[nr].iov_len = d->len;
	if (!chain->iov[nr].iov_base) {
		/* Not in one region: across several, or outside. */
		const struct sk_gmem_range range = {d->addr, d->len};

		added = sk_gmem_to_iov(ring->config.gm, &range, 1, &chain->iov[nr], max_iov - nr);
		if (added < 0)
			return false;
	}
	if (is_writable) {
		chain->nr_writable += (uint32_t)added;
		chain->writable_bytes += d->len;
	} else {
		chain->nr_readable += (uint32_t)added;
		chain->readable_bytes += d->len;
	}
	return true;
}

const uint8_t *chain_indirect(const struct sk_vring *ring, const struct desc *d,
			      uint32_t *nr_entries)
{
	/* Both at once are reserved (2.7.5.3.1, 2.8.8). */
	if (!ring->config.has_indirect || (d->flags & VRING_DESC_F_NEXT))
		return NULL;
	if (!d->len || d->len % DESC_BYTES)
		return NULL;
	*nr_entries = d->len / DESC_BYTES;
	return sk_gmem_slice(ring->config.gm, d->addr, d->len);
}
