/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Frames: one bit each in a map behind the page tables, set when used. Small requests are served
 * from low addresses, the data of files from a quarter on, 2 MiB requests from high addresses, so
 * that they stay out of each other's way.
 */
#include "../arch/x86_64/cpu.h"
#include "../kernel/boot.h"
#include "../kernel/kernel.h"
#include "mm.h"

#define RUN_PAGES 16 /* so many free frames in a row a file that grows looks for */
#define RUN_WORDS 64 /* of the map, among so many */

uint64_t frames_free_count, frames_total;
static uint64_t words, low_hint, data_hint, high_hint;

static uint64_t data_start(void)
{
	return words / 4;
}

static void release(uint64_t start, uint64_t end)
{
	uint64_t first = start / PAGE_SIZE, last = end / PAGE_SIZE;

	for (uint64_t f = first; f < last;) {
		if (!(f & 63) && last - f >= 64) {
			boot.frames[f / 64] = 0;
			f += 64;
		} else {
			boot.frames[f / 64] &= ~(1ull << (f & 63));
			f++;
		}
	}
	frames_free_count += last - first;
}

void frames_add(uint64_t start, uint64_t end)
{
	release(start, end);
	frames_total += (end - start) / PAGE_SIZE;
	low_hint = 0;
	data_hint = data_start();
	high_hint = words;
}

static void release_around(uint64_t start, uint64_t end, uint64_t hole, uint64_t hole_end)
{
	if (hole_end <= start || hole >= end) {
		release(start, end);
		return;
	}
	if (start < hole)
		release(start, hole);
	if (hole_end < end)
		release(hole_end, end);
}

void frames_init(void)
{
	uint64_t initrd_end = (boot.initrd + boot.initrd_bytes + PAGE_SIZE - 1) & -PAGE_SIZE;
	uint64_t initrd = boot.initrd & -PAGE_SIZE;

	words = boot.ram_end / PAGE_SIZE / 64;
	data_hint = data_start();
	high_hint = words;
	for (uint32_t i = 0; i < boot.ram_count; i++) {
		uint64_t start = boot.ram[i].start, end = boot.ram[i].end;

		if (boot.used_start >= start && boot.used_end <= end) {
			release_around(start, boot.used_start, initrd, initrd_end);
			start = boot.used_end;
		}
		release_around(start, end, initrd, initrd_end);
	}
	frames_total = frames_free_count;
}

static uint64_t alloc_huge(void)
{
	uint64_t w = high_hint & ~7ull;

	while (w >= 8) {
		uint64_t *map = &boot.frames[w -= 8];

		if (map[0] | map[1] | map[2] | map[3] | map[4] | map[5] | map[6] | map[7])
			continue;
		memset(map, 0xff, 64);
		high_hint = w;
		frames_free_count -= 512;
		return w * 64 * PAGE_SIZE;
	}
	high_hint = 0;
	return 0;
}

/* As many low bits; at most 64. */
static uint64_t bits(uint32_t pages)
{
	return ~0ull >> (64 - pages);
}

/* A free aligned run of `pages` in a word, or -1. */
static int find_run(uint64_t used, uint32_t pages)
{
	uint64_t run = bits(pages);

	if (pages == 1)
		return ~used ? __builtin_ctzll(~used) : -1;
	for (uint32_t at = 0; at < 64; at += pages)
		if (!(used & run << at))
			return (int)at;
	return -1;
}

uint64_t frames_alloc(uint32_t pages)
{
	if (frames_free_count < pages)
		return 0;
	if (pages == 512)
		return alloc_huge();
	for (uint64_t w = low_hint; w < words; w++) {
		int at = boot.frames[w] == ~0ull ? -1 : find_run(boot.frames[w], pages);

		if (at < 0) {
			if (w == low_hint && boot.frames[w] == ~0ull)
				low_hint++;
			continue;
		}
		boot.frames[w] |= bits(pages) << at;
		frames_free_count -= pages;
		return (w * 64 + (uint64_t)at) * PAGE_SIZE;
	}
	return 0;
}

static uint64_t take(uint64_t frame)
{
	boot.frames[frame / 64] |= 1ull << (frame & 63);
	frames_free_count--;
	return frame * PAGE_SIZE;
}

uint64_t frames_alloc_data(uint64_t before)
{
	uint64_t next = before / PAGE_SIZE + 1, last;

	if (!frames_free_count)
		return 0;
	if (before && next < words * 64 && !(boot.frames[next / 64] >> (next & 63) & 1))
		return take(next);
	while (data_hint < words && boot.frames[data_hint] == ~0ull)
		data_hint++;
	last = words - data_hint < RUN_WORDS ? words : data_hint + RUN_WORDS;
	for (uint64_t w = data_hint; before && w < last; w++) {
		int at = find_run(boot.frames[w], RUN_PAGES);

		if (at >= 0)
			return take(w * 64 + (uint64_t)at);
	}
	return data_hint < words
		       ? take(data_hint * 64 + (uint64_t)find_run(boot.frames[data_hint], 1))
		       : frames_alloc(1);
}

void frames_free(uint64_t pa, uint32_t pages)
{
	uint64_t f = pa / PAGE_SIZE;

	if (f / 64 < low_hint)
		low_hint = f / 64;
	if (f / 64 < data_hint && f / 64 >= data_start())
		data_hint = f / 64;
	if (f / 64 + 8 > high_hint)
		high_hint = f / 64 + 8 < words ? f / 64 + 8 : words;
	frames_free_count += pages;
	if (pages == 512) {
		memset(&boot.frames[f / 64], 0, 64);
		return;
	}
	boot.frames[f / 64] &= ~(bits(pages) << (f & 63));
}
