/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * /dev/kvm: the system handle, virtual machines, virtual CPUs, their interrupts, their CPUID and
 * their whole state. The only place in the tree with KVM ioctls (Linux, Documentation/virt/kvm/
 * api.rst, x86). What KVM can do is asked from KVM (capabilities), never from the host's CPUID:
 * VT-x, AMD-V and PVM look the same from here.
 *
 * The order of the set-up matters. On some kernels KVM_SET_USER_MEMORY_REGION waits for a grace
 * period once an irqchip exists (6 ms instead of 1 ms for a small VM), and an irqchip must exist
 * before the first vCPU:
 *
 *   1. sk_kvm_open()
 *   2. sk_kvm_vm_create()     creates the VM, then its memory slots, then irqchip and PIT
 *   3. sk_kvm_vcpu_create()   for each vCPU, 0 first
 *   4. sk_kvm_vcpu_set_cpuid(), then MSRs, then sk_kvm_vcpu_set_entry() for the boot CPU
 *   5. irqfds, ioeventfds and MSI routes, at any time from here on
 *   6. one thread per vCPU: sk_kvm_vcpu_run()
 *
 * and the other way round at the end: vCPUs, VM, memory (gmem), handle.
 *
 * Threading class: sk_kvm is immutable after open. A VM may be used from any thread, but for
 * map_gmem, set_slot, save and restore, which its owner serialises. A vCPU belongs to the thread
 * that runs it; only set_immediate_exit may be called from another thread. Nothing blocks but
 * sk_kvm_vcpu_run(). Functions return 0 or -errno unless they say otherwise.
 */
#ifndef SKETE_KVM_H
#define SKETE_KVM_H

#include <linux/kvm.h>
#include <signal.h>

#include <skete/base.h>
#include <skete/gmem.h>

struct sk_kvm;
struct sk_kvm_vm;
struct sk_kvm_vcpu;

/* ---- The system: system.c ---- */

/*
 * Opens @path (NULL: /dev/kvm) and checks the API version and the extensions that this brick
 * cannot do without. Errors, each a sentence with a hint: -ENOENT (no such device), -EACCES
 * (names the owner and the group of the device), -EBUSY, -ENOTSUP (not KVM, or too old).
 */
int sk_kvm_open(struct sk_kvm **out, const char *path, struct sk_error *err) SK_MUST_CHECK;
/* Ends the handle, after every VM made from it is gone. */
void sk_kvm_close(struct sk_kvm *kvm);

/* KVM_CHECK_EXTENSION of a KVM_CAP_* number: 0 if absent, else the capability's own value. */
int sk_kvm_check(const struct sk_kvm *kvm, int cap);
uint32_t sk_kvm_max_vcpus(const struct sk_kvm *kvm);
/* Bytes of a vCPU's shared kvm_run mapping. */
size_t sk_kvm_run_bytes(const struct sk_kvm *kvm);

/* A CPUID table: the layout of struct kvm_cpuid2 with room for what KVM can hold. */
#define SK_KVM_CPUID_MAX 256

struct sk_kvm_cpuid {
	uint32_t nr_entries;
	uint32_t padding;
	struct kvm_cpuid_entry2 entries[SK_KVM_CPUID_MAX];
};

/* KVM_GET_SUPPORTED_CPUID. Takes about 0.3 ms: ask once per process, not once per vCPU. */
int sk_kvm_supported_cpuid(const struct sk_kvm *kvm, struct sk_kvm_cpuid *out) SK_MUST_CHECK;

/*
 * KVM_GET_MSR_INDEX_LIST: the MSRs that hold guest state. Fills up to @max entries of @indices
 * (NULL when @max is 0) and returns how many there are, or -errno.
 */
int sk_kvm_msr_list(const struct sk_kvm *kvm, uint32_t *indices, size_t max) SK_MUST_CHECK;

/* ---- Guest CPUID: cpuid.c (pure, needs no KVM) ---- */

struct sk_kvm_cpuid_config {
	uint32_t index;	       /* this vCPU: also its APIC id */
	uint32_t count;	       /* vCPUs of the VM: one package, one thread per core */
	bool has_tsc_deadline; /* KVM_CAP_TSC_DEADLINE_TIMER and a local APIC in the kernel */
	bool has_kernel_lapic; /* irqchip is not SK_KVM_IRQCHIP_NONE */
	bool has_nested_virt;  /* leave VMX and SVM visible to the guest */
	uint32_t tsc_khz;      /* leaf 0x40000010; 0: no such leaf */
	uint32_t apic_khz;     /* likewise; KVM's APIC bus runs at 1000000 */
};

/* The first entry of @leaf and @subleaf (ignored where the leaf has none), or NULL. */
struct kvm_cpuid_entry2 *sk_kvm_cpuid_find(struct sk_kvm_cpuid *cpuid, uint32_t leaf,
					   uint32_t subleaf);

/*
 * Makes the table of one vCPU from what KVM supports: APIC ids and topology (leaves 1, 4, 0xb,
 * 0x1f, 0x80000008, 0x8000001d, 0x8000001e), TSC deadline, x2APIC, the hypervisor bit and KVM's
 * own leaves from 0x40000000. Bits that the processor computes at run time (OSXSAVE, OSPKE) are
 * left to KVM. @out and @supported may not be the same. -EINVAL: @index is not below @count, or
 * @count does not fit into APIC ids; -ENOSPC: no room for the extra leaves.
 */
int sk_kvm_cpuid_build(struct sk_kvm_cpuid *out, const struct sk_kvm_cpuid *supported,
		       const struct sk_kvm_cpuid_config *config,
		       struct sk_error *err) SK_MUST_CHECK;

/* ---- The virtual machine: vm.c ---- */

enum sk_kvm_irqchip {
	SK_KVM_IRQCHIP_NONE,   /* no interrupt controller in the kernel, HLT exits */
	SK_KVM_IRQCHIP_KERNEL, /* two 8259, IOAPIC and local APICs in the kernel */
	SK_KVM_IRQCHIP_SPLIT,  /* local APICs in the kernel; 8259 and IOAPIC, if any, are ours */
};

#define SK_KVM_NR_PINS 24 /* of the IOAPIC: GSIs below it are pins, MSI routes go above */

struct sk_kvm_vm_config {
	struct sk_gmem *gm; /* borrowed until destroy; NULL: slots are set by hand */
	bool has_dirty_log; /* log the guest's writes to gm from the start */
	enum sk_kvm_irqchip irqchip;
	bool has_pit; /* i8254 in the kernel; needs SK_KVM_IRQCHIP_KERNEL */
};

/* Does step 2 of the order above. -EINVAL: a PIT without the irqchip; -ENOTSUP: KVM lacks it. */
int sk_kvm_vm_create(struct sk_kvm_vm **out, const struct sk_kvm *kvm,
		     const struct sk_kvm_vm_config *config, struct sk_error *err) SK_MUST_CHECK;
/* Every vCPU must be destroyed before. */
void sk_kvm_vm_destroy(struct sk_kvm_vm *vm);

/* KVM_CHECK_EXTENSION on the VM, which may differ from the system's answer. */
int sk_kvm_vm_check(const struct sk_kvm_vm *vm, int cap);
enum sk_kvm_irqchip sk_kvm_vm_irqchip(const struct sk_kvm_vm *vm);

/*
 * KVM_SET_USER_MEMORY_REGION. A slot of 0 bytes deletes it. Slots from 0 upwards belong to
 * map_gmem if the VM has a gmem. -EINVAL also for a slot from SK_KVM_MAX_SLOTS on.
 */
#define SK_KVM_MAX_SLOTS 128

struct sk_kvm_slot {
	uint32_t slot;
	gpa_t gpa;
	uint64_t size_bytes;
	void *hva;
	bool is_readonly; /* writes become MMIO exits */
	bool has_dirty_log;
};

int sk_kvm_vm_set_slot(struct sk_kvm_vm *vm, const struct sk_kvm_slot *slot) SK_MUST_CHECK;

/*
 * Installs every region of @gm, slot i being region i; called again, it only switches logging.
 * sk_kvm_vm_create() has done it for its config's gm.
 */
int sk_kvm_vm_map_gmem(struct sk_kvm_vm *vm, const struct sk_gmem *gm, bool has_dirty_log,
		       struct sk_error *err) SK_MUST_CHECK;

/*
 * Copies what the guest wrote to @slot since the last call into @bitmap (one bit per 4 KiB page,
 * @nr_words 64-bit words) and clears KVM's log. -ENOENT: no such slot, or not logged; -EINVAL:
 * the bitmap is too small for the slot.
 */
int sk_kvm_vm_get_dirty_log(struct sk_kvm_vm *vm, uint32_t slot, uint64_t *bitmap,
			    size_t nr_words) SK_MUST_CHECK;

/* ---- Interrupts and doorbells: irq.c ---- */

/* Level of a pin of the in-kernel PIC and IOAPIC. -ENXIO without them. */
int sk_kvm_vm_set_irq(struct sk_kvm_vm *vm, uint32_t gsi, bool is_high) SK_MUST_CHECK;

struct sk_kvm_msi {
	uint64_t address;
	uint32_t data;
};

/* Injects a message now. Returns 0, or -EAGAIN if the guest has blocked it. */
int sk_kvm_vm_signal_msi(struct sk_kvm_vm *vm, const struct sk_kvm_msi *msi) SK_MUST_CHECK;

/*
 * A signal on @fd (an eventfd) becomes an interrupt on @gsi. With @resample_fd >= 0 the line is
 * level-triggered: it stays asserted until the guest's EOI, which is signalled on @resample_fd.
 * Both descriptors stay the caller's; KVM holds its own reference until detach.
 */
int sk_kvm_vm_attach_irqfd(struct sk_kvm_vm *vm, int fd, uint32_t gsi,
			   int resample_fd) SK_MUST_CHECK;
int sk_kvm_vm_detach_irqfd(struct sk_kvm_vm *vm, int fd, uint32_t gsi) SK_MUST_CHECK;

/* A guest's write that signals an eventfd inside the kernel instead of an exit. */
struct sk_kvm_ioeventfd {
	int fd;
	uint64_t address;   /* a port or a gpa */
	bool is_pio;	    /* else MMIO */
	uint32_t len_bytes; /* 1, 2, 4, 8; 0: any length (MMIO only, no datamatch) */
	bool has_datamatch; /* only writes of exactly @datamatch */
	uint64_t datamatch;
};

int sk_kvm_vm_attach_ioeventfd(struct sk_kvm_vm *vm,
			       const struct sk_kvm_ioeventfd *io) SK_MUST_CHECK;
/* With the same values as attach. */
int sk_kvm_vm_detach_ioeventfd(struct sk_kvm_vm *vm,
			       const struct sk_kvm_ioeventfd *io) SK_MUST_CHECK;

/*
 * The GSI routing table as the caller wants it; KVM sees it on commit, whole. Owner-thread only.
 * init fills what KVM itself starts with for @irqchip: GSI n is pin n of the IOAPIC and, below 16,
 * of the PICs (so the PIT is IOAPIC pin 0: no interrupt source override in the guest's tables), or
 * nothing when there are no such chips in the kernel.
 */
struct sk_kvm_routes {
	/* private to irq.c */
	struct kvm_irq_routing *table;
	size_t cap;
};

int sk_kvm_routes_init(struct sk_kvm_routes *routes, enum sk_kvm_irqchip irqchip) SK_MUST_CHECK;
void sk_kvm_routes_fini(struct sk_kvm_routes *routes);
/* Adds or replaces the message behind @gsi. -ENOMEM, or -ENOSPC beyond KVM's 4096 routes. */
int sk_kvm_routes_set_msi(struct sk_kvm_routes *routes, uint32_t gsi,
			  const struct sk_kvm_msi *msi) SK_MUST_CHECK;
/* Removes every route of @gsi; none is fine. */
void sk_kvm_routes_remove(struct sk_kvm_routes *routes, uint32_t gsi);
/* The routes, for inspection. */
const struct kvm_irq_routing_entry *sk_kvm_routes_entries(const struct sk_kvm_routes *routes,
							  size_t *count);
int sk_kvm_vm_commit_routes(struct sk_kvm_vm *vm, const struct sk_kvm_routes *routes) SK_MUST_CHECK;

/* The VM's clock (kvmclock) in nanoseconds. -ENOTSUP if KVM has no KVM_CAP_ADJUST_CLOCK. */
int sk_kvm_vm_get_clock(const struct sk_kvm_vm *vm, uint64_t *clock_ns) SK_MUST_CHECK;
int sk_kvm_vm_set_clock(struct sk_kvm_vm *vm, uint64_t clock_ns) SK_MUST_CHECK;

/* ---- The virtual CPU: vcpu.c ---- */

/* @id is the APIC id. -EEXIST: taken; -EINVAL: beyond what KVM can do. */
int sk_kvm_vcpu_create(struct sk_kvm_vcpu **out, struct sk_kvm_vm *vm, uint32_t id,
		       struct sk_error *err) SK_MUST_CHECK;
void sk_kvm_vcpu_destroy(struct sk_kvm_vcpu *vcpu);
uint32_t sk_kvm_vcpu_id(const struct sk_kvm_vcpu *vcpu);

enum sk_kvm_exit_kind {
	SK_KVM_EXIT_PIO,
	SK_KVM_EXIT_MMIO,
	SK_KVM_EXIT_HLT,	    /* only without a local APIC in the kernel */
	SK_KVM_EXIT_INTR,	    /* a signal or immediate_exit; nothing to do, run again */
	SK_KVM_EXIT_SHUTDOWN,	    /* triple fault */
	SK_KVM_EXIT_INTERNAL_ERROR, /* KVM gave up on the guest */
	SK_KVM_EXIT_FAIL_ENTRY,	    /* the hardware refused the guest's state */
	SK_KVM_EXIT_SYSTEM_EVENT,
	SK_KVM_EXIT_IOAPIC_EOI, /* split irqchip: the guest ended interrupt @vector */
	SK_KVM_EXIT_IRQ_WINDOW, /* the interrupt window that was requested is open */
	SK_KVM_EXIT_DEBUG,
	SK_KVM_EXIT_UNKNOWN, /* @reason is KVM's number */
};

/*
 * One exit. Pointers lead into the mapping that KVM shares: they hold until the next run. For
 * reads the dispatcher leaves the bytes there before the next run.
 */
struct sk_kvm_exit {
	enum sk_kvm_exit_kind kind;
	union {
		struct {
			uint16_t port;
			uint8_t size; /* 1, 2 or 4 */
			bool is_out;
			uint32_t count; /* string I/O: so many items of size bytes at @data */
			uint8_t *data;
		} pio;
		struct {
			uint64_t gpa;
			uint32_t len_bytes; /* 1 to 8 */
			bool is_write;
			uint8_t *data;
		} mmio;
		struct {
			uint32_t suberror; /* KVM_INTERNAL_ERROR_* */
			uint32_t ndata;
			const __u64 *data;
		} internal;
		struct {
			uint64_t reason;
			uint32_t cpu;
		} fail_entry;
		struct {
			uint32_t type; /* KVM_SYSTEM_EVENT_* */
		} system_event;
		struct {
			uint8_t vector;
		} eoi;
		struct kvm_debug_exit_arch debug;
		uint32_t reason;
	};
};

/*
 * Enters the guest once and decodes why it came back. 0 and *@exit, or -errno if KVM_RUN itself
 * failed (-EFAULT: guest memory that the host cannot provide). No lock, copy or allocation.
 */
int sk_kvm_vcpu_run(struct sk_kvm_vcpu *vcpu, struct sk_kvm_exit *exit) SK_MUST_CHECK;

/*
 * With true the next run (and all until false) finishes the I/O of the last exit and comes back
 * with SK_KVM_EXIT_INTR before the guest executes anything. From any thread; to interrupt a run
 * that is under way the caller also sends the thread a signal (with a handler that does nothing).
 */
void sk_kvm_vcpu_set_immediate_exit(struct sk_kvm_vcpu *vcpu, bool is_immediate);

/* Name of an exit for messages, e.g. "triple fault". */
const char *sk_kvm_exit_name(enum sk_kvm_exit_kind kind);

int sk_kvm_vcpu_get_cpuid(const struct sk_kvm_vcpu *vcpu, struct sk_kvm_cpuid *out) SK_MUST_CHECK;
/* Before the first run. */
int sk_kvm_vcpu_set_cpuid(struct sk_kvm_vcpu *vcpu, const struct sk_kvm_cpuid *cpuid) SK_MUST_CHECK;

/*
 * KVM_GET_MSRS and KVM_SET_MSRS on @count entries. get fills in what it can and returns how many
 * leading entries it did, or -errno. set is all or an error: -EINVAL and, in *@failed (NULL is
 * allowed), the index of the first entry that KVM refused.
 */
int sk_kvm_vcpu_get_msrs(const struct sk_kvm_vcpu *vcpu, struct kvm_msr_entry *entries,
			 size_t count) SK_MUST_CHECK;
int sk_kvm_vcpu_set_msrs(struct sk_kvm_vcpu *vcpu, const struct kvm_msr_entry *entries,
			 size_t count, size_t *failed) SK_MUST_CHECK;

/* Thin: the ioctl of the same name. xsave areas are of sk_kvm_vcpu_xsave_bytes(). */
int sk_kvm_vcpu_get_regs(const struct sk_kvm_vcpu *vcpu, struct kvm_regs *regs) SK_MUST_CHECK;
int sk_kvm_vcpu_set_regs(struct sk_kvm_vcpu *vcpu, const struct kvm_regs *regs) SK_MUST_CHECK;
int sk_kvm_vcpu_get_sregs(const struct sk_kvm_vcpu *vcpu, struct kvm_sregs *sregs) SK_MUST_CHECK;
int sk_kvm_vcpu_set_sregs(struct sk_kvm_vcpu *vcpu, const struct kvm_sregs *sregs) SK_MUST_CHECK;
/* -ENOTSUP without KVM_CAP_SREGS2. */
int sk_kvm_vcpu_get_sregs2(const struct sk_kvm_vcpu *vcpu, struct kvm_sregs2 *sregs) SK_MUST_CHECK;
int sk_kvm_vcpu_set_sregs2(struct sk_kvm_vcpu *vcpu, const struct kvm_sregs2 *sregs) SK_MUST_CHECK;
int sk_kvm_vcpu_get_fpu(const struct sk_kvm_vcpu *vcpu, struct kvm_fpu *fpu) SK_MUST_CHECK;
int sk_kvm_vcpu_set_fpu(struct sk_kvm_vcpu *vcpu, const struct kvm_fpu *fpu) SK_MUST_CHECK;
size_t sk_kvm_vcpu_xsave_bytes(const struct sk_kvm_vcpu *vcpu);
int sk_kvm_vcpu_get_xsave(const struct sk_kvm_vcpu *vcpu, void *area) SK_MUST_CHECK;
int sk_kvm_vcpu_set_xsave(struct sk_kvm_vcpu *vcpu, const void *area) SK_MUST_CHECK;
int sk_kvm_vcpu_get_xcrs(const struct sk_kvm_vcpu *vcpu, struct kvm_xcrs *xcrs) SK_MUST_CHECK;
int sk_kvm_vcpu_set_xcrs(struct sk_kvm_vcpu *vcpu, const struct kvm_xcrs *xcrs) SK_MUST_CHECK;
int sk_kvm_vcpu_get_lapic(const struct sk_kvm_vcpu *vcpu,
			  struct kvm_lapic_state *lapic) SK_MUST_CHECK;
int sk_kvm_vcpu_set_lapic(struct sk_kvm_vcpu *vcpu,
			  const struct kvm_lapic_state *lapic) SK_MUST_CHECK;
int sk_kvm_vcpu_get_mp_state(const struct sk_kvm_vcpu *vcpu, uint32_t *mp_state) SK_MUST_CHECK;
int sk_kvm_vcpu_set_mp_state(struct sk_kvm_vcpu *vcpu, uint32_t mp_state) SK_MUST_CHECK;
int sk_kvm_vcpu_get_events(const struct sk_kvm_vcpu *vcpu,
			   struct kvm_vcpu_events *events) SK_MUST_CHECK;
int sk_kvm_vcpu_set_events(struct sk_kvm_vcpu *vcpu,
			   const struct kvm_vcpu_events *events) SK_MUST_CHECK;
int sk_kvm_vcpu_get_debugregs(const struct sk_kvm_vcpu *vcpu,
			      struct kvm_debugregs *regs) SK_MUST_CHECK;
int sk_kvm_vcpu_set_debugregs(struct sk_kvm_vcpu *vcpu,
			      const struct kvm_debugregs *regs) SK_MUST_CHECK;
int sk_kvm_vcpu_set_guest_debug(struct sk_kvm_vcpu *vcpu,
				const struct kvm_guest_debug *debug) SK_MUST_CHECK;
/* The guest's TSC frequency; setting one that the host cannot do is -EINVAL. */
int sk_kvm_vcpu_get_tsc_khz(const struct sk_kvm_vcpu *vcpu, uint32_t *khz) SK_MUST_CHECK;
int sk_kvm_vcpu_set_tsc_khz(struct sk_kvm_vcpu *vcpu, uint32_t khz) SK_MUST_CHECK;
int sk_kvm_vcpu_nmi(struct sk_kvm_vcpu *vcpu) SK_MUST_CHECK;
/* Without an irqchip in the kernel: inject external interrupt @vector at once. */
int sk_kvm_vcpu_interrupt(struct sk_kvm_vcpu *vcpu, uint8_t vector) SK_MUST_CHECK;
/* Likewise: can the guest take an interrupt now, and exit (IRQ_WINDOW) as soon as it can. */
bool sk_kvm_vcpu_is_irq_ready(const struct sk_kvm_vcpu *vcpu);
void sk_kvm_vcpu_request_irq_window(struct sk_kvm_vcpu *vcpu, bool is_wanted);
/* Tells the guest that it was paused, so that its watchdogs keep quiet. -EINVAL: no kvmclock. */
int sk_kvm_vcpu_kvmclock_ctrl(struct sk_kvm_vcpu *vcpu) SK_MUST_CHECK;
/*
 * The signals that are blocked while the guest runs (KVM_SET_SIGNAL_MASK), instead of the thread's
 * own. One that the thread blocks and this set does not ends a run with SK_KVM_EXIT_INTR and stays
 * pending: so a vCPU can be interrupted without a signal handler.
 */
int sk_kvm_vcpu_set_signal_mask(struct sk_kvm_vcpu *vcpu, const sigset_t *blocked) SK_MUST_CHECK;
/* The guest-physical address behind a linear one, by the vCPU's page tables. -EFAULT: none. */
int sk_kvm_vcpu_translate(const struct sk_kvm_vcpu *vcpu, uint64_t address,
			  gpa_t *gpa) SK_MUST_CHECK;

/* ---- Where a guest starts: entry.c ---- */

enum sk_kvm_mode {
	SK_KVM_MODE_REAL,      /* 16 bits: cs = entry.cs, ds = es = ss = 0 */
	SK_KVM_MODE_PROTECTED, /* 32 bits, flat, paging off: the PVH and multiboot entry state */
	SK_KVM_MODE_LONG,      /* 64 bits, paging on: the Linux 64-bit entry state */
};

/*
 * The boot GDT, as the Linux 64-bit boot protocol wants it: __BOOT_CS 0x10, __BOOT_DS 0x18; the
 * TSS that PVH asks for at 0x20. PROTECTED mode has 32-bit code at 0x10, LONG mode 64-bit code.
 */
#define SK_KVM_GDT_BYTES      48
#define SK_KVM_GDT_CS	      0x10
#define SK_KVM_GDT_DS	      0x18
#define SK_KVM_GDT_TSS	      0x20

/* Page tables that map the first 4 GiB to themselves with 2 MiB pages: so many bytes. */
#define SK_KVM_IDENTITY_BYTES (6 * SK_GMEM_PAGE_BYTES)

struct sk_kvm_entry {
	enum sk_kvm_mode mode;
	uint16_t cs; /* REAL: the segment; its base is cs * 16 */
	uint64_t rip;
	uint64_t rsp; /* 0: the guest sets its own */
	uint64_t rax; /* multiboot: 0x2badb002 */
	uint64_t rbx; /* PVH: start_info; multiboot: its information structure */
	uint64_t rsi; /* Linux: the zero page */
	uint64_t rdi;
	gpa_t gdt_gpa; /* from sk_kvm_write_gdt(); 0: GDTR stays empty (not for LONG) */
	gpa_t cr3;     /* LONG: page tables, e.g. from sk_kvm_write_identity_map() */
};

/* Writes SK_KVM_GDT_BYTES for @mode at @gpa. -EFAULT: not RAM. */
int sk_kvm_write_gdt(struct sk_gmem *gm, gpa_t gpa, enum sk_kvm_mode mode) SK_MUST_CHECK;
/* Writes SK_KVM_IDENTITY_BYTES at @gpa, which becomes cr3. -EFAULT, or -EINVAL: not aligned. */
int sk_kvm_write_identity_map(struct sk_gmem *gm, gpa_t gpa) SK_MUST_CHECK;

/* Sets all registers of the boot CPU. Other CPUs stay as created: they wait for INIT and SIPI. */
int sk_kvm_vcpu_set_entry(struct sk_kvm_vcpu *vcpu, const struct sk_kvm_entry *entry,
			  struct sk_error *err) SK_MUST_CHECK;

/*
 * What firmware would have left in every CPU: fast strings on, memory cacheable by default
 * (MTRRdefType), the local APIC's LINT0 as ExtINT and LINT1 as NMI; and vector registers in XCR0,
 * which some hosts do not let a guest turn on by itself. After set_cpuid.
 */
int sk_kvm_vcpu_set_firmware_state(struct sk_kvm_vcpu *vcpu, struct sk_error *err) SK_MUST_CHECK;

/* ---- State: state.c ---- */

/*
 * The whole state of a vCPU and of the VM (irqchips, PIT, clock), for snapshots; memory, routes,
 * irqfds and devices are others' business. While one is saved no vCPU of the VM may run, and each
 * vCPU must have completed its last exit (run it with immediate_exit until SK_KVM_EXIT_INTR),
 * else it is -EBUSY. Save: vCPUs first, then the VM. Restore: into a new VM of the same
 * configuration, all vCPUs first (0 to n-1, never run), then the VM. The stream is versioned and
 * field by field, little-endian; the readers never trust it: -EINVAL names what is wrong, and a
 * VM whose restore failed can only be destroyed.
 */
int sk_kvm_vcpu_save(struct sk_kvm_vcpu *vcpu, struct sk_writer *w,
		     struct sk_error *err) SK_MUST_CHECK;
int sk_kvm_vcpu_restore(struct sk_kvm_vcpu *vcpu, struct sk_reader *r,
			struct sk_error *err) SK_MUST_CHECK;
int sk_kvm_vm_save(struct sk_kvm_vm *vm, struct sk_writer *w, struct sk_error *err) SK_MUST_CHECK;
int sk_kvm_vm_restore(struct sk_kvm_vm *vm, struct sk_reader *r,
		      struct sk_error *err) SK_MUST_CHECK;

/* ---- For crash reports: dump.c ---- */

/*
 * Formats general, segment, control and descriptor-table registers as lines of text. Always
 * terminates @buf (@size_bytes > 0); returns the length wanted, as snprintf does, or -errno.
 */
int sk_kvm_vcpu_format_regs(const struct sk_kvm_vcpu *vcpu, char *buf,
			    size_t size_bytes) SK_MUST_CHECK;

#endif
