/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The saved state in host memory, and its byte format. state.c moves it from and to KVM;
 * state_format.c, which needs no KVM, from and to bytes.
 */
#ifndef SKETE_KVM_STATE_INTERNAL_H
#define SKETE_KVM_STATE_INTERNAL_H

#include <skete/kvm.h>

#define STATE_MAX_MSRS	       512
#define STATE_MAX_XSAVE_BYTES  (64 * SK_KIB)
#define STATE_MAX_NESTED_BYTES (64 * SK_KIB)

struct vcpu_state {
	uint32_t id;
	uint32_t mp_state;
	uint32_t tsc_khz; /* 0: KVM does not say */
	struct sk_kvm_cpuid cpuid;
	struct kvm_regs regs;
	struct kvm_sregs2 sregs;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
	struct kvm_vcpu_events events;
	bool has_lapic;
	struct kvm_lapic_state lapic;
	uint32_t nr_msrs;
	struct kvm_msr_entry msrs[STATE_MAX_MSRS];
	uint32_t xsave_bytes;
	uint8_t xsave[STATE_MAX_XSAVE_BYTES] __attribute__((aligned(64)));
	uint32_t nested_bytes;
	uint8_t nested[STATE_MAX_NESTED_BYTES] __attribute__((aligned(64)));
};

struct vm_state {
	uint8_t irqchip;
	bool has_pit;
	bool has_clock;
	uint64_t clock_ns;
	struct kvm_irqchip pic[2];
	struct kvm_irqchip ioapic;
	struct kvm_pit_state2 pit; /* count_load_time counts back from the moment of the save */
};

void vcpu_state_write(struct vcpu_state *state, struct sk_writer *w);
/* -EINVAL with a sentence if the bytes are too few, of another version, or out of bounds. */
int vcpu_state_read(struct vcpu_state *state, struct sk_reader *r,
		    struct sk_error *err) SK_MUST_CHECK;
void vm_state_write(struct vm_state *state, struct sk_writer *w);
int vm_state_read(struct vm_state *state, struct sk_reader *r, struct sk_error *err) SK_MUST_CHECK;

#endif
