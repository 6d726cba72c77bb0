/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The header of a bzImage: Linux, Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header".
 */
#include "loader_internal.h"

#include <asm/bootparam.h>
#include <inttypes.h>

#define HDR(field)	    (offsetof(struct boot_params, hdr) + offsetof(struct setup_header, field))
#define BOOT_FLAG	    0xaa55
#define HEADER_MAGIC	    0x53726448 /* "HdrS" */
#define SECTOR		    512
#define OLD_SETUP_SECTS	    4 /* what 0 in the field means */
#define PARAGRAPH	    16
#define OLD_INITRD_ADDR_MAX 0x37ffffff

#define VERSION_CMDLINE	    0x0206
#define VERSION_PAYLOAD	    0x0208
#define VERSION_INIT_SIZE   0x020a
#define VERSION_XLOADFLAGS  0x020c

_Static_assert(HDR(header) == 0x202 && HDR(pref_address) == 0x258, "boot.rst's offsets");

bool sk_loader_is_bzimage(const struct image *img)
{
	uint8_t flag[2], magic[4];

	return img->size_bytes >= HDR(header) + sizeof(magic) &&
	       !sk_loader_image_read(img, HDR(boot_flag), flag, sizeof(flag), "flag", NULL) &&
	       !sk_loader_image_read(img, HDR(header), magic, sizeof(magic), "magic", NULL) &&
	       sk_load_le16(flag) == BOOT_FLAG && sk_load_le32(magic) == HEADER_MAGIC;
}

/* Copies the header, which ends where the jump at its start leads, and checks the versions. */
static int read_header(const struct image *img, struct bzimage *bz, struct sk_error *err)
{
	uint8_t fixed[HDR(version) + 2];
	int rc = sk_loader_image_read(img, 0, fixed, sizeof(fixed), "bzImage header", err);

	if (rc)
		return rc;
	bz->version = sk_load_le16(fixed + HDR(version));
	bz->header_end = HDR(header) + fixed[HDR(jump) + 1];
	if (bz->version < VERSION_CMDLINE)
		return sk_loader_image_error(
			img, err, -ENOTSUP,
			"bzImage header at offset 0x%zx: boot protocol %u.%02u is older than 2.06 "
			"(Linux 2.6.22)",
			HDR(version), bz->version >> 8, bz->version & 0xff);
	if (bz->header_end < HDR(cmdline_size) + 4 || bz->header_end > BZIMAGE_HEADER_BYTES)
		return sk_loader_image_error(
			img, err, -ENOEXEC,
			"bzImage header at offset 0x%zx: it ends at 0x%x, not between 0x%zx and 0x%x",
			HDR(jump), bz->header_end, HDR(cmdline_size) + 4, BZIMAGE_HEADER_BYTES);
	return sk_loader_image_read(img, 0, bz->header, bz->header_end, "bzImage header", err);
}

static int parse_sizes(const struct image *img, struct bzimage *bz, struct sk_error *err)
{
	const uint8_t *h = bz->header;
	const uint64_t wanted_bytes = (uint64_t)sk_load_le32(h + HDR(syssize)) * PARAGRAPH;
	const unsigned int sects = h[HDR(setup_sects)] ? h[HDR(setup_sects)] : OLD_SETUP_SECTS;
	uint64_t left_bytes;

	bz->setup_bytes = (sects + 1) * SECTOR;
	if (bz->setup_bytes >= img->size_bytes)
		return sk_loader_image_error(img, err, -ENOEXEC,
					     "bzImage header at offset 0x%zx: %u setup sectors, "
					     "but the file ends at 0x%" PRIx64,
					     HDR(setup_sects), sects, img->size_bytes);
	/* The last paragraph need not be full; behind it there may be a signature. */
	left_bytes = img->size_bytes - bz->setup_bytes;
	if (!wanted_bytes || wanted_bytes >= left_bytes + PARAGRAPH)
		return sk_loader_image_error(
			img, err, -ENOEXEC,
			"bzImage header at offset 0x%zx: a kernel of 0x%" PRIx64
			" bytes from 0x%" PRIx64 " on, but the file ends at 0x%" PRIx64,
			HDR(syssize), wanted_bytes, bz->setup_bytes, img->size_bytes);
	bz->protected_bytes = SK_MIN(wanted_bytes, left_bytes);
	return 0;
}

static int parse_payload(const struct image *img, struct bzimage *bz, struct sk_error *err)
{
	const uint8_t *h = bz->header;
	const uint32_t at = sk_load_le32(h + HDR(payload_offset));
	const uint32_t len_bytes = sk_load_le32(h + HDR(payload_length));

	if (bz->version < VERSION_PAYLOAD || !at || !len_bytes)
		return 0;
	if (!sk_range_fits(at, len_bytes, bz->protected_bytes))
		return sk_loader_image_error(img, err, -ENOEXEC,
					     "bzImage header at offset 0x%zx: a payload of 0x%x "
					     "bytes at 0x%x of a kernel of 0x%" PRIx64 " bytes",
					     HDR(payload_offset), len_bytes, at,
					     bz->protected_bytes);
	bz->payload_offset = bz->setup_bytes + at;
	bz->payload_bytes = len_bytes;
	return 0;
}

/* What decides where in guest memory the kernel goes. */
static int parse_placement(const struct image *img, struct bzimage *bz, struct sk_error *err)
{
	const uint8_t *h = bz->header;

	bz->is_relocatable = h[HDR(relocatable_kernel)];
	bz->alignment = sk_load_le32(h + HDR(kernel_alignment));
	bz->pref_gpa = SK_LOADER_HIGH_GPA;
	bz->init_bytes = bz->protected_bytes;
	if (bz->version >= VERSION_INIT_SIZE) {
		bz->pref_gpa = sk_load_le64(h + HDR(pref_address));
		bz->init_bytes = SK_MAX(bz->init_bytes, sk_load_le32(h + HDR(init_size)));
	}
	/* "A relocatable kernel that is loaded at an alignment ..." must be a power of two. */
	if (bz->is_relocatable &&
	    (!bz->alignment || (bz->alignment & (bz->alignment - 1)) || bz->alignment > SK_GIB))
		return sk_loader_image_error(img, err, -ENOEXEC,
					     "bzImage header at offset 0x%zx: alignment 0x%" PRIx64
					     " is not a power of two up to 1 GiB",
					     HDR(kernel_alignment), bz->alignment);
	if (!sk_range_fits(bz->pref_gpa, bz->init_bytes, LOADER_4_GIB))
		return sk_loader_image_error(img, err, -ENOEXEC,
					     "bzImage header at offset 0x%zx: it wants 0x%" PRIx64
					     " bytes at 0x%" PRIx64 ", which is not below 4 GiB",
					     HDR(pref_address), bz->init_bytes, bz->pref_gpa);
	return 0;
}

int sk_loader_parse_bzimage(const struct image *img, struct bzimage *bz, struct sk_error *err)
{
	uint16_t flags = 0;
	int rc;

	*bz = (struct bzimage){0};
	rc = read_header(img, bz, err);
	if (!rc)
		rc = parse_sizes(img, bz, err);
	if (!rc)
		rc = parse_payload(img, bz, err);
	if (!rc)
		rc = parse_placement(img, bz, err);
	if (rc)
		return rc;
	if (bz->version >= VERSION_XLOADFLAGS)
		flags = sk_load_le16(bz->header + HDR(xloadflags));
	bz->has_64bit_entry = flags & XLF_KERNEL_64;
	bz->is_loadable_above_4g = flags & XLF_CAN_BE_LOADED_ABOVE_4G;
	bz->cmdline_max_bytes = sk_load_le32(bz->header + HDR(cmdline_size));
	bz->initrd_max_gpa = sk_load_le32(bz->header + HDR(initrd_addr_max));
	if (!bz->initrd_max_gpa)
		bz->initrd_max_gpa = OLD_INITRD_ADDR_MAX;
	return 0;
}
