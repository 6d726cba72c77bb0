/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The block device before a driver of our own, on files of this host. */
#include <skete/dev/block.h>

#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include <virtio_driver.h>

#define DISK_BYTES (4 * SK_MIB)
#define ALL_FEATURES                                                                       \
	(SK_VIRTIO_FEATURE(VIRTIO_BLK_F_FLUSH) | SK_VIRTIO_FEATURE(VIRTIO_BLK_F_DISCARD) | \
	 SK_VIRTIO_FEATURE(VIRTIO_BLK_F_WRITE_ZEROES) |                                    \
	 SK_VIRTIO_FEATURE(VIRTIO_RING_F_INDIRECT_DESC) |                                  \
	 SK_VIRTIO_FEATURE(VIRTIO_RING_F_EVENT_IDX))

struct rig {
	struct sk_loop *loop;
	struct sk_gmem *gm;
	struct sk_disk *disk;
	struct sk_block *block;
	struct virtio_driver d;
	char path[64];
	gpa_t header, data, status;
};

static void open_rig(struct rig *rig, struct sk_disk_config disk, struct sk_block_config config)
{
	struct sk_error err;

	disk.path = rig->path;
	disk.loop = config.loop = rig->loop;
	config.gm = rig->gm;
	if (sk_disk_open(&rig->disk, &disk, &err))
		fail_msg("%s", err.message);
	config.disk = rig->disk;
	if (sk_block_create(&rig->block, &config, &err))
		fail_msg("%s", err.message);
	virtio_driver_init(&rig->d, sk_block_virtio(rig->block));
	rig->header = virtio_driver_alloc(&rig->d, 4096);
	rig->data = virtio_driver_alloc(&rig->d, SK_MIB);
	rig->status = virtio_driver_alloc(&rig->d, 4096);
}

static void close_rig(struct rig *rig)
{
	if (rig->block)
		virtio_driver_fini(&rig->d);
	sk_block_destroy(rig->block);
	sk_disk_close(rig->disk);
	rig->block = NULL;
	rig->disk = NULL;
}

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	int fd;

	assert_non_null(rig);
	rig->gm = virtio_driver_memory(64 * SK_MIB);
	assert_int_equal(sk_loop_create(&rig->loop, &(struct sk_loop_config){0}, NULL), 0);
	strcpy(rig->path, "/tmp/skete-block-XXXXXX");
	fd = mkstemp(rig->path);
	assert_true(fd >= 0 && !ftruncate(fd, DISK_BYTES));
	close(fd);
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	close_rig(rig);
	sk_loop_destroy(rig->loop);
	sk_gmem_destroy(rig->gm);
	unlink(rig->path);
	free(rig);
	return 0;
}

static void put_header(struct rig *rig, gpa_t at, uint32_t type, uint64_t sector)
{
	uint8_t header[16] = {0};

	sk_store_le32(header, type);
	sk_store_le64(header + 8, sector);
	virtio_driver_write(&rig->d, at, header, sizeof(header));
}

/* One request in queue 0; its status, 0xff if it has none. */
static uint8_t request(struct rig *rig, uint32_t type, uint64_t sector, uint32_t len, bool is_read)
{
	const struct guest_buf bufs[] = {
		{rig->header, 16, false}, {rig->data, len, is_read}, {rig->status, 1, true}};
	const struct guest_buf plain[] = {bufs[0], bufs[2]};
	uint8_t status = 0xff;

	virtio_driver_write(&rig->d, rig->status, &status, 1);
	put_header(rig, rig->header, type, sector);
	assert_true(virtio_driver_send(&rig->d, 0, len ? bufs : plain, len ? 3 : 2, 1));
	assert_true(virtio_driver_wait(&rig->d, 0, NULL, NULL));
	virtio_driver_read(&rig->d, rig->status, &status, 1);
	return status;
}

static void fill(struct rig *rig, uint8_t seed, uint32_t len)
{
	uint8_t *buf = malloc(len);

	for (uint32_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(seed + i * 7 + i / 512);
	virtio_driver_write(&rig->d, rig->data, buf, len);
	free(buf);
}

/* What the data buffer holds is what fill() made, or zeroes for @seed -1. */
static void check_data(struct rig *rig, int seed, uint32_t len)
{
	uint8_t *buf = malloc(len);

	virtio_driver_read(&rig->d, rig->data, buf, len);
	for (uint32_t i = 0; i < len; i++)
		assert_int_equal(buf[i],
				 seed < 0 ? 0 : (uint8_t)((unsigned)seed + i * 7 + i / 512));
	free(buf);
}

static uint8_t range_request(struct rig *rig, uint32_t type, uint64_t sector, uint32_t sectors,
			     uint32_t flags)
{
	uint8_t range[16];

	sk_store_le64(range, sector);
	sk_store_le32(range + 8, sectors);
	sk_store_le32(range + 12, flags);
	virtio_driver_write(&rig->d, rig->data, range, sizeof(range));
	return request(rig, type, 0, sizeof(range), false);
}

static void all_kinds(void **state)
{
	struct rig *rig = *state;
	uint8_t id[21] = {0};
	struct sk_block_stats stats;

	open_rig(rig, (struct sk_disk_config){0},
		 (struct sk_block_config){.serial = "a serial number of more than 20"});
	assert_true(virtio_driver_start(&rig->d, ALL_FEATURES, 0));
	fill(rig, 3, 65536);
	assert_int_equal(request(rig, VIRTIO_BLK_T_OUT, 8, 65536, false), VIRTIO_BLK_S_OK);
	assert_int_equal(request(rig, VIRTIO_BLK_T_FLUSH, 0, 0, false), VIRTIO_BLK_S_OK);
	fill(rig, 99, 65536);
	assert_int_equal(request(rig, VIRTIO_BLK_T_IN, 8, 65536, true), VIRTIO_BLK_S_OK);
	check_data(rig, 3, 65536);
	assert_int_equal(range_request(rig, VIRTIO_BLK_T_DISCARD, 8, 8, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(request(rig, VIRTIO_BLK_T_IN, 8, 4096, true), VIRTIO_BLK_S_OK);
	check_data(rig, -1, 4096);
	for (uint32_t flags = 0; flags < 2; flags++) {
		fill(rig, 5, 8192);
		assert_int_equal(request(rig, VIRTIO_BLK_T_OUT, 100, 8192, false), VIRTIO_BLK_S_OK);
		assert_int_equal(range_request(rig, VIRTIO_BLK_T_WRITE_ZEROES, 100, 16, flags),
				 VIRTIO_BLK_S_OK);
		assert_int_equal(request(rig, VIRTIO_BLK_T_IN, 100, 8192, true), VIRTIO_BLK_S_OK);
		check_data(rig, -1, 8192);
	}
	assert_int_equal(request(rig, VIRTIO_BLK_T_GET_ID, 0, 20, true), VIRTIO_BLK_S_OK);
	virtio_driver_read(&rig->d, rig->data, id, 20);
	assert_string_equal((char *)id, "a serial number of m");
	sk_block_get_stats(rig->block, &stats);
	assert_int_equal(stats.reads, 4);
	assert_int_equal(stats.writes, 3);
	assert_int_equal(stats.written_bytes, 65536 + 2 * 8192);
	assert_int_equal(stats.flushes, 1);
	assert_int_equal(stats.discards, 1);
	assert_int_equal(stats.zeroes, 2);
	assert_int_equal(stats.bad + stats.errors, 0);
}

static uint64_t config(const struct rig *rig, size_t offset, unsigned size)
{
	return sk_virtio_config_read(sk_block_virtio(rig->block), offset, size);
}

#define CONFIG(rig, field)                                     \
	config(rig, offsetof(struct virtio_blk_config, field), \
	       sizeof(((struct virtio_blk_config *)0)->field))

static void configuration_space(void **state)
{
	struct rig *rig = *state;
	uint32_t low;

	open_rig(rig, (struct sk_disk_config){0}, (struct sk_block_config){.nr_queues = 4});
	low = sk_virtio_device_features(sk_block_virtio(rig->block), 0);
	assert_true(low >> VIRTIO_BLK_F_MQ & 1 && low >> VIRTIO_BLK_F_FLUSH & 1);
	assert_true(low >> VIRTIO_BLK_F_DISCARD & 1 && low >> VIRTIO_BLK_F_CONFIG_WCE & 1);
	assert_false(low >> VIRTIO_BLK_F_RO & 1);
	assert_int_equal(CONFIG(rig, capacity), DISK_BYTES / 512);
	assert_int_equal(CONFIG(rig, seg_max), 254);
	assert_int_equal(CONFIG(rig, blk_size), 512);
	assert_int_equal(CONFIG(rig, num_queues), 4);
	assert_int_equal(CONFIG(rig, discard_sector_alignment), 8);
	assert_int_equal(CONFIG(rig, wce), 1);
	close_rig(rig);
	open_rig(rig, (struct sk_disk_config){.is_read_only = true}, (struct sk_block_config){0});
	low = sk_virtio_device_features(sk_block_virtio(rig->block), 0);
	assert_true(low >> VIRTIO_BLK_F_RO & 1);
	assert_false(low >> VIRTIO_BLK_F_DISCARD & 1 || low >> VIRTIO_BLK_F_MQ & 1);
	assert_true(virtio_driver_start(&rig->d, 0, 0));
	assert_int_equal(request(rig, VIRTIO_BLK_T_OUT, 0, 512, false), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(rig, VIRTIO_BLK_T_IN, 0, 512, true), VIRTIO_BLK_S_OK);
	assert_int_equal(range_request(rig, VIRTIO_BLK_T_DISCARD, 0, 8, 0), VIRTIO_BLK_S_UNSUPP);
}

/* Requests that make no sense: each gets its answer, and the device goes on. */
static void hostile_requests(void **state)
{
	static const struct {
		uint32_t type;
		uint64_t sector;
		uint32_t len;
		bool is_read;
		uint8_t status;
	} t[] = {
		{VIRTIO_BLK_T_IN, 0, 100, true, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_IN, DISK_BYTES / 512, 512, true, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_IN, DISK_BYTES / 512 - 1, 1024, true, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_IN, UINT64_MAX, 512, true, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_IN, UINT64_MAX / 512, 512, true, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_OUT, UINT64_MAX / 512 + 1, 512, false, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_OUT, 0, 511, false, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_IN, 0, 0, false, VIRTIO_BLK_S_OK}, /* nothing read from nowhere */
		{VIRTIO_BLK_T_DISCARD, 0, 15, false, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_DISCARD, 0, 0, false, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_WRITE_ZEROES, 0, 65 * 16, false, VIRTIO_BLK_S_IOERR},
		{2, 0, 512, true, VIRTIO_BLK_S_UNSUPP},
		{0xffffffff, 0, 0, false, VIRTIO_BLK_S_UNSUPP},
		{VIRTIO_BLK_T_GET_ID, 0, 3, true, VIRTIO_BLK_S_OK},
	};
	struct rig *rig = *state;
	struct sk_block_stats stats;

	open_rig(rig, (struct sk_disk_config){0}, (struct sk_block_config){0});
	assert_true(virtio_driver_start(&rig->d, ALL_FEATURES, 0));
	for (size_t i = 0; i < SK_ARRAY_SIZE(t); i++)
		assert_int_equal(request(rig, t[i].type, t[i].sector, t[i].len, t[i].is_read),
				 t[i].status);
	assert_int_equal(range_request(rig, VIRTIO_BLK_T_DISCARD, 0, 8, 1), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(range_request(rig, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 2),
			 VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(range_request(rig, VIRTIO_BLK_T_DISCARD, 0, UINT32_MAX, 0),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(range_request(rig, VIRTIO_BLK_T_WRITE_ZEROES, UINT64_MAX, 1, 0),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(range_request(rig, VIRTIO_BLK_T_WRITE_ZEROES, DISK_BYTES / 512, 1, 0),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(rig, VIRTIO_BLK_T_IN, 0, 512, true), VIRTIO_BLK_S_OK);
	sk_block_get_stats(rig->block, &stats);
	assert_true(stats.bad >= 10);
	assert_int_equal(
		sk_virtio_status(sk_block_virtio(rig->block)) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
}

/* Chains without a header, or without a place for the status, come back untouched. */
static void chains_without_ends(void **state)
{
	struct rig *rig = *state;
	struct guest_buf buf = {0};
	uint32_t written;

	open_rig(rig, (struct sk_disk_config){0}, (struct sk_block_config){0});
	assert_true(virtio_driver_start(&rig->d, ALL_FEATURES, 0));
	put_header(rig, rig->header, VIRTIO_BLK_T_OUT, 0);
	buf = (struct guest_buf){rig->header, 16, false};
	assert_true(virtio_driver_send(&rig->d, 0, &buf, 1, 1));
	assert_true(virtio_driver_wait(&rig->d, 0, NULL, &written));
	assert_int_equal(written, 0);
	buf = (struct guest_buf){rig->data, 512, true};
	assert_true(virtio_driver_send(&rig->d, 0, &buf, 1, 1));
	assert_true(virtio_driver_wait(&rig->d, 0, NULL, &written));
	buf = (struct guest_buf){rig->header, 15, false};
	assert_true(virtio_driver_send(&rig->d, 0, &buf, 1, 1));
	assert_true(virtio_driver_wait(&rig->d, 0, NULL, &written));
	assert_int_equal(request(rig, VIRTIO_BLK_T_IN, 0, 512, true), VIRTIO_BLK_S_OK);
}

/* 2.7.4.1: no framing. A header in pieces, its end with the data; the status behind the data. */
static void any_framing(void **state)
{
	struct rig *rig = *state;
	uint8_t status = 0xff;

	open_rig(rig, (struct sk_disk_config){0}, (struct sk_block_config){0});
	assert_true(virtio_driver_start(&rig->d, ALL_FEATURES, 0));
	fill(rig, 21, 1536);
	/* The header in front of the data, in one piece with it. */
	{
		gpa_t at = virtio_driver_alloc(&rig->d, 4096);
		const struct guest_buf bufs[] = {{rig->header, 7, false},
						 {rig->header + 7, 8, false},
						 {at, 701, false},
						 {rig->data + 700, 836, false},
						 {rig->status, 1, true}};
		uint8_t piece[701];

		put_header(rig, rig->header, VIRTIO_BLK_T_OUT, 4);
		virtio_driver_read(&rig->d, rig->header + 15, piece, 1);
		virtio_driver_read(&rig->d, rig->data, piece + 1, 700);
		virtio_driver_write(&rig->d, at, piece, 701);
		assert_true(virtio_driver_send(&rig->d, 0, bufs, 5, 1));
		assert_true(virtio_driver_wait(&rig->d, 0, NULL, NULL));
		virtio_driver_read(&rig->d, rig->status, &status, 1);
		assert_int_equal(status, VIRTIO_BLK_S_OK);
	}
	{
		/* The status is the last byte of the data's buffer. */
		const struct guest_buf bufs[] = {{rig->header, 16, false},
						 {rig->data, 1000, true},
						 {rig->data + 1000, 537, true}};

		put_header(rig, rig->header, VIRTIO_BLK_T_IN, 4);
		status = 0xff;
		virtio_driver_write(&rig->d, rig->data + 1536, &status, 1);
		assert_true(virtio_driver_send(&rig->d, 0, bufs, 3, 1));
		assert_true(virtio_driver_wait(&rig->d, 0, NULL, NULL));
		virtio_driver_read(&rig->d, rig->data + 1536, &status, 1);
		assert_int_equal(status, VIRTIO_BLK_S_OK);
		check_data(rig, 21, 1536);
	}
}

/* Every queue full at the same time: all of them come back, each with its own data. */
static void all_in_flight(void **state)
{
	enum { NR_QUEUES = 4, SIZE = 64 };
	struct rig *rig = *state;
	gpa_t headers, status, data;
	unsigned nr_done = 0;

	open_rig(rig, (struct sk_disk_config){0},
		 (struct sk_block_config){.nr_queues = NR_QUEUES, .queue_size = SIZE});
	assert_true(
		virtio_driver_start(&rig->d, ALL_FEATURES | SK_VIRTIO_FEATURE(VIRTIO_BLK_F_MQ), 0));
	headers = virtio_driver_alloc(&rig->d, NR_QUEUES * SIZE * 16);
	status = virtio_driver_alloc(&rig->d, NR_QUEUES * SIZE);
	data = virtio_driver_alloc(&rig->d, NR_QUEUES * SIZE * 4096);
	for (int pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; i < NR_QUEUES * SIZE; i++) {
			const struct guest_buf bufs[] = {{headers + i * 16, 16, false},
							 {data + i * 4096, 4096, pass == 1},
							 {status + i, 1, true}};
			uint8_t block[4096];

			memset(block, pass ? 0 : (int)(i + 1), sizeof(block));
			virtio_driver_write(&rig->d, data + i * 4096, block, sizeof(block));
			put_header(rig, headers + i * 16, pass ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT,
				   i * 8);
			assert_true(virtio_driver_send(&rig->d, i / SIZE, bufs, 3, i));
		}
		nr_done = 0;
		for (uint32_t i = 0; i < NR_QUEUES * SIZE; i++) {
			uint64_t token;
			uint8_t s, block[4096];

			assert_true(virtio_driver_wait(&rig->d, i / SIZE, &token, NULL));
			virtio_driver_read(&rig->d, status + token, &s, 1);
			assert_int_equal(s, VIRTIO_BLK_S_OK);
			virtio_driver_read(&rig->d, data + token * 4096, block, sizeof(block));
			assert_int_equal(block[0], (uint8_t)(token + 1));
			assert_int_equal(block[4095], (uint8_t)(token + 1));
			nr_done++;
		}
		assert_int_equal(nr_done, NR_QUEUES * SIZE);
	}
}

static void a_limit_holds_and_is_lifted(void **state)
{
	struct rig *rig = *state;
	struct sk_block_stats stats;

	open_rig(rig, (struct sk_disk_config){0},
		 (struct sk_block_config){.limit = {.ops_per_s = 1, .burst_ops = 2}});
	assert_true(virtio_driver_start(&rig->d, ALL_FEATURES, 0));
	assert_int_equal(request(rig, VIRTIO_BLK_T_IN, 0, 512, true), VIRTIO_BLK_S_OK);
	assert_int_equal(request(rig, VIRTIO_BLK_T_IN, 0, 512, true), VIRTIO_BLK_S_OK);
	/* The third has to wait for a second, or for this: */
	sk_block_change_limit(rig->block, &(struct sk_limiter_config){.ops_per_s = 1});
	{
		const struct guest_buf bufs[] = {
			{rig->header, 16, false}, {rig->data, 512, true}, {rig->status, 1, true}};

		assert_true(virtio_driver_send(&rig->d, 0, bufs, 3, 1));
		virtio_driver_settle(&rig->d);
		assert_false(virtio_driver_poll(&rig->d, 0, NULL, NULL));
		sk_block_get_stats(rig->block, &stats);
		assert_int_equal(stats.throttled, 1);
		/* Quiet while it waits: nothing is in flight. */
		sk_virtio_pause(sk_block_virtio(rig->block));
		sk_block_change_limit(rig->block, &(struct sk_limiter_config){0});
		sk_virtio_resume(sk_block_virtio(rig->block));
		assert_true(virtio_driver_wait(&rig->d, 0, NULL, NULL));
	}
	for (int i = 0; i < 50; i++)
		assert_int_equal(request(rig, VIRTIO_BLK_T_IN, 0, 512, true), VIRTIO_BLK_S_OK);
}

/* Without FLUSH, or with the cache off, a write takes a flush with it. */
static void write_through(void **state)
{
	struct rig *rig = *state;
	struct sk_virtio *virtio;

	open_rig(rig, (struct sk_disk_config){0}, (struct sk_block_config){0});
	virtio = sk_block_virtio(rig->block);
	assert_true(virtio_driver_start(&rig->d, 0, 0));
	fill(rig, 1, 4096);
	assert_int_equal(request(rig, VIRTIO_BLK_T_OUT, 0, 4096, false), VIRTIO_BLK_S_OK);
	assert_true(virtio_driver_start(
		&rig->d, ALL_FEATURES | SK_VIRTIO_FEATURE(VIRTIO_BLK_F_CONFIG_WCE), 0));
	sk_virtio_config_write(virtio, offsetof(struct virtio_blk_config, wce), 1, 0);
	assert_int_equal(CONFIG(rig, wce), 0);
	assert_int_equal(request(rig, VIRTIO_BLK_T_OUT, 0, 4096, false), VIRTIO_BLK_S_OK);
	/* Nothing else of the space can be written. */
	sk_virtio_config_write(virtio, 0, 8, 1);
	assert_int_equal(CONFIG(rig, capacity), DISK_BYTES / 512);
	sk_virtio_config_write(virtio, offsetof(struct virtio_blk_config, wce), 1, 1);
	assert_int_equal(CONFIG(rig, wce), 1);
}

static void the_disk_grows(void **state)
{
	struct rig *rig = *state;

	open_rig(rig, (struct sk_disk_config){0}, (struct sk_block_config){0});
	assert_true(virtio_driver_start(&rig->d, ALL_FEATURES, 0));
	assert_int_equal(request(rig, VIRTIO_BLK_T_IN, DISK_BYTES / 512, 512, true),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(truncate(rig->path, 2 * DISK_BYTES), 0);
	assert_int_equal(sk_block_refresh(rig->block), 0);
	assert_int_equal(rig->d.config_interrupts, 1);
	assert_int_equal(CONFIG(rig, capacity), 2 * DISK_BYTES / 512);
	assert_int_equal(request(rig, VIRTIO_BLK_T_IN, DISK_BYTES / 512, 512, true),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(sk_block_refresh(rig->block), 0);
	assert_int_equal(rig->d.config_interrupts, 1);
	/* And shrinks, without anybody saying so: errors, and no harm. */
	assert_int_equal(truncate(rig->path, 4096), 0);
	assert_int_equal(request(rig, VIRTIO_BLK_T_IN, DISK_BYTES / 512, 512, true),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(rig, VIRTIO_BLK_T_IN, 0, 4096, true), VIRTIO_BLK_S_OK);
}

static void limit_files(rlim_t bytes)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = SK_MIN(bytes, limit.rlim_max);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* A ring full of writes of 4 KiB, the first at @sector; how many failed, and all came back. */
static unsigned failed_writes(struct rig *rig, unsigned nr, uint64_t sector)
{
	unsigned nr_failed = 0;

	for (unsigned i = 0; i < nr; i++) {
		const struct guest_buf bufs[] = {{rig->header + i * 16, 16, false},
						 {rig->data, 4096, false},
						 {rig->status + i, 1, true}};

		put_header(rig, bufs[0].gpa, VIRTIO_BLK_T_OUT, sector + i * 8);
		assert_true(virtio_driver_send(&rig->d, 0, bufs, 3, i));
	}
	for (unsigned i = 0; i < nr; i++) {
		uint64_t token;
		uint8_t status;

		assert_true(virtio_driver_wait(&rig->d, 0, &token, NULL));
		virtio_driver_read(&rig->d, rig->status + token, &status, 1);
		assert_true(status == VIRTIO_BLK_S_OK || status == VIRTIO_BLK_S_IOERR);
		nr_failed += status != VIRTIO_BLK_S_OK;
	}
	return nr_failed;
}

/* The file takes nothing beyond its first 2 MiB: errors, each counted, and then it is mended. */
static void the_file_fails(struct rig *rig, uint64_t features)
{
	struct sk_virtio *virtio;
	struct sk_block_stats stats;

	open_rig(rig, (struct sk_disk_config){0}, (struct sk_block_config){.queue_size = 256});
	virtio = sk_block_virtio(rig->block);
	assert_true(virtio_driver_start(&rig->d, features, 0));
	limit_files(DISK_BYTES / 2);
	fill(rig, 7, 4096);
	assert_int_equal(failed_writes(rig, 64, 0), 0);
	assert_int_equal(failed_writes(rig, 64, DISK_BYTES / 2 / 512), 64);
	assert_int_equal(failed_writes(rig, 64, DISK_BYTES / 2 / 512 - 32 * 8), 32);
	/* One half of it fits. */
	assert_int_equal(failed_writes(rig, 1, DISK_BYTES / 2 / 512 - 4), 1);
	sk_block_get_stats(rig->block, &stats);
	assert_int_equal(stats.errors, 64 + 32 + 1);
	assert_int_equal(stats.bad, 0);
	assert_int_equal(sk_virtio_status(virtio) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
	assert_int_equal(request(rig, VIRTIO_BLK_T_FLUSH, 0, 0, false), VIRTIO_BLK_S_OK);
	assert_int_equal(request(rig, VIRTIO_BLK_T_IN, 0, 4096, true), VIRTIO_BLK_S_OK);
	check_data(rig, 7, 4096);
	limit_files(RLIM_INFINITY);
	assert_int_equal(failed_writes(rig, 64, DISK_BYTES / 2 / 512 - 32 * 8), 0);
	sk_virtio_pause(virtio);
	sk_virtio_resume(virtio);
	close_rig(rig);
}

static void failing_files(void **state)
{
	struct rig *rig = *state;

	/* What the kernel also sends to whoever hits the limit. */
	signal(SIGXFSZ, SIG_IGN);
	the_file_fails(rig, ALL_FEATURES);
	/* Write-through: no flush may turn a failure into a success. */
	the_file_fails(rig, 0);
}

/* Reset and pause with requests in flight; save and restore into another device. */
static void standstills(void **state)
{
	struct rig *rig = *state;
	uint8_t *state_bytes = malloc(65536);
	struct sk_writer w;
	struct sk_reader r;
	struct sk_error err = {0};

	open_rig(rig, (struct sk_disk_config){0}, (struct sk_block_config){0});
	for (int i = 0; i < 20; i++) {
		assert_true(virtio_driver_start(&rig->d, ALL_FEATURES, 0));
		put_header(rig, rig->header, i & 1 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT, 0);
		for (int k = 0; k < 30; k++) {
			const struct guest_buf bufs[] = {{rig->header, 16, false},
							 {rig->data + k * 4096, 4096, i & 1},
							 {rig->status + k, 1, true}};

			assert_true(virtio_driver_send(&rig->d, 0, bufs, 3, 1));
		}
		assert_true(sk_loop_turn(rig->loop, 0) >= 0);
		if (i % 3)
			continue; /* the next start resets it */
		sk_virtio_pause(sk_block_virtio(rig->block));
		assert_int_equal(sk_disk_in_flight(rig->disk), 0);
		sk_virtio_resume(sk_block_virtio(rig->block));
		for (int k = 0; k < 30; k++)
			assert_true(virtio_driver_wait(&rig->d, 0, NULL, NULL));
	}
	assert_true(virtio_driver_start(&rig->d, ALL_FEATURES, 0));
	sk_virtio_pause(sk_block_virtio(rig->block));
	sk_writer_init(&w, state_bytes, 65536);
	sk_virtio_save(sk_block_virtio(rig->block), &w);
	assert_true(sk_writer_ok(&w));
	{
		struct sk_block_config config = {
			.gm = rig->gm, .loop = rig->loop, .disk = rig->disk};
		struct sk_block *other;

		for (size_t len = 0; len < w.len_bytes; len += 1 + w.len_bytes / 50) {
			assert_int_equal(sk_block_create(&other, &config, &err), 0);
			sk_reader_init(&r, state_bytes, len);
			assert_int_equal(sk_virtio_restore(sk_block_virtio(other), &r, &err),
					 -EINVAL);
			sk_virtio_halt(sk_block_virtio(other));
			sk_block_destroy(other);
		}
		assert_int_equal(sk_block_create(&other, &config, &err), 0);
		sk_reader_init(&r, state_bytes, w.len_bytes);
		if (sk_virtio_restore(sk_block_virtio(other), &r, &err))
			fail_msg("%s", err.message);
		sk_virtio_halt(sk_block_virtio(other));
		sk_block_destroy(other);
	}
	sk_virtio_resume(sk_block_virtio(rig->block));
	assert_int_equal(request(rig, VIRTIO_BLK_T_IN, 0, 4096, true), VIRTIO_BLK_S_OK);
	free(state_bytes);
}

static void what_is_refused(void **state)
{
	struct rig *rig = *state;
	struct sk_block_config config = {.gm = rig->gm, .loop = rig->loop};
	struct sk_disk_config disk = {.path = rig->path, .loop = rig->loop};
	struct sk_error err;

	assert_int_equal(sk_disk_open(&rig->disk, &disk, &err), 0);
	config.disk = rig->disk;
	config.nr_queues = 65;
	assert_int_equal(sk_block_create(&rig->block, &config, &err), -EINVAL);
	assert_string_equal(err.message, "65 queues: a disk has at most 64");
	config.nr_queues = 1;
	config.queue_size = 100;
	assert_int_equal(sk_block_create(&rig->block, &config, &err), -EINVAL);
	assert_non_null(strstr(err.message, "100 entries"));
	rig->block = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_kinds, set_up, tear_down),
		cmocka_unit_test_setup_teardown(configuration_space, set_up, tear_down),
		cmocka_unit_test_setup_teardown(hostile_requests, set_up, tear_down),
		cmocka_unit_test_setup_teardown(chains_without_ends, set_up, tear_down),
		cmocka_unit_test_setup_teardown(any_framing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(all_in_flight, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_limit_holds_and_is_lifted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(write_through, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_disk_grows, set_up, tear_down),
		cmocka_unit_test_setup_teardown(failing_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(standstills, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_refused, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("block", tests, NULL, NULL);
}
