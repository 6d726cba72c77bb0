/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * `skete run`: turns the options into a machine of libskete, connects its console, and turns its
 * end into an exit status. Messages go to standard error, the guest's console to where --serial
 * says.
 */
#include "run.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skete/abi/debug.h>
#include <skete/vm.h>

#include "hvc.h"
#include "process.h"
#include "pty.h"
#include "pump.h"
#include "stats.h"
#include "terminal.h"

struct run {
	const struct cli_options *options;
	struct terminal terminal;
	struct sk_log log;
	struct sk_vm_rng rng;
	struct run_nets *nets;
	struct sk_vm_disk *disks;
	struct hvc hvc;
	struct sk_vm *vm;
	struct pump *pump;
	char *cmdline;
	int signal_fd;
	int file_fd; /* of --serial FILE or pty; -1: none */
	uint64_t start_ns;
	bool is_unikernel;
	struct sk_tender_image image; /* if it is one */
};

/* In raw mode a newline alone does not return the carriage. */
static void say(const struct terminal *terminal, const char *text)
{
	const char *end = terminal_is_raw(terminal) ? "\r\n" : "\n";

	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n");

		fprintf(stderr, "skete: %.*s%s", (int)len, line, end);
		line += len + (line[len] == '\n');
	}
}

static void emit_log(void *ctx, enum sk_log_level level, const char *message)
{
	const struct run *run = ctx;

	(void)level;
	say(&run->terminal, message);
}

static void init_log(struct run *run)
{
	static const enum sk_log_level levels[] = {SK_LOG_WARN, SK_LOG_INFO, SK_LOG_DEBUG};

	run->log = (struct sk_log){
		.emit = emit_log,
		.ctx = run,
		.max_level = levels[SK_MIN(run->options->verbosity, UINT64_C(2))],
	};
}

static int fail(const struct run *run, int status, const struct sk_error *err)
{
	say(&run->terminal, err->message);
	return status;
}

/*
 * The statuses that users of containers know: 127 if there is no such image, 126 if it cannot be
 * run. 0 if it looks fine so far.
 */
static int check_image(const struct run *run)
{
	const char *path = run->options->kernel;
	struct sk_error err;
	struct stat st;

	if (stat(path, &st)) {
		int code = -errno;

		(void)sk_error_set(&err, code, "cannot find the kernel %s: %s", path,
				   strerror(-code));
		return fail(run,
			    code == -ENOENT || code == -ENOTDIR ? CLI_EXIT_NOT_FOUND
								: CLI_EXIT_CANNOT_RUN,
			    &err);
	}
	if (!S_ISREG(st.st_mode)) {
		(void)sk_error_set(&err, -EINVAL, "the kernel %s is not a regular file%s", path,
				   S_ISDIR(st.st_mode) ? " but a directory" : "");
		return fail(run, CLI_EXIT_CANNOT_RUN, &err);
	}
	if (access(path, R_OK)) {
		(void)sk_error_set(&err, -errno, "cannot read the kernel %s: %s", path,
				   strerror(errno));
		return fail(run, CLI_EXIT_CANNOT_RUN, &err);
	}
	return 0;
}

static void configure(struct run *run, struct sk_vm_config *config)
{
	static const enum sk_vm_boot boots[] = {
		[CLI_BOOT_AUTO] = SK_VM_BOOT_AUTO,
		[CLI_BOOT_PVH] = SK_VM_BOOT_PVH,
		[CLI_BOOT_LINUX64] = SK_VM_BOOT_LINUX64,
		[CLI_BOOT_MULTIBOOT] = SK_VM_BOOT_MULTIBOOT,
	};
	static const enum sk_vm_pages pages[] = {
		[CLI_PAGES_AUTO] = SK_VM_PAGES_AUTO,
		[CLI_PAGES_BASE] = SK_VM_PAGES_BASE,
		[CLI_PAGES_TRANSPARENT] = SK_VM_PAGES_TRANSPARENT,
		[CLI_PAGES_2M] = SK_VM_PAGES_2M,
		[CLI_PAGES_1G] = SK_VM_PAGES_1G,
	};
	const struct cli_options *o = run->options;

	sk_vm_config_init(config, sizeof(*config));
	config->kernel_path = o->kernel;
	config->initrd_path = o->initrd;
	config->cmdline = run->cmdline;
	config->boot = boots[o->boot];
	config->cpus = (uint32_t)o->cpus;
	config->memory_bytes = o->memory_bytes;
	config->pages = pages[o->pages];
	config->backing =
		o->backing == CLI_BACKING_MEMFD ? SK_VM_BACKING_MEMFD : SK_VM_BACKING_ANON;
	config->irqchip =
		o->irqchip == CLI_IRQCHIP_SPLIT ? SK_VM_IRQCHIP_SPLIT : SK_VM_IRQCHIP_KERNEL;
	config->has_pit = o->has_pit;
	config->has_reboot = o->has_reboot;
	config->has_console = o->serial.kind != CLI_SERIAL_NONE;
	config->log = &run->log;
	config->gdb_port = (uint16_t)o->gdb_port;
	if (run->is_unikernel && o->gdb_port) {
		config->gdb_text = SK_DEBUG_BIAS + run->image.start;
		config->gdb_data = SK_DEBUG_BIAS + run->image.ro_end;
	}
	config->transport =
		o->transport == CLI_TRANSPORT_PCI ? SK_VM_TRANSPORT_PCI : SK_VM_TRANSPORT_MMIO;
	config->max_poll_us = (uint32_t)o->max_poll_us;
	if (o->rng.nr) {
		const struct cli_rng *rng = o->rng.items;

		run->rng = (struct sk_vm_rng){rng->path, rng->bytes_per_s};
		config->rng = &run->rng;
	}
	if (o->console.kind != CLI_CONSOLE_NONE)
		config->virtio_console = &run->hvc.config;
}

static void put_text(struct sk_writer *w, const char *text)
{
	sk_put_bytes(w, text, strlen(text));
}

/* A word of the command line, behind others; with a blank in it it stands in double quotes. */
static void put_word(struct sk_writer *w, const char *name, const char *value)
{
	const char *quote = (!*name && !*value) || strpbrk(value, " \t\n") ? "\"" : "";

	put_text(w, w->len_bytes ? " " : "");
	put_text(w, quote);
	put_text(w, name);
	put_text(w, value);
	put_text(w, quote);
}

/* What only a unikernel is told; words of the user's own come later and win. */
static void put_unikernel_words(struct sk_writer *w, const struct run *run)
{
	const struct cli_options *o = run->options;

	if (!strchr(o->kernel, '"'))
		put_word(w, "skete.name=", o->kernel);
	/* Raw bytes of a terminal; as a process it reads one that edits lines itself. */
	if (o->isolation != CLI_ISOLATION_PROCESS &&
	    (terminal_is_interactive(&run->terminal) || o->serial.kind == CLI_SERIAL_PTY))
		put_word(w, "skete.terminal", "");
	if (o->gdb_port)
		put_word(w, "skete.gdb", "");
}

/*
 * The guest program's arguments follow " -- " on the command line, where Linux passes them on to
 * init.
 */
static void put_cmdline(struct sk_writer *w, const struct run *run)
{
	const struct cli_options *o = run->options;

	if (run->is_unikernel)
		put_unikernel_words(w, run);
	if (o->cmdline && *o->cmdline) {
		put_text(w, w->len_bytes ? " " : "");
		put_text(w, o->cmdline);
	}
	if (o->has_strace)
		put_word(w, "skete.strace", "");
	if (o->has_stats)
		put_word(w, "skete.stats", "");
	if (o->arg.nr)
		put_word(w, "--", "");
	for (size_t i = 0; i < o->arg.nr; i++)
		put_word(w, "", o->arg.items[i]);
}

/* *@out is the caller's to free. */
static int build_cmdline(const struct run *run, char **out, struct sk_error *err)
{
	const struct cli_options *o = run->options;
	struct sk_writer w;
	size_t len;

	for (size_t i = 0; i < o->arg.nr; i++)
		if (strchr(o->arg.items[i], '"'))
			return sk_error_set(
				err, -EINVAL,
				"the argument '%s' has a double quote, which a kernel's "
				"command line cannot carry",
				(const char *)o->arg.items[i]);
	sk_writer_init(&w, NULL, 0);
	put_cmdline(&w, run);
	len = w.len_bytes;
	*out = malloc(len + 1);
	if (!*out)
		return sk_error_set(err, -ENOMEM, "no memory for the command line");
	sk_writer_init(&w, *out, len);
	put_cmdline(&w, run);
	(*out)[len] = '\0';
	return 0;
}

static int open_pty(struct run *run, struct sk_error *err)
{
	char message[128];
	int ret = pty_open(&run->file_fd, "the serial port", message, sizeof(message), err);

	if (!ret)
		say(&run->terminal, message);
	return ret;
}

static bool uses_stdin(const struct run *run)
{
	return run->options->serial.kind == CLI_SERIAL_STDIO ||
	       run->options->console.kind == CLI_CONSOLE_STDIO;
}

static int open_console(struct run *run, struct sk_error *err)
{
	struct pump *p = run->pump;
	int ret = 0;

	switch (run->options->serial.kind) {
	case CLI_SERIAL_STDIO:
		p->out_fd = STDOUT_FILENO;
		break;
	case CLI_SERIAL_PTY:
		ret = open_pty(run, err);
		p->in_fd = p->out_fd = run->file_fd;
		break;
	case CLI_SERIAL_FILE:
		run->file_fd = open(run->options->serial.path,
				    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
		if (run->file_fd < 0)
			ret = sk_error_set(err, -errno, "cannot open %s for the serial port: %s",
					   run->options->serial.path, strerror(errno));
		p->out_fd = run->file_fd;
		break;
	default:
		break;
	}
	/* A terminal that is not ours to make raw is not ours to read, either. */
	if (uses_stdin(run) && (terminal_is_interactive(&run->terminal) || !isatty(STDIN_FILENO)))
		p->in_fd = STDIN_FILENO;
	if (uses_stdin(run))
		p->terminal = &run->terminal;
	return ret;
}

/* Signals become readable; the vCPU threads, started later, inherit the blocked mask. */
static int open_signals(struct run *run, struct sk_error *err)
{
	static const int handled[] = {SIGINT,  SIGTERM, SIGHUP,	 SIGQUIT,
				      SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH};
	struct sigaction old;
	sigset_t set;

	/* A file that may not grow is an error like others, not the end of us. */
	signal(SIGXFSZ, SIG_IGN);
	sigemptyset(&set);
	for (size_t i = 0; i < SK_ARRAY_SIZE(handled); i++)
		/* What our parent ignores (nohup) stays ignored. */
		if (sigaction(handled[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaddset(&set, handled[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	run->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (run->signal_fd < 0)
		return sk_error_set(err, -errno, "cannot create a signalfd: %s", strerror(errno));
	return 0;
}

/* What the end of the machine means to the one who started it. */
static int status_of(struct run *run)
{
	struct sk_vm_result result;
	struct sk_error err;

	if (sk_vm_wait(run->vm, 0, &result)) {
		(void)sk_error_set(&err, -EIO, "the machine did not end");
		return fail(run, CLI_EXIT_FAILED, &err);
	}
	switch (result.end) {
	case SK_VM_EXITED:
		return (int)(result.status & 0xff);
	case SK_VM_CRASHED:
		say(&run->terminal, sk_vm_report(run->vm));
		return CLI_EXIT_GUEST_CRASH;
	case SK_VM_FAILED:
		say(&run->terminal, sk_vm_report(run->vm));
		return CLI_EXIT_FAILED;
	case SK_VM_POWERED_OFF:
	case SK_VM_RESET:
	case SK_VM_STOPPED:
	case SK_VM_RUNNING:
		break;
	}
	return CLI_EXIT_OK;
}

static const char *end_name(enum sk_vm_end end)
{
	static const char *const names[] = {
		[SK_VM_RUNNING] = "running", [SK_VM_POWERED_OFF] = "powered-off",
		[SK_VM_RESET] = "reset",     [SK_VM_EXITED] = "exited",
		[SK_VM_STOPPED] = "stopped", [SK_VM_CRASHED] = "crashed",
		[SK_VM_FAILED] = "failed",
	};

	return names[end];
}

/* With -v in words, with --json as the last line of standard error. */
static void report_end(struct run *run, int status)
{
	struct sk_vm_stats stats = {.struct_bytes = sizeof(stats)};
	struct sk_vm_result result = {0};
	uint64_t now_ns = sk_now_ns();
	char text[STATS_BYTES];
	double set_up_ms, ran_s;

	sk_vm_get_stats(run->vm, &stats);
	(void)!sk_vm_wait(run->vm, 0, &result);
	if (run->options->has_stats) {
		stats_format(text, &stats, run->start_ns);
		say(&run->terminal, text);
	}
	set_up_ms = (double)(stats.first_run_ns - run->start_ns) / 1e6;
	ran_s = (double)(now_ns - stats.first_run_ns) / 1e9;
	sk_logf(&run->log, SK_LOG_INFO,
		"set up in %.2f ms, ran for %.3f s, %llu exits (%llu port I/O, %llu MMIO, %llu to "
		"nobody), %llu reboots",
		set_up_ms, ran_s, (unsigned long long)stats.exits,
		(unsigned long long)stats.pio_exits, (unsigned long long)stats.mmio_exits,
		(unsigned long long)stats.unclaimed_accesses, (unsigned long long)stats.reboots);
	if (run->options->is_json)
		fprintf(stderr,
			"{\"end\": \"%s\", \"guest_status\": %u, \"exit_status\": %d, "
			"\"set_up_ms\": %.3f, \"ran_s\": %.3f, \"exits\": %llu, \"pio_exits\": %llu, "
			"\"mmio_exits\": %llu, \"unclaimed_accesses\": %llu, \"reboots\": %llu}\n",
			end_name(result.end), result.status, status, set_up_ms, ran_s,
			(unsigned long long)stats.exits, (unsigned long long)stats.pio_exits,
			(unsigned long long)stats.mmio_exits,
			(unsigned long long)stats.unclaimed_accesses,
			(unsigned long long)stats.reboots);
}

static void announce_gdb(const struct run *run)
{
	char text[200];

	if (!run->options->gdb_port)
		return;
	snprintf(text, sizeof(text), "waits for gdb (target remote :%u) before %s",
		 (unsigned int)run->options->gdb_port,
		 run->is_unikernel ? "the unikernel's main()"
				   : "the guest's first instruction; no unikernel, so only "
				     "steps and hbreak work");
	say(&run->terminal, text);
}

/* The machine exists: connect it, run it, and say how it ended. */
static int run_machine(struct run *run)
{
	struct sk_error err;
	int ret, status;

	ret = open_console(run, &err);
	if (ret)
		return fail(run, CLI_EXIT_FAILED, &err);
	announce_gdb(run);
	terminal_make_raw(&run->terminal);
	ret = sk_vm_start(run->vm, &err);
	if (ret)
		return fail(run, CLI_EXIT_FAILED, &err);
	ret = pump_run(run->pump, &err);
	terminal_restore(&run->terminal);
	if (ret > 0)
		status = CLI_EXIT_SIGNAL_BASE + ret;
	else if (ret < 0 && ret != -ECANCELED)
		status = fail(run, CLI_EXIT_FAILED, &err);
	else
		status = status_of(run);
	report_end(run, status);
	return status;
}

static int open_hvc(struct run *run, struct sk_error *err)
{
	const struct cli_options *o = run->options;
	char message[128];
	int ret;

	if (o->console.kind == CLI_CONSOLE_STDIO && o->serial.kind == CLI_SERIAL_PTY)
		return sk_error_set(err, -EINVAL,
				    "--console stdio and --serial pty do not go together: input "
				    "has one way only; make one of them none or a file");
	ret = hvc_open(&run->hvc, &o->console, message, sizeof(message), err);
	if (!ret && *message)
		say(&run->terminal, message);
	return ret;
}

static int run_with_pump(struct run *run)
{
	struct sk_vm_config config;
	struct sk_error err;
	int status;

	/* Before any thread: it may fork. */
	status = uses_stdin(run) ? terminal_init(&run->terminal, STDIN_FILENO, &err) : 0;
	if (status || open_signals(run, &err))
		return fail(run, CLI_EXIT_FAILED, &err);
	if (build_cmdline(run, &run->cmdline, &err))
		return fail(run, CLI_EXIT_FAILED, &err);
	if (open_hvc(run, &err))
		return fail(run, CLI_EXIT_FAILED, &err);
	configure(run, &config);
	if (run_nets_configure(&run->nets, run->options, &config, &err) ||
	    run_disks_configure(&run->disks, run->options, &config, &err))
		return fail(run, CLI_EXIT_FAILED, &err);
	status = sk_vm_create(&run->vm, &config, &err);
	if (status)
		return fail(run, status == -ENOEXEC ? CLI_EXIT_CANNOT_RUN : CLI_EXIT_FAILED, &err);
	pump_init(run->pump, run->vm, run->signal_fd);
	run->pump->hvc = &run->hvc;
	status = run_machine(run);
	sk_vm_destroy(run->vm);
	return status;
}

/* Returns if that is not possible. */
static int run_as_process(struct run *run)
{
	struct sk_error err;
	int ret = build_cmdline(run, &run->cmdline, &err);

	if (!ret)
		ret = process_run(run->options, run->cmdline, run->start_ns, &err);
	return fail(run, ret == -ENOEXEC ? CLI_EXIT_CANNOT_RUN : CLI_EXIT_FAILED, &err);
}

int run_command(const struct cli_options *options)
{
	struct run run = {
		.options = options,
		.terminal = {.guard_fd = -1},
		.signal_fd = -1,
		.file_fd = -1,
		.start_ns = sk_now_ns(),
	};
	int status;

	hvc_init(&run.hvc);
	init_log(&run);
	status = check_image(&run);
	run.is_unikernel = !status && process_find_image(options->kernel, &run.image);
	if (!status && options->isolation == CLI_ISOLATION_PROCESS)
		status = run_as_process(&run);
	if (status)
		goto out;
	run.pump = malloc(sizeof(*run.pump));
	if (!run.pump) {
		say(&run.terminal, "no memory");
		status = CLI_EXIT_FAILED;
		goto out;
	}
	status = run_with_pump(&run);
	terminal_fini(&run.terminal);
out:
	hvc_close(&run.hvc);
	if (run.file_fd >= 0 && options->serial.kind == CLI_SERIAL_PTY)
		pty_wait_for_reader(run.file_fd);
	sk_close(&run.file_fd);
	sk_close(&run.signal_fd);
	run_nets_free(run.nets);
	free(run.disks);
	free(run.cmdline);
	free(run.pump);
	return status;
}
