/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Power management of a hardware-reduced ACPI machine (ACPI 6.3, sections 4.8.3.6 and 4.8.3.7):
 * four registers of a byte, as I/O ports or MMIO, for the fields of that name in <skete/acpi.h>.
 *
 *   SK_PM_SLEEP_CONTROL  bits 2-4 SLP_TYP, bit 5 SLP_EN: with type SK_PM_S5_TYPE the power goes
 *                        off; any other type wakes up at once (WAK_STS), for there is no such state
 *   SK_PM_SLEEP_STATUS   bit 7 WAK_STS; writing it as 1 clears it
 *   SK_PM_RESET          writing SK_PM_RESET_VALUE reboots; reads as 0
 *   SK_PM_EVENT          bit 0: the power button was pressed; reading clears it
 *
 * Threading class: internally synchronised: the registers are atomics. The ops come from any vCPU
 * thread, the button from any thread.
 */
#ifndef SKETE_DEV_PM_H
#define SKETE_DEV_PM_H

#include <skete/base.h>
#include <skete/bus.h>

#define SK_PM_PORT	    0x600 /* the first of SK_PM_REGISTERS, by default */
#define SK_PM_REGISTERS	    4
#define SK_PM_SLEEP_CONTROL 0
#define SK_PM_SLEEP_STATUS  1
#define SK_PM_RESET	    2
#define SK_PM_EVENT	    3
#define SK_PM_S5_TYPE	    5
#define SK_PM_RESET_VALUE   1

struct sk_pm;

/* The callbacks run on the vCPU's thread, once per request, and must not block. */
struct sk_pm_config {
	void (*on_poweroff)(void *ctx); /* required */
	void (*on_reset)(void *ctx);	/* NULL: the reset register does nothing */
	void *ctx;
	int irq_fd; /* eventfd signalled per press of the button, borrowed; -1: no interrupt */
};

/* Errors of create: -EINVAL (no on_poweroff), -ENOMEM. */
int sk_pm_create(struct sk_pm **out, const struct sk_pm_config *config,
		 struct sk_error *err) SK_MUST_CHECK;
/* No other call may be running; the device is off the bus. */
void sk_pm_destroy(struct sk_pm *pm);

/* SK_PM_REGISTERS bytes; @dev is the struct sk_pm. Wider accesses are consecutive byte accesses. */
extern const struct sk_bus_ops sk_pm_ops;

/*
 * Asks the guest to shut down, as a press of the button does. Whether and when it obeys is the
 * guest's business: it needs a driver for the button and somebody who listens (Linux: the module
 * "button" and systemd-logind, acpid or the like).
 */
void sk_pm_press_power_button(struct sk_pm *pm);

/*
 * restore checks everything first and changes nothing unless it returns 0; it signals irq_fd if
 * an event is pending, since the edge may have been lost with the old machine. Errors: -EINVAL
 * (truncated, unknown version, impossible value).
 */
void sk_pm_save(const struct sk_pm *pm, struct sk_writer *w);
int sk_pm_restore(struct sk_pm *pm, struct sk_reader *r, struct sk_error *err) SK_MUST_CHECK;

#endif
