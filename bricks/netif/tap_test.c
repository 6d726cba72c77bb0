/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* TAP devices in a network namespace of the test's own, with a packet socket as the peer. */
#include "netif_test_util.h"

#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const uint8_t guest_mac[] = {0x02, 0, 0, 0, 0, 1};

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool is_good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	sk_close(&fd);
	return is_good;
}

/* A network of our own, as root or as root of a user namespace. */
static bool enter_namespace(void)
{
	char map[32];

	if (!unshare(CLONE_NEWNET))
		return true;
	snprintf(map, sizeof(map), "0 %u 1", (unsigned)getuid());
	return !unshare(CLONE_NEWUSER | CLONE_NEWNET) && write_file("/proc/self/uid_map", map);
}

/* A persistent TAP device, up, with an IPv4 address; @flags as IFF_MULTI_QUEUE. */
static bool make_tap(const char *name, short flags, const char *address, int mtu)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	struct ifreq ifr = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | flags)};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC), s;
	bool is_good;

	strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
	is_good = fd >= 0 && !ioctl(fd, TUNSETIFF, &ifr) && !ioctl(fd, TUNSETPERSIST, 1);
	sk_close(&fd);
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ifr.ifr_mtu = mtu;
	is_good = is_good && !ioctl(s, SIOCSIFMTU, &ifr);
	inet_pton(AF_INET, address, &sin.sin_addr);
	memcpy(&ifr.ifr_addr, &sin, sizeof(sin));
	is_good = is_good && !ioctl(s, SIOCSIFADDR, &ifr);
	ifr.ifr_flags = IFF_UP;
	is_good = is_good && !ioctl(s, SIOCSIFFLAGS, &ifr);
	sk_close(&s);
	return is_good;
}

static struct sk_netif *open_tap(const char *name, unsigned nr_pairs)
{
	const struct sk_netif_tap_config config = {.name = name, .nr_pairs = nr_pairs};
	struct sk_netif *nif = NULL;
	struct sk_error err;

	if (sk_netif_tap_create(&nif, &config, &err))
		fail_msg("%s", err.message);
	return nif;
}

/* The peer: all frames of the device, both ways. */
static int open_packet(const char *name)
{
	const struct sockaddr_ll addr = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(name),
	};
	const struct timeval limit = {.tv_sec = 20};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static int open_udp(const char *device, uint16_t port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
	const struct timeval limit = {.tv_sec = 20};
	const int yes = 1;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &yes, sizeof(yes)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, strlen(device)), 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&sin, sizeof(sin)), 0);
	return fd;
}

/*
 * The kernel notices some time after a queue was opened that the cable is in, and drops what is
 * sent until then.
 */
static void wait_wire(struct world *w, const char *name, unsigned nr_pairs)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = INADDR_BROADCAST};
	int udp = open_udp(name, 9);
	bool has_wire = false;

	for (unsigned i = 0; i < 1000 && !has_wire; i++) {
		assert_int_equal(
			sendto(udp, "is it?", 6, 0, (const struct sockaddr *)&to, sizeof(to)), 6);
		for (unsigned pair = 0; pair < nr_pairs; pair++)
			has_wire |= world_recv(w, pair, 1);
	}
	assert_true(has_wire);
	for (unsigned pair = 0; pair < nr_pairs; pair++)
		while (world_recv(w, pair, 1))
			;
	sk_close(&udp);
}

static void expect_refusal(const char *name, unsigned nr_pairs, int code, const char *words)
{
	const struct sk_netif_tap_config config = {.name = name, .nr_pairs = nr_pairs};
	struct sk_netif *nif = NULL;
	struct sk_error err = {0};

	assert_int_equal(sk_netif_tap_create(&nif, &config, &err), code);
	assert_null(nif);
	if (!strstr(err.message, words))
		fail_msg("'%s' does not say '%s'", err.message, words);
}

static void test_errors(void **state)
{
	struct sk_netif *nif;

	(void)state;
	expect_refusal("nowhere0", 1, -ENODEV, "there is no TAP device nowhere0");
	expect_refusal("", 1, -EINVAL, "not a name");
	expect_refusal("a-name-longer-than-the-kernel's", 1, -EINVAL, "not a name");
	expect_refusal("tap%d", 1, -EINVAL, "not a name");
	expect_refusal("lo", 1, -ENOTSUP, "not a TAP device");
	expect_refusal("one", 0, -EINVAL, "1 to 16");
	expect_refusal("one", 17, -EINVAL, "1 to 16");
	expect_refusal("one", 2, -ENOTSUP, "multi_queue");
	nif = open_tap("one", 1);
	expect_refusal("one", 1, -EBUSY, "in use");
	sk_netif_destroy(nif);
	nif = open_tap("one", 1);
	sk_netif_destroy(nif);
	sk_netif_destroy(NULL);
}

static void test_no_vhost(void **state)
{
	const struct sk_netif_tap_config config = {
		.name = "one", .nr_pairs = 1, .wants_vhost = true};
	struct sk_netif *nif = NULL;
	struct sk_error err = {0};
	int ret = sk_netif_tap_create(&nif, &config, &err);

	(void)state;
	if (access("/dev/vhost-net", F_OK)) {
		assert_int_equal(ret, -ENOENT);
		assert_non_null(strstr(err.message, "/dev/vhost-net"));
		return;
	}
	assert_true(ret || nif->caps.has_vhost);
	sk_netif_destroy(nif);
}

static size_t ping_frame(uint8_t *frame, const char *text)
{
	static const uint8_t all[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	const struct udp4 u = {
		.to_mac = all,
		.from_mac = guest_mac,
		.to = "10.1.0.1",
		.from = "10.1.0.2",
		.to_port = 7777,
		.from_port = 8888,
		.data = text,
		.data_bytes = strlen(text),
	};

	return make_udp4(frame, &u);
}

static void test_both_ways(void **state)
{
	struct world *w = world_new(open_tap("one", 1));
	int peer = open_packet("one");
	uint8_t sent[200], seen[2048];
	size_t len = ping_frame(sent, "over the wire");
	ssize_t got = 0;

	(void)state;
	assert_int_equal(w->nif->caps.mtu, 9000);
	wait_wire(w, "one", 1);
	assert_int_equal(world_send(w, sent, len), 0);
	/* The kernel may have something to say of its own (IPv6 starting up). */
	while (got != (ssize_t)len || memcmp(seen, sent, len)) {
		got = recv(peer, seen, sizeof(seen), 0);
		assert_true(got >= 0);
	}
	/* The other way: nothing before the peer sends, and one call for it. */
	while (world_recv(w, 0, 0))
		;
	w->nr_readable[0] = 0;
	assert_int_equal(send(peer, sent, len, 0), (ssize_t)len);
	while (!w->nr_readable[0])
		world_turn(w);
	do {
		assert_true(world_recv(w, 0, 500));
	} while (w->frame_bytes != len + SK_NETIF_HDR_BYTES ||
		 memcmp(w->frame + SK_NETIF_HDR_BYTES, sent, len));
	sk_close(&peer);
	world_free(w);
}

static void test_wrong_sizes(void **state)
{
	struct world *w = world_new(open_tap("one", 1));
	int peer = open_packet("one");
	uint8_t frame[1000] = {0x33, 0x33};
	static uint8_t large[SK_NETIF_MAX_FRAME_BYTES + 1];
	struct iovec small = {w->frame, 500};
	ssize_t got;

	(void)state;
	assert_int_equal(
		sk_netif_send(w->nif, 0, &(struct iovec){large, SK_NETIF_HDR_BYTES + 13}, 1),
		-EINVAL);
	assert_int_equal(sk_netif_send(w->nif, 0, &(struct iovec){large, sizeof(large)}, 1),
			 -EINVAL);
	wait_wire(w, "one", 1);
	put16(frame + 12, 0x88b5);
	assert_int_equal(send(peer, frame, sizeof(frame), 0), sizeof(frame));
	/* Too large for the vectors: dropped; the next is a frame of its own. */
	do {
		world_turn(w);
		got = sk_netif_recv(w->nif, 0, &small, 1);
	} while (got == -EAGAIN || got > 0);
	assert_int_equal(got, -EMSGSIZE);
	assert_int_equal(send(peer, frame, 488, 0), 488);
	do {
		world_turn(w);
		got = sk_netif_recv(w->nif, 0, &small, 1);
	} while (got != 500);
	sk_close(&peer);
	world_free(w);
}

/* The host's UDP socket takes a datagram whose checksum is left to it. */
static void test_checksum_out(void **state)
{
	struct world *w = world_new(open_tap("one", 1));
	struct virtio_net_hdr_v1 hdr = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6};
	int udp = open_udp("one", 7777);
	uint8_t frame[200], seen[200];
	size_t len = ping_frame(frame, "unsummed");
	const struct iovec iov[] = {{&hdr, sizeof(hdr)}, {frame, len}};
	uint32_t pseudo = sum16(17 + UDP_BYTES + 8, frame + 26, 8);

	(void)state;
	/* To the interface itself, or IP would not take it. */
	{
		struct ifreq ifr = {0};

		strncpy(ifr.ifr_name, "one", IFNAMSIZ - 1);
		assert_int_equal(ioctl(udp, SIOCGIFHWADDR, &ifr), 0);
		memcpy(frame, ifr.ifr_hwaddr.sa_data, 6);
	}
	put16(frame + 40, (uint16_t)~fold16(pseudo));
	assert_int_equal(sk_netif_send(w->nif, 0, iov, 2), 0);
	assert_int_equal(recv(udp, seen, sizeof(seen), 0), 8);
	assert_memory_equal(seen, "unsummed", 8);
	sk_close(&udp);
	world_free(w);
}

/* Whether the host leaves the checksum of a datagram to the device. */
static bool leaves_checksum(struct world *w, int udp)
{
	const struct sockaddr_in to = {.sin_family = AF_INET,
				       .sin_port = htons(4242),
				       .sin_addr.s_addr = INADDR_BROADCAST};

	assert_int_equal(sendto(udp, "hello", 5, 0, (const struct sockaddr *)&to, sizeof(to)), 5);
	do {
		assert_true(world_recv(w, 0, 500));
	} while (w->frame_bytes != SK_NETIF_HDR_BYTES + 47 ||
		 get16(w->frame + SK_NETIF_HDR_BYTES + 36) != 4242);
	return w->frame[0] & VIRTIO_NET_HDR_F_NEEDS_CSUM;
}

static void test_checksum_in(void **state)
{
	struct world *w = world_new(open_tap("one", 1));
	int udp = open_udp("one", 9999);

	(void)state;
	wait_wire(w, "one", 1);
	assert_false(leaves_checksum(w, udp));
	assert_int_equal(sk_netif_set_offloads(w->nif, SK_NETIF_CSUM | SK_NETIF_TSO4), 0);
	assert_true(leaves_checksum(w, udp));
	/* Segmentation without checksums makes no sense, and is not asked for. */
	assert_int_equal(sk_netif_set_offloads(w->nif, SK_NETIF_TSO4), 0);
	assert_false(leaves_checksum(w, udp));
	sk_close(&udp);
	world_free(w);
}

/* Many flows spread over the pairs that are in use, and over no others. */
static void test_pairs(void **state)
{
	struct world *w = world_new(open_tap("many", 4));
	int udp = open_udp("many", 9999);

	(void)state;
	for (unsigned nr_pairs = 4; nr_pairs; nr_pairs = nr_pairs == 4) {
		unsigned got[4] = {0}, in_use = 0;

		assert_int_equal(sk_netif_set_pairs(w->nif, nr_pairs), 0);
		wait_wire(w, "many", nr_pairs);
		for (uint16_t i = 0; i < 64; i++) {
			const struct sockaddr_in to = {.sin_family = AF_INET,
						       .sin_port = htons(1000 + i),
						       .sin_addr.s_addr = INADDR_BROADCAST};

			assert_int_equal(
				sendto(udp, "x", 1, 0, (const struct sockaddr *)&to, sizeof(to)),
				1);
		}
		for (unsigned pair = 0; pair < nr_pairs; pair++) {
			while (world_recv(w, pair, 1))
				got[pair] += w->frame_bytes == SK_NETIF_HDR_BYTES + 43;
			in_use += got[pair] > 0;
		}
		assert_int_equal(got[0] + got[1] + got[2] + got[3], 64);
		assert_true(nr_pairs == 1 ? in_use == 1 : in_use > 1);
	}
	sk_close(&udp);
	world_free(w);
}

/* Whatever the header says, sending ends in nothing worse than a frame that is lost. */
static void test_nonsense(void **state)
{
	struct world *w = world_new(open_tap("one", 1));
	static uint8_t bytes[70000];
	uint32_t seed = 12345;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		size_t len;

		for (unsigned i = 0; i < 64; i++) {
			seed = seed * 1664525 + 1013904223;
			bytes[i] = (uint8_t)(seed >> 24);
		}
		len = SK_NETIF_HDR_BYTES + ETH_BYTES + (round % 16 ? seed % 200 : seed % 65535);
		assert_int_equal(sk_netif_send(w->nif, 0, &(struct iovec){bytes, len}, 1), 0);
		while (round % 64 == 0 && world_recv(w, 0, 0))
			;
	}
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errors),	     cmocka_unit_test(test_no_vhost),
		cmocka_unit_test(test_both_ways),    cmocka_unit_test(test_wrong_sizes),
		cmocka_unit_test(test_checksum_out), cmocka_unit_test(test_checksum_in),
		cmocka_unit_test(test_pairs),	     cmocka_unit_test(test_nonsense),
	};

	if (!enter_namespace() || !make_tap("one", 0, "10.1.0.1", 9000) ||
	    !make_tap("many", IFF_MULTI_QUEUE, "10.2.0.1", 1500)) {
		printf("1..0 # SKIP no network namespace or no TAP device for this user: %s\n",
		       strerror(errno));
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
