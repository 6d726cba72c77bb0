/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Puts a kernel, its initrd, its command line and what its boot protocol asks for into guest
 * memory, and says in which state the first vCPU has to start. No firmware runs.
 *
 * Specifications: Linux, Documentation/arch/x86/boot.rst (protocol 2.12+, 64-bit entry) and
 * zero-page.rst; Xen, docs/misc/pvh.pandoc and start_info.h version 1; Multiboot 0.6.96; ELF.
 * The files are not trusted: whatever is wrong with one ends in a sentence that names the file,
 * the offset and the reason.
 *
 * Threading class: a pure function of its arguments and of the files; nothing is kept. It reads
 * files and therefore blocks. Two calls on different guest memories may run at the same time.
 *
 * What is where below 1 MiB when the guest starts (the rest of its RAM is its own):
 *
 *   0x00000  real-mode vectors, BIOS data area: never written
 *   0x01000  GDT                                                   (1 page)
 *   0x02000  boot stack, which grows down from 0x4000              (2 pages, not written)
 *   0x05000  boot information: the zero page (Linux), hvm_start_info with its tables (PVH), or
 *            the multiboot information with its tables             (1 page)
 *   0x08000  left free (the usual place of SMP trampolines)        (up to 0xffff)
 *   0x10000  page tables, 64-bit entry only: PML4, PDPT, 4 PDs; they map the first 4 GiB onto
 *            themselves in 2 MiB pages                             (6 pages)
 *   0x20000  strings: the command line and names                   (up to 64 KiB)
 *   0x9fc00  extended BIOS data area: reserved in the memory map
 *   0xa0000  VGA and option ROMs: in the memory map not RAM
 *   0xe0000  BIOS area, ACPI tables: reserved in the memory map    (up to 0xfffff)
 *  0x100000  kernels; the initrd lies as high as its protocol allows
 */
#ifndef SKETE_LOADER_H
#define SKETE_LOADER_H

#include <skete/base.h>
#include <skete/gmem.h>

#define SK_LOADER_GDT_GPA	UINT64_C(0x1000)
#define SK_LOADER_STACK_GPA	UINT64_C(0x4000) /* the top */
#define SK_LOADER_INFO_GPA	UINT64_C(0x5000)
#define SK_LOADER_PML4_GPA	UINT64_C(0x10000)
#define SK_LOADER_STRINGS_GPA	UINT64_C(0x20000)
#define SK_LOADER_STRINGS_BYTES UINT64_C(0x10000)
#define SK_LOADER_EBDA_GPA	UINT64_C(0x9fc00)
#define SK_LOADER_VGA_GPA	UINT64_C(0xa0000)
#define SK_LOADER_BIOS_GPA	UINT64_C(0xe0000)
#define SK_LOADER_HIGH_GPA	UINT64_C(0x100000)

/* The descriptors of the GDT, as Linux' __BOOT_CS and __BOOT_DS have them. */
#define SK_LOADER_SELECTOR_CODE 0x10
#define SK_LOADER_SELECTOR_DATA 0x18
#define SK_LOADER_SELECTOR_TSS	0x20

/*
 * AUTO decides by the file: a bzImage is started by its own 64-bit entry; an ELF file with the PVH
 * note by PVH; with a multiboot header and no PVH note, by multiboot; an x86-64 ELF file that
 * carries one of Linux' own notes (owner "Linux", or Xen's GUEST_OS note that says "linux"), by
 * the Linux 64-bit protocol. Anything else is an error. PVH on a bzImage unpacks it on the host
 * and starts the ELF file within.
 */
enum sk_loader_protocol {
	SK_LOADER_AUTO,
	SK_LOADER_PVH,
	SK_LOADER_LINUX64,
	SK_LOADER_MULTIBOOT,
};

/* Values are those of E820 and of Xen's memory map. */
enum sk_loader_memory {
	SK_LOADER_MEMORY_RAM = 1,
	SK_LOADER_MEMORY_RESERVED = 2,
	SK_LOADER_MEMORY_ACPI = 3, /* tables: RAM once the guest has read them */
	SK_LOADER_MEMORY_NVS = 4,
};

/* A piece of the guest's address space that is not for the guest to use freely. */
struct sk_loader_reserved {
	gpa_t gpa;
	uint64_t len_bytes;
	enum sk_loader_memory type; /* not SK_LOADER_MEMORY_RAM */
};

#define SK_LOADER_MAX_RESERVED 16

struct sk_loader_config {
	const char *kernel_path; /* opened unless kernel_fd is given; always used in messages */
	int kernel_fd;		 /* 0: none; otherwise borrowed, a regular file, read by pread */
	const char *initrd_path; /* NULL: no initrd (a multiboot module for multiboot) */
	int initrd_fd;		 /* as kernel_fd */
	const char *cmdline;	 /* NULL: empty */
	enum sk_loader_protocol protocol;
	gpa_t rsdp_gpa; /* ACPI's root pointer, 0: none; the caller writes the tables */
	const struct sk_loader_reserved *reserved; /* kept out of the loader's way as well */
	size_t nr_reserved;			   /* at most SK_LOADER_MAX_RESERVED */
	bool is_fresh; /* the guest memory is known to be zero: what must be zero is not written */
};

/*
 * The state of the first vCPU. Whatever is not named here is as after reset or zero; interrupts
 * are off (RFLAGS = 2).
 * PROTECTED32: CR0.PE only; flat 4 GiB segments; TR a busy 32-bit TSS, base 0, limit 0x67.
 * LONG64: CR0.PE and PG, CR4.PAE, EFER.LME and LMA, CR3 as given; CS.L; TR a busy 64-bit TSS.
 */
enum sk_loader_mode { SK_LOADER_PROTECTED32, SK_LOADER_LONG64 };

struct sk_loader_entry {
	enum sk_loader_mode mode;
	enum sk_loader_protocol protocol; /* never AUTO */
	const char *format;		  /* for messages: "bzImage, 64-bit entry"; static */
	uint64_t rip, rsp, rax, rbx, rsi, cr3;
	gpa_t gdt_gpa; /* holds the SK_LOADER_SELECTOR_* descriptors that suit the mode */
	uint16_t gdt_limit;
	gpa_t kernel_gpa; /* lowest byte of the kernel and one beyond its last, bss included */
	gpa_t kernel_end_gpa;
	gpa_t initrd_gpa; /* both 0 without an initrd */
	uint64_t initrd_bytes;
	gpa_t lowest_gpa; /* of everything written, and one beyond the last byte */
	gpa_t highest_gpa;
};

/*
 * Loads everything into @gm and fills *@entry. May be called again on the same memory (a reboot;
 * then without is_fresh). On failure *@entry is unchanged, but guest memory may have been written.
 * Errors: what open(2), fstat(2) and pread(2) say about a file; -ENOEXEC: the file is not a kernel
 * of the wanted protocol, or is damaged; -ENOTSUP: a compression or kernel version that is not
 * known; -ENOMEM: the guest's RAM is too small or has no room where something must be; -E2BIG: the
 * command line is too long; -EINVAL: the configuration.
 */
int sk_loader_load(struct sk_loader_entry *entry, struct sk_gmem *gm,
		   const struct sk_loader_config *config, struct sk_error *err) SK_MUST_CHECK;

/*
 * Writes the ELF file that the bzImage at @kernel_path carries (gzip, LZ4 or zstd) to @out_fd from
 * its current position on. Errors as above, and those of write(2).
 */
int sk_loader_unpack_bzimage(const char *kernel_path, int out_fd,
			     struct sk_error *err) SK_MUST_CHECK;

/* "auto", "pvh", "linux64" or "multiboot"; parse returns -EINVAL for any other name. */
const char *sk_loader_protocol_name(enum sk_loader_protocol protocol);
int sk_loader_parse_protocol(const char *name, enum sk_loader_protocol *protocol) SK_MUST_CHECK;

#endif
