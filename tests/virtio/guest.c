/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * A hostile guest: drives every virtio-mmio device that it finds with malformed rings, and now and
 * then with a proper request, which has to work. Bare metal, 32 bits, entered by PVH; the command
 * line is "ROUNDS SEED" in decimal digits. It prints a dot for every 256 rounds of a device and
 * ends with status 0, or 100 + the id of a device that did not answer properly.
 *
 * A new device needs nothing here to be attacked, and an entry in ask_properly() to be asked.
 */
#include <stdbool.h>
#include <stdint.h>

#define SLOT_BASE   0xfeb00000u
#define SLOT_STRIDE 0x1000u
#define MAX_SLOTS   32u
#define MAX_QUEUES  6u /* of a device; the rest stays disabled */
#define RAM_END	    0x400000u
#define QUEUE_BASE  0x200000u /* descriptors, driver area, device area: a page each */
#define QUEUE_BYTES 0x4000u
#define DATA_BASE   0x300000u
#define DATA_MASK   0x7ffffu
#define MAX_SIZE    128u /* entries that fit the pages */
#define PATIENCE    2000000u
#define ASK_EVERY   256u

enum reg {
	MAGIC = 0x00,
	ID = 0x08,
	DEVICE_FEATURES = 0x10,
	DEVICE_FEATURES_SEL = 0x14,
	DRIVER_FEATURES = 0x20,
	DRIVER_FEATURES_SEL = 0x24,
	QUEUE_SEL = 0x30,
	QUEUE_MAX = 0x34,
	QUEUE_SIZE = 0x38,
	QUEUE_READY = 0x44,
	NOTIFY = 0x50,
	INTERRUPT_STATUS = 0x60,
	INTERRUPT_ACK = 0x64,
	STATUS = 0x70,
	DESC = 0x80,
	DRIVER = 0x90,
	DEVICE = 0xa0,
	CONFIG = 0x100,
};

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t third, fourth;
};

/* ---- The machine ---- */

__asm__(".section .note, \"a\", @note\n"
	".long 4, 4, 18\n" /* XEN_ELFNOTE_PHYS32_ENTRY */
	".asciz \"Xen\"\n"
	".long start\n"
	".text\n"
	".globl start\n"
	"start: cld\n"
	"mov $stack_top, %esp\n"
	"push 24(%ebx)\n" /* hvm_start_info.cmdline_paddr */
	"call guest_main\n");

void guest_main(const char *cmdline);

static void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "d"(port));
}

static uint8_t in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "d"(port));
	return value;
}

static void end(uint32_t status)
{
	__asm__ volatile("outl %0, %1" : : "a"(status), "d"((uint16_t)0x0e00));
	for (;;)
		__asm__ volatile("hlt");
}

static void print(char c)
{
	while (!(in8(0x3fd) & 0x20))
		;
	out8(0x3f8, (uint8_t)c);
}

static uint32_t read32(uint32_t at)
{
	return *(volatile uint32_t *)at;
}

static void write32(uint32_t at, uint32_t value)
{
	*(volatile uint32_t *)at = value;
}

static uint32_t seed;

static uint32_t any(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed;
}

static bool one_in(uint32_t n)
{
	return (any() & (n - 1)) == 0; /* n: a power of two */
}

/* ---- Rings ---- */

static uint32_t desc_at(uint32_t queue)
{
	return QUEUE_BASE + queue * QUEUE_BYTES;
}

static uint32_t driver_at(uint32_t queue)
{
	return desc_at(queue) + 0x1000;
}

static uint32_t device_at(uint32_t queue)
{
	return desc_at(queue) + 0x2000;
}

static void put_desc(uint32_t at, uint64_t addr, uint32_t len, uint16_t third, uint16_t fourth)
{
	volatile struct desc *d = (volatile struct desc *)at;

	d->addr = addr;
	d->len = len;
	d->third = third;
	d->fourth = fourth;
}

/* Mostly memory, sometimes its end, an indirect table, the rings themselves, or far away. */
static uint64_t any_address(void)
{
	switch (any() & 15) {
	case 0:
		return RAM_END - (any() & 31);
	case 1:
		return (uint64_t)any() << 32 | any();
	case 2:
		return UINT64_MAX - (any() & 31);
	case 3:
		return SLOT_BASE + (any() & 0xfff);
	case 4:
		return desc_at(any() & 3) + (any() & 0x3ff0);
	default:
		return DATA_BASE + (any() & DATA_MASK);
	}
}

static uint32_t any_length(void)
{
	switch (any() & 7) {
	case 0:
		return any();
	case 1:
		return 0;
	case 2:
		return 16 * (any() & 15);
	case 3:
		return UINT32_MAX - (any() & 15);
	default:
		return any() & 0x3ff;
	}
}

static void any_desc(uint32_t at, bool is_packed)
{
	uint16_t flags = any() & (one_in(4) ? 0xffff : 3), link = any() & 7;

	if (is_packed)
		put_desc(at, any_address(), any_length(), link,
			 flags | (one_in(8) ? 0x8000 : 0x80));
	else
		put_desc(at, any_address(), any_length(), flags, one_in(16) ? any() : link);
}

/* What a request of some device begins with, often enough. */
static void any_data(void)
{
	static const uint8_t few[] = {0, 1, 4, 8, 11, 13};
	uint32_t at = DATA_BASE + (any() & DATA_MASK & ~63u);

	write32(at, one_in(2) ? few[any() % sizeof(few)] : any());
	write32(at + 4, one_in(2) ? 0 : any());
	write32(at + 8, any() & 0xff);
	write32(at + 12, 0);
}

static void fill_ring(uint32_t queue, bool is_packed)
{
	volatile uint16_t *avail = (volatile uint16_t *)driver_at(queue);

	any_data();
	for (uint32_t i = any() & 7; i; i--)
		any_desc(desc_at(queue) + 16 * (any() & 7), is_packed);
	/* A table in the data, too. */
	any_desc(DATA_BASE + (any() & DATA_MASK & ~15u), is_packed);
	if (is_packed) {
		write32(driver_at(queue), any() & 0x3ffff);
		return;
	}
	avail[0] = any() & 1;
	for (uint32_t i = 0; i < 4; i++)
		avail[2 + i] = one_in(16) ? any() : any() & 7;
	avail[1] = one_in(8) ? any() : (uint16_t)(any() & 3);
}

/* ---- A device ---- */

static void set_area(uint32_t base, uint32_t reg, uint64_t gpa)
{
	write32(base + reg, (uint32_t)gpa);
	write32(base + reg + 4, (uint32_t)(gpa >> 32));
}

/* Returns whether rings are packed. */
static bool negotiate(uint32_t base, bool is_wild)
{
	uint32_t low, high;

	write32(base + DEVICE_FEATURES_SEL, 0);
	low = read32(base + DEVICE_FEATURES);
	write32(base + DEVICE_FEATURES_SEL, 1);
	high = read32(base + DEVICE_FEATURES);
	if (is_wild) {
		low &= any();
		high &= any() | 1;
		low |= one_in(32) ? any() : 0;
	} else {
		low &= 1u << 28;
		high &= 1;
	}
	write32(base + STATUS, 3);
	write32(base + DRIVER_FEATURES_SEL, 0);
	write32(base + DRIVER_FEATURES, low);
	write32(base + DRIVER_FEATURES_SEL, 1);
	write32(base + DRIVER_FEATURES, high);
	write32(base + STATUS, 11);
	return high & 4;
}

static void set_up_queue(uint32_t base, uint32_t queue, bool is_wild)
{
	uint32_t max = read32(base + QUEUE_MAX);
	uint32_t size = max < MAX_SIZE ? max : MAX_SIZE;

	if (is_wild && one_in(2))
		size = one_in(8) ? any() : 8;
	write32(base + QUEUE_SIZE, size);
	set_area(base, DESC, is_wild && one_in(16) ? any_address() : desc_at(queue));
	set_area(base, DRIVER, is_wild && one_in(16) ? any_address() : driver_at(queue));
	set_area(base, DEVICE, is_wild && one_in(16) ? any_address() : device_at(queue));
	write32(base + QUEUE_READY, 1);
}

static uint32_t set_up_queues(uint32_t base, bool is_wild)
{
	uint32_t queue;

	for (queue = 0; queue < MAX_QUEUES; queue++) {
		write32(base + QUEUE_SEL, queue);
		if (!read32(base + QUEUE_MAX))
			break;
		set_up_queue(base, queue, is_wild);
	}
	return queue;
}

/* What no driver should do. */
static void misbehave(uint32_t base)
{
	uint32_t at = base + (any() & 0x1ff);

	switch (any() & 7) {
	case 0: /* a register at an odd width */
		*(volatile uint8_t *)at = (uint8_t)any();
		(void)*(volatile uint16_t *)at;
		break;
	case 1: /* across registers, and across the end */
		*(volatile uint32_t *)(base + (any() & 0x1ff)) = any();
		(void)*(volatile uint32_t *)(base + 0x1fe);
		break;
	case 2: /* queues changed when they are live */
		write32(base + QUEUE_SEL, any() & 7);
		write32(base + QUEUE_SIZE, any() & 0x1ff);
		set_area(base, DESC, any_address());
		write32(base + QUEUE_READY, any() & 1);
		break;
	case 3:
		write32(base + NOTIFY, any());
		write32(base + INTERRUPT_ACK, any());
		break;
	case 4:
		write32(base + STATUS, any() & 0xff);
		break;
	case 5: /* a reset in flight */
		write32(base + STATUS, 0);
		break;
	case 6:
		write32(base + CONFIG + (any() & 0x3c), any());
		(void)read32(base + CONFIG + (any() & 0xfc));
		break;
	default:
		break;
	}
}

static void attack(uint32_t base)
{
	uint32_t nr_queues;
	bool is_packed;

	if (!one_in(8))
		write32(base + STATUS, 0);
	is_packed = negotiate(base, true);
	nr_queues = set_up_queues(base, true);
	if (one_in(8))
		misbehave(base);
	write32(base + STATUS, 15);
	for (uint32_t queue = 0; queue < nr_queues; queue++) {
		fill_ring(queue, is_packed);
		write32(base + NOTIFY, queue);
	}
	misbehave(base);
	/* The ring changes while the device looks at it. */
	if (nr_queues)
		fill_ring(any() % nr_queues, is_packed);
}

/* ---- Proper requests ---- */

/* Makes descriptor 0 of @queue available and waits; the number of bytes written, or UINT32_MAX. */
static uint32_t request(uint32_t base, uint32_t queue)
{
	volatile uint16_t *avail = (volatile uint16_t *)driver_at(queue);
	volatile uint16_t *used = (volatile uint16_t *)device_at(queue);

	avail[2] = 0;
	avail[1] = 1;
	write32(base + NOTIFY, queue);
	for (uint32_t i = 0; i < PATIENCE; i++)
		if (used[1] == 1)
			return read32(device_at(queue) + 8);
	return UINT32_MAX;
}

static void clear(uint32_t at, uint32_t len_bytes)
{
	for (uint32_t i = 0; i < len_bytes; i += 4)
		write32(at + i, 0);
}

static bool ask_rng(uint32_t base)
{
	uint32_t any_bit = 0;

	clear(DATA_BASE, 64);
	put_desc(desc_at(0), DATA_BASE, 64, 2, 0);
	if (request(base, 0) != 64)
		return false;
	for (uint32_t i = 0; i < 64; i += 4)
		any_bit |= read32(DATA_BASE + i);
	return any_bit;
}

static bool ask_console(uint32_t base)
{
	static const char text[] = "still here\n";

	put_desc(desc_at(1), (uint32_t)text, sizeof(text) - 1, 0, 0);
	return request(base, 1) == 0;
}

/* Reads the first sector. */
static bool ask_block(uint32_t base)
{
	clear(DATA_BASE, 16);
	write32(DATA_BASE + 1024, 0xff);
	put_desc(desc_at(0), DATA_BASE, 16, 1, 1);
	put_desc(desc_at(0) + 16, DATA_BASE + 512, 512, 3, 2);
	put_desc(desc_at(0) + 32, DATA_BASE + 1024, 1, 2, 0);
	return request(base, 0) == 513 && (read32(DATA_BASE + 1024) & 0xff) == 0;
}

/* Sends a frame of zeroes. */
static bool ask_net(uint32_t base)
{
	clear(DATA_BASE, 128);
	put_desc(desc_at(1), DATA_BASE, 12 + 60, 0, 0);
	return request(base, 1) == 0;
}

static bool ask_properly(uint32_t base, uint32_t id)
{
	bool is_good = true;

	write32(base + STATUS, 0);
	if (read32(base + STATUS))
		return false;
	negotiate(base, false);
	for (uint32_t queue = 0; queue < MAX_QUEUES; queue++) {
		clear(driver_at(queue), 16);
		clear(device_at(queue), 16);
	}
	set_up_queues(base, false);
	write32(base + STATUS, 15);
	switch (id) {
	case 1:
		is_good = ask_net(base);
		break;
	case 2:
		is_good = ask_block(base);
		break;
	case 3:
		is_good = ask_console(base);
		break;
	case 4:
		is_good = ask_rng(base);
		break;
	}
	return is_good && read32(base + STATUS) == 15;
}

static uint32_t nr_slots;

static void ask_all(void)
{
	for (uint32_t slot = 0; slot < nr_slots; slot++) {
		uint32_t base = SLOT_BASE + slot * SLOT_STRIDE, id = read32(base + ID);

		if (!ask_properly(base, id))
			end(100 + id);
	}
}

static uint32_t number(const char **text)
{
	uint32_t value = 0;

	while (**text == ' ')
		++*text;
	while (**text >= '0' && **text <= '9')
		value = value * 10 + (uint32_t)(*(*text)++ - '0');
	return value;
}

void guest_main(const char *cmdline)
{
	uint32_t rounds = number(&cmdline);

	seed = number(&cmdline) | 0x10000;
	while (nr_slots < MAX_SLOTS &&
	       read32(SLOT_BASE + nr_slots * SLOT_STRIDE + MAGIC) == 0x74726976)
		nr_slots++;
	if (!nr_slots)
		end(99);
	ask_all();
	for (uint32_t i = 1; i <= rounds; i++) {
		for (uint32_t slot = 0; slot < nr_slots; slot++)
			attack(SLOT_BASE + slot * SLOT_STRIDE);
		if (i % ASK_EVERY == 0) {
			ask_all();
			print('.');
		}
	}
	ask_all();
	print('\n');
	end(0);
}

__attribute__((used, aligned(16))) static uint8_t stack[8192];
__asm__(".set stack_top, stack + 8192");
