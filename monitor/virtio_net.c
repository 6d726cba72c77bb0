/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The machine's network devices: what the configuration says of them, how they are made, limits. */
#include "vm_internal.h"

#include <stdio.h>

#include <skete/dev/net.h>
#include <skete/netif.h>

/* The device and what stands behind it. */
struct net_pair {
	struct sk_netif *netif;
	struct sk_net *net;
};

static void free_const(const void *p)
{
	free((void *)(uintptr_t)p);
}

static int copy_net(struct sk_vm_net *to, const struct sk_vm_net *from)
{
	const char **forwards;

	*to = *from;
	to->tap = NULL;
	to->forwards = NULL;
	to->nr_forwards = 0;
	if (from->tap && !(to->tap = strdup(from->tap)))
		return -ENOMEM;
	if (!from->nr_forwards)
		return 0;
	forwards = calloc(from->nr_forwards, sizeof(*forwards));
	if (!forwards)
		return -ENOMEM;
	to->forwards = forwards;
	for (; to->nr_forwards < from->nr_forwards; to->nr_forwards++) {
		forwards[to->nr_forwards] = strdup(from->forwards[to->nr_forwards]);
		if (!forwards[to->nr_forwards])
			return -ENOMEM;
	}
	return 0;
}

int vm_nets_copy(struct sk_vm_config *config, struct sk_error *err)
{
	const struct sk_vm_net *from = config->nets;
	size_t nr = config->nr_nets;
	struct sk_vm_net *to;
	int ret = 0;

	config->nets = NULL;
	config->nr_nets = 0;
	if (nr > DEVICES_MAX)
		return sk_error_set(err, -EINVAL, "%zu network devices: a machine has at most %d",
				    nr, DEVICES_MAX);
	if (!nr)
		return 0;
	to = calloc(nr, sizeof(*to));
	config->nets = to;
	if (!to)
		ret = -ENOMEM;
	for (size_t i = 0; !ret && i < nr; i++) {
		config->nr_nets++;
		ret = copy_net(&to[i], &from[i]);
	}
	return ret ? sk_error_set(err, ret, "no memory for the configuration") : 0;
}

void vm_nets_free(struct sk_vm_config *config)
{
	for (size_t i = 0; i < config->nr_nets; i++) {
		const struct sk_vm_net *net = &config->nets[i];

		for (size_t k = 0; k < net->nr_forwards; k++)
			free_const(net->forwards[k]);
		free_const(net->forwards);
		free_const(net->tap);
	}
	free_const(config->nets);
	config->nets = NULL;
	config->nr_nets = 0;
}

static int create_user(struct sk_netif **out, const struct sk_vm_net *net, struct sk_error *err)
{
	struct sk_netif_forward *forwards = calloc(net->nr_forwards + 1, sizeof(*forwards));
	const struct sk_netif_user_config config = {
		.forwards = forwards,
		.nr_forwards = net->nr_forwards,
		.mtu = net->mtu,
		.has_host_loopback = net->has_host_loopback,
	};
	int ret = 0;

	if (!forwards)
		return sk_error_set(err, -ENOMEM, "no memory for a network device");
	for (size_t i = 0; !ret && i < net->nr_forwards; i++)
		ret = sk_netif_forward_parse(&forwards[i], net->forwards[i], err);
	if (!ret)
		ret = sk_netif_user_create(out, &config, err);
	free(forwards);
	return ret;
}

static int create_netif(struct sk_netif **out, const struct sk_vm_net *net, struct sk_error *err)
{
	const struct sk_netif_tap_config tap = {
		.name = net->tap ? net->tap : "",
		.nr_pairs = net->queues ? net->queues : 1,
		.wants_vhost = net->has_vhost,
	};

	switch (net->kind) {
	case SK_VM_NET_USER:
		return create_user(out, net, err);
	case SK_VM_NET_TAP:
		return sk_netif_tap_create(out, &tap, err);
	}
	return sk_error_set(err, -EINVAL, "a network device of an unknown kind");
}

static uint32_t count_nets(const struct sk_vm_config *c)
{
	return (uint32_t)c->nr_nets;
}

static void destroy_net(void *dev)
{
	struct net_pair *pair = dev;

	sk_net_destroy(pair->net);
	sk_netif_destroy(pair->netif);
	free(pair);
}

static struct sk_limiter_config limit_of(const struct sk_vm_net *net)
{
	return (struct sk_limiter_config){
		.bytes_per_s = net->bytes_per_s,
		.ops_per_s = net->frames_per_s,
	};
}

static int create_net(struct machine *m, struct sk_vm *vm, uint32_t index, void **dev,
		      struct sk_virtio **virtio, struct sk_error *err)
{
	const struct sk_vm_net *net = &vm->config.nets[index];
	struct sk_net_config config = {
		.gm = m->gm,
		.loop = m->devices.loop,
		.log = vm->config.log,
		.mtu = net->mtu,
		.rx_limit = limit_of(net),
		.tx_limit = limit_of(net),
	};
	struct net_pair *pair = calloc(1, sizeof(*pair));
	int ret;

	if (!pair)
		return sk_error_set(err, -ENOMEM, "no memory for a network device");
	memcpy(config.mac, net->mac, sizeof(config.mac));
	ret = create_netif(&pair->netif, net, err);
	config.netif = pair->netif;
	if (!ret)
		ret = sk_net_create(&pair->net, &config, err);
	if (ret) {
		destroy_net(pair);
		return ret;
	}
	*dev = pair;
	*virtio = sk_net_virtio(pair->net);
	return 0;
}

const struct device_kind net_kind = {
	.name = "net",
	.count = count_nets,
	.create = create_net,
	.destroy = destroy_net,
	.outlives_loop = true,
};

/* The device with vm->lock held, or why there is none. */
static int find_locked(struct sk_vm *vm, uint32_t index, struct sk_net **net)
{
	void *pair = NULL;
	int ret = devices_find_locked(vm, &net_kind, index, &pair);

	*net = pair ? ((const struct net_pair *)pair)->net : NULL;
	return ret;
}

int sk_vm_net_set_limits(struct sk_vm *vm, uint32_t index, uint64_t bytes_per_s,
			 uint64_t frames_per_s)
{
	struct sk_vm_net *config;
	struct sk_net *net;
	int ret;

	pthread_mutex_lock(&vm->lock);
	ret = find_locked(vm, index, &net);
	if (!ret) {
		const struct sk_limiter_config limit = {
			.bytes_per_s = bytes_per_s,
			.ops_per_s = frames_per_s,
		};

		ret = sk_net_set_limits(net, &limit, &limit);
	}
	if (!ret) {
		/* Ours since the copy. */
		config = (struct sk_vm_net *)(uintptr_t)&vm->config.nets[index];
		config->bytes_per_s = bytes_per_s;
		config->frames_per_s = frames_per_s;
	}
	pthread_mutex_unlock(&vm->lock);
	return ret;
}

int sk_vm_net_get_stats(struct sk_vm *vm, uint32_t index, struct sk_vm_net_stats *stats)
{
	struct sk_vm_net_stats s = {.struct_bytes = SK_MIN(stats->struct_bytes, sizeof(s))};
	struct sk_net_stats from;
	struct sk_net *net;
	int ret;

	pthread_mutex_lock(&vm->lock);
	ret = find_locked(vm, index, &net);
	if (!ret)
		sk_net_get_stats(net, &from);
	pthread_mutex_unlock(&vm->lock);
	if (ret)
		return ret;
	s.rx_frames = from.rx_frames;
	s.rx_bytes = from.rx_bytes;
	s.tx_frames = from.tx_frames;
	s.tx_bytes = from.tx_bytes;
	s.rx_dropped = from.rx_dropped;
	s.rx_filtered = from.rx_filtered;
	s.tx_dropped = from.tx_dropped;
	s.tx_bad = from.tx_bad;
	s.throttled = from.throttled;
	memcpy(stats, &s, s.struct_bytes);
	return 0;
}
