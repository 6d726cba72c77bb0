/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* ELF files: every protocol that starts one. */
#include "fuzz_guest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	fuzz_load(data, len_bytes, SK_LOADER_AUTO);
	fuzz_load(data, len_bytes, SK_LOADER_PVH);
	fuzz_load(data, len_bytes, SK_LOADER_LINUX64);
	return 0;
}
