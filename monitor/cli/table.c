/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The options: the only place where one exists. Their order is that of --help and --dry-run. */
#include "cli_internal.h"

#define ON(command)   (1u << (command))

#define GROUP_BOOT    "What boots"
#define GROUP_MACHINE "Machine"
#define GROUP_DEVICES "Devices"
#define GROUP_CONSOLE "Console"
#define GROUP_PROGRAM "Program"

/* The offset of a field that must have type @t: another type does not compile. */
#define AT(t, field)                           \
	(offsetof(struct cli_options, field) + \
	 0 * sizeof(char[_Generic(((struct cli_options *)0)->field, t : 1)]))

#define IS_BOOL(field)	 .type = CLI_BOOL, .offset = AT(bool, field)
#define IS_COUNT(field)	 .type = CLI_COUNT, .offset = AT(uint64_t, field)
#define IS_UINT(field)	 .type = CLI_UINT, .offset = AT(uint64_t, field)
#define IS_SIZE(field)	 .type = CLI_SIZE, .offset = AT(uint64_t, field)
#define IS_STRING(field) .type = CLI_STRING, .offset = AT(char *, field)
#define IS_PATH(field)	 .type = CLI_PATH, .offset = AT(char *, field)
#define IS_LIST(field)	 .type = CLI_STRING, .offset = AT(struct cli_list, field)
#define IS_TOPIC(field)	 .type = CLI_COMMAND_NAME, .offset = AT(unsigned int, field)
#define IS_WORD(list, field)                                                \
	.type = CLI_WORD, .words = (list), .nr_words = SK_ARRAY_SIZE(list), \
	.offset = AT(unsigned int, field)
#define IS_WORD_OR_PATH(list, field)                                                \
	.type = CLI_WORD_OR_PATH, .words = (list), .nr_words = SK_ARRAY_SIZE(list), \
	.offset = AT(struct cli_target, field)

/* An option with keys of its own: --x KEY=VALUE,... fills an array of structures at @field. */
#define IS_RECORD(table, field, record)                                       \
	.type = CLI_RECORD, .keys = (table), .nr_keys = SK_ARRAY_SIZE(table), \
	.record_bytes = sizeof(record), .offset = AT(struct cli_records, field)

/* The offset of a key's field in struct @r, which must have type @t. */
#define KEY_AT(r, t, field) \
	(offsetof(struct r, field) + 0 * sizeof(char[_Generic(((struct r *)0)->field, t : 1)]))

static const struct cli_choice boot_words[] = {
	[CLI_BOOT_AUTO] = {"auto", "the first of the others that the image offers"},
	[CLI_BOOT_PVH] = {"pvh", "by the PVH note of an ELF image, in 32-bit mode"},
	[CLI_BOOT_LINUX64] = {"linux64",
			      "by Linux's 64-bit boot protocol (a bzImage or an ELF image)"},
	[CLI_BOOT_MULTIBOOT] = {"multiboot", "by the multiboot 1 header"},
};

static const struct cli_choice isolation_words[] = {
	[CLI_ISOLATION_VM] = {"vm", "a virtual machine, by KVM"},
	[CLI_ISOLATION_PROCESS] = {"process",
				   "a Linux process under a seccomp filter, without KVM"},
};

static const struct cli_choice irqchip_words[] = {
	[CLI_IRQCHIP_KERNEL] = {"kernel",
				"all of it in KVM, with the old ones of the PC (i8259, i8254)"},
	[CLI_IRQCHIP_SPLIT] = {"split", "local APICs in KVM, the IOAPIC in the monitor"},
};

static const struct cli_choice pages_words[] = {
	[CLI_PAGES_AUTO] = {"auto", "transparent huge pages if the host has them"},
	[CLI_PAGES_BASE] = {"base",
			    "pages of 4 KiB: the guest takes the least memory, and is slower"},
	[CLI_PAGES_TRANSPARENT] = {"transparent", "as auto, but an error if the host has none"},
	[CLI_PAGES_2M] = {"2M", "2 MiB pages from the host's reserve (hugetlb)"},
	[CLI_PAGES_1G] = {"1G", "1 GiB pages from the host's reserve (hugetlb)"},
};

static const struct cli_choice backing_words[] = {
	[CLI_BACKING_ANON] = {"anon", "private anonymous memory"},
	[CLI_BACKING_MEMFD] = {"memfd", "a memfd, which another process can map"},
};

static const struct cli_choice serial_words[] = {
	[CLI_SERIAL_STDIO] = {"stdio", "standard input and output"},
	[CLI_SERIAL_NONE] = {"none", "no serial port"},
	[CLI_SERIAL_PTY] = {"pty", "a new pseudo-terminal, whose name is printed"},
};

static const struct cli_choice disk_formats[] = {
	[CLI_DISK_AUTO] = {"auto", "raw, but a file that begins as a qcow2 image is refused"},
	[CLI_DISK_RAW] = {"raw", "the bytes of the file are those of the disk"},
	[CLI_DISK_QCOW2] = {"qcow2", "QEMU's image format, versions 2 and 3"},
};

static const struct cli_option disk_keys[] = {
	{
		.name = "path",
		.type = CLI_PATH,
		.offset = KEY_AT(cli_disk, char *, path),
		.metavar = "FILE",
		.flags = CLI_REQUIRED,
		.brief = "The image, a file or a block device",
	},
	{
		.name = "id",
		.type = CLI_STRING,
		.offset = KEY_AT(cli_disk, char *, id),
		.metavar = "NAME",
		.brief = "Its name, and its serial number in the guest (20 bytes)",
	},
	{
		.name = "format",
		.type = CLI_WORD,
		.words = disk_formats,
		.nr_words = SK_ARRAY_SIZE(disk_formats),
		.offset = KEY_AT(cli_disk, unsigned int, format),
		.metavar = "FORMAT",
		.init = CLI_DISK_AUTO,
		.brief = "What the file holds",
	},
	{
		.name = "ro",
		.type = CLI_BOOL,
		.offset = KEY_AT(cli_disk, bool, is_read_only),
		.brief = "The guest may only read",
	},
	{
		.name = "direct",
		.type = CLI_BOOL,
		.offset = KEY_AT(cli_disk, bool, is_direct),
		.brief = "Pass by the host's page cache (O_DIRECT)",
	},
	{
		.name = "backing",
		.type = CLI_BOOL,
		.offset = KEY_AT(cli_disk, bool, has_backing),
		.brief = "Let a qcow2 image name files that it builds on",
	},
	{
		.name = "queues",
		.type = CLI_UINT,
		.offset = KEY_AT(cli_disk, uint64_t, queues),
		.metavar = "N",
		.min = 1,
		.max = 64,
		.init = 1,
		.hint = "a disk has 1 to 64 queues",
		.brief = "Queues that the guest fills at the same time",
	},
	{
		.name = "bps",
		.type = CLI_SIZE,
		.offset = KEY_AT(cli_disk, uint64_t, bytes_per_s),
		.metavar = "SIZE",
		.max = UINT64_C(1) << 40,
		.hint = "write 50M, for example; 0B is no limit",
		.brief = "Bytes a second, at the most",
	},
	{
		.name = "iops",
		.type = CLI_UINT,
		.offset = KEY_AT(cli_disk, uint64_t, ops_per_s),
		.metavar = "N",
		.max = UINT64_C(1000000000),
		.hint = "0 is no limit",
		.brief = "Requests a second, at the most",
	},
};

static const struct cli_option rng_keys[] = {
	{
		.name = "path",
		.type = CLI_PATH,
		.offset = KEY_AT(cli_rng, char *, path),
		.metavar = "FILE",
		.brief = "Where the bytes come from, instead of the host's random numbers",
	},
	{
		.name = "bps",
		.type = CLI_SIZE,
		.offset = KEY_AT(cli_rng, uint64_t, bytes_per_s),
		.metavar = "SIZE",
		.max = UINT64_C(1) << 40,
		.hint = "write 4K, for example; 0B is no limit",
		.brief = "Bytes a second, at the most",
	},
};

static const struct cli_option balloon_keys[] = {
	{
		.name = "size",
		.type = CLI_SIZE,
		.offset = KEY_AT(cli_balloon, uint64_t, size_bytes),
		.metavar = "SIZE",
		.max = UINT64_C(1) << 40,
		.hint = "write 128M, for example",
		.brief = "Memory that the guest shall do without at first",
	},
	{
		.name = "deflate-on-oom",
		.type = CLI_BOOL,
		.init = true,
		.offset = KEY_AT(cli_balloon, bool, has_deflate_on_oom),
		.brief = "Let the guest take pages back when it runs out of memory",
	},
	{
		.name = "reporting",
		.type = CLI_BOOL,
		.init = true,
		.offset = KEY_AT(cli_balloon, bool, has_reporting),
		.brief = "Take back the pages that the guest does not use",
	},
};

static const struct cli_option vsock_keys[] = {
	{
		.name = "cid",
		.type = CLI_UINT,
		.offset = KEY_AT(cli_vsock, uint64_t, cid),
		.metavar = "N",
		.min = 3,
		.max = UINT64_C(0xfffffffe),
		.init = 3,
		.hint = "0 to 2 belong to others",
		.brief = "The address of the guest",
	},
	{
		.name = "path",
		.type = CLI_PATH,
		.offset = KEY_AT(cli_vsock, char *, path),
		.metavar = "SOCKET",
		.flags = CLI_REQUIRED,
		.brief = "The Unix socket where clients of the host connect",
	},
};

static const struct cli_option net_keys[] = {
	{
		.name = "user",
		.type = CLI_BOOL,
		.offset = KEY_AT(cli_net, bool, is_user),
		.brief = "A network behind the host's sockets; needs no privilege",
	},
	{
		.name = "tap",
		.type = CLI_STRING,
		.offset = KEY_AT(cli_net, char *, tap),
		.metavar = "NAME",
		.brief = "A TAP device of the host, which exists already",
	},
	{
		.name = "mac",
		.type = CLI_STRING,
		.offset = KEY_AT(cli_net, char *, mac),
		.metavar = "MAC",
		.brief = "The guest's address, 52:54:00:12:34:56; a random one if not given",
	},
	{
		.name = "mtu",
		.type = CLI_UINT,
		.offset = KEY_AT(cli_net, uint64_t, mtu),
		.metavar = "N",
		.max = 65520,
		.hint = "0 is what the other side says",
		.brief = "The largest packet, at most what the other side takes",
	},
	{
		.name = "queues",
		.type = CLI_UINT,
		.offset = KEY_AT(cli_net, uint64_t, queues),
		.metavar = "N",
		.min = 1,
		.max = 16,
		.init = 1,
		.hint = "a TAP device has 1 to 16 pairs of queues here",
		.brief = "Pairs of queues, for tap",
	},
	{
		.name = "vhost",
		.type = CLI_BOOL,
		.offset = KEY_AT(cli_net, bool, has_vhost),
		.brief = "Let the host's kernel move the frames, for tap",
	},
	{
		.name = "hostfwd",
		.type = CLI_STRING,
		.offset = KEY_AT(cli_net, char *, forward),
		.metavar = "PROTO:[ADDR]:PORT:PORT",
		.brief = "A port of the host that leads to one of the guest, for user",
	},
	{
		.name = "host-loopback",
		.type = CLI_BOOL,
		.offset = KEY_AT(cli_net, bool, has_host_loopback),
		.brief = "Let the guest reach the host's 127.0.0.1 at 10.0.2.2, for user",
	},
	{
		.name = "bps",
		.type = CLI_SIZE,
		.offset = KEY_AT(cli_net, uint64_t, bytes_per_s),
		.metavar = "SIZE",
		.max = UINT64_C(1) << 40,
		.hint = "write 50M, for example; 0B is no limit",
		.brief = "Bytes a second in each direction, at the most",
	},
	{
		.name = "pps",
		.type = CLI_UINT,
		.offset = KEY_AT(cli_net, uint64_t, frames_per_s),
		.metavar = "N",
		.max = UINT64_C(1000000000),
		.hint = "0 is no limit",
		.brief = "Frames a second in each direction, at the most",
	},
};

static const struct cli_choice transport_words[] = {
	[CLI_TRANSPORT_PCI] = {"pci", "functions of a PCI bus, with MSI-X"},
	[CLI_TRANSPORT_MMIO] = {"mmio", "registers in memory, announced by ACPI"},
};

static const struct cli_choice console_words[] = {
	[CLI_CONSOLE_NONE] = {"none", "no such console"},
	[CLI_CONSOLE_STDIO] = {"stdio", "standard input and output"},
	[CLI_CONSOLE_PTY] = {"pty", "a new pseudo-terminal, whose name is printed"},
};

static const struct cli_choice shell_words[] = {
	[CLI_SHELL_BASH] = {"bash", NULL},
	[CLI_SHELL_ZSH] = {"zsh", NULL},
	[CLI_SHELL_FISH] = {"fish", NULL},
};

const struct cli_option cli_options_table[] = {
	{
		.name = "kernel",
		IS_PATH(kernel),
		.metavar = "FILE",
		.commands = ON(CLI_RUN),
		.group = GROUP_BOOT,
		.flags = CLI_POSITIONAL | CLI_REQUIRED,
		.hint = "name the image to boot: 'skete run FILE'",
		.brief = "The image to boot: bzImage, ELF or multiboot",
		.detail = "The name of the option may be left out.",
	},
	{
		.name = "initrd",
		IS_PATH(initrd),
		.metavar = "FILE",
		.commands = ON(CLI_RUN),
		.group = GROUP_BOOT,
		.brief = "Initial RAM disk, or the multiboot module",
	},
	{
		.name = "cmdline",
		IS_STRING(cmdline),
		.metavar = "TEXT",
		.commands = ON(CLI_RUN),
		.group = GROUP_BOOT,
		.brief = "Command line of the kernel",
		.detail = "Linux writes to the serial port if this says console=ttyS0.",
	},
	{
		.name = "boot",
		IS_WORD(boot_words, boot),
		.metavar = "FORM",
		.init = CLI_BOOT_AUTO,
		.commands = ON(CLI_RUN),
		.group = GROUP_BOOT,
		.brief = "How the image is entered",
	},
	{
		.name = "arg",
		IS_LIST(arg),
		.metavar = "ARG",
		.commands = ON(CLI_RUN),
		.group = GROUP_BOOT,
		.flags = CLI_REPEAT | CLI_TAIL,
		.brief = "An argument for the guest program",
		.detail = "What stands after \"--\" is added to these. They follow \" -- \" on the "
			  "kernel's command line, where Linux takes the arguments of init from.",
	},
	{
		.name = "isolation",
		IS_WORD(isolation_words, isolation),
		.metavar = "KIND",
		.init = CLI_ISOLATION_VM,
		.commands = ON(CLI_RUN),
		.group = GROUP_BOOT,
		.brief = "What keeps the guest in",
		.detail = "\"process\" takes images of the unikernel (skete-cc) only.",
	},
	{
		.name = "strace",
		IS_BOOL(has_strace),
		.commands = ON(CLI_RUN),
		.group = GROUP_BOOT,
		.brief = "Let a unikernel print its system calls on its console",
		.detail =
			"Each is one line when it is over: the thread, the arguments, the result.",
	},
	{
		.name = "stats",
		IS_BOOL(has_stats),
		.commands = ON(CLI_RUN),
		.group = GROUP_BOOT,
		.brief = "Say at the end what took how long, and why the guest left KVM",
		.detail =
			"On standard error; with --isolation process the guest itself says it, on its "
			"console.",
	},
	{
		.name = "gdb",
		IS_UINT(gdb_port),
		.metavar = "PORT",
		.max = 65535,
		.commands = ON(CLI_RUN),
		.group = GROUP_BOOT,
		.hint = "name a free TCP port, for example 1234",
		.brief = "Wait for gdb at this port of 127.0.0.1 before the guest starts",
		.detail =
			"In gdb: target remote :PORT. A thread is a CPU. A unikernel waits before main() "
			"with its code at a fixed place; other guests take only steps and hbreak. "
			"Whoever reaches the port rules the guest. 0 is no port.",
	},
	{
		.name = "cpus",
		.letter = 'c',
		IS_UINT(cpus),
		.metavar = "N",
		.min = 1,
		.max = 64,
		.init = 1,
		.commands = ON(CLI_RUN),
		.group = GROUP_MACHINE,
		.hint = "a machine has 1 to 64 CPUs",
		.brief = "Virtual CPUs",
	},
	{
		.name = "memory",
		.letter = 'm',
		IS_SIZE(memory_bytes),
		.metavar = "SIZE",
		.min = 1 * SK_MIB,
		.max = UINT64_C(64) << 40,
		.step = 4 * SK_KIB,
		.init = 512 * SK_MIB,
		.commands = ON(CLI_RUN),
		.group = GROUP_MACHINE,
		.hint = "write 512M or 6G, for example",
		.brief = "Memory of the guest, as 512M or 6G",
		.detail =
			"The units are B, K, M, G and T, each 1024 times the one before; a number "
			"without a unit is refused. The size is a multiple of 4K.",
	},
	{
		.name = "pages",
		IS_WORD(pages_words, pages),
		.metavar = "KIND",
		.init = CLI_PAGES_AUTO,
		.commands = ON(CLI_RUN),
		.group = GROUP_MACHINE,
		.brief = "Pages behind the guest's memory",
		.detail =
			"Huge pages make a guest faster, because it has fewer faults and its addresses "
			"are found with fewer steps. A guest that uses a little here and a little there "
			"then takes more of the host's memory: use base for many small machines.",
	},
	{
		.name = "memory-backing",
		IS_WORD(backing_words, backing),
		.metavar = "KIND",
		.init = CLI_BACKING_ANON,
		.commands = ON(CLI_RUN),
		.group = GROUP_MACHINE,
		.brief = "What the guest's memory is",
	},
	{
		.name = "irqchip",
		IS_WORD(irqchip_words, irqchip),
		.metavar = "KIND",
		.init = CLI_IRQCHIP_SPLIT,
		.commands = ON(CLI_RUN),
		.group = GROUP_MACHINE,
		.brief = "Where interrupt controllers live",
	},
	{
		.name = "pit",
		IS_BOOL(has_pit),
		.init = true,
		.commands = ON(CLI_RUN),
		.group = GROUP_MACHINE,
		.brief = "Leave out the i8254 timer that --irqchip kernel brings",
	},
	{
		.name = "reboot",
		IS_BOOL(has_reboot),
		.init = true,
		.commands = ON(CLI_RUN),
		.group = GROUP_MACHINE,
		.brief = "End when the guest reboots, instead of starting it again",
	},
	{
		.name = "disk",
		IS_RECORD(disk_keys, disk, struct cli_disk),
		.metavar = "path=FILE,...",
		.commands = ON(CLI_RUN),
		.group = GROUP_DEVICES,
		.flags = CLI_REPEAT,
		.brief = "A disk; say it once for each",
		.detail = "Keys are separated by commas; two commas are one in a value. The guest "
			  "may write any bytes to a raw disk, so that the format is never guessed.",
	},
	{
		.name = "rng",
		IS_RECORD(rng_keys, rng, struct cli_rng),
		.metavar = "KEY=VALUE,...",
		.commands = ON(CLI_RUN),
		.group = GROUP_DEVICES,
		.flags = CLI_BARE,
		.brief = "A source of random bytes for the guest",
		.detail = "Without keys they are the host's own random numbers.",
	},
	{
		.name = "net",
		IS_RECORD(net_keys, net, struct cli_net),
		.metavar = "user,... | tap=NAME,...",
		.commands = ON(CLI_RUN),
		.group = GROUP_DEVICES,
		.flags = CLI_REPEAT,
		.brief = "A network device; say it once for each",
		.detail =
			"In user mode the guest gets 10.0.2.15 by DHCP, the gateway is 10.0.2.2 and "
			"the name server 10.0.2.3; fec0::/64 is there as well.",
	},
	{
		.name = "vsock",
		IS_RECORD(vsock_keys, vsock, struct cli_vsock),
		.metavar = "path=SOCKET,...",
		.commands = ON(CLI_RUN),
		.group = GROUP_DEVICES,
		.brief = "Streams between the guest's AF_VSOCK and Unix sockets of the host",
		.detail =
			"A client of the socket writes \"CONNECT 80\" and a newline to reach port 80 "
			"of the guest. What the guest connects to at CID 2, port 80, is the socket "
			"called SOCKET_80.",
	},
	{
		.name = "balloon",
		IS_RECORD(balloon_keys, balloon, struct cli_balloon),
		.metavar = "KEY=VALUE,...",
		.commands = ON(CLI_RUN),
		.group = GROUP_DEVICES,
		.flags = CLI_BARE,
		.brief = "Memory that the guest does not need goes back to the host",
	},
	{
		.name = "publish",
		.letter = 'p',
		IS_LIST(publish),
		.metavar = "[ADDR:]PORT:PORT[/udp]",
		.commands = ON(CLI_RUN),
		.group = GROUP_DEVICES,
		.flags = CLI_REPEAT,
		.brief = "A port of the host (127.0.0.1) that leads to one of the guest",
		.detail = "For the first --net user, which is made if there is none.",
	},
	{
		.name = "transport",
		IS_WORD(transport_words, transport),
		.metavar = "KIND",
		.init = CLI_TRANSPORT_PCI,
		.commands = ON(CLI_RUN),
		.group = GROUP_DEVICES,
		.brief = "How the guest finds its devices",
	},
	{
		.name = "max-poll",
		IS_UINT(max_poll_us),
		.metavar = "MICROSECONDS",
		.max = 1000000,
		.commands = ON(CLI_RUN),
		.group = GROUP_DEVICES,
		.hint = "0 is never",
		.brief = "How long devices poll for requests before they sleep",
		.detail =
			"While requests come this close to each other, the guest waits less and need "
			"not notify, and the host spends more CPU time. Longer pauses end it by "
			"themselves. Nothing happens on a host with one CPU, or without io_uring. An "
			"experiment: on a busy host a request to a disk was seen to go unanswered.",
	},
	{
		.name = "serial",
		IS_WORD_OR_PATH(serial_words, serial),
		.metavar = "WHERE",
		.init = CLI_SERIAL_STDIO,
		.commands = ON(CLI_RUN),
		.group = GROUP_CONSOLE,
		.brief = "The guest's serial port",
		.detail =
			"A file collects what the guest writes. A file that is called like one of the "
			"words is written ./none, for example. On a terminal, Ctrl-A x quits and "
			"Ctrl-A h shows what else there is.",
	},
	{
		.name = "console",
		IS_WORD_OR_PATH(console_words, console),
		.metavar = "WHERE",
		.init = CLI_CONSOLE_NONE,
		.commands = ON(CLI_RUN),
		.group = GROUP_CONSOLE,
		.brief = "The guest's virtio console (hvc0)",
		.detail =
			"With stdio it takes the input, and what the serial port says is shown as "
			"well unless --serial says otherwise. A file collects what the guest writes.",
	},
	{
		.name = "folder",
		IS_PATH(folder),
		.metavar = "DIR",
		.commands = ON(CLI_PACK),
		.group = GROUP_PROGRAM,
		.flags = CLI_POSITIONAL | CLI_NAMELESS | CLI_REQUIRED | CLI_ARGV_ONLY,
		.hint = "name the folder to pack: 'skete pack DIR'",
		.brief = "The folder whose contents are packed",
	},
	{
		.name = "output",
		.letter = 'o',
		IS_PATH(output),
		.metavar = "FILE",
		.commands = ON(CLI_PACK),
		.group = GROUP_PROGRAM,
		.flags = CLI_ARGV_ONLY,
		.brief = "Where the archive goes; standard output if not said",
		.detail = "The file appears when it is complete.",
	},
	{
		.name = "gzip",
		.letter = 'z',
		IS_BOOL(is_gzip),
		.commands = ON(CLI_PACK),
		.group = GROUP_PROGRAM,
		.flags = CLI_ARGV_ONLY,
		.brief = "Pack it with gzip",
	},
	{
		.name = "shell",
		IS_WORD(shell_words, shell),
		.metavar = "SHELL",
		.commands = ON(CLI_COMPLETION),
		.group = GROUP_PROGRAM,
		.flags = CLI_POSITIONAL | CLI_NAMELESS | CLI_REQUIRED | CLI_ARGV_ONLY,
		.hint = "'skete completion bash' prints the script for bash",
		.brief = "The shell that shall complete",
	},
	{
		.name = "topic",
		IS_TOPIC(topic),
		.metavar = "COMMAND",
		.init = CLI_TOP,
		.commands = ON(CLI_HELP),
		.group = GROUP_PROGRAM,
		.flags = CLI_POSITIONAL | CLI_NAMELESS | CLI_ARGV_ONLY,
		.brief = "The command to explain; all of them in short if none is named",
	},
	{
		.name = "config",
		IS_PATH(config),
		.metavar = "FILE",
		.commands = ON(CLI_RUN),
		.group = GROUP_PROGRAM,
		.flags = CLI_ARGV_ONLY,
		.brief = "Read options from a JSON file; those given here win",
		.detail =
			"The file holds one object, whose keys are the names of the options: what "
			"--dry-run prints can be read back. Relative paths in it are relative to the "
			"current directory, as on the command line. It has at most 1 MiB.",
	},
	{
		.name = "dry-run",
		.letter = 'n',
		IS_BOOL(is_dry_run),
		.commands = ON(CLI_RUN),
		.group = GROUP_PROGRAM,
		.flags = CLI_ARGV_ONLY,
		.brief = "Print the effective configuration as JSON and end",
	},
	{
		.name = "json",
		IS_BOOL(is_json),
		.commands = ON(CLI_RUN) | ON(CLI_DOCTOR) | ON(CLI_VERSION),
		.group = GROUP_PROGRAM,
		.brief = "Print reports as JSON",
		.detail = "For run: how the machine ended, as the last line of standard error.",
	},
	{
		.name = "verbose",
		.letter = 'v',
		IS_COUNT(verbosity),
		.max = 2,
		.commands = ON(CLI_RUN),
		.group = GROUP_PROGRAM,
		.hint = "-vv says the most",
		.brief = "Say what happens, on standard error; -vv says more",
	},
	{
		.name = "version",
		.letter = 'V',
		IS_BOOL(wants_version),
		.commands = ON(CLI_TOP),
		.group = GROUP_PROGRAM,
		.flags = CLI_ARGV_ONLY,
		.brief = "Print the version and end",
	},
	{
		.name = "help",
		.letter = 'h',
		IS_BOOL(wants_help),
		.commands = ON(CLI_NR_COMMANDS) - 1,
		.group = GROUP_PROGRAM,
		.flags = CLI_ARGV_ONLY,
		.brief = "Print this help and end",
	},
};

const size_t cli_nr_options = SK_ARRAY_SIZE(cli_options_table);

_Static_assert(SK_ARRAY_SIZE(cli_options_table) <= CLI_MAX_OPTIONS, "raise CLI_MAX_OPTIONS");
