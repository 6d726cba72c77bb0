/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The life of the network device: create, start, quiesce, save, restore. */
#include "net_internal.h"

#include <stdio.h>
#include <sys/random.h>

#define STATE_VERSION	1
#define CONTROL_ENTRIES 64

/* ---- Features ---- */

static uint64_t offload_features(const struct sk_netif_caps *caps)
{
	static const struct {
		unsigned offload;
		uint64_t send, recv;
	} map[] = {
		{SK_NETIF_CSUM, NET_F(CSUM), NET_F(GUEST_CSUM)},
		{SK_NETIF_TSO4, NET_F(HOST_TSO4), NET_F(GUEST_TSO4)},
		{SK_NETIF_TSO6, NET_F(HOST_TSO6), NET_F(GUEST_TSO6)},
		{SK_NETIF_ECN, NET_F(HOST_ECN), NET_F(GUEST_ECN)},
	};
	uint64_t features = 0;

	for (unsigned i = 0; i < SK_ARRAY_SIZE(map); i++) {
		if (caps->send_offloads & map[i].offload)
			features |= map[i].send;
		if (caps->recv_offloads & map[i].offload)
			features |= map[i].recv;
	}
	if (caps->recv_offloads)
		features |= NET_F(CTRL_GUEST_OFFLOADS);
	/* DATA_VALID spares the guest the sums. */
	if (caps->is_checked)
		features |= NET_F(GUEST_CSUM);
	return features;
}

static uint64_t offered_features(const struct sk_netif_caps *caps, uint32_t mtu)
{
	uint64_t features = NET_F(MAC) | NET_F(STATUS) | NET_F(CTRL_VQ) | NET_F(CTRL_MAC_ADDR) |
			    NET_F(GUEST_ANNOUNCE) | NET_F(MRG_RXBUF) | offload_features(caps);

	if (mtu)
		features |= NET_F(MTU);
	if (caps->nr_pairs > 1)
		features |= NET_F(MQ);
	/* The kernel hands over whatever comes: a guest filters for itself then. */
	if (!caps->has_vhost)
		features |= NET_F(CTRL_RX) | NET_F(CTRL_RX_EXTRA);
	return features;
}

uint64_t net_useful_features(uint64_t features)
{
	if (!(features & NET_F(GUEST_CSUM)))
		features &= ~(NET_F(GUEST_TSO4) | NET_F(GUEST_TSO6) | NET_F(GUEST_ECN));
	if (!(features & (NET_F(GUEST_TSO4) | NET_F(GUEST_TSO6))))
		features &= ~NET_F(GUEST_ECN);
	if (!(features & NET_F(CSUM)))
		features &= ~(NET_F(HOST_TSO4) | NET_F(HOST_TSO6) | NET_F(HOST_ECN));
	if (!(features & NET_F(CTRL_VQ)))
		features &= ~(NET_F(CTRL_RX) | NET_F(CTRL_RX_EXTRA) | NET_F(CTRL_MAC_ADDR) |
			      NET_F(GUEST_ANNOUNCE) | NET_F(MQ) | NET_F(CTRL_GUEST_OFFLOADS));
	if (!(features & NET_F(CTRL_RX)))
		features &= ~NET_F(CTRL_RX_EXTRA);
	return features;
}

int net_apply_offloads(struct sk_net *net)
{
	unsigned offloads = 0;

	if (net->guest_offloads & NET_F(GUEST_CSUM))
		offloads |= SK_NETIF_CSUM;
	if (net->guest_offloads & NET_F(GUEST_TSO4))
		offloads |= SK_NETIF_TSO4;
	if (net->guest_offloads & NET_F(GUEST_TSO6))
		offloads |= SK_NETIF_TSO6;
	if (net->guest_offloads & NET_F(GUEST_ECN))
		offloads |= SK_NETIF_ECN;
	return sk_netif_set_offloads(net->config.netif, offloads);
}

/* ---- The ops of the core ---- */

static int net_start(void *dev)
{
	struct sk_net *net = dev;
	int ret;

	net->features = net_useful_features(sk_virtio_features(net->virtio));
	if (!net->is_restored) {
		net->guest_offloads = net->features & NET_GUEST_OFFLOADS;
		net->nr_pairs_used = 1;
		net_filter_reset(&net->filter);
	}
	net->is_restored = false;
	ret = net_apply_offloads(net);
	if (!ret)
		ret = sk_netif_set_pairs(net->config.netif, net->nr_pairs_used);
	if (!ret && net->config.netif->caps.has_vhost)
		ret = net_vhost_start(net);
	net->is_running = !ret;
	return ret;
}

static void net_kick(void *dev, uint32_t index)
{
	struct sk_net *net = dev;

	if (!net->is_running)
		return;
	if (net_has(net, VIRTIO_NET_F_CTRL_VQ) && index == net_control_queue(net))
		net_control_run(net);
	else if (net->is_vhost_running || index / 2 >= net->nr_pairs)
		return;
	else if (index % 2)
		net_tx_run(&net->pairs[index / 2]);
	else
		net_rx_run(&net->pairs[index / 2]);
}

/* After a reset nothing is left of the driver's wishes. */
static void forget_driver(struct sk_net *net)
{
	net->features = 0;
	net->guest_offloads = 0;
	net->nr_pairs_used = 1;
	net_filter_reset(&net->filter);
	memcpy(net->mac, net->config.mac, sizeof(net->mac));
	sk_virtio_config_set(net->virtio, offsetof(struct virtio_net_config, mac), net->mac,
			     sizeof(net->mac), false);
	net_change_status(net, 0, VIRTIO_NET_S_ANNOUNCE, false);
	/* They were possible before, and what they fall back to always is. */
	(void)!net_apply_offloads(net);
	(void)!sk_netif_set_pairs(net->config.netif, 1);
}

static void net_quiesce(void *dev, bool is_reset)
{
	struct sk_net *net = dev;

	if (net->is_vhost_running)
		net_vhost_stop(net);
	sk_limiter_forget(&net->rx_limiter);
	sk_limiter_forget(&net->tx_limiter);
	for (unsigned i = 0; i < net->nr_pairs; i++) {
		struct net_pair *pair = &net->pairs[i];

		if (is_reset)
			pair->taken.nr = pair->taken.nr_iov = 0, pair->taken.room_bytes = 0;
		else if (pair->taken.nr)
			net_rx_give_back(pair);
		if (is_reset)
			pair->held_bytes = pair->expected_bytes = 0;
		pair->is_tx_held_back = false;
	}
	net->is_running = false;
	if (is_reset)
		forget_driver(net);
	sk_virtio_quiesced(net->virtio);
}

static void net_resume(void *dev)
{
	struct sk_net *net = dev;

	net->is_running = true;
	if (net->config.netif->caps.has_vhost && net_vhost_start(net)) {
		net->is_running = false;
		sk_virtio_fail(net->virtio, UINT32_MAX);
	}
}

static void net_save(void *dev, struct sk_writer *w)
{
	const struct sk_net *net = dev;

	sk_put_u32(w, STATE_VERSION);
	/* Started: the rest is the driver's. */
	sk_put_u8(w, net->features || net->is_restored);
	sk_put_bytes(w, net->mac, sizeof(net->mac));
	sk_put_u16(w, (uint16_t)net->nr_pairs_used);
	sk_put_u64(w, net->guest_offloads);
	net_filter_save(&net->filter, w);
}

static int net_restore(void *dev, struct sk_reader *r, struct sk_error *err)
{
	struct sk_net *net = dev;
	uint32_t version = sk_get_u32(r);
	struct net_filter filter;
	uint64_t guest_offloads;
	uint16_t nr_pairs_used;
	uint8_t is_started, mac[6];

	if (!sk_reader_ok(r) || version != STATE_VERSION)
		return sk_error_set(err, -EINVAL,
				    "net: the saved state has version %u, this one reads %u",
				    version, STATE_VERSION);
	is_started = sk_get_u8(r);
	sk_get_bytes(r, mac, sizeof(mac));
	nr_pairs_used = sk_get_u16(r);
	guest_offloads = sk_get_u64(r);
	if (!net_filter_restore(&filter, r) || is_started > 1 || nr_pairs_used < 1 ||
	    (guest_offloads & ~NET_GUEST_OFFLOADS))
		return sk_error_set(err, -EINVAL,
				    "net: the saved state is truncated or impossible");
	if (nr_pairs_used > net->nr_pairs ||
	    (guest_offloads & ~offload_features(&net->config.netif->caps)))
		return sk_error_set(err, -EINVAL,
				    "net: the guest uses %u queue pairs and offloads that this "
				    "interface does not have",
				    nr_pairs_used);
	memcpy(net->mac, mac, sizeof(mac));
	net->nr_pairs_used = nr_pairs_used;
	net->guest_offloads = guest_offloads;
	net->filter = filter;
	net->is_restored = is_started;
	return 0;
}

static const struct sk_virtio_ops ops = {
	.start = net_start,
	.kick = net_kick,
	.quiesce = net_quiesce,
	.resume = net_resume,
	.save = net_save,
	.restore = net_restore,
};

/* ---- What others call ---- */

static void on_readable(void *ctx, unsigned index)
{
	struct sk_net *net = ctx;

	net_rx_run(&net->pairs[index]);
}

static void on_writable(void *ctx, unsigned index)
{
	struct sk_net *net = ctx;

	net->pairs[index].is_tx_waiting = false;
	net_tx_run(&net->pairs[index]);
}

static void on_rx_limit(struct sk_limiter *limiter)
{
	struct sk_net *net = SK_CONTAINER_OF(limiter, struct sk_net, rx_limiter);

	for (unsigned i = 0; i < net->nr_pairs; i++)
		net_rx_run(&net->pairs[i]);
}

static void on_tx_limit(struct sk_limiter *limiter)
{
	struct sk_net *net = SK_CONTAINER_OF(limiter, struct sk_net, tx_limiter);

	for (unsigned i = 0; i < net->nr_pairs; i++) {
		net->pairs[i].is_tx_held_back = false;
		net_tx_run(&net->pairs[i]);
	}
}

void net_change_status(struct sk_net *net, uint16_t set, uint16_t clear, bool does_notify)
{
	uint8_t bytes[2];

	pthread_mutex_lock(&net->status_lock);
	net->status = (uint16_t)((net->status | set) & ~clear);
	sk_store_le16(bytes, net->status);
	sk_virtio_config_set(net->virtio, offsetof(struct virtio_net_config, status), bytes,
			     sizeof(bytes), does_notify);
	pthread_mutex_unlock(&net->status_lock);
}

static void set_rx_limited(struct sk_net *net, const struct sk_limiter_config *limit)
{
	atomic_store_explicit(&net->is_rx_limited, limit->bytes_per_s || limit->ops_per_s,
			      memory_order_relaxed);
}

int sk_net_set_limits(struct sk_net *net, const struct sk_limiter_config *rx,
		      const struct sk_limiter_config *tx)
{
	if (net->config.netif->caps.has_vhost)
		return -ENOTSUP;
	sk_limiter_change(&net->rx_limiter, rx);
	sk_limiter_change(&net->tx_limiter, tx);
	set_rx_limited(net, rx);
	return 0;
}

void sk_net_set_link(struct sk_net *net, bool is_up)
{
	atomic_store_explicit(&net->is_link_up, is_up, memory_order_relaxed);
	net_change_status(net, is_up ? VIRTIO_NET_S_LINK_UP : 0, is_up ? 0 : VIRTIO_NET_S_LINK_UP,
			  true);
}

void sk_net_announce(struct sk_net *net)
{
	if (sk_virtio_has(net->virtio, VIRTIO_NET_F_GUEST_ANNOUNCE))
		net_change_status(net, VIRTIO_NET_S_ANNOUNCE, 0, true);
}

void sk_net_get_stats(const struct sk_net *net, struct sk_net_stats *stats)
{
#define LOAD(name) .name = atomic_load_explicit(&net->counters.name, memory_order_relaxed)
	*stats = (struct sk_net_stats){
		LOAD(rx_frames),  LOAD(rx_bytes),    LOAD(tx_frames),	 LOAD(tx_bytes),
		LOAD(rx_dropped), LOAD(rx_filtered), LOAD(tx_dropped),	 LOAD(tx_bad),
		LOAD(rx_waits),	  LOAD(throttled),   LOAD(bad_commands),
	};
#undef LOAD
}

struct sk_virtio *sk_net_virtio(struct sk_net *net)
{
	return net->virtio;
}

/* ---- Set-up ---- */

static int check_config(struct sk_net_config *c, struct sk_error *err)
{
	static const uint8_t none[6];
	const struct sk_netif_caps *caps = &c->netif->caps;
	bool has_limit = c->rx_limit.bytes_per_s || c->rx_limit.ops_per_s ||
			 c->tx_limit.bytes_per_s || c->tx_limit.ops_per_s;

	if (!memcmp(c->mac, none, sizeof(none))) {
		if (getrandom(c->mac, sizeof(c->mac), 0) != (ssize_t)sizeof(c->mac))
			return sk_error_set(err, -EIO, "the host has no random numbers for a MAC");
		c->mac[0] = (uint8_t)((c->mac[0] & 0xfc) | 2);
	}
	if (c->mac[0] & 1)
		return sk_error_set(err, -EINVAL,
				    "%02x:%02x:%02x:%02x:%02x:%02x is the MAC of a group, not of "
				    "one interface",
				    c->mac[0], c->mac[1], c->mac[2], c->mac[3], c->mac[4],
				    c->mac[5]);
	if (!c->mtu)
		c->mtu = caps->mtu;
	if (c->mtu && (c->mtu < SK_NETIF_MIN_MTU || (caps->mtu && c->mtu > caps->mtu)))
		return sk_error_set(err, -EINVAL,
				    "the MTU %u is not between %d and the interface's own, %u",
				    c->mtu, SK_NETIF_MIN_MTU, caps->mtu);
	if (has_limit && caps->has_vhost)
		return sk_error_set(
			err, -EINVAL,
			"a limit is not possible with vhost, where the kernel moves the "
			"frames");
	return 0;
}

static int create_core(struct sk_net *net, struct sk_error *err)
{
	const struct sk_net_config *c = &net->config;
	struct virtio_net_config space = {
		.status = SK_LE16(VIRTIO_NET_S_LINK_UP),
		.max_virtqueue_pairs = SK_LE16((uint16_t)net->nr_pairs),
		.mtu = SK_LE16((uint16_t)c->mtu),
	};
	uint16_t sizes[2 * SK_NETIF_MAX_PAIRS + 1];
	struct sk_virtio_config config = {
		.device_id = VIRTIO_ID_NET,
		.features = offered_features(&c->netif->caps, c->mtu),
		.nr_queues = 2 * net->nr_pairs + 1,
		.queue_sizes = sizes,
		.config_bytes = offsetof(struct virtio_net_config, mtu) + sizeof(space.mtu),
		.config_space = &space,
		.gm = c->gm,
		.loop = c->loop,
		.ops = &ops,
		.dev = net,
		.log = c->log,
	};

	memcpy(space.mac, net->mac, sizeof(net->mac));
	for (unsigned i = 0; i < 2 * net->nr_pairs; i++)
		sizes[i] = NET_QUEUE_ENTRIES;
	sizes[2 * net->nr_pairs] = CONTROL_ENTRIES;
	/* The kernel knows split rings only. */
	if (c->netif->caps.has_vhost)
		config.core_features_off = SK_VIRTIO_FEATURE(VIRTIO_F_RING_PACKED) |
					   SK_VIRTIO_FEATURE(VIRTIO_F_IN_ORDER);
	return sk_virtio_create(&net->virtio, &config, err);
}

static int create_pairs(struct sk_net *net, struct sk_error *err)
{
	for (unsigned i = 0; i < net->nr_pairs; i++) {
		struct net_pair *pair = &net->pairs[i];

		pair->net = net;
		pair->index = i;
		pair->calls[0].fd = pair->calls[1].fd = -1;
	}
	for (unsigned i = 0; i < net->nr_pairs; i++) {
		net->pairs[i].held = malloc(SK_NETIF_MAX_FRAME_BYTES);
		if (!net->pairs[i].held)
			return sk_error_set(err, -ENOMEM, "no memory for frames");
	}
	return 0;
}

int sk_net_create(struct sk_net **out, const struct sk_net_config *config, struct sk_error *err)
{
	unsigned nr_pairs = config->netif->caps.nr_pairs;
	struct sk_net *net = calloc(1, sizeof(*net) + nr_pairs * sizeof(net->pairs[0]));
	struct sk_netif_client client = {
		.readable = on_readable,
		.writable = on_writable,
		.ctx = net,
	};
	int ret;

	if (!net)
		return sk_error_set(err, -ENOMEM, "no memory for a network device");
	net->config = *config;
	net->nr_pairs = nr_pairs;
	net->nr_pairs_used = 1;
	net->status = VIRTIO_NET_S_LINK_UP;
	atomic_store(&net->is_link_up, true);
	net_filter_reset(&net->filter);
	pthread_mutex_init(&net->status_lock, NULL);
	sk_limiter_init(&net->rx_limiter, config->loop, &config->rx_limit, on_rx_limit);
	sk_limiter_init(&net->tx_limiter, config->loop, &config->tx_limit, on_tx_limit);
	set_rx_limited(net, &config->rx_limit);
	ret = create_pairs(net, err);
	if (!ret)
		ret = check_config(&net->config, err);
	memcpy(net->mac, net->config.mac, sizeof(net->mac));
	if (!ret)
		ret = create_core(net, err);
	if (!ret)
		ret = sk_netif_start(config->netif, config->loop, &client, err);
	if (ret) {
		sk_net_destroy(net);
		return ret;
	}
	*out = net;
	return 0;
}

void sk_net_destroy(struct sk_net *net)
{
	if (!net)
		return;
	sk_virtio_destroy(net->virtio);
	for (unsigned i = net->nr_pairs; i-- > 0;) {
		sk_close(&net->pairs[i].calls[1].fd);
		sk_close(&net->pairs[i].calls[0].fd);
		free(net->pairs[i].held);
	}
	sk_limiter_fini(&net->tx_limiter);
	sk_limiter_fini(&net->rx_limiter);
	pthread_mutex_destroy(&net->status_lock);
	free(net);
}
