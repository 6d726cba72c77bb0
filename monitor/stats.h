/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* `skete run --stats`: what is said about a machine that has ended. */
#ifndef SKETE_MONITOR_STATS_H
#define SKETE_MONITOR_STATS_H

#include <skete/vm.h>

#define STATS_BYTES 1024

/*
 * Two lines: a time line that begins at @start_ns (CLOCK_MONOTONIC, the monitor's start), and the
 * exits by their reasons. @text has STATS_BYTES.
 */
void stats_format(char *text, const struct sk_vm_stats *stats, uint64_t start_ns);

#endif
