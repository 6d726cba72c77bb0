/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * ELF32 and ELF64 executables for x86 (System V ABI, chapters 4 and 5): the program headers,
 * checked, and the segments into guest memory at their physical addresses.
 */
#include "loader_internal.h"

#include <elf.h>
#include <inttypes.h>

bool sk_loader_is_elf(const struct image *img)
{
	uint8_t magic[SELFMAG];

	return img->size_bytes >= SELFMAG &&
	       !sk_loader_image_read(img, 0, magic, SELFMAG, "magic", NULL) &&
	       !memcmp(magic, ELFMAG, SELFMAG);
}

/* The fields of an ELF header that both classes have, at one width. */
struct header {
	uint16_t type;
	uint16_t machine;
	uint64_t entry;
	uint64_t phoff;
	uint16_t phentsize;
	uint16_t phnum;
};

static int read_header(const struct image *img, struct header *h, bool *is_64, struct sk_error *err)
{
	uint8_t ident[EI_NIDENT];
	union {
		Elf32_Ehdr e32;
		Elf64_Ehdr e64;
	} u;
	int rc;

	rc = sk_loader_image_read(img, 0, ident, sizeof(ident), "ELF identification", err);
	if (rc)
		return rc;
	if (ident[EI_CLASS] != ELFCLASS32 && ident[EI_CLASS] != ELFCLASS64)
		return sk_loader_image_error(img, err, -ENOEXEC,
					     "ELF header at offset 0x%x: unknown class %u",
					     EI_CLASS, ident[EI_CLASS]);
	if (ident[EI_DATA] != ELFDATA2LSB)
		return sk_loader_image_error(img, err, -ENOEXEC,
					     "ELF header at offset 0x%x: not little-endian",
					     EI_DATA);
	*is_64 = ident[EI_CLASS] == ELFCLASS64;
	rc = sk_loader_image_read(img, 0, &u, *is_64 ? sizeof(u.e64) : sizeof(u.e32), "ELF header",
				  err);
	if (rc)
		return rc;
	if (*is_64)
		*h = (struct header){u.e64.e_type,  u.e64.e_machine,   u.e64.e_entry,
				     u.e64.e_phoff, u.e64.e_phentsize, u.e64.e_phnum};
	else
		*h = (struct header){u.e32.e_type,  u.e32.e_machine,   u.e32.e_entry,
				     u.e32.e_phoff, u.e32.e_phentsize, u.e32.e_phnum};
	return 0;
}

static int check_header(const struct image *img, const struct header *h, bool is_64,
			struct sk_error *err)
{
	const size_t phentsize = is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);

	if (h->type != ET_EXEC && h->type != ET_DYN)
		return sk_loader_image_error(img, err, -ENOEXEC,
					     "ELF header at offset 0x%zx: type %u is not an "
					     "executable (an object file or a core dump?)",
					     offsetof(Elf64_Ehdr, e_type), h->type);
	if (h->machine != EM_X86_64 && h->machine != EM_386)
		return sk_loader_image_error(img, err, -ENOEXEC,
					     "ELF header at offset 0x%zx: machine %u is not x86",
					     offsetof(Elf64_Ehdr, e_machine), h->machine);
	if (is_64 && h->machine != EM_X86_64)
		return sk_loader_image_error(img, err, -ENOEXEC,
					     "ELF header at offset 0x%zx: a 64-bit file for i386",
					     offsetof(Elf64_Ehdr, e_machine));
	if (!h->phnum || h->phnum > LOADER_MAX_SEGMENTS)
		return sk_loader_image_error(
			img, err, -ENOEXEC,
			"ELF header at offset 0x%zx: %u program headers; a kernel has 1 to %d",
			is_64 ? offsetof(Elf64_Ehdr, e_phnum) : offsetof(Elf32_Ehdr, e_phnum),
			h->phnum, LOADER_MAX_SEGMENTS);
	if (h->phentsize != phentsize)
		return sk_loader_image_error(
			img, err, -ENOEXEC,
			"ELF header at offset 0x%zx: program headers of %u bytes, not %zu",
			is_64 ? offsetof(Elf64_Ehdr, e_phentsize)
			      : offsetof(Elf32_Ehdr, e_phentsize),
			h->phentsize, phentsize);
	return 0;
}

/* The fields of a program header, at one width. */
static void widen_segment(const void *phdr, bool is_64, struct elf_segment *seg, uint32_t *type,
			  uint64_t *align)
{
	Elf32_Phdr p32;
	Elf64_Phdr p64;

	if (is_64) {
		memcpy(&p64, phdr, sizeof(p64));
	} else {
		memcpy(&p32, phdr, sizeof(p32));
		p64 = (Elf64_Phdr){
			.p_type = p32.p_type,
			.p_offset = p32.p_offset,
			.p_vaddr = p32.p_vaddr,
			.p_paddr = p32.p_paddr,
			.p_filesz = p32.p_filesz,
			.p_memsz = p32.p_memsz,
			.p_align = p32.p_align,
		};
	}
	*type = p64.p_type;
	*align = p64.p_align;
	seg->offset = p64.p_offset;
	seg->file_bytes = p64.p_filesz;
	seg->vaddr = p64.p_vaddr;
	seg->gpa = p64.p_paddr;
	seg->mem_bytes = p64.p_memsz;
}

static int segment_error(const struct image *img, const struct elf_segment *seg,
			 struct sk_error *err, const char *reason, uint64_t value)
{
	return sk_loader_image_error(img, err, -ENOEXEC,
				     "program header %u at offset 0x%" PRIx64 ": %s 0x%" PRIx64,
				     seg->index, seg->header_offset, reason, value);
}

static int check_segment(const struct image *img, const struct elf_segment *seg, uint32_t type,
			 struct sk_error *err)
{
	uint64_t end;

	if (!sk_range_fits(seg->offset, seg->file_bytes, img->size_bytes))
		return segment_error(img, seg, err,
				     "the segment's bytes reach beyond the file, which ends at",
				     img->size_bytes);
	if (type != PT_LOAD)
		return 0;
	if (seg->file_bytes > seg->mem_bytes)
		return segment_error(img, seg, err,
				     "the segment is larger in the file than in memory, which is",
				     seg->mem_bytes);
	if (__builtin_add_overflow(seg->gpa, seg->mem_bytes, &end))
		return segment_error(
			img, seg, err,
			"the segment wraps around the address space from physical address",
			seg->gpa);
	return 0;
}

static int parse_segment(const struct image *img, const void *phdr, struct elf_segment *seg,
			 struct elf_file *elf, struct sk_error *err)
{
	uint64_t align;
	uint32_t type;
	int rc;

	widen_segment(phdr, elf->is_64, seg, &type, &align);
	if (type != PT_LOAD && type != PT_NOTE)
		return 0;
	rc = check_segment(img, seg, type, err);
	if (rc)
		return rc;
	if (type == PT_NOTE)
		return sk_loader_parse_elf_notes(img, seg, align, elf, err);
	if (seg->mem_bytes)
		elf->segments[elf->nr_segments++] = *seg;
	return 0;
}

int sk_loader_parse_elf(const struct image *img, struct elf_file *elf, struct sk_error *err)
{
	uint8_t table[LOADER_MAX_SEGMENTS * sizeof(Elf64_Phdr)];
	struct elf_segment seg;
	struct header h = {0};
	unsigned int i;
	int rc;

	*elf = (struct elf_file){0};
	rc = read_header(img, &h, &elf->is_64, err);
	if (!rc)
		rc = check_header(img, &h, elf->is_64, err);
	if (!rc)
		rc = sk_loader_image_read(img, h.phoff, table, (size_t)h.phnum * h.phentsize,
					  "ELF program headers", err);
	if (rc)
		return rc;
	elf->machine = h.machine;
	elf->entry = h.entry;
	for (i = 0; i < h.phnum; i++) {
		seg = (struct elf_segment){.index = i, .header_offset = h.phoff + i * h.phentsize};
		rc = parse_segment(img, table + i * h.phentsize, &seg, elf, err);
		if (rc)
			return rc;
	}
	if (!elf->nr_segments)
		return sk_loader_image_error(img, err, -ENOEXEC,
					     "program headers at offset 0x%" PRIx64
					     ": nothing to load (no PT_LOAD segment)",
					     h.phoff);
	return 0;
}

bool sk_loader_elf_holds(const struct elf_file *elf, gpa_t gpa)
{
	size_t i;

	for (i = 0; i < elf->nr_segments; i++) {
		if (gpa >= elf->segments[i].gpa &&
		    gpa - elf->segments[i].gpa < elf->segments[i].mem_bytes)
			return true;
	}
	return false;
}

static int put_segment(struct loading *l, const struct image *img, const struct elf_segment *seg)
{
	int rc;

	if (!sk_range_fits(seg->gpa, seg->mem_bytes, LOADER_4_GIB))
		return segment_error(img, seg, l->err,
				     "the segment does not lie below 4 GiB: it starts at physical "
				     "address",
				     seg->gpa);
	rc = sk_loader_claim(l, seg->gpa, seg->mem_bytes, "a kernel segment");
	if (rc) {
		sk_loader_image_prefix(img, l->err, "program header %u at offset 0x%" PRIx64,
				       seg->index, seg->header_offset);
		return rc;
	}
	rc = sk_loader_image_read_to_guest(img, seg->offset, l->gm, seg->gpa, seg->file_bytes,
					   "a kernel segment", l->err);
	if (rc)
		return rc;
	sk_loader_put_zeroes(l, seg->gpa + seg->file_bytes, seg->mem_bytes - seg->file_bytes);
	return 0;
}

int sk_loader_put_elf(struct loading *l, const struct image *img, const struct elf_file *elf)
{
	struct sk_loader_entry *entry = &l->entry;
	gpa_t start = UINT64_MAX, end = 0;
	size_t i;
	int rc;

	for (i = 0; i < elf->nr_segments; i++) {
		const struct elf_segment *seg = &elf->segments[i];

		rc = put_segment(l, img, seg);
		if (rc)
			return rc;
		start = SK_MIN(start, seg->gpa);
		end = SK_MAX(end, seg->gpa + seg->mem_bytes);
	}
	entry->kernel_gpa = start;
	entry->kernel_end_gpa = end;
	return 0;
}
