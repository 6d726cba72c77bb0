/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * libskete: a virtual machine as a library. Create one from a configuration, start it (the call
 * returns), talk to its console, wait for its end.
 *
 *   sk_vm_config_init(&config, sizeof(config));
 *   config.kernel_path = "vmlinuz";
 *   sk_vm_create(&vm, &config, &err);   sk_vm_start(vm, &err);
 *   sk_vm_wait(vm, -1, &result);        sk_vm_destroy(vm);
 *
 * Any number of machines may live in one process. The library has no global state, never prints
 * and never exits. It installs no signal handler: every vCPU runs on a thread of its own that has
 * all signals blocked, and SIGSTKFLT, sent to such a thread only, takes it out of the guest. The
 * virtio devices of a machine, if it has any, live on one more thread, with all signals blocked,
 * too; where the kernel offers no io_uring, up to four helpers of it read and write files. Each
 * network in user mode has one of its own.
 *
 * Threading class: internally locked. Every function may be called from any thread, but for
 * create and destroy, which the owner calls when nobody else uses the machine; none of them may be
 * called from a callback of the log. Only wait, pause, stop and destroy block.
 */
#ifndef SKETE_VM_H
#define SKETE_VM_H

#include <sys/types.h>

#include <skete/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sk_vm;

enum sk_vm_boot { SK_VM_BOOT_AUTO, SK_VM_BOOT_PVH, SK_VM_BOOT_LINUX64, SK_VM_BOOT_MULTIBOOT };
enum sk_vm_irqchip { SK_VM_IRQCHIP_KERNEL, SK_VM_IRQCHIP_SPLIT };
enum sk_vm_backing { SK_VM_BACKING_ANON, SK_VM_BACKING_MEMFD };
enum sk_vm_pages {
	SK_VM_PAGES_AUTO, /* transparent huge pages if the host's kernel has them */
	SK_VM_PAGES_BASE,
	SK_VM_PAGES_TRANSPARENT,
	SK_VM_PAGES_2M,
	SK_VM_PAGES_1G,
};

#define SK_VM_MAX_POLL_US 1000000

enum sk_vm_transport { SK_VM_TRANSPORT_PCI, SK_VM_TRANSPORT_MMIO };

/* The entropy device: random bytes for the guest. */
struct sk_vm_rng {
	const char *path;     /* NULL: the host's getrandom(2) */
	uint64_t bytes_per_s; /* 0: as fast as it goes */
};

/* The memory balloon, which also gives back what the guest does not use. */
struct sk_vm_balloon {
	uint64_t size_bytes;   /* of memory that the guest shall do without at first */
	bool keeps_on_oom;     /* the guest may not take pages back when it runs out of memory */
	bool has_no_reporting; /* what the guest frees stays with it */
};

/*
 * The socket device: streams between AF_VSOCK in the guest and Unix sockets of the host. A client
 * of
 * @path writes "CONNECT <port>\n" and reads "OK <number>\n"; a guest that connects to CID 2, port
 * N, gets who listens at @path_N.
 */
struct sk_vm_vsock {
	uint64_t cid; /* of the guest: 3 to 4294967294 */
	const char *path;
};

enum sk_vm_net_kind {
	SK_VM_NET_USER, /* a network of its own behind the host's sockets; needs no privilege */
	SK_VM_NET_TAP,	/* a TAP device, which exists already */
};

/* A network device. Limits hold in each direction, for frames and their bytes. */
struct sk_vm_net {
	enum sk_vm_net_kind kind;
	uint8_t mac[6];			    /* all zeroes: a random one */
	uint32_t mtu;			    /* 0: what the other side says */
	uint64_t bytes_per_s, frames_per_s; /* 0: no limit */

	const char *tap; /* TAP: its name */
	uint32_t queues; /* TAP: pairs of queues, 0: 1 */
	bool has_vhost;	 /* TAP: the host's kernel moves the frames (/dev/vhost-net) */

	/*
	 * USER: ports of the host that lead to the guest, "PROTO:[ADDR]:PORT:PORT", the host's
	 * first; UDP ones need has_host_loopback.
	 */
	const char *const *forwards;
	size_t nr_forwards;
	bool has_host_loopback; /* USER: the guest reaches the host's 127.0.0.1 at 10.0.2.2 */
};

enum sk_vm_disk_format {
	SK_VM_DISK_AUTO, /* raw; a file that begins as a qcow2 image is refused */
	SK_VM_DISK_RAW,
	SK_VM_DISK_QCOW2,
};

/* A disk: a file or a block device, which is locked while the machine exists. */
struct sk_vm_disk {
	const char *path;
	const char *id; /* NULL: none; the serial number that the guest sees, up to 20 bytes */
	enum sk_vm_disk_format format;
	bool is_read_only;
	bool is_direct;			 /* O_DIRECT */
	bool has_backing;		 /* a qcow2 image may name files that it builds on */
	uint32_t queues;		 /* 1 to 64, 0: 1 */
	uint64_t bytes_per_s, ops_per_s; /* 0: no limit */
};

/* The virtio console: descriptors of any kind, borrowed until the machine is destroyed. */
struct sk_vm_virtio_console {
	int in_fd, out_fd;	/* -1: no input, or output to nowhere */
	uint16_t columns, rows; /* of the terminal; 0: unknown */
};

#define SK_VM_MAX_CPUS	       64
#define SK_VM_MIN_MEMORY_BYTES SK_MIB

/*
 * Strings and structures are copied by create. @struct_bytes is sizeof() of the structure that the
 * caller was compiled with: a newer library gives the fields behind it their defaults.
 */
struct sk_vm_config {
	size_t struct_bytes;

	const char *kernel_path; /* required: bzImage, ELF with PVH note, vmlinux, multiboot */
	const char *initrd_path; /* NULL: none */
	const char *cmdline;	 /* NULL: empty */
	enum sk_vm_boot boot;	 /* AUTO: by what the kernel file offers */

	uint32_t cpus;		/* 1 to SK_VM_MAX_CPUS; default 1 */
	uint64_t memory_bytes;	/* a multiple of 4 KiB; default 512 MiB */
	enum sk_vm_pages pages; /* default 4 KiB pages */
	enum sk_vm_backing backing;
	enum sk_vm_irqchip irqchip; /* default SPLIT, which has no 8259 and no PIT */
	bool has_pit;		    /* default true; only with KERNEL */
	bool has_reboot;  /* default true: a reset starts the machine again; false: it ends it */
	bool has_console; /* default true: a 16550 at 0x3f8, IRQ 4 */

	const char *kvm_path;	  /* NULL: /dev/kvm */
	const struct sk_log *log; /* NULL: silent; must live as long as the machine */

	enum sk_vm_transport transport; /* of the virtio devices; default PCI */
	const struct sk_vm_rng *rng;	/* NULL: no entropy device */
	const struct sk_vm_net *nets;	/* nr_nets of them */
	size_t nr_nets;
	const struct sk_vm_vsock *vsock;		   /* NULL: none */
	const struct sk_vm_balloon *balloon;		   /* NULL: none */
	const struct sk_vm_virtio_console *virtio_console; /* NULL: none */
	const struct sk_vm_disk *disks;			   /* nr_disks of them */
	size_t nr_disks;

	/*
	 * gdb may attach at 127.0.0.1:gdb_port (0: no), which costs one more thread; whoever
	 * reaches that port rules the guest. The guest does not start before gdb says so. gdb_text,
	 * gdb_data: for an image of the unikernel with skete.gdb on its command line, where its two
	 * segments are; 0 for other guests, which refuse breakpoints in memory.
	 */
	uint16_t gdb_port;
	uint64_t gdb_text, gdb_data;

	/*
	 * Before the thread of the virtio devices sleeps it looks at the rings for at most so many
	 * microseconds, up to SK_VM_MAX_POLL_US, and as far as that pays: the guest need not ring,
	 * and waits less. Default 0: never. It never does where this process has a single CPU,
	 * or no io_uring.
	 */
	uint32_t max_poll_us;
};

/* Fills in the defaults. @struct_bytes is sizeof(*config). */
SK_API void sk_vm_config_init(struct sk_vm_config *config, size_t struct_bytes);

/*
 * Opens KVM and builds the whole machine with the kernel in its memory: all that can be wrong with
 * the configuration or the files is found here. On success *@out is the caller's. Errors:
 * -EINVAL (configuration), -ENOEXEC (the image cannot run), -ENOMEM, -ENOENT, -EACCES ... with a
 * sentence that says of what.
 */
SK_API int sk_vm_create(struct sk_vm **out, const struct sk_vm_config *config,
			struct sk_error *err) SK_MUST_CHECK;

/* Ends the machine if it still runs, and frees everything. NULL is fine. */
SK_API void sk_vm_destroy(struct sk_vm *vm);

/* Starts the vCPUs and returns. Once per machine: -EALREADY. -EAGAIN, -ENOMEM: no thread. */
SK_API int sk_vm_start(struct sk_vm *vm, struct sk_error *err) SK_MUST_CHECK;

enum sk_vm_end {
	SK_VM_RUNNING,	   /* it has not ended (also: paused) */
	SK_VM_POWERED_OFF, /* ACPI S5 */
	SK_VM_RESET,	   /* the guest wanted a reboot, and has_reboot is false */
	SK_VM_EXITED,	   /* an exit device; @status is the guest's */
	SK_VM_STOPPED,	   /* sk_vm_stop() */
	SK_VM_CRASHED,	   /* triple fault, or KVM gave up on the guest: see the report */
	SK_VM_FAILED,	   /* the host could not go on: see the report */
};

struct sk_vm_result {
	enum sk_vm_end end;
	uint32_t status; /* of SK_VM_EXITED, else 0 */
};

/*
 * Waits until the machine has ended (@timeout_ms < 0: without limit) and fills *@result (NULL is
 * allowed). 0, or -ETIMEDOUT and SK_VM_RUNNING. -EINVAL: not started.
 */
SK_API int sk_vm_wait(struct sk_vm *vm, int timeout_ms, struct sk_vm_result *result) SK_MUST_CHECK;

/* An eventfd, borrowed, that is readable once the machine has ended. Do not read from it. */
SK_API int sk_vm_exit_fd(const struct sk_vm *vm);

/*
 * After SK_VM_CRASHED or SK_VM_FAILED: what happened, with the registers of the vCPU and the bytes
 * at its instruction pointer, in lines of text; otherwise "". Valid until destroy.
 */
SK_API const char *sk_vm_report(struct sk_vm *vm);

/*
 * Pause returns when no vCPU runs and no device touches the guest's memory; the guest's clock
 * (kvmclock) stands until resume. Both are fine when there is nothing to do. -EINVAL: not started,
 * or ended.
 */
SK_API int sk_vm_pause(struct sk_vm *vm) SK_MUST_CHECK;
SK_API int sk_vm_resume(struct sk_vm *vm) SK_MUST_CHECK;

/* Asks the guest to shut down, by its ACPI power button; it may take its time or not listen. */
SK_API int sk_vm_press_power_button(struct sk_vm *vm) SK_MUST_CHECK;

/* Takes the power away and returns when no vCPU runs. -EINVAL: not started. */
SK_API int sk_vm_stop(struct sk_vm *vm) SK_MUST_CHECK;

/*
 * The console. read takes up to @len bytes of what the guest sent, write queues up to @len bytes
 * for it; both return at once with how many bytes they moved. A guest that is not read from waits
 * when 64 KiB are queued, or its ring (<skete/abi/console.h>) is full; nothing is lost. Output can
 * still be read after the end.
 *
 * The descriptor (an eventfd, borrowed; -1 without a console) is readable when there may be output
 * or, after a short write, room again; read clears it.
 */
SK_API int sk_vm_console_fd(const struct sk_vm *vm);
SK_API size_t sk_vm_console_read(struct sk_vm *vm, void *buf, size_t len);
SK_API size_t sk_vm_console_write(struct sk_vm *vm, const void *buf, size_t len);
/*
 * No more will be written. A guest that uses the console port (<skete/abi/console.h>) comes to the
 * end of its input; for one that uses the 16550 nothing happens, because a line has no end.
 */
SK_API void sk_vm_console_write_end(struct sk_vm *vm);

/*
 * The network device number @index, from 0. set_limits holds in each direction from now on, also
 * after a reboot; 0: none. Errors: -ENODEV (no such device), -EINVAL (the machine has ended or not
 * started), -EAGAIN (it is being rebooted), -ENOTSUP (vhost: the frames pass the machine by).
 */
SK_API int sk_vm_net_set_limits(struct sk_vm *vm, uint32_t index, uint64_t bytes_per_s,
				uint64_t frames_per_s) SK_MUST_CHECK;

struct sk_vm_net_stats {
	size_t struct_bytes;	      /* IN: sizeof() the caller's */
	uint64_t rx_frames, rx_bytes; /* to the guest */
	uint64_t tx_frames, tx_bytes; /* from it */
	uint64_t rx_dropped, rx_filtered, tx_dropped;
	uint64_t tx_bad;    /* frames of the guest against the rules */
	uint64_t throttled; /* times that a limit held a frame back */
};

SK_API int sk_vm_net_get_stats(struct sk_vm *vm, uint32_t index,
			       struct sk_vm_net_stats *stats) SK_MUST_CHECK;

/*
 * The disk number @index, from 0. set_limits holds from now on, also after a reboot; 0: none.
 * refresh looks how large the file is now, which another program may have grown, and tells the
 * guest; it waits for the thread of the devices. Errors: -ENODEV (no such disk), -EINVAL (the
 * machine has ended or not started), -EAGAIN (it is being rebooted), and of refresh -ENOTSUP (not a
 * raw disk) or what the system says.
 */
SK_API int sk_vm_disk_set_limits(struct sk_vm *vm, uint32_t index, uint64_t bytes_per_s,
				 uint64_t ops_per_s) SK_MUST_CHECK;
SK_API int sk_vm_disk_refresh(struct sk_vm *vm, uint32_t index) SK_MUST_CHECK;

struct sk_vm_disk_stats {
	size_t struct_bytes; /* IN: sizeof() the caller's */
	uint64_t reads, read_bytes;
	uint64_t writes, written_bytes;
	uint64_t flushes;
	uint64_t discards, zeroes; /* ranges */
	uint64_t errors;	   /* requests that the disk failed */
	uint64_t bad;		   /* requests of the guest that made no sense */
	uint64_t throttled;	   /* times that a limit held a request back */
};

SK_API int sk_vm_disk_get_stats(struct sk_vm *vm, uint32_t index,
				struct sk_vm_disk_stats *stats) SK_MUST_CHECK;

/* The terminal of the virtio console has another size. Errors as for networks. */
SK_API int sk_vm_resize_virtio_console(struct sk_vm *vm, uint16_t columns,
				       uint16_t rows) SK_MUST_CHECK;

struct sk_vm_virtio_console_stats {
	size_t struct_bytes; /* IN: sizeof() the caller's */
	uint64_t in_bytes;   /* given to the guest */
	uint64_t out_bytes;  /* taken from it */
	uint64_t lost_bytes; /* of these, thrown away because they could not be written */
};

SK_API int sk_vm_virtio_console_get_stats(struct sk_vm *vm,
					  struct sk_vm_virtio_console_stats *stats) SK_MUST_CHECK;

struct sk_vm_rng_stats {
	size_t struct_bytes; /* IN: sizeof() the caller's */
	uint64_t requests;   /* buffers that were filled */
	uint64_t bytes;
};

SK_API int sk_vm_rng_get_stats(struct sk_vm *vm, struct sk_vm_rng_stats *stats) SK_MUST_CHECK;

/*
 * The balloon. set_size asks the guest to do without that much of its memory, also after a reboot;
 * it takes its time. Errors as for networks.
 */
SK_API int sk_vm_balloon_set_size(struct sk_vm *vm, uint64_t size_bytes) SK_MUST_CHECK;

struct sk_vm_balloon_stats {
	size_t struct_bytes;	 /* IN: sizeof() the caller's */
	uint64_t target_bytes;	 /* what was asked for */
	uint64_t actual_bytes;	 /* what the guest says that the balloon holds */
	uint64_t reported_bytes; /* of free pages, ever */
	/* What the guest said when it was asked last, all ones: nothing. */
	uint64_t free_bytes, total_bytes, available_bytes, cache_bytes;
};

/* Asks the guest for new numbers, too, which a later call finds. */
SK_API int sk_vm_balloon_get_stats(struct sk_vm *vm,
				   struct sk_vm_balloon_stats *stats) SK_MUST_CHECK;

#define SK_VM_EXIT_KINDS 12

/* Facts for reports and benchmarks. */
struct sk_vm_stats {
	size_t struct_bytes;   /* IN: sizeof() the caller's */
	uint64_t first_run_ns; /* CLOCK_MONOTONIC just before the first vCPU ran; 0: not yet */
	uint64_t exits;	       /* of all vCPUs to the monitor */
	uint64_t pio_exits;
	uint64_t mmio_exits;
	uint64_t unclaimed_accesses; /* nobody answers at that address */
	uint64_t reboots;
	uint64_t main_ns;  /* when a unikernel said that main() is about to be called; 0: it did not
			    */
	uint64_t ended_ns; /* when the machine had ended; 0: not yet */
	uint64_t exits_by_kind[SK_VM_EXIT_KINDS];
};

/* What the exits of a kind are called, as "port I/O". NULL from SK_VM_EXIT_KINDS on. */
SK_API const char *sk_vm_exit_name(uint32_t kind);

SK_API void sk_vm_get_stats(struct sk_vm *vm, struct sk_vm_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
