/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The payload of a bzImage: the compressed ELF file of the kernel (boot.rst, "payload_offset").
 */
#include "loader_internal.h"

#include <inttypes.h>
#include <sys/mman.h>
#include <unistd.h>

int sk_loader_unpack_image(const struct image *img, const struct bzimage *bz, struct image *out,
			   struct sk_error *err)
{
	uint8_t *packed, *bytes;
	size_t len_bytes;
	int rc;

	if (!bz->payload_bytes)
		return sk_loader_image_error(img, err, -ENOTSUP,
					     "bzImage header at offset 0x248: it names no payload "
					     "that could be unpacked");
	packed = malloc(bz->payload_bytes);
	if (!packed)
		return sk_loader_image_error(img, err, -ENOMEM, "no memory for its payload");
	rc = sk_loader_image_read(img, bz->payload_offset, packed, bz->payload_bytes, "payload",
				  err);
	if (rc)
		goto out_free;
	rc = sk_loader_unpack(packed, bz->payload_bytes, LOADER_MAX_UNPACKED_BYTES, &bytes,
			      &len_bytes, err);
	if (rc) {
		sk_loader_image_prefix(img, err, "offset 0x%" PRIx64, bz->payload_offset);
		goto out_free;
	}
	*out = (struct image){
		.role = "unpacked kernel",
		.path = img->path,
		.fd = -1,
		.bytes = bytes,
		.size_bytes = len_bytes,
	};
out_free:
	free(packed);
	return rc;
}

void sk_loader_unpacked_free(struct image *img)
{
	munmap((void *)(uintptr_t)img->bytes, img->size_bytes);
}

static int write_all(const struct image *img, int fd, struct sk_error *err)
{
	uint64_t done = 0;
	ssize_t n;
	int rc;

	while (done < img->size_bytes) {
		n = write(fd, img->bytes + done, img->size_bytes - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			rc = -errno;
			return sk_loader_image_error(img, err, rc, "cannot write it: %s",
						     strerror(-rc));
		}
		done += (uint64_t)n;
	}
	return 0;
}

int sk_loader_unpack_bzimage(const char *kernel_path, int out_fd, struct sk_error *err)
{
	struct image img, unpacked;
	struct bzimage bz;
	int rc;

	rc = sk_loader_image_open(&img, "kernel", kernel_path, 0, err);
	if (rc)
		return rc;
	if (sk_loader_is_bzimage(&img))
		rc = sk_loader_parse_bzimage(&img, &bz, err);
	else
		rc = sk_loader_image_error(&img, err, -ENOEXEC,
					   "offset 0x1fe: it is not a bzImage");
	if (!rc)
		rc = sk_loader_unpack_image(&img, &bz, &unpacked, err);
	if (rc)
		goto out_close;
	rc = write_all(&unpacked, out_fd, err);
	sk_loader_unpacked_free(&unpacked);
out_close:
	sk_loader_image_close(&img);
	return rc;
}
