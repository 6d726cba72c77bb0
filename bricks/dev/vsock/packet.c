/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The header of a packet (virtio 1.2, 5.10.6). */
#include "vsock_internal.h"

bool vsock_packet_get(struct vsock_packet *p, const uint8_t bytes[VSOCK_HDR_BYTES],
		      size_t chain_bytes, uint64_t cid)
{
	struct sk_reader r;

	sk_reader_init(&r, bytes, VSOCK_HDR_BYTES);
	p->src_cid = sk_get_u64(&r);
	p->dst_cid = sk_get_u64(&r);
	p->src_port = sk_get_u32(&r);
	p->dst_port = sk_get_u32(&r);
	p->len_bytes = sk_get_u32(&r);
	p->type = sk_get_u16(&r);
	p->op = sk_get_u16(&r);
	p->flags = sk_get_u32(&r);
	p->buf_alloc = sk_get_u32(&r);
	p->fwd_cnt = sk_get_u32(&r);
	return chain_bytes >= VSOCK_HDR_BYTES && p->src_cid == cid &&
	       p->dst_cid == SK_VSOCK_HOST_CID && p->len_bytes <= VSOCK_MAX_PAYLOAD &&
	       p->len_bytes <= chain_bytes - VSOCK_HDR_BYTES &&
	       (p->op == VIRTIO_VSOCK_OP_RW || !p->len_bytes);
}

void vsock_packet_put(const struct vsock_packet *p, uint8_t bytes[VSOCK_HDR_BYTES])
{
	struct sk_writer w;

	sk_writer_init(&w, bytes, VSOCK_HDR_BYTES);
	sk_put_u64(&w, p->src_cid);
	sk_put_u64(&w, p->dst_cid);
	sk_put_u32(&w, p->src_port);
	sk_put_u32(&w, p->dst_port);
	sk_put_u32(&w, p->len_bytes);
	sk_put_u16(&w, p->type);
	sk_put_u16(&w, p->op);
	sk_put_u32(&w, p->flags);
	sk_put_u32(&w, p->buf_alloc);
	sk_put_u32(&w, p->fwd_cnt);
}

unsigned vsock_packet_payload(const struct iovec *iov, uint32_t nr_iov, uint32_t len_bytes,
			      struct iovec out[VSOCK_MAX_IOV])
{
	size_t skip = VSOCK_HDR_BYTES;
	unsigned nr = 0;

	for (uint32_t i = 0; i < nr_iov && len_bytes; i++) {
		size_t past = SK_MIN(skip, iov[i].iov_len);
		size_t part = SK_MIN(iov[i].iov_len - past, len_bytes);

		skip -= past;
		if (!part)
			continue;
		out[nr++] = (struct iovec){(uint8_t *)iov[i].iov_base + past, part};
		len_bytes -= (uint32_t)part;
	}
	return nr;
}
