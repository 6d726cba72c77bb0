/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Names for addresses, for reports: from the symbol table in the image's file, static functions
 * included, if who started it lets us read that (skete does, QEMU does not) and it was not
 * stripped; or else from the dynamic symbols, which are loaded. For one caller, at the end.
 */
#include "symbols.h"

#include <elf.h>

#include "../arch/x86_64/platform.h"
#include "boot.h"
#include "kernel.h"

#define SECTIONS_MAX 256
#define CHUNK	     64
#define NAME_BYTES   64

extern const Elf64_Dyn _DYNAMIC[] __attribute__((visibility("hidden")));

/* The file's tables; symbols.sh_size is 0 if there are none. */
static struct {
	int is_read;
	Elf64_Shdr symbols, names;
} file;

static void read_tables(void)
{
	static Elf64_Ehdr elf;
	Elf64_Shdr section;

	file.is_read = 1;
	if (platform->read_image(0, &elf, sizeof(elf)) || memcmp(elf.e_ident, ELFMAG, SELFMAG) ||
	    elf.e_shentsize != sizeof(section))
		return;
	for (uint32_t i = 0; i < elf.e_shnum && i < SECTIONS_MAX; i++) {
		if (platform->read_image(elf.e_shoff + i * sizeof(section), &section,
					 sizeof(section)))
			return;
		if (section.sh_type != SHT_SYMTAB ||
		    platform->read_image(elf.e_shoff + section.sh_link * sizeof(section),
					 &file.names, sizeof(file.names)))
			continue;
		file.symbols = section;
		return;
	}
}

/* The symbol nearest below the address: a function, or a label of assembly. */
static int find_in_file(uint64_t address, Elf64_Sym *best)
{
	static Elf64_Sym chunk[CHUNK];
	uint64_t total = file.symbols.sh_size / sizeof(*chunk), n;
	int found = 0;

	for (uint64_t at = 0; at < total; at += n) {
		n = total - at < CHUNK ? total - at : CHUNK;
		if (platform->read_image(file.symbols.sh_offset + at * sizeof(*chunk), chunk,
					 n * sizeof(*chunk)))
			return 0;
		for (uint64_t i = 0; i < n; i++) {
			const Elf64_Sym *s = &chunk[i];
			uint8_t type = ELF64_ST_TYPE(s->st_info);

			if ((type != STT_FUNC && type != STT_NOTYPE) || !s->st_name ||
			    s->st_shndx == SHN_UNDEF || s->st_shndx >= SHN_LORESERVE ||
			    s->st_value > address || (found && s->st_value < best->st_value) ||
			    (s->st_size && address >= s->st_value + s->st_size))
				continue;
			*best = *s;
			found = 1;
		}
	}
	return found;
}

static const char *name_in_file(uint64_t address, uint64_t *offset)
{
	static char name[NAME_BYTES + 1];
	Elf64_Sym symbol;
	uint64_t at;

	if (!file.is_read)
		read_tables();
	if (!find_in_file(address, &symbol) || symbol.st_name >= file.names.sh_size)
		return NULL;
	at = file.names.sh_size - symbol.st_name;
	if (platform->read_image(file.names.sh_offset + symbol.st_name, name,
				 at < NAME_BYTES ? at : NAME_BYTES))
		return NULL;
	*offset = address - symbol.st_value;
	return name;
}

static const char *name_in_memory(uint64_t address, uint64_t *offset)
{
	const Elf64_Sym *best = NULL, *symbols = NULL;
	const uint32_t *hash = NULL;
	const char *names = NULL;

	for (const Elf64_Dyn *d = _DYNAMIC; d->d_tag != DT_NULL; d++) {
		uint64_t at = d->d_un.d_ptr + boot.bias;

		if (d->d_tag == DT_SYMTAB)
			symbols = (const void *)at;
		if (d->d_tag == DT_STRTAB)
			names = (const void *)at;
		if (d->d_tag == DT_HASH)
			hash = (const void *)at;
	}
	for (uint32_t i = 0; hash && symbols && i < hash[1]; i++) {
		const Elf64_Sym *s = &symbols[i];

		if (ELF64_ST_TYPE(s->st_info) == STT_FUNC && s->st_value <= address &&
		    (!best || s->st_value > best->st_value))
			best = s;
	}
	if (!best || !names || address >= best->st_value + best->st_size)
		return NULL;
	*offset = address - best->st_value;
	return names + best->st_name;
}

const char *symbol_name(uint64_t address, uint64_t *offset)
{
	const char *name = name_in_file(address - boot.bias, offset);

	return name ? name : name_in_memory(address - boot.bias, offset);
}
