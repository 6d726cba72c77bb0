/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The command line of skete. Options exist in one table (table.c); the parser, --config, --help,
 * the man page, the shell completions and --dry-run are generated from it. To add an option: one
 * entry in that table and one field in struct cli_options.
 *
 * Nothing here prints or exits: parsing leaves a sentence in a struct sk_error, rendering writes
 * to the caller's stream (open_memstream(3) makes it a string; the caller checks ferror()).
 *
 * Threading class: pure functions of their arguments; a request belongs to its creator's thread.
 */
#ifndef SKETE_MONITOR_CLI_H
#define SKETE_MONITOR_CLI_H

#include <stdio.h>

#include <skete/base.h>

/* Exit codes of the program, as users of containers know them. */
enum cli_exit {
	CLI_EXIT_OK = 0,	    /* or the guest's own status */
	CLI_EXIT_FAILED = 125,	    /* the monitor failed; every error of cli_parse() */
	CLI_EXIT_CANNOT_RUN = 126,  /* the image exists, but cannot be run */
	CLI_EXIT_NOT_FOUND = 127,   /* there is no such image */
	CLI_EXIT_SIGNAL_BASE = 128, /* + N: ended by signal N */
	CLI_EXIT_GUEST_CRASH = 134,
};

enum cli_command {
	CLI_TOP, /* no command: what stands before it. cli_parse() never returns it. */
	CLI_RUN,
	CLI_PACK,
	CLI_DOCTOR,
	CLI_COMPLETION,
	CLI_HELP,
	CLI_VERSION,
	CLI_NR_COMMANDS,
};

/* The values of the options with a fixed set of words, in the order of table.c. */
enum cli_boot { CLI_BOOT_AUTO, CLI_BOOT_PVH, CLI_BOOT_LINUX64, CLI_BOOT_MULTIBOOT };
enum cli_irqchip { CLI_IRQCHIP_KERNEL, CLI_IRQCHIP_SPLIT };
enum cli_pages {
	CLI_PAGES_AUTO,
	CLI_PAGES_BASE,
	CLI_PAGES_TRANSPARENT,
	CLI_PAGES_2M,
	CLI_PAGES_1G
};
enum cli_backing { CLI_BACKING_ANON, CLI_BACKING_MEMFD };
enum cli_isolation { CLI_ISOLATION_VM, CLI_ISOLATION_PROCESS };
enum cli_serial { CLI_SERIAL_STDIO, CLI_SERIAL_NONE, CLI_SERIAL_PTY, CLI_SERIAL_FILE };
enum cli_disk_format { CLI_DISK_AUTO, CLI_DISK_RAW, CLI_DISK_QCOW2 };
enum cli_console { CLI_CONSOLE_NONE, CLI_CONSOLE_STDIO, CLI_CONSOLE_PTY, CLI_CONSOLE_FILE };
enum cli_shell { CLI_SHELL_BASH, CLI_SHELL_ZSH, CLI_SHELL_FISH };

/* A word of a fixed set, or a path: @kind is one past the last word then, and @path is set. */
struct cli_target {
	unsigned int kind;
	char *path;
};

/* @items is NULL if @nr is 0; otherwise it ends with a NULL that @nr does not count. */
struct cli_list {
	char **items;
	size_t nr;
};

/*
 * What --x KEY=VALUE,... gave, once per use: @items is an array of @nr structures of the type that
 * the option's table of keys fills (--disk: struct cli_disk), NULL if there is none.
 */
struct cli_records {
	void *items;
	size_t nr;
};

enum cli_transport { CLI_TRANSPORT_PCI, CLI_TRANSPORT_MMIO };

struct cli_rng {
	char *path; /* NULL: the host's own random numbers */
	uint64_t bytes_per_s;
};

struct cli_balloon {
	uint64_t size_bytes;
	bool has_deflate_on_oom;
	bool has_reporting;
};

struct cli_vsock {
	uint64_t cid;
	char *path; /* always set */
};

/* Strings are NULL where nothing was given. */
struct cli_net {
	char *tap; /* NULL: user mode */
	bool is_user;
	char *mac;
	uint64_t queues;
	bool has_vhost;
	uint64_t mtu;  /* 0: what the other side says */
	char *forward; /* PROTO:[ADDR]:PORT:PORT */
	bool has_host_loopback;
	uint64_t bytes_per_s, frames_per_s; /* 0: as fast as it goes */
};

/* Strings are NULL where nothing was given. */
struct cli_disk {
	char *path; /* always set */
	char *id;
	unsigned int format; /* enum cli_disk_format */
	bool is_read_only;
	bool is_direct;
	bool has_backing; /* a qcow2 file may name another that it builds on */
	uint64_t queues;
	uint64_t bytes_per_s; /* 0: as fast as it goes */
	uint64_t ops_per_s;
};

/*
 * The options of all commands; those of other commands than the request's hold their defaults.
 * Strings are NULL where nothing was given, never empty unless the user asked for it (--cmdline).
 */
struct cli_options {
	/* run: what boots */
	char *kernel; /* always set for CLI_RUN */
	char *initrd;
	char *cmdline;
	unsigned int boot;	/* enum cli_boot */
	struct cli_list arg;	/* what stands after "--" */
	unsigned int isolation; /* enum cli_isolation */
	bool has_strace;
	bool has_stats;
	uint64_t gdb_port; /* 0: none */

	/* run: the machine */
	uint64_t cpus;
	uint64_t memory_bytes; /* a multiple of 4 KiB */
	unsigned int pages;    /* enum cli_pages */
	unsigned int backing;  /* enum cli_backing */
	unsigned int irqchip;  /* enum cli_irqchip */
	bool has_pit;
	bool has_reboot; /* a guest that reboots starts again */

	/* run: its devices */
	struct cli_records disk;    /* of struct cli_disk */
	struct cli_records rng;	    /* of struct cli_rng; at most one */
	struct cli_records net;	    /* of struct cli_net */
	struct cli_records balloon; /* of struct cli_balloon; at most one */
	struct cli_records vsock;   /* of struct cli_vsock; at most one */
	struct cli_list publish;    /* [ADDR:]PORT:PORT[/udp], for user mode */
	unsigned int transport;	    /* enum cli_transport */
	uint64_t max_poll_us;

	/* run: the console */
	struct cli_target serial;  /* enum cli_serial */
	struct cli_target console; /* enum cli_console */

	/* pack */
	char *folder; /* always set for CLI_PACK */
	char *output; /* NULL: standard output */
	bool is_gzip;

	/* the program */
	char *config;
	bool is_dry_run;
	bool is_json;
	uint64_t verbosity; /* 0, 1 (-v) or 2 (-vv) */

	unsigned int shell; /* completion: enum cli_shell */
	unsigned int topic; /* help: enum cli_command, CLI_TOP for the overview */
	bool wants_help;    /* turned into CLI_HELP by cli_parse() */
	bool wants_version; /* turned into CLI_VERSION by cli_parse() */
};

struct cli_request {
	enum cli_command command;
	struct cli_options options; /* every string is owned by the request */
};

/*
 * Reads the command line and, if it names one, the --config file: the command line beats the
 * file, the file beats the defaults. @argv[0] is the program. On success the caller ends *@out
 * with fini; on failure there is nothing to end. Help wins over what is missing or follows.
 * Errors: -EINVAL (usage, a wrong value anywhere), -ENOMEM, or what reading the file gave; they
 * all mean CLI_EXIT_FAILED. Reads one file at most, blocks only on that.
 */
int cli_parse(struct cli_request *out, int argc, char *const *argv,
	      struct sk_error *err) SK_MUST_CHECK;
/* A zeroed or ended request is fine. */
void cli_request_fini(struct cli_request *request);

/* The word for @value of an enumerated option ("pvh" for "boot", CLI_BOOT_PVH); NULL if none. */
const char *cli_word(const char *option, unsigned int value);

/* What `skete COMMAND --help` shows, 80 columns wide; CLI_TOP is the overview. */
void cli_render_help(FILE *out, enum cli_command command);

/*
 * The effective configuration as a JSON object that --config reads back to the same request.
 * -EILSEQ if a string is not UTF-8, which JSON cannot hold; then nothing was written. -ENOMEM, or
 * -EIO if @out takes no more.
 */
int cli_render_config(FILE *out, const struct cli_request *request,
		      struct sk_error *err) SK_MUST_CHECK;

/* One line, or a JSON object. */
void cli_render_version(FILE *out, bool is_json);

/* The script that teaches @shell to complete skete's command line. */
void cli_render_completion(FILE *out, enum cli_shell shell);

/* The man page skete(1). */
void cli_render_man(FILE *out);

#endif
