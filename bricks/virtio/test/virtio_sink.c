/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include "virtio_sink.h"

static int sink_start(void *dev)
{
	const struct virtio_sink *sink = dev;

	return sink->refuses_start ? -EIO : 0;
}

static void sink_kick(void *dev, uint32_t index)
{
	struct virtio_sink *sink = dev;
	struct sk_vring *ring = sk_virtio_ring(sink->virtio, index);
	struct sk_vring_chain chain;
	struct iovec iov[8];
	int ret;

	sink->nr_kicks++;
	if (sink->is_full)
		return;
	while ((ret = sk_vring_pop(ring, &chain, iov, 8)) == 1)
		sk_vring_push(ring, &chain, 0);
	if (ret < 0)
		sk_virtio_fail(sink->virtio, index);
	sk_virtio_flush(sink->virtio, index);
}

static void sink_quiesce(void *dev, bool is_reset)
{
	struct virtio_sink *sink = dev;

	(void)is_reset;
	sk_virtio_quiesced(sink->virtio);
}

static void sink_resume(void *dev)
{
	(void)dev;
}

static void sink_config_write(void *dev, uint32_t offset, const void *data, uint32_t len)
{
	struct virtio_sink *sink = dev;

	sk_virtio_config_set(sink->virtio, offset, data, len, false);
}

static void sink_save(void *dev, struct sk_writer *w)
{
	(void)dev;
	(void)w;
}

static int sink_restore(void *dev, struct sk_reader *r, struct sk_error *err)
{
	(void)dev;
	(void)r;
	(void)err;
	return 0;
}

static const struct sk_virtio_ops sink_ops = {
	.start = sink_start,
	.kick = sink_kick,
	.quiesce = sink_quiesce,
	.resume = sink_resume,
	.config_write = sink_config_write,
	.save = sink_save,
	.restore = sink_restore,
};

void virtio_sink_init(struct virtio_sink *sink, struct sk_gmem *gm, struct sk_loop *loop)
{
	static const uint16_t sizes[] = {SK_VRING_MAX_SIZE, 64};
	const struct sk_virtio_config config = {
		.device_id = VIRTIO_SINK_ID,
		.features = SK_VIRTIO_FEATURE(VIRTIO_SINK_FEATURE),
		.nr_queues = 2,
		.queue_sizes = sizes,
		.config_bytes = VIRTIO_SINK_CONFIG_BYTES,
		.gm = gm,
		.loop = loop,
		.ops = &sink_ops,
		.dev = sink,
	};

	*sink = (struct virtio_sink){0};
	BUG_ON(sk_virtio_create(&sink->virtio, &config, NULL));
}

void virtio_sink_fini(struct virtio_sink *sink)
{
	sk_virtio_destroy(sink->virtio);
}
