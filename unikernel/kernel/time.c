/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Clocks from the time-stamp counter: KVM's clock says how fast it runs and what time it is.
 * Without KVM, the local APIC's timer is the measure: QEMU's runs at 1 GHz divided by what we set.
 */
#include <time.h>

#include "../arch/x86_64/cpu.h"
#include "../arch/x86_64/platform.h"
#include "../drivers/vm.h"
#include "boot.h"
#include "kernel.h"

#define KVM_FEATURE_CLOCK2	 (1u << 3)
#define KVM_FEATURE_CLOCK_STABLE (1u << 24)
#define PVCLOCK_STABLE		 1
#define CALIBRATE_NS		 2000000

uint64_t boot_tsc;
static uint64_t wall_offset_ns; /* wall clock minus clock_ns() */
static uint64_t first_ns;
static uint32_t has_kvm_clock, all_stable;
/* Without KVM: ns = (tsc - boot_tsc) * mul >> 32. */
static uint64_t tsc_mul;

static uint64_t scale(uint64_t ticks, uint64_t mul, int shift)
{
	ticks = shift < 0 ? ticks >> -shift : ticks << shift;
	return (uint64_t)((unsigned __int128)ticks * mul >> 32);
}

static uint64_t read_pvclock(const struct pvclock *clock)
{
	uint32_t version;
	uint64_t ns;

	do {
		version = __atomic_load_n(&clock->version, __ATOMIC_ACQUIRE);
		ns = clock->system_ns + scale(rdtsc() - clock->tsc, clock->mul, clock->shift);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while (version & 1 || version != *(volatile const uint32_t *)&clock->version);
	return ns;
}

uint64_t tsc_clock_ns(void)
{
	uint32_t before;
	uint64_t ns;

	if (!has_kvm_clock)
		return scale(rdtsc() - boot_tsc, tsc_mul, 0);
	if (all_stable)
		return read_pvclock(&cpus[0].clock) - first_ns;
	before = mask();
	ns = read_pvclock(&this_cpu()->clock) - first_ns;
	unmask(before);
	return ns;
}

uint64_t clock_ns(void)
{
	return platform->clock_ns();
}

uint64_t clock_wall_ns(void)
{
	return platform->clock_wall_ns();
}

uint64_t clock_to_tsc(uint64_t ns)
{
	const struct pvclock *clock = &cpus[0].clock;
	uint64_t now = clock_ns(), ticks = ns > now ? ns - now : 0;

	if (!has_kvm_clock)
		return rdtsc() + (uint64_t)(((unsigned __int128)ticks << 32) / tsc_mul);
	if (ticks > 1ull << 40)
		ticks = 1ull << 40; /* a quarter of an hour; the interrupt is early then */
	ticks = (uint64_t)(((unsigned __int128)ticks << 32) / clock->mul);
	return rdtsc() + (clock->shift < 0 ? ticks << -clock->shift : ticks >> clock->shift);
}

uint64_t tsc_clock_wall_ns(void)
{
	return clock_ns() + wall_offset_ns;
}

void tsc_clock_read(int is_wall, struct timespec *now)
{
	uint64_t ns = tsc_clock_ns() + (is_wall ? wall_offset_ns : 0);

	now->tv_sec = (time_t)(ns / NS_PER_SEC);
	now->tv_nsec = (long)(ns % NS_PER_SEC);
}

static uint32_t cmos(uint32_t index)
{
	uint32_t value;

	request(REQ_OUT, 0x70, index, 1, 0);
	value = (uint32_t)request(REQ_IN, 0x71, 1, 0, 0) & 0xff;
	return (value >> 4) * 10 + (value & 15); /* BCD */
}

/* Seconds since 1970 from the battery clock, in UTC. */
static uint64_t rtc_seconds(void)
{
	uint32_t year = 2000 + cmos(9), month = cmos(8), day = cmos(7), era, doe;
	uint64_t days;

	if (month - 1 > 11 || day - 1 > 30)
		return 0;
	year -= month <= 2;
	era = year / 400;
	doe = (year - era * 400) * 365 + (year - era * 400) / 4 - (year - era * 400) / 100 +
	      (153 * (month + (month > 2 ? -3u : 9u)) + 2) / 5 + day - 1;
	days = (uint64_t)era * 146097 + doe - 719468;
	return ((days * 24 + cmos(4)) * 60 + cmos(2)) * 60 + cmos(0);
}

/* What the APIC's counter and the TSC say at the same time: the closest pair of readings of
 * several. */
static uint64_t read_both(uint64_t *tsc)
{
	uint64_t count = 0, closest = UINT64_MAX;

	for (int i = 0; i < 16; i++) {
		uint64_t before = rdtsc(), left, after;

		left = (uint32_t)request(REQ_APIC_READ, 0x390, 0, 0, 0);
		after = rdtsc();
		if (after - before >= closest)
			continue;
		closest = after - before;
		*tsc = before + closest / 2;
		count = 0xffffffff - left;
	}
	return count;
}

static void calibrate(void)
{
	uint64_t start_tsc, end_tsc, start, end;

	request(REQ_APIC_WRITE, 0x3e0, 0xb, 0, 0); /* divide by 1 */
	request(REQ_APIC_WRITE, 0x320, 0x10000 | VECTOR_SPURIOUS, 0, 0);
	request(REQ_APIC_WRITE, 0x380, 0xffffffff, 0, 0);
	start = read_both(&start_tsc);
	do
		end = read_both(&end_tsc);
	while (end - start < CALIBRATE_NS);
	tsc_mul = ((end - start) << 32) / (end_tsc - start_tsc);
	request(REQ_APIC_WRITE, 0x380, 0, 0, 0);
}

void tsc_clock_init_cpu(void)
{
	if (has_kvm_clock)
		request(REQ_CLOCK, 1, 0, 0, 0);
}

void tsc_clock_init(void)
{
	uint32_t r[4];
	const uint32_t *wall = cpus[0].wall;

	boot_tsc = rdtsc();
	cpuid(0x40000000, 0, r);
	if (r[1] == 0x4b4d564b) { /* "KVMK" */
		cpuid(0x40000001, 0, r);
		has_kvm_clock = !!(r[0] & KVM_FEATURE_CLOCK2);
	}
	if (!has_kvm_clock) {
		calibrate();
		wall_offset_ns = rtc_seconds() * NS_PER_SEC - clock_ns();
		return;
	}
	tsc_clock_init_cpu();
	request(REQ_CLOCK, 0, 0, 0, 0);
	all_stable = r[0] & KVM_FEATURE_CLOCK_STABLE && cpus[0].clock.flags & PVCLOCK_STABLE;
	first_ns = read_pvclock(&cpus[0].clock);
	wall_offset_ns = wall[1] * NS_PER_SEC + wall[2] + first_ns;
}
