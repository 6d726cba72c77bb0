/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * KVM as the callbacks for messages see it, for the tests of the bus and of devices on it: an
 * eventfd that is connected is consumed when it is signalled and becomes the message of its route;
 * one that is connected while it counts is a signal, too. Calls that KVM would refuse abort.
 */
#ifndef SKETE_TEST_FAKE_MSI_H
#define SKETE_TEST_FAKE_MSI_H

#include <skete/pci.h>

#define FAKE_IDS      128
#define FAKE_FIRST_ID 24

struct fake_msi {
	uint32_t nr_ids;
	struct sk_pci_msi routes[FAKE_IDS];
	bool has_route[FAKE_IDS];
	bool is_connected[FAKE_IDS];
	int fds[FAKE_IDS];
	unsigned arrived[FAKE_IDS];
	unsigned route_calls, connect_calls, disconnect_calls;
	struct sk_pci_msi last;
	int allocate_result, route_result, connect_result, disconnect_result;
};

/* What KVM does at once when a connected eventfd is signalled. */
static inline void fake_poll(struct fake_msi *f, uint32_t i)
{
	if (!f->is_connected[i] || sk_eventfd_drain(f->fds[i]) == 0)
		return;
	BUG_ON(!f->has_route[i]);
	f->arrived[i]++;
	f->last = f->routes[i];
}

static inline int fake_allocate(void *ctx, uint32_t count, uint32_t *first_id)
{
	struct fake_msi *f = ctx;

	if (f->allocate_result)
		return f->allocate_result;
	if (count > FAKE_IDS - f->nr_ids)
		return -ENOSPC;
	*first_id = FAKE_FIRST_ID + f->nr_ids;
	f->nr_ids += count;
	return 0;
}

static inline uint32_t fake_index(const struct fake_msi *f, uint32_t id)
{
	BUG_ON(id < FAKE_FIRST_ID || id - FAKE_FIRST_ID >= f->nr_ids);
	return id - FAKE_FIRST_ID;
}

static inline int fake_route(void *ctx, uint32_t id, const struct sk_pci_msi *msi)
{
	struct fake_msi *f = ctx;
	uint32_t i = fake_index(f, id);

	BUG_ON(msi->address >> 20 != 0xfee || msi->address & 3);
	f->route_calls++;
	if (f->route_result)
		return f->route_result;
	f->routes[i] = *msi;
	f->has_route[i] = true;
	return 0;
}

static inline int fake_connect(void *ctx, uint32_t id, int fd)
{
	struct fake_msi *f = ctx;
	uint32_t i = fake_index(f, id);

	BUG_ON(fd < 0 || f->is_connected[i]);
	f->connect_calls++;
	if (f->connect_result)
		return f->connect_result;
	f->fds[i] = fd;
	f->is_connected[i] = true;
	fake_poll(f, i);
	return 0;
}

static inline int fake_disconnect(void *ctx, uint32_t id, int fd)
{
	struct fake_msi *f = ctx;
	uint32_t i = fake_index(f, id);

	BUG_ON(!f->is_connected[i] || f->fds[i] != fd);
	f->disconnect_calls++;
	if (f->disconnect_result)
		return f->disconnect_result;
	fake_poll(f, i);
	f->is_connected[i] = false;
	return 0;
}

static const struct sk_pci_msi_ops fake_msi_ops = {
	.allocate = fake_allocate,
	.route = fake_route,
	.connect = fake_connect,
	.disconnect = fake_disconnect,
};

#endif
