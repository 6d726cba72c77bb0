/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* What the files of /proc say, in Linux's formats: proc(5). */
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>

#include "../arch/x86_64/cpu.h"
#include "../kernel/boot.h"
#include "../kernel/kernel.h"
#include "../kernel/signals.h"
#include "../mm/mm.h"
#include "../sys/sys.h"
#include "fd.h"
#include "inode.h"
#include "names.h"
#include "procfs.h"
#include "tree.h"

#define KIB(frames) ((uint64_t)((frames) * (PAGE_SIZE / 1024)))
#define SECONDS(ns) ((uint64_t)((ns) / NS_PER_SEC))

extern char __image_start[], __text_start[], __text_end[], __ro_end[], __bss_end[];

static void brand(char name[49])
{
	uint32_t r[4];

	cpuid(0x80000000, 0, r);
	memcpy(name, "x86-64", 7);
	if (r[0] < 0x80000004)
		return;
	for (uint32_t i = 0; i < 3; i++) {
		cpuid(0x80000002 + i, 0, r);
		memcpy(name + 16 * i, r, 16);
	}
	name[48] = 0;
}

static const struct {
	const char *name;
	uint8_t leaf, reg, bit; /* leaf 1: of cpuid 1, 7: of cpuid 7, subleaf 0 */
} flags[] = {
	{"fpu", 1, 3, 0},      {"tsc", 1, 3, 4},       {"cx8", 1, 3, 8},
	{"cmov", 1, 3, 15},    {"clflush", 1, 3, 19},  {"mmx", 1, 3, 23},
	{"fxsr", 1, 3, 24},    {"sse", 1, 3, 25},      {"sse2", 1, 3, 26},
	{"pni", 1, 2, 0},      {"pclmulqdq", 1, 2, 1}, {"ssse3", 1, 2, 9},
	{"fma", 1, 2, 12},     {"cx16", 1, 2, 13},     {"sse4_1", 1, 2, 19},
	{"sse4_2", 1, 2, 20},  {"movbe", 1, 2, 22},    {"popcnt", 1, 2, 23},
	{"aes", 1, 2, 25},     {"xsave", 1, 2, 26},    {"avx", 1, 2, 28},
	{"f16c", 1, 2, 29},    {"rdrand", 1, 2, 30},   {"hypervisor", 1, 2, 31},
	{"fsgsbase", 7, 1, 0}, {"bmi1", 7, 1, 3},      {"avx2", 7, 1, 5},
	{"bmi2", 7, 1, 8},     {"erms", 7, 1, 9},      {"avx512f", 7, 1, 16},
	{"rdseed", 7, 1, 18},  {"adx", 7, 1, 19},      {"clwb", 7, 1, 24},
	{"sha_ni", 7, 1, 29},
};

static void write_flags(struct text *text)
{
	uint32_t one[4], seven[4];

	cpuid(1, 0, one);
	cpuid(7, 0, seven);
	text_print(text, "flags\t\t:");
	for (uint32_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if ((flags[i].leaf == 1 ? one : seven)[flags[i].reg] >> flags[i].bit & 1)
			text_print(text, " %s", flags[i].name);
}

/* How fast the time-stamp counter runs, from a tenth of a millisecond. */
static uint64_t counter_khz(void)
{
	uint64_t start_ns = clock_ns(), start = rdtsc(), ns, ticks;

	do {
		ns = clock_ns() - start_ns;
		ticks = rdtsc() - start;
	} while (ns < 100000);
	return ticks * 1000000 / ns;
}

static void write_cpuinfo(struct text *text)
{
	uint32_t r[4], vendor[4], family, model;
	char vendor_name[13] = "", name[49];
	uint64_t khz = counter_khz();

	cpuid(0, 0, vendor);
	memcpy(vendor_name, &vendor[1], 4);
	memcpy(vendor_name + 4, &vendor[3], 4);
	memcpy(vendor_name + 8, &vendor[2], 4);
	cpuid(1, 0, r);
	family = (r[0] >> 8 & 15) + (r[0] >> 20 & 255);
	model = (r[0] >> 4 & 15) | (r[0] >> 12 & 240);
	brand(name);
	for (uint32_t i = 0; i < cpu_count; i++) {
		if (!cpus[i].online)
			continue;
		text_print(text, "processor\t: %u\nvendor_id\t: %s\ncpu family\t: %u\n", i,
			   vendor_name, family);
		text_print(text, "model\t\t: %u\nmodel name\t: %s\nstepping\t: %u\n", model, name,
			   r[0] & 15);
		text_print(text, "cpu MHz\t\t: %lu.%03lu\nsiblings\t: %u\ncpu cores\t: %u\n",
			   khz / 1000, khz % 1000, cpu_count, cpu_count);
		write_flags(text);
		text_print(text, "\nclflush size\t: 64\ncache_alignment\t: 64\n"
				 "address sizes\t: 48 bits physical, 48 bits virtual\n\n");
	}
}

static void write_meminfo(struct text *text)
{
	uint64_t total = KIB(frames_total), free = KIB(frames_free_count);

	text_print(text, "MemTotal:       %8lu kB\nMemFree:        %8lu kB\n", total, free);
	text_print(text, "MemAvailable:   %8lu kB\nBuffers:               0 kB\n", free);
	text_print(text, "Cached:                0 kB\nSwapCached:            0 kB\n");
	text_print(text, "Active:         %8lu kB\nInactive:              0 kB\n", total - free);
	text_print(text, "SwapTotal:             0 kB\nSwapFree:              0 kB\n");
	text_print(text, "AnonPages:      %8lu kB\nMapped:                0 kB\n", total - free);
	text_print(text, "HugePages_Total:       0\nHugePages_Free:        0\n"
			 "Hugepagesize:       2048 kB\n");
}

static void write_seconds(struct text *text, uint64_t ns)
{
	text_print(text, "%lu.%02lu", SECONDS(ns), (uint64_t)(ns % NS_PER_SEC / 10000000));
}

static void write_uptime(struct text *text)
{
	write_seconds(text, clock_ns());
	text_print(text, " 0.00\n");
}

static uint32_t count_threads(uint32_t *running)
{
	uint32_t n = 0;

	*running = 0;
	for (uint32_t tid = 1; tid <= thread_highest(); tid++) {
		const struct thread *thread = thread_by_tid(tid);

		if (!thread || thread->is_idle)
			continue;
		n++;
		*running += thread->state == THREAD_RUNNABLE;
	}
	return n;
}

static void write_loadavg(struct text *text)
{
	uint32_t running, all = count_threads(&running);

	text_print(text, "%u.00 %u.00 %u.00 %u/%u 1\n", running, running, running, running, all);
}

static void write_stat(struct text *text)
{
	uint64_t all = clock_ns() / 10000000 * cpu_count, used = sched_process_ns() / 10000000;
	uint32_t running;

	(void)count_threads(&running);
	text_print(text, "cpu  %lu 0 0 %lu 0 0 0 0 0 0\n", used, all > used ? all - used : 0);
	for (uint32_t i = 0; i < cpu_count; i++)
		text_print(text, "cpu%u %lu 0 0 %lu 0 0 0 0 0 0\n", i, used / cpu_count,
			   (all > used ? all - used : 0) / cpu_count);
	text_print(text, "intr 0\nctxt 0\nbtime %lu\nprocesses 1\nprocs_running %u\n",
		   SECONDS(clock_wall_ns() - clock_ns()), running);
	text_print(text, "procs_blocked 0\n");
}

static void write_version(struct text *text)
{
	struct utsname name;

	(void)sys_uname(&name);
	text_print(text, "%s version %s (skete) %s\n", name.sysname, name.release, name.version);
}

static void write_filesystems(struct text *text)
{
	text_print(text, "nodev\ttmpfs\nnodev\tproc\n");
}

static void write_boot_line(struct text *text)
{
	text_print(text, "%s\n", boot.cmdline);
}

static void write_strings(struct text *text, char **strings)
{
	for (; *strings; strings++)
		text_add(text, *strings, strlen(*strings) + 1);
}

static void write_arguments(struct text *text)
{
	write_strings(text, program.argv);
}

static void write_environment(struct text *text)
{
	write_strings(text, program.envp);
}

static void write_name(struct text *text)
{
	const struct thread *first = thread_by_tid(1);

	text_print(text, "%s\n", first ? first->name : "program");
}

static void write_limits(struct text *text)
{
	text_print(text,
		   "Limit                     Soft Limit           Hard Limit           Units\n");
	text_print(text, "Max open files            %-20u %-20u files\n", fd_limit(), FD_COUNT_MAX);
}

static void map_line(struct text *text, uint64_t start, uint64_t end, const char *rights,
		     uint64_t offset, const char *name)
{
	size_t before = text->bytes;

	text_print(text, "%lx-%lx %s %08lx 00:00 0", start, end, rights, offset);
	if (*name) {
		while (text->bytes - before < 73)
			text_print(text, " ");
		text_print(text, "%s", name);
	}
	text_print(text, "\n");
}

static void write_image(struct text *text)
{
	uint64_t base = (uint64_t)__image_start;
	const char *name = program.argv[0];

	map_line(text, base, (uint64_t)__text_start, "r--p", 0, name);
	map_line(text, (uint64_t)__text_start, (uint64_t)__text_end, "r-xp",
		 (uint64_t)__text_start - base, name);
	map_line(text, (uint64_t)__text_end, (uint64_t)__ro_end, "r--p",
		 (uint64_t)__text_end - base, name);
	map_line(text, (uint64_t)__ro_end, (uint64_t)__bss_end, "rw-p", (uint64_t)__ro_end - base,
		 name);
}

static void write_maps(struct text *text)
{
	uint64_t stack = (uint64_t)program.argv;
	int image_done = 0;
	struct mm_area a;

	for (uint64_t at = 0; mm_area_next(at, &a); at = a.end) {
		char rights[5] = "---p";

		if (!image_done && a.start > (uint64_t)__image_start) {
			write_image(text);
			image_done = 1;
		}
		rights[0] = a.prot & PROT_READ ? 'r' : '-';
		rights[1] = a.prot & PROT_WRITE ? 'w' : '-';
		rights[3] = a.is_shared ? 's' : 'p';
		map_line(text, a.start, a.end, rights, a.index * PAGE_SIZE,
			 a.is_heap			     ? "[heap]"
			 : stack >= a.start && stack < a.end ? "[stack]"
			 : a.is_file			     ? "(file)"
							     : "");
	}
	if (!image_done)
		write_image(text);
}

static uint64_t image_pages(void)
{
	return (uint64_t)(__bss_end - __image_start) >> 12;
}

static void write_statm(struct text *text)
{
	uint64_t used = frames_total - frames_free_count;

	text_print(text, "%lu %lu 0 %lu 0 %lu 0\n", used + image_pages(), used,
		   (uint64_t)(__text_end - __text_start) >> 12, used);
}

static void write_status(struct text *text)
{
	const struct thread *first = thread_by_tid(1);
	uint64_t used = KIB(frames_total - frames_free_count);
	uint32_t running, threads = count_threads(&running);

	text_print(text, "Name:\t%s\nUmask:\t%04o\nState:\tR (running)\nTgid:\t1\n",
		   first ? first->name : "program", names_mask);
	text_print(text, "Pid:\t1\nPPid:\t0\nTracerPid:\t0\nUid:\t%u\t%u\t%u\t%u\n",
		   (uint32_t)sys_getuid(), (uint32_t)sys_geteuid(), (uint32_t)sys_geteuid(),
		   caller_uid());
	text_print(text, "Gid:\t%u\t%u\t%u\t%u\nFDSize:\t%u\n", (uint32_t)sys_getgid(),
		   (uint32_t)sys_getegid(), (uint32_t)sys_getegid(), caller_gid(), fd_limit());
	text_print(text, "VmSize:\t%8lu kB\nVmRSS:\t%8lu kB\nVmData:\t%8lu kB\n",
		   used + KIB(image_pages()), used, used);
	text_print(text, "Threads:\t%u\nSigPnd:\t%016lx\nSigBlk:\t%016lx\n", threads,
		   signal_pending(), this_thread()->sig.mask);
	text_print(text, "Cpus_allowed:\t%lx\n", (1ul << cpu_count) - 1);
}

static void write_self_stat(struct text *text)
{
	const struct thread *first = thread_by_tid(1);
	uint32_t running, threads = count_threads(&running);

	text_print(text, "1 (%s) R 0 1 1 0 -1 0 0 0 0 0 %lu 0 0 0 20 0 %u 0 0 %lu %lu",
		   first ? first->name : "program", clock_ns() / 10000000, threads,
		   (frames_total - frames_free_count + image_pages()) << 12,
		   frames_total - frames_free_count);
	for (int i = 25; i <= 52; i++)
		text_print(text, " 0");
	text_print(text, "\n");
}

static void write_mounts(struct text *text)
{
	text_print(text, "rootfs / tmpfs rw 0 0\nproc /proc proc rw 0 0\n");
}

static void write_host_name(struct text *text)
{
	struct utsname name;

	(void)sys_uname(&name);
	text_print(text, "%s\n", name.nodename);
}

static void write_release(struct text *text)
{
	struct utsname name;

	(void)sys_uname(&name);
	text_print(text, "%s\n", name.release);
}

static void write_system(struct text *text)
{
	struct utsname name;

	(void)sys_uname(&name);
	text_print(text, "%s\n", name.sysname);
}

static void write_pid_max(struct text *text)
{
	text_print(text, "%u\n", THREAD_MAX);
}

static void write_uuid(struct text *text)
{
	uint8_t r[16];

	if (random_bytes(r, sizeof(r)))
		return;
	r[6] = (r[6] & 15) | 0x40;
	r[8] = (r[8] & 63) | 0x80;
	for (int i = 0; i < 16; i++)
		text_print(text, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", r[i]);
	text_print(text, "\n");
}

static void write_entropy(struct text *text)
{
	text_print(text, "256\n");
}

static void write_overcommit(struct text *text)
{
	text_print(text, "1\n");
}

static void write_somaxconn(struct text *text)
{
	text_print(text, "4096\n");
}

/* Files of one directory stand together. */
const struct proc_file proc_files[] = {
	{"cpuinfo", write_cpuinfo},
	{"meminfo", write_meminfo},
	{"uptime", write_uptime},
	{"loadavg", write_loadavg},
	{"stat", write_stat},
	{"version", write_version},
	{"filesystems", write_filesystems},
	{"cmdline", write_boot_line},
	{"1/cmdline", write_arguments},
	{"1/comm", write_name},
	{"1/environ", write_environment},
	{"1/limits", write_limits},
	{"1/maps", write_maps},
	{"1/mounts", write_mounts},
	{"1/stat", write_self_stat},
	{"1/statm", write_statm},
	{"1/status", write_status},
	{"sys/kernel/hostname", write_host_name},
	{"sys/kernel/osrelease", write_release},
	{"sys/kernel/ostype", write_system},
	{"sys/kernel/pid_max", write_pid_max},
	{"sys/kernel/random/entropy_avail", write_entropy},
	{"sys/kernel/random/uuid", write_uuid},
	{"sys/net/core/somaxconn", write_somaxconn},
	{"sys/vm/overcommit_memory", write_overcommit},
};
const uint32_t proc_file_count = sizeof(proc_files) / sizeof(proc_files[0]);
