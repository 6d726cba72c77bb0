/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * What is behind a block device: a sequence of bytes in a file. Raw (a regular file or a block
 * device; its bytes are the disk's) and qcow2 (docs/interop/qcow2.txt of QEMU, versions 2 and 3).
 *
 *   struct sk_disk_request --submit--> the disk's --done()--> the owner's again
 *
 * Everything is asynchronous on a loop: as many requests as the owner likes are under way at the
 * same time, in no order. What was written is durable after a flush that was submitted after the
 * write's done(). A request that fails (EIO, ENOSPC, a file that has shrunk) fails alone.
 *
 * The image is hostile: its header and tables are checked, every walk is bounded. An open image is
 * locked against other writers with the same byte locks that QEMU takes.
 *
 * Threading class: owner-thread only (the loop's). open may be called by another thread before the
 * loop runs; close also after the loop has ended (see there).
 */
#ifndef SKETE_DISK_H
#define SKETE_DISK_H

#include <sys/uio.h>

#include <skete/base.h>
#include <skete/loop.h>

#define SK_DISK_SECTOR_BYTES	  512u
#define SK_DISK_MAX_REQUEST_BYTES ((uint64_t)INT32_MAX) /* of a read or a write */
#define SK_DISK_MAX_CHAIN	  16			/* images that build on each other */

struct sk_disk;

enum sk_disk_format {
	SK_DISK_AUTO, /* raw; a file that begins as a qcow2 image is refused */
	SK_DISK_RAW,
	SK_DISK_QCOW2,
};

struct sk_disk_config {
	const char *path; /* borrowed for the call */
	enum sk_disk_format format;
	bool is_read_only;
	bool is_direct;		  /* O_DIRECT: what is aligned passes by the page cache */
	bool has_backing;	  /* a qcow2 image may name a file that it builds on */
	size_t cache_bytes;	  /* of a qcow2 image's tables; 0: 8 MiB; at least some 100 KiB */
	struct sk_loop *loop;	  /* borrowed until close */
	const struct sk_log *log; /* NULL or borrowed until close */
};

/* What the disk is; constant but for size_bytes. */
struct sk_disk_info {
	enum sk_disk_format format;
	uint64_t size_bytes;  /* a multiple of SK_DISK_SECTOR_BYTES */
	uint32_t block_bytes; /* requests aligned to it are the fast ones; a power of two */
	uint32_t unit_bytes;  /* discard and write-zeroes aligned to it free space */
	bool is_read_only;
	bool has_discard; /* as far as one can tell beforehand */
};

/*
 * Opens and locks an image; blocks. Errors, each with a sentence: what open(2) says, -EBUSY (locked
 * by somebody), -EINVAL (no disk, not this format, a qcow2 image that is broken), -ENOTSUP (a
 * feature of qcow2 that is not supported), -ENOMEM.
 */
int sk_disk_open(struct sk_disk **out, const struct sk_disk_config *config,
		 struct sk_error *err) SK_MUST_CHECK;

/*
 * No request may be under way. Writes what is only in memory yet (not durably; flush before that
 * if it matters) and unlocks; blocks. Turns the loop if the disk is busy with itself: after a
 * SK_DISK_SETTLE it is not, and close needs the loop no more. NULL is fine.
 */
void sk_disk_close(struct sk_disk *disk);

const struct sk_disk_info *sk_disk_info(const struct sk_disk *disk);

/*
 * Looks how large the file is now, which another program may have grown, and updates the info's
 * size_bytes. Raw disks only: -ENOTSUP otherwise, or what the system says.
 */
int sk_disk_refresh(struct sk_disk *disk) SK_MUST_CHECK;

enum sk_disk_op {
	SK_DISK_READ,
	SK_DISK_WRITE,
	SK_DISK_FLUSH,	      /* neither vectors nor range */
	SK_DISK_DISCARD,      /* the range's content may get lost, its space freed */
	SK_DISK_WRITE_ZEROES, /* the range reads as zeroes */
	SK_DISK_SETTLE, /* a flush, after which the disk does nothing until the next request */
};

/*
 * Zero a request before its first use and set the public fields; they may change only while it is
 * not under way. From submit to done() the request, its vectors and their bytes belong to the disk.
 */
struct sk_disk_request {
	/*
	 * @result is 0 or -errno: -ERANGE (beyond the end), -EROFS, -ENOTSUP, -EINVAL (too long, or
	 * not whole sectors), -ENOMEM, -EIO ... of the file. Comes exactly once, on the loop's
	 * thread and never from inside sk_disk_submit(); the request may be freed or submitted
	 * again there.
	 */
	void (*done)(struct sk_disk_request *request, int result);
	enum sk_disk_op op;
	bool may_unmap;	   /* write-zeroes: space may be freed */
	uint32_t nr_iov;   /* at most IOV_MAX */
	struct iovec *iov; /* of len_bytes together; as before at done() */
	uint64_t offset;
	uint64_t len_bytes;

	/* private to bricks/disk */
	struct sk_disk *disk;
	struct sk_disk_request *next;
	struct sk_loop_op loop_op;
	uint64_t position;
	void *state;
	int result;
};

/* Never blocks, never fails: failures are results. */
void sk_disk_submit(struct sk_disk *disk, struct sk_disk_request *request);

/* Requests that were submitted and are not done. */
uint32_t sk_disk_in_flight(const struct sk_disk *disk);

#endif
