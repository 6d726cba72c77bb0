/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* What the program's limits (getrlimit(2)) say. */
#ifndef SKETE_UK_LIMITS_H
#define SKETE_UK_LIMITS_H

#include <stdint.h>

/* RLIMIT_FSIZE. RLIMIT_NOFILE is fd_limit() of fs/fd.h. */
uint64_t limits_file_bytes(void);

#endif
