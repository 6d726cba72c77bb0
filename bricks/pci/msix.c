/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * MSI-X (PCI 3.0, 6.8.2): table, pending bits, and the eventfd behind each vector.
 *
 * As with the pins of dev/ioapic it is the order of the changes that keeps interrupts from being
 * lost: a vector that may speak gets its route before its eventfd is connected (connecting delivers
 * what is pending); one that may not is first disconnected, which delivers what came before, and
 * keeps its route. The number of routes and descriptors is fixed by the number of vectors.
 */
#include "pci_internal.h"

#include <inttypes.h>
#include <poll.h>

#define ENTRY_BYTES  PCI_MSIX_ENTRY_SIZE
#define ADDRESS_MASK (~UINT64_C(3)) /* the low two bits are always zero */
#define APIC_ADDRESS UINT64_C(0xfee00000)
#define APIC_BITS    UINT64_C(0x000fffff)
#define POLL_MAX     64

enum { FLAG_MASKED = 1, FLAG_PENDING = 2 };

/* Anything else would be a write to memory, which is nobody's interrupt. */
static bool is_interrupt(const struct sk_pci_msi *msi)
{
	return (msi->address & ~APIC_BITS) == APIC_ADDRESS;
}

static int update_route_locked(struct msix *msix, uint32_t n)
{
	const struct sk_pci_config *c = &msix->fn->pci->config;
	struct vector *v = &msix->vectors[n];
	int ret;

	if (v->has_route && v->route.address == v->msi.address && v->route.data == v->msi.data)
		return 0;
	ret = c->msi->route(c->msi_ctx, msix->first_id + n, &v->msi);
	/* After a failure nobody knows what KVM has: say it again next time. */
	v->has_route = !ret;
	v->route = v->msi;
	return ret;
}

static int update_connection_locked(struct msix *msix, uint32_t n, bool is_wanted)
{
	const struct sk_pci_config *c = &msix->fn->pci->config;
	struct vector *v = &msix->vectors[n];
	int ret;

	if (v->is_connected == is_wanted)
		return 0;
	if (is_wanted)
		ret = c->msi->connect(c->msi_ctx, msix->first_id + n, v->fd);
	else
		ret = c->msi->disconnect(c->msi_ctx, msix->first_id + n, v->fd);
	if (!ret)
		v->is_connected = is_wanted;
	return ret;
}

static int update_locked(struct msix *msix, uint32_t n)
{
	struct vector *v = &msix->vectors[n];
	bool is_open = msix->may_speak && !v->is_masked && is_interrupt(&v->msi);
	int ret = is_open ? update_route_locked(msix, n) : 0;

	/* Without a route the signals would be dropped: let them wait in the eventfd. */
	if (ret)
		(void)!update_connection_locked(msix, n, false);
	else
		ret = update_connection_locked(msix, n, is_open);
	if (ret && !v->is_failing)
		sk_logf(msix->fn->pci->config.log, SK_LOG_ERROR,
			"interrupt %u of %s cannot be %s: %s (it may stay out)", n, msix->fn->name,
			is_open ? "connected" : "disconnected", strerror(-ret));
	v->is_failing = ret != 0;
	return ret;
}

int msix_set_control(struct msix *msix, uint16_t control, bool is_master)
{
	bool is_enabled = control & PCI_MSIX_FLAGS_ENABLE;
	bool may_speak = is_enabled && !(control & PCI_MSIX_FLAGS_MASKALL) && is_master;
	int first = 0;

	pthread_mutex_lock(&msix->lock);
	atomic_store_explicit(&msix->is_enabled, is_enabled, memory_order_relaxed);
	if (may_speak != msix->may_speak) {
		msix->may_speak = may_speak;
		for (uint32_t n = 0; n < msix->config.nr_vectors; n++) {
			int ret = update_locked(msix, n);

			first = first ? first : ret;
		}
	}
	pthread_mutex_unlock(&msix->lock);
	return first;
}

static uint8_t entry_byte(const struct vector *v, unsigned at)
{
	if (at < PCI_MSIX_ENTRY_DATA)
		return (uint8_t)(v->msi.address >> (8 * at));
	if (at < PCI_MSIX_ENTRY_VECTOR_CTRL)
		return (uint8_t)(v->msi.data >> (8 * (at - PCI_MSIX_ENTRY_DATA)));
	return at == PCI_MSIX_ENTRY_VECTOR_CTRL ? v->is_masked : 0;
}

static uint64_t read_table_locked(const struct msix *msix, uint64_t at, unsigned size_bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < size_bytes; i++, at++)
		value |= (uint64_t)entry_byte(&msix->vectors[at / ENTRY_BYTES], at % ENTRY_BYTES)
			 << (8 * i);
	return value;
}

/* Bit i: vector @first + i waits in its eventfd. @nr is at most POLL_MAX. */
static uint64_t pending_locked(const struct msix *msix, uint64_t first, unsigned nr)
{
	struct pollfd fds[POLL_MAX];
	uint64_t bits = 0;

	for (unsigned i = 0; i < nr; i++) {
		const struct vector *v = &msix->vectors[first + i];

		fds[i] = (struct pollfd){.fd = -1, .events = POLLIN};
		if (first + i < msix->config.nr_vectors && !v->is_connected)
			fds[i].fd = v->fd;
	}
	if (poll(fds, nr, 0) <= 0)
		return 0;
	for (unsigned i = 0; i < nr; i++)
		bits |= (uint64_t)(fds[i].revents & POLLIN ? 1 : 0) << i;
	return bits;
}

static bool is_in(uint64_t offset, unsigned size_bytes, uint32_t start, uint32_t len_bytes)
{
	return offset >= start && sk_range_fits(offset - start, size_bytes, len_bytes);
}

bool msix_read(struct msix *msix, unsigned bar, uint64_t offset, unsigned size_bytes,
	       uint64_t *value)
{
	const struct sk_pci_msix_config *c = &msix->config;
	bool is_table = is_in(offset, size_bytes, c->table_offset, msix->table_bytes);

	if (bar != c->bar ||
	    (!is_table && !is_in(offset, size_bytes, c->pba_offset, msix->pba_bytes)))
		return false;
	pthread_mutex_lock(&msix->lock);
	*value = is_table ? read_table_locked(msix, offset - c->table_offset, size_bytes)
			  : pending_locked(msix, (offset - c->pba_offset) * 8, 8 * size_bytes);
	pthread_mutex_unlock(&msix->lock);
	return true;
}

static void write_dword_locked(struct vector *v, unsigned at, uint32_t value)
{
	uint64_t low = UINT32_MAX;

	switch (at) {
	case PCI_MSIX_ENTRY_LOWER_ADDR:
		v->msi.address = (v->msi.address & ~low) | (value & ADDRESS_MASK);
		break;
	case PCI_MSIX_ENTRY_UPPER_ADDR:
		v->msi.address = (v->msi.address & low) | (uint64_t)value << 32;
		break;
	case PCI_MSIX_ENTRY_DATA:
		v->msi.data = value;
		break;
	case PCI_MSIX_ENTRY_VECTOR_CTRL:
		v->is_masked = value & PCI_MSIX_ENTRY_CTRL_MASKBIT;
		break;
	}
}

bool msix_write(struct msix *msix, unsigned bar, uint64_t offset, unsigned size_bytes,
		uint64_t value)
{
	const struct sk_pci_msix_config *c = &msix->config;
	uint64_t at = offset - c->table_offset;
	struct vector *v;

	if (bar != c->bar)
		return false;
	if (!is_in(offset, size_bytes, c->table_offset, msix->table_bytes))
		return is_in(offset, size_bytes, c->pba_offset, msix->pba_bytes);
	/* 6.8.2: only aligned dwords and qwords mean anything. */
	if (size_bytes < 4 || !sk_is_aligned(at, size_bytes)) {
		pci_count_unclaimed(msix->fn->pci);
		return true;
	}
	v = &msix->vectors[at / ENTRY_BYTES];
	pthread_mutex_lock(&msix->lock);
	write_dword_locked(v, at % ENTRY_BYTES, (uint32_t)value);
	if (size_bytes == 8)
		write_dword_locked(v, at % ENTRY_BYTES + 4, (uint32_t)(value >> 32));
	/* A failure has been logged; the guest cannot be told. */
	(void)!update_locked(msix, (uint32_t)(at / ENTRY_BYTES));
	pthread_mutex_unlock(&msix->lock);
	return true;
}

static int check_config(const struct sk_pci_fn *fn, const struct sk_pci_msix_config *c,
			uint32_t table_bytes, uint32_t pba_bytes, struct sk_error *err)
{
	const struct decoder *d;

	if (c->bar >= SK_PCI_NR_BARS || c->nr_vectors < 1 || c->nr_vectors > SK_PCI_MAX_VECTORS ||
	    fn->msix)
		return sk_error_set(err, -EINVAL, "pci: %s cannot have %u vectors in BAR %u",
				    fn->name, c->nr_vectors, c->bar);
	d = &fn->pci->decoders[fn->slot][c->bar];
	if (!sk_is_aligned(c->table_offset | c->pba_offset, 8) ||
	    !sk_range_fits(c->table_offset, table_bytes, d->size_bytes) ||
	    !sk_range_fits(c->pba_offset, pba_bytes, d->size_bytes) ||
	    sk_ranges_overlap(c->table_offset, table_bytes, c->pba_offset, pba_bytes))
		return sk_error_set(err, -EINVAL,
				    "pci: the vectors of %s do not fit at 0x%x and 0x%x of BAR %u",
				    fn->name, c->table_offset, c->pba_offset, c->bar);
	return 0;
}

static int add_capability(struct sk_pci_fn *fn, const struct sk_pci_msix_config *c,
			  struct sk_error *err)
{
	uint8_t body[PCI_CAP_MSIX_SIZEOF - 2] = {0}, writable[PCI_CAP_MSIX_SIZEOF - 2] = {0};
	int ret;

	sk_store_le16(body, (uint16_t)(c->nr_vectors - 1));
	sk_store_le16(writable, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	sk_store_le32(body + PCI_MSIX_TABLE - 2, c->table_offset | c->bar);
	sk_store_le32(body + PCI_MSIX_PBA - 2, c->pba_offset | c->bar);
	ret = sk_pci_fn_add_capability(fn, PCI_CAP_ID_MSIX, body, sizeof(body), writable);
	if (ret < 0)
		return sk_error_set(err, ret, "pci: no room for the MSI-X capability of %s",
				    fn->name);
	return ret;
}

/* The eventfds, and with them the ids. */
static int allocate(struct msix *msix, struct sk_error *err)
{
	const struct sk_pci_config *c = &msix->fn->pci->config;
	int ret;

	for (uint32_t n = 0; n < msix->config.nr_vectors; n++) {
		struct vector *v = &msix->vectors[n];

		v->fd = sk_eventfd_create();
		if (v->fd < 0)
			return sk_error_set(err, v->fd,
					    "pci: no eventfd for interrupt %u of %s: %s", n,
					    msix->fn->name, strerror(-v->fd));
	}
	ret = c->msi->allocate(c->msi_ctx, msix->config.nr_vectors, &msix->first_id);
	if (ret)
		return sk_error_set(err, ret, "pci: no room for the %u interrupts of %s: %s",
				    msix->config.nr_vectors, msix->fn->name, strerror(-ret));
	return 0;
}

int sk_pci_fn_add_msix(struct sk_pci_fn *fn, const struct sk_pci_msix_config *config,
		       struct sk_error *err)
{
	const uint32_t table_bytes = config->nr_vectors * ENTRY_BYTES;
	const uint32_t pba_bytes = (config->nr_vectors + 63u) / 64 * 8;
	struct msix *msix;
	int ret = check_config(fn, config, table_bytes, pba_bytes, err);

	if (ret)
		return ret;
	msix = calloc(1, sizeof(*msix) + config->nr_vectors * sizeof(msix->vectors[0]));
	if (!msix)
		return sk_error_set(err, -ENOMEM, "pci: out of memory for %s", fn->name);
	msix->fn = fn;
	msix->config = *config;
	msix->table_bytes = table_bytes;
	msix->pba_bytes = pba_bytes;
	for (uint32_t n = 0; n < config->nr_vectors; n++)
		msix->vectors[n] = (struct vector){.is_masked = true, .fd = -1};
	pthread_mutex_init(&msix->lock, NULL);
	ret = allocate(msix, err);
	if (!ret)
		ret = add_capability(fn, config, err);
	if (ret < 0) {
		msix_destroy(msix);
		return ret;
	}
	msix->cap = (unsigned)ret;
	fn->msix = msix;
	return 0;
}

void msix_destroy(struct msix *msix)
{
	if (!msix)
		return;
	for (uint32_t n = 0; n < msix->config.nr_vectors; n++) {
		(void)!update_connection_locked(msix, n, false);
		sk_close(&msix->vectors[n].fd);
	}
	pthread_mutex_destroy(&msix->lock);
	free(msix);
}

int sk_pci_fn_vector_fd(const struct sk_pci_fn *fn, uint32_t vector)
{
	if (!fn->msix || vector >= fn->msix->config.nr_vectors)
		return -1;
	return fn->msix->vectors[vector].fd;
}

bool sk_pci_fn_is_msix_enabled(const struct sk_pci_fn *fn)
{
	return fn->msix && atomic_load_explicit(&fn->msix->is_enabled, memory_order_relaxed);
}

void msix_save(struct msix *msix, struct sk_writer *w)
{
	pthread_mutex_lock(&msix->lock);
	for (uint32_t n = 0; n < msix->config.nr_vectors; n++) {
		const struct vector *v = &msix->vectors[n];

		sk_put_u64(w, v->msi.address);
		sk_put_u32(w, v->msi.data);
		sk_put_u8(w, (uint8_t)((v->is_masked ? FLAG_MASKED : 0) |
				       (pending_locked(msix, n, 1) ? FLAG_PENDING : 0)));
	}
	pthread_mutex_unlock(&msix->lock);
}

bool msix_read_saved(struct sk_reader *r, struct saved_vector *saved)
{
	saved->msi.address = sk_get_u64(r);
	saved->msi.data = sk_get_u32(r);
	saved->flags = sk_get_u8(r);
	return !(saved->msi.address & ~ADDRESS_MASK) &&
	       !(saved->flags & ~(FLAG_MASKED | FLAG_PENDING));
}

void msix_restore(struct msix *msix, uint32_t index, const struct saved_vector *saved)
{
	struct vector *v = &msix->vectors[index];

	pthread_mutex_lock(&msix->lock);
	v->msi = saved->msi;
	v->is_masked = saved->flags & FLAG_MASKED;
	(void)sk_eventfd_drain(v->fd);
	if (saved->flags & FLAG_PENDING)
		sk_eventfd_signal(v->fd);
	pthread_mutex_unlock(&msix->lock);
}
