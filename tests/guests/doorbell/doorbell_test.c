/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include "harness.h"

static void doorbells_ring_in_the_kernel(void **state)
{
	const struct guest_config config = {.mode = SK_KVM_MODE_LONG};
	struct sk_kvm_ioeventfd port = {.address = 0x500,
					.is_pio = true,
					.len_bytes = 2,
					.has_datamatch = true,
					.datamatch = 0x1234};
	struct sk_kvm_ioeventfd mmio = {.address = GUEST_MMIO_GPA + 0x1000};
	struct guest g;

	(void)state;
	guest_start(&g, &config);
	port.fd = sk_eventfd_create();
	mmio.fd = sk_eventfd_create();
	assert_true(port.fd >= 0 && mmio.fd >= 0);
	assert_int_equal(sk_kvm_vm_attach_ioeventfd(g.vm, &port), 0);
	assert_int_equal(sk_kvm_vm_attach_ioeventfd(g.vm, &port), -EEXIST);
	assert_int_equal(sk_kvm_vm_attach_ioeventfd(g.vm, &mmio), 0);

	assert_int_equal(guest_run(&g), GUEST_TURN);
	assert_int_equal(sk_eventfd_drain(port.fd), 2);
	assert_int_equal(sk_eventfd_drain(mmio.fd), 2);
	assert_int_equal(g.other_pio, 1);
	assert_int_equal(g.other_mmio, 0);

	assert_int_equal(sk_kvm_vm_detach_ioeventfd(g.vm, &port), 0);
	assert_int_equal(sk_kvm_vm_detach_ioeventfd(g.vm, &port), -ENOENT);
	assert_int_equal(guest_run(&g), GUEST_END);
	assert_int_equal(g.status, 7);
	assert_int_equal(sk_eventfd_drain(port.fd), 0);
	assert_int_equal(g.other_pio, 2);
	guest_stop(&g);
	sk_close(&port.fd);
	sk_close(&mmio.fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(doorbells_ring_in_the_kernel),
	};

	return run_guest_tests(argc, argv, "doorbell", tests);
}
