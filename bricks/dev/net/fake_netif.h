/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* A back end for the tests of the device: it keeps what is sent and hands out what it is given. */
#ifndef SKETE_DEV_NET_FAKE_NETIF_H
#define SKETE_DEV_NET_FAKE_NETIF_H

#include <skete/netif.h>

#define FAKE_FRAMES 512

struct fake_frame {
	size_t len_bytes;
	uint8_t *bytes;
};

struct fake_netif {
	struct sk_netif nif;
	struct sk_loop *loop;
	struct sk_netif_client client;
	struct fake_frame in[FAKE_FRAMES]; /* for the guest */
	unsigned nr_in, next_in;
	struct fake_frame last; /* that was sent */
	unsigned nr_sent, last_pair;
	bool is_full; /* send says -EAGAIN */
	unsigned offloads, nr_pairs;
};

static inline int fake_start(struct sk_netif *nif, struct sk_loop *loop,
			     const struct sk_netif_client *client, struct sk_error *err)
{
	struct fake_netif *f = SK_CONTAINER_OF(nif, struct fake_netif, nif);

	(void)err;
	f->loop = loop;
	f->client = *client;
	return 0;
}

static inline int fake_send(struct sk_netif *nif, unsigned pair, const struct iovec *iov,
			    unsigned nr_iov)
{
	struct fake_netif *f = SK_CONTAINER_OF(nif, struct fake_netif, nif);
	size_t len = 0;

	if (f->is_full)
		return -EAGAIN;
	free(f->last.bytes);
	f->last.bytes = malloc(SK_NETIF_MAX_FRAME_BYTES);
	BUG_ON(!f->last.bytes);
	for (unsigned i = 0; i < nr_iov; len += iov[i++].iov_len) {
		BUG_ON(len + iov[i].iov_len > SK_NETIF_MAX_FRAME_BYTES);
		memcpy(f->last.bytes + len, iov[i].iov_base, iov[i].iov_len);
	}
	BUG_ON(len < SK_NETIF_HDR_BYTES + 14);
	f->last.len_bytes = len;
	f->last_pair = pair;
	f->nr_sent++;
	return 0;
}

static inline ssize_t fake_recv(struct sk_netif *nif, unsigned pair, const struct iovec *iov,
				unsigned nr_iov)
{
	struct fake_netif *f = SK_CONTAINER_OF(nif, struct fake_netif, nif);
	struct fake_frame *frame = &f->in[f->next_in];
	size_t done = 0;

	BUG_ON(nr_iov > SK_NETIF_MAX_IOV);
	if (pair != 0 || f->next_in == f->nr_in)
		return -EAGAIN;
	f->next_in++;
	for (unsigned i = 0; i < nr_iov && done < frame->len_bytes; i++) {
		size_t part = SK_MIN(iov[i].iov_len, frame->len_bytes - done);

		memcpy(iov[i].iov_base, frame->bytes + done, part);
		done += part;
	}
	return done == frame->len_bytes ? (ssize_t)done : -EMSGSIZE;
}

static inline int fake_set_offloads(struct sk_netif *nif, unsigned recv_offloads)
{
	SK_CONTAINER_OF(nif, struct fake_netif, nif)->offloads = recv_offloads;
	return 0;
}

static inline int fake_set_pairs(struct sk_netif *nif, unsigned nr_pairs)
{
	SK_CONTAINER_OF(nif, struct fake_netif, nif)->nr_pairs = nr_pairs;
	return 0;
}

static inline void fake_clear(struct fake_netif *f)
{
	while (f->nr_in)
		free(f->in[--f->nr_in].bytes);
	f->next_in = 0;
	free(f->last.bytes);
	f->last = (struct fake_frame){0};
}

static inline void fake_destroy(struct sk_netif *nif)
{
	struct fake_netif *f = SK_CONTAINER_OF(nif, struct fake_netif, nif);

	fake_clear(f);
	free(f);
}

static inline struct fake_netif *fake_create(unsigned nr_pairs, unsigned offloads)
{
	static const struct sk_netif_ops ops = {
		.start = fake_start,
		.send = fake_send,
		.recv = fake_recv,
		.set_offloads = fake_set_offloads,
		.set_pairs = fake_set_pairs,
		.destroy = fake_destroy,
	};
	struct fake_netif *f = calloc(1, sizeof(*f));

	BUG_ON(!f);
	f->nif.ops = &ops;
	f->nif.caps = (struct sk_netif_caps){.nr_pairs = nr_pairs,
					     .send_offloads = offloads,
					     .recv_offloads = offloads,
					     .mtu = 1500};
	return f;
}

/* Queues a frame of @len_bytes after the header to @to, with bytes that count. */
static inline void fake_push(struct fake_netif *f, const uint8_t to[6], size_t len_bytes)
{
	struct fake_frame *frame = &f->in[f->nr_in++];

	BUG_ON(f->nr_in > FAKE_FRAMES);
	frame->len_bytes = SK_NETIF_HDR_BYTES + len_bytes;
	frame->bytes = calloc(1, frame->len_bytes);
	BUG_ON(!frame->bytes);
	for (size_t i = 0; i < len_bytes; i++)
		frame->bytes[SK_NETIF_HDR_BYTES + i] = (uint8_t)(i * 7 + i / 256);
	memcpy(frame->bytes + SK_NETIF_HDR_BYTES, to, SK_MIN(len_bytes, 6u));
}

#endif
