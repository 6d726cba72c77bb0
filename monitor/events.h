/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* What the guest says and asks by the debug port (skete/abi/debug.h). For vCPU threads. */
#ifndef SKETE_MONITOR_EVENTS_H
#define SKETE_MONITOR_EVENTS_H

#include "vm_internal.h"

/* Takes an exit at SK_DEBUG_PORT. False: it was no event; the bus may have it. */
bool event_take(struct vcpu_thread *t, const struct sk_kvm_exit *exit) SK_MUST_CHECK;

/*
 * Copies between @bytes and guest memory at a virtual address of vCPU @index, which stands still or
 * is the caller's own. -EFAULT: not all of it is mapped to RAM; a part may have been copied.
 */
int event_guest_memory(struct machine *m, uint32_t index, uint64_t address, uint8_t *bytes,
		       size_t len_bytes, bool is_write) SK_MUST_CHECK;

#endif
