/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The decompressors of a bzImage's payload. */
#include <sys/mman.h>

#include "fuzz_guest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	struct sk_error err = {0};
	size_t out_bytes;
	uint8_t *out;
	int rc = sk_loader_unpack(data, len_bytes, SK_MIB, &out, &out_bytes, &err);

	if (rc) {
		BUG_ON(err.code != rc || !err.message[0]);
		return 0;
	}
	BUG_ON(!out_bytes || out_bytes > SK_MIB);
	munmap(out, out_bytes);
	return 0;
}
