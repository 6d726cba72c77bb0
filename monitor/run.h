/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The command `skete run`: one machine, from its options to its exit status. */
#ifndef SKETE_MONITOR_RUN_H
#define SKETE_MONITOR_RUN_H

#include "cli/cli.h"

/* Runs the machine that @options describe and returns the exit status of the program. */
int run_command(const struct cli_options *options);

struct run_nets;
struct sk_vm_disk;
struct sk_vm_config;

/*
 * run_net.c: the network devices that the options ask for, into @config, which borrows from *@out
 * until run_nets_free(). -EINVAL and a sentence: the options make no sense.
 */
int run_nets_configure(struct run_nets **out, const struct cli_options *options,
		       struct sk_vm_config *config, struct sk_error *err) SK_MUST_CHECK;
void run_nets_free(struct run_nets *nets);

/* run_disk.c: --disk becomes the disks of @config; *@out is the caller's to free, on failure too.
 */
int run_disks_configure(struct sk_vm_disk **out, const struct cli_options *options,
			struct sk_vm_config *config, struct sk_error *err) SK_MUST_CHECK;

#endif
