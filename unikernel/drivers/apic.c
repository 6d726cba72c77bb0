/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* The local APIC through the shim: timer, interrupts between CPUs, start-up of CPUs. */
#include "../arch/x86_64/cpu.h"
#include "../kernel/boot.h"
#include "../kernel/kernel.h"
#include "vm.h"

#define APIC_ID	       0x20
#define APIC_TPR       0x80
#define APIC_SVR       0xf0
#define APIC_ICR       0x300
#define APIC_LVT_TIMER 0x320
#define APIC_LVT_LINT0 0x350
#define APIC_COUNT     0x380
#define APIC_DIVIDE    0x3e0
#define LVT_DEADLINE   (2u << 17)
#define ICR_INIT       0x4500
#define ICR_STARTUP    0x4600

static uint32_t has_deadline;

static void write(uint32_t reg, uint64_t low, uint64_t high)
{
	request(REQ_APIC_WRITE, reg, low, high, 0);
}

static uint32_t own_id(void)
{
	uint32_t id = (uint32_t)request(REQ_APIC_READ, APIC_ID, 0, 0, 0);

	return boot.has_x2apic ? id : id >> 24;
}

/*
 * On a partial KVM, what CPUID says in ring 3 is what the host has. If the machine has no
 * deadlines, that mode of the timer does not stick.
 */
void apic_init_cpu(struct cpu *cpu)
{
	uint32_t r[4];

	cpuid(1, 0, r);
	if (cpu->index) {
		cpu->apic_id = own_id();
		tsc_clock_init_cpu();
	}
	write(APIC_SVR, 0x100 | VECTOR_SPURIOUS, 0);
	write(APIC_LVT_TIMER, (VECTOR_IRQ + IRQ_TIMER) | (r[2] >> 24 & 1 ? LVT_DEADLINE : 0), 0);
	has_deadline = !!(request(REQ_APIC_READ, APIC_LVT_TIMER, 0, 0, 0) & LVT_DEADLINE);
	if (!has_deadline)
		write(APIC_DIVIDE, 0xb, 0);
}

void apic_timer(uint64_t deadline_ns)
{
	uint64_t now, ticks;

	if (has_deadline) {
		request(REQ_DEADLINE, clock_to_tsc(deadline_ns) + 1, 0, 0, 0);
		return;
	}
	now = clock_ns();
	ticks = deadline_ns > now ? deadline_ns - now : 1; /* 1 GHz: see time.c */
	write(APIC_COUNT, ticks < 0xffffffff ? ticks + 1 : 0xffffffff, 0);
}

void apic_send(struct cpu *to, uint32_t irq)
{
	uint32_t before = mask(); /* ring 0 writes two registers of an xAPIC */

	write(APIC_ICR, 0x4000 | (VECTOR_IRQ + irq), to->apic_id);
	unmask(before);
}

/* Send the start-up interrupts and go on; a CPU joins when it is up, and finds its own id. */
void apic_start_cpus(uint32_t count)
{
	uint32_t self = own_id(), ids[MAX_CPUS];

	for (uint32_t i = 0; i < cpu_count; i++)
		if (cpus[i].apic_id == self) {
			cpus[i].apic_id = cpus[0].apic_id;
			cpus[0].apic_id = self;
		}
	for (uint32_t i = 1; i < count; i++)
		ids[i] = cpus[i].apic_id;
	for (uint32_t i = 1; i < count; i++)
		write(APIC_ICR, ICR_INIT, ids[i]);
	for (uint32_t i = 1; i < count; i++)
		write(APIC_ICR, ICR_STARTUP | AP_TRAMPOLINE >> 12, ids[i]);
}
