/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * A monitor for tests: boots KERNEL with INITRD and CMDLINE in MIB of memory with a balloon, its
 * console at standard input and output. A line of input that begins with '!' is for the monitor:
 *
 *   !balloon MIB   asks for a balloon of that size
 *   !stats         prints "host: target, actual, reported, free" in MiB
 *   !refresh       looks how large the disk is now; prints "host: refreshed"
 *
 * The fifth argument is "pci" or "mmio", the transport; the sixth "reporting" or "no-reporting"; a
 * seventh is the file of a raw disk.
 */
#include <skete/vm.h>

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

static void obey(struct sk_vm *vm, const char *line)
{
	struct sk_vm_balloon_stats s = {.struct_bytes = sizeof(s)};
	int ret = 0;

	if (!strncmp(line, "!balloon ", 9))
		ret = sk_vm_balloon_set_size(vm, strtoull(line + 9, NULL, 10) * SK_MIB);
	else if (!strncmp(line, "!stats", 6))
		ret = sk_vm_balloon_get_stats(vm, &s);
	else if (!strncmp(line, "!refresh", 8))
		ret = sk_vm_disk_refresh(vm, 0);
	if (ret)
		printf("\nhost: error %d\n", ret);
	else if (!strncmp(line, "!stats", 6))
		printf("\nhost: %llu %llu %llu %lld\n",
		       (unsigned long long)(s.target_bytes / SK_MIB),
		       (unsigned long long)(s.actual_bytes / SK_MIB),
		       (unsigned long long)(s.reported_bytes / SK_MIB),
		       s.free_bytes == UINT64_MAX ? -1LL : (long long)(s.free_bytes / SK_MIB));
	else if (!strncmp(line, "!refresh", 8))
		printf("\nhost: refreshed\n");
	fflush(stdout);
}

/* Takes one line of input; false at its end. */
static bool take_input(struct sk_vm *vm)
{
	static char line[4096];
	static size_t len;
	ssize_t n = read(STDIN_FILENO, line + len, 1);

	if (n <= 0)
		return false;
	len++;
	if (line[len - 1] != '\n' && len < sizeof(line) - 1)
		return true;
	line[len] = '\0';
	if (line[0] == '!')
		obey(vm, line);
	else
		for (size_t done = 0; done < len;)
			done += sk_vm_console_write(vm, line + done, len - done);
	len = 0;
	return true;
}

static void pump(struct sk_vm *vm)
{
	struct pollfd fds[] = {{.fd = sk_vm_console_fd(vm), .events = POLLIN},
			       {.fd = STDIN_FILENO, .events = POLLIN},
			       {.fd = sk_vm_exit_fd(vm), .events = POLLIN}};
	char buf[4096];

	for (;;) {
		size_t n = sk_vm_console_read(vm, buf, sizeof(buf));

		if (n) {
			fwrite(buf, 1, n, stdout);
			fflush(stdout);
			continue;
		}
		if (fds[2].revents)
			return;
		if (poll(fds, 3, -1) < 0)
			return;
		if ((fds[1].revents & (POLLIN | POLLHUP)) && !take_input(vm))
			fds[1].fd = -1;
	}
}

int main(int argc, char **argv)
{
	struct sk_vm_balloon balloon = {0};
	struct sk_vm_disk disk = {.format = SK_VM_DISK_RAW};
	struct sk_vm_config config;
	struct sk_vm_result result;
	struct sk_error err;
	struct sk_vm *vm;

	if (argc != 7 && argc != 8)
		return 2;
	sk_vm_config_init(&config, sizeof(config));
	config.kernel_path = argv[1];
	config.initrd_path = argv[2];
	config.cmdline = argv[3];
	config.memory_bytes = strtoull(argv[4], NULL, 10) * SK_MIB;
	config.has_reboot = false;
	if (!strcmp(argv[5], "mmio"))
		config.transport = SK_VM_TRANSPORT_MMIO;
	else if (strcmp(argv[5], "pci"))
		return 2;
	balloon.has_no_reporting = strcmp(argv[6], "reporting") != 0;
	config.balloon = &balloon;
	disk.path = argv[7];
	config.disks = &disk;
	config.nr_disks = argc == 8;
	if (sk_vm_create(&vm, &config, &err) || sk_vm_start(vm, &err)) {
		fprintf(stderr, "%s\n", err.message);
		return 1;
	}
	pump(vm);
	if (sk_vm_wait(vm, -1, &result))
		return 1;
	if (result.end == SK_VM_CRASHED || result.end == SK_VM_FAILED)
		fprintf(stderr, "vm-host: %s\n", sk_vm_report(vm));
	sk_vm_destroy(vm);
	return result.end == SK_VM_POWERED_OFF ? 0 : 1;
}
