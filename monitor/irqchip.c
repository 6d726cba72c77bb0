/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Where a device's interrupt goes: to a pin of KVM's own IOAPIC, or to ours (dev/ioapic), whose
 * callbacks are here. They run one at a time, under its lock, which therefore also guards the
 * routing table.
 */
#include "vm_internal.h"

_Static_assert(SK_IOAPIC_NR_PINS == SK_KVM_NR_PINS, "GSI n is pin n");

static struct sk_kvm_msi message(const struct sk_ioapic_msi *msi)
{
	return (struct sk_kvm_msi){.address = msi->address, .data = msi->data};
}

static int route(void *ctx, unsigned int pin, const struct sk_ioapic_msi *msi)
{
	struct machine *m = ctx;
	struct sk_kvm_msi to = message(msi);
	int ret = sk_kvm_routes_set_msi(&m->routes, pin, &to);

	return ret ? ret : sk_kvm_vm_commit_routes(m->kvm_vm, &m->routes);
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

	if (sk_kvm_vm_irqchip(m->kvm_vm) != SK_KVM_IRQCHIP_SPLIT)
		return 0;
	ret = sk_kvm_routes_init(&m->routes, SK_KVM_IRQCHIP_SPLIT);
	if (ret)
		return sk_error_set(err, ret, "no memory for the interrupt routes");
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
