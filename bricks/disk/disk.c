/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* What all formats share: opening, checking requests, completing them. */
#include "disk_internal.h"

static bool is_qcow2(const struct disk_file *file)
{
	uint8_t magic[4] = {0};

	return !disk_file_pread(file, magic, sizeof(magic), 0) && magic[0] == 'Q' &&
	       magic[1] == 'F' && magic[2] == 'I' && magic[3] == 0xfb;
}

/*
 * A raw disk's first bytes are the guest's: if they chose the format, a guest that writes a qcow2
 * header could make the next start read any file of the host as its backing file.
 */
static int check_format(const struct sk_disk *disk, const struct sk_disk_config *config,
			struct sk_error *err)
{
	bool is = is_qcow2(&disk->file);

	if (config->format == SK_DISK_AUTO && is)
		return sk_error_set(err, -EINVAL,
				    "the disk %s begins as a qcow2 image; add format=qcow2, or "
				    "format=raw if the guest shall see the bytes of the file",
				    config->path);
	if (config->format == SK_DISK_QCOW2 && !is)
		return sk_error_set(err, -EINVAL,
				    "the disk %s is no qcow2 image; write format=raw if its bytes "
				    "are those of the disk",
				    config->path);
	return 0;
}

static void run_later(struct sk_loop *loop, struct sk_loop_timer *timer)
{
	struct sk_disk *disk = SK_CONTAINER_OF(timer, struct sk_disk, later_timer);
	struct sk_disk_request *request = disk->later, *next;

	(void)loop;
	disk->later = NULL;
	disk->later_tail = &disk->later;
	for (; request; request = next) {
		next = request->next;
		disk_complete(request, request->result);
	}
}

int disk_open_nested(struct sk_disk **out, const struct sk_disk_config *config, unsigned depth,
		     struct sk_error *err)
{
	struct sk_disk *disk = calloc(1, sizeof(*disk));
	int rc;

	if (!disk)
		return sk_error_set(err, -ENOMEM, "no memory for the disk %s", config->path);
	disk->loop = config->loop;
	disk->log = config->log;
	disk->later_tail = &disk->later;
	disk->later_timer.fire = run_later;
	disk->zeroes = disk_alloc(DISK_ZEROES_BYTES);
	if (!disk->zeroes) {
		rc = sk_error_set(err, -ENOMEM, "no memory for the disk %s", config->path);
		goto err_free;
	}
	memset(disk->zeroes, 0, DISK_ZEROES_BYTES);
	rc = disk_file_open(&disk->file, config, err);
	if (rc)
		goto err_free;
	rc = disk_file_lock(&disk->file, config->path, config->log, err);
	if (rc)
		goto err_close;
	rc = check_format(disk, config, err);
	if (rc)
		goto err_close;
	disk->info.is_read_only = config->is_read_only;
	if (config->format == SK_DISK_QCOW2)
		rc = disk_qcow2_open(disk, config, depth, err);
	else
		rc = disk_raw_open(disk, config->path, err);
	if (rc)
		goto err_close;
	*out = disk;
	return 0;

err_close:
	disk_file_close(&disk->file);
err_free:
	free(disk->zeroes);
	free(disk);
	return rc;
}

int sk_disk_open(struct sk_disk **out, const struct sk_disk_config *config, struct sk_error *err)
{
	return disk_open_nested(out, config, 0, err);
}

void sk_disk_close(struct sk_disk *disk)
{
	if (!disk)
		return;
	BUG_ON(disk->in_flight);
	disk->ops->close(disk);
	disk_file_close(&disk->file);
	free(disk->zeroes);
	free(disk);
}

const struct sk_disk_info *sk_disk_info(const struct sk_disk *disk)
{
	return &disk->info;
}

int sk_disk_refresh(struct sk_disk *disk)
{
	return disk->ops->refresh ? disk->ops->refresh(disk) : -ENOTSUP;
}

uint32_t sk_disk_in_flight(const struct sk_disk *disk)
{
	return disk->in_flight;
}

void disk_complete(struct sk_disk_request *request, int result)
{
	request->disk->in_flight--;
	request->done(request, result);
}

void disk_complete_later(struct sk_disk_request *request, int result)
{
	struct sk_disk *disk = request->disk;

	request->result = result;
	request->next = NULL;
	*disk->later_tail = request;
	disk->later_tail = &request->next;
	if (!sk_loop_timer_is_set(&disk->later_timer))
		sk_loop_timer_set(disk->loop, &disk->later_timer, 0);
}

static bool is_flush(const struct sk_disk_request *request)
{
	return request->op == SK_DISK_FLUSH || request->op == SK_DISK_SETTLE;
}

/* 0, or why the request cannot be. */
static int check(const struct sk_disk *disk, const struct sk_disk_request *request)
{
	if (is_flush(request))
		return 0;
	if (request->op != SK_DISK_READ && disk->info.is_read_only)
		return -EROFS;
	if (!sk_is_aligned(request->offset | request->len_bytes, SK_DISK_SECTOR_BYTES))
		return -EINVAL;
	if (!sk_range_fits(request->offset, request->len_bytes, disk->info.size_bytes))
		return -ERANGE;
	if (request->op <= SK_DISK_WRITE && request->len_bytes > SK_DISK_MAX_REQUEST_BYTES)
		return -EINVAL;
	return 0;
}

void sk_disk_submit(struct sk_disk *disk, struct sk_disk_request *request)
{
	int rc = check(disk, request);

	request->disk = disk;
	disk->in_flight++;
	if (rc || (!is_flush(request) && !request->len_bytes))
		disk_complete_later(request, rc);
	else
		disk->ops->submit(disk, request);
}
