/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The virtio devices of a machine: one loop on one thread, on which all of them live, and a
 * transport for each. A machine without such devices has no such thread.
 *
 *   virtio.c    the list: which devices a configuration asks for, and how each is made
 *   devices.c   the thread, transports, pause; nothing in it knows a device
 *
 * Devices are made before the thread starts and taken down by it when it ends, so that everything
 * in their life happens on one thread at a time.
 */
#ifndef SKETE_MONITOR_DEVICES_H
#define SKETE_MONITOR_DEVICES_H

#include <pthread.h>
#include <semaphore.h>

#include <skete/acpi.h>
#include <skete/loop.h>
#include <skete/virtio.h>
#include <skete/virtio/mmio.h>
#include <skete/virtio/pci.h>

struct machine;
struct sk_vm;

#define DEVICES_MAX	    64

/*
 * The place of virtio-mmio devices, below the IOAPIC and above the PCI windows: slot n has its
 * registers at DEVICES_MMIO_GPA + n * DEVICES_MMIO_STRIDE, and the nth of these GSIs, modulo their
 * number. Whatever else has pins of the IOAPIC keeps clear of them.
 */
#define DEVICES_MMIO_GPA    UINT64_C(0xfeb00000)
#define DEVICES_MMIO_STRIDE UINT64_C(0x1000)
#define DEVICES_GSIS                           \
	{                                      \
		16, 17, 18, 19, 20, 21, 22, 23 \
	}
#define DEVICES_NR_GSIS 8

/* A kind of device: one entry of the list in virtio.c. */
struct device_kind {
	const char *name;
	/* How many of them the configuration asks for. */
	uint32_t (*count)(const struct sk_vm_config *config);
	/* Makes number @index of them; *@dev is for destroy, *@virtio for its transport. */
	int (*create)(struct machine *m, struct sk_vm *vm, uint32_t index, void **dev,
		      struct sk_virtio **virtio, struct sk_error *err);
	void (*destroy)(void *dev);
	bool outlives_loop; /* destroy comes after the end of the loop */
};

struct device_slot {
	const struct device_kind *kind;
	uint32_t index; /* among its kind */
	void *dev;
	struct sk_virtio *virtio;
	struct sk_virtio_mmio *mmio; /* one of them, the other is NULL */
	struct sk_virtio_pci *pci;
};

struct devices {
	struct sk_loop *loop; /* NULL: no devices */
	bool has_thread;
	pthread_t thread;
	sem_t is_bound; /* or failed: bind_result */
	int bind_result;
	struct sk_loop_post stop;
	sem_t may_end; /* who has posted stop is out of the loop */
	uint32_t nr_slots;
	struct device_slot slots[DEVICES_MAX];
	int irq_fds[DEVICES_NR_GSIS]; /* -1: not used yet; slots with the same GSI share one */
};

/* virtio_block.c, virtio_net.c */
extern const struct device_kind block_kind;
extern const struct device_kind net_kind;

/* virtio_balloon.c */
extern const struct device_kind balloon_kind;

/* virtio_vsock.c */
extern const struct device_kind vsock_kind;

/* virtio.c */
extern const struct device_kind *const device_kinds[];
extern const size_t nr_device_kinds;

/* How many devices @config asks for. */
uint32_t devices_count(const struct sk_vm_config *config);
/* Describes those of the MMIO transport in @out (room for DEVICES_MAX); returns how many. */
size_t devices_describe(const struct sk_vm_config *config, struct sk_acpi_device *out);

/*
 * create: the memory, the VM, the buses and the interrupts exist. start: once everything is built;
 * from then on the devices belong to their thread. destroy ends it: no vCPU runs, and what create
 * needed is still there. Nothing happens in a machine without devices.
 */
int devices_create(struct machine *m, struct sk_vm *vm, struct sk_error *err) SK_MUST_CHECK;
int devices_start(struct machine *m, struct sk_error *err) SK_MUST_CHECK;
void devices_destroy(struct machine *m);

/* Blocks until all are quiet, or go on. No vCPU runs; vm->lock is not held. */
void devices_pause(struct machine *m);
void devices_resume(struct machine *m);

/*
 * For calls of the library's users, who hold vm->lock: device @index of @kind, which stays until it
 * is given up. Errors: -ENODEV (the configuration has no such device), -EAGAIN (the machine is
 * being rebooted), -EINVAL (it has ended or not started).
 */
int devices_find_locked(struct sk_vm *vm, const struct device_kind *kind, uint32_t index,
			void **dev) SK_MUST_CHECK;

/*
 * Likewise: the result of @run(@dev) on the devices' thread. vm->lock is let go meanwhile, because
 * that thread may want it; the device stays.
 */
int devices_call_locked(struct sk_vm *vm, int (*run)(void *dev), void *dev) SK_MUST_CHECK;

/* Device @index of @kind, or NULL. */
void *devices_find(struct machine *m, const char *kind, uint32_t index);

#endif
