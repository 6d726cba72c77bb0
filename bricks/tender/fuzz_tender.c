/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Images from anywhere: what the parser accepts must load inside of the memory it asks for. */
#include <skete/tender.h>

#define MAX_MEMORY (UINT64_C(16) << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sk_tender_image image;
	struct sk_error err;
	void *memory;

	if (sk_tender_image_parse(&image, data, size, &err)) {
		BUG_ON(err.message[0] == '\0');
		return 0;
	}
	BUG_ON(image.start > image.text || image.text > image.text_end ||
	       image.text_end > image.ro_end || image.ro_end > image.end);
	if (image.end - image.start > MAX_MEMORY)
		return 0;
	memory = calloc(1, image.end - image.start);
	BUG_ON(!memory && image.end != image.start);
	(void)!sk_tender_image_load(&image, data, size, memory, UINT64_C(0x7000000000), &err);
	free(memory);
	return 0;
}
