/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Random programs of a driver: chains with headers, lengths and ranges of the input, resets,
 * pauses, saved states, writes to the configuration space. The first byte chooses features. An
 * operation is a byte and what it takes. Behind the device is a small raw disk in memory.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "block_internal.h"

#include <virtio_driver.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DISK_BYTES 65536
#define DATA_BYTES 16384
#define NR_QUEUES  2
#define MAX_CHAINS 64
#define MAX_STARTS 8
#define F(bit)	   SK_VIRTIO_FEATURE(bit)

struct fuzz {
	struct sk_gmem *gm;
	struct sk_block *block;
	struct virtio_driver driver;
	gpa_t headers, data, status;
	uint64_t features;
	unsigned nr_starts;
};

static uint64_t choose_features(uint8_t choice)
{
	uint64_t features = 0;

	if (choice & 1)
		features |= F(VIRTIO_BLK_F_FLUSH);
	if (choice & 2)
		features |= F(VIRTIO_F_RING_PACKED);
	if (choice & 4)
		features |= F(VIRTIO_BLK_F_DISCARD) | F(VIRTIO_BLK_F_WRITE_ZEROES);
	if (choice & 8)
		features |= F(VIRTIO_BLK_F_CONFIG_WCE) | F(VIRTIO_BLK_F_MQ);
	if (choice & 16)
		features |= F(VIRTIO_RING_F_INDIRECT_DESC) | F(VIRTIO_RING_F_EVENT_IDX);
	if (choice & 32)
		features |= F(VIRTIO_F_IN_ORDER);
	return features;
}

/* A header, data and a status, cut where the input says. */
static void send_chain(struct fuzz *f, uint32_t index, struct sk_reader *in)
{
	uint8_t header[16] = {0}, range[16], shape = sk_get_u8(in);
	uint32_t queue = shape & 1, len = sk_get_u16(in) % DATA_BYTES, cut = sk_get_u8(in);
	gpa_t at = f->headers + index * 64;
	struct guest_buf bufs[5];
	uint32_t nr = 0;

	sk_store_le32(header, sk_get_u8(in) % 16);
	sk_store_le64(header + 8, shape & 2 ? sk_get_u64(in) : sk_get_u8(in));
	sk_get_bytes(in, range, sizeof(range));
	virtio_driver_write(&f->driver, at, header, sizeof(header));
	virtio_driver_write(&f->driver, at + 16, range, sizeof(range));
	if (shape & 4)
		bufs[nr++] = (struct guest_buf){at, 16 + 16 * (cut % 3), false};
	else
		bufs[nr++] = (struct guest_buf){at, 1 + cut % 40, false};
	if (shape & 8)
		bufs[nr++] = (struct guest_buf){f->data, len & ~511u, false};
	if (shape & 16)
		bufs[nr++] = (struct guest_buf){f->data + 512, shape & 32 ? len : 512, true};
	if (shape & 64)
		bufs[nr++] = (struct guest_buf){f->status + index, 1, true};
	(void)virtio_driver_send(&f->driver, queue, bufs, nr, index);
}

static void check_state(struct fuzz *f)
{
	static uint8_t state[65536];
	struct sk_writer w;

	sk_virtio_pause(sk_block_virtio(f->block));
	BUG_ON(f->block->nr_in_flight);
	sk_writer_init(&w, state, sizeof(state));
	sk_virtio_save(sk_block_virtio(f->block), &w);
	BUG_ON(!sk_writer_ok(&w));
	sk_virtio_resume(sk_block_virtio(f->block));
}

static void reap(struct fuzz *f)
{
	for (uint32_t queue = 0; queue < NR_QUEUES; queue++)
		while (f->driver.has_ring[queue] &&
		       virtio_driver_poll(&f->driver, queue, NULL, NULL))
			;
}

static void run(struct fuzz *f, uint32_t index, struct sk_reader *in)
{
	uint8_t op = sk_get_u8(in), value;

	switch (op % 8) {
	default:
		send_chain(f, index, in);
		break;
	case 4:
		virtio_driver_settle(&f->driver);
		break;
	case 5:
		check_state(f);
		break;
	case 6:
		value = sk_get_u8(in);
		sk_virtio_config_write(sk_block_virtio(f->block), value % 64, 1, op);
		sk_block_change_limit(f->block,
				      &(struct sk_limiter_config){.ops_per_s = value & 1 ? 1 : 0});
		break;
	case 7:
		/* Each takes new memory for its rings. */
		if (op & 64 && f->nr_starts++ < MAX_STARTS)
			BUG_ON(!virtio_driver_start(&f->driver, f->features, 16));
	}
	reap(f);
}

static struct sk_disk *open_disk(struct sk_loop *loop, int *fd)
{
	struct sk_disk_config config = {.loop = loop};
	struct sk_disk *disk;
	char path[64];

	*fd = memfd_create("disk", MFD_CLOEXEC);
	BUG_ON(*fd < 0 || ftruncate(*fd, DISK_BYTES));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", *fd);
	config.path = path;
	BUG_ON(sk_disk_open(&disk, &config, NULL));
	return disk;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct sk_loop_config loop_config = {.driver = SK_LOOP_EPOLL, .max_workers = 1};
	struct sk_block_config config = {.nr_queues = NR_QUEUES, .queue_size = 16};
	struct fuzz f = {0};
	struct sk_reader in;
	int fd;

	sk_reader_init(&in, data, size);
	f.features = choose_features(sk_get_u8(&in));
	f.gm = virtio_driver_memory(4 * SK_MIB);
	BUG_ON(sk_loop_create(&config.loop, &loop_config, NULL));
	config.gm = f.gm;
	config.disk = open_disk(config.loop, &fd);
	BUG_ON(sk_block_create(&f.block, &config, NULL));
	virtio_driver_init(&f.driver, sk_block_virtio(f.block));
	f.headers = virtio_driver_alloc(&f.driver, MAX_CHAINS * 64);
	f.data = virtio_driver_alloc(&f.driver, 2 * DATA_BYTES);
	f.status = virtio_driver_alloc(&f.driver, 4096);
	BUG_ON(!virtio_driver_start(&f.driver, f.features, 16));
	for (uint32_t i = 0; i < MAX_CHAINS && sk_reader_ok(&in) && in.pos_bytes < size; i++)
		run(&f, i, &in);
	virtio_driver_fini(&f.driver);
	BUG_ON(f.block->nr_in_flight || sk_disk_in_flight(config.disk));
	sk_block_destroy(f.block);
	sk_disk_close(config.disk);
	sk_loop_destroy(config.loop);
	sk_gmem_destroy(f.gm);
	close(fd);
	return 0;
}
