/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Between the registers' bytes and seconds; the proleptic Gregorian calendar. */
#include "rtc_internal.h"

/* Days since 1970-01-01. The year counts from March, so that the leap day is its last. */
static int64_t days_of_date(int64_t year, int64_t month, int64_t day)
{
	int64_t months = year * 12 + month - 3, y = floor_div(months, 12);
	int64_t era = floor_div(y, 400), year_of_era = floor_mod(y, 400);
	int64_t day_of_year = (153 * floor_mod(months, 12) + 2) / 5 + day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
	       day_of_year - 719468;
}

static void date_of_days(int64_t days, int64_t *year, int64_t *month, int64_t *day)
{
	int64_t era = floor_div(days + 719468, 146097), doe = floor_mod(days + 719468, 146097);
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t m = (5 * doy + 2) / 153;

	*day = doy - (153 * m + 2) / 5 + 1;
	*month = m < 10 ? m + 3 : m - 9;
	*year = era * 400 + yoe + (m >= 10);
}

static uint8_t to_reg(const uint8_t *ram, int64_t value)
{
	uint8_t v = (uint8_t)value;

	return ram[REG_B] & B_BINARY ? v : (uint8_t)(v / 10 << 4 | v % 10);
}

static int64_t from_reg(const uint8_t *ram, uint8_t reg)
{
	return ram[REG_B] & B_BINARY ? reg : (reg >> 4) * 10 + (reg & 0x0f);
}

static uint8_t to_hours(const uint8_t *ram, int64_t hour)
{
	if (ram[REG_B] & B_24_HOURS)
		return to_reg(ram, hour);
	return to_reg(ram, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0);
}

/* May be out of range, as the registers may be. */
static int64_t from_hours(const uint8_t *ram, uint8_t reg)
{
	int64_t hour;

	if (ram[REG_B] & B_24_HOURS)
		return from_reg(ram, reg);
	hour = from_reg(ram, reg & 0x7f);
	if (hour == 12)
		hour = 0;
	return hour + (reg & 0x80 ? 12 : 0);
}

void sk_rtc_encode(uint8_t ram[RAM_BYTES], int64_t sec)
{
	int64_t days = floor_div(sec, SECONDS_PER_DAY), of_day = floor_mod(sec, SECONDS_PER_DAY);
	int64_t year, month, day;

	date_of_days(days, &year, &month, &day);
	year = floor_mod(year, 10000);
	ram[REG_SECONDS] = to_reg(ram, of_day % 60);
	ram[REG_MINUTES] = to_reg(ram, of_day / 60 % 60);
	ram[REG_HOURS] = to_hours(ram, of_day / 3600);
	ram[REG_WEEKDAY] = to_reg(ram, floor_mod(days + 4, 7) + 1); /* 1 is Sunday */
	ram[REG_DAY] = to_reg(ram, day);
	ram[REG_MONTH] = to_reg(ram, month);
	ram[REG_YEAR] = to_reg(ram, year % 100);
	ram[REG_CENTURY] = to_reg(ram, year / 100);
}

int64_t sk_rtc_decode(const uint8_t ram[RAM_BYTES])
{
	int64_t year = from_reg(ram, ram[REG_CENTURY]) * 100 + from_reg(ram, ram[REG_YEAR]);
	int64_t days =
		days_of_date(year, from_reg(ram, ram[REG_MONTH]), from_reg(ram, ram[REG_DAY]));

	return days * SECONDS_PER_DAY + from_hours(ram, ram[REG_HOURS]) * 3600 +
	       from_reg(ram, ram[REG_MINUTES]) * 60 + from_reg(ram, ram[REG_SECONDS]);
}

/* An alarm register: -1 matches always. The two highest bits set mean "don't care". */
static int64_t alarm_field(uint8_t reg, int64_t value)
{
	return (reg & 0xc0) == 0xc0 ? -1 : value;
}

int64_t sk_rtc_next_alarm(const uint8_t ram[RAM_BYTES], int64_t sec)
{
	int64_t s = alarm_field(ram[REG_SECONDS_ALM], from_reg(ram, ram[REG_SECONDS_ALM]));
	int64_t m = alarm_field(ram[REG_MINUTES_ALM], from_reg(ram, ram[REG_MINUTES_ALM]));
	int64_t h = alarm_field(ram[REG_HOURS_ALM], from_hours(ram, ram[REG_HOURS_ALM]));
	int64_t t = sec + 1;

	if (s > 59 || m > 59 || h > 23)
		return NEVER;
	/* At most 24 steps of an hour, 60 of a minute, 2 of seconds. */
	for (;;) {
		int64_t of_day = floor_mod(t, SECONDS_PER_DAY), of_minute = of_day % 60;

		if (h >= 0 && of_day / 3600 != h)
			t += 3600 - of_day % 3600;
		else if (m >= 0 && of_day / 60 % 60 != m)
			t += 60 - of_minute;
		else if (s >= 0 && of_minute != s)
			t += s > of_minute ? s - of_minute : 60 - of_minute;
		else
			return t;
	}
}

int64_t sk_rtc_rate_hz(uint8_t reg_a)
{
	unsigned rate = reg_a & A_RATE;

	if (rate == 0)
		return 0;
	/* With the usual 32,768 Hz crystal the two lowest selections repeat 8 and 9. */
	return 32768 >> ((rate <= 2 ? rate + 7 : rate) - 1);
}
