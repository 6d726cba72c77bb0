/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The PCI transport of virtio (virtio 1.2, 4.1), modern only: a function 1af4:1040+id of revision 1
 * with one BAR, on the bus of bricks/pci. It stands between the registers, which vCPUs access, and
 * the core of a device (struct sk_virtio).
 *
 *   BAR 0    0x0000  common configuration      4.1.4.3
 *   64 bits  0x1000  ISR status, one byte      4.1.4.5
 *   32 KiB   0x2000  device configuration      4.1.4.6
 *            0x3000  doorbells, 4 bytes each   4.1.4.4
 *            0x4000  MSI-X table               a vector for each queue and one for the rest
 *            0x6000  MSI-X pending bits
 *
 * A doorbell is an ioeventfd at its own address, which moves with the BAR; where the host refuses
 * one the write reaches the transport and works, too. Interrupts are MSI-X: there is no interrupt
 * pin, so a driver without MSI-X polls the ISR status. Queue reset and shared memory are not
 * offered. The access through the configuration space (4.1.4.9) reaches all of the BAR.
 *
 * Threading class: registers are accessed from any vCPU thread, several at once, and block as
 * <skete/virtio.h> says; interrupts come from the loop's thread and never do.
 */
#ifndef SKETE_VIRTIO_PCI_H
#define SKETE_VIRTIO_PCI_H

#include <skete/base.h>
#include <skete/gmem.h>
#include <skete/pci.h>
#include <skete/virtio.h>

struct sk_virtio_pci;

struct sk_virtio_pci_config {
	struct sk_virtio *virtio; /* borrowed until destroy; attached to by create */
	struct sk_pci *pci;	  /* likewise; the function takes its next free slot */
	const char *name;	  /* for messages; copied */
	/*
	 * Optional: lets a guest's write of any width to @gpa signal @fd without an exit, until
	 * detach. -errno: not possible. Called one at a time for one device, with the bus locked:
	 * must not call back.
	 */
	int (*attach_doorbell)(void *ctx, gpa_t gpa, int fd);
	void (*detach_doorbell)(void *ctx, gpa_t gpa, int fd);
	void *ctx;
};

/*
 * create adds the function to the bus; the BAR gets its address by sk_pci_assign(). Errors:
 * -ENOMEM, and those of sk_pci_fn_create() and its kind. destroy detaches from the core and takes
 * the function off the bus (NULL is fine): no vCPU may run.
 */
int sk_virtio_pci_create(struct sk_virtio_pci **out, const struct sk_virtio_pci_config *config,
			 struct sk_error *err) SK_MUST_CHECK;
void sk_virtio_pci_destroy(struct sk_virtio_pci *vp);

/* The function, borrowed: its slot, say. */
struct sk_pci_fn *sk_virtio_pci_fn(const struct sk_virtio_pci *vp);

/*
 * What the transport itself holds: the core is saved by sk_virtio_save(), configuration space and
 * vectors by sk_pci_save(). No vCPU runs. -EINVAL: not such a state, and nothing has changed.
 */
void sk_virtio_pci_save(const struct sk_virtio_pci *vp, struct sk_writer *w);
int sk_virtio_pci_restore(struct sk_virtio_pci *vp, struct sk_reader *r,
			  struct sk_error *err) SK_MUST_CHECK;

/* Accesses that the specification forbids: they read as zero and write nothing. Any thread. */
uint64_t sk_virtio_pci_bad_accesses(const struct sk_virtio_pci *vp);

#endif
