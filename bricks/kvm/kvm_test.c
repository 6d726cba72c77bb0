/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* What needs no KVM: errors of open, guest CPUID, routing tables, the format of saved state. */

#include <skete/kvm.h>

#include <setjmp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "state_internal.h"

#define INDEXED KVM_CPUID_FLAG_SIGNIFCANT_INDEX

static void open_explains_what_is_wrong(void **state)
{
	struct sk_kvm *kvm = NULL;
	struct sk_error err;

	(void)state;
	assert_int_equal(sk_kvm_open(&kvm, "/nonexistent/kvm", &err), -ENOENT);
	assert_non_null(strstr(err.message, "/nonexistent/kvm: there is no KVM"));
	assert_int_equal(sk_kvm_open(&kvm, "/dev/null", &err), -ENOTSUP);
	assert_non_null(strstr(err.message, "/dev/null is not a KVM device"));
	assert_int_equal(sk_kvm_open(&kvm, "/nonexistent/kvm", NULL), -ENOENT);
	assert_null(kvm);
	sk_kvm_close(NULL);
	sk_kvm_vm_destroy(NULL);
	sk_kvm_vcpu_destroy(NULL);
}

static void open_names_who_may(void **state)
{
	char path[] = "/tmp/skete-kvm-test-XXXXXX";
	const uid_t me = geteuid();
	struct sk_kvm *kvm;
	struct sk_error err;
	int fd = mkstemp(path);
	int ret;

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(chmod(path, 0), 0);
	if (me == 0) /* root may open everything; nobody may not */
		assert_int_equal(seteuid(65534), 0);
	ret = sk_kvm_open(&kvm, path, &err);
	if (me == 0)
		assert_int_equal(seteuid(0), 0);
	unlink(path);
	assert_int_equal(ret, -EACCES);
	assert_non_null(strstr(err.message, "permission denied; it belongs to"));
	assert_non_null(strstr(err.message, "mode 000"));
}

static void add(struct sk_kvm_cpuid *table, struct kvm_cpuid_entry2 entry)
{
	table->entries[table->nr_entries++] = entry;
}

static struct sk_kvm_cpuid intel_table(void)
{
	struct sk_kvm_cpuid t = {0};

	add(&t,
	    (struct kvm_cpuid_entry2){.function = 0, .eax = 0x1f, .ebx = 0x756e6547}); /* "Genu" */
	add(&t, (struct kvm_cpuid_entry2){
			.function = 1, .ebx = 0x09100800, .ecx = 0x08000020, .edx = 0x1000200});
	add(&t, (struct kvm_cpuid_entry2){
			.function = 4, .index = 0, .flags = INDEXED, .eax = 0x1c004121});
	add(&t, (struct kvm_cpuid_entry2){
			.function = 4, .index = 3, .flags = INDEXED, .eax = 0x1c03c163});
	add(&t, (struct kvm_cpuid_entry2){.function = 4, .index = 4, .flags = INDEXED});
	add(&t, (struct kvm_cpuid_entry2){.function = 7, .flags = INDEXED, .ecx = 0x18});
	add(&t, (struct kvm_cpuid_entry2){.function = 0xb, .flags = INDEXED, .edx = 9});
	add(&t, (struct kvm_cpuid_entry2){.function = 0x1f, .flags = INDEXED, .edx = 9});
	return t;
}

static struct sk_kvm_cpuid amd_table(void)
{
	struct sk_kvm_cpuid t = {0};

	add(&t,
	    (struct kvm_cpuid_entry2){.function = 0, .eax = 0x10, .ebx = 0x68747541}); /* "Auth" */
	add(&t, (struct kvm_cpuid_entry2){.function = 1, .edx = 0x200});
	add(&t, (struct kvm_cpuid_entry2){.function = 0x40000000,
					  .eax = 0x40000001,
					  .ebx = 0x4b4d564b,
					  .ecx = 0x564b4d56,
					  .edx = 0x4d});
	add(&t, (struct kvm_cpuid_entry2){.function = 0x40000001, .eax = 0x01007efb});
	add(&t, (struct kvm_cpuid_entry2){.function = 0x80000001, .ecx = 0x400004});
	add(&t, (struct kvm_cpuid_entry2){.function = 0x80000008, .eax = 0x3030, .ecx = 0x7001});
	add(&t, (struct kvm_cpuid_entry2){.function = 0x8000000a, .eax = 1, .ebx = 8});
	add(&t, (struct kvm_cpuid_entry2){
			.function = 0x8000001d, .index = 2, .flags = INDEXED, .eax = 0x4143});
	add(&t, (struct kvm_cpuid_entry2){
			.function = 0x8000001d, .index = 3, .flags = INDEXED, .eax = 0x1c163});
	add(&t, (struct kvm_cpuid_entry2){.function = 0x8000001e, .eax = 77, .ebx = 0x100});
	return t;
}

static const struct kvm_cpuid_entry2 *leaf(struct sk_kvm_cpuid *t, uint32_t function,
					   uint32_t index)
{
	const struct kvm_cpuid_entry2 *e = sk_kvm_cpuid_find(t, function, index);

	assert_non_null(e);
	return e;
}

static void cpuid_of_intel(void **state)
{
	const struct sk_kvm_cpuid_config config = {
		.index = 5, .count = 6, .has_kernel_lapic = true, .has_tsc_deadline = true};
	struct sk_kvm_cpuid supported = intel_table(), t;

	(void)state;
	assert_int_equal(sk_kvm_cpuid_build(&t, &supported, &config, NULL), 0);
	assert_int_equal(leaf(&t, 1, 0)->ebx, 0x05060800); /* APIC id, CPUs, CLFLUSH kept */
	/* hypervisor, TSC deadline, x2APIC; neither VMX nor OSXSAVE */
	assert_int_equal(leaf(&t, 1, 0)->ecx, UINT32_C(0x81200000));
	assert_int_equal(leaf(&t, 1, 0)->edx, 0x11000200); /* HTT */
	assert_int_equal(leaf(&t, 4, 0)->eax, 7u << 26 | 0x121);
	assert_int_equal(leaf(&t, 4, 3)->eax, 7u << 26 | 7u << 14 | 0x163);
	assert_int_equal(leaf(&t, 4, 4)->eax, 0);
	assert_int_equal(leaf(&t, 7, 0)->ecx, 8);
	for (uint32_t f = 0xb; f <= 0x1f; f += 0x14) {
		assert_int_equal(leaf(&t, f, 0)->eax, 0);
		assert_int_equal(leaf(&t, f, 0)->ebx, 1);
		assert_int_equal(leaf(&t, f, 0)->ecx, 0x100);
		assert_int_equal(leaf(&t, f, 1)->eax, 3);
		assert_int_equal(leaf(&t, f, 1)->ebx, 6);
		assert_int_equal(leaf(&t, f, 1)->ecx, 0x201);
		assert_int_equal(leaf(&t, f, 2)->ecx, 2);
		assert_int_equal(leaf(&t, f, 1)->edx, 5);
	}
	assert_memory_equal(&leaf(&t, 0x40000000, 0)->ebx, "KVMKVMKVM\0\0\0", 12);
	assert_int_equal(leaf(&t, 0x40000000, 0)->eax, 0x40000001);
	assert_null(sk_kvm_cpuid_find(&t, 0x40000010, 0));
	assert_null(sk_kvm_cpuid_find(&t, 0x8000001e, 0));
}

static void cpuid_of_amd(void **state)
{
	const struct sk_kvm_cpuid_config config = {.index = 1,
						   .count = 3,
						   .has_kernel_lapic = true,
						   .tsc_khz = 2600000,
						   .apic_khz = 1000000};
	struct sk_kvm_cpuid supported = amd_table(), t;

	(void)state;
	assert_int_equal(sk_kvm_cpuid_build(&t, &supported, &config, NULL), 0);
	assert_int_equal(leaf(&t, 1, 0)->ecx, UINT32_C(0x80200000)); /* no TSC deadline */
	assert_int_equal(leaf(&t, 0x80000001, 0)->ecx, 0x400002);    /* CmpLegacy, no SVM */
	assert_int_equal(leaf(&t, 0x80000008, 0)->ecx, 0x2002);
	assert_int_equal(leaf(&t, 0x8000000a, 0)->ebx, 0);
	assert_int_equal(leaf(&t, 0x8000001d, 2)->eax, 0x143);
	assert_int_equal(leaf(&t, 0x8000001d, 3)->eax, 2u << 14 | 0x163);
	assert_int_equal(leaf(&t, 0x8000001e, 0)->eax, 1);
	assert_int_equal(leaf(&t, 0x8000001e, 0)->ebx, 1);
	assert_int_equal(leaf(&t, 0x40000000, 0)->eax, 0x40000010);
	assert_int_equal(leaf(&t, 0x40000010, 0)->eax, 2600000);
	assert_int_equal(leaf(&t, 0x40000010, 0)->ebx, 1000000);
	assert_null(sk_kvm_cpuid_find(&t, 0x1f, 0)); /* beyond the highest leaf */
}

static void cpuid_without_a_local_apic(void **state)
{
	const struct sk_kvm_cpuid_config config = {
		.count = 1, .has_tsc_deadline = true, .has_nested_virt = true};
	struct sk_kvm_cpuid supported = amd_table(), t;

	(void)state;
	assert_int_equal(sk_kvm_cpuid_build(&t, &supported, &config, NULL), 0);
	assert_int_equal(leaf(&t, 1, 0)->ecx, UINT32_C(0x80000000));
	assert_int_equal(leaf(&t, 1, 0)->edx, 0); /* neither APIC nor HTT */
	assert_int_equal(leaf(&t, 0x40000001, 0)->eax, 0x0100363b);
	assert_int_equal(leaf(&t, 0x80000001, 0)->ecx, 0x400004); /* SVM stays */
	assert_int_equal(leaf(&t, 0x8000000a, 0)->ebx, 8);
}

static void cpuid_refuses_what_does_not_fit(void **state)
{
	struct sk_kvm_cpuid_config config = {.index = 2, .count = 2, .has_kernel_lapic = true};
	struct sk_kvm_cpuid supported = intel_table(), t;
	struct sk_error err;

	(void)state;
	assert_int_equal(sk_kvm_cpuid_build(&t, &supported, &config, &err), -EINVAL);
	assert_non_null(strstr(err.message, "vCPU 2 of 2"));
	config = (struct sk_kvm_cpuid_config){.index = 0, .count = 256};
	assert_int_equal(sk_kvm_cpuid_build(&t, &supported, &config, &err), -EINVAL);
	config.has_kernel_lapic = true;
	assert_int_equal(sk_kvm_cpuid_build(&t, &supported, &config, &err), 0);
	while (supported.nr_entries < SK_KVM_CPUID_MAX)
		add(&supported, (struct kvm_cpuid_entry2){.function = 0x1000});
	assert_int_equal(sk_kvm_cpuid_build(&t, &supported, &config, &err), -ENOSPC);
	supported.nr_entries = UINT32_MAX; /* a table that lies about itself stays in bounds */
	assert_int_equal(sk_kvm_cpuid_build(&t, &supported, &config, &err), -ENOSPC);
	assert_null(sk_kvm_cpuid_find(&supported, 0x2000, 0));
}

static void routes_hold_pins_and_messages(void **state)
{
	struct sk_kvm_msi msi = {.address = UINT64_C(0x1fee00000), .data = 0x31};
	const struct kvm_irq_routing_entry *entries;
	struct sk_kvm_routes routes;
	size_t n;

	(void)state;
	assert_int_equal(sk_kvm_routes_init(&routes, SK_KVM_IRQCHIP_KERNEL), 0);
	(void)sk_kvm_routes_entries(&routes, &n);
	assert_int_equal(n, 24 + 16);
	assert_int_equal(sk_kvm_routes_set_msi(&routes, 24, &msi), 0);
	msi.data = 0x32;
	assert_int_equal(sk_kvm_routes_set_msi(&routes, 24, &msi), 0); /* replaces */
	entries = sk_kvm_routes_entries(&routes, &n);
	assert_int_equal(n, 41);
	assert_int_equal(entries[40].type, KVM_IRQ_ROUTING_MSI);
	assert_int_equal(entries[40].u.msi.address_hi, 1);
	assert_int_equal(entries[40].u.msi.address_lo, UINT32_C(0xfee00000));
	assert_int_equal(entries[40].u.msi.data, 0x32);
	sk_kvm_routes_remove(&routes, 5); /* both chips */
	sk_kvm_routes_remove(&routes, 24);
	sk_kvm_routes_remove(&routes, 999);
	(void)sk_kvm_routes_entries(&routes, &n);
	assert_int_equal(n, 38);
	sk_kvm_routes_fini(&routes);
	sk_kvm_routes_fini(&routes);
}

static void routes_end_at_the_limit_of_kvm(void **state)
{
	const struct sk_kvm_msi msi = {.data = 1};
	struct sk_kvm_routes routes;
	size_t n;

	(void)state;
	assert_int_equal(sk_kvm_routes_init(&routes, SK_KVM_IRQCHIP_SPLIT), 0);
	(void)sk_kvm_routes_entries(&routes, &n);
	assert_int_equal(n, 0);
	for (uint32_t gsi = 0; gsi < 4096; gsi++)
		assert_int_equal(sk_kvm_routes_set_msi(&routes, gsi, &msi), 0);
	assert_int_equal(sk_kvm_routes_set_msi(&routes, 4096, &msi), -ENOSPC);
	assert_int_equal(sk_kvm_routes_set_msi(&routes, 17, &msi), 0); /* replaces */
	(void)sk_kvm_routes_entries(&routes, &n);
	assert_int_equal(n, 4096);
	sk_kvm_routes_fini(&routes);
}

/* A state with a different value in every byte that is kept. */
static void fill(struct vcpu_state *s)
{
	memset(s, 0, sizeof(*s));
	memset(&s->regs, 0x11, sizeof(s->regs));
	s->regs.rip = UINT64_C(0x0123456789abcdef);
	s->sregs.cs = (struct kvm_segment){.base = 1, .limit = 2, .selector = 3, .l = 1, .g = 1};
	s->sregs.efer = 0x500;
	s->id = 3;
	s->has_lapic = true;
	memset(s->lapic.regs, 0x22, sizeof(s->lapic.regs));
	s->nr_msrs = 2;
	s->msrs[1] = (struct kvm_msr_entry){.index = 0x10, .data = 0x4444};
	s->cpuid.nr_entries = 1;
	s->cpuid.entries[0] = (struct kvm_cpuid_entry2){.function = 7, .ecx = 8};
	s->xcrs.nr_xcrs = 1;
	s->xcrs.xcrs[0].value = 7;
	s->xsave_bytes = 4096;
	memset(s->xsave, 0x33, s->xsave_bytes);
	s->events.exception_payload = 9;
}

static void state_survives_its_bytes(void **state)
{
	static struct vcpu_state before, after;
	static uint8_t bytes[64 * 1024];
	struct sk_writer w;
	struct sk_reader r;
	struct sk_error err;

	(void)state;
	fill(&before);
	sk_writer_init(&w, bytes, sizeof(bytes));
	vcpu_state_write(&before, &w);
	assert_true(sk_writer_ok(&w));
	sk_reader_init(&r, bytes, w.len_bytes);
	assert_int_equal(vcpu_state_read(&after, &r, &err), 0);
	assert_int_equal(r.pos_bytes, w.len_bytes);
	assert_memory_equal(&before, &after, sizeof(before));
	for (size_t cut = 0; cut < w.len_bytes; cut += cut < 64 ? 1 : 97) {
		sk_reader_init(&r, bytes, cut);
		assert_int_equal(vcpu_state_read(&after, &r, &err), -EINVAL);
	}
}

static void vm_state_survives_its_bytes(void **state)
{
	struct vm_state before = {.irqchip = SK_KVM_IRQCHIP_KERNEL, .has_pit = true}, after;
	uint8_t bytes[1024];
	struct sk_writer w;
	struct sk_reader r;
	struct sk_error err;

	(void)state;
	before.clock_ns = 123456789;
	before.pic[1].chip.pic.elcr = 0x20;
	before.ioapic.chip.ioapic.redirtbl[23].bits = UINT64_C(0xfedcba9876543210);
	before.pit.channels[2].count_load_time = -5;
	sk_writer_init(&w, bytes, sizeof(bytes));
	vm_state_write(&before, &w);
	assert_true(sk_writer_ok(&w));
	sk_reader_init(&r, bytes, w.len_bytes);
	assert_int_equal(vm_state_read(&after, &r, &err), 0);
	assert_true(after.clock_ns == before.clock_ns);
	assert_int_equal(after.pic[1].chip.pic.elcr, 0x20);
	assert_true(after.ioapic.chip.ioapic.redirtbl[23].bits ==
		    before.ioapic.chip.ioapic.redirtbl[23].bits);
	assert_true(after.pit.channels[2].count_load_time == -5);
	for (size_t cut = 0; cut < w.len_bytes; cut++) {
		sk_reader_init(&r, bytes, cut);
		assert_int_equal(vm_state_read(&after, &r, &err), -EINVAL);
	}
}

static void counts_beyond_bounds_are_refused(void **state)
{
	static struct vcpu_state s;
	static uint8_t bytes[64 * 1024];
	struct sk_writer w;
	struct sk_reader r;
	struct sk_error err;

	(void)state;
	fill(&s);
	sk_writer_init(&w, bytes, sizeof(bytes));
	vcpu_state_write(&s, &w);
	sk_store_le32(bytes + 18, UINT32_MAX); /* behind magic, version, id, MP state, kHz */
	sk_reader_init(&r, bytes, w.len_bytes);
	assert_int_equal(vcpu_state_read(&s, &r, &err), -EINVAL);
	assert_string_equal(err.message, "saved vCPU: wrong number of CPUID leaves");
	bytes[4]++;
	sk_reader_init(&r, bytes, w.len_bytes);
	assert_int_equal(vcpu_state_read(&s, &r, &err), -EINVAL);
	assert_string_equal(err.message, "saved vCPU: wrong version");
}

static void every_exit_has_a_name(void **state)
{
	(void)state;
	for (int kind = SK_KVM_EXIT_PIO; kind <= SK_KVM_EXIT_UNKNOWN; kind++)
		assert_non_null(sk_kvm_exit_name((enum sk_kvm_exit_kind)kind));
	assert_string_equal(sk_kvm_exit_name(SK_KVM_EXIT_SHUTDOWN), "triple fault");
	assert_string_equal(sk_kvm_exit_name((enum sk_kvm_exit_kind)1000), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_explains_what_is_wrong),
		cmocka_unit_test(open_names_who_may),
		cmocka_unit_test(cpuid_of_intel),
		cmocka_unit_test(cpuid_of_amd),
		cmocka_unit_test(cpuid_without_a_local_apic),
		cmocka_unit_test(cpuid_refuses_what_does_not_fit),
		cmocka_unit_test(routes_hold_pins_and_messages),
		cmocka_unit_test(routes_end_at_the_limit_of_kvm),
		cmocka_unit_test(state_survives_its_bytes),
		cmocka_unit_test(vm_state_survives_its_bytes),
		cmocka_unit_test(counts_beyond_bounds_are_refused),
		cmocka_unit_test(every_exit_has_a_name),
	};

	return cmocka_run_group_tests_name("kvm", tests, NULL, NULL);
}
