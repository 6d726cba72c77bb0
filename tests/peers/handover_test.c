/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Images of the unikernel, started with what other monitors hand to a guest: where their tables
 * lie, what is in them and what is not, how their machine ends. After Firecracker's
 * src/vmm/src/arch/x86_64 (the same in libkrun's, without ACPI) and Cloud Hypervisor's
 * arch/src/x86_64 and vmm/src/acpi.rs. usage: handover_test ARGS TREE SCHEDULE, programs.
 */
#include "machine.h"

#define CMDLINE_GPA   0x20000
#define PVH_GPA	      0x6000
#define MODULES_GPA   0x6040
#define MAP_GPA	      0x7000
#define ZERO_PAGE_GPA 0x7000
#define GDT_GPA	      0x500
#define STACK_GPA     0x8ff0
#define PML4_GPA      0x9000
#define EBDA_GPA      0x9fc00
#define HIGH_GPA      0x100000
#define IOAPIC_GPA    0xfec00000u
#define LAPIC_GPA     0xfee00000u
#define RAM	      1
#define RESERVED      2
#define X2APIC	      (1u << 21)
#define TSC_DEADLINE  (1u << 24)
#define S5_PORT	      0x600
#define S5_VALUE      (5 << 2 | 1 << 5)

static const char *args_path, *tree_path, *schedule_path;

struct initrd {
	uint64_t gpa, bytes;
};

/* ---- memory maps ---- */

struct map {
	struct {
		uint64_t start, bytes;
		uint32_t type;
	} range[8];
	size_t n;
};

static void map_add(struct map *map, uint64_t start, uint64_t bytes, uint32_t type)
{
	map->range[map->n].start = start;
	map->range[map->n].bytes = bytes;
	map->range[map->n++].type = type;
}

static struct map firecracker_map(const struct peer *p)
{
	struct map map = {.n = 0};

	map_add(&map, 0, EBDA_GPA, RAM);
	map_add(&map, EBDA_GPA, HIGH_GPA - EBDA_GPA, RESERVED);
	map_add(&map, 0xeec00000, 256 * SK_MIB, RESERVED);
	if (p->high_end > 4 * SK_GIB)
		map_add(&map, 4 * SK_GIB, p->high_end - 4 * SK_GIB, RAM);
	map_add(&map, HIGH_GPA, p->low_end - HIGH_GPA, RAM);
	return map;
}

static struct map cloud_hypervisor_map(const struct peer *p)
{
	struct map map = {.n = 0};

	map_add(&map, 0, 0xa0000, RAM);
	map_add(&map, HIGH_GPA, p->low_end - HIGH_GPA, RAM);
	if (p->high_end > 4 * SK_GIB)
		map_add(&map, 4 * SK_GIB, p->high_end - 4 * SK_GIB, RAM);
	map_add(&map, 0xe8000000, 256 * SK_MIB, RESERVED);
	return map;
}

/* ---- hvm_start_info and the zero page ---- */

static void write_pvh(struct peer *p, const struct map *map, uint64_t rsdp,
		      const struct initrd *initrd)
{
	uint8_t info[56] = {0}, entry[24] = {0}, module[32] = {0};

	sk_store_le32(info, 0x336ec578);
	sk_store_le32(info + 4, 1); /* version */
	sk_store_le64(info + 24, CMDLINE_GPA);
	sk_store_le64(info + 32, rsdp);
	sk_store_le64(info + 40, MAP_GPA);
	sk_store_le32(info + 48, (uint32_t)map->n);
	if (initrd) {
		sk_store_le32(info + 12, 1);
		sk_store_le64(info + 16, MODULES_GPA);
		sk_store_le64(module, initrd->gpa);
		sk_store_le64(module + 8, initrd->bytes);
		peer_write(p, MODULES_GPA, module, sizeof(module));
	}
	peer_write(p, PVH_GPA, info, sizeof(info));
	for (size_t i = 0; i < map->n; i++) {
		sk_store_le64(entry, map->range[i].start);
		sk_store_le64(entry + 8, map->range[i].bytes);
		sk_store_le32(entry + 16, map->range[i].type);
		peer_write(p, MAP_GPA + i * sizeof(entry), entry, sizeof(entry));
	}
}

static void write_zero_page(struct peer *p, const struct initrd *initrd)
{
	uint8_t page[4096] = {0};
	struct map map = firecracker_map(p);

	sk_store_le16(page + 0x1fe, 0xaa55);
	memcpy(page + 0x202, "HdrS", 4);
	page[0x210] = 0xff; /* type of loader */
	sk_store_le32(page + 0x228, CMDLINE_GPA);
	sk_store_le32(page + 0x230, 0x1000000); /* alignment */
	if (initrd) {
		sk_store_le32(page + 0x218, (uint32_t)initrd->gpa);
		sk_store_le32(page + 0x21c, (uint32_t)initrd->bytes);
	}
	page[0x1e8] = (uint8_t)map.n;
	for (size_t i = 0; i < map.n; i++) {
		sk_store_le64(page + 0x2d0 + i * 20, map.range[i].start);
		sk_store_le64(page + 0x2d0 + i * 20 + 8, map.range[i].bytes);
		sk_store_le32(page + 0x2d0 + i * 20 + 16, map.range[i].type);
	}
	peer_write(p, ZERO_PAGE_GPA, page, sizeof(page));
}

/* The first GiB, in pages of 2 MiB. */
static void write_page_tables(struct peer *p)
{
	uint8_t entry[8];

	sk_store_le64(entry, (PML4_GPA + 0x1000) | 3);
	peer_write(p, PML4_GPA, entry, sizeof(entry));
	sk_store_le64(entry, (PML4_GPA + 0x2000) | 3);
	peer_write(p, PML4_GPA + 0x1000, entry, sizeof(entry));
	for (uint64_t i = 0; i < 512; i++) {
		sk_store_le64(entry, i << 21 | 0x83);
		peer_write(p, PML4_GPA + 0x2000 + i * 8, entry, sizeof(entry));
	}
}

/* ---- tables: a buffer that grows, and goes to guest memory whole ---- */

struct table {
	uint8_t data[2048];
	size_t bytes;
};

static uint8_t *add(struct table *t, size_t bytes)
{
	uint8_t *at = t->data + t->bytes;

	assert_true(bytes <= sizeof(t->data) - t->bytes);
	memset(at, 0, bytes);
	t->bytes += bytes;
	return at;
}

static uint8_t checksum(const uint8_t *data, size_t bytes)
{
	uint8_t sum = 0;

	while (bytes)
		sum += data[--bytes];
	return (uint8_t)-sum;
}

static void acpi_begin(struct table *t, const char *signature, uint8_t revision)
{
	uint8_t *header;

	t->bytes = 0;
	header = add(t, 36);
	memcpy(header, signature, 4);
	header[8] = revision;
	memcpy(header + 10, "OTHERSMONITOR ", 14);
}

/* Writes the table and returns its address; the next one comes behind it. */
static uint64_t acpi_end(struct peer *p, struct table *t, uint64_t *next)
{
	uint64_t gpa = *next;

	sk_store_le32(t->data + 4, (uint32_t)t->bytes);
	t->data[9] = checksum(t->data, t->bytes);
	peer_write(p, gpa, t->data, t->bytes);
	*next = gpa + t->bytes;
	return gpa;
}

static void write_rsdp(struct peer *p, uint64_t gpa, uint64_t xsdt)
{
	uint8_t rsdp[36] = "RSD PTR ";

	memcpy(rsdp + 9, "OTHERS", 6);
	rsdp[15] = 2;
	sk_store_le32(rsdp + 20, sizeof(rsdp));
	sk_store_le64(rsdp + 24, xsdt);
	rsdp[8] = checksum(rsdp, 20);
	rsdp[32] = checksum(rsdp, sizeof(rsdp));
	peer_write(p, gpa, rsdp, sizeof(rsdp));
}

static void add_ioapic(struct table *madt)
{
	uint8_t *e = add(madt, 12);

	e[0] = 1;
	e[1] = 12;
	sk_store_le32(e + 4, IOAPIC_GPA);
}

static uint64_t write_xsdt(struct peer *p, uint64_t fadt, uint64_t madt, uint64_t *next)
{
	struct table t;

	acpi_begin(&t, "XSDT", 1);
	sk_store_le64(add(&t, 8), fadt);
	sk_store_le64(add(&t, 8), madt);
	return acpi_end(p, &t, next);
}

/* ---- Firecracker ---- */

/* Nothing in ACPI tells how to power off; the DSDT is found by its 64-bit address only. */
static void firecracker_acpi(struct peer *p)
{
	uint64_t next = 0xa0000, dsdt, fadt, madt;
	struct table t;

	acpi_begin(&t, "DSDT", 2);
	dsdt = acpi_end(p, &t, &next);
	acpi_begin(&t, "FACP", 6);
	add(&t, 276 - t.bytes);
	sk_store_le32(t.data + 112, 1u << 20 | 1u << 4 | 1u << 5);
	t.data[131] = 5;
	sk_store_le64(t.data + 140, dsdt);
	memcpy(t.data + 268, "FIRECRAK", 8);
	fadt = acpi_end(p, &t, &next);
	acpi_begin(&t, "APIC", 6);
	sk_store_le32(add(&t, 8), LAPIC_GPA);
	add_ioapic(&t);
	for (uint32_t i = 0; i < p->config.cpus; i++) {
		uint8_t *e = add(&t, 8);

		e[1] = 8;
		e[2] = e[3] = (uint8_t)i;
		e[4] = 1;
	}
	madt = acpi_end(p, &t, &next);
	write_rsdp(p, 0xe0000, write_xsdt(p, fadt, madt, &next));
}

static void firecracker_mp_table(struct peer *p)
{
	uint8_t pointer[16] = "_MP_", ioapic = (uint8_t)(p->config.cpus + 1), *e;
	struct table t = {.bytes = 0};

	memcpy(add(&t, 44), "PCMP\0\0\4\0FC      000000000000", 28);
	sk_store_le32(t.data + 36, LAPIC_GPA);
	for (uint32_t i = 0; i < p->config.cpus; i++) {
		e = add(&t, 20);
		e[1] = (uint8_t)i;
		e[2] = 0x14;
		e[3] = i ? 1 : 3;
		sk_store_le32(e + 4, 0x600);
		sk_store_le32(e + 8, 0x201);
	}
	memcpy(add(&t, 8), "\1\0ISA   ", 8);
	e = add(&t, 8);
	memcpy(e, "\2\0\24\1", 4);
	e[1] = ioapic;
	sk_store_le32(e + 4, IOAPIC_GPA);
	for (uint8_t i = 0; i < SK_KVM_NR_PINS; i++) {
		e = add(&t, 8);
		e[0] = 3;
		e[5] = e[7] = i;
		e[6] = ioapic;
	}
	memcpy(add(&t, 8), "\4\3", 2);
	memcpy(add(&t, 8), "\4\1\0\0\0\0\377\1", 8);
	sk_store_le16(t.data + 4, (uint16_t)t.bytes);
	t.data[7] = checksum(t.data, t.bytes);
	sk_store_le32(pointer + 4, EBDA_GPA + sizeof(pointer));
	pointer[8] = 1;
	pointer[9] = 4;
	pointer[10] = checksum(pointer, sizeof(pointer));
	peer_write(p, EBDA_GPA, pointer, sizeof(pointer));
	peer_write(p, EBDA_GPA + sizeof(pointer), t.data, t.bytes);
}

static void enter_by_pvh(struct peer *p, struct sk_kvm_entry *entry)
{
	assert_int_equal(sk_kvm_write_gdt(p->gm, GDT_GPA, SK_KVM_MODE_PROTECTED), 0);
	*entry = (struct sk_kvm_entry){
		.mode = SK_KVM_MODE_PROTECTED, .rip = p->pvh, .rbx = PVH_GPA, .gdt_gpa = GDT_GPA};
}

/* By the PVH note; the root of ACPI's tables is not told, but lies where one looks for it. */
static void firecracker_pvh(struct peer *p, const struct initrd *initrd, struct sk_kvm_entry *entry)
{
	const struct map map = firecracker_map(p);

	firecracker_mp_table(p);
	write_pvh(p, &map, 0, initrd);
	firecracker_acpi(p);
	enter_by_pvh(p, entry);
}

/* Before version 1.8, and libkrun: at the ELF file's entry, without ACPI. */
static void firecracker_linux(struct peer *p, const struct initrd *initrd,
			      struct sk_kvm_entry *entry)
{
	firecracker_mp_table(p);
	write_zero_page(p, initrd);
	write_page_tables(p);
	assert_int_equal(sk_kvm_write_gdt(p->gm, GDT_GPA, SK_KVM_MODE_LONG), 0);
	*entry = (struct sk_kvm_entry){.mode = SK_KVM_MODE_LONG,
				       .rip = p->entry,
				       .rsp = STACK_GPA,
				       .rsi = ZERO_PAGE_GPA,
				       .gdt_gpa = GDT_GPA,
				       .cr3 = PML4_GPA};
}

/* ---- Cloud Hypervisor ---- */

static void add_register(struct table *fadt, size_t at, uint64_t port)
{
	fadt->data[at] = 1; /* a port */
	fadt->data[at + 1] = 8;
	fadt->data[at + 3] = 1;
	sk_store_le64(fadt->data + at + 4, port);
}

/* All CPUs have x2APIC entries, the spare ones are not enabled; power is a sleep control register.
 */
static void cloud_hypervisor(struct peer *p, const struct initrd *initrd,
			     struct sk_kvm_entry *entry)
{
	static const uint8_t s5[] = "\x08_S5_\x12\x04\x01\x0a\x05";
	const uint64_t rsdp = 0xa0000;
	const struct map map = cloud_hypervisor_map(p);
	uint64_t next = rsdp + 36, dsdt, fadt, madt;
	struct table t;

	acpi_begin(&t, "DSDT", 6);
	memcpy(add(&t, sizeof(s5) - 1), s5, sizeof(s5) - 1);
	dsdt = acpi_end(p, &t, &next);
	acpi_begin(&t, "FACP", 6);
	add(&t, 276 - t.bytes);
	sk_store_le32(t.data + 76, 0x608);
	sk_store_le32(t.data + 112, 1u << 20 | 1u << 10 | 1u << 8);
	add_register(&t, 116, S5_PORT); /* reset */
	t.data[128] = 1;
	t.data[131] = 3;
	sk_store_le64(t.data + 140, dsdt);
	add_register(&t, 244, S5_PORT);
	add_register(&t, 256, S5_PORT);
	memcpy(t.data + 268, "CLOUDHYP", 8);
	fadt = acpi_end(p, &t, &next);
	acpi_begin(&t, "APIC", 5);
	sk_store_le32(add(&t, 8), LAPIC_GPA);
	for (uint32_t i = 0; i < p->config.cpus + 2; i++) {
		uint8_t *e = add(&t, 16);

		e[0] = 9;
		e[1] = 16;
		sk_store_le32(e + 4, i);
		sk_store_le32(e + 8, i < p->config.cpus ? 3 : 2);
		sk_store_le32(e + 12, i);
	}
	add_ioapic(&t);
	memcpy(add(&t, 10), "\2\12\0\4\4", 5); /* the serial port's interrupt */
	madt = acpi_end(p, &t, &next);
	write_rsdp(p, rsdp, write_xsdt(p, fadt, madt, &next));
	write_pvh(p, &map, rsdp, initrd);
	enter_by_pvh(p, entry);
}

/* ---- the tests ---- */

struct monitor {
	const char *name;
	void (*hand_over)(struct peer *p, const struct initrd *initrd, struct sk_kvm_entry *entry);
	enum sk_kvm_irqchip irqchip;
	uint16_t sleep_port;
	enum peer_end end; /* a reset is how Firecracker's machines end */
	bool is_hyperv;	   /* the hypervisor's leaves are Hyper-V's: no KVM clock */
	uint32_t hidden;   /* of what leaf 1 says in ecx */
};

static struct monitor monitors[] = {
	{"Firecracker, PVH", firecracker_pvh, SK_KVM_IRQCHIP_KERNEL, 0, PEER_RESET},
	{"Firecracker, Linux entry", firecracker_linux, SK_KVM_IRQCHIP_KERNEL, 0, PEER_RESET},
	{"Cloud Hypervisor", cloud_hypervisor, SK_KVM_IRQCHIP_SPLIT, S5_PORT, PEER_POWERED_OFF},
	{"Cloud Hypervisor, kvm_hyperv", cloud_hypervisor, SK_KVM_IRQCHIP_SPLIT, S5_PORT,
	 PEER_POWERED_OFF, .is_hyperv = true},
	{"Firecracker, a template without x2APIC and TSC deadline", firecracker_pvh,
	 SK_KVM_IRQCHIP_KERNEL, 0, PEER_RESET, .hidden = X2APIC | TSC_DEADLINE},
};

/* Runs a program with a file as its initial RAM disk, if @disk, and says what it said. */
static void run(struct peer *p, const struct monitor *monitor, uint32_t cpus, uint64_t memory_bytes,
		const char *path, const char *cmdline, const struct table *disk)
{
	const struct peer_config config = {
		.cpus = cpus,
		.memory_bytes = memory_bytes,
		.irqchip = monitor->irqchip,
		.sleep_port = monitor->sleep_port,
		.sleep_value = S5_VALUE,
		.is_hyperv = monitor->is_hyperv,
		.hidden = monitor->hidden,
	};
	struct initrd initrd;
	struct sk_kvm_entry entry;

	peer_create(p, &config, path);
	peer_write(p, CMDLINE_GPA, cmdline, strlen(cmdline) + 1);
	if (disk) { /* at the end of what is below 4 GiB */
		initrd.gpa = (p->low_end - disk->bytes) & -4096ull;
		initrd.bytes = disk->bytes;
		peer_write(p, initrd.gpa, disk->data, disk->bytes);
	}
	monitor->hand_over(p, disk ? &initrd : NULL, &entry);
	if (peer_run(p, &entry) != monitor->end)
		fail_msg("the machine ended by %d instead of %d after \"%s\"", p->end, monitor->end,
			 p->text);
	peer_destroy(p);
}

/* With the words that their own tools put on a kernel's command line. */
static void expect_arguments(const struct monitor *monitor, uint32_t cpus, uint64_t memory_bytes)
{
	static struct peer p;
	char expected[256];

	run(&p, monitor, cpus, memory_bytes, args_path,
	    "reboot=k panic=1 pci=off nomodule GREETING=hi virtio_mmio.device=4K@0xd0000000:5"
	    " root=/dev/vda ro -- one \"two words\"",
	    NULL);
	snprintf(expected, sizeof(expected),
		 "called [program]\nargument 1: [one]\nargument 2: [two words]\nGREETING=hi\n"
		 "processors: %u\n",
		 cpus);
	assert_string_equal(p.text, expected);
}

static void a_program_runs(void **state)
{
	expect_arguments(*state, 1, 32 * SK_MIB);
}

static void cpus_are_found(void **state)
{
	expect_arguments(*state, 2, 64 * SK_MIB);
	expect_arguments(*state, 4, 64 * SK_MIB);
}

static void memory_on_both_sides_of_the_hole(void **state)
{
	expect_arguments(*state, 2, 5 * SK_GIB);
}

static void threads_and_timers_work(void **state)
{
	static struct peer p;

	run(&p, *state, 2, 256 * SK_MIB, schedule_path, "", NULL);
	assert_non_null(strstr(p.text, "\ndone\n"));
}

static void add_file(struct table *disk, const char *name, uint32_t mode, const char *content)
{
	char header[128];
	int bytes =
		snprintf(header, sizeof(header),
			 "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x%s", 1, mode,
			 0, 0, 1, 0, strlen(content), 0, 0, 0, 0, strlen(name) + 1, 0, name);

	memcpy(add(disk, ((size_t)bytes + 4) & ~3ul), header, (size_t)bytes);
	memcpy(add(disk, (strlen(content) + 3) & ~3ul), content, strlen(content));
}

static void initrd_is_found(void **state)
{
	static struct peer p;
	struct table disk = {.bytes = 0};

	add_file(&disk, "gift", 0100640, "a");
	add_file(&disk, "TRAILER!!!", 0, "");
	run(&p, *state, 1, 64 * SK_MIB, tree_path, "-- /gift", &disk);
	assert_string_equal(p.text, "/gift 100640 1 61\n");
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		CMUnitTestFunction function;
	} cases[] = {
		{"a program runs", a_program_runs},
		{"CPUs are found", cpus_are_found},
		{"memory on both sides of the hole", memory_on_both_sides_of_the_hole},
		{"threads and timers work", threads_and_timers_work},
		{"the initial RAM disk is found", initrd_is_found},
	};
	static char names[SK_ARRAY_SIZE(monitors)][SK_ARRAY_SIZE(cases)][100];
	struct CMUnitTest tests[SK_ARRAY_SIZE(monitors) * SK_ARRAY_SIZE(cases)], *test = tests;

	for (size_t m = 0; m < SK_ARRAY_SIZE(monitors); m++) {
		for (size_t c = 0; c < SK_ARRAY_SIZE(cases); c++) {
			snprintf(names[m][c], sizeof(names[m][c]), "%s: %s", monitors[m].name,
				 cases[c].name);
			*test++ = (struct CMUnitTest){names[m][c], cases[c].function, NULL, NULL,
						      &monitors[m]};
		}
	}
	if (argc != 4) {
		fprintf(stderr, "usage: %s ARGS TREE SCHEDULE (images)\n", argv[0]);
		return 2;
	}
	args_path = argv[1];
	tree_path = argv[2];
	schedule_path = argv[3];
	return peer_has_kvm() ? cmocka_run_group_tests_name("handover", tests, NULL, NULL) : 0;
}
