/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* `skete run --isolation process`. */
#ifndef SKETE_MONITOR_PROCESS_H
#define SKETE_MONITOR_PROCESS_H

#include <skete/tender.h>

#include "cli/cli.h"

/*
 * Turns this process into the unikernel's (skete/tender.h). Returns only if that fails: -errno with
 * a sentence. The process has one thread.
 */
int process_run(const struct cli_options *options, const char *cmdline, uint64_t start_ns,
		struct sk_error *err) SK_MUST_CHECK;

/* Where the parts of an image of the unikernel are. False: it is no such image, or unreadable. */
bool process_find_image(const char *path, struct sk_tender_image *out);

#endif
