/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* What the fuzz targets share: a small guest, and one load of a hostile kernel into it. */
#ifndef SKETE_LOADER_FUZZ_GUEST_H
#define SKETE_LOADER_FUZZ_GUEST_H

#include "loader_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

/* 4 MiB in two regions with a gap; is_fresh keeps a bss from eating the time. */
static inline void fuzz_load(const uint8_t *data, size_t len_bytes,
			     enum sk_loader_protocol protocol)
{
	static const struct sk_gmem_region_config regions[] = {
		{.gpa = 0, .size_bytes = 3 * SK_MIB},
		{.gpa = 4 * SK_MIB, .size_bytes = SK_MIB},
	};
	static const struct sk_gmem_config gm_config = {.regions = regions, .nr_regions = 2};
	static const uint8_t initrd_bytes[5000];
	static struct sk_gmem *gm;
	const struct sk_loader_config config = {
		.cmdline = "quiet",
		.protocol = protocol,
		.is_fresh = true,
	};
	const struct image initrd = {.role = "initrd",
				     .path = "initrd",
				     .fd = -1,
				     .bytes = initrd_bytes,
				     .size_bytes = sizeof(initrd_bytes)};
	const struct image kernel = {.role = "kernel",
				     .path = "kernel",
				     .fd = -1,
				     .bytes = data,
				     .size_bytes = len_bytes};
	struct sk_loader_entry entry;
	struct sk_error err = {0};
	int rc;

	BUG_ON(!gm && sk_gmem_create(&gm, &gm_config, NULL));
	rc = sk_loader_load_images(&entry, gm, &config, &kernel, &initrd, &err);
	if (rc) {
		BUG_ON(rc > 0 || err.code != rc || !err.message[0]);
		return;
	}
	BUG_ON(!sk_gmem_is_ram(gm, entry.kernel_gpa, 1) || !sk_gmem_is_ram(gm, entry.rip, 1));
	BUG_ON(sk_ranges_overlap(entry.kernel_gpa, entry.kernel_end_gpa - entry.kernel_gpa,
				 SK_LOADER_INFO_GPA, SK_GMEM_PAGE_BYTES) &&
	       entry.kernel_gpa > SK_LOADER_INFO_GPA);
	BUG_ON(entry.highest_gpa > 5 * SK_MIB);
}

#endif
