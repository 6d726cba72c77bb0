/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * An i8042 keyboard controller with nothing plugged in: it is there because "pulse the reset line"
 * (command 0xfe) is how many kernels reboot a PC. Commands are answered as the IBM AT's controller
 * does; both interface tests report an error, so that a driver finds no keyboard and no mouse; what
 * is sent to either goes nowhere. There are no interrupts. A20 is a bit that can be read back.
 *
 * Threading class: internally locked (a mutex, held for a few instructions, never across on_reset).
 */
#ifndef SKETE_DEV_I8042_H
#define SKETE_DEV_I8042_H

#include <skete/base.h>
#include <skete/bus.h>

#define SK_I8042_DATA_PORT    0x60
#define SK_I8042_COMMAND_PORT 0x64

struct sk_i8042;

struct sk_i8042_config {
	/*
	 * The guest pulled the reset line. Called on the vCPU's thread without the lock; must not
	 * block. May be NULL. The line is edge-triggered for the guest: each request is a call.
	 */
	void (*on_reset)(void *ctx);
	void *ctx;
};

/* Errors of create: -ENOMEM. */
int sk_i8042_create(struct sk_i8042 **out, const struct sk_i8042_config *config,
		    struct sk_error *err) SK_MUST_CHECK;
/* No other call may be running; the device is off the bus. */
void sk_i8042_destroy(struct sk_i8042 *kbc);

/*
 * One port each, at SK_I8042_DATA_PORT and SK_I8042_COMMAND_PORT (0x61 to 0x63 belong to others);
 * @dev of both is the struct sk_i8042. Only byte accesses lie within such a range.
 */
extern const struct sk_bus_ops sk_i8042_data_ops;
extern const struct sk_bus_ops sk_i8042_command_ops;

/*
 * restore checks everything first and changes nothing unless it returns 0. Errors: -EINVAL
 * (truncated, unknown version, impossible value). on_reset is not part of the state.
 */
void sk_i8042_save(struct sk_i8042 *kbc, struct sk_writer *w);
int sk_i8042_restore(struct sk_i8042 *kbc, struct sk_reader *r, struct sk_error *err) SK_MUST_CHECK;

#endif
