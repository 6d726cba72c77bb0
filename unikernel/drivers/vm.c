/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* The platform "virtual machine": the shim's requests, and the drivers behind them. */
#include "vm.h"

#include <errno.h>
#include <skete/abi/debug.h>

#include "../arch/x86_64/cpu.h"
#include "../arch/x86_64/platform.h"
#include "../arch/x86_64/tables.h"
#include "../kernel/kernel.h"
#include "../mm/mm.h"

const struct platform *platform = &platform_vm;

static void halt(void)
{
	request(REQ_HALT, 0, 0, 0, 0);
}

/*
 * There is no way to yield but to halt until the timer's interrupt. What is pending would keep it
 * from halting: so that is put aside. The timer's bit is set in any case, because nobody knows any
 * more what the timer is set to; then it is set anew.
 */
static void give_way(void)
{
	struct cpu *cpu = this_cpu();
	uint32_t bits = __atomic_exchange_n(&cpu->pending, 0, __ATOMIC_RELAXED);

	apic_timer(clock_ns() + GIVE_WAY_NS);
	request(REQ_HALT, 0, 0, 0, 0);
	set_pending(cpu, bits | 1u << IRQ_TIMER);
}

static void flush(void)
{
	request(REQ_FLUSH, 0, 0, 0, 0);
}

static long directory(uint64_t va, uint64_t pa, uint64_t flags)
{
	long result = request(REQ_PAGES, va, pa, flags, 0);

	if (flags & PAGES_FLUSH)
		flush();
	return result;
}

static long entries(uint64_t at, uint64_t value, uint64_t count, uint64_t is_flushed)
{
	/* The shim sets the bit against execution itself, and looks at the others. */
	return request(REQ_ENTRIES, at, value & ~PTE_NX, count, is_flushed) ? -EPERM : 0;
}

static long pages(uint64_t va, uint64_t pa, uint64_t count, uint64_t flags)
{
	static const struct table_ops ops = {directory, entries};

	return tables_change(&ops, va, pa, count, flags);
}

static uint32_t has_port;

static void console_start(void)
{
	has_port = (uint32_t)port_is_there();
	if (!has_port) {
		uart_init();
		console_is_terminal = 1; /* as far as anybody knows; and it has no other end */
	}
}

static void write_console(const char *data, size_t bytes)
{
	if (has_port)
		port_write(data, bytes);
	else
		uart_write(data, bytes);
}

static int read_byte(void)
{
	return has_port ? port_byte() : uart_byte();
}

static void tell(uint32_t event, const void *about)
{
	request(REQ_OUT, SK_DEBUG_PORT, event, 4, (uint64_t)about);
}

static int read_image(uint64_t offset, void *to, size_t bytes)
{
	struct sk_debug_read read = {
		.offset = offset, .to = (uint64_t)to, .bytes = (uint32_t)bytes};

	tell(SK_DEBUG_READ, &read);
	return *(volatile uint32_t *)&read.is_done ? 0 : -1;
}

const struct platform platform_vm = {
	.halt = halt,
	.give_way = give_way,
	.pages = pages,
	.flush = flush,
	.flush_others = tlb_flush_others,
	.init_cpu = apic_init_cpu,
	.start_cpus = apic_start_cpus,
	.interrupt = apic_send,
	.timer = apic_timer,
	.clock_init = tsc_clock_init,
	.clock_ns = tsc_clock_ns,
	.clock_wall_ns = tsc_clock_wall_ns,
	.clock_read = tsc_clock_read,
	.console_init = console_start,
	.console_write = write_console,
	.console_byte = read_byte,
	.read_image = read_image,
	.tell = tell,
	.power_off = vm_power_off,
};
