/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* A virtual machine: creation in the order that is fast, memory slots, dirty log, clock. */

#include <sys/ioctl.h>

#include "kvm_internal.h"

/*
 * VT-x without unrestricted guests needs four pages of guest-physical space of its own. They sit
 * in the hole below the firmware area, clear of the IOAPIC and the local APICs.
 */
#define IDENTITY_MAP_GPA UINT64_C(0xfeffc000)
#define TSS_GPA		 UINT64_C(0xfeffd000)

static int enable_cap(const struct sk_kvm_vm *vm, uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap enable = {.cap = cap, .args = {arg}};

	return kvm_ioctl(vm->fd, KVM_ENABLE_CAP, &enable);
}

static int reserve_vmx_pages(const struct sk_kvm_vm *vm, struct sk_error *err)
{
	uint64_t map = IDENTITY_MAP_GPA;
	int ret = 0;

	if (sk_kvm_vm_check(vm, KVM_CAP_SET_IDENTITY_MAP_ADDR))
		ret = kvm_ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &map);
	if (ret == 0 && sk_kvm_vm_check(vm, KVM_CAP_SET_TSS_ADDR))
		ret = kvm_ioctl_value(vm->fd, KVM_SET_TSS_ADDR, TSS_GPA);
	if (ret < 0)
		return sk_error_set(err, ret, "KVM refused the pages for VT-x's own use: %s",
				    strerror(-ret));
	return 0;
}

/* Makes a pending exception or triple fault visible to save. A KVM without it saves less exactly.
 */
static void enable_exact_events(const struct sk_kvm_vm *vm)
{
	if (sk_kvm_vm_check(vm, KVM_CAP_EXCEPTION_PAYLOAD))
		(void)enable_cap(vm, KVM_CAP_EXCEPTION_PAYLOAD, 1);
	if (sk_kvm_vm_check(vm, KVM_CAP_X86_TRIPLE_FAULT_EVENT))
		(void)enable_cap(vm, KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1);
}

static int create_irqchip(struct sk_kvm_vm *vm, struct sk_error *err)
{
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
	int ret = 0;

	if (vm->irqchip == SK_KVM_IRQCHIP_KERNEL)
		ret = kvm_ioctl_value(vm->fd, KVM_CREATE_IRQCHIP, 0);
	else if (vm->irqchip == SK_KVM_IRQCHIP_SPLIT)
		ret = enable_cap(vm, KVM_CAP_SPLIT_IRQCHIP, SK_KVM_NR_PINS);
	if (ret < 0)
		return sk_error_set(err, ret, "KVM cannot create the %s interrupt controller: %s",
				    vm->irqchip == SK_KVM_IRQCHIP_SPLIT ? "split" : "in-kernel",
				    strerror(-ret));
	if (vm->has_pit)
		ret = kvm_ioctl(vm->fd, KVM_CREATE_PIT2, &pit);
	if (ret < 0)
		return sk_error_set(err, ret, "KVM cannot create the timer (PIT): %s",
				    strerror(-ret));
	return 0;
}

static int create_fd(const struct sk_kvm *kvm, struct sk_error *err)
{
	int fd;

	/* Creation is interruptible, by a signal that has nothing to do with it. */
	do {
		fd = kvm_ioctl_value(kvm->fd, KVM_CREATE_VM, 0);
	} while (fd == -EINTR);
	if (fd == -EBUSY)
		return sk_error_set(err, fd,
				    "KVM cannot create a VM: another hypervisor on this machine "
				    "holds the virtualization hardware (stop it first)");
	if (fd < 0)
		return sk_error_set(err, fd, "KVM cannot create a VM: %s", strerror(-fd));
	return fd;
}

int sk_kvm_vm_create(struct sk_kvm_vm **out, const struct sk_kvm *kvm,
		     const struct sk_kvm_vm_config *config, struct sk_error *err)
{
	struct sk_kvm_vm *vm;
	int ret;

	if (config->has_pit && config->irqchip != SK_KVM_IRQCHIP_KERNEL)
		return sk_error_set(
			err, -EINVAL,
			"a PIT in the kernel needs the interrupt controllers there too");
	vm = calloc(1, sizeof(*vm));
	if (!vm)
		return sk_error_set(err, -ENOMEM, "no memory for the VM handle");
	vm->kvm = kvm;
	vm->irqchip = config->irqchip;
	vm->has_pit = config->has_pit;
	ret = vm->fd = create_fd(kvm, err);
	if (ret < 0)
		goto err_free;
	/* The memory slots come first: see the order at the top of kvm.h. */
	if (config->gm) {
		ret = sk_kvm_vm_map_gmem(vm, config->gm, config->has_dirty_log, err);
		if (ret < 0)
			goto err_close;
	}
	ret = reserve_vmx_pages(vm, err);
	if (ret < 0)
		goto err_close;
	enable_exact_events(vm);
	ret = create_irqchip(vm, err);
	if (ret < 0)
		goto err_close;
	*out = vm;
	return 0;

err_close:
	sk_close(&vm->fd);
err_free:
	free(vm);
	return ret;
}

void sk_kvm_vm_destroy(struct sk_kvm_vm *vm)
{
	if (!vm)
		return;
	sk_close(&vm->fd);
	free(vm);
}

int sk_kvm_vm_check(const struct sk_kvm_vm *vm, int cap)
{
	int ret = kvm_ioctl_value(vm->fd, KVM_CHECK_EXTENSION, (unsigned long)cap);

	/* A kernel that knows the question only on the system handle answers it there. */
	return ret < 0 ? sk_kvm_check(vm->kvm, cap) : ret;
}

enum sk_kvm_irqchip sk_kvm_vm_irqchip(const struct sk_kvm_vm *vm)
{
	return vm->irqchip;
}

int sk_kvm_vm_set_slot(struct sk_kvm_vm *vm, const struct sk_kvm_slot *slot)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot->slot,
		.guest_phys_addr = slot->gpa,
		.memory_size = slot->size_bytes,
		.userspace_addr = (uintptr_t)slot->hva,
	};
	int ret;

	if (slot->slot >= SK_KVM_MAX_SLOTS)
		return -EINVAL;
	if (slot->is_readonly)
		region.flags |= KVM_MEM_READONLY;
	if (slot->has_dirty_log)
		region.flags |= KVM_MEM_LOG_DIRTY_PAGES;
	ret = kvm_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
	if (ret == 0)
		vm->slot_bytes[slot->slot] = slot->size_bytes;
	return ret;
}

int sk_kvm_vm_map_gmem(struct sk_kvm_vm *vm, const struct sk_gmem *gm, bool has_dirty_log,
		       struct sk_error *err)
{
	for (size_t i = 0; i < sk_gmem_nr_regions(gm); i++) {
		const struct sk_gmem_region *region = sk_gmem_region_at(gm, i);
		const struct sk_kvm_slot slot = {
			.slot = (uint32_t)i,
			.gpa = region->gpa,
			.size_bytes = region->size_bytes,
			.hva = region->hva,
			.has_dirty_log = has_dirty_log,
		};
		int ret = sk_kvm_vm_set_slot(vm, &slot);

		if (ret < 0)
			return sk_error_set(err, ret,
					    "KVM refused %llu MiB of guest memory at %#llx: %s",
					    (unsigned long long)(region->size_bytes / SK_MIB),
					    (unsigned long long)region->gpa, strerror(-ret));
	}
	return 0;
}

int sk_kvm_vm_get_dirty_log(struct sk_kvm_vm *vm, uint32_t slot, uint64_t *bitmap, size_t nr_words)
{
	struct kvm_dirty_log log = {.slot = slot, .dirty_bitmap = bitmap};

	if (slot >= SK_KVM_MAX_SLOTS || vm->slot_bytes[slot] == 0)
		return -ENOENT;
	if (nr_words < sk_bits_words(vm->slot_bytes[slot] / SK_GMEM_PAGE_BYTES))
		return -EINVAL;
	memset(bitmap, 0, nr_words * sizeof(*bitmap));
	return kvm_ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log);
}

int sk_kvm_vm_get_clock(const struct sk_kvm_vm *vm, uint64_t *clock_ns)
{
	struct kvm_clock_data data = {0};
	int ret;

	if (!sk_kvm_vm_check(vm, KVM_CAP_ADJUST_CLOCK))
		return -ENOTSUP;
	ret = kvm_ioctl(vm->fd, KVM_GET_CLOCK, &data);
	if (ret == 0)
		*clock_ns = data.clock;
	return ret;
}

int sk_kvm_vm_set_clock(struct sk_kvm_vm *vm, uint64_t clock_ns)
{
	struct kvm_clock_data data = {.clock = clock_ns};

	if (!sk_kvm_vm_check(vm, KVM_CAP_ADJUST_CLOCK))
		return -ENOTSUP;
	return kvm_ioctl(vm->fd, KVM_SET_CLOCK, &data);
}
