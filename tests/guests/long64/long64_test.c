/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include "harness.h"

#include <signal.h>

static const struct guest_config config = {.mode = SK_KVM_MODE_LONG, .entry = {.rsi = 0x12340}};

static void ring0_runs(void **state)
{
	(void)state;
	guest_expect(&config, 64, "long mode");
}

static void dirty_log_names_what_the_guest_wrote(void **state)
{
	uint64_t bitmap[GUEST_MEMORY / 4096 / 64];
	struct sk_error err;
	struct guest g;

	(void)state;
	guest_start(&g, &config);
	assert_int_equal(sk_kvm_vm_get_dirty_log(g.vm, 0, bitmap, SK_ARRAY_SIZE(bitmap)), -ENOENT);
	assert_int_equal(sk_kvm_vm_map_gmem(g.vm, g.gm, true, &err), 0);
	assert_int_equal(sk_kvm_vm_get_dirty_log(g.vm, 0, bitmap, 1), -EINVAL);
	assert_int_equal(sk_kvm_vm_get_dirty_log(g.vm, 7, bitmap, SK_ARRAY_SIZE(bitmap)), -ENOENT);
	assert_int_equal(guest_run(&g), GUEST_END);
	assert_int_equal(g.status, 64);
	assert_int_equal(sk_kvm_vm_get_dirty_log(g.vm, 0, bitmap, SK_ARRAY_SIZE(bitmap)), 0);
	assert_true(sk_bit_test(bitmap, 0x300000 / 4096));
	assert_false(sk_bit_test(bitmap, 0x301000 / 4096));
	assert_int_equal(sk_kvm_vm_get_dirty_log(g.vm, 0, bitmap, SK_ARRAY_SIZE(bitmap)), 0);
	assert_false(sk_bit_test(bitmap, 0x300000 / 4096));
	guest_stop(&g);
}

static void two_machines_live_side_by_side(void **state)
{
	struct guest a, b;

	(void)state;
	guest_start(&a, &config);
	guest_start(&b, &config);
	assert_int_equal(guest_run(&b), GUEST_END);
	assert_int_equal(a.text_len, 0);
	assert_int_equal(guest_run(&a), GUEST_END);
	assert_string_equal(a.text, "long mode");
	assert_string_equal(b.text, "long mode");
	guest_stop(&b);
	guest_stop(&a);
}

static void triple_fault_is_a_shutdown(void **state)
{
	const struct sk_kvm_entry nowhere = {
		.mode = SK_KVM_MODE_LONG,
		.rip = 0x8000,
		.cr3 = GUEST_TABLES_GPA,
		.gdt_gpa = GUEST_GDT_GPA,
	};
	const uint8_t ud2[] = {0x0f, 0x0b};
	struct sk_kvm_exit exit;
	struct sk_error err;
	struct guest g;

	(void)state;
	guest_start(&g, &config);
	assert_int_equal(sk_gmem_write(g.gm, GUEST_CODE_GPA, ud2, sizeof(ud2)), 0);
	assert_int_equal(sk_kvm_vcpu_set_entry(g.vcpu, &nowhere, &err), 0);
	do {
		assert_int_equal(sk_kvm_vcpu_run(g.vcpu, &exit), 0);
	} while (exit.kind == SK_KVM_EXIT_INTR);
	assert_int_equal(exit.kind, SK_KVM_EXIT_SHUTDOWN);
	guest_stop(&g);
}

static void halt_exits_without_a_local_apic(void **state)
{
	const uint8_t hlt[] = {0xf4};
	struct sk_kvm_exit exit;
	struct guest g;

	(void)state;
	guest_start(&g, &config);
	assert_int_equal(sk_gmem_write(g.gm, GUEST_CODE_GPA, hlt, sizeof(hlt)), 0);
	do {
		assert_int_equal(sk_kvm_vcpu_run(g.vcpu, &exit), 0);
	} while (exit.kind == SK_KVM_EXIT_INTR);
	assert_int_equal(exit.kind, SK_KVM_EXIT_HLT);
	assert_string_equal(sk_kvm_exit_name(exit.kind), "halt");
	guest_stop(&g);
}

static void addresses_are_translated_by_the_guests_tables(void **state)
{
	struct guest g;
	gpa_t gpa = 0;

	(void)state;
	guest_start(&g, &config);
	assert_int_equal(sk_kvm_vcpu_translate(g.vcpu, GUEST_CODE_GPA + 5, &gpa), 0);
	assert_int_equal(gpa, GUEST_CODE_GPA + 5);
	assert_int_equal(sk_kvm_vcpu_translate(g.vcpu, 8 * SK_GIB, &gpa), -EFAULT);
	guest_stop(&g);
}

/* A signal that the thread blocks and the vCPU's mask lets through ends a run and stays pending. */
static void a_blocked_signal_ends_a_run(void **state)
{
	const uint8_t forever[] = {0xeb, 0xfe}; /* jmp . */
	const struct timespec now = {0};
	sigset_t kick, blocked, before;
	struct sk_kvm_exit exit;
	struct guest g;

	(void)state;
	guest_start(&g, &config);
	assert_int_equal(sk_gmem_write(g.gm, GUEST_CODE_GPA, forever, sizeof(forever)), 0);
	sigemptyset(&kick);
	sigaddset(&kick, SIGUSR1);
	assert_int_equal(sigprocmask(SIG_BLOCK, &kick, &before), 0);
	sigfillset(&blocked);
	sigdelset(&blocked, SIGUSR1);
	assert_int_equal(sk_kvm_vcpu_set_signal_mask(g.vcpu, &blocked), 0);
	raise(SIGUSR1);
	assert_int_equal(sk_kvm_vcpu_run(g.vcpu, &exit), 0);
	assert_int_equal(exit.kind, SK_KVM_EXIT_INTR);
	assert_int_equal(sigtimedwait(&kick, NULL, &now), SIGUSR1);
	assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
	guest_stop(&g);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ring0_runs),
		cmocka_unit_test(dirty_log_names_what_the_guest_wrote),
		cmocka_unit_test(two_machines_live_side_by_side),
		cmocka_unit_test(triple_fault_is_a_shutdown),
		cmocka_unit_test(halt_exits_without_a_local_apic),
		cmocka_unit_test(addresses_are_translated_by_the_guests_tables),
		cmocka_unit_test(a_blocked_signal_ends_a_run),
	};

	return run_guest_tests(argc, argv, "long64", tests);
}
