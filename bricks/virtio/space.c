/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The configuration space: virtio 1.2, 2.5. */
#include "virtio_internal.h"

static bool is_inside(const struct sk_virtio *v, uint64_t offset_bytes, unsigned size_bytes)
{
	return size_bytes && size_bytes <= sizeof(uint64_t) && !(size_bytes & (size_bytes - 1)) &&
	       sk_range_fits(offset_bytes, size_bytes, v->config.config_bytes);
}

uint64_t sk_virtio_config_read(struct sk_virtio *v, uint64_t offset_bytes, unsigned size_bytes)
{
	uint8_t value[sizeof(uint64_t)] = {0};

	if (!is_inside(v, offset_bytes, size_bytes)) {
		virtio_count(&v->bad_accesses);
		return 0;
	}
	pthread_mutex_lock(&v->space_lock);
	memcpy(value, v->space + offset_bytes, size_bytes);
	pthread_mutex_unlock(&v->space_lock);
	return sk_load_le64(value);
}

static void run_config_write(struct sk_virtio *v, struct request *request)
{
	v->config.ops->config_write(v->config.dev, request->offset_bytes, request->data,
				    request->len_bytes);
	virtio_complete(v, request);
}

void sk_virtio_config_write(struct sk_virtio *v, uint64_t offset_bytes, unsigned size_bytes,
			    uint64_t value)
{
	uint8_t data[sizeof(uint64_t)];
	struct request request = {
		.run = run_config_write,
		.offset_bytes = (uint32_t)offset_bytes,
		.len_bytes = size_bytes,
		.data = data,
	};

	if (!v->config.ops->config_write || !is_inside(v, offset_bytes, size_bytes)) {
		virtio_count(&v->bad_accesses);
		return;
	}
	sk_store_le64(data, value);
	pthread_mutex_lock(&v->control);
	virtio_call(v, &request);
	pthread_mutex_unlock(&v->control);
}

uint32_t sk_virtio_config_generation(const struct sk_virtio *virtio)
{
	struct sk_virtio *v = (struct sk_virtio *)(uintptr_t)virtio;
	uint32_t generation;

	pthread_mutex_lock(&v->space_lock);
	generation = v->generation;
	pthread_mutex_unlock(&v->space_lock);
	return generation;
}

void sk_virtio_config_set(struct sk_virtio *v, uint32_t offset_bytes, const void *data,
			  uint32_t len_bytes, bool does_notify)
{
	BUG_ON(!sk_range_fits(offset_bytes, len_bytes, v->config.config_bytes));
	pthread_mutex_lock(&v->space_lock);
	memcpy(v->space + offset_bytes, data, len_bytes);
	v->generation++;
	pthread_mutex_unlock(&v->space_lock);
	/* Before DRIVER_OK nobody may be told (2.1.2). */
	if (!does_notify || !virtio_is_started(v))
		return;
	if (sk_loop_is_owner(v->config.loop)) {
		virtio_interrupt_config(v);
		return;
	}
	atomic_store(&v->is_config_posted, true);
	sk_loop_post(v->config.loop, &v->config_post);
}
