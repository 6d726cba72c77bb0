/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Futexes, as futex(2) describes them; one address space, so every one is private. */
#ifndef SKETE_UK_FUTEX_H
#define SKETE_UK_FUTEX_H

#include <stdint.h>

/* Sleep while *address == value. 0, -EAGAIN, -ETIMEDOUT (of clock_ns()) or -EINTR. */
long futex_wait(const volatile uint32_t *address, uint32_t value, uint64_t deadline_ns,
		uint32_t bitset);
/* Wake up to `count` waiters whose bitset meets this one. Returns how many. */
long futex_wake(const volatile uint32_t *address, long count, uint32_t bitset);
/* Wake `wake` waiters, move up to `move` to another address; `expected` may be NULL. */
long futex_requeue(const volatile uint32_t *from, long wake, long move, const volatile uint32_t *to,
		   const uint32_t *expected);

#endif
