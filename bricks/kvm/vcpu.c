/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* A virtual CPU: creation and the access to each part of its state. */

#include <sys/mman.h>

#include "kvm_internal.h"

int sk_kvm_vcpu_create(struct sk_kvm_vcpu **out, struct sk_kvm_vm *vm, uint32_t id,
		       struct sk_error *err)
{
	struct sk_kvm_vcpu *vcpu = calloc(1, sizeof(*vcpu));
	int saved = errno;
	int ret;

	if (!vcpu)
		return sk_error_set(err, -ENOMEM, "no memory for vCPU %u", id);
	vcpu->vm = vm;
	vcpu->id = id;
	ret = vcpu->fd = kvm_ioctl_value(vm->fd, KVM_CREATE_VCPU, id);
	if (ret < 0) {
		sk_error_set(err, ret, "KVM cannot create vCPU %u: %s (this host allows %u)", id,
			     strerror(-ret), vm->kvm->max_vcpus);
		goto err_free;
	}
	vcpu->run = mmap(NULL, vm->kvm->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED) {
		ret = -errno;
		errno = saved;
		sk_error_set(err, ret, "cannot map the run area of vCPU %u: %s", id,
			     strerror(-ret));
		goto err_close;
	}
	ret = sk_kvm_vm_check(vm, KVM_CAP_XSAVE2);
	vcpu->xsave_bytes = SK_MAX((size_t)ret, sizeof(struct kvm_xsave));
	*out = vcpu;
	return 0;

err_close:
	sk_close(&vcpu->fd);
err_free:
	free(vcpu);
	return ret;
}

void sk_kvm_vcpu_destroy(struct sk_kvm_vcpu *vcpu)
{
	if (!vcpu)
		return;
	(void)munmap(vcpu->run, vcpu->vm->kvm->run_bytes);
	sk_close(&vcpu->fd);
	free(vcpu);
}

uint32_t sk_kvm_vcpu_id(const struct sk_kvm_vcpu *vcpu)
{
	return vcpu->id;
}

int sk_kvm_vcpu_get_cpuid(const struct sk_kvm_vcpu *vcpu, struct sk_kvm_cpuid *out)
{
	memset(out, 0, sizeof(*out));
	out->nr_entries = SK_KVM_CPUID_MAX;
	return kvm_ioctl(vcpu->fd, KVM_GET_CPUID2, out);
}

int sk_kvm_vcpu_set_cpuid(struct sk_kvm_vcpu *vcpu, const struct sk_kvm_cpuid *cpuid)
{
	if (cpuid->nr_entries > SK_KVM_CPUID_MAX)
		return -EINVAL;
	return kvm_ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid);
}

/* KVM_GET_MSRS and KVM_SET_MSRS take a header and entries in one piece: so many per call. */
#define MSR_BATCH 64

union msr_batch {
	struct {
		struct kvm_msr_entry header; /* as wide as the header of kvm_msrs, or wider */
		struct kvm_msr_entry entries[MSR_BATCH];
	} room;
	struct kvm_msrs msrs; /* ends in a flexible array, which lies in the room */
};

_Static_assert(sizeof(struct kvm_msrs) <= sizeof(struct kvm_msr_entry),
	       "the room of a batch holds the header and MSR_BATCH entries");

int sk_kvm_vcpu_get_msrs(const struct sk_kvm_vcpu *vcpu, struct kvm_msr_entry *entries,
			 size_t count)
{
	union msr_batch batch = {0};
	size_t done = 0;

	while (done < count) {
		size_t n = SK_MIN(count - done, (size_t)MSR_BATCH);
		int ret;

		batch.msrs.nmsrs = (uint32_t)n;
		memcpy(batch.msrs.entries, entries + done, n * sizeof(*entries));
		ret = kvm_ioctl(vcpu->fd, KVM_GET_MSRS, &batch);
		if (ret < 0)
			return ret;
		memcpy(entries + done, batch.msrs.entries, (size_t)ret * sizeof(*entries));
		done += (size_t)ret;
		if ((size_t)ret < n)
			break;
	}
	return (int)done;
}

int sk_kvm_vcpu_set_msrs(struct sk_kvm_vcpu *vcpu, const struct kvm_msr_entry *entries,
			 size_t count, size_t *failed)
{
	union msr_batch batch = {0};
	size_t done = 0;

	while (done < count) {
		size_t n = SK_MIN(count - done, (size_t)MSR_BATCH);
		int ret;

		batch.msrs.nmsrs = (uint32_t)n;
		memcpy(batch.msrs.entries, entries + done, n * sizeof(*entries));
		ret = kvm_ioctl(vcpu->fd, KVM_SET_MSRS, &batch);
		if (ret < 0)
			return ret;
		done += (size_t)ret;
		if ((size_t)ret < n) {
			if (failed)
				*failed = done;
			return -EINVAL;
		}
	}
	return 0;
}

size_t sk_kvm_vcpu_xsave_bytes(const struct sk_kvm_vcpu *vcpu)
{
	return vcpu->xsave_bytes;
}

int sk_kvm_vcpu_get_xsave(const struct sk_kvm_vcpu *vcpu, void *area)
{
	/* KVM_GET_XSAVE knows only the first 4 KiB, which is all where XSAVE2 is missing. */
	return kvm_ioctl(vcpu->fd,
			 vcpu->xsave_bytes > sizeof(struct kvm_xsave) ? KVM_GET_XSAVE2
								      : KVM_GET_XSAVE,
			 area);
}

int sk_kvm_vcpu_get_mp_state(const struct sk_kvm_vcpu *vcpu, uint32_t *mp_state)
{
	struct kvm_mp_state state = {0};
	int ret = kvm_ioctl(vcpu->fd, KVM_GET_MP_STATE, &state);

	*mp_state = state.mp_state;
	return ret;
}

int sk_kvm_vcpu_set_mp_state(struct sk_kvm_vcpu *vcpu, uint32_t mp_state)
{
	struct kvm_mp_state state = {.mp_state = mp_state};

	return kvm_ioctl(vcpu->fd, KVM_SET_MP_STATE, &state);
}

int sk_kvm_vcpu_get_sregs2(const struct sk_kvm_vcpu *vcpu, struct kvm_sregs2 *sregs)
{
	if (!sk_kvm_vm_check(vcpu->vm, KVM_CAP_SREGS2))
		return -ENOTSUP;
	return kvm_ioctl(vcpu->fd, KVM_GET_SREGS2, sregs);
}

int sk_kvm_vcpu_set_sregs2(struct sk_kvm_vcpu *vcpu, const struct kvm_sregs2 *sregs)
{
	if (!sk_kvm_vm_check(vcpu->vm, KVM_CAP_SREGS2))
		return -ENOTSUP;
	return kvm_ioctl(vcpu->fd, KVM_SET_SREGS2, sregs);
}

int sk_kvm_vcpu_get_tsc_khz(const struct sk_kvm_vcpu *vcpu, uint32_t *khz)
{
	int ret = kvm_ioctl_value(vcpu->fd, KVM_GET_TSC_KHZ, 0);

	if (ret < 0)
		return ret;
	*khz = (uint32_t)ret;
	return 0;
}

int sk_kvm_vcpu_set_tsc_khz(struct sk_kvm_vcpu *vcpu, uint32_t khz)
{
	return kvm_ioctl_value(vcpu->fd, KVM_SET_TSC_KHZ, khz);
}

int sk_kvm_vcpu_nmi(struct sk_kvm_vcpu *vcpu)
{
	return kvm_ioctl_value(vcpu->fd, KVM_NMI, 0);
}

int sk_kvm_vcpu_interrupt(struct sk_kvm_vcpu *vcpu, uint8_t vector)
{
	struct kvm_interrupt interrupt = {.irq = vector};

	return kvm_ioctl(vcpu->fd, KVM_INTERRUPT, &interrupt);
}

int sk_kvm_vcpu_kvmclock_ctrl(struct sk_kvm_vcpu *vcpu)
{
	return kvm_ioctl_value(vcpu->fd, KVM_KVMCLOCK_CTRL, 0);
}

/* The kernel's signal sets have 64 bits, whatever the C library's have. */
#define KERNEL_SIGSET_BYTES 8

int sk_kvm_vcpu_set_signal_mask(struct sk_kvm_vcpu *vcpu, const sigset_t *blocked)
{
	union {
		uint8_t room[sizeof(struct kvm_signal_mask) + KERNEL_SIGSET_BYTES];
		struct kvm_signal_mask mask;
	} arg = {{0}};

	arg.mask.len = KERNEL_SIGSET_BYTES;
	memcpy(arg.mask.sigset, blocked, KERNEL_SIGSET_BYTES);
	return kvm_ioctl(vcpu->fd, KVM_SET_SIGNAL_MASK, &arg);
}

int sk_kvm_vcpu_translate(const struct sk_kvm_vcpu *vcpu, uint64_t address, gpa_t *gpa)
{
	struct kvm_translation translation = {.linear_address = address};
	int ret = kvm_ioctl(vcpu->fd, KVM_TRANSLATE, &translation);

	if (ret)
		return ret;
	if (!translation.valid)
		return -EFAULT;
	*gpa = translation.physical_address;
	return 0;
}

int sk_kvm_vcpu_set_guest_debug(struct sk_kvm_vcpu *vcpu, const struct kvm_guest_debug *debug)
{
	return kvm_ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, debug);
}

/* The rest is one ioctl each. */
#define DEFINE_GET(name, type, request)                                       \
	int sk_kvm_vcpu_get_##name(const struct sk_kvm_vcpu *vcpu, type *out) \
	{                                                                     \
		return kvm_ioctl(vcpu->fd, request, out);                     \
	}
#define DEFINE_SET(name, type, request)                                      \
	int sk_kvm_vcpu_set_##name(struct sk_kvm_vcpu *vcpu, const type *in) \
	{                                                                    \
		return kvm_ioctl(vcpu->fd, request, in);                     \
	}

DEFINE_GET(regs, struct kvm_regs, KVM_GET_REGS)
DEFINE_SET(regs, struct kvm_regs, KVM_SET_REGS)
DEFINE_GET(sregs, struct kvm_sregs, KVM_GET_SREGS)
DEFINE_SET(sregs, struct kvm_sregs, KVM_SET_SREGS)
DEFINE_GET(fpu, struct kvm_fpu, KVM_GET_FPU)
DEFINE_SET(fpu, struct kvm_fpu, KVM_SET_FPU)
DEFINE_SET(xsave, void, KVM_SET_XSAVE)
DEFINE_GET(xcrs, struct kvm_xcrs, KVM_GET_XCRS)
DEFINE_SET(xcrs, struct kvm_xcrs, KVM_SET_XCRS)
DEFINE_GET(lapic, struct kvm_lapic_state, KVM_GET_LAPIC)
DEFINE_SET(lapic, struct kvm_lapic_state, KVM_SET_LAPIC)
DEFINE_GET(events, struct kvm_vcpu_events, KVM_GET_VCPU_EVENTS)
DEFINE_SET(events, struct kvm_vcpu_events, KVM_SET_VCPU_EVENTS)
DEFINE_GET(debugregs, struct kvm_debugregs, KVM_GET_DEBUGREGS)
DEFINE_SET(debugregs, struct kvm_debugregs, KVM_SET_DEBUGREGS)
