/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Waiting for other CPUs: see cpu.h. */
#include "../arch/x86_64/cpu.h"
#include "../arch/x86_64/platform.h"

#define GIVE_WAY_TSC \
	260000 /* about 100 us: twice what a TLB shootdown takes where interrupts are dear */

void spin_turn(uint64_t *since)
{
	uint64_t now = rdtsc();

	cpu_relax();
	if (!*since)
		*since = now;
	if (now - *since < GIVE_WAY_TSC)
		return;
	platform->give_way();
	*since = 0;
}

void spin_lock_slowly(uint32_t *lock)
{
	uint64_t since = 0;

	do
		while (__atomic_load_n(lock, __ATOMIC_RELAXED))
			spin_turn(&since);
	while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE));
}
