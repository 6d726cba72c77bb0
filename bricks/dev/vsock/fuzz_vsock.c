/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Random programs of a guest and of host clients: packets whose header is the input's, or one that
 * names a connection there is; greetings; bytes and ends of the host; resets, pauses, saved states.
 * An operation is a byte, a length and so many bytes.
 */
#include "vsock_internal.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <virtio_driver.h>

#define CID	   3
#define MAX_HOSTS  8
#define RX_BUFFERS 16
#define RX_BYTES   512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	struct sk_gmem *gm;
	struct sk_vsock *vsock;
	struct virtio_driver driver;
	gpa_t rx_gpa, tx_gpa;
	struct sockaddr_un path, path_10;
	int server;
	int hosts[MAX_HOSTS];
	struct vsock_packet last; /* to the guest */
};

static void start(struct fuzz *f)
{
	BUG_ON(!virtio_driver_start(&f->driver, SK_VIRTIO_FEATURE(VIRTIO_RING_F_EVENT_IDX), 16));
	for (uint64_t i = 0; i < RX_BUFFERS; i++)
		(void)virtio_driver_send(
			&f->driver, VSOCK_RX,
			&(struct guest_buf){f->rx_gpa + i * RX_BYTES, RX_BYTES, true}, 1, i);
}

/* Collects what the device sent and remembers the last of it. */
static void collect(struct fuzz *f)
{
	uint8_t bytes[VSOCK_HDR_BYTES];
	uint32_t written;
	uint64_t slot;

	virtio_driver_settle(&f->driver);
	while (virtio_driver_poll(&f->driver, VSOCK_RX, &slot, &written)) {
		BUG_ON(written < VSOCK_HDR_BYTES || written > RX_BYTES);
		virtio_driver_read(&f->driver, f->rx_gpa + slot * RX_BYTES, bytes, sizeof(bytes));
		(void)vsock_packet_get(&f->last, bytes, written, CID);
		BUG_ON(f->last.len_bytes != written - VSOCK_HDR_BYTES);
		(void)virtio_driver_send(
			&f->driver, VSOCK_RX,
			&(struct guest_buf){f->rx_gpa + slot * RX_BYTES, RX_BYTES, true}, 1, slot);
	}
	while (virtio_driver_poll(&f->driver, VSOCK_TX, NULL, NULL))
		;
}

static void send_bytes(struct fuzz *f, const uint8_t *bytes, uint32_t len)
{
	virtio_driver_write(&f->driver, f->tx_gpa, bytes, len);
	(void)virtio_driver_send(&f->driver, VSOCK_TX, &(struct guest_buf){f->tx_gpa, len, false},
				 1, 0);
}

/* A packet of the connection that the device spoke of last: op, flags and numbers of the input. */
static void send_reply(struct fuzz *f, struct sk_reader *in, uint16_t len)
{
	uint8_t bytes[VSOCK_HDR_BYTES + 4096] = {0};
	const struct vsock_packet p = {
		.src_cid = CID,
		.dst_cid = SK_VSOCK_HOST_CID,
		.src_port = f->last.dst_port,
		.dst_port = f->last.src_port,
		.len_bytes = SK_MIN(len, 4096u),
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = sk_get_u8(in) % 9,
		.flags = sk_get_u8(in),
		.buf_alloc = sk_get_u16(in),
		.fwd_cnt = sk_get_u32(in),
	};

	vsock_packet_put(&p, bytes);
	send_bytes(f, bytes, VSOCK_HDR_BYTES + p.len_bytes);
}

static int *host_at(struct fuzz *f, uint16_t len)
{
	return &f->hosts[len % MAX_HOSTS];
}

static void host_says(struct fuzz *f, struct sk_reader *in, uint16_t len)
{
	int *fd = host_at(f, len);
	uint8_t bytes[64];

	if (*fd < 0) {
		*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (connect(*fd, (struct sockaddr *)&f->path, sizeof(f->path)))
			sk_close(fd);
	}
	len = SK_MIN(len, sizeof(bytes));
	sk_get_bytes(in, bytes, len);
	if (*fd >= 0)
		(void)!send(*fd, bytes, len, MSG_NOSIGNAL);
}

static void guest_connects(struct fuzz *f, uint16_t len)
{
	uint8_t bytes[VSOCK_HDR_BYTES];
	const struct vsock_packet p = {.src_cid = CID,
				       .dst_cid = SK_VSOCK_HOST_CID,
				       .src_port = len,
				       .dst_port = 10,
				       .type = VIRTIO_VSOCK_TYPE_STREAM,
				       .op = VIRTIO_VSOCK_OP_REQUEST,
				       .buf_alloc = 4096};
	int *fd = host_at(f, len);

	vsock_packet_put(&p, bytes);
	send_bytes(f, bytes, sizeof(bytes));
	collect(f);
	sk_close(fd);
	*fd = accept4(f->server, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static void check_state(struct fuzz *f)
{
	uint8_t state[4096];
	struct sk_writer w;

	sk_virtio_pause(sk_vsock_virtio(f->vsock));
	sk_writer_init(&w, state, sizeof(state));
	sk_virtio_save(sk_vsock_virtio(f->vsock), &w);
	BUG_ON(!sk_writer_ok(&w));
	sk_virtio_resume(sk_vsock_virtio(f->vsock));
}

static void run(struct fuzz *f, struct sk_reader *in)
{
	uint8_t op = sk_get_u8(in), bytes[256] = {0};
	uint16_t len = sk_get_u16(in);

	switch (op % 8) {
	case 0:
		len = SK_MIN(SK_MAX(len, 1), sizeof(bytes));
		sk_get_bytes(in, bytes, len);
		send_bytes(f, bytes, len);
		break;
	case 1:
	case 2:
		send_reply(f, in, len);
		break;
	case 3:
		host_says(f, in, len);
		break;
	case 4:
		guest_connects(f, len);
		break;
	case 5:
		if (*host_at(f, len) >= 0 && len & 0x100)
			(void)shutdown(*host_at(f, len), len & 0x200 ? SHUT_RD : SHUT_WR);
		else
			sk_close(host_at(f, len));
		break;
	case 6:
		if (*host_at(f, len) >= 0)
			(void)!recv(*host_at(f, len), bytes, sizeof(bytes), MSG_DONTWAIT);
		check_state(f);
		break;
	default:
		if (len % 16 == 0)
			start(f);
	}
	collect(f);
}

static void listen_at(struct fuzz *f)
{
	f->server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	(void)unlink(f->path_10.sun_path);
	BUG_ON(bind(f->server, (struct sockaddr *)&f->path_10, sizeof(f->path_10)));
	BUG_ON(listen(f->server, 64));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz f = {.path.sun_family = AF_UNIX, .path_10.sun_family = AF_UNIX};
	struct sk_vsock_config config = {.cid = CID, .path = f.path.sun_path};
	struct sk_loop *loop;
	struct sk_reader in;

	snprintf(f.path.sun_path, sizeof(f.path.sun_path), "/tmp/fuzz-vsock-%d", (int)getpid());
	snprintf(f.path_10.sun_path, sizeof(f.path_10.sun_path), "/tmp/fuzz-vsock-%d_10",
		 (int)getpid());
	listen_at(&f);
	memset(f.hosts, 0xff, sizeof(f.hosts));
	f.gm = virtio_driver_memory(2 * SK_MIB);
	BUG_ON(sk_loop_create(&loop, &(struct sk_loop_config){.driver = SK_LOOP_EPOLL}, NULL));
	config.gm = f.gm;
	config.loop = loop;
	BUG_ON(sk_vsock_create(&f.vsock, &config, NULL));
	virtio_driver_init(&f.driver, sk_vsock_virtio(f.vsock));
	f.rx_gpa = virtio_driver_alloc(&f.driver, RX_BUFFERS * RX_BYTES);
	f.tx_gpa = virtio_driver_alloc(&f.driver, 8192);
	start(&f);
	sk_reader_init(&in, data, size);
	for (unsigned i = 0; i < 64 && sk_reader_ok(&in) && in.pos_bytes < size; i++)
		run(&f, &in);
	virtio_driver_fini(&f.driver);
	sk_loop_destroy(loop);
	sk_vsock_destroy(f.vsock);
	sk_gmem_destroy(f.gm);
	for (unsigned i = 0; i < MAX_HOSTS; i++)
		sk_close(&f.hosts[i]);
	sk_close(&f.server);
	(void)unlink(f.path_10.sun_path);
	return 0;
}
