/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include "harness.h"

#include <unistd.h>

/*
 * PVM runs the handler of a guest's SYSCALL in ring 3 (its own supervisor protocol, which this
 * guest does not speak, is what would switch). Everywhere else it is ring 0.
 */
static void ring3_asks_ring0_and_is_held_back_by_it(void **state)
{
	const struct guest_config config = {.mode = SK_KVM_MODE_LONG};
	struct guest g;

	(void)state;
	guest_start(&g, &config);
	assert_int_equal(guest_run(&g), GUEST_END);
	if (strcmp(g.text, "3u") == 0 && access("/sys/module/kvm_pvm", F_OK) == 0)
		print_message("# this KVM (PVM) runs the handler of SYSCALL in ring 3\n");
	else
		assert_string_equal(g.text, "0u");
	assert_int_equal(g.status, 3);
	guest_stop(&g);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ring3_asks_ring0_and_is_held_back_by_it),
	};

	return run_guest_tests(argc, argv, "ring3", tests);
}
