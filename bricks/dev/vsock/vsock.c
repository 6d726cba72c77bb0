/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The life of the socket device: create, start, quiesce, save, restore. */
#include "vsock_internal.h"

#define STATE_VERSION 1

static int vsock_start(void *dev)
{
	struct sk_vsock *vsock = dev;

	vsock->is_running = true;
	host_start(vsock);
	return 0;
}

static void vsock_kick(void *dev, uint32_t index)
{
	struct sk_vsock *vsock = dev;

	if (index == VSOCK_TX)
		vsock_tx_run(vsock);
	if (index == VSOCK_EVENT)
		vsock_event_run(vsock);
	vsock_rx_run(vsock);
}

/* What a reset leaves of the driver: nothing. */
static void close_all(struct sk_vsock *vsock)
{
	struct conn *next;

	for (struct conn *c = vsock->all; c; c = next) {
		next = c->next_all;
		conn_close(c);
	}
	vsock->nr_resets = 0;
	vsock->is_tx_waiting = false;
	vsock->is_event_due = false;
}

static void vsock_quiesce(void *dev, bool is_reset)
{
	struct sk_vsock *vsock = dev;

	vsock->is_running = false;
	if (is_reset)
		close_all(vsock);
	sk_virtio_quiesced(vsock->virtio);
}

static void vsock_resume(void *dev)
{
	struct sk_vsock *vsock = dev;

	vsock->is_running = true;
}

static void vsock_save(void *dev, struct sk_writer *w)
{
	const struct sk_vsock *vsock = dev;

	sk_put_u32(w, STATE_VERSION);
	sk_put_u64(w, vsock->config.cid);
	sk_put_u32(w, vsock->next_port);
}

static int vsock_restore(void *dev, struct sk_reader *r, struct sk_error *err)
{
	struct sk_vsock *vsock = dev;
	uint32_t version = sk_get_u32(r), next_port;
	uint64_t cid;

	if (!sk_reader_ok(r) || version != STATE_VERSION)
		return sk_error_set(err, -EINVAL,
				    "vsock: the saved state has version %u, this one reads %u",
				    version, STATE_VERSION);
	cid = sk_get_u64(r);
	next_port = sk_get_u32(r);
	if (!sk_reader_ok(r) || cid != vsock->config.cid || next_port < VSOCK_FIRST_PORT)
		return sk_error_set(err, -EINVAL,
				    "vsock: the saved state is truncated or of another CID");
	vsock->next_port = next_port;
	vsock->is_event_due = true;
	return 0;
}

static const struct sk_virtio_ops ops = {
	.start = vsock_start,
	.kick = vsock_kick,
	.quiesce = vsock_quiesce,
	.resume = vsock_resume,
	.save = vsock_save,
	.restore = vsock_restore,
};

struct sk_virtio *sk_vsock_virtio(struct sk_vsock *vsock)
{
	return vsock->virtio;
}

void sk_vsock_get_stats(const struct sk_vsock *vsock, struct sk_vsock_stats *stats)
{
#define LOAD(name) .name = atomic_load_explicit(&vsock->counters.name, memory_order_relaxed)
	*stats = (struct sk_vsock_stats){
		LOAD(rx_packets),  LOAD(rx_bytes),    LOAD(tx_packets),
		LOAD(tx_bytes),	   LOAD(opened),      LOAD(refused),
		LOAD(connections), LOAD(bad_packets), LOAD(timeouts),
	};
#undef LOAD
}

static int check_config(struct sk_vsock *vsock, struct sk_error *err)
{
	const struct sk_vsock_config *c = &vsock->config;
	/* PATH_4294967295 has to fit, too. */
	size_t max = sizeof(vsock->address.sun_path) - sizeof("_4294967295");

	if (c->cid < SK_VSOCK_MIN_CID || c->cid > SK_VSOCK_MAX_CID)
		return sk_error_set(err, -EINVAL, "the CID of a guest is 3 to %llu, not %llu",
				    (unsigned long long)SK_VSOCK_MAX_CID,
				    (unsigned long long)c->cid);
	if (!c->path[0] || strlen(c->path) > max)
		return sk_error_set(err, -ENAMETOOLONG,
				    "the path of a socket has 1 to %zu bytes: '%.200s'", max,
				    c->path);
	vsock->address.sun_family = AF_UNIX;
	memcpy(vsock->address.sun_path, c->path, strlen(c->path));
	return 0;
}

int sk_vsock_create(struct sk_vsock **out, const struct sk_vsock_config *config,
		    struct sk_error *err)
{
	static const uint16_t sizes[] = {VSOCK_QUEUE_ENTRIES, VSOCK_QUEUE_ENTRIES, 16};
	struct sk_vsock *vsock = calloc(1, sizeof(*vsock));
	struct sk_virtio_config core = {
		.device_id = VIRTIO_ID_VSOCK,
		.nr_queues = VSOCK_NR_QUEUES,
		.queue_sizes = sizes,
		.gm = config->gm,
		.loop = config->loop,
		.ops = &ops,
		.dev = vsock,
		.log = config->log,
	};
	uint8_t space[8];
	int ret;

	if (!vsock)
		return sk_error_set(err, -ENOMEM, "no memory for a socket device");
	vsock->config = *config;
	vsock->listen_fd = -1;
	vsock->next_port = VSOCK_FIRST_PORT;
	sk_store_le64(space, config->cid);
	core.config_bytes = sizeof(space);
	core.config_space = space;
	ret = check_config(vsock, err);
	if (!ret)
		ret = host_listen(vsock, err);
	if (!ret)
		ret = sk_virtio_create(&vsock->virtio, &core, err);
	if (ret) {
		sk_vsock_destroy(vsock);
		return ret;
	}
	*out = vsock;
	return 0;
}

void sk_vsock_destroy(struct sk_vsock *vsock)
{
	if (!vsock)
		return;
	sk_virtio_destroy(vsock->virtio);
	while (vsock->all) {
		struct conn *c = vsock->all;

		vsock->all = c->next_all;
		sk_close(&c->fd);
		free(c->out);
		free(c);
	}
	host_close(vsock);
	free(vsock);
}
