/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The inside of the brick.
 *
 *   disk.c    open: file, lock, format; submit: checks; done: never from inside a submit
 *   file.c    the descriptors of an image, their alignment, size and lock
 *   raw.c     raw disks
 *   qcow2*.c  see qcow2_internal.h
 */
#ifndef SKETE_DISK_INTERNAL_H
#define SKETE_DISK_INTERNAL_H

#include <skete/disk.h>

/* An open image file. */
struct disk_file {
	int fd;		      /* through the page cache; holds the lock */
	int direct_fd;	      /* O_DIRECT, or -1 */
	uint32_t align_bytes; /* of offset, length and memory for direct_fd */
	bool is_block_device;
	bool is_read_only;
	/* The first failure of an fdatasync, after which none means anything any more. */
	int flush_error;
};

/* What a format supplies. Requests are checked already; they end with disk_complete(). */
struct disk_ops {
	void (*submit)(struct sk_disk *disk, struct sk_disk_request *request);
	int (*refresh)(struct sk_disk *disk); /* NULL: it cannot */
	void (*close)(struct sk_disk *disk);  /* frees what open made, but not the file */
};

struct sk_disk {
	const struct disk_ops *ops;
	struct sk_disk_info info;
	struct sk_loop *loop;
	const struct sk_log *log;
	struct disk_file file;
	void *format;	 /* of the format */
	uint8_t *zeroes; /* DISK_ZEROES_BYTES of them, for writing */
	uint32_t in_flight;
	/* Requests whose done() must wait until submit has returned, and the timer that calls it.
	 */
	struct sk_disk_request *later, **later_tail;
	struct sk_loop_timer later_timer;
};

#define DISK_ZEROES_BYTES (64u * 1024)
#define DISK_PAGE_BYTES	  4096u

/* @len_bytes of memory that O_DIRECT takes; freed with free(). */
static inline void *disk_alloc(uint64_t len_bytes)
{
	return aligned_alloc(DISK_PAGE_BYTES,
			     (len_bytes + DISK_PAGE_BYTES - 1) & ~(uint64_t)(DISK_PAGE_BYTES - 1));
}

/* disk.c */

/* Calls done(). Not from inside submit. */
void disk_complete(struct sk_disk_request *request, int result);
/* Calls it on the next turn. */
void disk_complete_later(struct sk_disk_request *request, int result);
/* The image at @path, which is the @depth-th of its chain. */
int disk_open_nested(struct sk_disk **out, const struct sk_disk_config *config, unsigned depth,
		     struct sk_error *err) SK_MUST_CHECK;

/* file.c: everything blocks, for open and close. */
int disk_file_open(struct disk_file *file, const struct sk_disk_config *config,
		   struct sk_error *err) SK_MUST_CHECK;
void disk_file_close(struct disk_file *file);
/* In bytes, or -errno. */
int64_t disk_file_size(const struct disk_file *file) SK_MUST_CHECK;
/* Takes the byte locks that QEMU's file driver takes, or returns -EBUSY. */
int disk_file_lock(const struct disk_file *file, const char *path, const struct sk_log *log,
		   struct sk_error *err) SK_MUST_CHECK;
/* The descriptor for a transfer: the direct one if everything is aligned. */
int disk_file_fd(const struct disk_file *file, const struct iovec *iov, uint32_t nr_iov,
		 uint64_t offset);
/* Whole transfers; 0 or -errno, reading beyond the end gives zeroes. */
int disk_file_pread(const struct disk_file *file, void *buf, size_t len_bytes,
		    uint64_t offset) SK_MUST_CHECK;
int disk_file_pwrite(const struct disk_file *file, const void *buf, size_t len_bytes,
		     uint64_t offset) SK_MUST_CHECK;

/* raw.c */
int disk_raw_open(struct sk_disk *disk, const char *path, struct sk_error *err) SK_MUST_CHECK;

#define QCOW2_MAGIC 0x514649fbu /* "QFI\xfb", big-endian */
/* qcow2.c; the file is open and locked. */
int disk_qcow2_open(struct sk_disk *disk, const struct sk_disk_config *config, unsigned depth,
		    struct sk_error *err) SK_MUST_CHECK;

#endif
