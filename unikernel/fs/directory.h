/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Open directories: their listing. */
#ifndef SKETE_UK_DIRECTORY_H
#define SKETE_UK_DIRECTORY_H

#include "file.h"

extern const struct file_ops directory_ops;

/* getdents64(2): entries from the file's position on. Bytes, 0 at the end, -EINVAL if too few. */
long directory_list(struct file *file, void *to, size_t bytes);

#endif
