/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * TLB shootdown: every other CPU flushes in the shim's interrupt stub, whatever its soft mask says,
 * so waiting for it while holding locks cannot deadlock.
 */
#include "../arch/x86_64/cpu.h"
#include "../arch/x86_64/platform.h"
#include "../kernel/kernel.h"
#include "mm.h"

void tlb_flush_others(void)
{
	const struct cpu *self = this_cpu();
	uint32_t before[MAX_CPUS], sent = 0;

	for (uint32_t i = 0; i < cpu_count; i++) {
		if (&cpus[i] == self || !cpus[i].online)
			continue;
		/* A halted CPU looks at this word before it leaves its idle loop. */
		__atomic_store_n(&cpus[i].must_flush, 1, __ATOMIC_SEQ_CST);
		if (__atomic_load_n(&cpus[i].idle, __ATOMIC_SEQ_CST) == CPU_HALTED)
			continue;
		before[i] = cpus[i].flushed;
		sent |= 1u << i;
		platform->interrupt(&cpus[i], IRQ_FLUSH);
	}
	for (uint32_t i = 0; i < cpu_count; i++) {
		while (sent >> i & 1 && cpus[i].flushed == before[i])
			cpu_relax();
	}
}
