/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The console device: virtio 1.2, 5.3. */
#include "console_internal.h"

#include <stdio.h>

#define STATE_VERSION 1
#define QUEUE_SIZE    128
#define DRAIN_NS      UINT64_C(1000000000)
#define EMERG_OFFSET  offsetof(struct virtio_console_config, emerg_wr)

static int console_start(void *dev)
{
	struct sk_console *c = dev;

	c->is_running = true;
	return 0;
}

static void console_kick(void *dev, uint32_t index)
{
	struct sk_console *c = dev;
	uint32_t port = index < 2 ? 0 : index / 2 - 1;

	if (index == QUEUE_CONTROL_IN)
		control_receive(c);
	else if (index == QUEUE_CONTROL_OUT)
		control_transmit(c);
	else if (index % 2)
		port_transmit(&c->ports[port]);
	else
		port_receive(&c->ports[port]);
}

static void console_quiesce(void *dev, bool is_reset)
{
	struct sk_console *c = dev;

	/* No chain is kept between two calls, and the rest is the host's. */
	c->is_running = false;
	for (uint32_t i = 0; is_reset && i < c->nr_ports; i++) {
		c->ports[i].is_open = false;
		c->ports[i].pending = 0;
		c->ports[i].skip_bytes = 0;
	}
	sk_virtio_quiesced(c->virtio);
}

static void console_resume(void *dev)
{
	struct sk_console *c = dev;

	c->is_running = true;
}

static void console_config_write(void *dev, uint32_t offset_bytes, const void *data,
				 uint32_t len_bytes)
{
	struct sk_console *c = dev;

	(void)len_bytes;
	if (offset_bytes == EMERG_OFFSET)
		port_put(&c->ports[0], *(const uint8_t *)data);
}

/* ---- State ---- */

static void save_port(const struct port *port, struct sk_writer *w)
{
	uint32_t first = SK_MIN(port->out_len, SK_CONSOLE_OUT_BYTES - port->out_pos);

	sk_put_u8(w, port->is_open);
	sk_put_u8(w, port->pending);
	sk_put_u64(w, port->skip_bytes);
	sk_put_u32(w, port->in_len);
	sk_put_bytes(w, port->in + port->in_pos, port->in_len);
	sk_put_u32(w, port->out_len);
	sk_put_bytes(w, port->out + port->out_pos, first);
	sk_put_bytes(w, port->out, port->out_len - first);
}

static void console_save(void *dev, struct sk_writer *w)
{
	struct sk_console *c = dev;

	sk_put_u32(w, STATE_VERSION);
	sk_put_u32(w, c->nr_ports);
	for (uint32_t i = 0; i < c->nr_ports; i++)
		save_port(&c->ports[i], w);
}

static bool restore_port(struct port *port, struct sk_reader *r)
{
	uint8_t is_open = sk_get_u8(r), pending = sk_get_u8(r);
	uint64_t skip_bytes = sk_get_u64(r);
	uint32_t in_len = sk_get_u32(r), out_len;

	if (!sk_reader_ok(r) || is_open > 1 || (pending & ~PENDING_ALL) ||
	    skip_bytes > UINT32_MAX || in_len > SK_CONSOLE_IN_BYTES)
		return false;
	sk_get_bytes(r, port->in, in_len);
	out_len = sk_get_u32(r);
	if (!sk_reader_ok(r) || out_len > SK_CONSOLE_OUT_BYTES)
		return false;
	sk_get_bytes(r, port->out, out_len);
	port->is_open = is_open;
	port->pending = pending;
	port->skip_bytes = skip_bytes;
	port->in_pos = port->out_pos = 0;
	port->in_len = in_len;
	port->out_len = out_len;
	return sk_reader_ok(r);
}

static int console_restore(void *dev, struct sk_reader *r, struct sk_error *err)
{
	struct sk_console *c = dev;
	uint32_t version = sk_get_u32(r), nr_ports = sk_get_u32(r);

	if (version != STATE_VERSION || nr_ports != c->nr_ports)
		return sk_error_set(err, -EINVAL,
				    "console: the saved state is of version %u with %u ports, this "
				    "one is of version %u with %u",
				    version, nr_ports, STATE_VERSION, c->nr_ports);
	for (uint32_t i = 0; i < nr_ports; i++)
		if (!restore_port(&c->ports[i], r))
			return sk_error_set(err, -EINVAL,
					    "console: the saved state of port %u is truncated or "
					    "impossible",
					    i);
	return 0;
}

static const struct sk_virtio_ops console_ops = {
	.start = console_start,
	.kick = console_kick,
	.quiesce = console_quiesce,
	.resume = console_resume,
	.config_write = console_config_write,
	.save = console_save,
	.restore = console_restore,
};

/* ---- The object ---- */

static bool is_multiport(const struct sk_console_config *config)
{
	return config->nr_ports > 1 || config->ports[0].name || !config->ports[0].is_console;
}

static int create_virtio(struct sk_console *c, const struct sk_console_config *config,
			 struct sk_error *err)
{
	uint16_t sizes[2 * SK_CONSOLE_MAX_PORTS + 2];
	const struct virtio_console_config space = {
		.cols = SK_LE16(config->columns),
		.rows = SK_LE16(config->rows),
		.max_nr_ports = SK_LE32(config->nr_ports),
	};
	struct sk_virtio_config virtio_config = {
		.device_id = VIRTIO_ID_CONSOLE,
		.features = SK_VIRTIO_FEATURE(VIRTIO_CONSOLE_F_SIZE) |
			    SK_VIRTIO_FEATURE(VIRTIO_CONSOLE_F_EMERG_WRITE),
		.nr_queues = 2,
		.queue_sizes = sizes,
		.config_bytes = sizeof(space),
		.config_space = &space,
		.gm = config->gm,
		.loop = config->loop,
		.ops = &console_ops,
		.dev = c,
		.log = config->log,
	};

	if (is_multiport(config)) {
		virtio_config.features |= SK_VIRTIO_FEATURE(VIRTIO_CONSOLE_F_MULTIPORT);
		virtio_config.nr_queues = 2 * config->nr_ports + 2;
	}
	for (uint32_t i = 0; i < virtio_config.nr_queues; i++)
		sizes[i] = QUEUE_SIZE;
	return sk_virtio_create(&c->virtio, &virtio_config, err);
}

static int init_port(struct sk_console *c, uint32_t index, const struct sk_console_port *from,
		     struct sk_error *err)
{
	struct port *port = &c->ports[index];

	port->console = c;
	port->index = index;
	port->is_console = from->is_console;
	port->in_fd = from->in_fd;
	port->out_fd = from->out_fd;
	if (!from->name)
		return 0;
	if (strlen(from->name) >= sizeof(port->name))
		return sk_error_set(err, -EINVAL,
				    "console: the name of port %u is longer than %d characters",
				    index, SK_CONSOLE_NAME_MAX - 1);
	strcpy(port->name, from->name);
	return 0;
}

static void run_resize(struct sk_loop *loop, struct sk_loop_post *post)
{
	struct sk_console *c = SK_CONTAINER_OF(post, struct sk_console, resize);

	(void)loop;
	atomic_store(&c->is_resize_posted, false);
	if (!c->is_running || !console_is_multiport(c))
		return;
	for (uint32_t i = 0; i < c->nr_ports; i++)
		if (c->ports[i].is_console)
			c->ports[i].pending |= PENDING_RESIZE;
	control_receive(c);
}

int sk_console_create(struct sk_console **out, const struct sk_console_config *config,
		      struct sk_error *err)
{
	struct sk_console *c;
	int ret = 0;

	if (config->nr_ports < 1 || config->nr_ports > SK_CONSOLE_MAX_PORTS)
		return sk_error_set(err, -EINVAL, "console: %u ports; there are 1 to %d",
				    config->nr_ports, SK_CONSOLE_MAX_PORTS);
	c = calloc(1, sizeof(*c) + config->nr_ports * sizeof(c->ports[0]));
	if (!c)
		return sk_error_set(err, -ENOMEM, "no memory for a console");
	c->loop = config->loop;
	c->log = config->log;
	c->nr_ports = config->nr_ports;
	c->size = config->columns | (uint32_t)config->rows << 16;
	c->resize.run = run_resize;
	for (uint32_t i = 0; !ret && i < config->nr_ports; i++)
		ret = init_port(c, i, &config->ports[i], err);
	if (!ret)
		ret = create_virtio(c, config, err);
	if (ret) {
		sk_console_destroy(c);
		return ret;
	}
	*out = c;
	return 0;
}

static bool has_output(const struct sk_console *c)
{
	for (uint32_t i = 0; i < c->nr_ports; i++)
		if (c->ports[i].out_len && c->ports[i].out_fd >= 0)
			return true;
	return false;
}

static void cancel(struct sk_console *c, struct sk_loop_op *op)
{
	if (sk_loop_op_is_busy(op))
		sk_loop_cancel(c->loop, op);
	while (sk_loop_op_is_busy(op))
		BUG_ON(sk_loop_turn(c->loop, SK_LOOP_INFINITE) < 0);
}

void sk_console_destroy(struct sk_console *c)
{
	uint64_t deadline_ns = sk_now_ns() + DRAIN_NS;

	if (!c)
		return;
	c->is_ending = true;
	/* What the guest said last is often what matters. */
	while (has_output(c) && sk_now_ns() < deadline_ns)
		BUG_ON(sk_loop_turn(c->loop, (int64_t)DRAIN_NS / 100) < 0);
	while (atomic_load(&c->is_resize_posted))
		BUG_ON(sk_loop_turn(c->loop, 0) < 0);
	for (uint32_t i = 0; i < c->nr_ports; i++) {
		c->ports[i].in_fd = c->ports[i].out_fd = -1;
		cancel(c, &c->ports[i].in_op);
		cancel(c, &c->ports[i].out_op);
	}
	sk_virtio_destroy(c->virtio);
	free(c);
}

struct sk_virtio *sk_console_virtio(const struct sk_console *c)
{
	return c->virtio;
}

void sk_console_resize(struct sk_console *c, uint16_t columns, uint16_t rows)
{
	uint8_t size[4];

	sk_store_le16(size, columns);
	sk_store_le16(size + 2, rows);
	atomic_store_explicit(&c->size, columns | (uint32_t)rows << 16, memory_order_relaxed);
	sk_virtio_config_set(c->virtio, offsetof(struct virtio_console_config, cols), size,
			     sizeof(size), true);
	atomic_store(&c->is_resize_posted, true);
	sk_loop_post(c->loop, &c->resize);
}

void sk_console_get_stats(const struct sk_console *c, struct sk_console_stats *stats)
{
	stats->in_bytes = atomic_load_explicit(&c->in_bytes, memory_order_relaxed);
	stats->out_bytes = atomic_load_explicit(&c->out_bytes, memory_order_relaxed);
	stats->lost_bytes = atomic_load_explicit(&c->lost_bytes, memory_order_relaxed);
}
