/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The tender: turns the calling process into a running image of the unikernel, without a virtual
 * machine, /dev/kvm or privileges. skete/abi/tender.h is the contract with the image.
 *
 * What is left of the process afterwards: the image and its file, its memory file, a page of the
 * tender's code, the vDSO, the descriptors 0, 1 and 3, one thread for each CPU, and a seccomp
 * filter that lets eleven system calls through. docs/process-isolation.md says which, why, and what
 * that leaves open to an attacker.
 *
 * The image is not trusted: its headers are checked like any other input.
 */
#ifndef SKETE_TENDER_H
#define SKETE_TENDER_H

#include <skete/abi/tender.h>
#include <skete/base.h>

/* Where the parts of an image are: addresses as linked; all but the entries are page-aligned. */
struct sk_tender_image {
	uint64_t start, text, text_end, ro_end, end;
	uint64_t entry, cpu_entry, signal;
};

/*
 * Finds the tender's note in the ELF file in @file and checks everything that loading relies on.
 * -ENOEXEC: not an image of the unikernel, or one that is damaged or of another version. Pure.
 */
int sk_tender_image_parse(struct sk_tender_image *out, const void *file, size_t len_bytes,
			  struct sk_error *err) SK_MUST_CHECK;

/*
 * Copies the parsed image's segments into @memory (zeroed, image->end - image->start bytes) and
 * relocates them by @bias. -ENOEXEC: it has relocations that leave the image, or of a kind that
 * is not known. Pure.
 */
int sk_tender_image_load(const struct sk_tender_image *image, const void *file, size_t len_bytes,
			 void *memory, uint64_t bias, struct sk_error *err) SK_MUST_CHECK;

struct sk_tender_config {
	const char *image_path;
	const char *initrd_path; /* NULL: none */
	const char *cmdline;	 /* NULL: empty */
	uint32_t cpus;		 /* 1 to SK_TENDER_MAX_CPUS */
	uint64_t memory_bytes;	 /* a multiple of 4 KiB: image, page tables and all the rest */
	int in_fd, out_fd; /* the console; -1: none, it reads as ended and writes to nowhere */
	uint64_t start_ns; /* CLOCK_MONOTONIC when the program started */
};

/*
 * Becomes the image: does not return, unless something is in the way: -errno with a sentence;
 * then the process may have lost nothing but time and address space. The process must have one
 * thread. Blocks while it reads the files. From the point of no return on a failure is a line on
 * standard error and the exit status 125.
 */
int sk_tender_run(const struct sk_tender_config *config, struct sk_error *err) SK_MUST_CHECK;

#endif
