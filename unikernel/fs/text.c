/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Text in memory, and files of it: see text.h. */
#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "../mm/heap.h"

static int grow(struct text *text, size_t bytes)
{
	size_t room = text->room ? text->room : 1024;
	char *data;

	while (room < text->bytes + bytes)
		room *= 4;
	if (room == text->room)
		return 1;
	data = room <= TEXT_BYTES_MAX ? kheap_alloc(room) : NULL;
	if (!data)
		return 0;
	if (text->data)
		memcpy(data, text->data, text->bytes);
	kheap_free(text->data, text->room);
	text->data = data;
	text->room = room;
	return 1;
}

void text_add(struct text *text, const char *data, size_t bytes)
{
	if (!grow(text, bytes))
		return;
	memcpy(text->data + text->bytes, data, bytes);
	text->bytes += bytes;
}

static void add_padded(struct text *text, const char *data, size_t bytes, size_t width, char fill)
{
	if (fill != '-')
		for (size_t i = bytes; i < width; i++)
			text_add(text, &fill, 1);
	text_add(text, data, bytes);
	if (fill == '-')
		for (size_t i = bytes; i < width; i++)
			text_add(text, " ", 1);
}

static size_t digits(char *end, uint64_t value, uint32_t base)
{
	size_t n = 0;

	do
		end[-(long)++n] = "0123456789abcdef"[value % base];
	while (value /= base);
	return n;
}

static void add_number(struct text *text, int64_t value, char kind, size_t width, char fill)
{
	char room[24], *end = room + sizeof(room);
	int is_negative = kind == 'd' && value < 0;
	size_t n = digits(end, is_negative ? -(uint64_t)value : (uint64_t)value,
			  kind == 'x'	? 16
			  : kind == 'o' ? 8
					: 10);

	if (is_negative)
		end[-(long)++n] = '-';
	add_padded(text, end - n, n, width, fill);
}

void text_print(struct text *text, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	for (; *format; format++) {
		const char *plain = format;
		int is_long = 0;
		size_t width = 0;
		char fill = ' ';

		while (*format && *format != '%')
			format++;
		text_add(text, plain, (size_t)(format - plain));
		if (!*format)
			break;
		format++;
		if (*format == '0' || *format == '-')
			fill = *format++;
		for (; *format >= '0' && *format <= '9'; format++)
			width = width * 10 + (size_t)(*format - '0');
		for (; *format == 'l'; format++)
			is_long = 1;
		if (*format == 's') {
			const char *s = va_arg(args, const char *);

			add_padded(text, s, strlen(s), width, fill);
		} else if (*format == 'c') {
			char c = (char)va_arg(args, int);

			text_add(text, &c, 1);
		} else if (*format == 'd') {
			add_number(text, is_long ? va_arg(args, int64_t) : va_arg(args, int), 'd',
				   width, fill);
		} else {
			add_number(text,
				   is_long ? va_arg(args, int64_t)
					   : (int64_t)va_arg(args, unsigned int),
				   *format, width, fill);
		}
	}
	va_end(args);
}

void text_free(struct text *text)
{
	kheap_free(text->data, text->room);
}

static long text_read(struct file *file, struct iov *iov, int64_t *position)
{
	const struct text *text = file->object;
	size_t at = (size_t)*position, n;

	if (at >= text->bytes)
		return 0;
	n = iov_put(iov, text->data + at, text->bytes - at);
	*position += (int64_t)n;
	return (long)n;
}

static void text_release(struct file *file)
{
	struct text *text = file->object;

	if (text)
		text_free(text);
	kheap_free(text, sizeof(*text));
}

const struct file_ops text_ops = {
	.name = "text",
	.is_seekable = 1,
	.read = text_read,
	.release = text_release,
};
