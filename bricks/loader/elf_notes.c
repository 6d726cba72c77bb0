/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * ELF notes (System V ABI, "Note Section"): Xen's PHYS32_ENTRY, which is the PVH entry, and what
 * tells a Linux kernel: any note of owner "Linux", or Xen's GUEST_OS note that says "linux".
 */
#include "loader_internal.h"

#include <elf.h>
#include <inttypes.h>

#include "start_info.h"

#define MAX_NOTES_BYTES (64 * SK_KIB)

struct note {
	uint32_t type;
	const uint8_t *owner;
	uint32_t owner_bytes;
	const uint8_t *desc;
	uint32_t desc_bytes;
};

static bool is_owner(const struct note *n, const char *owner)
{
	const size_t len_bytes = strlen(owner) + 1;

	return n->owner_bytes == len_bytes && !memcmp(n->owner, owner, len_bytes);
}

/* Takes one note off the front of @buf. False if it does not fit. */
static bool next_note(const uint8_t **buf, size_t *len_bytes, uint64_t align, struct note *n)
{
	const uint8_t *p = *buf;
	uint64_t desc_at, end;

	if (*len_bytes < sizeof(Elf64_Nhdr))
		return false;
	n->owner_bytes = sk_load_le32(p);
	n->desc_bytes = sk_load_le32(p + 4);
	n->type = sk_load_le32(p + 8);
	/* Sums of 32-bit values in 64 bits: they cannot wrap. */
	desc_at = sk_align_down(sizeof(Elf64_Nhdr) + (uint64_t)n->owner_bytes + align - 1, align);
	end = desc_at + n->desc_bytes;
	if (end > *len_bytes)
		return false;
	n->owner = p + sizeof(Elf64_Nhdr);
	n->desc = p + desc_at;
	end = SK_MIN(sk_align_down(end + align - 1, align),
		     *len_bytes); /* padding may be missing */
	*buf += end;
	*len_bytes -= end;
	return true;
}

static int take_note(const struct image *img, const struct note *n, uint64_t offset,
		     struct elf_file *elf, struct sk_error *err)
{
	uint64_t entry;

	if (is_owner(n, "Linux"))
		elf->is_linux = true;
	if (!is_owner(n, "Xen"))
		return 0;
	if (n->type == XEN_ELFNOTE_GUEST_OS && n->desc_bytes >= 5 && !memcmp(n->desc, "linux", 5))
		elf->is_linux = true;
	if (n->type != XEN_ELFNOTE_PHYS32_ENTRY)
		return 0;
	if (n->desc_bytes != 4 && n->desc_bytes != 8)
		return sk_loader_image_error(img, err, -ENOEXEC,
					     "PVH note at offset 0x%" PRIx64
					     ": an entry of %u bytes, not 4 or 8",
					     offset, n->desc_bytes);
	entry = n->desc_bytes == 4 ? sk_load_le32(n->desc) : sk_load_le64(n->desc);
	if (entry > UINT32_MAX)
		return sk_loader_image_error(img, err, -ENOEXEC,
					     "PVH note at offset 0x%" PRIx64 ": entry 0x%" PRIx64
					     " is beyond 4 GiB",
					     offset, entry);
	elf->has_pvh_entry = true;
	elf->pvh_entry = (uint32_t)entry;
	return 0;
}

static int parse_notes(const struct image *img, const uint8_t *buf, const struct elf_segment *seg,
		       uint64_t align, struct elf_file *elf, struct sk_error *err)
{
	size_t left_bytes = seg->file_bytes;
	uint64_t offset;
	struct note n;
	int rc;

	while (left_bytes) {
		offset = seg->offset + (seg->file_bytes - left_bytes);
		if (!next_note(&buf, &left_bytes, align, &n))
			return sk_loader_image_error(
				img, err, -ENOEXEC,
				"ELF note at offset 0x%" PRIx64
				": it reaches beyond its segment, which ends at 0x%" PRIx64,
				offset, seg->offset + seg->file_bytes);
		rc = take_note(img, &n, offset, elf, err);
		if (rc)
			return rc;
	}
	return 0;
}

int sk_loader_parse_elf_notes(const struct image *img, const struct elf_segment *seg,
			      uint64_t align, struct elf_file *elf, struct sk_error *err)
{
	uint8_t *buf;
	int rc;

	if (!seg->file_bytes)
		return 0;
	if (seg->file_bytes > MAX_NOTES_BYTES)
		return sk_loader_image_error(img, err, -ENOEXEC,
					     "program header %u at offset 0x%" PRIx64 ": 0x%" PRIx64
					     " bytes of notes are more than any kernel has",
					     seg->index, seg->header_offset, seg->file_bytes);
	buf = malloc(seg->file_bytes);
	if (!buf)
		return sk_loader_image_error(img, err, -ENOMEM, "no memory for its ELF notes");
	rc = sk_loader_image_read(img, seg->offset, buf, seg->file_bytes, "ELF notes", err);
	if (!rc)
		rc = parse_notes(img, buf, seg, align == 8 ? 8 : 4, elf, err);
	free(buf);
	return rc;
}
