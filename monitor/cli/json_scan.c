/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Where the members of a JSON object (RFC 8259) stand in the text. */
#include "cli_internal.h"

static char peek(const struct cli_json_scan *scan)
{
	return scan->at.offset < scan->len ? scan->text[scan->at.offset] : '\0';
}

static void step(struct cli_json_pos *at, char c)
{
	at->offset++;
	if (c == '\n') {
		at->line++;
		at->column = 1;
	} else if (((unsigned char)c & 0xc0) != 0x80) {
		at->column++;
	}
}

static void advance(struct cli_json_scan *scan)
{
	if (scan->at.offset < scan->len)
		step(&scan->at, scan->text[scan->at.offset]);
}

static void skip_space(struct cli_json_scan *scan)
{
	while (scan->at.offset < scan->len && memchr(" \t\r\n", peek(scan), 4))
		advance(scan);
}

static bool take(struct cli_json_scan *scan, char c)
{
	if (scan->at.offset >= scan->len || peek(scan) != c)
		return false;
	advance(scan);
	return true;
}

/* From the opening quote to behind the closing one. */
static bool take_string(struct cli_json_scan *scan)
{
	if (!take(scan, '"'))
		return false;
	while (scan->at.offset < scan->len && peek(scan) != '"') {
		if (peek(scan) == '\\')
			advance(scan);
		advance(scan);
	}
	return take(scan, '"');
}

static bool take_scalar(struct cli_json_scan *scan)
{
	size_t start = scan->at.offset;

	while (scan->at.offset < scan->len && !memchr(",:[]{}\" \t\r\n", peek(scan), 11))
		advance(scan);
	return scan->at.offset > start;
}

/* An object or array is taken whole, by counting brackets: that they match is jansson's to say. */
static bool take_value(struct cli_json_scan *scan)
{
	size_t depth = 0;

	if (peek(scan) == '"')
		return take_string(scan);
	if (peek(scan) != '{' && peek(scan) != '[')
		return take_scalar(scan);
	while (scan->at.offset < scan->len) {
		char c = peek(scan);

		if (c == '"') {
			if (!take_string(scan))
				return false;
			continue;
		}
		advance(scan);
		depth += c == '{' || c == '[';
		depth -= c == '}' || c == ']';
		if (!depth)
			return true;
	}
	return false;
}

void cli_json_scan_init(struct cli_json_scan *scan, const char *text, size_t len)
{
	*scan = (struct cli_json_scan){
		.text = text, .len = len, .at = {.offset = 0, .line = 1, .column = 1}};
}

int cli_json_scan_next(struct cli_json_scan *scan, struct cli_json_member *member)
{
	skip_space(scan);
	if (!scan->has_begun) {
		if (!take(scan, '{'))
			return -EINVAL;
		scan->has_begun = true;
		skip_space(scan);
		if (take(scan, '}'))
			return 0;
	} else {
		if (take(scan, '}'))
			return 0;
		if (!take(scan, ','))
			return -EINVAL;
		skip_space(scan);
	}
	member->key = scan->at;
	if (!take_string(scan))
		return -EINVAL;
	member->key_len = scan->at.offset - member->key.offset;
	skip_space(scan);
	if (!take(scan, ':'))
		return -EINVAL;
	skip_space(scan);
	member->value = scan->at;
	if (!take_value(scan))
		return -EINVAL;
	member->value_len = scan->at.offset - member->value.offset;
	return 1;
}

struct cli_json_pos cli_json_locate(const char *text, size_t offset)
{
	struct cli_json_pos at = {.offset = 0, .line = 1, .column = 1};

	while (at.offset < offset)
		step(&at, text[at.offset]);
	return at;
}
