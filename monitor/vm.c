/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* A machine from its configuration: create, start, wait, destroy, and what can be asked of it. */
#include "vm_internal.h"

#include "gdb.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Opens a regular file for reading; *@fd stays -1 without a path. */
static int open_image(int *fd, const char *what, const char *path, struct sk_error *err)
{
	struct stat st;
	int ret;

	if (!path)
		return 0;
	/* Not blocking: a FIFO without a writer must not hang the caller. */
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*fd < 0) {
		ret = -errno;
		return sk_error_set(err, ret, "cannot open the %s %s: %s", what, path,
				    strerror(-ret));
	}
	if (fstat(*fd, &st) || !S_ISREG(st.st_mode))
		return sk_error_set(err, -EINVAL, "the %s %s is not a regular file", what, path);
	return 0;
}

static int init_lock(struct sk_vm *vm, struct sk_error *err)
{
	pthread_condattr_t attr;
	int ret = -pthread_condattr_init(&attr);

	if (!ret) {
		pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
		ret = -pthread_cond_init(&vm->changed, &attr);
		pthread_condattr_destroy(&attr);
	}
	if (ret)
		return sk_error_set(err, ret, "cannot create a condition variable: %s",
				    strerror(-ret));
	pthread_mutex_init(&vm->lock, NULL);
	return 0;
}

static int open_resources(struct sk_vm *vm, struct sk_error *err)
{
	int ret;

	vm->exit_fd = sk_eventfd_create();
	if (vm->exit_fd < 0)
		return sk_error_set(err, vm->exit_fd, "cannot create an eventfd: %s",
				    strerror(-vm->exit_fd));
	ret = open_image(&vm->kernel_fd, "kernel", vm->config.kernel_path, err);
	if (ret)
		return ret;
	ret = open_image(&vm->initrd_fd, "initrd", vm->config.initrd_path, err);
	if (ret)
		return ret;
	ret = sk_kvm_open(&vm->kvm, vm->config.kvm_path, err);
	if (ret)
		return ret;
	vm->supported_cpuid = malloc(sizeof(*vm->supported_cpuid));
	if (!vm->supported_cpuid)
		return sk_error_set(err, -ENOMEM, "no memory for a CPUID table");
	ret = sk_kvm_supported_cpuid(vm->kvm, vm->supported_cpuid);
	if (ret)
		return sk_error_set(err, ret, "KVM does not say which CPUID it supports: %s",
				    strerror(-ret));
	return 0;
}

int sk_vm_create(struct sk_vm **out, const struct sk_vm_config *config, struct sk_error *err)
{
	struct sk_vm *vm = calloc(1, sizeof(*vm));
	int ret;

	if (!vm)
		return sk_error_set(err, -ENOMEM, "no memory for a virtual machine");
	vm->kernel_fd = vm->initrd_fd = vm->exit_fd = -1;
	ret = init_lock(vm, err);
	if (ret)
		goto err_free;
	ret = console_init(&vm->console, false, err);
	if (ret)
		goto err_lock;
	ret = vm_config_copy(&vm->config, config, err);
	if (ret)
		goto err_destroy;
	ret = vm_config_check(&vm->config, err);
	if (ret)
		goto err_destroy;
	console_fini(&vm->console);
	ret = console_init(&vm->console, vm->config.has_console, err);
	if (ret)
		goto err_destroy;
	ret = open_resources(vm, err);
	if (ret)
		goto err_destroy;
	ret = machine_create(&vm->machine, vm, err);
	if (ret)
		goto err_destroy;
	console_attach(&vm->console, vm->machine);
	ret = vm->config.gdb_port ? gdb_create(&vm->gdb, vm, vm->config.gdb_port, err) : 0;
	if (ret)
		goto err_destroy;
	*out = vm;
	return 0;

err_destroy:
	sk_vm_destroy(vm);
	return ret;
err_lock:
	pthread_mutex_destroy(&vm->lock);
	pthread_cond_destroy(&vm->changed);
err_free:
	free(vm);
	return ret;
}

void sk_vm_destroy(struct sk_vm *vm)
{
	if (!vm)
		return;
	vm_request_end(vm, SK_VM_STOPPED, 0, NULL);
	for (uint32_t i = 0; i < vm->nr_threads; i++)
		pthread_join(vm->threads[i].thread, NULL);
	gdb_destroy(vm->gdb);
	console_detach(&vm->console);
	machine_destroy(vm->machine);
	free(vm->supported_cpuid);
	sk_kvm_close(vm->kvm);
	sk_close(&vm->initrd_fd);
	sk_close(&vm->kernel_fd);
	sk_close(&vm->exit_fd);
	vm_config_fini(&vm->config);
	console_fini(&vm->console);
	pthread_mutex_destroy(&vm->lock);
	pthread_cond_destroy(&vm->changed);
	free(vm);
}

/* Starts what is missing of the vCPUs' threads. The lock is held. */
static int start_threads_locked(struct sk_vm *vm)
{
	pthread_attr_t attr;
	int ret = -pthread_attr_init(&attr);

	if (ret)
		return ret;
	ret = -pthread_attr_setstacksize(&attr, VM_VCPU_STACK_BYTES);
	while (!ret && vm->nr_threads < vm->config.cpus) {
		struct vcpu_thread *t = &vm->threads[vm->nr_threads];

		t->vm = vm;
		t->index = vm->nr_threads;
		ret = -pthread_create(&t->thread, &attr, vcpu_thread_main, t);
		if (!ret)
			vm->nr_threads++;
	}
	pthread_attr_destroy(&attr);
	return ret;
}

int sk_vm_start(struct sk_vm *vm, struct sk_error *err)
{
	sigset_t all, old;
	int ret;

	pthread_mutex_lock(&vm->lock);
	if (vm->nr_threads) {
		pthread_mutex_unlock(&vm->lock);
		return sk_error_set(err, -EALREADY, "the machine has been started before");
	}
	/* vCPU threads are born with all signals blocked: they belong to the embedder's threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = vm->gdb ? gdb_start_locked(vm->gdb) : 0;
	if (!ret)
		ret = start_threads_locked(vm);
	/* Not when the vCPUs first meet: what needs a machine that runs may be called from here on.
	 */
	if (!ret)
		vm->phase = VM_RUNNING;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_mutex_unlock(&vm->lock);
	if (ret) {
		vm_request_end(vm, SK_VM_FAILED, 0, NULL);
		return sk_error_set(err, ret, "cannot start the thread of a vCPU: %s",
				    strerror(-ret));
	}
	return 0;
}

static struct timespec deadline_in(int timeout_ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += timeout_ms / 1000;
	ts.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	return ts;
}

int sk_vm_wait(struct sk_vm *vm, int timeout_ms, struct sk_vm_result *result)
{
	struct timespec deadline = deadline_in(timeout_ms < 0 ? 0 : timeout_ms);
	int ret = 0;

	pthread_mutex_lock(&vm->lock);
	if (!vm->nr_threads)
		ret = -EINVAL;
	while (!ret && vm->phase != VM_ENDED) {
		if (timeout_ms < 0)
			pthread_cond_wait(&vm->changed, &vm->lock);
		else
			ret = -pthread_cond_timedwait(&vm->changed, &vm->lock, &deadline);
	}
	if (vm->phase == VM_ENDED)
		ret = 0;
	if (result)
		*result = vm->phase == VM_ENDED ? vm->result : (struct sk_vm_result){0};
	pthread_mutex_unlock(&vm->lock);
	return ret;
}

int sk_vm_exit_fd(const struct sk_vm *vm)
{
	return vm->exit_fd;
}

const char *sk_vm_report(struct sk_vm *vm)
{
	const char *report;

	pthread_mutex_lock(&vm->lock);
	/* Written once, before the end; it does not change any more. */
	report = vm->phase == VM_ENDED ? vm->report : "";
	pthread_mutex_unlock(&vm->lock);
	return report;
}

int sk_vm_stop(struct sk_vm *vm)
{
	bool is_started;

	pthread_mutex_lock(&vm->lock);
	is_started = vm->nr_threads > 0;
	pthread_mutex_unlock(&vm->lock);
	if (!is_started)
		return -EINVAL;
	vm_request_end(vm, SK_VM_STOPPED, 0, NULL);
	return sk_vm_wait(vm, -1, NULL);
}

int sk_vm_press_power_button(struct sk_vm *vm)
{
	int ret = -EINVAL;

	pthread_mutex_lock(&vm->lock);
	/* While the machine is rebuilt there is nobody to press it for. */
	if (vm->phase == VM_RUNNING || vm->phase == VM_PAUSED) {
		sk_pm_press_power_button(vm->machine->pm);
		ret = 0;
	}
	pthread_mutex_unlock(&vm->lock);
	return ret;
}

const char *sk_vm_exit_name(uint32_t kind)
{
	return kind < SK_VM_EXIT_KINDS ? sk_kvm_exit_name((enum sk_kvm_exit_kind)kind) : NULL;
}

void sk_vm_get_stats(struct sk_vm *vm, struct sk_vm_stats *stats)
{
	struct sk_vm_stats s = {.struct_bytes = SK_MIN(stats->struct_bytes, sizeof(s))};

	s.first_run_ns = atomic_load_explicit(&vm->first_run_ns, memory_order_relaxed);
	for (uint32_t i = 0; i < SK_VM_MAX_CPUS; i++) {
		struct vcpu_thread *t = &vm->threads[i];

		for (uint32_t kind = 0; kind < SK_VM_EXIT_KINDS; kind++) {
			uint64_t n = atomic_load_explicit(&t->exits[kind], memory_order_relaxed);

			s.exits += n;
			s.exits_by_kind[kind] += n;
		}
	}
	s.pio_exits = s.exits_by_kind[SK_KVM_EXIT_PIO];
	s.mmio_exits = s.exits_by_kind[SK_KVM_EXIT_MMIO];
	s.main_ns = atomic_load_explicit(&vm->main_ns, memory_order_relaxed);
	s.ended_ns = atomic_load_explicit(&vm->ended_ns, memory_order_relaxed);
	pthread_mutex_lock(&vm->lock);
	s.reboots = vm->reboots;
	s.unclaimed_accesses = vm->unclaimed_before;
	if (vm->machine && vm->phase != VM_REBOOTING)
		s.unclaimed_accesses += machine_unclaimed(vm->machine);
	pthread_mutex_unlock(&vm->lock);
	memcpy(stats, &s, s.struct_bytes);
}
