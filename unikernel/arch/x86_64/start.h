/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * What the two ways to start share: filling in struct boot. They may run before the image is
 * relocated; physical memory is at boot.here.
 */
#ifndef SKETE_UK_START_H
#define SKETE_UK_START_H

#include <stdint.h>

/* One line on the console, and the end. */
_Noreturn void give_up(const char *why);
void add_ram(uint64_t start, uint64_t end);
void copy_cmdline(uint64_t from);
/* Find room for page tables and frame bitmap behind the image. */
void place(void);
/* Enter a range of RAM into the page tables, at boot.direct. After place(). */
void map_direct(uint64_t start, uint64_t end);
/* The frame bitmap: everything in use; tables set aside. After the last mapping made at boot. */
void close_frames(void);

#endif
