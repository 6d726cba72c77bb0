/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Random programs of a driver and of a peer: chains and commands with bytes of the input, frames of
 * any length, buffers of any size, resets, pauses, saved states. The first byte chooses features.
 * An operation is a byte, a length and so many bytes.
 */
#include "fake_netif.h"
#include "net_internal.h"

#include <virtio_driver.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	struct sk_gmem *gm;
	struct fake_netif *fake;
	struct sk_net *net;
	struct virtio_driver driver;
	gpa_t bytes_gpa, buffers_gpa;
};

static uint64_t choose_features(uint8_t choice)
{
	uint64_t features = NET_F(CTRL_VQ) | NET_F(CTRL_RX) | NET_F(CTRL_MAC_ADDR);

	if (choice & 1)
		features |= NET_F(MRG_RXBUF);
	if (choice & 2)
		features |= SK_VIRTIO_FEATURE(VIRTIO_F_RING_PACKED);
	if (choice & 4)
		features |= NET_F(MQ) | NET_F(CTRL_RX_EXTRA) | NET_F(GUEST_ANNOUNCE);
	if (choice & 8)
		features |= NET_F(CSUM) | NET_F(HOST_TSO4) | NET_F(HOST_TSO6) | NET_F(HOST_ECN) |
			    NET_F(GUEST_CSUM) | NET_F(GUEST_TSO4) | NET_F(CTRL_GUEST_OFFLOADS);
	if (choice & 16)
		features |= SK_VIRTIO_FEATURE(VIRTIO_RING_F_INDIRECT_DESC) |
			    SK_VIRTIO_FEATURE(VIRTIO_RING_F_EVENT_IDX);
	if (choice & 32)
		features |= SK_VIRTIO_FEATURE(VIRTIO_F_IN_ORDER);
	return features;
}

static void send_bytes(struct fuzz *f, uint32_t queue, struct sk_reader *in, uint16_t len)
{
	uint8_t bytes[4096];
	uint32_t split;
	struct guest_buf bufs[3];

	len = SK_MIN(len, sizeof(bytes));
	sk_get_bytes(in, bytes, len);
	virtio_driver_write(&f->driver, f->bytes_gpa, bytes, sizeof(bytes));
	split = len / 3;
	bufs[0] = (struct guest_buf){f->bytes_gpa, split + 1, false};
	bufs[1] = (struct guest_buf){f->bytes_gpa + split + 1, len - split, false};
	bufs[2] = (struct guest_buf){f->bytes_gpa + 8000, 1, true};
	(void)virtio_driver_send(&f->driver, queue, bufs, queue % 2 ? 2 : 3, 0);
}

static void check_state(struct fuzz *f)
{
	static uint8_t state[65536];
	struct sk_writer w;

	sk_virtio_pause(sk_net_virtio(f->net));
	sk_writer_init(&w, state, sizeof(state));
	sk_virtio_save(sk_net_virtio(f->net), &w);
	BUG_ON(!sk_writer_ok(&w));
	sk_virtio_resume(sk_net_virtio(f->net));
}

static void run(struct fuzz *f, uint64_t features, struct sk_reader *in)
{
	uint8_t op = sk_get_u8(in);
	uint16_t len = sk_get_u16(in);

	switch (op % 8) {
	case 0:
		send_bytes(f, 1, in, len);
		break;
	case 1:
		send_bytes(f, features & NET_F(MQ) ? 4 : 2, in, len);
		break;
	case 2:
		if (f->fake->nr_in == FAKE_FRAMES)
			fake_clear(f->fake);
		fake_push(f->fake, (const uint8_t *)"\2\1\2\3\4\5", len);
		f->fake->client.readable(f->fake->client.ctx, 0);
		break;
	case 3:
		for (unsigned i = 0; i < 8; i++)
			(void)virtio_driver_send(
				&f->driver, 0,
				&(struct guest_buf){f->buffers_gpa, 1u + len % 65535, true}, 1, 0);
		break;
	case 4:
		f->fake->is_full = len & 1;
		f->fake->client.writable(f->fake->client.ctx, 0);
		break;
	case 5:
		check_state(f);
		break;
	case 6:
		(void)!sk_net_set_limits(f->net, &(struct sk_limiter_config){.ops_per_s = len},
					 &(struct sk_limiter_config){.bytes_per_s = len});
		break;
	default:
		if (len % 16 == 0)
			BUG_ON(!virtio_driver_start(&f->driver, features, 16));
	}
	virtio_driver_settle(&f->driver);
	for (uint32_t queue = 0; queue < 5; queue++)
		while (f->driver.has_ring[queue] &&
		       virtio_driver_poll(&f->driver, queue, NULL, NULL))
			;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz f = {0};
	struct sk_loop *loop;
	struct sk_reader in;
	struct sk_net_config config = {.mac = {2, 1, 2, 3, 4, 5}};
	uint64_t features;

	sk_reader_init(&in, data, size);
	features = choose_features(sk_get_u8(&in));
	f.gm = virtio_driver_memory(4 * SK_MIB);
	f.fake = fake_create(2, SK_NETIF_CSUM | SK_NETIF_TSO4 | SK_NETIF_TSO6 | SK_NETIF_ECN);
	BUG_ON(sk_loop_create(&loop, &(struct sk_loop_config){.driver = SK_LOOP_EPOLL}, NULL));
	config.gm = f.gm;
	config.loop = loop;
	config.netif = &f.fake->nif;
	BUG_ON(sk_net_create(&f.net, &config, NULL));
	virtio_driver_init(&f.driver, sk_net_virtio(f.net));
	f.bytes_gpa = virtio_driver_alloc(&f.driver, 8192);
	f.buffers_gpa = virtio_driver_alloc(&f.driver, 65536);
	BUG_ON(!virtio_driver_start(&f.driver, features, 16));
	for (unsigned i = 0; i < 64 && sk_reader_ok(&in) && in.pos_bytes < size; i++)
		run(&f, features, &in);
	virtio_driver_fini(&f.driver);
	sk_loop_destroy(loop);
	sk_net_destroy(f.net);
	sk_netif_destroy(&f.fake->nif);
	sk_gmem_destroy(f.gm);
	return 0;
}
