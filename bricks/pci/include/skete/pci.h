/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * A PCI bus: the host bridge in slot 0 and functions of header type 0 in the other slots, their
 * configuration space (PCI 3.0, section 6; reached by the ports 0xcf8 and 0xcfc, and by ECAM, PCI
 * Express 5.0, 7.2.2), their memory BARs, and MSI-X (PCI 3.0, 6.8.2). One bus, number 0; one
 * function in a slot; no I/O BARs, no interrupt pins, no hot-plug.
 *
 *   ports, ECAM ----> configuration space ---- command, BARs ----> where each BAR answers
 *                        (one mutex)       \                              | (atomic)
 *                                           `- MSI-X control              v
 *   windows of the bus -------------------------------------> find the BAR: no lock
 *                                                              |             |
 *                                                       the device       MSI-X table, PBA
 *
 * A BAR answers only where it lies wholly inside one of the two windows: so a guest that moves a
 * BAR over RAM or over another device of the machine only makes it vanish. The windows are ranges
 * of the bus (bricks/bus) that never change; a BAR that moves changes one atomic word, so a guest
 * that moves BARs in a loop costs no memory, and other vCPUs go on. Of two BARs at one address the
 * one in the lower slot answers.
 *
 * An interrupt is an eventfd per vector. It is connected (KVM's irqfd) while the vector may speak:
 * MSI-X enabled, neither the function nor the vector masked, bus master on, and an address that is
 * a local APIC's. Otherwise the eventfd counts: that is the pending bit, and it is delivered, once,
 * when the vector may speak again. Routes and descriptors are allocated at create: no guest
 * changes their number.
 *
 * Bus master holds interrupts back; what the device reads and writes in guest memory is up to it.
 *
 * Threading class: create, add and destroy belong to the owner, before or after the guest runs.
 * The registers, sk_pci_fn_window_*, get_config, set_config and save are internally locked.
 * Callbacks come from the vCPU whose access needs them.
 */
#ifndef SKETE_PCI_H
#define SKETE_PCI_H

#include <skete/base.h>
#include <skete/bus.h>

#define SK_PCI_NR_SLOTS	   32
#define SK_PCI_NR_BARS	   6
#define SK_PCI_MAX_VECTORS 2048
#define SK_PCI_PORT	   0xcf8
#define SK_PCI_PORTS	   8
#define SK_PCI_ECAM_BYTES  SK_MIB /* of one bus */
#define SK_PCI_UNMAPPED	   UINT64_MAX

struct sk_pci;
struct sk_pci_fn;

/* A message to the local APICs. */
struct sk_pci_msi {
	uint64_t address;
	uint32_t data;
};

/*
 * Where interrupts go; all are required. Calls for one function come one at a time, for different
 * functions at the same time; they must not call back. An id stands for one vector.
 */
struct sk_pci_msi_ops {
	/* @count ids in a row, for good. 0 or -errno (-ENOSPC). */
	int (*allocate)(void *ctx, uint32_t count, uint32_t *first_id);
	/* What @id sends from now on, connected or not. */
	int (*route)(void *ctx, uint32_t id, const struct sk_pci_msi *msi);
	/*
	 * Signals of @fd (an eventfd) become the message of @id, one that is pending there
	 * included. After disconnect nobody reads @fd, and what was signalled before has been
	 * delivered.
	 */
	int (*connect)(void *ctx, uint32_t id, int fd);
	int (*disconnect)(void *ctx, uint32_t id, int fd);
};

struct sk_pci_window {
	uint64_t gpa;
	uint64_t len_bytes; /* 0: there is none */
};

struct sk_pci_config {
	uint16_t vendor_id, device_id; /* of the host bridge */
	uint64_t ecam_gpa;	       /* a multiple of SK_PCI_ECAM_BYTES */
	struct sk_pci_window low;      /* below 4 GiB */
	struct sk_pci_window high;     /* for 64-bit BARs */
	const struct sk_pci_msi_ops *msi;
	void *msi_ctx;
	const struct sk_log *log; /* NULL or borrowed: a vector that cannot be connected, once */
};

/* Errors: -EINVAL (a window that wraps or lies on the wrong side, a callback missing), -ENOMEM. */
int sk_pci_create(struct sk_pci **out, const struct sk_pci_config *config,
		  struct sk_error *err) SK_MUST_CHECK;
/* After all functions but the bridge, which is its own. NULL is fine. */
void sk_pci_destroy(struct sk_pci *pci);

/* Puts ports, ECAM and windows on the machine's buses, for life. Errors: those of sk_bus_add(). */
int sk_pci_attach(struct sk_pci *pci, struct sk_bus *pio, struct sk_bus *mmio,
		  struct sk_error *err) SK_MUST_CHECK;

/*
 * Gives every BAR an address, as firmware would: 64-bit BARs of 16 MiB and more in the high
 * window, all others in the low one, where every guest reaches them. The memory bit of the command
 * registers stays off. -ENOSPC: a window is full; the sentence says which BAR.
 */
int sk_pci_assign(struct sk_pci *pci, struct sk_error *err) SK_MUST_CHECK;

/* How many accesses to the windows no BAR answered, and how many were not what a BAR takes. */
uint64_t sk_pci_unclaimed(const struct sk_pci *pci);

/*
 * The state of bridge and functions: configuration space, MSI-X tables, pending bits; what is
 * behind the BARs is the devices'. No vCPU runs and no device signals. restore wants the same
 * functions in the same slots, checks everything first, and then tells the devices where their
 * BARs are and connects vectors. -EINVAL: not such a state, and nothing has changed; after another
 * error, a callback's, the machine can only be destroyed.
 */
void sk_pci_save(struct sk_pci *pci, struct sk_writer *w);
int sk_pci_restore(struct sk_pci *pci, struct sk_reader *r, struct sk_error *err) SK_MUST_CHECK;

/* ---- Functions ---- */

/* What a device supplies. NULL ops: a function without BARs. */
struct sk_pci_fn_ops {
	/*
	 * The whole access lies in BAR @bar (its first register's index) and outside of the MSI-X
	 * structures; @size_bytes is 1, 2, 4 or 8. From any vCPU thread, several at once.
	 */
	uint64_t (*bar_read)(void *dev, unsigned bar, uint64_t offset, unsigned size_bytes);
	void (*bar_write)(void *dev, unsigned bar, uint64_t offset, unsigned size_bytes,
			  uint64_t value);
	/*
	 * Optional: BAR @bar answers at @gpa now, or nowhere (SK_PCI_UNMAPPED). One at a time, with
	 * the lock held: must not call back.
	 */
	void (*bar_moved)(void *dev, unsigned bar, uint64_t gpa);
	/*
	 * Optional: the guest reads, or has written, @size_bytes of the device's capabilities.
	 * Without the lock: get_config, set_config and window_* may be called.
	 */
	void (*before_config_read)(void *dev, unsigned offset, unsigned size_bytes);
	void (*after_config_write)(void *dev, unsigned offset, unsigned size_bytes);
};

struct sk_pci_fn_config {
	uint16_t vendor_id, device_id, subsystem_vendor_id, subsystem_id;
	uint32_t class_code; /* base class, subclass, interface: 24 bits */
	uint8_t revision;
	const char *name; /* for messages; copied, cut at 31 bytes */
	const struct sk_pci_fn_ops *ops;
	void *dev;
};

/* A function in the next free slot. Errors: -ENOSPC (31 are there), -ENOMEM. */
int sk_pci_fn_create(struct sk_pci_fn **out, struct sk_pci *pci,
		     const struct sk_pci_fn_config *config, struct sk_error *err) SK_MUST_CHECK;
/* Disconnects its vectors and tells nobody. NULL is fine. */
void sk_pci_fn_destroy(struct sk_pci_fn *fn);

unsigned sk_pci_fn_slot(const struct sk_pci_fn *fn);

enum sk_pci_bar_kind { SK_PCI_BAR_32, SK_PCI_BAR_64 };

/*
 * A memory BAR, not prefetchable. @size_bytes is a power of two, at least 4 KiB; for BAR_32 at most
 * 2 GiB. BAR_64 takes @bar and @bar + 1. Errors: -EINVAL, -EEXIST.
 */
int sk_pci_fn_add_bar(struct sk_pci_fn *fn, unsigned bar, enum sk_pci_bar_kind kind,
		      uint64_t size_bytes, struct sk_error *err) SK_MUST_CHECK;

/*
 * Adds capability @id; @body is what follows its first two bytes, @writable has a bit for each that
 * the guest may write (NULL: none). Returns its offset in the configuration space (a multiple of 4)
 * or -ENOSPC.
 */
int sk_pci_fn_add_capability(struct sk_pci_fn *fn, uint8_t id, const void *body, size_t len_bytes,
			     const void *writable) SK_MUST_CHECK;

/*
 * Adds MSI-X with its table (16 bytes a vector, at a multiple of 8) and its pending bits (8 bytes
 * for 64 vectors, likewise) in @bar, which exists. Errors: -EINVAL, -ENOSPC, -ENOMEM, -EMFILE, or
 * allocate's.
 */
struct sk_pci_msix_config {
	unsigned bar;
	uint32_t table_offset, pba_offset;
	uint16_t nr_vectors; /* 1 to SK_PCI_MAX_VECTORS */
};

int sk_pci_fn_add_msix(struct sk_pci_fn *fn, const struct sk_pci_msix_config *config,
		       struct sk_error *err) SK_MUST_CHECK;

/* The eventfd of @vector, borrowed until destroy: signal it at any time, from any thread. -1: none.
 */
int sk_pci_fn_vector_fd(const struct sk_pci_fn *fn, uint32_t vector);

/* Has the guest enabled MSI-X? */
bool sk_pci_fn_is_msix_enabled(const struct sk_pci_fn *fn);

/*
 * The device's own view of its configuration space: reads and sets bytes, whatever the guest may
 * write. Outside of the 256 bytes: zeroes, ignored. The header and MSI-X are not the device's to
 * set.
 */
void sk_pci_fn_get_config(struct sk_pci_fn *fn, unsigned offset, void *data, unsigned len_bytes);
void sk_pci_fn_set_config(struct sk_pci_fn *fn, unsigned offset, const void *data,
			  unsigned len_bytes);

/*
 * An access to BAR @bar at @offset as if it came through a window, mapped or not. One that does not
 * lie in a BAR, or of another width than 1, 2, 4 or 8, reads as ones and is not written.
 */
uint64_t sk_pci_fn_window_read(struct sk_pci_fn *fn, unsigned bar, uint64_t offset,
			       unsigned size_bytes);
void sk_pci_fn_window_write(struct sk_pci_fn *fn, unsigned bar, uint64_t offset,
			    unsigned size_bytes, uint64_t value);

#endif
