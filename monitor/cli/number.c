/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Whole numbers and sizes with a unit: from text and back. */
#include "cli_internal.h"

#include <inttypes.h>

static const struct {
	char letter;
	unsigned int shift;
} units[] = {{'B', 0}, {'K', 10}, {'M', 20}, {'G', 30}, {'T', 40}};

/* Decimal digits only, all of @text up to @end. False if it does not fit or is something else. */
static bool read_digits(const char *text, const char *end, uint64_t *value)
{
	uint64_t v = 0;

	if (text == end)
		return false;
	for (; text < end; text++) {
		if (*text < '0' || *text > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*text - '0'), &v))
			return false;
	}
	*value = v;
	return true;
}

int cli_parse_uint(const char *text, uint64_t *value, struct sk_error *err)
{
	const char *digits = text + (text[0] == '-');
	size_t nr_digits = strspn(digits, "0123456789");
	char quoted[CLI_QUOTE_MAX];

	cli_quote(quoted, sizeof(quoted), text);
	if (!*text)
		return sk_error_set(err, -EINVAL, "the value is empty");
	if (!nr_digits || digits[nr_digits])
		return sk_error_set(err, -EINVAL, "%s is not a whole number", quoted);
	if (text[0] == '-')
		return sk_error_set(err, -EINVAL, "%s is negative", quoted);
	if (!read_digits(text, text + nr_digits, value))
		return sk_error_set(err, -EINVAL, "%s is too large a number", quoted);
	return 0;
}

/* @unit is what follows the digits: a letter of either case, alone or as in KiB. */
static bool read_unit(const char *unit, unsigned int *shift)
{
	for (size_t i = 0; i < SK_ARRAY_SIZE(units); i++) {
		if ((unit[0] & ~0x20) != units[i].letter)
			continue;
		*shift = units[i].shift;
		return !unit[1] || (units[i].shift && !strcmp(unit + 1, "iB"));
	}
	return false;
}

int cli_parse_size(const char *text, uint64_t *bytes, struct sk_error *err)
{
	size_t nr_digits = strspn(text, "0123456789");
	const char *unit = text + nr_digits;
	char quoted[CLI_QUOTE_MAX];
	unsigned int shift = 0;
	uint64_t v;

	cli_quote(quoted, sizeof(quoted), text);
	if (!*text)
		return sk_error_set(err, -EINVAL,
				    "the value is empty; a size such as 512M is needed");
	if (text[0] == '-')
		return sk_error_set(err, -EINVAL, "%s is negative; write a size such as 512M",
				    quoted);
	if (!nr_digits)
		return sk_error_set(err, -EINVAL, "%s is not a size; write 512M or 6G, for example",
				    quoted);
	if (!*unit)
		return sk_error_set(err, -EINVAL,
				    "%s has no unit; write %sM for MiB or %sB for bytes", quoted,
				    nr_digits < 16 ? text : "512", nr_digits < 16 ? text : "512");
	if (*unit == '.' || *unit == ',')
		return sk_error_set(err, -EINVAL,
				    "%s is not whole; write 1536M instead of 1.5G, for example",
				    quoted);
	if (!read_unit(unit, &shift))
		return sk_error_set(err, -EINVAL,
				    "%s has no known unit; write B, K, M, G or T after the number "
				    "(each 1024 times the one before), as in 512M",
				    quoted);
	if (!read_digits(text, unit, &v) || v > UINT64_MAX >> shift)
		return sk_error_set(err, -EINVAL, "%s is beyond every memory", quoted);
	*bytes = v << shift;
	return 0;
}

const char *cli_format_size(char dst[CLI_SIZE_TEXT_MAX], uint64_t bytes)
{
	size_t i = SK_ARRAY_SIZE(units) - 1;

	while (i && (!bytes || bytes & ((UINT64_C(1) << units[i].shift) - 1)))
		i--;
	snprintf(dst, CLI_SIZE_TEXT_MAX, "%" PRIu64 "%c", bytes >> units[i].shift, units[i].letter);
	return dst;
}
