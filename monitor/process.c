/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The options of `skete run`, as the tender wants them. */
#include "process.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* An option that only a machine has must not seem to have an effect: so it has its default here. */
static int compare_options(const struct cli_options *o, const struct cli_options *usual,
			   struct sk_error *err)
{
	const struct {
		bool is_given;
		const char *name;
	} others[] = {
		{o->boot != usual->boot, "boot"},
		{o->pages != usual->pages, "pages"},
		{o->backing != usual->backing, "memory-backing"},
		{o->irqchip != usual->irqchip, "irqchip"},
		{o->has_pit != usual->has_pit, "pit"},
		{o->has_reboot != usual->has_reboot, "reboot"},
		{o->net.nr > 0, "net"},
		{o->publish.nr > 0, "publish"},
		{o->vsock.nr > 0, "vsock"},
		{o->balloon.nr > 0, "balloon"},
		{o->serial.kind == CLI_SERIAL_PTY, "serial pty"},
		{o->disk.nr > 0, "disk"},
		{o->gdb_port != 0, "gdb"},
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

static int check_options(const struct cli_options *o, struct sk_error *err)
{
	char *const nothing[] = {"skete", "run", "image", NULL};
	struct cli_request usual;
	int ret = cli_parse(&usual, 3, nothing, err);

	if (ret)
		return ret;
	ret = compare_options(o, &usual.options, err);
	cli_request_fini(&usual);
	return ret;
}

bool process_find_image(const char *path, struct sk_tender_image *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *file = MAP_FAILED;
	bool is_found = false;
	struct stat st;

	if (fd >= 0 && !fstat(fd, &st) && st.st_size > 0)
		file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (file != MAP_FAILED) {
		is_found = !sk_tender_image_parse(out, file, (size_t)st.st_size, NULL);
		munmap(file, (size_t)st.st_size);
	}
	sk_close(&fd);
	return is_found;
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
