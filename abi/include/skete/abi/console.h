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
 * For output without an exit there is a ring in guest memory, of which the guest tells the host by
 * SK_CONSOLE_RING. The guest puts a byte at "produced", modulo the size, while produced - consumed
 * is less than the size, and then stores produced. A host that has come to the end of the ring
 * sets wants_doorbell, looks at produced once more, and sleeps. So a guest that has stored produced
 * looks at wants_doorbell, and if it is set clears it and writes any 32-bit value to the doorbell.
 * Between the two accesses of either side stands a full barrier:
 *
 *	guest:	store produced         barrier   wants_doorbell? clear it, ring
 *	host:	set wants_doorbell     barrier   more produced? take it
 *
 * The host takes what is in the ring when it has the time, at the latest when the machine ends, and
 * always before the bytes of a WRITE that comes later: one of no bytes puts the ring in order with
 * what the guest then sends by the 16550. A guest that finds no room in the ring writes by request.
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

/* Up to so many bytes of a WRITE are moved all or not at all. */
#define SK_CONSOLE_WHOLE_BYTES	 4096u

/* Operations. */
#define SK_CONSOLE_WRITE	 0u
#define SK_CONSOLE_READ		 1u
#define SK_CONSOLE_RING		 2u /* from now on there is a ring; none if len_bytes is 0 */

/* Bits of the status. */
#define SK_CONSOLE_BAD		 1u /* not done at all: no such operation, memory or ring */
#define SK_CONSOLE_END		 2u /* READ: nothing came, and nothing will come any more */

struct sk_console_request {
	/* IN: the buffer, guest-physical; len_bytes may be 0. Of a RING: the struct
	 * sk_console_ring, aligned to 64 bytes, and how many bytes of data it has, a power of two
	 * from SK_CONSOLE_RING_MIN to SK_CONSOLE_MAX_BYTES */
	__UINT64_TYPE__ buffer_gpa;
	__UINT32_TYPE__ len_bytes;
	__UINT32_TYPE__ operation;
	/* OUT: how many bytes were moved, from the first on; fewer than asked for when the host
	 * has no more room for output now, or no more input yet */
	__UINT32_TYPE__ done_bytes;
	__UINT32_TYPE__ status;
	/* OUT, of a RING only: the guest-physical address of the doorbell. 0 otherwise */
	__UINT64_TYPE__ doorbell_gpa;
};

#define SK_CONSOLE_RING_MIN 64u

/* All but data_gpa is 0 at first. Indices run on beyond the size, and around. */
struct sk_console_ring {
	/* The guest's; data_gpa is looked at once, when the host is told of the ring. */
	__UINT32_TYPE__ produced;
	__UINT32_TYPE__ unused;
	__UINT64_TYPE__ data_gpa;
	__UINT64_TYPE__ unused_too[6];
	/* The host's; the guest clears wants_doorbell. */
	__UINT32_TYPE__ consumed;
	__UINT32_TYPE__ wants_doorbell;
	__UINT64_TYPE__ unused_three[7];
};

_Static_assert(SK_CONSOLE_ABI_VERSION < 0x100u, "the version is the low byte of the id");
_Static_assert(sizeof(struct sk_console_request) == 32, "layout");
_Static_assert(__builtin_offsetof(struct sk_console_request, operation) == 12, "layout");
_Static_assert(__builtin_offsetof(struct sk_console_request, done_bytes) == 16, "layout");
_Static_assert(__builtin_offsetof(struct sk_console_request, status) == 20, "layout");
_Static_assert(__builtin_offsetof(struct sk_console_request, doorbell_gpa) == 24, "layout");
_Static_assert(__builtin_offsetof(struct sk_console_ring, consumed) == 64, "layout");
_Static_assert(__builtin_offsetof(struct sk_console_ring, wants_doorbell) == 68, "layout");
_Static_assert(sizeof(struct sk_console_ring) == 128, "layout");

#endif
