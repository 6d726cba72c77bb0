/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * What the kernel needs of whatever is below it. One table for each way to run, chosen by how the
 * image was entered; everything above is the same.
 */
#ifndef SKETE_UK_PLATFORM_H
#define SKETE_UK_PLATFORM_H

#include <stddef.h>
#include <stdint.h>

struct cpu;
struct timespec;

#define GIVE_WAY_NS 50000
#define CONSOLE_END (-2) /* and nothing will come any more */

struct platform {
	/* Wait for an interrupt, unless one is pending. Masked; on the idle thread. */
	void (*halt)(void);
	/*
	 * Let the host run somebody else in this CPU's place for about GIVE_WAY_NS. Masked, at any
	 * place; what becomes pending meanwhile stays so.
	 */
	void (*give_way)(void);
	/*
	 * Change page tables: map `count` pages at `va` to consecutive frames from `pa`, or with
	 * PAGES_UNMAP or PAGES_PROTECT remove or change what is there. One page, if PAGES_HUGE.
	 * 0, or a negative errno: -ENOMEM without memory for a table.
	 */
	long (*pages)(uint64_t va, uint64_t pa, uint64_t count, uint64_t flags);
	/* Forget what the TLB of this CPU, or of all others, knows of changed pages. Masked. */
	void (*flush)(void);
	void (*flush_others)(void);

	/* Make this CPU take interrupts and keep time. Masked. */
	void (*init_cpu)(struct cpu *cpu);
	/* Send CPU `index`, whose struct cpu holds its stacks, to ap_start; it comes when it can.
	 */
	void (*start_cpus)(uint32_t count);
	/* Set bit `irq` in another CPU's pending word and make it look there. */
	void (*interrupt)(struct cpu *to, uint32_t irq);
	/* IRQ_TIMER on this CPU at a time of clock_ns(), or somewhat earlier. Masked. */
	void (*timer)(uint64_t deadline_ns);

	void (*clock_init)(void);
	uint64_t (*clock_ns)(void);	 /* since boot, monotonic */
	uint64_t (*clock_wall_ns)(void); /* since 1970 */
	/* The one or the other as the C library wants it. */
	void (*clock_read)(int is_wall, struct timespec *now);

	void (*console_init)(void);
	void (*console_write)(const char *data, size_t bytes);
	int (*console_byte)(void); /* the next byte of the input; -1: none yet; CONSOLE_END */

	/* Read from the file that the image was loaded from. 0, or -1: not all of it, or not at
	 * all. */
	int (*read_image)(uint64_t offset, void *to, size_t bytes);
	/* An event for who watches (skete/abi/debug.h). */
	void (*tell)(uint32_t event, const void *about);
	void (*power_off)(int status) __attribute__((noreturn));
};

extern const struct platform *platform;
extern const struct platform platform_vm, platform_process;

#endif
