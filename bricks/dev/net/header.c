/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The header in front of a frame from the guest (virtio 1.2, 5.1.6.2). */
#include "net_internal.h"

/* Smaller segments than any TCP sends: they would only multiply the host's work. */
#define MIN_GSO_BYTES 8

static bool check_segmentation(const struct virtio_net_hdr_v1 *hdr, uint64_t features)
{
	uint8_t type = hdr->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
	uint64_t wanted = 0;

	switch (type) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		wanted = NET_F(HOST_TSO4);
		break;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		wanted = NET_F(HOST_TSO6);
		break;
	default:
		return false;
	}
	if (hdr->gso_type & VIRTIO_NET_HDR_GSO_ECN)
		wanted |= NET_F(HOST_ECN);
	/* Every segment gets a checksum of its own, so somebody must say where. */
	return (features & wanted) == wanted && (hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) &&
	       SK_LE16(hdr->gso_size) >= MIN_GSO_BYTES;
}

bool net_header_check(struct virtio_net_hdr_v1 *hdr, uint64_t features, size_t frame_bytes)
{
	hdr->num_buffers = 0;
	/* DATA_VALID and RSC_INFO are the device's to say. */
	hdr->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	if (hdr->flags) {
		size_t end = (size_t)SK_LE16(hdr->csum_start) + SK_LE16(hdr->csum_offset) + 2;

		if (!(features & NET_F(CSUM)) || end > frame_bytes)
			return false;
	} else {
		hdr->csum_start = hdr->csum_offset = 0;
	}
	if (hdr->gso_type == VIRTIO_NET_HDR_GSO_NONE) {
		hdr->gso_size = hdr->hdr_len = 0;
		return true;
	}
	/* The length of the headers is a hint, and a wrong one is worse than none. */
	return SK_LE16(hdr->hdr_len) <= frame_bytes && check_segmentation(hdr, features);
}
