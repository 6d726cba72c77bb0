/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* User mode without a guest: the guest's frames are made by hand. */
#include "netif_test_util.h"

#include <fcntl.h>
#include <unistd.h>

static const uint8_t guest_mac[] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
static const uint8_t host_mac[] = {0x52, 0x55, 10, 0, 2, 2};
static const uint8_t all_mac[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

/* A socket of the host at a port that the kernel chooses. */
static int open_host(int type, uint16_t *port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	*port = ntohs(sin.sin_port);
	return fd;
}

static uint16_t free_port(int type)
{
	uint16_t port;
	int fd = open_host(type, &port);

	sk_close(&fd);
	return port;
}

static struct sk_netif *open_user(const struct sk_netif_user_config *config)
{
	struct sk_netif *nif = NULL;
	struct sk_error err;

	if (sk_netif_user_create(&nif, config, &err))
		fail_msg("%s", err.message);
	return nif;
}

/* The guest asks who has 10.0.2.2, from 10.0.2.15: so both know each other. */
static void introduce(struct world *w)
{
	uint8_t arp[42] = {0};

	memcpy(arp, all_mac, 6);
	memcpy(arp + 6, guest_mac, 6);
	put16(arp + 12, 0x0806);
	memcpy(arp + 14, "\0\1\10\0\6\4\0\1", 8);
	memcpy(arp + 22, guest_mac, 6);
	memcpy(arp + 28, "\12\0\2\17", 4);
	memcpy(arp + 38, "\12\0\2\2", 4);
	assert_int_equal(world_send(w, arp, sizeof(arp)), 0);
	do {
		assert_true(world_recv(w, 0, 500));
	} while (get16(w->frame + SK_NETIF_HDR_BYTES + 12) != 0x0806);
	assert_memory_equal(w->frame + SK_NETIF_HDR_BYTES + 22, host_mac, 6);
}

/* Waits for an IPv4 frame of protocol @proto; returns its IP header. */
static const uint8_t *wait_ip(struct world *w, uint8_t proto)
{
	const uint8_t *eth = w->frame + SK_NETIF_HDR_BYTES;

	do {
		assert_true(world_recv(w, 0, 500));
	} while (get16(eth + 12) != 0x0800 || eth[ETH_BYTES + 9] != proto);
	assert_int_equal(w->frame[0], VIRTIO_NET_HDR_F_DATA_VALID);
	return eth + ETH_BYTES;
}

static void test_dhcp(void **state)
{
	struct world *w = world_new(open_user(&(struct sk_netif_user_config){0}));
	uint8_t bootp[300] = {1, 1, 6, 0, 1, 2, 3, 4}, frame[400];
	const uint8_t *ip;
	size_t len;

	(void)state;
	assert_int_equal(w->nif->caps.mtu, SK_NETIF_MAX_MTU);
	memcpy(bootp + 28, guest_mac, 6);
	memcpy(bootp + 236, "\x63\x82\x53\x63\x35\x01\x01\xff", 8); /* DISCOVER */
	len = make_udp4(frame, &(struct udp4){.to_mac = all_mac,
					      .from_mac = guest_mac,
					      .to = "255.255.255.255",
					      .from = "0.0.0.0",
					      .to_port = 67,
					      .from_port = 68,
					      .data = bootp,
					      .data_bytes = sizeof(bootp)});
	assert_int_equal(world_send(w, frame, len), 0);
	ip = wait_ip(w, 17);
	assert_memory_equal(ip + 12, "\12\0\2\2", 4);
	/* The offer: yiaddr, and option 53 with 2. */
	assert_memory_equal(ip + IP_BYTES + UDP_BYTES + 16, "\12\0\2\17", 4);
	assert_memory_equal(ip + IP_BYTES + UDP_BYTES + 240, "\x35\x01\x02", 3);
	world_free(w);
}

static void test_ping(void **state)
{
	struct world *w = world_new(open_user(&(struct sk_netif_user_config){0}));
	uint8_t frame[ETH_BYTES + IP_BYTES + 40];
	uint8_t *icmp = frame + ETH_BYTES + IP_BYTES;
	const uint8_t *ip;

	(void)state;
	introduce(w);
	/* A datagram's frame is a good start. */
	make_udp4(frame, &(struct udp4){.to_mac = host_mac,
					.from_mac = guest_mac,
					.to = "10.0.2.2",
					.from = "10.0.2.15",
					.data = "................................",
					.data_bytes = 32});
	frame[ETH_BYTES + 9] = 1;
	put16(frame + ETH_BYTES + 10, 0);
	put16(frame + ETH_BYTES + 10, fold16(sum16(0, frame + ETH_BYTES, IP_BYTES)));
	memcpy(icmp, "\10\0\0\0\0\1\0\1", 8);
	put16(icmp + 2, fold16(sum16(0, icmp, 40)));
	assert_int_equal(world_send(w, frame, sizeof(frame)), 0);
	ip = wait_ip(w, 1);
	assert_int_equal(ip[IP_BYTES], 0);
	assert_memory_equal(ip + IP_BYTES + 8, icmp + 8, 32);
	world_free(w);
}

/* Answers go to the host's loopback, which the guest has to be let at. */
static struct sk_netif *open_udp_forward(struct sk_netif_user_config *config)
{
	struct sk_netif *nif = NULL;
	struct sk_error err = {0};

	assert_int_equal(sk_netif_user_create(&nif, config, &err), -EINVAL);
	assert_non_null(strstr(err.message, "loopback"));
	config->has_host_loopback = true;
	return open_user(config);
}

/* Datagrams from a port of the host, and back. */
static void test_forward_udp(void **state)
{
	const struct sk_netif_forward forward = {.is_udp = true,
						 .host_addr = htonl(INADDR_LOOPBACK),
						 .host_port = free_port(SOCK_DGRAM),
						 .guest_port = 53000};
	struct sk_netif_user_config config = {.forwards = &forward, .nr_forwards = 1};
	struct world *w = world_new(open_udp_forward(&config));
	const struct sockaddr_in to = {.sin_family = AF_INET,
				       .sin_port = htons(forward.host_port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	uint16_t port;
	int host = open_host(SOCK_DGRAM, &port);
	const uint8_t *ip;
	uint8_t frame[200];
	size_t len;
	char seen[16] = "";

	(void)state;
	introduce(w);
	assert_int_equal(sendto(host, "question", 8, 0, (const struct sockaddr *)&to, sizeof(to)),
			 8);
	ip = wait_ip(w, 17);
	assert_int_equal(get16(ip + IP_BYTES + 2), 53000);
	assert_memory_equal(ip + IP_BYTES + UDP_BYTES, "question", 8);
	len = make_udp4(frame, &(struct udp4){.to_mac = host_mac,
					      .from_mac = guest_mac,
					      .to = "10.0.2.2",
					      .from = "10.0.2.15",
					      .to_port = (uint16_t)get16(ip + IP_BYTES),
					      .from_port = 53000,
					      .data = "answer",
					      .data_bytes = 6});
	assert_int_equal(world_send(w, frame, len), 0);
	for (unsigned i = 0; i < 500 && recv(host, seen, sizeof(seen), 0) < 0; i++)
		world_turn(w);
	assert_string_equal(seen, "answer");
	sk_close(&host);
	world_free(w);
}

/* So many sockets that frames go by the queue, each new one while others are waited for: all
 * answers. */
static void test_many(void **state)
{
	struct world *w =
		world_new(open_user(&(struct sk_netif_user_config){.has_host_loopback = true}));
	uint16_t port;
	int host = open_host(SOCK_DGRAM, &port);
	bool is_answered[200] = {false};
	unsigned nr_answered = 0;

	(void)state;
	introduce(w);
	for (unsigned i = 0; i < SK_ARRAY_SIZE(is_answered); i++) {
		const uint8_t *eth = w->frame + SK_NETIF_HDR_BYTES;
		struct sockaddr_in from;
		socklen_t from_bytes = sizeof(from);
		uint8_t frame[200], got;
		uint8_t which = (uint8_t)i;
		size_t len = make_udp4(frame, &(struct udp4){.to_mac = host_mac,
							     .from_mac = guest_mac,
							     .to = "10.0.2.2",
							     .from = "10.0.2.15",
							     .to_port = port,
							     .from_port = (uint16_t)(5000 + i),
							     .data = &which,
							     .data_bytes = 1});

		assert_int_equal(world_send(w, frame, len), 0);
		/* The host answers one later: two at least are on their way. */
		while (i && recvfrom(host, &got, 1, 0, (struct sockaddr *)&from, &from_bytes) != 1)
			world_turn(w);
		if (i)
			assert_int_equal(
				sendto(host, &got, 1, 0, (struct sockaddr *)&from, sizeof(from)),
				1);
		while (world_recv(w, 0, i + 1 == SK_ARRAY_SIZE(is_answered) ? 10 : 0)) {
			if (get16(eth + 12) != 0x0800 || eth[ETH_BYTES + 9] != 17)
				continue;
			got = eth[ETH_BYTES + IP_BYTES + UDP_BYTES];
			assert_int_equal(get16(eth + ETH_BYTES + IP_BYTES + 2), 5000 + got);
			assert_false(is_answered[got]);
			is_answered[got] = true;
			nr_answered++;
		}
	}
	assert_int_equal(nr_answered, SK_ARRAY_SIZE(is_answered) - 1);
	sk_close(&host);
	world_free(w);
}

/* A world in which *@host connects to port 80 of the guest; *@ip: the SYN that the guest gets. */
static struct world *connect_to_guest(int *host, const uint8_t **ip)
{
	const struct sk_netif_forward forward = {.host_addr = htonl(INADDR_LOOPBACK),
						 .host_port = free_port(SOCK_STREAM),
						 .guest_port = 80};
	struct world *w = world_new(
		open_user(&(struct sk_netif_user_config){.forwards = &forward, .nr_forwards = 1}));
	const struct sockaddr_in to = {.sin_family = AF_INET,
				       .sin_port = htons(forward.host_port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	uint16_t port;

	*host = open_host(SOCK_STREAM, &port);
	introduce(w);
	assert_true(!connect(*host, (const struct sockaddr *)&to, sizeof(to)) ||
		    errno == EINPROGRESS);
	*ip = wait_ip(w, 6);
	return w;
}

/* A connection to a port of the host becomes a SYN to the guest. */
static void test_forward_tcp(void **state)
{
	const uint8_t *ip;
	int host;
	struct world *w = connect_to_guest(&host, &ip);

	(void)state;
	assert_int_equal(get16(ip + IP_BYTES + 2), 80);
	assert_int_equal(ip[IP_BYTES + 13] & 0x3f, 2);
	sk_close(&host);
	world_free(w);
}

/* The guest's next segment of a connection: without data, ports and addresses those of an answer.
 */
static size_t make_answer(uint8_t *frame, const uint8_t *ip, const char *options, uint32_t ack)
{
	const uint8_t *from = ip + IP_BYTES;
	size_t len = make_udp4(frame, &(struct udp4){.to_mac = host_mac,
						     .from_mac = guest_mac,
						     .to = "10.0.2.2",
						     .from = "10.0.2.15",
						     .to_port = (uint16_t)get16(from),
						     .from_port = (uint16_t)get16(from + 2),
						     .data = "................",
						     .data_bytes = options ? 16 : 12});
	uint8_t *at = frame + ETH_BYTES, *tcp = at + IP_BYTES;
	uint16_t tcp_bytes = (uint16_t)(len - ETH_BYTES - IP_BYTES);

	at[9] = 6;
	put16(at + 10, 0);
	put16(at + 10, fold16(sum16(0, at, IP_BYTES)));
	put32(tcp + 4, options ? 1000 : 1001);
	put32(tcp + 8, ack);
	tcp[12] = (uint8_t)(tcp_bytes / 4 << 4);
	tcp[13] = options ? 0x12 : 0x10; /* SYN, ACK */
	put16(tcp + 14, 65535);
	put32(tcp + 16, 0);
	if (options)
		memcpy(tcp + 20, options, 4);
	put16(tcp + 16, fold16(sum16(sum16(6 + (uint32_t)tcp_bytes, at + 12, 8), tcp, tcp_bytes)));
	return len;
}

/*
 * A guest with a window of 65,535 bytes that asks for segments of 65,480 gets such that several fit
 * into its window: all of it is used, at once.
 */
static void test_segments(void **state)
{
	const uint8_t *ip;
	int host;
	struct world *w = connect_to_guest(&host, &ip);
	uint32_t first, seen = 0, largest = 0, data_bytes;
	static char data[400000];
	uint8_t frame[200];
	size_t sent = 0;
	ssize_t n;

	(void)state;
	first = get32(ip + IP_BYTES + 4) + 1;
	assert_int_equal(world_send(w, frame, make_answer(frame, ip, "\2\4\xff\xc8", first)), 0);
	while (seen < sizeof(data)) {
		n = send(host, data + sent, sizeof(data) - sent, MSG_NOSIGNAL);
		assert_true(n > 0 || sent == sizeof(data) || errno == EAGAIN || errno == ENOTCONN);
		sent += n > 0 ? (size_t)n : 0;
		ip = wait_ip(w, 6);
		data_bytes = get16(ip + 2) - IP_BYTES - (ip[IP_BYTES + 12] >> 4) * 4u;
		largest = SK_MAX(largest, data_bytes);
		if (data_bytes && get32(ip + IP_BYTES + 4) == first + seen)
			seen += data_bytes;
		assert_int_equal(world_send(w, frame, make_answer(frame, ip, NULL, first + seen)),
				 0);
	}
	assert_in_range(largest, 8192, 65535 / 4);
	sk_close(&host);
	world_free(w);
}

static void test_ports(void **state)
{
	uint16_t port;
	int host = open_host(SOCK_STREAM, &port);
	const struct sk_netif_forward forward = {
		.host_addr = htonl(INADDR_LOOPBACK), .host_port = port, .guest_port = 80};
	struct sk_netif *nif = NULL;
	struct sk_error err = {0};
	char want[64];

	(void)state;
	assert_int_equal(listen(host, 1), 0);
	assert_int_equal(sk_netif_user_create(&nif,
					      &(struct sk_netif_user_config){.forwards = &forward,
									     .nr_forwards = 1},
					      &err),
			 -EADDRINUSE);
	assert_null(nif);
	snprintf(want, sizeof(want), "TCP port %u of the host (127.0.0.1)", port);
	assert_non_null(strstr(err.message, want));
	assert_non_null(strstr(err.message, "in use"));
	sk_close(&host);
}

static void test_mtu(void **state)
{
	struct sk_netif *nif = NULL;
	struct sk_error err = {0};

	(void)state;
	assert_int_equal(
		sk_netif_user_create(&nif, &(struct sk_netif_user_config){.mtu = 1279}, &err),
		-EINVAL);
	assert_int_equal(
		sk_netif_user_create(&nif, &(struct sk_netif_user_config){.mtu = 65521}, &err),
		-EINVAL);
	nif = open_user(&(struct sk_netif_user_config){.mtu = 1500});
	assert_int_equal(nif->caps.mtu, 1500);
	assert_int_equal(sk_netif_set_offloads(nif, SK_NETIF_CSUM), 0);
	sk_netif_destroy(nif);
}

/* A guest that asks and never collects: what waits for it is bounded, and so is what it sends. */
static void test_flood(void **state)
{
	struct world *w = world_new(open_user(&(struct sk_netif_user_config){0}));
	uint8_t frame[ETH_BYTES + 28] = {0};
	unsigned refused = 0;

	(void)state;
	introduce(w);
	memcpy(frame, w->frame + SK_NETIF_HDR_BYTES + 6, 6);
	memcpy(frame + 6, guest_mac, 6);
	put16(frame + 12, 0x0806);
	memcpy(frame + 14, "\0\1\10\0\6\4\0\1", 8);
	memcpy(frame + 22, guest_mac, 6);
	memcpy(frame + 28, "\12\0\2\17", 4);
	memcpy(frame + 38, "\12\0\2\2", 4);
	for (unsigned i = 0; i < 300000; i++) {
		int ret = world_send(w, frame, sizeof(frame));

		assert_true(ret == 0 || ret == -EAGAIN);
		if (ret == -EAGAIN) {
			unsigned before = w->nr_writable;

			for (refused++; w->nr_writable == before;)
				world_turn(w);
		}
	}
	print_message("# refused %u times\n", refused);
	/* It still works once they are collected. */
	while (world_recv(w, 0, 2))
		;
	introduce(w);
	world_free(w);
}

/* Frames of noise, some with the beginning of something real. */
static void test_nonsense(void **state)
{
	struct world *w = world_new(open_user(&(struct sk_netif_user_config){0}));
	uint8_t frame[400];
	uint32_t seed = 99;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		size_t len;

		for (unsigned i = 0; i < sizeof(frame); i++) {
			seed = seed * 1664525 + 1013904223;
			frame[i] = (uint8_t)(seed >> 24);
		}
		memcpy(frame, host_mac, 6);
		put16(frame + 12, (unsigned[]){0x0800, 0x0806, 0x86dd, 0x88f8}[round % 4]);
		if (round % 4 == 0)
			frame[14] = 0x45;
		if (round % 4 == 2)
			frame[14] = 0x60;
		len = ETH_BYTES + seed % (sizeof(frame) - ETH_BYTES);
		if (world_send(w, frame, len) == -EAGAIN)
			world_turn(w);
		while (round % 64 == 0 && world_recv(w, 0, 0))
			;
	}
	introduce(w);
	world_free(w);
}

static void test_parse(void **state)
{
	static const char *const bad[] = {
		"",	     "tcp",	     "tcp:1:2",	   "sctp::1:2",		"tcp:::2",
		"tcp::0:2",  "tcp::65536:2", "tcp::1:2:3", "tcp:localhost:1:2", "tcp:[::1]:1:2",
		"tcp::1:2x", "tcp:: 1:2",    "tcp::-1:2",  "udp:1.2.3.4.5:1:2"};
	struct sk_netif_forward f;
	struct sk_error err;

	(void)state;
	assert_int_equal(sk_netif_forward_parse(&f, "tcp:127.0.0.1:8000:80", &err), 0);
	assert_false(f.is_udp);
	assert_int_equal(f.host_addr, htonl(INADDR_LOOPBACK));
	assert_int_equal(f.host_port, 8000);
	assert_int_equal(f.guest_port, 80);
	assert_int_equal(sk_netif_forward_parse(&f, "udp::65535:1", &err), 0);
	assert_true(f.is_udp);
	assert_int_equal(f.host_addr, htonl(INADDR_LOOPBACK));
	assert_int_equal(sk_netif_forward_parse(&f, "tcp:0.0.0.0:1:2", &err), 0);
	assert_int_equal(f.host_addr, 0);
	for (size_t i = 0; i < SK_ARRAY_SIZE(bad); i++) {
		if (sk_netif_forward_parse(&f, bad[i], &err) != -EINVAL)
			fail_msg("'%s' was taken", bad[i]);
	}
}

/* Two of them in one process. */
static void test_two(void **state)
{
	struct world *a = world_new(open_user(&(struct sk_netif_user_config){0}));
	struct world *b = world_new(open_user(&(struct sk_netif_user_config){0}));

	(void)state;
	introduce(a);
	introduce(b);
	world_free(a);
	introduce(b);
	world_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),	    cmocka_unit_test(test_mtu),
		cmocka_unit_test(test_dhcp),	    cmocka_unit_test(test_ping),
		cmocka_unit_test(test_forward_udp), cmocka_unit_test(test_forward_tcp),
		cmocka_unit_test(test_segments),    cmocka_unit_test(test_ports),
		cmocka_unit_test(test_two),	    cmocka_unit_test(test_flood),
		cmocka_unit_test(test_nonsense),    cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
