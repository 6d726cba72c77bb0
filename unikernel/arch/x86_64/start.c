/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * The first code in ring 3. It runs where the image was loaded, unrelocated, with the first page
 * tables, which let it write everything: so it uses no pointer that a relocation would have to fix.
 * It copies what the boot loader said, builds the final page tables (natively: in ring 0 each
 * instruction is dear), applies the relocations and asks the shim for the seal.
 */
#include <elf.h>
#include <skete/abi/debug.h>

#include "../../kernel/boot.h"
#include "../../kernel/kernel.h"
#include "cpu.h"
#include "platform.h"
#include "shim.h"
#include "start.h"

#define PVH_MAGIC     0x336ec578
#define PAGE	      4096ull
#define HUGE	      0x200000ull
#define E820_RAM      1
#define RAM_END	      (1ull << 38) /* what is beyond is not used */
#define LEAVES_ZEROED 8
#define UPPERS_ZEROED 5

struct boot boot;
extern char __image_start[], __text_start[], __text_end[], __ro_end[], __bss_end[], __image_end[];
extern char ap_trampoline[], ap_trampoline_end[];
extern char boot_stack_top[], upcall_entry[], fault_entry[], syscall_entry[], exit_window[];
extern char exit_window_end[], upcall_restart[], ap_start[];
extern const Elf64_Dyn _DYNAMIC[] __attribute__((visibility("hidden")));

struct pvh_start_info {
	uint32_t magic, version, flags, modules;
	uint64_t modlist, cmdline, rsdp, memmap;
	uint32_t memmap_entries, pad;
};

struct pvh_entry {
	uint64_t address, size;
	uint32_t type, pad;
};

#define MULTIBOOT_CMDLINE (1u << 2)
#define MULTIBOOT_MODULES (1u << 3)
#define MULTIBOOT_MAP	  (1u << 6)

struct multiboot_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, modules, modlist, symbols[4];
	uint32_t map_bytes, map;
};

struct multiboot_entry {
	uint32_t size; /* of what follows */
	uint64_t start, bytes;
	uint32_t type;
} __attribute__((packed));

struct pvh_module {
	uint64_t address, size, cmdline, pad;
};

_Noreturn void give_up(const char *why)
{
	if (platform == &platform_process) {
		console_write(why, kstrlen(why));
		power_off(1);
	}
	while (*why)
		request(REQ_OUT, 0x3f8, (uint8_t)*why++, 1, 0);
	request(REQ_OUT, 0xe00, 1, 4, 0);
	request(REQ_OUT, 0xf4, 1, 1, 0);
	for (;;)
		request(REQ_HALT, 0, 0, 0, 0);
}

void add_ram(uint64_t start, uint64_t end)
{
	start = (start + PAGE - 1) & -PAGE;
	end &= -PAGE;
	if (start < 0x100000)
		start = 0x100000;
	if (end > RAM_END)
		end = RAM_END;
	if (start >= end || boot.ram_count == BOOT_RANGES)
		return;
	boot.ram[boot.ram_count++] = (struct boot_range){start, end};
	boot.ram_bytes += end - start;
	if (end > boot.ram_end)
		boot.ram_end = end;
}

void copy_cmdline(uint64_t from)
{
	const char *text = (const char *)from;

	for (int i = 0; from && i < BOOT_CMDLINE - 1 && text[i]; i++)
		boot.cmdline[i] = text[i];
}

static void read_pvh(uint64_t pa)
{
	const struct pvh_start_info *info = (const void *)pa;
	const struct pvh_entry *map = (const void *)info->memmap;

	if (info->magic != PVH_MAGIC || info->version < 1)
		give_up("skete: the PVH start info has no memory map\n");
	copy_cmdline(info->cmdline);
	boot.rsdp = info->rsdp;
	for (uint32_t i = 0; i < info->memmap_entries; i++)
		if (map[i].type == E820_RAM)
			add_ram(map[i].address, map[i].address + map[i].size);
	if (info->modules && info->modlist) {
		const struct pvh_module *module = (const void *)info->modlist;

		boot.initrd = module->address;
		boot.initrd_bytes = module->size;
	}
}

/* Multiboot 0.6.96, 3.3. */
static void read_multiboot(uint64_t pa)
{
	const struct multiboot_info *info = (const void *)pa;
	const uint32_t *module = (const void *)(uint64_t)info->modlist;
	uint64_t at = info->map, end = at + info->map_bytes;

	if (!(info->flags & MULTIBOOT_MAP))
		give_up("skete: the multiboot information has no memory map\n");
	if (info->flags & MULTIBOOT_CMDLINE)
		copy_cmdline(info->cmdline);
	while (at + sizeof(struct multiboot_entry) <= end) {
		const struct multiboot_entry *entry = (const void *)at;

		if (entry->type == E820_RAM)
			add_ram(entry->start, entry->start + entry->bytes);
		at += entry->size + sizeof(entry->size);
	}
	if (info->flags & MULTIBOOT_MODULES && info->modules) {
		boot.initrd = module[0];
		boot.initrd_bytes = module[1] - module[0];
	}
}

/* Linux's boot parameters, "zero page": Documentation/arch/x86/zero-page.rst. */
static void read_linux(uint64_t pa)
{
	const uint8_t *zero_page = (const void *)pa;
	const uint8_t *entry = zero_page + 0x2d0;

	copy_cmdline(*(const uint32_t *)(zero_page + 0x228));
	boot.rsdp = *(const uint64_t *)(zero_page + 0x70);
	boot.initrd = *(const uint32_t *)(zero_page + 0x218) |
		      (uint64_t) * (const uint32_t *)(zero_page + 0xc0) << 32;
	boot.initrd_bytes = *(const uint32_t *)(zero_page + 0x21c) |
			    (uint64_t) * (const uint32_t *)(zero_page + 0xc4) << 32;
	for (int i = zero_page[0x1e8]; i > 0; i--, entry += 20) {
		uint64_t start = *(const uint64_t *)entry, size = *(const uint64_t *)(entry + 8);

		if (*(const uint32_t *)(entry + 16) == E820_RAM)
			add_ram(start, start + size);
	}
}

static void fill(uint64_t start, uint64_t end, uint64_t value)
{
	uint64_t *word = (uint64_t *)(start + boot.here);

	for (; start < end; start += sizeof(*word))
		*word++ = value;
}

static uint64_t take_table(void)
{
	uint64_t table = shim.leaf_next;

	if (table >= shim.own_end)
		give_up("skete: not enough memory for the first page tables\n");
	shim.leaf_next += PAGE;
	fill(table, shim.leaf_next, 0);
	return table;
}

static void map_one(uint64_t va, uint64_t entry, int level)
{
	uint64_t *table = (uint64_t *)(shim.root + boot.here);

	for (int l = 3; l > level; l--) {
		uint64_t *slot = &table[va >> (12 + 9 * l) & 511];

		if (!*slot)
			*slot = take_table() | PTE_U | PTE_W | PTE_P;
		table = (uint64_t *)((*slot & PTE_ADDR) + boot.here);
	}
	table[va >> (12 + 9 * level) & 511] = entry | PTE_U | PTE_P | (level ? PTE_PS : 0);
}

static void map_range(uint64_t start, uint64_t end, uint64_t offset, uint64_t bits)
{
	for (; start < end; start += PAGE)
		map_one(start + offset, start | bits, 0);
}

/* The direct map of one range: 2 MiB pages, small ones at its edges and around the image. */
void map_direct(uint64_t start, uint64_t end)
{
	uint64_t next;

	for (; start < end; start = next) {
		next = start + PAGE;
		if (!(start & (HUGE - 1)) && end - start >= HUGE &&
		    (start >= boot.used_end || start + HUGE <= boot.used_start)) {
			next = start + HUGE;
			map_one(start + boot.direct, start | PTE_W | PTE_NX, 1);
		} else if ((start >= shim.ro_start && start < shim.ro_end) ||
			   (start >= shim.own_start && start < shim.own_end)) {
			map_one(start + boot.direct, start | PTE_NX, 0);
		} else {
			map_one(start + boot.direct, start | PTE_W | PTE_NX, 0);
		}
	}
}

/*
 * The shim's own mapping, one to one, closed to ring 3 but for the code that `syscall` leads to: on
 * a partial KVM that runs in ring 3.
 */
static void map_shim(void)
{
	const uint64_t *first = (const uint64_t *)(SHIM_TABLES + 0x1000);
	uint64_t *pdpt = (uint64_t *)take_table(), *pd = (uint64_t *)take_table();
	uint64_t *table = (uint64_t *)take_table();

	*(uint64_t *)shim.root = (uint64_t)pdpt | PTE_P | PTE_W | PTE_U;
	pdpt[0] = (uint64_t)pd | PTE_P | PTE_W | PTE_U;
	for (int i = 1; i < 4; i++)
		pdpt[i] = first[i] & ~PTE_U;
	pd[0] = (uint64_t)table | PTE_P | PTE_W | PTE_U;
	for (uint64_t i = 1; i < 512; i++)
		pd[i] = i * HUGE | PTE_P | PTE_W | PTE_PS;
	for (uint64_t i = 0; i < 512; i++)
		table[i] = i * PAGE | PTE_P | PTE_W;
	table[SHIM_TEXT / PAGE] = SHIM_TEXT | PTE_P | PTE_U;
}

/* It has to lie in RAM, out of the way of what is placed behind the image. */
static void check_initrd(void)
{
	uint64_t start = boot.initrd, end = start + boot.initrd_bytes;

	if (!boot.initrd_bytes)
		return;
	for (uint32_t i = 0; i < boot.ram_count; i++)
		if (start >= boot.ram[i].start && end > start && end <= boot.ram[i].end &&
		    (end <= boot.used_start || start >= boot.used_end))
			return;
	give_up("skete: the initial RAM disk is not in RAM, or too little of that is free\n");
}

/* Place the page tables and the frame bitmap behind the image, and check that they fit. */
void place(void)
{
	uint64_t image = (uint64_t)__image_start - boot.bias;
	uint64_t image_end = (uint64_t)__image_end - boot.bias;
	uint64_t tables = boot.ram_bytes / PAGE / 512 + boot.ram_bytes / PAGE / 2048 + 48;
	uint64_t bitmap = (boot.ram_end / PAGE / 8 + PAGE - 1) & -PAGE;
	uint32_t i;

	shim.ro_start = image;
	shim.ro_end = (uint64_t)__ro_end - boot.bias;
	shim.own_start = (uint64_t)__bss_end - boot.bias;
	shim.own_end = image_end + tables * PAGE;
	boot.used_start = image;
	boot.used_end = shim.own_end + bitmap;
	for (i = 0; i < boot.ram_count; i++)
		if (boot.ram[i].start <= image && boot.ram[i].end >= boot.used_end)
			break;
	if (i == boot.ram_count)
		give_up("skete: too little memory for the image\n");
	check_initrd();
	shim.leaf_next = image_end;
	shim.root = take_table();
}

void close_frames(void)
{
	/* Some tables for the shim to take, which is slower at clearing them; all others are taken.
	 */
	shim.leaf_start = shim.leaf_next;
	shim.leaf_zeroed = shim.leaf_start + LEAVES_ZEROED * PAGE;
	shim.upper_next = shim.own_end;
	shim.upper_zeroed = shim.own_end - UPPERS_ZEROED * PAGE;
	if (shim.leaf_zeroed > shim.upper_zeroed)
		shim.leaf_zeroed = shim.upper_zeroed = shim.own_end;
	fill(shim.leaf_start, shim.leaf_zeroed, 0);
	fill(shim.upper_zeroed, shim.own_end, 0);
	fill(shim.own_end, boot.used_end, ~0ull);
	boot.frames = (uint64_t *)(shim.own_end + boot.direct);
}

/* A random page-aligned address in a 512 GiB slot of its own, half of the slot free behind it. */
static uint64_t random_place(uint32_t *taken, uint64_t align)
{
	uint64_t r, slot;

	do {
		if (!cpu_random(&r))
			give_up("skete: the CPU gives no random numbers\n");
		slot = 1 + (r & 63) * 2;
	} while (*taken & 1u << (slot / 2 % 32));
	*taken |= 1u << (slot / 2 % 32);
	return slot << 39 | ((r >> 20 & ((1ull << 38) - 1)) & -align);
}

/* Is this word on the command line, before the program's arguments? */
static int has_option(const char *word)
{
	size_t length = kstrlen(word);

	for (const char *at = boot.cmdline; *at && memcmp(at, "-- ", 3); at++)
		if ((at == boot.cmdline || at[-1] == ' ') && !memcmp(at, word, length) &&
		    (!at[length] || at[length] == ' '))
			return 1;
	return 0;
}

static void relocate(uint64_t bias)
{
	uint64_t rela = 0, size = 0;

	for (const Elf64_Dyn *d = _DYNAMIC; d->d_tag != DT_NULL; d++) {
		if (d->d_tag == DT_RELA)
			rela = d->d_un.d_ptr;
		if (d->d_tag == DT_RELASZ)
			size = d->d_un.d_val;
	}
	for (const Elf64_Rela *r = (const void *)rela; size; r++, size -= sizeof(*r)) {
		if (ELF64_R_TYPE(r->r_info) != R_X86_64_RELATIVE)
			give_up("skete: the image has relocations other than RELATIVE\n");
		*(uint64_t *)r->r_offset = (uint64_t)r->r_addend + bias;
	}
}

void boot_start(void);
void boot_start(void)
{
	uint64_t bias;
	uint32_t taken = 0;

	if (shim.boot_kind == BOOT_PVH)
		read_pvh(shim.boot_info);
	else if (shim.boot_kind == BOOT_MULTIBOOT)
		read_multiboot(shim.boot_info);
	else
		read_linux(shim.boot_info);
	boot.has_x2apic = shim.x2apic;
	acpi_init();
	place();
	boot.watched = has_option("skete.gdb");
	bias = boot.watched ? SK_DEBUG_BIAS : random_place(&taken, PAGE);
	taken |= 1;
	boot.direct = random_place(&taken, 1ull << 30);
	boot.bias = bias;
	boot.root = shim.root;
	map_range((uint64_t)__image_start, SHIM_TEXT, bias, PTE_NX);
	map_range((uint64_t)__text_start, (uint64_t)__text_end, bias, 0);
	map_range((uint64_t)__text_end, (uint64_t)__ro_end, bias, PTE_NX);
	map_range((uint64_t)__ro_end, (uint64_t)__bss_end, bias, PTE_NX | PTE_W);
	for (uint32_t i = 0; i < boot.ram_count; i++)
		map_direct(boot.ram[i].start, boot.ram[i].end);
	map_shim();
	close_frames();
	relocate(bias);
	shim.upcall = (uint64_t)upcall_entry + bias;
	shim.fault = (uint64_t)fault_entry + bias;
	shim_syscall = (uint64_t)syscall_entry + bias;
	shim.exit = (uint64_t)exit_window + bias;
	shim.exit_len = (uint64_t)(exit_window_end - exit_window);
	shim.restart = (uint64_t)upcall_restart + bias;
	shim.ap_entry = (uint64_t)ap_start + bias;
	for (uint64_t i = 0; i < (uint64_t)(ap_trampoline_end - ap_trampoline); i++)
		((volatile char *)AP_TRAMPOLINE)[i] = ap_trampoline[i];
	*(volatile uint64_t *)(AP_TRAMPOLINE + 0xff8) = shim.root;
	request(REQ_SEAL, (uint64_t)kernel_main + bias, (uint64_t)boot_stack_top + bias, 0, 0);
	give_up("skete: the seal failed\n");
}
