/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* `skete run`: --disk becomes disks of libskete. */
#include "run.h"

#include <skete/vm.h>

int run_disks_configure(struct sk_vm_disk **out, const struct cli_options *options,
			struct sk_vm_config *config, struct sk_error *err)
{
	static const enum sk_vm_disk_format formats[] = {
		[CLI_DISK_AUTO] = SK_VM_DISK_AUTO,
		[CLI_DISK_RAW] = SK_VM_DISK_RAW,
		[CLI_DISK_QCOW2] = SK_VM_DISK_QCOW2,
	};
	const struct cli_disk *disks = options->disk.items;

	*out = NULL;
	if (!options->disk.nr)
		return 0;
	*out = calloc(options->disk.nr, sizeof(**out));
	if (!*out)
		return sk_error_set(err, -ENOMEM, "no memory for the configuration");
	for (size_t i = 0; i < options->disk.nr; i++)
		(*out)[i] = (struct sk_vm_disk){
			.path = disks[i].path,
			.id = disks[i].id,
			.format = formats[disks[i].format],
			.is_read_only = disks[i].is_read_only,
			.is_direct = disks[i].is_direct,
			.has_backing = disks[i].has_backing,
			.queues = (uint32_t)disks[i].queues,
			.bytes_per_s = disks[i].bytes_per_s,
			.ops_per_s = disks[i].ops_per_s,
		};
	config->disks = *out;
	config->nr_disks = options->disk.nr;
	return 0;
}
