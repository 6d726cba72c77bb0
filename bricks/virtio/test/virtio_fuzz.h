/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * A driver that does what the bytes of a fuzzer say, for the fuzz target of every device: proper
 * and improper negotiation, chains and raw bytes in the rings, doorbells, resets in flight, the
 * configuration space, pauses, and states that are saved.
 *
 *	int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
 *	{
 *		... create the device on virtio_fuzz_memory() and virtio_fuzz_loop() ...
 *		virtio_fuzz(sk_x_virtio(x), data, size);
 *		... destroy it ...
 *	}
 *
 * Threading class: one thread.
 */
#ifndef SKETE_TEST_VIRTIO_FUZZ_H
#define SKETE_TEST_VIRTIO_FUZZ_H

#include <skete/virtio.h>

#define VIRTIO_FUZZ_RAM_BYTES (512 * SK_KIB)

/* The same for every input: made when they are first asked for. */
struct sk_gmem *virtio_fuzz_memory(void);
struct sk_loop *virtio_fuzz_loop(void);

/* Drives @virtio, which is fresh, until the input is used up; afterwards it is halted. */
void virtio_fuzz(struct sk_virtio *virtio, const uint8_t *data, size_t size);

#endif
