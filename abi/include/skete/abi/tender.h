/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The tender: how an image of the unikernel runs as a Linux process, without a machine around it.
 * Freestanding; image and tender compile this same file.
 *
 * The image carries a note (name "Skete", type SK_TENDER_NOTE) that says where its parts are and
 * where it is entered. The tender maps and relocates it, makes the threads that are its CPUs,
 * closes the process, and enters it with a struct sk_tender_info. From then on the image asks Linux
 * itself, through the one `syscall` instruction that the filter lets through (the gate):
 *
 *   read(0) write(1) ppoll             the console
 *   mmap(MAP_SHARED | MAP_FIXED) munmap of the memory file, inside the arena, never executable
 *   futex(FUTEX_WAIT, FUTEX_WAKE)      halt, and wake a halted CPU
 *   tgkill(SK_TENDER_KICK)             interrupt a running CPU
 *   timer_settime                      one timer for each CPU, which sends SK_TENDER_TIMER
 *   exit_group
 *
 * besides rt_sigreturn from the tender's own code, and clock_gettime in the vDSO. Any other
 * `syscall` of the process arrives at the image's signal handler as SIGSYS; so do faults as
 * SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGTRAP.
 *
 * SK_TENDER_VERSION grows when the meaning of something here changes; a tender refuses an image of
 * another version.
 */
#ifndef SKETE_ABI_TENDER_H
#define SKETE_ABI_TENDER_H

#define SK_TENDER_VERSION   2
#define SK_TENDER_NOTE	    1

#define SK_TENDER_MAX_CPUS  32
#define SK_TENDER_MEMORY_FD 3
#define SK_TENDER_TIMER	    14 /* SIGALRM */
#define SK_TENDER_KICK	    23 /* SIGURG */

#ifndef __ASSEMBLER__
#include <stdint.h>

/*
 * The note's descriptor. Places are signed distances in bytes from the field itself, in the image
 * as it is linked. All but the entries are page-aligned and in this order:
 * [start, text) and [text_end, ro_end) are read-only, [text, text_end) is executable,
 * [ro_end, end) is writable.
 */
struct sk_tender_note {
	uint32_t version;
	int32_t start;
	int32_t text;
	int32_t text_end;
	int32_t ro_end;
	int32_t end;
	int32_t entry;	   /* the first CPU: info in rdi, no stack */
	int32_t cpu_entry; /* the others, once started: index in rdi, no stack */
	int32_t signal; /* handler(number, siginfo_t *, ucontext_t *), on a stack of the tender's */
};

_Static_assert(sizeof(struct sk_tender_note) == 36, "layout");

/* One CPU: a thread that waits until `start` is not 0 (set it, then FUTEX_WAKE). */
struct sk_tender_cpu {
	uint32_t start;
	uint32_t tid;
	int32_t timer; /* for timer_settime */
	uint32_t pad;
};

_Static_assert(sizeof(struct sk_tender_cpu) == 16, "layout");

/* What the image is entered with; its memory is the image's from then on. */
struct sk_tender_info {
	uint32_t version;
	uint32_t cpus;
	uint32_t pid;
	uint32_t pad;
	uint64_t bias;	       /* where the image is, minus where it is linked */
	uint64_t memory;       /* where the memory file is mapped, whole, for reading and writing */
	uint64_t memory_bytes; /* a multiple of 4 KiB; all zeroes but for the initrd */
	uint64_t arena;	       /* SK_TENDER_ARENA_BYTES of addresses to map the memory file in */
	uint64_t initrd;       /* offset in the memory file, whole pages at its end; 0: none */
	uint64_t initrd_bytes;
	uint64_t gate;		   /* a function: `syscall; ret` */
	uint64_t clock_gettime;	   /* a function: clock_gettime(2), of the vDSO */
	uint64_t start_ns;	   /* CLOCK_MONOTONIC when the monitor started */
	uint64_t cmdline;	   /* an address; ends with a zero byte */
	uint64_t file, file_bytes; /* an address: the file that the image was loaded from */
	struct sk_tender_cpu cpu[SK_TENDER_MAX_CPUS];
};

#define SK_TENDER_ARENA_BYTES (1ull << 39)
#define SK_TENDER_MAP_BYTES   (1ull << 32) /* one mmap or munmap covers less than this */

_Static_assert(sizeof(struct sk_tender_info) == 112 + 16 * SK_TENDER_MAX_CPUS, "layout");
#endif

#endif
