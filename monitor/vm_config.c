/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The configuration of a machine: defaults, a copy that is ours, what is wrong with it. */
#include "vm_internal.h"

#include <sys/sysinfo.h>

void sk_vm_config_init(struct sk_vm_config *config, size_t struct_bytes)
{
	const struct sk_vm_config defaults = {
		.struct_bytes = struct_bytes,
		.cpus = 1,
		.memory_bytes = 512 * SK_MIB,
		.irqchip = SK_VM_IRQCHIP_SPLIT,
		.has_pit = true,
		.has_reboot = true,
		.has_console = true,
	};

	memset(config, 0, struct_bytes);
	memcpy(config, &defaults, SK_MIN(struct_bytes, sizeof(defaults)));
}

static int check_memory(const struct sk_vm_config *c, struct sk_error *err)
{
	struct sysinfo info;
	uint64_t host = sysinfo(&info) ? UINT64_MAX : (uint64_t)info.totalram * info.mem_unit;

	if (c->memory_bytes < SK_VM_MIN_MEMORY_BYTES)
		return sk_error_set(
			err, -EINVAL,
			"%llu bytes of memory: a machine has at least 1 MiB (write 512M "
			"for megabytes)",
			(unsigned long long)c->memory_bytes);
	if (!sk_is_aligned(c->memory_bytes, SK_GMEM_PAGE_BYTES))
		return sk_error_set(err, -EINVAL, "%llu bytes of memory: not a multiple of 4 KiB",
				    (unsigned long long)c->memory_bytes);
	if (c->memory_bytes > host)
		return sk_error_set(err, -EINVAL,
				    "%llu MiB of memory: more than the %llu MiB that this host has",
				    (unsigned long long)(c->memory_bytes / SK_MIB),
				    (unsigned long long)(host / SK_MIB));
	return 0;
}

int vm_config_check(const struct sk_vm_config *c, struct sk_error *err)
{
	if (!c->kernel_path || !*c->kernel_path)
		return sk_error_set(err, -EINVAL, "no kernel given");
	if (c->cpus < 1 || c->cpus > SK_VM_MAX_CPUS)
		return sk_error_set(err, -EINVAL, "%u CPUs: a machine has 1 to %d", c->cpus,
				    SK_VM_MAX_CPUS);
	if ((unsigned int)c->boot > SK_VM_BOOT_MULTIBOOT ||
	    (unsigned int)c->irqchip > SK_VM_IRQCHIP_SPLIT ||
	    (unsigned int)c->backing > SK_VM_BACKING_MEMFD ||
	    (unsigned int)c->pages > SK_VM_PAGES_1G ||
	    (unsigned int)c->transport > SK_VM_TRANSPORT_MMIO)
		return sk_error_set(err, -EINVAL, "an enumerated option has an unknown value");
	if (c->max_poll_us > SK_VM_MAX_POLL_US)
		return sk_error_set(err, -EINVAL, "max_poll_us is %u: at most %d", c->max_poll_us,
				    SK_VM_MAX_POLL_US);
	return check_memory(c, err);
}

static const char *copy_string(const char *from)
{
	return from ? strdup(from) : NULL;
}

static void free_const(const void *p)
{
	free((void *)(uintptr_t)p);
}

static const struct sk_vm_rng *copy_rng(const struct sk_vm_rng *from)
{
	struct sk_vm_rng *rng;

	if (!from)
		return NULL;
	rng = malloc(sizeof(*rng));
	if (rng)
		*rng = (struct sk_vm_rng){copy_string(from->path), from->bytes_per_s};
	return rng;
}

static const struct sk_vm_vsock *copy_vsock(const struct sk_vm_vsock *from)
{
	struct sk_vm_vsock *vsock;

	if (!from)
		return NULL;
	vsock = malloc(sizeof(*vsock));
	if (vsock)
		*vsock = (struct sk_vm_vsock){from->cid, copy_string(from->path)};
	return vsock;
}

static void free_vsock(const struct sk_vm_vsock *vsock)
{
	if (!vsock)
		return;
	free_const(vsock->path);
	free_const(vsock);
}

static void free_rng(const struct sk_vm_rng *rng)
{
	if (!rng)
		return;
	free_const(rng->path);
	free_const(rng);
}

/* @len_bytes of plain values. */
static const void *copy_plain(const void *from, size_t len_bytes)
{
	void *to = from ? malloc(len_bytes) : NULL;

	if (to)
		memcpy(to, from, len_bytes);
	return to;
}

int vm_config_copy(struct sk_vm_config *to, const struct sk_vm_config *from, struct sk_error *err)
{
	const size_t smallest = offsetof(struct sk_vm_config, initrd_path);
	int ret;

	sk_vm_config_init(to, sizeof(*to));
	if (from->struct_bytes < smallest || from->struct_bytes > 4096)
		return sk_error_set(err, -EINVAL,
				    "sk_vm_config.struct_bytes is %zu: call sk_vm_config_init()",
				    from->struct_bytes);
	memcpy(to, from, SK_MIN(from->struct_bytes, sizeof(*to)));
	to->struct_bytes = sizeof(*to);
	to->kernel_path = copy_string(to->kernel_path);
	to->initrd_path = copy_string(to->initrd_path);
	to->cmdline = copy_string(to->cmdline ? to->cmdline : "");
	to->kvm_path = copy_string(to->kvm_path);
	to->rng = copy_rng(to->rng);
	to->virtio_console = copy_plain(to->virtio_console, sizeof(*to->virtio_console));
	to->vsock = copy_vsock(to->vsock);
	to->balloon = copy_plain(to->balloon, sizeof(*to->balloon));
	ret = vm_nets_copy(to, err);
	if (ret) {
		/* The disks are still the caller's. */
		to->disks = NULL;
		to->nr_disks = 0;
		return ret;
	}
	return vm_disks_copy(to, err);
}

void vm_config_fini(struct sk_vm_config *c)
{
	free_const(c->kernel_path);
	free_const(c->initrd_path);
	free_const(c->cmdline);
	free_const(c->kvm_path);
	free_rng(c->rng);
	free_vsock(c->vsock);
	free_const(c->balloon);
	vm_nets_free(c);
	vm_disks_free(c);
	free_const(c->virtio_console);
}
