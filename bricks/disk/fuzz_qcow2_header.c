/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The parser of qcow2 headers: what it lets through holds what qcow2_header.h promises. */
#include "qcow2_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sk_error err = {0};
	struct qcow2_header h;
	uint64_t cluster_bytes;
	int rc = qcow2_header_parse(&h, data, size, &err);

	if (rc) {
		BUG_ON(err.code != rc || !err.message[0] || (rc != -EINVAL && rc != -ENOTSUP));
		for (const char *c = err.message; *c; c++)
			BUG_ON((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f);
		return 0;
	}
	BUG_ON(h.cluster_bits < QCOW2_MIN_CLUSTER_BITS || h.cluster_bits > QCOW2_MAX_CLUSTER_BITS);
	cluster_bytes = UINT64_C(1) << h.cluster_bits;
	BUG_ON(!h.size_bytes || h.size_bytes % 512 || h.size_bytes > INT64_MAX);
	BUG_ON((unsigned __int128)h.l1_entries * cluster_bytes * (cluster_bytes / 8) <
	       h.size_bytes);
	BUG_ON(h.l1_entries * UINT64_C(8) > QCOW2_MAX_L1_BYTES);
	BUG_ON(h.l1_offset % cluster_bytes || h.l1_offset < cluster_bytes);
	BUG_ON(h.reftable_offset % cluster_bytes || h.reftable_offset < cluster_bytes);
	BUG_ON(!h.reftable_clusters ||
	       h.reftable_clusters * cluster_bytes > QCOW2_MAX_REFTABLE_BYTES);
	BUG_ON(h.refcount_order > 6 || (h.version != 2 && h.version != 3));
	BUG_ON(strlen(h.backing_path) > QCOW2_BACKING_MAX);
	return 0;
}
