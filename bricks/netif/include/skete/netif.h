/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * What stands behind a network device: frames in, frames out. Back ends are a TAP device of the
 * host, with vhost-net in the kernel if wanted, and user mode (libslirp), which needs no privilege.
 *
 *   device --send--> sk_netif --> TAP, libslirp        device <--recv-- sk_netif
 *                       |
 *                       +-- client->readable(), writable() when a call that said -EAGAIN is worth
 *                           another try
 *
 * A frame is struct virtio_net_hdr_v1 (virtio 1.2, 5.1.6; SK_NETIF_HDR_BYTES, little-endian)
 * and an Ethernet frame without its checksum. num_buffers of the header is not looked at.
 *
 * Threading class: owner-thread only. create and destroy may be called by another thread while no
 * loop uses the interface; from start on everything happens on the thread of that loop.
 */
#ifndef SKETE_NETIF_H
#define SKETE_NETIF_H

#include <skete/base.h>
#include <skete/gmem.h>
#include <skete/loop.h>

#define SK_NETIF_HDR_BYTES	 12
#define SK_NETIF_MAX_PAIRS	 16
#define SK_NETIF_MIN_MTU	 68 /* of IPv4 */
#define SK_NETIF_MAX_MTU	 65520
#define SK_NETIF_MAX_FRAME_BYTES (SK_NETIF_HDR_BYTES + 14 + 4 + 65535)
#define SK_NETIF_MAX_IOV	 512 /* vectors in one send or recv */

/* Work that the other side does for the sender of a frame; bits of offload sets. */
#define SK_NETIF_CSUM		 (1u << 0) /* partial checksums (VIRTIO_NET_HDR_F_NEEDS_CSUM) */
#define SK_NETIF_TSO4		 (1u << 1) /* TCP segments larger than the MTU; needs CSUM */
#define SK_NETIF_TSO6		 (1u << 2)
#define SK_NETIF_ECN		 (1u << 3) /* with TSO: segments that carry ECN's CWR */

struct sk_netif;

/*
 * Called on the loop's thread, never from inside send or recv. After recv said -EAGAIN, readable
 * is called once when a frame may be there; after send said -EAGAIN, writable once when there may
 * be room. A call that finds neither is possible.
 */
struct sk_netif_client {
	void (*readable)(void *ctx, unsigned pair);
	void (*writable)(void *ctx, unsigned pair);
	void *ctx;
};

struct sk_netif_caps {
	unsigned nr_pairs;	/* queue pairs that can be used, at least 1 */
	unsigned send_offloads; /* what frames that are sent may ask for */
	unsigned recv_offloads; /* what frames that are received can be made to ask for */
	uint32_t mtu;		/* of the frames, without the Ethernet header */
	bool is_checked; /* checksums of what is received are known to be good (DATA_VALID) */
	bool has_vhost;	 /* rings can be handed to the kernel with ring_start */
};

/* A virtqueue as vhost sees it: addresses of the guest, split ring. */
struct sk_netif_ring {
	gpa_t desc, driver, device;
	uint16_t size;
	uint16_t next_avail; /* where it goes on: 0 for a fresh ring */
	int kick_fd;	     /* eventfd, borrowed until ring_stop: the guest's doorbell */
	int call_fd;	     /* eventfd, borrowed until ring_stop: the device's interrupt */
};

/*
 * What a back end supplies; callers use the functions below. ring_start and ring_stop are NULL
 * without vhost.
 */
struct sk_netif_ops {
	int (*start)(struct sk_netif *nif, struct sk_loop *loop,
		     const struct sk_netif_client *client, struct sk_error *err);
	int (*send)(struct sk_netif *nif, unsigned pair, const struct iovec *iov, unsigned nr_iov);
	ssize_t (*recv)(struct sk_netif *nif, unsigned pair, const struct iovec *iov,
			unsigned nr_iov);
	int (*set_offloads)(struct sk_netif *nif, unsigned recv_offloads);
	int (*set_pairs)(struct sk_netif *nif, unsigned nr_pairs);
	int (*ring_start)(struct sk_netif *nif, unsigned pair, const struct sk_netif_ring rings[2],
			  const struct sk_gmem *gm, uint64_t features);
	int (*ring_stop)(struct sk_netif *nif, unsigned pair, uint16_t next_avail[2]);
	void (*destroy)(struct sk_netif *nif);
};

/* The head of every back end's own structure. */
struct sk_netif {
	const struct sk_netif_ops *ops;
	struct sk_netif_caps caps; /* set by create, constant */
};

/*
 * A TAP device. It must exist already and be nobody else's; `ip tuntap add dev NAME mode tap` makes
 * one, with `user USER` for a monitor without privileges and `multi_queue` for several pairs.
 */
struct sk_netif_tap_config {
	const char *name;  /* of the interface, borrowed for the call */
	unsigned nr_pairs; /* 1 to SK_NETIF_MAX_PAIRS */
	bool wants_vhost;  /* hand the rings to /dev/vhost-net */
};

/*
 * Errors, each with its sentence: -EINVAL (name or number), -ENODEV (there is no such device),
 * -ENOTSUP (it is not a TAP, or not made for several queues), -EBUSY (somebody has it), -EPERM, and
 * what opening /dev/net/tun and /dev/vhost-net gave.
 */
int sk_netif_tap_create(struct sk_netif **out, const struct sk_netif_tap_config *config,
			struct sk_error *err) SK_MUST_CHECK;

/* Connections to a port of the host go to a port of the guest. IPv4; network byte order. */
struct sk_netif_forward {
	bool is_udp;
	uint32_t host_addr; /* INADDR_LOOPBACK, for example */
	uint16_t host_port, guest_port;
};

/*
 * User mode: a network of its own behind the host's sockets, with libslirp on a thread of its own.
 *
 *   10.0.2.0/24   host 10.0.2.2   DNS 10.0.2.3   DHCP from 10.0.2.15
 *   fec0::/64     host fec0::2    DNS fec0::3    router advertisements
 *
 * Every frame's checksums are good, and frames are as large as the MTU says: one of 64 KiB costs
 * about as much as one of 1,500 bytes. What the guest has not collected yet is bounded (8 MiB), and
 * what it sends waits in at most 4 MiB; then send says -EAGAIN.
 *
 * The addresses that libslirp keeps for all machines of a process (the host's name servers) are
 * the only thing that two interfaces share.
 */
struct sk_netif_user_config {
	const struct sk_netif_forward *forwards; /* borrowed for the call */
	size_t nr_forwards;
	uint32_t mtu;		/* 0: SK_NETIF_MAX_MTU; at least 1280, as IPv6 wants */
	bool has_host_loopback; /* the guest reaches the host's 127.0.0.1 at 10.0.2.2; UDP
 forwards need it */
};

/* Errors, each with its sentence: -EADDRINUSE or -EACCES (a port of the host), -ENOENT (no
 * libslirp here), -EINVAL, -ENOMEM. */
int sk_netif_user_create(struct sk_netif **out, const struct sk_netif_user_config *config,
			 struct sk_error *err) SK_MUST_CHECK;

/*
 * Reads "PROTO:[ADDR]:PORT:PORT", as in tcp:127.0.0.1:8000:80, the host's first; without an address
 * it is 127.0.0.1. -EINVAL and a sentence if it is not so.
 */
int sk_netif_forward_parse(struct sk_netif_forward *out, const char *text,
			   struct sk_error *err) SK_MUST_CHECK;

/*
 * Hands the interface to @loop, whose thread calls. @client is copied. There is no way back:
 * destroy the loop, then the interface. Once only.
 */
static inline int SK_MUST_CHECK sk_netif_start(struct sk_netif *nif, struct sk_loop *loop,
					       const struct sk_netif_client *client,
					       struct sk_error *err)
{
	return nif->ops->start(nif, loop, client, err);
}

/*
 * Sends one frame. 0: it is gone, or the host did not want it (its counters tell). -EAGAIN: no room
 * now, the frame is still the caller's; see the client. -EINVAL: the frame is shorter than a header
 * and an Ethernet header, or longer than SK_NETIF_MAX_FRAME_BYTES; -EIO: the back end is gone.
 */
static inline int SK_MUST_CHECK sk_netif_send(struct sk_netif *nif, unsigned pair,
					      const struct iovec *iov, unsigned nr_iov)
{
	return nif->ops->send(nif, pair, iov, nr_iov);
}

/*
 * Receives one frame into the vectors. Returns its length with the header, -EAGAIN if there is none
 * now (see the client), -EMSGSIZE if the frame did not fit and was dropped, -EIO if the back end is
 * gone.
 */
static inline ssize_t SK_MUST_CHECK sk_netif_recv(struct sk_netif *nif, unsigned pair,
						  const struct iovec *iov, unsigned nr_iov)
{
	return nif->ops->recv(nif, pair, iov, nr_iov);
}

/* Which of caps.recv_offloads received frames may ask for from now on; at first none. */
static inline int SK_MUST_CHECK sk_netif_set_offloads(struct sk_netif *nif, unsigned recv_offloads)
{
	return nif->ops->set_offloads(nif, recv_offloads & nif->caps.recv_offloads);
}

/* How many pairs, the first ones, receive frames; at first one. 1 to caps.nr_pairs. */
static inline int SK_MUST_CHECK sk_netif_set_pairs(struct sk_netif *nif, unsigned nr_pairs)
{
	return nif->ops->set_pairs(nif, nr_pairs);
}

/*
 * With caps.has_vhost: the kernel serves the receive (0) and transmit (1) rings of a pair until
 * ring_stop, which says where they go on. @features are the negotiated bits of virtio; VIRTIO_F_
 * RING_PACKED must not be among them. Any thread-safe use of @gm goes on. Errors: what the kernel
 * said.
 */
static inline int SK_MUST_CHECK sk_netif_ring_start(struct sk_netif *nif, unsigned pair,
						    const struct sk_netif_ring rings[2],
						    const struct sk_gmem *gm, uint64_t features)
{
	return nif->ops->ring_start(nif, pair, rings, gm, features);
}

static inline int SK_MUST_CHECK sk_netif_ring_stop(struct sk_netif *nif, unsigned pair,
						   uint16_t next_avail[2])
{
	return nif->ops->ring_stop(nif, pair, next_avail);
}

/* After the loop is destroyed, or if it never started. NULL is fine. */
static inline void sk_netif_destroy(struct sk_netif *nif)
{
	if (nif)
		nif->ops->destroy(nif);
}

#endif
