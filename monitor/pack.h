/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* `skete pack`: a folder as an initial RAM disk. */
#ifndef SKETE_MONITOR_PACK_H
#define SKETE_MONITOR_PACK_H

#include <stdbool.h>

#include <skete/base.h>

/*
 * Write what lies below @folder to @output (NULL: standard output) as a cpio archive (newc), packed
 * with gzip if asked for. The same names, contents and rights give the same bytes: entries are
 * sorted, belong to root, and their time is 0. A file with several names becomes several files.
 * Symbolic links are kept, none is followed. @output appears whole, or not at all.
 * Errors: -errno with a sentence in @err: a file that cannot be read or grows meanwhile, a socket,
 * a file of 4 GiB or more, what writing gave. Runs on the caller's thread, blocks on files.
 */
int pack_folder(const char *folder, const char *output, bool is_gzip,
		struct sk_error *err) SK_MUST_CHECK;

#endif
