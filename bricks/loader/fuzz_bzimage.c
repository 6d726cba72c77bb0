/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* bzImages, by their own entry and by the payload. */
#include "fuzz_guest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	fuzz_load(data, len_bytes, SK_LOADER_LINUX64);
	fuzz_load(data, len_bytes, SK_LOADER_PVH);
	return 0;
}
