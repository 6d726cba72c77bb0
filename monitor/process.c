/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The options of `skete run`, as the tender wants them. */
#include "process.h"

#include <fcntl.h>
#include <unistd.h>

#include <skete/tender.h>

/* An option that only a machine has must not seem to have an effect. */
static int check_options(const struct cli_options *o, struct sk_error *err)
{
	const struct {
		bool is_given;
		const char *name;
	} others[] = {
		{o->boot != CLI_BOOT_AUTO, "boot"},
		{o->pages != CLI_PAGES_BASE, "pages"},
		{o->backing != CLI_BACKING_ANON, "memory-backing"},
		{o->irqchip != CLI_IRQCHIP_SPLIT, "irqchip"},
		{o->net.nr, "net"},
		{o->publish.nr, "publish"},
		{!o->has_pit, "no-pit"},
		{!o->has_reboot, "no-reboot"},
		{o->serial.kind == CLI_SERIAL_PTY, "serial pty"},
		{o->is_json, "json"},
	};

	for (size_t i = 0; i < SK_ARRAY_SIZE(others); i++)
		if (others[i].is_given)
			return sk_error_set(
				err, -EINVAL,
				"--%s belongs to a virtual machine; it has no meaning with "
				"--isolation process",
				others[i].name);
	return 0;
}

int process_run(const struct cli_options *o, const char *cmdline, uint64_t start_ns,
		struct sk_error *err)
{
	struct sk_tender_config config = {
		.image_path = o->kernel,
		.initrd_path = o->initrd,
		.cmdline = cmdline,
		.cpus = (uint32_t)o->cpus,
		.memory_bytes = o->memory_bytes,
		.in_fd = o->serial.kind == CLI_SERIAL_STDIO ? STDIN_FILENO : -1,
		.out_fd = o->serial.kind == CLI_SERIAL_STDIO ? STDOUT_FILENO : -1,
		.start_ns = start_ns,
	};
	int ret = check_options(o, err);

	if (ret)
		return ret;
	if (o->serial.kind == CLI_SERIAL_FILE) {
		config.out_fd = open(o->serial.path,
				     O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
		if (config.out_fd < 0)
			return sk_error_set(err, -errno, "cannot open %s for the serial port: %s",
					    o->serial.path, strerror(errno));
	}
	ret = sk_tender_run(&config, err);
	sk_close(&config.out_fd);
	return ret;
}
