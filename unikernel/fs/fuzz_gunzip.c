/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* gzip files into an exact buffer: nothing is read or written beyond either. */
#include <stdlib.h>

#include "gunzip.h"

#define ROOM 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	uint8_t *out = malloc(ROOM);
	long got = gunzip(data, len_bytes, out, ROOM);

	if (got > ROOM)
		abort();
	free(out);
	return 0;
}
