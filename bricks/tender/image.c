/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The image: an ELF file (System V gABI; x86-64 psABI), relocatable in memory
 * whatever its type says. Every offset and count in it
 * is checked before it is used; addresses stay inside [start, end).
 */
#include <elf.h>

#include "tender_internal.h"

#define MAX_HEADERS 64
#define MAX_SPAN    (UINT64_C(1) << 36)
#define MAX_DYNAMIC 64

struct file {
	const uint8_t *bytes;
	size_t len_bytes;
	Elf64_Ehdr elf;
	struct sk_error *err;
};

static int bad(const struct file *f, const char *what)
{
	return sk_error_set(f->err, -ENOEXEC, "%s", what);
}

static int read_header(struct file *f)
{
	const Elf64_Ehdr *e = &f->elf;

	if (f->len_bytes < sizeof(*e))
		return bad(f, "it is too short for an ELF file");
	memcpy(&f->elf, f->bytes, sizeof(*e));
	if (memcmp(e->e_ident, ELFMAG, SELFMAG) || e->e_ident[EI_CLASS] != ELFCLASS64 ||
	    e->e_machine != EM_X86_64)
		return bad(f, "it is not an ELF file for x86-64");
	if ((e->e_type != ET_DYN && e->e_type != ET_EXEC) || e->e_phentsize != sizeof(Elf64_Phdr) ||
	    e->e_phnum > MAX_HEADERS ||
	    !sk_range_fits(e->e_phoff, e->e_phnum * sizeof(Elf64_Phdr), f->len_bytes))
		return bad(f, "it was not made by skete-cc, or it is damaged");
	return 0;
}

static Elf64_Phdr header(const struct file *f, unsigned int i)
{
	Elf64_Phdr h;

	memcpy(&h, f->bytes + f->elf.e_phoff + i * sizeof(h), sizeof(h));
	return h;
}

/* The address at a distance from the field that holds the distance. */
static uint64_t place(uint64_t note, size_t offset, int32_t distance)
{
	return note + offset + (uint64_t)(int64_t)distance;
}

static int check_places(const struct file *f, const struct sk_tender_image *i)
{
	const uint64_t edges[] = {i->start, i->text, i->text_end, i->ro_end, i->end};

	for (size_t n = 0; n < SK_ARRAY_SIZE(edges); n++)
		if (!sk_is_aligned(edges[n], TENDER_PAGE) || (n && edges[n] < edges[n - 1]))
			return bad(f, "its note for the tender names impossible places");
	if (i->end - i->start > MAX_SPAN || i->end < i->start || i->start > MAX_SPAN)
		return bad(f, "its note for the tender names impossible places");
	if (i->entry < i->text || i->entry >= i->text_end || i->cpu_entry < i->text ||
	    i->cpu_entry >= i->text_end || i->signal < i->text || i->signal >= i->text_end)
		return bad(f, "its note for the tender names entries outside of its code");
	return 0;
}

static int read_note(const struct file *f, struct sk_tender_image *out, uint64_t va,
		     const uint8_t *descriptor, size_t len_bytes)
{
	struct sk_tender_note n;

	if (len_bytes < sizeof(n))
		return bad(f, "its note for the tender is too short");
	memcpy(&n, descriptor, sizeof(n));
	if (n.version != SK_TENDER_VERSION)
		return sk_error_set(
			f->err, -ENOEXEC,
			"it was linked for version %u of the tender, this is version %u: "
			"link it again",
			n.version, SK_TENDER_VERSION);
#define PLACE(field) place(va, offsetof(struct sk_tender_note, field), n.field)
	*out = (struct sk_tender_image){
		.start = PLACE(start),
		.text = PLACE(text),
		.text_end = PLACE(text_end),
		.ro_end = PLACE(ro_end),
		.end = PLACE(end),
		.entry = PLACE(entry),
		.cpu_entry = PLACE(cpu_entry),
		.signal = PLACE(signal),
	};
#undef PLACE
	return check_places(f, out);
}

/* 1: found; 0: not in this segment; -ENOEXEC. */
static int find_note(const struct file *f, const Elf64_Phdr *h, struct sk_tender_image *out)
{
	uint64_t at = 0;

	if (!sk_range_fits(h->p_offset, h->p_filesz, f->len_bytes))
		return bad(f, "its notes lie outside of the file");
	while (h->p_filesz - at >= sizeof(Elf64_Nhdr)) {
		const uint8_t *note = f->bytes + h->p_offset + at;
		uint64_t name, descriptor;
		Elf64_Nhdr n;
		int ret;

		memcpy(&n, note, sizeof(n));
		name = sizeof(n) + (((uint64_t)n.n_namesz + 3) & ~UINT64_C(3));
		descriptor = ((uint64_t)n.n_descsz + 3) & ~UINT64_C(3);
		if (name + n.n_descsz > h->p_filesz - at)
			return bad(f, "its notes are damaged");
		if (n.n_type == SK_TENDER_NOTE && n.n_namesz == sizeof("Skete") &&
		    !memcmp(note + sizeof(n), "Skete", sizeof("Skete"))) {
			ret = read_note(f, out, h->p_vaddr + at + name, note + name, n.n_descsz);
			return ret ? ret : 1;
		}
		at += SK_MIN(name + descriptor, h->p_filesz - at);
	}
	return 0;
}

static int check_segment(const struct file *f, const Elf64_Phdr *h,
			 const struct sk_tender_image *image)
{
	if (!sk_range_fits(h->p_offset, h->p_filesz, f->len_bytes) || h->p_filesz > h->p_memsz ||
	    h->p_vaddr < image->start || !sk_range_fits(h->p_vaddr, h->p_memsz, image->end))
		return bad(f, "a segment of it lies outside of the file or of its place");
	return 0;
}

int sk_tender_image_parse(struct sk_tender_image *out, const void *file, size_t len_bytes,
			  struct sk_error *err)
{
	struct file f = {.bytes = file, .len_bytes = len_bytes, .err = err};
	int found = 0, ret = read_header(&f);

	for (unsigned int i = 0; !ret && !found && i < f.elf.e_phnum; i++) {
		Elf64_Phdr h = header(&f, i);

		if (h.p_type == PT_NOTE)
			found = find_note(&f, &h, out);
		if (found < 0)
			return found;
	}
	if (ret)
		return ret;
	if (!found)
		return bad(&f, "it has no entry for the tender: it was not made by skete-cc, or by "
			       "an older one");
	for (unsigned int i = 0; !ret && i < f.elf.e_phnum; i++) {
		Elf64_Phdr h = header(&f, i);

		if (h.p_type == PT_LOAD || h.p_type == PT_DYNAMIC)
			ret = check_segment(&f, &h, out);
	}
	return ret;
}

static int relocate(const struct file *f, const struct sk_tender_image *image, uint8_t *memory,
		    uint64_t table, uint64_t size, uint64_t bias)
{
	uint64_t span = image->end - image->start;

	if (!size)
		return 0;
	if (table < image->start || !sk_range_fits(table - image->start, size, span))
		return bad(f, "its relocations lie outside of it");
	for (uint64_t at = 0; size - at >= sizeof(Elf64_Rela); at += sizeof(Elf64_Rela)) {
		Elf64_Rela r;

		memcpy(&r, memory + (table - image->start) + at, sizeof(r));
		if (ELF64_R_TYPE(r.r_info) != R_X86_64_RELATIVE)
			return bad(f, "it has relocations other than R_X86_64_RELATIVE");
		if (r.r_offset < image->start || !sk_range_fits(r.r_offset - image->start, 8, span))
			return bad(f, "a relocation leaves the image");
		sk_store_le64(memory + (r.r_offset - image->start), (uint64_t)r.r_addend + bias);
	}
	return 0;
}

static int relocate_by(const struct file *f, const Elf64_Phdr *dynamic,
		       const struct sk_tender_image *image, uint8_t *memory, uint64_t bias)
{
	uint64_t table = 0, size = 0;

	for (unsigned int i = 0;
	     i < MAX_DYNAMIC && (i + 1) * sizeof(Elf64_Dyn) <= dynamic->p_filesz; i++) {
		Elf64_Dyn d;

		memcpy(&d, f->bytes + dynamic->p_offset + i * sizeof(d), sizeof(d));
		if (d.d_tag == DT_NULL)
			break;
		if (d.d_tag == DT_RELA)
			table = d.d_un.d_ptr;
		if (d.d_tag == DT_RELASZ)
			size = d.d_un.d_val;
	}
	return relocate(f, image, memory, table, size, bias);
}

int sk_tender_image_load(const struct sk_tender_image *image, const void *file, size_t len_bytes,
			 void *memory, uint64_t bias, struct sk_error *err)
{
	struct file f = {.bytes = file, .len_bytes = len_bytes, .err = err};
	uint8_t *to = memory;
	int ret = read_header(&f);

	for (unsigned int i = 0; !ret && i < f.elf.e_phnum; i++) {
		Elf64_Phdr h = header(&f, i);

		if (h.p_type != PT_LOAD)
			continue;
		ret = check_segment(&f, &h, image);
		if (!ret)
			memcpy(to + (h.p_vaddr - image->start), f.bytes + h.p_offset, h.p_filesz);
	}
	for (unsigned int i = 0; !ret && i < f.elf.e_phnum; i++) {
		Elf64_Phdr h = header(&f, i);

		if (h.p_type != PT_DYNAMIC)
			continue;
		ret = check_segment(&f, &h, image);
		if (!ret)
			ret = relocate_by(&f, &h, image, to, bias);
	}
	return ret;
}
