/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The command `skete run`: one machine, from its options to its exit status. */
#ifndef SKETE_MONITOR_RUN_H
#define SKETE_MONITOR_RUN_H

#include "cli/cli.h"

/* Runs the machine that @options describe and returns the exit status of the program. */
int run_command(const struct cli_options *options);

#endif
