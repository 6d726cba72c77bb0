/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The control queue (virtio 1.2, 5.1.6.5): a command, its data, one byte for the answer. */
#include "net_internal.h"

#define MAX_COMMAND_BYTES 4096

/* The command as a copy, and how much of it was read. */
struct command {
	const uint8_t *data;
	size_t len_bytes, pos_bytes;
};

static bool take(struct command *c, void *out, size_t len_bytes)
{
	if (c->len_bytes - c->pos_bytes < len_bytes)
		return false;
	memcpy(out, c->data + c->pos_bytes, len_bytes);
	c->pos_bytes += len_bytes;
	return true;
}

static bool is_at_end(const struct command *c)
{
	return c->pos_bytes == c->len_bytes;
}

static bool set_rx_mode(struct sk_net *net, uint8_t which, struct command *c)
{
	struct net_filter *f = &net->filter;
	bool *const flags[] = {
		[VIRTIO_NET_CTRL_RX_PROMISC] = &f->is_promisc,
		[VIRTIO_NET_CTRL_RX_ALLMULTI] = &f->is_allmulti,
		[VIRTIO_NET_CTRL_RX_ALLUNI] = &f->is_alluni,
		[VIRTIO_NET_CTRL_RX_NOMULTI] = &f->is_nomulti,
		[VIRTIO_NET_CTRL_RX_NOUNI] = &f->is_nouni,
		[VIRTIO_NET_CTRL_RX_NOBCAST] = &f->is_nobcast,
	};
	uint8_t value;

	if (which >= SK_ARRAY_SIZE(flags) || !net_has(net, VIRTIO_NET_F_CTRL_RX) ||
	    (which > VIRTIO_NET_CTRL_RX_ALLMULTI && !net_has(net, VIRTIO_NET_F_CTRL_RX_EXTRA)) ||
	    !take(c, &value, 1) || !is_at_end(c))
		return false;
	*flags[which] = value != 0;
	return true;
}

/* One of the two tables: a number and so many addresses. */
static bool take_table(struct command *c, uint8_t (*macs)[6], uint8_t *nr, bool *is_overflow)
{
	uint32_t count;

	if (!take(c, &count, sizeof(count)))
		return false;
	count = SK_LE32(count);
	if (count > (c->len_bytes - c->pos_bytes) / 6)
		return false;
	*is_overflow = count > NET_FILTER_MACS;
	*nr = *is_overflow ? 0 : (uint8_t)count;
	if (!*is_overflow)
		return take(c, macs, 6u * count);
	c->pos_bytes += 6u * count;
	return true;
}

static bool set_mac(struct sk_net *net, uint8_t which, struct command *c)
{
	struct net_filter f = net->filter;
	uint8_t mac[6];

	switch (which) {
	case VIRTIO_NET_CTRL_MAC_TABLE_SET:
		if (!net_has(net, VIRTIO_NET_F_CTRL_RX) ||
		    !take_table(c, f.uni, &f.nr_uni, &f.is_uni_overflow) ||
		    !take_table(c, f.multi, &f.nr_multi, &f.is_multi_overflow) || !is_at_end(c))
			return false;
		net->filter = f;
		return true;
	case VIRTIO_NET_CTRL_MAC_ADDR_SET:
		if (!net_has(net, VIRTIO_NET_F_CTRL_MAC_ADDR) || !take(c, mac, sizeof(mac)) ||
		    !is_at_end(c))
			return false;
		memcpy(net->mac, mac, sizeof(mac));
		sk_virtio_config_set(net->virtio, offsetof(struct virtio_net_config, mac), mac,
				     sizeof(mac), false);
		return true;
	default:
		return false;
	}
}

static bool acknowledge_announce(struct sk_net *net, uint8_t which, const struct command *c)
{
	if (which != VIRTIO_NET_CTRL_ANNOUNCE_ACK || !is_at_end(c) ||
	    !net_has(net, VIRTIO_NET_F_GUEST_ANNOUNCE))
		return false;
	net_change_status(net, 0, VIRTIO_NET_S_ANNOUNCE, false);
	return true;
}

static bool set_pairs(struct sk_net *net, uint8_t which, struct command *c)
{
	uint16_t nr;

	if (which != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET || !net_has(net, VIRTIO_NET_F_MQ) ||
	    !take(c, &nr, sizeof(nr)) || !is_at_end(c))
		return false;
	nr = SK_LE16(nr);
	if (nr < 1 || nr > net->nr_pairs || sk_netif_set_pairs(net->config.netif, nr))
		return false;
	net->nr_pairs_used = nr;
	for (unsigned i = 0; !net->is_vhost_running && i < nr; i++)
		net_rx_run(&net->pairs[i]);
	return true;
}

static bool set_offloads(struct sk_net *net, uint8_t which, struct command *c)
{
	uint64_t before = net->guest_offloads, wanted;

	if (which != VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET ||
	    !net_has(net, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) || !take(c, &wanted, sizeof(wanted)) ||
	    !is_at_end(c))
		return false;
	wanted = SK_LE64(wanted);
	if (wanted & ~(net->features & NET_GUEST_OFFLOADS))
		return false;
	net->guest_offloads = wanted;
	if (!net_apply_offloads(net))
		return true;
	net->guest_offloads = before;
	return false;
}

static bool execute(struct sk_net *net, const uint8_t *data, size_t len_bytes)
{
	struct command c = {.data = data, .len_bytes = len_bytes};
	uint8_t head[2]; /* class and command */

	if (!take(&c, head, sizeof(head)))
		return false;
	switch (head[0]) {
	case VIRTIO_NET_CTRL_RX:
		return set_rx_mode(net, head[1], &c);
	case VIRTIO_NET_CTRL_MAC:
		return set_mac(net, head[1], &c);
	case VIRTIO_NET_CTRL_ANNOUNCE:
		return acknowledge_announce(net, head[1], &c);
	case VIRTIO_NET_CTRL_MQ:
		return set_pairs(net, head[1], &c);
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
		return set_offloads(net, head[1], &c);
	default:
		return false;
	}
}

static void serve(struct sk_net *net, struct sk_vring *ring, const struct sk_vring_chain *chain)
{
	uint8_t data[MAX_COMMAND_BYTES], answer = VIRTIO_NET_ERR;
	size_t len = 0;

	if (chain->readable_bytes <= sizeof(data))
		len = sk_vring_copy_from(chain->iov, chain->nr_readable, 0, data, sizeof(data));
	if (len && execute(net, data, len))
		answer = VIRTIO_NET_OK;
	else
		net_count(&net->counters.bad_commands, 1);
	sk_vring_push(ring, chain,
		      (uint32_t)sk_vring_copy_to(chain->iov + chain->nr_readable,
						 chain->nr_writable, 0, &answer, 1));
}

void net_control_run(struct sk_net *net)
{
	uint32_t queue = net_control_queue(net);
	struct sk_vring *ring = sk_virtio_ring(net->virtio, queue);
	struct iovec iov[NET_CHAIN_IOV];
	struct sk_vring_chain chain;
	unsigned budget = NET_BUDGET;
	int ret = 0;

	if (!ring)
		return;
	while (budget && (ret = sk_vring_pop(ring, &chain, iov, NET_CHAIN_IOV)) > 0) {
		serve(net, ring, &chain);
		budget--;
	}
	sk_virtio_flush(net->virtio, queue);
	if (ret < 0)
		sk_virtio_fail(net->virtio, queue);
	else if (!budget || sk_vring_enable_doorbell(ring))
		sk_virtio_ring_doorbell(net->virtio, queue);
}
