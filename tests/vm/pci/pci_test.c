/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The PCI bus of libskete with a guest that drives it (guest.c), on any KVM: interrupts, moves, and
 * a guest that breaks the rules 10,000 times, of which nothing may be left: no memory, no
 * descriptor, and the device still works.
 */
#include <skete/vm.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_MS	       120000 /* far more than anything here takes: only a hang gets there */
#define MAX_GROWTH_KIB 2048   /* of the process; the malformed accesses alone are 10,000 */
#define MEMORY_BYTES   (8 * SK_MIB)

/* A sanitizer keeps what was freed; it finds leaks by itself. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool has_own_heap = false;
#else
static const bool has_own_heap = true;
#endif

static const char *guest;
static enum sk_vm_irqchip irqchip = SK_VM_IRQCHIP_KERNEL;

static struct sk_vm *start(const char *script)
{
	static const struct sk_vm_rng rng;
	struct sk_vm_config config;
	struct sk_error err = {0};
	struct sk_vm *vm = NULL;

	sk_vm_config_init(&config, sizeof(config));
	config.kernel_path = guest;
	config.cmdline = script;
	config.memory_bytes = MEMORY_BYTES;
	config.irqchip = irqchip;
	config.rng = &rng;
	if (sk_vm_create(&vm, &config, &err) || sk_vm_start(vm, &err))
		fail_msg("%s", err.message);
	return vm;
}

/* The guest's status is 42, or the line of guest.c that was not happy. */
static void expect_success(struct sk_vm *vm)
{
	struct sk_vm_result result;

	assert_int_equal(sk_vm_wait(vm, WAIT_MS, &result), 0);
	if (result.end != SK_VM_EXITED)
		fail_msg("the guest ended by %d: %s", result.end, sk_vm_report(vm));
	if (result.status != 42)
		fail_msg("guest.c:%u", result.status);
}

static void run(const char *script)
{
	struct sk_vm *vm = start(script);

	expect_success(vm);
	sk_vm_destroy(vm);
}

static size_t count_descriptors(void)
{
	size_t n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* What the process has of its own: the guest's memory is in it, and is touched by then. */
static long anonymous_kib(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[128];
	long kib = -1;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		(void)sscanf(line, "RssAnon: %ld", &kib);
	fclose(f);
	assert_true(kib > 0);
	return kib;
}

static void the_bus_works(void **state)
{
	(void)state;
	run("DX");
	run("DDDX");
}

static void bars_and_vectors_move_in_a_loop(void **state)
{
	(void)state;
	run("DMDX");
}

static void malformed_accesses_leave_nothing(void **state)
{
	size_t descriptors = count_descriptors();
	long before, after;

	(void)state;
	/* Once for the heap, and then it does not grow any more. */
	run("DHDX");
	before = anonymous_kib();
	run("DHMHDX");
	after = anonymous_kib();
	printf("# %ld KiB before, %ld KiB after\n", before, after);
	assert_true(!has_own_heap || after - before < MAX_GROWTH_KIB);
	assert_int_equal(count_descriptors(), descriptors);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_bus_works),
		cmocka_unit_test(bars_and_vectors_move_in_a_loop),
		cmocka_unit_test(malformed_accesses_leave_nothing),
	};

	if (argc != 3) {
		fprintf(stderr, "usage: %s GUEST kernel|split\n", argv[0]);
		return 2;
	}
	if (access("/dev/kvm", R_OK | W_OK)) {
		printf("1..0 # SKIP /dev/kvm cannot be used\n");
		return 0;
	}
	guest = argv[1];
	if (!strcmp(argv[2], "split"))
		irqchip = SK_VM_IRQCHIP_SPLIT;
	return cmocka_run_group_tests_name("pci", tests, NULL, NULL);
}
