/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* User mode: its set-up, and what the device calls on the loop's thread. slirp.c has the rest. */
#include "netif_internal.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>

#define QUEUE_BYTES  (4 * SK_MIB)
#define MIN_USER_MTU 1280

static struct user *to_user(struct sk_netif *nif)
{
	return SK_CONTAINER_OF(nif, struct user, nif);
}

/*
 * libslirp is loaded by those who use it: linked in, it and the libraries that it needs would cost
 * every monitor a millisecond and some hundred KiB.
 */
#define LIBRARY "libslirp.so.0"

static int load(struct user *u, struct sk_error *err)
{
	const struct sk_symbol symbols[] = {
		{"slirp_new", &u->api.create},	      {"slirp_cleanup", &u->api.cleanup},
		{"slirp_pollfds_fill", &u->api.fill}, {"slirp_pollfds_poll", &u->api.poll},
		{"slirp_input", &u->api.input},	      {"slirp_add_hostfwd", &u->api.add_hostfwd},
	};

	int rc = sk_library_load(LIBRARY, "libslirp0", symbols, SK_ARRAY_SIZE(symbols), err);

	if (rc)
		sk_error_prefix(err, "user-mode networking");
	return rc;
}

/* ---- What the device calls ---- */

static void on_frame(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	struct user *u = SK_CONTAINER_OF(op, struct user, readable);

	(void)loop;
	if (result < 0)
		return;
	(void)sk_eventfd_drain(u->to_guest.fd);
	u->client.readable(u->client.ctx, 0);
}

static void on_room(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	struct user *u = SK_CONTAINER_OF(op, struct user, writable);

	(void)loop;
	if (result < 0)
		return;
	(void)sk_eventfd_drain(u->room_fd);
	u->client.writable(u->client.ctx, 0);
}

static int user_start(struct sk_netif *nif, struct sk_loop *loop,
		      const struct sk_netif_client *client, struct sk_error *err)
{
	struct user *u = to_user(nif);
	sigset_t all, old;
	int ret;

	BUG_ON(u->loop);
	u->loop = loop;
	u->client = *client;
	/* The thread inherits the mask: signals are others' business. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	ret = -pthread_create(&u->thread, NULL, slirp_thread, u);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ret)
		return sk_error_set(err, ret, "no thread for the user-mode network: %s",
				    strerror(-ret));
	u->has_thread = true;
	return 0;
}

static int user_send(struct sk_netif *nif, unsigned pair, const struct iovec *iov, unsigned nr_iov)
{
	struct user *u = to_user(nif);
	uint64_t len_bytes = netif_iov_bytes(iov, nr_iov);
	int ret;

	(void)pair;
	if (len_bytes < NETIF_MIN_BYTES || len_bytes > SK_NETIF_MAX_FRAME_BYTES)
		return -EINVAL;
	if (slirp_try_input(u, iov, nr_iov))
		return 0;
	ret = frame_queue_put(&u->from_guest, iov, nr_iov, SK_NETIF_HDR_BYTES);
	if (ret == -EAGAIN && !sk_loop_op_is_busy(&u->writable))
		sk_loop_poll(u->loop, &u->writable, POLLIN);
	return ret == -EAGAIN ? ret : 0;
}

/* The next frame of the list that is the loop's own, or NULL. */
static struct frame *next_frame(struct user *u)
{
	bool is_room_wanted;

	if (u->taken)
		return u->taken;
	u->taken = frame_queue_take(&u->to_guest, &is_room_wanted);
	/* The thread waits for frames from the guest; it looks around then. */
	if (is_room_wanted)
		sk_eventfd_signal(u->from_guest.fd);
	return u->taken;
}

static ssize_t user_recv(struct sk_netif *nif, unsigned pair, const struct iovec *iov,
			 unsigned nr_iov)
{
	struct user *u = to_user(nif);
	struct frame *frame = next_frame(u);
	ssize_t ret = -EMSGSIZE;

	(void)pair;
	if (!frame) {
		if (!sk_loop_op_is_busy(&u->readable))
			sk_loop_poll(u->loop, &u->readable, POLLIN);
		return -EAGAIN;
	}
	if (frame->len_bytes <= netif_iov_bytes(iov, nr_iov)) {
		for (uint32_t i = 0, done = 0, part; done < frame->len_bytes; i++, done += part) {
			part = (uint32_t)SK_MIN(iov[i].iov_len, frame->len_bytes - done);
			memcpy(iov[i].iov_base, frame->bytes + done, part);
		}
		ret = (ssize_t)frame->len_bytes;
	}
	u->taken = frame->next;
	free(frame);
	return ret;
}

static int user_set_offloads(struct sk_netif *nif, unsigned recv_offloads)
{
	(void)nif;
	return recv_offloads ? -EINVAL : 0;
}

static int user_set_pairs(struct sk_netif *nif, unsigned nr_pairs)
{
	(void)nif;
	return nr_pairs == 1 ? 0 : -EINVAL;
}

static void user_destroy(struct sk_netif *nif)
{
	struct user *u = to_user(nif);

	if (u->has_thread) {
		atomic_store_explicit(&u->wants_end, true, memory_order_release);
		sk_eventfd_signal(u->from_guest.fd);
		pthread_join(u->thread, NULL);
	}
	if (u->slirp)
		u->api.cleanup(u->slirp);
	frame_list_free(u->taken);
	frame_queue_fini(&u->to_guest);
	frame_queue_fini(&u->from_guest);
	sk_close(&u->room_fd);
	pthread_mutex_destroy(&u->lock);
	free(u->wanted.fds);
	free(u->waited.fds);
	free(u);
}

static const struct sk_netif_ops user_ops = {
	.start = user_start,
	.send = user_send,
	.recv = user_recv,
	.set_offloads = user_set_offloads,
	.set_pairs = user_set_pairs,
	.destroy = user_destroy,
};

/* ---- Set-up ---- */

static struct in6_addr ip6(const char *text)
{
	struct in6_addr addr;

	BUG_ON(inet_pton(AF_INET6, text, &addr) != 1);
	return addr;
}

static struct in_addr ip4(const char *text)
{
	struct in_addr addr;

	BUG_ON(inet_pton(AF_INET, text, &addr) != 1);
	return addr;
}

static int create_slirp(struct user *u, const struct sk_netif_user_config *config,
			struct sk_error *err)
{
	const SlirpConfig slirp = {
		.version = SLIRP_CONFIG_VERSION_MIN, /* has all that is set here */
		.in_enabled = true,
		.vnetwork = ip4("10.0.2.0"),
		.vnetmask = ip4("255.255.255.0"),
		.vhost = ip4("10.0.2.2"),
		.in6_enabled = true,
		.vprefix_addr6 = ip6("fec0::"),
		.vprefix_len = 64,
		.vhost6 = ip6("fec0::2"),
		.vdhcp_start = ip4("10.0.2.15"),
		.vnameserver = ip4("10.0.2.3"),
		.vnameserver6 = ip6("fec0::3"),
		.if_mtu = u->nif.caps.mtu,
		.if_mru = u->nif.caps.mtu,
		.disable_host_loopback = !config->has_host_loopback,
	};

	u->slirp = u->api.create(&slirp, &slirp_callbacks, u);
	if (!u->slirp)
		return sk_error_set(err, -ENOMEM, "libslirp makes no user-mode network");
	return 0;
}

static int add_forward(struct user *u, const struct sk_netif_forward *f, bool has_host_loopback,
		       struct sk_error *err)
{
	const struct in_addr host = {.s_addr = f->host_addr}, guest = {0};
	char name[INET_ADDRSTRLEN];
	int ret;

	/* libslirp sends answers where it sends everything else that is for 10.0.2.2. */
	if (f->is_udp && !has_host_loopback)
		return sk_error_set(
			err, -EINVAL,
			"a UDP port can be forwarded only to a guest that may reach the "
			"host's loopback, where its answers go");
	errno = 0;
	if (!u->api.add_hostfwd(u->slirp, f->is_udp, host, f->host_port, guest, f->guest_port))
		return 0;
	ret = errno ? -errno : -EINVAL;
	inet_ntop(AF_INET, &host, name, sizeof(name));
	return sk_error_set(err, ret, "%s port %u of the host (%s) cannot be forwarded: %s",
			    f->is_udp ? "UDP" : "TCP", f->host_port, name,
			    ret == -EADDRINUSE ? "it is in use" : strerror(-ret));
}

int sk_netif_user_create(struct sk_netif **out, const struct sk_netif_user_config *config,
			 struct sk_error *err)
{
	uint32_t mtu = config->mtu ? config->mtu : SK_NETIF_MAX_MTU;
	struct user *u;
	int ret;

	if (mtu < MIN_USER_MTU || mtu > SK_NETIF_MAX_MTU)
		return sk_error_set(err, -EINVAL, "the MTU of user mode is %d to %d, not %u",
				    MIN_USER_MTU, SK_NETIF_MAX_MTU, mtu);
	u = calloc(1, sizeof(*u));
	if (!u)
		return sk_error_set(err, -ENOMEM, "no memory for the user-mode network");
	u->nif.ops = &user_ops;
	u->nif.caps = (struct sk_netif_caps){.nr_pairs = 1, .mtu = mtu, .is_checked = true};
	u->to_guest.fd = u->from_guest.fd = -1;
	pthread_mutex_init(&u->lock, NULL);
	u->room_fd = sk_eventfd_create();
	ret = u->room_fd < 0 ? u->room_fd : frame_queue_init(&u->from_guest, QUEUE_BYTES);
	if (!ret)
		ret = frame_queue_init(&u->to_guest, QUEUE_BYTES);
	if (ret) {
		sk_error_set(err, ret, "cannot set up a user-mode network: %s", strerror(-ret));
		goto err_destroy;
	}
	u->readable = (struct sk_loop_op){.done = on_frame, .fd = u->to_guest.fd};
	u->writable = (struct sk_loop_op){.done = on_room, .fd = u->room_fd};
	ret = load(u, err);
	if (!ret)
		ret = create_slirp(u, config, err);
	for (size_t i = 0; !ret && i < config->nr_forwards; i++)
		ret = add_forward(u, &config->forwards[i], config->has_host_loopback, err);
	if (ret)
		goto err_destroy;
	*out = &u->nif;
	return 0;

err_destroy:
	user_destroy(&u->nif);
	return ret;
}
