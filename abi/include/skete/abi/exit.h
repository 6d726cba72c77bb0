/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The status port: how a guest ends its machine with an exact 32-bit status. Freestanding; guest
 * and host compile this same file.
 *
 *   outl(status, SK_EXIT_PORT)   the machine ends with that status, all 32 bits of it. The write
 *                                may return to the guest; it should halt behind it. The first
 *                                write counts.
 *   inl(SK_EXIT_PORT)            SK_EXIT_ID if the port is there; all ones if it is not.
 *
 * Accesses of other widths do nothing and read as all ones.
 *
 * SK_EXIT_ABI_VERSION grows when the meaning of an existing access changes, so that a guest built
 * for an older version must not use the port. Something new beside it (a second port) does not
 * change it. A guest that finds another version than its own stays away.
 */
#ifndef SKETE_ABI_EXIT_H
#define SKETE_ABI_EXIT_H

#define SK_EXIT_ABI_VERSION 1u

#define SK_EXIT_PORT	    0x0e00
#define SK_EXIT_PORTS	    4

/* 'S' 'k' 'E' and the version. */
#define SK_EXIT_ID	    (0x536b4500u | SK_EXIT_ABI_VERSION)

_Static_assert(SK_EXIT_ABI_VERSION < 0x100u, "the version is the low byte of the id");

#endif
