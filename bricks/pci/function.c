/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Functions: their making, and the way into their BARs. Registers as in PCI 3.0, 6.1 and 6.2. */
#include "pci_internal.h"

#include <inttypes.h>
#include <stdio.h>

#define COMMAND_WRITABLE                                                                   \
	(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | PCI_COMMAND_SERR | \
	 PCI_COMMAND_INTX_DISABLE)
#define STATUS_CLEARS                                                                    \
	(PCI_STATUS_PARITY | PCI_STATUS_SIG_TARGET_ABORT | PCI_STATUS_REC_TARGET_ABORT | \
	 PCI_STATUS_REC_MASTER_ABORT | PCI_STATUS_SIG_SYSTEM_ERROR | PCI_STATUS_DETECTED_PARITY)
#define FIRST_CAP	 0x40
#define MIN_BAR_BYTES	 UINT64_C(4096) /* so that two devices never share a page of the guest */
#define MAX_BAR_32_BYTES (2 * SK_GIB)
#define CAP_HEADER_BYTES 2

static void fill_header(struct sk_pci_fn *fn, const struct sk_pci_fn_config *c)
{
	uint8_t *config = fn->config;

	sk_store_le16(config + PCI_VENDOR_ID, c->vendor_id);
	sk_store_le16(config + PCI_DEVICE_ID, c->device_id);
	config[PCI_REVISION_ID] = c->revision;
	config[PCI_CLASS_PROG] = (uint8_t)c->class_code;
	sk_store_le16(config + PCI_CLASS_DEVICE, (uint16_t)(c->class_code >> 8));
	sk_store_le16(config + PCI_SUBSYSTEM_VENDOR_ID, c->subsystem_vendor_id);
	sk_store_le16(config + PCI_SUBSYSTEM_ID, c->subsystem_id);
	sk_store_le16(fn->writable + PCI_COMMAND, COMMAND_WRITABLE);
	sk_store_le16(fn->clears + PCI_STATUS, STATUS_CLEARS);
	fn->writable[PCI_CACHE_LINE_SIZE] = 0xff;
	fn->writable[PCI_LATENCY_TIMER] = 0xff;
	fn->writable[PCI_INTERRUPT_LINE] = 0xff;
}

int sk_pci_fn_create(struct sk_pci_fn **out, struct sk_pci *pci,
		     const struct sk_pci_fn_config *config, struct sk_error *err)
{
	struct sk_pci_fn *fn;
	unsigned slot = 0;

	while (slot < SK_PCI_NR_SLOTS && pci->slots[slot])
		slot++;
	if (slot == SK_PCI_NR_SLOTS)
		return sk_error_set(err, -ENOSPC,
				    "pci: no slot for %s: a machine has at most %d PCI devices",
				    config->name, SK_PCI_NR_SLOTS - 1);
	fn = calloc(1, sizeof(*fn));
	if (!fn)
		return sk_error_set(err, -ENOMEM, "pci: out of memory for %s", config->name);
	fn->pci = pci;
	fn->slot = slot;
	fn->ops = config->ops;
	fn->dev = config->dev;
	fn->cap_end = FIRST_CAP;
	snprintf(fn->name, sizeof(fn->name), "%s", config->name);
	fill_header(fn, config);
	pthread_mutex_lock(&pci->lock);
	pci->slots[slot] = fn;
	pci->end_slot = SK_MAX(pci->end_slot, slot + 1);
	pthread_mutex_unlock(&pci->lock);
	*out = fn;
	return 0;
}

void sk_pci_fn_destroy(struct sk_pci_fn *fn)
{
	struct sk_pci *pci;

	if (!fn)
		return;
	pci = fn->pci;
	pthread_mutex_lock(&pci->lock);
	pci->slots[fn->slot] = NULL;
	for (unsigned bar = 0; bar < SK_PCI_NR_BARS; bar++) {
		struct decoder *d = &pci->decoders[fn->slot][bar];

		atomic_store_explicit(&d->gpa, SK_PCI_UNMAPPED, memory_order_relaxed);
		d->size_bytes = 0;
		d->fn = NULL;
	}
	pthread_mutex_unlock(&pci->lock);
	msix_destroy(fn->msix);
	free(fn);
}

unsigned sk_pci_fn_slot(const struct sk_pci_fn *fn)
{
	return fn->slot;
}

/* Is register @bar taken, be it as the upper half of the one before? */
static bool is_taken(const struct sk_pci_fn *fn, unsigned bar)
{
	const unsigned at = PCI_BASE_ADDRESS_0 + 4 * bar;

	return sk_load_le32(fn->writable + at) || sk_load_le32(fn->config + at);
}

int sk_pci_fn_add_bar(struct sk_pci_fn *fn, unsigned bar, enum sk_pci_bar_kind kind,
		      uint64_t size_bytes, struct sk_error *err)
{
	const bool is_64 = kind == SK_PCI_BAR_64;
	const unsigned at = PCI_BASE_ADDRESS_0 + 4 * bar;
	struct decoder *d;

	if (bar + is_64 >= SK_PCI_NR_BARS || !fn->ops || !fn->ops->bar_read || !fn->ops->bar_write)
		return sk_error_set(err, -EINVAL, "pci: %s cannot have a BAR %u", fn->name, bar);
	if (size_bytes < MIN_BAR_BYTES || !sk_is_aligned(size_bytes, size_bytes) ||
	    (!is_64 && size_bytes > MAX_BAR_32_BYTES))
		return sk_error_set(err, -EINVAL,
				    "pci: BAR %u of %s cannot have 0x%" PRIx64 " bytes", bar,
				    fn->name, size_bytes);
	if (is_taken(fn, bar) || (is_64 && is_taken(fn, bar + 1)))
		return sk_error_set(err, -EEXIST, "pci: BAR %u of %s exists already", bar,
				    fn->name);
	sk_store_le32(fn->writable + at, (uint32_t) ~(size_bytes - 1));
	sk_store_le32(fn->config + at,
		      is_64 ? PCI_BASE_ADDRESS_MEM_TYPE_64 : PCI_BASE_ADDRESS_MEM_TYPE_32);
	if (is_64)
		sk_store_le32(fn->writable + at + 4, (uint32_t)(~(size_bytes - 1) >> 32));
	d = &fn->pci->decoders[fn->slot][bar];
	atomic_store_explicit(&d->gpa, SK_PCI_UNMAPPED, memory_order_relaxed);
	d->fn = fn;
	d->size_bytes = size_bytes;
	return 0;
}

int sk_pci_fn_add_capability(struct sk_pci_fn *fn, uint8_t id, const void *body, size_t len_bytes,
			     const void *writable)
{
	const unsigned at = fn->cap_end;
	uint64_t end;

	if (!sk_range_fits(at + CAP_HEADER_BYTES, len_bytes, CONFIG_BYTES))
		return -ENOSPC;
	/* CONFIG_BYTES is a multiple of 4, so this fits. */
	if (!sk_align_up(at + CAP_HEADER_BYTES + len_bytes, 4, &end))
		return -ENOSPC;
	fn->config[at] = id;
	memcpy(fn->config + at + CAP_HEADER_BYTES, body, len_bytes);
	if (writable)
		memcpy(fn->writable + at + CAP_HEADER_BYTES, writable, len_bytes);
	if (fn->last_cap) {
		fn->config[fn->last_cap + PCI_CAP_LIST_NEXT] = (uint8_t)at;
	} else {
		fn->config[PCI_CAPABILITY_LIST] = (uint8_t)at;
		fn->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	}
	fn->last_cap = at;
	fn->cap_end = (unsigned)end;
	return (int)at;
}

uint64_t pci_fn_bar_read(struct sk_pci_fn *fn, unsigned bar, uint64_t offset, unsigned size_bytes)
{
	uint64_t value;

	if (fn->msix && msix_read(fn->msix, bar, offset, size_bytes, &value))
		return value;
	return fn->ops->bar_read(fn->dev, bar, offset, size_bytes);
}

void pci_fn_bar_write(struct sk_pci_fn *fn, unsigned bar, uint64_t offset, unsigned size_bytes,
		      uint64_t value)
{
	if (fn->msix && msix_write(fn->msix, bar, offset, size_bytes, value))
		return;
	fn->ops->bar_write(fn->dev, bar, offset, size_bytes, value);
}

static bool is_in_bar(const struct sk_pci_fn *fn, unsigned bar, uint64_t offset,
		      unsigned size_bytes)
{
	return bar < SK_PCI_NR_BARS && pci_is_width(size_bytes) &&
	       sk_range_fits(offset, size_bytes, fn->pci->decoders[fn->slot][bar].size_bytes);
}

uint64_t sk_pci_fn_window_read(struct sk_pci_fn *fn, unsigned bar, uint64_t offset,
			       unsigned size_bytes)
{
	if (is_in_bar(fn, bar, offset, size_bytes))
		return pci_fn_bar_read(fn, bar, offset, size_bytes);
	pci_count_unclaimed(fn->pci);
	return UINT64_MAX;
}

void sk_pci_fn_window_write(struct sk_pci_fn *fn, unsigned bar, uint64_t offset,
			    unsigned size_bytes, uint64_t value)
{
	if (is_in_bar(fn, bar, offset, size_bytes))
		pci_fn_bar_write(fn, bar, offset, size_bytes, value);
	else
		pci_count_unclaimed(fn->pci);
}

void sk_pci_fn_get_config(struct sk_pci_fn *fn, unsigned offset, void *data, unsigned len_bytes)
{
	uint8_t *to = data;

	pthread_mutex_lock(&fn->pci->lock);
	for (unsigned i = 0; i < len_bytes; i++)
		to[i] = offset < CONFIG_BYTES && i < CONFIG_BYTES - offset ? fn->config[offset + i]
									   : 0;
	pthread_mutex_unlock(&fn->pci->lock);
}

void sk_pci_fn_set_config(struct sk_pci_fn *fn, unsigned offset, const void *data,
			  unsigned len_bytes)
{
	if (offset >= CONFIG_BYTES)
		return;
	pthread_mutex_lock(&fn->pci->lock);
	memcpy(fn->config + offset, data, SK_MIN(len_bytes, CONFIG_BYTES - offset));
	pthread_mutex_unlock(&fn->pci->lock);
}
