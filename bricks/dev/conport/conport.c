/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include <skete/dev/conport.h>

#include <pthread.h>
#include <stdatomic.h>

#define STATE_VERSION 2
#define CHUNK_BYTES   SK_CONSOLE_WHOLE_BYTES

/* The guest's ring, as it was when we were told of it; bytes 0: none. */
struct ring {
	gpa_t gpa, data_gpa;
	uint32_t bytes;
	uint32_t consumed; /* ours; the guest sees a copy */
};

struct sk_conport {
	struct sk_conport_config config; /* immutable */
	pthread_mutex_t lock;		 /* protects the ring and the order of output */
	struct ring ring;
	/* statistics: relaxed */
	_Atomic uint64_t written_bytes, read_bytes, bad_requests;
};

static void count(_Atomic uint64_t *counter, uint64_t by)
{
	atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* No longer: the guest has broken the rules. */
static void give_up_ring_locked(struct sk_conport *d)
{
	d->ring.bytes = 0;
	count(&d->bad_requests, 1);
}

/* How many bytes are in the ring; the acquire pairs with the guest's store of produced. */
static uint32_t ring_fill_locked(struct sk_conport *d)
{
	uint32_t produced;

	if (!d->ring.bytes)
		return 0;
	if (sk_gmem_load_u32(d->config.gm, d->ring.gpa + offsetof(struct sk_console_ring, produced),
			     &produced) ||
	    produced - d->ring.consumed > d->ring.bytes) {
		give_up_ring_locked(d);
		return 0;
	}
	return produced - d->ring.consumed;
}

static void ring_store_locked(struct sk_conport *d, size_t offset, uint32_t value)
{
	if (d->ring.bytes && sk_gmem_store_u32(d->config.gm, d->ring.gpa + offset, value))
		give_up_ring_locked(d);
}

/* Copies up to @len_bytes from the ring, in one piece of it, and leaves them there. */
static size_t ring_peek_locked(struct sk_conport *d, void *buf, size_t len_bytes)
{
	/* Looked at once: the guest may put more there at any time. */
	const uint32_t fill = ring_fill_locked(d);
	uint32_t at;
	size_t n;

	if (!fill)
		return 0;
	at = d->ring.consumed & (d->ring.bytes - 1);
	n = SK_MIN(len_bytes, (size_t)SK_MIN(fill, d->ring.bytes - at));
	if (sk_gmem_read(d->config.gm, d->ring.data_gpa + at, buf, n)) {
		give_up_ring_locked(d);
		return 0;
	}
	return n;
}

static void ring_advance_locked(struct sk_conport *d, size_t n)
{
	d->ring.consumed += (uint32_t)n;
	count(&d->written_bytes, n);
	/* Release: the guest writes there again only once we have read. */
	ring_store_locked(d, offsetof(struct sk_console_ring, consumed), d->ring.consumed);
}

/* Moves the ring out in front of what follows. False if the host has no room for all of it. */
static bool ring_flush_locked(struct sk_conport *d)
{
	uint8_t chunk[CHUNK_BYTES];
	uint32_t left = ring_fill_locked(d); /* what comes meanwhile is not waited for */

	while (left) {
		size_t n = ring_peek_locked(d, chunk, SK_MIN((size_t)left, sizeof(chunk))), taken;

		if (!n)
			return true; /* there is no ring any more */
		taken = d->config.output(d->config.ctx, chunk, n);
		ring_advance_locked(d, taken);
		if (taken < n)
			return false;
		left -= (uint32_t)n;
	}
	return true;
}

size_t sk_conport_take(struct sk_conport *d, void *buf, size_t len_bytes)
{
	uint8_t *to = buf;
	bool is_told = false;
	size_t done, n;

	pthread_mutex_lock(&d->lock);
	done = d->config.unread ? d->config.unread(d->config.ctx, to, len_bytes) : 0;
	while (done < len_bytes && d->ring.bytes) {
		n = ring_peek_locked(d, to + done, len_bytes - done);
		if (n) {
			ring_advance_locked(d, n);
			done += n;
			continue;
		}
		if (is_told)
			break;
		/* The order of <skete/abi/console.h>: say that we sleep, then look again. */
		ring_store_locked(d, offsetof(struct sk_console_ring, wants_doorbell), 1);
		atomic_thread_fence(memory_order_seq_cst);
		is_told = true;
	}
	pthread_mutex_unlock(&d->lock);
	return done;
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

/* In the order in which it was sent: the ring goes first. */
static uint32_t write_in_order(struct sk_conport *d, gpa_t gpa, uint32_t len)
{
	uint32_t done = 0;

	pthread_mutex_lock(&d->lock);
	if (ring_flush_locked(d))
		done = write_out(d, gpa, len);
	pthread_mutex_unlock(&d->lock);
	return done;
}

static bool is_possible_ring(const struct sk_conport *d, const struct ring *ring)
{
	return ring->bytes == 0 ||
	       (d->config.doorbell_gpa && ring->bytes >= SK_CONSOLE_RING_MIN &&
		ring->bytes <= SK_CONSOLE_MAX_BYTES && (ring->bytes & (ring->bytes - 1)) == 0 &&
		sk_is_aligned(ring->gpa, 64) &&
		sk_gmem_is_ram(d->config.gm, ring->gpa, sizeof(struct sk_console_ring)) &&
		sk_gmem_is_ram(d->config.gm, ring->data_gpa, ring->bytes));
}

static void set_ring(struct sk_conport *d, struct sk_console_request *request)
{
	struct ring ring = {.gpa = request->buffer_gpa, .bytes = request->len_bytes};

	/* An address that is not there leaves 0 here, and is no ring for that reason, too. */
	(void)!sk_gmem_load_u64(d->config.gm, ring.gpa + offsetof(struct sk_console_ring, data_gpa),
				&ring.data_gpa);
	if (!is_possible_ring(d, &ring)) {
		request->status = SK_CONSOLE_BAD;
		count(&d->bad_requests, 1);
		return;
	}
	pthread_mutex_lock(&d->lock);
	/* What does not go out of the old one now is lost: the guest took it away. */
	(void)ring_flush_locked(d);
	d->ring = ring;
	ring_store_locked(d, offsetof(struct sk_console_ring, consumed), 0);
	/* Nobody has looked for the end of it yet. */
	ring_store_locked(d, offsetof(struct sk_console_ring, wants_doorbell), 1);
	pthread_mutex_unlock(&d->lock);
	request->doorbell_gpa = d->config.doorbell_gpa;
}

/* Carries out the copy of a request and fills in what the guest is told. */
static void perform(struct sk_conport *d, struct sk_console_request *request)
{
	uint32_t len = SK_MIN(request->len_bytes, SK_CONSOLE_MAX_BYTES);
	bool is_end = false;

	request->done_bytes = 0;
	request->status = 0;
	request->doorbell_gpa = 0;
	if (request->operation == SK_CONSOLE_RING) {
		set_ring(d, request);
		return;
	}
	if (request->operation > SK_CONSOLE_RING ||
	    (len && !sk_gmem_is_ram(d->config.gm, request->buffer_gpa, len))) {
		request->status = SK_CONSOLE_BAD;
		count(&d->bad_requests, 1);
		return;
	}
	if (request->operation == SK_CONSOLE_WRITE)
		request->done_bytes = write_in_order(d, request->buffer_gpa, len);
	else
		request->done_bytes = read_in(d, request->buffer_gpa, len, &is_end);
	if (is_end && request->done_bytes == 0)
		request->status = SK_CONSOLE_END;
}

static void port_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
	const gpa_t gpa = (value & UINT32_MAX) << SK_CONSOLE_ADDRESS_SHIFT;
	const size_t answer = offsetof(struct sk_console_request, done_bytes);
	struct sk_console_request request;
	struct sk_conport *d = dev;

	if (offset != 0 || size_bytes != 4 ||
	    sk_gmem_read(d->config.gm, gpa, &request, sizeof(request))) {
		count(&d->bad_requests, 1);
		return;
	}
	perform(d, &request);
	/* From done_bytes to the end; where it was read from it can be written to. */
	if (sk_gmem_write(d->config.gm, gpa + answer, &request.done_bytes,
			  sizeof(request) - answer))
		count(&d->bad_requests, 1);
}

const struct sk_bus_ops sk_conport_ops = {.read = port_read, .write = port_write};

int sk_conport_create(struct sk_conport **out, const struct sk_conport_config *config,
		      struct sk_error *err)
{
	struct sk_conport *d;

	if (!config->gm || !config->output || !config->input ||
	    (config->doorbell_gpa && !config->unread))
		return sk_error_set(err, -EINVAL,
				    "console port: memory, output or input is missing");
	d = calloc(1, sizeof(*d));
	if (!d)
		return sk_error_set(err, -ENOMEM, "console port: out of memory");
	d->config = *config;
	pthread_mutex_init(&d->lock, NULL);
	*out = d;
	return 0;
}

void sk_conport_destroy(struct sk_conport *d)
{
	if (!d)
		return;
	pthread_mutex_destroy(&d->lock);
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

void sk_conport_save(struct sk_conport *d, struct sk_writer *w)
{
	struct sk_conport_counters c;
	struct ring ring;

	sk_conport_counters(d, &c);
	sk_put_u32(w, STATE_VERSION);
	sk_put_u64(w, c.written_bytes);
	sk_put_u64(w, c.read_bytes);
	sk_put_u64(w, c.bad_requests);
	pthread_mutex_lock(&d->lock);
	ring = d->ring;
	pthread_mutex_unlock(&d->lock);
	sk_put_u64(w, ring.gpa);
	sk_put_u64(w, ring.data_gpa);
	sk_put_u32(w, ring.bytes);
	sk_put_u32(w, ring.consumed);
}

int sk_conport_restore(struct sk_conport *d, struct sk_reader *r, struct sk_error *err)
{
	uint32_t version = sk_get_u32(r);
	uint64_t written = sk_get_u64(r), read = sk_get_u64(r), bad = sk_get_u64(r);
	struct ring ring = {.gpa = sk_get_u64(r)};

	ring.data_gpa = sk_get_u64(r);
	ring.bytes = sk_get_u32(r);
	ring.consumed = sk_get_u32(r);

	if (!sk_reader_ok(r))
		return sk_error_set(err, -EINVAL, "console port: the saved state is truncated");
	if (version != STATE_VERSION)
		return sk_error_set(
			err, -EINVAL,
			"console port: the saved state has version %u, this one reads %u", version,
			STATE_VERSION);
	if (!is_possible_ring(d, &ring))
		return sk_error_set(err, -EINVAL,
				    "console port: the saved state has a ring where none can be");
	pthread_mutex_lock(&d->lock);
	d->ring = ring;
	pthread_mutex_unlock(&d->lock);
	atomic_store_explicit(&d->written_bytes, written, memory_order_relaxed);
	atomic_store_explicit(&d->read_bytes, read, memory_order_relaxed);
	atomic_store_explicit(&d->bad_requests, bad, memory_order_relaxed);
	return 0;
}
