/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Unpacks gzip (RFC 1952) with deflate (RFC 1951) inside. The input is untrusted: reads and writes
 * stay within the buffers given, whatever it says, and both checksums have to be right.
 */
#ifndef SKETE_UK_GUNZIP_H
#define SKETE_UK_GUNZIP_H

#include <stddef.h>
#include <stdint.h>

/* Does this begin as a gzip file does? */
int gunzip_is_gzip(const uint8_t *in, size_t in_bytes);

/*
 * Unpack all members of the file, one behind the other, into out[0 .. out_room); zeroes may follow
 * the last. Returns how many bytes came out, -EINVAL for damaged input, or -ENOSPC when there is no
 * room for more.
 */
long gunzip(const uint8_t *in, size_t in_bytes, uint8_t *out, size_t out_room);

#endif
