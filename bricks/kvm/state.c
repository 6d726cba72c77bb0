/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Saving and restoring vCPUs and VMs, in the order that KVM's own side effects ask for.
 *
 * Save: MP state first, because KVM_GET_MP_STATE accepts pending INIT and SIPI and may change the
 * rest; events last, because other reads may change what is pending.
 * Restore: CPUID before everything that it allows; the local APIC before MSRs, because the TSC
 * deadline takes effect only in an APIC that is in deadline mode, and the deadline after the TSC;
 * nested state after the registers and MSRs that enable nesting; events after everything that
 * could clear them. The VM's chips come after all vCPUs: the IOAPIC delivers what it has pending
 * at once, into local APICs that must be there already.
 */

#include "kvm_internal.h"
#include "state_internal.h"

#define MSR_TSC_DEADLINE 0x6e0

/* MTRRs hold guest state, but KVM's list of MSRs does not name them. */
static const struct {
	uint32_t first;
	uint32_t count;
} unlisted_msrs[] = {
	{0x200, 16},			     /* variable ranges: base and mask of eight */
	{0x250, 1},  {0x258, 2}, {0x268, 8}, /* fixed ranges */
	{0x2ff, 1},			     /* default type */
};

struct step {
	const char *what;
	int ret;
};

/* Notes the first step that fails; later ones are not tried. */
#define TRY(step, name, call)                  \
	do {                                   \
		if ((step)->ret == 0) {        \
			(step)->what = (name); \
			(step)->ret = (call);  \
		}                              \
	} while (0)

static int report(const struct step *step, const char *verb, uint32_t id, struct sk_error *err)
{
	if (step->ret >= 0)
		return 0;
	return sk_error_set(err, step->ret, "KVM cannot %s the %s of vCPU %u: %s", verb, step->what,
			    id, strerror(-step->ret));
}

static int get_sregs(const struct sk_kvm_vcpu *vcpu, struct kvm_sregs2 *out)
{
	struct kvm_sregs old;
	int ret = sk_kvm_vcpu_get_sregs2(vcpu, out);

	if (ret != -ENOTSUP)
		return ret;
	ret = sk_kvm_vcpu_get_sregs(vcpu, &old);
	if (ret < 0)
		return ret;
	/* The same fields up to the APIC base; what is pending is in the events. */
	_Static_assert(offsetof(struct kvm_sregs, interrupt_bitmap) ==
			       offsetof(struct kvm_sregs2, flags),
		       "kvm_sregs2 begins as kvm_sregs does");
	memcpy(out, &old, offsetof(struct kvm_sregs, interrupt_bitmap));
	return 0;
}

static int set_sregs(struct sk_kvm_vcpu *vcpu, const struct kvm_sregs2 *in)
{
	struct kvm_sregs old = {0};
	int ret = sk_kvm_vcpu_set_sregs2(vcpu, in);

	if (ret != -ENOTSUP)
		return ret;
	memcpy(&old, in, offsetof(struct kvm_sregs, interrupt_bitmap));
	return sk_kvm_vcpu_set_sregs(vcpu, &old);
}

/* Reads one batch, dropping the MSRs that this KVM lists or not but does not read. */
static int get_msr_list(const struct sk_kvm_vcpu *vcpu, const uint32_t *indices, size_t count,
			struct vcpu_state *s)
{
	size_t start = s->nr_msrs;

	if (count > STATE_MAX_MSRS - start)
		return -ENOSPC;
	for (size_t i = 0; i < count; i++)
		s->msrs[start + i] = (struct kvm_msr_entry){.index = indices[i]};
	while (count > 0) {
		int ret = sk_kvm_vcpu_get_msrs(vcpu, s->msrs + start, count);

		if (ret < 0)
			return ret;
		start += (size_t)ret;
		count -= (size_t)ret;
		if (count > 0) {
			count--;
			memmove(s->msrs + start, s->msrs + start + 1, count * sizeof(s->msrs[0]));
		}
	}
	s->nr_msrs = (uint32_t)start;
	return 0;
}

static int get_msrs(const struct sk_kvm_vcpu *vcpu, struct vcpu_state *s)
{
	uint32_t indices[STATE_MAX_MSRS];
	int count = sk_kvm_msr_list(vcpu->vm->kvm, indices, STATE_MAX_MSRS);
	int ret;

	if (count < 0)
		return count;
	if (count > STATE_MAX_MSRS)
		return -ENOSPC;
	s->nr_msrs = 0;
	ret = get_msr_list(vcpu, indices, (size_t)count, s);
	for (size_t i = 0; i < SK_ARRAY_SIZE(unlisted_msrs) && ret == 0; i++) {
		uint32_t n = unlisted_msrs[i].count;

		for (uint32_t j = 0; j < n; j++)
			indices[j] = unlisted_msrs[i].first + j;
		ret = get_msr_list(vcpu, indices, n, s);
	}
	return ret;
}

/* An MSR that KVM refuses to write is fine if it already holds the value (a read-only one). */
static int set_msr_or_check(struct sk_kvm_vcpu *vcpu, const struct kvm_msr_entry *entry)
{
	struct kvm_msr_entry now = {.index = entry->index};

	if (sk_kvm_vcpu_set_msrs(vcpu, entry, 1, NULL) == 0)
		return 0;
	if (sk_kvm_vcpu_get_msrs(vcpu, &now, 1) == 1 && now.data == entry->data)
		return 0;
	return -EINVAL;
}

static int set_msrs(struct sk_kvm_vcpu *vcpu, const struct vcpu_state *s, struct sk_error *err)
{
	const struct kvm_msr_entry *deadline = NULL;

	for (uint32_t i = 0; i < s->nr_msrs; i++) {
		if (s->msrs[i].index == MSR_TSC_DEADLINE)
			deadline = &s->msrs[i];
		else if (set_msr_or_check(vcpu, &s->msrs[i]) < 0)
			return sk_error_set(err, -EINVAL,
					    "KVM refused %#llx in MSR %#x of vCPU %u: this host "
					    "differs from the one that saved it",
					    (unsigned long long)s->msrs[i].data, s->msrs[i].index,
					    vcpu->id);
	}
	if (deadline && set_msr_or_check(vcpu, deadline) < 0)
		return sk_error_set(err, -EINVAL, "KVM refused the timer deadline of vCPU %u",
				    vcpu->id);
	return 0;
}

static int get_nested(const struct sk_kvm_vcpu *vcpu, struct vcpu_state *s)
{
	int max = sk_kvm_vm_check(vcpu->vm, KVM_CAP_NESTED_STATE);
	struct kvm_nested_state *nested = (void *)s->nested;
	int ret;

	if (max == 0)
		return 0;
	if ((size_t)max > sizeof(s->nested))
		return -ENOSPC;
	nested->size = (uint32_t)max;
	ret = kvm_ioctl(vcpu->fd, KVM_GET_NESTED_STATE, nested);
	s->nested_bytes = ret < 0 ? 0 : nested->size;
	return ret;
}

static int set_nested(struct sk_kvm_vcpu *vcpu, const struct vcpu_state *s)
{
	const struct kvm_nested_state *nested = (const void *)s->nested;

	if (s->nested_bytes == 0)
		return 0;
	if (s->nested_bytes < sizeof(*nested) || nested->size != s->nested_bytes)
		return -EINVAL;
	if (!sk_kvm_vm_check(vcpu->vm, KVM_CAP_NESTED_STATE))
		return nested->flags ? -ENOTSUP : 0;
	return kvm_ioctl(vcpu->fd, KVM_SET_NESTED_STATE, nested);
}

static int get_all(struct sk_kvm_vcpu *vcpu, struct vcpu_state *s, struct sk_error *err)
{
	struct step step = {0};

	TRY(&step, "MP state", sk_kvm_vcpu_get_mp_state(vcpu, &s->mp_state));
	TRY(&step, "registers", sk_kvm_vcpu_get_regs(vcpu, &s->regs));
	TRY(&step, "system registers", get_sregs(vcpu, &s->sregs));
	TRY(&step, "extended state", sk_kvm_vcpu_get_xsave(vcpu, s->xsave));
	if (sk_kvm_vm_check(vcpu->vm, KVM_CAP_XCRS))
		TRY(&step, "extended control registers", sk_kvm_vcpu_get_xcrs(vcpu, &s->xcrs));
	if (sk_kvm_vm_check(vcpu->vm, KVM_CAP_DEBUGREGS))
		TRY(&step, "debug registers", sk_kvm_vcpu_get_debugregs(vcpu, &s->debugregs));
	if (s->has_lapic)
		TRY(&step, "local APIC", sk_kvm_vcpu_get_lapic(vcpu, &s->lapic));
	if (sk_kvm_vm_check(vcpu->vm, KVM_CAP_GET_TSC_KHZ))
		TRY(&step, "TSC frequency", sk_kvm_vcpu_get_tsc_khz(vcpu, &s->tsc_khz));
	TRY(&step, "MSRs", get_msrs(vcpu, s));
	TRY(&step, "CPUID", sk_kvm_vcpu_get_cpuid(vcpu, &s->cpuid));
	TRY(&step, "nested state", get_nested(vcpu, s));
	TRY(&step, "events", sk_kvm_vcpu_get_events(vcpu, &s->events));
	return report(&step, "read", vcpu->id, err);
}

int sk_kvm_vcpu_save(struct sk_kvm_vcpu *vcpu, struct sk_writer *w, struct sk_error *err)
{
	struct vcpu_state *s;
	int ret;

	if (vcpu->has_pending_io)
		return sk_error_set(err, -EBUSY,
				    "vCPU %u has not completed its last I/O: run it with "
				    "immediate_exit before it is saved",
				    vcpu->id);
	s = aligned_alloc(64, sk_align_down(sizeof(*s) + 63, 64));
	if (!s)
		return sk_error_set(err, -ENOMEM, "no memory to save vCPU %u", vcpu->id);
	memset(s, 0, sizeof(*s));
	s->id = vcpu->id;
	s->has_lapic = vcpu->vm->irqchip != SK_KVM_IRQCHIP_NONE;
	s->xsave_bytes = (uint32_t)vcpu->xsave_bytes;
	if (vcpu->xsave_bytes > sizeof(s->xsave))
		ret = sk_error_set(err, -ENOSPC, "vCPU %u has %zu bytes of extended state",
				   vcpu->id, vcpu->xsave_bytes);
	else
		ret = get_all(vcpu, s, err);
	if (ret == 0)
		vcpu_state_write(s, w);
	free(s);
	return ret;
}

/* What the stream says of itself must fit this vCPU before anything is written. */
static int check_fit(const struct sk_kvm_vcpu *vcpu, const struct vcpu_state *s,
		     struct sk_error *err)
{
	bool has_lapic = vcpu->vm->irqchip != SK_KVM_IRQCHIP_NONE;

	if (s->id != vcpu->id)
		return sk_error_set(err, -EINVAL, "saved vCPU: it is number %u, not %u", s->id,
				    vcpu->id);
	if (s->has_lapic != has_lapic)
		return sk_error_set(err, -EINVAL, "saved vCPU %u: it %s a local APIC, this VM %s",
				    s->id, s->has_lapic ? "has" : "lacks",
				    has_lapic ? "has one" : "does not");
	if (s->xsave_bytes < sizeof(struct kvm_xsave) || s->xsave_bytes > vcpu->xsave_bytes)
		return sk_error_set(err, -EINVAL,
				    "saved vCPU %u: %u bytes of extended state, this host has %zu",
				    s->id, s->xsave_bytes, vcpu->xsave_bytes);
	return 0;
}

/* Only a different frequency is set: hosts without TSC scaling refuse even to try. */
static int set_tsc_khz(struct sk_kvm_vcpu *vcpu, uint32_t khz)
{
	uint32_t now = 0;

	if (khz == 0 || (sk_kvm_vcpu_get_tsc_khz(vcpu, &now) == 0 && now == khz))
		return 0;
	return sk_kvm_vcpu_set_tsc_khz(vcpu, khz);
}

static int set_all(struct sk_kvm_vcpu *vcpu, const struct vcpu_state *s, struct sk_error *err)
{
	struct step step = {0};

	TRY(&step, "CPUID", sk_kvm_vcpu_set_cpuid(vcpu, &s->cpuid));
	TRY(&step, "TSC frequency", set_tsc_khz(vcpu, s->tsc_khz));
	TRY(&step, "system registers", set_sregs(vcpu, &s->sregs));
	if (s->xcrs.nr_xcrs)
		TRY(&step, "extended control registers", sk_kvm_vcpu_set_xcrs(vcpu, &s->xcrs));
	TRY(&step, "extended state", sk_kvm_vcpu_set_xsave(vcpu, s->xsave));
	if (s->has_lapic)
		TRY(&step, "local APIC", sk_kvm_vcpu_set_lapic(vcpu, &s->lapic));
	if (step.ret == 0) {
		int ret = set_msrs(vcpu, s, err);

		if (ret < 0)
			return ret;
	}
	TRY(&step, "nested state", set_nested(vcpu, s));
	TRY(&step, "registers", sk_kvm_vcpu_set_regs(vcpu, &s->regs));
	if (sk_kvm_vm_check(vcpu->vm, KVM_CAP_DEBUGREGS))
		TRY(&step, "debug registers", sk_kvm_vcpu_set_debugregs(vcpu, &s->debugregs));
	TRY(&step, "MP state", sk_kvm_vcpu_set_mp_state(vcpu, s->mp_state));
	TRY(&step, "events", sk_kvm_vcpu_set_events(vcpu, &s->events));
	return report(&step, "write", vcpu->id, err);
}

int sk_kvm_vcpu_restore(struct sk_kvm_vcpu *vcpu, struct sk_reader *r, struct sk_error *err)
{
	struct vcpu_state *s = aligned_alloc(64, sk_align_down(sizeof(*s) + 63, 64));
	int ret;

	if (!s)
		return sk_error_set(err, -ENOMEM, "no memory to restore vCPU %u", vcpu->id);
	ret = vcpu_state_read(s, r, err);
	if (ret == 0)
		ret = check_fit(vcpu, s, err);
	if (ret == 0)
		ret = set_all(vcpu, s, err);
	free(s);
	return ret;
}

static int vm_chip(struct sk_kvm_vm *vm, unsigned long request, struct kvm_irqchip *chip,
		   uint32_t id)
{
	chip->chip_id = id;
	return kvm_ioctl(vm->fd, request, chip);
}

static int vm_chips(struct sk_kvm_vm *vm, unsigned long request, struct vm_state *s)
{
	int ret = vm_chip(vm, request, &s->pic[0], KVM_IRQCHIP_PIC_MASTER);

	if (ret == 0)
		ret = vm_chip(vm, request, &s->pic[1], KVM_IRQCHIP_PIC_SLAVE);
	if (ret == 0)
		ret = vm_chip(vm, request, &s->ioapic, KVM_IRQCHIP_IOAPIC);
	return ret;
}

/* KVM's load times are the host's monotonic clock; saved, they count back from now. */
static void flip_load_times(struct kvm_pit_state2 *pit)
{
	for (size_t i = 0; i < SK_ARRAY_SIZE(pit->channels); i++)
		pit->channels[i].count_load_time =
			(__s64)(sk_now_ns() - (uint64_t)pit->channels[i].count_load_time);
}

int sk_kvm_vm_save(struct sk_kvm_vm *vm, struct sk_writer *w, struct sk_error *err)
{
	struct vm_state s = {.irqchip = (uint8_t)vm->irqchip, .has_pit = vm->has_pit};
	int ret = sk_kvm_vm_get_clock(vm, &s.clock_ns);

	s.has_clock = ret == 0;
	if (ret < 0 && ret != -ENOTSUP)
		return sk_error_set(err, ret, "KVM cannot read the VM's clock: %s", strerror(-ret));
	if (vm->irqchip == SK_KVM_IRQCHIP_KERNEL) {
		ret = vm_chips(vm, KVM_GET_IRQCHIP, &s);
		if (ret < 0)
			return sk_error_set(err, ret, "KVM cannot read the irqchips: %s",
					    strerror(-ret));
	}
	if (vm->has_pit) {
		ret = kvm_ioctl(vm->fd, KVM_GET_PIT2, &s.pit);
		if (ret < 0)
			return sk_error_set(err, ret, "KVM cannot read the PIT: %s",
					    strerror(-ret));
		flip_load_times(&s.pit);
	}
	vm_state_write(&s, w);
	return 0;
}

int sk_kvm_vm_restore(struct sk_kvm_vm *vm, struct sk_reader *r, struct sk_error *err)
{
	struct vm_state s;
	int ret = vm_state_read(&s, r, err);

	if (ret < 0)
		return ret;
	if (s.irqchip != vm->irqchip || s.has_pit != vm->has_pit)
		return sk_error_set(err, -EINVAL,
				    "saved VM: its interrupt controllers are not this VM's");
	if (vm->irqchip == SK_KVM_IRQCHIP_KERNEL) {
		ret = vm_chips(vm, KVM_SET_IRQCHIP, &s);
		if (ret < 0)
			return sk_error_set(err, ret, "KVM refused the irqchips: %s",
					    strerror(-ret));
	}
	if (vm->has_pit) {
		flip_load_times(&s.pit);
		ret = kvm_ioctl(vm->fd, KVM_SET_PIT2, &s.pit);
		if (ret < 0)
			return sk_error_set(err, ret, "KVM refused the PIT: %s", strerror(-ret));
	}
	if (s.has_clock) {
		ret = sk_kvm_vm_set_clock(vm, s.clock_ns);
		if (ret < 0)
			return sk_error_set(err, ret, "KVM refused the clock: %s", strerror(-ret));
	}
	return 0;
}
