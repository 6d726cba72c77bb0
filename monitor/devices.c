/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The thread of the virtio devices, and their transports: see devices.h. */
#include "vm_internal.h"

#include <sched.h>
#include <stdio.h>

static const uint32_t gsis[DEVICES_NR_GSIS] = DEVICES_GSIS;

uint32_t devices_count(const struct sk_vm_config *config)
{
	uint32_t nr = 0;

	for (size_t i = 0; i < nr_device_kinds; i++)
		nr += device_kinds[i]->count(config);
	return nr;
}

static gpa_t slot_gpa(uint32_t slot)
{
	return DEVICES_MMIO_GPA + slot * DEVICES_MMIO_STRIDE;
}

size_t devices_describe(const struct sk_vm_config *config, struct sk_acpi_device *out)
{
	uint32_t nr = SK_MIN(devices_count(config), (uint32_t)DEVICES_MAX);

	if (config->transport != SK_VM_TRANSPORT_MMIO)
		return 0;

	for (uint32_t i = 0; i < nr; i++)
		out[i] = (struct sk_acpi_device){
			.kind = SK_ACPI_VIRTIO_MMIO,
			.base = slot_gpa(i),
			.len_bytes = SK_VIRTIO_MMIO_BYTES,
			.gsi = gsis[i % DEVICES_NR_GSIS],
		};
	return nr;
}

static struct sk_kvm_ioeventfd doorbell(gpa_t gpa, uint32_t value, int fd)
{
	return (struct sk_kvm_ioeventfd){
		.fd = fd,
		.address = gpa,
		.len_bytes = sizeof(value),
		.has_datamatch = true,
		.datamatch = value,
	};
}

static int attach_doorbell(void *ctx, gpa_t gpa, uint32_t value, int fd)
{
	struct machine *m = ctx;
	const struct sk_kvm_ioeventfd io = doorbell(gpa, value, fd);

	return sk_kvm_vm_attach_ioeventfd(m->kvm_vm, &io);
}

static void detach_doorbell(void *ctx, gpa_t gpa, uint32_t value, int fd)
{
	struct machine *m = ctx;
	const struct sk_kvm_ioeventfd io = doorbell(gpa, value, fd);

	/* An end that fails leaves a doorbell that nobody hears. */
	(void)!sk_kvm_vm_detach_ioeventfd(m->kvm_vm, &io);
}

/* The eventfd behind the GSI of slot @index. */
static int slot_irq(struct machine *m, uint32_t index, struct sk_error *err)
{
	int *fd = &m->devices.irq_fds[index % DEVICES_NR_GSIS], ret;

	if (*fd >= 0)
		return 0;
	*fd = sk_eventfd_create();
	if (*fd < 0)
		return sk_error_set(err, *fd, "cannot create an eventfd for a device: %s",
				    strerror(-*fd));
	ret = irqchip_attach(m, *fd, gsis[index % DEVICES_NR_GSIS], err);
	if (ret)
		sk_error_prefix(err, "the interrupt of a virtio device");
	return ret;
}

static int attach_mmio(struct machine *m, struct device_slot *slot, uint32_t index,
		       struct sk_error *err)
{
	struct sk_virtio_mmio_config config = {
		.virtio = slot->virtio,
		.gpa = slot_gpa(index),
		.attach_doorbell = attach_doorbell,
		.detach_doorbell = detach_doorbell,
		.ctx = m,
	};
	int ret = slot_irq(m, index, err);

	if (ret)
		return ret;
	config.irq_fd = m->devices.irq_fds[index % DEVICES_NR_GSIS];
	ret = sk_virtio_mmio_create(&slot->mmio, &config, err);
	if (ret)
		return ret;
	return sk_bus_add(m->mmio, config.gpa, SK_VIRTIO_MMIO_BYTES, &sk_virtio_mmio_ops,
			  slot->mmio, slot->kind->name, err);
}

/* Of any width: the address alone says which queue. */
static struct sk_kvm_ioeventfd pci_doorbell(gpa_t gpa, int fd)
{
	return (struct sk_kvm_ioeventfd){.fd = fd, .address = gpa};
}

static int attach_pci_doorbell(void *ctx, gpa_t gpa, int fd)
{
	struct machine *m = ctx;
	const struct sk_kvm_ioeventfd io = pci_doorbell(gpa, fd);

	return sk_kvm_vm_attach_ioeventfd(m->kvm_vm, &io);
}

static void detach_pci_doorbell(void *ctx, gpa_t gpa, int fd)
{
	struct machine *m = ctx;
	const struct sk_kvm_ioeventfd io = pci_doorbell(gpa, fd);

	(void)!sk_kvm_vm_detach_ioeventfd(m->kvm_vm, &io);
}

static int attach_pci(struct machine *m, struct device_slot *slot, struct sk_error *err)
{
	const struct sk_virtio_pci_config config = {
		.virtio = slot->virtio,
		.pci = m->pci,
		.name = slot->kind->name,
		.attach_doorbell = attach_pci_doorbell,
		.detach_doorbell = detach_pci_doorbell,
		.ctx = m,
	};

	return sk_virtio_pci_create(&slot->pci, &config, err);
}

static int create_device(struct machine *m, struct sk_vm *vm, const struct device_kind *kind,
			 uint32_t index, struct sk_error *err)
{
	uint32_t nr = m->devices.nr_slots;
	struct device_slot *slot = &m->devices.slots[nr];
	int ret = kind->create(m, vm, index, &slot->dev, &slot->virtio, err);

	if (ret)
		return ret;
	slot->kind = kind;
	slot->index = index;
	m->devices.nr_slots++;
	return m->pci ? attach_pci(m, slot, err) : attach_mmio(m, slot, nr, err);
}

/* While we look at rings the guest runs elsewhere. */
static bool has_cpus(void)
{
	cpu_set_t cpus;

	/* That fails where there are more CPUs than the set takes. */
	return sched_getaffinity(0, sizeof(cpus), &cpus) || CPU_COUNT(&cpus) > 1;
}

int devices_create(struct machine *m, struct sk_vm *vm, struct sk_error *err)
{
	const struct sk_loop_config loop_config = {
		.log = vm->config.log,
		.max_poll_ns = has_cpus() ? UINT64_C(1000) * vm->config.max_poll_us : 0,
	};
	uint32_t nr = devices_count(&vm->config);
	int ret;

	if (!nr)
		return 0;
	if (nr > DEVICES_MAX)
		return sk_error_set(err, -EINVAL, "%u virtio devices: a machine has at most %d", nr,
				    DEVICES_MAX);
	if (loop_config.max_poll_ns)
		sk_logf(vm->config.log, SK_LOG_WARN,
			"polling of devices (--max-poll) is an experiment: on a busy host a "
			"request to a disk was seen to go unanswered");
	for (size_t i = 0; i < DEVICES_NR_GSIS; i++)
		m->devices.irq_fds[i] = -1;
	ret = sk_loop_create(&m->devices.loop, &loop_config, err);
	for (size_t i = 0; !ret && i < nr_device_kinds; i++) {
		uint32_t count = device_kinds[i]->count(&vm->config);

		for (uint32_t index = 0; !ret && index < count; index++)
			ret = create_device(m, vm, device_kinds[i], index, err);
	}
	return ret;
}

/* The mirror image of create(), on the thread that owns the loop, or before there is one. */
static void take_down(struct devices *d)
{
	for (uint32_t i = d->nr_slots; i-- > 0;) {
		struct device_slot *slot = &d->slots[i];

		sk_virtio_halt(slot->virtio);
		sk_virtio_pci_destroy(slot->pci);
		sk_virtio_mmio_destroy(slot->mmio);
		if (!slot->kind->outlives_loop)
			slot->kind->destroy(slot->dev);
	}
	sk_loop_destroy(d->loop);
	d->loop = NULL;
	while (d->nr_slots) {
		struct device_slot *slot = &d->slots[--d->nr_slots];

		if (slot->kind->outlives_loop)
			slot->kind->destroy(slot->dev);
	}
}

static void stop(struct sk_loop *loop, struct sk_loop_post *post)
{
	(void)post;
	sk_loop_stop(loop);
}

static void *devices_main(void *arg)
{
	struct devices *d = arg;
	int ret;

	pthread_setname_np(pthread_self(), "devices");
	d->bind_result = sk_loop_bind(d->loop);
	ret = d->bind_result;
	sem_post(&d->is_bound);
	if (ret)
		return NULL;
	/* Without its loop a vCPU that resets a device would wait for ever. */
	BUG_ON(sk_loop_run(d->loop));
	/* The post may have been seen before the poster has woken the loop by its descriptor. */
	while (sem_wait(&d->may_end))
		;
	take_down(d);
	return NULL;
}

static int start_thread(struct devices *d)
{
	sigset_t all, old;
	int ret;

	/* As vCPUs: signals belong to the embedder's threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = -pthread_create(&d->thread, NULL, devices_main, d);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ret)
		return ret;
	while (sem_wait(&d->is_bound))
		;
	if (d->bind_result)
		pthread_join(d->thread, NULL);
	d->has_thread = !d->bind_result;
	return d->bind_result;
}

int devices_start(struct machine *m, struct sk_error *err)
{
	struct devices *d = &m->devices;
	int ret;

	if (!d->loop)
		return 0;
	d->stop.run = stop;
	sem_init(&d->is_bound, 0, 0);
	sem_init(&d->may_end, 0, 0);
	ret = start_thread(d);
	sem_destroy(&d->is_bound);
	if (!ret)
		return 0;
	sem_destroy(&d->may_end);
	return sk_error_set(err, ret, "cannot start the thread of the devices: %s", strerror(-ret));
}

void devices_destroy(struct machine *m)
{
	struct devices *d = &m->devices;

	if (!d->loop)
		return;
	if (d->has_thread) {
		sk_loop_post(d->loop, &d->stop);
		sem_post(&d->may_end);
		pthread_join(d->thread, NULL);
		sem_destroy(&d->may_end);
		d->has_thread = false;
	} else {
		take_down(d);
	}
	for (size_t i = 0; i < DEVICES_NR_GSIS; i++)
		sk_close(&d->irq_fds[i]);
}

void devices_pause(struct machine *m)
{
	for (uint32_t i = 0; i < m->devices.nr_slots; i++)
		sk_virtio_pause(m->devices.slots[i].virtio);
}

void devices_resume(struct machine *m)
{
	for (uint32_t i = 0; i < m->devices.nr_slots; i++)
		sk_virtio_resume(m->devices.slots[i].virtio);
}

void *devices_find(struct machine *m, const char *kind, uint32_t index)
{
	for (uint32_t i = 0; i < m->devices.nr_slots; i++) {
		const struct device_slot *slot = &m->devices.slots[i];

		if (slot->index == index && !strcmp(slot->kind->name, kind))
			return slot->dev;
	}
	return NULL;
}

int devices_find_locked(struct sk_vm *vm, const struct device_kind *kind, uint32_t index,
			void **dev)
{
	if (index >= kind->count(&vm->config))
		return -ENODEV;
	if (vm->phase == VM_REBOOTING)
		return -EAGAIN;
	if (vm->phase != VM_RUNNING && vm->phase != VM_PAUSED)
		return -EINVAL;
	*dev = devices_find(vm->machine, kind->name, index);
	return 0;
}

struct call {
	struct sk_loop_post post;
	int (*run)(void *dev);
	void *dev;
	int ret;
	sem_t is_done;
};

static void run_call(struct sk_loop *loop, struct sk_loop_post *post)
{
	struct call *call = SK_CONTAINER_OF(post, struct call, post);

	(void)loop;
	call->ret = call->run(call->dev);
	sem_post(&call->is_done);
}

int devices_call_locked(struct sk_vm *vm, int (*run)(void *dev), void *dev)
{
	struct call call = {.post.run = run_call, .run = run, .dev = dev};
	struct sk_loop *loop = vm->machine->devices.loop;

	sem_init(&call.is_done, 0, 0);
	vm->nr_calls++;
	pthread_mutex_unlock(&vm->lock);
	sk_loop_post(loop, &call.post);
	while (sem_wait(&call.is_done))
		;
	pthread_mutex_lock(&vm->lock);
	vm->nr_calls--;
	pthread_cond_broadcast(&vm->changed);
	sem_destroy(&call.is_done);
	return call.ret;
}
