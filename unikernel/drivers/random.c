/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * Random numbers: ChaCha20 (RFC 8439) in counter mode. Every request of at most 256 bytes takes a
 * fresh key mixed from the CPU's generator and the last key, and overwrites that key with the first
 * output block ("fast key erasure").
 */
#include <errno.h>

#include "../arch/x86_64/cpu.h"
#include "../kernel/kernel.h"

#define ROTL(v, n) ((v) << (n) | (v) >> (32 - (n)))

static uint32_t lock, key[8];

static void quarter(uint32_t *s, int a, int b, int c, int d)
{
	s[a] += s[b];
	s[d] = ROTL(s[d] ^ s[a], 16);
	s[c] += s[d];
	s[b] = ROTL(s[b] ^ s[c], 12);
	s[a] += s[b];
	s[d] = ROTL(s[d] ^ s[a], 8);
	s[c] += s[d];
	s[b] = ROTL(s[b] ^ s[c], 7);
}

static void block(const uint32_t k[8], uint32_t counter, uint32_t out[16])
{
	uint32_t start[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};

	memcpy(start + 4, k, 32);
	start[12] = counter;
	memcpy(out, start, sizeof(start));
	for (int i = 0; i < 10; i++) {
		for (int c = 0; c < 4; c++)
			quarter(out, c, c + 4, c + 8, c + 12);
		for (int c = 0; c < 4; c++)
			quarter(out, c, 4 + (c + 1) % 4, 8 + (c + 2) % 4, 12 + (c + 3) % 4);
	}
	for (int i = 0; i < 16; i++)
		out[i] += start[i];
}

int random_bytes(void *out, size_t bytes)
{
	uint32_t blocks[5][16];
	uint64_t seed[4];

	for (uint8_t *to = out; bytes;) {
		size_t n = bytes < 256 ? bytes : 256;
		uint32_t before;

		for (int i = 0; i < 4; i++)
			if (!cpu_random(&seed[i]))
				return -EIO;
		before = spin_lock(&lock);
		for (int i = 0; i < 4; i++) {
			key[2 * i] ^= (uint32_t)seed[i];
			key[2 * i + 1] ^= (uint32_t)(seed[i] >> 32);
		}
		for (uint32_t i = 0; i < 1 + (n + 63) / 64; i++)
			block(key, i, blocks[i]);
		memcpy(key, blocks[0], sizeof(key));
		spin_unlock(&lock, before);
		memcpy(to, blocks[1], n);
		to += n;
		bytes -= n;
	}
	memset(blocks, 0, sizeof(blocks));
	asm volatile("" : : "r"(blocks) : "memory");
	return 0;
}
