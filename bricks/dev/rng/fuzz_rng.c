/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* A hostile driver of the entropy device. */
#include <skete/dev/rng.h>

#include <virtio_fuzz.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct sk_rng_config config = {
		.gm = virtio_fuzz_memory(),
		.loop = virtio_fuzz_loop(),
		.path = size % 2 ? "/dev/zero" : NULL,
	};
	struct sk_rng *rng;

	BUG_ON(sk_rng_create(&rng, &config, NULL));
	virtio_fuzz(sk_rng_virtio(rng), data, size);
	sk_rng_destroy(rng);
	return 0;
}
