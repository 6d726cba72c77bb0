/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
#include "initrd.h"

#include <errno.h>
#include <sys/mman.h>

#include "../kernel/boot.h"
#include "../mm/mm.h"
#include "gunzip.h"

#define RATIO_MAX  1032	      /* deflate packs no better than this */
#define KEEP_BYTES (1u << 20) /* of free memory, that unpacking leaves alone */

/*
 * Unpack into an area that could hold all that may come out, and give back the rest: what the file
 * says of its size is not trusted, and pages get memory when they are written to.
 */
static int unpack(struct cpio *cpio)
{
	uint64_t room = frames_free_count * PAGE_SIZE, unpacked;
	long area, bytes;

	room = room > KEEP_BYTES ? room - KEEP_BYTES : 0;
	if (cpio->bytes < room / RATIO_MAX)
		room = cpio->bytes * RATIO_MAX;
	room = (room + PAGE_SIZE - 1) & -PAGE_SIZE;
	area = mm_map(0, room, PROT_READ | PROT_WRITE, 0);
	if (area < 0)
		return -ENOMEM;
	bytes = gunzip(cpio->archive, cpio->bytes, (uint8_t *)area, room);
	unpacked = bytes > 0 ? ((uint64_t)bytes + PAGE_SIZE - 1) & -PAGE_SIZE : 0;
	if (unpacked < room)
		mm_unmap((uint64_t)area + unpacked, room - unpacked);
	if (bytes < 0)
		return (int)bytes;
	*cpio = (struct cpio){.archive = (const uint8_t *)area, .bytes = (size_t)bytes};
	mm_give(boot.initrd, boot.initrd_bytes);
	return 0;
}

int initrd_open(struct cpio *cpio)
{
	*cpio = (struct cpio){.bytes = boot.initrd_bytes};
	if (!cpio->bytes)
		return 0;
	cpio->archive = direct_map(boot.initrd);
	return gunzip_is_gzip(cpio->archive, cpio->bytes) ? unpack(cpio) : 0;
}

void initrd_close(const struct cpio *cpio)
{
	if (!cpio->bytes)
		return;
	if (cpio->archive == direct_map(boot.initrd))
		mm_give(boot.initrd, boot.initrd_bytes);
	else
		mm_unmap((uint64_t)cpio->archive, cpio->bytes);
}
