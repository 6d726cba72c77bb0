/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include "loader_internal.h"

#include <inttypes.h>

/* Never among the boot structures, even in a guest so small that there is nothing above 1 MiB. */
#define INITRD_FLOOR (SK_LOADER_STRINGS_GPA + SK_LOADER_STRINGS_BYTES)

int sk_loader_put_initrd(struct loading *l, gpa_t limit, gpa_t second_limit)
{
	const uint64_t page = SK_GMEM_PAGE_BYTES;
	const struct image *initrd = l->initrd;
	uint64_t room_bytes;
	gpa_t gpa;
	int rc;

	if (!initrd)
		return 0;
	if (!sk_align_up(initrd->size_bytes, page, &room_bytes) ||
	    (!sk_loader_find_highest(l, room_bytes, page, INITRD_FLOOR, limit, &gpa) &&
	     !sk_loader_find_highest(l, room_bytes, page, INITRD_FLOOR, second_limit, &gpa)))
		return sk_loader_image_error(
			initrd, l->err, -ENOMEM,
			"its 0x%" PRIx64 " bytes fit nowhere below 0x%" PRIx64
			" beside the kernel: the guest's RAM (%s) is too small",
			initrd->size_bytes, SK_MAX(limit, second_limit),
			sk_loader_size_text(sk_gmem_size_bytes(l->gm)).text);
	rc = sk_loader_claim(l, gpa, room_bytes, "the initrd");
	if (rc)
		return rc;
	rc = sk_loader_image_read_to_guest(initrd, 0, l->gm, gpa, initrd->size_bytes, "content",
					   l->err);
	if (rc)
		return rc;
	/* Nothing of an earlier life may stand behind it: cpio readers go on until zeroes end. */
	sk_loader_put_zeroes(l, gpa + initrd->size_bytes, room_bytes - initrd->size_bytes);
	l->entry.initrd_gpa = gpa;
	l->entry.initrd_bytes = initrd->size_bytes;
	return 0;
}
