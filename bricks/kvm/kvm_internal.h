/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The three objects and the one way to an ioctl. Private to this brick. */
#ifndef SKETE_KVM_INTERNAL_H
#define SKETE_KVM_INTERNAL_H

#include <skete/kvm.h>

struct sk_kvm {
	int fd;
	size_t run_bytes;
	uint32_t max_vcpus;
};

struct sk_kvm_vm {
	const struct sk_kvm *kvm;
	int fd;
	enum sk_kvm_irqchip irqchip;
	bool has_pit;
	uint64_t slot_bytes[SK_KVM_MAX_SLOTS]; /* what a dirty bitmap must have room for */
};

struct sk_kvm_vcpu {
	const struct sk_kvm_vm *vm;
	struct kvm_run *run;
	int fd;
	uint32_t id;
	size_t xsave_bytes;
	bool has_pending_io; /* the last exit is an access that the next run completes */
};

/* ioctl(2) with -errno as the error; leaves errno alone. */
int kvm_ioctl(int fd, unsigned long request, const void *arg);
/* The same for ioctls whose argument is a number. */
int kvm_ioctl_value(int fd, unsigned long request, unsigned long value);

#endif
