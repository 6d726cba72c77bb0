/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Interrupt lines, messages, irqfds, ioeventfds and the GSI routing table. */

#include "kvm_internal.h"

#define MAX_ROUTES 4096 /* KVM_MAX_IRQ_ROUTES */

int sk_kvm_vm_set_irq(struct sk_kvm_vm *vm, uint32_t gsi, bool is_high)
{
	struct kvm_irq_level level = {.irq = gsi, .level = is_high};

	return kvm_ioctl(vm->fd, KVM_IRQ_LINE, &level);
}

int sk_kvm_vm_signal_msi(struct sk_kvm_vm *vm, const struct sk_kvm_msi *msi)
{
	struct kvm_msi message = {
		.address_lo = (uint32_t)msi->address,
		.address_hi = (uint32_t)(msi->address >> 32),
		.data = msi->data,
	};
	int ret = kvm_ioctl(vm->fd, KVM_SIGNAL_MSI, &message);

	if (ret < 0)
		return ret;
	return ret > 0 ? 0 : -EAGAIN;
}

int sk_kvm_vm_attach_irqfd(struct sk_kvm_vm *vm, int fd, uint32_t gsi, int resample_fd)
{
	struct kvm_irqfd irqfd = {.fd = (uint32_t)fd, .gsi = gsi};

	if (resample_fd >= 0) {
		irqfd.flags = KVM_IRQFD_FLAG_RESAMPLE;
		irqfd.resamplefd = (uint32_t)resample_fd;
	}
	return kvm_ioctl(vm->fd, KVM_IRQFD, &irqfd);
}

int sk_kvm_vm_detach_irqfd(struct sk_kvm_vm *vm, int fd, uint32_t gsi)
{
	struct kvm_irqfd irqfd = {.fd = (uint32_t)fd, .gsi = gsi, .flags = KVM_IRQFD_FLAG_DEASSIGN};

	return kvm_ioctl(vm->fd, KVM_IRQFD, &irqfd);
}

static int set_ioeventfd(struct sk_kvm_vm *vm, const struct sk_kvm_ioeventfd *io, uint32_t flags)
{
	struct kvm_ioeventfd request = {
		.datamatch = io->datamatch,
		.addr = io->address,
		.len = io->len_bytes,
		.fd = io->fd,
		.flags = flags,
	};

	if (io->is_pio)
		request.flags |= KVM_IOEVENTFD_FLAG_PIO;
	if (io->has_datamatch)
		request.flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
	return kvm_ioctl(vm->fd, KVM_IOEVENTFD, &request);
}

int sk_kvm_vm_attach_ioeventfd(struct sk_kvm_vm *vm, const struct sk_kvm_ioeventfd *io)
{
	return set_ioeventfd(vm, io, 0);
}

int sk_kvm_vm_detach_ioeventfd(struct sk_kvm_vm *vm, const struct sk_kvm_ioeventfd *io)
{
	return set_ioeventfd(vm, io, KVM_IOEVENTFD_FLAG_DEASSIGN);
}

/* Room for one more entry; the table doubles. */
static int routes_grow(struct sk_kvm_routes *routes)
{
	struct kvm_irq_routing *table;
	size_t cap = routes->cap ? routes->cap * 2 : 64;

	if (routes->table && routes->table->nr < routes->cap)
		return 0;
	if (cap > MAX_ROUTES)
		return -ENOSPC;
	table = realloc(routes->table, sizeof(*table) + cap * sizeof(table->entries[0]));
	if (!table)
		return -ENOMEM;
	if (!routes->table)
		memset(table, 0, sizeof(*table));
	routes->table = table;
	routes->cap = cap;
	return 0;
}

static int routes_add_pin(struct sk_kvm_routes *routes, uint32_t gsi, uint32_t chip, uint32_t pin)
{
	int ret = routes_grow(routes);

	if (ret < 0)
		return ret;
	routes->table->entries[routes->table->nr++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = {.irqchip = chip, .pin = pin},
	};
	return 0;
}

int sk_kvm_routes_init(struct sk_kvm_routes *routes, enum sk_kvm_irqchip irqchip)
{
	int ret;

	*routes = (struct sk_kvm_routes){0};
	ret = routes_grow(routes);
	if (ret < 0 || irqchip != SK_KVM_IRQCHIP_KERNEL)
		return ret;
	for (uint32_t gsi = 0; gsi < SK_KVM_NR_PINS && ret == 0; gsi++) {
		ret = routes_add_pin(routes, gsi, KVM_IRQCHIP_IOAPIC, gsi);
		if (ret == 0 && gsi < 16)
			ret = routes_add_pin(
				routes, gsi,
				gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, gsi % 8);
	}
	if (ret < 0)
		sk_kvm_routes_fini(routes);
	return ret;
}

void sk_kvm_routes_fini(struct sk_kvm_routes *routes)
{
	free(routes->table);
	*routes = (struct sk_kvm_routes){0};
}

int sk_kvm_routes_set_msi(struct sk_kvm_routes *routes, uint32_t gsi, const struct sk_kvm_msi *msi)
{
	int ret;

	sk_kvm_routes_remove(routes, gsi);
	ret = routes_grow(routes);
	if (ret < 0)
		return ret;
	routes->table->entries[routes->table->nr++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi = {.address_lo = (uint32_t)msi->address,
			  .address_hi = (uint32_t)(msi->address >> 32),
			  .data = msi->data},
	};
	return 0;
}

void sk_kvm_routes_remove(struct sk_kvm_routes *routes, uint32_t gsi)
{
	struct kvm_irq_routing *table = routes->table;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < table->nr; i++) {
		if (table->entries[i].gsi != gsi)
			table->entries[kept++] = table->entries[i];
	}
	table->nr = kept;
}

const struct kvm_irq_routing_entry *sk_kvm_routes_entries(const struct sk_kvm_routes *routes,
							  size_t *count)
{
	*count = routes->table->nr;
	return routes->table->entries;
}

int sk_kvm_vm_commit_routes(struct sk_kvm_vm *vm, const struct sk_kvm_routes *routes)
{
	return kvm_ioctl(vm->fd, KVM_SET_GSI_ROUTING, routes->table);
}
