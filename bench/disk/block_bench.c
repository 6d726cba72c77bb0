/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * From a ring in guest memory to io_uring and back: the block device before the tests' driver, on
 * a file, past the page cache. Driver and device share one thread, so what the driver costs counts
 * too.
 *
 *     block_bench FILE read|write DEPTH BLOCK-BYTES SECONDS
 *
 * prints a JSON object: requests a second, and the CPU time of a request.
 */
#include <stdio.h>
#include <sys/resource.h>

#include <linux/virtio_blk.h>

#include <skete/dev/block.h>

#include <virtio_driver.h>

#define MAX_DEPTH 256u

static void die(const char *what)
{
	fprintf(stderr, "block_bench: %s\n", what);
	exit(1);
}

struct bench {
	struct virtio_driver d;
	struct sk_loop *loop;
	gpa_t headers, status, data;
	uint32_t block_bytes;
	uint64_t nr_blocks, seed, nr_done;
	bool is_write;
};

static uint64_t cpu_ns(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000 +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000;
}

static void ask(struct bench *b, uint64_t slot)
{
	const struct guest_buf bufs[] = {
		{b->headers + slot * 16, 16, false},
		{b->data + slot * b->block_bytes, b->block_bytes, !b->is_write},
		{b->status + slot, 1, true},
	};
	uint8_t header[16] = {0};

	b->seed = b->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	sk_store_le32(header, b->is_write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN);
	sk_store_le64(header + 8, (b->seed >> 33) % b->nr_blocks * (b->block_bytes / 512));
	virtio_driver_write(&b->d, bufs[0].gpa, header, sizeof(header));
	if (!virtio_driver_send(&b->d, 0, bufs, 3, slot))
		die("the ring is full");
}

/* Takes what is done, and asks for as much again. */
static void turn(struct bench *b)
{
	uint64_t slot;

	if (sk_loop_turn(b->loop, SK_LOOP_INFINITE) < 0)
		die("the loop failed");
	while (virtio_driver_poll(&b->d, 0, &slot, NULL)) {
		uint8_t status;

		virtio_driver_read(&b->d, b->status + slot, &status, 1);
		if (status != VIRTIO_BLK_S_OK)
			die("a request failed");
		b->nr_done++;
		ask(b, slot);
	}
	(void)!guest_ring_enable_interrupts(&b->d.rings[0]);
}

int main(int argc, char **argv)
{
	/* As with --max-poll 32. */
	const struct sk_loop_config loop_config = {.driver = SK_LOOP_IO_URING,
						   .max_poll_ns = 32000};
	struct sk_disk_config disk_config = {.format = SK_DISK_RAW, .is_direct = true};
	struct sk_block_config config = {0};
	struct bench b = {.seed = 1};
	uint64_t depth, seconds, start_ns, cpu, done;
	struct sk_error err;
	struct sk_block *block;
	double s;

	if (argc != 6)
		die("FILE read|write DEPTH BLOCK-BYTES SECONDS");
	depth = strtoull(argv[3], NULL, 10);
	b.block_bytes = (uint32_t)strtoull(argv[4], NULL, 10);
	seconds = strtoull(argv[5], NULL, 10);
	b.is_write = !strcmp(argv[2], "write");
	if (!depth || depth > MAX_DEPTH || !b.block_bytes || b.block_bytes % 4096)
		die("a depth of 1 to 256, blocks of whole pages");
	config.gm = virtio_driver_memory(SK_MIB * 16 + 2 * depth * b.block_bytes);
	if (sk_loop_create(&b.loop, &loop_config, &err))
		die(err.message);
	config.loop = disk_config.loop = b.loop;
	disk_config.path = argv[1];
	if (sk_disk_open(&config.disk, &disk_config, &err) ||
	    sk_block_create(&block, &config, &err))
		die(err.message);
	b.nr_blocks = sk_disk_info(config.disk)->size_bytes / b.block_bytes;
	virtio_driver_init(&b.d, sk_block_virtio(block));
	if (!virtio_driver_start(&b.d,
				 SK_VIRTIO_FEATURE(VIRTIO_BLK_F_FLUSH) |
					 SK_VIRTIO_FEATURE(VIRTIO_RING_F_INDIRECT_DESC) |
					 SK_VIRTIO_FEATURE(VIRTIO_RING_F_EVENT_IDX),
				 0))
		die("the device refuses the driver");
	b.headers = virtio_driver_alloc(&b.d, depth * 16);
	b.status = virtio_driver_alloc(&b.d, depth);
	b.data = virtio_driver_alloc(&b.d, depth * b.block_bytes);
	(void)!guest_ring_enable_interrupts(&b.d.rings[0]);
	for (uint64_t i = 0; i < depth; i++)
		ask(&b, i);
	/* A tenth to warm up. */
	start_ns = sk_now_ns();
	while (sk_now_ns() < start_ns + seconds * 100000000)
		turn(&b);
	start_ns = sk_now_ns();
	cpu = cpu_ns();
	done = b.nr_done;
	while (sk_now_ns() < start_ns + seconds * 1000000000)
		turn(&b);
	s = (double)(sk_now_ns() - start_ns) / 1e9;
	done = b.nr_done - done;
	printf("{\"per_s\": %.0f, \"cpu_us\": %.2f}\n", (double)done / s,
	       done ? (double)(cpu_ns() - cpu) / 1e3 / (double)done : 0.0);
	virtio_driver_fini(&b.d);
	sk_block_destroy(block);
	sk_disk_close(config.disk);
	sk_loop_destroy(b.loop);
	sk_gmem_destroy(config.gm);
	return 0;
}
