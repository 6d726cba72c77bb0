/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Random chains for every queue of the balloon, sizes, pauses and saved states. An operation is a
 * byte, a length and so many bytes.
 */
#include "balloon_internal.h"

#include <virtio_driver.h>

#define ALL                                              \
	(SK_VIRTIO_FEATURE(VIRTIO_BALLOON_F_STATS_VQ) |  \
	 SK_VIRTIO_FEATURE(VIRTIO_BALLOON_F_REPORTING) | \
	 SK_VIRTIO_FEATURE(VIRTIO_BALLOON_F_DEFLATE_ON_OOM))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_state(struct sk_balloon *b)
{
	uint8_t state[4096];
	struct sk_writer w;

	sk_virtio_pause(sk_balloon_virtio(b));
	sk_writer_init(&w, state, sizeof(state));
	sk_virtio_save(sk_balloon_virtio(b), &w);
	BUG_ON(!sk_writer_ok(&w));
	sk_virtio_resume(sk_balloon_virtio(b));
}

static void run(struct sk_balloon *b, struct virtio_driver *d, gpa_t gpa, struct sk_reader *in)
{
	uint8_t op = sk_get_u8(in), bytes[512];
	uint16_t len = sk_get_u16(in);
	struct sk_balloon_stats stats;

	switch (op % 8) {
	case 0:
	case 1:
	case 2:
		sk_get_bytes(in, bytes, SK_MIN(len, sizeof(bytes)));
		virtio_driver_write(d, gpa, bytes, sizeof(bytes));
		(void)virtio_driver_send(d, op % 8, &(struct guest_buf){gpa, len + 1u, false}, 1,
					 0);
		break;
	case 3:
		(void)virtio_driver_send(
			d, 3, &(struct guest_buf){gpa + sk_get_u16(in), len + 1u, true}, 1, 0);
		break;
	case 4:
		sk_balloon_set_size(b, (uint64_t)len << (len % 48));
		break;
	case 5:
		check_state(b);
		break;
	case 6:
		sk_balloon_get_stats(b, true, &stats);
		sk_virtio_config_write(sk_balloon_virtio(b), len % 12, 4, len);
		break;
	default:
		if (len % 16 == 0)
			BUG_ON(!virtio_driver_start(d, ALL, 16));
	}
	virtio_driver_settle(d);
	for (uint32_t queue = 0; queue < NR_QUEUES; queue++)
		while (virtio_driver_poll(d, queue, NULL, NULL))
			;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sk_balloon_config config = {.has_deflate_on_oom = true, .has_reporting = true};
	struct virtio_driver driver;
	struct sk_balloon *b;
	struct sk_reader in;
	gpa_t gpa;

	config.gm = virtio_driver_memory(4 * SK_MIB);
	BUG_ON(sk_loop_create(&config.loop, &(struct sk_loop_config){.driver = SK_LOOP_EPOLL},
			      NULL));
	BUG_ON(sk_balloon_create(&b, &config, NULL));
	virtio_driver_init(&driver, sk_balloon_virtio(b));
	gpa = virtio_driver_alloc(&driver, 256 * 1024);
	BUG_ON(!virtio_driver_start(&driver, ALL, 16));
	sk_reader_init(&in, data, size);
	for (unsigned i = 0; i < 64 && sk_reader_ok(&in) && in.pos_bytes < size; i++)
		run(b, &driver, gpa, &in);
	virtio_driver_fini(&driver);
	sk_loop_destroy(config.loop);
	sk_balloon_destroy(b);
	sk_gmem_destroy(config.gm);
	return 0;
}
