/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The bus: what the machine's buses see of it. Ports as in PCI 3.0, 3.2.2.3.2 (configuration
 * mechanism 1), ECAM as in PCI Express 5.0, 7.2.2.
 */
#include "pci_internal.h"

#include <inttypes.h>

/* Port 0xcf8 */
#define ADDRESS_ENABLE	    0x80000000u
#define ADDRESS_BUS(a)	    ((a) >> 16 & 0xff)
#define ADDRESS_SLOT(a)	    ((a) >> 11 & 0x1f)
#define ADDRESS_FN(a)	    ((a) >> 8 & 7)
#define ADDRESS_REGISTER(a) ((a)&0xfc)
#define DATA_PORT_OFFSET    4

/* ECAM */
#define ECAM_SLOT(o)	    ((unsigned)((o) >> 15 & 0x1f))
#define ECAM_FN(o)	    ((o) >> 12 & 7)

void pci_count_unclaimed(struct sk_pci *pci)
{
	atomic_fetch_add_explicit(&pci->unclaimed, 1, memory_order_relaxed);
}

uint64_t sk_pci_unclaimed(const struct sk_pci *pci)
{
	return atomic_load_explicit(&pci->unclaimed, memory_order_relaxed);
}

/* The slot that port 0xcf8 selects, or SK_PCI_NR_SLOTS: nobody. */
static unsigned selected_slot(uint32_t address)
{
	if (!(address & ADDRESS_ENABLE) || ADDRESS_BUS(address) || ADDRESS_FN(address))
		return SK_PCI_NR_SLOTS;
	return ADDRESS_SLOT(address);
}

static uint32_t get_address(struct sk_pci *pci)
{
	uint32_t address;

	pthread_mutex_lock(&pci->lock);
	address = pci->address;
	pthread_mutex_unlock(&pci->lock);
	return address;
}

/* A dword at 0xcf8 is the address; narrower accesses there are not ours (0xcf9 resets a PC). */
static uint64_t ports_read(void *dev, uint64_t offset, unsigned size_bytes)
{
	struct sk_pci *pci = dev;
	uint32_t address = get_address(pci);

	if (offset < DATA_PORT_OFFSET)
		return offset == 0 && size_bytes == 4 ? address : UINT64_MAX;
	return pci_config_read(pci, selected_slot(address),
			       ADDRESS_REGISTER(address) + (unsigned)offset - DATA_PORT_OFFSET,
			       size_bytes);
}

static void ports_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
	struct sk_pci *pci = dev;
	uint32_t address;

	if (offset == 0 && size_bytes == 4) {
		pthread_mutex_lock(&pci->lock);
		pci->address = (uint32_t)value;
		pthread_mutex_unlock(&pci->lock);
	}
	if (offset < DATA_PORT_OFFSET)
		return;
	address = get_address(pci);
	pci_config_write(pci, selected_slot(address),
			 ADDRESS_REGISTER(address) + (unsigned)offset - DATA_PORT_OFFSET,
			 size_bytes, value);
}

static unsigned ecam_slot(uint64_t offset)
{
	return ECAM_FN(offset) ? SK_PCI_NR_SLOTS : ECAM_SLOT(offset);
}

static uint64_t ecam_read(void *dev, uint64_t offset, unsigned size_bytes)
{
	return pci_config_read(dev, ecam_slot(offset), offset % ECAM_FN_BYTES, size_bytes);
}

static void ecam_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
	pci_config_write(dev, ecam_slot(offset), offset % ECAM_FN_BYTES, size_bytes, value);
}

/* The BAR that the whole access lies in, or NULL. */
static struct decoder *find(struct sk_pci *pci, uint64_t gpa, unsigned size_bytes, uint64_t *offset)
{
	struct decoder *d = &pci->decoders[0][0];

	for (unsigned i = 0; i < pci->end_slot * SK_PCI_NR_BARS; i++, d++) {
		uint64_t base;

		if (!d->size_bytes)
			continue;
		base = atomic_load_explicit(&d->gpa, memory_order_relaxed);
		if (base == SK_PCI_UNMAPPED || gpa < base)
			continue;
		*offset = gpa - base;
		if (sk_range_fits(*offset, size_bytes, d->size_bytes))
			return d;
	}
	pci_count_unclaimed(pci);
	return NULL;
}

static unsigned bar_of(const struct sk_pci *pci, const struct decoder *d)
{
	return (unsigned)(d - &pci->decoders[0][0]) % SK_PCI_NR_BARS;
}

static uint64_t window_read(void *dev, uint64_t offset, unsigned size_bytes)
{
	struct window *w = dev;
	struct decoder *d = find(w->pci, w->range.gpa + offset, size_bytes, &offset);

	return d ? pci_fn_bar_read(d->fn, bar_of(w->pci, d), offset, size_bytes) : UINT64_MAX;
}

static void window_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
	struct window *w = dev;
	struct decoder *d = find(w->pci, w->range.gpa + offset, size_bytes, &offset);

	if (d)
		pci_fn_bar_write(d->fn, bar_of(w->pci, d), offset, size_bytes, value);
}

static const struct sk_bus_ops ports_ops = {.read = ports_read, .write = ports_write};
static const struct sk_bus_ops ecam_ops = {.read = ecam_read, .write = ecam_write};
static const struct sk_bus_ops window_ops = {.read = window_read, .write = window_write};

static int attach_window(struct window *w, struct sk_bus *mmio, const char *name,
			 struct sk_error *err)
{
	if (!w->range.len_bytes)
		return 0;
	return sk_bus_add(mmio, w->range.gpa, w->range.len_bytes, &window_ops, w, name, err);
}

int sk_pci_attach(struct sk_pci *pci, struct sk_bus *pio, struct sk_bus *mmio, struct sk_error *err)
{
	int ret = sk_bus_add(pio, SK_PCI_PORT, SK_PCI_PORTS, &ports_ops, pci, "pci ports", err);

	if (ret)
		return ret;
	ret = sk_bus_add(mmio, pci->config.ecam_gpa, SK_PCI_ECAM_BYTES, &ecam_ops, pci, "pci ecam",
			 err);
	if (ret)
		return ret;
	ret = attach_window(&pci->low, mmio, "pci window", err);
	return ret ? ret : attach_window(&pci->high, mmio, "pci window, 64 bits", err);
}

static int check_config(const struct sk_pci_config *c, struct sk_error *err)
{
	const struct sk_pci_msi_ops *msi = c->msi;

	if (!msi || !msi->allocate || !msi->route || !msi->connect || !msi->disconnect)
		return sk_error_set(err, -EINVAL, "pci: a callback for messages is missing");
	if (!sk_is_aligned(c->ecam_gpa, SK_PCI_ECAM_BYTES))
		return sk_error_set(err, -EINVAL,
				    "pci: ECAM at 0x%" PRIx64 ", which is no multiple of 1 MiB",
				    c->ecam_gpa);
	if (!sk_range_fits(c->low.gpa, c->low.len_bytes, UINT64_C(1) << 32))
		return sk_error_set(err, -EINVAL,
				    "pci: the low window at 0x%" PRIx64 " ends above 4 GiB",
				    c->low.gpa);
	if (!sk_range_fits(c->high.gpa, c->high.len_bytes, UINT64_MAX))
		return sk_error_set(err, -EINVAL, "pci: the high window at 0x%" PRIx64 " wraps",
				    c->high.gpa);
	return 0;
}

int sk_pci_create(struct sk_pci **out, const struct sk_pci_config *config, struct sk_error *err)
{
	const struct sk_pci_fn_config bridge_config = {
		.vendor_id = config->vendor_id,
		.device_id = config->device_id,
		.class_code = 0x060000,
		.name = "host bridge",
	};
	struct sk_pci_fn *bridge;
	struct sk_pci *pci;
	int ret = check_config(config, err);

	if (ret)
		return ret;
	pci = calloc(1, sizeof(*pci));
	if (!pci)
		return sk_error_set(err, -ENOMEM, "pci: out of memory");
	pci->config = *config;
	pci->low = (struct window){pci, config->low};
	pci->high = (struct window){pci, config->high};
	pthread_mutex_init(&pci->lock, NULL);
	ret = sk_pci_fn_create(&bridge, pci, &bridge_config, err);
	if (ret) {
		sk_pci_destroy(pci);
		return ret;
	}
	*out = pci;
	return 0;
}

void sk_pci_destroy(struct sk_pci *pci)
{
	if (!pci)
		return;
	sk_pci_fn_destroy(pci->slots[BRIDGE_SLOT]);
	for (unsigned slot = 0; slot < SK_PCI_NR_SLOTS; slot++)
		BUG_ON(pci->slots[slot] != NULL);
	pthread_mutex_destroy(&pci->lock);
	free(pci);
}
