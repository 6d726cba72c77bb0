/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The commands, their examples, and what the exit codes mean. */
#include "cli_internal.h"

const struct cli_command_info cli_commands[CLI_NR_COMMANDS] = {
	[CLI_TOP] =
		{
			.brief = "runs virtual machines",
			.detail =
				"Skete starts a kernel or a unikernel in a virtual machine of its own, "
				"on Linux with KVM.",
			.examples =
				{
					{"skete run vmlinuz --cmdline console=ttyS0",
					 "boot a kernel; its console is this terminal"},
					{"skete run --help", "what can be said about the machine"},
					{"skete doctor",
					 "what this host offers, and what to do about it"},
				},
		},
	[CLI_RUN] =
		{
			.name = "run",
			.brief = "Boot an image in a virtual machine",
			.detail = "Boots FILE and ends when the guest does. Its serial port is the "
				  "terminal, unless --serial says otherwise.",
			.examples =
				{
					{"skete run vmlinuz --initrd initrd.img --cmdline console=ttyS0",
					 "boot Linux; its console is this terminal"},
					{"skete run -c 2 -m 6G --serial boot.log --no-reboot vmlinuz",
					 "two CPUs, 6 GiB, the console in a file"},
					{"skete run --config vm.json --memory 1G --dry-run",
					 "show what would run, without running it"},
				},
		},
	[CLI_PACK] =
		{
			.name = "pack",
			.brief = "Make an initial RAM disk of a folder",
			.detail =
				"Writes what is below DIR as a cpio archive, for --initrd. The same names, "
				"contents and rights give the same bytes: everything belongs to root and "
				"has the time 0.",
			.examples =
				{
					{"skete pack site --output site.cpio",
					 "a folder as an archive"},
					{"skete run --initrd site.cpio httpd",
					 "a unikernel that finds it as its files"},
					{"skete pack --gzip root > root.cpio.gz",
					 "smaller, and through a pipe"},
				},
		},
	[CLI_DOCTOR] =
		{
			.name = "doctor",
			.brief = "Say what this host offers, and what to do about it",
			.detail =
				"Looks at /dev/kvm and at everything else that a virtual machine can use, "
				"one line each. Ends with 0 if a machine can run here, with 125 if not.",
			.examples =
				{
					{"skete doctor", "look at this host"},
					{"skete doctor --json > host.json",
					 "the same for a program"},
					{"skete doctor && skete run vmlinuz",
					 "run only where it can"},
				},
		},
	[CLI_COMPLETION] =
		{
			.name = "completion",
			.brief = "Print the script that completes skete's command line",
			.detail =
				"Prints a script for the shell, which completes commands, options and "
				"their values. An installed skete comes with these scripts in place.",
			.examples =
				{
					{"source <(skete completion bash)", "in this shell"},
					{"skete completion zsh > ~/.zfunc/_skete",
					 "for zsh, if ~/.zfunc is in $fpath"},
					{"skete completion fish > ~/.config/fish/completions/skete.fish",
					 "for fish, from now on"},
				},
		},
	[CLI_HELP] =
		{
			.name = "help",
			.brief = "Explain a command",
			.detail = "Prints what 'skete COMMAND --help' prints.",
			.examples =
				{
					{"skete help", "all commands in short"},
					{"skete help run", "everything about 'skete run'"},
					{"skete help run | less", "page by page"},
				},
		},
	[CLI_VERSION] =
		{
			.name = "version",
			.brief = "Print the version",
			.detail = "Prints one line: the name and the version.",
			.examples =
				{
					{"skete version", "for people"},
					{"skete version --json", "for programs"},
					{"skete --version", "the same, as other programs have it"},
				},
		},
};

const struct cli_exit_info cli_exit_table[] = {
	{"0", "The guest powered off"},
	{"N", "The guest ended with a status of its own"},
	{"125", "skete itself failed; wrong options are such a failure"},
	{"126", "The image was found but cannot be run"},
	{"127", "The image was not found"},
	{"128+N", "skete was ended by signal N"},
	{"134", "The guest crashed (triple fault, internal error of KVM)"},
};

const size_t cli_nr_exits = SK_ARRAY_SIZE(cli_exit_table);
