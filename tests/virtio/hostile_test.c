/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The hostile guest (guest.c) in a machine with every virtio device: the monitor lives, the devices
 * answer proper requests all the while, memory does not grow. Runs on any KVM. Each device sees 512
 * malformed sets of rings, or as many as SKETE_HOSTILE_ROUNDS says.
 */
#include <skete/vm.h>

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_MS	     600000
#define MAX_GROWTH   (8 * SK_MIB)
#define DOTS_TO_WARM 1 /* after so many everything has been touched that ever will be */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SANITIZER 1
#endif
#endif
#ifndef HAS_SANITIZER
#define HAS_SANITIZER 0
#endif

static const char *guest;

static uint64_t resident_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long long total, resident;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%llu %llu", &total, &resident), 2);
	fclose(f);
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Reads the dots until the end; returns by how much memory grew after the first ones. */
static int64_t watch(struct sk_vm *vm, int console_fd)
{
	struct pollfd fds[] = {{.fd = sk_vm_console_fd(vm), .events = POLLIN},
			       {.fd = sk_vm_exit_fd(vm), .events = POLLIN},
			       {.fd = console_fd, .events = POLLIN}};
	uint64_t warm = 0, nr_dots = 0;
	char buf[65536];

	for (;;) {
		assert_true(poll(fds, 3, WAIT_MS) > 0);
		/* What the guest sends to its console goes nowhere, but it does go. */
		if (fds[2].revents & POLLIN)
			(void)!read(console_fd, buf, sizeof(buf));
		if (fds[0].revents)
			nr_dots += sk_vm_console_read(vm, buf, sizeof(buf));
		if (!warm && nr_dots >= DOTS_TO_WARM)
			warm = resident_bytes();
		if (fds[1].revents)
			return warm ? (int64_t)(resident_bytes() - warm) : 0;
	}
}

static void the_monitor_lives(void **state)
{
	const char *rounds = getenv("SKETE_HOSTILE_ROUNDS");
	const struct sk_vm_rng rng = {0};
	const struct sk_vm_net net = {.kind = SK_VM_NET_USER};
	struct sk_vm_virtio_console console;
	struct sk_vm_config config;
	struct sk_vm_result result;
	struct sk_vm_stats stats = {.struct_bytes = sizeof(stats)};
	struct sk_error err = {0};
	struct sk_vm *vm = NULL;
	int in[2], out[2];
	char cmdline[64];
	int64_t growth;

	(void)state;
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(write(in[1], "some input\n", 11), 11);
	console = (struct sk_vm_virtio_console){.in_fd = in[0], .out_fd = out[1]};
	snprintf(cmdline, sizeof(cmdline), "%s 1", rounds ? rounds : "512");
	sk_vm_config_init(&config, sizeof(config));
	config.kernel_path = guest;
	config.cmdline = cmdline;
	config.memory_bytes = 4 * SK_MIB;
	config.transport = SK_VM_TRANSPORT_MMIO;
	config.rng = &rng;
	config.virtio_console = &console;
	config.nets = &net;
	config.nr_nets = 1;
	if (sk_vm_create(&vm, &config, &err) || sk_vm_start(vm, &err))
		fail_msg("%s", err.message);
	growth = watch(vm, out[0]);
	assert_int_equal(sk_vm_wait(vm, 0, &result), 0);
	sk_vm_get_stats(vm, &stats);
	printf("# %s rounds for each device, %llu exits, %lld KiB more memory\n",
	       rounds ? rounds : "512", (unsigned long long)stats.exits, (long long)growth / 1024);
	if (result.end != SK_VM_EXITED || result.status)
		fail_msg(
			"the guest ended with %d, status %u (100 + id: that device does not work)\n%s",
			result.end, result.status, sk_vm_report(vm));
	if (!HAS_SANITIZER)
		assert_true(growth < (int64_t)MAX_GROWTH);
	sk_vm_destroy(vm);
	for (int i = 0; i < 2; i++) {
		close(in[i]);
		close(out[i]);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_monitor_lives),
	};

	if (argc != 2)
		return 2;
	guest = argv[1];
	if (access("/dev/kvm", R_OK | W_OK)) {
		printf("1..0 # SKIP no access to /dev/kvm\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
