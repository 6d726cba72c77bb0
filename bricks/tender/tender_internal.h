/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The inside of the tender.
 *
 *   image.c   the ELF file: checked, copied, relocated
 *   filter.c  the seccomp filter, as a program for the kernel
 *   gate.S    the code that stays: the gate, the way out of signal handlers, waiting CPUs, the end
 *             of the tender itself
 *   stage.c   the memory that this code and the CPUs' signal stacks lie in
 *   tender.c  the order of things
 *
 * The stage, at an address of its own: code (read and execute) | struct sk_tender_info, command
 * line, script, filter (read and write) | for each CPU a guard page and its signal stack.
 */
#ifndef SKETE_TENDER_INTERNAL_H
#define SKETE_TENDER_INTERNAL_H

#include <linux/filter.h>
#include <sys/resource.h>

#include <skete/tender.h>

#define TENDER_PAGE	     UINT64_C(4096)
#define TENDER_FILTER_MAX    192
#define TENDER_CMDLINE_BYTES 4096 /* with its end; what the unikernel takes */

/* What the filter is made for. */
struct tender_filter {
	uint64_t gate;	  /* the instruction behind its `syscall` */
	uint64_t restore; /* and behind that of the return from a signal handler */
	uint64_t vdso, vdso_end;
	uint64_t arena;
	uint32_t pid;
};

/* Writes at most TENDER_FILTER_MAX instructions; returns how many. Pure. */
uint16_t tender_filter_build(struct sock_filter *out, const struct tender_filter *what);

/* A system call of the tender's end; a failure ends the process. */
struct tender_step {
	uint64_t number, args[6];
};

#define TENDER_STEPS_MAX 24

/* gate.S: copied to the stage; what is in it, as offsets from its start. */
extern const uint8_t tender_code[], tender_code_end[];
extern const uint8_t tender_gate[], tender_gate_after[], tender_restore[], tender_restore_after[];
extern const uint8_t tender_wait[], tender_leave[];

/* Handed to a waiting CPU, at the top of its stack. */
struct tender_cpu_start {
	uint64_t altstack[3]; /* stack_t */
	uint64_t start;	      /* address of its word */
	uint64_t ready;	      /* address of a counter of CPUs that wait */
	uint64_t entry;
	uint64_t index;
};

struct tender_stage_cpu {
	uint64_t stack, stack_bytes;
	struct tender_cpu_start start;
};

/* The part of the stage that can be written. */
struct tender_stage {
	struct sk_tender_info info;
	char cmdline[TENDER_CMDLINE_BYTES];
	struct tender_step steps[TENDER_STEPS_MAX];
	uint64_t nr_steps;
	uint64_t ready;
	struct sock_filter filter[TENDER_FILTER_MAX];
	struct sock_fprog program;
	struct tender_stage_cpu cpu[SK_TENDER_MAX_CPUS];
};

/* Maps the stage for @cpus CPUs at @address. 0 or -errno. */
int stage_create(uint64_t address, uint32_t cpus, struct tender_stage **out,
		 struct sk_error *err) SK_MUST_CHECK;
uint64_t stage_bytes(uint32_t cpus);
/* The address of something in gate.S as it is in the stage at @address. */
uint64_t stage_code(uint64_t address, const uint8_t *what);

#endif
