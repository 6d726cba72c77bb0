/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Token buckets, and the timer that wakes who waits for one. */
#include <skete/limiter.h>

#define NANO	  UINT64_C(1000000000)
#define BURST_DIV 10 /* of a second: the burst that nobody asked for */

static void set_rate(struct sk_bucket *b, uint64_t rate, uint64_t burst)
{
	b->rate = SK_MIN(rate, SK_LIMITER_MAX_RATE);
	b->burst = SK_MIN(burst ? burst : b->rate / BURST_DIV, SK_LIMITER_MAX_RATE);
	b->burst = SK_MAX(b->burst, UINT64_C(1));
}

static void fill(struct sk_bucket *b)
{
	b->tokens = (int64_t)b->burst;
	b->nano = 0;
}

/* A rate of r tokens a second is r billionths in a nanosecond: exact. */
static void refill(struct sk_bucket *b, uint64_t ns)
{
	unsigned __int128 sum = (unsigned __int128)b->rate * ns + b->nano;
	unsigned __int128 whole = sum / NANO;

	if (!b->rate)
		return;
	if (whole >= (uint64_t)((int64_t)b->burst - b->tokens)) {
		fill(b);
		return;
	}
	b->tokens += (int64_t)whole;
	b->nano = (uint32_t)(sum % NANO);
}

static void advance(struct sk_buckets *b, uint64_t now_ns)
{
	uint64_t ns = now_ns > b->then_ns ? now_ns - b->then_ns : 0;

	refill(&b->bytes, ns);
	refill(&b->ops, ns);
	b->then_ns = SK_MAX(b->then_ns, now_ns);
}

/* How long until @cost, or a full bucket, is there. */
static uint64_t wait_ns(const struct sk_bucket *b, uint64_t cost)
{
	int64_t wanted = (int64_t)SK_MIN(cost, b->burst);
	unsigned __int128 missing;

	if (!b->rate || b->tokens >= wanted)
		return 0;
	missing = (unsigned __int128)(uint64_t)(wanted - b->tokens) * NANO - b->nano;
	missing = (missing + b->rate - 1) / b->rate;
	return missing > INT64_MAX ? INT64_MAX : (uint64_t)missing;
}

static void take(struct sk_bucket *b, uint64_t cost)
{
	/* A debt has its bound, far beyond what a request can be. */
	if (b->rate && b->tokens > -(int64_t)SK_LIMITER_MAX_RATE)
		b->tokens -= (int64_t)SK_MIN(cost, SK_LIMITER_MAX_RATE);
}

void sk_buckets_init(struct sk_buckets *b, const struct sk_limiter_config *config, uint64_t now_ns)
{
	*b = (struct sk_buckets){.then_ns = now_ns};
	set_rate(&b->bytes, config->bytes_per_s, config->burst_bytes);
	set_rate(&b->ops, config->ops_per_s, config->burst_ops);
	fill(&b->bytes);
	fill(&b->ops);
}

static void change(struct sk_bucket *b, uint64_t rate, uint64_t burst)
{
	bool was_limited = b->rate != 0;

	set_rate(b, rate, burst);
	/* Where there was no limit there is no level to keep, and no burst to give away either. */
	if (!was_limited)
		b->tokens = b->nano = 0;
	if (b->tokens >= (int64_t)b->burst)
		fill(b);
}

void sk_buckets_change(struct sk_buckets *b, const struct sk_limiter_config *config,
		       uint64_t now_ns)
{
	advance(b, now_ns);
	change(&b->bytes, config->bytes_per_s, config->burst_bytes);
	change(&b->ops, config->ops_per_s, config->burst_ops);
}

uint64_t sk_buckets_take(struct sk_buckets *b, uint64_t len_bytes, uint64_t now_ns)
{
	uint64_t for_bytes, for_ops;

	advance(b, now_ns);
	for_bytes = wait_ns(&b->bytes, len_bytes);
	for_ops = wait_ns(&b->ops, 1);
	if (for_bytes || for_ops)
		return SK_MAX(for_bytes, for_ops);
	take(&b->bytes, len_bytes);
	take(&b->ops, 1);
	return 0;
}

static bool has_limit(const struct sk_limiter_config *config)
{
	return config->bytes_per_s || config->ops_per_s;
}

static void timer_fired(struct sk_loop *loop, struct sk_loop_timer *timer)
{
	struct sk_limiter *limiter = SK_CONTAINER_OF(timer, struct sk_limiter, timer);

	(void)loop;
	limiter->ready(limiter);
}

void sk_limiter_init(struct sk_limiter *limiter, struct sk_loop *loop,
		     const struct sk_limiter_config *config,
		     void (*ready)(struct sk_limiter *limiter))
{
	*limiter = (struct sk_limiter){
		.ready = ready,
		.loop = loop,
		.timer = {.fire = timer_fired},
		.is_limited = has_limit(config),
	};
	pthread_mutex_init(&limiter->lock, NULL);
	sk_buckets_init(&limiter->buckets, config, sk_now_ns());
}

void sk_limiter_fini(struct sk_limiter *limiter)
{
	sk_limiter_forget(limiter);
	pthread_mutex_destroy(&limiter->lock);
}

void sk_limiter_forget(struct sk_limiter *limiter)
{
	sk_loop_timer_clear(limiter->loop, &limiter->timer);
}

void sk_limiter_change(struct sk_limiter *limiter, const struct sk_limiter_config *config)
{
	pthread_mutex_lock(&limiter->lock);
	limiter->next = *config;
	/* The release goes with the acquire in apply_change(): whoever sees the number locks. */
	atomic_fetch_add_explicit(&limiter->generation, 1, memory_order_release);
	pthread_mutex_unlock(&limiter->lock);
}

static void apply_change(struct sk_limiter *limiter)
{
	unsigned now = atomic_load_explicit(&limiter->generation, memory_order_acquire);
	struct sk_limiter_config next;

	if (now == limiter->seen)
		return;
	pthread_mutex_lock(&limiter->lock);
	next = limiter->next;
	limiter->seen = atomic_load_explicit(&limiter->generation, memory_order_relaxed);
	pthread_mutex_unlock(&limiter->lock);
	sk_buckets_change(&limiter->buckets, &next, sk_loop_now_ns(limiter->loop));
	limiter->is_limited = has_limit(&next);
}

bool sk_limiter_admit(struct sk_limiter *limiter, uint64_t len_bytes)
{
	uint64_t now_ns, ns;

	apply_change(limiter);
	if (!limiter->is_limited)
		return true;
	now_ns = sk_loop_now_ns(limiter->loop);
	ns = sk_buckets_take(&limiter->buckets, len_bytes, now_ns);
	if (!ns)
		return true;
	ns = SK_MIN(ns, SK_LIMITER_LOOK_NS);
	sk_loop_timer_set(limiter->loop, &limiter->timer, now_ns + ns);
	return false;
}
