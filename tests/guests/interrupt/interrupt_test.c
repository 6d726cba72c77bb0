/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include "harness.h"

#define MSI_GSI SK_KVM_NR_PINS /* the first that is not a pin */

static const struct sk_kvm_msi message = {.address = 0xfee00000, .data = 0x31};

static const struct guest_config in_kernel = {.mode = SK_KVM_MODE_LONG,
					      .irqchip = SK_KVM_IRQCHIP_KERNEL};
static const struct guest_config split = {.mode = SK_KVM_MODE_LONG,
					  .irqchip = SK_KVM_IRQCHIP_SPLIT};

static struct guest_config with(const struct guest_config *base, uint64_t rdi)
{
	struct guest_config config = *base;

	config.entry.rdi = rdi;
	return config;
}

/* Calls @raise for each of the guest's three requests. */
static void serve(struct guest *g, void (*raise)(struct guest *g, int fd), int fd, const char *text)
{
	for (int i = 0; i < 3; i++) {
		assert_int_equal(guest_run(g), GUEST_TURN);
		raise(g, fd);
	}
	assert_int_equal(guest_run(g), GUEST_END);
	assert_int_equal(g->status, 5);
	assert_string_equal(g->text, text);
}

static void signal_fd(struct guest *g, int fd)
{
	(void)g;
	sk_eventfd_signal(fd);
}

static void pulse_line(struct guest *g, int fd)
{
	(void)fd;
	assert_int_equal(sk_kvm_vm_set_irq(g->vm, 5, true), 0);
	assert_int_equal(sk_kvm_vm_set_irq(g->vm, 5, false), 0);
}

static void send_message(struct guest *g, int fd)
{
	(void)fd;
	assert_int_equal(sk_kvm_vm_signal_msi(g->vm, &message), 0);
}

static void send_nmi(struct guest *g, int fd)
{
	(void)fd;
	assert_int_equal(sk_kvm_vcpu_nmi(g->vcpu), 0);
}

static void irqfd_reaches_the_pic(void **state)
{
	const struct guest_config config = with(&in_kernel, 1);
	int fd = sk_eventfd_create();
	struct guest g;

	(void)state;
	guest_start(&g, &config);
	assert_int_equal(sk_kvm_vm_attach_irqfd(g.vm, fd, 5, -1), 0);
	serve(&g, signal_fd, fd, "iii");
	assert_int_equal(sk_kvm_vm_detach_irqfd(g.vm, fd, 5), 0);
	guest_stop(&g);
	sk_close(&fd);
}

static void level_irqfd_is_resampled_at_the_end_of_interrupt(void **state)
{
	const struct guest_config config = with(&in_kernel, 1);
	int fd = sk_eventfd_create(), resample = sk_eventfd_create();
	struct guest g;

	(void)state;
	guest_start(&g, &config);
	assert_int_equal(sk_kvm_vm_attach_irqfd(g.vm, fd, 5, resample), 0);
	serve(&g, signal_fd, fd, "iii");
	assert_int_equal(sk_eventfd_drain(resample), 3);
	assert_int_equal(sk_kvm_vm_detach_irqfd(g.vm, fd, 5), 0);
	guest_stop(&g);
	sk_close(&fd);
	sk_close(&resample);
}

static void line_reaches_the_pic(void **state)
{
	const struct guest_config config = with(&in_kernel, 1);
	struct guest g;

	(void)state;
	guest_start(&g, &config);
	serve(&g, pulse_line, -1, "iii");
	guest_stop(&g);
}

/* An irqfd through a routed message; with the pins in the table they still work. */
static void routed_message(const struct guest_config *base)
{
	const struct guest_config config = with(base, 2);
	struct sk_kvm_routes routes;
	int fd = sk_eventfd_create();
	struct guest g;

	guest_start(&g, &config);
	assert_int_equal(sk_kvm_routes_init(&routes, config.irqchip), 0);
	assert_int_equal(sk_kvm_routes_set_msi(&routes, MSI_GSI, &message), 0);
	assert_int_equal(sk_kvm_vm_commit_routes(g.vm, &routes), 0);
	assert_int_equal(sk_kvm_vm_attach_irqfd(g.vm, fd, MSI_GSI, -1), 0);
	serve(&g, signal_fd, fd, "mmm");
	sk_kvm_routes_fini(&routes);
	guest_stop(&g);
	sk_close(&fd);
}

static void routed_message_in_kernel(void **state)
{
	(void)state;
	routed_message(&in_kernel);
}

static void routed_message_split(void **state)
{
	(void)state;
	routed_message(&split);
}

static void direct_message(void **state)
{
	const struct guest_config config = with(&split, 2);
	struct guest g;

	(void)state;
	guest_start(&g, &config);
	serve(&g, send_message, -1, "mmm");
	guest_stop(&g);
}

static void nmi(void **state)
{
	const struct guest_config config = with(&in_kernel, 3);
	struct guest g;

	(void)state;
	guest_start(&g, &config);
	serve(&g, send_nmi, -1, "nnn");
	guest_stop(&g);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(irqfd_reaches_the_pic),
		cmocka_unit_test(level_irqfd_is_resampled_at_the_end_of_interrupt),
		cmocka_unit_test(line_reaches_the_pic),
		cmocka_unit_test(routed_message_in_kernel),
		cmocka_unit_test(routed_message_split),
		cmocka_unit_test(direct_message),
		cmocka_unit_test(nmi),
	};

	return run_guest_tests(argc, argv, "interrupt", tests);
}
