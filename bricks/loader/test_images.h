/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Hand-built kernels for the tests and the fuzzers' corpora: good ones, which a test then damages
 * where it wants to. Each builder fills a struct blob from the start; unused bytes are a pattern,
 * so that a test can tell where a byte in guest memory came from.
 */
#ifndef SKETE_LOADER_TEST_IMAGES_H
#define SKETE_LOADER_TEST_IMAGES_H

#include <asm/bootparam.h>
#include <elf.h>
#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <skete/base.h>

#include "multiboot.h"
#include "start_info.h"

struct blob {
	uint8_t bytes[64 * 1024];
	size_t len_bytes;
};

static inline uint8_t pattern_at(size_t i)
{
	return (uint8_t)(i * 7 + (i >> 8) + 1);
}

static inline void blob_reset(struct blob *b, size_t len_bytes)
{
	size_t i;

	BUG_ON(len_bytes > sizeof(b->bytes));
	b->len_bytes = len_bytes;
	for (i = 0; i < len_bytes; i++)
		b->bytes[i] = pattern_at(i);
}

/* An ELF file of two segments, the second with a bss, and up to three notes. */
#define ELF_NOTES_AT	 0x200
#define ELF_MULTIBOOT_AT 0x400
#define ELF_TEXT_AT	 0x1000
#define ELF_TEXT_BYTES	 0x2000
#define ELF_DATA_AT	 0x3000
#define ELF_DATA_BYTES	 0x800
#define ELF_DATA_MEM	 0x3456
#define ELF_BYTES	 0x3800
#define ELF_TEXT_GPA	 0x200000
#define ELF_DATA_GPA	 0x203000
#define ELF_VADDR_OFFSET 0x40000000

struct elf_recipe {
	bool is_32;
	uint32_t entry; /* 0: ELF_TEXT_GPA + 0x10 */
	bool has_pvh;
	bool has_linux_note;
	bool has_multiboot;
	uint32_t multiboot_flags;
};

static inline size_t add_note(uint8_t *at, const char *owner, uint32_t type, const void *desc,
			      uint32_t desc_bytes)
{
	const uint32_t owner_bytes = (uint32_t)strlen(owner) + 1;
	const size_t desc_at = 12 + sk_align_down(owner_bytes + 3, 4);

	sk_store_le32(at, owner_bytes);
	sk_store_le32(at + 4, desc_bytes);
	sk_store_le32(at + 8, type);
	memset(at + 12, 0, desc_at - 12);
	memcpy(at + 12, owner, owner_bytes);
	memcpy(at + desc_at, desc, desc_bytes);
	return desc_at + sk_align_down(desc_bytes + 3, 4);
}

static inline size_t build_notes(uint8_t *at, const struct elf_recipe *r)
{
	const uint64_t entry = ELF_TEXT_GPA + 0x20;
	size_t n = add_note(at, "GNU", 3, "0123456", 7);

	if (r->has_linux_note)
		n += add_note(at + n, "Linux", 0x100, "\0\0\0", 4);
	if (r->has_pvh)
		n += add_note(at + n, "Xen", XEN_ELFNOTE_PHYS32_ENTRY, &entry, r->is_32 ? 4 : 8);
	return n;
}

static inline void build_phdr(struct blob *b, bool is_32, unsigned int index, const Elf64_Phdr *p)
{
	if (is_32) {
		const Elf32_Phdr p32 = {
			.p_type = p->p_type,
			.p_offset = (uint32_t)p->p_offset,
			.p_vaddr = (uint32_t)p->p_vaddr,
			.p_paddr = (uint32_t)p->p_paddr,
			.p_filesz = (uint32_t)p->p_filesz,
			.p_memsz = (uint32_t)p->p_memsz,
			.p_align = (uint32_t)p->p_align,
		};

		memcpy(b->bytes + sizeof(Elf32_Ehdr) + index * sizeof(p32), &p32, sizeof(p32));
	} else {
		memcpy(b->bytes + sizeof(Elf64_Ehdr) + index * sizeof(*p), p, sizeof(*p));
	}
}

static inline void build_ehdr(struct blob *b, const struct elf_recipe *r, uint16_t phnum)
{
	const uint32_t entry = r->entry ? r->entry : ELF_TEXT_GPA + 0x10;
	Elf64_Ehdr e64 = {
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_entry = entry,
		.e_phoff = sizeof(e64),
		.e_ehsize = sizeof(e64),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = phnum,
	};
	Elf32_Ehdr e32 = {
		.e_type = ET_EXEC,
		.e_machine = EM_386,
		.e_version = EV_CURRENT,
		.e_entry = entry,
		.e_phoff = sizeof(e32),
		.e_ehsize = sizeof(e32),
		.e_phentsize = sizeof(Elf32_Phdr),
		.e_phnum = phnum,
	};
	const uint8_t ident[EI_NIDENT] = {
		ELFMAG0,     ELFMAG1,	 ELFMAG2, ELFMAG3, r->is_32 ? ELFCLASS32 : ELFCLASS64,
		ELFDATA2LSB, EV_CURRENT,
	};

	if (r->is_32)
		memcpy(b->bytes, &e32, sizeof(e32));
	else
		memcpy(b->bytes, &e64, sizeof(e64));
	memcpy(b->bytes, ident, sizeof(ident));
}

static inline void build_multiboot_header(uint8_t *at, uint32_t flags)
{
	sk_store_le32(at, MULTIBOOT_HEADER_MAGIC);
	sk_store_le32(at + 4, flags);
	sk_store_le32(at + 8, -(MULTIBOOT_HEADER_MAGIC + flags));
}

static inline void build_elf(struct blob *b, const struct elf_recipe *r)
{
	const Elf64_Phdr text = {
		PT_LOAD,      PF_R | PF_X,    ELF_TEXT_AT,    ELF_VADDR_OFFSET + ELF_TEXT_GPA,
		ELF_TEXT_GPA, ELF_TEXT_BYTES, ELF_TEXT_BYTES, 0x1000};
	const Elf64_Phdr data = {
		PT_LOAD,      PF_R | PF_W,    ELF_DATA_AT,  ELF_VADDR_OFFSET + ELF_DATA_GPA,
		ELF_DATA_GPA, ELF_DATA_BYTES, ELF_DATA_MEM, 0x1000};
	Elf64_Phdr note = {.p_type = PT_NOTE, .p_offset = ELF_NOTES_AT, .p_align = 4};

	blob_reset(b, ELF_BYTES);
	build_ehdr(b, r, 3);
	note.p_filesz = note.p_memsz = build_notes(b->bytes + ELF_NOTES_AT, r);
	build_phdr(b, r->is_32, 0, &text);
	build_phdr(b, r->is_32, 1, &note);
	build_phdr(b, r->is_32, 2, &data);
	if (r->has_multiboot)
		build_multiboot_header(b->bytes + ELF_MULTIBOOT_AT, r->multiboot_flags);
}

/* A flat multiboot kernel with addresses in its header. */
#define FLAT_HEADER_AT 0x20
#define FLAT_BYTES     0x1800
#define FLAT_GPA       0x100000
#define FLAT_MEM_BYTES 0x3000

static inline void build_flat(struct blob *b)
{
	const uint32_t addresses[] = {
		FLAT_GPA + FLAT_HEADER_AT, FLAT_GPA,	    FLAT_GPA + FLAT_BYTES,
		FLAT_GPA + FLAT_MEM_BYTES, FLAT_GPA + 0x40,
	};
	size_t i;

	blob_reset(b, FLAT_BYTES);
	build_multiboot_header(b->bytes + FLAT_HEADER_AT, MULTIBOOT_AOUT_KLUDGE |
								  MULTIBOOT_PAGE_ALIGN |
								  MULTIBOOT_MEMORY_INFO);
	for (i = 0; i < SK_ARRAY_SIZE(addresses); i++)
		sk_store_le32(b->bytes + FLAT_HEADER_AT + 12 + 4 * i, addresses[i]);
}

/* Payloads as the kernel's build leaves them: packed, with the unpacked size at the end. */
enum packing { PACK_LZ4, PACK_GZIP, PACK_ZSTD, PACK_XZ };

static inline size_t pack_lz4(const uint8_t *in, size_t len, uint8_t *out, size_t cap)
{
	const size_t half = len / 2;
	size_t at = 4;
	int n, i;

	/* Two blocks; a real one ends at 8 MiB. */
	sk_store_le32(out, 0x184c2102);
	for (i = 0; i < 2; i++) {
		n = LZ4_compress_default((const char *)in + (i ? half : 0), (char *)out + at + 4,
					 (int)(i ? len - half : half), (int)(cap - at - 4));
		BUG_ON(n <= 0);
		sk_store_le32(out + at, (uint32_t)n);
		at += 4 + (size_t)n;
	}
	return at;
}

static inline size_t pack_gzip(const uint8_t *in, size_t len, uint8_t *out, size_t cap)
{
	z_stream z = {0};

	BUG_ON(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK);
	z.next_in = (Bytef *)(uintptr_t)in;
	z.avail_in = (uInt)len;
	z.next_out = out;
	z.avail_out = (uInt)cap;
	BUG_ON(deflate(&z, Z_FINISH) != Z_STREAM_END);
	deflateEnd(&z);
	return cap - z.avail_out;
}

/* As scripts/xz_wrap.sh of the kernel packs. */
static inline size_t pack_xz(const uint8_t *in, size_t len, uint8_t *out, size_t cap)
{
	lzma_options_lzma options = {0};
	lzma_filter filters[] = {
		{LZMA_FILTER_X86, NULL},
		{LZMA_FILTER_LZMA2, &options},
		{LZMA_VLI_UNKNOWN, NULL},
	};
	size_t at = 0;

	BUG_ON(lzma_lzma_preset(&options, 6));
	options.dict_size = 32 << 20;
	BUG_ON(lzma_stream_buffer_encode(filters, LZMA_CHECK_CRC32, NULL, in, len, out, &at, cap) !=
	       LZMA_OK);
	return at;
}

static inline size_t pack(enum packing packing, const uint8_t *in, size_t len, uint8_t *out,
			  size_t cap)
{
	size_t n;

	if (packing == PACK_GZIP) /* ends in its size by itself */
		return pack_gzip(in, len, out, cap);
	if (packing == PACK_LZ4)
		n = pack_lz4(in, len, out, cap - 4);
	else if (packing == PACK_XZ)
		n = pack_xz(in, len, out, cap - 4);
	else
		n = ZSTD_compress(out, cap - 4, in, len, 3);
	BUG_ON(packing == PACK_ZSTD && ZSTD_isError(n));
	sk_store_le32(out + n, (uint32_t)len);
	return n + 4;
}

/* A bzImage of protocol 2.15 that wants to lie at 2 MiB, with or without a payload. */
#define BZ_SETUP_BYTES	 1024
#define BZ_PAYLOAD_AT	 0x400 /* from the start of the protected-mode part */
#define BZ_INIT_BYTES	 0x54321
#define BZ_PREF_GPA	 0x200000
#define BZ_ALIGNMENT	 0x200000
#define BZ_CMDLINE_BYTES 2047
#define BZ_INITRD_MAX	 0x7fffffff
#define BZ_HDR(field)	 (offsetof(struct boot_params, hdr.field))

static inline void build_bzimage(struct blob *b, enum packing packing, const struct blob *payload)
{
	size_t protected_bytes = BZ_PAYLOAD_AT, packed_bytes = 0;
	uint8_t *h = b->bytes;

	blob_reset(b, sizeof(b->bytes));
	if (payload)
		packed_bytes = pack(packing, payload->bytes, payload->len_bytes,
				    b->bytes + BZ_SETUP_BYTES + BZ_PAYLOAD_AT,
				    sizeof(b->bytes) - BZ_SETUP_BYTES - BZ_PAYLOAD_AT);
	protected_bytes = sk_align_down(protected_bytes + packed_bytes + 15, 16);
	b->len_bytes = BZ_SETUP_BYTES + protected_bytes;

	memset(h + BZ_HDR(setup_sects), 0, sizeof(struct setup_header));
	h[BZ_HDR(setup_sects)] = BZ_SETUP_BYTES / 512 - 1;
	sk_store_le32(h + BZ_HDR(syssize), (uint32_t)protected_bytes / 16);
	sk_store_le16(h + BZ_HDR(boot_flag), 0xaa55);
	sk_store_le16(h + BZ_HDR(jump), 0x6aeb); /* the header ends at 0x26c */
	sk_store_le32(h + BZ_HDR(header), 0x53726448);
	sk_store_le16(h + BZ_HDR(version), 0x020f);
	h[BZ_HDR(loadflags)] = LOADED_HIGH;
	sk_store_le32(h + BZ_HDR(initrd_addr_max), BZ_INITRD_MAX);
	sk_store_le32(h + BZ_HDR(kernel_alignment), BZ_ALIGNMENT);
	h[BZ_HDR(relocatable_kernel)] = 1;
	sk_store_le16(h + BZ_HDR(xloadflags), XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G);
	sk_store_le32(h + BZ_HDR(cmdline_size), BZ_CMDLINE_BYTES);
	sk_store_le32(h + BZ_HDR(payload_offset), payload ? BZ_PAYLOAD_AT : 0);
	sk_store_le32(h + BZ_HDR(payload_length), (uint32_t)packed_bytes);
	sk_store_le64(h + BZ_HDR(pref_address), BZ_PREF_GPA);
	sk_store_le32(h + BZ_HDR(init_size), BZ_INIT_BYTES);
}

#endif
