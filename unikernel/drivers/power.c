/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * The end of the machine. Skete's exit port takes the exact status; QEMU's debug-exit device takes
 * a part of it; other monitors see an ACPI power-off, and last a reset by the keyboard controller.
 */
#include <skete/abi/exit.h>

#include "../arch/x86_64/cpu.h"
#include "../arch/x86_64/platform.h"
#include "../kernel/kernel.h"
#include "vm.h"

#define PORT_DEBUG_EXIT 0xf4 /* QEMU exits with value * 2 + 1 */
#define SLEEP_ENABLE	0x2000

/* A slot of 512 GiB that nothing else is ever mapped in: see random_place(). */
#define REGISTER_VA	(2ull << 39)
#define REGISTER_MASK	0x1fffffull

void power_off(int status)
{
	mask();
	platform->power_off(status);
}

/* A register in memory, of one byte; ring 3 may map what is not RAM. */
static void write_register(uint64_t pa, uint8_t value)
{
	uint64_t offset = pa & REGISTER_MASK;

	if (request(REQ_PAGES, REGISTER_VA, pa - offset, PAGES_HUGE | PAGES_WRITE, 0))
		return;
	*(volatile uint8_t *)(REGISTER_VA + offset) = value;
}

static void sleep_control(void)
{
	uint8_t value = (uint8_t)(acpi_power.sleep_type << 2 | 0x20);

	if (acpi_power.sleep_is_memory)
		write_register(acpi_power.sleep_control, value);
	else
		request(REQ_OUT, acpi_power.sleep_control, value, 1, 0);
}

void vm_power_off(int status)
{
	if ((uint32_t)request(REQ_IN, SK_EXIT_PORT, 4, 0, 0) == SK_EXIT_ID)
		request(REQ_OUT, SK_EXIT_PORT, (uint32_t)status & 0xff, 4, 0);
	request(REQ_OUT, PORT_DEBUG_EXIT, (uint32_t)status & 0xff, 4, 0);
	if (acpi_power.sleep_control)
		sleep_control();
	if (acpi_power.pm1a_control)
		request(REQ_OUT, acpi_power.pm1a_control,
			acpi_power.sleep_type << 10 | SLEEP_ENABLE, 2, 0);
	if (acpi_power.pm1b_control)
		request(REQ_OUT, acpi_power.pm1b_control,
			acpi_power.sleep_type << 10 | SLEEP_ENABLE, 2, 0);
	request(REQ_OUT, 0x64, 0xfe, 1, 0);
	for (;;) {
		this_cpu()->pending = 0;
		request(REQ_HALT, 0, 0, 0, 0);
	}
}
