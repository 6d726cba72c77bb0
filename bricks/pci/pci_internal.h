/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The inside of the brick.
 *
 *   pci.c       the bus: ports, ECAM, windows, slots
 *   function.c  making functions, BARs and capabilities
 *   config.c    the guest's accesses to the configuration space, and what follows from them
 *   msix.c      vectors
 *   assign.c    addresses before boot
 *   state.c     save and restore
 *
 * Locks, in this order: sk_pci.lock, then that of one function's MSI-X, then the owner's behind the
 * callbacks.
 */
#ifndef SKETE_PCI_INTERNAL_H
#define SKETE_PCI_INTERNAL_H

#include <linux/pci_regs.h>
#include <pthread.h>
#include <stdatomic.h>

#include <skete/pci.h>

#define CONFIG_BYTES  256  /* without a PCI Express capability there are no more */
#define ECAM_FN_BYTES 4096 /* what ECAM has for each function */
#define NAME_BYTES    32
#define BRIDGE_SLOT   0

/*
 * Where a BAR answers: what a dispatch through a window looks at. One for each BAR that is
 * possible, at a fixed place, so that it outlives everything that may look at it.
 */
struct decoder {
	_Atomic uint64_t gpa; /* SK_PCI_UNMAPPED: nowhere. Relaxed: the rest does not change */
	uint64_t size_bytes;  /* immutable once the guest runs; 0: there is no such BAR */
	struct sk_pci_fn *fn;
};

struct vector {
	/* what the guest sees */
	struct sk_pci_msi msi;
	bool is_masked;
	/* what is behind it */
	int fd;
	bool is_connected;
	bool has_route;
	bool is_failing;	 /* the last change was refused, and that has been said */
	struct sk_pci_msi route; /* what the callback was told last */
};

struct msix {
	struct sk_pci_fn *fn;
	struct sk_pci_msix_config config; /* immutable */
	uint32_t table_bytes, pba_bytes;
	uint32_t first_id;
	unsigned cap; /* offset of the capability */

	pthread_mutex_t lock;	/* protects the rest, and serialises the callbacks */
	bool may_speak;		/* enabled, not masked, bus master */
	atomic_bool is_enabled; /* written with the lock held; relaxed */
	struct vector vectors[];
};

struct sk_pci_fn {
	struct sk_pci *pci;
	unsigned slot;
	char name[NAME_BYTES];
	const struct sk_pci_fn_ops *ops; /* NULL: no BARs */
	void *dev;
	unsigned cap_end; /* the first byte behind the capabilities */
	unsigned last_cap;
	struct msix *msix; /* NULL: none */

	/* protected by pci->lock */
	uint8_t config[CONFIG_BYTES];
	uint8_t writable[CONFIG_BYTES]; /* masks; immutable once the guest runs */
	uint8_t clears[CONFIG_BYTES];	/* bits that a written 1 clears */
};

struct window {
	struct sk_pci *pci;
	struct sk_pci_window range;
};

struct sk_pci {
	struct sk_pci_config config; /* immutable */
	struct window low, high;
	_Atomic uint64_t unclaimed; /* a statistic: relaxed */

	pthread_mutex_t lock;			  /* protects what follows and all spaces */
	uint32_t address;			  /* port 0xcf8 */
	struct sk_pci_fn *slots[SK_PCI_NR_SLOTS]; /* immutable once the guest runs */
	unsigned end_slot; /* behind the highest that was ever taken; likewise */

	/* written with the lock held, read without one */
	struct decoder decoders[SK_PCI_NR_SLOTS][SK_PCI_NR_BARS];
};

static inline bool pci_is_width(unsigned size_bytes)
{
	return size_bytes && size_bytes <= 8 && !(size_bytes & (size_bytes - 1));
}

static inline uint64_t pci_ones(unsigned size_bytes)
{
	return size_bytes >= 8 ? UINT64_MAX : (UINT64_C(1) << (8 * size_bytes)) - 1;
}

void pci_count_unclaimed(struct sk_pci *pci);

/* config.c: @size_bytes from @offset, both anything; what does not exist reads as ones. */
uint64_t pci_config_read(struct sk_pci *pci, unsigned slot, unsigned offset, unsigned size_bytes);
void pci_config_write(struct sk_pci *pci, unsigned slot, unsigned offset, unsigned size_bytes,
		      uint64_t value);
/* The address in BAR @bar's registers. The lock is held. */
uint64_t pci_bar_address_locked(const struct sk_pci_fn *fn, unsigned bar);
void pci_set_bar_address_locked(struct sk_pci_fn *fn, unsigned bar, uint64_t gpa);
/* Brings decoders and MSI-X up to what the registers say; tells the device what moved. */
void pci_fn_update_bars_locked(struct sk_pci_fn *fn);
/* 0, or the first error of a callback; the guest cannot be told. */
int pci_fn_update_msix_locked(struct sk_pci_fn *fn);

/* function.c: an access that lies in BAR @bar of @size_bytes. */
uint64_t pci_fn_bar_read(struct sk_pci_fn *fn, unsigned bar, uint64_t offset, unsigned size_bytes);
void pci_fn_bar_write(struct sk_pci_fn *fn, unsigned bar, uint64_t offset, unsigned size_bytes,
		      uint64_t value);

/* msix.c. read and write tell whether the access is theirs. */
bool msix_read(struct msix *msix, unsigned bar, uint64_t offset, unsigned size_bytes,
	       uint64_t *value);
bool msix_write(struct msix *msix, unsigned bar, uint64_t offset, unsigned size_bytes,
		uint64_t value);
/* The message control and command registers have changed. */
int msix_set_control(struct msix *msix, uint16_t control, bool is_master) SK_MUST_CHECK;
void msix_destroy(struct msix *msix);
void msix_save(struct msix *msix, struct sk_writer *w);

/* A saved vector, read and checked, and what makes it real. */
struct saved_vector {
	struct sk_pci_msi msi;
	uint8_t flags;
};

bool msix_read_saved(struct sk_reader *r, struct saved_vector *saved);
void msix_restore(struct msix *msix, uint32_t index, const struct saved_vector *saved);

#endif
