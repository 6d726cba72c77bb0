/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The life of a machine. Whoever wants the guest to stand still sets a wish under the lock and
 * kicks all vCPUs; they meet in vm_park(), where CPU 0's thread grants the wishes: the end first,
 * then a reboot, then a pause.
 */
#include "vm_internal.h"

#include <stdio.h>

#include "gdb.h"

/* Makes every vCPU come to vm_park(). The lock is held. */
static void call_vcpus_locked(struct sk_vm *vm)
{
	/* Release: who sees it in the run loop sees the wish, too, once it has the lock. */
	atomic_store_explicit(&vm->wants_attention, true, memory_order_release);
	for (uint32_t i = 0; i < vm->nr_threads; i++) {
		int ret = pthread_kill(vm->threads[i].thread, VM_KICK_SIGNAL);

		/* A standard signal to a thread that nobody has joined cannot be refused. */
		BUG_ON(ret);
	}
	pthread_cond_broadcast(&vm->changed);
}

void vm_request_end(struct sk_vm *vm, enum sk_vm_end end, uint32_t status, const char *report)
{
	pthread_mutex_lock(&vm->lock);
	if (vm->phase != VM_ENDED && !vm->wants_end) {
		vm->wants_end = true;
		vm->result = (struct sk_vm_result){.end = end, .status = status};
		if (report)
			snprintf(vm->report, sizeof(vm->report), "%s", report);
		call_vcpus_locked(vm);
	}
	pthread_mutex_unlock(&vm->lock);
}

void vm_request_reset(struct sk_vm *vm)
{
	if (!vm->config.has_reboot) {
		vm_request_end(vm, SK_VM_RESET, 0, NULL);
		return;
	}
	pthread_mutex_lock(&vm->lock);
	if (vm->phase == VM_RUNNING && !vm->wants_end && !vm->wants_reboot) {
		vm->wants_reboot = true;
		call_vcpus_locked(vm);
	}
	pthread_mutex_unlock(&vm->lock);
}

void vm_request_pause_locked(struct sk_vm *vm)
{
	vm->wants_pause = true;
	if (vm->phase == VM_RUNNING && !vm->wants_end)
		call_vcpus_locked(vm);
}

/* Everybody is parked: build the machine anew. The lock is held and given up meanwhile. */
static void reboot_locked(struct sk_vm *vm)
{
	struct sk_error err = {0};
	struct machine *fresh = NULL;
	int ret;

	vm->phase = VM_REBOOTING;
	vm->wants_reboot = false;
	if (vm->gdb)
		gdb_reboot(vm->gdb);
	vm->unclaimed_before += machine_unclaimed(vm->machine);
	while (vm->nr_calls)
		pthread_cond_wait(&vm->changed, &vm->lock);
	pthread_mutex_unlock(&vm->lock);

	console_detach(&vm->console);
	machine_destroy(vm->machine);
	ret = machine_create(&fresh, vm, &err);
	if (!ret)
		console_attach(&vm->console, fresh);

	pthread_mutex_lock(&vm->lock);
	vm->machine = fresh;
	vm->reboots++;
	if (ret && !vm->wants_end) {
		vm->wants_end = true;
		vm->result = (struct sk_vm_result){.end = SK_VM_FAILED};
		snprintf(vm->report, sizeof(vm->report), "cannot reboot: %s", err.message);
	}
}

/* Everybody is parked: stand still until somebody wants something else. The lock is held. */
static void pause_locked(struct sk_vm *vm)
{
	uint64_t clock_ns;
	int ret = sk_kvm_vm_get_clock(vm->machine->kvm_vm, &clock_ns);

	/* What devices have in flight comes to its end; their thread may want the lock for that. */
	pthread_mutex_unlock(&vm->lock);
	devices_pause(vm->machine);
	pthread_mutex_lock(&vm->lock);
	vm->phase = VM_PAUSED;
	pthread_cond_broadcast(&vm->changed);
	while (vm->wants_pause && !vm->wants_end)
		pthread_cond_wait(&vm->changed, &vm->lock);
	if (vm->wants_end)
		return;
	pthread_mutex_unlock(&vm->lock);
	devices_resume(vm->machine);
	pthread_mutex_lock(&vm->lock);
	if (ret)
		return;
	/* The guest's clock goes on where it stood, and its watchdogs are told. */
	ret = sk_kvm_vm_set_clock(vm->machine->kvm_vm, clock_ns);
	for (uint32_t i = 0; !ret && i < vm->machine->nr_vcpus; i++)
		/* -EINVAL: this vCPU has no kvmclock, so there is nothing to tell. */
		(void)!sk_kvm_vcpu_kvmclock_ctrl(vm->machine->vcpus[i]);
}

static void end_locked(struct sk_vm *vm)
{
	vm->phase = VM_ENDED;
	atomic_store_explicit(&vm->ended_ns, sk_now_ns(), memory_order_relaxed);
	sk_eventfd_signal(vm->exit_fd);
}

/* CPU 0: waits for the others and grants the wishes. The lock is held. */
static void coordinate_locked(struct sk_vm *vm)
{
	/* All threads that could be started will come; the rest is waited for by nobody. */
	while (vm->nr_parked < vm->nr_threads)
		pthread_cond_wait(&vm->changed, &vm->lock);
	for (;;) {
		if (vm->wants_end) {
			end_locked(vm);
			break;
		}
		if (vm->wants_reboot) {
			reboot_locked(vm);
			continue;
		}
		if (vm->wants_pause) {
			pause_locked(vm);
			continue;
		}
		vm->phase = VM_RUNNING;
		break;
	}
	vm->nr_parked = 0;
	vm->generation++;
	atomic_store_explicit(&vm->wants_attention, false, memory_order_relaxed);
	pthread_cond_broadcast(&vm->changed);
}

bool vm_park(struct sk_vm *vm, uint32_t index)
{
	uint64_t generation;
	bool is_running;

	pthread_mutex_lock(&vm->lock);
	generation = vm->generation;
	vm->nr_parked++;
	if (index == 0) {
		coordinate_locked(vm);
	} else {
		pthread_cond_broadcast(&vm->changed);
		while (vm->generation == generation)
			pthread_cond_wait(&vm->changed, &vm->lock);
	}
	is_running = vm->phase == VM_RUNNING;
	pthread_mutex_unlock(&vm->lock);
	return is_running;
}

int sk_vm_pause(struct sk_vm *vm)
{
	int ret = 0;

	pthread_mutex_lock(&vm->lock);
	if (!vm->nr_threads || vm->phase == VM_ENDED) {
		ret = -EINVAL;
	} else if (!vm->wants_pause) {
		vm->wants_pause = true;
		call_vcpus_locked(vm);
	}
	while (!ret && vm->wants_pause && vm->phase != VM_PAUSED) {
		if (vm->phase == VM_ENDED)
			ret = -EINVAL;
		else
			pthread_cond_wait(&vm->changed, &vm->lock);
	}
	pthread_mutex_unlock(&vm->lock);
	return ret;
}

int sk_vm_resume(struct sk_vm *vm)
{
	int ret = 0;

	pthread_mutex_lock(&vm->lock);
	if (!vm->nr_threads || vm->phase == VM_ENDED)
		ret = -EINVAL;
	vm->wants_pause = false;
	pthread_cond_broadcast(&vm->changed);
	pthread_mutex_unlock(&vm->lock);
	return ret;
}
