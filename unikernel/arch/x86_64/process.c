/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * The platform "Linux process": the tender (skete/abi/tender.h) has mapped the image and made a
 * thread for each CPU. Interrupts and exceptions are signals, which do to the interrupted code what
 * the shim's stubs do. Page tables are only the record of what is mapped from the memory file.
 *
 * The kernel's own memory is always there, so system calls take arguments from it; the program's
 * memory is touched before Linux is given an address in it.
 */
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <skete/abi/debug.h>
#include <skete/abi/tender.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>

#include "../../kernel/boot.h"
#include "../../kernel/kernel.h"
#include "../../mm/mm.h"
#include "cpu.h"
#include "pages_edit.h"
#include "platform.h"
#include "start.h"
#include "tables.h"

#define WRITE_MAX      65536
#define INPUT_BYTES    4096
#define ARCH_X86_64    0xc000003e
#define SI_ARCH_OFFSET 28 /* of si_arch in siginfo_t, which musl does not name */

extern char upcall_entry[], upcall_restart[], exit_window[], exit_window_end[], fault_entry[];
extern char syscall_entry[];

uint64_t process_gate;
static struct sk_tender_info *info;
static int (*host_clock_gettime)(int, struct timespec *);
static uint64_t entry_ns, main_ns; /* for skete.stats */
static uint64_t start_ns;	   /* CLOCK_MONOTONIC at the start of clock_ns() */

long process_call(long number, long a, long b, long c, long d, long e, long f);
void process_signal(int number, const siginfo_t *signal, ucontext_t *context);
_Noreturn void process_start(struct sk_tender_info *from);

static struct timespec started; /* the same */

static uint64_t host_ns(int clock)
{
	struct timespec t = {0, 0};

	host_clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

static void clock_start(void)
{
	host_clock_gettime(CLOCK_MONOTONIC, &started);
	start_ns = (uint64_t)started.tv_sec * NS_PER_SEC + (uint64_t)started.tv_nsec;
}

static uint64_t monotonic_ns(void)
{
	return host_ns(CLOCK_MONOTONIC) - start_ns;
}

static uint64_t wall_ns(void)
{
	return host_ns(CLOCK_REALTIME);
}

/* Nanoseconds in one number would have to be divided again. */
static void read_clock(int is_wall, struct timespec *now)
{
	host_clock_gettime(is_wall ? CLOCK_REALTIME : CLOCK_MONOTONIC, now);
	if (is_wall)
		return;
	now->tv_sec -= started.tv_sec;
	now->tv_nsec -= started.tv_nsec;
	if (now->tv_nsec < 0) {
		now->tv_nsec += (long)NS_PER_SEC;
		now->tv_sec--;
	}
}

/* --- interrupts --- */

/* What the shim's stub does: continue at the upcall, unless interrupts are masked. */
static void interrupt_here(struct cpu *cpu, uint32_t bits, greg_t *r)
{
	set_pending(cpu, bits);
	if (cpu->host_halted) /* so that the futex it waits on, or is about to, is not as expected
			       */
		__atomic_fetch_or(&cpu->host_bits, bits, __ATOMIC_SEQ_CST);
	if (!cpu->mask) {
		cpu->mask = 1;
		cpu->up_rip = (uint64_t)r[REG_RIP];
		cpu->up_rflags = (uint64_t)r[REG_EFL];
		cpu->up_rsp = (uint64_t)r[REG_RSP];
		r[REG_RIP] = (greg_t)upcall_entry;
		r[REG_EFL] &= ~(greg_t)RFLAGS_TF;
	} else if ((uint64_t)r[REG_RIP] - (uint64_t)exit_window <
		   (uint64_t)(exit_window_end - exit_window)) {
		r[REG_RIP] = (greg_t)upcall_restart;
	}
}

static void fault_here(struct cpu *cpu, uint64_t vector, greg_t *r)
{
	cpu->fault_vector = vector;
	cpu->fault_error = (uint64_t)r[REG_ERR];
	cpu->fault_cr2 = (uint64_t)r[REG_CR2];
	cpu->fault_mask = cpu->mask;
	cpu->mask = 1;
	cpu->up_rip = (uint64_t)r[REG_RIP];
	cpu->up_rflags = (uint64_t)r[REG_EFL];
	cpu->up_rsp = (uint64_t)r[REG_RSP];
	r[REG_RIP] = (greg_t)fault_entry;
	r[REG_EFL] &= ~(greg_t)RFLAGS_TF;
}

/* The exception behind a signal. One that somebody sent has none; the CPU's last is still there. */
static uint64_t vector_of(int number, int code, uint64_t last)
{
	switch (number) {
	case SIGILL:
		return VECTOR_OPCODE;
	case SIGFPE:
		return code > 0 ? last : VECTOR_FLOAT;
	case SIGTRAP:
		return code > 0 ? last : VECTOR_BREAKPOINT;
	case SIGBUS: /* also: Linux has no page for the memory file */
		if (code > 0)
			return last == VECTOR_PAGE ? VECTOR_MACHINE : last;
		return VECTOR_PROTECTION;
	default:
		return code > 0 ? last : VECTOR_PROTECTION;
	}
}

/* A `syscall` instruction that the filter stopped: as if the CPU had gone straight to its handler.
 */
static void syscall_here(struct cpu *cpu, const siginfo_t *signal, greg_t *r)
{
	uint32_t arch;

	memcpy(&arch, (const char *)signal + SI_ARCH_OFFSET, sizeof(arch));
	if (arch != ARCH_X86_64) { /* `int 0x80`, which there is no handler for */
		r[REG_RIP] -= 2;
		fault_here(cpu, VECTOR_PROTECTION, r);
		return;
	}
	r[REG_RCX] = r[REG_RIP];
	r[REG_R11] = r[REG_EFL];
	r[REG_RIP] = (greg_t)syscall_entry;
}

/* On the CPU's signal stack; all signals are blocked. */
void process_signal(int number, const siginfo_t *signal, ucontext_t *context)
{
	struct cpu *cpu = this_cpu();
	greg_t *r = context->uc_mcontext.gregs;

	switch (number) {
	case SK_TENDER_TIMER:
		interrupt_here(cpu, 1u << IRQ_TIMER, r);
		break;
	case SK_TENDER_KICK:
		interrupt_here(cpu, __atomic_exchange_n(&cpu->host_bits, 0, __ATOMIC_SEQ_CST), r);
		break;
	case SIGSYS:
		syscall_here(cpu, signal, r);
		break;
	default:
		fault_here(cpu, vector_of(number, signal->si_code, (uint64_t)r[REG_TRAPNO]), r);
		break;
	}
}

static void init_cpu(struct cpu *cpu)
{
	(void)cpu; /* its timer and its signal stack are the tender's work */
}

static void start_cpus(uint32_t count)
{
	for (uint32_t i = 1; i < count; i++) {
		__atomic_store_n(&info->cpu[i].start, 1, __ATOMIC_SEQ_CST);
		process_call(SYS_futex, (long)&info->cpu[i].start, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
	}
}

static void interrupt(struct cpu *to, uint32_t irq)
{
	__atomic_fetch_or(&to->host_bits, 1u << irq, __ATOMIC_SEQ_CST);
	if (to->host_halted)
		process_call(SYS_futex, (long)&to->host_bits, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
	else
		process_call(SYS_tgkill, info->pid, info->cpu[to->index].tid, SK_TENDER_KICK, 0, 0,
			     0);
}

/*
 * Whoever interrupts sets host_bits first and then looks at host_halted, this CPU the other way
 * round; and a signal that comes before the wait makes the futex differ from 0.
 */
static void halt(void)
{
	struct cpu *cpu = this_cpu();
	uint32_t bits;

	cpu->host_halted = 1;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!cpu->pending)
		process_call(SYS_futex, (long)&cpu->host_bits, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0);
	cpu->host_halted = 0;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	bits = __atomic_exchange_n(&cpu->host_bits, 0, __ATOMIC_SEQ_CST);
	set_pending(cpu, bits);
}

static void give_way(void)
{
	static const uint32_t never;
	static const struct timespec how_long = {.tv_nsec = GIVE_WAY_NS};

	process_call(SYS_futex, (long)&never, FUTEX_WAIT_PRIVATE, 0, (long)&how_long, 0, 0);
}

static void timer(uint64_t deadline_ns)
{
	uint64_t at = deadline_ns + start_ns + 1;
	struct itimerspec when = {
		.it_value = {(time_t)(at / NS_PER_SEC), (long)(at % NS_PER_SEC)},
	};

	process_call(SYS_timer_settime, info->cpu[this_cpu()->index].timer, TIMER_ABSTIME,
		     (long)&when, 0, 0, 0);
}

/* --- memory --- */

static int protection(uint64_t flags)
{
	if (flags & PAGES_NONE)
		return PROT_NONE;
	return flags & PAGES_WRITE ? PROT_READ | PROT_WRITE : PROT_READ;
}

static long map(uint64_t va, uint64_t pa, uint64_t bytes, uint64_t flags)
{
	int populate = flags & PAGES_NONE ? 0 : MAP_POPULATE;
	long result =
		process_call(SYS_mmap, (long)va, (long)bytes, protection(flags),
			     MAP_SHARED | MAP_FIXED | populate, SK_TENDER_MEMORY_FD, (long)pa);

	return result < 0 ? result : 0;
}

static long unmap(uint64_t va, uint64_t bytes)
{
	return process_call(SYS_munmap, (long)va, (long)bytes, 0, 0, 0, 0);
}

/* Protect what is mapped in the range: each run of consecutive frames by one call. */
static long protect(uint64_t va, uint64_t end, uint64_t flags)
{
	uint64_t start = va, pa = 0;
	long result = 0;

	for (; va < end && !result; va += PAGE_SIZE) {
		uint64_t entry = tables_entry(va), frame = 0;

		if (entry)
			frame = ((const uint64_t *)direct_map(entry & PTE_ADDR))[va >> 12 & 511] &
				PTE_ADDR;
		if (pa && frame != pa + (va - start)) {
			result = map(start, pa, va - start, flags);
			pa = 0;
		}
		if (!pa && frame) {
			start = va;
			pa = frame;
		}
	}
	return pa && !result ? map(start, pa, end - start, flags) : result;
}

static long directory(uint64_t va, uint64_t pa, uint64_t flags)
{
	return pages_edit(boot.direct, va, pa, flags);
}

static long entries(uint64_t at, uint64_t value, uint64_t count, uint64_t is_flushed)
{
	uint64_t *entry = direct_map(at);

	(void)is_flushed;
	for (; count; count--, value += value ? PAGE_SIZE : 0)
		*entry++ = value;
	return 0;
}

static long pages(uint64_t va, uint64_t pa, uint64_t count, uint64_t flags)
{
	static const struct table_ops ops = {directory, entries};
	uint64_t bytes = count * (flags & PAGES_HUGE ? HUGE_SIZE : PAGE_SIZE);
	long result = tables_change(&ops, va, pa, count, flags);

	if (result < 0)
		return result;
	if (flags & PAGES_UNMAP)
		return unmap(va, bytes);
	if (flags & PAGES_PROTECT && flags & PAGES_HUGE)
		return map(va, tables_entry(va) & PTE_ADDR & -HUGE_SIZE, bytes, flags);
	if (flags & PAGES_PROTECT)
		return protect(va, va + bytes, flags);
	result = map(va, pa, bytes, flags);
	if (result < 0)
		(void)tables_change(&ops, va, 0, count, PAGES_UNMAP | (flags & PAGES_HUGE));
	return result;
}

static void nothing(void)
{
}

/* --- console and end --- */

static void console_start(void)
{
}

static void touch(const char *data, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += PAGE_SIZE)
		(void)*(const volatile char *)(data + at);
	if (bytes)
		(void)*(const volatile char *)(data + bytes - 1);
}

static void write_console(const char *data, size_t bytes)
{
	while (bytes) {
		size_t n = bytes < WRITE_MAX ? bytes : WRITE_MAX;
		struct pollfd out = {.fd = 1, .events = POLLOUT};
		long done;

		touch(data, n);
		done = process_call(SYS_write, 1, (long)data, (long)n, 0, 0, 0);
		if (done > 0) {
			data += done;
			bytes -= (size_t)done;
		} else if (done == -EAGAIN) {
			process_call(SYS_ppoll, (long)&out, 1, 0, 0, 8, 0);
		} else if (done != -EINTR && done != -EFAULT) {
			return; /* nobody reads any more */
		}
	}
}

static int read_byte(void)
{
	static char input[INPUT_BYTES];
	static uint32_t lock, at, end;
	static int at_end;
	static const struct timespec now;
	struct pollfd in = {.fd = 0, .events = POLLIN};
	uint32_t before = spin_lock(&lock);
	int byte = -1;
	long n;

	if (at == end && !at_end &&
	    process_call(SYS_ppoll, (long)&in, 1, (long)&now, 0, 8, 0) == 1) {
		n = process_call(SYS_read, 0, (long)input, INPUT_BYTES, 0, 0, 0);
		at_end = n == 0 || (n < 0 && n != -EINTR && n != -EAGAIN);
		at = 0;
		end = n > 0 ? (uint32_t)n : 0;
	}
	if (at < end)
		byte = (uint8_t)input[at++];
	else if (at_end)
		byte = CONSOLE_END;
	spin_unlock(&lock, before);
	return byte;
}

static int read_image(uint64_t offset, void *to, size_t bytes)
{
	if (offset > info->file_bytes || bytes > info->file_bytes - offset)
		return -1;
	memcpy(to, (const char *)info->file + offset, bytes);
	return 0;
}

/* There is nobody to tell: so keep it for the end. */
static void tell(uint32_t event, const void *about)
{
	(void)about;
	if (event == SK_DEBUG_MAIN)
		main_ns = host_ns(CLOCK_MONOTONIC);
}

static void print_time(const char *what, uint64_t at_ns)
{
	uint64_t us = (at_ns - info->start_ns) / 1000;

	kprintf(", %s after %lu.%02lu ms", what, us / 1000, us % 1000 / 10);
}

__attribute__((noreturn)) static void exit_process(int status)
{
	if (main_ns) {
		kprintf("skete: time: start at 0");
		print_time("guest entered", entry_ns);
		print_time("main()", main_ns);
		print_time("end", host_ns(CLOCK_MONOTONIC));
		kprintf("\n");
	}
	for (;;)
		process_call(SYS_exit_group, status & 0xff, 0, 0, 0, 0, 0);
}

const struct platform platform_process = {
	.halt = halt,
	.give_way = give_way,
	.pages = pages,
	.flush = nothing,
	.flush_others = nothing,
	.init_cpu = init_cpu,
	.start_cpus = start_cpus,
	.interrupt = interrupt,
	.timer = timer,
	.clock_init = clock_start,
	.clock_ns = monotonic_ns,
	.clock_wall_ns = wall_ns,
	.clock_read = read_clock,
	.console_init = console_start,
	.console_write = write_console,
	.console_byte = read_byte,
	.read_image = read_image,
	.tell = tell,
	.power_off = exit_process,
};

/* Relocated, on the boot stack. Fills in what the boot loader tells a virtual machine. */
void process_start(struct sk_tender_info *from)
{
	set_gs(&cpus[0]);
	platform = &platform_process;
	info = from;
	process_gate = from->gate;
	host_clock_gettime = (int (*)(int, struct timespec *))from->clock_gettime;
	entry_ns = host_ns(CLOCK_MONOTONIC);
	boot.bias = from->bias;
	boot.direct = boot.here = from->memory;
	boot.arena = from->arena;
	boot.initrd = from->initrd;
	boot.initrd_bytes = from->initrd_bytes;
	copy_cmdline(from->cmdline);
	cpu_count = from->cpus;
	for (uint32_t i = 0; i < cpu_count; i++) {
		cpus[i].index = i;
		cpus[i].mask = 1;
	}
	add_ram(IMAGE_BASE, from->memory_bytes);
	place();
	boot.root = shim.root;
	map_direct(boot.ram[0].start, boot.ram[0].end);
	close_frames();
	kernel_main();
}
