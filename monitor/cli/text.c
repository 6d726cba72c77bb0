/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Text that others wrote (arguments, files), made safe to show on a terminal. */
#include "cli_internal.h"

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

size_t cli_utf8_len(const char *s, size_t len)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char lead;
	uint32_t code;
	size_t n;

	if (!len)
		return 0;
	lead = (unsigned char)s[0];
	if (lead < 0x80)
		return 1;
	n = lead < 0xc0 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf8 ? 4 : 0;
	if (!n || n > len)
		return 0;
	code = lead & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if (!is_continuation(s[i]))
			return 0;
		code = code << 6 | ((unsigned char)s[i] & 0x3f);
	}
	if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	return n;
}

/* C0, DEL and C1 (which some terminals obey) are not printable. */
static bool is_printable(const char *s, size_t n)
{
	unsigned char first = (unsigned char)s[0];

	if (n == 1)
		return first >= 0x20 && first < 0x7f;
	return n > 1 && !(first == 0xc2 && (unsigned char)s[1] < 0xa0);
}

/* How many bytes the next character of @text takes there, and how many when shown. */
static size_t next_char(const char *text, size_t left, size_t *shown)
{
	size_t n = cli_utf8_len(text, left);

	if (is_printable(text, n)) {
		*shown = n;
		return n;
	}
	*shown = strlen("\\xNN");
	return 1;
}

/* True if all of @text takes less than @room bytes when shown. */
static bool fits(const char *text, size_t left, size_t room)
{
	size_t in, out;

	for (; left; text += in, left -= in) {
		in = next_char(text, left, &out);
		if (out >= room)
			return false;
		room -= out;
	}
	return room > 0;
}

/* Appends @text to the string in @dst; leaves room for @reserve bytes and the NUL. */
static void append(char *dst, size_t size, const char *text, size_t reserve)
{
	size_t at = strlen(dst), left = strlen(text), in, out;
	bool is_whole = fits(text, left, size - at - reserve);
	size_t dots = is_whole ? 0 : strlen("...");

	for (; left; text += in, left -= in, at += out) {
		in = next_char(text, left, &out);
		if (at + out + dots + reserve >= size)
			break;
		if (in == out)
			memcpy(dst + at, text, in);
		else
			snprintf(dst + at, size - at, "\\x%02x", (unsigned char)text[0]);
	}
	strcpy(dst + at, is_whole ? "" : "...");
}

const char *cli_printable(char *dst, size_t size, const char *text)
{
	dst[0] = '\0';
	append(dst, size, text, 0);
	return dst;
}

const char *cli_quote(char *dst, size_t size, const char *text)
{
	strcpy(dst, "'");
	append(dst, size, text, 1);
	strcat(dst, "'");
	return dst;
}
