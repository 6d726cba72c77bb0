/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include <skete/dev/conport.h>

#include <stdatomic.h>

#define STATE_VERSION 1
#define CHUNK_BYTES   4096

struct sk_conport {
	struct sk_conport_config config; /* immutable */
	/* statistics: relaxed */
	_Atomic uint64_t written_bytes, read_bytes, bad_requests;
};

static void count(_Atomic uint64_t *counter, uint64_t by)
{
	atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

static uint64_t port_read(void *dev, uint64_t offset, unsigned size_bytes)
{
	(void)dev;
	return offset == 0 && size_bytes == 4 ? SK_CONSOLE_ID : UINT64_MAX;
}

/* Moves guest memory out, a chunk at a time, until the host has no room. The range is RAM. */
static uint32_t write_out(struct sk_conport *d, gpa_t gpa, uint32_t len)
{
	uint8_t chunk[CHUNK_BYTES];
	uint32_t done = 0;

	while (done < len) {
		size_t n = SK_MIN(len - done, (uint32_t)CHUNK_BYTES), taken;

		if (sk_gmem_read(d->config.gm, gpa + done, chunk, n))
			break;
		taken = d->config.output(d->config.ctx, chunk, n);
		done += (uint32_t)taken;
		if (taken < n)
			break;
	}
	count(&d->written_bytes, done);
	return done;
}

/* The opposite. What was taken from the host is in guest memory, because the range is RAM. */
static uint32_t read_in(struct sk_conport *d, gpa_t gpa, uint32_t len, bool *is_end)
{
	uint8_t chunk[CHUNK_BYTES];
	uint32_t done = 0;

	while (done < len) {
		size_t n = SK_MIN(len - done, (uint32_t)CHUNK_BYTES), got;

		got = d->config.input(d->config.ctx, chunk, n, is_end);
		if (got == 0 || sk_gmem_write(d->config.gm, gpa + done, chunk, got))
			break;
		done += (uint32_t)got;
		if (got < n)
			break;
	}
	count(&d->read_bytes, done);
	return done;
}

/* Carries out the copy of a request and fills in what the guest is told. */
static void perform(struct sk_conport *d, struct sk_console_request *request)
{
	uint32_t len = SK_MIN(request->len_bytes, SK_CONSOLE_MAX_BYTES);
	bool is_end = false;

	request->done_bytes = 0;
	request->status = 0;
	if (request->operation > SK_CONSOLE_READ ||
	    (len && !sk_gmem_is_ram(d->config.gm, request->buffer_gpa, len))) {
		request->status = SK_CONSOLE_BAD;
		count(&d->bad_requests, 1);
		return;
	}
	if (request->operation == SK_CONSOLE_WRITE)
		request->done_bytes = write_out(d, request->buffer_gpa, len);
	else
		request->done_bytes = read_in(d, request->buffer_gpa, len, &is_end);
	if (is_end && request->done_bytes == 0)
		request->status = SK_CONSOLE_END;
}

static void port_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
	const gpa_t gpa = (value & UINT32_MAX) << SK_CONSOLE_ADDRESS_SHIFT;
	const gpa_t answer_gpa = gpa + offsetof(struct sk_console_request, done_bytes);
	struct sk_console_request request;
	struct sk_conport *d = dev;

	if (offset != 0 || size_bytes != 4 ||
	    sk_gmem_read(d->config.gm, gpa, &request, sizeof(request))) {
		count(&d->bad_requests, 1);
		return;
	}
	perform(d, &request);
	/* done_bytes and status, side by side; where they were read from they can be written to */
	if (sk_gmem_write(d->config.gm, answer_gpa, &request.done_bytes,
			  sizeof(request.done_bytes) + sizeof(request.status)))
		count(&d->bad_requests, 1);
}

const struct sk_bus_ops sk_conport_ops = {.read = port_read, .write = port_write};

int sk_conport_create(struct sk_conport **out, const struct sk_conport_config *config,
		      struct sk_error *err)
{
	struct sk_conport *d;

	if (!config->gm || !config->output || !config->input)
		return sk_error_set(err, -EINVAL,
				    "console port: memory, output or input is missing");
	d = calloc(1, sizeof(*d));
	if (!d)
		return sk_error_set(err, -ENOMEM, "console port: out of memory");
	d->config = *config;
	*out = d;
	return 0;
}

void sk_conport_destroy(struct sk_conport *d)
{
	free(d);
}

void sk_conport_counters(const struct sk_conport *d, struct sk_conport_counters *counters)
{
	*counters = (struct sk_conport_counters){
		.written_bytes = atomic_load_explicit(&d->written_bytes, memory_order_relaxed),
		.read_bytes = atomic_load_explicit(&d->read_bytes, memory_order_relaxed),
		.bad_requests = atomic_load_explicit(&d->bad_requests, memory_order_relaxed),
	};
}

void sk_conport_save(const struct sk_conport *d, struct sk_writer *w)
{
	struct sk_conport_counters c;

	sk_conport_counters(d, &c);
	sk_put_u32(w, STATE_VERSION);
	sk_put_u64(w, c.written_bytes);
	sk_put_u64(w, c.read_bytes);
	sk_put_u64(w, c.bad_requests);
}

int sk_conport_restore(struct sk_conport *d, struct sk_reader *r, struct sk_error *err)
{
	uint32_t version = sk_get_u32(r);
	uint64_t written = sk_get_u64(r), read = sk_get_u64(r), bad = sk_get_u64(r);

	if (!sk_reader_ok(r))
		return sk_error_set(err, -EINVAL, "console port: the saved state is truncated");
	if (version != STATE_VERSION)
		return sk_error_set(
			err, -EINVAL,
			"console port: the saved state has version %u, this one reads %u", version,
			STATE_VERSION);
	atomic_store_explicit(&d->written_bytes, written, memory_order_relaxed);
	atomic_store_explicit(&d->read_bytes, read, memory_order_relaxed);
	atomic_store_explicit(&d->bad_requests, bad, memory_order_relaxed);
	return 0;
}
