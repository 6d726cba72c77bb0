/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * A hostile guest: drives every virtio device that it finds, over MMIO or PCI, with malformed
 * rings, and now and then with a proper request, which has to work. Bare metal, 32 bits, entered by
 * PVH; the command line is "ROUNDS SEED" in decimal digits. It prints a dot for every 64 rounds of
 * a device and ends with status 0, or 100 + the id of a device that did not answer properly.
 *
 * A balloon that is inflated with garbage takes pages of the guest, and must not get at this image:
 * its page numbers are larger than the small numbers that are in the rings everywhere, such as the
 * lengths of chains (guest.ld).
 *
 * A new device needs nothing here to be attacked, and an entry in ask_properly() to be asked.
 */
#include <stdbool.h>
#include <stdint.h>

#define ECAM_BASE   0xe0000000u
#define SLOT_BASE   0xfeb00000u
#define SLOT_STRIDE 0x1000u
#define MAX_SLOTS   32u
#define MAX_QUEUES  6u /* of a device; the rest stays disabled */
#define RAM_END	    0x2400000u
#define QUEUE_BASE  0x200000u /* descriptors, driver area, device area: a page each */
#define QUEUE_BYTES 0x4000u
#define DATA_BASE   0x300000u
#define DATA_MASK   0x7ffffu
#define MAX_SIZE    128u /* entries that fit the pages */
#define PATIENCE    2000000u
#define ASK_EVERY   64u

/*
 * Registers that both transports have (virtio 1.2, 4.2.2 and 4.1.4.3); 64-bit ones are followed by
 * their upper halves.
 */
enum reg {
	DEVICE_FEATURES_SEL,
	DEVICE_FEATURES,
	DRIVER_FEATURES_SEL,
	DRIVER_FEATURES,
	QUEUE_SEL,
	QUEUE_MAX, /* before QUEUE_SIZE is written */
	QUEUE_SIZE,
	QUEUE_READY,
	STATUS,
	DESC,
	DRIVER = DESC + 2,
	DEVICE = DRIVER + 2,
	NR_REGS = DEVICE + 2,
};

struct place {
	uint8_t offset, width;
};

static const struct place mmio_places[NR_REGS] = {
	{0x14, 4}, {0x10, 4}, {0x24, 4}, {0x20, 4}, {0x30, 4}, {0x34, 4}, {0x38, 4}, {0x44, 4},
	{0x70, 4}, {0x80, 4}, {0x84, 4}, {0x90, 4}, {0x94, 4}, {0xa0, 4}, {0xa4, 4},
};

static const struct place pci_places[NR_REGS] = {
	{0x00, 4}, {0x04, 4}, {0x08, 4}, {0x0c, 4}, {0x16, 2}, {0x18, 2}, {0x18, 2}, {0x1c, 2},
	{0x14, 1}, {0x20, 4}, {0x24, 4}, {0x28, 4}, {0x2c, 4}, {0x30, 4}, {0x34, 4},
};

struct dev {
	const struct place *places;
	uint32_t id;
	uint32_t common, len_bytes; /* of the registers: where, and how much may be poked at */
	uint32_t config;
	uint32_t notify, notify_multiplier; /* MMIO: one register for all */
	uint32_t notify_offset[MAX_QUEUES];
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

static uint32_t read_place(uint32_t at, unsigned width)
{
	switch (width) {
	case 1:
		return *(volatile uint8_t *)at;
	case 2:
		return *(volatile uint16_t *)at;
	default:
		return read32(at);
	}
}

static uint32_t get(const struct dev *d, unsigned reg)
{
	return read_place(d->common + d->places[reg].offset, d->places[reg].width);
}

static void set(const struct dev *d, unsigned reg, uint32_t value)
{
	uint32_t at = d->common + d->places[reg].offset;

	switch (d->places[reg].width) {
	case 1:
		*(volatile uint8_t *)at = (uint8_t)value;
		break;
	case 2:
		*(volatile uint16_t *)at = (uint16_t)value;
		break;
	default:
		write32(at, value);
	}
}

static void notify(const struct dev *d, uint32_t queue)
{
	uint32_t at = d->notify + d->notify_offset[queue % MAX_QUEUES] * d->notify_multiplier;

	if (d->places == mmio_places)
		write32(at, queue);
	else
		*(volatile uint16_t *)at = (uint16_t)queue;
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

static void set_area(const struct dev *d, unsigned reg, uint64_t gpa)
{
	set(d, reg, (uint32_t)gpa);
	set(d, reg + 1, (uint32_t)(gpa >> 32));
}

/* Returns whether rings are packed. */
static bool negotiate(const struct dev *d, bool is_wild)
{
	uint32_t low, high;

	set(d, DEVICE_FEATURES_SEL, 0);
	low = get(d, DEVICE_FEATURES);
	set(d, DEVICE_FEATURES_SEL, 1);
	high = get(d, DEVICE_FEATURES);
	if (is_wild) {
		low &= any();
		high &= any() | 1;
		low |= one_in(32) ? any() : 0;
	} else {
		low &= 1u << 28;
		high &= 1;
	}
	set(d, STATUS, 3);
	set(d, DRIVER_FEATURES_SEL, 0);
	set(d, DRIVER_FEATURES, low);
	set(d, DRIVER_FEATURES_SEL, 1);
	set(d, DRIVER_FEATURES, high);
	set(d, STATUS, 11);
	return high & 4;
}

static void set_up_queue(struct dev *d, uint32_t queue, uint32_t max, bool is_wild)
{
	uint32_t size = max < MAX_SIZE ? max : MAX_SIZE;

	if (is_wild && one_in(2))
		size = one_in(8) ? any() : 8;
	set(d, QUEUE_SIZE, size);
	set_area(d, DESC, is_wild && one_in(16) ? any_address() : desc_at(queue));
	set_area(d, DRIVER, is_wild && one_in(16) ? any_address() : driver_at(queue));
	set_area(d, DEVICE, is_wild && one_in(16) ? any_address() : device_at(queue));
	if (d->places == pci_places)
		d->notify_offset[queue] = read_place(d->common + 0x1e, 2);
	set(d, QUEUE_READY, 1);
}

static uint32_t set_up_queues(struct dev *d, bool is_wild)
{
	uint32_t queue;

	for (queue = 0; queue < MAX_QUEUES; queue++) {
		uint32_t max;

		set(d, QUEUE_SEL, queue);
		max = get(d, QUEUE_MAX);
		if (!max)
			break;
		set_up_queue(d, queue, max, is_wild);
	}
	return queue;
}

/* What no driver should do. */
static void misbehave(struct dev *d)
{
	uint32_t at = d->common + any() % d->len_bytes;

	switch (any() & 7) {
	case 0: /* a register at an odd width */
		*(volatile uint8_t *)at = (uint8_t)any();
		(void)*(volatile uint16_t *)at;
		break;
	case 1: /* across registers, and across the end */
		write32(at, any());
		(void)read32(d->common + d->len_bytes - 2);
		break;
	case 2: /* queues changed when they are live */
		set(d, QUEUE_SEL, any() & 7);
		set(d, QUEUE_SIZE, any() & 0x1ff);
		set_area(d, DESC, any_address());
		set(d, QUEUE_READY, any() & 1);
		break;
	case 3: /* doorbells of nobody */
		write32(d->notify, any());
		*(volatile uint8_t *)(d->notify + (any() & 0xf)) = (uint8_t)any();
		break;
	case 4:
		set(d, STATUS, any() & 0xff);
		break;
	case 5: /* a reset in flight */
		set(d, STATUS, 0);
		break;
	case 6:
		write32(d->config + (any() & 0x3c), any());
		(void)read32(d->config + (any() & 0xfc));
		break;
	default:
		break;
	}
}

static void attack(struct dev *d)
{
	uint32_t nr_queues;
	bool is_packed;

	if (!one_in(8))
		set(d, STATUS, 0);
	is_packed = negotiate(d, true);
	nr_queues = set_up_queues(d, true);
	if (one_in(8))
		misbehave(d);
	set(d, STATUS, 15);
	for (uint32_t queue = 0; queue < nr_queues; queue++) {
		fill_ring(queue, is_packed);
		notify(d, queue);
	}
	misbehave(d);
	/* The ring changes while the device looks at it. */
	if (nr_queues)
		fill_ring(any() % nr_queues, is_packed);
}

/* ---- Proper requests ---- */

/* Makes descriptor 0 of @queue available. */
static void offer(const struct dev *d, uint32_t queue)
{
	volatile uint16_t *avail = (volatile uint16_t *)driver_at(queue);

	avail[2] = 0;
	avail[1] = 1;
	notify(d, queue);
}

/* Waits until that is used; the number of bytes written, or UINT32_MAX. */
static uint32_t answer(uint32_t queue)
{
	volatile uint16_t *used = (volatile uint16_t *)device_at(queue);

	for (uint32_t i = 0; i < PATIENCE; i++)
		if (used[1] == 1)
			return read32(device_at(queue) + 8);
	return UINT32_MAX;
}

static uint32_t request(const struct dev *d, uint32_t queue)
{
	offer(d, queue);
	return answer(queue);
}

static void clear(uint32_t at, uint32_t len_bytes)
{
	for (uint32_t i = 0; i < len_bytes; i += 4)
		write32(at + i, 0);
}

static bool ask_rng(const struct dev *d)
{
	uint32_t any_bit = 0;

	clear(DATA_BASE, 64);
	put_desc(desc_at(0), DATA_BASE, 64, 2, 0);
	if (request(d, 0) != 64)
		return false;
	for (uint32_t i = 0; i < 64; i += 4)
		any_bit |= read32(DATA_BASE + i);
	return any_bit;
}

static bool ask_console(const struct dev *d)
{
	static const char text[] = "still here\n";

	put_desc(desc_at(1), (uint32_t)text, sizeof(text) - 1, 0, 0);
	return request(d, 1) == 0;
}

/* Reads the first sector. */
static bool ask_block(const struct dev *d)
{
	clear(DATA_BASE, 16);
	write32(DATA_BASE + 1024, 0xff);
	put_desc(desc_at(0), DATA_BASE, 16, 1, 1);
	put_desc(desc_at(0) + 16, DATA_BASE + 512, 512, 3, 2);
	put_desc(desc_at(0) + 32, DATA_BASE + 1024, 1, 2, 0);
	return request(d, 0) == 513 && (read32(DATA_BASE + 1024) & 0xff) == 0;
}

/* Sends a frame of zeroes. */
static bool ask_net(const struct dev *d)
{
	clear(DATA_BASE, 128);
	put_desc(desc_at(1), DATA_BASE, 12 + 60, 0, 0);
	return request(d, 1) == 0;
}

/* Gives a page and takes it back: it comes back empty. */
static bool ask_balloon(const struct dev *d)
{
	uint32_t page = DATA_BASE + 0x10000;

	write32(page, 0x600d);
	write32(DATA_BASE, page >> 12);
	put_desc(desc_at(0), DATA_BASE, 4, 0, 0);
	put_desc(desc_at(1), DATA_BASE, 4, 0, 0);
	return request(d, 0) == 0 && request(d, 1) == 0 && read32(page) == 0;
}

/* Connects to a port of the host where nobody listens (5.10.6): a reset comes back. */
static bool ask_vsock(const struct dev *d)
{
	enum { OP_REQUEST = 1, OP_RST = 3, TYPE_STREAM = 1, HEADER_BYTES = 44 };
	uint32_t packet = DATA_BASE, reply = DATA_BASE + 4096;

	clear(packet, HEADER_BYTES);
	write32(packet, read32(d->config)); /* from whom we are */
	write32(packet + 8, 2);		    /* to the host */
	write32(packet + 16, 1024);
	write32(packet + 20, 1025);
	write32(packet + 28, TYPE_STREAM | OP_REQUEST << 16);
	put_desc(desc_at(0), reply, 4096, 2, 0);
	put_desc(desc_at(1), packet, HEADER_BYTES, 0, 0);
	offer(d, 0);
	return request(d, 1) == 0 && answer(0) == HEADER_BYTES && read32(reply + 16) == 1025 &&
	       read32(reply + 28) >> 16 == OP_RST;
}

static bool ask_properly(struct dev *d)
{
	bool is_good = true;

	set(d, STATUS, 0);
	if (get(d, STATUS))
		return false;
	negotiate(d, false);
	for (uint32_t queue = 0; queue < MAX_QUEUES; queue++) {
		clear(driver_at(queue), 16);
		clear(device_at(queue), 16);
	}
	set_up_queues(d, false);
	set(d, STATUS, 15);
	switch (d->id) {
	case 1:
		is_good = ask_net(d);
		break;
	case 2:
		is_good = ask_block(d);
		break;
	case 3:
		is_good = ask_console(d);
		break;
	case 4:
		is_good = ask_rng(d);
		break;
	case 5:
		is_good = ask_balloon(d);
		break;
	case 19:
		is_good = ask_vsock(d);
		break;
	}
	return is_good && get(d, STATUS) == 15;
}

/* ---- Which devices there are ---- */

static struct dev devs[MAX_SLOTS];
static uint32_t nr_devs;

static void find_mmio(void)
{
	for (uint32_t slot = 0; slot < MAX_SLOTS; slot++) {
		uint32_t base = SLOT_BASE + slot * SLOT_STRIDE;

		if (read32(base) != 0x74726976)
			break;
		devs[nr_devs++] = (struct dev){
			.places = mmio_places,
			.id = read32(base + 0x08),
			.common = base,
			.len_bytes = 0x200,
			.config = base + 0x100,
			.notify = base + 0x50,
		};
	}
}

/* A capability of virtio at @cap (4.1.4): where what it names is. */
static uint32_t target(uint32_t function, uint32_t cap)
{
	uint32_t bar = function + 0x10 + 4 * read_place(cap + 4, 1);

	return (read32(bar) & ~15u) + read32(cap + 8);
}

static void find_pci(void)
{
	for (uint32_t slot = 0; slot < MAX_SLOTS && nr_devs < MAX_SLOTS; slot++) {
		uint32_t function = ECAM_BASE + (slot << 15), cap;
		struct dev *d = &devs[nr_devs];

		if (read_place(function, 2) != 0x1af4)
			continue;
		*(volatile uint16_t *)(function + 4) = 6; /* memory, bus master */
		*d = (struct dev){.places = pci_places, .id = read_place(function + 2, 2) - 0x1040};
		for (cap = read_place(function + 0x34, 1); cap;
		     cap = read_place(function + cap + 1, 1)) {
			if (read_place(function + cap, 1) != 9)
				continue;
			switch (read_place(function + cap + 3, 1)) {
			case 1:
				d->common = target(function, function + cap);
				break;
			case 2:
				d->notify = target(function, function + cap);
				d->notify_multiplier = read32(function + cap + 16);
				break;
			case 4:
				d->config = target(function, function + cap);
				break;
			}
		}
		/* All of its BAR, interrupt vectors included. */
		d->len_bytes = 0x8000;
		nr_devs++;
	}
}

static void ask_all(void)
{
	for (uint32_t i = 0; i < nr_devs; i++)
		if (!ask_properly(&devs[i]))
			end(100 + devs[i].id);
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
	find_mmio();
	if (!nr_devs)
		find_pci();
	if (!nr_devs)
		end(99);
	ask_all();
	for (uint32_t i = 1; i <= rounds; i++) {
		for (uint32_t j = 0; j < nr_devs; j++)
			attack(&devs[j]);
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
