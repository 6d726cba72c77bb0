/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Text that is made when somebody opens it: the files of /proc. */
#ifndef SKETE_UK_TEXT_H
#define SKETE_UK_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "file.h"

struct text {
	char *data;
	size_t bytes, room;
};

#define TEXT_BYTES_MAX 65536

/* What does not fit is cut off. */
void text_add(struct text *text, const char *data, size_t bytes);
/* printf with %s %c %d %u %x %o, l for 64 bits, widths, 0 and - in front of them. */
void text_print(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_free(struct text *text);

/* A file to read from, whose object is a struct text from the heap that it then owns. */
extern const struct file_ops text_ops;

#endif
