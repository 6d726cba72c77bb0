/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * gdb at the machine: one more thread, which listens on a port of the loopback interface and has
 * one session at a time. It touches the guest only while all vCPUs are parked (VM_PAUSED).
 *
 * How the guest stops at a breakpoint depends on what it is. The unikernel catches the exception
 * itself and tells (skete/abi/debug.h), which works on every kind of KVM. For other guests KVM
 * catches it (KVM_SET_GUEST_DEBUG), which a partial KVM does only in ring 0.
 *
 *   gdb.c         the thread, the socket, stopping and going on
 *   gdb_target.c  registers, memory and breakpoints of a guest that stands still
 */
#ifndef SKETE_MONITOR_GDB_H
#define SKETE_MONITOR_GDB_H

#include <pthread.h>
#include <stdatomic.h>

#include <skete/abi/debug.h>
#include <skete/gdbstub.h>
#include <skete/kvm.h>
#include <skete/vm.h>

#define GDB_BREAKS_MAX	256
#define GDB_DEBUG_REGS	4
#define GDB_SIGNAL_INT	2
#define GDB_SIGNAL_TRAP 5

/* A breakpoint in memory, or (is_hard) in a debug register. */
struct gdb_break {
	uint64_t address;
	gpa_t gpa;
	uint8_t original;
	bool is_used, is_hard;
	enum sk_gdb_break kind;
	uint32_t len_bytes;
};

struct gdb_vcpu {
	uint64_t stop;	  /* address of its struct sk_debug_stop; 0: it does not wait in one */
	uint64_t regs;	  /* and of its registers */
	bool is_held;	  /* stands still while others go on */
	bool is_stepped;  /* by KVM */
	bool must_inject; /* a breakpoint instruction of the guest's own comes next */
};

struct gdb_server {
	struct sk_vm *vm;
	int listen_fd, fd, event_fd;
	pthread_t thread;
	bool has_thread;
	atomic_bool is_quitting;
	struct sk_gdb *session; /* the thread's own */

	/* protected by vm->lock */
	bool is_attached; /* somebody wants to know of stops */
	bool waits_ready; /* for the unikernel's first event */
	bool has_stop;	  /* what follows is not reported yet */
	uint32_t stop_thread;
	int stop_signal;
	bool is_breakpoint;

	/* written while all vCPUs are parked, or by the vCPU's own thread; read by these threads */
	struct gdb_vcpu vcpus[SK_VM_MAX_CPUS];
	struct gdb_break breaks[GDB_BREAKS_MAX];
};

/* Listens on 127.0.0.1:@port. -errno with a sentence. */
int gdb_create(struct gdb_server **out, struct sk_vm *vm, uint16_t port,
	       struct sk_error *err) SK_MUST_CHECK;
/* vm->lock is held; before the first vCPU runs. 0 or -errno. */
int gdb_start_locked(struct gdb_server *g) SK_MUST_CHECK;
/* The vCPUs have ended. NULL is fine. */
void gdb_destroy(struct gdb_server *g);

/* All vCPUs are parked and the machine is built anew: breakpoints are gone. */
void gdb_reboot(struct gdb_server *g);

/* For vCPU threads. An event of the guest's, by the debug port. */
void gdb_guest_event(struct gdb_server *g, uint32_t index, uint32_t event);
/* KVM stopped the guest. */
void gdb_debug_exit(struct gdb_server *g, uint32_t index, const struct kvm_debug_exit_arch *exit);
/* Waits while this vCPU is held and nobody wants anything else. */
void gdb_hold(struct gdb_server *g, uint32_t index);

/* gdb_target.c */
extern const struct sk_gdb_ops gdb_target_ops;
/* Reads guest memory at a virtual address of that vCPU; the guest stands still, or it is the vCPU's
 * own thread. */
int gdb_target_read(struct gdb_server *g, uint32_t index, uint64_t address, void *to,
		    size_t len_bytes) SK_MUST_CHECK;
int gdb_target_write(struct gdb_server *g, uint32_t index, uint64_t address, const void *from,
		     size_t len_bytes) SK_MUST_CHECK;
struct gdb_break *gdb_target_find(struct gdb_server *g, uint64_t address, bool is_hard);
/* Puts back what is below all breakpoints in memory and forgets all. */
void gdb_target_clear(struct gdb_server *g);
/* Tells KVM what to stop at. */
int gdb_target_arm(struct gdb_server *g, uint32_t index) SK_MUST_CHECK;

/* gdb.c: for the target's functions. */
void gdb_go_on(struct gdb_server *g);
void gdb_request_stop(struct gdb_server *g, uint32_t index, int signal, bool is_breakpoint);

#endif
