/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * What the files of the socket device share:
 *
 *   vsock.c   its life: create, start, quiesce, save, restore; counters
 *   packet.c  the header of a packet: bytes <-> checked structure
 *   tx.c      packets from the guest        rx.c  packets to it, connection by connection
 *   conn.c    a connection: its descriptor, its credit, its end
 *   host.c    the host's side: listening, "CONNECT", connecting to PATH_N
 *
 * A connection has something to say to the guest (one of the is_*_due flags, or its descriptor is
 * readable and there is credit) or is not on the list of ready ones.
 */
#ifndef SKETE_DEV_VSOCK_INTERNAL_H
#define SKETE_DEV_VSOCK_INTERNAL_H

#include <linux/virtio_vsock.h>
#include <stdatomic.h>
#include <sys/un.h>

#include <skete/dev/vsock.h>

#define VSOCK_HDR_BYTES	    44
#define VSOCK_MAX_PAYLOAD   (64 * 1024)
#define VSOCK_QUEUE_ENTRIES 256
#define VSOCK_MAX_IOV	    64
#define VSOCK_BUDGET	    256 /* packets before others on the loop have their turn */
#define VSOCK_BUCKETS	    256
#define VSOCK_MAX_RESETS    256 /* answers to packets of no connection */
#define VSOCK_LINE_BYTES    32	/* "CONNECT 4294967295\n" is shorter */
#define VSOCK_PATIENCE_NS   UINT64_C(10000000000)
#define VSOCK_FIRST_PORT    (UINT32_C(1) << 30) /* of the host's end of its own connections */

enum { VSOCK_RX, VSOCK_TX, VSOCK_EVENT, VSOCK_NR_QUEUES };

struct vsock_packet {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port;
	uint32_t len_bytes;
	uint16_t type, op;
	uint32_t flags, buf_alloc, fwd_cnt;
};

enum conn_state {
	CONN_GREETING,	  /* a client of ours has not said CONNECT yet; in no bucket */
	CONN_REQUESTED,	  /* the guest has not answered yet */
	CONN_ESTABLISHED, /* also while one direction or both are at their end */
	CONN_CLOSED,	  /* gone for guest and table; waits for its operations */
};

struct conn {
	struct sk_vsock *vsock;
	struct conn *next_hash;
	struct conn *prev_ready, *next_ready; /* NULL, NULL and not is_ready: not on the list */
	struct conn *prev_all, *next_all;
	uint32_t guest_port, host_port;
	enum conn_state state;
	int fd;
	struct sk_loop_op in_op, out_op; /* polls */
	struct sk_loop_timer timer;

	/* due to be sent to the guest */
	bool is_request_due, is_response_due, is_credit_due, is_reset_due;
	bool is_ready;
	bool is_readable;      /* the descriptor may have bytes, or its end */
	uint32_t shutdown_due; /* VIRTIO_VSOCK_SHUTDOWN_* */
	uint32_t shutdown_sent;
	uint32_t guest_shutdown; /* what the guest has said */

	/* credit (5.10.6.3): counters of bytes that wrap */
	uint32_t peer_buf_alloc, peer_fwd_cnt, sent_cnt;
	uint32_t fwd_cnt, told_fwd_cnt;

	/* from the guest, not taken by the host yet: a ring that exists while it holds something */
	uint8_t *out;
	uint32_t out_first, out_bytes;

	char line[VSOCK_LINE_BYTES]; /* of a client that greets */
	uint32_t line_bytes;
};

struct vsock_counters {
	_Atomic uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, opened, refused, connections,
		bad_packets, timeouts;
};

struct sk_vsock {
	struct sk_vsock_config config;
	struct sk_virtio *virtio;
	struct sockaddr_un address;
	int listen_fd;
	struct sk_loop_op accept_op;
	bool is_running;
	bool is_listening;  /* the accept is the loop's */
	bool is_event_due;  /* the guest has to hear of a transport reset */
	bool is_tx_waiting; /* for room among the resets */
	uint32_t next_port;
	struct conn *buckets[VSOCK_BUCKETS];
	struct conn *all;
	struct conn *first_ready, *last_ready;
	unsigned nr_resets, first_reset;
	struct vsock_packet resets[VSOCK_MAX_RESETS];
	struct vsock_counters counters;
};

static inline void vsock_count(_Atomic uint64_t *counter, uint64_t n)
{
	/* One writer: the loop's thread. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

/*
 * packet.c: get reads and checks a packet of @chain_bytes from the guest @cid; false: it breaks the
 * rules and is not worth an answer.
 */
bool vsock_packet_get(struct vsock_packet *p, const uint8_t bytes[VSOCK_HDR_BYTES],
		      size_t chain_bytes, uint64_t cid);
void vsock_packet_put(const struct vsock_packet *p, uint8_t bytes[VSOCK_HDR_BYTES]);

/*
 * The at most @len_bytes behind the header that the @nr_iov vectors of a packet begin with, as
 * vectors of their own; returns how many. @nr_iov is at most VSOCK_MAX_IOV.
 */
unsigned vsock_packet_payload(const struct iovec *iov, uint32_t nr_iov, uint32_t len_bytes,
			      struct iovec out[VSOCK_MAX_IOV]);

/* tx.c, rx.c: go on as far as it goes now. */
void vsock_tx_run(struct sk_vsock *vsock);
void vsock_rx_run(struct sk_vsock *vsock);
void vsock_event_run(struct sk_vsock *vsock);

/* conn.c */

/* A new one with @fd, which it owns from here on also on failure; NULL: no memory, or too many. */
struct conn *conn_new(struct sk_vsock *vsock, int fd);
struct conn *conn_find(struct sk_vsock *vsock, uint32_t guest_port, uint32_t host_port);
/* Gives it its name; there is no other one of it. */
void conn_insert(struct conn *c, uint32_t guest_port, uint32_t host_port);
/* The end, now: the descriptor goes, and the memory when nothing uses it any more. */
void conn_close(struct conn *c);
/* Has something for the guest. */
void conn_make_ready(struct conn *c);
void conn_remove_ready(struct conn *c);
/* Sends a reset, then closes. */
void conn_reset(struct conn *c);
/* Waits for bytes from the host. */
void conn_listen(struct conn *c);
void conn_set_patience(struct conn *c);
uint32_t conn_credit(const struct conn *c);
/* Bytes of a packet from the guest, in vectors. False: more than it had credit for. */
bool conn_take(struct conn *c, struct iovec *iov, unsigned nr_iov, uint32_t len_bytes);
/* The guest says that it is at an end of one or both directions. */
void conn_guest_shutdown(struct conn *c, uint32_t flags);
/* The host is at its end; looks whether of both directions. */
void conn_host_end(struct conn *c);

/* host.c */
int host_listen(struct sk_vsock *vsock, struct sk_error *err) SK_MUST_CHECK;
void host_start(struct sk_vsock *vsock);
void host_close(struct sk_vsock *vsock);
/* A descriptor connected to PATH_@port, or -errno. */
int host_connect(struct sk_vsock *vsock, uint32_t port) SK_MUST_CHECK;
/* A client that has not said CONNECT yet has said something. */
void host_greet(struct conn *c);
/* The guest has accepted: says OK to the client. */
void host_accepted(struct conn *c);

#endif
