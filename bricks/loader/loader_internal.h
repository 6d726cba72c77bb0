/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * One call of sk_loader_load from inside: which guest memory is taken and by what, the formats'
 * parsers (struct image to a checked struct; guest memory is not involved), and the protocols,
 * which turn a checked struct into guest memory and an entry state.
 */
#ifndef SKETE_LOADER_INTERNAL_H
#define SKETE_LOADER_INTERNAL_H

#include <skete/loader.h>

#include "image.h"
#include "multiboot.h"

#define LOADER_4_GIB		  (4 * SK_GIB)
#define LOADER_MAX_SEGMENTS	  64
#define LOADER_MAX_CLAIMS	  (LOADER_MAX_SEGMENTS + SK_LOADER_MAX_RESERVED + 12)
#define LOADER_MAX_MAP_ENTRIES	  128 /* E820_MAX_ENTRIES_ZEROPAGE */
#define LOADER_MAX_UNPACKED_BYTES SK_GIB
#define LOADER_LINUX_CMDLINE	  2047	/* x86's COMMAND_LINE_SIZE without its NUL */
#define LOADER_MAX_STRING	  16383 /* at most three strings share the area */
#define LOADER_NAME		  "Skete"

/* room.c: guest memory that is taken. */

struct claim {
	gpa_t gpa;
	uint64_t len_bytes;
	const char *what;
};

struct loading {
	struct sk_gmem *gm;
	const struct sk_loader_config *config;
	const struct image *kernel;
	const struct image *initrd; /* NULL: none */
	struct sk_error *err;
	struct claim claims[LOADER_MAX_CLAIMS];
	size_t nr_claims;
	uint64_t strings_used_bytes;
	struct sk_loader_entry entry;
};

/* Claims what the platform and the caller's reserved ranges take. Checks the configuration. */
int sk_loader_room_init(struct loading *l) SK_MUST_CHECK;

/*
 * Takes a range for @what. It must be RAM and free; if not, -ENOMEM with the sentence "WHAT ends
 * at ... beyond the guest's RAM (...)" or "WHAT overlaps ...", for the caller to prefix.
 */
int sk_loader_claim(struct loading *l, gpa_t gpa, uint64_t len_bytes,
		    const char *what) SK_MUST_CHECK;

/* The highest multiple of @align with @len_bytes of free RAM in [@floor, @limit). Takes nothing. */
bool sk_loader_find_highest(const struct loading *l, uint64_t len_bytes, uint64_t align,
			    gpa_t floor, gpa_t limit, gpa_t *gpa);
/* The lowest one. */
bool sk_loader_find_lowest(const struct loading *l, uint64_t len_bytes, uint64_t align, gpa_t floor,
			   gpa_t limit, gpa_t *gpa);

/* Writes to a range that was claimed. */
void sk_loader_put(struct loading *l, gpa_t gpa, const void *buf, size_t len_bytes);
/* Zeroes a range that was claimed, unless the memory is fresh. */
void sk_loader_put_zeroes(struct loading *l, gpa_t gpa, uint64_t len_bytes);

/* Puts a string and its NUL among the strings. -E2BIG if it is longer than @max_bytes. */
int sk_loader_put_string(struct loading *l, const char *what, const char *string, size_t max_bytes,
			 gpa_t *gpa) SK_MUST_CHECK;

/* "512 MiB": the guest's RAM for messages. */
struct loader_size_text {
	char text[32];
};
struct loader_size_text sk_loader_size_text(uint64_t size_bytes);

/* memory_map.c */

struct memory_map {
	struct {
		gpa_t gpa;
		uint64_t len_bytes;
		enum sk_loader_memory type;
	} entries[LOADER_MAX_MAP_ENTRIES];
	size_t nr_entries;
};

/* RAM without what is reserved, ascending, merged. -EINVAL: more entries than fit. */
int sk_loader_memory_map(const struct sk_gmem *gm, const struct sk_loader_config *config,
			 struct memory_map *map, struct sk_error *err) SK_MUST_CHECK;

/* cpu_state.c: takes the fixed places below 1 MiB; writes the GDT and, LONG64, page tables. */
int sk_loader_put_cpu_state(struct loading *l, enum sk_loader_mode mode) SK_MUST_CHECK;

/* initrd.c: places and loads the initrd, if there is one, below @limit, or below @second_limit. */
int sk_loader_put_initrd(struct loading *l, gpa_t limit, gpa_t second_limit) SK_MUST_CHECK;

/* elf.c, elf_notes.c */

struct elf_segment {
	unsigned int index;
	uint64_t header_offset;
	uint64_t offset;
	uint64_t file_bytes;
	uint64_t vaddr;
	gpa_t gpa;
	uint64_t mem_bytes;
};

struct elf_file {
	bool is_64;
	uint16_t machine;
	uint64_t entry;
	struct elf_segment segments[LOADER_MAX_SEGMENTS]; /* not empty, in the file's order */
	size_t nr_segments;
	bool has_pvh_entry;
	uint32_t pvh_entry;
	bool is_linux; /* says so in its notes */
};

bool sk_loader_is_elf(const struct image *img);
int sk_loader_parse_elf(const struct image *img, struct elf_file *elf,
			struct sk_error *err) SK_MUST_CHECK;
/* Reads one PT_NOTE segment, adds what it says to @elf. */
int sk_loader_parse_elf_notes(const struct image *img, const struct elf_segment *seg,
			      uint64_t align, struct elf_file *elf,
			      struct sk_error *err) SK_MUST_CHECK;
int sk_loader_put_elf(struct loading *l, const struct image *img,
		      const struct elf_file *elf) SK_MUST_CHECK;
/* True if @gpa is in a segment. */
bool sk_loader_elf_holds(const struct elf_file *elf, gpa_t gpa);

/* bzimage.c */

#define BZIMAGE_HEADER_BYTES 0x290 /* as much as the zero page has room for, from offset 0 on */

struct bzimage {
	uint8_t header[BZIMAGE_HEADER_BYTES]; /* a copy; zero beyond header_end */
	uint32_t header_end;
	uint16_t version;
	uint64_t setup_bytes;	  /* the real-mode part: the file offset of the rest */
	uint64_t protected_bytes; /* the rest, without signatures after it */
	bool has_64bit_entry;
	bool is_loadable_above_4g;
	bool is_relocatable;
	uint64_t alignment;
	gpa_t pref_gpa;
	uint64_t init_bytes; /* RAM that the kernel needs from its start address on */
	uint32_t cmdline_max_bytes;
	uint32_t initrd_max_gpa; /* the last byte's address */
	uint64_t payload_offset; /* in the file; 0 if it has none that is known */
	uint32_t payload_bytes;
};

bool sk_loader_is_bzimage(const struct image *img);
int sk_loader_parse_bzimage(const struct image *img, struct bzimage *bz,
			    struct sk_error *err) SK_MUST_CHECK;

/* unpack.c, payload.c */

/*
 * Unpacks @packed (gzip, LZ4 legacy or zstd, followed by or ending in its unpacked size, as the
 * kernel's build leaves it) into fresh memory of at most @max_bytes, for munmap(2). The sentence
 * in @err begins at "the payload".
 */
int sk_loader_unpack(const uint8_t *packed, size_t packed_bytes, uint64_t max_bytes, uint8_t **out,
		     size_t *out_bytes, struct sk_error *err) SK_MUST_CHECK;

/* Reads and unpacks the payload of @img; @out->bytes is for munmap(2). */
int sk_loader_unpack_image(const struct image *img, const struct bzimage *bz, struct image *out,
			   struct sk_error *err) SK_MUST_CHECK;
void sk_loader_unpacked_free(struct image *img);

/* multiboot_header.c */

struct multiboot_file {
	bool has_addresses; /* a.out kludge: the fields below are checked and given */
	uint32_t header_offset;
	uint64_t offset; /* what to load, from where in the file to where */
	uint64_t file_bytes;
	gpa_t gpa;
	uint64_t mem_bytes;
	uint32_t entry;
};

/* *@is_found is false, and the result 0, if there is no header. */
int sk_loader_parse_multiboot(const struct image *img, struct multiboot_file *mb, bool *is_found,
			      struct sk_error *err) SK_MUST_CHECK;

/* The protocols: load everything and fill l->entry. */
int sk_loader_boot_linux_bzimage(struct loading *l, const struct bzimage *bz) SK_MUST_CHECK;
int sk_loader_boot_linux_elf(struct loading *l, const struct elf_file *elf) SK_MUST_CHECK;
/* @img is the ELF file; @cmdline_max_bytes 0: as @elf suggests. */
int sk_loader_boot_pvh(struct loading *l, const struct image *img, const struct elf_file *elf,
		       uint32_t cmdline_max_bytes) SK_MUST_CHECK;
/* @elf is NULL for a file that has addresses in its multiboot header. */
int sk_loader_boot_multiboot(struct loading *l, const struct multiboot_file *mb,
			     const struct elf_file *elf) SK_MUST_CHECK;

/* loader.c: sk_loader_load once the files are open. */
int sk_loader_load_images(struct sk_loader_entry *entry, struct sk_gmem *gm,
			  const struct sk_loader_config *config, const struct image *kernel,
			  const struct image *initrd, struct sk_error *err) SK_MUST_CHECK;

#endif
