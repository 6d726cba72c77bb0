/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * A guest that drives the PCI bus and the entropy device on it, bare metal. Its command line says
 * what it does, a letter for each:
 *
 *   D  finds the device by ports and by ECAM, sizes and moves its BAR, programs MSI-X, has random
 *      bytes written into a buffer, takes the interrupt; then the same with the vector masked,
 * which is pending and arrives when it is unmasked; at the end it resets the device M  moves the
 * BAR and rewrites the vectors 100 times H  10,000 accesses at random: widths, alignments,
 * values; configuration space, BAR, MSI-X, ECAM, ports X  ends with status 42
 *
 * What goes wrong ends it with the number of the line. On a partial KVM every instruction here is
 * emulated, so there are not many of them.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

#define ECAM	    0xe0000000ul
#define HOME	    0xc8000000u	  /* where the BAR is moved to */
#define HIGH	    0x100000000ul /* and once: the window above RAM */
#define RING_SIZE   8
#define BUF_BYTES   64
#define VECTOR	    0x41
#define VECTOR_CTRL 12

/* Offsets in the BAR, by the capabilities. */
static u32 common, notify, isr, table, pba;
static u32 slot, bar, msix_cap;

static u8 rings[3 * 4096] __attribute__((aligned(4096)));
static volatile u8 buffer[BUF_BYTES];
extern volatile u32 interrupts[256];

int guest_main(const char *script);

#define CHECK(cond)                      \
	do {                             \
		if (!(cond))             \
			return __LINE__; \
	} while (0)

static void out8(u16 port, u8 v)
{
	asm volatile("outb %0, %1" ::"a"(v), "Nd"(port));
}

static void out16(u16 port, u16 v)
{
	asm volatile("outw %0, %1" ::"a"(v), "Nd"(port));
}

static void out32(u16 port, u32 v)
{
	asm volatile("outl %0, %1" ::"a"(v), "Nd"(port));
}

static u32 in32(u16 port)
{
	u32 v;

	asm volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static u8 read8(u64 a)
{
	return *(volatile u8 *)a;
}

static u16 read16(u64 a)
{
	return *(volatile u16 *)a;
}

static u32 read32(u64 a)
{
	return *(volatile u32 *)a;
}

static void write8(u64 a, u8 v)
{
	*(volatile u8 *)a = v;
}

static void write16(u64 a, u16 v)
{
	*(volatile u16 *)a = v;
}

static void write32(u64 a, u32 v)
{
	*(volatile u32 *)a = v;
}

static u64 ecam(u32 reg)
{
	return ECAM + ((u64)slot << 15) + reg;
}

static u32 by_ports(u32 which, u32 reg)
{
	out32(0xcf8, 0x80000000u | which << 11 | reg);
	return in32(0xcfc);
}

static int find_device(void)
{
	u32 found = 0;

	for (slot = 0; slot < 32; slot++) {
		u32 id = read32(ecam(0));

		CHECK(by_ports(slot, 0) == id);
		CHECK(by_ports(slot, 8) == read32(ecam(8)));
		if (id == 0x10441af4)
			found = slot;
	}
	slot = 0;
	CHECK(read16(ecam(10)) == 0x0600);
	slot = found;
	CHECK(slot != 0);
	return 0;
}

static int find_capabilities(void)
{
	u32 cap = read8(ecam(0x34)), nr = 0;

	CHECK(read16(ecam(6)) & 0x10);
	for (; cap && nr < 32; cap = read8(ecam(cap + 1)), nr++) {
		if (read8(ecam(cap)) == 0x11) {
			msix_cap = cap;
			table = read32(ecam(cap + 4)) & ~7u;
			pba = read32(ecam(cap + 8)) & ~7u;
		} else if (read8(ecam(cap)) == 9) {
			u32 type = read8(ecam(cap + 3)), at = read32(ecam(cap + 8));

			common = type == 1 ? at : common;
			notify = type == 2 ? at : notify;
			isr = type == 3 ? at : isr;
		}
	}
	CHECK(cap == 0 && nr == 6 && msix_cap && table && pba && notify && isr);
	return 0;
}

static int size_and_move_bar(void)
{
	u32 old = read32(ecam(0x10)) & ~15u;

	CHECK((read32(ecam(0x10)) & 15) == 4);
	write16(ecam(4), 0);
	write32(ecam(0x10), ~0u);
	write32(ecam(0x14), ~0u);
	CHECK(read32(ecam(0x10)) == 0xffff8004u && read32(ecam(0x14)) == ~0u);
	write32(ecam(0x14), 0);
	write32(ecam(0x10), old);
	CHECK(read16(old + common + 18) == 0xffff);
	write16(ecam(4), 6);
	CHECK(read16(old + common + 18) == 1);
	write32(ecam(0x10), 0);
	write32(ecam(0x14), 1);
	CHECK(read16(old + common + 18) == 0xffff);
	CHECK(read16(HIGH + common + 18) == 1);
	write32(ecam(0x14), 0);
	CHECK(read16(HIGH + common + 18) == 0xffff);
	bar = HOME;
	write32(ecam(0x10), bar);
	if (bar != old)
		CHECK(read16(old + common + 18) == 0xffff);
	CHECK(read16(bar + common + 18) == 1);
	return 0;
}

static void program_vector(u32 n, u32 data, u32 masked)
{
	u64 entry = bar + table + 16 * n;

	write32(entry + VECTOR_CTRL, 1);
	write32(entry, 0xfee00000u);
	write32(entry + 4, 0);
	write32(entry + 8, data);
	write32(entry + VECTOR_CTRL, masked);
}

static int start_device(void)
{
	const u64 c = bar + common;

	write16(ecam(msix_cap + 2), 0x8000);
	program_vector(0, VECTOR - 1, 0);
	program_vector(1, VECTOR, 0);
	for (u32 i = 0; i < sizeof(rings); i += 8)
		*(volatile u64 *)(rings + i) = 0;
	write8(c + 20, 0);
	CHECK(read8(c + 20) == 0);
	write8(c + 20, 1);
	write8(c + 20, 3);
	write32(c + 8, 1);
	write32(c + 12, 1); /* VERSION_1 */
	write8(c + 20, 11);
	CHECK(read8(c + 20) == 11);
	write16(c + 22, 0);
	write16(c + 24, RING_SIZE);
	write16(c + 26, 1);
	CHECK(read16(c + 26) == 1);
	for (u32 i = 0; i < 3; i++) {
		write32(c + 32 + 8 * i, (u32)(u64)rings + 4096 * i);
		write32(c + 36 + 8 * i, 0);
	}
	write16(c + 28, 1);
	CHECK(read16(c + 28) == 1);
	write8(c + 20, 15);
	CHECK(read8(c + 20) == 15);
	return 0;
}

/* Makes the buffer available once more, and rings. */
static void ask(void)
{
	volatile u16 *avail = (volatile u16 *)(rings + 4096);

	for (u32 i = 0; i < BUF_BYTES; i++)
		buffer[i] = 0;
	*(volatile u64 *)rings = (u64)buffer;
	*(volatile u32 *)(rings + 8) = BUF_BYTES;
	*(volatile u16 *)(rings + 12) = 2; /* for the device to write */
	avail[2 + avail[1] % RING_SIZE] = 0;
	avail[1]++;
	write16(bar + notify, 0);
}

static u16 used_index(void)
{
	return *(volatile u16 *)(rings + 2 * 4096 + 2);
}

/* Interrupts open only together with the halt, so that none is lost in between. */
static void wait_for(u32 count)
{
	while (interrupts[VECTOR] != count)
		asm volatile("sti; hlt; cli" ::: "memory");
}

static int check_buffer(void)
{
	u32 zeroes = 0;

	for (u32 i = 0; i < BUF_BYTES; i++)
		zeroes += buffer[i] == 0;
	CHECK(zeroes < BUF_BYTES / 2);
	return 0;
}

static int use_device(void)
{
	const u64 control = bar + table + 16 + VECTOR_CTRL;
	u32 count = interrupts[VECTOR], ret;

	ask();
	wait_for(count + 1);
	CHECK(used_index() == 1);
	ret = check_buffer();
	if (ret)
		return ret;
	CHECK(read8(bar + isr) == 0);
	/* Masked: the bit is set once the device has signalled, and nothing arrives. */
	write32(control, 1);
	ask();
	while (!(read32(bar + pba) & 2))
		;
	CHECK(used_index() == 2 && interrupts[VECTOR] == count + 1);
	write32(control, 0);
	wait_for(count + 2);
	CHECK((read32(bar + pba) & 2) == 0);
	return check_buffer();
}

static int drive(void)
{
	int ret = find_device();

	ret = ret ? ret : find_capabilities();
	ret = ret ? ret : size_and_move_bar();
	ret = ret ? ret : start_device();
	ret = ret ? ret : use_device();
	if (ret)
		return ret;
	write8(bar + common + 20, 0);
	CHECK(read8(bar + common + 20) == 0);
	return 0;
}

/* Moves and vectors, which cost the monitor calls of KVM each. */
static int move_about(void)
{
	for (u32 i = 0; i < 100; i++) {
		bar = HOME + (i % 16) * 0x10000;
		write32(ecam(0x10), bar);
		program_vector(i & 1, i & 0xff, i % 3 == 0);
	}
	CHECK(read16(bar + common + 18) == 1);
	return 0;
}

static u32 seed = 1;

static u32 random(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

static u32 odd_value(void)
{
	static const u32 values[] = {0,		  1,	       ~0u,    0x80000000u,
				     0xfee00000u, 0xc8000000u, 0x8000, 0x100000};

	return values[random() % 8] ^ (random() % 4 ? 0 : random());
}

static void touch(u64 a, u32 v)
{
	switch (random() % 8) {
	case 0:
		write8(a, (u8)v);
		break;
	case 1:
		write16(a, (u16)v);
		break;
	case 2:
		write32(a, v);
		break;
	case 3:
		*(volatile u64 *)a = (u64)v << 32 | v;
		break;
	case 4:
		(void)read8(a);
		break;
	case 5:
		(void)read16(a);
		break;
	case 6:
		(void)read32(a);
		break;
	case 7:
		(void)*(volatile u64 *)a;
		break;
	}
}

static void touch_ports(void)
{
	u16 port = (u16)(0xcf8 + random() % 8);

	if (random() % 2)
		out32(0xcf8, 0x80000000u | (random() & 0xfff) << 2);
	switch (random() % 4) {
	case 0:
		out8(port, (u8)odd_value());
		break;
	case 1:
		out16(port, (u16)odd_value());
		break;
	case 2:
		out32(port, odd_value());
		break;
	case 3:
		(void)in32(port);
		break;
	}
}

/*
 * The vectors keep a message that is a plain interrupt, because this CPU is to survive those that
 * it sends itself.
 */
static int misbehave(void)
{
	for (u32 i = 0; i < 10000; i++) {
		switch (random() % 6) {
		case 0:
			touch(ecam(random() % 0x100), odd_value());
			break;
		case 1:
			touch(ECAM + random() % 0xffff8, odd_value());
			break;
		case 2:
			touch(bar + random() % 0x40, odd_value());
			break;
		case 3:
			touch(bar + random() % 0x4000, odd_value());
			break;
		case 4:
			touch(bar + table + random() % 0x28, odd_value() & 0xfee000ffu);
			break;
		case 5:
			touch_ports();
			break;
		}
		/* Most of the time the BAR is where it can be reached. */
		if (i % 16 == 0) {
			write32(ecam(0x14), 0);
			write32(ecam(0x10), bar);
			write16(ecam(4), 6);
		}
	}
	write32(ecam(0x14), 0);
	write32(ecam(0x10), bar);
	write16(ecam(4), 6);
	write16(ecam(msix_cap + 2), 0);
	return 0;
}

int guest_main(const char *script)
{
	int ret = 0;

	for (; !ret && *script; script++) {
		switch (*script) {
		case 'D':
			ret = drive();
			break;
		case 'M':
			ret = move_about();
			break;
		case 'H':
			ret = misbehave();
			break;
		case 'X':
			ret = 42;
			break;
		}
	}
	return ret;
}
