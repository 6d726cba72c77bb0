/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The filter (seccomp(2), classic BPF). It asks first where a system call comes from: only the gate
 * reaches the list; a `syscall` anywhere else traps, so that the unikernel serves it itself. Then,
 * through the gate, what is called and with which arguments.
 */
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "tender_internal.h"

#define MAX_FAILS 16

struct builder {
	struct sock_filter *out;
	uint16_t n;
	/* of the block under construction */
	uint16_t head;
	uint16_t fails[MAX_FAILS]; /* jumps to where it is refused */
	bool if_true[MAX_FAILS];
	uint16_t nr_fails;
};

#define WORD_NR	       offsetof(struct seccomp_data, nr)
#define WORD_ARCH      offsetof(struct seccomp_data, arch)
#define WORD_IP_LOW    offsetof(struct seccomp_data, instruction_pointer)
#define WORD_IP_HIGH   (WORD_IP_LOW + 4)
#define WORD_LOW(arg)  (offsetof(struct seccomp_data, args) + 8 * (arg))
#define WORD_HIGH(arg) (WORD_LOW(arg) + 4)

static void emit(struct builder *b, uint16_t code, size_t k, uint8_t jt, uint8_t jf)
{
	BUG_ON(b->n == TENDER_FILTER_MAX);
	b->out[b->n++] = (struct sock_filter){code, jt, jf, (uint32_t)k};
}

static void load(struct builder *b, size_t word)
{
	emit(b, BPF_LD | BPF_W | BPF_ABS, word, 0, 0);
}

static void give(struct builder *b, uint32_t verdict)
{
	emit(b, BPF_RET | BPF_K, verdict, 0, 0);
}

/* Go on in the block if the comparison says @wanted, else to its refusal. */
static void need(struct builder *b, uint16_t comparison, uint32_t k, bool wanted)
{
	BUG_ON(b->nr_fails == MAX_FAILS);
	b->fails[b->nr_fails] = b->n;
	b->if_true[b->nr_fails++] = !wanted;
	emit(b, BPF_JMP | BPF_K | comparison, k, 0, 0);
}

static void need_word(struct builder *b, size_t word, uint32_t value)
{
	load(b, word);
	need(b, BPF_JEQ, value, true);
}

static void need_argument(struct builder *b, unsigned int arg, uint32_t value)
{
	need_word(b, WORD_HIGH(arg), 0);
	need_word(b, WORD_LOW(arg), value);
}

/* No other bits than these. */
static void need_bits(struct builder *b, unsigned int arg, uint32_t allowed)
{
	need_word(b, WORD_HIGH(arg), 0);
	load(b, WORD_LOW(arg));
	need(b, BPF_JSET, ~allowed, false);
}

/* A range inside the arena; the slot of addresses behind it is empty, so an end may reach there. */
static void need_arena(struct builder *b, uint64_t arena)
{
	load(b, WORD_HIGH(0));
	need(b, BPF_JGE, (uint32_t)(arena >> 32), true);
	need(b, BPF_JGE, (uint32_t)((arena + SK_TENDER_ARENA_BYTES) >> 32), false);
	need_word(b, WORD_HIGH(1), 0);
	_Static_assert(SK_TENDER_MAP_BYTES == UINT64_C(1) << 32, "the length's high word is 0");
}

static void begin(struct builder *b)
{
	b->head = b->n;
	b->nr_fails = 0;
}

/* What passed is allowed, the rest gets @verdict. */
static void end(struct builder *b, uint32_t verdict)
{
	give(b, SECCOMP_RET_ALLOW);
	for (uint16_t i = 0; i < b->nr_fails; i++) {
		struct sock_filter *jump = &b->out[b->fails[i]];
		uint8_t distance = (uint8_t)(b->n - b->fails[i] - 1);

		if (b->if_true[i])
			jump->jt = distance;
		else
			jump->jf = distance;
	}
	give(b, verdict);
}

/* A block for one system call through the gate; other numbers skip it. */
static void begin_call(struct builder *b, uint32_t number)
{
	begin(b);
	load(b, WORD_NR);
	emit(b, BPF_JMP | BPF_JEQ | BPF_K, number, 0, 0);
}

static void end_call(struct builder *b)
{
	end(b, SECCOMP_RET_ERRNO | EPERM);
	b->out[b->head + 1].jf = (uint8_t)(b->n - b->head - 2);
}

static void allow_any(struct builder *b, uint32_t number)
{
	begin_call(b, number);
	end_call(b);
}

static void build_gate(struct builder *b, const struct tender_filter *what)
{
	begin_call(b, SYS_futex);
	need_word(b, WORD_HIGH(1), 0);
	load(b, WORD_LOW(1));
	emit(b, BPF_ALU | BPF_AND | BPF_K, ~1u, 0, 0); /* FUTEX_WAIT 0, FUTEX_WAKE 1 */
	need(b, BPF_JEQ, 128, true);		       /* FUTEX_PRIVATE_FLAG */
	end_call(b);

	allow_any(b, SYS_timer_settime);

	begin_call(b, SYS_mmap);
	need_arena(b, what->arena);
	need_bits(b, 2, PROT_READ | PROT_WRITE);
	need_bits(b, 3, MAP_SHARED | MAP_FIXED | MAP_POPULATE);
	emit(b, BPF_ALU | BPF_OR | BPF_K, MAP_POPULATE, 0, 0);
	need(b, BPF_JEQ, MAP_SHARED | MAP_FIXED | MAP_POPULATE, true);
	need_argument(b, 4, SK_TENDER_MEMORY_FD);
	end_call(b);

	begin_call(b, SYS_munmap);
	need_arena(b, what->arena);
	end_call(b);

	begin_call(b, SYS_write);
	need_argument(b, 0, 1);
	end_call(b);

	begin_call(b, SYS_tgkill);
	need_argument(b, 0, what->pid);
	need_argument(b, 2, SK_TENDER_KICK);
	end_call(b);

	begin_call(b, SYS_read);
	need_argument(b, 0, 0);
	end_call(b);

	allow_any(b, SYS_ppoll);
	allow_any(b, SYS_exit_group);
	give(b, SECCOMP_RET_ERRNO | EPERM);
}

uint16_t tender_filter_build(struct sock_filter *out, const struct tender_filter *what)
{
	struct builder b = {.out = out};
	uint16_t to_gate[2];

	begin(&b);
	load(&b, WORD_ARCH);
	emit(&b, BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	give(&b, SECCOMP_RET_TRAP);

	/* The gate? Its code is at the end. */
	load(&b, WORD_IP_HIGH);
	to_gate[0] = b.n;
	emit(&b, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(what->gate >> 32), 0, 2);
	load(&b, WORD_IP_LOW);
	to_gate[1] = b.n;
	emit(&b, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)what->gate, 0, 0);

	/* The return from a signal handler. */
	load(&b, WORD_NR);
	emit(&b, BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 0, 6);
	begin(&b);
	need_word(&b, WORD_IP_HIGH, (uint32_t)(what->restore >> 32));
	need_word(&b, WORD_IP_LOW, (uint32_t)what->restore);
	end(&b, SECCOMP_RET_TRAP);

	/* The vDSO, where it needs the kernel to tell the time. */
	begin(&b);
	need_word(&b, WORD_NR, SYS_clock_gettime);
	need_word(&b, WORD_IP_HIGH, (uint32_t)(what->vdso >> 32));
	load(&b, WORD_IP_LOW);
	need(&b, BPF_JGE, (uint32_t)what->vdso, true);
	need(&b, BPF_JGE, (uint32_t)what->vdso_end, false);
	end(&b, SECCOMP_RET_TRAP);

	out[to_gate[1]].jt = (uint8_t)(b.n - to_gate[1] - 1);
	build_gate(&b, what);
	return b.n;
}
