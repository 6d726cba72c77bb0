/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * An I/O APIC outside of the kernel, for KVM's split irqchip: 24 redirection entries (Intel
 * 82093AA data sheet, section 3) and the EOI register of its successors (ICH10, section 13.5.5).
 * The version register says 0x20, which promises that register, because KVM's local APICs then
 * offer directed EOI. It knows nothing of KVM: the configuration says what to call.
 *
 *   device --- eventfd --- [connected while unmasked] --- KVM: message of the pin's route
 *                                                              |
 *   device <-- resample_fd -- sk_ioapic_eoi() <-- end of a level interrupt, an exit
 *
 * A pin's eventfd is KVM's irqfd while the pin is unmasked: an interrupt takes no user-space code
 * and no lock. While it is masked, the eventfd is not connected and counts: KVM drops the signals
 * of an irqfd without a route, so a mask by route would lose edges. KVM looks at the counter when
 * the eventfd is connected again; what came while the pin was masked arrives then, once. (The
 * 82093AA ignores masked edges; a driver has to live with one interrupt too many anyway, but a
 * lost edge silences an edge-triggered device for good.)
 *
 * Level pins: an eventfd with a resample_fd, as with KVM's resampling irqfds: the device signals
 * while it has reason to, and looks again after each EOI. Remote IRR then reads as 0, for nobody
 * here sees the interrupt pass, and a device that signals twice before the EOI may cause one
 * interrupt too many. Or sk_ioapic_set_level(): exact, with Remote IRR, at the price of a call.
 *
 * Polarity is stored and otherwise ignored: devices say "asserted", not a voltage. Delivery Status
 * is always idle.
 *
 * Threading class: internally locked. One mutex guards the registers and serialises the callbacks,
 * so it can be held for as long as KVM takes to change a route (a grace period: milliseconds on
 * some kernels). Only vCPUs that program the IOAPIC or end a level interrupt, and set_level, wait
 * for it: no interrupt of a connected eventfd and no other device's exit comes here.
 */
#ifndef SKETE_DEV_IOAPIC_H
#define SKETE_DEV_IOAPIC_H

#include <skete/base.h>
#include <skete/bus.h>

#define SK_IOAPIC_GPA	  UINT64_C(0xfec00000)
#define SK_IOAPIC_BYTES	  0x100
#define SK_IOAPIC_NR_PINS 24

struct sk_ioapic;

/* A message to the local APICs, as a PCI device's MSI. */
struct sk_ioapic_msi {
	uint64_t address;
	uint32_t data;
};

/*
 * What the owner supplies; all are required but log. They are called with the lock held, one at a
 * time, on the thread whose call needs them (a vCPU's, usually), and must not call back. Those
 * that return an int return 0 or -errno.
 */
struct sk_ioapic_config {
	/*
	 * @msi is what @pin sends from now on; it stays valid while the pin is masked. KVM wants it
	 * in its routing table at GSI @pin also for pins without an eventfd: that is how it knows
	 * the vectors whose EOI to report.
	 */
	int (*route)(void *ctx, unsigned int pin, const struct sk_ioapic_msi *msi);
	/* Lets @fd signal @pin; a counter that is not 0 counts as a signal. */
	int (*connect)(void *ctx, unsigned int pin, int fd);
	/* The end of that. What was signalled before the call has been delivered at its return. */
	int (*disconnect)(void *ctx, unsigned int pin, int fd);
	/* Sends @msi now, for set_level. Not 0: nobody took it. */
	int (*send)(void *ctx, const struct sk_ioapic_msi *msi);
	void *ctx;
	/*
	 * Hears of a route or an eventfd that cannot be changed, once per pin until it works again:
	 * it is tried again whenever the guest writes the entry.
	 */
	const struct sk_log *log;
};

/* All pins masked, as after a reset. Errors of create: -EINVAL (a callback missing), -ENOMEM. */
int sk_ioapic_create(struct sk_ioapic **out, const struct sk_ioapic_config *config,
		     struct sk_error *err) SK_MUST_CHECK;
/*
 * No other call may be running; the device is off the bus. Nothing is disconnected: eventfds end
 * with the VM that they are connected to, or by detach before.
 */
void sk_ioapic_destroy(struct sk_ioapic *ioapic);

/* SK_IOAPIC_BYTES of MMIO; @dev is the struct sk_ioapic. The window takes 4-byte accesses. */
extern const struct sk_bus_ops sk_ioapic_ops;

/*
 * Lets @fd (an eventfd, borrowed until detach or destroy) signal @pin. @resample_fd (likewise, or
 * -1) is signalled when the guest ends a level interrupt of the pin. Errors: -EINVAL (no such pin
 * or descriptor), -EBUSY (the pin has one), or what a callback returned.
 */
int sk_ioapic_attach(struct sk_ioapic *ioapic, unsigned int pin, int fd, int resample_fd,
		     struct sk_error *err) SK_MUST_CHECK;
/* Errors: -ENOENT, or what disconnect returned (then the pin is still attached). */
int sk_ioapic_detach(struct sk_ioapic *ioapic, unsigned int pin) SK_MUST_CHECK;

/*
 * Sets the line of @pin, which a device without an eventfd drives. On a pin that the guest has
 * programmed as edge-triggered a change to high is the edge. No such pin: ignored.
 */
void sk_ioapic_set_level(struct sk_ioapic *ioapic, unsigned int pin, bool is_high);

/* The guest ended interrupt @vector (SK_KVM_EXIT_IOAPIC_EOI); unknown vectors are fine. */
void sk_ioapic_eoi(struct sk_ioapic *ioapic, uint8_t vector);

/*
 * Registers, lines and what is pending at masked pins. While it is saved no vCPU runs and no
 * device signals; what is no longer pending here is in the local APICs. restore wants the same
 * pins attached, and the local APICs restored before: it routes, connects and may deliver. It
 * checks everything first and changes nothing if it returns -EINVAL (truncated, unknown version,
 * impossible value); after another error, a callback's, the machine can only be destroyed.
 */
void sk_ioapic_save(struct sk_ioapic *ioapic, struct sk_writer *w);
int sk_ioapic_restore(struct sk_ioapic *ioapic, struct sk_reader *r,
		      struct sk_error *err) SK_MUST_CHECK;

#endif
