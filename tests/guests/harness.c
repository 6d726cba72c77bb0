/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include "harness.h"

#include <signal.h>
#include <sys/time.h>

#define PORT_PUT    0x3f8
#define PORT_END    0xf4
#define PORT_TURN   0xf5
#define PORT_ANSWER 0x60
#define TIMEOUT_NS  (UINT64_C(60) * 1000 * 1000 * 1000)

#define check(call, err)                                           \
	do {                                                       \
		if ((call) < 0)                                    \
			fail_msg("%s: %s", #call, (err)->message); \
	} while (0)

/* A test program runs one guest file. */
static uint8_t code[0x4000];
static size_t code_len;

static void on_tick(int signo)
{
	(void)signo; /* its arrival ends KVM_RUN: that is all it is for */
}

static bool load_code(const char *path)
{
	FILE *file = fopen(path, "rb");

	if (!file)
		return false;
	code_len = fread(code, 1, sizeof(code), file);
	fclose(file);
	return code_len > 0 && code_len < sizeof(code);
}

/* -1 if KVM is there, else the status of a program that skipped. */
static int skip_without_kvm(void)
{
	const char *format = getenv("CMOCKA_MESSAGE_OUTPUT");
	struct sk_kvm *kvm = NULL;
	struct sk_error err;
	int ret = sk_kvm_open(&kvm, NULL, &err);

	sk_kvm_close(kvm);
	if (ret != -ENOENT && ret != -ENXIO && ret != -EACCES)
		return -1; /* any other error is for the tests to report */
	printf("1..0 # SKIP %s\n", err.message);
	return format && strcmp(format, "TAP") == 0 ? 0 : 77;
}

int guest_main(int argc, char **argv, const char *name, const struct CMUnitTest *tests, size_t n)
{
	const struct itimerval tick = {.it_interval.tv_usec = 10000, .it_value.tv_usec = 10000};
	const struct sigaction action = {.sa_handler = on_tick};
	int status = skip_without_kvm();

	if (status >= 0)
		return status;
	if (argc != 2 || !load_code(argv[1])) {
		fprintf(stderr, "usage: %s GUEST.bin (a readable file)\n", argv[0]);
		return 2;
	}
	if (sigaction(SIGALRM, &action, NULL) < 0 || setitimer(ITIMER_REAL, &tick, NULL) < 0) {
		perror("timer");
		return 2;
	}
	return _cmocka_run_group_tests(name, tests, n, NULL, NULL);
}

void guest_create(struct guest *g, const struct guest_config *config)
{
	const struct sk_gmem_region_config ram = {.size_bytes = GUEST_MEMORY};
	const struct sk_gmem_config memory = {.regions = &ram, .nr_regions = 1};
	struct sk_kvm_vm_config vm = {.irqchip = config->irqchip, .has_pit = config->has_pit};
	struct sk_error err;

	memset(g, 0, sizeof(*g));
	g->config = *config;
	check(sk_kvm_open(&g->kvm, NULL, &err), &err);
	check(sk_gmem_create(&g->gm, &memory, &err), &err);
	vm.gm = g->gm;
	check(sk_kvm_vm_create(&g->vm, g->kvm, &vm, &err), &err);
	check(sk_kvm_vcpu_create(&g->vcpu, g->vm, 0, &err), &err);
}

static void set_cpuid(struct guest *g)
{
	static struct sk_kvm_cpuid supported, table;
	const struct sk_kvm_cpuid_config config = {
		.count = 1,
		.has_tsc_deadline = sk_kvm_check(g->kvm, KVM_CAP_TSC_DEADLINE_TIMER) > 0,
		.has_kernel_lapic = g->config.irqchip != SK_KVM_IRQCHIP_NONE,
	};
	struct sk_error err;

	assert_int_equal(sk_kvm_supported_cpuid(g->kvm, &supported), 0);
	check(sk_kvm_cpuid_build(&table, &supported, &config, &err), &err);
	assert_int_equal(sk_kvm_vcpu_set_cpuid(g->vcpu, &table), 0);
}

void guest_start(struct guest *g, const struct guest_config *config)
{
	struct sk_kvm_entry entry = config->entry;
	struct sk_error err;

	guest_create(g, config);
	set_cpuid(g);
	check(sk_kvm_vcpu_set_firmware_state(g->vcpu, &err), &err);
	assert_int_equal(sk_gmem_write(g->gm, GUEST_CODE_GPA, code, code_len), 0);
	entry.mode = config->mode;
	entry.rip = GUEST_CODE_GPA;
	if (config->mode != SK_KVM_MODE_REAL) {
		entry.gdt_gpa = GUEST_GDT_GPA;
		assert_int_equal(sk_kvm_write_gdt(g->gm, GUEST_GDT_GPA, config->mode), 0);
	}
	if (config->mode == SK_KVM_MODE_LONG) {
		entry.cr3 = GUEST_TABLES_GPA;
		assert_int_equal(sk_kvm_write_identity_map(g->gm, GUEST_TABLES_GPA), 0);
	}
	check(sk_kvm_vcpu_set_entry(g->vcpu, &entry, &err), &err);
}

void guest_stop(struct guest *g)
{
	sk_kvm_vcpu_destroy(g->vcpu);
	sk_kvm_vm_destroy(g->vm);
	sk_gmem_destroy(g->gm);
	sk_kvm_close(g->kvm);
}

void guest_fail(struct guest *g, const char *why)
{
	char regs[2048] = "";

	if (sk_kvm_vcpu_format_regs(g->vcpu, regs, sizeof(regs)) < 0)
		snprintf(regs, sizeof(regs), "no registers\n");
	fail_msg("guest: %s after \"%s\"\n%s", why, g->text, regs);
}

static void collect(struct guest *g, const uint8_t *data, size_t n)
{
	for (size_t i = 0; i < n && g->text_len < sizeof(g->text) - 1; i++)
		g->text[g->text_len++] = (char)data[i];
}

/* True if the test has to know; then *@event says what. */
static bool handle_pio(struct guest *g, const struct sk_kvm_exit *exit, enum guest_event *event)
{
	size_t n = (size_t)exit->pio.size * exit->pio.count;

	if (!exit->pio.is_out) {
		memset(exit->pio.data, exit->pio.port == PORT_ANSWER ? 0x5a : 0xff, n);
		return false;
	}
	switch (exit->pio.port) {
	case PORT_PUT:
		collect(g, exit->pio.data, n);
		return false;
	case PORT_END:
		g->status = exit->pio.data[0];
		*event = GUEST_END;
		return true;
	case PORT_TURN:
		*event = GUEST_TURN;
		return true;
	default:
		g->other_pio++;
		return false;
	}
}

static void handle_mmio(struct guest *g, const struct sk_kvm_exit *exit)
{
	uint64_t offset = exit->mmio.gpa - GUEST_MMIO_GPA;
	uint32_t n = exit->mmio.len_bytes;

	if (offset >= sizeof(g->mmio) || n > sizeof(g->mmio) - offset) {
		g->other_mmio++;
		memset(exit->mmio.data, 0xff, n);
	} else if (exit->mmio.is_write) {
		memcpy(g->mmio + offset, exit->mmio.data, n);
	} else {
		memcpy(exit->mmio.data, g->mmio + offset, n);
	}
}

static void fail_by_exit(struct guest *g, const struct sk_kvm_exit *exit)
{
	char why[128];

	snprintf(why, sizeof(why), "%s", sk_kvm_exit_name(exit->kind));
	if (exit->kind == SK_KVM_EXIT_INTERNAL_ERROR)
		snprintf(why, sizeof(why), "KVM internal error %u", exit->internal.suberror);
	if (exit->kind == SK_KVM_EXIT_FAIL_ENTRY)
		snprintf(why, sizeof(why), "entry refused, reason %#llx",
			 (unsigned long long)exit->fail_entry.reason);
	guest_fail(g, why);
}

enum guest_event guest_run(struct guest *g)
{
	const uint64_t deadline_ns = sk_now_ns() + TIMEOUT_NS;
	enum guest_event event;
	struct sk_kvm_exit exit;

	for (;;) {
		assert_int_equal(sk_kvm_vcpu_run(g->vcpu, &exit), 0);
		switch (exit.kind) {
		case SK_KVM_EXIT_PIO:
			if (handle_pio(g, &exit, &event))
				return event;
			break;
		case SK_KVM_EXIT_MMIO:
			handle_mmio(g, &exit);
			break;
		case SK_KVM_EXIT_INTR:
			if (g->is_kickable)
				return GUEST_KICKED;
			if (sk_now_ns() > deadline_ns)
				guest_fail(g, "no end");
			break;
		default:
			fail_by_exit(g, &exit);
		}
	}
}

void guest_settle(struct guest *g)
{
	enum guest_event event;
	struct sk_kvm_exit exit;

	sk_kvm_vcpu_set_immediate_exit(g->vcpu, true);
	for (;;) {
		assert_int_equal(sk_kvm_vcpu_run(g->vcpu, &exit), 0);
		if (exit.kind == SK_KVM_EXIT_INTR)
			break;
		if (exit.kind == SK_KVM_EXIT_PIO)
			assert_false(handle_pio(g, &exit, &event));
		else if (exit.kind == SK_KVM_EXIT_MMIO)
			handle_mmio(g, &exit);
		else
			fail_by_exit(g, &exit);
	}
	sk_kvm_vcpu_set_immediate_exit(g->vcpu, false);
}

void guest_expect(const struct guest_config *config, uint8_t status, const char *text)
{
	struct guest g;

	guest_start(&g, config);
	assert_int_equal(guest_run(&g), GUEST_END);
	if (g.status != status || (text && strcmp(g.text, text) != 0)) {
		char why[64];

		snprintf(why, sizeof(why), "status %u instead of %u", g.status, status);
		guest_fail(&g, why);
	}
	guest_stop(&g);
}
