/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Archives: every byte of every entry is inside the archive, and the walk ends. */
#include <stdlib.h>
#include <string.h>

#include "cpio.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	struct cpio cpio = {.archive = data, .bytes = len_bytes};
	struct cpio_entry e;
	size_t entries = 0;

	while (cpio_next(&cpio, &e) > 0) {
		if (++entries > len_bytes / 110 || strlen(e.name) != e.name_bytes || !e.name_bytes)
			abort();
		for (uint32_t i = 0; i < e.data_bytes; i++)
			(void)*(const volatile uint8_t *)(e.data + i);
	}
	return 0;
}
