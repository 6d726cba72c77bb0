/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Regular files of the RAM file system, as an open file sees them. */
#ifndef SKETE_UK_REGULAR_H
#define SKETE_UK_REGULAR_H

#include "file.h"

extern const struct file_ops regular_ops;

/* lseek(2)'s SEEK_DATA and SEEK_HOLE. A position, or -ENXIO. */
long regular_seek_data(struct file *file, int64_t from, int wants_hole);

#endif
