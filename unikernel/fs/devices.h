/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Character devices: /dev/null, zero, full, random, urandom, tty, console. */
#ifndef SKETE_UK_DEVICES_H
#define SKETE_UK_DEVICES_H

#include <stdint.h>

#include "file.h"

#define DEVICE(major, minor) ((uint32_t)(major) << 8 | (minor))

/* Make an opened S_IFCHR what its number says. 0 or -ENXIO. */
long device_open(struct file *file);
/* Put the nodes into /dev; the tree is up. */
void devices_populate(void);

/* tty.c: the console as a terminal. */
extern const struct file_ops tty_ops;

#endif
