/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include "harness.h"

static void real_mode_runs(void **state)
{
	const struct guest_config config = {.mode = SK_KVM_MODE_REAL};

	(void)state;
	guest_expect(&config, 42, "real mode");
}

static void real_mode_runs_with_irqchip(void **state)
{
	const struct guest_config config = {
		.mode = SK_KVM_MODE_REAL, .irqchip = SK_KVM_IRQCHIP_KERNEL, .has_pit = true};

	(void)state;
	guest_expect(&config, 42, "real mode");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_mode_runs),
		cmocka_unit_test(real_mode_runs_with_irqchip),
	};

	return run_guest_tests(argc, argv, "real16", tests);
}
