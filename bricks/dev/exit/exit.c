/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include <skete/dev/exit.h>

#include <stdatomic.h>

#define STATE_VERSION 1

struct sk_exit {
	struct sk_exit_config config; /* immutable */
	_Atomic uint64_t ignored;     /* a statistic: relaxed */
};

/* The debug port, as hw/misc/debugexit.c of QEMU: any write ends, with the offset ignored. */
static uint64_t debug_read(void *dev, uint64_t offset, unsigned size_bytes)
{
	(void)dev;
	(void)offset;
	(void)size_bytes;
	return 0;
}

static void debug_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
	struct sk_exit *d = dev;

	(void)offset;
	(void)size_bytes;
	d->config.on_exit(d->config.ctx, (uint32_t)value << 1 | 1);
}

/* The status port: <skete/abi/exit.h>. */
static uint64_t status_read(void *dev, uint64_t offset, unsigned size_bytes)
{
	(void)dev;
	return offset == 0 && size_bytes == 4 ? SK_EXIT_ID : UINT64_MAX;
}

static void status_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
	struct sk_exit *d = dev;

	if (offset == 0 && size_bytes == 4)
		d->config.on_exit(d->config.ctx, (uint32_t)value);
	else
		atomic_fetch_add_explicit(&d->ignored, 1, memory_order_relaxed);
}

static const struct sk_bus_ops debug_ops = {.read = debug_read, .write = debug_write};
static const struct sk_bus_ops status_ops = {.read = status_read, .write = status_write};

int sk_exit_create(struct sk_exit **out, const struct sk_exit_config *config, struct sk_error *err)
{
	struct sk_exit *d;

	if (!config->on_exit)
		return sk_error_set(err, -EINVAL, "exit: nobody to tell (on_exit is NULL)");
	d = calloc(1, sizeof(*d));
	if (!d)
		return sk_error_set(err, -ENOMEM, "exit: out of memory");
	d->config = *config;
	*out = d;
	return 0;
}

void sk_exit_destroy(struct sk_exit *d)
{
	free(d);
}

int sk_exit_attach(struct sk_exit *d, struct sk_bus *pio, struct sk_error *err)
{
	int r = 0;

	if (d->config.has_debug_port)
		r = sk_bus_add(pio, SK_EXIT_DEBUG_PORT, SK_EXIT_DEBUG_PORTS, &debug_ops, d,
			       "exit (debug port)", err);
	if (r)
		return r;
	if (d->config.has_status_port)
		r = sk_bus_add(pio, SK_EXIT_PORT, SK_EXIT_PORTS, &status_ops, d,
			       "exit (status port)", err);
	/* If even the removal fails, for want of memory, the ports stay until the bus is gone. */
	if (r && d->config.has_debug_port && sk_bus_remove(pio, SK_EXIT_DEBUG_PORT))
		sk_error_prefix(err, "exit: the debug port could not be removed again");
	return r;
}

int sk_exit_detach(struct sk_exit *d, struct sk_bus *pio)
{
	int first = 0, second = 0;

	if (d->config.has_status_port)
		first = sk_bus_remove(pio, SK_EXIT_PORT);
	if (d->config.has_debug_port)
		second = sk_bus_remove(pio, SK_EXIT_DEBUG_PORT);
	return first ? first : second;
}

uint64_t sk_exit_ignored(const struct sk_exit *d)
{
	return atomic_load_explicit(&d->ignored, memory_order_relaxed);
}

void sk_exit_save(const struct sk_exit *d, struct sk_writer *w)
{
	sk_put_u32(w, STATE_VERSION);
	sk_put_u64(w, sk_exit_ignored(d));
}

int sk_exit_restore(struct sk_exit *d, struct sk_reader *r, struct sk_error *err)
{
	uint32_t version = sk_get_u32(r);
	uint64_t ignored = sk_get_u64(r);

	if (!sk_reader_ok(r))
		return sk_error_set(err, -EINVAL, "exit: the saved state is truncated");
	if (version != STATE_VERSION)
		return sk_error_set(err, -EINVAL,
				    "exit: the saved state has version %u, this one reads %u",
				    version, STATE_VERSION);
	atomic_store_explicit(&d->ignored, ignored, memory_order_relaxed);
	return 0;
}
