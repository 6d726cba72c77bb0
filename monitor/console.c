/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The host's end of the serial port. A reboot replaces the port; what the old one had still to say
 * is carried over, so that a reader sees one unbroken stream.
 */
#include "vm_internal.h"

#define CARRY_MAX_BYTES (1 << 20)

int console_init(struct console *console, bool is_present, struct sk_error *err)
{
	*console = (struct console){.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};
	if (!is_present)
		return 0;
	console->fd = sk_eventfd_create();
	if (console->fd < 0)
		return sk_error_set(err, console->fd, "cannot create an eventfd: %s",
				    strerror(-console->fd));
	return 0;
}

void console_fini(struct console *console)
{
	sk_close(&console->fd);
	free(console->carry);
	pthread_mutex_destroy(&console->lock);
}

void console_signal(void *ctx)
{
	struct console *console = ctx;

	sk_eventfd_signal(console->fd);
}

/*
 * Moves what the ports still hold behind the carry. A guest that reboots again and again while
 * nobody reads must not fill the host's memory: beyond the limit the newest text is lost. The lock
 * is held.
 */
static void carry_over_locked(struct console *console)
{
	uint8_t *grown = realloc(console->carry, CARRY_MAX_BYTES);

	if (!grown)
		return;
	console->carry = grown;
	console->carry_len -= console->carry_pos;
	memmove(grown, grown + console->carry_pos, console->carry_len);
	console->carry_pos = 0;
	console->carry_len += sk_conport_take(console->conport, grown + console->carry_len,
					      CARRY_MAX_BYTES - console->carry_len);
}

static void set_ports(struct console *console, struct sk_serial *serial, struct sk_conport *conport)
{
	pthread_mutex_lock(&console->lock);
	if (console->conport && !conport)
		carry_over_locked(console);
	console->serial = serial;
	console->conport = conport;
	pthread_mutex_unlock(&console->lock);
	if (console->fd >= 0)
		sk_eventfd_signal(console->fd);
}

void console_attach(struct console *console, const struct machine *machine)
{
	set_ports(console, machine->serial, machine->conport);
}

void console_detach(struct console *console)
{
	set_ports(console, NULL, NULL);
}

bool console_input_is_over(const struct console *console)
{
	return atomic_load_explicit(&console->is_input_over, memory_order_acquire);
}

void sk_vm_console_write_end(struct sk_vm *vm)
{
	/* Pairs with console_input_is_over(): who sees it sees all input. */
	atomic_store_explicit(&vm->console.is_input_over, true, memory_order_release);
}

static size_t take_carry_locked(struct console *console, uint8_t *buf, size_t len)
{
	size_t n = SK_MIN(len, console->carry_len - console->carry_pos);

	if (n == 0)
		return 0;
	memcpy(buf, console->carry + console->carry_pos, n);
	console->carry_pos += n;
	if (console->carry_pos == console->carry_len) {
		free(console->carry);
		console->carry = NULL;
		console->carry_pos = console->carry_len = 0;
	}
	return n;
}

int sk_vm_console_fd(const struct sk_vm *vm)
{
	return vm->console.fd;
}

size_t sk_vm_console_read(struct sk_vm *vm, void *buf, size_t len)
{
	struct console *console = &vm->console;
	uint8_t *to = buf;
	size_t n;

	if (console->fd < 0 || len == 0)
		return 0;
	/* Drained before the look at the queues: what comes later signals again. */
	(void)sk_eventfd_drain(console->fd);
	pthread_mutex_lock(&console->lock);
	n = take_carry_locked(console, to, len);
	if (n < len && console->conport)
		n += sk_conport_take(console->conport, to + n, len - n);
	pthread_mutex_unlock(&console->lock);
	/* Only what arrives in an empty queue is signalled: a full buffer may have left more. */
	if (n == len)
		sk_eventfd_signal(console->fd);
	return n;
}

size_t sk_vm_console_write(struct sk_vm *vm, const void *buf, size_t len)
{
	struct console *console = &vm->console;
	size_t n = 0;

	pthread_mutex_lock(&console->lock);
	if (console->serial)
		n = sk_serial_rx_put(console->serial, buf, len);
	pthread_mutex_unlock(&console->lock);
	return n;
}
