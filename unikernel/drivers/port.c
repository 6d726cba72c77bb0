/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * The console port of Skete's monitor: a buffer for each request, by way of memory whose physical
 * address is known. Nothing waits in the host: when it takes less, this side tries again later.
 *
 * An exit for each write is dear, so who writes more than a few times gets a ring in memory and a
 * doorbell, which the host's reader wants rung only when it sleeps. What finds no room in the ring
 * goes by request.
 */
#include <skete/abi/console.h>

#include "../arch/x86_64/cpu.h"
#include "../arch/x86_64/platform.h"
#include "../kernel/boot.h"
#include "../kernel/kernel.h"
#include "../kernel/thread.h"
#include "../mm/mm.h"
#include "vm.h"

#define BUFFER_BYTES SK_CONSOLE_WHOLE_BYTES /* so much of a write stays together */
#define WAIT_MIN_NS  100000ull
#define WAIT_MAX_NS  5000000ull
#define TRIES_MAX    100000 /* by who may not sleep */
#define RING_PAGES   16
#define RING_BYTES   (RING_PAGES * (uint32_t)PAGE_SIZE)
#define RING_FROM    1024 /* free frames: who has little memory keeps it */
#define RING_AFTER   8	  /* writes: to set it up costs as much as some of them */

struct buffer {
	struct sk_console_request request;
	char data[BUFFER_BYTES];
} __attribute__((aligned(32)));

static struct buffer output, input;
static struct sk_console_ring ring __attribute__((aligned(64)));
static char *ring_data;
static volatile uint32_t *doorbell; /* NULL: there is no ring */
static uint32_t writes;
static uint32_t output_lock, input_lock, input_at, input_end;
static struct cpu *volatile writer; /* who holds output_lock */

int port_is_there(void)
{
	return (uint32_t)request(REQ_IN, SK_CONSOLE_PORT, 4, 0, 0) == SK_CONSOLE_ID;
}

/* The image lies in memory as it was linked. Returns how many bytes were moved. */
static uint32_t perform_at(struct buffer *buffer, uint32_t operation, const void *at,
			   uint32_t bytes)
{
	buffer->request.buffer_gpa = (uint64_t)at - boot.bias;
	buffer->request.len_bytes = bytes;
	buffer->request.operation = operation;
	buffer->request.done_bytes = 0;
	buffer->request.status = 0;
	request(REQ_OUT, SK_CONSOLE_PORT,
		((uint64_t)&buffer->request - boot.bias) >> SK_CONSOLE_ADDRESS_SHIFT, 4, 0);
	return buffer->request.done_bytes;
}

static uint32_t perform(struct buffer *buffer, uint32_t operation, uint32_t bytes)
{
	return perform_at(buffer, operation, buffer->data, bytes);
}

/* Once, and not by who may hold the lock of memory. */
static void ring_start(void)
{
	uint32_t before;
	uint64_t gpa;
	char *page;

	ring_data = frames_free_count >= RING_FROM ? kernel_pages(RING_PAGES) : NULL;
	if (!ring_data)
		return;
	ring.data_gpa = (uint64_t)ring_data - boot.direct;
	before = spin_lock(&output_lock);
	perform_at(&output, SK_CONSOLE_RING, &ring, RING_BYTES);
	gpa = output.request.status ? 0 : output.request.doorbell_gpa;
	spin_unlock(&output_lock, before);
	page = gpa ? mm_map_device(gpa & -PAGE_SIZE) : NULL;
	if (page)
		__atomic_store_n(&doorbell, (void *)(page + (gpa & (PAGE_SIZE - 1))),
				 __ATOMIC_RELEASE);
}

/* All of it, or nothing: 0. Under the lock. */
static uint32_t ring_put(const char *data, uint32_t n)
{
	uint32_t produced = ring.produced, at = produced % RING_BYTES;
	uint32_t first = n < RING_BYTES - at ? n : RING_BYTES - at;

	/* Acquire: the host has read what stood where we write. */
	if (n > RING_BYTES - (produced - __atomic_load_n(&ring.consumed, __ATOMIC_ACQUIRE)))
		return 0;
	memcpy(ring_data + at, data, first);
	memcpy(ring_data, data + first, n - first);
	__atomic_store_n(&ring.produced, produced + n, __ATOMIC_RELEASE);
	/* The host sets the flag and then looks at produced: one of us sees the other. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&ring.wants_doorbell, __ATOMIC_RELAXED)) {
		__atomic_store_n(&ring.wants_doorbell, 0, __ATOMIC_RELAXED);
		*doorbell = 1;
	}
	return n;
}

/* A copy under the lock must not find a page missing that is nobody's: then it faults here. */
static void touch(const char *data, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += PAGE_SIZE)
		(void)*(const volatile char *)(data + at);
	(void)*(const volatile char *)(data + bytes - 1);
}

void port_write(const char *data, size_t bytes)
{
	uint64_t wait = WAIT_MIN_NS;
	int tries = 0;

	while (bytes && tries < TRIES_MAX) {
		uint32_t n = bytes < BUFFER_BYTES ? (uint32_t)bytes : BUFFER_BYTES, before, done;
		int may_sleep = !is_masked();

		if (may_sleep && !doorbell &&
		    __atomic_add_fetch(&writes, 1, __ATOMIC_RELAXED) == RING_AFTER)
			ring_start();
		touch(data, n);
		before = mask();
		if (writer != this_cpu()) /* else it is a report about this very function */
			spin_lock(&output_lock);
		writer = this_cpu();
		done = __atomic_load_n(&doorbell, __ATOMIC_ACQUIRE) ? ring_put(data, n) : 0;
		if (!done) {
			memcpy(output.data, data, n);
			done = perform(&output, SK_CONSOLE_WRITE, n);
		}
		writer = NULL;
		spin_unlock(&output_lock, before);
		data += done;
		bytes -= done;
		if (done) {
			wait = WAIT_MIN_NS;
			tries = 0;
			continue;
		}
		if (output.request.status & SK_CONSOLE_BAD)
			return;
		if (may_sleep) {
			sched_sleep(clock_ns() + wait);
			wait = wait * 2 < WAIT_MAX_NS ? wait * 2 : WAIT_MAX_NS;
		} else {
			tries++;
		}
	}
}

int port_byte(void)
{
	uint32_t before = spin_lock(&input_lock);
	int byte = -1;

	if (input_at == input_end) {
		input_at = 0;
		input_end = perform(&input, SK_CONSOLE_READ, BUFFER_BYTES);
	}
	if (input_at < input_end)
		byte = (uint8_t)input.data[input_at++];
	else if (input.request.status & SK_CONSOLE_END)
		byte = CONSOLE_END;
	spin_unlock(&input_lock, before);
	return byte;
}
