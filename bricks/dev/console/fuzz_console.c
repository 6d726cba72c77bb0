/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* A hostile driver of the console device, with one port or with three. */
#include <skete/dev/console.h>

#include <unistd.h>

#include <virtio_fuzz.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int in[2];
	const struct sk_console_config template = {
		.gm = virtio_fuzz_memory(),
		.loop = virtio_fuzz_loop(),
		.nr_ports = size % 2 ? 3 : 1,
		.columns = 80,
		.rows = 25,
	};
	struct sk_console_port ports[3] = {
		{.is_console = true, .in_fd = -1, .out_fd = -1},
		{.name = "a", .in_fd = -1, .out_fd = -1},
		{.name = "b", .is_console = true, .in_fd = -1, .out_fd = -1},
	};
	struct sk_console_config config = template;
	struct sk_console *console;

	BUG_ON(pipe(in) || write(in[1], "what somebody types\n", 20) != 20);
	ports[0].in_fd = in[0];
	ports[0].out_fd = in[1]; /* and sees again */
	config.ports = ports;
	BUG_ON(sk_console_create(&console, &config, NULL));
	if (size > 2)
		sk_console_resize(console, data[1], data[2]);
	virtio_fuzz(sk_console_virtio(console), data, size);
	/* Nobody reads what is left: not to be waited for. */
	close(in[0]);
	sk_console_destroy(console);
	close(in[1]);
	return 0;
}
