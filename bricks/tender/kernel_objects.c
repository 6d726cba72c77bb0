/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Threads, timers and signal handlers by Linux's own calls, past the C library: it would keep
 * memory of its own for each, which is taken away.
 */
#include "kernel_objects.h"

#include <elf.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MAX_VDSO_BYTES (UINT64_C(1) << 20)
#define SA_RESTORER    0x04000000
#define CPU_FLAGS      (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

void tender_ranges_sort(struct tender_range *ranges, size_t nr)
{
	for (size_t i = 1; i < nr; i++) {
		struct tender_range r = ranges[i];
		size_t at = i;

		for (; at > 0 && ranges[at - 1].start > r.start; at--)
			ranges[at] = ranges[at - 1];
		ranges[at] = r;
	}
}

static int find_mapping(struct tender_vdso *out)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];

	if (!maps)
		return -errno;
	out->start = UINT64_MAX;
	while (fgets(line, sizeof(line), maps)) {
		unsigned long long start, end;

		if ((!strstr(line, "[vdso]") && !strstr(line, "[vvar")) ||
		    sscanf(line, "%llx-%llx", &start, &end) != 2)
			continue;
		out->start = SK_MIN(out->start, (uint64_t)start);
		out->end = SK_MAX(out->end, (uint64_t)end);
		if (strstr(line, "[vdso]"))
			out->code = start;
	}
	fclose(maps);
	return out->code ? 0 : -ENOENT;
}

/* The kernel's own ELF image; its symbols are all dynamic. */
static uint64_t find_function(uint64_t at, const char *name)
{
	const uint8_t *base = (const uint8_t *)at;
	const Elf64_Ehdr *elf = (const void *)base;
	const Elf64_Phdr *h = (const void *)(base + elf->e_phoff);
	const Elf64_Dyn *dynamic = NULL;
	const Elf64_Sym *symbols = NULL;
	const char *names = NULL;

	for (unsigned int i = 0; i < elf->e_phnum; i++)
		if (h[i].p_type == PT_DYNAMIC)
			dynamic = (const void *)(base + h[i].p_offset);
	for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++) {
		if (dynamic->d_tag == DT_SYMTAB)
			symbols = (const void *)(base + dynamic->d_un.d_ptr);
		if (dynamic->d_tag == DT_STRTAB)
			names = (const void *)(base + dynamic->d_un.d_ptr);
	}
	/* The string table follows the symbols. */
	for (const Elf64_Sym *s = symbols; s && names && (const char *)(s + 1) <= names; s++)
		if (s->st_shndx != SHN_UNDEF && !strcmp(names + s->st_name, name))
			return at + s->st_value;
	return 0;
}

int tender_vdso_find(struct tender_vdso *out, struct sk_error *err)
{
	int ret;

	*out = (struct tender_vdso){0};
	ret = find_mapping(out);
	if (!ret && out->end - out->start <= MAX_VDSO_BYTES)
		out->clock_gettime = find_function(out->code, "__vdso_clock_gettime");
	if (ret || !out->clock_gettime)
		return sk_error_set(
			err, ret ? ret : -ENOTSUP,
			"cannot find Linux's vDSO in /proc/self/maps, which tells the time");
	return 0;
}

static int create_timer(uint32_t tid, int32_t *out)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = SK_TENDER_TIMER,
		._sigev_un._tid = (pid_t)tid,
	};

	return syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, out) ? -errno : 0;
}

/* A thread whose first code is at @code; its stack holds what that code wants to know. */
static long clone_cpu(uint64_t stack, uint64_t code)
{
	register uint64_t r8 asm("r8") = 0, r10 asm("r10") = 0, r12 asm("r12") = code;
	long result = SYS_clone;

	asm volatile("syscall\n\ttest %%rax, %%rax\n\tjnz 1f\n\tjmp *%%r12\n1:"
		     : "+a"(result), "+r"(r12)
		     : "D"((uint64_t)CPU_FLAGS), "S"(stack), "d"(0ul), "r"(r10), "r"(r8)
		     : "rcx", "r11", "memory");
	return result;
}

static int create_cpu(struct tender_stage *stage, uint32_t index, uint64_t stage_at, uint64_t entry)
{
	struct tender_stage_cpu *cpu = &stage->cpu[index];
	struct sk_tender_cpu *told = &stage->info.cpu[index];
	uint64_t top = (cpu->stack + cpu->stack_bytes - sizeof(cpu->start)) & ~UINT64_C(63);
	stack_t own;
	long tid = syscall(SYS_gettid);

	if (index) {
		cpu->start.entry = entry;
		memcpy((void *)top, &cpu->start, sizeof(cpu->start));
		tid = clone_cpu(top, stage_code(stage_at, tender_wait));
		if (tid < 0)
			return (int)tid;
	} else {
		memcpy(&own, cpu->start.altstack, sizeof(own));
		if (sigaltstack(&own, NULL))
			return -errno;
	}
	told->tid = (uint32_t)tid;
	return create_timer(told->tid, &told->timer);
}

int tender_cpus_create(struct tender_stage *stage, uint32_t cpus, uint64_t stage_at, uint64_t entry,
		       struct sk_error *err)
{
	const uint64_t none = 0;
	int ret = 0;

	/* The threads inherit the mask: none is blocked. */
	if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, 8))
		ret = -errno;
	for (uint32_t i = 0; !ret && i < cpus; i++)
		ret = create_cpu(stage, i, stage_at, entry);
	if (ret)
		return sk_error_set(err, ret, "cannot create the threads of %u CPUs: %s", cpus,
				    strerror(-ret));
	/* Acquire nothing: that they wait is all that matters. */
	while (__atomic_load_n(&stage->ready, __ATOMIC_RELAXED) != cpus - 1)
		sched_yield();
	return 0;
}

int tender_signals_take(uint64_t handler, uint64_t restore, struct sk_error *err)
{
	static const int taken[] = {SIGSEGV, SIGBUS, SIGFPE,	      SIGILL,
				    SIGTRAP, SIGSYS, SK_TENDER_TIMER, SK_TENDER_KICK};
	/* The kernel's struct sigaction. */
	const struct {
		uint64_t handler, flags, restorer, mask;
	} action = {handler, SA_SIGINFO | SA_ONSTACK | SA_RESTORER, restore, ~UINT64_C(0)};

	for (size_t i = 0; i < SK_ARRAY_SIZE(taken); i++)
		if (syscall(SYS_rt_sigaction, taken[i], &action, NULL, 8))
			return sk_error_set(err, -errno, "cannot take signal %d: %s", taken[i],
					    strerror(errno));
	return 0;
}
