/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The exit device: how a guest ends its machine with a status. Two ports, each optional:
 *
 *   debug port   0xf4-0xf7, exactly as QEMU's "isa-debug-exit,iobase=0xf4,iosize=4": writing v (a
 *                byte, 16 or 32 bits, anywhere in the range) ends with (v << 1) | 1; it reads as 0
 *   status port  SK_EXIT_PORT, an exact 32-bit status: <skete/abi/exit.h>
 *
 * Threading class: internally synchronised (immutable but for an atomic counter).
 */
#ifndef SKETE_DEV_EXIT_H
#define SKETE_DEV_EXIT_H

#include <skete/abi/exit.h>
#include <skete/base.h>
#include <skete/bus.h>

#define SK_EXIT_DEBUG_PORT  0xf4
#define SK_EXIT_DEBUG_PORTS 4

struct sk_exit;

struct sk_exit_config {
	bool has_debug_port;
	bool has_status_port;
	/*
	 * The guest ends with @status, all 32 bits of it (as a process the debug port's user sees
	 * the low 8). Called on the vCPU's thread for each such write, by several vCPUs at once if
	 * they do; must not block. Required.
	 */
	void (*on_exit)(void *ctx, uint32_t status);
	void *ctx;
};

/* Errors of create: -EINVAL (no on_exit), -ENOMEM. */
int sk_exit_create(struct sk_exit **out, const struct sk_exit_config *config,
		   struct sk_error *err) SK_MUST_CHECK;
/* No other call may be running; the device is off the bus. */
void sk_exit_destroy(struct sk_exit *dev);

/*
 * Puts the ports that the configuration has on @pio, all or none; detach takes them off again (the
 * device must live until sk_bus_quiesce(), see <skete/bus.h>). Errors: those of sk_bus_add() and
 * sk_bus_remove().
 */
int sk_exit_attach(struct sk_exit *dev, struct sk_bus *pio, struct sk_error *err) SK_MUST_CHECK;
int sk_exit_detach(struct sk_exit *dev, struct sk_bus *pio) SK_MUST_CHECK;

/* Writes to the status port that are not 32 bits wide, which do nothing. */
uint64_t sk_exit_ignored(const struct sk_exit *dev);

/* restore changes nothing unless it returns 0. Errors: -EINVAL (truncated, unknown version). */
void sk_exit_save(const struct sk_exit *dev, struct sk_writer *w);
int sk_exit_restore(struct sk_exit *dev, struct sk_reader *r, struct sk_error *err) SK_MUST_CHECK;

#endif
