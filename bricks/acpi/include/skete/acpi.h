/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * ACPI 6.3 tables of a hardware-reduced machine (section 4.1) in guest memory, and the builder of
 * AML, the byte code that describes devices (section 20). The machine has no power-management
 * timer, no SCI and no FACS: sleep, reset and the power button are the registers of
 * <skete/dev/pm.h> or of anything like it.
 *
 *   rsdp_gpa ... RSDP (in 0xe0000-0xfffff, where a guest that was told nothing looks for it)
 *                DSDT, FADT, MADT, MCFG, tables of the caller, XSDT; each at a multiple of 16
 *
 * Threading class: pure functions of their arguments; a struct sk_aml belongs to its caller.
 */
#ifndef SKETE_ACPI_H
#define SKETE_ACPI_H

#include <skete/base.h>
#include <skete/gmem.h>

/*
 * AML. The functions append to the builder in the order of the byte code, which is that of ASL:
 *
 *   sk_aml_device_begin(a, "COM1");             Device (COM1) {
 *   sk_aml_name_eisa_id(a, "_HID", "PNP0501");    Name (_HID, EisaId ("PNP0501"))
 *   sk_aml_name(a, "_CRS");                       Name (_CRS,
 *   sk_aml_resources_begin(a);                      ResourceTemplate () {
 *   sk_aml_io(a, 0x3f8, 8);                           IO (Decode16, 0x3F8, 0x3F8, 0, 8)
 *   sk_aml_end(a);                                  })
 *   sk_aml_end(a);                              }
 *
 * An expression is its operator, its operands, its target: Store (ESEL, Local0) is
 * sk_aml_op(a, SK_AML_STORE), sk_aml_path(a, "ESEL"), sk_aml_local(a, 0). Errors (no memory, full,
 * a bad name, a thing in the wrong place) stick: the first is kept, everything after it does
 * nothing, and sk_aml_check() at the end tells. Names are NameStrings as in ASL ("\\_SB.COM1",
 * "^LNKA"); segments shorter than four characters are padded.
 */
#define SK_AML_MAX_DEPTH 16

struct sk_aml_block {
	size_t start; /* where its contents begin, once the package length is in front of them */
	uint8_t kind;
	uint16_t nr_elements;
};

struct sk_aml {
	/* the result, once sk_aml_check() has returned 0; belongs to the builder */
	uint8_t *buf;
	size_t len_bytes;

	/* private to aml.c */
	size_t cap_bytes, max_bytes;
	unsigned int depth;
	bool may_else; /* the last thing was the end of an If */
	struct sk_aml_block blocks[SK_AML_MAX_DEPTH];
	struct sk_error error; /* code 0: none so far */
};

/* An empty builder that grows to at most @max_bytes (never more than 256 MiB). Cannot fail. */
void sk_aml_init(struct sk_aml *a, size_t max_bytes);
void sk_aml_fini(struct sk_aml *a);

/* 0 if all went well and every block is closed, else the first error: -EINVAL, -ENOSPC, -ENOMEM. */
int sk_aml_check(const struct sk_aml *a, struct sk_error *err) SK_MUST_CHECK;

/* Blocks. Each is closed by sk_aml_end(), the innermost first. */
void sk_aml_scope_begin(struct sk_aml *a, const char *path);
void sk_aml_device_begin(struct sk_aml *a, const char *path);
/* @nr_args at most 7. */
void sk_aml_method_begin(struct sk_aml *a, const char *path, unsigned int nr_args,
			 bool is_serialized);
/* The condition is the expression that follows. Else stands right behind the end of an If. */
void sk_aml_if_begin(struct sk_aml *a);
void sk_aml_else_begin(struct sk_aml *a);
void sk_aml_while_begin(struct sk_aml *a);
/* A data object; its elements (at most 255 integers, strings, buffers, paths, packages) are
 * counted. */
void sk_aml_package_begin(struct sk_aml *a);
/* A data object; only the resource descriptors below may stand in it. */
void sk_aml_resources_begin(struct sk_aml *a);
void sk_aml_end(struct sk_aml *a);

/* Data objects. */
void sk_aml_int(struct sk_aml *a, uint64_t value);
void sk_aml_string(struct sk_aml *a, const char *ascii);
void sk_aml_buffer(struct sk_aml *a, const void *data, size_t len_bytes);
/* Three capital letters and four hexadecimal digits ("PNP0A08"), compressed to an integer. */
void sk_aml_eisa_id(struct sk_aml *a, const char *id);

/* Name (@path, ...): the data object follows; or all in one. */
void sk_aml_name(struct sk_aml *a, const char *path);
void sk_aml_name_int(struct sk_aml *a, const char *path, uint64_t value);
void sk_aml_name_string(struct sk_aml *a, const char *path, const char *ascii);
void sk_aml_name_eisa_id(struct sk_aml *a, const char *path, const char *id);

/* Expressions and statements. Operands in brackets follow; T is a target. */
enum sk_aml_op {
	SK_AML_STORE = 0x70,		  /* (value, T) */
	SK_AML_ADD = 0x72,		  /* (a, b, T) */
	SK_AML_CONCATENATE = 0x73,	  /* (a, b, T) */
	SK_AML_SUBTRACT = 0x74,		  /* (a, b, T) */
	SK_AML_INCREMENT = 0x75,	  /* (T) */
	SK_AML_DECREMENT = 0x76,	  /* (T) */
	SK_AML_MULTIPLY = 0x77,		  /* (a, b, T) */
	SK_AML_SHIFT_LEFT = 0x79,	  /* (value, count, T) */
	SK_AML_SHIFT_RIGHT = 0x7a,	  /* (value, count, T) */
	SK_AML_AND = 0x7b,		  /* (a, b, T) */
	SK_AML_OR = 0x7d,		  /* (a, b, T) */
	SK_AML_XOR = 0x7f,		  /* (a, b, T) */
	SK_AML_NOT = 0x80,		  /* (value, T) */
	SK_AML_DEREF_OF = 0x83,		  /* (reference) */
	SK_AML_NOTIFY = 0x86,		  /* (object, value) */
	SK_AML_SIZE_OF = 0x87,		  /* (object) */
	SK_AML_INDEX = 0x88,		  /* (object, index, T) */
	SK_AML_CREATE_DWORD_FIELD = 0x8a, /* (buffer, byte, the new path) */
	SK_AML_LAND = 0x90,		  /* (a, b) */
	SK_AML_LOR = 0x91,		  /* (a, b) */
	SK_AML_LNOT = 0x92,		  /* (value) */
	SK_AML_LEQUAL = 0x93,		  /* (a, b) */
	SK_AML_LGREATER = 0x94,		  /* (a, b) */
	SK_AML_LLESS = 0x95,		  /* (a, b) */
	SK_AML_RETURN = 0xa4,		  /* (value) */
	SK_AML_BREAK = 0xa5,		  /* () */
	SK_AML_SLEEP = 0x5b22,		  /* (milliseconds) */
	SK_AML_LNOT_EQUAL = 0x9293,	  /* (a, b) */
};

void sk_aml_op(struct sk_aml *a, enum sk_aml_op op);
void sk_aml_arg(struct sk_aml *a, unsigned int index);	 /* Arg0 - Arg6 */
void sk_aml_local(struct sk_aml *a, unsigned int index); /* Local0 - Local7 */
/* A reference to a named object; also the call of a method, whose arguments follow. */
void sk_aml_path(struct sk_aml *a, const char *path);
/* In the place of a target that is not wanted. */
void sk_aml_no_target(struct sk_aml *a);

enum sk_aml_space { SK_AML_MEMORY = 0, SK_AML_IO = 1, SK_AML_PCI_CONFIG = 2 };

void sk_aml_region(struct sk_aml *a, const char *path, enum sk_aml_space space, uint64_t offset,
		   uint64_t len_bytes);

enum sk_aml_access { SK_AML_ANY, SK_AML_BYTE, SK_AML_WORD, SK_AML_DWORD, SK_AML_QWORD };
enum sk_aml_update { SK_AML_PRESERVE, SK_AML_WRITE_ONES, SK_AML_WRITE_ZEROES };

/* Field (@region, @access, NoLock, @update): a block; only units and gaps may stand in it. */
void sk_aml_field_begin(struct sk_aml *a, const char *region, enum sk_aml_access access,
			enum sk_aml_update update);
void sk_aml_field_unit(struct sk_aml *a, const char *segment, uint32_t nr_bits);
void sk_aml_field_gap(struct sk_aml *a, uint32_t nr_bits);

/*
 * Resource descriptors (section 6.4). Ranges are [min, max], both included; they are fixed, as are
 * those of io and memory32, which decode 16 bits and are writable.
 */
enum sk_aml_usage {
	SK_AML_PRODUCER, /* the window of a bridge */
	SK_AML_CONSUMER, /* what the device itself uses */
};
enum sk_aml_trigger { SK_AML_LEVEL, SK_AML_EDGE };

void sk_aml_io(struct sk_aml *a, uint16_t port, uint8_t len);
/* @irq below 16; edge-triggered and active high, as on the ISA bus, unless the MADT overrides it.
 */
void sk_aml_irq_no_flags(struct sk_aml *a, unsigned int irq);
/* Extended Interrupt: consumer, active high, exclusive. */
void sk_aml_interrupt(struct sk_aml *a, uint32_t gsi, enum sk_aml_trigger trigger);
void sk_aml_memory32(struct sk_aml *a, uint32_t base, uint32_t len_bytes);
void sk_aml_word_bus_number(struct sk_aml *a, uint16_t min, uint16_t max);
void sk_aml_word_io(struct sk_aml *a, enum sk_aml_usage usage, uint16_t min, uint16_t max);
void sk_aml_dword_memory(struct sk_aml *a, enum sk_aml_usage usage, uint32_t min, uint32_t max);
void sk_aml_qword_memory(struct sk_aml *a, enum sk_aml_usage usage, uint64_t min, uint64_t max);

/* The machine. */

#define SK_ACPI_RSDP_GPA    UINT64_C(0xe0000)  /* of the defaults */
#define SK_ACPI_TABLES_END  UINT64_C(0x100000) /* likewise */
#define SK_ACPI_IOAPIC_GPA  UINT64_C(0xfec00000)
#define SK_ACPI_LAPIC_GPA   UINT64_C(0xfee00000)
#define SK_ACPI_MAX_CPUS    4096
#define SK_ACPI_MAX_DEVICES 4096 /* of one kind */

/* A register of 8 bits; in none of the tables if its space is SK_ACPI_NOWHERE. */
enum sk_acpi_space { SK_ACPI_NOWHERE, SK_ACPI_IO, SK_ACPI_MEMORY };

struct sk_acpi_register {
	enum sk_acpi_space space;
	uint64_t address; /* port or gpa */
};

enum sk_acpi_device_kind {
	SK_ACPI_SERIAL,	     /* PNP0501: @base is the first of 8 ports; COM1, COM2, ... in order */
	SK_ACPI_VIRTIO_MMIO, /* LNRO0005: @base, @len_bytes are guest-physical */
};

struct sk_acpi_device {
	enum sk_acpi_device_kind kind;
	uint64_t base;
	uint64_t len_bytes; /* SK_ACPI_VIRTIO_MMIO only */
	uint32_t gsi;
	bool is_level; /* level-triggered; else edge, as with an irqfd that has no resample */
};

/* ISA IRQ @irq arrives at @gsi, active high. IRQs that are edge-triggered at gsi == irq need none.
 */
struct sk_acpi_irq_override {
	uint8_t irq;
	uint32_t gsi;
	bool is_level;
};

/* A PCI bus with ECAM, one mebibyte for each bus; its windows are for BARs. */
struct sk_acpi_pci {
	gpa_t ecam_gpa; /* of bus 0; a multiple of 1 MiB */
	uint8_t last_bus;
	gpa_t low_gpa; /* below 4 GiB */
	uint64_t low_bytes;
	gpa_t high_gpa;
	uint64_t high_bytes; /* 0: none, as above */
};

/* A complete table of the caller but for its header (SLIT, SRAT, HMAT ...), borrowed. */
struct sk_acpi_table {
	char signature[5];
	uint8_t revision;
	const void *body; /* what follows the 36 bytes of the header */
	size_t len_bytes;
};

struct sk_acpi_config {
	unsigned int nr_cpus;	  /* 1 - SK_ACPI_MAX_CPUS */
	const uint32_t *apic_ids; /* nr_cpus, ascending, the boot CPU first; NULL: 0, 1, 2 ... */
	gpa_t lapic_gpa;	  /* 0: SK_ACPI_LAPIC_GPA */
	gpa_t ioapic_gpa;	  /* 0: SK_ACPI_IOAPIC_GPA */
	uint8_t ioapic_id;
	uint32_t ioapic_gsi_base;

	bool has_pic;	/* two 8259 */
	bool has_pit;	/* IRQ 0 arrives at GSI 2, as on a PC; not so by KVM's default routes */
	bool has_rtc;	/* CMOS clock: PNP0B00 at port 0x70, IRQ 8 */
	bool has_i8042; /* a keyboard controller that answers: PNP0303 at 0x60 and 0x64, IRQ 1 */
	const struct sk_acpi_irq_override *irq_overrides; /* besides that of the PIT */
	size_t nr_irq_overrides;

	/* Sleep needs both registers; with them the DSDT has \_S5 with @s5_type (0 - 7). */
	struct sk_acpi_register sleep_control, sleep_status;
	uint8_t s5_type;
	struct sk_acpi_register reset; /* write @reset_value there to reboot */
	uint8_t reset_value;
	/*
	 * The power button (PNP0C0C), behind a generic event device (ACPI0013): bit 0 of the event
	 * register, which reading clears, says that it was pressed; an edge at @event_gsi calls.
	 */
	struct sk_acpi_register event; /* SK_ACPI_NOWHERE: no button */
	uint32_t event_gsi;

	const struct sk_acpi_device *devices;
	size_t nr_devices;
	const struct sk_acpi_pci *pci;	    /* NULL: no PCI; else \_SB.PCI0 and the MCFG table */
	const struct sk_acpi_table *tables; /* additional ones, in the XSDT after the MADT */
	size_t nr_tables;
	/* Called with the scope \_SB open, which it leaves open; adds devices; may be NULL. */
	void (*extend_dsdt)(void *ctx, struct sk_aml *aml);
	void *extend_ctx;

	gpa_t rsdp_gpa;	  /* a multiple of 16; 0: SK_ACPI_RSDP_GPA */
	gpa_t tables_end; /* the tables end at or below it, below 4 GiB; 0: SK_ACPI_TABLES_END */
};

struct sk_acpi_result {
	gpa_t rsdp_gpa;
	uint64_t len_bytes; /* from rsdp_gpa to the end of the last table; the guest's memory map
			       names it ACPI or reserved */
};

/*
 * Writes all tables. Nothing of @config is kept. Errors: -EINVAL (the sentence says which field),
 * -ENOSPC (they do not fit below tables_end), -EFAULT (not RAM), -ENOMEM, or that of an AML
 * builder; guest memory is written only when nothing but -EFAULT can happen any more.
 */
int sk_acpi_build(struct sk_gmem *gm, const struct sk_acpi_config *config,
		  struct sk_acpi_result *out, struct sk_error *err) SK_MUST_CHECK;

#endif
