/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include "harness.h"

static const struct guest_config config = {
	.mode = SK_KVM_MODE_PROTECTED,
	.entry = {.rax = 0x2badb002, .rbx = 0x12340, .rsi = 0x5678},
};

static void protected_mode_is_as_pvh_and_multiboot_enter(void **state)
{
	(void)state;
	guest_expect(&config, 32, "ok");
}

static void registers_can_be_reported(void **state)
{
	char regs[2048], little[8];
	struct guest g;
	int len;

	(void)state;
	guest_start(&g, &config);
	len = sk_kvm_vcpu_format_regs(g.vcpu, regs, sizeof(regs));
	assert_true(len > 0 && (size_t)len == strlen(regs));
	assert_non_null(strstr(regs, "rip 0000000000008000"));
	assert_non_null(strstr(regs, "rax 000000002badb002"));
	assert_non_null(strstr(regs, "cs  0010"));
	assert_int_equal(sk_kvm_vcpu_format_regs(g.vcpu, little, sizeof(little)), len);
	assert_string_equal(little, "rip 000");
	guest_stop(&g);
}

static void wrong_entries_are_refused(void **state)
{
	const struct sk_kvm_entry too_far = {.mode = SK_KVM_MODE_PROTECTED,
					     .rip = UINT64_C(0x100000000)};
	const struct sk_kvm_entry no_tables = {.mode = SK_KVM_MODE_LONG, .rip = 0x8000};
	struct sk_error err;
	struct guest g;

	(void)state;
	guest_start(&g, &config);
	assert_int_equal(sk_kvm_vcpu_set_entry(g.vcpu, &too_far, &err), -EINVAL);
	assert_int_equal(sk_kvm_vcpu_set_entry(g.vcpu, &no_tables, &err), -EINVAL);
	assert_int_equal(sk_kvm_write_gdt(g.gm, GUEST_MEMORY - 8, SK_KVM_MODE_LONG), -EFAULT);
	assert_int_equal(sk_kvm_write_identity_map(g.gm, 0x20001), -EINVAL);
	assert_int_equal(sk_kvm_write_identity_map(g.gm, GUEST_MEMORY - 0x1000), -EFAULT);
	guest_stop(&g);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(protected_mode_is_as_pvh_and_multiboot_enter),
		cmocka_unit_test(registers_can_be_reported),
		cmocka_unit_test(wrong_entries_are_refused),
	};

	return run_guest_tests(argc, argv, "protected32", tests);
}
