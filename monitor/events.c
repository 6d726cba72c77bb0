/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The debug port. A guest may say anything here as often as it likes: it gets its own image, in
 * small parts, and costs only its own vCPU's time.
 */
#include "events.h"

#include <unistd.h>

#include <skete/abi/debug.h>

#include "gdb.h"

#define PAGE_BYTES UINT64_C(4096)

/* By pages, because neighbours may be anywhere. */
int event_guest_memory(struct machine *m, uint32_t index, uint64_t address, uint8_t *bytes,
		       size_t len_bytes, bool is_write)
{
	while (len_bytes) {
		size_t part = SK_MIN(len_bytes, (size_t)(PAGE_BYTES - address % PAGE_BYTES));
		gpa_t gpa;
		int ret = sk_kvm_vcpu_translate(m->vcpus[index], address, &gpa);

		if (!ret)
			ret = is_write ? sk_gmem_write(m->gm, gpa, bytes, part)
				       : sk_gmem_read(m->gm, gpa, bytes, part);
		if (ret)
			return ret;
		address += part;
		bytes += part;
		len_bytes -= part;
	}
	return 0;
}

/* The guest reads its image's file. What cannot be done is not done, and it sees that. */
static void read_image(struct vcpu_thread *t)
{
	struct machine *m = t->vm->machine;
	uint8_t bytes[SK_DEBUG_READ_MAX], done[4];
	struct sk_debug_read read;
	struct kvm_regs regs;

	if (sk_kvm_vcpu_get_regs(m->vcpus[t->index], &regs) ||
	    event_guest_memory(m, t->index, regs.r8, (uint8_t *)&read, sizeof(read), false) ||
	    read.bytes > sizeof(bytes) || read.offset > INT64_MAX - sizeof(bytes) ||
	    pread(t->vm->kernel_fd, bytes, read.bytes, (off_t)read.offset) != (ssize_t)read.bytes ||
	    event_guest_memory(m, t->index, read.to, bytes, read.bytes, true))
		return;
	sk_store_le32(done, 1);
	(void)!event_guest_memory(m, t->index, regs.r8 + offsetof(struct sk_debug_read, is_done),
				  done, sizeof(done), true);
}

bool event_take(struct vcpu_thread *t, const struct sk_kvm_exit *exit)
{
	struct sk_vm *vm = t->vm;
	uint32_t event;

	if (!exit->pio.is_out || exit->pio.size != sizeof(event) || exit->pio.count != 1)
		return false;
	event = sk_load_le32(exit->pio.data);
	if (event == SK_DEBUG_MAIN)
		atomic_store_explicit(&vm->main_ns, sk_now_ns(), memory_order_relaxed);
	if (event == SK_DEBUG_READ)
		read_image(t);
	if (vm->gdb)
		gdb_guest_event(vm->gdb, t->index, event);
	return true;
}
