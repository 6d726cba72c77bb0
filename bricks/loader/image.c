/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include "image.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/mman.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int sk_loader_image_error(const struct image *img, struct sk_error *err, int code, const char *fmt,
			  ...)
{
	char text[SK_ERROR_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return sk_error_set(err, code, "%s %s: %s", img->role, img->path, text);
}

void sk_loader_image_prefix(const struct image *img, struct sk_error *err, const char *fmt, ...)
{
	char text[SK_ERROR_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sk_error_prefix(err, "%s %s: %s", img->role, img->path, text);
}

int sk_loader_image_open(struct image *img, const char *role, const char *path, int fd,
			 struct sk_error *err)
{
	struct stat st;
	int rc;

	*img = (struct image){.role = role, .path = path, .fd = fd};
	if (fd <= 0) {
		/* O_NONBLOCK: the open of a FIFO that nobody writes to must not hang. */
		img->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		if (img->fd < 0) {
			rc = -errno;
			return sk_loader_image_error(img, err, rc, "cannot open it: %s",
						     strerror(-rc));
		}
		img->owns_fd = true;
	}
	if (fstat(img->fd, &st) < 0) {
		rc = -errno;
		rc = sk_loader_image_error(img, err, rc, "cannot stat it: %s", strerror(-rc));
		goto err_close;
	}
	if (!S_ISREG(st.st_mode)) {
		rc = sk_loader_image_error(img, err, S_ISDIR(st.st_mode) ? -EISDIR : -ENOEXEC,
					   "it is %s, not a regular file",
					   S_ISDIR(st.st_mode) ? "a directory"
							       : "a device, pipe or socket");
		goto err_close;
	}
	if (st.st_size <= 0) {
		rc = sk_loader_image_error(img, err, -ENOEXEC, "the file is empty");
		goto err_close;
	}
	img->size_bytes = (uint64_t)st.st_size;
	return 0;

err_close:
	sk_loader_image_close(img);
	return rc;
}

void sk_loader_image_close(struct image *img)
{
	if (img->owns_fd)
		sk_close(&img->fd);
	img->owns_fd = false;
}

static int check_bounds(const struct image *img, uint64_t offset, uint64_t len_bytes,
			const char *part, struct sk_error *err)
{
	if (sk_range_fits(offset, len_bytes, img->size_bytes))
		return 0;
	return sk_loader_image_error(img, err, -ENOEXEC,
				     "%s: needs 0x%" PRIx64 " bytes at offset 0x%" PRIx64
				     ", but the file ends at 0x%" PRIx64,
				     part, len_bytes, offset, img->size_bytes);
}

/* The range is known to lie within the file as it was when it was opened. */
static int pread_all(const struct image *img, uint64_t offset, void *buf, size_t len_bytes,
		     const char *part, struct sk_error *err)
{
	uint8_t *to = buf;
	ssize_t n;
	int rc;

	while (len_bytes) {
		n = pread(img->fd, to, len_bytes, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			rc = -errno;
			return sk_loader_image_error(img, err, rc,
						     "%s: cannot read at offset 0x%" PRIx64 ": %s",
						     part, offset, strerror(-rc));
		}
		if (n == 0)
			return sk_loader_image_error(img, err, -ENOEXEC,
						     "%s: the file was cut off at offset 0x%" PRIx64
						     " while it was read",
						     part, offset);
		to += n;
		offset += (size_t)n;
		len_bytes -= (size_t)n;
	}
	return 0;
}

int sk_loader_image_read(const struct image *img, uint64_t offset, void *buf, size_t len_bytes,
			 const char *part, struct sk_error *err)
{
	int rc = check_bounds(img, offset, len_bytes, part, err);

	if (rc)
		return rc;
	if (img->fd >= 0)
		return pread_all(img, offset, buf, len_bytes, part, err);
	if (len_bytes)
		memcpy(buf, img->bytes + offset, len_bytes);
	return 0;
}

/*
 * Has the pages made at once instead of by one fault each under the copy: a fifth of the time of
 * loading a kernel. Only that: where it fails, the faults happen as ever. Regions are whole pages.
 */
static void populate(const struct iovec *iov)
{
	const uintptr_t page = SK_GMEM_PAGE_BYTES, start = (uintptr_t)iov->iov_base & ~(page - 1);

	(void)madvise((void *)start, (uintptr_t)iov->iov_base + iov->iov_len - start,
		      MADV_POPULATE_WRITE);
}

int sk_loader_image_read_to_guest(const struct image *img, uint64_t offset, struct sk_gmem *gm,
				  gpa_t gpa, uint64_t len_bytes, const char *part,
				  struct sk_error *err)
{
	const struct sk_gmem_range range = {.gpa = gpa, .len_bytes = len_bytes};
	struct iovec iov[SK_GMEM_MAX_REGIONS];
	int nr_iov, i, rc;

	rc = check_bounds(img, offset, len_bytes, part, err);
	if (rc)
		return rc;
	nr_iov = sk_gmem_to_iov(gm, &range, 1, iov, SK_ARRAY_SIZE(iov));
	if (nr_iov < 0)
		return sk_loader_image_error(
			img, err, nr_iov, "%s: guest memory 0x%" PRIx64 "-0x%" PRIx64 " is not RAM",
			part, gpa, gpa + len_bytes);
	for (i = 0; i < nr_iov; i++) {
		populate(&iov[i]);
		if (img->fd >= 0)
			rc = pread_all(img, offset, iov[i].iov_base, iov[i].iov_len, part, err);
		else
			memcpy(iov[i].iov_base, img->bytes + offset, iov[i].iov_len);
		if (rc)
			return rc;
		offset += iov[i].iov_len;
	}
	sk_gmem_mark_dirty(gm, gpa, len_bytes);
	return 0;
}
