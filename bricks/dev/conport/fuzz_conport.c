/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Requests that a guest could make, at addresses of its choice: the input is a list of 40 bytes
 * each, the doorbell's value and the request; its end is also tried as a saved state.
 */
#include <skete/dev/conport.h>

#define RAM_BYTES  (64 * SK_KIB)
#define STEP_BYTES 40

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t output(void *ctx, const void *buf, size_t len)
{
	const uint8_t *p = buf;
	size_t *sum = ctx;

	for (size_t i = 0; i < len; i++)
		*sum += p[i];
	return *sum % 7 ? len : len / 2;
}

static size_t input(void *ctx, void *buf, size_t len, bool *is_end)
{
	size_t *sum = ctx, n = *sum % 3 ? len : len / 3;

	memset(buf, (int)*sum, n);
	*is_end = n == 0;
	return n;
}

static size_t unread(void *ctx, void *buf, size_t len)
{
	(void)ctx;
	(void)buf;
	(void)len;
	return 0;
}

static void step(struct sk_gmem *gm, struct sk_conport *dev, const uint8_t *data)
{
	const uint64_t value = sk_load_le32(data);
	const gpa_t gpa = value << SK_CONSOLE_ADDRESS_SHIFT;
	const size_t request_bytes = sizeof(struct sk_console_request);
	struct sk_console_request before, after;
	bool is_there;

	is_there = !sk_gmem_write(gm, gpa, data + 8, request_bytes) &&
		   !sk_gmem_read(gm, gpa, &before, request_bytes);
	sk_conport_ops.write(dev, data[4] & 3, 1u << (data[5] & 3), value);
	/* More than it was asked for is never done. */
	if (is_there && !(data[4] & 3) && (data[5] & 3) == 2) {
		BUG_ON(sk_gmem_read(gm, gpa, &after, request_bytes));
		BUG_ON(before.operation == SK_CONSOLE_WRITE &&
		       after.done_bytes > SK_MIN(before.len_bytes, SK_CONSOLE_MAX_BYTES));
		BUG_ON(after.status & ~(SK_CONSOLE_BAD | SK_CONSOLE_END));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct sk_gmem_region_config region = {.gpa = 0, .size_bytes = RAM_BYTES};
	const struct sk_gmem_config memory = {.regions = &region, .nr_regions = 1};
	struct sk_conport_config config = {
		.output = output,
		.input = input,
		.unread = unread,
		.doorbell_gpa = 4096 * SK_KIB,
	};
	uint8_t taken[256];
	struct sk_conport *dev;
	struct sk_reader r;
	size_t sum = 1;

	config.ctx = &sum;
	BUG_ON(sk_gmem_create(&config.gm, &memory, NULL));
	BUG_ON(sk_conport_create(&dev, &config, NULL));
	for (size_t at = 0; at + STEP_BYTES <= size; at += STEP_BYTES) {
		step(config.gm, dev, data + at);
		BUG_ON(sk_conport_take(dev, taken, sizeof(taken)) > sizeof(taken));
	}
	sk_reader_init(&r, data, size);
	(void)!sk_conport_restore(dev, &r, NULL);
	sk_conport_destroy(dev);
	sk_gmem_destroy(config.gm);
	return 0;
}
