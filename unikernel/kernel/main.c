/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * The unikernel's start in C, after the seal: every part in order, the program's first thread, then
 * this CPU's idle loop.
 *
 * The command line: words before "--" of the form NAME=VALUE are the program's environment (names
 * with a dot are options of this kernel or of nobody), words after it are its arguments. "double
 * quotes" hold a word together, a backslash quotes one character.
 */
#include <elf.h>
#include <errno.h>
#include <skete/abi/debug.h>
#include <sys/mman.h>

#include "../arch/x86_64/platform.h"
#include "../fs/mount.h"
#include "../mm/mm.h"
#include "../sys/sys.h"
#include "../sys/trace.h"
#include "boot.h"
#include "kernel.h"
#include "thread.h"

#define STACK_BYTES (8ull << 20)
#define GUARD_BYTES (64ull << 10)
#define WORDS_MAX   256
#define VECTOR_MAX  (WORDS_MAX * 2 + 64)

extern char __image_start[], user_start[];
extern int main(int argc, char **argv, char **envp);
int __libc_start_main(int (*program)(int, char **, char **), int argc, char **argv, void (*)(void),
		      void (*)(void), void (*)(void));
_Noreturn void program_start(long *stack);

extern uint64_t xsave_bytes;
uint64_t xsave_bytes;

struct program program;
static int tells_main; /* whoever counts the time wants to know */

static char first_stack[16384] __attribute__((aligned(16)));
static char first_fault_stack[8192] __attribute__((aligned(16)));

/* The words of the command line, unquoted in place. */
struct words {
	char *argument[WORDS_MAX + 1], *environment[WORDS_MAX + 1];
	uint32_t arguments, environments;
};

static char *next_word(char **at)
{
	char *from = *at, *to, *word;
	int quoted = 0;

	while (*from == ' ' || *from == '\n')
		from++;
	if (!*from)
		return NULL;
	for (word = to = from; *from && (quoted || (*from != ' ' && *from != '\n')); from++) {
		if (*from == '"') {
			quoted = !quoted;
			continue;
		}
		*to++ = *from;
	}
	*at = *from ? from + 1 : from;
	*to = 0;
	return word;
}

static void set_word(struct words *words, char *word)
{
	const char *equals = word;

	while (*equals && *equals != '=' && *equals != '.')
		equals++;
	if (*equals == '=' && words->environments < WORDS_MAX)
		words->environment[words->environments++] = word;
	else if (kstrlen(word) == 11 && !memcmp(word, "skete.debug", 11))
		sys_debug = 1;
	else if (kstrlen(word) == 12 && !memcmp(word, "skete.strace", 12))
		trace_start();
	else if (kstrlen(word) == 9 && !memcmp(word, "skete.gdb", 9))
		platform->tell(SK_DEBUG_READY, NULL);
	else if (kstrlen(word) == 11 && !memcmp(word, "skete.stats", 11))
		tells_main = 1;
	else if (kstrlen(word) == 14 && !memcmp(word, "skete.terminal", 14))
		console_is_terminal = 1;
	else if (kstrlen(word) > 11 && !memcmp(word, "skete.name=", 11))
		words->argument[0] = word + 11;
}

static void split_cmdline(struct words *words)
{
	char *at = boot.cmdline, *word;
	int behind = 0;

	words->argument[0] = (char *)(uintptr_t) "program";
	words->arguments = 1;
	while ((word = next_word(&at))) {
		if (!behind && word[0] == '-' && word[1] == '-' && !word[2])
			behind = 1;
		else if (!behind)
			set_word(words, word);
		else if (words->arguments < WORDS_MAX)
			words->argument[words->arguments++] = word;
	}
}

/* What the C library expects above the stack pointer: argc, argv, environment, auxiliary vector. */
static uint64_t build_vector(uint64_t top)
{
	static struct words words;
	const Elf64_Ehdr *elf = (const void *)__image_start;
	uint64_t vector[VECTOR_MAX], random = top - 16, n = 0, sp;

	split_cmdline(&words);
	if (random_bytes((void *)random, 16))
		fatal("the CPU gives no random numbers");
	vector[n++] = words.arguments;
	for (uint32_t i = 0; i <= words.arguments; i++)
		vector[n++] = (uint64_t)words.argument[i];
	for (uint32_t i = 0; i <= words.environments; i++)
		vector[n++] = (uint64_t)words.environment[i];
	const uint64_t aux[] = {
		AT_PHDR,   (uint64_t)__image_start + elf->e_phoff,
		AT_PHENT,  elf->e_phentsize,
		AT_PHNUM,  elf->e_phnum,
		AT_PAGESZ, PAGE_SIZE,
		AT_UID,	   0,
		AT_EUID,   0,
		AT_GID,	   0,
		AT_EGID,   0,
		AT_SECURE, 0,
		AT_RANDOM, random,
		AT_EXECFN, (uint64_t)words.argument[0],
		AT_NULL,   0,
	};
	for (uint32_t i = 0; i < sizeof(aux) / sizeof(aux[0]); i++)
		vector[n++] = aux[i];
	sp = (random - n * 8) & ~15ull;
	memcpy((void *)sp, vector, n * 8);
	return sp;
}

static int told_main(int argc, char **argv, char **envp)
{
	platform->tell(SK_DEBUG_MAIN, NULL);
	return main(argc, argv, envp);
}

static void name_thread(const char *path)
{
	const char *name = path;
	struct thread *self = this_thread();

	for (; *path; path++)
		if (*path == '/')
			name = path + 1;
	for (uint32_t i = 0; i < sizeof(self->name) - 1 && name[i]; i++)
		self->name[i] = name[i];
}

void program_start(long *stack)
{
	program.argv = (char **)(stack + 1);
	program.envp = program.argv + stack[0] + 1;
	name_thread(program.argv[0]);
	__libc_start_main(tells_main ? told_main : main, (int)stack[0], (char **)(stack + 1), NULL,
			  NULL, NULL);
	__builtin_unreachable();
}

static struct thread *first_thread(void)
{
	struct thread *thread = thread_alloc();
	long stack = mm_map(0, STACK_BYTES + GUARD_BYTES, AREA_STACK, 0);

	if (!thread || stack < 0 ||
	    mm_protect((uint64_t)stack + GUARD_BYTES, STACK_BYTES, PROT_READ | PROT_WRITE) < 0)
		fatal("too little memory for the first thread");
	thread->regs.rip = (uint64_t)user_start;
	thread->regs.rsp = build_vector((uint64_t)stack + GUARD_BYTES + STACK_BYTES);
	thread->regs.rflags = 0x202;
	thread->full = 1;
	thread->affinity = ~0ull;
	return thread;
}

/* Give each of the other CPUs its stacks, and send for it. Whichever comes first is the next. */
static void start_cpus(void)
{
	uint32_t next;

	for (next = 1; next < cpu_count; next++) {
		struct cpu *cpu = &cpus[next];
		struct thread *idle = thread_alloc();
		char *stacks = kernel_pages(4);

		if (!idle || !stacks)
			break;
		cpu->index = next;
		cpu->idle_thread = idle;
		idle->is_idle =
			1; /* now: the program may look at the threads before that CPU is up */
		cpu->nested_rip = (uint64_t)stacks + 4096;
		cpu->stack_top = (uint64_t)stacks + 12288;
		cpu->fault_stack = (uint64_t)stacks + 16384;
	}
	cpu_count = next;
	platform->start_cpus(next);
}

/* How far the parts of XSAVE_MASK reach that this CPU has (SDM volume 1, 13.4). */
static uint64_t xsave_size(void)
{
	uint64_t size = 512 + 64;
	uint32_t has[4], r[4];

	cpuid(0xd, 0, has);
	for (uint32_t i = 2; i < 32; i++) {
		if (!((has[0] & XSAVE_MASK) >> i & 1))
			continue;
		cpuid(0xd, i, r);
		if (r[1] + r[0] > size)
			size = r[1] + r[0];
	}
	return (size + 63) & ~63ull;
}

void kernel_main(void)
{
	struct cpu *cpu = &cpus[0];
	struct thread *first, *idle;

	set_gs(cpu);
	cpu->self = cpu;
	cpu->nested_top = (uint64_t)(&cpu->nested + 1);
	cpu->stack_top = (uint64_t)first_stack + sizeof(first_stack);
	cpu->fault_stack = (uint64_t)first_fault_stack + sizeof(first_fault_stack);
	xsave_bytes = xsave_size();
	if (xsave_bytes > PAGE_SIZE - XSAVE_OFFSET)
		fatal("the CPU's vector state is too large");
	platform->console_init();
	mm_init();
	platform->clock_init();
	platform->init_cpu(cpu);
	mount_all();
	first = first_thread();
	idle = thread_alloc();
	if (!idle)
		fatal("too little memory");
	sched_init_cpu(cpu, idle);
	sched_start(first);
	start_cpus();
	sched_idle();
}

void ap_main(struct cpu *cpu)
{
	set_gs(cpu);
	platform->init_cpu(cpu);
	sched_init_cpu(cpu, cpu->idle_thread);
	sched_idle();
}
