/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The socket device between a driver and Unix sockets of the test's own. */
#include "vsock_internal.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <virtio_driver.h>

#define CID	   77
#define RX_BUFFERS 64
#define RX_BYTES   4096

struct world {
	struct sk_gmem *gm;
	struct sk_loop *loop;
	struct sk_vsock *vsock;
	struct virtio_driver driver;
	char folder[32], path[64];
	gpa_t rx_gpa, tx_gpa;
	/* the last packet to the guest */
	struct vsock_packet p;
	uint8_t payload[RX_BYTES];
};

static struct sk_vsock *make_vsock(struct world *w)
{
	const struct sk_vsock_config config = {
		.gm = w->gm, .loop = w->loop, .cid = CID, .path = w->path};
	struct sk_vsock *vsock = NULL;
	struct sk_error err;

	if (sk_vsock_create(&vsock, &config, &err))
		fail_msg("%s", err.message);
	return vsock;
}

static void post(struct world *w, uint64_t slot)
{
	assert_true(virtio_driver_send(
		&w->driver, VSOCK_RX,
		&(struct guest_buf){w->rx_gpa + slot * RX_BYTES, RX_BYTES, true}, 1, slot));
}

static void start(struct world *w)
{
	assert_true(virtio_driver_start(&w->driver, SK_VIRTIO_FEATURE(VIRTIO_RING_F_EVENT_IDX), 0));
	for (uint64_t slot = 0; slot < RX_BUFFERS; slot++)
		post(w, slot);
}

static struct world *world_new(void)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	strcpy(w->folder, "/tmp/vsock-test-XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	snprintf(w->path, sizeof(w->path), "%s/s", w->folder);
	w->gm = virtio_driver_memory(16 * SK_MIB);
	assert_int_equal(sk_loop_create(&w->loop, NULL, NULL), 0);
	w->vsock = make_vsock(w);
	virtio_driver_init(&w->driver, sk_vsock_virtio(w->vsock));
	w->rx_gpa = virtio_driver_alloc(&w->driver, RX_BUFFERS * RX_BYTES);
	w->tx_gpa = virtio_driver_alloc(&w->driver, 2 * VSOCK_MAX_PAYLOAD);
	start(w);
	return w;
}

static void world_free(struct world *w)
{
	virtio_driver_fini(&w->driver);
	sk_loop_destroy(w->loop);
	sk_vsock_destroy(w->vsock);
	sk_gmem_destroy(w->gm);
	assert_int_equal(access(w->path, F_OK), -1);
	assert_int_equal(rmdir(w->folder), 0);
	free(w);
}

static struct sk_vsock_stats stats(struct world *w)
{
	struct sk_vsock_stats s;

	sk_vsock_get_stats(w->vsock, &s);
	return s;
}

/* Takes the next packet of the device, false: there is none now. Its buffer goes back. */
static bool take(struct world *w)
{
	uint8_t bytes[VSOCK_HDR_BYTES];
	uint32_t written;
	uint64_t slot;
	gpa_t gpa;

	virtio_driver_settle(&w->driver);
	if (!virtio_driver_poll(&w->driver, VSOCK_RX, &slot, &written))
		return false;
	gpa = w->rx_gpa + slot * RX_BYTES;
	assert_true(written >= VSOCK_HDR_BYTES);
	virtio_driver_read(&w->driver, gpa, bytes, sizeof(bytes));
	/* The reader checks the guest's packets: mirrored, this is one. */
	(void)vsock_packet_get(&w->p, bytes, written, CID);
	assert_int_equal(w->p.src_cid, SK_VSOCK_HOST_CID);
	assert_int_equal(w->p.dst_cid, CID);
	assert_int_equal(w->p.len_bytes, written - VSOCK_HDR_BYTES);
	virtio_driver_read(&w->driver, gpa + VSOCK_HDR_BYTES, w->payload, w->p.len_bytes);
	post(w, slot);
	return true;
}

/* Waits for a packet, which must be @op, but for news of credit. */
static void expect_op(struct world *w, uint16_t op)
{
	for (unsigned i = 0; i < 200; i++) {
		if (!take(w)) {
			assert_true(sk_loop_turn(w->loop, 50000000) >= 0);
			continue;
		}
		if (w->p.op == VIRTIO_VSOCK_OP_CREDIT_UPDATE && op != w->p.op)
			continue;
		assert_int_equal(w->p.op, op);
		return;
	}
	fail_msg("no packet %u", op);
}

/* Sends a packet of the guest, with @len_bytes of @data. */
static void send_packet(struct world *w, struct vsock_packet p, const void *data)
{
	uint8_t bytes[VSOCK_HDR_BYTES];

	p.src_cid = p.src_cid ? p.src_cid : CID;
	p.dst_cid = p.dst_cid ? p.dst_cid : SK_VSOCK_HOST_CID;
	p.type = p.type ? p.type : VIRTIO_VSOCK_TYPE_STREAM;
	p.buf_alloc = p.buf_alloc ? p.buf_alloc : 65536;
	vsock_packet_put(&p, bytes);
	virtio_driver_write(&w->driver, w->tx_gpa, bytes, sizeof(bytes));
	if (p.len_bytes)
		virtio_driver_write(&w->driver, w->tx_gpa + sizeof(bytes), data, p.len_bytes);
	assert_true(virtio_driver_send(
		&w->driver, VSOCK_TX,
		&(struct guest_buf){w->tx_gpa, VSOCK_HDR_BYTES + p.len_bytes, false}, 1, 0));
	assert_true(virtio_driver_wait(&w->driver, VSOCK_TX, NULL, NULL));
}

static struct sockaddr_un address(struct world *w, const char *suffix)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	snprintf(a.sun_path, sizeof(a.sun_path), "%s%s", w->path, suffix);
	return a;
}

static int host_client(struct world *w)
{
	struct sockaddr_un a = address(w, "");
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static int host_server(struct world *w, const char *suffix)
{
	struct sockaddr_un a = address(w, suffix);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 64), 0);
	return fd;
}

/* What the host's end reads within a while, as text; "" at its end. */
static const char *host_reads(struct world *w, int fd)
{
	static char text[4097];
	ssize_t n = -1;

	for (unsigned i = 0; i < 200 && n < 0; i++) {
		virtio_driver_settle(&w->driver);
		n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
		if (n < 0)
			assert_true(sk_loop_turn(w->loop, 20000000) >= 0);
	}
	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

/* A stream that the host has opened to port 1000 of the guest; its descriptor. */
static int open_from_host(struct world *w, struct vsock_packet *reply)
{
	int fd = host_client(w);
	char want[32];

	assert_int_equal(write(fd, "CONNECT 1000\n", 13), 13);
	expect_op(w, VIRTIO_VSOCK_OP_REQUEST);
	assert_int_equal(w->p.dst_port, 1000);
	assert_int_equal(w->p.buf_alloc, SK_VSOCK_BUFFER_BYTES);
	*reply = (struct vsock_packet){
		.src_port = 1000, .dst_port = w->p.src_port, .op = VIRTIO_VSOCK_OP_RESPONSE};
	send_packet(w, *reply, NULL);
	snprintf(want, sizeof(want), "OK %u\n", reply->dst_port);
	assert_string_equal(host_reads(w, fd), want);
	return fd;
}

static void test_from_host(void **state)
{
	struct world *w = world_new();
	struct vsock_packet p;
	int fd = open_from_host(w, &p);

	(void)state;
	assert_int_equal(write(fd, "hello", 5), 5);
	expect_op(w, VIRTIO_VSOCK_OP_RW);
	assert_int_equal(w->p.len_bytes, 5);
	assert_memory_equal(w->payload, "hello", 5);
	p.op = VIRTIO_VSOCK_OP_RW;
	p.len_bytes = 6;
	send_packet(w, p, "answer");
	assert_string_equal(host_reads(w, fd), "answer");
	assert_int_equal(stats(w).connections, 1);
	/* The host goes: both directions end, and the guest's reset is the last word. */
	sk_close(&fd);
	expect_op(w, VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(w->p.flags, VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND);
	p.op = VIRTIO_VSOCK_OP_RST;
	p.len_bytes = 0;
	send_packet(w, p, NULL);
	virtio_driver_settle(&w->driver);
	assert_int_equal(stats(w).connections, 0);
	assert_false(take(w));
	world_free(w);
}

/* The greeting in pieces, and with the stream's first bytes behind it. */
static void test_greeting(void **state)
{
	static const char *const bad[] = {"CONNECT\n",
					  "CONNECT \n",
					  "CONNECT 1x\n",
					  "connect 1\n",
					  "CONNECT -1\n",
					  "CONNECT 4294967296\n",
					  "CONNECT  1\n",
					  "GET / HTTP/1.0\n",
					  "CONNECT 000000000000000000000000000000000001\n"};
	struct world *w = world_new();
	int fd = host_client(w);

	(void)state;
	assert_int_equal(write(fd, "CONN", 4), 4);
	virtio_driver_settle(&w->driver);
	assert_int_equal(write(fd, "ECT 5\nfirst", 11), 11);
	expect_op(w, VIRTIO_VSOCK_OP_REQUEST);
	assert_int_equal(w->p.dst_port, 5);
	send_packet(w,
		    (struct vsock_packet){.src_port = 5,
					  .dst_port = w->p.src_port,
					  .op = VIRTIO_VSOCK_OP_RESPONSE},
		    NULL);
	expect_op(w, VIRTIO_VSOCK_OP_RW);
	assert_memory_equal(w->payload, "first", 5);
	for (unsigned i = 0; i < SK_ARRAY_SIZE(bad); i++) {
		int other = host_client(w);

		assert_true(write(other, bad[i], strlen(bad[i])) > 0);
		assert_string_equal(host_reads(w, other), "");
		sk_close(&other);
	}
	assert_int_equal(stats(w).refused, SK_ARRAY_SIZE(bad));
	sk_close(&fd);
	world_free(w);
}

static void test_refusals(void **state)
{
	struct world *w = world_new();
	int fd = host_client(w);

	(void)state;
	/* Nobody listens in the guest. */
	assert_int_equal(write(fd, "CONNECT 1\n", 10), 10);
	expect_op(w, VIRTIO_VSOCK_OP_REQUEST);
	send_packet(w,
		    (struct vsock_packet){
			    .src_port = 1, .dst_port = w->p.src_port, .op = VIRTIO_VSOCK_OP_RST},
		    NULL);
	assert_string_equal(host_reads(w, fd), "");
	sk_close(&fd);
	/* Nobody listens on the host. */
	send_packet(
		w,
		(struct vsock_packet){.src_port = 9, .dst_port = 10, .op = VIRTIO_VSOCK_OP_REQUEST},
		NULL);
	expect_op(w, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(w->p.dst_port, 9);
	assert_int_equal(w->p.src_port, 10);
	/* A packet of no connection; one of a type that is unknown. */
	send_packet(w,
		    (struct vsock_packet){.src_port = 3, .dst_port = 4, .op = VIRTIO_VSOCK_OP_RW},
		    NULL);
	expect_op(w, VIRTIO_VSOCK_OP_RST);
	send_packet(w,
		    (struct vsock_packet){
			    .type = 2, .src_port = 3, .dst_port = 4, .op = VIRTIO_VSOCK_OP_REQUEST},
		    NULL);
	expect_op(w, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(w->p.type, 2);
	/* A reset is never answered, nor what comes from elsewhere or goes there. */
	send_packet(w, (struct vsock_packet){.src_port = 3, .op = VIRTIO_VSOCK_OP_RST}, NULL);
	send_packet(w, (struct vsock_packet){.src_cid = 5, .op = VIRTIO_VSOCK_OP_RW}, NULL);
	send_packet(w, (struct vsock_packet){.dst_cid = 5, .op = VIRTIO_VSOCK_OP_RW}, NULL);
	assert_false(take(w));
	assert_int_equal(stats(w).bad_packets, 2);
	assert_int_equal(stats(w).refused, 2);
	world_free(w);
}

/* A stream that the guest has opened to the server at PATH_10; the server's end. */
static int open_from_guest(struct world *w, int server, struct vsock_packet *p)
{
	static uint32_t port = 2000;

	*p = (struct vsock_packet){
		.src_port = port++, .dst_port = 10, .op = VIRTIO_VSOCK_OP_REQUEST};
	send_packet(w, *p, NULL);
	expect_op(w, VIRTIO_VSOCK_OP_RESPONSE);
	assert_int_equal(w->p.dst_port, p->src_port);
	p->op = VIRTIO_VSOCK_OP_RW;
	return accept(server, NULL, NULL);
}

static void end_server(struct world *w, int server)
{
	struct sockaddr_un a = address(w, "_10");

	sk_close(&server);
	assert_int_equal(unlink(a.sun_path), 0);
}

static void test_from_guest(void **state)
{
	struct world *w = world_new();
	struct vsock_packet p;
	int server = host_server(w, "_10"), fd = open_from_guest(w, server, &p);

	(void)state;
	p.len_bytes = 3;
	send_packet(w, p, "abc");
	assert_string_equal(host_reads(w, fd), "abc");
	/* Half a close: the guest has said everything, the host has not. */
	p.op = VIRTIO_VSOCK_OP_SHUTDOWN;
	p.len_bytes = 0;
	p.flags = VIRTIO_VSOCK_SHUTDOWN_SEND;
	send_packet(w, p, NULL);
	assert_string_equal(host_reads(w, fd), "");
	assert_int_equal(write(fd, "more", 4), 4);
	expect_op(w, VIRTIO_VSOCK_OP_RW);
	assert_memory_equal(w->payload, "more", 4);
	/* Bytes after that are against the rules. */
	p.op = VIRTIO_VSOCK_OP_RW;
	p.len_bytes = 1;
	send_packet(w, p, "x");
	expect_op(w, VIRTIO_VSOCK_OP_RST);
	sk_close(&fd);

	/* The other half. */
	fd = open_from_guest(w, server, &p);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	expect_op(w, VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(w->p.flags, VIRTIO_VSOCK_SHUTDOWN_SEND);
	p.op = VIRTIO_VSOCK_OP_RW;
	p.len_bytes = 4;
	send_packet(w, p, "last");
	assert_string_equal(host_reads(w, fd), "last");
	p.op = VIRTIO_VSOCK_OP_SHUTDOWN;
	p.len_bytes = 0;
	p.flags = VIRTIO_VSOCK_SHUTDOWN_SEND | VIRTIO_VSOCK_SHUTDOWN_RCV;
	send_packet(w, p, NULL);
	expect_op(w, VIRTIO_VSOCK_OP_RST);
	assert_string_equal(host_reads(w, fd), "");
	sk_close(&fd);
	assert_int_equal(stats(w).connections, 0);
	end_server(w, server);
	world_free(w);
}

/* The guest sends until its credit is gone; a host that reads gives it back, in order. */
static void test_credit_of_the_guest(void **state)
{
	struct world *w = world_new();
	struct vsock_packet p;
	static uint8_t data[VSOCK_MAX_PAYLOAD];
	int server = host_server(w, "_10"), fd = open_from_guest(w, server, &p);
	uint32_t sent = 0, got = 0, fwd_cnt = 0;

	(void)state;
	while (got < 4 * SK_VSOCK_BUFFER_BYTES) {
		uint8_t seen[4096];
		ssize_t n;

		/* As much as the device says that there is room for. */
		while (sent - fwd_cnt + 30000 <= SK_VSOCK_BUFFER_BYTES) {
			for (uint32_t i = 0; i < 30000; i++)
				data[i] = (uint8_t)((sent + i) * 13 >> 3);
			p.len_bytes = 30000;
			send_packet(w, p, data);
			sent += 30000;
		}
		n = recv(fd, seen, sizeof(seen), MSG_DONTWAIT);
		for (ssize_t i = 0; i < n; i++, got++)
			if (seen[i] != (uint8_t)(got * 13 >> 3))
				fail_msg("byte %u is wrong", got);
		while (take(w))
			fwd_cnt = w->p.fwd_cnt;
	}
	/* One that does not care for credit loses the connection. */
	p.len_bytes = 60000;
	for (unsigned i = 0; i < 20 && stats(w).bad_packets == 0; i++)
		send_packet(w, p, data);
	assert_int_equal(stats(w).bad_packets, 1);
	expect_op(w, VIRTIO_VSOCK_OP_RST);
	sk_close(&fd);
	end_server(w, server);
	world_free(w);
}

/* A host that reads nothing: the guest's credit ends, others go on, and its end is the guest's. */
static void test_stalled(void **state)
{
	struct world *w = world_new();
	struct vsock_packet stalled, other;
	static uint8_t data[60000];
	int server = host_server(w, "_10"), fd = open_from_guest(w, server, &stalled), second;
	uint32_t sent = 0, fwd_cnt = 0;

	(void)state;
	stalled.len_bytes = sizeof(data);
	while (sent - fwd_cnt + sizeof(data) <= SK_VSOCK_BUFFER_BYTES) {
		send_packet(w, stalled, data);
		sent += sizeof(data);
		while (take(w))
			fwd_cnt = w->p.fwd_cnt;
		assert_true(sent < 100 * sizeof(data));
	}
	second = open_from_guest(w, server, &other);
	for (unsigned i = 0; i < 10; i++) {
		other.len_bytes = 5;
		send_packet(w, other, "hello");
		assert_string_equal(host_reads(w, second), "hello");
		assert_int_equal(write(second, "answer", 6), 6);
		expect_op(w, VIRTIO_VSOCK_OP_RW);
		assert_int_equal(w->p.dst_port, other.src_port);
	}
	/* It goes with bytes unread: the guest hears of it. */
	sk_close(&fd);
	do {
		assert_true(sk_loop_turn(w->loop, 10000000) >= 0);
		while (take(w) && w->p.op == VIRTIO_VSOCK_OP_CREDIT_UPDATE)
			;
	} while (w->p.op != VIRTIO_VSOCK_OP_RST && w->p.op != VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(w->p.dst_port, stalled.src_port);
	sk_close(&second);
	end_server(w, server);
	world_free(w);
}

/* The device sends no more than the guest has room for, and goes on when it says so. */
static void test_credit_of_the_host(void **state)
{
	struct world *w = world_new();
	struct vsock_packet p;
	static uint8_t data[100000];
	int server = host_server(w, "_10"), fd;
	uint32_t got = 0;

	(void)state;
	p = (struct vsock_packet){
		.src_port = 1, .dst_port = 10, .op = VIRTIO_VSOCK_OP_REQUEST, .buf_alloc = 10000};
	send_packet(w, p, NULL);
	expect_op(w, VIRTIO_VSOCK_OP_RESPONSE);
	fd = accept(server, NULL, NULL);
	assert_int_equal(send(fd, data, sizeof(data), 0), sizeof(data));
	p.op = VIRTIO_VSOCK_OP_CREDIT_UPDATE;
	while (got < sizeof(data)) {
		uint32_t before = got;

		for (unsigned i = 0; i < 50; i++)
			while (take(w))
				got += w->p.len_bytes;
		assert_int_equal(got - p.fwd_cnt, SK_MIN(sizeof(data) - before, 10000u));
		p.fwd_cnt = got;
		send_packet(w, p, NULL);
	}
	p.op = VIRTIO_VSOCK_OP_CREDIT_REQUEST;
	send_packet(w, p, NULL);
	expect_op(w, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	assert_int_equal(w->p.buf_alloc, SK_VSOCK_BUFFER_BYTES);
	sk_close(&fd);
	end_server(w, server);
	world_free(w);
}

static void test_many(void **state)
{
	struct world *w = world_new();
	int server = host_server(w, "_10"), fds[100];
	struct vsock_packet p[100];

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		fds[i] = i % 2 ? open_from_guest(w, server, &p[i]) : open_from_host(w, &p[i]);
	assert_int_equal(stats(w).connections, 100);
	for (unsigned i = 0; i < 100; i++) {
		char text[16];

		p[i].op = VIRTIO_VSOCK_OP_RW;
		p[i].len_bytes = (uint32_t)snprintf(text, sizeof(text), "number %u", i);
		send_packet(w, p[i], text);
		assert_string_equal(host_reads(w, fds[i]), text);
	}
	/* A driver that starts again leaves nothing of them. */
	start(w);
	for (unsigned i = 0; i < 100; i++) {
		assert_string_equal(host_reads(w, fds[i]), "");
		sk_close(&fds[i]);
	}
	virtio_driver_settle(&w->driver);
	assert_int_equal(stats(w).connections, 0);
	end_server(w, server);
	world_free(w);
}

/* More than there can be, all of them silent. */
static void test_limit(void **state)
{
	struct world *w = world_new();
	static int fds[SK_VSOCK_MAX_CONNECTIONS + 20];
	unsigned nr_ended = 0;

	(void)state;
	for (unsigned i = 0; i < SK_ARRAY_SIZE(fds); i++) {
		fds[i] = host_client(w);
		if (i % 32 == 0)
			virtio_driver_settle(&w->driver);
	}
	virtio_driver_settle(&w->driver);
	assert_int_equal(stats(w).connections, SK_VSOCK_MAX_CONNECTIONS);
	assert_int_equal(stats(w).refused, 20);
	for (unsigned i = 0; i < SK_ARRAY_SIZE(fds); i++) {
		char c;

		nr_ended += recv(fds[i], &c, 1, MSG_DONTWAIT) == 0;
		sk_close(&fds[i]);
	}
	assert_int_equal(nr_ended, 20);
	virtio_driver_settle(&w->driver);
	assert_int_equal(stats(w).connections, 0);
	world_free(w);
}

static void test_bad_rings(void **state)
{
	struct world *w = world_new();
	gpa_t gpa = virtio_driver_alloc(&w->driver, 4096);
	uint8_t bytes[VSOCK_HDR_BYTES];
	const struct vsock_packet p = {.src_cid = CID,
				       .dst_cid = SK_VSOCK_HOST_CID,
				       .type = VIRTIO_VSOCK_TYPE_STREAM,
				       .op = VIRTIO_VSOCK_OP_RW,
				       .len_bytes = 100};

	(void)state;
	/* Shorter than a header; than what it says that it carries; a request that carries some. */
	vsock_packet_put(&p, bytes);
	virtio_driver_write(&w->driver, gpa, bytes, sizeof(bytes));
	for (uint32_t len = 1; len < VSOCK_HDR_BYTES + 100; len += 13) {
		assert_true(virtio_driver_send(&w->driver, VSOCK_TX,
					       &(struct guest_buf){gpa, len, false}, 1, 0));
		assert_true(virtio_driver_wait(&w->driver, VSOCK_TX, NULL, NULL));
	}
	assert_int_equal(stats(w).bad_packets, 11);
	assert_int_equal(stats(w).tx_packets, 0);
	assert_true(virtio_driver_start(&w->driver, 0, 16));
	assert_true(virtio_driver_send(&w->driver, VSOCK_RX,
				       &(struct guest_buf){gpa, VSOCK_HDR_BYTES - 1, true}, 1, 0));
	send_packet(w, (struct vsock_packet){.op = VIRTIO_VSOCK_OP_RW}, NULL);
	virtio_driver_settle(&w->driver);
	assert_true(sk_virtio_status(sk_vsock_virtio(w->vsock)) & VIRTIO_CONFIG_S_NEEDS_RESET);
	world_free(w);
}

static void test_save(void **state)
{
	struct world *a = world_new(), *b;
	uint8_t bytes[4096], id[4] = {77};
	struct sk_writer w;
	struct sk_reader r;
	struct sk_error err;
	struct vsock_packet p;
	int fd = open_from_host(a, &p);
	gpa_t event_gpa = virtio_driver_alloc(&a->driver, 4096);
	struct sk_virtio *other;

	(void)state;
	assert_true(virtio_driver_send(&a->driver, VSOCK_EVENT,
				       &(struct guest_buf){event_gpa, 8, true}, 1, 0));
	virtio_driver_settle(&a->driver);
	sk_virtio_pause(sk_vsock_virtio(a->vsock));
	sk_writer_init(&w, bytes, sizeof(bytes));
	sk_virtio_save(sk_vsock_virtio(a->vsock), &w);
	assert_true(sk_writer_ok(&w));
	/* The machine that was saved goes on with its connections. */
	sk_virtio_resume(sk_vsock_virtio(a->vsock));
	assert_int_equal(write(fd, "still", 5), 5);
	expect_op(a, VIRTIO_VSOCK_OP_RW);
	sk_virtio_pause(sk_vsock_virtio(a->vsock));

	/* The one that is restored, on the same memory, tells its guest that they are gone. */
	b = calloc(1, sizeof(*b));
	*b = (struct world){.gm = a->gm, .loop = a->loop};
	snprintf(b->path, sizeof(b->path), "%s/t", a->folder);
	b->vsock = make_vsock(b);
	other = sk_vsock_virtio(b->vsock);
	for (size_t cut = 0; cut < w.len_bytes; cut += 7) {
		struct sk_vsock *probe;

		sk_vsock_destroy(b->vsock);
		b->vsock = probe = make_vsock(b);
		sk_reader_init(&r, bytes, cut);
		assert_int_equal(sk_virtio_restore(sk_vsock_virtio(probe), &r, &err), -EINVAL);
	}
	sk_vsock_destroy(b->vsock);
	b->vsock = make_vsock(b);
	other = sk_vsock_virtio(b->vsock);
	sk_reader_init(&r, bytes, w.len_bytes);
	if (sk_virtio_restore(other, &r, &err))
		fail_msg("%s", err.message);
	sk_virtio_resume(other);
	for (unsigned i = 0; i < 10; i++)
		assert_true(sk_loop_turn(a->loop, 0) >= 0);
	virtio_driver_read(&a->driver, event_gpa, id, sizeof(id));
	assert_int_equal(sk_load_le32(id), VIRTIO_VSOCK_EVENT_TRANSPORT_RESET);
	sk_virtio_halt(other);
	sk_close(&fd);
	virtio_driver_fini(&a->driver);
	sk_loop_destroy(a->loop);
	sk_vsock_destroy(b->vsock);
	sk_vsock_destroy(a->vsock);
	sk_gmem_destroy(a->gm);
	assert_int_equal(rmdir(a->folder), 0);
	free(a);
	free(b);
}

static void expect_refusal(struct world *w, uint64_t cid, const char *path, int code,
			   const char *words)
{
	const struct sk_vsock_config config = {
		.gm = w->gm, .loop = w->loop, .cid = cid, .path = path};
	struct sk_vsock *vsock = NULL;
	struct sk_error err = {0};

	assert_int_equal(sk_vsock_create(&vsock, &config, &err), code);
	if (!strstr(err.message, words))
		fail_msg("'%s' does not say '%s'", err.message, words);
}

static void test_paths(void **state)
{
	struct world *w = world_new();
	struct sockaddr_un a = address(w, "_10");
	char file[64], longer[200];
	int fd;

	(void)state;
	expect_refusal(w, 2, w->path, -EINVAL, "CID");
	expect_refusal(w, UINT64_C(0xffffffff), w->path, -EINVAL, "CID");
	expect_refusal(w, 3, w->path, -EADDRINUSE, "somebody listens");
	expect_refusal(w, 3, "/nonexistent/s", -ENOENT, "/nonexistent/s");
	memset(longer, 'x', sizeof(longer));
	longer[199] = '\0';
	expect_refusal(w, 3, longer, -ENAMETOOLONG, "1 to");
	snprintf(file, sizeof(file), "%s/file", w->folder);
	fd = creat(file, 0600);
	sk_close(&fd);
	expect_refusal(w, 3, file, -EEXIST, "no socket");
	assert_int_equal(unlink(file), 0);
	/* What a process that ended has left behind is replaced. */
	fd = host_server(w, "_10");
	sk_close(&fd);
	{
		const struct sk_vsock_config config = {
			.gm = w->gm, .loop = w->loop, .cid = 3, .path = a.sun_path};
		struct sk_vsock *vsock = NULL;

		assert_int_equal(sk_vsock_create(&vsock, &config, NULL), 0);
		sk_vsock_destroy(vsock);
	}
	assert_int_equal(access(a.sun_path, F_OK), -1);
	sk_vsock_destroy(NULL);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_from_host),
		cmocka_unit_test(test_greeting),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_from_guest),
		cmocka_unit_test(test_credit_of_the_guest),
		cmocka_unit_test(test_credit_of_the_host),
		cmocka_unit_test(test_stalled),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_bad_rings),
		cmocka_unit_test(test_save),
		cmocka_unit_test(test_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
