/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * A program with a malloc() of its own, which the C library then uses as well: blocks lie one after
 * the other in an array and never come back.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Alignas(16) char heap[1 << 20];
static size_t used;
static int frees;

void *malloc(size_t bytes)
{
	size_t *block = (size_t *)(heap + used);

	if (bytes > sizeof(heap) - used - 32)
		return NULL;
	used += 16 + ((bytes + 15) & -16ul);
	*block = bytes;
	return block + 2;
}

void free(void *block)
{
	frees += block != NULL;
}

void *calloc(size_t count, size_t bytes)
{
	return malloc(count * bytes); /* fresh memory is zero */
}

void *realloc(void *block, size_t bytes)
{
	void *to = malloc(bytes);

	if (block && to)
		memcpy(to, block, ((size_t *)block)[-2] < bytes ? ((size_t *)block)[-2] : bytes);
	return to;
}

int main(void)
{
	char *volatile mine = malloc(100), *libcs = strdup("a string of the C library's");
	int is_inside = libcs > heap && libcs < heap + sizeof(heap);

	free(mine);
	printf("own malloc %s, %d freed\n", is_inside ? "used" : "passed by", frees);
	return 0;
}
