/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Multiboot kernels, flat and ELF. */
#include "fuzz_guest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	fuzz_load(data, len_bytes, SK_LOADER_MULTIBOOT);
	return 0;
}
