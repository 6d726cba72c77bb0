/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Writes the fuzzers' seeds: `make_corpus DIRECTORY` fills DIRECTORY/elf, bzimage, multiboot and
 * payload, which must exist. `ninja loader-corpus` runs it on the tree's own corpus/.
 */
#include <stdio.h>

#include "test_images.h"

static int status;

static void save(const char *dir, const char *name, const uint8_t *bytes, size_t len_bytes)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "wb");
	if (!f || fwrite(bytes, 1, len_bytes, f) != len_bytes) {
		perror(path);
		status = 1;
	}
	if (f && fclose(f)) {
		perror(path);
		status = 1;
	}
}

static void save_elf(const char *dir, const char *name, const struct elf_recipe *recipe)
{
	struct blob b;

	build_elf(&b, recipe);
	save(dir, name, b.bytes, b.len_bytes);
}

static void save_packed(const char *dir, enum packing packing, const char *image_name,
			const char *payload_name)
{
	const struct elf_recipe recipe = {.has_pvh = true};
	static struct blob elf, image;
	static uint8_t packed[64 * 1024];

	build_elf(&elf, &recipe);
	memset(elf.bytes + ELF_TEXT_AT, 0x90, elf.len_bytes - ELF_TEXT_AT); /* small seeds */
	build_bzimage(&image, packing, &elf);
	save(dir, image_name, image.bytes, image.len_bytes);
	save(dir, payload_name, packed,
	     pack(packing, elf.bytes, elf.len_bytes, packed, sizeof(packed)));
}

int main(int argc, char **argv)
{
	static struct blob b;

	if (argc != 2) {
		fprintf(stderr, "usage: make_corpus DIRECTORY\n");
		return 2;
	}
	save_elf(argv[1], "elf/pvh64", &(struct elf_recipe){.has_pvh = true});
	save_elf(argv[1], "elf/pvh32", &(struct elf_recipe){.is_32 = true, .has_pvh = true});
	save_elf(argv[1], "elf/linux", &(struct elf_recipe){.has_linux_note = true});
	save_elf(argv[1], "multiboot/elf32",
		 &(struct elf_recipe){.is_32 = true, .has_multiboot = true});
	save_elf(argv[1], "multiboot/elf64", &(struct elf_recipe){.has_multiboot = true});
	build_flat(&b);
	save(argv[1], "multiboot/flat", b.bytes, b.len_bytes);
	save_packed(argv[1], PACK_LZ4, "bzimage/lz4", "payload/lz4");
	save_packed(argv[1], PACK_GZIP, "bzimage/gzip", "payload/gzip");
	save_packed(argv[1], PACK_ZSTD, "bzimage/zstd", "payload/zstd");
	save_packed(argv[1], PACK_XZ, "bzimage/xz", "payload/xz");
	return status;
}
