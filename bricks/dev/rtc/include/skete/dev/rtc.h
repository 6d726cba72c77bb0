/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The PC's real-time clock: Motorola MC146818A (its data sheet's registers A to D, alarm, periodic
 * and update-ended interrupts) with 128 bytes of CMOS RAM at ports 0x70 (index, bit 7 the NMI mask,
 * ignored) and 0x71 (data), the century at 0x32 and the size of RAM where firmware leaves it.
 *
 * The clock is the host's plus an offset; a guest that sets the time changes the offset. Fields
 * outside their range are carried over into the next (61 seconds are 1 minute 1 second), the day of
 * the week follows from the date. Time stands while the guest holds SET or the divider in reset.
 *
 * There is no thread and no timer in here. Flags are computed when the guest looks; for the
 * interrupts the host asks sk_rtc_deadline_ns() when to call sk_rtc_run() (timer_changed says when
 * to ask again). A host that never does so has a clock without interrupts, which is legal.
 *
 * Threading class: internally locked (a mutex, held for a bounded computation, never across a
 * callback other than the clock).
 */
#ifndef SKETE_DEV_RTC_H
#define SKETE_DEV_RTC_H

#include <skete/base.h>
#include <skete/bus.h>

#define SK_RTC_PORT	   0x70
#define SK_RTC_PORTS	   2
#define SK_RTC_CENTURY	   0x32 /* index of the century, for the FADT */
#define SK_RTC_IRQ	   8
#define SK_RTC_NO_DEADLINE INT64_MAX

struct sk_rtc;

struct sk_rtc_config {
	int irq_fd; /* eventfd signalled per rising edge of IRQF, borrowed; -1: no interrupt */
	/*
	 * The host's clock: nanoseconds since 1970-01-01 00:00 UTC. Called with the lock held: no
	 * calls back. NULL: CLOCK_REALTIME.
	 */
	int64_t (*now_ns)(void *ctx);
	/* sk_rtc_deadline_ns() may have changed. Without the lock; must not block. May be NULL. */
	void (*timer_changed)(void *ctx);
	void *ctx;
	uint64_t ram_below_4g_bytes; /* what the CMOS bytes about memory say */
	uint64_t ram_above_4g_bytes;
};

/* Errors of create: -ENOMEM. */
int sk_rtc_create(struct sk_rtc **out, const struct sk_rtc_config *config,
		  struct sk_error *err) SK_MUST_CHECK;
/* No other call may be running; the device is off the bus. */
void sk_rtc_destroy(struct sk_rtc *rtc);

/* SK_RTC_PORTS ports; @dev is the struct sk_rtc. Wider accesses are consecutive byte accesses. */
extern const struct sk_bus_ops sk_rtc_ops;

/*
 * When, on the clock of now_ns, the next interrupt is due, or SK_RTC_NO_DEADLINE: none is enabled,
 * or one is pending already and the guest has not read register C.
 */
int64_t sk_rtc_deadline_ns(struct sk_rtc *rtc);

/* Looks at the clock and signals irq_fd if an enabled interrupt became due. Early calls are fine.
 */
void sk_rtc_run(struct sk_rtc *rtc);

/*
 * The state is the registers, the CMOS bytes and the offset: a restored clock shows the present
 * time, not that of the save. restore checks everything first and changes nothing unless it returns
 * 0; it signals irq_fd if IRQF is set and calls timer_changed. Errors: -EINVAL (truncated, unknown
 * version, impossible value).
 */
void sk_rtc_save(struct sk_rtc *rtc, struct sk_writer *w);
int sk_rtc_restore(struct sk_rtc *rtc, struct sk_reader *r, struct sk_error *err) SK_MUST_CHECK;

#endif
