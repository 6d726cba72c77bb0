/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Where a device's interrupt goes: to a pin of KVM's own IOAPIC, or to ours (dev/ioapic), or as a
 * message past both (MSI-X of bricks/pci). The callbacks of dev/ioapic and bricks/pci are here.
 *
 * KVM has one routing table, and takes it as a whole: so it has one owner, here, with one lock.
 * GSIs below SK_KVM_NR_PINS are the pins; those above are given to vectors of PCI functions when
 * the machine is built, for good. So the guest decides what is in the table, never how long it is.
 * A change takes KVM a grace period, in which nobody waits but vCPUs that program vectors or pins,
 * too.
 */
#include "vm_internal.h"

#define MAX_GSIS 4096 /* KVM_MAX_IRQ_ROUTES */

_Static_assert(SK_IOAPIC_NR_PINS == SK_KVM_NR_PINS, "GSI n is pin n");

static struct sk_kvm_msi message(const struct sk_ioapic_msi *msi)
{
	return (struct sk_kvm_msi){.address = msi->address, .data = msi->data};
}

static int set_route(struct machine *m, uint32_t gsi, const struct sk_kvm_msi *msi)
{
	int ret;

	pthread_mutex_lock(&m->routes_lock);
	ret = sk_kvm_routes_set_msi(&m->routes, gsi, msi);
	if (!ret)
		ret = sk_kvm_vm_commit_routes(m->kvm_vm, &m->routes);
	/* One that KVM refuses must not have it refuse the others' as well. */
	if (ret)
		sk_kvm_routes_remove(&m->routes, gsi);
	pthread_mutex_unlock(&m->routes_lock);
	return ret;
}

static int route(void *ctx, unsigned int pin, const struct sk_ioapic_msi *msi)
{
	struct sk_kvm_msi to = message(msi);

	return set_route(ctx, pin, &to);
}

static int connect_pin(void *ctx, unsigned int pin, int fd)
{
	struct machine *m = ctx;

	return sk_kvm_vm_attach_irqfd(m->kvm_vm, fd, pin, -1);
}

static int disconnect_pin(void *ctx, unsigned int pin, int fd)
{
	struct machine *m = ctx;

	return sk_kvm_vm_detach_irqfd(m->kvm_vm, fd, pin);
}

static int send_message(void *ctx, const struct sk_ioapic_msi *msi)
{
	struct machine *m = ctx;
	struct sk_kvm_msi to = message(msi);

	return sk_kvm_vm_signal_msi(m->kvm_vm, &to);
}

static int allocate_gsis(void *ctx, uint32_t count, uint32_t *first_gsi)
{
	struct machine *m = ctx;

	if (count > MAX_GSIS - SK_KVM_NR_PINS - m->nr_msi_gsis)
		return -ENOSPC;
	*first_gsi = SK_KVM_NR_PINS + m->nr_msi_gsis;
	m->nr_msi_gsis += count;
	return 0;
}

static int route_vector(void *ctx, uint32_t gsi, const struct sk_pci_msi *msi)
{
	const struct sk_kvm_msi to = {.address = msi->address, .data = msi->data};

	return set_route(ctx, gsi, &to);
}

static int connect_vector(void *ctx, uint32_t gsi, int fd)
{
	struct machine *m = ctx;

	return sk_kvm_vm_attach_irqfd(m->kvm_vm, fd, gsi, -1);
}

static int disconnect_vector(void *ctx, uint32_t gsi, int fd)
{
	struct machine *m = ctx;

	return sk_kvm_vm_detach_irqfd(m->kvm_vm, fd, gsi);
}

const struct sk_pci_msi_ops irqchip_msi_ops = {
	.allocate = allocate_gsis,
	.route = route_vector,
	.connect = connect_vector,
	.disconnect = disconnect_vector,
};

int irqchip_create(struct machine *m, const struct sk_log *log, struct sk_error *err)
{
	const struct sk_ioapic_config config = {
		.route = route,
		.connect = connect_pin,
		.disconnect = disconnect_pin,
		.send = send_message,
		.ctx = m,
		.log = log,
	};
	int ret;

	ret = sk_kvm_routes_init(&m->routes, sk_kvm_vm_irqchip(m->kvm_vm));
	if (ret)
		return sk_error_set(err, ret, "no memory for the interrupt routes");
	if (sk_kvm_vm_irqchip(m->kvm_vm) != SK_KVM_IRQCHIP_SPLIT)
		return 0;
	ret = sk_ioapic_create(&m->ioapic, &config, err);
	if (ret)
		return ret;
	return sk_bus_add(m->mmio, SK_IOAPIC_GPA, SK_IOAPIC_BYTES, &sk_ioapic_ops, m->ioapic,
			  "ioapic", err);
}

int irqchip_attach(struct machine *m, int fd, uint32_t gsi, struct sk_error *err)
{
	int ret;

	if (m->ioapic)
		return sk_ioapic_attach(m->ioapic, gsi, fd, -1, err);
	ret = sk_kvm_vm_attach_irqfd(m->kvm_vm, fd, gsi, -1);
	if (ret)
		return sk_error_set(err, ret, "KVM refuses an irqfd at GSI %u: %s", gsi,
				    strerror(-ret));
	return 0;
}

void irqchip_destroy(struct machine *m)
{
	sk_ioapic_destroy(m->ioapic);
	sk_kvm_routes_fini(&m->routes);
}
