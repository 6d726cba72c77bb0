/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Addresses of the BARs before boot: the largest first, so that alignment leaves no gaps. */
#include "pci_internal.h"

#include <inttypes.h>

#define HIGH_BAR_BYTES (16 * SK_MIB) /* 64-bit BARs from this size on go into the high window */

struct cursor {
	uint64_t next, end;
};

static bool place(struct cursor *c, uint64_t size_bytes, uint64_t *gpa)
{
	uint64_t at;

	if (!sk_align_up(c->next, size_bytes, &at) || !sk_range_fits(at, size_bytes, c->end))
		return false;
	*gpa = at;
	c->next = at + size_bytes;
	return true;
}

static int assign_one(struct sk_pci_fn *fn, unsigned bar, uint64_t size_bytes, struct cursor *low,
		      struct cursor *high, struct sk_error *err)
{
	bool is_64 = fn->config[PCI_BASE_ADDRESS_0 + 4 * bar] & PCI_BASE_ADDRESS_MEM_TYPE_64;
	bool is_placed = false;
	uint64_t gpa;

	if (is_64 && size_bytes >= HIGH_BAR_BYTES)
		is_placed = place(high, size_bytes, &gpa);
	if (!is_placed)
		is_placed = place(low, size_bytes, &gpa);
	if (!is_placed && is_64)
		is_placed = place(high, size_bytes, &gpa);
	if (!is_placed)
		return sk_error_set(err, -ENOSPC,
				    "pci: no room for the 0x%" PRIx64 " bytes of BAR %u of %s",
				    size_bytes, bar, fn->name);
	pci_set_bar_address_locked(fn, bar, gpa);
	return 0;
}

static int assign_size(struct sk_pci *pci, uint64_t size_bytes, struct cursor *low,
		       struct cursor *high, struct sk_error *err)
{
	for (unsigned slot = 0; slot < SK_PCI_NR_SLOTS; slot++) {
		for (unsigned bar = 0; bar < SK_PCI_NR_BARS; bar++) {
			int ret;

			if (pci->decoders[slot][bar].size_bytes != size_bytes)
				continue;
			ret = assign_one(pci->slots[slot], bar, size_bytes, low, high, err);
			if (ret)
				return ret;
		}
	}
	return 0;
}

int sk_pci_assign(struct sk_pci *pci, struct sk_error *err)
{
	const struct sk_pci_window *l = &pci->config.low, *h = &pci->config.high;
	struct cursor low = {l->gpa, l->gpa + l->len_bytes};
	struct cursor high = {h->gpa, h->gpa + h->len_bytes};
	int ret = 0;

	pthread_mutex_lock(&pci->lock);
	for (unsigned shift = 63; !ret && shift >= 12; shift--)
		ret = assign_size(pci, UINT64_C(1) << shift, &low, &high, err);
	pthread_mutex_unlock(&pci->lock);
	return ret;
}
