/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * TLB shootdown. An idle CPU is left alone: it touches nothing that can be unmapped, and flushes
 * before it runs anything. Every other one flushes in the shim's interrupt stub, whatever its soft
 * mask says, so waiting for it while holding locks cannot deadlock.
 */
#include "../arch/x86_64/cpu.h"
#include "../arch/x86_64/platform.h"
#include "../kernel/kernel.h"
#include "mm.h"

/*
 * The partner is leave_idle() in kernel/idle.c: one stores must_flush and then looks at idle, the
 * other the reverse. So either this CPU sees that the other one is busy, or that one sees
 * must_flush; and the page tables were changed before. An idle CPU that was busy in between is idle
 * again, and will look. (The first look only spares a busy CPU a flush too many.)
 */
static int flushes_later(struct cpu *cpu)
{
	if (cpu->idle == CPU_BUSY)
		return 0;
	__atomic_store_n(&cpu->must_flush, 1, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&cpu->idle, __ATOMIC_SEQ_CST) != CPU_BUSY;
}

/* One at a time: a flush for somebody else that was under way would be taken for one's own. */
void tlb_flush_others(void)
{
	static uint32_t lock;
	const struct cpu *self = this_cpu();
	uint32_t before[MAX_CPUS], sent = 0, was_masked = spin_lock(&lock);
	uint64_t since = 0;

	for (uint32_t i = 0; i < cpu_count; i++) {
		if (&cpus[i] == self || !cpus[i].online)
			continue;
		if (flushes_later(&cpus[i]))
			continue;
		before[i] = cpus[i].flushed;
		sent |= 1u << i;
		platform->interrupt(&cpus[i], IRQ_FLUSH);
	}
	for (uint32_t i = 0; i < cpu_count; i++) {
		while (sent >> i & 1 && cpus[i].flushed == before[i])
			spin_turn(&since);
	}
	spin_unlock(&lock, was_masked);
}
