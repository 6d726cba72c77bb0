/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The library as its users see it, with a small guest (actor.S) that does what its command line
 * says. Runs on any KVM, complete or partial.
 */
#include <skete/vm.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

/* From the command line: the guests' files, and where the machines have their IOAPIC. */
static const char *actor, *pin;
static enum sk_vm_irqchip irqchip = SK_VM_IRQCHIP_KERNEL;

#define WAIT_MS 60000 /* far more than anything here takes: only a hang gets there */

static void configure(struct sk_vm_config *config, const char *script)
{
	sk_vm_config_init(config, sizeof(*config));
	config->kernel_path = actor;
	config->cmdline = script;
	config->memory_bytes = 4 * SK_MIB;
	config->irqchip = irqchip;
}

static struct sk_vm *start(const char *script)
{
	struct sk_vm_config config;
	struct sk_error err = {0};
	struct sk_vm *vm = NULL;

	configure(&config, script);
	if (sk_vm_create(&vm, &config, &err) || sk_vm_start(vm, &err))
		fail_msg("%s", err.message);
	return vm;
}

static struct sk_vm_result finish(struct sk_vm *vm)
{
	struct sk_vm_result result;

	assert_int_equal(sk_vm_wait(vm, WAIT_MS, &result), 0);
	return result;
}

/* Reads until @len bytes are there or the machine has ended; terminates the string. */
static size_t read_console(struct sk_vm *vm, char *buf, size_t len)
{
	struct pollfd fds[] = {{.fd = sk_vm_console_fd(vm), .events = POLLIN},
			       {.fd = sk_vm_exit_fd(vm), .events = POLLIN}};
	size_t have = 0, n;

	while (have < len) {
		assert_true(poll(fds, 2, WAIT_MS) > 0);
		n = sk_vm_console_read(vm, buf + have, len - have);
		have += n;
		if (n == 0 && fds[1].revents)
			break;
	}
	buf[have] = '\0';
	return have;
}

static void exit_status_is_exact(void **state)
{
	struct sk_vm *vm = start("PX");
	char text[64];
	struct sk_vm_result result = finish(vm);

	(void)state;
	assert_int_equal(result.end, SK_VM_EXITED);
	assert_int_equal(result.status, 42);
	assert_int_equal(read_console(vm, text, 63), 3);
	assert_string_equal(text, "PX\n");
	assert_string_equal(sk_vm_report(vm), "");
	sk_vm_destroy(vm);
}

static void debug_exit_is_as_in_qemu(void **state)
{
	struct sk_vm *vm = start("D");
	struct sk_vm_result result = finish(vm);

	(void)state;
	assert_int_equal(result.end, SK_VM_EXITED);
	assert_int_equal(result.status, 0x21);
	sk_vm_destroy(vm);
}

static void power_off_is_no_error(void **state)
{
	struct sk_vm *vm = start("O");

	(void)state;
	assert_int_equal(finish(vm).end, SK_VM_POWERED_OFF);
	sk_vm_destroy(vm);
}

static void triple_fault_is_reported_with_registers(void **state)
{
	struct sk_vm *vm = start("T");
	const char *report;

	(void)state;
	assert_int_equal(finish(vm).end, SK_VM_CRASHED);
	report = sk_vm_report(vm);
	if (!strstr(report, "triple fault") || !strstr(report, "rip") || !strstr(report, " 0f 0b"))
		fail_msg("the report says too little:\n%s", report);
	sk_vm_destroy(vm);
}

static void reset_starts_again_or_ends(void **state)
{
	struct sk_vm_config config;
	struct sk_vm *vm = start("PR");
	struct sk_vm_stats stats = {.struct_bytes = sizeof(stats)};
	char text[64];

	(void)state;
	/* Ten lives, each of which prints its command line; no output is lost at a reboot. */
	assert_int_equal(read_console(vm, text, 30), 30);
	assert_string_equal(text, "PR\nPR\nPR\nPR\nPR\nPR\nPR\nPR\nPR\nPR\n");
	sk_vm_get_stats(vm, &stats);
	assert_true(stats.reboots >= 9);
	assert_int_equal(sk_vm_stop(vm), 0);
	assert_int_equal(finish(vm).end, SK_VM_STOPPED);
	sk_vm_destroy(vm);

	configure(&config, "R");
	config.has_reboot = false;
	assert_int_equal(sk_vm_create(&vm, &config, NULL), 0);
	assert_int_equal(sk_vm_start(vm, NULL), 0);
	assert_int_equal(finish(vm).end, SK_VM_RESET);
	sk_vm_destroy(vm);
}

static void devices_live_as_long_as_the_machine(enum sk_vm_transport transport)
{
	struct sk_vm_rng_stats rng_stats = {.struct_bytes = sizeof(rng_stats)};
	struct sk_vm_virtio_console_stats console_stats = {.struct_bytes = sizeof(console_stats)};
	const struct sk_vm_virtio_console console = {.in_fd = -1, .out_fd = -1};
	const struct sk_vm_rng rng = {.bytes_per_s = 1000};
	struct sk_vm_stats stats = {.struct_bytes = sizeof(stats)};
	struct sk_vm_config config;
	struct sk_error err = {0};
	struct sk_vm *vm = NULL;
	char text[64];

	/* Built and not started; then through pauses and reboots, to a stop while it is paused. */
	configure(&config, "PR");
	config.rng = &rng;
	config.virtio_console = &console;
	config.transport = transport;
	for (int i = 0; i < 2; i++) {
		if (sk_vm_create(&vm, &config, &err))
			fail_msg("%s", err.message);
		if (i == 0)
			sk_vm_destroy(vm);
	}
	assert_int_equal(sk_vm_start(vm, NULL), 0);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(read_console(vm, text, 3), 3);
		assert_int_equal(sk_vm_pause(vm), 0);
		assert_int_equal(sk_vm_resize_virtio_console(vm, 100, 40), 0);
		assert_int_equal(sk_vm_rng_get_stats(vm, &rng_stats), 0);
		assert_int_equal(rng_stats.bytes, 0);
		assert_int_equal(sk_vm_virtio_console_get_stats(vm, &console_stats), 0);
		assert_int_equal(console_stats.out_bytes, 0);
		if (i < 4)
			assert_int_equal(sk_vm_resume(vm), 0);
	}
	assert_int_equal(sk_vm_stop(vm), 0);
	assert_int_equal(sk_vm_rng_get_stats(vm, &rng_stats), -EINVAL);
	sk_vm_get_stats(vm, &stats);
	assert_true(stats.reboots > 0);
	sk_vm_destroy(vm);
}

static void pci_devices_live_as_long_as_the_machine(void **state)
{
	(void)state;
	devices_live_as_long_as_the_machine(SK_VM_TRANSPORT_PCI);
}

static void mmio_devices_live_as_long_as_the_machine(void **state)
{
	(void)state;
	devices_live_as_long_as_the_machine(SK_VM_TRANSPORT_MMIO);
}

struct refresher {
	struct sk_vm *vm;
	atomic_bool is_over;
	atomic_uint nr_done, nr_refused, nr_wrong;
	atomic_int wrong; /* one of the wrong results */
};

static void *refresh_often(void *arg)
{
	struct refresher *r = arg;

	while (!atomic_load(&r->is_over)) {
		int ret = sk_vm_disk_refresh(r->vm, 0);

		atomic_fetch_add(!ret		  ? &r->nr_done
				 : ret == -EAGAIN ? &r->nr_refused
						  : &r->nr_wrong,
				 1);
		if (ret && ret != -EAGAIN)
			atomic_store(&r->wrong, ret);
	}
	return NULL;
}

/* From two threads, while the machine is rebooted and paused all the time. */
static void a_disk_is_looked_at_in_any_phase(void **state)
{
	const struct sk_vm_disk disk = {
		.path = actor, .format = SK_VM_DISK_RAW, .is_read_only = true};
	struct refresher r = {0};
	struct sk_vm_config config;
	struct sk_error err = {0};
	pthread_t threads[2];
	char text[64];

	(void)state;
	configure(&config, "PR");
	config.disks = &disk;
	config.nr_disks = 1;
	if (sk_vm_create(&r.vm, &config, &err))
		fail_msg("%s", err.message);
	assert_int_equal(sk_vm_disk_refresh(r.vm, 0), -EINVAL);
	assert_int_equal(sk_vm_disk_refresh(r.vm, 1), -ENODEV);
	assert_int_equal(sk_vm_start(r.vm, NULL), 0);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, refresh_often, &r), 0);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(read_console(r.vm, text, 3), 3);
		assert_int_equal(sk_vm_pause(r.vm), 0);
		while (!sk_vm_disk_refresh(r.vm, 0) && atomic_load(&r.nr_done) < 100u * (unsigned)i)
			;
		assert_int_equal(sk_vm_resume(r.vm), 0);
	}
	atomic_store(&r.is_over, true);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(sk_vm_stop(r.vm), 0);
	assert_int_equal(sk_vm_disk_refresh(r.vm, 0), -EINVAL);
	if (atomic_load(&r.nr_wrong))
		fail_msg("%u wrong results, one of them %d", atomic_load(&r.nr_wrong),
			 atomic_load(&r.wrong));
	sk_vm_destroy(r.vm);
}

static void what_a_device_cannot_open_is_said(void **state)
{
	const struct sk_vm_rng rng = {.path = "/nonexistent"};
	struct sk_vm_config config;
	struct sk_error err = {0};
	struct sk_vm *vm = NULL;

	(void)state;
	configure(&config, "PX");
	config.rng = &rng;
	assert_int_equal(sk_vm_create(&vm, &config, &err), -ENOENT);
	assert_non_null(strstr(err.message, "/nonexistent"));
	assert_non_null(strstr(err.message, "random"));
}

static void stop_ends_spinning_and_halted_guests(void **state)
{
	static const char *const scripts[] = {"PS", "PH"};

	(void)state;
	for (size_t i = 0; i < SK_ARRAY_SIZE(scripts); i++) {
		struct sk_vm *vm = start(scripts[i]);
		char text[8];

		assert_int_equal(read_console(vm, text, 3), 3);
		assert_int_equal(sk_vm_wait(vm, 10, NULL), -ETIMEDOUT);
		assert_int_equal(sk_vm_stop(vm), 0);
		assert_int_equal(finish(vm).end, SK_VM_STOPPED);
		assert_int_equal(sk_vm_stop(vm), 0);
		sk_vm_destroy(vm);
	}
	sk_vm_destroy(start("S")); /* destroy ends what still runs */
}

static void pause_stops_the_guest_and_resume_continues(void **state)
{
	struct sk_vm_stats before = {.struct_bytes = sizeof(before)}, after = before;
	struct sk_vm *vm = start("PWPWPWPWPWPWPWPWPWPWPX");
	char text[300];

	(void)state;
	assert_int_equal(sk_vm_pause(vm), 0);
	assert_int_equal(sk_vm_pause(vm), 0);
	sk_vm_get_stats(vm, &before);
	assert_int_equal(sk_vm_wait(vm, 50, NULL), -ETIMEDOUT);
	sk_vm_get_stats(vm, &after);
	assert_int_equal(before.exits, after.exits);
	assert_int_equal(sk_vm_resume(vm), 0);
	assert_int_equal(sk_vm_resume(vm), 0);
	for (int i = 0; i < 20; i++) {
		int ret = sk_vm_pause(vm);

		assert_true(ret == 0 || ret == -EINVAL); /* -EINVAL: it has ended */
		ret = sk_vm_resume(vm);
		assert_true(ret == 0 || ret == -EINVAL);
	}
	assert_int_equal(finish(vm).status, 42);
	assert_int_equal(read_console(vm, text, sizeof(text) - 1), 11 * 23);
	assert_int_equal(sk_vm_pause(vm), -EINVAL);
	assert_int_equal(sk_vm_resume(vm), -EINVAL);
	sk_vm_destroy(vm);
}

static void flood_is_complete_for_a_slow_reader(void **state)
{
	struct sk_vm *vm = start("FPX");
	static char text[80 * 1024];
	size_t have = 0;

	(void)state;
	/* 64 KiB at once fill the queue; the print that follows has to wait for the reader. */
	while (have < 65536 + 4) {
		struct pollfd fd = {.fd = sk_vm_console_fd(vm), .events = POLLIN};

		assert_true(poll(&fd, 1, WAIT_MS) > 0);
		have += sk_vm_console_read(vm, text + have, 1000);
	}
	assert_memory_equal(text + 65536, "FPX\n", 4);
	assert_int_equal(finish(vm).status, 42);
	sk_vm_destroy(vm);
}

static void two_machines_have_their_own_consoles(void **state)
{
	struct sk_vm *a = start("EX"), *b = start("EEX");
	char text[32];

	(void)state;
	assert_int_equal(sk_vm_console_write(b, "to b\nagain\n", 11), 11);
	assert_int_equal(sk_vm_console_write(a, "to a\n", 5), 5);
	assert_int_equal(finish(a).status, 42);
	assert_int_equal(finish(b).status, 42);
	assert_int_equal(read_console(a, text, sizeof(text) - 1), 5);
	assert_string_equal(text, "to a\n");
	assert_int_equal(read_console(b, text, sizeof(text) - 1), 11);
	assert_string_equal(text, "to b\nagain\n");
	sk_vm_destroy(a);
	sk_vm_destroy(b);
}

/* One of four threads: two machines at once, each with its own words. */
static void *run_pairs(void *arg)
{
	int rounds = *(const int *)arg;

	for (int i = 0; i < rounds; i++) {
		struct sk_vm *pair[2] = {start("EPX"), start("EPX")};
		char text[32];

		for (int k = 0; k < 2; k++)
			assert_int_equal(sk_vm_console_write(pair[k], k ? "one\n" : "two\n", 4), 4);
		for (int k = 0; k < 2; k++) {
			assert_int_equal(finish(pair[k]).status, 42);
			assert_int_equal(read_console(pair[k], text, sizeof(text) - 1), 8);
			assert_string_equal(text, k ? "one\nEPX\n" : "two\nEPX\n");
			sk_vm_destroy(pair[k]);
		}
	}
	return NULL;
}

static size_t count_descriptors(void)
{
	size_t n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void eight_machines_from_four_threads(void **state)
{
	const char *wanted = getenv("SKETE_TEST_ROUNDS");
	int rounds = wanted ? atoi(wanted) : 5;
	size_t before = count_descriptors();
	pthread_t threads[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_pairs, &rounds), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(count_descriptors(), before);
}

static void expect_refusal(const struct sk_vm_config *config, int code, const char *words)
{
	struct sk_error err = {0};
	struct sk_vm *vm = NULL;

	assert_int_equal(sk_vm_create(&vm, config, &err), code);
	assert_null(vm);
	if (!strstr(err.message, words))
		fail_msg("'%s' does not say '%s'", err.message, words);
}

static void bad_configurations_are_refused(void **state)
{
	size_t before = count_descriptors();
	struct sk_vm_config config;

	(void)state;
	configure(&config, "X");
	config.kernel_path = NULL;
	expect_refusal(&config, -EINVAL, "no kernel");
	config.kernel_path = "/nonexistent/kernel";
	expect_refusal(&config, -ENOENT, "/nonexistent/kernel");
	config.kernel_path = "/";
	expect_refusal(&config, -EINVAL, "not a regular file");
	config.kernel_path = "/etc/passwd";
	expect_refusal(&config, -ENOEXEC, "/etc/passwd");
	configure(&config, "X");
	config.cpus = 0;
	expect_refusal(&config, -EINVAL, "0 CPUs");
	config.cpus = SK_VM_MAX_CPUS + 1;
	expect_refusal(&config, -EINVAL, "65 CPUs");
	configure(&config, "X");
	config.memory_bytes = 512;
	expect_refusal(&config, -EINVAL, "at least 1 MiB");
	config.memory_bytes = UINT64_C(1) << 60;
	expect_refusal(&config, -EINVAL, "more than");
	configure(&config, "X");
	config.initrd_path = "/nonexistent/initrd";
	expect_refusal(&config, -ENOENT, "/nonexistent/initrd");
	configure(&config, "X");
	config.kvm_path = "/nonexistent/kvm";
	expect_refusal(&config, -ENOENT, "/nonexistent/kvm");
	configure(&config, "X");
	config.struct_bytes = 0;
	expect_refusal(&config, -EINVAL, "sk_vm_config_init");
	sk_vm_destroy(NULL);
	assert_int_equal(count_descriptors(), before);
}

static void calls_at_the_wrong_time_are_refused(void **state)
{
	struct sk_vm_config config;
	struct sk_vm *vm;

	(void)state;
	configure(&config, "X");
	assert_int_equal(sk_vm_create(&vm, &config, NULL), 0);
	assert_int_equal(sk_vm_wait(vm, 0, NULL), -EINVAL);
	assert_int_equal(sk_vm_pause(vm), -EINVAL);
	assert_int_equal(sk_vm_resume(vm), -EINVAL);
	assert_int_equal(sk_vm_stop(vm), -EINVAL);
	assert_int_equal(sk_vm_start(vm, NULL), 0);
	assert_int_equal(sk_vm_start(vm, NULL), -EALREADY);
	assert_int_equal(finish(vm).status, 42);
	sk_vm_destroy(vm);
}

/* A caller compiled against an older library passes a shorter structure: the rest is default. */
static void shorter_structures_of_older_callers_work(void **state)
{
	struct sk_vm_config config;
	struct sk_vm *vm;

	(void)state;
	configure(&config, "X");
	config.struct_bytes = offsetof(struct sk_vm_config, cpus);
	config.cpus = 12345; /* behind the end: must not be looked at */
	assert_int_equal(sk_vm_create(&vm, &config, NULL), 0);
	assert_int_equal(sk_vm_start(vm, NULL), 0);
	assert_int_equal(finish(vm).status, 42);
	sk_vm_destroy(vm);
}

static void several_cpus_stop_and_reboot_together(void **state)
{
	struct sk_vm_config config;
	struct sk_vm *vm;
	char text[64];

	(void)state;
	/*
	 * The others wait for their start: they, too, must leave when the machine does. Often,
	 * because the parts of a new machine may lie where those of the old one lay.
	 */
	configure(&config, "PR");
	config.cpus = 4;
	assert_int_equal(sk_vm_create(&vm, &config, NULL), 0);
	assert_int_equal(sk_vm_start(vm, NULL), 0);
	assert_int_equal(read_console(vm, text, 60), 60);
	assert_int_equal(sk_vm_pause(vm), 0);
	assert_int_equal(sk_vm_resume(vm), 0);
	assert_int_equal(sk_vm_stop(vm), 0);
	sk_vm_destroy(vm);
}

/* Each line is answered by an interrupt handler: lost interrupts are a hang. */
static void expect_lines_by_interrupt(const char *script)
{
	struct sk_vm_config config;
	struct sk_vm *vm;
	char text[32], wanted[32];

	configure(&config, script);
	config.kernel_path = pin;
	assert_int_equal(sk_vm_create(&vm, &config, NULL), 0);
	assert_int_equal(sk_vm_start(vm, NULL), 0);
	for (int i = 0; script[i] != 'X'; i++) {
		int len = snprintf(wanted, sizeof(wanted), "%c line %d\n", script[i], i);

		assert_int_equal(sk_vm_console_write(vm, wanted, (size_t)len), len);
		assert_int_equal(read_console(vm, text, (size_t)len), len);
		assert_string_equal(text, wanted);
	}
	assert_int_equal(finish(vm).status, 42);
	sk_vm_destroy(vm);
}

static void interrupts_arrive(void **state)
{
	(void)state;
	expect_lines_by_interrupt("IIIIX");
}

static void level_interrupts_end(void **state)
{
	(void)state;
	expect_lines_by_interrupt("LLLIX");
}

/* KVM's own IOAPIC forgets such an edge, as the hardware may; ours does not. */
static void masked_edges_are_not_lost(void **state)
{
	(void)state;
	expect_lines_by_interrupt("MMMLMIX");
}

/* Periodic, update-ended and alarm; the second round finds the thread that the first one started.
 */
static void the_clock_interrupts(void **state)
{
	struct sk_vm_config config;
	struct sk_vm *vm;
	char text[32];

	(void)state;
	configure(&config, "PUAPX");
	config.kernel_path = pin;
	assert_int_equal(sk_vm_create(&vm, &config, NULL), 0);
	assert_int_equal(sk_vm_start(vm, NULL), 0);
	assert_int_equal(read_console(vm, text, 8), 8);
	assert_string_equal(text, "P\nU\nA\nP\n");
	assert_int_equal(finish(vm).status, 42);
	sk_vm_destroy(vm);
}

static void no_console_means_no_port(void **state)
{
	struct sk_vm_config config;
	struct sk_vm *vm;
	char c;

	(void)state;
	configure(&config, "FX");
	config.has_console = false;
	assert_int_equal(sk_vm_create(&vm, &config, NULL), 0);
	assert_int_equal(sk_vm_console_fd(vm), -1);
	assert_int_equal(sk_vm_start(vm, NULL), 0);
	assert_int_equal(finish(vm).status, 42);
	assert_int_equal(sk_vm_console_read(vm, &c, 1), 0);
	assert_int_equal(sk_vm_console_write(vm, "x", 1), 0);
	sk_vm_destroy(vm);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exit_status_is_exact),
		cmocka_unit_test(debug_exit_is_as_in_qemu),
		cmocka_unit_test(power_off_is_no_error),
		cmocka_unit_test(triple_fault_is_reported_with_registers),
		cmocka_unit_test(reset_starts_again_or_ends),
		cmocka_unit_test(pci_devices_live_as_long_as_the_machine),
		cmocka_unit_test(mmio_devices_live_as_long_as_the_machine),
		cmocka_unit_test(a_disk_is_looked_at_in_any_phase),
		cmocka_unit_test(what_a_device_cannot_open_is_said),
		cmocka_unit_test(stop_ends_spinning_and_halted_guests),
		cmocka_unit_test(pause_stops_the_guest_and_resume_continues),
		cmocka_unit_test(flood_is_complete_for_a_slow_reader),
		cmocka_unit_test(two_machines_have_their_own_consoles),
		cmocka_unit_test(eight_machines_from_four_threads),
		cmocka_unit_test(bad_configurations_are_refused),
		cmocka_unit_test(calls_at_the_wrong_time_are_refused),
		cmocka_unit_test(shorter_structures_of_older_callers_work),
		cmocka_unit_test(several_cpus_stop_and_reboot_together),
		cmocka_unit_test(the_clock_interrupts),
		cmocka_unit_test(no_console_means_no_port),
		cmocka_unit_test(interrupts_arrive),
		cmocka_unit_test(level_interrupts_end),
		cmocka_unit_test(masked_edges_are_not_lost), /* the last: only with our own chip */
	};
	size_t nr_tests = SK_ARRAY_SIZE(tests);

	if (argc != 4 || (strcmp(argv[3], "kernel") && strcmp(argv[3], "split"))) {
		fprintf(stderr, "usage: vm_test ACTOR PIN kernel|split\n");
		return 2;
	}
	actor = argv[1];
	pin = argv[2];
	if (strcmp(argv[3], "split") == 0)
		irqchip = SK_VM_IRQCHIP_SPLIT;
	else
		nr_tests--;
	if (access("/dev/kvm", R_OK | W_OK)) {
		printf("1..0 # SKIP /dev/kvm is missing or not accessible\n");
		return 0;
	}
	return _cmocka_run_group_tests("vm", tests, nr_tests, NULL, NULL);
}
