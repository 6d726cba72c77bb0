/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The debug port: how a guest that is watched tells its monitor where it is. Freestanding; guest
 * and host compile this same file.
 *
 *   outl(what, SK_DEBUG_PORT), with an address in r8 where one belongs to it
 *
 * The write returns to the guest; if a debugger wants it to, only when that lets the guest go on.
 * Nobody answers where the monitor has no such port, which reads as all ones. A guest tells of its
 * start and its stops only when its command line says so.
 *
 * SK_DEBUG_VERSION grows when the meaning of an existing event changes.
 */
#ifndef SKETE_ABI_DEBUG_H
#define SKETE_ABI_DEBUG_H

#include <stdint.h>

#define SK_DEBUG_VERSION 1u
#define SK_DEBUG_PORT	 0x0e04

/* Events. */
#define SK_DEBUG_READY	 1u /* all code is in its place, and breakpoints would be met */
#define SK_DEBUG_MAIN	 2u /* the program's main() is about to be called */
#define SK_DEBUG_STOP	 3u /* r8: a struct sk_debug_stop */
#define SK_DEBUG_READ	 4u /* r8: a struct sk_debug_read */

/* Where an image of the unikernel is, minus where it is linked, while it is being debugged. */
#define SK_DEBUG_BIAS	 (1ull << 39)

/* The registers of what was interrupted, in memory that the guest restores them from. */
struct sk_debug_regs {
	uint64_t rip, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t rflags, rsp;
};

_Static_assert(sizeof(struct sk_debug_regs) == 144, "layout");

/* An exception, before the guest does anything about it. */
struct sk_debug_stop {
	uint64_t regs;	     /* OUT: address of a struct sk_debug_regs, which may be changed */
	uint32_t signal;     /* OUT: as Linux numbers it; 5 for breakpoints and steps */
	uint32_t is_handled; /* IN: 1: go on with the registers as they are now; OUT: 0 */
};

_Static_assert(sizeof(struct sk_debug_stop) == 16, "layout");

/* A part of the file that the guest was loaded from: where its symbols are. */
struct sk_debug_read {
	uint64_t offset;
	uint64_t to;	  /* OUT: where to put it */
	uint32_t bytes;	  /* OUT: at most SK_DEBUG_READ_MAX */
	uint32_t is_done; /* IN: 1: all of it is there; OUT: 0 */
};

#define SK_DEBUG_READ_MAX 4096

_Static_assert(sizeof(struct sk_debug_read) == 24, "layout");

#endif
