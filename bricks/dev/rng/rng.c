/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The entropy device: virtio 1.2, 5.4. One chain is in work at a time. */
#include <skete/dev/rng.h>

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/random.h>
#include <sys/stat.h>

#define STATE_VERSION 1
#define QUEUE_SIZE    64
#define BUDGET	      16 /* chains of one kick; then the loop's other devices have their turn */

struct sk_rng {
	struct sk_virtio *virtio;
	struct sk_loop *loop;
	const struct sk_log *log;
	int fd; /* -1: getrandom() */
	bool is_quiescing, is_reset;
	struct sk_limiter limiter;

	/* The chain that waits for the file, while op is busy. */
	struct sk_loop_op op;
	struct sk_vring_chain chain;
	struct iovec iov[SK_VRING_MAX_IOV];
	uint8_t buf[SK_RNG_MAX_BYTES];

	_Atomic uint64_t requests, bytes; /* one writer: relaxed */
};

static void complete(struct sk_rng *rng, size_t len_bytes)
{
	struct sk_vring *ring = sk_virtio_ring(rng->virtio, 0);
	size_t n = sk_vring_copy_to(rng->chain.iov + rng->chain.nr_readable, rng->chain.nr_writable,
				    0, rng->buf, len_bytes);

	sk_vring_push(ring, &rng->chain, (uint32_t)n);
	explicit_bzero(rng->buf, len_bytes);
	atomic_fetch_add_explicit(&rng->requests, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&rng->bytes, n, memory_order_relaxed);
}

/* The source has nothing more to give: no silence, no other source. */
static void fail(struct sk_rng *rng, int ret)
{
	sk_logf(rng->log, SK_LOG_WARN, "rng: the source of random numbers %s%s",
		ret ? "fails: " : "has come to its end", ret ? strerror(-ret) : "");
	sk_vring_push(sk_virtio_ring(rng->virtio, 0), &rng->chain, 0);
	sk_virtio_fail(rng->virtio, 0);
}

static void work(struct sk_rng *rng);

static void read_done(struct sk_loop *loop, struct sk_loop_op *op, int result)
{
	struct sk_rng *rng = SK_CONTAINER_OF(op, struct sk_rng, op);

	(void)loop;
	if (rng->is_quiescing && rng->is_reset) {
		explicit_bzero(rng->buf, sizeof(rng->buf));
	} else if (result > 0) {
		complete(rng, (size_t)result);
		sk_virtio_flush(rng->virtio, 0);
	} else if (result == -ECANCELED) {
		sk_vring_unpop(sk_virtio_ring(rng->virtio, 0), &rng->chain);
	} else {
		fail(rng, result);
		sk_virtio_flush(rng->virtio, 0);
	}
	if (rng->is_quiescing) {
		rng->is_quiescing = false;
		sk_virtio_quiesced(rng->virtio);
	} else if (result > 0) {
		work(rng);
	}
}

static size_t answer_bytes(const struct sk_rng *rng)
{
	return SK_MIN(rng->chain.writable_bytes, sizeof(rng->buf));
}

/* Fills the chain, or lets the file do it. False: wait. */
static bool serve(struct sk_rng *rng)
{
	size_t len = answer_bytes(rng);

	if (rng->fd < 0 || !len) {
		ssize_t n = len ? getrandom(rng->buf, len, 0) : 0;

		if (n < 0)
			n = 0; /* EINTR: the driver asks again */
		complete(rng, (size_t)n);
		return true;
	}
	rng->op = (struct sk_loop_op){.done = read_done, .fd = rng->fd};
	sk_loop_read(rng->loop, &rng->op, rng->buf, len, SK_LOOP_STREAM);
	return false;
}

static void work(struct sk_rng *rng)
{
	struct sk_vring *ring = sk_virtio_ring(rng->virtio, 0);
	int ret = 0, budget = BUDGET;

	while (budget-- &&
	       (ret = sk_vring_pop(ring, &rng->chain, rng->iov, SK_VRING_MAX_IOV)) == 1) {
		if (!sk_limiter_admit(&rng->limiter, answer_bytes(rng))) {
			sk_vring_unpop(ring, &rng->chain);
			ret = 0; /* ready() goes on */
			break;
		}
		if (!serve(rng))
			break;
	}
	if (ret < 0)
		sk_virtio_fail(rng->virtio, 0);
	else if (ret == 1 && !sk_loop_op_is_busy(&rng->op))
		sk_virtio_ring_doorbell(rng->virtio, 0);
	sk_virtio_flush(rng->virtio, 0);
}

static void limiter_ready(struct sk_limiter *limiter)
{
	struct sk_rng *rng = SK_CONTAINER_OF(limiter, struct sk_rng, limiter);

	if (!sk_loop_op_is_busy(&rng->op))
		work(rng);
}

static int rng_start(void *dev)
{
	(void)dev;
	return 0;
}

static void rng_kick(void *dev, uint32_t index)
{
	struct sk_rng *rng = dev;

	(void)index;
	if (!sk_loop_op_is_busy(&rng->op))
		work(rng);
}

static void rng_quiesce(void *dev, bool is_reset)
{
	struct sk_rng *rng = dev;

	sk_limiter_forget(&rng->limiter);
	if (!sk_loop_op_is_busy(&rng->op)) {
		sk_virtio_quiesced(rng->virtio);
		return;
	}
	/* A file may have nothing to give for ever. */
	rng->is_quiescing = true;
	rng->is_reset = is_reset;
	sk_loop_cancel(rng->loop, &rng->op);
}

static void rng_resume(void *dev)
{
	(void)dev;
}

static void rng_save(void *dev, struct sk_writer *w)
{
	(void)dev;
	sk_put_u32(w, STATE_VERSION);
}

static int rng_restore(void *dev, struct sk_reader *r, struct sk_error *err)
{
	uint32_t version = sk_get_u32(r);

	(void)dev;
	if (version == STATE_VERSION)
		return 0;
	return sk_error_set(err, -EINVAL, "rng: the saved state has version %u, this one reads %u",
			    version, STATE_VERSION);
}

static const struct sk_virtio_ops rng_ops = {
	.start = rng_start,
	.kick = rng_kick,
	.quiesce = rng_quiesce,
	.resume = rng_resume,
	.save = rng_save,
	.restore = rng_restore,
};

static int open_source(struct sk_rng *rng, const char *path, struct sk_error *err)
{
	struct stat st;
	int ret;

	if (!path)
		return 0;
	rng->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (rng->fd < 0 || fstat(rng->fd, &st)) {
		ret = -errno;
		return sk_error_set(err, ret, "cannot open %s for random numbers: %s", path,
				    strerror(-ret));
	}
	if (S_ISDIR(st.st_mode))
		return sk_error_set(err, -EINVAL, "%s gives no random numbers: it is a directory",
				    path);
	return 0;
}

int sk_rng_create(struct sk_rng **out, const struct sk_rng_config *config, struct sk_error *err)
{
	static const uint16_t sizes[] = {QUEUE_SIZE};
	struct sk_rng *rng = calloc(1, sizeof(*rng));
	const struct sk_virtio_config virtio_config = {
		.device_id = VIRTIO_ID_RNG,
		.nr_queues = 1,
		.queue_sizes = sizes,
		.gm = config->gm,
		.loop = config->loop,
		.ops = &rng_ops,
		.dev = rng,
		.log = config->log,
	};
	int ret;

	if (!rng)
		return sk_error_set(err, -ENOMEM, "no memory for an entropy device");
	rng->fd = -1;
	rng->loop = config->loop;
	rng->log = config->log;
	sk_limiter_init(&rng->limiter, config->loop, &config->limit, limiter_ready);
	ret = open_source(rng, config->path, err);
	if (ret)
		goto err_destroy;
	ret = sk_virtio_create(&rng->virtio, &virtio_config, err);
	if (ret)
		goto err_destroy;
	*out = rng;
	return 0;

err_destroy:
	sk_rng_destroy(rng);
	return ret;
}

void sk_rng_destroy(struct sk_rng *rng)
{
	if (!rng)
		return;
	sk_virtio_destroy(rng->virtio);
	sk_limiter_fini(&rng->limiter);
	sk_close(&rng->fd);
	free(rng);
}

struct sk_virtio *sk_rng_virtio(const struct sk_rng *rng)
{
	return rng->virtio;
}

void sk_rng_get_stats(const struct sk_rng *rng, struct sk_rng_stats *stats)
{
	stats->requests = atomic_load_explicit(&rng->requests, memory_order_relaxed);
	stats->bytes = atomic_load_explicit(&rng->bytes, memory_order_relaxed);
}
