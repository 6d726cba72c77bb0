/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * The console, and the driver of a 16550 at 0x3f8 with its FIFO, up to 16 bytes per request. Input
 * is polled, at growing intervals, by whoever reads.
 */
#include <errno.h>

#include "../arch/x86_64/platform.h"
#include "../kernel/kernel.h"
#include "../kernel/signals.h"
#include "vm.h"

#define PORT	    0x3f8
#define FIFO_BYTES  16
#define LSR_DATA    1
#define LSR_EMPTY   0x20
#define POLL_MIN    100000ull
#define POLL_MAX    10000000ull
#define END_OF_FILE 4 /* Ctrl-D */

static uint32_t lock;
static size_t burst = 1;      /* bytes to send at once */
static char fifo[FIFO_BYTES]; /* ring 0 reads the bytes here, where nothing can be missing */

static uint32_t in(uint32_t offset)
{
	return (uint32_t)request(REQ_IN, PORT + offset, 1, 0, 0) & 0xff;
}

/*
 * Turn the FIFO on, unless input is waiting already: that would be lost, so then every byte is sent
 * on its own. Skete's UART holds input back until RTS is set.
 */
void uart_init(void)
{
	if (!(in(5) & LSR_DATA)) {
		request(REQ_OUT, PORT + 2, 0x01, 1, 0);
		burst = FIFO_BYTES;
	}
	request(REQ_OUT, PORT + 4, 0x03, 1, 0);
}

void uart_write(const char *data, size_t bytes)
{
	while (bytes) {
		size_t n = bytes < burst ? bytes : burst;
		char copy[FIFO_BYTES];
		uint32_t before;

		memcpy(copy, data, n); /* may fault, so not under the lock */
		before = spin_lock(&lock);
		memcpy(fifo, copy, n);
		for (int tries = 0; tries < 1000000 && !(in(5) & LSR_EMPTY); tries++)
			cpu_relax();
		request(REQ_OUTS, PORT, (uint64_t)fifo, n, 0);
		spin_unlock(&lock, before);
		data += n;
		bytes -= n;
	}
}

int uart_byte(void)
{
	return in(5) & LSR_DATA ? (int)in(0) : -1;
}

void console_write(const char *data, size_t bytes)
{
	platform->console_write(data, bytes);
}

int console_is_terminal;
static int at_end, ahead = -1; /* a byte that console_ready() has taken */

static int next_byte(void)
{
	int c = __atomic_exchange_n(&ahead, -1, __ATOMIC_RELAXED);

	return c >= 0 ? c : platform->console_byte();
}

int console_ready(void)
{
	if (!at_end && ahead < 0)
		ahead = platform->console_byte();
	return at_end || ahead >= 0;
}

long console_read(char *data, size_t bytes)
{
	uint64_t wait = POLL_MIN;
	size_t n = 0;

	if (at_end || !bytes)
		return 0;
	while (n < bytes) {
		int c = next_byte();

		if (c >= 0) {
			if (c == END_OF_FILE && console_is_terminal) {
				at_end = n > 0;
				break;
			}
			data[n++] = c == '\r' && console_is_terminal ? '\n' : (char)c;
			if (data[n - 1] == '\n')
				break;
			continue;
		}
		if (c == CONSOLE_END)
			at_end = 1;
		if (n || at_end)
			break;
		if (signal_waiting(this_thread()))
			return signal_restart(-RESTART_UNLESS_HANDLED);
		sched_sleep(clock_ns() + wait);
		wait = wait * 2 < POLL_MAX ? wait * 2 : POLL_MAX;
	}
	return (long)n;
}

struct out {
	char data[160];
	uint32_t n;
};

static void put(struct out *out, char c)
{
	out->data[out->n++] = c;
	if (out->n == sizeof(out->data)) {
		console_write(out->data, out->n);
		out->n = 0;
	}
}

static void put_number(struct out *out, uint64_t value, uint32_t base, int width, char fill)
{
	char digits[24];
	int n = 0;

	do
		digits[n++] = "0123456789abcdef"[value % base];
	while (value /= base);
	while (width-- > n)
		put(out, fill);
	while (n)
		put(out, digits[--n]);
}

void kprintf(const char *format, ...)
{
	struct out out = {.n = 0};
	va_list args;

	va_start(args, format);
	for (; *format; format++) {
		int is_long = 0, width = 0;
		char fill = ' ';

		if (*format != '%') {
			put(&out, *format);
			continue;
		}
		if (*++format == '0')
			fill = '0';
		for (; *format >= '0' && *format <= '9'; format++)
			width = width * 10 + *format - '0';
		for (; *format == 'l'; format++)
			is_long = 1;
		if (*format == 's') {
			for (const char *s = va_arg(args, const char *); *s; s++)
				put(&out, *s);
		} else if (*format == 'c') {
			put(&out, (char)va_arg(args, int));
		} else {
			uint64_t v = is_long ? va_arg(args, uint64_t) : va_arg(args, uint32_t);

			if (*format == 'd' && (is_long ? (int64_t)v < 0 : (int32_t)v < 0)) {
				put(&out, '-');
				v = is_long ? -v : (uint64_t) - (int64_t)(int32_t)v;
			}
			put_number(&out, v, *format == 'x' ? 16 : 10, width, fill);
		}
	}
	va_end(args);
	console_write(out.data, out.n);
}
