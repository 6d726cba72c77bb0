/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* What the files of this brick share: the regions and the one look-up that all access goes through.
 */
#ifndef SKETE_GMEM_INTERNAL_H
#define SKETE_GMEM_INTERNAL_H

#include <skete/gmem.h>

struct region {
	struct sk_gmem_region pub;
	uint64_t *dirty; /* one bit per page, updated atomically; NULL without a dirty log */
	int fd;		 /* owned; pub.fd shows it if it can be shared */
	enum sk_gmem_backing backing;
	uint64_t page_bytes; /* of the host's pages behind it */
};

struct sk_gmem {
	size_t nr_regions;
	uint64_t size_bytes;
	bool has_dirty_log;
	struct region regions[]; /* ascending gpa, no overlap */
};

/* The region that holds @gpa, or NULL. */
const struct region *gmem_find_region(const struct sk_gmem *gm, gpa_t gpa);

#endif
