/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The outside of the virtio console: what --console names, as descriptors for the device. */
#ifndef SKETE_MONITOR_HVC_H
#define SKETE_MONITOR_HVC_H

#include <skete/vm.h>

#include "cli/cli.h"

struct hvc {
	struct sk_vm_virtio_console config; /* for the machine; its descriptors belong here */
	int to_fd;    /* the terminal's input goes there, through the pump; -1: it does not */
	int slave_fd; /* of a pty: kept open, so that reading never fails for want of a reader */
	int from_fd, file_fd; /* the other ends */
};

/*
 * Opens what @where says; for a pty @message (of @size bytes) says where it is, else it is empty.
 * close ends a zeroed one, too, after init.
 */
void hvc_init(struct hvc *h);
int hvc_open(struct hvc *h, const struct cli_target *where, char *message, size_t size,
	     struct sk_error *err) SK_MUST_CHECK;
void hvc_close(struct hvc *h);

/* Reads the terminal's size again; true if it is another. */
bool hvc_measure(struct hvc *h);

#endif
