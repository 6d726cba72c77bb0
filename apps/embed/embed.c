/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Boots a kernel in a virtual machine of this process and prints what it says, in capitals. */
#include <ctype.h>
#include <poll.h>
#include <stdio.h>

#include <skete/vm.h>

int main(int argc, char **argv)
{
	struct sk_vm_config config;
	struct sk_vm_result result;
	struct sk_error err;
	struct sk_vm *vm;
	char text[4096];
	int is_running;
	size_t n;

	sk_vm_config_init(&config, sizeof(config));
	config.kernel_path = argc > 1 ? argv[1] : NULL;
	config.initrd_path = argc > 2 ? argv[2] : NULL;
	config.cmdline = argc > 3 ? argv[3] : "console=ttyS0";
	if (sk_vm_create(&vm, &config, &err) || sk_vm_start(vm, &err)) {
		fprintf(stderr, "embed: %s\n", err.message);
		return 1;
	}
	do {
		struct pollfd fds[] = {{.fd = sk_vm_console_fd(vm), .events = POLLIN},
				       {.fd = sk_vm_exit_fd(vm), .events = POLLIN}};

		poll(fds, 2, -1);
		is_running = sk_vm_wait(vm, 0, &result); /* before the last look at the console */
		while ((n = sk_vm_console_read(vm, text, sizeof(text))) > 0)
			for (size_t i = 0; i < n; i++)
				putchar(toupper((unsigned char)text[i]));
	} while (is_running);
	printf("end %d, status %u\n%s", result.end, result.status, sk_vm_report(vm));
	sk_vm_destroy(vm);
	return result.end == SK_VM_POWERED_OFF ? 0 : 1;
}
