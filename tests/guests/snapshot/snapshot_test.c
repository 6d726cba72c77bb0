/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* A running guest is saved at moments it does not choose and continued in another VM. */

#include "harness.h"

#include <stdio.h>

#define MOVES	    5
#define STATE_BYTES (256 * SK_KIB)

enum { WITH_APIC_TIMER = 1, WITH_PIT = 2, WITH_AVX = 4 };

struct results {
	uint64_t checksum, chunks, apic_ticks, pit_ticks, failures, enough;
};

static struct results read_results(struct guest *g)
{
	struct results r;

	assert_int_equal(sk_gmem_read(g->gm, GUEST_RESULTS_GPA, &r, sizeof(r)), 0);
	return r;
}

/* The same steps on the host. */
static uint64_t expected_checksum(uint64_t chunks)
{
	uint64_t x = 1;

	for (uint64_t i = 0; i < chunks * 100000; i++)
		x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return x;
}

static size_t save(struct guest *g, uint8_t *state)
{
	struct sk_error err = {0};
	struct sk_writer w;

	guest_settle(g);
	sk_writer_init(&w, state, STATE_BYTES);
	if (sk_kvm_vcpu_save(g->vcpu, &w, &err) < 0 || sk_kvm_vm_save(g->vm, &w, &err) < 0)
		fail_msg("save: %s", err.message);
	assert_true(sk_writer_ok(&w));
	return w.len_bytes;
}

static void copy_memory(struct guest *to, const struct guest *from)
{
	void *dst = sk_gmem_slice(to->gm, 0, GUEST_MEMORY);
	const void *src = sk_gmem_slice(from->gm, 0, GUEST_MEMORY);

	assert_true(dst && src);
	memcpy(dst, src, GUEST_MEMORY);
}

/* Moves the guest to a new VM; the old one is gone before the new one runs. */
static void move(struct guest *g, uint8_t *state)
{
	size_t len = save(g, state);
	struct sk_error err = {0};
	struct sk_reader r;
	struct guest next;

	guest_create(&next, &g->config);
	copy_memory(&next, g);
	guest_stop(g);
	sk_reader_init(&r, state, len);
	if (sk_kvm_vcpu_restore(next.vcpu, &r, &err) < 0 ||
	    sk_kvm_vm_restore(next.vm, &r, &err) < 0)
		fail_msg("restore: %s", err.message);
	assert_true(sk_reader_ok(&r));
	assert_int_equal(r.pos_bytes, len);
	next.is_kickable = true;
	*g = next;
}

/* True if the guest computed, and each of its timers ticked, since @then. */
static bool has_progressed(const struct results *then, const struct results *now, uint64_t flags)
{
	return now->chunks > then->chunks &&
	       (!(flags & WITH_APIC_TIMER) || now->apic_ticks > then->apic_ticks) &&
	       (!(flags & WITH_PIT) || now->pit_ticks > then->pit_ticks);
}

/* Runs until the guest has progressed beyond *@then, which becomes what it reached. */
static void wait_for_progress(struct guest *g, struct results *then, uint64_t flags)
{
	const uint64_t deadline_ns = sk_now_ns() + UINT64_C(60) * 1000 * 1000 * 1000;
	struct results now;

	g->is_kickable = true;
	do {
		if (guest_run(g) != GUEST_KICKED)
			guest_fail(g, "ended before its time");
		now = read_results(g);
		if (sk_now_ns() > deadline_ns)
			fail_msg("the guest stands still: %llu chunks, %llu and %llu ticks",
				 (unsigned long long)now.chunks, (unsigned long long)now.apic_ticks,
				 (unsigned long long)now.pit_ticks);
	} while (!has_progressed(then, &now, flags));
	*then = now;
}

static bool host_has_avx(struct guest *g)
{
	static struct sk_kvm_cpuid supported;
	const struct kvm_cpuid_entry2 *features;

	assert_int_equal(sk_kvm_supported_cpuid(g->kvm, &supported), 0);
	features = sk_kvm_cpuid_find(&supported, 1, 0);
	/* XSAVE and AVX */
	return features && (features->ecx & 1u << 26) && (features->ecx & 1u << 28);
}

/*
 * XCR0 for x87, SSE and AVX. The test sets it, not the guest, because an emulated KVM may sit on a
 * QEMU that forgets to intercept XSETBV; what is restored later is the same either way.
 */
static void enable_avx(struct guest *g)
{
	const struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs = {{.xcr = 0, .value = 7}}};
	struct kvm_sregs sregs;

	assert_int_equal(sk_kvm_vcpu_get_sregs(g->vcpu, &sregs), 0);
	sregs.cr4 |= 1u << 18; /* OSXSAVE */
	assert_int_equal(sk_kvm_vcpu_set_sregs(g->vcpu, &sregs), 0);
	assert_int_equal(sk_kvm_vcpu_set_xcrs(g->vcpu, &xcrs), 0);
}

static void start(struct guest *g, enum sk_kvm_irqchip irqchip, uint64_t *flags)
{
	struct guest_config config = {
		.mode = SK_KVM_MODE_LONG,
		.irqchip = irqchip,
		.has_pit = *flags & WITH_PIT,
	};
	struct guest probe;

	guest_create(&probe, &config);
	if (host_has_avx(&probe))
		*flags |= WITH_AVX;
	if (!sk_kvm_check(probe.kvm, KVM_CAP_TSC_DEADLINE_TIMER))
		*flags &= ~(uint64_t)WITH_APIC_TIMER;
	guest_stop(&probe);
	config.entry.rdi = *flags;
	guest_start(g, &config);
	if (*flags & WITH_AVX)
		enable_avx(g);
}

static void continues_elsewhere(enum sk_kvm_irqchip irqchip, uint64_t flags)
{
	uint8_t *state = malloc(STATE_BYTES);
	const uint64_t enough = 1;
	struct results r = {0};
	struct guest g;

	assert_non_null(state);
	start(&g, irqchip, &flags);
	for (int i = 0; i < MOVES; i++) {
		wait_for_progress(&g, &r, flags);
		move(&g, state);
	}
	wait_for_progress(&g, &r, flags);
	assert_int_equal(sk_gmem_write(g.gm, GUEST_RESULTS_GPA + offsetof(struct results, enough),
				       &enough, sizeof(enough)),
			 0);
	g.is_kickable = false;
	assert_int_equal(guest_run(&g), GUEST_END);
	assert_int_equal(g.status, 11);
	r = read_results(&g);
	assert_int_equal(r.failures, 0);
	assert_true(r.checksum == expected_checksum(r.chunks));
	print_message("# %llu chunks, %llu APIC ticks, %llu PIT ticks, %d moves%s\n",
		      (unsigned long long)r.chunks, (unsigned long long)r.apic_ticks,
		      (unsigned long long)r.pit_ticks, MOVES, flags & WITH_AVX ? ", AVX" : "");
	guest_stop(&g);
	free(state);
}

static void with_chips_in_kernel(void **state)
{
	(void)state;
	continues_elsewhere(SK_KVM_IRQCHIP_KERNEL, WITH_APIC_TIMER | WITH_PIT);
}

static void with_split_irqchip(void **state)
{
	(void)state;
	continues_elsewhere(SK_KVM_IRQCHIP_SPLIT, WITH_APIC_TIMER);
}

static void without_irqchip(void **state)
{
	(void)state;
	continues_elsewhere(SK_KVM_IRQCHIP_NONE, 0);
}

/* Every cut, and a few forgeries, end in an error that says so, never in a crash. */
static void damaged_state_is_refused(void **unused)
{
	static uint8_t state[STATE_BYTES], bad[STATE_BYTES];
	const struct guest_config split = {.mode = SK_KVM_MODE_LONG,
					   .irqchip = SK_KVM_IRQCHIP_SPLIT};
	uint64_t flags = WITH_APIC_TIMER | WITH_PIT;
	struct guest g, other;
	struct results r = {0};
	struct sk_reader reader;
	struct sk_error err;
	size_t len;

	(void)unused;
	start(&g, SK_KVM_IRQCHIP_KERNEL, &flags);
	wait_for_progress(&g, &r, flags);
	len = save(&g, state);
	for (size_t cut = 0; cut < 4096; cut += 61) {
		sk_reader_init(&reader, state, cut);
		assert_int_equal(sk_kvm_vcpu_restore(g.vcpu, &reader, &err), -EINVAL);
		assert_non_null(strstr(err.message, "saved vCPU"));
	}
	for (size_t i = 0; i < 10; i++) { /* magic, version, id */
		memcpy(bad, state, len);
		bad[i] ^= 0x40;
		sk_reader_init(&reader, bad, len);
		assert_int_equal(sk_kvm_vcpu_restore(g.vcpu, &reader, &err), -EINVAL);
	}
	guest_create(&other, &split);
	sk_reader_init(&reader, state, len);
	assert_int_equal(sk_kvm_vcpu_restore(other.vcpu, &reader, &err), 0);
	assert_int_equal(sk_kvm_vm_restore(other.vm, &reader, &err), -EINVAL);
	assert_non_null(strstr(err.message, "interrupt controllers"));
	guest_stop(&other);
	guest_stop(&g);
}

static void a_cpu_amid_io_is_busy(void **state)
{
	uint64_t flags = 0;
	struct sk_kvm_exit exit;
	struct sk_writer w;
	struct sk_error err;
	struct guest g;

	(void)state;
	start(&g, SK_KVM_IRQCHIP_NONE, &flags);
	/* out %al, $0xf4 */
	assert_int_equal(sk_gmem_write(g.gm, GUEST_CODE_GPA, "\xe6\xf4", 2), 0);
	do {
		assert_int_equal(sk_kvm_vcpu_run(g.vcpu, &exit), 0);
	} while (exit.kind == SK_KVM_EXIT_INTR);
	assert_int_equal(exit.kind, SK_KVM_EXIT_PIO);
	sk_writer_init(&w, NULL, 0);
	assert_int_equal(sk_kvm_vcpu_save(g.vcpu, &w, &err), -EBUSY);
	guest_settle(&g);
	assert_int_equal(sk_kvm_vcpu_save(g.vcpu, &w, &err), 0);
	assert_true(w.len_bytes > 4096);
	guest_stop(&g);
}

/* A CPU that the guest has not started yet waits on, and another CPU's state is refused. */
static void a_cpu_that_waits_still_waits(void **state)
{
	const struct guest_config config = {.mode = SK_KVM_MODE_LONG,
					    .irqchip = SK_KVM_IRQCHIP_KERNEL};
	static uint8_t bytes[STATE_BYTES];
	struct sk_kvm_vcpu *first, *second;
	uint32_t mp_state = 0;
	struct sk_error err;
	struct sk_writer w;
	struct sk_reader r;
	struct guest a, b;

	(void)state;
	guest_create(&a, &config);
	guest_create(&b, &config);
	assert_int_equal(sk_kvm_vcpu_create(&first, a.vm, 1, &err), 0);
	assert_int_equal(sk_kvm_vcpu_create(&second, b.vm, 1, &err), 0);
	assert_int_equal(sk_kvm_vcpu_set_firmware_state(first, &err), 0);
	sk_writer_init(&w, bytes, sizeof(bytes));
	assert_int_equal(sk_kvm_vcpu_save(first, &w, &err), 0);
	sk_reader_init(&r, bytes, w.len_bytes);
	assert_int_equal(sk_kvm_vcpu_restore(b.vcpu, &r, &err), -EINVAL);
	assert_string_equal(err.message, "saved vCPU: it is number 1, not 0");
	sk_reader_init(&r, bytes, w.len_bytes);
	if (sk_kvm_vcpu_restore(second, &r, &err) < 0)
		fail_msg("restore: %s", err.message);
	assert_int_equal(sk_kvm_vcpu_get_mp_state(second, &mp_state), 0);
	assert_int_equal(mp_state, KVM_MP_STATE_UNINITIALIZED);
	sk_kvm_vcpu_destroy(first);
	sk_kvm_vcpu_destroy(second);
	guest_stop(&a);
	guest_stop(&b);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_chips_in_kernel),
		cmocka_unit_test(with_split_irqchip),
		cmocka_unit_test(without_irqchip),
		cmocka_unit_test(damaged_state_is_refused),
		cmocka_unit_test(a_cpu_amid_io_is_busy),
		cmocka_unit_test(a_cpu_that_waits_still_waits),
	};

	return run_guest_tests(argc, argv, "snapshot", tests);
}
