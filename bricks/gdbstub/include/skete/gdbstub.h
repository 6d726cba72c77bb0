/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The target's side of gdb's remote serial protocol ("Debugging with GDB", appendix E), for x86-64
 * in all-stop mode: bytes from gdb go in, bytes for gdb come out, and what gdb wants is asked of a
 * target through a table of functions. No sockets, no threads, no KVM in here.
 *
 * gdb's threads are numbered from 1; here they are counted from 0.
 *
 * Threading class: owner-thread only. Callbacks are called on the thread that calls in, and must
 * not call back in.
 */
#ifndef SKETE_GDBSTUB_H
#define SKETE_GDBSTUB_H

#include <skete/base.h>

/* The registers as gdb's org.gnu.gdb.i386.core, .sse and .segments order them. */
struct sk_gdb_regs {
	uint64_t gpr[16]; /* rax rbx rcx rdx rsi rdi rbp rsp r8-r15 */
	uint64_t rip;
	uint32_t eflags;
	uint32_t segments[6]; /* cs ss ds es fs gs */
	uint8_t st[8][10];
	uint32_t fpu[8]; /* fctrl fstat ftag fiseg fioff foseg fooff fop */
	uint8_t xmm[16][16];
	uint32_t mxcsr;
	uint64_t fs_base, gs_base;
};

enum sk_gdb_break {
	SK_GDB_BREAK_SOFT,
	SK_GDB_BREAK_HARD,
	SK_GDB_WATCH_WRITE,
	SK_GDB_WATCH_ACCESS = 4
};

enum sk_gdb_action { SK_GDB_STAY, SK_GDB_CONTINUE, SK_GDB_STEP };

/*
 * What the target must do; it stands still whenever it is called, but for stop(). All return 0 or
 * -errno, which gdb sees as an error. -EOPNOTSUPP of a breakpoint: there are none of that kind.
 */
struct sk_gdb_ops {
	uint32_t (*nr_threads)(void *ctx);
	int (*read_regs)(void *ctx, uint32_t thread, struct sk_gdb_regs *out);
	int (*write_regs)(void *ctx, uint32_t thread, const struct sk_gdb_regs *regs);
	/* Whole or not at all; the address is the thread's virtual one. */
	int (*read_memory)(void *ctx, uint32_t thread, uint64_t address, void *to,
			   size_t len_bytes);
	int (*write_memory)(void *ctx, uint32_t thread, uint64_t address, const void *from,
			    size_t len_bytes);
	int (*set_break)(void *ctx, enum sk_gdb_break kind, uint64_t address, uint32_t len_bytes);
	int (*clear_break)(void *ctx, enum sk_gdb_break kind, uint64_t address, uint32_t len_bytes);
	/* One action for each thread. @signal: gdb wants the program to see it; 0: none. */
	int (*resume)(void *ctx, const enum sk_gdb_action *actions, uint32_t nr, int signal);
	/* Stop soon; sk_gdb_stopped() follows. The target runs. */
	void (*stop)(void *ctx);
	/* gdb is gone and wants the target to go on (with all breakpoints removed), or to end. */
	void (*detach)(void *ctx);
	void (*kill)(void *ctx);
	/* Bytes for gdb. */
	void (*send)(void *ctx, const void *data, size_t len_bytes);
};

struct sk_gdb;

struct sk_gdb_config {
	const struct sk_gdb_ops *ops;
	void *ctx;
	uint64_t text, data; /* where the first two segments of the program are; 0: as linked */
};

/* A session that has just been connected, with the target stopped. -ENOMEM. */
int sk_gdb_create(struct sk_gdb **out, const struct sk_gdb_config *config,
		  struct sk_error *err) SK_MUST_CHECK;
void sk_gdb_destroy(struct sk_gdb *gdb);

/* Bytes from gdb, in any portions. They are not trusted. */
void sk_gdb_receive(struct sk_gdb *gdb, const void *data, size_t len_bytes);

/* The target has stopped in @thread, by a signal (5: breakpoint, step; 2: stop(); or a fault). */
void sk_gdb_stopped(struct sk_gdb *gdb, uint32_t thread, int signal, bool is_breakpoint);

/* The target has ended: with a status, or (status < 0) otherwise. */
void sk_gdb_exited(struct sk_gdb *gdb, int status);

#endif
