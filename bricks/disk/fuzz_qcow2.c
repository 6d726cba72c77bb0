/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * A whole qcow2 image as hostile bytes, opened for writing: reads, writes, discards, flushes all
 * over it. The last byte of the input chooses what is done. Results may be errors; nothing hangs,
 * and the file does not grow beyond what was written to it.
 */
#include <sys/mman.h>
#include <unistd.h>

#include <stdio.h>

#include "qcow2_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NR_REQUESTS 12
#define MAX_BYTES   (64 * 1024)
#define MAX_TURNS   20000

struct fuzz_request {
	struct sk_disk_request request;
	struct iovec iov[2];
	bool is_done;
};

static void done(struct sk_disk_request *request, int result)
{
	struct fuzz_request *f = SK_CONTAINER_OF(request, struct fuzz_request, request);

	BUG_ON(f->is_done || result > 0);
	f->is_done = true;
}

static int image(const uint8_t *data, size_t size)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	BUG_ON(fd < 0 || write(fd, data, size) != (ssize_t)size);
	return fd;
}

static void submit(struct sk_disk *disk, struct fuzz_request *f, uint8_t *buf, uint64_t *seed)
{
	static const enum sk_disk_op ops[] = {SK_DISK_READ,    SK_DISK_WRITE, SK_DISK_WRITE,
					      SK_DISK_DISCARD, SK_DISK_FLUSH, SK_DISK_WRITE_ZEROES};
	uint64_t sectors = sk_disk_info(disk)->size_bytes / 512, len, first;

	*seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	len = SK_MIN(1 + (*seed >> 40) % (MAX_BYTES / 512), sectors);
	first = (*seed >> 20) % 3 ? (*seed >> 33) % (sectors - len + 1) % 4096 : sectors - len;
	first = SK_MIN(first, sectors - len);
	*f = (struct fuzz_request){
		.request = {.done = done,
			    .op = ops[(*seed >> 16) % SK_ARRAY_SIZE(ops)],
			    .may_unmap = *seed >> 15 & 1,
			    .iov = f->iov,
			    .nr_iov = 2,
			    .offset = first * 512,
			    .len_bytes = len * 512},
		.iov = {{buf, 100}, {buf + 100, len * 512 - 100}},
	};
	sk_disk_submit(disk, &f->request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sk_loop_config loop_config = {.driver = SK_LOOP_EPOLL, .max_workers = 1};
	struct sk_disk_config config = {.format = SK_DISK_QCOW2, .cache_bytes = 1};
	struct fuzz_request requests[NR_REQUESTS];
	uint64_t seed = size ? data[size - 1] : 0;
	uint8_t *buf = calloc(1, MAX_BYTES);
	struct sk_error err = {0};
	struct sk_disk *disk;
	char path[64];
	int fd = image(data, size);

	BUG_ON(!buf || sk_loop_create(&config.loop, &loop_config, NULL));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	config.path = path;
	if (sk_disk_open(&disk, &config, &err)) {
		BUG_ON(!err.message[0]);
		goto out;
	}
	for (unsigned round = 0; round < 2; round++) {
		for (size_t i = 0; i < NR_REQUESTS; i++)
			submit(disk, &requests[i], buf, &seed);
		for (unsigned turn = 0; sk_disk_in_flight(disk); turn++) {
			BUG_ON(turn > MAX_TURNS);
			BUG_ON(sk_loop_turn(config.loop, SK_LOOP_INFINITE) < 0);
		}
	}
	sk_disk_close(disk);
out:
	sk_loop_destroy(config.loop);
	close(fd);
	free(buf);
	return 0;
}
