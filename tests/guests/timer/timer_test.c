/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include "harness.h"

enum timer { PIT = 1, DEADLINE = 2, PERIODIC = 3 };

static void ticks(enum timer timer, enum sk_kvm_irqchip irqchip, const char *text)
{
	const struct guest_config config = {
		.mode = SK_KVM_MODE_LONG,
		.irqchip = irqchip,
		.has_pit = irqchip == SK_KVM_IRQCHIP_KERNEL,
		.entry = {.rdi = timer},
	};

	guest_expect(&config, 9, text);
}

static void pit(void **state)
{
	(void)state;
	ticks(PIT, SK_KVM_IRQCHIP_KERNEL, "ppppp");
}

static void deadline_in_kernel(void **state)
{
	(void)state;
	ticks(DEADLINE, SK_KVM_IRQCHIP_KERNEL, "ddddd");
}

static void deadline_split(void **state)
{
	(void)state;
	ticks(DEADLINE, SK_KVM_IRQCHIP_SPLIT, "ddddd");
}

static void periodic(void **state)
{
	(void)state;
	ticks(PERIODIC, SK_KVM_IRQCHIP_SPLIT, "aaaaa");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pit),
		cmocka_unit_test(deadline_in_kernel),
		cmocka_unit_test(deadline_split),
		cmocka_unit_test(periodic),
	};

	return run_guest_tests(argc, argv, "timer", tests);
}
