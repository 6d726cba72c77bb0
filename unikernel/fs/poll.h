/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Waiting for several files: what poll(2) and select(2) do. */
#ifndef SKETE_UK_POLL_H
#define SKETE_UK_POLL_H

#include <poll.h>
#include <stdint.h>

#define FD_BITS 64

/* Until one is ready, or a time of clock_ns(). How many are ready; 0, -EINTR, -ENOMEM. */
long poll_wait(struct pollfd *fds, uint64_t count, uint64_t deadline_ns);
/* The sets are arrays of words with a bit per descriptor; each may be NULL. */
long poll_select(int count, uint64_t *in, uint64_t *out, uint64_t *except, uint64_t deadline_ns);

#endif
