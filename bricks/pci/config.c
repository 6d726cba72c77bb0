/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The guest's accesses to the configuration space, byte by byte, whatever their width and
 * alignment, and what follows from them: BARs that move, interrupts that may or may not speak.
 */
#include "pci_internal.h"

#define BARS_BYTES (4 * SK_PCI_NR_BARS)

uint64_t pci_bar_address_locked(const struct sk_pci_fn *fn, unsigned bar)
{
	const uint8_t *at = fn->config + PCI_BASE_ADDRESS_0 + 4 * bar;
	uint64_t gpa = sk_load_le32(at);
	bool is_64 = gpa & PCI_BASE_ADDRESS_MEM_TYPE_64;

	gpa &= ~UINT64_C(0xf);
	return is_64 ? gpa | (uint64_t)sk_load_le32(at + 4) << 32 : gpa;
}

void pci_set_bar_address_locked(struct sk_pci_fn *fn, unsigned bar, uint64_t gpa)
{
	uint8_t *at = fn->config + PCI_BASE_ADDRESS_0 + 4 * bar;
	uint32_t flags = sk_load_le32(at) & 0xf;

	sk_store_le32(at, (uint32_t)gpa | flags);
	if (flags & PCI_BASE_ADDRESS_MEM_TYPE_64)
		sk_store_le32(at + 4, (uint32_t)(gpa >> 32));
}

static bool is_inside(const struct sk_pci_window *w, uint64_t gpa, uint64_t size_bytes)
{
	return gpa >= w->gpa && sk_range_fits(gpa - w->gpa, size_bytes, w->len_bytes);
}

/* Where BAR @bar answers, by the registers. */
static uint64_t decoded_locked(const struct sk_pci_fn *fn, unsigned bar, uint64_t size_bytes)
{
	uint64_t gpa = pci_bar_address_locked(fn, bar);

	if (!(fn->config[PCI_COMMAND] & PCI_COMMAND_MEMORY))
		return SK_PCI_UNMAPPED;
	if (is_inside(&fn->pci->config.low, gpa, size_bytes) ||
	    is_inside(&fn->pci->config.high, gpa, size_bytes))
		return gpa;
	return SK_PCI_UNMAPPED;
}

void pci_fn_update_bars_locked(struct sk_pci_fn *fn)
{
	for (unsigned bar = 0; bar < SK_PCI_NR_BARS; bar++) {
		struct decoder *d = &fn->pci->decoders[fn->slot][bar];
		uint64_t gpa;

		if (!d->size_bytes)
			continue;
		gpa = decoded_locked(fn, bar, d->size_bytes);
		if (gpa == atomic_load_explicit(&d->gpa, memory_order_relaxed))
			continue;
		atomic_store_explicit(&d->gpa, gpa, memory_order_relaxed);
		if (fn->ops->bar_moved)
			fn->ops->bar_moved(fn->dev, bar, gpa);
	}
}

int pci_fn_update_msix_locked(struct sk_pci_fn *fn)
{
	bool is_master = fn->config[PCI_COMMAND] & PCI_COMMAND_MASTER;

	if (!fn->msix)
		return 0;
	return msix_set_control(fn->msix, sk_load_le16(fn->config + fn->msix->cap + PCI_MSIX_FLAGS),
				is_master);
}

/* The guest reads or writes something that the device may want to know of. */
static bool is_of_the_device(const struct sk_pci_fn *fn, unsigned offset, unsigned size_bytes)
{
	return fn && fn->ops && offset < CONFIG_BYTES &&
	       offset + size_bytes > PCI_STD_HEADER_SIZEOF;
}

/* An access that runs out of the function's space is nobody's. */
static struct sk_pci_fn *find(struct sk_pci *pci, unsigned slot, unsigned offset,
			      unsigned size_bytes)
{
	if (slot >= SK_PCI_NR_SLOTS || !pci_is_width(size_bytes) ||
	    !sk_range_fits(offset, size_bytes, ECAM_FN_BYTES))
		return NULL;
	return pci->slots[slot];
}

uint64_t pci_config_read(struct sk_pci *pci, unsigned slot, unsigned offset, unsigned size_bytes)
{
	struct sk_pci_fn *fn = find(pci, slot, offset, size_bytes);
	uint64_t value = 0;

	if (!fn)
		return UINT64_MAX;
	if (is_of_the_device(fn, offset, size_bytes) && fn->ops->before_config_read)
		fn->ops->before_config_read(fn->dev, offset, size_bytes);
	pthread_mutex_lock(&pci->lock);
	for (unsigned i = 0; i < size_bytes && offset + i < CONFIG_BYTES; i++)
		value |= (uint64_t)fn->config[offset + i] << (8 * i);
	pthread_mutex_unlock(&pci->lock);
	return value;
}

static void write_byte_locked(struct sk_pci_fn *fn, unsigned offset, uint8_t value)
{
	const uint8_t writable = fn->writable[offset];
	uint8_t *byte = &fn->config[offset];

	*byte = (uint8_t)((*byte & ~writable) | (value & writable));
	*byte &= (uint8_t) ~(value & fn->clears[offset]);
}

void pci_config_write(struct sk_pci *pci, unsigned slot, unsigned offset, unsigned size_bytes,
		      uint64_t value)
{
	struct sk_pci_fn *fn = find(pci, slot, offset, size_bytes);

	if (!fn)
		return;
	pthread_mutex_lock(&pci->lock);
	for (unsigned i = 0; i < size_bytes && offset + i < CONFIG_BYTES; i++)
		write_byte_locked(fn, offset + i, (uint8_t)(value >> (8 * i)));
	if (sk_ranges_overlap(offset, size_bytes, PCI_COMMAND, 2) ||
	    sk_ranges_overlap(offset, size_bytes, PCI_BASE_ADDRESS_0, BARS_BYTES))
		pci_fn_update_bars_locked(fn);
	if (sk_ranges_overlap(offset, size_bytes, PCI_COMMAND, 2) ||
	    (fn->msix && sk_ranges_overlap(offset, size_bytes, fn->msix->cap, PCI_CAP_MSIX_SIZEOF)))
		/* A failure has been logged; the guest, whose registers are right, cannot be told.
		 */
		(void)!pci_fn_update_msix_locked(fn);
	pthread_mutex_unlock(&pci->lock);
	if (is_of_the_device(fn, offset, size_bytes) && fn->ops->after_config_write)
		fn->ops->after_config_write(fn->dev, offset, size_bytes);
}
