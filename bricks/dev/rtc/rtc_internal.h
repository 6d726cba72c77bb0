/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The register map, and the pure functions between registers and time (rtc_time.c). */
#ifndef SKETE_DEV_RTC_INTERNAL_H
#define SKETE_DEV_RTC_INTERNAL_H

#include <skete/dev/rtc.h>

#define RAM_BYTES	128

#define REG_SECONDS	0x00
#define REG_SECONDS_ALM 0x01
#define REG_MINUTES	0x02
#define REG_MINUTES_ALM 0x03
#define REG_HOURS	0x04
#define REG_HOURS_ALM	0x05
#define REG_WEEKDAY	0x06
#define REG_DAY		0x07
#define REG_MONTH	0x08
#define REG_YEAR	0x09
#define REG_A		0x0a
#define REG_B		0x0b
#define REG_C		0x0c
#define REG_D		0x0d
#define REG_CENTURY	SK_RTC_CENTURY

#define A_UPDATING	0x80
#define A_DIVIDER_RESET 0x60 /* both bits: the divider chain is held in reset */
#define A_RATE		0x0f

#define B_SET		0x80
#define B_UPDATE	0x10 /* interrupt enables; the flags in C have the same bits */
#define B_ALARM		0x20
#define B_PERIODIC	0x40
#define B_INTERRUPTS	0x70
#define B_BINARY	0x04
#define B_24_HOURS	0x02

#define C_IRQ		0x80

#define D_VALID		0x80

#define NS_PER_SECOND	1000000000
#define SECONDS_PER_DAY 86400
#define NEVER		INT64_MAX

/* A point in the guest's time: its clock as seconds since 1970-01-01 00:00, and the rest. */
struct moment {
	int64_t sec;
	int32_t nsec; /* 0 to 999,999,999 */
};

/* The quotient rounded towards minus infinity, and what is left, 0 to @b - 1; @b > 0. */
static inline int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static inline int64_t floor_mod(int64_t a, int64_t b)
{
	return a - floor_div(a, b) * b;
}

/* Writes the time registers of @ram in the format that its register B asks for. */
void sk_rtc_encode(uint8_t ram[RAM_BYTES], int64_t sec);

/* What the time registers say; any bytes are a time (fields out of range carry over). */
int64_t sk_rtc_decode(const uint8_t ram[RAM_BYTES]);

/* The first second after @sec at which the alarm registers match, or NEVER. */
int64_t sk_rtc_next_alarm(const uint8_t ram[RAM_BYTES], int64_t sec);

/* The periodic rate in Hz, 0: none. */
int64_t sk_rtc_rate_hz(uint8_t reg_a);

#endif
