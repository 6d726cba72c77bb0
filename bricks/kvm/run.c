/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The run loop's one step: enter the guest, decode the exit in place. */

#include "kvm_internal.h"

static void decode_pio(struct kvm_run *run, struct sk_kvm_exit *exit)
{
	exit->kind = SK_KVM_EXIT_PIO;
	exit->pio.port = run->io.port;
	exit->pio.size = run->io.size;
	exit->pio.is_out = run->io.direction == KVM_EXIT_IO_OUT;
	exit->pio.count = run->io.count;
	exit->pio.data = (uint8_t *)run + run->io.data_offset;
}

static void decode_mmio(struct kvm_run *run, struct sk_kvm_exit *exit)
{
	exit->kind = SK_KVM_EXIT_MMIO;
	exit->mmio.gpa = run->mmio.phys_addr;
	exit->mmio.len_bytes = run->mmio.len;
	exit->mmio.is_write = run->mmio.is_write;
	exit->mmio.data = run->mmio.data;
}

static void decode_internal_error(struct kvm_run *run, struct sk_kvm_exit *exit)
{
	exit->kind = SK_KVM_EXIT_INTERNAL_ERROR;
	exit->internal.suberror = run->internal.suberror;
	exit->internal.ndata =
		SK_MIN(run->internal.ndata, (uint32_t)SK_ARRAY_SIZE(run->internal.data));
	exit->internal.data = run->internal.data;
}

/* The exits that are not accesses to a device. */
static void decode_rare(struct kvm_run *run, struct sk_kvm_exit *exit)
{
	switch (run->exit_reason) {
	case KVM_EXIT_HLT:
		exit->kind = SK_KVM_EXIT_HLT;
		break;
	case KVM_EXIT_INTR:
		exit->kind = SK_KVM_EXIT_INTR;
		break;
	case KVM_EXIT_SHUTDOWN:
		exit->kind = SK_KVM_EXIT_SHUTDOWN;
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		decode_internal_error(run, exit);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		exit->kind = SK_KVM_EXIT_FAIL_ENTRY;
		exit->fail_entry.reason = run->fail_entry.hardware_entry_failure_reason;
		exit->fail_entry.cpu = run->fail_entry.cpu;
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		exit->kind = SK_KVM_EXIT_SYSTEM_EVENT;
		exit->system_event.type = run->system_event.type;
		break;
	case KVM_EXIT_IOAPIC_EOI:
		exit->kind = SK_KVM_EXIT_IOAPIC_EOI;
		exit->eoi.vector = run->eoi.vector;
		break;
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		exit->kind = SK_KVM_EXIT_IRQ_WINDOW;
		break;
	case KVM_EXIT_DEBUG:
		exit->kind = SK_KVM_EXIT_DEBUG;
		exit->debug = run->debug.arch;
		break;
	default:
		exit->kind = SK_KVM_EXIT_UNKNOWN;
		exit->reason = run->exit_reason;
	}
}

int sk_kvm_vcpu_run(struct sk_kvm_vcpu *vcpu, struct sk_kvm_exit *exit)
{
	struct kvm_run *run = vcpu->run;
	int ret = kvm_ioctl_value(vcpu->fd, KVM_RUN, 0);

	vcpu->has_pending_io = false;
	if (ret < 0) {
		/* EAGAIN: a CPU that waited for INIT and SIPI got one of them. */
		if (ret != -EINTR && ret != -EAGAIN)
			return ret;
		exit->kind = SK_KVM_EXIT_INTR;
		return 0;
	}
	if (run->exit_reason == KVM_EXIT_IO) {
		decode_pio(run, exit);
		vcpu->has_pending_io = true;
	} else if (run->exit_reason == KVM_EXIT_MMIO) {
		decode_mmio(run, exit);
		vcpu->has_pending_io = true;
	} else {
		decode_rare(run, exit);
	}
	return 0;
}

void sk_kvm_vcpu_set_immediate_exit(struct sk_kvm_vcpu *vcpu, bool is_immediate)
{
	/*
	 * Read by KVM_RUN on the vCPU's thread. A store that comes too late for this run is made up
	 * for by the caller's signal, which orders it before the next one.
	 */
	__atomic_store_n(&vcpu->run->immediate_exit, is_immediate, __ATOMIC_SEQ_CST);
}

bool sk_kvm_vcpu_is_irq_ready(const struct sk_kvm_vcpu *vcpu)
{
	return vcpu->run->ready_for_interrupt_injection && vcpu->run->if_flag;
}

void sk_kvm_vcpu_request_irq_window(struct sk_kvm_vcpu *vcpu, bool is_wanted)
{
	vcpu->run->request_interrupt_window = is_wanted;
}

const char *sk_kvm_exit_name(enum sk_kvm_exit_kind kind)
{
	static const char *const names[] = {
		[SK_KVM_EXIT_PIO] = "port I/O",
		[SK_KVM_EXIT_MMIO] = "MMIO",
		[SK_KVM_EXIT_HLT] = "halt",
		[SK_KVM_EXIT_INTR] = "interrupted",
		[SK_KVM_EXIT_SHUTDOWN] = "triple fault",
		[SK_KVM_EXIT_INTERNAL_ERROR] = "KVM internal error",
		[SK_KVM_EXIT_FAIL_ENTRY] = "entry refused by the hardware",
		[SK_KVM_EXIT_SYSTEM_EVENT] = "system event",
		[SK_KVM_EXIT_IOAPIC_EOI] = "end of interrupt",
		[SK_KVM_EXIT_IRQ_WINDOW] = "interrupt window",
		[SK_KVM_EXIT_DEBUG] = "debug",
		[SK_KVM_EXIT_UNKNOWN] = "unknown",
	};

	return (size_t)kind < SK_ARRAY_SIZE(names) ? names[kind] : "unknown";
}
