/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The console port: whole buffers to and from the machine's console, with one exit each.
 * Freestanding; guest and host compile this same file.
 *
 *   outl(gpa >> 4, SK_CONSOLE_PORT)   performs the request at that guest-physical address, which is
 *                                     aligned to 16 bytes and below 64 GiB. It is done when the
 *                                     write returns; no request waits for anything.
 *   inl(SK_CONSOLE_PORT)              SK_CONSOLE_ID if the port is there; all ones if it is not.
 *
 * Accesses of other widths do nothing and read as all ones. The console is the one that the
 * machine's 16550 has: bytes of both come out in the order in which they were sent, and an input
 * byte goes to whoever takes it first. Requests of several CPUs may overlap.
 *
 * SK_CONSOLE_ABI_VERSION grows when the meaning of something here changes, so that a guest built
 * for an older version must not use the port. New operations and new bits of the status do not
 * change it: an operation that the port does not know has SK_CONSOLE_BAD.
 */
#ifndef SKETE_ABI_CONSOLE_H
#define SKETE_ABI_CONSOLE_H

#define SK_CONSOLE_ABI_VERSION	 1u

#define SK_CONSOLE_PORT		 0x0e10
#define SK_CONSOLE_PORTS	 4

/* 'S' 'k' 'C' and the version. */
#define SK_CONSOLE_ID		 (0x536b4300u | SK_CONSOLE_ABI_VERSION)

#define SK_CONSOLE_ADDRESS_SHIFT 4

/* More than this in one request counts as this. */
#define SK_CONSOLE_MAX_BYTES	 65536u

/* Operations. */
#define SK_CONSOLE_WRITE	 0u
#define SK_CONSOLE_READ		 1u

/* Bits of the status. */
#define SK_CONSOLE_BAD		 1u /* not done at all: no such operation, or no such memory */
#define SK_CONSOLE_END		 2u /* READ: nothing came, and nothing will come any more */

struct sk_console_request {
	/* IN: the buffer, guest-physical; len_bytes may be 0 */
	__UINT64_TYPE__ buffer_gpa;
	__UINT32_TYPE__ len_bytes;
	__UINT32_TYPE__ operation;
	/* OUT: how many bytes were moved, from the first on; fewer than asked for when the host
	 * has no more room for output now, or no more input yet */
	__UINT32_TYPE__ done_bytes;
	__UINT32_TYPE__ status;
	/* 0 */
	__UINT64_TYPE__ reserved;
};

_Static_assert(SK_CONSOLE_ABI_VERSION < 0x100u, "the version is the low byte of the id");
_Static_assert(sizeof(struct sk_console_request) == 32, "layout");
_Static_assert(__builtin_offsetof(struct sk_console_request, operation) == 12, "layout");
_Static_assert(__builtin_offsetof(struct sk_console_request, done_bytes) == 16, "layout");
_Static_assert(__builtin_offsetof(struct sk_console_request, status) == 20, "layout");

#endif
