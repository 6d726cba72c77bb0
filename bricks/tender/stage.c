/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The memory of the code that stays; tender_internal.h draws it. */
#include <signal.h>
#include <sys/mman.h>

#include "tender_internal.h"

#define STACK_BYTES 65536 /* a signal frame with AVX-512 takes 4 KiB, the handler little */

static uint64_t data_bytes(void)
{
	return (sizeof(struct tender_stage) + TENDER_PAGE - 1) & ~(TENDER_PAGE - 1);
}

uint64_t stage_bytes(uint32_t cpus)
{
	return TENDER_PAGE + data_bytes() + cpus * (TENDER_PAGE + STACK_BYTES);
}

uint64_t stage_code(uint64_t address, const uint8_t *what)
{
	return address + (uint64_t)(what - tender_code);
}

static void describe_cpu(struct tender_stage *stage, uint32_t index, uint64_t stack)
{
	stage->cpu[index] = (struct tender_stage_cpu){
		.stack = stack,
		.stack_bytes = STACK_BYTES,
		.start =
			{
				.altstack = {stack, 0, STACK_BYTES},
				.start = (uint64_t)&stage->info.cpu[index].start,
				.ready = (uint64_t)&stage->ready,
				.index = index,
			},
	};
}

int stage_create(uint64_t address, uint32_t cpus, struct tender_stage **out, struct sk_error *err)
{
	uint8_t *base = (uint8_t *)address;
	uint64_t stacks = TENDER_PAGE + data_bytes();
	int ret;

	if (mmap(base, stage_bytes(cpus), PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != base)
		goto err;
	memcpy(base, tender_code, (size_t)(tender_code_end - tender_code));
	if (mprotect(base, TENDER_PAGE, PROT_READ | PROT_EXEC))
		goto err;
	*out = (struct tender_stage *)(void *)(base + TENDER_PAGE);
	for (uint32_t i = 0; i < cpus; i++) {
		uint8_t *guard = base + stacks + i * (TENDER_PAGE + STACK_BYTES);

		if (mprotect(guard, TENDER_PAGE, PROT_NONE))
			goto err;
		describe_cpu(*out, i, (uint64_t)guard + TENDER_PAGE);
	}
	return 0;
err:
	ret = -errno;
	return sk_error_set(err, ret, "cannot map the tender's code: %s", strerror(-ret));
}
