/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Between names.c and open.c. */
#ifndef SKETE_UK_NAMES_INTERNAL_H
#define SKETE_UK_NAMES_INTERNAL_H

#include "names.h"
#include "walk.h"

/* Give an inode the name that a walk has not found; takes over its reference, also when it fails.
 * The tree is locked. With `out`, the entry with a reference. */
long names_add(struct walk *w, struct inode *inode, struct entry **out);

#endif
