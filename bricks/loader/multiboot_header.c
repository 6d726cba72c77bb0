/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The header of a multiboot kernel (Multiboot 0.6.96, 3.1), searched and checked. */
#include "loader_internal.h"

#include <inttypes.h>

/* False if no header starts in @buf, the first bytes of the file. */
static bool find_header(const uint8_t *buf, size_t len_bytes, uint32_t *at)
{
	uint32_t magic, flags, checksum;

	for (*at = 0; *at + MULTIBOOT_HEADER_MIN_BYTES <= len_bytes;
	     *at += MULTIBOOT_HEADER_ALIGN) {
		magic = sk_load_le32(buf + *at);
		flags = sk_load_le32(buf + *at + offsetof(struct multiboot_header, flags));
		checksum = sk_load_le32(buf + *at + offsetof(struct multiboot_header, checksum));
		if (magic == MULTIBOOT_HEADER_MAGIC && magic + flags + checksum == 0)
			return true;
	}
	return false;
}

static int address_error(const struct image *img, const struct multiboot_file *mb,
			 struct sk_error *err, const char *reason, uint32_t value)
{
	return sk_loader_image_error(img, err, -ENOEXEC, "multiboot header at offset 0x%x: %s 0x%x",
				     mb->header_offset, reason, value);
}

/* The a.out kludge: addresses in the header instead of an ELF header. */
static int parse_addresses(const struct image *img, const struct multiboot_header *h,
			   struct multiboot_file *mb, struct sk_error *err)
{
	uint64_t file_left_bytes;

	if (h->load_addr > h->header_addr || h->header_addr - h->load_addr > mb->header_offset)
		return address_error(
			img, mb, err,
			"load_addr is not where a byte of the file would go:", h->load_addr);
	mb->offset = mb->header_offset - (h->header_addr - h->load_addr);
	file_left_bytes = img->size_bytes - mb->offset;
	if (h->load_end_addr && h->load_end_addr < h->load_addr)
		return address_error(img, mb, err,
				     "load_end_addr lies before load_addr:", h->load_end_addr);
	mb->file_bytes = h->load_end_addr ? h->load_end_addr - h->load_addr : file_left_bytes;
	if (mb->file_bytes > file_left_bytes)
		return address_error(img, mb, err,
				     "the file is too short for load_end_addr:", h->load_end_addr);
	mb->gpa = h->load_addr;
	mb->mem_bytes = mb->file_bytes;
	if (h->bss_end_addr) {
		if (h->bss_end_addr < mb->gpa + mb->file_bytes)
			return address_error(img, mb, err,
					     "bss_end_addr lies before the end of what is loaded:",
					     h->bss_end_addr);
		mb->mem_bytes = h->bss_end_addr - mb->gpa;
	}
	if (h->entry_addr < mb->gpa || h->entry_addr - mb->gpa >= mb->mem_bytes)
		return address_error(img, mb, err,
				     "entry_addr is not within what is loaded:", h->entry_addr);
	mb->entry = h->entry_addr;
	mb->has_addresses = true;
	return 0;
}

int sk_loader_parse_multiboot(const struct image *img, struct multiboot_file *mb, bool *is_found,
			      struct sk_error *err)
{
	const size_t len_bytes = SK_MIN(img->size_bytes, (uint64_t)MULTIBOOT_SEARCH);
	const uint32_t known = MULTIBOOT_PAGE_ALIGN | MULTIBOOT_MEMORY_INFO;
	struct multiboot_header h = {0};
	uint8_t buf[MULTIBOOT_SEARCH];
	int rc;

	*mb = (struct multiboot_file){0};
	*is_found = false;
	rc = sk_loader_image_read(img, 0, buf, len_bytes, "first 8 KiB", err);
	if (rc || !find_header(buf, len_bytes, &mb->header_offset))
		return rc;
	*is_found = true;
	memcpy(&h, buf + mb->header_offset, SK_MIN(sizeof(h), len_bytes - mb->header_offset));
	if (h.flags & MULTIBOOT_REQUIREMENTS & ~known)
		return address_error(img, mb, err,
				     h.flags & MULTIBOOT_VIDEO_MODE
					     ? "it requires a video mode, and there is no display: "
					       "flags"
					     : "it requires features that are not known: flags",
				     h.flags);
	if (!(h.flags & MULTIBOOT_AOUT_KLUDGE))
		return 0;
	if (len_bytes - mb->header_offset < sizeof(h))
		return address_error(img, mb, err,
				     "its address fields do not fit into the first 8 KiB: flags",
				     h.flags);
	return parse_addresses(img, &h, mb, err);
}
