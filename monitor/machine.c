/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Composition: the machine as a list of parts, built from top to bottom and taken down from bottom
 * to top. A new device is a folder under bricks/dev/, a line in each of the two lists below, and
 * an option in monitor/cli/.
 *
 * MMIO:    0xfeaff000 the console's doorbell · 0xfeb00000 virtio-mmio, see devices.h ·
 *          0xfec00000 IOAPIC, in KVM or ours · PCI: see pci.c
 * Ports:   0x60, 0x64 i8042 · 0x70-0x71 rtc · 0xf4-0xf7 debug exit · 0x3f8-0x3ff serial ·
 *          pm, exit and conport at the ports of their headers
 * GSIs:    4 serial · 5 power button · 8 rtc · 16-23 virtio-mmio
 */
#include "vm_internal.h"

#include <stdio.h>

#define SERIAL_PORT	 0x3f8
#define SERIAL_GSI	 4
#define POWER_BUTTON_GSI 5
#define DOORBELL_GPA	 UINT64_C(0xfeaff000) /* a page of its own, for guests that map it */

static void on_exit_device(void *ctx, uint32_t status)
{
	struct machine *m = ctx;

	vm_request_end(m->vm, SK_VM_EXITED, status, NULL);
}

static void on_poweroff(void *ctx)
{
	struct machine *m = ctx;

	vm_request_end(m->vm, SK_VM_POWERED_OFF, 0, NULL);
}

static void on_reset(void *ctx)
{
	struct machine *m = ctx;

	vm_request_reset(m->vm);
}

static int create_memory(struct machine *m, const struct sk_vm_config *c, struct sk_error *err)
{
	static const enum sk_gmem_pages page_kinds[] = {
		[SK_VM_PAGES_AUTO] = SK_GMEM_PAGES_AUTO,
		[SK_VM_PAGES_BASE] = SK_GMEM_PAGES_BASE,
		[SK_VM_PAGES_TRANSPARENT] = SK_GMEM_PAGES_TRANSPARENT,
		[SK_VM_PAGES_2M] = SK_GMEM_PAGES_2M,
		[SK_VM_PAGES_1G] = SK_GMEM_PAGES_1G,
	};
	const struct sk_gmem_region_config model = {
		.backing = c->backing == SK_VM_BACKING_MEMFD ? SK_GMEM_MEMFD : SK_GMEM_ANON,
		.pages = page_kinds[c->pages],
	};
	struct sk_gmem_region_config regions[2];
	int nr = sk_gmem_layout_x86(c->memory_bytes, &model, regions);

	if (nr < 0)
		return sk_error_set(err, nr, "%llu bytes of memory cannot be laid out",
				    (unsigned long long)c->memory_bytes);
	return sk_gmem_create(
		&m->gm, &(struct sk_gmem_config){.regions = regions, .nr_regions = (size_t)nr},
		err);
}

static int create_vm(struct machine *m, const struct sk_vm *vm, struct sk_error *err)
{
	bool is_split = vm->config.irqchip == SK_VM_IRQCHIP_SPLIT;
	const struct sk_kvm_vm_config config = {
		.gm = m->gm,
		.irqchip = is_split ? SK_KVM_IRQCHIP_SPLIT : SK_KVM_IRQCHIP_KERNEL,
		.has_pit = vm->config.has_pit && !is_split,
	};

	return sk_kvm_vm_create(&m->kvm_vm, vm->kvm, &config, err);
}

static int create_buses(struct machine *m, struct sk_error *err)
{
	int ret = sk_bus_create(&m->pio, SK_BUS_PIO_LAST, err);

	return ret ? ret : sk_bus_create(&m->mmio, SK_BUS_MMIO_LAST, err);
}

/* An eventfd whose signals are edges at @gsi. */
static int create_irq(struct machine *m, int *fd, uint32_t gsi, const char *whose,
		      struct sk_error *err)
{
	int ret;

	*fd = sk_eventfd_create();
	if (*fd < 0)
		return sk_error_set(err, *fd, "cannot create an eventfd for the %s: %s", whose,
				    strerror(-*fd));
	ret = irqchip_attach(m, *fd, gsi, err);
	if (ret)
		sk_error_prefix(err, "the interrupt of the %s", whose);
	return ret;
}

static int create_serial(struct machine *m, struct sk_vm *vm, struct sk_error *err)
{
	struct sk_serial_config config = {
		.rx_waits_for_rts = true,
		.tx_ready = console_signal,
		.rx_room = console_signal,
		.ctx = &vm->console,
	};
	int ret;

	if (!vm->config.has_console)
		return 0;
	ret = create_irq(m, &m->serial_irq_fd, SERIAL_GSI, "serial port", err);
	if (ret)
		return ret;
	config.irq_fd = m->serial_irq_fd;
	ret = sk_serial_create(&m->serial, &config, err);
	if (ret)
		return ret;
	return sk_bus_add(m->pio, SERIAL_PORT, SK_SERIAL_PORTS, &sk_serial_ops, m->serial, "serial",
			  err);
}

static size_t conport_output(void *ctx, const void *buf, size_t len_bytes)
{
	const struct machine *m = ctx;

	return sk_serial_guest_put(m->serial, buf, len_bytes);
}

static size_t conport_input(void *ctx, void *buf, size_t len_bytes, bool *is_end)
{
	const struct machine *m = ctx;

	/* Looked at first: what came before the end is there by then. */
	*is_end = console_input_is_over(&m->vm->console);
	return sk_serial_guest_take(m->serial, buf, len_bytes);
}

static size_t conport_unread(void *ctx, void *buf, size_t len_bytes)
{
	const struct machine *m = ctx;

	return sk_serial_tx_take(m->serial, buf, len_bytes);
}

static uint64_t doorbell_read(void *ctx, uint64_t offset, unsigned size_bytes)
{
	(void)ctx;
	(void)offset;
	(void)size_bytes;
	return 0;
}

/* A guest's ring wakes the reader of the console as output does. */
static void doorbell_write(void *ctx, uint64_t offset, unsigned size_bytes, uint64_t value)
{
	const struct machine *m = ctx;

	(void)offset;
	(void)size_bytes;
	(void)value;
	sk_eventfd_signal(m->vm->console.fd);
}

/*
 * An exit to here, and no ioeventfd: a machine that has had one takes KVM ten milliseconds and more
 * to end, and the doorbell is for a reader that sleeps.
 */
static const struct sk_bus_ops doorbell_ops = {.read = doorbell_read, .write = doorbell_write};

/* The console port has no bytes of its own: it is the guest's short way to those of the UART. */
static int create_conport(struct machine *m, struct sk_error *err)
{
	const struct sk_conport_config config = {
		.gm = m->gm,
		.output = conport_output,
		.input = conport_input,
		.unread = conport_unread,
		.ctx = m,
		.doorbell_gpa = DOORBELL_GPA,
	};
	int ret;

	if (!m->serial)
		return 0;
	ret = sk_conport_create(&m->conport, &config, err);
	if (ret)
		return ret;
	ret = sk_bus_add(m->mmio, DOORBELL_GPA, 4, &doorbell_ops, m, "console doorbell", err);
	if (ret)
		return ret;
	return sk_bus_add(m->pio, SK_CONSOLE_PORT, SK_CONSOLE_PORTS, &sk_conport_ops, m->conport,
			  "console port", err);
}

static int create_i8042(struct machine *m, struct sk_error *err)
{
	const struct sk_i8042_config config = {.on_reset = on_reset, .ctx = m};
	int ret = sk_i8042_create(&m->i8042, &config, err);

	if (ret)
		return ret;
	ret = sk_bus_add(m->pio, SK_I8042_DATA_PORT, 1, &sk_i8042_data_ops, m->i8042, "i8042 data",
			 err);
	if (ret)
		return ret;
	return sk_bus_add(m->pio, SK_I8042_COMMAND_PORT, 1, &sk_i8042_command_ops, m->i8042,
			  "i8042 command", err);
}

static int create_rtc(struct machine *m, const struct sk_vm_config *c, struct sk_error *err)
{
	uint64_t low_bytes = SK_MIN(c->memory_bytes, SK_GMEM_X86_HOLE_START);
	struct sk_rtc_config config = {
		.timer_changed = rtc_timer_changed,
		.ctx = &m->rtc_timer,
		.ram_below_4g_bytes = low_bytes,
		.ram_above_4g_bytes = c->memory_bytes - low_bytes,
	};
	int ret = create_irq(m, &m->rtc_irq_fd, SK_RTC_IRQ, "real-time clock", err);

	if (ret)
		return ret;
	config.irq_fd = m->rtc_irq_fd;
	ret = sk_rtc_create(&m->rtc, &config, err);
	if (ret)
		return ret;
	m->rtc_timer.rtc = m->rtc;
	return sk_bus_add(m->pio, SK_RTC_PORT, SK_RTC_PORTS, &sk_rtc_ops, m->rtc, "rtc", err);
}

static int create_pm(struct machine *m, struct sk_error *err)
{
	struct sk_pm_config config = {
		.on_poweroff = on_poweroff,
		.on_reset = on_reset,
		.ctx = m,
	};
	int ret = create_irq(m, &m->power_button_irq_fd, POWER_BUTTON_GSI, "power button", err);

	if (ret)
		return ret;
	config.irq_fd = m->power_button_irq_fd;
	ret = sk_pm_create(&m->pm, &config, err);
	if (ret)
		return ret;
	return sk_bus_add(m->pio, SK_PM_PORT, SK_PM_REGISTERS, &sk_pm_ops, m->pm, "pm", err);
}

static int create_exit(struct machine *m, struct sk_error *err)
{
	const struct sk_exit_config config = {
		.has_debug_port = true,
		.has_status_port = true,
		.on_exit = on_exit_device,
		.ctx = m,
	};
	int ret = sk_exit_create(&m->exit, &config, err);

	return ret ? ret : sk_exit_attach(m->exit, m->pio, err);
}

static int write_acpi(struct machine *m, const struct sk_vm_config *c,
		      struct sk_acpi_result *result, struct sk_error *err)
{
	struct sk_acpi_device devices[1 + DEVICES_MAX] = {
		{.kind = SK_ACPI_SERIAL, .base = SERIAL_PORT, .gsi = SERIAL_GSI},
	};
	size_t nr_devices = c->has_console ? 1 : 0;
	struct sk_acpi_pci pci;
	const bool has_pci = pci_describe(m, &pci);
	const struct sk_acpi_config config = {
		.nr_cpus = c->cpus,
		/* KVM wires its PIT to pin 0 of the IOAPIC: there is nothing to override. */
		.has_pit = false,
		.has_rtc = true,
		.sleep_control = {SK_ACPI_IO, SK_PM_PORT + SK_PM_SLEEP_CONTROL},
		.sleep_status = {SK_ACPI_IO, SK_PM_PORT + SK_PM_SLEEP_STATUS},
		.s5_type = SK_PM_S5_TYPE,
		.reset = {SK_ACPI_IO, SK_PM_PORT + SK_PM_RESET},
		.reset_value = SK_PM_RESET_VALUE,
		.event = {SK_ACPI_IO, SK_PM_PORT + SK_PM_EVENT},
		.event_gsi = POWER_BUTTON_GSI,
		.tables_end = RESET_VECTOR_GPA,
		.devices = devices,
		.nr_devices = nr_devices + devices_describe(c, devices + nr_devices),
		.pci = has_pci ? &pci : NULL,
	};

	return sk_acpi_build(m->gm, &config, result, err);
}

static int load_kernel(struct machine *m, const struct sk_vm *vm, const struct sk_acpi_result *acpi,
		       struct sk_loader_entry *entry, struct sk_error *err)
{
	static const enum sk_loader_protocol protocols[] = {
		[SK_VM_BOOT_AUTO] = SK_LOADER_AUTO,
		[SK_VM_BOOT_PVH] = SK_LOADER_PVH,
		[SK_VM_BOOT_LINUX64] = SK_LOADER_LINUX64,
		[SK_VM_BOOT_MULTIBOOT] = SK_LOADER_MULTIBOOT,
	};
	/* The last one only in a machine with PCI. */
	const struct sk_loader_reserved reserved[] = {
		{acpi->rsdp_gpa, acpi->len_bytes, SK_LOADER_MEMORY_ACPI},
		pci_reserved,
	};
	const struct sk_loader_config config = {
		.kernel_path = vm->config.kernel_path,
		.kernel_fd = vm->kernel_fd,
		.initrd_path = vm->config.initrd_path,
		.initrd_fd = vm->initrd_fd < 0 ? 0 : vm->initrd_fd,
		.cmdline = vm->config.cmdline,
		.protocol = protocols[vm->config.boot],
		.rsdp_gpa = acpi->rsdp_gpa,
		.reserved = reserved,
		.nr_reserved = SK_ARRAY_SIZE(reserved) - !pci_is_wanted(&vm->config),
		.is_fresh = true,
	};

	return sk_loader_load(entry, m->gm, &config, err);
}

static int enter_at(struct sk_kvm_vcpu *vcpu, const struct sk_loader_entry *from,
		    struct sk_error *err)
{
	const struct sk_kvm_entry entry = {
		.mode = from->mode == SK_LOADER_LONG64 ? SK_KVM_MODE_LONG : SK_KVM_MODE_PROTECTED,
		.rip = from->rip,
		.rsp = from->rsp,
		.rax = from->rax,
		.rbx = from->rbx,
		.rsi = from->rsi,
		.gdt_gpa = from->gdt_gpa,
		.cr3 = from->cr3,
	};

	return sk_kvm_vcpu_set_entry(vcpu, &entry, err);
}

static int create_vcpu(struct machine *m, const struct sk_vm *vm, uint32_t index,
		       struct sk_kvm_cpuid *cpuid, struct sk_error *err)
{
	const struct sk_kvm_cpuid_config config = {
		.index = index,
		.count = vm->config.cpus,
		.has_tsc_deadline = sk_kvm_check(vm->kvm, KVM_CAP_TSC_DEADLINE_TIMER) != 0,
		.has_kernel_lapic = true,
	};
	int ret = sk_kvm_vcpu_create(&m->vcpus[index], m->kvm_vm, index, err);

	if (ret)
		return ret;
	m->nr_vcpus++;
	ret = sk_kvm_cpuid_build(cpuid, vm->supported_cpuid, &config, err);
	if (ret)
		return ret;
	ret = sk_kvm_vcpu_set_cpuid(m->vcpus[index], cpuid);
	if (ret)
		return sk_error_set(err, ret, "KVM refuses the CPUID of vCPU %u: %s", index,
				    strerror(-ret));
	ret = vcpu_arm_kick(m->vcpus[index]);
	if (ret)
		return sk_error_set(err, ret, "KVM refuses the signal mask of vCPU %u: %s", index,
				    strerror(-ret));
	return sk_kvm_vcpu_set_firmware_state(m->vcpus[index], err);
}

static int create_vcpus(struct machine *m, const struct sk_vm *vm, struct sk_error *err)
{
	struct sk_kvm_cpuid *cpuid = malloc(sizeof(*cpuid));
	int ret = 0;

	if (!cpuid)
		return sk_error_set(err, -ENOMEM, "no memory for a CPUID table");
	for (uint32_t i = 0; !ret && i < vm->config.cpus; i++)
		ret = create_vcpu(m, vm, i, cpuid, err);
	free(cpuid);
	return ret;
}

static int build(struct machine *m, struct sk_vm *vm, struct sk_error *err)
{
	struct sk_loader_entry entry;
	struct sk_acpi_result acpi;
	int ret;

	ret = create_memory(m, &vm->config, err);
	if (ret)
		return ret;
	/* The image first: a file that is no kernel must not cost a VM. */
	ret = write_acpi(m, &vm->config, &acpi, err);
	if (ret)
		return ret;
	ret = reset_vector_write(m->gm, err);
	if (ret)
		return ret;
	ret = load_kernel(m, vm, &acpi, &entry, err);
	if (ret)
		return ret;
	ret = create_vm(m, vm, err);
	if (ret)
		return ret;
	ret = create_buses(m, err);
	if (ret)
		return ret;
	ret = irqchip_create(m, vm->config.log, err);
	if (ret)
		return ret;
	ret = pci_create(m, vm->config.log, err);
	if (ret)
		return ret;
	ret = create_serial(m, vm, err);
	if (ret)
		return ret;
	ret = create_conport(m, err);
	if (ret)
		return ret;
	ret = create_i8042(m, err);
	if (ret)
		return ret;
	ret = create_rtc(m, &vm->config, err);
	if (ret)
		return ret;
	ret = create_pm(m, err);
	if (ret)
		return ret;
	ret = create_exit(m, err);
	if (ret)
		return ret;
	ret = devices_create(m, vm, err);
	if (ret)
		return ret;
	ret = m->pci ? sk_pci_assign(m->pci, err) : 0;
	if (ret)
		return ret;
	ret = create_vcpus(m, vm, err);
	if (ret)
		return ret;
	ret = enter_at(m->vcpus[0], &entry, err);
	if (ret)
		return ret;
	return devices_start(m, err);
}

int machine_create(struct machine **out, struct sk_vm *vm, struct sk_error *err)
{
	struct machine *m = calloc(1, sizeof(*m));
	int ret;

	if (!m)
		return sk_error_set(err, -ENOMEM, "no memory for a virtual machine");
	m->vm = vm;
	pthread_mutex_init(&m->routes_lock, NULL);
	rtc_timer_init(&m->rtc_timer, vm->config.log);
	m->serial_irq_fd = m->rtc_irq_fd = m->power_button_irq_fd = -1;
	ret = build(m, vm, err);
	if (ret) {
		machine_destroy(m);
		return ret;
	}
	*out = m;
	return 0;
}

uint64_t machine_unclaimed(const struct machine *m)
{
	return sk_bus_unclaimed(m->pio) + sk_bus_unclaimed(m->mmio) +
	       (m->pci ? sk_pci_unclaimed(m->pci) : 0);
}

/* The mirror image of build(); every part may be missing. */
void machine_destroy(struct machine *m)
{
	if (!m)
		return;
	while (m->nr_vcpus)
		sk_kvm_vcpu_destroy(m->vcpus[--m->nr_vcpus]);
	devices_destroy(m);
	sk_exit_destroy(m->exit);
	sk_pm_destroy(m->pm);
	rtc_timer_fini(&m->rtc_timer);
	sk_rtc_destroy(m->rtc);
	sk_i8042_destroy(m->i8042);
	sk_conport_destroy(m->conport);
	sk_serial_destroy(m->serial);
	sk_pci_destroy(m->pci);
	irqchip_destroy(m);
	sk_bus_destroy(m->mmio);
	sk_bus_destroy(m->pio);
	sk_kvm_vm_destroy(m->kvm_vm);
	sk_close(&m->power_button_irq_fd);
	sk_close(&m->rtc_irq_fd);
	sk_close(&m->serial_irq_fd);
	sk_gmem_destroy(m->gm);
	pthread_mutex_destroy(&m->routes_lock);
	free(m);
}
