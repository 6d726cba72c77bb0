/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The hostile guest (guest.c) in a machine with every virtio device: the monitor lives, the devices
 * answer proper requests all the while, memory does not grow. Runs on any KVM. Each device sees 256
 * malformed sets of rings, or as many as SKETE_HOSTILE_ROUNDS says.
 */
#include <skete/vm.h>

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define DEFAULT_ROUNDS "256"
#define WAIT_MS	       600000
#define DISK_BYTES     (1024 * 1024)
#define MEMORY_BYTES   (36 * SK_MIB)
#define MAX_GROWTH     (12 * SK_MIB) /* more than what the guest uses of its memory */
#define DOTS_TO_WARM   1 /* after so many everything has been touched that ever will be */

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

/* What the devices have on the host's side. */
struct outside {
	char folder[64], disk_path[96], vsock_path[96];
	int in[2], out[2]; /* of the console */
	struct sk_vm_rng rng;
	struct sk_vm_net net;
	struct sk_vm_vsock vsock;
	struct sk_vm_balloon balloon;
	struct sk_vm_virtio_console console;
	struct sk_vm_disk disk;
};

static void open_outside(struct outside *o)
{
	int fd;

	*o = (struct outside){.folder = "/tmp/skete-hostile-XXXXXX"};
	assert_non_null(mkdtemp(o->folder));
	snprintf(o->disk_path, sizeof(o->disk_path), "%s/disk", o->folder);
	snprintf(o->vsock_path, sizeof(o->vsock_path), "%s/vsock", o->folder);
	fd = open(o->disk_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, DISK_BYTES), 0);
	close(fd);
	assert_int_equal(pipe2(o->in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(o->out, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(write(o->in[1], "some input\n", 11), 11);
	o->net.kind = SK_VM_NET_USER;
	o->vsock = (struct sk_vm_vsock){.cid = 3, .path = o->vsock_path};
	o->console = (struct sk_vm_virtio_console){.in_fd = o->in[0], .out_fd = o->out[1]};
	o->disk = (struct sk_vm_disk){.path = o->disk_path, .format = SK_VM_DISK_RAW, .queues = 2};
}

static void close_outside(struct outside *o)
{
	struct stat st;

	/* The guest wrote where it liked, and never beyond the end. */
	assert_int_equal(stat(o->disk_path, &st), 0);
	assert_int_equal(st.st_size, DISK_BYTES);
	unlink(o->disk_path);
	unlink(o->vsock_path);
	assert_int_equal(rmdir(o->folder), 0);
	for (int i = 0; i < 2; i++) {
		close(o->in[i]);
		close(o->out[i]);
	}
}

static void configure(struct sk_vm_config *config, const struct outside *o,
		      enum sk_vm_transport transport)
{
	sk_vm_config_init(config, sizeof(*config));
	config->kernel_path = guest;
	config->memory_bytes = MEMORY_BYTES;
	config->transport = transport;
	config->rng = &o->rng;
	config->virtio_console = &o->console;
	config->nets = &o->net;
	config->nr_nets = 1;
	config->disks = &o->disk;
	config->nr_disks = 1;
	config->vsock = &o->vsock;
	config->balloon = &o->balloon;
}

static void attack(enum sk_vm_transport transport)
{
	const char *rounds = getenv("SKETE_HOSTILE_ROUNDS");
	struct sk_vm_stats stats = {.struct_bytes = sizeof(stats)};
	struct sk_vm_config config;
	struct sk_vm_result result;
	struct sk_error err = {0};
	struct sk_vm *vm = NULL;
	struct outside outside;
	char cmdline[64];
	int64_t growth;

	open_outside(&outside);
	configure(&config, &outside, transport);
	snprintf(cmdline, sizeof(cmdline), "%s 1", rounds ? rounds : DEFAULT_ROUNDS);
	config.cmdline = cmdline;
	if (sk_vm_create(&vm, &config, &err) || sk_vm_start(vm, &err))
		fail_msg("%s", err.message);
	growth = watch(vm, outside.out[0]);
	assert_int_equal(sk_vm_wait(vm, 0, &result), 0);
	sk_vm_get_stats(vm, &stats);
	printf("# %s rounds for each device, %llu exits, %lld KiB more memory\n",
	       rounds ? rounds : DEFAULT_ROUNDS, (unsigned long long)stats.exits,
	       (long long)growth / 1024);
	if (result.end != SK_VM_EXITED || result.status)
		fail_msg(
			"the guest ended with %d, status %u (100 + id: that device does not work)\n%s",
			result.end, result.status, sk_vm_report(vm));
	if (!HAS_SANITIZER)
		assert_true(growth < (int64_t)MAX_GROWTH);
	sk_vm_destroy(vm);
	close_outside(&outside);
}

static void the_monitor_lives_over_mmio(void **state)
{
	(void)state;
	attack(SK_VM_TRANSPORT_MMIO);
}

static void the_monitor_lives_over_pci(void **state)
{
	(void)state;
	attack(SK_VM_TRANSPORT_PCI);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_monitor_lives_over_mmio),
		cmocka_unit_test(the_monitor_lives_over_pci),
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
