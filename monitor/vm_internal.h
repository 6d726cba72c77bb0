/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The inside of libskete.
 *
 *   vm.c       a machine from its configuration; most of the public calls
 *   life.c     pause, reboot, end: where all vCPUs meet
 *   vcpu.c     the thread of a vCPU and its exits
 *   vm_config.c  the configuration: defaults, copy, check
 *   machine.c  composition: builds the machine out of bricks, and takes it down again
 *   devices.c  the virtio devices' thread and transports; virtio.c is their list
 *   irqchip.c  where the interrupts of its devices go
 *   pci.c      the PCI bus and its place in the machine
 *   rtc_timer.c  wakes the real-time clock for its interrupts
 *   console.c  the host's end of the serial port, which outlives a reboot
 *   report.c   what is said about a guest that crashed
 *
 * One lock (vm->lock) protects the life of the machine; it is taken when something ends, pauses or
 * reboots, never on the exit path. All vCPU threads meet in vm_park(); while everybody is parked,
 * the thread of CPU 0 does what has to be done with the guest standing still.
 */
#ifndef SKETE_VM_INTERNAL_H
#define SKETE_VM_INTERNAL_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include <skete/acpi.h>
#include <skete/bus.h>
#include <skete/dev/conport.h>
#include <skete/dev/exit.h>
#include <skete/dev/i8042.h>
#include <skete/dev/ioapic.h>
#include <skete/dev/pm.h>
#include <skete/dev/rtc.h>
#include <skete/dev/serial.h>
#include <skete/gmem.h>
#include <skete/kvm.h>
#include <skete/loader.h>
#include <skete/pci.h>
#include <skete/vm.h>

#include "devices.h"

#define VM_REPORT_MAX	      4096
/*
 * Takes a vCPU thread out of KVM_RUN; see vcpu.c. Not a real-time signal: those are queued, and
 * refused when the user has as many as RLIMIT_SIGPENDING allows.
 */
#define VM_KICK_SIGNAL	      SIGSTKFLT
/* Of a vCPU's thread. The deepest path is a reboot on CPU 0's, which loads the image: some 30 KiB.
 */
#define VM_VCPU_STACK_BYTES   (256 * SK_KIB)
#define RTC_TIMER_STACK_BYTES (64 * SK_KIB)

/* The host's end of the console. Internally locked; see console.c. */
struct console {
	pthread_mutex_t lock;	    /* protects what follows but the atomic */
	struct sk_serial *serial;   /* NULL while the machine is rebuilt; input goes there */
	struct sk_conport *conport; /* with serial; output comes from there, the UART's, too */
	uint8_t *carry; /* output of the machine before a reboot that nobody has read yet */
	size_t carry_len, carry_pos;
	int fd; /* eventfd; -1: the machine has no console */
	atomic_bool is_input_over;
};

/* Calls sk_rtc_run() in time. Internally locked; see rtc_timer.c. */
struct rtc_timer {
	pthread_mutex_t
		lock; /* protects what follows; may be held when the clock's lock is taken */
	pthread_cond_t changed; /* any of it */
	struct sk_rtc *rtc;	/* set once, before a vCPU runs */
	const struct sk_log *log;
	bool has_thread, has_failed, is_changed, is_stopping;
	pthread_t thread;
};

/* What a machine is built of. Immutable while vCPUs run. */
struct machine {
	struct sk_vm *vm; /* whose callbacks the devices call */
	struct sk_gmem *gm;
	struct sk_kvm_vm *kvm_vm;
	struct sk_bus *pio, *mmio;
	struct sk_ioapic *ioapic; /* NULL: KVM has one */
	pthread_mutex_t routes_lock;
	struct sk_kvm_routes routes; /* all of them; guarded by its lock */
	uint32_t nr_msi_gsis;	     /* given to vectors so far */
	struct sk_pci *pci;	     /* NULL: no PCI */
	struct sk_serial *serial;
	struct sk_conport *conport;
	struct sk_i8042 *i8042;
	struct sk_rtc *rtc;
	struct rtc_timer rtc_timer;
	struct sk_pm *pm;
	struct sk_exit *exit;
	struct devices devices;
	int serial_irq_fd, rtc_irq_fd, power_button_irq_fd;
	uint32_t nr_vcpus;
	struct sk_kvm_vcpu *vcpus[SK_VM_MAX_CPUS];
};

enum vm_phase { VM_CREATED, VM_RUNNING, VM_PAUSED, VM_REBOOTING, VM_ENDED };

struct vcpu_thread {
	struct sk_vm *vm;
	uint32_t index;
	pthread_t thread;
	/* Written by its own thread only, read by anybody: relaxed. */
	_Atomic uint64_t exits[SK_VM_EXIT_KINDS]; /* by enum sk_kvm_exit_kind */
};

struct sk_vm {
	/* immutable after create */
	struct sk_vm_config config; /* its strings are owned */
	int kernel_fd, initrd_fd;   /* -1: none; open for life, so that a reboot needs no path */
	struct sk_kvm *kvm;
	struct sk_kvm_cpuid *supported_cpuid;
	int exit_fd;

	struct console console;

	/* Replaced by CPU 0's thread while all others are parked. */
	struct machine *machine;

	pthread_mutex_t lock;	/* protects what follows */
	pthread_cond_t changed; /* any of it */
	enum vm_phase phase;
	bool wants_pause, wants_reboot, wants_end;
	uint32_t nr_threads; /* started so far */
	uint32_t nr_parked;
	uint32_t nr_calls;   /* callers inside devices_call_locked(): a reboot waits for them */
	uint64_t generation; /* counts departures from vm_park() */
	struct sk_vm_result result;
	char report[VM_REPORT_MAX];
	uint64_t reboots;
	uint64_t unclaimed_before; /* of the machines before a reboot */

	/* Set with a release under the lock, read on every exit: a vCPU has to come to vm_park().
	 */
	atomic_bool wants_attention;
	_Atomic uint64_t first_run_ns, main_ns, ended_ns;

	struct gdb_server *gdb; /* NULL: none; immutable after create */

	struct vcpu_thread threads[SK_VM_MAX_CPUS];
};

/* vm_config.c. copy takes one of any age, and its strings; fini frees them, also after an error. */
int vm_config_copy(struct sk_vm_config *to, const struct sk_vm_config *from,
		   struct sk_error *err) SK_MUST_CHECK;
int vm_config_check(const struct sk_vm_config *c, struct sk_error *err) SK_MUST_CHECK;
void vm_config_fini(struct sk_vm_config *c);

/* machine.c: builds vm->config. The memory is fresh; nothing runs yet. */
int machine_create(struct machine **out, struct sk_vm *vm, struct sk_error *err) SK_MUST_CHECK;
void machine_destroy(struct machine *machine);
/* Accesses of the guest that nobody answers. */
uint64_t machine_unclaimed(const struct machine *m);

/*
 * irqchip.c. create makes the routing table, and the IOAPIC unless it is KVM's; the VM and the
 * buses exist. attach lets the signals of @fd (an eventfd, borrowed until the end of the VM) be
 * edges at
 * @gsi. The ops are for bricks/pci, with the machine as their context.
 */
int irqchip_create(struct machine *m, const struct sk_log *log, struct sk_error *err) SK_MUST_CHECK;
int irqchip_attach(struct machine *m, int fd, uint32_t gsi, struct sk_error *err) SK_MUST_CHECK;
extern const struct sk_pci_msi_ops irqchip_msi_ops;
void irqchip_destroy(struct machine *m);

/*
 * pci.c. describe returns if there is a bus, and needs the memory only: for the tables, which come
 * first. create: the buses and the irqchip exist; functions follow, and then sk_pci_assign().
 */
bool pci_is_wanted(const struct sk_vm_config *config);
extern const struct sk_loader_reserved pci_reserved; /* ECAM, in the memory map */
bool pci_describe(const struct machine *m, struct sk_acpi_pci *acpi);
int pci_create(struct machine *m, const struct sk_log *log, struct sk_error *err) SK_MUST_CHECK;

/* vcpu.c: the main function of a vCPU's thread; @arg is a struct vcpu_thread. */
void *vcpu_thread_main(void *arg);
/* vcpu.c: makes VM_KICK_SIGNAL, blocked everywhere else, end the vCPU's KVM_RUN. */
int vcpu_arm_kick(struct sk_kvm_vcpu *vcpu) SK_MUST_CHECK;

/* life.c, for vCPU threads and device callbacks. Only vm_park() waits. */

/* Ends the machine; the first reason wins. @report may be NULL. */
void vm_request_end(struct sk_vm *vm, enum sk_vm_end end, uint32_t status, const char *report);
/* Pauses it soon; the lock is held. sk_vm_resume() ends it. */
void vm_request_pause_locked(struct sk_vm *vm);
/* The guest asked for a reset: a reboot, or the end if the configuration says so. */
void vm_request_reset(struct sk_vm *vm);
/* Waits with the other vCPUs until the machine runs; false: it has ended, the thread returns. */
bool vm_park(struct sk_vm *vm, uint32_t index) SK_MUST_CHECK;

/*
 * virtio_net.c: the network devices of a configuration. copy replaces the array and its strings by
 * ones that are ours; -ENOMEM leaves what free can end.
 */
int vm_nets_copy(struct sk_vm_config *config, struct sk_error *err) SK_MUST_CHECK;
void vm_nets_free(struct sk_vm_config *config);
/* virtio_block.c: likewise, the disks. */
int vm_disks_copy(struct sk_vm_config *config, struct sk_error *err) SK_MUST_CHECK;
void vm_disks_free(struct sk_vm_config *config);
/* rtc_timer.c: fini ends the thread, if there is one; then the clock may be destroyed. */
void rtc_timer_init(struct rtc_timer *timer, const struct sk_log *log);
void rtc_timer_fini(struct rtc_timer *timer);
/* For the clock's callback: when it wants to be woken may have changed. */
void rtc_timer_changed(void *timer);

/* console.c */
int console_init(struct console *console, bool is_present, struct sk_error *err) SK_MUST_CHECK;
void console_fini(struct console *console);
/* Attaches the ports of a new machine. detach keeps their unread output. */
void console_attach(struct console *console, const struct machine *machine);
void console_detach(struct console *console);
/* For the serial port's callbacks. */
void console_signal(void *console);
/* Whether sk_vm_console_write_end() was called: before that, all input was queued. Any thread. */
bool console_input_is_over(const struct console *console);

/* report.c: describes @what and the vCPU's registers in @buf. */
void report_crash(const struct machine *machine, uint32_t index, const char *what, char *buf,
		  size_t size_bytes);

#define RESET_VECTOR_GPA UINT64_C(0xffff0)
/* reset_vector.c: what a guest finds that reboots by jumping to the firmware. */
int reset_vector_write(struct sk_gmem *gm, struct sk_error *err) SK_MUST_CHECK;

#endif
