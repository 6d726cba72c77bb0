/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Names of functions, for reports. */
#ifndef SKETE_UK_SYMBOLS_H
#define SKETE_UK_SYMBOLS_H

#include <stdint.h>

/* The function at an address of the running image, and how far in it; NULL: it has no name. Valid
 * until the next call; for one caller at a time. */
const char *symbol_name(uint64_t address, uint64_t *offset);

#endif
