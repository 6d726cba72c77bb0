/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * What the parts of the kernel offer each other, besides threads (thread.h) and memory (mm/mm.h).
 * All of it runs in ring 3. "Masked" functions say so; the others may be called either way.
 */
#ifndef SKETE_UK_KERNEL_H
#define SKETE_UK_KERNEL_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

struct cpu;
struct regs;
struct thread;
struct timer;

#define NS_PER_SEC 1000000000ull

/* kernel/main.c */
extern struct program {
	char **argv, **envp; /* as they were handed to main() */
} program;
_Noreturn void kernel_main(void);
_Noreturn void ap_main(struct cpu *cpu);

/* drivers/console.c. Writes everything before it returns. */
void console_write(const char *data, size_t bytes);
/* The input is a terminal's raw bytes: carriage returns end lines, Ctrl-D (4) the input. */
extern int console_is_terminal;
/* Read at least one byte; blocks. 0 is the end of the input. -EINTR after a signal. */
long console_read(char *data, size_t bytes);
/* Is there input, or its end? */
int console_ready(void);
/* printf with %s %c %d %u %x %lx %p and widths, straight to the console. For reports. */
void kprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* drivers/power.c: end the machine with the program's exit status. */
_Noreturn void power_off(int status);

/* drivers/acpi.c: find the CPUs and the way to power off. Fills cpus[].apic_id and cpu_count. */
void acpi_init(void);
extern struct acpi_power {
	uint32_t pm1a_control, pm1b_control; /* ports; 0: none */
	uint32_t sleep_type;		     /* for S5 */
	uint64_t sleep_control; /* hardware-reduced: an address, in memory if sleep_is_memory */
	uint32_t sleep_is_memory;
} acpi_power;

/* kernel/time.c */
uint64_t clock_ns(void);      /* since boot, monotonic */
uint64_t clock_wall_ns(void); /* since 1970 */
uint64_t clock_to_tsc(uint64_t ns);
extern uint64_t boot_tsc;

/* kernel/timer.c: wake a thread, or call a function, at a deadline. Masked, but for timer_cancel()
 * and timer_start(). Whoever cancels holds no lock that the timer's function takes. */
void timer_start(struct timer *timer, uint64_t deadline_ns);
void timer_add(struct timer *timer, uint64_t deadline_ns);
void timer_cancel(struct timer *timer);
void timer_expired(void);

/* drivers/random.c: ChaCha20 seeded by the CPU. Returns 0, or -EIO when the CPU gives no entropy.
 */
int random_bytes(void *out, size_t bytes);

/* kernel/fault.c */
_Noreturn void fatal(const char *what);

/* libc/caches.c: the thread has ended. Masked. */
void malloc_thread_exit(struct thread *thread);

/* sys/ */
long sys_exit(int status);
_Noreturn void thread_exit_switch(void);

/* Interrupts that came while masked; at the end of a system call that trapped. */
void poll_pending(void);

static inline size_t kstrlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);

#endif
