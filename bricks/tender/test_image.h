/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* The smallest image the tender takes: one page of headers, code, constants and data each. */
#ifndef SKETE_TENDER_TEST_IMAGE_H
#define SKETE_TENDER_TEST_IMAGE_H

#include <elf.h>

#include <skete/tender.h>

#define TEST_BASE 0x100000
#define TEST_PAGE 4096

struct test_image {
	Elf64_Ehdr elf;
	Elf64_Phdr headers[3];
	struct {
		Elf64_Nhdr header;
		char name[8];
		struct sk_tender_note note;
	} note;
	uint8_t pad[TEST_PAGE - 64 - 3 * 56 - 56];
	uint8_t text[TEST_PAGE];
	Elf64_Dyn dynamic[3];
	Elf64_Rela rela[2];
	uint8_t constants[TEST_PAGE - 48 - 48];
	uint64_t data[512];
};

_Static_assert(sizeof(struct test_image) == 4 * TEST_PAGE, "layout");

#define TEST_VA(field)	   (TEST_BASE + offsetof(struct test_image, field))
#define TEST_FAR(field, x) ((int32_t)((x) - (int64_t)TEST_VA(note.note.field)))

static inline struct test_image test_image(void)
{
	struct test_image i = {
		.elf = {.e_type = ET_DYN,
			.e_machine = EM_X86_64,
			.e_phoff = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 3},
		.headers = {{.p_type = PT_LOAD,
			     .p_vaddr = TEST_BASE,
			     .p_filesz = sizeof(struct test_image),
			     .p_memsz = sizeof(struct test_image) + TEST_PAGE},
			    {.p_type = PT_NOTE,
			     .p_offset = offsetof(struct test_image, note),
			     .p_vaddr = TEST_VA(note),
			     .p_filesz = sizeof(i.note)},
			    {.p_type = PT_DYNAMIC,
			     .p_offset = offsetof(struct test_image, dynamic),
			     .p_vaddr = TEST_VA(dynamic),
			     .p_filesz = sizeof(i.dynamic),
			     .p_memsz = sizeof(i.dynamic)}},
		.note = {.header = {6, sizeof(struct sk_tender_note), SK_TENDER_NOTE},
			 .name = "Skete",
			 .note = {.version = SK_TENDER_VERSION,
				  .start = TEST_FAR(start, TEST_BASE),
				  .text = TEST_FAR(text, TEST_BASE + TEST_PAGE),
				  .text_end = TEST_FAR(text_end, TEST_BASE + 2 * TEST_PAGE),
				  .ro_end = TEST_FAR(ro_end, TEST_BASE + 3 * TEST_PAGE),
				  .end = TEST_FAR(end, TEST_BASE + 5 * TEST_PAGE),
				  .entry = TEST_FAR(entry, TEST_BASE + TEST_PAGE),
				  .cpu_entry = TEST_FAR(cpu_entry, TEST_BASE + TEST_PAGE + 16),
				  .signal = TEST_FAR(signal, TEST_BASE + TEST_PAGE + 32)}},
		.dynamic = {{DT_RELA, {TEST_VA(rela)}},
			    {DT_RELASZ, {sizeof(i.rela)}},
			    {DT_NULL, {0}}},
		.rela = {{TEST_VA(data), R_X86_64_RELATIVE, TEST_VA(text)},
			 {TEST_VA(data) + 8, R_X86_64_RELATIVE, TEST_VA(data)}},
	};

	memcpy(i.elf.e_ident, ELFMAG, SELFMAG);
	i.elf.e_ident[EI_CLASS] = ELFCLASS64;
	return i;
}

#endif
