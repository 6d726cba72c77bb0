/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * KVM as the IOAPIC's callbacks see it, for the tests: an eventfd that is connected is consumed
 * when it is signalled and becomes the message of the pin's route, or nothing without one; one
 * that is connected while it counts is a signal, too. Calls that KVM would refuse abort.
 */
#ifndef SKETE_DEV_IOAPIC_FAKE_KVM_H
#define SKETE_DEV_IOAPIC_FAKE_KVM_H

#include <skete/dev/ioapic.h>

struct fake_kvm {
	struct sk_ioapic_msi routes[SK_IOAPIC_NR_PINS];
	bool has_route[SK_IOAPIC_NR_PINS];
	int fds[SK_IOAPIC_NR_PINS]; /* connected; -1: none */
	unsigned int route_calls, connect_calls, disconnect_calls;
	unsigned int arrived[SK_IOAPIC_NR_PINS]; /* interrupts by eventfd */
	unsigned int lost;			 /* signals without a route */
	unsigned int sent;			 /* messages by send */
	struct sk_ioapic_msi last;		 /* of either kind */
	int route_result, connect_result, disconnect_result, send_result;
};

/* What KVM does at once when a connected eventfd is signalled. */
static inline void fake_poll(struct fake_kvm *kvm, unsigned int pin)
{
	if (kvm->fds[pin] < 0 || sk_eventfd_drain(kvm->fds[pin]) == 0)
		return;
	if (!kvm->has_route[pin]) {
		kvm->lost++;
		return;
	}
	kvm->arrived[pin]++;
	kvm->last = kvm->routes[pin];
}

static inline int fake_route(void *ctx, unsigned int pin, const struct sk_ioapic_msi *msi)
{
	struct fake_kvm *kvm = ctx;

	BUG_ON(pin >= SK_IOAPIC_NR_PINS);
	kvm->route_calls++;
	if (kvm->route_result)
		return kvm->route_result;
	kvm->routes[pin] = *msi;
	kvm->has_route[pin] = true;
	return 0;
}

static inline int fake_connect(void *ctx, unsigned int pin, int fd)
{
	struct fake_kvm *kvm = ctx;

	BUG_ON(pin >= SK_IOAPIC_NR_PINS || fd < 0 || kvm->fds[pin] >= 0);
	kvm->connect_calls++;
	if (kvm->connect_result)
		return kvm->connect_result;
	kvm->fds[pin] = fd;
	fake_poll(kvm, pin);
	return 0;
}

static inline int fake_disconnect(void *ctx, unsigned int pin, int fd)
{
	struct fake_kvm *kvm = ctx;

	BUG_ON(pin >= SK_IOAPIC_NR_PINS || fd < 0 || kvm->fds[pin] != fd);
	kvm->disconnect_calls++;
	if (kvm->disconnect_result)
		return kvm->disconnect_result;
	fake_poll(kvm, pin);
	kvm->fds[pin] = -1;
	return 0;
}

static inline int fake_send(void *ctx, const struct sk_ioapic_msi *msi)
{
	struct fake_kvm *kvm = ctx;

	if (kvm->send_result)
		return kvm->send_result;
	kvm->sent++;
	kvm->last = *msi;
	return 0;
}

static inline struct sk_ioapic_config fake_kvm_init(struct fake_kvm *kvm)
{
	*kvm = (struct fake_kvm){0};
	for (unsigned int pin = 0; pin < SK_IOAPIC_NR_PINS; pin++)
		kvm->fds[pin] = -1;
	return (struct sk_ioapic_config){
		.route = fake_route,
		.connect = fake_connect,
		.disconnect = fake_disconnect,
		.send = fake_send,
		.ctx = kvm,
	};
}

#endif
