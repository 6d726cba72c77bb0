/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The back end on a TAP device (Linux, Documentation/networking/tuntap.rst): one descriptor per
 * queue pair, each frame with struct virtio_net_hdr_v1 before it, so that checksums and
 * segmentation stay with whoever is cheapest at them.
 */
#include "netif_internal.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct tap *to_tap(struct sk_netif *nif)
{
	return SK_CONTAINER_OF(nif, struct tap, nif);
}

static int attach_error(const struct sk_netif_tap_config *c, int code, struct sk_error *err)
{
	switch (code) {
	case -EBUSY:
		return sk_error_set(err, code, "the TAP device %s is in use by somebody else",
				    c->name);
	case -EPERM:
		return sk_error_set(
			err, code,
			"this user may not use the TAP device %s; who may gives it away "
			"with 'ip tuntap add dev %s mode tap user %u'",
			c->name, c->name, (unsigned)getuid());
	case -EINVAL:
		if (c->nr_pairs == 1)
			return sk_error_set(err, -ENOTSUP,
					    "the network interface %s is not a TAP device",
					    c->name);
		return sk_error_set(
			err, -ENOTSUP,
			"the network interface %s is not a TAP device for several queues; "
			"'ip tuntap add dev %s mode tap multi_queue' makes one",
			c->name, c->name);
	default:
		return sk_error_set(err, code, "cannot use the TAP device %s: %s", c->name,
				    strerror(-code));
	}
}

/* Opens one more queue of the device; a descriptor or -errno. */
static int open_queue(const struct sk_netif_tap_config *c, struct sk_error *err)
{
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int ret;

	if (fd < 0) {
		ret = -errno;
		return sk_error_set(err, ret, "cannot open /dev/net/tun: %s", strerror(-ret));
	}
	strncpy(ifr.ifr_name, c->name, sizeof(ifr.ifr_name) - 1);
	if (c->nr_pairs > 1)
		ifr.ifr_flags |= IFF_MULTI_QUEUE;
	ret = ioctl(fd, TUNSETIFF, &ifr) ? -errno : 0;
	if (ret == -EINVAL && c->nr_pairs == 1) {
		/* It may have been made for several queues, which does not hinder one. */
		ifr.ifr_flags |= IFF_MULTI_QUEUE;
		ret = ioctl(fd, TUNSETIFF, &ifr) ? -errno : 0;
	}
	if (ret) {
		sk_close(&fd);
		return attach_error(c, ret, err);
	}
	return fd;
}

static int set_queue(int fd, bool is_attached)
{
	struct ifreq ifr = {.ifr_flags = is_attached ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};

	return ioctl(fd, TUNSETQUEUE, &ifr) ? -errno : 0;
}

static unsigned tun_offloads(unsigned offloads)
{
	unsigned flags = 0;

	/* The kernel refuses segmentation without checksums. */
	if (!(offloads & SK_NETIF_CSUM))
		return 0;
	flags |= TUN_F_CSUM;
	if (offloads & SK_NETIF_TSO4)
		flags |= TUN_F_TSO4;
	if (offloads & SK_NETIF_TSO6)
		flags |= TUN_F_TSO6;
	if ((offloads & SK_NETIF_ECN) && (offloads & (SK_NETIF_TSO4 | SK_NETIF_TSO6)))
		flags |= TUN_F_TSO_ECN;
	return flags;
}

static int tap_set_offloads(struct sk_netif *nif, unsigned recv_offloads)
{
	struct tap *tap = to_tap(nif);

	return ioctl(tap->queues[0].fd, TUNSETOFFLOAD, (unsigned long)tun_offloads(recv_offloads))
		       ? -errno
		       : 0;
}

static int tap_set_pairs(struct sk_netif *nif, unsigned nr_pairs)
{
	struct tap *tap = to_tap(nif);
	int ret = 0;

	BUG_ON(nr_pairs < 1 || nr_pairs > nif->caps.nr_pairs);
	while (!ret && tap->nr_attached < nr_pairs) {
		ret = set_queue(tap->queues[tap->nr_attached].fd, true);
		if (!ret)
			tap->nr_attached++;
	}
	while (!ret && tap->nr_attached > nr_pairs) {
		ret = set_queue(tap->queues[tap->nr_attached - 1].fd, false);
		if (!ret)
			tap->nr_attached--;
	}
	return ret;
}

/* The MTU of the interface, or 0 if the host does not say. */
static uint32_t get_mtu(const char *name)
{
	struct ifreq ifr = {0};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint32_t mtu = 0;

	strncpy(ifr.ifr_name, name, sizeof(ifr.ifr_name) - 1);
	if (fd >= 0 && !ioctl(fd, SIOCGIFMTU, &ifr) && ifr.ifr_mtu > 0)
		mtu = SK_MIN((uint32_t)ifr.ifr_mtu, SK_NETIF_MAX_MTU);
	sk_close(&fd);
	return mtu;
}

static void on_frame(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	struct tap_queue *q = SK_CONTAINER_OF(op, struct tap_queue, readable);

	(void)loop;
	if (result >= 0)
		q->tap->client.readable(q->tap->client.ctx, q->index);
}

static void on_room(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	struct tap_queue *q = SK_CONTAINER_OF(op, struct tap_queue, writable);

	(void)loop;
	if (result >= 0)
		q->tap->client.writable(q->tap->client.ctx, q->index);
}

static int tap_start(struct sk_netif *nif, struct sk_loop *loop,
		     const struct sk_netif_client *client, struct sk_error *err)
{
	struct tap *tap = to_tap(nif);

	(void)err;
	BUG_ON(tap->loop);
	tap->loop = loop;
	tap->client = *client;
	return 0;
}

static void wait_for(struct tap *tap, struct sk_loop_op *op, unsigned events)
{
	if (!sk_loop_op_is_busy(op))
		sk_loop_poll(tap->loop, op, events);
}

static int tap_send(struct sk_netif *nif, unsigned pair, const struct iovec *iov, unsigned nr_iov)
{
	struct tap *tap = to_tap(nif);
	struct tap_queue *q = &tap->queues[pair];
	uint64_t len_bytes = netif_iov_bytes(iov, nr_iov);

	if (len_bytes < NETIF_MIN_BYTES || len_bytes > SK_NETIF_MAX_FRAME_BYTES)
		return -EINVAL;
	if (writev(q->fd, iov, (int)nr_iov) >= 0)
		return 0;
	switch (errno) {
	case EAGAIN:
		wait_for(tap, &q->writable, POLLOUT);
		return -EAGAIN;
	case EBADF:
	case EBADFD:
		return -EIO;
	default:
		/* The kernel found the frame wrong, or the interface is down: it is lost, as on a
		 * wire. */
		return 0;
	}
}

static ssize_t tap_recv(struct sk_netif *nif, unsigned pair, const struct iovec *iov,
			unsigned nr_iov)
{
	struct tap *tap = to_tap(nif);
	struct tap_queue *q = &tap->queues[pair];
	struct iovec padded[SK_NETIF_MAX_IOV + 1];
	uint64_t room_bytes = netif_iov_bytes(iov, nr_iov);
	uint8_t excess;
	ssize_t len;

	BUG_ON(nr_iov > SK_NETIF_MAX_IOV);
	/* The kernel cuts what does not fit; one byte more tells. */
	memcpy(padded, iov, nr_iov * sizeof(*iov));
	padded[nr_iov] = (struct iovec){.iov_base = &excess, .iov_len = 1};
	len = readv(q->fd, padded, (int)nr_iov + 1);
	if (len >= 0)
		return (uint64_t)len > room_bytes ? -EMSGSIZE : len;
	if (errno != EAGAIN)
		return -EIO;
	wait_for(tap, &q->readable, POLLIN);
	return -EAGAIN;
}

static void tap_destroy(struct sk_netif *nif)
{
	struct tap *tap = to_tap(nif);

	for (unsigned i = tap->nif.caps.nr_pairs; i-- > 0;) {
		vhost_close(&tap->queues[i]);
		sk_close(&tap->queues[i].fd);
	}
	free(tap);
}

static const struct sk_netif_ops tap_ops = {
	.start = tap_start,
	.send = tap_send,
	.recv = tap_recv,
	.set_offloads = tap_set_offloads,
	.set_pairs = tap_set_pairs,
	.ring_start = vhost_ring_start,
	.ring_stop = vhost_ring_stop,
	.destroy = tap_destroy,
};

static int check_config(const struct sk_netif_tap_config *c, struct sk_error *err)
{
	if (!c->name[0] || strlen(c->name) >= IFNAMSIZ || strchr(c->name, '%'))
		return sk_error_set(err, -EINVAL, "'%.32s' is not a name for a network interface",
				    c->name);
	if (c->nr_pairs < 1 || c->nr_pairs > SK_NETIF_MAX_PAIRS)
		return sk_error_set(err, -EINVAL, "%s: 1 to %d queue pairs are possible, not %u",
				    c->name, SK_NETIF_MAX_PAIRS, c->nr_pairs);
	/* Opening would make one that is missing, and nobody would ever connect it. */
	if (!if_nametoindex(c->name))
		return sk_error_set(
			err, -ENODEV,
			"there is no TAP device %s; 'ip tuntap add dev %s mode tap%s' makes one",
			c->name, c->name, c->nr_pairs > 1 ? " multi_queue" : "");
	return 0;
}

static int setup_queue(struct tap *tap, unsigned index, const struct sk_netif_tap_config *c,
		       struct sk_error *err)
{
	struct tap_queue *q = &tap->queues[index];
	int hdr_bytes = SK_NETIF_HDR_BYTES, ret;

	q->fd = open_queue(c, err);
	if (q->fd < 0)
		return q->fd;
	ret = ioctl(q->fd, TUNSETVNETHDRSZ, &hdr_bytes) ? -errno : 0;
	if (!ret && index == 0)
		ret = tap_set_offloads(&tap->nif, 0);
	/* A queue that nobody reads would swallow frames. */
	if (!ret && index > 0)
		ret = set_queue(q->fd, false);
	if (ret)
		return sk_error_set(err, ret, "the TAP device %s refuses its settings: %s", c->name,
				    strerror(-ret));
	return c->wants_vhost ? vhost_open(q, err) : 0;
}

int sk_netif_tap_create(struct sk_netif **out, const struct sk_netif_tap_config *config,
			struct sk_error *err)
{
	struct tap *tap;
	int ret = check_config(config, err);

	if (ret)
		return ret;
	tap = calloc(1, sizeof(*tap));
	if (!tap)
		return sk_error_set(err, -ENOMEM, "no memory for the TAP device %s", config->name);
	tap->nif.ops = &tap_ops;
	for (unsigned i = 0; i < SK_NETIF_MAX_PAIRS; i++) {
		tap->queues[i] = (struct tap_queue){
			.tap = tap,
			.index = i,
			.fd = -1,
			.vhost_fd = -1,
			.readable = {.done = on_frame},
			.writable = {.done = on_room},
		};
	}
	tap->nif.caps = (struct sk_netif_caps){
		.nr_pairs = config->nr_pairs,
		.send_offloads = SK_NETIF_CSUM | SK_NETIF_TSO4 | SK_NETIF_TSO6 | SK_NETIF_ECN,
		.recv_offloads = SK_NETIF_CSUM | SK_NETIF_TSO4 | SK_NETIF_TSO6 | SK_NETIF_ECN,
		.mtu = get_mtu(config->name),
		.has_vhost = config->wants_vhost,
	};
	tap->nr_attached = 1;
	for (unsigned i = 0; i < config->nr_pairs; i++) {
		ret = setup_queue(tap, i, config, err);
		if (ret)
			goto err_destroy;
		tap->queues[i].readable.fd = tap->queues[i].writable.fd = tap->queues[i].fd;
	}
	*out = &tap->nif;
	return 0;

err_destroy:
	tap_destroy(&tap->nif);
	return ret;
}
