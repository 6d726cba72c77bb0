/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The DSDT: CPUs, serial ports, clock, keyboard controller, virtio-mmio devices, the PCI bus, S5
 * and the power button. All devices are present, so none has a _STA.
 */
#include "acpi_internal.h"

#define MAX_SERIALS	    9
#define RTC_PORT	    0x70
#define RTC_IRQ		    8
#define I8042_DATA_PORT	    0x60
#define I8042_COMMAND_PORT  0x64
#define I8042_IRQ	    1
#define BUTTON_WAS_PRESSED  0x80
#define EVENT_BUTTON	    1
#define EVENT_REGISTER_BITS 8

/* A name of four letters: @letter and three digits of @index. */
static void begin_numbered_device(struct sk_aml *a, char letter, unsigned int index)
{
	static const char digits[] = "0123456789ABCDEF";
	const char name[] = {letter, digits[index >> 8 & 15], digits[index >> 4 & 15],
			     digits[index & 15], '\0'};

	sk_aml_device_begin(a, name);
}

static void put_cpus(struct sk_aml *a, unsigned int nr_cpus)
{
	for (unsigned int i = 0; i < nr_cpus; i++) {
		begin_numbered_device(a, 'C', i);
		sk_aml_name_string(a, "_HID", "ACPI0007");
		sk_aml_name_int(a, "_UID", i);
		sk_aml_end(a);
	}
}

/* An ISA IRQ as such, so that an override applies to it; anything else as it is. */
static void put_irq(struct sk_aml *a, uint32_t gsi, bool is_level)
{
	if (gsi < 16 && !is_level)
		sk_aml_irq_no_flags(a, gsi);
	else
		sk_aml_interrupt(a, gsi, is_level ? SK_AML_LEVEL : SK_AML_EDGE);
}

static void put_serial(struct sk_aml *a, const struct sk_acpi_device *dev, unsigned int index)
{
	const char name[] = {'C', 'O', 'M', (char)('0' + (index + 1) % 10), '\0'};

	sk_aml_device_begin(a, name);
	sk_aml_name_eisa_id(a, "_HID", "PNP0501");
	sk_aml_name_int(a, "_UID", index);
	sk_aml_name(a, "_CRS");
	sk_aml_resources_begin(a);
	sk_aml_io(a, (uint16_t)dev->base, 8);
	put_irq(a, dev->gsi, dev->is_level);
	sk_aml_end(a);
	sk_aml_end(a);
}

static void put_virtio_mmio(struct sk_aml *a, const struct sk_acpi_device *dev, unsigned int index)
{
	uint64_t last = dev->base + dev->len_bytes - 1;

	begin_numbered_device(a, 'V', index);
	sk_aml_name_string(a, "_HID", "LNRO0005");
	sk_aml_name_int(a, "_UID", index);
	sk_aml_name_int(a, "_CCA", 1);
	sk_aml_name(a, "_CRS");
	sk_aml_resources_begin(a);
	if (last <= UINT32_MAX)
		sk_aml_memory32(a, (uint32_t)dev->base, (uint32_t)dev->len_bytes);
	else
		sk_aml_qword_memory(a, SK_AML_CONSUMER, dev->base, last);
	sk_aml_interrupt(a, dev->gsi, dev->is_level ? SK_AML_LEVEL : SK_AML_EDGE);
	sk_aml_end(a);
	sk_aml_end(a);
}

static int put_devices(struct sk_aml *a, const struct sk_acpi_config *config, struct sk_error *err)
{
	unsigned int nr_serials = 0, nr_virtio = 0;

	for (size_t i = 0; i < config->nr_devices; i++) {
		const struct sk_acpi_device *dev = &config->devices[i];
		unsigned long long base = dev->base;

		switch (dev->kind) {
		case SK_ACPI_SERIAL:
			if (nr_serials == MAX_SERIALS)
				return sk_error_set(err, -EINVAL, "ACPI: more than %d serial ports",
						    MAX_SERIALS);
			if (!sk_range_fits(base, 8, UINT64_C(0x10000)))
				return sk_error_set(err, -EINVAL,
						    "ACPI: a serial port at port 0x%llx; its 8 "
						    "ports end beyond 0xffff",
						    base);
			put_serial(a, dev, nr_serials++);
			break;
		case SK_ACPI_VIRTIO_MMIO:
			if (nr_virtio == SK_ACPI_MAX_DEVICES)
				return sk_error_set(err, -EINVAL,
						    "ACPI: more than %d virtio-mmio devices",
						    SK_ACPI_MAX_DEVICES);
			if (!dev->len_bytes || !sk_range_fits(base, dev->len_bytes, UINT64_MAX))
				return sk_error_set(err, -EINVAL,
						    "ACPI: a virtio-mmio device at 0x%llx is empty "
						    "or wraps",
						    base);
			put_virtio_mmio(a, dev, nr_virtio++);
			break;
		default:
			return sk_error_set(err, -EINVAL, "ACPI: device %zu is of no known kind",
					    i);
		}
	}
	return 0;
}

static void put_rtc(struct sk_aml *a)
{
	sk_aml_device_begin(a, "RTC");
	sk_aml_name_eisa_id(a, "_HID", "PNP0B00");
	sk_aml_name(a, "_CRS");
	sk_aml_resources_begin(a);
	sk_aml_io(a, RTC_PORT, 2);
	sk_aml_irq_no_flags(a, RTC_IRQ);
	sk_aml_end(a);
	sk_aml_end(a);
}

static void put_i8042(struct sk_aml *a)
{
	sk_aml_device_begin(a, "KBC");
	sk_aml_name_eisa_id(a, "_HID", "PNP0303");
	sk_aml_name(a, "_CRS");
	sk_aml_resources_begin(a);
	sk_aml_io(a, I8042_DATA_PORT, 1);
	sk_aml_io(a, I8042_COMMAND_PORT, 1);
	sk_aml_irq_no_flags(a, I8042_IRQ);
	sk_aml_end(a);
	sk_aml_end(a);
}

/*
 * Method (_EVT, 1, Serialized) {
 *         If (Arg0 == gsi) { If (ESEL & 1) { Notify (PWRB, 0x80) } }
 * }
 */
static void put_event_method(struct sk_aml *a, uint32_t gsi)
{
	sk_aml_method_begin(a, "_EVT", 1, true);
	sk_aml_if_begin(a);
	sk_aml_op(a, SK_AML_LEQUAL);
	sk_aml_arg(a, 0);
	sk_aml_int(a, gsi);
	sk_aml_if_begin(a);
	sk_aml_op(a, SK_AML_AND);
	sk_aml_path(a, "ESEL");
	sk_aml_int(a, EVENT_BUTTON);
	sk_aml_no_target(a);
	sk_aml_op(a, SK_AML_NOTIFY);
	sk_aml_path(a, "PWRB");
	sk_aml_int(a, BUTTON_WAS_PRESSED);
	sk_aml_end(a);
	sk_aml_end(a);
	sk_aml_end(a);
}

static void put_power_button(struct sk_aml *a, const struct sk_acpi_register *event, uint32_t gsi)
{
	sk_aml_device_begin(a, "PWRB");
	sk_aml_name_eisa_id(a, "_HID", "PNP0C0C");
	sk_aml_name_int(a, "_UID", 0);
	sk_aml_end(a);

	sk_aml_device_begin(a, "GED");
	sk_aml_name_string(a, "_HID", "ACPI0013");
	sk_aml_name_int(a, "_UID", 0);
	sk_aml_name(a, "_CRS");
	sk_aml_resources_begin(a);
	sk_aml_interrupt(a, gsi, SK_AML_EDGE);
	sk_aml_end(a);
	sk_aml_region(a, "EREG", event->space == SK_ACPI_IO ? SK_AML_IO : SK_AML_MEMORY,
		      event->address, 1);
	sk_aml_field_begin(a, "EREG", SK_AML_BYTE, SK_AML_WRITE_ZEROES);
	sk_aml_field_unit(a, "ESEL", EVENT_REGISTER_BITS);
	sk_aml_end(a);
	put_event_method(a, gsi);
	sk_aml_end(a);
}

/* Section 7.4.2: the type for the sleep control register, and three integers of no meaning here. */
static void put_s5(struct sk_aml *a, uint8_t type)
{
	sk_aml_name(a, "\\_S5");
	sk_aml_package_begin(a);
	sk_aml_int(a, type);
	sk_aml_int(a, 0);
	sk_aml_int(a, 0);
	sk_aml_int(a, 0);
	sk_aml_end(a);
}

int acpi_dsdt_build(struct sk_aml *a, const struct sk_acpi_config *config, struct sk_error *err)
{
	int ret;

	if (config->sleep_control.space != SK_ACPI_NOWHERE)
		put_s5(a, config->s5_type);
	sk_aml_scope_begin(a, "\\_SB");
	put_cpus(a, config->nr_cpus);
	ret = put_devices(a, config, err);
	if (ret)
		return ret;
	if (config->pci)
		acpi_pci_put(a, config->pci);
	if (config->has_rtc)
		put_rtc(a);
	if (config->has_i8042)
		put_i8042(a);
	if (config->event.space != SK_ACPI_NOWHERE)
		put_power_button(a, &config->event, config->event_gsi);
	if (config->extend_dsdt)
		config->extend_dsdt(config->extend_ctx, a);
	sk_aml_end(a);
	ret = sk_aml_check(a, err);
	if (ret)
		sk_error_prefix(err, "ACPI: DSDT");
	return ret;
}
