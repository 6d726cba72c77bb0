/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The thread of a vCPU: enters the guest, hands its accesses to the bus, and looks for wishes.
 *
 * The way out of the guest is a signal, but nobody's handler is touched: the thread has all
 * signals blocked, and KVM unblocks VM_KICK_SIGNAL only while it runs the guest
 * (KVM_SET_SIGNAL_MASK). A pending one ends KVM_RUN with EINTR, stays pending, and is fetched with
 * sigtimedwait(). So a kick between the look at wants_attention and KVM_RUN is not lost either.
 *
 * Between two runs there is no lock, no allocation and no system call of ours.
 */
#include "vm_internal.h"

#include <stdio.h>
#include <time.h>

#include "events.h"
#include "gdb.h"

static void consume_kicks(void)
{
	const struct timespec now = {0};
	sigset_t kick;

	sigemptyset(&kick);
	sigaddset(&kick, VM_KICK_SIGNAL);
	while (sigtimedwait(&kick, NULL, &now) > 0)
		;
}

int vcpu_arm_kick(struct sk_kvm_vcpu *vcpu)
{
	sigset_t in_guest;

	sigfillset(&in_guest);
	sigdelset(&in_guest, VM_KICK_SIGNAL);
	return sk_kvm_vcpu_set_signal_mask(vcpu, &in_guest);
}

/* The guest cannot go on: says why, with its registers, and ends the machine. */
static void crash(struct vcpu_thread *t, enum sk_vm_end end, const char *what)
{
	char report[VM_REPORT_MAX];

	report_crash(t->vm->machine, t->index, what, report, sizeof(report));
	vm_request_end(t->vm, end, 0, report);
}

static void count(_Atomic uint64_t *counter)
{
	/* One writer: a plain increment, published without a locked instruction. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

static void handle_rare_exit(struct vcpu_thread *t, const struct sk_kvm_exit *exit)
{
	char what[160];

	switch (exit->kind) {
	case SK_KVM_EXIT_SHUTDOWN:
		crash(t, SK_VM_CRASHED, "the guest crashed: triple fault");
		break;
	case SK_KVM_EXIT_INTERNAL_ERROR:
		snprintf(what, sizeof(what), "KVM cannot go on with the guest: internal error %u%s",
			 exit->internal.suberror,
			 exit->internal.suberror == KVM_INTERNAL_ERROR_EMULATION
				 ? " (an instruction that it cannot emulate)"
				 : "");
		crash(t, SK_VM_CRASHED, what);
		break;
	case SK_KVM_EXIT_FAIL_ENTRY:
		snprintf(what, sizeof(what),
			 "the processor refuses the guest's state: hardware reason 0x%llx",
			 (unsigned long long)exit->fail_entry.reason);
		crash(t, SK_VM_CRASHED, what);
		break;
	case SK_KVM_EXIT_SYSTEM_EVENT:
		if (exit->system_event.type == KVM_SYSTEM_EVENT_SHUTDOWN)
			vm_request_end(t->vm, SK_VM_POWERED_OFF, 0, NULL);
		else if (exit->system_event.type == KVM_SYSTEM_EVENT_RESET)
			vm_request_reset(t->vm);
		else
			crash(t, SK_VM_CRASHED, "the guest reports that it crashed");
		break;
	default:
		snprintf(what, sizeof(what),
			 "KVM returned for a reason that this monitor does not "
			 "know: %s (%u)",
			 sk_kvm_exit_name(exit->kind),
			 exit->kind == SK_KVM_EXIT_UNKNOWN ? exit->reason : 0);
		crash(t, SK_VM_FAILED, what);
		break;
	}
}

static void handle_exit(struct vcpu_thread *t, struct machine *m, const struct sk_kvm_exit *exit)
{
	switch (exit->kind) {
	case SK_KVM_EXIT_PIO:
		if (exit->pio.port == SK_DEBUG_PORT && event_take(t, exit))
			break;
		/* An access that nobody claims is counted by the bus; the guest reads ones. */
		if (exit->pio.is_out)
			(void)sk_bus_write(m->pio, exit->pio.port, exit->pio.data, exit->pio.size,
					   exit->pio.count);
		else
			(void)sk_bus_read(m->pio, exit->pio.port, exit->pio.data, exit->pio.size,
					  exit->pio.count);
		break;
	case SK_KVM_EXIT_MMIO:
		if (exit->mmio.is_write)
			(void)sk_bus_write(m->mmio, exit->mmio.gpa, exit->mmio.data,
					   exit->mmio.len_bytes, 1);
		else
			(void)sk_bus_read(m->mmio, exit->mmio.gpa, exit->mmio.data,
					  exit->mmio.len_bytes, 1);
		break;
	case SK_KVM_EXIT_DEBUG:
		if (t->vm->gdb)
			gdb_debug_exit(t->vm->gdb, t->index, &exit->debug);
		break;
	case SK_KVM_EXIT_INTR:
		consume_kicks();
		break;
	case SK_KVM_EXIT_IOAPIC_EOI:
		/* Only where the IOAPIC is ours, and only for level-triggered interrupts. */
		sk_ioapic_eoi(m->ioapic, exit->eoi.vector);
		break;
	default:
		handle_rare_exit(t, exit);
		break;
	}
}

/* Runs the guest until somebody wants something. */
static void run(struct vcpu_thread *t, struct machine *m)
{
	struct sk_vm *vm = t->vm;
	struct sk_kvm_vcpu *vcpu = m->vcpus[t->index];
	struct sk_kvm_exit exit;

	/* Acquire: pairs with the release in call_vcpus_locked(). */
	while (!atomic_load_explicit(&vm->wants_attention, memory_order_acquire)) {
		int ret = sk_kvm_vcpu_run(vcpu, &exit);

		if (ret) {
			char what[160];

			snprintf(what, sizeof(what), "KVM cannot run the guest: %s",
				 strerror(-ret));
			crash(t, SK_VM_FAILED, what);
			return;
		}
		count(&t->exits[exit.kind]);
		handle_exit(t, m, &exit);
	}
}

/* "vcpu0" */
static void name_thread(uint32_t index)
{
	char name[] = "vcpu\0\0";
	char *digit = name + strlen(name);

	_Static_assert(SK_VM_MAX_CPUS <= 100, "a vCPU's number has two digits");
	if (index >= 10)
		*digit++ = (char)('0' + index / 10);
	*digit = (char)('0' + index % 10);
	pthread_setname_np(pthread_self(), name);
}

void *vcpu_thread_main(void *arg)
{
	struct vcpu_thread *t = arg;
	struct sk_vm *vm = t->vm;

	name_thread(t->index);
	while (vm_park(vm, t->index)) {
		if (t->index == 0 && !atomic_load_explicit(&vm->first_run_ns, memory_order_relaxed))
			atomic_store_explicit(&vm->first_run_ns, sk_now_ns(), memory_order_relaxed);
		if (vm->gdb)
			gdb_hold(vm->gdb, t->index);
		run(t, vm->machine);
	}
	return NULL;
}
